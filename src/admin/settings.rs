//! Where the admin listener is, and who gets in.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use crate::base::token::Token;

/// Where the admin listener is, and who gets in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where it listens.
    pub address: SocketAddr,
    /// What lets in whoever shows it.
    pub token: Option<Token>,
    /// The hosts by whose names it is asked, beside those of this machine.
    pub names: Vec<String>,
    /// The certificate that it shows, with which it speaks TLS.
    pub certificate: Option<PathBuf>,
    /// The key of that.
    pub key: Option<PathBuf>,
    /// The authorities whose certificates let in whoever shows one.
    pub client_ca: Option<PathBuf>,
}

/// A text is no address for the admin listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("write a port, or IP:PORT, for example 9090 or [::1]:9090")]
pub struct AddressError;

/// Why nobody is let in by these settings, or everybody.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AccessError {
    /// It would ask nobody who they are.
    #[error(
        "the admin listener does not leave loopback without a token or certificates of clients, because it would let in \
         whoever comes: write 127.0.0.1:{port} or [::1]:{port} instead of {0}, or give a token",
        port = .0.port()
    )]
    NotLoopback(SocketAddr),
    /// A certificate without its key, or the other way round.
    #[error("the admin listener has a certificate or a key, and not the other one")]
    HalfCertificate,
    /// Certificates of clients come by TLS alone.
    #[error(
        "the admin listener asks for certificates of clients, and speaks no TLS: it needs a certificate of its own"
    )]
    ClientsWithoutTls,
}

impl Settings {
    /// At this address, with no proof asked for.
    pub fn at(address: SocketAddr) -> Self {
        Self { address, token: None, names: Vec::new(), certificate: None, key: None, client_ca: None }
    }

    /// Whether others than this machine could come in without proof, or nobody at all.
    pub fn check(&self) -> Result<(), AccessError> {
        if self.certificate.is_some() != self.key.is_some() {
            return Err(AccessError::HalfCertificate);
        }
        if self.client_ca.is_some() && self.certificate.is_none() {
            return Err(AccessError::ClientsWithoutTls);
        }
        let loopback = self.address.ip().to_canonical().is_loopback();
        if loopback || self.asks_for_proof() { Ok(()) } else { Err(AccessError::NotLoopback(self.address)) }
    }

    /// Whether nobody gets in without showing something.
    pub(super) fn asks_for_proof(&self) -> bool {
        self.token.is_some() || self.client_ca.is_some()
    }
}

impl FromStr for Settings {
    type Err = AddressError;

    /// `PORT` or `IP:PORT`.
    fn from_str(text: &str) -> Result<Self, AddressError> {
        let on_loopback = || text.parse().map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        text.parse().or_else(|_| on_loopback()).map(Self::at).map_err(|_| AddressError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_alone_is_on_loopback() {
        let address = |text: &str| text.parse::<Settings>().map(|settings| settings.address.to_string());
        assert_eq!(address("9090"), Ok("127.0.0.1:9090".into()));
        assert_eq!(address("[::1]:9090"), Ok("[::1]:9090".into()));
        assert_eq!(address("127.1.2.3:0"), Ok("127.1.2.3:0".into()));
        assert_eq!(address("localhost:9090"), Err(AddressError));
        assert_eq!(address("70000"), Err(AddressError));
    }

    #[test]
    fn loopback_is_not_left_without_proof() {
        let token: Token = "0123456789abcdef".parse().expect("a token");
        for text in ["0.0.0.0:9090", "[::]:9090", "192.0.2.1:9090", "[::ffff:192.0.2.1]:9090"] {
            let bare: Settings = text.parse().expect("an address");
            let error = bare.check().expect_err("refused");
            assert!(error.to_string().contains("does not leave loopback"), "{error}");
            assert_eq!(Settings { token: Some(token.clone()), ..bare.clone() }.check(), Ok(()));
            let (certificate, key) = (Some("a".into()), Some("b".into()));
            let clients = Settings { certificate, key, client_ca: Some("c".into()), ..bare };
            assert_eq!(clients.check(), Ok(()));
            assert_eq!(Settings { key: None, ..clients.clone() }.check(), Err(AccessError::HalfCertificate));
            let clear = Settings { certificate: None, key: None, ..clients };
            assert_eq!(clear.check(), Err(AccessError::ClientsWithoutTls));
        }
    }
}
