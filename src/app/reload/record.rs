//! What has come of reloads so far.

use parking_lot::Mutex;

use crate::admin::{NotReloaded, Reloaded, Said};
use crate::base::clock::Timestamp;

/// Counts them.
#[derive(Debug, Default)]
pub(super) struct Record(Mutex<Said>);

impl Record {
    /// One has ended at `now`.
    pub(super) fn note(&self, outcome: &Result<Reloaded, NotReloaded>, now: Timestamp) {
        let mut said = self.0.lock();
        said.last_failed = outcome.is_err();
        match outcome {
            Ok(reloaded) => {
                said.succeeded += 1;
                said.last_success = Some(now);
                said.needs_restart = reloaded.needs_restart.len();
            }
            Err(_) => said.failed += 1,
        }
    }

    pub(super) fn said(&self) -> Said {
        *self.0.lock()
    }
}
