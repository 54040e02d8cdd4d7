//! The order of purges.
//!
//! So far the ledger only counts: nothing writes to it yet. Fetches note its sequence as `born` all the same,
//! so that every object has one from the first day.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::base::ids::Sequence;

/// The sequence of purges, in memory.
#[derive(Debug, Default)]
pub struct Ledger {
    epoch: u64,
    number: AtomicU64,
}

impl Ledger {
    /// The latest sequence that was given to a purge.
    pub fn now(&self) -> Sequence {
        Sequence { epoch: self.epoch, number: self.number.load(Ordering::Acquire) }
    }
}
