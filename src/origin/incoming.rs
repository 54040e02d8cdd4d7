//! A response body on its way from the origin.

use std::convert::Infallible;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use tokio::time::Instant;

use super::endpoint::Endpoint;
use super::http1::{Broken, Content, Sending};
use super::idle::Connection;
use super::places::Place;
use crate::body::busy::{BodyError, BusyBody, End};

/// The body of an [`super::Exchange`]. Dropped before its end, it closes the connection.
#[derive(Debug)]
pub struct IncomingBody {
    pub(super) content: Content,
    pub(super) between: Duration,
    /// When the whole exchange has to be over.
    pub(super) deadline: Option<Instant>,
    /// None of what is no HTTP any more.
    pub(super) lease: Option<Lease>,
    /// What is still to be sent of the request.
    pub(super) sending: Option<Box<Sending>>,
    /// Held for its drop.
    pub(super) upload: Option<Upload>,
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

/// The connection under an exchange, and where it goes afterwards.
#[derive(Debug)]
pub(super) struct Lease {
    pub(super) connection: Connection,
    pub(super) home: Arc<Endpoint>,
    /// Given back last, so that the next who gets it finds the connection idle.
    pub(super) place: Place,
    /// The endpoint would go on with it, and so would we.
    pub(super) persists: bool,
}

impl IncomingBody {
    /// The next bytes; `None` when the body is whole. What is left of the request is sent meanwhile. Cancel-safe.
    pub async fn next(&mut self) -> Result<Option<Bytes>, BodyError> {
        let limit = Instant::now() + self.between;
        let limit = self.deadline.map_or(limit, |deadline| deadline.min(limit));
        let next = poll_fn(|cx| self.poll_next(cx));
        tokio::time::timeout_at(limit, next).await.map_err(|_| BodyError::Stalled)?
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, BodyError>> {
        let sent = self.poll_sending(cx);
        let Some(lease) = &mut self.lease else { return Poll::Ready(Ok(None)) };
        match (lease.connection.wire.poll_content(&mut self.content, cx), sent) {
            // What the endpoint waits for will not come. What it has said already counts all the same.
            (Poll::Pending, Err(error)) => Poll::Ready(Err(error)),
            (came, _) => came,
        }
    }

    /// Sends what is left of the request while nobody asks for the next of the response, which may have to wait for whoever
    /// sends that. Never ends. Cancel-safe.
    pub async fn keep_sending(&mut self) -> Infallible {
        poll_fn(|cx| {
            // What went wrong is told by the next call of `next`: it stays so.
            let _ = self.poll_sending(cx);
            Poll::Pending
        })
        .await
    }

    fn poll_sending(&mut self, cx: &mut Context<'_>) -> Result<(), BodyError> {
        let (Some(sending), Some(lease)) = (&mut self.sending, &mut self.lease) else { return Ok(()) };
        match lease.connection.wire.poll_sending(sending, cx) {
            Poll::Pending => Ok(()),
            Poll::Ready(Ok(())) => {
                self.sending = None;
                Ok(())
            }
            // Who takes no more may still answer.
            Poll::Ready(Err(Broken::Gone)) => {
                (self.sending, lease.persists) = (None, false);
                Ok(())
            }
            Poll::Ready(Err(_)) => {
                lease.persists = false;
                Err(BodyError::Incomplete)
            }
        }
    }

    /// The trailers, once [`IncomingBody::next`] has said `None`.
    pub fn take_trailers(&mut self) -> Option<HeaderMap> {
        self.content.take_trailers()
    }

    /// Gives the connection back for the next request, if the whole body was read and nothing more came. Otherwise it is
    /// closed.
    pub fn release(self) {
        let Self { content, lease, sending, upload, .. } = self;
        drop(upload);
        let Some(Lease { mut connection, home, place, persists }) = lease else { return };
        let is_settled = content.is_whole() && sending.is_none() && connection.wire.is_settled();
        if persists && is_settled {
            home.keep(connection);
        } else if is_settled {
            connection.wire.close();
        }
        drop(place);
    }
}
