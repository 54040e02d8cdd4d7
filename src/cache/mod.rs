//! What is kept, and how it is found again.
//!
//! - [`key`]: which responses may stand for one another.
//! - [`object`]: a stored response: a head and its representation.
//! - [`memory`]: the first tier.
//! - [`markers`]: keys whose last answer was not for sharing (hit-for-miss).
//! - [`ledger`]: the order of purges.
//! - [`lookup`]: the question that a request asks, and its possible answers.

pub mod key;
pub mod ledger;
pub mod lookup;
pub mod markers;
pub mod memory;
pub mod object;

use std::time::Duration;

use http::HeaderMap;

use crate::base::clock::Timestamp;
use crate::base::ids::{Generation, Generations, Sequence};
use crate::semantics::vary::VarySet;
use key::Key;
use ledger::Ledger;
use lookup::{Hit, Lookup};
use markers::{Marker, Markers};
use memory::MemoryTier;
use object::Object;

/// Limits of the cache.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Bytes that the memory tier may hold, overhead counted.
    pub memory: u64,
    /// Most markers at a time.
    pub max_markers: u64,
    /// How long a marker lives.
    pub marker_life: Duration,
}

/// The tiers, the markers and the ledger of a node.
#[derive(Debug)]
pub struct Cache {
    memory: MemoryTier,
    markers: Markers,
    ledger: Ledger,
    generations: Generations,
}

impl Cache {
    /// An empty cache.
    pub fn new(settings: &Settings) -> Self {
        Self {
            memory: MemoryTier::new(settings.memory),
            markers: Markers::new(settings.max_markers, settings.marker_life),
            ledger: Ledger::default(),
            generations: Generations::default(),
        }
    }

    /// What the tiers know for a request with these fields. Memory only: takes no lock and never waits.
    pub fn lookup(&self, key: &Key, request: &HeaderMap, now: Timestamp) -> Lookup {
        lookup::lookup(&self.memory, key, request, now)
    }

    /// The names by which the known variants of `key` differ.
    pub fn known_vary(&self, key: &Key) -> std::sync::Arc<[VarySet]> {
        self.memory.known_vary(key)
    }

    /// Notes that answers for `key` vary by `set`, so that the next requests are grouped at once.
    pub fn note_vary(&self, key: &Key, set: &VarySet) {
        if !set.is_empty() {
            self.memory.note_vary(key, set);
        }
    }

    /// Makes `hit` visible to lookup; false if one with a later head is there. The tier may refuse it all the
    /// same: it keeps what is asked for most.
    pub fn store(&self, key: &Key, hit: &Hit) -> bool {
        self.memory.store(key, hit)
    }

    /// Takes `object` out, unless another one has taken its place.
    pub fn remove(&self, key: &Key, object: &Object) {
        self.memory.remove(key, object);
    }

    /// The marker on `key`, if it is still alive.
    pub fn marker(&self, key: &Key, now: Timestamp) -> Option<Marker> {
        self.markers.get(key, now)
    }

    /// Notes that answers for `key` are not for sharing.
    pub fn mark(&self, key: &Key, marker: Marker) {
        self.markers.put(key, marker);
    }

    /// The first answer that may be shared ends the marker.
    pub fn unmark(&self, key: &Key) {
        self.markers.remove(key);
    }

    /// The ledger's sequence now: what a fetch notes as `born` before its request leaves.
    pub fn sequence(&self) -> Sequence {
        self.ledger.now()
    }

    /// A generation for a new store.
    pub fn next_generation(&self) -> Generation {
        self.generations.next()
    }

    /// Bytes that the memory tier holds.
    pub fn memory_used(&self) -> u64 {
        self.memory.used()
    }
}
