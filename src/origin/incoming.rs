//! A response body on its way from the origin.

use std::convert::Infallible;
use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use tokio::time::Instant;

use super::{http1, http2};
use crate::body::busy::{BodyError, BusyBody, End};

/// The body of an [`super::Exchange`]. Dropped before its end, it closes the connection, or gives up its stream of it.
#[derive(Debug)]
pub struct IncomingBody {
    pub(super) coming: Coming,
    pub(super) between: Duration,
    /// When the whole exchange has to be over.
    pub(super) deadline: Option<Instant>,
    /// Held for its drop.
    pub(super) upload: Option<Upload>,
}

/// What is still to come, by the version of its connection.
#[derive(Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "the large one is the usual one: a box would be one more for each exchange"
)]
pub(super) enum Coming {
    Http1(http1::Coming),
    Http2(Box<http2::Coming>),
}

/// The request's content. An exchange that is over has no use for what was not sent of it: dropping this ends an
/// upload that is still under way, on both sides.
#[derive(Debug)]
pub(super) struct Upload(pub(super) BusyBody);

impl Drop for Upload {
    fn drop(&mut self) {
        if !matches!(self.0.end(), Some(End::Finished(_))) {
            self.0.give_up();
        }
    }
}

impl IncomingBody {
    /// The next bytes; `None` when the body is whole. What is left of the request is sent meanwhile. Cancel-safe.
    pub async fn next(&mut self) -> Result<Option<Bytes>, BodyError> {
        let limit = Instant::now() + self.between;
        let limit = self.deadline.map_or(limit, |deadline| deadline.min(limit));
        let next = poll_fn(|cx| self.coming.poll_next(cx));
        let came = tokio::time::timeout_at(limit, next).await;
        came.unwrap_or_else(|_| {
            self.coming.stalled();
            Err(BodyError::Stalled)
        })
    }

    /// Sends what is left of the request while nobody asks for the next of the response, which may have to wait for whoever
    /// sends that. Never ends. Cancel-safe.
    pub async fn keep_sending(&mut self) -> Infallible {
        poll_fn(|cx| {
            // What went wrong is told by the next call of `next`: it stays so.
            let _ = self.coming.poll_sending(cx);
            Poll::Pending
        })
        .await
    }

    /// The trailers, once [`IncomingBody::next`] has said `None`.
    pub fn take_trailers(&mut self) -> Option<HeaderMap> {
        match &mut self.coming {
            Coming::Http1(coming) => coming.take_trailers(),
            Coming::Http2(coming) => coming.take_trailers(),
        }
    }

    /// Lets go of the connection: for the next request, if the whole body was read and nothing more came. Otherwise it is
    /// closed, or the stream on it given up.
    pub fn release(self) {
        let Self { coming, upload, .. } = self;
        drop(upload);
        match coming {
            Coming::Http1(coming) => coming.release(),
            Coming::Http2(coming) => drop(coming),
        }
    }
}

impl Coming {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, BodyError>> {
        match self {
            Self::Http1(coming) => coming.poll_next(cx),
            Self::Http2(coming) => coming.poll_next(cx),
        }
    }

    /// Nothing came for too long.
    fn stalled(&self) {
        if let Self::Http2(coming) = self {
            coming.stalled();
        }
    }

    fn poll_sending(&mut self, cx: &mut Context<'_>) -> Result<(), BodyError> {
        match self {
            Self::Http1(coming) => coming.poll_sending(cx),
            Self::Http2(coming) => coming.poll_sending(cx),
        }
    }
}
