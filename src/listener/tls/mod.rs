//! TLS to clients: which certificate a host gets, what is asked of its clients, and the handshake.
//!
//! - [`certificate`]: a chain and its key, read from files and checked.
//! - [`shelf`]: certificates by the hosts that they are for.
//! - [`keeper`]: looks after the files, and puts what is new on the shelf.
//! - [`authorities`]: whose word counts for certificates of clients.
//! - [`gate`]: what is asked of clients before they are let in.
//! - [`tickets`]: session tickets by keys that nodes share.
//! - [`sessions`]: sessions that are remembered, each for one use, where early data is taken.
//! - `stream`: what a client says and is told, from its first message on; `opening`: before the end of its handshake.
//! - here: [`Front`], which shakes hands.

mod at_once;
pub mod authorities;
pub mod certificate;
pub mod gate;
pub mod keeper;
mod opening;
pub mod sessions;
pub mod shelf;
mod stream;
pub mod tickets;
mod watch;

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::{Accepted, AcceptedAlert, ProducesTickets};
use rustls::version::{TLS12, TLS13};
use rustls::{ServerConfig, ServerConnection, SupportedProtocolVersion};
use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, timeout_at};

use super::stream::{Socket, end};
use crate::base::clock::{Clock, Timestamp};
use crate::base::early::Early;
use crate::base::ids::ClientPolicy;
use crate::base::peer::Peer;
use crate::body::budget::Budget;
use crate::body::certificate::ClientCertificate;
use crate::telemetry::counters::Counters;
use authorities::{Authorities, AuthoritiesError};
use certificate::{CertificateError, Files};
use gate::{Asked, Configs, Gate, Maker};
use keeper::{Keeper, Named};
use opening::note_handshake;
use sessions::Sessions;
use shelf::Shelf;
use stream::{TlsStream, broken, hello, tell};
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// What can be shown.
    pub certificates: Vec<Named>,
    /// What is asked of clients, by policy. Of those of all others nothing is.
    pub policies: Vec<(ClientPolicy, Asked)>,
    /// The oldest version.
    pub minimum: MinimumVersion,
    /// Keys of session tickets: the first makes them, all take them. Without any, the process makes its own.
    pub ticket_keys: Vec<PathBuf>,
    /// How many sessions are remembered for listeners that take early data, if any does.
    pub early_data_sessions: Option<usize>,
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
    settings: Settings,
    keeper: Arc<Keeper>,
    shelf: Arc<Shelf>,
    maker: Maker,
    tickets: Ticketing,
    /// Sessions that are remembered, if early data is taken anywhere.
    sessions: Option<Arc<Sessions>>,
    /// For clients of whom nothing is asked.
    open: Configs,
    /// The same where their early data is taken, if it is anywhere.
    early: Option<Configs>,
    /// For those of the other policies.
    gates: Box<[(ClientPolicy, Gate)]>,
    policy_of: PolicyOf,
    timeout: Duration,
    counters: Arc<Counters>,
}

/// Who makes and takes tickets.
#[derive(Clone, Debug)]
struct Ticketing {
    by: Arc<dyn ProducesTickets>,
    /// The same, if the keys are those of files.
    files: Option<Arc<Tickets>>,
}

impl Ticketing {
    /// By the keys in these files, or by some that nobody else has. Blocking.
    fn by(files: Vec<PathBuf>, clock: Clock) -> Result<Self, TlsError> {
        if files.is_empty() {
            return Ok(Self { by: aws_lc_rs::Ticketer::new()?, files: None });
        }
        let tickets = Arc::new(Tickets::open(files, clock)?);
        Ok(Self { by: Arc::clone(&tickets) as _, files: Some(tickets) })
    }
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
    pub stream: TlsStream,
    /// Whether it chose HTTP/2.
    pub speaks_http2: bool,
    /// What was asked of it.
    pub policy: ClientPolicy,
    /// The certificate that it showed, if an origin is to be told of it.
    pub certificate: Option<Arc<ClientCertificate>>,
    /// Its handshake, if that goes on while the client is served: its early data was taken.
    pub early: Option<Early>,
}

/// What a client is offered on a listener.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offer {
    /// HTTP/2 beside HTTP/1.1.
    pub http2: bool,
    /// To take its early data, if nothing else is asked of it.
    pub early_data: bool,
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

/// Why a client's first message is answered by nothing but an alert.
enum Unanswered {
    UnknownHost,
    Refused(rustls::Error, AcceptedAlert),
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
    /// `clock`. `policy_of` tells of whom what is asked. Sessions that are remembered are charged to `budget`. Where the keys of
    /// tickets, or the number of sessions, are those of an `earlier` one, clients resume the sessions that it gave them. Blocking.
    pub fn new(
        settings: &Settings,
        policy_of: PolicyOf,
        counters: Arc<Counters>,
        budget: &Arc<Budget>,
        clock: Clock,
        earlier: Option<&Self>,
    ) -> Result<Self, TlsError> {
        let provider = Arc::new(provider());
        let keeper = Arc::new(Keeper::open(settings.certificates.clone(), Arc::clone(&provider))?);
        let shelf = Arc::clone(keeper.shelf());
        let maker = Maker { provider, minimum: settings.minimum, shelf: Arc::clone(&shelf) };
        let same_keys = earlier.filter(|earlier| earlier.settings.ticket_keys == settings.ticket_keys);
        let tickets = match same_keys {
            Some(earlier) => earlier.tickets.clone(),
            None => Ticketing::by(settings.ticket_keys.clone(), clock.clone())?,
        };
        let open = maker.open(Arc::clone(&tickets.by))?;
        let most = settings.early_data_sessions;
        let same_number = earlier.filter(|earlier| earlier.settings.early_data_sessions == most);
        let sessions = same_number.map_or_else(
            || {
                most.map(|most| {
                    let memory = budget.charge(sessions::COST.saturating_mul(most as u64));
                    Arc::new(Sessions::new(most, memory, clock))
                })
            },
            |earlier| earlier.sessions.clone(),
        );
        let early = sessions.clone().map(|sessions| maker.early(sessions)).transpose()?;
        let gate = |(policy, asked): &(ClientPolicy, Asked)| Ok((*policy, Gate::new(asked.clone(), &maker)?));
        let gates = settings.policies.iter().map(gate).collect::<Result<_, TlsError>>()?;
        let (timeout, settings) = (settings.handshake_timeout, settings.clone());
        Ok(Self {
            settings,
            keeper,
            shelf,
            maker,
            tickets,
            sessions,
            open,
            early,
            gates,
            policy_of,
            timeout,
            counters,
        })
    }

    /// What it was made of.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Who looks after the certificates.
    pub fn keeper(&self) -> &Arc<Keeper> {
        &self.keeper
    }

    /// Looks, at `now`, after all files: what has changed holds from the next handshake on. Blocking.
    pub fn look(&self, now: Timestamp) {
        self.keeper.look(now);
        for (_, gate) in &self.gates {
            gate.look(&self.maker);
        }
        if let Some(tickets) = &self.tickets.files {
            tickets.look();
        }
    }

    /// Whether what is in the files of keys of tickets cannot be used, if there are any.
    pub fn ticket_keys_are_refused(&self) -> Option<bool> {
        self.tickets.files.as_deref().map(Tickets::are_refused)
    }

    /// Shakes hands with a client, which may choose of what it is offered. Where its early data is taken, that goes on while it
    /// is served. `None`: nothing came of it, and the connection is closed. Dropped while it waits, the connection is closed.
    pub async fn accept(&self, io: Socket, peer: Peer, offer: Offer) -> Option<Shaken> {
        let deadline = Instant::now() + self.timeout;
        let shaken = timeout_at(deadline, self.shake_hands(io, offer, deadline)).await;
        match shaken.unwrap_or(Err(Failure::Late)) {
            Ok(shaken) => {
                if shaken.early.is_some() {
                    self.counters.tls_early_data.inc();
                } else {
                    note_handshake(&self.counters, shaken.stream.session().handshake_kind());
                }
                Some(shaken)
            }
            Err(failure) => {
                self.turn_away(failure, peer).await;
                None
            }
        }
    }

    async fn shake_hands(&self, io: Socket, offer: Offer, deadline: Instant) -> Result<Shaken, Failure> {
        let (accepted, mut io) = hello(io).await?;
        let (policy, session) = self.answer(accepted, offer);
        let mut stream = match session {
            Ok(session) => TlsStream::new(io, session),
            Err(Unanswered::UnknownHost) => {
                io.write_all(&UNRECOGNIZED_NAME).await?;
                io.shutdown().await?;
                return Err(Failure::UnknownHost);
            }
            Err(Unanswered::Refused(error, alert)) => {
                tell(&mut io, alert).await?;
                return Err(Failure::of(broken(error), io));
            }
        };
        let early = stream.takes_early_data().then(|| stream.open_early(deadline, &self.counters));
        if early.is_none() {
            stream = stream.shake().await.map_err(|(error, io)| Failure::of(error, io))?;
        }
        let session = stream.session();
        let speaks_http2 = session.alpn_protocol() == Some(HTTP2);
        let shown = self.gate(policy).map_or(Ok(None), |gate| gate.certificate(session));
        let certificate = shown.map_err(Failure::LargeCertificates)?.map(Arc::new);
        Ok(Shaken { stream, speaks_http2, policy, certificate, early })
    }

    /// What is asked of a client by its first message, and what it is answered.
    fn answer(
        &self,
        accepted: Accepted,
        offer: Offer,
    ) -> (ClientPolicy, Result<ServerConnection, Unanswered>) {
        let hello = accepted.client_hello();
        let name = hello.server_name();
        if !self.shelf.answers(name) {
            return (ClientPolicy::NONE, Err(Unanswered::UnknownHost));
        }
        let policy = self.policy(name);
        let configs = self.gate(policy).map_or_else(|| Arc::clone(self.open_to(offer)), Gate::configs);
        let [http1, both] = &*configs;
        let config: &Arc<ServerConfig> = if offer.http2 { both } else { http1 };
        let session = accepted.into_connection(Arc::clone(config)).map(|mut session| {
            session.set_buffer_limit(Some(MOST_ENCRYPTED));
            session
        });
        (policy, session.map_err(|(error, alert)| Unanswered::Refused(error, alert)))
    }

    /// How TLS is spoken with a client of whom nothing is asked.
    fn open_to(&self, offer: Offer) -> &Configs {
        self.early.as_ref().filter(|_| offer.early_data).unwrap_or(&self.open)
    }

    /// What is asked of a client that asks for this host, or for none.
    fn policy(&self, name: Option<&str>) -> ClientPolicy {
        let policy = name.map_or(ClientPolicy::NONE, |name| (self.policy_of.0)(name));
        if self.gate(policy).is_some() { policy } else { ClientPolicy::NONE }
    }

    /// The way in for clients of whom that is asked, if anything is.
    fn gate(&self, policy: ClientPolicy) -> Option<&Gate> {
        self.gates.iter().find_map(|(of, gate)| (*of == policy).then_some(gate))
    }

    /// Counts what came to nothing. A client that was refused is read on until it knows: by TLS 1.3 it may have sent its
    /// request already.
    async fn turn_away(&self, failure: Failure, peer: Peer) {
        self.counters.tls_failures.inc();
        tracing::debug!(%peer, %failure, "a TLS handshake came to nothing");
        match failure {
            Failure::NoCertificate(io) | Failure::Certificate(_, io) => {
                self.counters.refused_client_certificates.inc();
                end(*io).await;
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
