//! How a connection to an endpoint comes about.

use std::fmt::Debug;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpStream, UnixStream};
use tokio::task::JoinSet;

use super::resolve::{Resolve, System};
use crate::base::unix::UnixSocket;
use crate::body::tunnel::{Io, watch_over};

/// A connection in the making.
pub type Connecting<'a> = Pin<Box<dyn Future<Output = io::Result<Box<dyn Io>>> + Send + 'a>>;

/// How long one address may take before the next is tried beside it (RFC 8305 §5).
const NEXT_ADDRESS: Duration = Duration::from_millis(250);

/// How soon a Unix socket is tried again at which too many wait.
const CROWDED: Duration = Duration::from_millis(5);

/// The longest pause between two tries.
const MOST_CROWDED: Duration = Duration::from_millis(80);

/// Opens connections. A trait, so that tests can put a pipe in the place of a network.
pub trait Connect: Debug + Send + Sync {
    /// A new connection to `authority`: `IP:port` if there is a [`Connect::resolver`], otherwise `host:port` as it
    /// was configured; or a Unix socket, `unix:/PATH`. Dropping the future gives up the attempt.
    fn connect<'a>(&'a self, authority: &'a str) -> Connecting<'a>;

    /// Who knows the addresses of hosts; `None` if `connect` needs none.
    fn resolver(&self) -> Option<&dyn Resolve> {
        None
    }
}

/// Connects by TCP, and to Unix sockets; the system resolves names.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tcp;

impl Connect for Tcp {
    fn connect<'a>(&'a self, authority: &'a str) -> Connecting<'a> {
        Box::pin(async move {
            if UnixSocket::is_meant(authority) {
                return to_unix(&authority.parse().map_err(io::Error::other)?).await;
            }
            let address: SocketAddr = authority.parse().map_err(io::Error::other)?;
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            watch_over(&stream)?;
            Ok(Box::new(stream) as Box<dyn Io>)
        })
    }

    fn resolver(&self) -> Option<&dyn Resolve> {
        Some(&System)
    }
}

/// A connection to a program on this host. While as many wait there as it allows, the system says so at once, where it would
/// have a connection by TCP wait: this waits as that would. Cancelled, it is given up.
async fn to_unix(socket: &UnixSocket) -> io::Result<Box<dyn Io>> {
    let mut pause = CROWDED;
    loop {
        match UnixStream::connect(socket.path()).await {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(MOST_CROWDED);
            }
            connected => return connected.map(|stream| Box::new(stream) as Box<dyn Io>),
        }
    }
}

/// A connection to one of `addresses`, and to which: the next is tried when one fails, or beside one that takes its
/// time; the first that is there wins, and the others are given up. Cancelled, all are.
pub(super) async fn to_any(
    connector: &Arc<dyn Connect>,
    addresses: &[SocketAddr],
) -> io::Result<(Box<dyn Io>, SocketAddr)> {
    if let &[only] = addresses {
        return connector.connect(&only.to_string()).await.map(|io| (io, only));
    }
    let mut waiting = addresses.iter();
    let mut trying = JoinSet::new();
    let mut failure = None;
    loop {
        let next = waiting.next().copied();
        if let Some(address) = next {
            let connector = Arc::clone(connector);
            trying
                .spawn(async move { connector.connect(&address.to_string()).await.map(|io| (io, address)) });
        }
        let limit = if next.is_some() { NEXT_ADDRESS } else { Duration::MAX };
        match tokio::time::timeout(limit, trying.join_next()).await {
            Ok(Some(Ok(Ok(connected)))) => return Ok(connected),
            Ok(Some(Ok(Err(error)))) => failure = Some(error),
            Ok(None) => break,
            // An attempt that ended without a word; or, in time, the next one beside it.
            Ok(Some(Err(_))) | Err(_) => {}
        }
    }
    Err(failure.unwrap_or_else(|| io::Error::other("no address could be tried")))
}

#[cfg(test)]
mod tests {
    use socket2::{Domain, SockAddr, Socket, Type};
    use tokio::time::timeout;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_crowd_at_a_unix_socket_is_waited_for() {
        let directory = tempfile::tempdir().expect("a directory");
        let authority = format!("unix:{}/s", directory.path().display());
        let socket: UnixSocket = authority.parse().expect("a socket");
        let address = SockAddr::unix(socket.path()).expect("an address");
        let listener = Socket::new(Domain::UNIX, Type::STREAM, None).expect("a socket");
        listener.bind(&address).expect("binds");
        listener.listen(0).expect("listens");
        // As many as may wait.
        let mut waiting = Vec::new();
        while let Ok(connected) = timeout(CROWDED, Tcp.connect(&authority)).await {
            waiting.push(connected.expect("connects"));
        }
        let mut connecting = Tcp.connect(&authority);
        assert!(timeout(CROWDED * 10, &mut connecting).await.is_err(), "it waits, and does not fail");
        let _first = listener.accept().expect("accepts");
        assert!(timeout(MOST_CROWDED * 2, connecting).await.expect("in time").is_ok());
    }
}
