//! The addresses of hosts: asked of the system, kept for a while, and never waited for twice.

use std::fmt::Debug;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;

/// The first pause after a lookup that failed; doubled each time, up to the time between two lookups.
const PAUSE: Duration = Duration::from_secs(1);

/// What the system's resolver needs of a stack.
const STACK: usize = 256 << 10;

/// A lookup under way.
pub type Resolving = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>>;

/// Looks up names. A trait, so that tests can say what a name stands for.
pub trait Resolve: Debug + Send + Sync {
    /// The addresses of `authority` (`host:port`), the ones to try first in front.
    fn resolve(&self, authority: &str) -> Resolving;
}

/// The system's resolver. It can take long and cannot be interrupted, so that each lookup has a thread of its own,
/// rather than one of the few that read files for a worker.
#[derive(Clone, Copy, Debug, Default)]
pub struct System;

impl Resolve for System {
    fn resolve(&self, authority: &str) -> Resolving {
        let authority = authority.to_owned();
        Box::pin(async move {
            let (tell, told) = oneshot::channel();
            let look_up = move || {
                let _ = tell.send(authority.to_socket_addrs().map(Iterator::collect));
            };
            std::thread::Builder::new().name("resolve".into()).stack_size(STACK).spawn(look_up)?;
            told.await.map_err(|_| io::Error::other("the lookup was ended"))?
        })
    }
}

/// An error of name resolution.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the name could not be resolved: {0}")]
pub(super) struct Unresolved(String);

/// The addresses of one endpoint's host.
///
/// There is at most one lookup at a time. As long as there are addresses, they are used, and a lookup that is due
/// goes on beside; one that fails leaves them as they are. Without any, requests wait for the lookup, and its
/// failure is remembered for a pause that grows, so that a dead resolver does not cost each of them its time.
#[derive(Debug)]
pub(super) struct Names {
    authority: String,
    every: Duration,
    patience: Duration,
    known: Mutex<Known>,
    /// Changes when a lookup ends.
    ended: watch::Sender<()>,
}

#[derive(Debug)]
struct Known {
    addresses: Arc<[SocketAddr]>,
    failure: Option<(io::ErrorKind, Unresolved)>,
    /// When the next lookup may begin; `None`: there was none yet.
    due: Option<Instant>,
    pause: Duration,
    looking_since: Option<Instant>,
}

impl Names {
    /// The names of `authority` (`host:port`), looked up again after `every`. Nobody waits longer than `patience`
    /// for one lookup.
    pub(super) fn new(authority: &str, every: Duration, patience: Duration) -> Self {
        // An address stands for itself.
        let fixed: Option<SocketAddr> = authority.parse().ok();
        let known = Known {
            addresses: fixed.into_iter().collect(),
            failure: None,
            due: None,
            pause: PAUSE,
            looking_since: None,
        };
        let every = if fixed.is_some() { Duration::MAX } else { every };
        Self {
            authority: authority.to_owned(),
            every,
            patience,
            known: Mutex::new(known),
            ended: watch::Sender::new(()),
        }
    }

    /// The addresses, in the order in which they are to be tried. Cancel-safe: a lookup goes on for the others.
    pub(super) async fn addresses(self: &Arc<Self>, resolver: &dyn Resolve) -> io::Result<Arc<[SocketAddr]>> {
        loop {
            // Before looking, so that an end in between is not missed.
            let mut ended = self.ended.subscribe();
            if let Some(answer) = self.look(resolver) {
                return answer;
            }
            if tokio::time::timeout(self.patience, ended.changed()).await.is_err() {
                return Err(unanswered());
            }
        }
    }

    /// Whether `address` is one of the host's, as far as is known. Begins a lookup if one is due: connections that
    /// never idle for long would otherwise go on to where the host was.
    pub(super) fn has(self: &Arc<Self>, address: SocketAddr, resolver: &dyn Resolve) -> bool {
        match self.look(resolver) {
            Some(Ok(addresses)) => addresses.contains(&address),
            _ => true,
        }
    }

    /// What is known, if it is enough to go on; begins a lookup if one is due.
    fn look(self: &Arc<Self>, resolver: &dyn Resolve) -> Option<io::Result<Arc<[SocketAddr]>>> {
        let mut known = self.known.lock();
        if self.every == Duration::MAX {
            return Some(Ok(Arc::clone(&known.addresses)));
        }
        let now = Instant::now();
        let waits_since = known.looking_since;
        let begins = waits_since.is_none() && known.due.is_none_or(|due| due <= now);
        if begins {
            known.looking_since = Some(now);
        }
        let answer = if !known.addresses.is_empty() {
            Some(Ok(Arc::clone(&known.addresses)))
        } else if waits_since.is_some_and(|since| now.duration_since(since) >= self.patience) {
            Some(Err(unanswered()))
        } else if begins || waits_since.is_some() {
            None
        } else {
            known.failure.clone().map(|(kind, failure)| Err(io::Error::new(kind, failure)))
        };
        drop(known);
        if begins {
            // In a task of its own: whoever began it may leave.
            let under_way = UnderWay { names: Arc::clone(self), ended: None };
            let resolving = resolver.resolve(&self.authority);
            tokio::spawn(under_way.finish(resolving));
        }
        answer
    }

    fn learn(&self, looked_up: io::Result<Vec<SocketAddr>>) {
        let mut known = self.known.lock();
        let found = looked_up.and_then(|addresses| {
            if addresses.is_empty() { Err(io::Error::other("it has no addresses")) } else { Ok(addresses) }
        });
        let pause = match found {
            Ok(addresses) => {
                let addresses = by_turns(addresses);
                if *known.addresses != *addresses {
                    tracing::debug!(host = self.authority, ?addresses, "a name stands for new addresses");
                }
                known.addresses = addresses.into();
                known.failure = None;
                known.pause = PAUSE;
                self.every
            }
            Err(error) => {
                tracing::warn!(
                    host = self.authority, %error, kept = known.addresses.len(),
                    "an origin's name could not be resolved"
                );
                known.failure = Some((error.kind(), Unresolved(error.to_string())));
                let pause = known.pause;
                known.pause = (pause * 2).min(self.every.max(PAUSE));
                pause
            }
        };
        known.due = Some(Instant::now() + pause);
    }
}

/// A lookup that is under way until this is dropped, which happens even if the runtime ends.
struct UnderWay {
    names: Arc<Names>,
    ended: Option<io::Result<Vec<SocketAddr>>>,
}

impl UnderWay {
    async fn finish(mut self, resolving: Resolving) {
        self.ended = Some(resolving.await);
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        if let Some(looked_up) = self.ended.take() {
            self.names.learn(looked_up);
        }
        self.names.known.lock().looking_since = None;
        self.names.ended.send_replace(());
    }
}

fn unanswered() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, Unresolved("the resolver does not answer".into()))
}

/// The same addresses, the families by turns, so that a family without a route costs one attempt (RFC 8305 §4).
fn by_turns(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first_is_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|address| address.is_ipv6() == first_is_v6);
    let mut ordered = Vec::with_capacity(first.len() + second.len());
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    loop {
        let pair = [first.next(), second.next()];
        if pair.iter().all(Option::is_none) {
            return ordered;
        }
        for address in pair.into_iter().flatten() {
            if !ordered.contains(&address) {
                ordered.push(address);
            }
        }
    }
}

#[cfg(test)]
#[path = "resolve/tests.rs"]
mod tests;
