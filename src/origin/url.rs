//! Where the origin is, as the operator writes it.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use http::Uri;

/// An origin: `http://HOST`, `https://HOST`, or either with `:PORT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginUrl {
    authority: String,
    tls: bool,
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
    /// A user name or password.
    #[error("an origin's URL carries no user name or password")]
    UserInfo,
}

impl OriginUrl {
    /// `host:port`, the port always there.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// The host alone; an IPv6 address without its brackets.
    pub fn host(&self) -> &str {
        let host = self.authority.rsplit_once(':').map_or(self.authority.as_str(), |(host, _)| host);
        host.trim_start_matches('[').trim_end_matches(']')
    }

    /// Whether it is reached by TLS.
    pub fn is_tls(&self) -> bool {
        self.tls
    }
}

impl From<SocketAddr> for OriginUrl {
    fn from(address: SocketAddr) -> Self {
        Self { authority: address.to_string(), tls: false }
    }
}

impl FromStr for OriginUrl {
    type Err = OriginUrlError;

    fn from_str(text: &str) -> Result<Self, OriginUrlError> {
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
        Ok(Self { authority: format!("{}:{port}", authority.host().to_ascii_lowercase()), tls })
    }
}

impl fmt::Display for OriginUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
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
        fn no_text_panics_and_what_is_accepted_reads_back(text in "\\PC{0,40}|https?://\\PC{0,30}") {
            if let Ok(origin) = text.parse::<OriginUrl>() {
                prop_assert_eq!(origin.to_string().parse(), Ok(origin));
            }
        }
    }
}
