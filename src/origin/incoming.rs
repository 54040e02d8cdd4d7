//! A response body on its way from the origin.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http_body::Body as _;
use hyper::body::Incoming;
use tokio::time::Instant;

use super::endpoint::Endpoint;
use super::idle::Connection;
use super::places::Place;
use crate::body::busy::{BodyError, BusyBody, End};

/// How long a connection may take to be ready again after a whole body.
const SETTLE: Duration = Duration::from_secs(1);

/// The body of an [`super::Exchange`]. Dropped before its end, it closes the connection.
#[derive(Debug)]
pub struct IncomingBody {
    pub(super) incoming: Incoming,
    pub(super) between: Duration,
    /// When the whole exchange has to be over.
    pub(super) deadline: Option<Instant>,
    pub(super) lease: Lease,
    pub(super) trailers: Option<HeaderMap>,
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
    /// Given back last, so that the next who gets it finds the connection idle. A tunnel takes it along.
    pub(super) place: Option<Place>,
}

impl IncomingBody {
    /// The next bytes; `None` when the body is whole. Cancel-safe.
    pub async fn next(&mut self) -> Result<Option<Bytes>, BodyError> {
        loop {
            let frame = std::future::poll_fn(|cx| Pin::new(&mut self.incoming).poll_frame(cx));
            let limit = Instant::now() + self.between;
            let limit = self.deadline.map_or(limit, |deadline| deadline.min(limit));
            let frame = tokio::time::timeout_at(limit, frame).await.map_err(|_| BodyError::Stalled)?;
            match frame {
                None => return Ok(None),
                Some(Err(error)) => return Err(broke_off(&error)),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(bytes) if bytes.is_empty() => {}
                    Ok(bytes) => return Ok(Some(bytes)),
                    Err(frame) => self.trailers = frame.into_trailers().ok(),
                },
            }
        }
    }

    /// The trailers, once [`IncomingBody::next`] has said `None`.
    pub fn take_trailers(&mut self) -> Option<HeaderMap> {
        self.trailers.take()
    }

    /// Gives the connection back for the next request. To be called after the whole body was read; a
    /// connection that says anything more, or does not settle, is closed. Cancelled, it is closed too.
    pub async fn release(self) {
        let Self { incoming, lease, upload, .. } = self;
        let Lease { mut connection, home, place } = lease;
        drop((incoming, upload));
        if home.keeps_alive()
            && let Ok(Ok(())) = tokio::time::timeout(SETTLE, connection.sender.ready()).await
        {
            home.keep(connection);
        }
        drop(place);
    }
}

fn broke_off(error: &hyper::Error) -> BodyError {
    if error.is_parse() { BodyError::Malformed } else { BodyError::Incomplete }
}
