//! What is known of a client's connection before its first request.

use std::net::SocketAddr;

use http::uri::Scheme;

/// Who is at the other end, and by which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its address.
    pub peer: SocketAddr,
    /// Whether it speaks TLS.
    pub is_tls: bool,
}

impl Link {
    /// A connection in the clear.
    pub fn plain(peer: SocketAddr) -> Self {
        Self { peer, is_tls: false }
    }

    /// One by TLS.
    pub fn tls(peer: SocketAddr) -> Self {
        Self { peer, is_tls: true }
    }

    /// The scheme of what is asked for here.
    pub fn scheme(&self) -> Scheme {
        if self.is_tls { Scheme::HTTPS } else { Scheme::HTTP }
    }
}
