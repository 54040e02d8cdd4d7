//! Sockets to requests. Knows a [`Handler`] and nothing of what is behind it.
//!
//! hyper's types end here: [`http1`] turns its requests into ours and our replies into its responses.

pub mod accept;
pub mod bind;
pub mod http1;

use std::net::SocketAddr;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::body::busy::Means;
use crate::body::message::{Reply, Request};

/// What answers the requests of a listener.
pub trait Handler: Send + Sync + 'static {
    /// Held as long as a connection lives; dropping it tells the handler that the connection is gone.
    type Guest: Send;

    /// Whether a connection from `peer` may stay; `None` refuses it with 503.
    fn admit(&self, peer: SocketAddr) -> Option<Self::Guest>;

    /// Answers one request. The future is dropped when the client goes away.
    fn handle(&self, request: Request) -> impl Future<Output = Reply> + Send;
}

/// What every connection of a listener is served with.
#[derive(Clone, Debug)]
pub struct Serving {
    /// Limits.
    pub settings: Settings,
    /// What request bodies are kept with on their way.
    pub uploads: Means,
    /// Once cancelled, connections end with the response that they are at.
    pub draining: CancellationToken,
}

/// Limits of the client side.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Time for a whole request head, from its first byte; for the first one from the connection on.
    pub header_timeout: Duration,
    /// Time for an idle connection until its next request begins.
    pub idle_timeout: Duration,
    /// Time between two reads of a request body.
    pub body_timeout: Duration,
    /// Time for a client to take some of what waits to be written to it.
    pub write_timeout: Duration,
    /// Most bytes of a request head; more is answered with 431 or 414.
    pub max_head: usize,
    /// Most fields in a request; more is answered with 431.
    pub max_fields: usize,
}

impl Default for Settings {
    fn default() -> Self {
        let minute = Duration::from_mins(1);
        Self {
            header_timeout: minute,
            idle_timeout: minute,
            body_timeout: minute,
            write_timeout: minute,
            max_head: 32 << 10,
            max_fields: 128,
        }
    }
}
