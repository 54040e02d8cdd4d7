//! What a driver of connections asks of a connection.

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

/// A two-way stream of bytes.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static {
    /// Has the end of the stream tell the other side that something is missing, where it can: by a reset. Called just
    /// before the stream is dropped.
    fn break_off(&mut self) {}
}

impl Stream for TcpStream {
    fn break_off(&mut self) {
        if let Err(error) = SockRef::from(&*self).set_linger(Some(std::time::Duration::ZERO)) {
            tracing::debug!(%error, "a connection cannot be reset");
        }
    }
}

impl<S: Stream> Stream for TlsStream<S> {
    /// What is missing is told by the want of a `close_notify` as well (RFC 8446 §6.1), for clients that look for one.
    fn break_off(&mut self) {
        self.get_mut().0.break_off();
    }
}

/// Without sockets: a pipe in memory, whose end looks the same in any case.
impl Stream for DuplexStream {}
