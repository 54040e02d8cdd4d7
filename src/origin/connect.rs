//! How a connection to an origin comes about.

use std::fmt::Debug;
use std::io;
use std::pin::Pin;

use tokio::net::TcpStream;

use crate::body::tunnel::Io;

/// A connection in the making.
pub type Connecting<'a> = Pin<Box<dyn Future<Output = io::Result<Box<dyn Io>>> + Send + 'a>>;

/// Opens connections. A trait, so that tests can put a pipe in the place of a network.
pub trait Connect: Debug + Send + Sync {
    /// A new connection to `authority` (`host:port`). Dropping the future gives up the attempt.
    fn connect<'a>(&'a self, authority: &'a str) -> Connecting<'a>;
}

/// Connects by TCP. Names are resolved anew for each connection, and every address is tried in turn.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tcp;

impl Connect for Tcp {
    fn connect<'a>(&'a self, authority: &'a str) -> Connecting<'a> {
        Box::pin(async move {
            let addresses = tokio::net::lookup_host(authority).await.map_err(unresolved)?;
            let mut failure = None;
            for address in addresses {
                match TcpStream::connect(address).await {
                    Ok(stream) => {
                        stream.set_nodelay(true)?;
                        return Ok(Box::new(stream) as Box<dyn Io>);
                    }
                    Err(error) => failure = Some(error),
                }
            }
            Err(failure.unwrap_or_else(|| unresolved(io::Error::other("no addresses"))))
        })
    }
}

/// Marks an error as one of name resolution.
#[derive(Debug, thiserror::Error)]
#[error("the name could not be resolved: {0}")]
pub(super) struct Unresolved(io::Error);

fn unresolved(error: io::Error) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, Unresolved(error))
}
