//! Hit-for-miss: keys whose last answer was not for sharing, so that requests for them do not wait for each
//! other.
//!
//! Markers live outside the memory tier, whose policy may refuse a newcomer; they are bounded in number (the
//! least recently used goes first) and in life.

use std::time::Duration;

use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use super::key::{Key, KeyHash};
use super::short_hash::{BuildShortHasher, ShortHash};
use crate::base::clock::Timestamp;
use crate::base::ids::Sequence;

/// The part of its life for which a marker is not left anew, although each answer for a URL would leave one. So it may end
/// by so much earlier.
const UNREPEATED: u32 = 16;

/// Why a key is marked, and since when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marker {
    /// The sequence at which the fetch was born that left it: markers obey the ledger as objects do.
    pub born: Sequence,
    /// When it was left.
    pub since: Timestamp,
    /// Why the answer was not for sharing.
    pub reason: &'static str,
}

#[derive(Debug)]
pub(super) struct Markers {
    marked: Cache<ShortHash<KeyHash>, Marker, BuildShortHasher>,
    life: Duration,
}

impl Markers {
    pub(super) fn new(max: u64, life: Duration) -> Self {
        let marked = Cache::builder()
            .max_capacity(max)
            .eviction_policy(EvictionPolicy::lru())
            .build_with_hasher(BuildShortHasher);
        Self { marked, life }
    }

    pub(super) fn get(&self, key: &Key, now: Timestamp) -> Option<Marker> {
        self.marked.get(&ShortHash(key.hash())).filter(|marker| now.since(marker.since) < self.life)
    }

    /// How many there are, also of those whose life is over.
    pub(super) fn count(&self) -> u64 {
        self.marked.entry_count()
    }

    pub(super) fn put(&self, key: &Key, marker: Marker) {
        self.marked.insert(ShortHash(key.hash()), marker);
    }

    /// Whether `marker` says nothing that `there`, which is alive, does not say for nearly as long.
    pub(super) fn is_repeated(&self, there: &Marker, marker: &Marker) -> bool {
        // One that lies in the future is from before the clock was put back.
        there.reason == marker.reason
            && there.since <= marker.since
            && marker.since.since(there.since) < self.life / UNREPEATED
    }

    pub(super) fn clear(&self) {
        self.marked.invalidate_all();
    }

    pub(super) fn remove(&self, key: &Key) {
        self.marked.invalidate(&ShortHash(key.hash()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_is_left_anew_unless_a_like_one_is_young() {
        let markers = Markers::new(10, Duration::from_secs(160));
        let at = |seconds: u64, reason| Marker {
            born: Sequence::default(),
            since: Timestamp::from_secs(1_000 + seconds),
            reason,
        };
        let there = at(0, "private");
        assert!(markers.is_repeated(&there, &at(0, "private")));
        assert!(markers.is_repeated(&there, &at(9, "private")));
        assert!(!markers.is_repeated(&there, &at(10, "private")), "it would end too early");
        assert!(!markers.is_repeated(&there, &at(1, "no-store")), "it says something else");
        assert!(!markers.is_repeated(&at(1, "private"), &there), "the clock was put back");
    }
}
