//! TLS to clients: which certificate a host gets, and the handshake.
//!
//! - [`certificate`]: a chain and its key, read from files and checked.
//! - [`shelf`]: certificates by the hosts that they are for.
//! - [`keeper`]: looks after the files, and puts what is new on the shelf.
//! - here: [`Front`], which shakes hands.

pub mod certificate;
pub mod keeper;
pub mod shelf;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::Acceptor;
use rustls::version::{TLS12, TLS13};
use rustls::{ServerConfig, ServerConnection, SupportedProtocolVersion};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

use super::stream::Socket;
use crate::telemetry::counters::Counters;
use certificate::{CertificateError, Files};
use keeper::{Keeper, Named};
use shelf::Shelf;

/// A fatal alert, before any key is agreed on: that the host is unknown here (RFC 6066 §3, RFC 8446 §6).
const UNRECOGNIZED_NAME: [u8; 7] = [21, 3, 3, 0, 2, 2, 112];

/// Bytes that may wait encrypted for a client that takes nothing: a record. What waits in front of that is the content of
/// the cache itself.
const MOST_ENCRYPTED: usize = 16 << 10;

/// The name of HTTP/2 (RFC 9113 §3.2).
const HTTP2: &[u8] = b"h2";

/// The oldest version of TLS that is spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MinimumVersion {
    /// TLS 1.2 (RFC 5246).
    #[default]
    Tls12,
    /// TLS 1.3 (RFC 8446).
    Tls13,
}

impl MinimumVersion {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Tls12, Self::Tls13];

    /// The word for it in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tls12 => "1.2",
            Self::Tls13 => "1.3",
        }
    }

    fn versions(self) -> &'static [&'static SupportedProtocolVersion] {
        static FROM_12: [&SupportedProtocolVersion; 2] = [&TLS13, &TLS12];
        static FROM_13: [&SupportedProtocolVersion; 1] = [&TLS13];
        match self {
            Self::Tls12 => &FROM_12,
            Self::Tls13 => &FROM_13,
        }
    }
}

/// How TLS is spoken with clients.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What can be shown.
    pub certificates: Vec<Named>,
    /// The oldest version.
    pub minimum: MinimumVersion,
    /// For a handshake, from the connection on.
    pub handshake_timeout: Duration,
    /// How often the files are looked at.
    pub reload_every: Duration,
}

/// Why TLS cannot be spoken.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// One of the certificates.
    #[error("the certificate {name:?} ({}, {}) cannot be used: {error}", files.chain.display(), files.key.display())]
    Certificate {
        /// What the operator calls it.
        name: String,
        /// Where it is.
        files: Box<Files>,
        /// What is wrong.
        error: Box<CertificateError>,
    },
    /// The library refuses.
    #[error("TLS cannot be used: {0}")]
    Library(#[from] rustls::Error),
}

/// Speaks TLS with clients. One for all listeners.
#[derive(Debug)]
pub struct Front {
    keeper: Arc<Keeper>,
    shelf: Arc<Shelf>,
    /// For HTTP/1.1 alone, and for HTTP/2 as well.
    configs: [Arc<ServerConfig>; 2],
    timeout: Duration,
    counters: Arc<Counters>,
}

/// Why a handshake came to nothing.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("it asked for a host that no certificate is for")]
    UnknownHost,
    #[error("it took too long")]
    Late,
    #[error("{0}")]
    Broken(#[from] io::Error),
}

impl Front {
    /// Reads the certificates. Blocking.
    pub fn new(settings: &Settings, counters: Arc<Counters>) -> Result<Self, TlsError> {
        let provider = Arc::new(provider());
        let keeper = Arc::new(Keeper::open(settings.certificates.clone(), Arc::clone(&provider))?);
        let shelf = Arc::clone(keeper.shelf());
        let http1 = config(settings, provider, Arc::clone(&shelf))?;
        // The same tickets resume either.
        let mut both = http1.clone();
        both.alpn_protocols.insert(0, HTTP2.to_vec());
        let configs = [Arc::new(http1), Arc::new(both)];
        Ok(Self { keeper, shelf, configs, timeout: settings.handshake_timeout, counters })
    }

    /// Who looks after the certificates.
    pub fn keeper(&self) -> &Arc<Keeper> {
        &self.keeper
    }

    /// Shakes hands with a client, which may choose HTTP/2 if `http2` says so, and tells whether it did. `None`: nothing came
    /// of it, and the connection is closed. Dropped while it waits, the connection is closed.
    pub async fn accept(
        &self,
        io: TcpStream,
        peer: SocketAddr,
        http2: bool,
    ) -> Option<(TlsStream<Socket>, bool)> {
        let shaken = tokio::time::timeout(self.timeout, self.shake_hands(Socket::new(io), http2)).await;
        match shaken.unwrap_or(Err(Failure::Late)) {
            Ok(stream) => {
                self.counters.tls_handshakes.inc();
                let chosen = stream.get_ref().1.alpn_protocol() == Some(HTTP2);
                Some((stream, chosen))
            }
            Err(failure) => {
                self.counters.tls_failures.inc();
                tracing::debug!(%peer, %failure, "a TLS handshake came to nothing");
                None
            }
        }
    }

    async fn shake_hands(&self, io: Socket, http2: bool) -> Result<TlsStream<Socket>, Failure> {
        let start = LazyConfigAcceptor::new(Acceptor::default(), io).await?;
        if !self.shelf.answers(start.client_hello().server_name()) {
            let mut io = start.io;
            io.write_all(&UNRECOGNIZED_NAME).await?;
            io.shutdown().await?;
            return Err(Failure::UnknownHost);
        }
        let [http1, both] = &self.configs;
        let config = if http2 { both } else { http1 };
        let limited = |session: &mut ServerConnection| session.set_buffer_limit(Some(MOST_ENCRYPTED));
        let io = start.into_stream_with(Arc::clone(config), limited).await?;
        Ok(io)
    }
}

/// The cryptography that is used: named, never the process's default, which depends on what else is linked.
pub fn provider() -> CryptoProvider {
    aws_lc_rs::default_provider()
}

/// Whether the CPU has instructions for AES, without which it is slow.
pub fn has_aes() -> bool {
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    return std::arch::is_x86_feature_detected!("aes");
    #[cfg(target_arch = "aarch64")]
    return std::arch::is_aarch64_feature_detected!("aes");
    #[cfg(not(any(target_arch = "x86", target_arch = "x86_64", target_arch = "aarch64")))]
    false
}

fn config(
    settings: &Settings,
    provider: Arc<CryptoProvider>,
    shelf: Arc<Shelf>,
) -> Result<ServerConfig, rustls::Error> {
    let builder = ServerConfig::builder_with_provider(provider);
    let builder = builder.with_protocol_versions(settings.minimum.versions())?;
    let mut config = builder.with_no_client_auth().with_cert_resolver(shelf);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // Without, sessions are kept in memory, by each node for itself and not for long.
    config.ticketer = aws_lc_rs::Ticketer::new()?;
    Ok(config)
}
