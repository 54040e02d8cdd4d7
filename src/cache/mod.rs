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
//! - [`codings`]: which codings of an object are stored. - `coded`: how they are found and stored.
//! - `aliases`: other URLs of what is stored (`No-Vary-Search`).
//! - `variants`: how many variants a key has.
//! - [`wish`]: purges as they are asked for. - [`tally`]: what they would match.
//! - [`short_hash`]: tables whose names are hashes already.
//! - [`ledger`]: the order of purges. - `purges`: what the cache makes of it. - `sweep`, [`era`]: what becomes of the space
//!   of what is dead, and of records that nothing is left for.
//! - `reading`, `storing`: how the cache as a whole is asked, and told.
//! - [`lookup`]: the question that a request asks, and its possible answers.

mod aliases;
mod coded;
pub mod codings;
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
mod reading;
pub mod short_hash;
mod storing;
mod sweep;
pub mod tally;
mod variants;
pub mod wish;

use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use tokio::sync::Semaphore;

use crate::base::ids::Generations;
use crate::body::budget::Budget;
use crate::telemetry::counters::Counters;
use aliases::Aliases;
use disk::DiskTier;
pub use disk::settings::{Admission, Settings as DiskSettings};
use disk::volume::{DirectoryOpener, OpenError, Opener};
use doorkeeper::Doorkeeper;
use era::Eras;
use hot::HotList;
use ledger::Ledger;
use markers::Markers;
use memory::MemoryTier;
use sweep::Sweeper;
use variants::Variants;

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
    doorkeeper: Option<RwLock<Doorkeeper>>,
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
            doorkeeper: disk.as_ref().map(|_| RwLock::new(Doorkeeper::of_tier(settings.memory, budget))),
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

    /// The disk tier, if there is one.
    pub fn disk(&self) -> Option<&DiskTier> {
        self.disk.as_deref()
    }

    /// Gives memory, ledger and the index of the disk other shares while it runs. What is stored stays, as far as less memory
    /// holds it; markers and the lists of variants and aliases keep theirs. Blocking, for as long as the memory tier's entries
    /// are moved. One at a time.
    pub fn resize(&self, settings: &Settings, budget: &Arc<Budget>) {
        self.ledger.set_limit(settings.ledger_limit());
        if self.ledger.is_half_full(self.disk.is_none()) {
            self.sweeper.ask();
        }
        if let (Some(disk), Some(settings)) = (&self.disk, &settings.disk) {
            disk.set_memory(settings.memory);
        }
        if let Some(doorkeeper) = &self.doorkeeper {
            *doorkeeper.write() = Doorkeeper::of_tier(settings.memory, budget);
        }
        let hot = self.hot.first(hot::MOST);
        let slots =
            hot.iter().flat_map(|hot| [hot.key.hash()].into_iter().chain(self.variants.slots(&hot.key)));
        self.memory.resize(settings.memory, &slots.collect::<Vec<_>>());
    }

    /// Blocking: writes what waits to be written, and lets go of the disk, within `patience`.
    pub fn close(&self, patience: Duration) {
        self.sweeper.end(patience);
        if let Some(disk) = &self.disk {
            disk.close(patience);
        }
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
