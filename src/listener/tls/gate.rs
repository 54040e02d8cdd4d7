//! What is asked of clients before they are let in, and how TLS is spoken with those of whom it is asked.
//!
//! Sites that ask for the same have one policy. Who was let in by one has shown nothing to another: each has a
//! configuration of its own, and a request has to come on a connection of its site's policy, which the client machine looks
//! after (RFC 9110 §15.5.20).

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, ProducesTickets, WebPkiClientVerifier};
use rustls::{ServerConfig, ServerConnection};

use super::authorities::{Authorities, AuthoritiesError};
use super::sessions::Sessions;
use super::shelf::Shelf;
use super::watch::Watch;
use super::{HTTP2, MinimumVersion, TlsError};
use crate::body::certificate::ClientCertificate;

/// The most bytes of certificates that a client may show: they are kept as long as its connection.
const MOST_SHOWN: usize = 16 << 10;

/// The most bytes of early data on one connection; more ends it. As much is what others take.
const MOST_EARLY: u32 = 16 << 10;

/// Whether clients of a site have to show a certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientCertificates {
    /// They are not asked.
    #[default]
    Off,
    /// They may.
    Optional,
    /// They have to.
    Required,
}

impl ClientCertificates {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Off, Self::Optional, Self::Required];

    /// The word for it in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Optional => "optional",
            Self::Required => "required",
        }
    }
}

/// What an origin is told of a client's certificate (RFC 9440).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Told {
    /// Nothing.
    #[default]
    Off,
    /// The certificate: `Client-Cert`.
    Certificate,
    /// And those that came with it: `Client-Cert-Chain`.
    Chain,
}

impl Told {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Off, Self::Certificate, Self::Chain];

    /// The word for it in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Certificate => "certificate",
            Self::Chain => "chain",
        }
    }
}

/// What is asked of the clients of one policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Whether they have to show a certificate; if not, they may.
    pub is_required: bool,
    /// Whose word counts for it.
    pub authorities: Authorities,
    /// What origins are told of it.
    pub told: Told,
}

/// How TLS is spoken: for HTTP/1.1 alone, and for HTTP/2 as well.
pub(super) type Configs = Arc<[Arc<ServerConfig>; 2]>;

/// Makes configurations that differ in what is asked of clients.
#[derive(Debug)]
pub(super) struct Maker {
    pub(super) provider: Arc<CryptoProvider>,
    pub(super) minimum: MinimumVersion,
    pub(super) shelf: Arc<Shelf>,
}

impl Maker {
    /// For clients of whom nothing is asked. Their sessions are resumed by tickets.
    pub(super) fn open(&self, ticketer: Arc<dyn ProducesTickets>) -> Result<Configs, rustls::Error> {
        let mut config = self.config(WebPkiClientVerifier::no_client_auth())?;
        // Tickets alone: what a node would keep by itself is good under no key, and never too old.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.ticketer = ticketer;
        Ok(for_both(config))
    }

    /// The same where early data is taken: only of a session that is remembered, and so of none in a ticket.
    pub(super) fn early(&self, sessions: Arc<Sessions>) -> Result<Configs, rustls::Error> {
        let mut config = self.config(WebPkiClientVerifier::no_client_auth())?;
        config.session_storage = sessions;
        config.max_early_data_size = MOST_EARLY;
        config.send_half_rtt_data = true;
        Ok(for_both(config))
    }

    /// For clients whose certificates are verified. Each time: a session that was resumed would bring one along that has
    /// expired since, or been revoked, or that an authority vouched for which is none any more. No ticket is taken here, whoever has
    /// made it.
    fn guarded(&self, verifier: Arc<dyn ClientCertVerifier>) -> Result<Configs, rustls::Error> {
        let mut config = self.config(verifier)?;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(for_both(config))
    }

    fn config(&self, verifier: Arc<dyn ClientCertVerifier>) -> Result<ServerConfig, rustls::Error> {
        let builder = ServerConfig::builder_with_provider(Arc::clone(&self.provider));
        let builder = builder.with_protocol_versions(self.minimum.versions())?;
        let resolver = Arc::clone(&self.shelf);
        let mut config = builder.with_client_cert_verifier(verifier).with_cert_resolver(resolver);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }
}

/// The same tickets, if there are any, resume either.
fn for_both(http1: ServerConfig) -> Configs {
    let mut both = http1.clone();
    both.alpn_protocols.insert(0, HTTP2.to_vec());
    Arc::new([Arc::new(http1), Arc::new(both)])
}

/// The way in for the clients of one policy.
#[derive(Debug)]
pub(super) struct Gate {
    asked: Asked,
    configs: RwLock<Configs>,
    /// Held while files are read: by those who look, and nobody else.
    watch: Mutex<Watch>,
}

impl Gate {
    /// Reads whose word counts. Blocking.
    pub(super) fn new(asked: Asked, maker: &Maker) -> Result<Self, TlsError> {
        let watch = Watch::new(asked.authorities.files());
        let configs = read(&asked, maker).map_err(|error| match error {
            Unusable::Authorities(error) => TlsError::Authorities {
                authorities: Box::new(asked.authorities.clone()),
                error: Box::new(error),
            },
            Unusable::Library(error) => TlsError::Library(error),
        })?;
        Ok(Self { asked, configs: RwLock::new(configs), watch: Mutex::new(watch) })
    }

    /// How TLS is spoken with a client that begins now.
    pub(super) fn configs(&self) -> Configs {
        Arc::clone(&self.configs.read())
    }

    /// Reads anew what has changed, or could not be used at the last look. Blocking.
    pub(super) fn look(&self, maker: &Maker) {
        let ca = &self.asked.authorities.ca;
        let tell = |error: &Unusable| {
            let file = match error {
                Unusable::Authorities(error) => self.asked.authorities.file_of(error).display(),
                Unusable::Library(_) => ca.display(),
            };
            tracing::warn!(%file, %error, "the authorities of client certificates cannot be replaced; the old ones count");
        };
        if let Some(configs) = self.watch.lock().look(|| read(&self.asked, maker), tell) {
            tracing::info!(ca = %ca.display(), "the authorities of client certificates were read anew");
            *self.configs.write() = configs;
        }
    }

    /// The certificate that a client has shown, if an origin is to be told of it.
    pub(super) fn certificate(&self, session: &ServerConnection) -> Result<Option<ClientCertificate>, usize> {
        let shown = session.peer_certificates().unwrap_or_default();
        let bytes = shown.iter().map(|certificate| certificate.len()).sum();
        if bytes > MOST_SHOWN {
            return Err(bytes);
        }
        let Some((own, beside)) = shown.split_first() else { return Ok(None) };
        let beside = match self.asked.told {
            Told::Off => return Ok(None),
            Told::Certificate => &[],
            Told::Chain => beside,
        };
        let copy = |certificate: &CertificateDer<'_>| Bytes::copy_from_slice(certificate);
        Ok(Some(ClientCertificate { own: copy(own), beside: beside.iter().map(copy).collect() }))
    }
}

/// Why there is no way in.
#[derive(Debug, thiserror::Error)]
enum Unusable {
    #[error("{0}")]
    Authorities(#[from] AuthoritiesError),
    #[error("{0}")]
    Library(#[from] rustls::Error),
}

fn read(asked: &Asked, maker: &Maker) -> Result<Configs, Unusable> {
    let verifier = asked.authorities.verifier(asked.is_required, &maker.provider)?;
    Ok(maker.guarded(verifier)?)
}
