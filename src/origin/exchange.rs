//! One request to the origin and the head of its response.

use std::sync::Arc;
use std::time::Duration;

use http::uri::PathAndQuery;
use http::{HeaderMap, Method, StatusCode, Uri, Version, header};
use hyper::body::Incoming;
use hyper::client::conn::http1::Builder;
use hyper_util::rt::TokioIo;
use tokio::sync::Notify;

use super::error::OriginError;
use super::idle::Sender;
use super::incoming::{IncomingBody, Lease, Upload};
use super::{Origin, Settings};
use crate::base::blame::Retry;
use crate::body::Body;
use crate::body::message::ReplyHead;
use crate::body::tunnel::{Io, Tunnel};
use crate::body::wire::WireBody;
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
}

impl Origin {
    /// Sends `request` and waits for the head of the response; 1xx other than 101 are passed over.
    ///
    /// The origin may have closed an idle connection just now. What was not sent on it goes out on a new one;
    /// what may have been sent is sent once more only if it is idempotent and has no content (RFC 9110 §9.2.2).
    ///
    /// Cancelled, the connection is closed.
    pub async fn exchange(&self, request: OriginRequest) -> Result<Exchange, OriginError> {
        let spare = spare(&request);
        let upload = match &request.body {
            Body::Busy(reader) => Some(Upload(reader.body())),
            _ => None,
        };
        let mut outgoing = to_hyper(request, &self.settings);
        if let Some((sender, thread)) = self.idle.take() {
            match self.send(sender, thread, outgoing, upload.as_ref()).await {
                Ok(exchange) => return Ok(exchange.with(upload)),
                Err(Failure { error, unsent }) => {
                    let again = unsent
                        .map(|unsent| *unsent)
                        .or_else(|| spare.map(|spare| to_hyper(spare, &self.settings)));
                    let closed = error.error == ProxyError::ConnectionTerminated;
                    outgoing = again.filter(|_| closed).ok_or(error)?;
                    tracing::debug!("an idle connection had been closed by the origin: trying a new one");
                }
            }
        }
        let sender = self.open().await?;
        let thread = std::thread::current().id();
        let sent = self.send(sender, thread, outgoing, upload.as_ref()).await;
        sent.map(|exchange| exchange.with(upload)).map_err(|failure| failure.error)
    }

    /// A new connection, driven by a task of its own until either side closes it.
    async fn open(&self) -> Result<Sender, OriginError> {
        let connecting = self.connector.connect(&self.authority);
        let io = match tokio::time::timeout(self.settings.connect_timeout, connecting).await {
            Ok(Ok(io)) => io,
            Ok(Err(error)) => return Err(OriginError::connecting(&error)),
            Err(_) => return Err(OriginError::timed_out(ProxyError::ConnectionTimeout, Retry::Always)),
        };
        let (sender, connection) = Builder::new()
            .max_header_size(self.settings.max_head)
            .max_buf_size(self.settings.max_head.max(64 << 10))
            .handshake(TokioIo::new(io))
            .await
            .map_err(|error| OriginError::exchanging(&error))?;
        tokio::spawn(async move {
            if let Err(error) = connection.with_upgrades().await {
                tracing::debug!(%error, "an origin connection ended early");
            }
        });
        Ok(sender)
    }

    async fn send(
        &self,
        mut sender: Sender,
        thread: std::thread::ThreadId,
        request: hyper::Request<WireBody>,
        upload: Option<&Upload>,
    ) -> Result<Exchange, Failure> {
        let sending = sender.try_send_request(request);
        let Some(sent) = within(self.settings.first_byte_timeout, upload, sending).await else {
            return Err(OriginError::timed_out(ProxyError::HttpResponseTimeout, Retry::Idempotent).into());
        };
        let response = sent.map_err(|mut unsent| Failure {
            error: OriginError::exchanging(unsent.error()),
            unsent: unsent.take_message().map(Box::new),
        })?;
        Ok(self.received(response, Lease { sender, thread, home: Arc::clone(&self.idle) })?)
    }

    fn received(
        &self,
        mut response: hyper::Response<Incoming>,
        lease: Lease,
    ) -> Result<Exchange, OriginError> {
        let has = |name| response.headers().contains_key(name);
        let (sized, coded) = (has(header::CONTENT_LENGTH), has(header::TRANSFER_ENCODING));
        if sized && coded {
            // Two framings: whoever wrote this, or stands between, may mean the other one (RFC 9112 §6.3).
            return Err(OriginError::malformed());
        }
        if coded && !is_plainly_chunked(&response) {
            // hyper undoes chunks and nothing else: the content would be passed on, and kept, still coded.
            return Err(OriginError::malformed());
        }
        let tunnel = (response.status() == StatusCode::SWITCHING_PROTOCOLS).then(|| {
            let upgrade = hyper::upgrade::on(&mut response);
            Tunnel::new(async {
                let upgraded = upgrade.await.map_err(std::io::Error::other)?;
                Ok(Box::new(TokioIo::new(upgraded)) as Box<dyn Io>)
            })
        });
        let (head, incoming) = response.into_parts();
        let ends_by_close = !sized && !coded && !http_body::Body::is_end_stream(&incoming);
        let between = self.settings.between_bytes_timeout;
        Ok(Exchange {
            head: ReplyHead { status: head.status, headers: head.headers },
            body: IncomingBody { incoming, between, lease, trailers: None, upload: None },
            tunnel,
            ends_by_close,
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

impl Exchange {
    /// Ties the upload to the response: it ends with it.
    fn with(mut self, upload: Option<Upload>) -> Self {
        self.body.upload = upload;
        self
    }
}

/// A request that got no answer; with the request itself if nothing of it was sent.
struct Failure {
    error: OriginError,
    unsent: Option<Box<hyper::Request<WireBody>>>,
}

impl From<OriginError> for Failure {
    fn from(error: OriginError) -> Self {
        Self { error, unsent: None }
    }
}

/// The same request once more, if sending it twice does no harm and it can be repeated.
fn spare(request: &OriginRequest) -> Option<OriginRequest> {
    let repeatable = request.method.is_idempotent() && matches!(request.body, Body::Empty);
    repeatable.then(|| OriginRequest {
        method: request.method.clone(),
        target: request.target.clone(),
        headers: request.headers.clone(),
        body: Body::Empty,
    })
}

fn to_hyper(request: OriginRequest, settings: &Settings) -> hyper::Request<WireBody> {
    let expects_continue = request.headers.contains_key(header::EXPECT);
    let go_ahead = Arc::new(Notify::new());
    let body = WireBody::new(request.body, None);
    let body = if expects_continue { body.hold(until(&go_ahead, settings.continue_timeout)) } else { body };
    let mut outgoing = hyper::Request::new(body);
    *outgoing.method_mut() = request.method;
    *outgoing.uri_mut() = Uri::from(request.target);
    *outgoing.headers_mut() = request.headers;
    if expects_continue {
        hyper::ext::on_informational(&mut outgoing, move |response| {
            if response.status() == StatusCode::CONTINUE {
                go_ahead.notify_one();
            }
        });
    }
    outgoing
}

/// Resolves when the origin said 100 (Continue), or has said nothing for `limit`.
fn until(go_ahead: &Arc<Notify>, limit: Duration) -> impl Future<Output = ()> + Send + 'static {
    let go_ahead = Arc::clone(go_ahead);
    async move {
        let _ = tokio::time::timeout(limit, go_ahead.notified()).await;
    }
}

/// `future`'s output, unless `limit` passes in which the upload (if there is one) made no progress either.
async fn within<T>(limit: Duration, upload: Option<&Upload>, future: impl Future<Output = T>) -> Option<T> {
    let mut future = std::pin::pin!(future);
    let mut seen = upload.map(|upload| upload.0.len());
    loop {
        if let Ok(output) = tokio::time::timeout(limit, future.as_mut()).await {
            return Some(output);
        }
        let now = upload.map(|upload| upload.0.len());
        if now == seen {
            return None;
        }
        seen = now;
    }
}
