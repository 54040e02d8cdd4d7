//! What was found out of something that is alive, kept beside it.

use std::sync::atomic::{AtomicU64, Ordering};

use super::index::Standing;
use crate::base::clock::Timestamp;

/// What the purges up to some sequence were found to make of something that is alive. Kept beside it, so that it need not
/// be looked up again.
#[derive(Debug)]
pub struct Checked {
    until: AtomicU64,
    /// The earliest time of a soft purge, in milliseconds; [`NEVER`] without one, [`DEAD`] after a hard one.
    stale_since: AtomicU64,
}

const NEVER: u64 = u64::MAX;

/// It was found dead: earlier than any purge.
const DEAD: u64 = 0;

impl Default for Checked {
    fn default() -> Self {
        Self { until: AtomicU64::new(0), stale_since: AtomicU64::new(NEVER) }
    }
}

impl Checked {
    /// Since when it is stale by a soft purge. Of what is dead nothing is told.
    pub fn stale_since(&self) -> Option<Timestamp> {
        let time = self.stale_since.load(Ordering::Relaxed);
        (time != NEVER && time != DEAD).then(|| Timestamp::from_millis(time))
    }

    /// Whether there is nothing to be found out up to `latest`.
    pub(super) fn is_of(&self, latest: u64) -> bool {
        self.until.load(Ordering::Acquire) >= latest
    }

    /// Notes what was found; false if it is dead. Who sees how far it was checked sees all that was found by then.
    pub(super) fn note(&self, standing: Standing, latest: u64) -> bool {
        match standing {
            Standing::Dead => {
                self.stale_since.store(DEAD, Ordering::Relaxed);
                return false;
            }
            // The record that killed it may be gone by now.
            _ if self.stale_since.load(Ordering::Relaxed) == DEAD => return false,
            Standing::StaleSince(time) => {
                self.stale_since.fetch_min(time.as_millis().max(DEAD + 1), Ordering::Relaxed);
            }
            Standing::Alive => {}
        }
        self.until.fetch_max(latest, Ordering::Release);
        true
    }
}
