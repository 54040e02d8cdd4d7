//! How a request finds an object on disk, and a reader its blocks.
//!
//! What the kernel has in memory is read at once, by the worker: that costs a few microseconds. Where it has not, it has
//! begun to bring it, so the worker looks again when others had their turn. Everything else, and every larger block, is
//! read on the blocking pool. Dropped while it waits, a request has left: the read ends there and is thrown away, and with
//! it the pin.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use http::HeaderMap;
use tokio::time::Instant;

use super::contents::Pin;
use super::intake::Change;
use super::mounted::Mounted;
use super::record::{BlockRef, Stored};
use super::table::Entry;
use super::volume::{How, is_of_file};
use super::{DiskTier, Shared};
use crate::base::ids::Generation;
use crate::body::block::BlockMemory;
use crate::body::budget::Charge;
use crate::body::content::{BLOCK, Parts};
use crate::cache::key::Key;
use crate::cache::lookup::{Held, Hit, is_newer};
use crate::cache::object::Place;
use crate::semantics::vary::VarySet;
use crate::telemetry::counters::Counter;

/// The content of an object on disk. It stays there while this is held.
#[derive(Clone, Debug)]
pub struct Pinned(Arc<PinnedBlocks>);

#[derive(Debug)]
struct PinnedBlocks {
    mounted: Arc<Mounted>,
    slot: u64,
    generation: Generation,
    blocks: Arc<[BlockRef]>,
    _pin: Pin,
}

/// Why a search has found nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoHit {
    /// There is nothing for the request, or it cannot be read.
    #[error("nothing usable is on disk")]
    Nothing,
    /// There may be something, but not in time.
    #[error("the disk is too slow")]
    AtOnce,
    /// There is something, and no memory for it now.
    #[error("the budget is used up")]
    NoMemory,
}

/// Errors of the device in a row after which it is given a rest.
const MOST_READ_ERRORS: u32 = 16;

/// Blocks up to this many bytes are read and verified by a worker, if they are in memory: some twenty microseconds.
const MOST_AT_ONCE: u32 = 64 << 10;

/// How often others get their turn before a read of which the system has begun to bring the bytes goes to the blocking
/// pool: handing it over costs more than some more looks, by which many reads find theirs come.
const MOST_LOOKS: usize = 4;

/// Memory for contents up to this many bytes is taken without asking, as that for heads is.
const SMALL: usize = 16 << 10;

/// What is in a slot: the `Vary` sets seen, and the object.
type Slot = (Vec<VarySet>, Option<(Entry, Stored)>);

/// What a search has found, and where.
#[derive(Debug)]
pub struct Found {
    /// The object and its content.
    pub hit: Hit,
    pub(super) mounted: Arc<Mounted>,
    pub(super) entry: Entry,
}

/// Why a block cannot be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoBlock {
    /// It is not there, or not what was stored. The object is taken out.
    #[error("a block on disk is damaged")]
    Damaged,
    /// The budget is used up.
    #[error("the budget is used up")]
    NoMemory,
    /// The disk does not answer in time.
    #[error("the disk is too slow")]
    Slow,
}

impl Pinned {
    pub(super) fn blocks(&self) -> &Arc<[BlockRef]> {
        &self.0.blocks
    }

    /// Whether its blocks are on this disk.
    pub(super) fn is_on(&self, mounted: &Arc<Mounted>) -> bool {
        Arc::ptr_eq(&self.0.mounted, mounted)
    }
}

impl Pinned {
    /// All of it, of which the first block is here. Blocking.
    pub(super) fn read(&self, shared: &Shared, first: Bytes) -> Option<Parts> {
        let rest = self.0.blocks.iter().skip(1);
        let rest = rest.map(|block| shared.read_block(&self.0.mounted, block, How::Patiently).ok());
        let blocks: Option<Arc<[Bytes]>> = std::iter::once(Some(first)).chain(rest).collect();
        blocks.map(Parts::Blocks)
    }
}

impl DiskTier {
    /// The newest object for a request with these fields whose content can be had, its first block verified. `known`
    /// are the `Vary` sets of the key that memory knows.
    ///
    /// A key that is not known yet waits for the index to be loaded, up to its patience. Cancel-safe.
    pub async fn find<R>(&self, key: &Key, request: &Arc<R>, known: Arc<[VarySet]>) -> Result<Found, NoHit>
    where
        R: AsRef<HeaderMap> + Send + Sync + 'static,
    {
        self.search(key, request, known, false).await
    }

    /// The same, for one who only wants to know: nothing is counted as asked for, and what is damaged or dead is left for
    /// a request to find. Cancel-safe.
    pub async fn peek<R>(&self, key: &Key, request: &Arc<R>, known: Arc<[VarySet]>) -> Result<Found, NoHit>
    where
        R: AsRef<HeaderMap> + Send + Sync + 'static,
    {
        self.search(key, request, known, true).await
    }

    /// What [`find`](Self::find) would find, if the system has it in memory: some microseconds, and nobody is waited for.
    pub fn find_at_once(&self, key: &Key, request: &HeaderMap, known: &[VarySet]) -> Option<Found> {
        let mounted = self.shared.mounted()?;
        let search = Search { shared: &self.shared, mounted: &mounted, key, how: How::AtOnce, quiet: true };
        // What is damaged or dead is left for the fetch to find, which has to know that it was there.
        let found = search.find(request, known).ok()?;
        if found.entry.slot != key.hash().short() {
            self.shared.sketch.count(found.entry.slot);
        }
        Some(found)
    }

    /// What is in one slot of `key`, whatever requests would select. Patiently it is blocking.
    pub(super) fn in_slot(&self, key: &Key, slot: u64, how: How) -> Option<Hit> {
        let mounted = self.shared.mounted()?;
        mounted.get(slot)?;
        let search = Search { shared: &self.shared, mounted: &mounted, key, how, quiet: how == How::AtOnce };
        let (_, found) = search.record(slot).ok()?;
        let (entry, stored) = found?;
        let hit = search.with_content(entry.slot, stored).ok()?;
        (!mounted.is_dead()).then_some(hit)
    }

    /// Whether something is there under this key that may be found at once. A guess: nothing is read.
    pub fn may_have_at_once(&self, key: &Key) -> bool {
        let entry = self.shared.mounted().and_then(|mounted| mounted.get(key.hash().short()));
        entry.is_some_and(|entry| entry.varies || entry.blocks_kib << 10 <= MOST_AT_ONCE)
    }

    async fn search<R>(
        &self,
        key: &Key,
        request: &Arc<R>,
        known: Arc<[VarySet]>,
        quiet: bool,
    ) -> Result<Found, NoHit>
    where
        R: AsRef<HeaderMap> + Send + Sync + 'static,
    {
        let mounted = self.shared.mounted().ok_or(NoHit::Nothing)?;
        let slot = key.hash().short();
        if mounted.get(slot).is_none() && !self.loaded_in_time(&mounted).await {
            return Err(NoHit::Nothing);
        }
        if mounted.get(slot).is_none() && known.is_empty() {
            return Err(NoHit::Nothing);
        }
        // Of what is long, only the record might be found.
        let looks = if self.may_have_at_once(key) { MOST_LOOKS } else { 1 };
        for _ in 0..looks {
            let search = Search { shared: &self.shared, mounted: &mounted, key, how: How::AtOnce, quiet };
            match search.find((**request).as_ref(), &known) {
                Err(NoHit::AtOnce) => tokio::task::yield_now().await,
                decided => return decided,
            }
        }
        let (shared, key, request) = (Arc::clone(&self.shared), key.clone(), Arc::clone(request));
        let search = move || {
            let how = How::Patiently;
            let search = Search { shared: &shared, mounted: &mounted, key: &key, how, quiet };
            search.find((*request).as_ref(), &known)
        };
        self.in_time(search).await.unwrap_or(Err(NoHit::AtOnce))
    }

    async fn loaded_in_time(&self, mounted: &Mounted) -> bool {
        if mounted.is_loaded() {
            return true;
        }
        let mut health = self.shared.health.subscribe();
        let loaded = health.wait_for(|_| mounted.is_loaded() || mounted.is_dead());
        tokio::time::timeout(self.shared.settings.load_patience, loaded)
            .await
            .is_ok_and(|loaded| loaded.is_ok() && !mounted.is_dead())
    }

    /// A block of a pinned content, verified. Cancel-safe.
    pub async fn block(&self, pinned: &Pinned, index: usize) -> Result<Bytes, NoBlock> {
        let shared = Arc::clone(&self.shared);
        let inner = Arc::clone(&pinned.0);
        let read = move || {
            let block = inner.blocks.get(index).ok_or(NoBlock::Damaged)?;
            shared.read_block(&inner.mounted, block, How::Patiently)
        };
        self.in_time(read).await.unwrap_or(Err(NoBlock::Slow))
    }

    /// A block of it was found bad: nobody shall find it again.
    pub fn report(&self, key: &Key, pinned: &Pinned) {
        self.shared.damaged(&pinned.0.mounted, pinned.0.slot, key, Some(pinned.0.generation), "a block");
    }

    /// Reads on the blocking pool; `None` if that takes too long. A read that hangs keeps its place.
    pub(super) async fn in_time<T: Send + 'static>(
        &self,
        read: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let shared = &self.shared;
        if shared.slow_until.lock().is_some_and(|until| Instant::now() < until) {
            return None;
        }
        let patience = shared.settings.read_patience;
        let place = Arc::clone(&shared.reads).acquire_owned();
        // Many readers are no sign of a slow disk.
        let place = tokio::time::timeout(patience, place).await.ok()?.ok()?;
        let read = tokio::task::spawn_blocking(move || (read(), drop(place)).0);
        let Ok(read) = tokio::time::timeout(patience, read).await else {
            shared.means.counters.disk_slow.inc();
            let now = Instant::now();
            let before = shared.slow_until.lock().replace(now + shared.settings.retry);
            if before.is_none_or(|before| before <= now) {
                tracing::warn!("disk tier: a read takes too long; requests go to the origin for a while");
            }
            return None;
        };
        read.ok()
    }
}

impl Shared {
    /// A block, verified.
    pub(super) fn read_block(&self, mounted: &Mounted, block: &BlockRef, how: How) -> Result<Bytes, NoBlock> {
        let length = block.length as usize;
        if length > BLOCK {
            return Err(NoBlock::Damaged);
        }
        if how == How::AtOnce && block.length > MOST_AT_ONCE {
            return Err(NoBlock::Slow);
        }
        let charge = self.means.budget.try_charge_body(u64::from(block.length)).ok_or(NoBlock::NoMemory)?;
        let mut bytes = BlockMemory::zeroed(length);
        match mounted.volume.read_content(&block.address, bytes.as_mut(), how) {
            Ok(()) if block.verify(bytes.as_ref()) => {
                self.read_errors.store(0, Ordering::Relaxed);
                Ok(charge.attach(bytes))
            }
            Ok(()) => Err(NoBlock::Damaged),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(NoBlock::Slow),
            Err(error) => {
                tracing::debug!(%error, "a content could not be read");
                Err(if self.suspect(&error) { NoBlock::Slow } else { NoBlock::Damaged })
            }
        }
    }

    /// Whether an error is one of the device (or of a limit of the system), not of one file: that says nothing of the
    /// object, and if it happens again and again it is the keeper's business.
    fn suspect(&self, error: &io::Error) -> bool {
        if is_of_file(error) {
            return false;
        }
        self.means.counters.disk_read_errors.inc();
        if self.read_errors.fetch_add(1, Ordering::Relaxed) + 1 >= MOST_READ_ERRORS {
            self.intake.nudge();
        }
        true
    }

    /// Whether the device has failed so often in a row that it is not to be asked any more. Asked once, it counts anew.
    pub(super) fn has_failed_to_read(&self) -> bool {
        if self.read_errors.load(Ordering::Relaxed) < MOST_READ_ERRORS {
            return false;
        }
        self.read_errors.store(0, Ordering::Relaxed);
        true
    }

    /// Takes a damaged object out.
    fn damaged(&self, mounted: &Mounted, slot: u64, key: &Key, generation: Option<Generation>, what: &str) {
        if mounted.get(slot).is_some_and(|entry| entry.generation == generation) {
            Counter::inc(&self.means.counters.disk_damaged);
            tracing::warn!(key = ?key.hash(), "disk tier: {what} is damaged or missing; the object is taken out");
            self.intake.forget(slot, key, generation.unwrap_or_default());
        }
    }
}

/// The content that lies behind a record, read into memory of its own.
struct Within {
    bytes: Vec<u8>,
    charge: Option<Charge>,
}

impl Within {
    fn into_bytes(self) -> Bytes {
        self.charge.map_or_else(Bytes::new, |charge| charge.attach(self.bytes))
    }
}

impl AsMut<[u8]> for Within {
    fn as_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }
}

/// One request's search. Blocking, if it is patient.
struct Search<'a> {
    shared: &'a Arc<Shared>,
    mounted: &'a Arc<Mounted>,
    key: &'a Key,
    how: How,
    /// Leaves everything as it is.
    quiet: bool,
}

impl Search<'_> {
    fn find(&self, request: &HeaderMap, known: &[VarySet]) -> Result<Found, NoHit> {
        let mut newest: Option<(Entry, Stored)> = None;
        let mut consider = |entry: Entry, stored: Stored| {
            if !stored.object.is_alive(self.key, &self.shared.means.ledger) {
                if !self.quiet {
                    self.shared.intake.forget(entry.slot, self.key, stored.object.generation);
                }
                return;
            }
            let usable = stored.object.head.is_accepted_by(request);
            if usable && newest.as_ref().is_none_or(|(_, best)| is_newer(&stored.object, &best.object)) {
                newest = Some((entry, stored));
            }
        };
        let base = self.key.hash().short();
        let (vary_sets, plain) = self.record(base)?;
        if let Some((entry, plain)) = plain {
            consider(entry, plain);
        }
        let unseen = known.iter().filter(|set| !vary_sets.contains(set));
        for set in vary_sets.iter().chain(unseen).filter(|set| !set.is_empty()) {
            let values = set.values(request);
            let slot = self.key.variant(&values).short();
            match self.record(slot) {
                Ok((_, Some((entry, variant)))) if *variant.object.vary_values == *values => {
                    consider(entry, variant);
                }
                Err(why @ (NoHit::AtOnce | NoHit::NoMemory)) => return Err(why),
                _ => {}
            }
        }
        let (entry, stored) = newest.ok_or(NoHit::Nothing)?;
        let hit = self.with_content(entry.slot, stored)?;
        if self.mounted.is_dead() {
            // What has changed since the disk failed was not written to it.
            return Err(NoHit::Nothing);
        }
        if entry.slot != base && !self.quiet {
            self.shared.sketch.count(entry.slot);
        }
        Ok(Found { hit, mounted: Arc::clone(self.mounted), entry })
    }

    /// What the disk has in a slot, unless something else waits to be written there, which memory and intake have
    /// been asked for already.
    fn record(&self, slot: u64) -> Result<Slot, NoHit> {
        let overtaken = match self.shared.intake.waiting(slot, self.key).map(|intent| intent.change) {
            Some(Change::Gone(_) | Change::Store(_)) => true,
            Some(Change::Keep) | None => false,
        };
        let memory = |entry: &Entry| self.memory_for(entry);
        match self.mounted.record_with_content(slot, self.key, self.how, memory) {
            Ok(Some((entry, (record, content)))) => {
                let object = record.object.filter(|_| !overtaken).map(|mut stored| {
                    stored.within = content.into_bytes();
                    (entry, stored)
                });
                Ok((record.vary_sets, object))
            }
            Ok(None) => Ok((Vec::new(), None)),
            Err((_, error)) if error.kind() == io::ErrorKind::WouldBlock => Err(NoHit::AtOnce),
            Err((_, error)) if error.kind() == io::ErrorKind::OutOfMemory => Err(NoHit::NoMemory),
            Err((entry, error)) => {
                if !self.quiet && !self.shared.suspect(&error) {
                    self.shared.damaged(self.mounted, slot, self.key, entry.generation, "a record");
                }
                Err(NoHit::Nothing)
            }
        }
    }

    /// Memory for the content that lies behind a record.
    fn memory_for(&self, entry: &Entry) -> io::Result<Within> {
        let (budget, length) = (&self.shared.means.budget, entry.place.within as usize);
        let charge = match length {
            0 => None,
            1..=SMALL => Some(budget.charge(length as u64)),
            _ => Some(budget.try_charge_body(length as u64).ok_or(io::ErrorKind::OutOfMemory)?),
        };
        Ok(Within { bytes: vec![0; length], charge })
    }

    /// The object with what a first answer needs of its content.
    fn with_content(&self, slot: u64, stored: Stored) -> Result<Hit, NoHit> {
        let lies_within = stored.lies_within();
        let Stored { mut object, blocks, within } = stored;
        object.charge = Some(self.shared.means.budget.charge(object.head_weight() as u64));
        if lies_within {
            self.shared.read_errors.store(0, Ordering::Relaxed);
            object.representation.place = Place::Inline(within.clone());
            let parts = Parts::Inline(within);
            return Ok(Hit { object: Arc::new(object), content: Held::Memory(parts) });
        }
        if let Place::Blocks { divided: true, .. } = object.representation.place {
            return Ok(Hit { object: Arc::new(object), content: Held::Divided });
        }
        let pin = self.mounted.contents.pin(&blocks).ok_or(NoHit::Nothing)?;
        let first = blocks.first().ok_or(NoHit::Nothing)?;
        let first = match self.shared.read_block(self.mounted, first, self.how) {
            Ok(first) => first,
            Err(NoBlock::Damaged) => {
                if !self.quiet {
                    self.shared.damaged(self.mounted, slot, self.key, Some(object.generation), "a block");
                }
                return Err(NoHit::Nothing);
            }
            Err(NoBlock::NoMemory) => return Err(NoHit::NoMemory),
            Err(NoBlock::Slow) => return Err(NoHit::AtOnce),
        };
        let content = if blocks.len() == 1 {
            Held::Memory(Parts::Blocks([first].into()))
        } else {
            let pinned = Pinned(Arc::new(PinnedBlocks {
                mounted: Arc::clone(self.mounted),
                slot,
                generation: object.generation,
                blocks,
                _pin: pin,
            }));
            Held::Disk(pinned, first)
        };
        Ok(Hit { object: Arc::new(object), content })
    }
}
