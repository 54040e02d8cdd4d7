//! The memory tier: moka, weighed in bytes, `TinyLFU`.
//!
//! A key's slot holds the object that varies by nothing and the list of `Vary` sets seen; other variants have a
//! slot each, named by the key and their values. Blocks have entries of their own. So a plain small hit is one
//! look-up.
//!
//! The policy lets in what is asked for more often than what would have to go, and counts by the hash of a name. A
//! block's hash is that of its slot and index, whatever its generation: so what is often asked for keeps its
//! standing when it is fetched anew.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use bytes::Bytes;
use moka::sync::Cache;
use parking_lot::Mutex;

use super::key::{Key, KeyHash};
use super::lookup::{Held, Hit};
use super::object::{Object, Place};
use super::short_hash::{BuildShortHasher, ShortHash, scatter};
use crate::base::ids::Generation;
use crate::body::content::Parts;
use crate::semantics::vary::VarySet;

/// The most `Vary` sets that are remembered for one key; the oldest goes first.
pub(super) const MAX_VARY_SETS: usize = 8;

/// What moka and our own types cost for each entry beside the object, measured with small ones.
const ENTRY_OVERHEAD: usize = 360;

#[derive(Debug)]
pub(super) struct MemoryTier {
    entries: Cache<ShortHash<EntryName>, Arc<Entry>, BuildShortHasher>,
    /// Who changes a slot reads it, makes another and puts that in its place: one after the other. Each of the locks is
    /// that of many slots.
    changes: Box<[Mutex<()>]>,
}

/// Slots that may be changed at the same time, at most.
const CHANGES: usize = 64;

/// Names are small, because each entry has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct EntryName {
    /// What the policy counts by.
    counted: u64,
    /// What tells entries apart that are counted as one, or that share a short hash.
    unique: u64,
}

/// Marks the names of blocks.
const BLOCK_MARK: u64 = 1 << 63;

impl EntryName {
    fn slot(name: KeyHash) -> Self {
        let (counted, second) = name.halves();
        Self { counted, unique: second & !BLOCK_MARK }
    }

    /// A block of one store of the object in a slot. There is one store of a generation, so that generation and index name
    /// the block.
    fn block(slot: KeyHash, generation: Generation, index: u32) -> Self {
        Self { counted: scatter(slot.short() ^ (u64::from(index) + 1)), unique: generation.0 | BLOCK_MARK }
    }
}

#[derive(Debug)]
enum Entry {
    Slot(Slot),
    Block(Bytes),
}

#[derive(Clone, Debug)]
struct Slot {
    /// The full key, compared on every hit: the hash only names the entry.
    key: Arc<[u8]>,
    object: Option<Arc<Object>>,
    vary_sets: Arc<[VarySet]>,
}

impl MemoryTier {
    pub(super) fn new(capacity: u64) -> Self {
        let entries = Cache::builder()
            .max_capacity(capacity)
            .weigher(|_, entry: &Arc<Entry>| weight(entry))
            .build_with_hasher(BuildShortHasher);
        Self { entries, changes: (0..CHANGES).map(|_| Mutex::default()).collect() }
    }

    pub(super) fn used(&self) -> u64 {
        self.entries.run_pending_tasks();
        self.entries.weighted_size()
    }

    /// How many entries there are: objects, lists of variants, and blocks.
    pub(super) fn entries(&self) -> u64 {
        self.entries.entry_count()
    }

    pub(super) fn limit(&self) -> u64 {
        self.entries.policy().max_capacity().unwrap_or(0)
    }

    /// Calls `found` with each object and its key until it returns false; tells whether it never did. The policy takes no
    /// notice. What comes and goes meanwhile may be among them or not.
    pub(super) fn each(&self, mut found: impl FnMut(&Key, &Arc<Object>) -> bool) -> bool {
        self.entries.iter().all(|(_, entry)| match &*entry {
            Entry::Slot(Slot { key, object: Some(object), .. }) => {
                found(&Key::of_full(Arc::clone(key)), object)
            }
            Entry::Slot(_) | Entry::Block(_) => true,
        })
    }

    /// Whether nothing would have to go for an object with all of its content.
    pub(super) fn has_room_for(&self, object: &Object) -> bool {
        let head = object.head_weight() + ENTRY_OVERHEAD;
        self.entries.weighted_size() + head as u64 + object.representation.length <= self.limit()
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
                    block_names(object.slot(key), object).map(|name| self.block(name)).collect();
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
        let name = EntryName::block(object.slot(key), object.generation, index);
        self.entries.insert(ShortHash(name), Arc::new(Entry::Block(block)));
        self.tidy();
    }

    /// Lets what has to go go now: the policy puts it off by dozens of entries, which is much if they are blocks.
    pub(super) fn tidy(&self) {
        self.entries.run_pending_tasks();
    }

    fn block(&self, name: EntryName) -> Option<Bytes> {
        match &*self.entries.get(&ShortHash(name))? {
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
        self.entries.contains_key(&ShortHash(EntryName::block(object.slot(key), object.generation, index)))
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
        for (block_name, block) in block_names(name, object).zip(here) {
            self.entries.insert(ShortHash(block_name), Arc::new(Entry::Block(block.clone())));
        }
        if !here.is_empty() {
            self.tidy();
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
        for name in block_names(slot, object) {
            self.entries.invalidate(&ShortHash(name));
        }
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
        self.entries.get(&ShortHash(EntryName::slot(name)))
    }

    /// Reads, changes and writes a slot of `key` in one step. Only the policy may come in between, which can do nothing but
    /// evict it.
    fn change_slot(&self, key: &Key, name: KeyHash, change: impl FnOnce(&mut Slot)) {
        let place = usize::try_from(name.short() % CHANGES as u64).unwrap_or(0);
        let _only_one = self.changes.get(place).map(Mutex::lock);
        let found = self.entry(name);
        let slot = found.as_ref().and_then(|entry| entry.slot_of(key)).cloned();
        let nothing = || Slot { key: key.shared_full(), object: None, vary_sets: Arc::default() };
        let mut slot = slot.unwrap_or_else(nothing);
        change(&mut slot);
        let name = ShortHash(EntryName::slot(name));
        if slot.object.is_some() || !slot.vary_sets.is_empty() {
            self.entries.insert(name, Arc::new(Entry::Slot(slot)));
        } else if found.is_some() {
            self.entries.invalidate(&name);
        }
    }
}

impl Entry {
    /// The slot, if that is what it is, and of this key.
    fn slot_of(&self, key: &Key) -> Option<&Slot> {
        match self {
            Self::Slot(slot) if *slot.key == *key.full() => Some(slot),
            Self::Slot(_) | Self::Block(_) => None,
        }
    }
}

/// Whether one has the later head: of a later store, or of a later confirmation of the same.
fn is_later(held: &Object, object: &Object) -> bool {
    let order = |object: &Object| (object.generation, object.terms().freshness.response_time);
    order(held) > order(object)
}

fn block_names(slot: KeyHash, object: &Object) -> impl Iterator<Item = EntryName> + use<> {
    let count = match object.representation.place {
        Place::Inline(_) => 0,
        Place::Blocks { count, .. } => count,
    };
    let generation = object.generation;
    (0..count).map(move |index| EntryName::block(slot, generation, index))
}

/// Whether a key has a slot at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeyState {
    /// Nothing is known of it.
    Unknown,
    /// Something was stored under it.
    Known,
}

fn weight(entry: &Entry) -> u32 {
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
