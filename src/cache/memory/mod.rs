//! The memory tier: moka, weighed in bytes, `TinyLFU`.
//!
//! A key's slot holds the object that varies by nothing and the list of `Vary` sets seen; other variants have a
//! slot each, named by the key and their values. Blocks have entries of their own. So a plain small hit is one
//! look-up.
//!
//! The policy lets in what is asked for more often than what would have to go, and counts by the hash of a name. A
//! block's hash is that of its slot and index, whatever its generation: so what is often asked for keeps its
//! standing when it is fetched anew.
//!
//! - here: the tier.
//! - `entry`: what is in it.
//! - `tables`: the table that has it, and the one before, while its limit changes.

mod entry;
mod tables;

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use bytes::Bytes;
use parking_lot::{Mutex, MutexGuard};

use super::key::{Key, KeyHash};
use super::lookup::{Held, Hit};
use super::object::{Object, Place};
use crate::base::ids::Generation;
use crate::body::content::Parts;
use crate::semantics::vary::VarySet;
use entry::{ENTRY_OVERHEAD, Entry, EntryName, Slot, block_names, weight};
use tables::Tables;

/// The most `Vary` sets that are remembered for one key; the oldest goes first.
pub(super) const MAX_VARY_SETS: usize = 8;

#[derive(Debug)]
pub(super) struct MemoryTier {
    tables: ArcSwap<Tables>,
    /// Who changes a slot reads it, makes another and puts that in its place: one after the other. Each of the locks is
    /// that of many slots. Who puts other tables in place holds all of them.
    changes: Box<[Mutex<()>]>,
}

/// Slots that may be changed at the same time, at most.
const CHANGES: usize = 64;

impl MemoryTier {
    /// An empty one, of so many bytes at most.
    pub(super) fn new(limit: u64) -> Self {
        let changes = (0..CHANGES).map(|_| Mutex::default()).collect();
        Self { tables: ArcSwap::from_pointee(Tables::new(limit)), changes }
    }

    /// Gives it another limit. Blocking: a new table is made, and what is there is moved into it as far as there is room, first
    /// what `wanted` names. Meanwhile others read, write and remove as always. One at a time.
    pub(super) fn resize(&self, limit: u64, wanted: &[KeyHash]) {
        let tables = self.put(|tables| tables.beside(limit));
        for slot in wanted {
            self.move_slot(&tables, EntryName::slot(*slot));
        }
        for name in tables.names_before().filter(|name| !name.is_block()) {
            self.move_slot(&tables, name);
        }
        self.put(Tables::alone).tidy();
    }

    /// Moves a slot over, with all blocks of its object: a part of one is of no use, unless it is divided. What is taken out
    /// meanwhile is not moved.
    fn move_slot(&self, tables: &Tables, name: EntryName) {
        let _no_change_meanwhile = self.lock(name);
        let Some(entry) = tables.before(name) else { return };
        let Entry::Slot(slot) = &*entry else { return };
        let object = slot.object.as_ref();
        let content = object.map_or(0, |object| object.representation.blocks_weight());
        if !tables.has_room(u64::from(weight(&entry)) + content) {
            return;
        }
        if let Some(object) = object {
            block_names(name.counted, object).for_each(|block| tables.move_over(block));
        }
        tables.move_over(name);
        if content > 0 {
            // So that it is known how much room there is.
            tables.tidy();
        }
    }

    /// Puts other tables in place, while nobody changes a slot.
    fn put(&self, make: impl FnOnce(&Tables) -> Tables) -> Arc<Tables> {
        let _nobody: Vec<MutexGuard<'_, ()>> = self.changes.iter().map(Mutex::lock).collect();
        let tables = Arc::new(make(&self.tables.load()));
        self.tables.store(Arc::clone(&tables));
        tables
    }

    /// Held by whoever changes a slot of this name.
    fn lock(&self, name: EntryName) -> Option<MutexGuard<'_, ()>> {
        let place = usize::try_from(name.counted % CHANGES as u64).unwrap_or(0);
        self.changes.get(place).map(Mutex::lock)
    }

    pub(super) fn used(&self) -> u64 {
        let tables = self.tables.load();
        tables.tidy();
        tables.weight()
    }

    /// How many entries there are: objects, lists of variants, and blocks.
    pub(super) fn entries(&self) -> u64 {
        self.tables.load().count()
    }

    pub(super) fn limit(&self) -> u64 {
        self.tables.load().limit()
    }

    /// Calls `found` with each object and its key until it returns false; tells whether it never did. The policy takes no
    /// notice. What comes and goes meanwhile may be among them or not. It ends early where the tier is given another limit:
    /// what is moved then is met for sure in neither table, and what is moved no more is not to be kept by who walks.
    pub(super) fn each(&self, mut found: impl FnMut(&Key, &Arc<Object>) -> bool) -> bool {
        let tables = self.tables.load_full();
        let is_still_so = || !tables.are_two() && Arc::ptr_eq(&tables, &self.tables.load());
        let all = tables.each().all(|entry| {
            is_still_so()
                && match &*entry {
                    Entry::Slot(Slot { key, object: Some(object), .. }) => {
                        found(&Key::of_full(Arc::clone(key)), object)
                    }
                    Entry::Slot(_) | Entry::Block(_) => true,
                }
        });
        all && is_still_so()
    }

    /// Whether nothing would have to go for an object with all of its content.
    pub(super) fn has_room_for(&self, object: &Object) -> bool {
        let head = object.head_weight() + ENTRY_OVERHEAD;
        let tables = self.tables.load();
        !tables.are_two() && tables.has_room(head as u64 + object.representation.length)
    }

    /// Calls `candidate` with each stored variant that the request's `values` select.
    pub(super) fn candidates(
        &self,
        key: &Key,
        values: impl Fn(&VarySet) -> Vec<u8>,
        mut candidate: impl FnMut(&Arc<Object>),
    ) -> KeyState {
        let Some(entry) = self.entry(key.hash()) else { return KeyState::Unknown };
        let Some(slot) = entry.slot_of(key) else { return KeyState::Unknown };
        if let Some(object) = &slot.object {
            candidate(object);
        }
        for set in slot.vary_sets.iter() {
            let values = values(set);
            if let Some(entry) = self.entry(key.variant(&values))
                && let Some(object) = entry.slot_of(key).and_then(|variant| variant.object.as_ref())
                && *object.vary_values == *values
            {
                candidate(object);
            }
        }
        KeyState::Known
    }

    /// All of the content of `object`, or `None` if a block is gone. Asks for every block in any case, so that the
    /// policy learns that all of them are wanted: but for a divided object, whose blocks stand for themselves.
    pub(super) fn content(&self, key: &Key, object: &Object) -> Option<Held> {
        match &object.representation.place {
            Place::Inline(bytes) => Some(Held::Memory(Parts::Inline(bytes.clone()))),
            Place::Blocks { divided: true, .. } => Some(Held::Divided),
            Place::Blocks { divided: false, .. } => {
                let found: Vec<Option<Bytes>> =
                    block_names(object.slot(key).short(), object).map(|name| self.block(name)).collect();
                let blocks = found.into_iter().collect::<Option<Vec<_>>>();
                blocks.map(|blocks| Held::Memory(Parts::Blocks(blocks.into())))
            }
        }
    }

    /// One block of an object, if it is there.
    pub(super) fn block_of(&self, key: &Key, object: &Object, index: u32) -> Option<Bytes> {
        self.block(EntryName::block(object.slot(key), object.generation, index))
    }

    /// Offers one block of an object to the tier.
    pub(super) fn offer_block(&self, key: &Key, object: &Object, index: u32, block: Bytes) {
        let slot = object.slot(key);
        let tables = self.change_blocks(slot, |tables| {
            let name = EntryName::block(slot, object.generation, index);
            tables.insert(name, Arc::new(Entry::Block(block)));
        });
        tables.tidy();
    }

    /// Lets what has to go go now: the policy puts it off by dozens of entries, which is much if they are blocks.
    pub(super) fn tidy(&self) {
        self.tables.load().tidy();
    }

    fn block(&self, name: EntryName) -> Option<Bytes> {
        match &*self.tables.load().get(name)? {
            Entry::Block(bytes) => Some(bytes.clone()),
            Entry::Slot(_) => None,
        }
    }

    pub(super) fn known_vary(&self, key: &Key) -> Arc<[VarySet]> {
        let entry = self.entry(key.hash());
        let slot = entry.as_ref().and_then(|entry| entry.slot_of(key));
        slot.map(|slot| Arc::clone(&slot.vary_sets)).unwrap_or_default()
    }

    pub(super) fn note_vary(&self, key: &Key, set: &VarySet) {
        // Mostly it is known, and then nothing is written.
        if self.known_vary(key).contains(set) {
            return;
        }
        self.change_slot(key, key.hash(), |slot| {
            if slot.vary_sets.contains(set) {
                return;
            }
            let surplus = (slot.vary_sets.len() + 1).saturating_sub(MAX_VARY_SETS);
            slot.vary_sets = slot.vary_sets.iter().skip(surplus).chain([set]).cloned().collect();
        });
    }

    /// Whether one block of an object is there. The policy does not take that for a wish to have it.
    pub(super) fn has_block(&self, key: &Key, object: &Object, index: u32) -> bool {
        self.tables.load().has(EntryName::block(object.slot(key), object.generation, index))
    }

    /// Blocks first, then the head: a head is never visible before its content, unless it is divided. What came from a
    /// later head stays (fetches overtake each other); true if `hit` is visible now, unless the policy refuses it. Beside that, the
    /// object of an earlier store whose place it took.
    pub(super) fn store(&self, key: &Key, hit: &Hit) -> (bool, Option<Arc<Object>>) {
        let object = &hit.object;
        let name = object.slot(key);
        let here = match &hit.content {
            Held::Memory(Parts::Inline(_)) | Held::Divided => &[][..],
            Held::Memory(Parts::Blocks(blocks)) => blocks,
            Held::Disk(_, first) => std::slice::from_ref(first),
        };
        if !here.is_empty() {
            let tables = self.change_blocks(name, |tables| {
                for (block_name, block) in block_names(name.short(), object).zip(here) {
                    tables.insert(block_name, Arc::new(Entry::Block(block.clone())));
                }
            });
            tables.tidy();
        }
        if !object.vary.is_empty() {
            self.note_vary(key, &object.vary);
        }
        let mut replaced = None;
        let mut overtaken = false;
        self.change_slot(key, name, |slot| {
            overtaken = slot.object.as_ref().is_some_and(|held| is_later(held, object));
            if !overtaken {
                replaced = slot.object.replace(Arc::clone(object));
            }
        });
        if overtaken && !self.holds(key, name, object) {
            self.drop_blocks(name, object);
        }
        let replaced = replaced.filter(|old| old.generation != object.generation);
        if let Some(old) = &replaced {
            self.drop_blocks(name, old);
        }
        (!overtaken, replaced)
    }

    pub(super) fn remove(&self, key: &Key, object: &Object) {
        let name = object.slot(key);
        self.change_slot(key, name, |slot| {
            if slot.object.as_ref().is_some_and(|held| held.generation == object.generation) {
                slot.object = None;
            }
        });
        self.drop_blocks(name, object);
    }

    /// Takes the variant of this generation out of its slot.
    pub(super) fn remove_variant(&self, key: &Key, name: KeyHash, generation: Generation) {
        if let Some(object) = self.object(key, name).filter(|object| object.generation == generation) {
            self.remove(key, &object);
        }
    }

    fn drop_blocks(&self, slot: KeyHash, object: &Object) {
        self.change_blocks(slot, |tables| {
            block_names(slot.short(), object).for_each(|name| tables.remove(name));
        });
    }

    /// Whether a slot has an object of the same generation.
    fn holds(&self, key: &Key, name: KeyHash, object: &Object) -> bool {
        self.object(key, name).is_some_and(|held| held.generation == object.generation)
    }

    /// The object in a slot of `key`.
    pub(super) fn object(&self, key: &Key, name: KeyHash) -> Option<Arc<Object>> {
        self.entry(name)?.slot_of(key)?.object.clone()
    }

    /// What is there by the name of a slot.
    fn entry(&self, name: KeyHash) -> Option<Arc<Entry>> {
        self.tables.load().get(EntryName::slot(name))
    }

    /// Changes blocks of a slot's object, in the tables that are in place: they are not moved meanwhile. Gives these tables.
    fn change_blocks(&self, slot: KeyHash, change: impl FnOnce(&Tables)) -> Guard<Arc<Tables>> {
        let _not_moved = self.lock(EntryName::slot(slot));
        let tables = self.tables.load();
        change(&tables);
        tables
    }

    /// Reads, changes and writes a slot of `key` in one step. Only the policy may come in between, which can do nothing but
    /// evict it.
    fn change_slot(&self, key: &Key, name: KeyHash, change: impl FnOnce(&mut Slot)) {
        let name = EntryName::slot(name);
        let _only_one = self.lock(name);
        let tables = self.tables.load();
        let found = tables.get(name);
        let slot = found.as_ref().and_then(|entry| entry.slot_of(key)).cloned();
        let nothing = || Slot { key: key.shared_full(), object: None, vary_sets: Arc::default() };
        let mut slot = slot.unwrap_or_else(nothing);
        change(&mut slot);
        if slot.object.is_some() || !slot.vary_sets.is_empty() {
            tables.insert(name, Arc::new(Entry::Slot(slot)));
        } else if found.is_some() {
            tables.remove(name);
        }
    }
}

/// Whether one has the later head: of a later store, or of a later confirmation of the same.
fn is_later(held: &Object, object: &Object) -> bool {
    let order = |object: &Object| (object.generation, object.terms().freshness.response_time);
    order(held) > order(object)
}

/// Whether a key has a slot at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeyState {
    /// Nothing is known of it.
    Unknown,
    /// Something was stored under it.
    Known,
}
