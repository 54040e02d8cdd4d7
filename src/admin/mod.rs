//! What the operator asks a running node, and tells it ([decision 23](../../docs/decisions/0023-admin-api.md)).
//!
//! A listener of its own on a thread of its own, so that it answers while the workers are busy and keeps none of them
//! from their work. It reads the handles of the others, and changes what they let it change.
//!
//! - `server`, `patience`, `peer`, `wire`, `tls`: the thread and its connections.
//! - `access`: who gets in. `turns`: how many at a time. `audit`: what they change leaves a line.
//! - `v1`: the routes, a file for each group. `content`, `query`, `question`: what comes with a request. [`problem`]: errors.
//! - `openapi`, `page`: what describes all that, for programs and for people.
//! - `scrape`, `endpoints`, `certificates`, `process`: metrics. `health`: whether it may be sent requests.

mod access;
mod audit;
mod certificates;
mod content;
mod endpoints;
mod health;
mod openapi;
mod page;
mod patience;
mod peer;
pub mod problem;
mod process;
mod query;
mod question;
mod reload;
mod scrape;
mod server;
mod settings;
mod tls;
mod turns;
mod v1;
mod wire;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::admission::Connections;
use crate::base::clock::{Clock, Timestamp};
use crate::body::busy::Means;
use crate::cache::Cache;
use crate::fetch::Fetcher;
use crate::telemetry::access_log::Control;
use crate::telemetry::certificates::CertificateState;
use crate::telemetry::endpoints::EndpointState;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::metrics::exposition::{Exposition, Format};
use crate::telemetry::sites::SiteState;
use access::Access;
use health::Readiness;
pub use question::{Question, Refused};
pub use reload::{Fault, NotReloaded, Reload, Reloaded, Reloads, Said, told};
pub use server::Admin;
pub use settings::{AccessError, AddressError, Settings};
pub use tls::TlsError;
use turns::Turns;
pub use v1::explain::{Explain, Explained, Explaining};
pub use v1::{Complained, Configured, Inspect, Inspecting, Purger, Validated};

/// Tells how the endpoints of all pools are.
pub type Endpoints = Arc<dyn Fn() -> Vec<EndpointState> + Send + Sync>;

/// Sends no more requests to an endpoint of a pool, or does so again; how it is then, if there is one of that name.
pub type DrainEndpoint = Arc<dyn Fn(&str, &str, bool) -> Option<EndpointState> + Send + Sync>;

/// Tells which sites there are.
pub type Sites = Arc<dyn Fn() -> Vec<SiteState> + Send + Sync>;

/// Tells how the certificates are that clients are shown.
pub type Certificates = Arc<dyn Fn() -> Vec<CertificateState> + Send + Sync>;

/// Tells whether what is in the files of keys of session tickets cannot be used, if there are any.
pub type TicketKeys = Arc<dyn Fn() -> Option<bool> + Send + Sync>;

/// What there is to look at, and to change.
#[derive(Clone)]
pub struct Handles {
    /// Counts of requests and decisions.
    pub metrics: Arc<Metrics>,
    /// The tiers.
    pub cache: Arc<Cache>,
    /// Fetches under way.
    pub fetcher: Fetcher,
    /// Memory and spill files.
    pub means: Means,
    /// Connections of clients.
    pub connections: Connections,
    /// The endpoints of origins.
    pub endpoints: Endpoints,
    /// Changes which of them are asked.
    pub drain_endpoint: DrainEndpoint,
    /// Sites.
    pub sites: Sites,
    /// Certificates.
    pub certificates: Certificates,
    /// Keys of session tickets.
    pub ticket_keys: TicketKeys,
    /// Tells what would happen to a request.
    pub explain: Explain,
    /// Tells what is stored for one.
    pub inspect: Inspect,
    /// Purges.
    pub purger: Arc<dyn Purger>,
    /// What it is configured with.
    pub config: Configured,
    /// The access log, if there is one.
    pub log: Option<Control>,
    /// Reads the configuration anew, if there is one to read.
    pub reload: Option<Reload>,
    /// Cancelled once the node takes no more connections.
    pub draining: CancellationToken,
    /// Wall time.
    pub clock: Clock,
}

/// Why there is no admin listener.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// It would let in whoever comes, or nobody.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// It cannot speak TLS.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The address cannot be had.
    #[error("the admin listener cannot listen on {address}: {error}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the kernel said.
        error: io::Error,
    },
    /// Its thread could not be started.
    #[error("the admin listener cannot be started: {0}")]
    Thread(io::Error),
}

/// What `/metrics` says now.
pub fn exposition(handles: &Handles, format: Format) -> Exposition {
    let at = SocketAddr::from(([127, 0, 0, 1], 0));
    View::new(handles.clone(), &Settings::at(at)).exposition(format)
}

/// What the handlers work on.
struct View {
    handles: Handles,
    started: Timestamp,
    readiness: Readiness,
    access: Access,
    turns: Turns,
}

impl View {
    fn new(handles: Handles, settings: &Settings) -> Self {
        let started = handles.clock.now();
        Self {
            handles,
            started,
            readiness: Readiness::default(),
            access: Access::new(settings),
            turns: Turns::default(),
        }
    }
}
