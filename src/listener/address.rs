//! Where clients connect: an address of the network, or a Unix socket.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use crate::base::unix::{UnixSocket, UnixSocketError};

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// For clients of the network.
    Inet(SocketAddr),
    /// For programs on this host that may write to the socket's file.
    Unix(UnixSocket, Mode),
}

/// Why a text is no address to listen on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Neither IP:PORT nor a Unix socket.
    #[error("write IP:PORT, for example 127.0.0.1:8080 or [::]:80, or unix:/PATH for a Unix socket")]
    Malformed,
    /// It begins as a Unix socket does.
    #[error(transparent)]
    Unix(#[from] UnixSocketError),
}

impl Address {
    /// The address of the network, if it is one.
    pub fn inet(&self) -> Option<SocketAddr> {
        match self {
            Self::Inet(address) => Some(*address),
            Self::Unix(..) => None,
        }
    }

    /// The same for whom `mode` says; one of the network is for everybody.
    #[must_use]
    pub fn with_mode(self, mode: Mode) -> Self {
        match self {
            Self::Inet(_) => self,
            Self::Unix(socket, _) => Self::Unix(socket, mode),
        }
    }

    /// Whether two cannot be listened on at the same time. Port 0 is a port of its own each time, and `[::]` is no address
    /// of IPv4.
    pub fn overlaps(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Inet(one), Self::Inet(other)) => {
                one.port() == other.port()
                    && one.port() != 0
                    && one.is_ipv4() == other.is_ipv4()
                    && (one.ip() == other.ip() || one.ip().is_unspecified() || other.ip().is_unspecified())
            }
            (Self::Unix(one, _), Self::Unix(other, _)) => one == other,
            _ => false,
        }
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Self::Inet(address)
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if UnixSocket::is_meant(text) {
            return Ok(Self::Unix(text.parse()?, Mode::default()));
        }
        text.parse().map(Self::Inet).map_err(|_| AddressError::Malformed)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inet(address) => address.fmt(f),
            Self::Unix(socket, _) => socket.fmt(f),
        }
    }
}

/// The permissions of a Unix socket's file. Who may write to it may connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mode(u32);

impl Default for Mode {
    /// For its owner and its group.
    fn default() -> Self {
        Self(0o660)
    }
}

impl Mode {
    /// The bits.
    pub const fn bits(self) -> u32 {
        self.0
    }
}

/// Not three octal digits, perhaps behind a zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("write permissions as three octal digits, such as 0660")]
pub struct ModeError;

impl FromStr for Mode {
    type Err = ModeError;

    fn from_str(text: &str) -> Result<Self, ModeError> {
        let digits = text.strip_prefix('0').filter(|rest| rest.len() == 3).unwrap_or(text);
        if digits.len() != 3 || !digits.bytes().all(|digit| (b'0'..=b'7').contains(&digit)) {
            return Err(ModeError);
        }
        u32::from_str_radix(digits, 8).map(Self).map_err(|_| ModeError)
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_reads_back() {
        for text in ["127.0.0.1:80", "[::]:443", "unix:/run/forebay.sock"] {
            assert_eq!(text.parse::<Address>().map(|address| address.to_string()).as_deref(), Ok(text));
        }
        assert_eq!("localhost:80".parse::<Address>(), Err(AddressError::Malformed));
        assert_eq!("unix:x".parse::<Address>(), Err(AddressError::Unix(UnixSocketError::NotFromRoot)));
    }

    #[test]
    fn a_mode_is_three_octal_digits() {
        for (text, bits) in [("0660", 0o660), ("600", 0o600), ("000", 0), ("0777", 0o777)] {
            assert_eq!(text.parse::<Mode>().map(Mode::bits), Ok(bits), "{text}");
        }
        for none in ["", "66", "1660", "0o660", "668", "00660", "+60", "rw-"] {
            assert_eq!(none.parse::<Mode>(), Err(ModeError), "{none}");
        }
        assert_eq!(Mode::default().to_string(), "0660");
    }

    #[test]
    fn addresses_overlap_where_one_would_take_the_others_clients() {
        let overlap = |one: &str, other: &str| {
            let [one, other] = [one, other].map(|text| text.parse::<Address>().expect("an address"));
            assert_eq!(one.overlaps(&other), other.overlaps(&one));
            one.overlaps(&other)
        };
        assert!(overlap("0.0.0.0:80", "127.0.0.1:80") && overlap("[::]:80", "[::1]:80"));
        assert!(!overlap("0.0.0.0:80", "[::]:80") && !overlap("127.0.0.1:0", "127.0.0.1:0"));
        assert!(
            overlap("unix:/a", "unix:/a") && !overlap("unix:/a", "unix:/b") && !overlap("unix:/a", "[::]:80")
        );
    }
}
