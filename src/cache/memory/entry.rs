//! What the memory tier is made of: slots and blocks, each by a small name.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use bytes::Bytes;

use super::super::key::{Key, KeyHash};
use super::super::object::{Object, Place};
use super::super::short_hash::{ShortHash, scatter};
use crate::base::ids::Generation;
use crate::semantics::vary::VarySet;

/// What moka and our own types cost for each entry beside the object, measured with small ones.
pub(super) const ENTRY_OVERHEAD: usize = 360;

/// Names are small, because each entry has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct EntryName {
    /// What the policy counts by.
    pub(super) counted: u64,
    /// What tells entries apart that are counted as one, or that share a short hash.
    unique: u64,
}

/// Marks the names of blocks.
const BLOCK_MARK: u64 = 1 << 63;

impl EntryName {
    fn nth(slot: u64, generation: Generation, index: u32) -> Self {
        Self { counted: scatter(slot ^ (u64::from(index) + 1)), unique: generation.0 | BLOCK_MARK }
    }

    /// Whether it is that of a block.
    pub(super) fn is_block(self) -> bool {
        self.unique & BLOCK_MARK != 0
    }

    pub(super) fn slot(name: KeyHash) -> Self {
        let (counted, second) = name.halves();
        Self { counted, unique: second & !BLOCK_MARK }
    }

    /// A block of one store of the object in a slot. There is one store of a generation, so that generation and index name
    /// the block.
    pub(super) fn block(slot: KeyHash, generation: Generation, index: u32) -> Self {
        Self::nth(slot.short(), generation, index)
    }
}

#[derive(Debug)]
pub(super) enum Entry {
    Slot(Slot),
    Block(Bytes),
}

#[derive(Clone, Debug)]
pub(super) struct Slot {
    /// The full key, compared on every hit: the hash only names the entry.
    pub(super) key: Arc<[u8]>,
    pub(super) object: Option<Arc<Object>>,
    pub(super) vary_sets: Arc<[VarySet]>,
}

impl Entry {
    /// The slot, if that is what it is, and of this key.
    pub(super) fn slot_of(&self, key: &Key) -> Option<&Slot> {
        match self {
            Self::Slot(slot) if *slot.key == *key.full() => Some(slot),
            Self::Slot(_) | Self::Block(_) => None,
        }
    }
}

/// The names of the blocks of an object in a slot of this short hash.
pub(super) fn block_names(slot: u64, object: &Object) -> impl Iterator<Item = EntryName> + use<> {
    let count = match object.representation.place {
        Place::Inline(_) => 0,
        Place::Blocks { count, .. } => count,
    };
    let generation = object.generation;
    (0..count).map(move |index| EntryName::nth(slot, generation, index))
}

pub(super) fn weight(entry: &Entry) -> u32 {
    let bytes = match entry {
        Entry::Slot(slot) => {
            slot.key.len()
                + slot.object.as_ref().map_or(0, |object| object.weight())
                + slot.vary_sets.len() * 64
        }
        Entry::Block(bytes) => bytes.len(),
    };
    u32::try_from(bytes + ENTRY_OVERHEAD).unwrap_or(u32::MAX)
}

impl Hash for ShortHash<EntryName> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0.counted);
    }
}
