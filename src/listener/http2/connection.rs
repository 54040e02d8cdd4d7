//! The turn of a connection: the codec, the streams, what has to leave, and the time.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use h2::Reason;
use tokio::time::Instant;

use super::meter::Meter;
use super::nudge::Nudge;
use super::priority::Priority;
use super::sending::Ending;
use super::turns::Turns;
use super::wire::Wire;
use super::{AT_ONCE, Codec, LINGER};
use crate::listener::alarm::Alarm;
use crate::listener::link::Link;
use crate::listener::stream::Stream;
use crate::listener::{Handler, Limits, Serving};

/// Times that what may be handed over is filled up in a row before others have their turn.
const MOST_ROUNDS: usize = 16;

/// How long a connection keeps memory that it needs only when it is busy.
const REST: Duration = Duration::from_secs(1);

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The client was told, and has yet to notice.
    Told,
    /// It is gone, or was told long ago.
    Gone,
}

/// A client's connection.
pub struct Connection<'a, S: Stream, H> {
    pub(super) codec: Codec<S>,
    pub(super) wire: Wire<S>,
    pub(super) link: Link,
    pub(super) handler: &'a H,
    pub(super) serving: &'a Serving,
    /// As they were when the latest request began.
    pub(super) limits: Limits,
    pub(super) streams: FuturesUnordered<Pin<Box<dyn Future<Output = Ending> + Send + 'a>>>,
    pub(super) turns: Turns,
    nudge: Arc<Nudge>,
    /// What the codec is polled with.
    waker: Waker,
    alarm: Alarm,
    /// When it is to end, if no request comes.
    idle_until: Instant,
    /// When memory is given back that only a busy connection needs.
    rest_at: Option<Instant>,
    /// When a client that was told to go gets no more answers.
    pub(super) leave_by: Option<Instant>,
    /// A stream has ended in this turn.
    has_ended: bool,
    is_ending: bool,
    /// It ends for what the client did.
    is_broken: bool,
}

impl<'a, S: Stream, H: Handler> Connection<'a, S, H> {
    /// One that has just begun.
    pub fn new(codec: Codec<S>, wire: Wire<S>, link: Link, handler: &'a H, serving: &'a Serving) -> Self {
        let nudge = Arc::new(Nudge::default());
        let waker = nudge.waker();
        // The first look.
        waker.wake_by_ref();
        let limits = serving.settings.latest();
        let limit = limits.header_timeout;
        let turns = Turns::default();
        turns.refill(AT_ONCE);
        Self {
            codec,
            wire,
            link,
            handler,
            serving,
            limits,
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
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<End> {
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

    /// Whether a stream has come to its end.
    fn poll_streams(&mut self, cx: &mut Context<'_>) -> bool {
        let mut has_moved = false;
        while let Poll::Ready(Some(ending)) = self.streams.poll_next_unpin(cx) {
            self.ended(ending);
            has_moved = true;
        }
        has_moved
    }

    /// A stream has come to its end.
    pub(super) fn ended(&mut self, ending: Ending) {
        if ending == Ending::Whole {
            self.wire.with_meter(Meter::answered);
        }
        self.has_ended = true;
    }

    /// Idle since now, if a stream has ended in this turn.
    fn note_rest(&mut self) {
        if std::mem::take(&mut self.has_ended) {
            let limit = if self.is_ending { LINGER } else { self.limits.idle_timeout };
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

    /// When to look again if nothing moves.
    fn set_alarm(&mut self) {
        let idle = Some(self.idle_until).filter(|_| self.streams.is_empty());
        let look_at = self.wire.look_at(&self.limits.for_taking());
        match look_at.into_iter().chain(idle).chain(self.rest_at).min() {
            Some(deadline) => self.alarm.set_deadline(deadline),
            None => self.alarm.clear(),
        }
    }

    /// Ready if the client takes too little, or was told to leave and does not. Otherwise one that idles too long,
    /// or has nothing under way when the listener drains, is told to.
    fn poll_times(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        if self.alarm.is_draining() && !self.is_ending {
            self.end();
        }
        loop {
            self.set_alarm();
            ready!(self.alarm.poll(cx));
            let now = Instant::now();
            if let Some(late) = self.wire.look(&self.limits.for_taking()) {
                tracing::debug!(peer = %self.link.peer, why = late.name(), "a client takes too little of its answers");
                self.turns.end_for(late);
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
