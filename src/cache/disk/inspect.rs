//! What the disk has of one object, for people: nothing is counted, changed or verified by looking.

use super::DiskTier;
use super::intake::Change;
use super::volume::How;
use crate::base::ids::Generation;
use crate::cache::key::Key;
use crate::cache::object::Object;

impl DiskTier {
    /// Whether the store of this generation is in a slot of `key`, written or waiting.
    pub fn has_in(&self, slot: u64, key: &Key, generation: Generation) -> bool {
        self.generation(slot, key) == Some(generation)
    }

    /// The object in a slot of `key`, without its content. Cancel-safe: the read under way is thrown away.
    pub async fn read_head(&self, key: &Key, slot: u64) -> Option<Object> {
        if let Some(Change::Gone(_)) = self.waiting(slot, key).map(|intent| intent.change) {
            return None;
        }
        let mounted = self.shared.mounted()?;
        mounted.get(slot)?;
        let key = key.clone();
        let read = move || {
            let record = mounted.record(slot, &key, How::Patiently).ok().flatten();
            record.and_then(|(_, record)| record.object).map(|stored| stored.object)
        };
        self.in_time(read).await.flatten()
    }
}
