//! Who is at the other end of a connection of the admin listener.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};

use axum::extract::connect_info::Connected;
use axum::serve::IncomingStream;

use super::audit::Who;
use super::patience::{Patient, Work};

/// Who is at the other end.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    pub(super) peer: SocketAddr,
    /// Where the connection came to.
    pub(super) local: IpAddr,
    /// The subject of the certificate that was shown and verified, once the handshake has ended.
    pub(super) shown: Arc<OnceLock<Arc<str>>>,
    /// What its connection is at.
    pub(super) work: Arc<Work>,
}

impl Caller {
    pub(super) fn certificate(&self) -> Option<&Arc<str>> {
        self.shown.get()
    }

    /// Who it is without a token.
    pub(super) fn who(&self) -> Who {
        match self.certificate() {
            Some(subject) => Who::Certificate(self.peer, Arc::clone(subject)),
            None => Who::Loopback(self.peer),
        }
    }

    pub(super) fn who_with_token(&self) -> Who {
        Who::Token(self.peer)
    }
}

impl Connected<IncomingStream<'_, Patient>> for Caller {
    fn connect_info(stream: IncomingStream<'_, Patient>) -> Self {
        stream.io().caller().clone()
    }
}
