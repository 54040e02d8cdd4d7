//! One HTTP/2 connection (RFC 9113), all of it in one task (decision 14).
//!
//! ```text
//!            ┌────────── turn ──────────┐
//!  wire ──▶ codec ──▶ head ──▶ answer at once ─┐
//!   ▲ meter            └─▶ stream: wait, send ─┤ by turns
//!   └──────── gathered ◀──── codec ◀───────────┘
//! ```
//!
//! The codec is a library's ([`h2`]): frames, fields, windows, states of streams. [`serve`] is the way of a connection, and
//! `exchange` that of a stream. What decides is without I/O: `frames`, `rules`, `meter`, `priority`, `turns`, `fields`.

mod exchange;
mod fields;
mod frames;
mod meter;
mod nudge;
mod priority;
mod rules;
mod sending;
mod tunnel;
mod turns;
mod upload;
mod wire;

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use h2::server::{self, SendResponse};
use h2::{Reason, RecvStream};
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, HeaderName, Method, Version};
use tokio::time::{Instant, timeout};

use super::alarm::Alarm;
use super::link::Link;
use super::refusal::Refusal;
use super::stream::Stream;
use super::{Answer, Handler, Serving, Settings};
use crate::body::Body;
use crate::body::message::Request;
use exchange::{Begun, Ending, Exchange};
use fields::{Head, Limits, Unfit};
use nudge::Nudge;
use priority::Priority;
use turns::Turns;
use upload::Upload;
use wire::Wire;

pub use frames::PREFACE;

/// What a client may send on one stream before anybody takes it. The connection has room for it on all of them, so that
/// content which nobody takes does not hold up other content; each is charged as it begins.
const STREAM_WINDOW: u32 = 128 << 10;

/// RFC 9113 §6.9.1.
const LARGEST_WINDOW: u32 = (1 << 31) - 1;

/// What is handed to the codec before all of it has left.
const AT_ONCE: usize = 64 << 10;

/// Times that it is filled up in a row before others have their turn.
const MOST_ROUNDS: usize = 16;

/// How long a client may take to notice that its connection ends.
const LINGER: Duration = Duration::from_secs(2);

/// How long a connection keeps memory that it needs only when it is busy.
const REST: Duration = Duration::from_secs(1);

const PRIORITY: HeaderName = HeaderName::from_static("priority");

/// Serves one connection to its end: until the client closes, breaks the protocol, floods or idles too long, or until the
/// listener drains and what is under way has left.
///
/// Dropped, the connection is closed, and what it had not answered is given up.
pub async fn serve<H: Handler>(io: impl Stream, link: Link, handler: &H, serving: &Serving) {
    let wire = Wire::new(io);
    let shaken = tokio::select! {
        () = serving.draining.cancelled() => return,
        shaken = timeout(serving.settings.header_timeout, shake_hands(&wire, &serving.settings)) => shaken,
    };
    let Ok(Ok(codec)) = shaken else {
        return tracing::debug!(peer = %link.peer, "a connection did not begin as HTTP/2 does");
    };
    serving.counters.http2_connections.inc();
    let mut connection = Connection::new(codec, wire.clone(), link, handler, serving);
    let end = poll_fn(|cx| connection.poll(cx)).await;
    drop(connection);
    if end == End::Told {
        let _ = timeout(LINGER, wire.read_to_end()).await;
    }
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The client was told, and has yet to notice.
    Told,
    /// It is gone, or was told long ago.
    Gone,
}

type Codec<S> = server::Connection<Wire<S>, Bytes>;

async fn shake_hands<S: Stream>(wire: &Wire<S>, settings: &Settings) -> io::Result<Codec<S>> {
    let mut builder = server::Builder::new();
    builder
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(
            STREAM_WINDOW.saturating_mul(settings.max_streams).min(LARGEST_WINDOW),
        )
        .max_concurrent_streams(settings.max_streams)
        // The codec refuses without a word to the log: so it has room for what is refused here.
        .max_header_list_size(u32::try_from(settings.max_head.saturating_mul(2)).unwrap_or(u32::MAX))
        // Small frames hold more than their bytes: of those that nobody takes there are as many as on one stream.
        .data_frame_budget(STREAM_WINDOW as usize)
        .max_send_buffer_size(AT_ONCE)
        .enable_connect_protocol();
    let mut shaking = builder.handshake(wire.clone());
    poll_fn(|cx| {
        let shaken = Pin::new(&mut shaking).poll(cx);
        if let Poll::Ready(Err(error)) = wire.poll_leave(cx) {
            return Poll::Ready(Err(error));
        }
        shaken.map_err(io::Error::other)
    })
    .await
}

/// Whether a request has content.
enum Content {
    /// None.
    Nothing,
    /// Some, or some may come; this of it is here already.
    Something(Option<Bytes>),
}

impl Content {
    /// Of requests that hardly ever have some, an empty frame may be all that is left to come, and is here already.
    fn of(stream: &mut RecvStream, method: &Method, headers: &HeaderMap, cx: &mut Context<'_>) -> Self {
        if stream.is_end_stream() {
            return Self::Nothing;
        }
        if ![Method::GET, Method::HEAD].contains(method) || headers.contains_key(CONTENT_LENGTH) {
            return Self::Something(None);
        }
        match stream.poll_data(cx) {
            Poll::Ready(Some(Ok(bytes))) if !bytes.is_empty() => Self::Something(Some(bytes)),
            Poll::Ready(Some(Ok(_))) if stream.is_end_stream() => Self::Nothing,
            Poll::Ready(None) => Self::Nothing,
            // Of an error whoever reads on is told.
            Poll::Ready(Some(_)) | Poll::Pending => Self::Something(None),
        }
    }
}

/// A client's connection.
struct Connection<'a, S: Stream, H> {
    codec: Codec<S>,
    wire: Wire<S>,
    link: Link,
    handler: &'a H,
    serving: &'a Serving,
    streams: FuturesUnordered<Pin<Box<dyn Future<Output = Ending> + Send + 'a>>>,
    turns: Turns,
    nudge: Arc<Nudge>,
    /// What the codec is polled with.
    waker: Waker,
    alarm: Alarm,
    /// When it is to end, if no request comes.
    idle_until: Instant,
    /// When memory is given back that only a busy connection needs.
    rest_at: Option<Instant>,
    /// When a client that was told to go gets no more answers.
    leave_by: Option<Instant>,
    /// A stream has ended in this turn.
    has_ended: bool,
    is_ending: bool,
    /// It ends for what the client did.
    is_broken: bool,
}

impl<'a, S: Stream, H: Handler> Connection<'a, S, H> {
    fn new(codec: Codec<S>, wire: Wire<S>, link: Link, handler: &'a H, serving: &'a Serving) -> Self {
        let nudge = Arc::new(Nudge::default());
        let waker = nudge.waker();
        // The first look.
        waker.wake_by_ref();
        let limit = serving.settings.header_timeout;
        let turns = Turns::default();
        turns.refill(AT_ONCE);
        Self {
            codec,
            wire,
            link,
            handler,
            serving,
            streams: FuturesUnordered::new(),
            turns,
            nudge,
            waker,
            alarm: Alarm::new(limit, &serving.draining),
            idle_until: Instant::now() + limit,
            rest_at: Some(Instant::now() + REST),
            leave_by: None,
            has_ended: false,
            is_ending: false,
            is_broken: false,
        }
    }

    /// One turn of the connection. Ready at its end.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        self.nudge.begin(cx);
        let (mut rounds, mut has_moved) = (0, false);
        loop {
            if self.nudge.take() {
                has_moved = true;
                if self.poll_codec(cx).is_ready() {
                    return Poll::Ready(End::Told);
                }
            }
            has_moved |= self.poll_streams(cx);
            self.hear();
            let left = self.wire.poll_leave(&mut Context::from_waker(&self.waker));
            match left {
                Poll::Ready(Err(_)) => return Poll::Ready(End::Gone),
                Poll::Pending => self.turns.stop(),
                Poll::Ready(Ok(())) => {
                    self.turns.refill(AT_ONCE);
                    if self.turns.has_waiting() {
                        rounds += 1;
                        if rounds == MOST_ROUNDS {
                            cx.waker().wake_by_ref();
                            return Poll::Pending;
                        }
                        continue;
                    }
                }
            }
            if self.nudge.may_end() {
                break;
            }
        }
        self.note_rest();
        self.set_alarm();
        // As long as all goes well, the timer is set and need not be looked at.
        if has_moved && self.alarm.is_set_for(cx) && !self.alarm.is_draining() && !self.is_ending {
            return Poll::Pending;
        }
        self.poll_times(cx)
    }

    /// Has the codec read, write, and take the requests that came. Ready when the connection has ended.
    fn poll_codec(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let waker = self.waker.clone();
        let mut nudged = Context::from_waker(&waker);
        loop {
            match ready!(self.codec.poll_accept(&mut nudged)) {
                Some(Ok((request, respond))) => self.receive(request, respond, cx),
                Some(Err(error)) => {
                    tracing::debug!(peer = %self.link.peer, %error, "a connection broke");
                    return Poll::Ready(());
                }
                None => return Poll::Ready(()),
            }
        }
    }

    /// Answers a request, as far as that goes at once.
    fn receive(
        &mut self,
        request: http::Request<RecvStream>,
        mut respond: SendResponse<Bytes>,
        cx: &mut Context<'_>,
    ) {
        if self.leave_by.is_some_and(|by| by <= Instant::now()) {
            // It was told to go long ago.
            return respond.send_reset(Reason::REFUSED_STREAM);
        }
        let (parts, mut content) = request.into_parts();
        let priority =
            parts.headers.get(PRIORITY).map_or(Priority::UNSAID, |said| Priority::of(said.as_bytes()));
        let exchange = |respond, is_head| Exchange {
            respond,
            is_head,
            waits_for_100: false,
            upload: None,
            from_tunnel: None,
            window: None,
            priority,
            turns: self.turns.clone(),
            write_timeout: self.serving.settings.write_timeout,
        };
        let settings = &self.serving.settings;
        let limits = Limits { bytes: settings.max_head, fields: settings.max_fields };
        let is_head = parts.method == Method::HEAD;
        let head = match fields::head(parts, limits) {
            Ok(head) => head,
            Err(Unfit::Malformed(why)) => {
                // Said to the log alone.
                let said = self.handler.refuse(&Refusal::Malformed(why), &self.link);
                sending::finish(said.record, 0, true);
                return respond.send_reset(Reason::PROTOCOL_ERROR);
            }
            Err(Unfit::Refused(refusal)) => {
                let mut exchange = exchange(respond, is_head);
                let begun = exchange.begin(self.handler.refuse(&refusal, &self.link));
                return self.carry_on(exchange, begun, cx);
            }
        };
        let Head { method, authority, target, headers, wants_tunnel, waits_for_100 } = head;
        let mut exchange = exchange(respond, method == Method::HEAD);
        let mut body = Body::Empty;
        if wants_tunnel {
            exchange.window = self.serving.uploads.budget.try_charge_body(u64::from(STREAM_WINDOW));
            if exchange.window.is_none() {
                return self.has_no_memory(exchange);
            }
            exchange.from_tunnel = Some(content);
        } else if let Content::Something(first) = Content::of(&mut content, &method, &headers, cx) {
            let limit = settings.body_timeout;
            let Some((upload, reader)) = Upload::new(content, first, &self.serving.uploads, limit) else {
                return self.has_no_memory(exchange);
            };
            (exchange.upload, exchange.waits_for_100, body) =
                (Some(upload), waits_for_100, Body::Busy(reader));
        }
        let request = Request {
            method,
            scheme: self.link.scheme(),
            target_authority: authority,
            target,
            version: Version::HTTP_2,
            headers,
            body,
            peer: self.link.peer,
        };
        match self.handler.handle(request) {
            Answer::Now(reply) => {
                let begun = exchange.begin(reply);
                self.carry_on(exchange, begun, cx);
            }
            Answer::Later(later) => self.streams.push(Box::pin(exchange.answer(later))),
        }
    }

    /// For what a client may send there has to be room. It may ask again.
    fn has_no_memory(&self, mut exchange: Exchange) {
        tracing::debug!(peer = %self.link.peer, "there is no memory for a request's content");
        exchange.respond.send_reset(Reason::REFUSED_STREAM);
    }

    /// An answer that is at hand needs no task of its own, unless its client makes it wait.
    fn carry_on(&mut self, exchange: Exchange, mut begun: Begun, cx: &mut Context<'_>) {
        if let Begun::Content(sending) = &mut begun
            && let Poll::Ready(sent) = sending.poll(cx)
        {
            begun = Begun::Ended(if sent.is_ok() { Ending::Whole } else { Ending::Broken });
        }
        match begun {
            Begun::Ended(ending) if exchange.upload.is_none() => self.ended(ending),
            begun => self.streams.push(Box::pin(exchange.go_on(begun))),
        }
    }

    /// Whether a stream has come to its end.
    fn poll_streams(&mut self, cx: &mut Context<'_>) -> bool {
        let mut has_moved = false;
        while let Poll::Ready(Some(ending)) = self.streams.poll_next_unpin(cx) {
            self.ended(ending);
            has_moved = true;
        }
        has_moved
    }

    fn ended(&mut self, ending: Ending) {
        if ending == Ending::Whole {
            self.wire.with_meter(meter::Meter::answered);
        }
        self.has_ended = true;
    }

    /// Idle since now, if a stream has ended in this turn.
    fn note_rest(&mut self) {
        if std::mem::take(&mut self.has_ended) {
            let limit = if self.is_ending { LINGER } else { self.serving.settings.idle_timeout };
            let now = Instant::now();
            self.idle_until = now + limit;
            self.rest_at = Some(now + REST).filter(|_| self.streams.is_empty() && self.wire.holds_memory());
        }
    }

    /// What the client says beside its requests.
    fn hear(&mut self) {
        let (flood, broken, urgencies) =
            self.wire.with_meter(|meter| (meter.flood(), meter.broken(), meter.take_urgencies()));
        for (stream, said) in urgencies {
            self.turns.say(stream, Priority::of(&said));
        }
        if self.is_broken {
            return;
        }
        if let Some(flood) = flood {
            tracing::debug!(peer = %self.link.peer, what = flood.name(), "a client floods its connection");
            self.serving.counters.http2_floods.inc();
            self.break_off(Reason::ENHANCE_YOUR_CALM);
        } else if let Some(reason) = broken {
            tracing::debug!(peer = %self.link.peer, %reason, "a client breaks the rules");
            self.break_off(reason);
        }
    }

    /// Tells the client so, and gives up what it asked for.
    fn break_off(&mut self, reason: Reason) {
        (self.is_ending, self.is_broken) = (true, true);
        self.idle_until = Instant::now() + LINGER;
        self.streams.clear();
        self.codec.abrupt_shutdown(reason);
        self.waker.wake_by_ref();
    }

    /// When a client that takes nothing of what waits for it will have done so for too long.
    fn stalls_at(&self) -> Option<Instant> {
        self.wire.stalled_since().map(|since| since + self.serving.settings.write_timeout)
    }

    /// When to look again if nothing moves.
    fn set_alarm(&mut self) {
        let idle = Some(self.idle_until).filter(|_| self.streams.is_empty());
        match self.stalls_at().into_iter().chain(idle).chain(self.rest_at).min() {
            Some(deadline) => self.alarm.set_deadline(deadline),
            None => self.alarm.clear(),
        }
    }

    /// Ready if the client takes nothing for too long, or was told to leave and does not. Otherwise one that idles too long,
    /// or has nothing under way when the listener drains, is told to.
    fn poll_times(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        if self.alarm.is_draining() && !self.is_ending {
            self.end();
        }
        loop {
            self.set_alarm();
            ready!(self.alarm.poll(cx));
            let now = Instant::now();
            if self.stalls_at().is_some_and(|at| at <= now) {
                tracing::debug!(peer = %self.link.peer, "a client took nothing for too long");
                return Poll::Ready(End::Gone);
            }
            if self.rest_at.is_some_and(|at| at <= now) {
                self.rest_at = None;
                self.wire.rest();
            }
            if self.streams.is_empty() && self.idle_until <= now {
                if self.is_ending {
                    return Poll::Ready(End::Gone);
                }
                self.end();
            }
        }
    }

    /// Tells the client to leave, once what is under way has its answer.
    fn end(&mut self) {
        self.is_ending = true;
        self.idle_until = Instant::now() + LINGER;
        self.leave_by = Some(self.idle_until);
        self.codec.graceful_shutdown();
        self.waker.wake_by_ref();
    }
}
