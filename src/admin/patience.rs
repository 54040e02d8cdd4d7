//! Connections that do not wait for ever, and not too many of them.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep};
use tokio_rustls::TlsAcceptor;

use super::peer::Caller;
use super::wire::Wire;

/// Connections at a time; one more is closed at once.
const MOST: usize = 64;

/// Time in which a connection must take or give a byte.
const PATIENCE: Duration = Duration::from_secs(10);

/// The longest that a connection lives, so that drips do not keep it for ever.
const LIFE: Duration = Duration::from_mins(2);

/// Pause after the kernel refused a connection for want of descriptors or memory.
const BREATH: Duration = Duration::from_millis(50);

/// Accepts connections up to a limit.
pub(super) struct Patient {
    socket: TcpListener,
    /// With it they speak TLS.
    acceptor: Option<TlsAcceptor>,
    places: Arc<Semaphore>,
}

impl Patient {
    pub(super) fn new(socket: TcpListener, acceptor: Option<TlsAcceptor>) -> Self {
        Self { socket, acceptor, places: Arc::new(Semaphore::new(MOST)) }
    }

    /// The connection, unless it is one too many or gone already.
    fn take(&self, stream: TcpStream, peer: SocketAddr) -> Option<Wire> {
        let place = Arc::clone(&self.places).try_acquire_owned().ok()?;
        let local = stream.local_addr().ok()?.ip();
        let caller = Caller { peer, local, shown: Arc::default() };
        Some(Wire::new(Timed::new(stream, place), self.acceptor.as_ref(), caller))
    }
}

impl axum::serve::Listener for Patient {
    type Io = Wire;
    type Addr = SocketAddr;

    /// Cancel-safe.
    async fn accept(&mut self) -> (Wire, SocketAddr) {
        loop {
            match self.socket.accept().await {
                Ok((stream, peer)) => {
                    if let Some(wire) = self.take(stream, peer) {
                        return (wire, peer);
                    }
                }
                Err(error) => {
                    tracing::debug!(%error, "the admin listener cannot accept a connection");
                    tokio::time::sleep(BREATH).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }
}

/// A connection that fails when nothing moves for too long, or at the end of its life.
pub(super) struct Timed {
    stream: TcpStream,
    deadline: Pin<Box<Sleep>>,
    dies: Instant,
    _place: OwnedSemaphorePermit,
}

impl Timed {
    fn new(stream: TcpStream, place: OwnedSemaphorePermit) -> Self {
        let deadline = Box::pin(tokio::time::sleep(PATIENCE));
        Self { stream, deadline, dies: Instant::now() + LIFE, _place: place }
    }

    /// Passes on what was ready, and moves the deadline; fails if it has passed.
    fn within<T>(&mut self, polled: Poll<io::Result<T>>, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            let next = (Instant::now() + PATIENCE).min(self.dies);
            self.deadline.as_mut().reset(next);
            return polled;
        }
        ready!(self.deadline.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Timed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        self.within(polled, cx)
    }
}

impl AsyncWrite for Timed {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.within(polled, cx)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
