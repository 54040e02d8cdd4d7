//! The slots that are on disk, in memory: where each one's record is, and what is needed to choose a victim.
//!
//! 40 bytes an entry and about 6 to find it by: records themselves stay on disk. Sharded, each shard under a short
//! lock. Entries lie close together, so that a random one is found at once.

use hashbrown::HashTable;
use parking_lot::Mutex;

use super::segment::Spot;
use crate::base::ids::Generation;

const SHARDS: usize = 64;

/// Bytes of memory that an entry takes, with what its tables keep free to grow: an upper bound of the average.
pub const ENTRY_COST: u64 = 88;

/// What is known of a slot without reading its record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Short hash of the slot's name.
    pub slot: u64,
    /// The generation of its object; none if the record has only `Vary` sets.
    pub generation: Option<Generation>,
    /// Where its record is.
    pub place: Place,
    /// Disk that its blocks take, in KiB.
    pub blocks_kib: u32,
    /// The site that it belongs to.
    pub site: u32,
    /// Whether the record has `Vary` sets.
    pub varies: bool,
}

/// Where a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its frame.
    pub spot: Spot,
    /// Bytes of the frame.
    pub length: u32,
    /// Those of them that are content, behind the head.
    pub within: u32,
}

impl Entry {
    /// Disk that it takes, in bytes.
    pub fn bytes(&self) -> u64 {
        u64::from(self.place.length) + (u64::from(self.blocks_kib) << 10)
    }
}

/// All slots on disk.
#[derive(Debug)]
pub struct Table {
    shards: Box<[Mutex<Shard>]>,
}

#[derive(Debug, Default)]
struct Shard {
    entries: Vec<Packed>,
    /// Indices into `entries`, found by slot.
    by_slot: HashTable<u32>,
}

/// An [`Entry`] in 40 bytes.
#[derive(Clone, Copy, Debug)]
struct Packed {
    slot: u64,
    /// Zero for none: the first generation of an epoch is never stored on disk before the epoch was raised.
    generation: u64,
    segment: u32,
    offset: u32,
    length: u32,
    blocks_kib: u32,
    site: u32,
    /// Bytes of content, and in the lowest bit whether it varies.
    within_and_varies: u32,
}

impl From<Entry> for Packed {
    fn from(entry: Entry) -> Self {
        Self {
            slot: entry.slot,
            generation: entry.generation.map_or(0, |generation| generation.0),
            segment: entry.place.spot.segment,
            offset: entry.place.spot.offset,
            length: entry.place.length,
            blocks_kib: entry.blocks_kib,
            site: entry.site,
            within_and_varies: entry.place.within << 1 | u32::from(entry.varies),
        }
    }
}

impl From<Packed> for Entry {
    fn from(packed: Packed) -> Self {
        Self {
            slot: packed.slot,
            generation: (packed.generation != 0).then_some(Generation(packed.generation)),
            place: Place {
                spot: Spot { segment: packed.segment, offset: packed.offset },
                length: packed.length,
                within: packed.within_and_varies >> 1,
            },
            blocks_kib: packed.blocks_kib,
            site: packed.site,
            varies: packed.within_and_varies & 1 == 1,
        }
    }
}

impl Table {
    /// A table without entries.
    pub fn new() -> Self {
        Self { shards: (0..SHARDS).map(|_| Mutex::default()).collect() }
    }

    /// The entry of a slot.
    pub fn get(&self, slot: u64) -> Option<Entry> {
        let shard = self.shard(slot).lock();
        let index = *shard.by_slot.find(slot, |index| shard.slot_at(*index) == Some(slot))?;
        shard.entries.get(index as usize).map(|packed| Entry::from(*packed))
    }

    /// Puts an entry in; returns the one whose place it took.
    pub fn put(&self, entry: Entry) -> Option<Entry> {
        let mut shard = self.shard(entry.slot).lock();
        let Shard { entries, by_slot } = &mut *shard;
        let same = |index: &u32| entries.get(*index as usize).is_some_and(|held| held.slot == entry.slot);
        if let Some(index) = by_slot.find(entry.slot, same) {
            let held = entries.get_mut(*index as usize)?;
            return Some(std::mem::replace(held, entry.into()).into());
        }
        let index = u32::try_from(entries.len()).ok()?;
        entries.push(entry.into());
        by_slot.insert_unique(entry.slot, index, |index| {
            entries.get(*index as usize).map_or(0, |held| held.slot)
        });
        None
    }

    /// Takes the entry of a slot out.
    pub fn remove(&self, slot: u64) -> Option<Entry> {
        let mut shard = self.shard(slot).lock();
        let Shard { entries, by_slot } = &mut *shard;
        let same = |index: &u32| entries.get(*index as usize).is_some_and(|held| held.slot == slot);
        let (index, _) = by_slot.find_entry(slot, same).ok()?.remove();
        let last = u32::try_from(entries.len()).ok()?.checked_sub(1)?;
        // The last entry moves into the gap, and is found there from now on.
        if index != last
            && let Some(moved) = entries.last().map(|held| held.slot)
            && let Some(at) = by_slot.find_mut(moved, |candidate| *candidate == last)
        {
            *at = index;
        }
        Some(entries.swap_remove(index as usize).into())
    }

    /// Gives memory back that was for more entries than there are, shard by shard.
    pub fn shrink(&self) {
        for shard in &self.shards {
            let mut shard = shard.lock();
            let Shard { entries, by_slot } = &mut *shard;
            let most = entries.len() + entries.len() / 8;
            entries.shrink_to(most);
            by_slot.shrink_to(most, |index| entries.get(*index as usize).map_or(0, |held| held.slot));
        }
    }

    /// An entry chosen at random, by two random numbers; none from an empty shard.
    pub fn random(&self, random: &mut fastrand::Rng) -> Option<Entry> {
        let shard = self.shards.get(random.usize(..SHARDS))?.lock();
        if shard.entries.is_empty() {
            return None;
        }
        shard.entries.get(random.usize(..shard.entries.len())).map(|packed| Entry::from(*packed))
    }

    /// Calls `found` with each slot until it returns false, of each shard in the order in which its records lie; tells
    /// whether it never did. No lock is held meanwhile: what comes and goes may be among them or not.
    pub fn each_slot(&self, mut found: impl FnMut(u64) -> bool) -> bool {
        self.shards.iter().all(|shard| {
            let mut slots: Vec<(u32, u32, u64)> = {
                let shard = shard.lock();
                shard.entries.iter().map(|packed| (packed.segment, packed.offset, packed.slot)).collect()
            };
            slots.sort_unstable();
            slots.into_iter().all(|(.., slot)| found(slot))
        })
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().entries.len()).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn shard(&self, slot: u64) -> &Mutex<Shard> {
        // The remainder is below the number of shards, which is not zero. The upper bits: hash tables use the lower.
        #[allow(clippy::indexing_slicing, clippy::cast_possible_truncation)]
        &self.shards[(slot >> 48) as usize % SHARDS]
    }
}

impl Default for Table {
    fn default() -> Self {
        Self::new()
    }
}

impl Shard {
    fn slot_at(&self, index: u32) -> Option<u64> {
        self.entries.get(index as usize).map(|packed| packed.slot)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    fn entry(slot: u64, offset: u32) -> Entry {
        Entry {
            slot,
            generation: Some(Generation(7)),
            place: Place { spot: Spot { segment: 1, offset }, length: 40, within: offset % 40 },
            blocks_kib: 0,
            site: 0,
            varies: offset % 2 == 1,
        }
    }

    #[test]
    fn an_entry_takes_what_is_said() {
        assert_eq!(size_of::<Packed>(), 40);
    }

    proptest! {
        #[test]
        fn it_is_a_map(steps in prop::collection::vec((0..40_u64, any::<bool>(), any::<u32>()), 0..300)) {
            let (table, mut model) = (Table::new(), HashMap::new());
            for (number, put, offset) in steps {
                // Few slots in few shards, so that they meet.
                let slot = (number % 3) << 48 | number;
                if put {
                    let before = table.put(entry(slot, offset));
                    prop_assert_eq!(before, model.insert(slot, entry(slot, offset)));
                } else {
                    prop_assert_eq!(table.remove(slot), model.remove(&slot));
                }
            }
            prop_assert_eq!(table.len(), model.len());
            for (slot, entry) in model {
                prop_assert_eq!(table.get(slot), Some(entry));
            }
        }
    }
}
