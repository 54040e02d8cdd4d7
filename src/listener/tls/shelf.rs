//! Certificates by the hosts that they are for (RFC 6066 §3, RFC 9525 §6.3).

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::RwLock;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::certificate::{Certificate, CertificateName};

/// The certificates that can be shown now. A handshake takes what is there when it begins.
#[derive(Debug, Default)]
pub struct Shelf(RwLock<Arc<Filled>>);

/// Those for the same name differ in the kind of their key, and stand in the order in which they are configured.
type Pairs = Vec<Arc<CertifiedKey>>;

#[derive(Debug, Default)]
struct Filled {
    hosts: HashMap<Box<str>, Pairs>,
    below: HashMap<Box<str>, Pairs>,
    /// For clients that ask for no host, or for one that nothing else is for.
    default: Option<Arc<CertifiedKey>>,
}

impl Shelf {
    /// Puts `certificates` in the place of those that are there. `default` is shown where none is for the host.
    pub fn fill<'a>(
        &self,
        certificates: impl IntoIterator<Item = &'a Certificate>,
        default: Option<&Certificate>,
    ) {
        let mut filled =
            Filled { default: default.map(|default| Arc::clone(&default.key)), ..Filled::default() };
        for certificate in certificates {
            for name in &certificate.names {
                let pairs = match name {
                    CertificateName::Host(host) => filled.hosts.entry(host.clone()),
                    CertificateName::Below(domain) => filled.below.entry(domain.clone()),
                };
                pairs.or_default().push(Arc::clone(&certificate.key));
            }
        }
        *self.0.write() = Arc::new(filled);
    }

    /// Whether there is something to show to a client that asks for this host, or for none.
    pub fn answers(&self, host: Option<&str>) -> bool {
        let filled = self.now();
        filled.default.is_some() || host.is_some_and(|host| filled.for_host(host).next().is_some())
    }

    fn now(&self) -> Arc<Filled> {
        Arc::clone(&self.0.read())
    }
}

impl Filled {
    /// Those for a host: by its whole name, then by all but its first label.
    fn for_host(&self, host: &str) -> impl Iterator<Item = &Arc<CertifiedKey>> {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        let below = host.split_once('.').and_then(|(_, domain)| self.below.get(domain));
        self.hosts.get(host.as_str()).into_iter().chain(below).flatten()
    }
}

impl ResolvesServerCert for Shelf {
    /// The first for the host whose key the client can verify; if there is none, the handshake fails by the first one.
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let filled = self.now();
        let suits = |pair: &&Arc<CertifiedKey>| pair.key.choose_scheme(hello.signature_schemes()).is_some();
        let all = || hello.server_name().into_iter().flat_map(|host| filled.for_host(host));
        all().find(suits).or_else(|| all().next()).or(filled.default.as_ref()).cloned()
    }
}
