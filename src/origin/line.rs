//! What one exchange goes on: a connection of its own, or a stream on one that it shares.

use std::sync::Arc;

use super::endpoint::Endpoint;
use super::exchange::{Answered, Failure, Patience};
use super::idle::Connection;
use super::outgoing::Outgoing;
use super::places::Place;
use super::{http1, http2};

/// An open way to an endpoint.
pub(super) enum Line {
    /// A connection of HTTP/1, for one exchange at a time.
    Own(Connection),
    /// A share of a connection of HTTP/2.
    Shared(http2::Share),
}

/// A head that came.
#[allow(
    clippy::large_enum_variant,
    reason = "the large one is the usual one: a box would be one more for each exchange"
)]
pub(super) enum Came {
    Http1(http1::Came),
    Http2(Box<http2::Came>),
}

impl Line {
    /// Whether others may be on it.
    pub(super) fn is_shared(&self) -> bool {
        matches!(self, Self::Shared(_))
    }

    /// Whether something was answered on it before, if that is known.
    pub(super) fn has_served(&self) -> Option<bool> {
        match self {
            Self::Own(_) => None,
            Self::Shared(share) => Some(share.has_served()),
        }
    }

    /// Sends a request, and waits for the head of the response, which may have `max_head` bytes. Cancelled, the connection
    /// is closed, or the stream on it given up.
    pub(super) async fn send(
        self,
        request: Box<Outgoing>,
        max_head: usize,
        patience: Patience<'_>,
    ) -> Result<Came, Failure> {
        match self {
            Self::Own(connection) => {
                http1::Came::for_request(connection, request, max_head, patience).await.map(Came::Http1)
            }
            Self::Shared(share) => {
                let came = Box::pin(http2::Came::for_request(share, request, max_head, patience)).await?;
                Ok(Came::Http2(Box::new(came)))
            }
        }
    }
}

impl Came {
    /// What it is to whoever asked.
    pub(super) fn answered(self, home: &Arc<Endpoint>, place: Place) -> Answered {
        match self {
            Self::Http1(came) => came.answered(home, place),
            Self::Http2(came) => came.answered(place),
        }
    }
}
