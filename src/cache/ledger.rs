//! The order of purges.
//!
//! So far the ledger only counts: nothing writes to it yet. Fetches note its sequence as `born` all the same,
//! so that every object has one from the first day. Its epoch is raised and synced by the disk tier each time
//! that it is opened, before the first fetch.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::base::ids::Sequence;

/// The sequence of purges.
#[derive(Debug, Default)]
pub struct Ledger {
    epoch: AtomicU64,
    number: AtomicU64,
}

impl Ledger {
    /// The latest sequence that was given to a purge.
    pub fn now(&self) -> Sequence {
        Sequence { epoch: self.epoch.load(Ordering::Acquire), number: self.number.load(Ordering::Acquire) }
    }

    /// Moves on to a later epoch, which is durable by now. An earlier one changes nothing.
    pub fn raise_epoch(&self, epoch: u64) {
        self.epoch.fetch_max(epoch, Ordering::AcqRel);
    }
}
