//! Codings that were made of what is stored: each is in a slot beside that, and no request selects it by its fields.

use std::sync::Arc;

use super::DiskTier;
use super::intake::Change;
use super::volume::How;
use crate::body::content::Parts;
use crate::cache::key::{Key, KeyHash};
use crate::cache::lookup::{Held, Hit};
use crate::cache::object::Object;

impl DiskTier {
    /// What is in a slot, if it waits to be written, or the system has it in memory. Nobody is waited for.
    pub fn slot_at_once(&self, key: &Key, slot: KeyHash) -> Option<Hit> {
        self.in_slot_or_waiting(key, slot, How::AtOnce)
    }

    /// What is in a slot, with all of its content. Blocking.
    pub fn slot_whole(&self, key: &Key, slot: KeyHash) -> Option<(Arc<Object>, Parts)> {
        let Hit { object, content } = self.in_slot_or_waiting(key, slot, How::Patiently)?;
        let parts = match content {
            Held::Memory(parts) => parts,
            Held::Disk(pinned, first) => pinned.read(&self.shared, first)?,
            Held::Divided => return None,
        };
        Some((object, parts))
    }

    fn in_slot_or_waiting(&self, key: &Key, slot: KeyHash, how: How) -> Option<Hit> {
        let slot = slot.short();
        match self.waiting(slot, key).map(|intent| intent.change) {
            Some(Change::Store(hit)) => Some(hit),
            Some(Change::Gone(_)) => None,
            Some(Change::Keep) | None => self.in_slot(key, slot, how),
        }
    }
}
