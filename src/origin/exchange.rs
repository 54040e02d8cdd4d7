//! One request on one connection, and the head of its response.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use http::uri::PathAndQuery;
use http::{HeaderMap, Method, StatusCode, Version, header};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::time::Instant;

use super::endpoint::Endpoint;
use super::error::OriginError;
use super::held::Held;
use super::idle::Connection;
use super::incoming::{IncomingBody, Lease, Upload};
use super::outgoing::{Outgoing, Spare};
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
                Ok(response) => return Ok(self.received(response, connection, place)?),
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
            Ok(response) => Ok(self.received(response, connection, place)?),
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

    async fn send(
        &self,
        connection: &mut Connection,
        request: Box<Outgoing>,
        upload: Option<&Upload>,
        until: Option<Instant>,
    ) -> Result<hyper::Response<Incoming>, Failure> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let sending = std::pin::pin!(connection.sender.try_send_request(*request));
        let until = until.filter(|_| upload.is_none());
        let Some(sent) = within(self.settings.first_byte_timeout, until, upload, sending).await else {
            return Err(OriginError::timed_out(ProxyError::HttpResponseTimeout, Retry::Idempotent).into());
        };
        sent.map_err(|mut unsent| Failure {
            error: OriginError::exchanging(unsent.error()),
            unsent: unsent.take_message().map(Box::new),
        })
    }

    fn received(
        self: &Arc<Self>,
        mut response: hyper::Response<Incoming>,
        connection: Connection,
        mut place: Place,
    ) -> Result<Exchange, OriginError> {
        if place.answered() {
            tracing::info!(pool = %self.settings.name, endpoint = %self.authority, "an endpoint answers again");
        }
        let has = |name| response.headers().contains_key(name);
        let (sized, coded) = (has(header::CONTENT_LENGTH), has(header::TRANSFER_ENCODING));
        if sized && coded {
            // Two framings: whoever wrote this, or stands between, may mean the other one (RFC 9112 §6.3).
            return Err(OriginError::malformed());
        }
        let chunked = coded && is_plainly_chunked(&response);
        let unknown_coding = coded && !chunked && is_unknown_coding(&response);
        if coded && !chunked && !unknown_coding {
            // hyper undoes chunks and nothing else: the content would be passed on, and kept, still coded.
            return Err(OriginError::malformed());
        }
        let mut place = Some(place);
        let tunnel = (response.status() == StatusCode::SWITCHING_PROTOCOLS).then(|| {
            let (upgrade, place) = (hyper::upgrade::on(&mut response), place.take());
            Tunnel::new(async {
                let upgraded = upgrade.await.map_err(std::io::Error::other)?;
                Ok(Box::new(Held::new(TokioIo::new(upgraded), place)) as Box<dyn Io>)
            })
        });
        let (head, incoming) = response.into_parts();
        let ends_by_close = !sized && !chunked && !http_body::Body::is_end_stream(&incoming);
        let between = self.settings.between_bytes_timeout;
        let lease = Lease { connection, home: Arc::clone(self), place };
        Ok(Exchange {
            head: ReplyHead::new(head.status, head.headers),
            body: IncomingBody { incoming, between, deadline: None, lease, trailers: None, upload: None },
            tunnel,
            ends_by_close,
            unknown_coding,
            authority: Arc::clone(&self.authority),
        })
    }
}

/// Whether `chunked` is all that was done to the content for its transfer, by a version that knows chunks
/// (RFC 9112 §6.1).
fn is_plainly_chunked(response: &hyper::Response<Incoming>) -> bool {
    let mut lines = response.headers().get_all(header::TRANSFER_ENCODING).iter();
    let is_chunked = lines.next().is_some_and(|line| line.as_bytes().eq_ignore_ascii_case(b"chunked"));
    is_chunked && lines.next().is_none() && response.version() == Version::HTTP_11
}

/// Whether the one transfer coding is none that has ever been registered (RFC 9112 §7), so that nobody could say what
/// was done to the content.
fn is_unknown_coding(response: &hyper::Response<Incoming>) -> bool {
    const KNOWN: [&str; 8] =
        ["chunked", "compress", "x-compress", "deflate", "gzip", "x-gzip", "identity", "trailers"];
    let mut lines = response.headers().get_all(header::TRANSFER_ENCODING).iter();
    let Some(name) = lines.next().and_then(|line| line.to_str().ok()) else { return false };
    let is_token = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    // One that only resembles `chunked` was meant to be it by somebody.
    let resembles = name.to_ascii_lowercase().contains("chunk");
    is_token
        && !resembles
        && lines.next().is_none()
        && !KNOWN.iter().any(|known| known.eq_ignore_ascii_case(name))
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
