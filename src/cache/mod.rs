//! What is kept, and how it is found again.
//!
//! - [`key`]: which responses may stand for one another.
//! - [`object`]: a stored response: a head and its representation.
//! - [`memory`]: the first tier.
//! - [`disk`]: the second tier, which outlives the process.
//! - [`markers`]: keys whose last answer was not for sharing (hit-for-miss).
//! - `divided`: objects whose blocks come, stay and go one by one.
//! - [`hot`]: what is asked for most, by a sample.
//! - [`inspect`]: what is stored under one key, for people.
//! - `doorkeeper`: what is asked for once does not go from disk into memory.
//! - `aliases`: other URLs of what is stored (`No-Vary-Search`).
//! - `variants`: how many variants a key has.
//! - [`wish`]: purges as they are asked for. - [`tally`]: what they would match.
//! - [`short_hash`]: tables whose names are hashes already.
//! - [`ledger`]: the order of purges. - `purges`: what the cache makes of it. - `sweep`, [`era`]: what becomes of the space
//!   of what is dead, and of records that nothing is left for.
//! - [`lookup`]: the question that a request asks, and its possible answers.

mod aliases;
pub mod disk;
mod divided;
mod doorkeeper;
pub mod era;
pub mod hot;
pub mod inspect;
pub mod key;
pub mod ledger;
pub mod lookup;
pub mod markers;
pub mod memory;
pub mod object;
mod purges;
pub mod short_hash;
mod sweep;
pub mod tally;
mod variants;
pub mod wish;

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::base::clock::Timestamp;
use crate::base::ids::{Generation, Generations};
use crate::body::budget::Budget;
use crate::semantics::tags::Tags;
use crate::semantics::vary::VarySet;
use crate::telemetry::counters::Counters;
use aliases::Aliases;
use disk::DiskTier;
use disk::find::{Found, NoBlock, NoHit, Pinned};
pub use disk::settings::{Admission, Settings as DiskSettings};
use disk::volume::{DirectoryOpener, OpenError, Opener};
use doorkeeper::Doorkeeper;
use era::Eras;
use hot::HotList;
use key::Key;
use ledger::Ledger;
use lookup::{Held, Hit, Lookup};
use markers::{Marker, Markers};
use memory::MemoryTier;
use object::Object;
use sweep::Sweeper;
use variants::Variants;

/// How long a search waits for memory before it tries again.
const MEMORY_PAUSE: Duration = Duration::from_millis(5);

/// Bytes that the lists of aliases, and those of variants, may take for each marker that there may be: together as
/// much as the markers.
const LIST_SHARE: u64 = 128;

/// Limits of the cache.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Bytes that the memory tier may hold, overhead counted.
    pub memory: u64,
    /// Most markers at a time.
    pub max_markers: u64,
    /// How long a marker lives.
    pub marker_life: Duration,
    /// Bytes of memory that the ledger's records may take.
    pub ledger: u64,
    /// The disk tier, if there is one.
    pub disk: Option<DiskSettings>,
}

/// The part of the disk's limit that the ledger's living records may take. Its file has up to as much again that is out of
/// date, and while it is written anew there are two.
const LEDGER_OF_DISK: u64 = 32;

impl Settings {
    /// How many records the ledger may have: its files must stay small beside the disk's limit too.
    fn ledger_limit(&self) -> usize {
        ledger::most_records(self.ledger, self.disk.as_ref().map(|disk| disk.limit / LEDGER_OF_DISK))
    }
}

/// The tiers, the markers and the ledger of a node.
#[derive(Debug)]
pub struct Cache {
    /// Before the tiers, so that it is gone before they go.
    sweeper: Sweeper,
    memory: Arc<MemoryTier>,
    disk: Option<Arc<DiskTier>>,
    /// Before the memory tier, where there is a disk.
    doorkeeper: Option<Doorkeeper>,
    markers: Arc<Markers>,
    aliases: Arc<Aliases>,
    variants: Variants,
    hot: HotList,
    ledger: Arc<Ledger>,
    /// Places for records that are waited for.
    purging: Semaphore,
    /// Held by whoever counts what a purge would match.
    tallying: Mutex<()>,
    generations: Arc<Generations>,
    eras: Arc<Eras>,
}

impl Cache {
    /// A cache whose memory is empty. With a disk tier, its directory is opened and its index is loaded in the
    /// background; blocking, but only for a few small files.
    pub fn open(
        settings: &Settings,
        budget: &Arc<Budget>,
        counters: &Arc<Counters>,
    ) -> Result<Self, OpenError> {
        let opener = settings
            .disk
            .as_ref()
            .map(|disk| -> Arc<dyn Opener> { Arc::new(DirectoryOpener::new(disk.directory.clone())) });
        Self::open_on(settings, opener, budget, counters)
    }

    /// The same on any disk.
    pub fn open_on(
        settings: &Settings,
        opener: Option<Arc<dyn Opener>>,
        budget: &Arc<Budget>,
        counters: &Arc<Counters>,
    ) -> Result<Self, OpenError> {
        let ledger = Arc::new(Ledger::new(settings.ledger_limit(), budget, counters));
        let generations = Arc::<Generations>::default();
        let means = opener.map(|opener| disk::Means {
            opener,
            budget: Arc::clone(budget),
            counters: Arc::clone(counters),
            ledger: Arc::clone(&ledger),
            generations: Arc::clone(&generations),
        });
        let disk = match (&settings.disk, means) {
            (Some(settings), Some(means)) => Some(Arc::new(DiskTier::start(settings.clone(), means)?)),
            _ => None,
        };
        let memory = Arc::new(MemoryTier::new(settings.memory));
        let aliases = Arc::new(Aliases::new(settings.max_markers * LIST_SHARE));
        let markers = Arc::new(Markers::new(settings.max_markers, settings.marker_life));
        let eras = Arc::<Eras>::default();
        let sweeper = Sweeper::new(sweep::Means {
            memory: Arc::downgrade(&memory),
            disk: disk.as_ref().map(Arc::downgrade),
            ledger: Arc::clone(&ledger),
            eras: Arc::clone(&eras),
            aliases: Arc::clone(&aliases),
            markers: Arc::clone(&markers),
            counters: Arc::clone(counters),
        });
        if ledger.speaks_of_many() {
            // What an earlier process has purged, and not given back.
            sweeper.ask();
        }
        Ok(Self {
            memory,
            doorkeeper: disk.as_ref().map(|_| Doorkeeper::of_tier(settings.memory, budget)),
            disk,
            markers,
            aliases,
            variants: Variants::new(settings.max_markers * LIST_SHARE),
            hot: HotList::default(),
            ledger,
            purging: Semaphore::new(purges::MOST_AT_ONCE as usize),
            tallying: Mutex::default(),
            generations,
            eras,
            sweeper,
        })
    }

    /// What memory knows for a request with these fields, which is counted. Takes no lock if memory has it, and never
    /// waits.
    pub fn lookup(&self, key: &Key, request: &HeaderMap) -> Lookup {
        let found = self.look_again(key, request);
        self.count(key, found.hit());
        found
    }

    /// Counts a request that looked without being counted, and found this.
    pub fn count(&self, key: &Key, found: Option<&Hit>) {
        self.hot.note(key);
        let Some(disk) = &self.disk else { return };
        disk.count(key.hash().short());
        if let Some(hit) = found.filter(|hit| !hit.object.vary.is_empty()) {
            disk.count(hit.object.slot(key).short());
        }
    }

    /// The same for a request that has been counted.
    pub fn look_again(&self, key: &Key, request: &HeaderMap) -> Lookup {
        let tiers = (&*self.memory, self.disk());
        lookup::lookup(tiers, &self.ledger, key, request, |dead| self.remove(key, dead))
    }

    /// The same, for one who only wants to know: it is not counted, and what is found dead stays where it is. Beside it,
    /// whether something dead was found. The memory tier notes each read for its policy, and that too.
    pub fn peek(&self, key: &Key, request: &HeaderMap) -> (Lookup, bool) {
        let dead = Cell::new(false);
        let tiers = (&*self.memory, self.disk());
        let found = lookup::lookup(tiers, &self.ledger, key, request, |_| dead.set(true));
        (found, dead.get())
    }

    /// What [`Cache::find`] would find, for one who only wants to know: it does not go into memory, is not counted, and
    /// what is found damaged or dead stays where it is. Does not wait for memory. Cancel-safe.
    pub async fn peek_disk<R>(&self, key: &Key, request: &Arc<R>) -> Option<Hit>
    where
        R: AsRef<HeaderMap> + Send + Sync + 'static,
    {
        let disk = self.disk.as_ref()?;
        let found = disk.peek(key, request, self.known_vary(key)).await.ok()?;
        disk.is_current(key, &found).then_some(found.hit)
    }

    /// What the disk has for a request that memory could not answer, fresh or not; it goes into memory, as far as that
    /// takes it. Cancel-safe: dropped, the read under way is thrown away.
    pub async fn find<R>(&self, key: &Key, request: &Arc<R>) -> Option<Hit>
    where
        R: AsRef<HeaderMap> + Send + Sync + 'static,
    {
        let disk = self.disk.as_ref()?;
        let _era = self.era();
        let deadline = Instant::now() + disk.patience();
        let found = loop {
            match disk.find(key, request, self.known_vary(key)).await {
                Ok(found) => break found,
                // Others are reading: their memory will be free in a moment, while a fetch would want as much.
                Err(NoHit::NoMemory) if Instant::now() < deadline => {
                    self.memory.tidy();
                    tokio::time::sleep(MEMORY_PAUSE).await;
                }
                Err(_) => return None,
            }
        };
        self.take_up(disk, key, found)
    }

    /// The same, if the system has it in memory, and it `is_usable`: some microseconds, and nobody is waited for.
    pub fn find_at_once(
        &self,
        key: &Key,
        request: &HeaderMap,
        is_usable: impl FnOnce(&Hit) -> bool,
    ) -> Option<Hit> {
        let disk = self.disk.as_ref()?;
        let _era = self.era();
        let found = disk.find_at_once(key, request, &self.known_vary(key))?;
        if is_usable(&found.hit) { self.take_up(disk, key, found) } else { None }
    }

    /// Whether the disk has something under this key that may be found at once. A guess: nothing is read.
    pub fn may_have_at_once(&self, key: &Key) -> bool {
        self.disk.as_ref().is_some_and(|disk| disk.may_have_at_once(key))
    }

    /// Puts what the disk had into memory, as far as that takes it.
    fn take_up(&self, disk: &DiskTier, key: &Key, found: Found) -> Option<Hit> {
        // What came up while it was read must not be undone by it: looked at before, and again afterwards.
        if !disk.is_current(key, &found) {
            return None;
        }
        if !self.is_worth_memory(key, &found.hit) {
            // By that the next requests are grouped all the same.
            self.note_vary(key, &found.hit.object.vary);
            return Some(found.hit);
        }
        self.memory.store(key, &found.hit);
        // Nor must a purge that came meanwhile, of which a sweep may have passed by the memory already.
        if !disk.is_current(key, &found) || !self.is_alive(key, &found.hit.object) {
            self.memory.remove(key, &found.hit.object);
            return None;
        }
        Some(found.hit)
    }

    /// Whether what the disk had is to go into memory: as long as there is room, and then what comes back soon. Of what is
    /// long its head goes in any case, since blocks are told by it.
    fn is_worth_memory(&self, key: &Key, hit: &Hit) -> bool {
        let is_whole = matches!(hit.content, Held::Memory(_));
        !is_whole
            || self.memory.has_room_for(&hit.object)
            || self.doorkeeper.as_ref().is_none_or(|door| door.knows(hit.object.slot(key).short()))
    }

    /// A block of a hit that is on disk, from the tier that has it. Cancel-safe.
    pub async fn block(
        &self,
        key: &Key,
        object: &Object,
        pinned: &Pinned,
        index: u32,
    ) -> Result<Bytes, NoBlock> {
        if let Some(block) = self.memory.block_of(key, object, index) {
            return Ok(block);
        }
        let disk = self.disk.as_ref().ok_or(NoBlock::Damaged)?;
        let block = disk.block(pinned, index as usize).await.inspect_err(|_| self.memory.tidy())?;
        self.memory.offer_block(key, object, index, block.clone());
        Ok(block)
    }

    /// A block of a hit was found bad: the object is taken out of both tiers.
    pub fn report_damage(&self, key: &Key, object: &Object, pinned: &Pinned) {
        if let Some(disk) = &self.disk {
            disk.report(key, pinned);
        }
        self.memory.remove(key, object);
    }

    /// The disk tier, if there is one.
    pub fn disk(&self) -> Option<&DiskTier> {
        self.disk.as_deref()
    }

    /// The names by which the known variants of `key` differ.
    pub fn known_vary(&self, key: &Key) -> Arc<[VarySet]> {
        self.memory.known_vary(key)
    }

    /// Notes that answers for `key` vary by `set`, so that the next requests are grouped at once.
    pub fn note_vary(&self, key: &Key, set: &VarySet) {
        if !set.is_empty() {
            self.memory.note_vary(key, set);
        }
    }

    /// Makes `hit` visible to lookup; false if one with a later head is there, or it was purged since it was born. The tiers
    /// may refuse it all the same: they keep what is asked for most.
    pub fn store(&self, key: &Key, hit: &Hit) -> bool {
        let overtaken = || self.disk.as_ref().is_some_and(|disk| disk.has_later(key, &hit.object));
        if !self.is_alive(key, &hit.object) || overtaken() {
            return false;
        }
        let (stored, replaced) = self.memory.store(key, hit);
        if let Some(replaced) = replaced {
            self.forget_blocks(key, &replaced);
        }
        if let Some(disk) = self.disk.as_ref().filter(|_| stored) {
            disk.store(key, hit);
        }
        // A purge may have come in between. Nobody uses what it has killed; it need not take room either.
        if stored && !self.is_alive(key, &hit.object) {
            self.remove(key, &hit.object);
            return false;
        }
        stored
    }

    /// What is stored under another URL for a request with these fields, and says by its `No-Vary-Search` that this is
    /// the same one: only what is in memory as a whole, and may be used as it is as `may_be_used` says.
    pub fn lookup_equivalent(
        &self,
        key: &Key,
        request: &HeaderMap,
        may_be_used: impl Fn(&Hit) -> bool,
    ) -> Option<Hit> {
        self.equivalent_by(key, |other| self.lookup(other, request), may_be_used)
    }

    /// The same, for one who only wants to know: see [`Cache::peek`].
    pub fn peek_equivalent(
        &self,
        key: &Key,
        request: &HeaderMap,
        may_be_used: impl Fn(&Hit) -> bool,
    ) -> Option<Hit> {
        self.equivalent_by(key, |other| self.peek(other, request).0, may_be_used)
    }

    fn equivalent_by(
        &self,
        key: &Key,
        look: impl Fn(&Key) -> Lookup,
        may_be_used: impl Fn(&Hit) -> bool,
    ) -> Option<Hit> {
        let _era = self.aliases.is_used().then(|| self.era());
        self.aliases.of(key).into_iter().find_map(|other| match look(&other) {
            Lookup::Found(hit)
                if matches!(hit.content, Held::Memory(_))
                    && self.is_untouched(key, hit.object.born, &hit.object.tags)
                    && may_be_used(&hit) =>
            {
                let rule = hit.object.head.search_rule();
                rule.is_some_and(|rule| rule.equivalent(key.query(), other.query())).then_some(hit)
            }
            _ => None,
        })
    }

    /// Has what is stored under `key` found under other URLs as well, if its fields say that these are the same.
    pub fn note_equivalents(&self, key: &Key, object: &Object) {
        if let Some(rule) = object.head.search_rule() {
            self.aliases.note(key, rule);
        }
    }

    /// Notes that `object`, which varies, was stored for a request with these fields, and lets the variants of `key`
    /// go that were stored longest ago, beyond `max`. Returns how many; says so once in a while.
    pub fn note_variant(&self, key: &Key, object: &Object, request: &HeaderMap, max: usize) -> usize {
        if object.vary.is_empty() {
            return 0;
        }
        let surplus = self.variants.note(key, object, request, max, object.terms().freshness.response_time);
        for variant in &surplus.gone {
            // The disk first, as in `remove`.
            if let Some(disk) = &self.disk {
                disk.forget(variant.slot.short(), key, variant.generation);
            }
            self.memory.remove_variant(key, variant.slot, variant.generation);
        }
        if let Some((fields, values)) = surplus.warning {
            let (url, fields) = (key.readable(), fields.join(", "));
            tracing::warn!(
                "{url:?} has more than {max} variants (max_variants), and the oldest go: its Vary names {fields}, of \
                 which there were {values} different values; the origin should vary by less, or say private"
            );
        }
        surplus.gone.len()
    }

    /// Takes `object` out, unless another one has taken its place.
    pub fn remove(&self, key: &Key, object: &Object) {
        // The disk first: a search that has just read it looks there whether it may go into memory.
        if let Some(disk) = &self.disk {
            disk.forget(object.slot(key).short(), key, object.generation);
        }
        self.forget_blocks(key, object);
        self.memory.remove(key, object);
    }

    /// Blocking: writes what waits to be written, and lets go of the disk, within `patience`.
    pub fn close(&self, patience: Duration) {
        self.sweeper.end(patience);
        if let Some(disk) = &self.disk {
            disk.close(patience);
        }
    }

    /// The marker on `key`, if it is still alive.
    pub fn marker(&self, key: &Key, now: Timestamp) -> Option<Marker> {
        self.markers.get(key, now).filter(|marker| self.is_untouched(key, marker.born, &Tags::default()))
    }

    /// Notes that answers for `key` are not for sharing.
    pub fn mark(&self, key: &Key, marker: Marker) {
        let there = self.marker(key, marker.since);
        if !there.is_some_and(|there| self.markers.is_repeated(&there, &marker)) {
            self.markers.put(key, marker);
        }
    }

    /// The first answer that may be shared ends the marker.
    pub fn unmark(&self, key: &Key) {
        self.markers.remove(key);
    }

    /// A generation for a new store.
    pub fn next_generation(&self) -> Generation {
        self.generations.next()
    }

    /// Entries of the memory tier: objects, lists of variants, and blocks. It lags a little behind.
    pub fn memory_entries(&self) -> u64 {
        self.memory.entries()
    }

    /// Bytes that the memory tier may hold.
    pub fn memory_limit(&self) -> u64 {
        self.memory.limit()
    }

    /// Markers, also those whose life is over. It lags a little behind.
    pub fn markers(&self) -> u64 {
        self.markers.count()
    }

    /// Bytes that the memory tier holds.
    pub fn memory_used(&self) -> u64 {
        self.memory.used()
    }
}
