//! TLS to clients: which certificate a host gets, what is asked of its clients, and the handshake.
//!
//! - [`certificate`]: a chain and its key, read from files and checked.
//! - [`shelf`]: certificates by the hosts that they are for.
//! - [`keeper`]: looks after the files, and puts what is new on the shelf.
//! - [`authorities`]: whose word counts for certificates of clients.
//! - [`gate`]: what is asked of clients before they are let in.
//! - [`tickets`]: session tickets by keys that nodes share.
//! - here: [`Front`], which shakes hands.

pub mod authorities;
pub mod certificate;
pub mod gate;
pub mod keeper;
pub mod shelf;
pub mod tickets;
mod watch;

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::Acceptor;
use rustls::version::{TLS12, TLS13};
use rustls::{HandshakeKind, ServerConfig, ServerConnection, SupportedProtocolVersion};
use tokio::io::AsyncWriteExt;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

use super::stream::{self, Socket};
use crate::base::clock::{Clock, Timestamp};
use crate::base::ids::ClientPolicy;
use crate::base::peer::Peer;
use crate::body::certificate::ClientCertificate;
use crate::telemetry::counters::Counters;
use authorities::{Authorities, AuthoritiesError};
use certificate::{CertificateError, Files};
use gate::{Asked, Configs, Gate, Maker};
use keeper::{Keeper, Named};
use shelf::Shelf;
use tickets::{TicketKeyError, Tickets};

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
    /// What is asked of clients, by policy: of those of [`ClientPolicy`] 1, 2 and so on. Of all others nothing is.
    pub policies: Vec<Asked>,
    /// The oldest version.
    pub minimum: MinimumVersion,
    /// Keys of session tickets: the first makes them, all take them. Without any, the process makes its own.
    pub ticket_keys: Vec<PathBuf>,
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
    /// What is asked of clients.
    #[error("client certificates cannot be verified by {}: {error}", authorities.file_of(error).display())]
    Authorities {
        /// Whose word was to count.
        authorities: Box<Authorities>,
        /// What is wrong.
        error: Box<AuthoritiesError>,
    },
    /// A key of session tickets.
    #[error("{}: {error}", file.display())]
    TicketKey {
        /// Where it is.
        file: PathBuf,
        /// What is wrong.
        error: TicketKeyError,
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
    maker: Maker,
    /// By keys of files, if there are any.
    tickets: Option<Arc<Tickets>>,
    /// For clients of whom nothing is asked.
    open: Configs,
    /// For those of the other policies, in their order.
    gates: Box<[Gate]>,
    policy_of: PolicyOf,
    timeout: Duration,
    counters: Arc<Counters>,
}

/// Tells the policy of a host by the name that a client asks for.
#[derive(Clone)]
pub struct PolicyOf(Arc<dyn Fn(&str) -> ClientPolicy + Send + Sync>);

impl PolicyOf {
    /// By what `find` says of a name as the client spells it.
    pub fn new(find: impl Fn(&str) -> ClientPolicy + Send + Sync + 'static) -> Self {
        Self(Arc::new(find))
    }
}

impl fmt::Debug for PolicyOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PolicyOf").finish_non_exhaustive()
    }
}

/// A client with which hands were shaken.
#[derive(Debug)]
pub struct Shaken {
    /// What it says from here on.
    pub stream: TlsStream<Socket>,
    /// Whether it chose HTTP/2.
    pub speaks_http2: bool,
    /// What was asked of it.
    pub policy: ClientPolicy,
    /// The certificate that it showed, if an origin is to be told of it.
    pub certificate: Option<Arc<ClientCertificate>>,
}

/// Why a handshake came to nothing.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("it asked for a host that no certificate is for")]
    UnknownHost,
    #[error("it showed no certificate")]
    NoCertificate(Box<Socket>),
    #[error("its certificate does not count: {0}")]
    Certificate(rustls::CertificateError, Box<Socket>),
    #[error("its certificates take {0} bytes")]
    LargeCertificates(usize),
    #[error("it took too long")]
    Late,
    #[error("{0}")]
    Broken(#[from] io::Error),
}

impl Failure {
    /// Of a handshake that was broken off with an alert.
    fn of(error: io::Error, io: Socket) -> Self {
        match error.get_ref().and_then(|error| error.downcast_ref()) {
            Some(rustls::Error::NoCertificatesPresented) => Self::NoCertificate(Box::new(io)),
            // Nobody else shows one to a server.
            Some(rustls::Error::InvalidCertificate(why)) => Self::Certificate(why.clone(), Box::new(io)),
            _ => Self::Broken(error),
        }
    }
}

impl Front {
    /// Reads the certificates, whose word counts for those of clients, and the keys of tickets, whose age is told by
    /// `clock`. `policy_of` tells of whom what is asked. Blocking.
    pub fn new(
        settings: &Settings,
        policy_of: PolicyOf,
        counters: Arc<Counters>,
        clock: Clock,
    ) -> Result<Self, TlsError> {
        let provider = Arc::new(provider());
        let keeper = Arc::new(Keeper::open(settings.certificates.clone(), Arc::clone(&provider))?);
        let shelf = Arc::clone(keeper.shelf());
        let maker = Maker { provider, minimum: settings.minimum, shelf: Arc::clone(&shelf) };
        let files = Some(settings.ticket_keys.clone()).filter(|files| !files.is_empty());
        let tickets = files.map(|files| Tickets::open(files, clock).map(Arc::new)).transpose()?;
        let open = maker.open(tickets.clone())?;
        let gates = settings.policies.iter().map(|asked| Gate::new(asked.clone(), &maker));
        let gates = gates.collect::<Result<_, _>>()?;
        let timeout = settings.handshake_timeout;
        Ok(Self { keeper, shelf, maker, tickets, open, gates, policy_of, timeout, counters })
    }

    /// Who looks after the certificates.
    pub fn keeper(&self) -> &Arc<Keeper> {
        &self.keeper
    }

    /// Looks, at `now`, after all files: what has changed holds from the next handshake on. Blocking.
    pub fn look(&self, now: Timestamp) {
        self.keeper.look(now);
        for gate in &self.gates {
            gate.look(&self.maker);
        }
        if let Some(tickets) = &self.tickets {
            tickets.look();
        }
    }

    /// Whether what is in the files of keys of tickets cannot be used, if there are any.
    pub fn ticket_keys_are_refused(&self) -> Option<bool> {
        self.tickets.as_deref().map(Tickets::are_refused)
    }

    /// Shakes hands with a client, which may choose HTTP/2 if `http2` says so. `None`: nothing came of it, and the
    /// connection is closed. Dropped while it waits, the connection is closed.
    pub async fn accept(&self, io: Socket, peer: Peer, http2: bool) -> Option<Shaken> {
        let shaken = tokio::time::timeout(self.timeout, self.shake_hands(io, http2)).await;
        match shaken.unwrap_or(Err(Failure::Late)) {
            Ok(shaken) => {
                self.counters.tls_handshakes.inc();
                let (_, session) = shaken.stream.get_ref();
                if session.handshake_kind() == Some(HandshakeKind::Resumed) {
                    self.counters.tls_resumptions.inc();
                }
                Some(shaken)
            }
            Err(failure) => {
                self.turn_away(failure, peer).await;
                None
            }
        }
    }

    async fn shake_hands(&self, io: Socket, http2: bool) -> Result<Shaken, Failure> {
        let start = LazyConfigAcceptor::new(Acceptor::default(), io).await?;
        let hello = start.client_hello();
        let name = hello.server_name();
        if !self.shelf.answers(name) {
            let mut io = start.io;
            io.write_all(&UNRECOGNIZED_NAME).await?;
            io.shutdown().await?;
            return Err(Failure::UnknownHost);
        }
        let (policy, gate) = self.gate_of(name);
        let configs = gate.map_or_else(|| Arc::clone(&self.open), Gate::configs);
        let [http1, both] = &*configs;
        let config: &Arc<ServerConfig> = if http2 { both } else { http1 };
        let limited = |session: &mut ServerConnection| session.set_buffer_limit(Some(MOST_ENCRYPTED));
        let accepted = start.into_stream_with(Arc::clone(config), limited).into_fallible().await;
        let stream = accepted.map_err(|(error, io)| Failure::of(error, io))?;
        let (_, session) = stream.get_ref();
        let speaks_http2 = session.alpn_protocol() == Some(HTTP2);
        let shown = gate.map_or(Ok(None), |gate| gate.certificate(session));
        let certificate = shown.map_err(Failure::LargeCertificates)?.map(Arc::new);
        Ok(Shaken { stream, speaks_http2, policy, certificate })
    }

    /// What is asked of a client that asks for this host, or for none.
    fn gate_of(&self, name: Option<&str>) -> (ClientPolicy, Option<&Gate>) {
        let policy = name.map_or(ClientPolicy::NONE, |name| (self.policy_of.0)(name));
        let nth = usize::try_from(policy.0).ok().and_then(|nth| nth.checked_sub(1));
        match nth.and_then(|nth| self.gates.get(nth)) {
            Some(gate) => (policy, Some(gate)),
            None => (ClientPolicy::NONE, None),
        }
    }

    /// Counts what came to nothing. A client that was refused is read on until it knows: by TLS 1.3 it may have sent its
    /// request already.
    async fn turn_away(&self, failure: Failure, peer: Peer) {
        self.counters.tls_failures.inc();
        tracing::debug!(%peer, %failure, "a TLS handshake came to nothing");
        match failure {
            Failure::NoCertificate(io) | Failure::Certificate(_, io) => {
                self.counters.refused_client_certificates.inc();
                stream::end(*io).await;
            }
            Failure::LargeCertificates(_) => self.counters.refused_client_certificates.inc(),
            Failure::UnknownHost | Failure::Late | Failure::Broken(_) => {}
        }
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
