//! Sockets to requests. Knows a [`Handler`] and nothing of what is behind it.
//!
//! [`http1`] drives a connection by itself (decision 11), [`http2`] by a library's codec (decision 14); what they ask of one is
//! in [`stream`]. [`tls`] is what comes before where clients speak it. [`bind`] and [`unix`] make the sockets of an [`address`],
//! and [`wire`] is one of either kind.

pub mod accept;
pub mod address;
mod alarm;
pub mod bind;
pub mod http1;
pub mod http2;
mod limits;
pub mod link;
mod pace;
pub mod proxied;
pub mod refusal;
pub mod stream;
pub mod tls;
mod unacknowledged;
pub mod unix;
mod whole;
pub mod wire;

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::body::busy::Means;
pub use limits::Limits;
use link::Link;
pub use pace::MinRate;
use pace::Patience;
use refusal::Refusal;

use crate::telemetry::counters::Counters;

use crate::body::message::{self, InterimSender, Interims, Reply, Request};

/// What answers the requests of a listener.
pub trait Handler: Send + Sync + 'static {
    /// Held as long as a connection lives; dropping it tells the handler that the connection is gone.
    type Guest: Send;

    /// Whether a connection may stay; `None` refuses it, in the clear with 503.
    fn admit(&self, link: &Link) -> Option<Self::Guest>;

    /// What is said to something that is no request.
    fn refuse(&self, refusal: &Refusal, link: &Link) -> Reply;

    /// Answers one request. What is to come later is dropped when the client goes away.
    fn handle(&self, request: Request) -> Answer<'_>;
}

/// What a handler has to say to a request.
#[allow(clippy::large_enum_variant, reason = "the large one is the hit, which shall cost no allocation")]
#[derive(Debug)]
pub enum Answer<'a> {
    /// The answer is known at once.
    Now(Reply),
    /// Somebody has to be waited for.
    Later(Later<'a>),
}

/// An answer that is waited for. Dropping it gives the request up. Until then it has to be polled whenever it wakes its task,
/// whatever the client does: what it moves along may be what others wait for as well.
pub struct Later<'a> {
    /// The answer itself.
    pub reply: Pin<Box<dyn Future<Output = Reply> + Send + 'a>>,
    /// What is said before it. What is in here when the answer is there was said before it, too.
    pub interim: Interims,
}

impl<'a> Answer<'a> {
    /// An answer that `work` finds, which is given where to put what is said before it.
    pub fn later<W: Future<Output = Reply> + Send + 'a>(work: impl FnOnce(InterimSender) -> W) -> Self {
        let (sender, interim) = message::interims();
        Self::Later(Later { reply: Box::pin(work(sender)), interim })
    }

    /// Waits for the answer, whatever is said before it. Dropped while it waits, the request is given up.
    pub async fn reply(self) -> Reply {
        match self {
            Self::Now(reply) => reply,
            Self::Later(later) => later.reply.await,
        }
    }
}

impl fmt::Debug for Later<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Later").field("interim", &self.interim).finish_non_exhaustive()
    }
}

/// What every connection of a listener is served with.
#[derive(Clone, Debug)]
pub struct Serving {
    /// Limits. Each connection looks at them anew for each request.
    pub settings: Limits,
    /// What request bodies are kept with on their way.
    pub uploads: Means,
    /// Counts what happens to connections.
    pub counters: Arc<Counters>,
    /// Once cancelled, connections end with the response that they are at.
    pub draining: CancellationToken,
}

/// Limits of the client side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Time for a whole request head, from its first byte; for the first one from the connection on.
    pub header_timeout: Duration,
    /// Time for an idle connection until its next request begins.
    pub idle_timeout: Duration,
    /// Time between two reads of a request body.
    pub body_timeout: Duration,
    /// Time for a client to take some of what waits to be written to it.
    pub write_timeout: Duration,
    /// The least that a client has to take of its response, or send of its content, while it is waited for.
    pub min_rate: MinRate,
    /// Most bytes of a request head; more is answered with 431 or 414.
    pub max_head: usize,
    /// Most fields in a request; more is answered with 431.
    pub max_fields: usize,
    /// Most requests at a time on one connection of HTTP/2.
    pub max_streams: u32,
}

impl Settings {
    /// For a client that takes its response.
    fn for_taking(&self) -> Patience {
        Patience { limit: self.write_timeout, least: self.min_rate }
    }

    /// For one that sends content.
    fn for_sending(&self) -> Patience {
        Patience { limit: self.body_timeout, least: self.min_rate }
    }
}

impl Default for Settings {
    fn default() -> Self {
        let minute = Duration::from_mins(1);
        Self {
            header_timeout: minute,
            idle_timeout: minute,
            body_timeout: minute,
            write_timeout: minute,
            min_rate: MinRate::default(),
            max_head: 32 << 10,
            max_fields: 128,
            max_streams: 128,
        }
    }
}
