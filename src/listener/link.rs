//! What is known of a client's connection before its first request.

use std::sync::Arc;

use http::uri::Scheme;

use crate::base::early::Early;
use crate::base::ids::ClientPolicy;
use crate::base::peer::Peer;
use crate::body::certificate::ClientCertificate;

/// Who is at the other end, and by which way.
#[derive(Clone, Debug)]
pub struct Link {
    /// Where it is.
    pub peer: Peer,
    /// Whether it speaks TLS.
    pub is_tls: bool,
    /// What was asked of it in the handshake.
    pub policy: ClientPolicy,
    /// The certificate that it showed there, if an origin is to be told of it.
    pub certificate: Option<Arc<ClientCertificate>>,
    /// Whether it may send something before its handshake has ended.
    pub may_be_early: bool,
    /// Its handshake, if that had not ended when it was first served.
    pub early: Option<Early>,
}

impl Link {
    /// A connection in the clear.
    pub fn plain(peer: impl Into<Peer>) -> Self {
        Self {
            peer: peer.into(),
            is_tls: false,
            policy: ClientPolicy::NONE,
            certificate: None,
            may_be_early: false,
            early: None,
        }
    }

    /// One by TLS, of which nothing was asked so far.
    pub fn tls(peer: impl Into<Peer>) -> Self {
        Self { is_tls: true, ..Self::plain(peer) }
    }

    /// The handshake of a connection on which a request comes now, if that has not ended: all that came so far is early, be it
    /// by one byte of many.
    pub fn early(&self) -> Option<Early> {
        self.early.clone().filter(Early::is_early)
    }

    /// The scheme of what is asked for here.
    pub fn scheme(&self) -> Scheme {
        if self.is_tls { Scheme::HTTPS } else { Scheme::HTTP }
    }
}
