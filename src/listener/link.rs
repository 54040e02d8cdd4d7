//! What is known of a client's connection before its first request.

use std::sync::Arc;

use http::uri::Scheme;

use crate::base::ids::ClientPolicy;
use crate::base::peer::Peer;
use crate::body::certificate::ClientCertificate;

/// Who is at the other end, and by which way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Where it is.
    pub peer: Peer,
    /// Whether it speaks TLS.
    pub is_tls: bool,
    /// What was asked of it in the handshake.
    pub policy: ClientPolicy,
    /// The certificate that it showed there, if an origin is to be told of it.
    pub certificate: Option<Arc<ClientCertificate>>,
}

impl Link {
    /// A connection in the clear.
    pub fn plain(peer: impl Into<Peer>) -> Self {
        Self { peer: peer.into(), is_tls: false, policy: ClientPolicy::NONE, certificate: None }
    }

    /// One by TLS, of which nothing was asked so far.
    pub fn tls(peer: impl Into<Peer>) -> Self {
        Self { is_tls: true, ..Self::plain(peer) }
    }

    /// The scheme of what is asked for here.
    pub fn scheme(&self) -> Scheme {
        if self.is_tls { Scheme::HTTPS } else { Scheme::HTTP }
    }
}
