//! What follows a 101: a two-way stream that belongs to another protocol.

use std::fmt;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite};

/// Anything that reads and writes and may move between threads.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin + 'static {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Io for T {}

/// How soon the kernel finds out that the other end of a silent connection has vanished: a tunnel may be silent for
/// as long as it likes.
const KEEPALIVE: TcpKeepalive =
    TcpKeepalive::new().with_time(Duration::from_mins(1)).with_interval(Duration::from_secs(15));

/// Has the kernel look after a connection that may become one side of a tunnel, or after all that are accepted on a
/// socket.
pub fn watch_over(socket: &impl AsFd) -> std::io::Result<()> {
    SockRef::from(socket).set_tcp_keepalive(&KEEPALIVE)
}

/// The origin's side of a connection that left HTTP. The listener joins the client's side to it.
pub struct Tunnel(Opening);

type Opening = Pin<Box<dyn Future<Output = std::io::Result<Box<dyn Io>>> + Send>>;

impl Tunnel {
    /// A tunnel whose stream is at hand once `opening` is done, which is when the 101 has passed.
    pub fn new(opening: impl Future<Output = std::io::Result<Box<dyn Io>>> + Send + 'static) -> Self {
        Self(Box::pin(opening))
    }

    /// Waits for the stream. Not cancel-safe in the sense that the tunnel is lost with it, which closes it.
    pub async fn open(self) -> std::io::Result<Box<dyn Io>> {
        self.0.await
    }
}

impl fmt::Debug for Tunnel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tunnel")
    }
}
