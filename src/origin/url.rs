//! Where the origin is, as the operator writes it.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use http::Uri;

use crate::base::unix::{UnixSocket, UnixSocketError};

/// An origin: `http://HOST`, `https://HOST`, or either with `:PORT`; or `unix:/PATH`, where HTTP is spoken in the clear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginUrl {
    authority: String,
    tls: bool,
    unix: bool,
}

/// Why a text is no origin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OriginUrlError {
    /// Not a URL with a host.
    #[error("{0:?} is not an origin: write http://HOST:PORT, for example http://127.0.0.1:3000")]
    NotAUrl(String),
    /// Some other scheme.
    #[error("{0:?}: an origin is reached by http:// or https://, not by {1}://")]
    Scheme(String, String),
    /// A path, which would have to be put before every path.
    #[error("{0:?}: an origin has no path or query; write only http://HOST:PORT")]
    Path(String),
    /// A Unix socket that cannot be one.
    #[error("{0:?}: {1}")]
    Unix(String, UnixSocketError),
    /// A user name or password.
    #[error("an origin's URL carries no user name or password")]
    UserInfo,
}

impl OriginUrl {
    /// `host:port`, the port always there; of a Unix socket, what it is written as.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// The host alone; an IPv6 address without its brackets.
    pub fn host(&self) -> &str {
        let host = self.authority.rsplit_once(':').map_or(self.authority.as_str(), |(host, _)| host);
        host.trim_start_matches('[').trim_end_matches(']')
    }

    /// Whether it is a Unix socket.
    pub fn is_unix(&self) -> bool {
        self.unix
    }

    /// Whether it is reached by TLS.
    pub fn is_tls(&self) -> bool {
        self.tls
    }
}

impl From<SocketAddr> for OriginUrl {
    fn from(address: SocketAddr) -> Self {
        Self { authority: address.to_string(), tls: false, unix: false }
    }
}

impl FromStr for OriginUrl {
    type Err = OriginUrlError;

    fn from_str(text: &str) -> Result<Self, OriginUrlError> {
        if UnixSocket::is_meant(text.trim()) {
            let unusable = |error| OriginUrlError::Unix(text.to_owned(), error);
            let socket: UnixSocket = text.trim().parse().map_err(unusable)?;
            return Ok(Self { authority: socket.to_string(), tls: false, unix: true });
        }
        let not_a_url = || OriginUrlError::NotAUrl(text.to_owned());
        let uri: Uri = text.trim().parse().map_err(|_| not_a_url())?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(not_a_url());
        };
        let tls = match scheme {
            "http" => false,
            "https" => true,
            other => return Err(OriginUrlError::Scheme(text.to_owned(), other.to_owned())),
        };
        if authority.as_str().contains('@') {
            return Err(OriginUrlError::UserInfo);
        }
        if uri.path_and_query().is_some_and(|path| path.as_str() != "/") {
            return Err(OriginUrlError::Path(text.to_owned()));
        }
        let port = match authority.port() {
            Some(port) => {
                port.as_str().parse::<u16>().ok().filter(|port| *port != 0).ok_or_else(not_a_url)?
            }
            None if authority.as_str() == authority.host() => {
                if tls {
                    443
                } else {
                    80
                }
            }
            None => return Err(not_a_url()),
        };
        if authority.host().is_empty() {
            return Err(not_a_url());
        }
        Ok(Self { authority: format!("{}:{port}", authority.host().to_ascii_lowercase()), tls, unix: false })
    }
}

impl fmt::Display for OriginUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.unix {
            return f.write_str(&self.authority);
        }
        let scheme = if self.tls { "https" } else { "http" };
        write!(f, "{scheme}://{}", self.authority)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn authority(text: &str) -> Result<String, OriginUrlError> {
        text.parse::<OriginUrl>().map(|origin| origin.authority().to_owned())
    }

    #[test]
    fn a_host_and_perhaps_a_port() {
        assert_eq!(authority("http://Example.org").as_deref(), Ok("example.org:80"));
        assert_eq!(authority("http://127.0.0.1:3000/").as_deref(), Ok("127.0.0.1:3000"));
        assert_eq!(authority("http://[::1]:3000").as_deref(), Ok("[::1]:3000"));
        assert_eq!(authority("https://a").as_deref(), Ok("a:443"));
        assert_eq!(authority("https://a:80").as_deref(), Ok("a:80"));
    }

    #[test]
    fn the_host_stands_alone_and_the_scheme_is_kept() {
        let url: OriginUrl = "https://[::1]:3000".parse().expect("an origin");
        assert_eq!((url.host(), url.is_tls(), url.to_string().as_str()), ("::1", true, "https://[::1]:3000"));
        let url: OriginUrl = "http://Example.org".parse().expect("an origin");
        assert_eq!((url.host(), url.is_tls()), ("example.org", false));
    }

    #[test]
    fn a_unix_socket_is_its_path() {
        let url: OriginUrl = "unix:/run/App.sock".parse().expect("an origin");
        assert!(url.is_unix() && !url.is_tls());
        assert_eq!((url.authority(), url.to_string().as_str()), ("unix:/run/App.sock", "unix:/run/App.sock"));
        for none in ["unix:app.sock", "unix:///run/app.sock", "unix:/run/"] {
            assert!(matches!(authority(none), Err(OriginUrlError::Unix(..))), "{none}");
        }
        for other in ["http://unix:/run/app.sock", "http+unix:/run/app.sock"] {
            assert!(authority(other).is_err(), "{other}");
        }
    }

    #[test]
    fn anything_else_says_what_to_write() {
        assert!(matches!(authority("localhost:3000"), Err(OriginUrlError::NotAUrl(_))));
        assert!(matches!(authority("ftp://a"), Err(OriginUrlError::Scheme(..))));
        assert!(matches!(authority("http://a/b"), Err(OriginUrlError::Path(_))));
        assert!(matches!(authority("http://u:p@a"), Err(OriginUrlError::UserInfo)));
        assert!(matches!(authority("http://a:0"), Err(OriginUrlError::NotAUrl(_))));
        assert!(matches!(authority("http://a:x"), Err(OriginUrlError::NotAUrl(_))));
        assert!(matches!(authority(""), Err(OriginUrlError::NotAUrl(_))));
    }

    proptest! {
        #[test]
        fn no_text_panics_and_what_is_accepted_reads_back(text in "\\PC{0,40}|https?://\\PC{0,30}|unix:/\\PC{0,30}") {
            if let Ok(origin) = text.parse::<OriginUrl>() {
                prop_assert_eq!(origin.to_string().parse(), Ok(origin));
            }
        }
    }
}
