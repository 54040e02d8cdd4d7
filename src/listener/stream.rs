//! What a driver of connections asks of a connection.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::BytesMut;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::wire::Wire;

/// The most that is taken in from a client that is turned away.
const MAX_UNREAD: u64 = 64 << 10;

/// How long one that is turned away may take to read why.
const LINGER: Duration = Duration::from_secs(1);

/// Ends a connection to which all has been said: takes in what the client sent, since closing over unread bytes would reset
/// it and lose what was said. Dropped while it waits, the connection is closed.
pub(super) async fn end(mut io: impl AsyncRead + AsyncWrite + Unpin) {
    let ended = async {
        io.shutdown().await?;
        tokio::io::copy(&mut io.take(MAX_UNREAD), &mut tokio::io::sink()).await
    };
    let _ = timeout(LINGER, ended).await;
}

/// A two-way stream of bytes.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static {
    /// Has the end of the stream tell the other side that something is missing, where it can: by a reset. Called just
    /// before the stream is dropped.
    fn break_off(&mut self) {}

    /// Whether it can: otherwise its end is an end, whatever was to follow.
    fn can_break_off(&self) -> bool;

    /// Bytes that have left below, of one that takes bytes before they leave: whether it makes progress is told by that
    /// alone.
    fn left_below(&self) -> Option<u64> {
        None
    }

    /// Of the bytes that have left, those that the other side has not acknowledged, if that can be told. It takes some
    /// microseconds.
    fn unacknowledged(&self) -> Option<u64> {
        None
    }
}

impl Stream for TcpStream {
    fn break_off(&mut self) {
        if let Err(error) = SockRef::from(&*self).set_linger(Some(Duration::ZERO)) {
            tracing::debug!(%error, "a connection cannot be reset");
        }
    }

    fn can_break_off(&self) -> bool {
        true
    }

    fn unacknowledged(&self) -> Option<u64> {
        super::unacknowledged::of(self)
    }
}

/// Without sockets: a pipe in memory, whose end looks the same in any case.
impl Stream for DuplexStream {
    fn can_break_off(&self) -> bool {
        false
    }
}

/// A connection that counts what is written to it, and of which the beginning may have been read already.
#[derive(Debug)]
pub struct Socket {
    io: Wire,
    begin: BytesMut,
    written: u64,
}

impl Socket {
    /// Nothing was read or written so far.
    pub fn new(io: Wire) -> Self {
        Self::that_began(BytesMut::new(), io)
    }

    /// Bytes that were read off it, and nothing behind them, are read once more.
    pub fn unread(&mut self, mut bytes: BytesMut) {
        bytes.unsplit(std::mem::take(&mut self.begin));
        self.begin = bytes;
    }

    /// These bytes were read, and are read once more.
    pub fn that_began(begin: BytesMut, io: Wire) -> Self {
        Self { io, begin, written: 0 }
    }

    /// Bytes that have left.
    pub(super) fn written(&self) -> u64 {
        self.written
    }

    fn counts(&mut self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(bytes)) = &written {
            self.written += *bytes as u64;
        }
        written
    }
}

impl Stream for Socket {
    fn break_off(&mut self) {
        self.io.break_off();
    }

    fn can_break_off(&self) -> bool {
        self.io.can_break_off()
    }

    fn unacknowledged(&self) -> Option<u64> {
        self.io.unacknowledged()
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        to: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.begin.is_empty() {
            return Pin::new(&mut self.io).poll_read(cx, to);
        }
        let length = self.begin.len().min(to.remaining());
        to.put_slice(&self.begin.split_to(length));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(cx, bytes);
        self.counts(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write_vectored(cx, bytes);
        self.counts(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
