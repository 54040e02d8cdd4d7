//! Looking at everything on disk, one record after the other.

use super::DiskTier;
use super::record::Summary;
use super::volume::{How, is_of_file};
use crate::base::ids::{Generation, Sequence};
use crate::cache::key::Key;
use crate::cache::ledger::Checked;
use crate::semantics::tags::Tags;

/// What a record says of its object, as far as purges are concerned.
#[derive(Debug)]
pub struct Scanned {
    /// Its key.
    pub key: Key,
    /// The store that it came from.
    pub generation: Generation,
    /// When it was born, by the ledger.
    pub born: Sequence,
    /// Its tags.
    pub tags: Tags,
    /// To be noted in when it is judged.
    pub checked: Checked,
}

impl DiskTier {
    /// Blocking: calls `found` with each object and its slot until it returns false; tells whether all were seen. What is
    /// stored meanwhile may be among them or not. What is damaged is passed over, as nobody will ever read it; what only
    /// cannot be read now was not seen.
    pub fn each_record(&self, mut found: impl FnMut(u64, Scanned) -> bool) -> bool {
        let Some(mounted) = self.shared.mounted() else { return false };
        if !mounted.is_loaded() {
            return false;
        }
        let mut all = true;
        let to_the_end = mounted.each_slot(|slot| match mounted.payload(slot, How::Patiently) {
            Ok(Some((_, read))) => {
                Summary::of(read.payload()).is_none_or(|summary| found(slot, summary.into()))
            }
            Ok(None) => true,
            Err((entry, error)) => {
                // One that was moved again and again looks as if it were gone.
                all &= is_of_file(&error) && mounted.get(slot) == Some(entry);
                true
            }
        });
        to_the_end && all && !mounted.is_dead()
    }

    /// Changes that wait to be written.
    pub fn waiting_changes(&self) -> usize {
        self.shared.intake.len()
    }

    /// The last change that was taken in.
    pub fn last_change(&self) -> u64 {
        self.shared.intake.last_ticket()
    }

    /// Asks that all changes so far be made durable: see [`DiskTier::is_synced`].
    pub fn ask_sync(&self) -> u64 {
        self.shared.intake.ask_sync()
    }

    /// Whether all changes are durable that were taken in before this was asked for. Never, while the disk is in trouble.
    pub fn is_synced(&self, ticket: u64) -> bool {
        self.shared.intake.is_synced(ticket)
    }

    /// Whether all changes up to this one were carried out.
    pub fn has_done(&self, ticket: u64) -> bool {
        self.shared.intake.has_done(ticket)
    }
}

impl From<Summary> for Scanned {
    fn from(summary: Summary) -> Self {
        let Summary { key, generation, born, tags } = summary;
        Self { key, generation, born, tags, checked: Checked::default() }
    }
}
