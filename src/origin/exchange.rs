//! One request on one connection, and the head of its response.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use http::uri::PathAndQuery;
use http::{HeaderMap, Method, StatusCode};
use tokio::time::Instant;

use super::endpoint::Endpoint;
use super::error::OriginError;
use super::held::Held;
use super::http1::framing::Framing;
use super::http1::head::Head;
use super::http1::{Broken, Content, Outgoing, Sending, Spare};
use super::idle::Connection;
use super::incoming::{IncomingBody, Lease, Upload};
use super::places::Place;
use crate::base::blame::Retry;
use crate::body::Body;
use crate::body::message::ReplyHead;
use crate::body::tunnel::{Io, Tunnel};
use crate::semantics::proxy_status::ProxyError;

/// A request as the origin shall see it: rebuilt, with `Host`, never a copy of a client's.
#[derive(Debug)]
pub struct OriginRequest {
    /// The method.
    pub method: Method,
    /// Path and query.
    pub target: PathAndQuery,
    /// The fields. `Connection` and `Upgrade` are there only to leave HTTP.
    pub headers: HeaderMap,
    /// The content.
    pub body: Body,
}

/// A response whose head has come.
#[derive(Debug)]
pub struct Exchange {
    /// Status and fields, hop-by-hop ones included.
    pub head: ReplyHead,
    /// The content.
    pub body: IncomingBody,
    /// After a 101: the connection itself.
    pub tunnel: Option<Tunnel>,
    /// The end of the body is told by close alone (decision 4).
    pub ends_by_close: bool,
    /// Its content went through a transfer coding that nobody knows, or one that does nothing under a name of its own:
    /// its bytes are as they came.
    pub unknown_coding: bool,
    /// Who answered: `host:port`. Never shown to clients.
    pub authority: Arc<str>,
}

/// A request that got no answer; with the request itself if nothing of it was sent.
pub(super) struct Failure {
    pub(super) error: OriginError,
    pub(super) unsent: Option<Box<Outgoing>>,
}

impl From<OriginError> for Failure {
    fn from(error: OriginError) -> Self {
        Self { error, unsent: None }
    }
}

impl Endpoint {
    /// Sends `outgoing` on an idle connection or a new one, and waits for the head of the response. 1xx other
    /// than 101 are heard by whoever the request was made with.
    ///
    /// The endpoint may have closed an idle connection just now, which is no failure of its own: what was not sent
    /// on it goes out on a new one; what may have been sent is sent once more only if there is a `spare`.
    ///
    /// An endpoint that is silent at `until` has failed as well, except where an upload may have taken the time.
    ///
    /// Cancelled, the connection is closed, and the place says nothing about the endpoint.
    pub(super) async fn attempt(
        self: &Arc<Self>,
        mut place: Place,
        mut outgoing: Box<Outgoing>,
        spare: Option<&Spare>,
        upload: Option<&Upload>,
        until: Option<Instant>,
    ) -> Result<Exchange, Failure> {
        if let Some(mut connection) = self.reuse() {
            match self.send(&mut connection, outgoing, upload, until).await {
                Ok(came) => return Ok(self.received(came, connection, place)),
                Err(Failure { error, unsent }) => {
                    if error.error != ProxyError::ConnectionTerminated {
                        return Err(self.failed(&mut place, error, unsent));
                    }
                    let again = unsent.or_else(|| spare.map(Spare::again).map(Box::new));
                    let Some(again) = again else { return Err(self.lost(error)) };
                    outgoing = again;
                    tracing::debug!("an idle connection had been closed by the origin: trying a new one");
                }
            }
        }
        let mut connection = match Box::pin(self.open(until)).await {
            Ok(connection) => connection,
            Err(error) => return Err(self.failed(&mut place, error, Some(outgoing))),
        };
        match self.send(&mut connection, outgoing, upload, until).await {
            Ok(came) => Ok(self.received(came, connection, place)),
            Err(Failure { error, unsent }) => Err(self.failed(&mut place, error, unsent)),
        }
    }

    /// Takes note of a failure.
    fn failed(&self, place: &mut Place, error: OriginError, unsent: Option<Box<Outgoing>>) -> Failure {
        self.failures.fetch_add(1, Ordering::Relaxed);
        if error.speaks_of_endpoint()
            && let Some(pause) = place.failed()
        {
            let (pool, endpoint, cause) = (&self.settings.name, &self.authority, self.cause.lock().take());
            tracing::warn!(%pool, %endpoint, %error, cause, ?pause, "an endpoint failed and is left alone for a while");
        }
        Failure { error, unsent }
    }

    /// A request that died with an idle connection, which says nothing about the endpoint.
    fn lost(&self, error: OriginError) -> Failure {
        self.failures.fetch_add(1, Ordering::Relaxed);
        error.into()
    }

    /// Sends a request, and waits for the head of the response.
    async fn send(
        &self,
        connection: &mut Connection,
        request: Box<Outgoing>,
        upload: Option<&Upload>,
        until: Option<Instant>,
    ) -> Result<Came, Failure> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let mut sending = connection.wire.begin(request);
        let until = until.filter(|_| upload.is_none());
        let came = {
            let head = std::pin::pin!(connection.wire.head(&mut sending, self.settings.max_head));
            within(self.settings.first_byte_timeout, until, upload, head).await
        };
        match came {
            Some(Ok(head)) => match framing_of(&head, &sending) {
                Ok(framing) => Ok(Came { head, framing, sending }),
                Err(broken) => Err(OriginError::exchanging(broken).into()),
            },
            Some(Err(broken)) => {
                Err(Failure { error: OriginError::exchanging(broken), unsent: sending.unsent() })
            }
            None => Err(OriginError::timed_out(ProxyError::HttpResponseTimeout, Retry::Idempotent).into()),
        }
    }

    /// What a head and the connection that it came on are to whoever asked.
    fn received(self: &Arc<Self>, came: Came, connection: Connection, mut place: Place) -> Exchange {
        if place.answered() {
            tracing::info!(pool = %self.settings.name, endpoint = %self.authority, "an endpoint answers again");
        }
        let Came { head: Head { status, headers, claims }, framing, sending } = came;
        // Content that was not called for is not sent behind an answer, and then nobody can tell what would follow it.
        let is_held = sending.is_held();
        let (mut lease, mut tunnel) = (None, None);
        if status == StatusCode::SWITCHING_PROTOCOLS {
            let (begin, io) = connection.wire.leave_http();
            let io: Box<dyn Io> = Box::new(Held::new(begin, io, place));
            tunnel = Some(Tunnel::new(async { Ok(io) }));
        } else {
            let persists = claims.persists() && self.keeps_alive() && !is_held;
            lease = Some(Lease { connection, home: Arc::clone(self), place, persists });
        }
        Exchange {
            head: ReplyHead::new(status, headers),
            body: IncomingBody {
                content: Content::new(framing, self.settings.max_head),
                between: self.settings.between_bytes_timeout,
                deadline: None,
                lease,
                sending: (!sending.is_over() && !is_held).then(|| Box::new(sending)),
                upload: None,
            },
            tunnel,
            ends_by_close: framing == Framing::UntilClose,
            unknown_coding: claims.has_unknown_coding(),
            authority: Arc::clone(&self.authority),
        }
    }
}

/// Where the content ends. Another protocol cannot begin while the request is still being sent (RFC 9110 §7.8).
fn framing_of(head: &Head, sending: &Sending) -> Result<Framing, Broken> {
    if head.status == StatusCode::SWITCHING_PROTOCOLS && !sending.is_over() {
        return Err(Broken::Malformed("it switches protocols amid a request"));
    }
    head.claims.framing(head.status, sending.is_head())
}

/// A head that makes sense, and what is still to be sent of the request.
struct Came {
    head: Head,
    framing: Framing,
    sending: Sending,
}

impl Exchange {
    /// Ties the upload to the response, which it ends with, and the body to the exchange's deadline.
    pub(super) fn with(mut self, upload: Option<Upload>, deadline: Option<Instant>) -> Self {
        self.body.upload = upload;
        self.body.deadline = deadline;
        self
    }
}

/// `future`'s output, unless `limit` passes in which the upload (if there is one) made no progress either, or `until`
/// comes.
async fn within<T>(
    limit: Duration,
    until: Option<Instant>,
    upload: Option<&Upload>,
    mut future: Pin<&mut impl Future<Output = T>>,
) -> Option<T> {
    let mut seen = upload.map(|upload| upload.0.progress());
    loop {
        let end = Instant::now() + limit;
        let end = until.map_or(end, |until| until.min(end));
        if let Ok(output) = tokio::time::timeout_at(end, future.as_mut()).await {
            return Some(output);
        }
        let now = upload.map(|upload| upload.0.progress());
        if now == seen {
            return None;
        }
        seen = now;
    }
}
