//! Keys whose origin has failed of late: they are tried again after a pause that grows, and not by every request.

use std::time::Duration;

use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use crate::base::clock::Timestamp;
use crate::cache::key::{Key, KeyHash};

/// The most keys that are remembered; the least recently used is forgotten first.
const MOST: u64 = 65_536;

/// Which keys are not to be tried before when. Cloning shares it.
#[derive(Clone, Debug)]
pub(super) struct Backoff {
    resting: Cache<KeyHash, Rest>,
    first: Duration,
    longest: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Rest {
    failures: u32,
    until: Timestamp,
}

/// How a key stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Nothing is known against it.
    Well,
    /// It has failed, and is not to be tried now.
    Resting,
    /// It has failed, and may be tried again.
    Due,
}

impl Backoff {
    /// Pauses of `first` after one failure, twice that after another in a row, and so on up to `longest`.
    pub(super) fn new(first: Duration, longest: Duration) -> Self {
        let resting = Cache::builder().max_capacity(MOST).eviction_policy(EvictionPolicy::lru()).build();
        Self { resting, first, longest }
    }

    pub(super) fn standing(&self, key: &Key, now: Timestamp) -> Standing {
        match self.resting.get(&key.hash()) {
            None => Standing::Well,
            Some(rest) if now < rest.until => Standing::Resting,
            Some(_) => Standing::Due,
        }
    }

    /// How often a key has failed in a row, and until when it rests; `None` if nothing is known against it.
    pub(super) fn rest(&self, key: &Key) -> Option<(u32, Timestamp)> {
        self.resting.get(&key.hash()).map(|rest| (rest.failures, rest.until))
    }

    pub(super) fn failed(&self, key: &Key, now: Timestamp) {
        let failures = self.resting.get(&key.hash()).map_or(0, |rest| rest.failures);
        let pause =
            self.first.saturating_mul(1_u32.checked_shl(failures).unwrap_or(u32::MAX)).min(self.longest);
        let rest = Rest { failures: failures.saturating_add(1), until: now.plus(pause) };
        self.resting.insert(key.hash(), rest);
    }

    pub(super) fn succeeded(&self, key: &Key) {
        if self.resting.contains_key(&key.hash()) {
            self.resting.invalidate(&key.hash());
        }
    }
}

#[cfg(test)]
mod tests {
    use http::uri::Scheme;

    use super::*;
    use crate::base::ids::{KeyRules, SiteId};
    use crate::cache::key::KeyParts;

    fn key(target: &str) -> Key {
        Key::new(&KeyParts {
            site: SiteId(1),
            rules: KeyRules(1),
            scheme: &Scheme::HTTP,
            host: "a.example",
            target: &target.parse().expect("a target"),
            arm: "",
        })
    }

    #[test]
    fn pauses_double_up_to_the_longest_and_end_with_a_success() {
        let backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(5));
        let (key, other) = (key("/a"), key("/b"));
        let mut now = Timestamp::from_secs(1000);
        assert_eq!(backoff.standing(&key, now), Standing::Well);
        for pause in [1, 2, 4, 5, 5] {
            backoff.failed(&key, now);
            let end = now.plus(Duration::from_secs(pause));
            let before = Timestamp::from_millis(end.as_millis() - 1);
            assert_eq!(backoff.standing(&key, before), Standing::Resting);
            assert_eq!(backoff.standing(&key, end), Standing::Due, "{pause}");
            now = end;
        }
        assert_eq!(backoff.standing(&other, now), Standing::Well);
        backoff.succeeded(&key);
        assert_eq!(backoff.standing(&key, now), Standing::Well);
    }

    #[test]
    fn no_number_of_failures_overflows() {
        let backoff = Backoff::new(Duration::MAX, Duration::MAX);
        let now = Timestamp::from_secs(1000);
        for _ in 0..100 {
            backoff.failed(&key("/a"), now);
        }
        assert_eq!(backoff.standing(&key("/a"), now), Standing::Resting);
    }
}
