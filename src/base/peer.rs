//! Who is at the other end of a client's connection.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// The other end of a client's connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// It has an address.
    At(SocketAddr),
    /// A program on this host that came by a Unix socket, and has none.
    Local,
}

impl Peer {
    /// How one without an address is called in logs.
    pub const LOCAL: &str = "unix:";

    /// Its address, if it has one.
    pub fn ip(self) -> Option<IpAddr> {
        match self {
            Self::At(address) => Some(address.ip()),
            Self::Local => None,
        }
    }
}

impl From<SocketAddr> for Peer {
    fn from(address: SocketAddr) -> Self {
        Self::At(address)
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(address) => address.fmt(f),
            Self::Local => f.write_str(Self::LOCAL),
        }
    }
}
