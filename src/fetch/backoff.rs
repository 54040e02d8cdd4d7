//! Slots whose refresh has failed of late: it is tried again after a pause that grows, and not by every request.

use std::time::Duration;

use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use crate::base::clock::Timestamp;
use crate::cache::key::KeyHash;

/// The most slots that are remembered; the least recently used is forgotten first.
const MOST: u64 = 65_536;

/// Which slots are not to be refreshed before when. Cloning shares it.
#[derive(Clone, Debug)]
pub(super) struct Backoff {
    resting: Cache<KeyHash, Rest>,
}

#[derive(Clone, Copy, Debug)]
struct Rest {
    failures: u32,
    until: Timestamp,
}

impl Backoff {
    /// Nothing rests.
    pub(super) fn new() -> Self {
        let resting = Cache::builder().max_capacity(MOST).eviction_policy(EvictionPolicy::lru()).build();
        Self { resting }
    }

    /// Whether it is not to be tried now.
    pub(super) fn rests(&self, slot: KeyHash, now: Timestamp) -> bool {
        self.resting.get(&slot).is_some_and(|rest| now < rest.until)
    }

    /// How often it has failed in a row, and until when it rests; `None` if nothing is known against it.
    pub(super) fn rest(&self, slot: KeyHash) -> Option<(u32, Timestamp)> {
        self.resting.get(&slot).map(|rest| (rest.failures, rest.until))
    }

    /// Rests for `first` after one failure, for twice that after another in a row, and so on up to `longest`.
    pub(super) fn failed(&self, slot: KeyHash, (first, longest): (Duration, Duration), now: Timestamp) {
        let failures = self.resting.get(&slot).map_or(0, |rest| rest.failures);
        let pause = first.saturating_mul(1_u32.checked_shl(failures).unwrap_or(u32::MAX)).min(longest);
        let rest = Rest { failures: failures.saturating_add(1), until: now.plus(pause) };
        self.resting.insert(slot, rest);
    }

    pub(super) fn succeeded(&self, slot: KeyHash) {
        if self.resting.contains_key(&slot) {
            self.resting.invalidate(&slot);
        }
    }
}

#[cfg(test)]
mod tests {
    use http::uri::Scheme;

    use super::*;
    use crate::base::ids::{KeyRules, SiteId};
    use crate::cache::key::{Key, KeyParts};

    fn slot(target: &str) -> KeyHash {
        let parts = KeyParts {
            site: SiteId(1),
            rules: KeyRules(1),
            scheme: &Scheme::HTTP,
            host: "a.example",
            target: &target.parse().expect("a target"),
            arm: "",
        };
        Key::new(&parts).hash()
    }

    #[test]
    fn pauses_double_up_to_the_longest_and_end_with_a_success() {
        let (backoff, pauses) = (Backoff::new(), (Duration::from_secs(1), Duration::from_secs(5)));
        let (one, other) = (slot("/a"), slot("/b"));
        let mut now = Timestamp::from_secs(1000);
        assert!(!backoff.rests(one, now));
        for pause in [1, 2, 4, 5, 5] {
            backoff.failed(one, pauses, now);
            let end = now.plus(Duration::from_secs(pause));
            assert!(backoff.rests(one, Timestamp::from_millis(end.as_millis() - 1)));
            assert!(!backoff.rests(one, end), "{pause}");
            now = end;
        }
        assert_eq!(backoff.rest(one), Some((5, now)));
        assert!(!backoff.rests(other, now));
        backoff.succeeded(one);
        assert_eq!(backoff.rest(one), None);
    }

    #[test]
    fn no_number_of_failures_overflows() {
        let backoff = Backoff::new();
        let now = Timestamp::from_secs(1000);
        for _ in 0..100 {
            backoff.failed(slot("/a"), (Duration::MAX, Duration::MAX), now);
        }
        assert!(backoff.rests(slot("/a"), now));
    }
}
