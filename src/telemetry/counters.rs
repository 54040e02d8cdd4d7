//! Counters of decisions. Each has the name of the decision that it counts.

use std::sync::atomic::{AtomicU64, Ordering};

/// A number that only goes up.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// One more.
    pub fn inc(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// How many so far.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What the node has counted since its start.
#[derive(Debug, Default)]
pub struct Counters {
    /// Requests answered from memory without asking the origin.
    pub hits: Counter,
    /// Requests that went forward, for whatever reason.
    pub forwarded: Counter,
    /// Requests that joined a fetch which another had started.
    pub collapsed: Counter,
    /// Requests sent to the origin, retries included.
    pub fetches: Counter,
    /// Objects stored.
    pub stored: Counter,
    /// Waiters sent on alone because the head was not for them.
    pub released: Counter,
    /// Answers that this node made itself because the origin failed.
    pub origin_errors: Counter,
    /// Bodies that broke off on the way from the origin.
    pub broken_bodies: Counter,
    /// Connections refused because there were too many.
    pub refused_connections: Counter,
}
