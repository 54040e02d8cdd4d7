//! A client's connection by TLS, from its first message on.
//!
//! ```text
//!  hello ──▶ TlsStream::new ─┬─ shake ────────────▶ driver
//!                            └─ early data taken ─▶ driver ─ ─ the handshake ends on the way
//! ```
//!
//! Where a client's early data was taken, the stream is handed out while its handshake is under way: it gives out early data
//! first, answers may leave before the client's `Finished` (RFC 8446 §4.4.4), and whatever is asked of it, reading and writing
//! out, moves the handshake along. A driver that flushes whenever it waits so needs to know nothing of that, but that the end
//! of a handshake may still come when it has said all that it had to say.

use std::future::poll_fn;
use std::io::{self, BufRead as _, IoSlice, Write as _};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustls::ServerConnection;
use rustls::server::{Accepted, AcceptedAlert, Acceptor};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::time::Instant;

use super::at_once::{AtOnce, polled};
use super::opening::Opening;
use crate::base::early::Early;
use crate::listener::stream::{Socket, Stream};
use crate::telemetry::counters::Counters;

/// Reads a client's first message. What broke the rules was told so. Dropped while it waits, the connection is closed.
pub(super) async fn hello(mut io: Socket) -> io::Result<(Accepted, Socket)> {
    let mut acceptor = Acceptor::default();
    loop {
        let read = poll_fn(|cx| polled(acceptor.read_tls(&mut AtOnce { io: &mut io, cx }))).await?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let (error, alert) = match acceptor.accept() {
            Ok(Some(accepted)) => return Ok((accepted, io)),
            Ok(None) => continue,
            Err(refused) => refused,
        };
        tell(&mut io, alert).await?;
        return Err(broken(error));
    }
}

/// Tells a client why there is no handshake. Cancelled, it may have heard the half of it.
pub(super) async fn tell(io: &mut Socket, mut alert: AcceptedAlert) -> io::Result<()> {
    let mut said = Vec::new();
    alert.write_all(&mut said)?;
    io.write_all(&said).await
}

/// As the rules were broken, or the other side says that ours were.
pub(super) fn broken(error: rustls::Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

/// What a client says and is told.
#[derive(Debug)]
pub struct TlsStream {
    io: Socket,
    /// On the heap: it takes a KiB, and goes through many hands before it rests.
    session: Box<ServerConnection>,
    /// There is early data to be given out, or the handshake is under way.
    opening: Option<Box<Opening>>,
    /// The client was told that nothing more comes.
    is_shut: bool,
    /// That has left: what the end of a handshake brings for later has nowhere to go.
    is_silent: bool,
}

impl TlsStream {
    /// After a client's first message, with what came along with it.
    pub(super) fn new(io: Socket, session: ServerConnection) -> Self {
        Self { io, session: Box::new(session), opening: None, is_shut: false, is_silent: false }
    }

    /// How TLS is spoken.
    pub(super) fn session(&self) -> &ServerConnection {
        &self.session
    }

    /// Whether early data was taken of the client.
    pub(super) fn takes_early_data(&mut self) -> bool {
        self.session.early_data().is_some()
    }

    /// Hands it out before the end of its handshake, which is given up at `deadline`.
    pub(super) fn open_early(&mut self, deadline: Instant, counters: &Arc<Counters>) -> Early {
        let (opening, early) = Opening::begun(deadline, counters);
        self.opening = Some(Box::new(opening));
        early
    }

    /// Shakes hands to the end. If that comes to nothing, what it was to be spoken over. Dropped while it waits, the
    /// connection is closed.
    pub(super) async fn shake(mut self) -> Result<Self, (io::Error, Socket)> {
        let mut has_begun = false;
        let shaken = poll_fn(|cx| {
            if !std::mem::replace(&mut has_begun, true) {
                // What came along with the first message.
                self.process(cx)?;
            }
            self.poll_shake(cx)
        });
        match shaken.await {
            Ok(()) => Ok(self),
            Err(error) => Err((error, self.io)),
        }
    }

    fn poll_shake(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let left = self.poll_leave(cx)?;
            if !self.session.is_handshaking() {
                ready!(left);
                return Pin::new(&mut self.io).poll_flush(cx);
            }
            if !self.session.wants_read() {
                ready!(left);
                continue;
            }
            if ready!(self.poll_take_in(cx))? == 0 {
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
        }
    }

    /// Moves a handshake along that was handed out. Ready once it has ended, and from then on.
    fn poll_opening(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(mut opening) = self.opening.take() else { return Poll::Ready(Ok(())) };
        let moved = self.poll_end(&mut opening, cx);
        opening.note(&moved, self.session.handshake_kind());
        self.opening = Some(opening);
        moved
    }

    fn poll_end(&mut self, opening: &mut Opening, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if opening.goes_on()? {
            self.process(cx)?;
            opening.gather(&mut self.session)?;
            while self.session.is_handshaking() {
                match ready!(opening.poll_in_time(cx, |cx| self.poll_take_in(cx)))? {
                    0 => return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
                    _ => opening.gather(&mut self.session)?,
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Early data first, then what follows the handshake.
    fn poll_read_opening(&mut self, cx: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let give = |opening: &mut Option<Box<Opening>>, to: &mut ReadBuf<'_>| {
            opening.as_mut().is_some_and(|opening| opening.give(to))
        };
        if give(&mut self.opening, to) {
            return Poll::Ready(Ok(()));
        }
        let ended = self.poll_opening(cx)?;
        if give(&mut self.opening, to) {
            return Poll::Ready(Ok(()));
        }
        // A client that has sent half of a request waits for our part of the handshake, and one that has ended it for its next
        // sessions, whether or not anything is answered.
        let _ = self.poll_leave(cx)?;
        if ended.is_pending() {
            return Poll::Pending;
        }
        self.opening = None;
        self.poll_read_plain(cx, to)
    }

    fn poll_read_plain(&mut self, cx: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut waits = false;
        while self.session.wants_read() {
            match self.poll_take_in(cx)? {
                Poll::Ready(0) => break,
                Poll::Ready(_) => {}
                Poll::Pending => {
                    waits = true;
                    break;
                }
            }
        }
        let mut reader = self.session.reader();
        let came = match reader.fill_buf() {
            Ok(came) => came,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if !waits {
                    cx.waker().wake_by_ref();
                }
                return Poll::Pending;
            }
            Err(error) => return Poll::Ready(Err(error)),
        };
        let length = came.len().min(to.remaining());
        to.put_slice(came.get(..length).unwrap_or_default());
        reader.consume(length);
        Poll::Ready(Ok(()))
    }

    /// Reads once of what was encrypted; none at its end.
    fn poll_take_in(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let read = ready!(polled(self.session.read_tls(&mut AtOnce { io: &mut self.io, cx })))?;
        self.process(cx)?;
        Poll::Ready(Ok(read))
    }

    /// Decrypts what came. A client that breaks the rules is told so, if it takes that at once.
    fn process(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if let Err(error) = self.session.process_new_packets() {
            let _ = self.poll_leave(cx);
            return Err(broken(error));
        }
        Ok(())
    }

    /// Writes what was encrypted. Ready when nothing of that waits here any more.
    fn poll_leave(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.session.wants_write() && !self.is_silent {
            if ready!(polled(self.session.write_tls(&mut AtOnce { io: &mut self.io, cx })))? == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl Stream for TlsStream {
    /// What is missing is told by the want of a `close_notify` as well (RFC 8446 §6.1), for clients that look for one.
    fn break_off(&mut self) {
        self.io.break_off();
    }

    /// The want of a `close_notify` would tell it too, but is passed over by too many clients.
    fn can_break_off(&self) -> bool {
        self.io.can_break_off()
    }

    fn left_below(&self) -> Option<u64> {
        Some(self.io.written())
    }

    fn unacknowledged(&self) -> Option<u64> {
        self.io.unacknowledged()
    }
}

impl AsyncRead for TlsStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let stream = self.get_mut();
        if stream.opening.is_some() {
            return stream.poll_read_opening(cx, to);
        }
        stream.poll_read_plain(cx, to)
    }
}

impl AsyncWrite for TlsStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let stream = self.get_mut();
        let mut taken = 0;
        while let Some(rest) = bytes.get(taken..).filter(|rest| !rest.is_empty()) {
            let more = stream.session.writer().write(rest)?;
            taken += more;
            if stream.poll_leave(cx)?.is_pending() {
                return if taken > 0 { Poll::Ready(Ok(taken)) } else { Poll::Pending };
            }
        }
        Poll::Ready(Ok(taken))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let stream = self.get_mut();
        if bytes.iter().all(|piece| piece.is_empty()) {
            return Poll::Ready(Ok(0));
        }
        loop {
            let taken = stream.session.writer().write_vectored(bytes)?;
            let left = stream.poll_leave(cx)?;
            if taken > 0 {
                return Poll::Ready(Ok(taken));
            }
            ready!(left);
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let stream = self.get_mut();
        if stream.opening.is_some() {
            let _ = stream.poll_opening(cx)?;
            if stream.opening.as_mut().is_some_and(|opening| opening.takes_news()) {
                // Of what was taken in here the socket tells nobody else.
                cx.waker().wake_by_ref();
            }
        }
        ready!(stream.poll_leave(cx))?;
        Pin::new(&mut stream.io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let stream = self.get_mut();
        if !std::mem::replace(&mut stream.is_shut, true) {
            stream.session.send_close_notify();
        }
        ready!(stream.poll_leave(cx))?;
        stream.is_silent = true;
        match ready!(Pin::new(&mut stream.io).poll_shutdown(cx)) {
            Err(error) if error.kind() != io::ErrorKind::NotConnected => Poll::Ready(Err(error)),
            _ => Poll::Ready(Ok(())),
        }
    }
}
