//! What the operator asks a running node: how it is, whether it may be sent requests, its metrics, and what would
//! happen to a request.
//!
//! A listener of its own on a thread of its own, so that it answers while the workers are busy and keeps none of them
//! from their work. It reads the handles of the others and changes nothing.

mod certificates;
mod endpoints;
mod explain;
mod guard;
mod health;
mod patience;
mod process;
mod reload;
mod scrape;
mod server;
mod settings;

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
pub use explain::{Explain, Explained, Explaining, Question, Refused};
use health::Readiness;
pub use reload::{Fault, NotReloaded, Reload, Reloaded, Reloads, Said};
pub use server::Admin;
pub use settings::{AddressError, Settings};

/// Tells how the endpoints of all pools are.
pub type Endpoints = Arc<dyn Fn() -> Vec<EndpointState> + Send + Sync>;

/// Tells how the certificates are that clients are shown.
pub type Certificates = Arc<dyn Fn() -> Vec<CertificateState> + Send + Sync>;

/// Tells whether what is in the files of keys of session tickets cannot be used, if there are any.
pub type TicketKeys = Arc<dyn Fn() -> Option<bool> + Send + Sync>;

/// What there is to look at.
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
    /// Certificates.
    pub certificates: Certificates,
    /// Keys of session tickets.
    pub ticket_keys: TicketKeys,
    /// Tells what would happen to a request.
    pub explain: Explain,
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
    /// The address is for others than this machine.
    #[error(transparent)]
    Address(#[from] AddressError),
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
    View::new(handles.clone()).exposition(format)
}

/// What the handlers work on.
struct View {
    handles: Handles,
    started: Timestamp,
    readiness: Readiness,
}

impl View {
    fn new(handles: Handles) -> Self {
        let started = handles.clock.now();
        Self { handles, started, readiness: Readiness::default() }
    }
}
