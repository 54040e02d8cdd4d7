//! The connection as the codec sees it. Frames are gathered here and leave together: the codec writes each by itself, and
//! asks for each that it leave at once. What passes is shown to the [`Meter`].

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::meter::Meter;
use crate::listener::pace::{Late, MinRate, Pace, Patience};
use crate::listener::stream::Stream;

/// Bytes that are gathered before they are written.
const MOST_GATHERED: usize = 32 << 10;

/// Pieces that the codec hands over in one call, and what is gathered before them.
const MOST_SLICES: usize = 8;

/// The codec's end, and ours, of one connection. No lock is held over an await, and never for longer than a system call:
/// both ends belong to one task.
#[derive(Debug)]
pub struct Wire<S>(Arc<Mutex<Inner<S>>>);

#[derive(Debug)]
struct Inner<S> {
    io: S,
    meter: Meter,
    gathered: Vec<u8>,
    /// How much of that has left.
    gone: usize,
    /// Bytes that the stream took.
    taken: u64,
    /// How the client takes what waits for it.
    pace: Pace,
    /// The least that it has to take.
    least: MinRate,
}

impl<S> Clone for Wire<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S: Stream> Wire<S> {
    /// Around a connection of which nothing was read. Its client has to take at `least` so much of what waits for it.
    pub fn new(io: S, least: MinRate) -> Self {
        let (meter, pace) = (Meter::new(Instant::now()), Pace::default());
        let inner = Inner { io, meter, gathered: Vec::new(), gone: 0, taken: 0, pace, least };
        Self(Arc::new(Mutex::new(inner)))
    }

    /// Looks at the meter.
    pub fn with_meter<T>(&self, look: impl FnOnce(&mut Meter) -> T) -> T {
        look(&mut self.0.lock().meter)
    }

    /// Writes what was gathered. Ready when nothing waits any more, here or below. Cancel-safe.
    pub fn poll_leave(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut inner = self.0.lock();
        let left = inner.poll_empty(&[], cx).map_ok(|_| ());
        let left = match left {
            Poll::Ready(Ok(())) => Pin::new(&mut inner.io).poll_flush(cx),
            other => other,
        };
        inner.note_progress(left.is_pending());
        left
    }

    /// When to look whether the client takes too little of what waits for it, if anything does.
    pub fn look_at(&self, patience: &Patience) -> Option<Instant> {
        self.0.lock().pace.look_at(patience)
    }

    /// Looks whether it does.
    pub fn look(&self, patience: &Patience) -> Option<Late> {
        let mut inner = self.0.lock();
        let Inner { io, pace, taken, .. } = &mut *inner;
        let left = io.left_below().unwrap_or(*taken);
        pace.look(patience, || Some(left.saturating_sub(io.unacknowledged()?)))
    }

    /// The stream itself, once the codec is gone.
    pub fn into_io(self) -> Option<S> {
        Arc::into_inner(self.0).map(|inner| inner.into_inner().io)
    }

    /// Whether there is something for [`Wire::rest`] to do.
    pub fn holds_memory(&self) -> bool {
        self.0.lock().gathered.capacity() > 0
    }

    /// Gives memory back that only a busy connection needs.
    pub fn rest(&self) {
        let mut inner = self.0.lock();
        if inner.waiting().is_empty() {
            (inner.gathered, inner.gone) = (Vec::new(), 0);
        }
    }
}

impl<S: Stream> Inner<S> {
    fn waiting(&self) -> &[u8] {
        self.gathered.get(self.gone..).unwrap_or_default()
    }

    /// Writes what was gathered and, behind it, as much of `more` as is taken along. Ready with the length of that once
    /// nothing is left of the former.
    fn poll_empty(&mut self, more: &[IoSlice<'_>], cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        while !self.waiting().is_empty() {
            let before = self.waiting().len();
            let mut slices = [IoSlice::new(&[]); MOST_SLICES];
            let all = std::iter::once(IoSlice::new(self.gathered.get(self.gone..).unwrap_or_default()));
            let all = all.chain(more.iter().copied());
            slices.iter_mut().zip(all).for_each(|(to, from)| *to = from);
            let written = ready!(Pin::new(&mut self.io).poll_write_vectored(cx, &slices))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.taken += written as u64;
            self.gone += written.min(before);
            if let Some(along) = written.checked_sub(before) {
                self.gathered.clear();
                self.gone = 0;
                return Poll::Ready(Ok(along));
            }
        }
        Poll::Ready(Ok(0))
    }

    fn poll_put(&mut self, bytes: &[IoSlice<'_>], cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let length = bytes.iter().map(|slice| slice.len()).sum::<usize>();
        if self.waiting().len() + length <= MOST_GATHERED {
            for slice in bytes {
                self.gathered.extend_from_slice(slice);
            }
            return Poll::Ready(Ok(length));
        }
        match ready!(self.poll_empty(bytes, cx))? {
            0 if length > MOST_GATHERED => {
                let written = ready!(Pin::new(&mut self.io).poll_write_vectored(cx, bytes))?;
                self.taken += written as u64;
                Poll::Ready(Ok(written))
            }
            0 => self.poll_put(bytes, cx),
            along => Poll::Ready(Ok(along)),
        }
    }

    fn note_progress(&mut self, waits: bool) {
        let left = self.io.left_below().unwrap_or(self.taken);
        if waits {
            self.pace.waits(left, &self.least);
        } else {
            self.pace.rests(left, &self.least);
        }
    }

    /// Shows the meter what the codec has handed over of `bytes`.
    fn show(&mut self, bytes: &[IoSlice<'_>], mut length: usize) {
        for slice in bytes {
            let shown = slice.get(..length.min(slice.len())).unwrap_or_default();
            self.meter.left(shown, Instant::now);
            length -= shown.len();
        }
    }
}

impl<S: Stream> AsyncRead for Wire<S> {
    /// After a flood, or what breaks a rule, nothing more is read: the codec would go on as long as something comes.
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut inner = self.0.lock();
        if inner.meter.flood().is_some() || inner.meter.broken().is_some() {
            return Poll::Pending;
        }
        let before = to.filled().len();
        ready!(Pin::new(&mut inner.io).poll_read(cx, to))?;
        let came = to.filled().get(before..).unwrap_or_default();
        let (length, seen) = (came.len(), inner.meter.came(came, Instant::now));
        to.set_filled(before + seen);
        // Nothing at all would be the end.
        if seen == 0 && length > 0 { Poll::Pending } else { Poll::Ready(Ok(())) }
    }
}

impl<S: Stream> AsyncWrite for Wire<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let bytes = bytes.get(..bytes.len().min(MOST_SLICES - 1)).unwrap_or_default();
        let mut inner = self.0.lock();
        let put = inner.poll_put(bytes, cx);
        match put {
            Poll::Ready(Ok(length)) => inner.show(bytes, length),
            // What is only gathered has not left: that nobody waits is for the end of the turn to say ([`Wire::poll_leave`]).
            Poll::Pending => inner.note_progress(true),
            Poll::Ready(Err(_)) => {}
        }
        put
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// What was gathered leaves at the end of the connection's turn ([`Wire::poll_leave`]), not frame by frame.
    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_leave(cx))?;
        Pin::new(&mut self.0.lock().io).poll_shutdown(cx)
    }
}
