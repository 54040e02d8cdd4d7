//! What a driver of connections asks of a connection.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::BytesMut;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

/// A two-way stream of bytes.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static {
    /// Has the end of the stream tell the other side that something is missing, where it can: by a reset. Called just
    /// before the stream is dropped.
    fn break_off(&mut self) {}

    /// Bytes that have left below, of one that takes bytes before they leave: whether it makes progress is told by that
    /// alone.
    fn left_below(&self) -> u64 {
        0
    }
}

impl Stream for TcpStream {
    fn break_off(&mut self) {
        if let Err(error) = SockRef::from(&*self).set_linger(Some(std::time::Duration::ZERO)) {
            tracing::debug!(%error, "a connection cannot be reset");
        }
    }
}

impl Stream for TlsStream<Counted> {
    /// What is missing is told by the want of a `close_notify` as well (RFC 8446 §6.1), for clients that look for one.
    fn break_off(&mut self) {
        self.get_mut().0.io.break_off();
    }

    fn left_below(&self) -> u64 {
        self.get_ref().0.written
    }
}

/// Without sockets: a pipe in memory, whose end looks the same in any case.
impl Stream for DuplexStream {}

/// A stream of which the beginning was read already.
#[derive(Debug)]
pub struct Begun<S> {
    begin: BytesMut,
    io: S,
}

impl<S> Begun<S> {
    /// A stream that begins with these bytes.
    pub fn with(begin: BytesMut, io: S) -> Self {
        Self { begin, io }
    }
}

impl<S: Stream> Stream for Begun<S> {
    fn break_off(&mut self) {
        self.io.break_off();
    }

    fn left_below(&self) -> u64 {
        self.io.left_below()
    }
}

impl<S: Stream> AsyncRead for Begun<S> {
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

impl<S: Stream> AsyncWrite for Begun<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bytes)
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

/// A socket that counts what is written to it.
#[derive(Debug)]
pub struct Counted {
    io: TcpStream,
    written: u64,
}

impl Counted {
    /// Nothing was written so far.
    pub fn new(io: TcpStream) -> Self {
        Self { io, written: 0 }
    }

    fn counts(&mut self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(bytes)) = &written {
            self.written += *bytes as u64;
        }
        written
    }
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        to: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, to)
    }
}

impl AsyncWrite for Counted {
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
