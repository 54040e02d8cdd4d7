//! What is known of a connection that was handed out before the end of its handshake.

use std::io::{self, Read as _};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::BytesMut;
use rustls::{HandshakeKind, ServerConnection};
use tokio::io::ReadBuf;
use tokio::task::unconstrained;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::base::early::{Early, Handshake};
use crate::telemetry::counters::Counters;

/// Its early data, its handshake, and how long that may take. Dropped before that has ended, it has failed.
#[derive(Debug)]
pub(super) struct Opening {
    /// `None`: it has ended.
    handshake: Option<Handshake>,
    /// Early data that nobody has read: in one piece, for the library keeps each record by itself, be it of one byte.
    early: BytesMut,
    /// When it is given up.
    deadline: Pin<Box<Sleep>>,
    /// Something came that may be for whoever reads.
    has_news: bool,
    /// It came to nothing.
    has_failed: bool,
    counters: Arc<Counters>,
}

/// What of early data is moved at a time.
const PIECE: usize = 1 << 10;

impl Opening {
    /// One whose handshake has begun, and is given up at `deadline`.
    pub(super) fn begun(deadline: Instant, counters: &Arc<Counters>) -> (Self, Early) {
        let (handshake, early) = Handshake::begun();
        let opening = Self {
            handshake: Some(handshake),
            early: BytesMut::new(),
            deadline: Box::pin(sleep_until(deadline)),
            has_news: false,
            has_failed: false,
            counters: Arc::clone(counters),
        };
        (opening, early)
    }

    /// Whether the handshake is still to end; an error if it has failed.
    pub(super) fn goes_on(&self) -> io::Result<bool> {
        if self.has_failed { Err(io::ErrorKind::InvalidData.into()) } else { Ok(self.handshake.is_some()) }
    }

    /// What `read` reads, if it comes before the deadline.
    pub(super) fn poll_in_time(
        &mut self,
        cx: &mut Context<'_>,
        mut read: impl FnMut(&mut Context<'_>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        let mut came = read(cx);
        if came.is_pending() {
            if Instant::now() < self.deadline.deadline() && self.deadline.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            // That nothing came may have been said because this task has had its share: looked at once more before it is late.
            came = pin!(unconstrained(std::future::poll_fn(&mut read))).poll(cx);
        }
        self.has_news |= matches!(came, Poll::Ready(Ok(1..)));
        if came.is_pending() { Poll::Ready(Err(io::ErrorKind::TimedOut.into())) } else { came }
    }

    /// Takes in what has come of early data. The library bounds it.
    pub(super) fn gather(&mut self, session: &mut ServerConnection) -> io::Result<()> {
        let Some(mut early) = session.early_data() else { return Ok(()) };
        let mut came = [0; PIECE];
        loop {
            match early.read(&mut came)? {
                0 => return Ok(()),
                length => self.early.extend_from_slice(came.get(..length).unwrap_or_default()),
            }
        }
    }

    /// Gives out early data, as far as there is room; whether there was any, or no room at all.
    pub(super) fn give(&mut self, to: &mut ReadBuf<'_>) -> bool {
        if self.has_failed {
            return false;
        }
        let length = self.early.len().min(to.remaining());
        to.put_slice(&self.early.split_to(length));
        length > 0 || to.remaining() == 0
    }

    /// Whether something came since this was last asked.
    pub(super) fn takes_news(&mut self) -> bool {
        std::mem::take(&mut self.has_news)
    }

    /// Counts how the handshake ended, and wakes who waits for that: once.
    pub(super) fn note(&mut self, moved: &Poll<io::Result<()>>, kind: Option<HandshakeKind>) {
        match moved {
            Poll::Pending => {}
            Poll::Ready(Ok(())) => {
                if let Some(handshake) = self.handshake.take() {
                    note_handshake(&self.counters, kind);
                    handshake.ended();
                }
            }
            Poll::Ready(Err(error)) => {
                if !std::mem::replace(&mut self.has_failed, true) {
                    tracing::debug!(%error, "a TLS handshake came to nothing after early data");
                }
                self.fail();
            }
        }
    }

    fn fail(&mut self) {
        if self.handshake.take().is_some() {
            self.counters.tls_failures.inc();
        }
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        self.fail();
    }
}

/// Counts a handshake that has ended well.
pub(super) fn note_handshake(counters: &Counters, kind: Option<HandshakeKind>) {
    counters.tls_handshakes.inc();
    if kind == Some(HandshakeKind::Resumed) {
        counters.tls_resumptions.inc();
    }
}
