//! Sockets of either kind: those that are listened on, and those that clients come by.

use std::io::{self, IoSlice};
use std::os::unix::net as unix;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use super::stream::Stream;
use crate::base::peer::Peer;

/// A socket to listen on, before there is a runtime.
#[derive(Debug)]
pub enum Bound {
    /// For clients of the network.
    Tcp(std::net::TcpListener),
    /// For those on this host.
    Unix(unix::UnixListener),
}

impl Bound {
    /// Has the runtime of this thread watch it.
    pub fn listen(self) -> io::Result<Listening> {
        match self {
            Self::Tcp(socket) => TcpListener::from_std(socket).map(Listening::Tcp),
            Self::Unix(socket) => UnixListener::from_std(socket).map(Listening::Unix),
        }
    }
}

/// A socket that is listened on.
#[derive(Debug)]
pub enum Listening {
    /// For clients of the network.
    Tcp(TcpListener),
    /// For those on this host.
    Unix(UnixListener),
}

impl From<TcpListener> for Listening {
    fn from(socket: TcpListener) -> Self {
        Self::Tcp(socket)
    }
}

impl Listening {
    /// The next connection, and who is at its other end. Cancel-safe.
    pub(super) async fn accept(&self) -> io::Result<(Wire, Peer)> {
        match self {
            Self::Tcp(socket) => socket.accept().await.map(|(io, peer)| (Wire::Tcp(io), Peer::At(peer))),
            Self::Unix(socket) => socket.accept().await.map(|(io, _)| (Wire::Unix(io), Peer::Local)),
        }
    }

    /// Closes it. Gives back those who have connected already; they would be reset otherwise.
    pub(super) fn close(self) -> Vec<(Wire, Peer)> {
        match self {
            Self::Tcp(socket) => {
                let Ok(socket) = socket.into_std() else { return Vec::new() };
                let next =
                    || socket.accept().ok().and_then(|(io, peer)| Some((watched(io)?, Peer::At(peer))));
                std::iter::from_fn(next).collect()
            }
            Self::Unix(socket) => {
                let Ok(socket) = socket.into_std() else { return Vec::new() };
                let next =
                    || socket.accept().ok().and_then(|(io, _)| Some((watched_local(io)?, Peer::Local)));
                std::iter::from_fn(next).collect()
            }
        }
    }
}

/// Has the runtime of this thread watch a connection.
fn watched(io: std::net::TcpStream) -> Option<Wire> {
    io.set_nonblocking(true).ok()?;
    TcpStream::from_std(io).ok().map(Wire::Tcp)
}

fn watched_local(io: unix::UnixStream) -> Option<Wire> {
    io.set_nonblocking(true).ok()?;
    UnixStream::from_std(io).ok().map(Wire::Unix)
}

/// A client's connection.
#[derive(Debug)]
pub enum Wire {
    /// By the network.
    Tcp(TcpStream),
    /// On this host. Its end looks the same in any case: such a socket cannot be reset.
    Unix(UnixStream),
}

/// Has either do what both can.
macro_rules! either {
    ($wire:expr, $io:ident => $does:expr) => {
        match $wire {
            Wire::Tcp($io) => $does,
            Wire::Unix($io) => $does,
        }
    };
}

impl Stream for Wire {
    fn break_off(&mut self) {
        if let Self::Tcp(io) = self {
            io.break_off();
        }
    }

    fn can_break_off(&self) -> bool {
        matches!(self, Self::Tcp(_))
    }

    fn unacknowledged(&self) -> Option<u64> {
        match self {
            Self::Tcp(io) => io.unacknowledged(),
            Self::Unix(_) => None,
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        either!(self.get_mut(), io => Pin::new(io).poll_read(cx, to))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        either!(self.get_mut(), io => Pin::new(io).poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        either!(self.get_mut(), io => Pin::new(io).poll_write_vectored(cx, bytes))
    }

    fn is_write_vectored(&self) -> bool {
        either!(self, io => io.is_write_vectored())
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self.get_mut(), io => Pin::new(io).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self.get_mut(), io => Pin::new(io).poll_shutdown(cx))
    }
}
