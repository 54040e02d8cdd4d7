//! Sessions that are remembered here, where early data is taken: each serves once, and in this process alone. That is what
//! keeps a replay from being taken (RFC 8446 §8.1): at any other node, after a restart, and after the first use, the session
//! is unknown, and so is what was sent early.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::time::Duration;

use parking_lot::Mutex;
use rustls::server::StoresServerSessions;

use crate::base::clock::{Clock, Timestamp};
use crate::body::budget::Charge;

/// What one takes with all that it takes to find it.
pub const COST: u64 = 640;

/// Parts with a lock of their own, by the first byte of a session's name, which is random.
const SHARDS: usize = 16;

/// The bytes of a session's name.
const NAME: usize = 32;

/// The most bytes of one. They have a secret, what was agreed on, and the host.
const LARGEST: usize = 400;

/// For how long one is good, as a ticket is.
const LIFE: Duration = Duration::from_hours(12);

type Name = [u8; NAME];

/// The sessions that were made last, up to a number.
pub(super) struct Sessions {
    shards: [Mutex<Shard>; SHARDS],
    /// Of each shard.
    most: usize,
    clock: Clock,
    _memory: Charge,
}

#[derive(Default)]
struct Shard {
    sessions: HashMap<Name, Session>,
    /// In the order in which they came; those that were used since among them.
    order: VecDeque<Name>,
}

struct Session {
    made: Timestamp,
    secret: Box<[u8]>,
}

impl fmt::Debug for Sessions {
    /// Says nothing of what is in them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions").field("most", &(self.most * SHARDS)).finish_non_exhaustive()
    }
}

impl Sessions {
    /// Room for `most` of them, for which `memory` was charged, whose age is told by `clock`.
    pub(super) fn new(most: usize, memory: Charge, clock: Clock) -> Self {
        let shards = std::array::from_fn(|_| Mutex::default());
        Self { shards, most: most.div_ceil(SHARDS), clock, _memory: memory }
    }

    fn shard(&self, name: &Name) -> Option<&Mutex<Shard>> {
        let [first, ..] = name;
        self.shards.get(usize::from(*first) % SHARDS)
    }

    /// The one of this name, as far as it is good, of which `find` says what becomes of it.
    fn good(&self, name: &[u8], find: impl FnOnce(&mut Shard, &Name) -> Option<Session>) -> Option<Vec<u8>> {
        let name = name.try_into().ok()?;
        let session = find(&mut self.shard(name)?.lock(), name)?;
        (self.clock.now().since(session.made) <= LIFE).then(|| session.secret.into_vec())
    }
}

impl Shard {
    fn put(&mut self, name: Name, session: Session, most: usize) {
        while self.order.len() >= most
            && let Some(oldest) = self.order.pop_front()
        {
            self.sessions.remove(&oldest);
        }
        self.order.push_back(name);
        self.sessions.insert(name, session);
    }
}

impl StoresServerSessions for Sessions {
    fn put(&self, name: Vec<u8>, secret: Vec<u8>) -> bool {
        let Ok(name) = Name::try_from(name) else { return false };
        let Some(shard) = self.shard(&name).filter(|_| secret.len() <= LARGEST) else { return false };
        let session = Session { made: self.clock.now(), secret: secret.into() };
        shard.lock().put(name, session, self.most);
        true
    }

    /// For TLS 1.2, which has no early data: one may serve again.
    fn get(&self, name: &[u8]) -> Option<Vec<u8>> {
        let copy = |session: &Session| Session { made: session.made, secret: session.secret.clone() };
        self.good(name, |shard, name| shard.sessions.get(name).map(copy))
    }

    /// For TLS 1.3: nobody has it afterwards.
    fn take(&self, name: &[u8]) -> Option<Vec<u8>> {
        self.good(name, |shard, name| shard.sessions.remove(name))
    }

    fn can_cache(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::budget::Budget;

    fn sessions(most: usize) -> (Sessions, Clock) {
        let clock = Clock::manual(Timestamp::from_secs(1_800_000_000));
        let budget = Budget::new(1 << 20);
        (Sessions::new(most, budget.charge(most as u64 * COST), clock.clone()), clock)
    }

    fn name(nth: u8, shard: u8) -> Vec<u8> {
        let mut name = [nth; NAME];
        name[0] = shard;
        name.to_vec()
    }

    #[test]
    fn each_is_taken_once() {
        let (sessions, _) = sessions(64);
        assert!(sessions.put(name(1, 0), b"one".to_vec()) && sessions.put(name(2, 0), b"two".to_vec()));
        assert_eq!(sessions.get(&name(1, 0)).as_deref(), Some(&b"one"[..]));
        assert_eq!(sessions.take(&name(1, 0)).as_deref(), Some(&b"one"[..]));
        assert_eq!((sessions.take(&name(1, 0)), sessions.get(&name(1, 0))), (None, None));
        assert_eq!(sessions.take(&name(2, 0)).as_deref(), Some(&b"two"[..]));
        assert_eq!(sessions.take(b"too short"), None);
    }

    #[test]
    fn the_oldest_make_room_and_what_was_used_takes_none_for_ever() {
        let (sessions, _) = sessions(4 * SHARDS);
        for nth in 0..100 {
            assert!(sessions.put(name(nth, 3), vec![nth]));
            if nth % 2 == 0 {
                assert!(sessions.take(&name(nth, 3)).is_some());
            }
        }
        assert_eq!(sessions.get(&name(95, 3)), None);
        assert_eq!(
            (sessions.get(&name(97, 3)), sessions.get(&name(99, 3))),
            (Some(vec![97]), Some(vec![99]))
        );
        let shard = sessions.shards[3].lock();
        assert!(shard.order.len() <= 4 && shard.sessions.len() <= 4);
    }

    #[test]
    fn an_old_one_is_none() {
        let (sessions, clock) = sessions(64);
        for nth in [1, 2] {
            assert!(sessions.put(name(nth, 0), vec![nth]));
        }
        clock.advance(LIFE);
        assert!(sessions.take(&name(1, 0)).is_some());
        clock.advance(Duration::from_secs(1));
        assert_eq!((sessions.get(&name(2, 0)), sessions.take(&name(2, 0))), (None, None));
    }

    #[test]
    fn what_takes_more_than_was_charged_is_not_kept() {
        let (sessions, _) = sessions(64);
        assert!(sessions.put(name(1, 0), vec![0; LARGEST]));
        assert!(!sessions.put(name(2, 0), vec![0; LARGEST + 1]) && !sessions.put(b"short".to_vec(), vec![0]));
    }
}
