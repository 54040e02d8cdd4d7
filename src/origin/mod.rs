//! The way to the origin: connections, kept alive and lent out, and one exchange on each at a time.
//!
//! hyper's types end here: an [`Exchange`] has our head and a body that is read chunk by chunk.

pub mod connect;
mod error;
mod exchange;
mod idle;
mod incoming;

use std::sync::Arc;
use std::time::Duration;

pub use error::OriginError;
pub use exchange::{Exchange, OriginRequest};
pub use incoming::IncomingBody;

use connect::Connect;
use idle::IdleConnections;

/// Limits of the origin side.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Time for name resolution and the TCP handshake.
    pub connect_timeout: Duration,
    /// Time from the sent request to the head of the response.
    pub first_byte_timeout: Duration,
    /// Time between two reads of the response body.
    pub between_bytes_timeout: Duration,
    /// How long to wait for 100 (Continue) before the body is sent anyway (RFC 9110 §10.1.1).
    pub continue_timeout: Duration,
    /// Most bytes of a response head.
    pub max_head: usize,
    /// Idle connections that are kept.
    pub max_idle: usize,
    /// How long an idle connection is kept; less than the origin's own limit avoids needless retries.
    pub idle_timeout: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            first_byte_timeout: Duration::from_mins(1),
            between_bytes_timeout: Duration::from_mins(1),
            continue_timeout: Duration::from_secs(1),
            max_head: 64 << 10,
            max_idle: 256,
            idle_timeout: Duration::from_secs(50),
        }
    }
}

/// One origin server.
#[derive(Debug)]
pub struct Origin {
    authority: String,
    settings: Settings,
    connector: Arc<dyn Connect>,
    idle: Arc<IdleConnections>,
}

impl Origin {
    /// The origin at `authority` (`host:port`), reached by `connector`. Nothing is connected yet.
    pub fn new(authority: String, settings: Settings, connector: Arc<dyn Connect>) -> Self {
        let idle = Arc::new(IdleConnections::new(settings.max_idle, settings.idle_timeout));
        Self { authority, settings, connector, idle }
    }

    /// Where it is: `host:port`. Never shown to clients.
    pub fn authority(&self) -> &str {
        &self.authority
    }
}
