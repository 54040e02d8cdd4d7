//! The disk tier: what memory cannot hold, kept over restarts (decision 5).
//!
//! - [`volume`]: the disk as the tier sees it, so that tests can put a failing one in its place.
//! - [`record`], [`segment`], [`log`]: the index on disk, from one head to all segments.
//! - [`table`], [`contents`], [`sketch`]: the index in memory: where records are, who names which content, what is
//!   asked for how often.
//! - [`intake`]: what has yet to be written, visible to lookup already.
//! - [`find`]: how a request finds an object, and a reader its blocks.
//! - `codings`: how one finds a coding that was made here, whose slot is known.
//! - [`scan`]: everything, one after the other.
//! - `keeper`: the one thread that writes, evicts, cleans and sweeps.
//!
//! A head never names a content that was not written before it, and nothing leaves that was not verified. Trouble
//! of the disk costs hits, never answers.

mod codings;
pub mod contents;
pub mod find;
pub mod health;
mod inspect;
pub mod intake;
mod keeper;
pub mod log;
mod mounted;
pub mod record;
pub mod scan;
pub mod segment;
pub mod settings;
pub mod sketch;
pub mod table;
pub mod volume;

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;

use super::key::Key;
use super::ledger::{Ledger, Scribe};
use super::lookup::Hit;
use super::object::Object;
use crate::base::ids::{Generation, Generations, SiteId};
use crate::body::budget::Budget;
use crate::telemetry::counters::Counters;
use find::Found;
use health::Health;
use intake::{Change, Intake, Intent};
use keeper::Keeper;
use mounted::Mounted;
use settings::Settings;
use sketch::Sketch;
use volume::{OpenError, Opener};

/// What the disk tier leans on.
#[derive(Clone, Debug)]
pub struct Means {
    /// Opens the disk.
    pub opener: Arc<dyn Opener>,
    /// The one budget of the node.
    pub budget: Arc<Budget>,
    /// Counters of decisions.
    pub counters: Arc<Counters>,
    /// Its records are read and its epoch is raised whenever the disk is opened.
    pub ledger: Arc<Ledger>,
    /// They begin anew with each epoch.
    pub generations: Arc<Generations>,
}

/// The second tier of a node.
#[derive(Debug)]
pub struct DiskTier {
    shared: Arc<Shared>,
    keeper: Mutex<Option<keeper::Thread>>,
    scribe: Mutex<Option<Scribe>>,
}

/// What requests and the keeper share.
#[derive(Debug)]
struct Shared {
    settings: Settings,
    /// Bytes of memory that the index may take by now.
    memory: AtomicU64,
    means: Means,
    intake: Intake,
    sketch: Sketch,
    mounted: RwLock<Option<Arc<Mounted>>>,
    health: watch::Sender<Health>,
    /// Errors of the device in a row.
    read_errors: AtomicU32,
    /// The epoch in which this process has first opened the disk.
    first_epoch: OnceLock<u64>,
    /// Places for reads.
    reads: Arc<Semaphore>,
    /// The disk was too slow for a request: none is to wait for it before then.
    slow_until: Mutex<Option<Instant>>,
}

impl Shared {
    /// Bytes of memory that the index may take.
    fn memory(&self) -> u64 {
        self.memory.load(Ordering::Relaxed)
    }

    /// Whether a generation on disk is later than that of an object at hand. What came before the disk could first be
    /// opened is of epoch zero, and later all the same than what earlier processes have left.
    fn is_later(&self, on_disk: Generation, at_hand: Generation) -> bool {
        let first = self.first_epoch.get().copied().unwrap_or(0);
        on_disk > at_hand && !(at_hand.epoch() == 0 && on_disk.epoch() < first)
    }

    fn mounted(&self) -> Option<Arc<Mounted>> {
        self.mounted.read().clone()
    }

    /// Says how the tier is from now on, to people if it is news.
    fn turn(&self, health: Health) {
        let before = self.health.send_replace(health);
        if before == health {
            return;
        }
        match health {
            Health::Loading => tracing::debug!("disk tier: loading its index"),
            Health::Serving => tracing::info!("disk tier: serving"),
            Health::ReadOnly(trouble) => {
                self.means.counters.disk_failures.inc();
                tracing::error!(
                    trouble = trouble.name(),
                    "disk tier: nothing can be stored; what is there is served"
                );
            }
            Health::Offline(trouble) => {
                self.means.counters.disk_failures.inc();
                tracing::error!(
                    trouble = trouble.name(),
                    "disk tier: out of use; the node has its memory tier only"
                );
            }
        }
    }
}

impl DiskTier {
    /// Opens the disk, raises the ledger's epoch and starts to load the index. An error is what the operator has to
    /// mend; a disk in trouble is used once it is well.
    ///
    /// Blocking, for as long as a few small files take.
    pub fn start(settings: Settings, means: Means) -> Result<Self, OpenError> {
        let scribe = Scribe::start(&means.ledger, settings.retry)
            .map_err(|error| OpenError::Io { path: settings.directory.display().to_string(), error })?;
        let opened = match keeper::open(&means) {
            Err(error) if !error.may_pass() => return Err(error),
            opened => opened,
        };
        // As many slots as the index may have, which is as many as are worth telling apart.
        let sketch = Sketch::new(settings.memory / (table::ENTRY_COST + 16) / 2);
        let shared = Arc::new(Shared {
            reads: Arc::new(Semaphore::new(settings.reads.clamp(1, Semaphore::MAX_PERMITS))),
            intake: Intake::new(Settings::queue(settings.memory), settings.linger),
            sketch,
            memory: AtomicU64::new(settings.memory),
            settings,
            means,
            mounted: RwLock::new(None),
            health: watch::Sender::new(Health::Loading),
            slow_until: Mutex::new(None),
            first_epoch: OnceLock::new(),
            read_errors: AtomicU32::new(0),
        });
        let keeper = Keeper::start(Arc::clone(&shared), opened)?;
        Ok(Self { shared, keeper: Mutex::new(Some(keeper)), scribe: Mutex::new(Some(scribe)) })
    }

    /// Lets the index take so many bytes of memory from now on, and what waits to be written its part of that. If it takes more,
    /// the keeper evicts, by and by.
    pub(super) fn set_memory(&self, bytes: u64) {
        self.shared.memory.store(bytes, Ordering::Relaxed);
        self.shared.intake.set_limit(Settings::queue(bytes));
    }

    /// Makes `hit` visible to lookup and writes it behind the request's back; false if one with a later head is
    /// there, or too much is waiting to be written. What was stored before is gone in any case.
    pub fn store(&self, key: &Key, hit: &Hit) -> bool {
        let object = &hit.object;
        let slot = object.slot(key).short();
        if !object.vary.is_empty() {
            // Requests are counted by key; this one is known to have been for the variant.
            self.count(slot);
        }
        if self.has_later(key, object) {
            return false;
        }
        let noted =
            object.vary.is_empty() || self.shared.intake.note_vary(key.hash().short(), key, &object.vary);
        let stored = noted && self.shared.intake.store(slot, key, hit.clone());
        if !stored {
            self.shared.means.counters.disk_busy.inc();
            self.shared.intake.forget(slot, key, object.generation);
        }
        stored
    }

    /// Takes a block of a divided object in; false if there is no room for it now, and it may be offered again. A disk in
    /// trouble takes none, and wants none again.
    pub fn offer(&self, key: &Key, hit: &Hit) -> bool {
        let slot = key.hash().short();
        self.count(slot);
        !self.is_writing()
            || self.shared.intake.is_closed()
            || self.has_later(key, &hit.object)
            || self.shared.intake.store(slot, key, hit.clone())
    }

    /// Resolves when what waits to be written has become less, or nothing is written any more. Cancel-safe.
    pub async fn room(&self) {
        if self.is_writing() {
            self.shared.intake.room().await;
        }
    }

    fn is_writing(&self) -> bool {
        matches!(self.health(), Health::Loading | Health::Serving)
    }

    /// Whether a block of this key and generation is there, written or waiting.
    pub fn has(&self, key: &Key, generation: Generation) -> bool {
        self.generation(key.hash().short(), key) == Some(generation)
    }

    /// A block that waits to be written.
    pub fn stored_intent(&self, key: &Key) -> Option<Hit> {
        match self.waiting(key.hash().short(), key)?.change {
            Change::Store(hit) => Some(hit),
            Change::Keep | Change::Gone(_) => None,
        }
    }

    /// Takes the object of a slot out, unless it is of a later generation.
    pub fn forget(&self, slot: u64, key: &Key, generation: Generation) {
        self.shared.intake.forget(slot, key, generation);
    }

    /// Whether there may be something in a slot: there is, or nobody knows yet because the index is being loaded.
    pub fn may_have(&self, slot: u64) -> bool {
        self.shared.mounted().is_some_and(|mounted| mounted.get(slot).is_some() || !mounted.is_loaded())
    }

    /// Whether the index is still being loaded, so that what is not known may be there all the same.
    pub fn is_loading(&self) -> bool {
        self.shared.mounted().is_some_and(|mounted| !mounted.is_loaded())
    }

    /// What waits to be written to a slot.
    pub fn waiting(&self, slot: u64, key: &Key) -> Option<Intent> {
        self.shared.intake.waiting(slot, key)
    }

    /// The generation that lookup would find in a slot.
    fn generation(&self, slot: u64, key: &Key) -> Option<Generation> {
        match self.waiting(slot, key).map(|intent| intent.change) {
            Some(Change::Store(hit)) => Some(hit.object.generation),
            Some(Change::Gone(_)) => None,
            Some(Change::Keep) | None => self.shared.mounted()?.get(slot)?.generation,
        }
    }

    /// Whether an object with a later head is in the slot of this one, written or waiting.
    pub fn has_later(&self, key: &Key, object: &Object) -> bool {
        let held = self.generation(object.slot(key).short(), key);
        held.is_some_and(|held| self.shared.is_later(held, object.generation))
    }

    /// Whether what was found still is what a search would find.
    pub fn is_current(&self, key: &Key, found: &Found) -> bool {
        let waiting = self.waiting(found.entry.slot, key).map(|intent| intent.change);
        matches!(waiting, None | Some(Change::Keep))
            && !found.mounted.is_dead()
            && found.mounted.get(found.entry.slot) == Some(found.entry)
    }

    /// Notes that a slot was asked for.
    pub fn count(&self, slot: u64) {
        self.shared.sketch.count(slot);
    }

    /// How long a request waits for the disk.
    pub fn patience(&self) -> Duration {
        self.shared.settings.read_patience
    }

    /// How it is.
    pub fn health(&self) -> Health {
        *self.shared.health.borrow()
    }

    /// Waits until it is as wanted. Cancel-safe.
    pub async fn wait_for(&self, wanted: impl FnMut(&Health) -> bool) {
        // The sender lives as long as this does.
        let _ = self.shared.health.subscribe().wait_for(wanted).await;
    }

    /// Bytes of disk that it takes.
    pub fn used(&self) -> u64 {
        self.shared.mounted().map_or(0, |mounted| mounted.used())
    }

    /// Bytes of disk that it may take.
    pub fn limit(&self) -> u64 {
        self.shared.settings.limit
    }

    /// Bytes of disk that a site's objects take.
    pub fn used_by(&self, site: SiteId) -> u64 {
        self.shared.mounted().map_or(0, |mounted| mounted.used_by(site))
    }

    /// How many slots are on disk.
    pub fn entries(&self) -> usize {
        self.shared.mounted().map_or(0, |mounted| mounted.entries())
    }

    /// Whether it is known that no content lies around which no head names; contents are stored only then.
    pub fn is_swept(&self) -> bool {
        self.shared.mounted().is_some_and(|mounted| mounted.swept.load(std::sync::atomic::Ordering::Acquire))
    }

    /// Whether nothing waits to be written.
    pub fn is_settled(&self) -> bool {
        self.shared.intake.is_empty()
    }

    /// Blocking: writes what waits, ends the index in good order and lets go of the disk, within `patience`.
    pub fn close(&self, patience: Duration) {
        self.shared.intake.close();
        if let Some(keeper) = self.keeper.lock().take() {
            keeper.join(patience);
        }
        if let Some(scribe) = self.scribe.lock().take() {
            scribe.close(patience);
        }
    }
}

impl Drop for DiskTier {
    /// As a crash: what waits is not written.
    fn drop(&mut self) {
        drop(self.scribe.lock().take());
        if let Some(keeper) = self.keeper.lock().take() {
            keeper.abandon(&self.shared.intake);
        }
    }
}
