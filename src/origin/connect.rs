//! How a connection to an endpoint comes about.

use std::fmt::Debug;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::resolve::{Resolve, System};
use crate::body::tunnel::{Io, watch_over};

/// A connection in the making.
pub type Connecting<'a> = Pin<Box<dyn Future<Output = io::Result<Box<dyn Io>>> + Send + 'a>>;

/// How long one address may take before the next is tried beside it (RFC 8305 §5).
const NEXT_ADDRESS: Duration = Duration::from_millis(250);

/// Opens connections. A trait, so that tests can put a pipe in the place of a network.
pub trait Connect: Debug + Send + Sync {
    /// A new connection to `authority`: `IP:port` if there is a [`Connect::resolver`], otherwise `host:port` as it
    /// was configured. Dropping the future gives up the attempt.
    fn connect<'a>(&'a self, authority: &'a str) -> Connecting<'a>;

    /// Who knows the addresses of hosts; `None` if `connect` needs none.
    fn resolver(&self) -> Option<&dyn Resolve> {
        None
    }
}

/// Connects by TCP; the system resolves names.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tcp;

impl Connect for Tcp {
    fn connect<'a>(&'a self, authority: &'a str) -> Connecting<'a> {
        Box::pin(async move {
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
