//! The PROXY protocol, versions 1 and 2: what a proxy in front of this node says of its client before that says anything.
//!
//! It is the client's word as much as the proxy's, so it is heard of those alone that are trusted. They have to say it: a
//! listener that would take it or leave it lets whoever gets through such a proxy say it in its place.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::{Buf, BytesMut};
use ipnet::IpNet;
use proxy_header::{Error, ParseConfig, ProxyHeader};
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::base::peer::Peer;

/// How either version begins.
const V1: &[u8] = b"PROXY ";
const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// The most bytes of a header. What version 2 may add is dropped here, and what proxies do add is some hundred bytes.
const MOST: usize = 4 << 10;

/// The most bytes of one of version 1, by its specification.
const MOST_OF_V1: usize = 107;

/// How much is read at first. What is behind the header comes along.
const USUAL: usize = 512;

/// Proxies that are trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proxies {
    /// Those of a network.
    Of(IpNet),
    /// Those that come by a Unix socket.
    Local,
}

impl Proxies {
    /// How the latter are called in the configuration.
    pub const LOCAL: &str = "unix";
}

impl From<IpNet> for Proxies {
    fn from(network: IpNet) -> Self {
        Self::Of(network)
    }
}

impl fmt::Display for Proxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Of(network) => network.fmt(f),
            Self::Local => f.write_str(Self::LOCAL),
        }
    }
}

/// Whose word is taken.
#[derive(Clone, Debug)]
pub struct Trusted(Arc<[Proxies]>);

impl Trusted {
    /// These; `None` if there are none.
    pub fn new(proxies: &[Proxies]) -> Option<Self> {
        (!proxies.is_empty()).then(|| Self(proxies.into()))
    }

    /// Whether this one is among them.
    pub fn has(&self, peer: Peer) -> bool {
        // Where one socket takes both, IPv4 comes as IPv6 (RFC 4291 §2.5.5.2).
        let address = peer.ip().map(|address| address.to_canonical());
        self.0.iter().any(|proxies| match (proxies, address) {
            (Proxies::Of(network), Some(address)) => network.contains(&address),
            (Proxies::Local, address) => address.is_none(),
            (Proxies::Of(_), None) => false,
        })
    }
}

/// Reads what a trusted proxy says first: its client's address, unless it speaks for itself or does not know, and what it has
/// sent behind that.
///
/// Fails if that is no such header, or ends before it is whole. Cancelled, what was read is lost.
pub async fn client_of<S: AsyncRead + Unpin>(io: &mut S) -> io::Result<(Option<SocketAddr>, BytesMut)> {
    let mut came = BytesMut::with_capacity(USUAL);
    loop {
        if io.read_buf(&mut came).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if let Some((client, length)) = header(&came)? {
            came.advance(length);
            return Ok((client, came));
        }
    }
}

/// What the header at the beginning of `came` says of the client, and its length; `None` if it is not whole.
pub fn header(came: &[u8]) -> io::Result<Option<(Option<SocketAddr>, usize)>> {
    const CONFIG: ParseConfig = ParseConfig { include_tlvs: false, allow_v1: true, allow_v2: true };
    let may_be = |whole: &[u8]| came.iter().zip(whole).all(|(came, expected)| came == expected);
    if ![V1, V2].into_iter().any(may_be) {
        return Err(wrong("it does not begin with a PROXY header"));
    }
    match ProxyHeader::parse(came, CONFIG) {
        // In pieces the library would have refused it before its end.
        Ok((_, length)) if came.starts_with(V1) && length > MOST_OF_V1 => {
            Err(wrong("its PROXY header is too long"))
        }
        Ok((header, length)) => {
            let source = header.proxied_address().map(|proxied| canonical(proxied.source));
            Ok(Some((source, length)))
        }
        // Of version 2, what is whole and still too short has no room for its addresses.
        Err(Error::BufferTooShort) if length_said(came).is_some_and(|length| came.len() >= length) => {
            Err(wrong("its PROXY header is malformed"))
        }
        Err(Error::BufferTooShort) if came.len() < MOST => Ok(None),
        Err(Error::BufferTooShort) => Err(wrong("its PROXY header is too long")),
        Err(_) => Err(wrong("its PROXY header is malformed")),
    }
}

/// An address of IPv4 as such, in whichever clothes it comes.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// How long a header of version 2 is, as it says itself.
fn length_said(came: &[u8]) -> Option<usize> {
    /// Beside the beginning: version and command, family, and this length.
    const BEFORE: usize = V2.len() + 4;
    let rest = came.strip_prefix(V2)?.get(2..4)?.try_into().ok()?;
    Some(BEFORE + usize::from(u16::from_be_bytes(rest)))
}

fn wrong(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &[u8]) -> Result<Option<(Option<String>, usize)>, String> {
        let told = header(text).map_err(|error| error.to_string())?;
        Ok(told.map(|(client, length)| (client.map(|client| client.to_string()), length)))
    }

    /// A header of version 2: command, family, addresses and what is behind them.
    fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let mut header = V2.to_vec();
        header.extend_from_slice(&[0x20 | command, family]);
        header.extend_from_slice(&u16::try_from(rest.len()).expect("short").to_be_bytes());
        header.extend_from_slice(rest);
        header
    }

    #[test]
    fn it_tells_where_a_client_is_in_either_version() {
        let v1 = b"PROXY TCP4 192.0.2.7 192.0.2.1 5000 443\r\n";
        assert_eq!(told(v1), Ok(Some((Some("192.0.2.7:5000".to_owned()), v1.len()))));
        let v1 = b"PROXY TCP6 2001:db8::7 2001:db8::1 5000 443\r\nGET";
        assert_eq!(told(v1), Ok(Some((Some("[2001:db8::7]:5000".to_owned()), v1.len() - 3))));
        let v4_as_v6 = b"PROXY TCP6 ::ffff:192.0.2.7 ::1 5000 443\r\n";
        assert_eq!(told(v4_as_v6), Ok(Some((Some("192.0.2.7:5000".to_owned()), v4_as_v6.len()))));
        assert_eq!(told(b"PROXY UNKNOWN\r\n"), Ok(Some((None, 15))));
        let with_more = v2(1, 0x11, &[192, 0, 2, 7, 192, 0, 2, 1, 0x13, 0x88, 1, 0xbb, 4, 0, 1, 9]);
        assert_eq!(told(&with_more), Ok(Some((Some("192.0.2.7:5000".to_owned()), with_more.len()))));
        let by_unix_socket = v2(1, 0x31, &[b'/'; 216]);
        assert_eq!(told(&by_unix_socket), Ok(Some((None, by_unix_socket.len()))));
        let of_itself = v2(0, 0, &[]);
        assert_eq!(told(&of_itself), Ok(Some((None, of_itself.len()))));
    }

    #[test]
    fn a_part_of_one_is_waited_for_and_anything_else_refused_at_its_first_byte() {
        for whole in [
            b"PROXY TCP4 192.0.2.7 192.0.2.1 5000 443\r\n".to_vec(),
            v2(1, 0x11, &[192, 0, 2, 7, 192, 0, 2, 1, 0x13, 0x88, 1, 0xbb]),
        ] {
            for length in 1..whole.len() {
                assert_eq!(told(&whole[..length]), Ok(None), "{length} bytes of {whole:?}");
            }
        }
        for other in [
            &b"GET / HTTP/1.1\r\n"[..],
            b"P ",
            b"\x16\x03\x01",
            b"\r\n\r\n\0\r\nX",
            b"PROXY SCTP4 a b c d\r\n",
        ] {
            assert!(told(other).is_err(), "{other:?}");
        }
        assert!(told(&v2(1, 0x11, &[0; 5])).is_err(), "too short for its addresses");
        let endless = v2(1, 0x11, &vec![0; 60_000]);
        assert!(told(&endless[..MOST]).is_err());
    }

    #[test]
    fn addresses_are_trusted_by_network_in_either_form() {
        let network = |network: &str| Proxies::Of(network.parse().expect("a network"));
        let trusted = Trusted::new(&["10.0.0.0/8", "2001:db8::/32"].map(network)).expect("some");
        let is_trusted = |trusted: &Trusted, address: &str| {
            trusted.has(SocketAddr::new(address.parse().expect("an address"), 1).into())
        };
        for (address, expected) in [
            ("10.1.2.3", true),
            ("::ffff:10.1.2.3", true),
            ("2001:db8::9", true),
            ("11.0.0.1", false),
            ("::1", false),
        ] {
            assert_eq!(is_trusted(&trusted, address), expected, "{address}");
        }
        assert!(!trusted.has(Peer::Local) && Trusted::new(&[]).is_none());
        let local = Trusted::new(&[Proxies::Local]).expect("some");
        assert!(local.has(Peer::Local) && !is_trusted(&local, "127.0.0.1"));
    }
}
