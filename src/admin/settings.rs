//! Where the admin listener is.

use std::net::{Ipv4Addr, SocketAddr};
use std::str::FromStr;

/// Where the admin listener is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// On loopback.
    pub address: SocketAddr,
}

/// Why an address is none for the admin listener.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// It asks nobody who they are.
    #[error(
        "the admin listener does not leave loopback, because it asks nobody for a password: \
         write 127.0.0.1:{port} or [::1]:{port} instead of {0}", port = .0.port()
    )]
    NotLoopback(SocketAddr),
    /// It is not an address.
    #[error("write a port, or IP:PORT on loopback, for example 9090 or [::1]:9090")]
    Malformed,
}

impl Settings {
    /// Whether others than this machine could reach it.
    pub(super) fn check(self) -> Result<Self, AddressError> {
        let loopback = self.address.ip().to_canonical().is_loopback();
        if loopback { Ok(self) } else { Err(AddressError::NotLoopback(self.address)) }
    }
}

impl FromStr for Settings {
    type Err = AddressError;

    /// `PORT` or `IP:PORT`.
    fn from_str(text: &str) -> Result<Self, AddressError> {
        let on_loopback = || text.parse().map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        let address = text.parse().or_else(|_| on_loopback()).map_err(|_| AddressError::Malformed)?;
        Self { address }.check()
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
        assert_eq!(address("localhost:9090"), Err(AddressError::Malformed));
        assert_eq!(address("70000"), Err(AddressError::Malformed));
    }

    #[test]
    fn loopback_is_not_left() {
        for text in ["0.0.0.0:9090", "[::]:9090", "192.0.2.1:9090", "[::ffff:192.0.2.1]:9090"] {
            let error = text.parse::<Settings>().expect_err("refused");
            assert!(error.to_string().contains("does not leave loopback"), "{error}");
        }
    }
}
