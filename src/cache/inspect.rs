//! What is stored under one key, for people: everything that is known, and nothing is changed by looking.

use std::sync::Arc;

use http::HeaderMap;

use super::hot::Hot;
use super::key::{Key, KeyHash};
use super::lookup::Lookup;
use super::object::{Object, Place};
use super::{Cache, lookup};
use crate::base::clock::Timestamp;
use crate::semantics::vary::{self, VarySet};

/// The most variants that are told.
pub const MOST_VARIANTS: usize = 100;

/// The most blocks of one variant that are looked for one by one.
const MOST_BLOCKS: u32 = 4096;

/// What is stored under a key.
#[derive(Clone, Debug)]
pub struct Inspection {
    /// The key.
    pub key: Key,
    /// The fields that its variants are known to differ by.
    pub vary: Arc<[VarySet]>,
    /// What is stored, the one first that the request selects.
    pub variants: Vec<VariantStored>,
    /// There are more variants than are told.
    pub cut: bool,
    /// Why its answers are not for sharing, if they are known not to be (hit-for-miss), and since when.
    pub marker: Option<(&'static str, Timestamp)>,
}

/// One object under a key.
#[derive(Clone, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "each is told by a name of its own")]
pub struct VariantStored {
    /// The object itself.
    pub object: Arc<Object>,
    /// Whether it is what the request selects.
    pub selected: bool,
    /// No purge has killed it.
    pub alive: bool,
    /// Whether its head is in memory.
    pub head_in_memory: bool,
    /// Whether it is on disk, or waits to be written there.
    pub on_disk: bool,
    /// How many blocks it has; none if its content is inline.
    pub blocks: u32,
    /// How many of them are in memory, and on disk. Of very many, those among the first 4,096.
    pub blocks_in_memory: u32,
    /// See [`VariantStored::blocks_in_memory`].
    pub blocks_on_disk: u32,
}

impl VariantStored {
    /// The names by which it was selected, with what its request said for each. What tells who somebody is, is not told.
    pub fn vary_values(&self) -> Vec<(String, Vec<String>)> {
        vary::told(&self.object.vary_values)
    }
}

impl Cache {
    /// What is stored under `key`: the object that a request with these fields selects, and all variants that are known to
    /// have been stored since the node started, as far as they still are. Of those on disk the records are read, and no
    /// content. Nothing is counted, moved or removed; the memory tier notes each read for its policy. Cancel-safe.
    pub async fn inspect<R>(&self, key: &Key, request: &Arc<R>, now: Timestamp) -> Inspection
    where
        R: AsRef<HeaderMap> + Send + Sync + 'static,
    {
        let selected = self.selected(key, request).await;
        let mut found: Vec<Arc<Object>> = selected.iter().cloned().collect();
        let slots = self.slots_of(key);
        let cut = slots.len() > MOST_VARIANTS;
        for slot in slots.into_iter().take(MOST_VARIANTS) {
            if let Some(object) = self.object_in(key, slot).await
                && !found.iter().any(|known| known.generation == object.generation)
            {
                found.push(object);
            }
        }
        let is_selected =
            |object: &Object| selected.as_ref().is_some_and(|one| one.generation == object.generation);
        let variants = found.into_iter().map(|object| {
            let selected = is_selected(&object);
            self.variant_stored(key, object, selected)
        });
        Inspection {
            key: key.clone(),
            vary: self.known_vary(key),
            variants: variants.collect(),
            cut,
            marker: self.marker(key, now).map(|marker| (marker.reason, marker.since)),
        }
    }

    /// The keys that are asked for most of late, by a sample of one look-up in [`super::hot::SAMPLED`].
    pub fn hot(&self, limit: usize) -> Vec<Hot> {
        self.hot.first(limit)
    }

    /// The object that a request selects, fresh or not, and whether a purge has killed it or not.
    async fn selected<R>(&self, key: &Key, request: &Arc<R>) -> Option<Arc<Object>>
    where
        R: AsRef<HeaderMap> + Send + Sync + 'static,
    {
        if let (Lookup::Found(hit), _) = self.peek(key, (**request).as_ref()) {
            return Some(hit.object);
        }
        if let Some(hit) = self.peek_disk(key, request).await {
            return Some(hit.object);
        }
        // A head whose content is gone, or what a purge has killed and nobody has cleared away yet.
        let mut newest: Option<Arc<Object>> = None;
        let values = |set: &VarySet| set.values((**request).as_ref());
        self.memory.candidates(key, values, |object| {
            if newest.as_ref().is_none_or(|best| lookup::is_newer(object, best)) {
                newest = Some(Arc::clone(object));
            }
        });
        newest
    }

    /// The slots in which something was stored under `key`.
    fn slots_of(&self, key: &Key) -> Vec<KeyHash> {
        let mut slots = vec![key.hash()];
        slots.extend(self.variants.slots(key).into_iter().rev().filter(|slot| *slot != key.hash()));
        slots
    }

    async fn object_in(&self, key: &Key, slot: KeyHash) -> Option<Arc<Object>> {
        if let Some(object) = self.memory.object(key, slot) {
            return Some(object);
        }
        self.disk.as_ref()?.read_head(key, slot.short()).await.map(Arc::new)
    }

    fn variant_stored(&self, key: &Key, object: Arc<Object>, selected: bool) -> VariantStored {
        let slot = object.slot(key);
        let written =
            self.disk.as_ref().is_some_and(|disk| disk.has_in(slot.short(), key, object.generation));
        let (blocks, divided) = match object.representation.place {
            Place::Inline(_) => (0, false),
            Place::Blocks { count, divided } => (count, divided),
        };
        let looked_at = 0..blocks.min(MOST_BLOCKS);
        let in_memory = looked_at.clone().filter(|index| self.memory.has_block(key, &object, *index)).count();
        let on_disk = match (&self.disk, divided) {
            (Some(disk), true) => {
                let has = |index: &u32| disk.has(&key.block(slot, *index), object.generation);
                looked_at.filter(has).count()
            }
            // Of what is whole all blocks are there, or none.
            _ if written => looked_at.len(),
            _ => 0,
        };
        let head = self.memory.object(key, slot);
        VariantStored {
            selected,
            alive: self.is_alive(key, &object),
            head_in_memory: head.is_some_and(|head| head.generation == object.generation),
            on_disk: written,
            blocks,
            blocks_in_memory: u32::try_from(in_memory).unwrap_or(u32::MAX),
            blocks_on_disk: u32::try_from(on_disk).unwrap_or(u32::MAX),
            object,
        }
    }
}
