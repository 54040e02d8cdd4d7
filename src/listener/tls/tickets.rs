//! Session tickets by keys that nodes share (RFC 5077, RFC 8446 §4.6.1), read from files.
//!
//! A ticket is the name of its key, a nonce, and what is sealed by the key: when it was made, and the session. Sealed by
//! AES-256-GCM-SIV (RFC 8452), because nodes that share a key know nothing of each other's nonces: a random one that comes
//! twice reveals that two tickets are the same, and nothing else. What is sealed is written as rustls writes it, which it may
//! change: keys are made for one series of it, so that nodes of another take such a ticket for one of nobody's.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use parking_lot::{Mutex, RwLock};
use rustls::server::ProducesTickets;

use super::TlsError;
use super::watch::Watch;
use crate::base::clock::{Clock, Timestamp};

/// The bytes of a file with a key, as nginx has them for its own.
const FILE: usize = 80;

/// Of that many random bytes, fewer are different by no chance; of what somebody typed, or wrote as hexadecimal digits, they
/// are.
const LEAST_DIFFERENT: usize = 32;

/// The bytes of a key's name in its tickets.
const NAME: usize = 16;

/// The bytes in which a ticket says when it was made.
const TIME: usize = size_of::<u64>();

/// How old a ticket may be, however long its key stays: what rustls does where the keys are its own.
const LIFE: Duration = Duration::from_hours(12);

/// How far the clock of a node may be ahead of another's.
const MOST_AHEAD: Duration = Duration::from_mins(10);

/// Why a file cannot be used as a key of tickets.
#[derive(Debug, thiserror::Error)]
pub enum TicketKeyError {
    /// It cannot be read.
    #[error("the key of tickets cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    /// It has more bytes, or fewer.
    #[error(
        "a key of tickets has {FILE} random bytes and nothing else: openssl rand -out FILE {FILE} makes one"
    )]
    Length,
    /// They are not random.
    #[error("the bytes of the key of tickets are not random: openssl rand -out FILE {FILE} makes one")]
    Guessable,
    /// The library refuses it.
    #[error("the key of tickets cannot be used")]
    Library,
}

/// A key that seals sessions, and opens what was sealed by it on whichever node.
pub struct TicketKey {
    name: [u8; NAME],
    sealing: RandomizedNonceKey,
}

impl fmt::Debug for TicketKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TicketKey").finish_non_exhaustive()
    }
}

impl TicketKey {
    /// Reads one from a file. Blocking.
    pub fn read(file: &Path) -> Result<Self, TicketKeyError> {
        // Of a pipe nobody knows when it would end.
        if !fs::metadata(file)?.is_file() {
            return Err(io::Error::other("it is no regular file").into());
        }
        let mut secret = Vec::with_capacity(FILE + 1);
        File::open(file)?.take(FILE as u64 + 1).read_to_end(&mut secret)?;
        Self::new(&secret)
    }

    /// One that is made of these bytes. Its name is too, and tells nothing of them.
    pub fn new(secret: &[u8]) -> Result<Self, TicketKeyError> {
        if secret.len() != FILE {
            return Err(TicketKeyError::Length);
        }
        let mut different = secret.to_vec();
        different.sort_unstable();
        different.dedup();
        if different.len() < LEAST_DIFFERENT {
            return Err(TicketKeyError::Guessable);
        }
        let mut name = [0; NAME];
        blake3::Hasher::new_derive_key("forebay session tickets: name of a key, rustls 0.23")
            .update(secret)
            .finalize_xof()
            .fill(&mut name);
        let key = blake3::derive_key("forebay session tickets: AES-256-GCM-SIV, rustls 0.23", secret);
        let sealing = RandomizedNonceKey::new(&AES_256_GCM_SIV, &key).map_err(|_| TicketKeyError::Library)?;
        Ok(Self { name, sealing })
    }

    /// A ticket for a session, made `now`.
    fn seal(&self, session: &[u8], now: Timestamp) -> Option<Vec<u8>> {
        let mut sealed = [&now.as_secs().to_be_bytes(), session].concat();
        let nonce = self.sealing.seal_in_place_append_tag(Aad::from(&self.name), &mut sealed).ok()?;
        Some([&self.name, &nonce.as_ref()[..], &sealed].concat())
    }

    /// When the session of a ticket was sealed, and the session.
    fn open(&self, ticket: &[u8]) -> Option<(Timestamp, Vec<u8>)> {
        let (nonce, sealed) = ticket.strip_prefix(&self.name)?.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut sealed = sealed.to_vec();
        let opened = self.sealing.open_in_place(nonce, Aad::from(&self.name), &mut sealed).ok()?;
        let (made, session) = opened.split_first_chunk::<TIME>()?;
        Some((Timestamp::from_secs(u64::from_be_bytes(*made)), session.to_vec()))
    }
}

/// Keys of which the first makes tickets, and each is good for those that it made.
#[derive(Clone, Debug)]
pub struct TicketKeys(Arc<[TicketKey]>);

impl TicketKeys {
    /// In their order.
    pub fn new(keys: Vec<TicketKey>) -> Self {
        Self(keys.into())
    }

    /// A ticket for a session, made `now`; none, if there is no key.
    pub fn seal(&self, session: &[u8], now: Timestamp) -> Option<Vec<u8>> {
        self.0.first()?.seal(session, now)
    }

    /// The session of a ticket that one of them made, unless it is too old `now`. Whatever else comes is none.
    pub fn open(&self, ticket: &[u8], now: Timestamp) -> Option<Vec<u8>> {
        let (made, session) = self.0.iter().find_map(|key| key.open(ticket))?;
        // The clock of the node that made it may be ahead of ours, but not by much.
        let fits = now.since(made) <= LIFE && made.since(now) <= MOST_AHEAD;
        fits.then_some(session)
    }
}

/// Makes and takes tickets by the keys that are in files now.
#[derive(Debug)]
pub(super) struct Tickets {
    files: Vec<PathBuf>,
    keys: RwLock<TicketKeys>,
    /// Held while files are read, which may take long: by those who look, and nobody else.
    watch: Mutex<Watch>,
    /// What is in the files could not be used at the last look.
    is_refused: AtomicBool,
    clock: Clock,
}

impl Tickets {
    /// Reads all keys. Blocking.
    pub(super) fn open(files: Vec<PathBuf>, clock: Clock) -> Result<Self, TlsError> {
        let watch = Mutex::new(Watch::new(files.clone()));
        let keys = read(&files).map_err(|Unusable { file, error }| TlsError::TicketKey { file, error })?;
        Ok(Self { files, keys: RwLock::new(keys), watch, is_refused: AtomicBool::new(false), clock })
    }

    /// Reads anew what has changed, or could not be used at the last look. Blocking.
    pub(super) fn look(&self) {
        let tell = |Unusable { file, error }: &Unusable| {
            tracing::warn!(file = %file.display(), %error, "keys of tickets cannot be replaced; the old ones are used");
        };
        let mut watch = self.watch.lock();
        let keys = watch.look(|| read(&self.files), tell);
        self.is_refused.store(watch.is_refused(), Ordering::Relaxed);
        drop(watch);
        if let Some(keys) = keys {
            tracing::info!("the keys of tickets were read anew");
            *self.keys.write() = keys;
        }
    }

    /// Whether what was in the files at the last look cannot be used.
    pub(super) fn are_refused(&self) -> bool {
        self.is_refused.load(Ordering::Relaxed)
    }

    fn now(&self) -> TicketKeys {
        self.keys.read().clone()
    }
}

impl ProducesTickets for Tickets {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        u32::try_from(LIFE.as_secs()).unwrap_or(u32::MAX)
    }

    fn encrypt(&self, session: &[u8]) -> Option<Vec<u8>> {
        self.now().seal(session, self.clock.now())
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        self.now().open(ticket, self.clock.now())
    }
}

/// A file that is no key, and why.
struct Unusable {
    file: PathBuf,
    error: TicketKeyError,
}

fn read(files: &[PathBuf]) -> Result<TicketKeys, Unusable> {
    let read = |file: &PathBuf| TicketKey::read(file).map_err(|error| Unusable { file: file.clone(), error });
    files.iter().map(read).collect::<Result<_, _>>().map(TicketKeys::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

    fn secret(seed: u64) -> Vec<u8> {
        let mut rng = fastrand::Rng::with_seed(seed);
        std::iter::repeat_with(|| rng.u8(..)).take(FILE).collect()
    }

    fn keys(seeds: &[u64]) -> TicketKeys {
        TicketKeys::new(seeds.iter().map(|seed| TicketKey::new(&secret(*seed)).expect("a key")).collect())
    }

    #[test]
    fn a_ticket_is_opened_by_whoever_has_its_key_and_sealed_by_the_first() {
        let (one, rotated, other) = (keys(&[1]), keys(&[2, 1]), keys(&[2]));
        let ticket = one.seal(b"session", NOW).expect("a ticket");
        assert_eq!(one.open(&ticket, NOW).as_deref(), Some(&b"session"[..]));
        assert_eq!(rotated.open(&ticket, NOW).as_deref(), Some(&b"session"[..]));
        assert_eq!(other.open(&ticket, NOW), None);
        let ticket = rotated.seal(b"session", NOW).expect("a ticket");
        assert!(other.open(&ticket, NOW).is_some() && one.open(&ticket, NOW).is_none());
        assert_ne!(ticket, rotated.seal(b"session", NOW).expect("a ticket"), "no two are the same");
    }

    #[test]
    fn nothing_of_the_session_or_the_key_is_in_a_ticket_and_none_that_was_changed_is_opened() {
        let keys = keys(&[1]);
        let ticket = keys.seal(b"a session to be kept", NOW).expect("a ticket");
        let holds = |part: &[u8]| ticket.windows(part.len()).any(|window| window == part);
        assert!(!holds(b"session") && !secret(1).windows(4).any(holds));
        for at in 0..ticket.len() {
            let mut changed = ticket.clone();
            changed[at] ^= 1;
            assert_eq!(keys.open(&changed, NOW), None, "byte {at}");
            assert_eq!(keys.open(&ticket[..at], NOW), None, "{at} bytes");
        }
        assert_eq!(keys.open(&[&ticket[..], b"x"].concat(), NOW), None);
    }

    #[test]
    fn an_old_ticket_is_none_and_one_of_a_node_whose_clock_is_ahead_is() {
        let keys = keys(&[1]);
        let ticket = keys.seal(b"session", NOW).expect("a ticket");
        assert!(keys.open(&ticket, NOW.plus(LIFE)).is_some());
        assert!(keys.open(&ticket, NOW.plus(LIFE + Duration::from_secs(1))).is_none());
        assert!(keys.open(&ticket, Timestamp::from_secs(NOW.as_secs() - 60)).is_some());
        assert!(
            keys.open(&ticket, Timestamp::from_secs(NOW.as_secs() - 3_600)).is_none(),
            "it would never be old"
        );
    }

    #[test]
    fn a_pipe_is_no_key_and_nobody_waits_for_it() {
        let directory = tempfile::tempdir().expect("a directory");
        let pipe = directory.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo");
        assert!(made.success());
        assert!(matches!(TicketKey::read(&pipe), Err(TicketKeyError::Unreadable(_))));
    }

    #[test]
    fn only_random_bytes_of_the_right_number_are_a_key() {
        let refused = |secret: &[u8]| TicketKey::new(secret).map(drop).expect_err("refused").to_string();
        for length in [0, 48, FILE - 1, FILE + 1] {
            assert!(refused(&secret(1).repeat(2)[..length]).contains("80 random bytes"), "{length}");
        }
        for guessable in [&[0; FILE][..], b"0123456789abcdef".repeat(5).as_slice()] {
            assert!(refused(guessable).contains("not random"));
        }
        for seed in 0..2000 {
            assert!(TicketKey::new(&secret(seed)).is_ok(), "{seed}");
        }
    }
}
