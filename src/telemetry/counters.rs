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
    /// Requests answered from what is stored without asking the origin.
    pub hits: Counter,
    /// Those of them that the disk tier answered.
    pub disk_hits: Counter,
    /// Objects written to disk.
    pub disk_stored: Counter,
    /// Objects that were not let in on disk, because what would have had to go is worth more.
    pub disk_refused: Counter,
    /// Objects that were not taken for writing, because too much was waiting.
    pub disk_busy: Counter,
    /// Reads of the disk that were not waited for any longer.
    pub disk_slow: Counter,
    /// Records, blocks and segments on disk that were damaged or missing.
    pub disk_damaged: Counter,
    /// Reads of the disk that failed with an error of the device.
    pub disk_read_errors: Counter,
    /// Writes to the disk that failed.
    pub disk_write_errors: Counter,
    /// How often the disk tier went out of use, for writes or altogether.
    pub disk_failures: Counter,
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
