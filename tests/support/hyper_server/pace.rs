//! How long a connection may wait for its client: for the next request, for the rest of a head, for room to write.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep, sleep_until};

use forebay::listener::Settings;

/// What a connection waits for, and since when. Cloning shares it.
#[derive(Clone, Debug)]
pub(super) struct Pace {
    begun: Instant,
    /// Milliseconds from the beginning until the phase began, times four, and the phase.
    now: Arc<AtomicU64>,
}

/// What a connection waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// The rest of a request's head, or the first one of all.
    Head,
    /// The next request.
    Idle,
    /// Ourselves: a request is being answered.
    Busy,
    /// Room for the end of an answer, which the stall of writing watches over.
    Leaving,
}

impl Pace {
    /// Of a new connection, whose first head is due.
    pub(super) fn new() -> Self {
        Self { begun: Instant::now(), now: Arc::new(AtomicU64::new(Phase::Head as u64)) }
    }

    /// A request is being answered.
    pub(super) fn busy(&self) {
        self.now.store(Phase::Busy as u64, Ordering::Relaxed);
    }

    /// All of an answer was handed over; some of it may still have to leave.
    pub(super) fn answered(&self) {
        self.now.store(Phase::Leaving as u64, Ordering::Relaxed);
    }

    /// All that was handed over has left.
    fn flushed(&self) {
        if self.phase().0 == Phase::Leaving {
            self.enter(Phase::Idle);
        }
    }

    fn enter(&self, phase: Phase) {
        let since = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX >> 2);
        self.now.store(since << 2 | phase as u64, Ordering::Relaxed);
    }

    /// Bytes came: the next head has begun, if none had.
    fn received(&self) {
        if self.phase().0 == Phase::Idle {
            self.enter(Phase::Head);
        }
    }

    fn phase(&self) -> (Phase, Instant) {
        let now = self.now.load(Ordering::Relaxed);
        let phase = match now & 3 {
            0 => Phase::Head,
            1 => Phase::Idle,
            2 => Phase::Busy,
            _ => Phase::Leaving,
        };
        (phase, self.begun + Duration::from_millis(now >> 2))
    }

    /// Resolves when the client has let the connection wait for too long, with what it waited for. Cancel-safe.
    ///
    /// Nobody is woken when a phase begins: instead this looks again so often that it never misses a deadline.
    pub(super) async fn expired(&self, settings: &Settings) -> Phase {
        let shortest = settings.header_timeout.min(settings.idle_timeout);
        loop {
            let next_look = Instant::now() + shortest;
            let (phase, since) = self.phase();
            let deadline = match phase {
                Phase::Head => since + settings.header_timeout,
                Phase::Idle => since + settings.idle_timeout,
                Phase::Busy | Phase::Leaving => next_look,
            };
            if deadline <= Instant::now() {
                return phase;
            }
            sleep_until(deadline.min(next_look)).await;
        }
    }
}

/// A connection that notes when bytes come, and fails when the client takes none for too long.
#[derive(Debug)]
pub(super) struct Paced<S> {
    io: S,
    pace: Pace,
    write_timeout: Duration,
    /// Runs while there is no room to write.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl<S> Paced<S> {
    pub(super) fn new(io: S, pace: Pace, write_timeout: Duration) -> Self {
        Self { io, pace, write_timeout, stalled: None }
    }

    /// The outcome of an attempt to write, unless there was no room for too long.
    fn unless_stalled<T>(
        &mut self,
        polled: Poll<io::Result<T>>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.stalled = None;
            return polled;
        }
        let limit = self.write_timeout;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(limit)));
        stalled
            .as_mut()
            .poll(cx)
            .map(|()| Err(io::Error::new(io::ErrorKind::TimedOut, "the client takes nothing")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Paced<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.io).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.pace.received();
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Paced<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.io).poll_write(cx, buf);
        self.unless_stalled(polled, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.io).poll_write_vectored(cx, bufs);
        self.unless_stalled(polled, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.io).poll_flush(cx);
        if matches!(polled, Poll::Ready(Ok(()))) {
            self.pace.flushed();
        }
        polled
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
