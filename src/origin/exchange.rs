//! One request at one endpoint, and the head of its response.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use http::uri::PathAndQuery;
use http::{HeaderMap, Method};
use tokio::time::Instant;

use super::broken::Broken;
use super::endpoint::Endpoint;
use super::error::OriginError;
use super::incoming::{Coming, IncomingBody, Upload};
use super::line::{Came, Line};
use super::outgoing::{Outgoing, Spare};
use super::places::Place;
use crate::base::blame::Retry;
use crate::body::Body;
use crate::body::message::ReplyHead;
use crate::body::tunnel::Tunnel;
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

/// A response whose head has come, whichever version of HTTP it came by.
pub(super) struct Answered {
    pub(super) head: ReplyHead,
    pub(super) coming: Coming,
    pub(super) tunnel: Option<Tunnel>,
    pub(super) ends_by_close: bool,
    pub(super) unknown_coding: bool,
}

/// A request that got no answer.
pub(super) struct Failure {
    pub(super) error: OriginError,
    /// The request itself, if nothing of it was sent, or the endpoint did not look at it.
    pub(super) unsent: Option<Box<Outgoing>>,
    /// It says nothing of the endpoint, which may do better on another line.
    pub(super) of_line: bool,
}

impl Failure {
    pub(super) fn of(broken: Broken, unsent: Option<Box<Outgoing>>) -> Self {
        let of_line = matches!(broken, Broken::Refused | Broken::Farewell | Broken::Upset);
        Self { error: OriginError::exchanging(broken), unsent, of_line }
    }
}

impl From<Broken> for Failure {
    fn from(broken: Broken) -> Self {
        Self::of(broken, None)
    }
}

impl From<OriginError> for Failure {
    fn from(error: OriginError) -> Self {
        Self { error, unsent: None, of_line: false }
    }
}

/// Lines that a request is tried on at one endpoint, where one after the other turns out to be of no use: an endpoint that
/// restarts may say farewell on several connections at once.
const MOST_LINES: usize = 4;

impl Endpoint {
    /// Sends `outgoing` on an open connection or a new one, and waits for the head of the response. 1xx other
    /// than 101 are heard by whoever the request was made with.
    ///
    /// The endpoint may have closed an open connection just now, or not look at what came on it, which is no failure of its
    /// own: what was not sent there, or not looked at, goes out on another one; what may have been is sent once more only
    /// if there is a `spare`.
    ///
    /// An endpoint that is silent at `until` has failed as well, except where an upload may have taken the time.
    ///
    /// Cancelled, the connection is closed, or the stream on it given up, and the place says nothing about the endpoint.
    pub(super) async fn attempt(
        self: &Arc<Self>,
        mut place: Place,
        mut outgoing: Box<Outgoing>,
        spare: Option<&Spare>,
        upload: Option<&Upload>,
        until: Option<Instant>,
    ) -> Result<Exchange, Failure> {
        let (mut may_reuse, mut lines_left) = (true, MOST_LINES);
        loop {
            let open = if may_reuse { self.reuse(outgoing.leaves_http) } else { None };
            let was_open = open.is_some();
            let line = match open {
                Some(line) => line,
                None => match Box::pin(self.open(outgoing.leaves_http, until)).await {
                    Ok(line) => line,
                    Err(error) => return Err(self.not_opened(&mut place, error, outgoing)),
                },
            };
            // Of connections that are for one at a time a new one is certain to be none that was closed meanwhile.
            may_reuse = line.is_shared();
            let was_open = line.has_served().unwrap_or(was_open);
            lines_left -= 1;
            match self.send(line, outgoing, upload, until).await {
                Ok(came) => return Ok(self.received(came, place)),
                Err(Failure { error, unsent, of_line }) => {
                    let was_closed = was_open && error.error == ProxyError::ConnectionTerminated;
                    if !was_closed && !of_line {
                        return Err(self.failed(&mut place, error, unsent));
                    }
                    let again = unsent.or_else(|| spare.and_then(Spare::again));
                    match again {
                        Some(again) if lines_left > 0 => outgoing = again,
                        unsent => return Err(self.lost(error, unsent)),
                    }
                    tracing::debug!(%error, "a connection did not take a request: trying another");
                }
            }
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
        Failure { error, unsent, of_line: false }
    }

    /// A request that died with its connection, which says nothing about the endpoint.
    fn lost(&self, error: OriginError, unsent: Option<Box<Outgoing>>) -> Failure {
        self.failures.fetch_add(1, Ordering::Relaxed);
        Failure { error, unsent, of_line: true }
    }

    /// A connection that could not be had.
    fn not_opened(&self, place: &mut Place, error: OriginError, unsent: Box<Outgoing>) -> Failure {
        if unsent.leaves_http && self.lines.is_some() {
            // It may be one that speaks HTTP/2 alone, and then clients decide whether it is asked for what it does not speak.
            return self.lost(error, Some(unsent));
        }
        self.failed(place, error, Some(unsent))
    }

    /// Sends a request, and waits for the head of the response.
    async fn send(
        &self,
        line: Line,
        request: Box<Outgoing>,
        upload: Option<&Upload>,
        until: Option<Instant>,
    ) -> Result<Came, Failure> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        if request.is_replay {
            self.replays.fetch_add(1, Ordering::Relaxed);
        }
        let until = until.filter(|_| upload.is_none());
        let patience = Patience { limit: self.settings.first_byte_timeout, until, upload };
        line.send(request, self.settings.max_head, patience).await
    }

    /// What a head and what it came on are to whoever asked.
    fn received(self: &Arc<Self>, came: Came, mut place: Place) -> Exchange {
        if place.answered() {
            tracing::info!(pool = %self.settings.name, endpoint = %self.authority, "an endpoint answers again");
        }
        let Answered { head, coming, tunnel, ends_by_close, unknown_coding } = came.answered(self, place);
        let between = self.settings.between_bytes_timeout;
        Exchange {
            head,
            body: IncomingBody { coming, between, deadline: None, upload: None },
            tunnel,
            ends_by_close,
            unknown_coding,
            authority: Arc::clone(&self.authority),
        }
    }
}

impl Exchange {
    /// Ties the upload to the response, which it ends with, and the body to the exchange's deadline.
    pub(super) fn with(mut self, upload: Option<Upload>, deadline: Option<Instant>) -> Self {
        self.body.upload = upload;
        self.body.deadline = deadline;
        self
    }
}

/// How long a head is waited for.
#[derive(Clone, Copy)]
pub(super) struct Patience<'a> {
    /// So long, and again as long as the upload (if there is one) made progress meanwhile.
    limit: Duration,
    /// No longer than this.
    until: Option<Instant>,
    upload: Option<&'a Upload>,
}

impl Patience<'_> {
    /// `head`'s output, if it comes in time.
    pub(super) async fn for_head<T>(
        self,
        mut head: Pin<&mut impl Future<Output = T>>,
    ) -> Result<T, OriginError> {
        let progress = || self.upload.map(|upload| upload.0.progress());
        let mut seen = progress();
        loop {
            let end = Instant::now() + self.limit;
            let end = self.until.map_or(end, |until| until.min(end));
            if let Ok(output) = tokio::time::timeout_at(end, head.as_mut()).await {
                return Ok(output);
            }
            let now = progress();
            if now == seen {
                return Err(OriginError::timed_out(ProxyError::HttpResponseTimeout, Retry::Idempotent));
            }
            seen = now;
        }
    }
}
