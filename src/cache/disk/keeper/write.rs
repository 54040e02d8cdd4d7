//! Carrying out an intent: contents first, then the record that names them, then the entry that makes it visible.

use std::io;
use std::sync::Arc;

use bytes::Bytes;

use super::room::Newcomer;
use super::{Disk, Keeper};
use crate::base::ids::Generation;
use crate::body::content::{BLOCK, Parts};
use crate::cache::disk::contents::{CONTENT_COST, on_disk};
use crate::cache::disk::intake::{Change, Intent};
use crate::cache::disk::record::{BlockRef, Outline, Record, Stored, encode};
use crate::cache::disk::segment::{self, Put};
use crate::cache::disk::settings::Admission;
use crate::cache::disk::table::{ENTRY_COST, Entry};
use crate::cache::disk::volume::How;
use crate::cache::key::Key;
use crate::cache::lookup::{Held, Hit};
use crate::cache::memory::MAX_VARY_SETS;
use crate::cache::object::Object;
use crate::semantics::vary::VarySet;

impl Keeper {
    /// Carries out an intent. A disk in trouble only notes that what it has of the slot is out of date.
    pub(super) fn carry_out(&mut self, slot: u64, intent: &Intent) -> io::Result<()> {
        if !self.serving() {
            if !matches!(intent.change, Change::Keep) {
                self.owe(slot);
            }
            return Ok(());
        }
        match &intent.change {
            Change::Store(hit) => self.store(slot, intent, hit),
            Change::Keep => self.note(slot, intent),
            Change::Gone(generation) => self.forget(slot, intent, *generation),
        }
    }

    /// Writes an object. What is not let in takes what it would have replaced with it.
    fn store(&mut self, slot: u64, intent: &Intent, hit: &Hit) -> io::Result<()> {
        let Some(disk) = &self.disk else { return Ok(()) };
        let entry = disk.mounted.get(slot);
        let held = entry.and_then(|entry| entry.generation);
        if held.is_some_and(|held| self.shared.is_later(held, hit.object.generation)) {
            return Ok(());
        }
        let old = entry.and_then(|_| disk.mounted.record(slot, &intent.key, How::Patiently).ok().flatten());
        let (old_sets, old) = old.map_or((Vec::new(), None), |(_, record)| (record.vary_sets, record.object));
        let vary_sets = merged(old_sets, &intent.vary);
        // Named before room is made, so that making it does not take them.
        let known = Self::known_blocks(disk, &hit.object, old.as_ref(), hit);
        let within = if known.is_some() { None } else { self.within(hit) };
        Self::name_all(disk, known.as_deref().unwrap_or_default());
        let newcomer = newcomer(slot, &intent.key, hit, within, known.is_some());
        let readable = known.is_some() || matches!(hit.content, Held::Memory(_) | Held::Divided);
        let admitted = if readable && self.lets_in(&intent.key, entry.is_some()) {
            self.make_room(&newcomer)
        } else {
            Ok(false)
        };
        let Some(disk) = &mut self.disk else { return Ok(()) };
        if !matches!(admitted, Ok(true)) {
            disk.mounted.contents.release(known.as_deref().unwrap_or_default());
            admitted?;
            self.shared.means.counters.disk_refused.inc();
            let replaced = held.unwrap_or_default().max(hit.object.generation);
            return self.forget(slot, intent, replaced);
        }
        let blocks: Arc<[BlockRef]> = match (known, within) {
            (Some(blocks), _) => blocks,
            (None, Some(_)) => Arc::default(),
            (None, None) => Self::write_blocks(disk, hit)?.into(),
        };
        // Unless it had to go to make room, what is replaced lets go of its contents.
        let replaced = disk.mounted.get(slot).and_then(|_| Self::blocks_of(disk, slot));
        let lies = Lies { blocks: &blocks, within: within.map_or(&[], |held| held) };
        let written = Self::write_record(disk, slot, &intent.key, &vary_sets, Some((&hit.object, lies)));
        let released = if written.is_ok() { replaced.as_deref() } else { Some(&*blocks) };
        disk.mounted.contents.release(released.unwrap_or_default());
        written?;
        self.shared.means.counters.disk_stored.inc();
        Ok(())
    }

    /// The content of an object, if it is to lie behind its record.
    fn within<'a>(&self, hit: &'a Hit) -> Option<&'a Bytes> {
        let only = match &hit.content {
            Held::Memory(Parts::Inline(bytes)) => Some(bytes),
            // The last block of something long, by itself.
            Held::Memory(Parts::Blocks(blocks)) if blocks.len() == 1 => blocks.first(),
            Held::Memory(Parts::Blocks(_)) | Held::Disk(..) | Held::Divided => None,
        };
        only.filter(|content| content.len() <= self.shared.settings.most_within())
    }

    fn name_all(disk: &Disk, blocks: &[BlockRef]) {
        for block in blocks {
            let (content, length) = block.counted();
            disk.mounted.contents.name(content, length);
        }
    }

    /// Whether the rule of admission lets an object of this key in at all.
    fn lets_in(&self, key: &Key, known: bool) -> bool {
        known
            || self.shared.settings.admission != Admission::SecondRequest
            || self.shared.sketch.estimate(key.hash().short()) >= 2
    }

    /// The blocks of an object whose content is on disk already: it was confirmed under a new head.
    fn known_blocks(
        disk: &Disk,
        object: &Object,
        old: Option<&Stored>,
        hit: &Hit,
    ) -> Option<Arc<[BlockRef]>> {
        if let Held::Disk(pinned, _) = &hit.content {
            return pinned.is_on(&disk.mounted).then(|| Arc::clone(pinned.blocks()));
        }
        let same = old.filter(|old| old.object.generation == object.generation && !old.blocks.is_empty());
        same.map(|old| Arc::clone(&old.blocks))
    }

    /// Writes the blocks of a content, each named once it is there.
    fn write_blocks(disk: &Disk, hit: &Hit) -> io::Result<Vec<BlockRef>> {
        let blocks = match &hit.content {
            Held::Divided => return Ok(Vec::new()),
            Held::Memory(Parts::Inline(bytes)) => std::slice::from_ref(bytes),
            Held::Memory(Parts::Blocks(blocks)) => blocks,
            Held::Disk(..) => return Err(io::ErrorKind::NotFound.into()),
        };
        let mut written: Vec<BlockRef> = Vec::with_capacity(blocks.len());
        for block in blocks {
            match disk.mounted.volume.write_content(block) {
                Ok(address) => {
                    let block = BlockRef::of(block, address);
                    let (content, length) = block.counted();
                    disk.mounted.contents.name(content, length);
                    written.push(block);
                }
                Err(error) => {
                    disk.mounted.contents.release(&written);
                    return Err(error);
                }
            }
        }
        Ok(written)
    }

    /// Writes the record of a slot and makes it visible.
    fn write_record(
        disk: &mut Disk,
        slot: u64,
        key: &Key,
        vary_sets: &[VarySet],
        object: Option<(&Object, Lies)>,
    ) -> io::Result<()> {
        let Lies { blocks, within } = object.map(|(_, lies)| lies).unwrap_or_default();
        let payload = encode(key, vary_sets, object.map(|(object, _)| (object, blocks)));
        let generation = object.map(|(object, _)| object.generation);
        let outline = Outline {
            site: key.site().0,
            generation,
            varies: !vary_sets.is_empty(),
            blocks: blocks.to_vec(),
            within: u32::try_from(within.len()).unwrap_or(u32::MAX),
        };
        let place = disk.appender.put(slot, &payload, within, Put::from(&outline))?;
        let bytes: u64 = blocks.iter().map(|block| on_disk(u64::from(block.length))).sum();
        disk.mounted.link(Entry {
            slot,
            generation,
            place,
            blocks_kib: u32::try_from(bytes >> 10).unwrap_or(u32::MAX),
            site: outline.site,
            varies: outline.varies,
        });
        Ok(())
    }

    /// Notes `Vary` sets beside whatever a slot has.
    fn note(&mut self, slot: u64, intent: &Intent) -> io::Result<()> {
        let Some(disk) = &mut self.disk else { return Ok(()) };
        let memory = |entry: &Entry| Ok(vec![0; entry.place.within as usize]);
        let old = disk.mounted.record_with_content(slot, &intent.key, How::Patiently, memory).ok().flatten();
        let (Record { vary_sets: old_sets, object }, within) = match old {
            Some((_, record)) => record,
            None => (Record { vary_sets: Vec::new(), object: None }, Vec::new()),
        };
        let vary_sets = merged(old_sets.clone(), &intent.vary);
        if vary_sets == old_sets {
            return Ok(());
        }
        let object =
            object.as_ref().map(|stored| (&stored.object, Lies { blocks: &stored.blocks, within: &within }));
        Self::write_record(disk, slot, &intent.key, &vary_sets, object)
    }

    /// Takes the object of a slot out; its `Vary` sets stay.
    fn forget(&mut self, slot: u64, intent: &Intent, generation: Generation) -> io::Result<()> {
        let (key, Some(disk)) = (&intent.key, &mut self.disk) else { return Ok(()) };
        if disk.partial && disk.mounted.get(slot).is_none() {
            disk.appender.gone(slot)?;
        }
        let Some(entry) = disk.mounted.get(slot).filter(|entry| entry.generation <= Some(generation)) else {
            return self.note(slot, intent);
        };
        let (old_sets, object) = match disk.mounted.record(slot, key, How::Patiently) {
            Ok(Some((_, Record { vary_sets, object }))) => (vary_sets, object),
            _ => (Vec::new(), None),
        };
        let vary_sets = merged(old_sets, &intent.vary);
        if vary_sets.is_empty() {
            return Self::evict(disk, slot, &entry);
        }
        Self::write_record(disk, slot, key, &vary_sets, None)?;
        if let Some(object) = object {
            disk.mounted.contents.release(&object.blocks);
        }
        Ok(())
    }

    /// The blocks that the record of a slot names, if it can be read.
    pub(super) fn blocks_of(disk: &Disk, slot: u64) -> Option<Vec<BlockRef>> {
        let (_, payload) = disk.mounted.payload(slot, How::Patiently).ok().flatten()?;
        Outline::of(payload.payload()).ok().map(|outline| outline.blocks)
    }
}

/// Where the content of a whole object lies.
#[derive(Clone, Copy, Debug, Default)]
struct Lies<'a> {
    /// In files, of which these are the addresses,
    blocks: &'a [BlockRef],
    /// or behind the record.
    within: &'a [u8],
}

/// What an object needs to be let in. What it replaces goes only afterwards.
fn newcomer(slot: u64, key: &Key, hit: &Hit, within: Option<&Bytes>, content_is_there: bool) -> Newcomer {
    let object = &hit.object;
    let length = object.representation.length;
    let head = (u64::from(segment::overhead(1)) + key.weight() as u64) + object.head_weight() as u64;
    let record = head + object.vary_values.len() as u64 + within.map_or(0, |held| held.len() as u64);
    let blocks = match &hit.content {
        Held::Divided => 0,
        _ if content_is_there || within.is_some() => 0,
        _ => length.div_ceil(BLOCK as u64),
    };
    // Each block may need a directory of its own.
    let contents = if blocks == 0 { 0 } else { on_disk(length) + blocks * 4096 };
    Newcomer { slot, bytes: record + contents, contents, memory: ENTRY_COST + blocks * CONTENT_COST }
}

fn merged(mut sets: Vec<VarySet>, more: &[VarySet]) -> Vec<VarySet> {
    for set in more {
        if !sets.contains(set) {
            sets.push(set.clone());
        }
    }
    let surplus = sets.len().saturating_sub(MAX_VARY_SETS);
    sets.drain(..surplus);
    sets
}
