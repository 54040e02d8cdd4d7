//! Divided objects: blocks that come, stay and go one by one (decision 10).
//!
//! In memory a block is an entry like those of whole objects. On disk it is an object of its own, of one block and
//! without fields, under a key of its own and of the generation of its head: what of one generation is found was stored
//! with it.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use tokio::time::Instant;

use super::Cache;
use super::codings::Codings;
use super::disk::DiskTier;
use super::disk::find::NoHit;
use super::key::Key;
use super::ledger::Checked;
use super::lookup::{Held, Hit};
use super::object::{Heat, Object, Place, Representation, StoredHead};
use super::reading::MEMORY_PAUSE;
use crate::body::content::Parts;
use crate::semantics::vary::VarySet;

/// The fields of no request: what selects a block is its key.
struct NoFields(HeaderMap);

impl AsRef<HeaderMap> for NoFields {
    fn as_ref(&self) -> &HeaderMap {
        &self.0
    }
}

impl Cache {
    /// A block of a divided object, if memory has it.
    pub fn block_in_memory(&self, key: &Key, object: &Object, index: u32) -> Option<Bytes> {
        self.memory.block_of(key, object, index)
    }

    /// Whether a tier has a block, as far as that is known without reading it.
    pub fn has_block(&self, key: &Key, object: &Object, index: u32) -> bool {
        let on_disk = |disk: &DiskTier| {
            let block = key.block(object.slot(key), index);
            disk.has(&block, object.generation)
        };
        self.memory.has_block(key, object, index) || self.disk().is_some_and(on_disk)
    }

    /// A block of a divided object from the tier that has it, verified if that is the disk, and in memory from then on as
    /// far as that takes it. Cancel-safe: dropped, the read under way is thrown away.
    pub async fn divided_block(&self, key: &Key, object: &Object, index: u32) -> Option<Bytes> {
        if let Some(block) = self.memory.block_of(key, object, index) {
            return Some(block);
        }
        let disk = self.disk.as_ref()?;
        let name = key.block(object.slot(key), index);
        disk.count(name.hash().short());
        if !disk.has(&name, object.generation) && !disk.is_loading() {
            return None;
        }
        let block = self.read_block(disk, &name, object).await?;
        self.memory.offer_block(key, object, index, block.clone());
        Some(block)
    }

    /// Cancel-safe, as [`DiskTier::find`]; while it waits for memory it holds nothing.
    async fn read_block(&self, disk: &DiskTier, name: &Key, object: &Object) -> Option<Bytes> {
        let of_head = |hit: &Hit| hit.object.generation == object.generation;
        let bytes = |hit: Hit| match hit.content {
            Held::Memory(Parts::Blocks(blocks)) => blocks.first().cloned(),
            // A short one, that lay behind its record.
            Held::Memory(Parts::Inline(bytes)) => Some(bytes),
            Held::Disk(..) | Held::Divided => None,
        };
        let deadline = Instant::now() + disk.patience();
        loop {
            // What waits to be written is in memory.
            if let Some(hit) = disk.stored_intent(name).filter(of_head) {
                return bytes(hit);
            }
            match disk.find(name, &Arc::new(NoFields(HeaderMap::new())), Arc::default()).await {
                Ok(found) => return Some(found.hit).filter(of_head).and_then(bytes),
                Err(NoHit::NoMemory) if Instant::now() < deadline => {
                    self.memory.tidy();
                    tokio::time::sleep(MEMORY_PAUSE).await;
                }
                Err(_) => return None,
            }
        }
    }

    /// Gives the tiers a block of a divided object, unless its head is gone or of another store by now. False if the disk
    /// would take it, but has no room for more that waits: it is in memory then, and may be offered again.
    pub fn store_block(&self, key: &Key, object: &Object, index: u32, block: &Bytes) -> bool {
        if !self.is_alive(key, object) {
            return true;
        }
        self.memory.offer_block(key, object, index, block.clone());
        let Some(disk) = &self.disk else { return true };
        let name = key.block(object.slot(key), index);
        let hit = Hit {
            object: Arc::new(block_object(object, block)),
            content: Held::Memory(Parts::Blocks([block.clone()].into())),
        };
        disk.offer(&name, &hit)
    }

    /// Resolves when the disk may have room for a block again; at once without a disk that takes any. Cancel-safe.
    pub async fn room_for_block(&self) {
        if let Some(disk) = &self.disk {
            disk.room().await;
        }
    }

    /// Has the disk forget the blocks of a divided object that it knows of.
    pub(super) fn forget_blocks(&self, key: &Key, object: &Object) {
        let (Place::Blocks { count, divided: true }, Some(disk)) = (&object.representation.place, &self.disk)
        else {
            return;
        };
        let slot = object.slot(key);
        for index in 0..*count {
            let name = key.block(slot, index);
            if disk.has(&name, object.generation) {
                disk.forget(name.hash().short(), &name, object.generation);
            }
        }
    }
}

/// A block as the disk keeps it.
fn block_object(object: &Object, block: &Bytes) -> Object {
    Object {
        generation: object.generation,
        born: object.born,
        checked: Checked::default(),
        head: StoredHead::new(StatusCode::OK, &HeaderMap::new()),
        given: object.given,
        tags: object.tags.clone(),
        vary: VarySet::default(),
        vary_values: Box::default(),
        representation: Representation {
            length: block.len() as u64,
            place: Place::Blocks { count: 1, divided: false },
        },
        heat: Heat::default(),
        codings: Codings::default(),
        charge: None,
    }
}
