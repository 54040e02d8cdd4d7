//! A disk that was opened, and what is known of it: gone as a whole when it fails.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use parking_lot::Mutex;

use super::contents::{CONTENT_COST, Contents};
use super::log::{Log, Read};
use super::record::{Record, Unreadable};
use super::table::{ENTRY_COST, Entry, Table};
use super::volume::{How, Volume};
use crate::base::ids::SiteId;
use crate::cache::key::Key;

/// Directories and notes that are always there: 256 directories, each of a block, above the shelves.
const FIXED: u64 = 258 * 4096 + 64 * 1024;

/// How often a record is looked for that moves while it is read.
const MOVES: usize = 4;

/// What a slot has, with its entry, or why it cannot be read.
type Reading<T> = Result<Option<(Entry, T)>, (Entry, io::Error)>;

/// An open disk.
#[derive(Debug)]
pub struct Mounted {
    pub(super) volume: Arc<dyn Volume>,
    pub(super) log: Arc<Log>,
    pub(super) contents: Arc<Contents>,
    table: Table,
    entries: AtomicUsize,
    /// Bytes of the ledger's files, which lie beside.
    ledger: Arc<AtomicU64>,
    /// Bytes by site: what quotas will be measured by.
    sites: Mutex<HashMap<u32, u64>>,
    /// The whole index is in the table.
    pub(super) loaded: AtomicBool,
    /// No content lies around that no head names.
    pub(super) swept: AtomicBool,
    /// It has failed, and what changes from now on is not written to it: nothing of it may be served.
    dead: AtomicBool,
}

impl Mounted {
    pub(super) fn new(volume: Arc<dyn Volume>, ledger: Arc<AtomicU64>) -> Self {
        Self {
            volume,
            ledger,
            log: Arc::default(),
            contents: Arc::default(),
            table: Table::new(),
            entries: AtomicUsize::new(0),
            sites: Mutex::default(),
            loaded: AtomicBool::new(false),
            swept: AtomicBool::new(false),
            dead: AtomicBool::new(false),
        }
    }

    /// Lets nothing of it be served any more.
    pub(super) fn die(&self) {
        self.dead.store(true, Ordering::Release);
    }

    /// Whether it has failed.
    pub(super) fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Acquire)
    }

    /// Whether what is not in the table is not there.
    pub(super) fn is_loaded(&self) -> bool {
        self.loaded.load(Ordering::Acquire)
    }

    /// Bytes of disk that are taken.
    pub(super) fn used(&self) -> u64 {
        FIXED + self.log.bytes() + self.contents.bytes() + self.ledger.load(Ordering::Relaxed)
    }

    /// Bytes of disk that a site's objects take.
    pub(super) fn used_by(&self, site: SiteId) -> u64 {
        self.sites.lock().get(&site.0).copied().unwrap_or(0)
    }

    /// Bytes of memory that table and contents take.
    pub(super) fn memory(&self) -> u64 {
        self.entries() as u64 * ENTRY_COST + self.contents.len() as u64 * CONTENT_COST
    }

    /// Gives memory back that was for more slots and contents than there are.
    pub(super) fn shrink(&self) {
        self.table.shrink();
        self.contents.shrink();
    }

    /// How many slots there are.
    pub(super) fn entries(&self) -> usize {
        self.entries.load(Ordering::Relaxed)
    }

    pub(super) fn get(&self, slot: u64) -> Option<Entry> {
        self.table.get(slot)
    }

    /// Calls `found` with each slot until it returns false; tells whether it never did.
    pub(super) fn each_slot(&self, found: impl FnMut(u64) -> bool) -> bool {
        self.table.each_slot(found)
    }

    pub(super) fn random(&self, random: &mut fastrand::Rng) -> Option<Entry> {
        self.table.random(random)
    }

    /// Makes `entry` visible; what stood in its place is dead.
    pub(super) fn link(&self, entry: Entry) -> Option<Entry> {
        self.log.revive(entry.place);
        *self.sites.lock().entry(entry.site).or_default() += entry.bytes();
        let before = self.table.put(entry);
        match &before {
            Some(before) => self.bury(before),
            None => {
                self.entries.fetch_add(1, Ordering::Relaxed);
            }
        }
        before
    }

    /// Takes the entry of a slot out.
    pub(super) fn unlink(&self, slot: u64) -> Option<Entry> {
        let before = self.table.remove(slot)?;
        self.entries.fetch_sub(1, Ordering::Relaxed);
        self.bury(&before);
        Some(before)
    }

    fn bury(&self, entry: &Entry) {
        self.log.kill(entry.place);
        let mut sites = self.sites.lock();
        if let Some(bytes) = sites.get_mut(&entry.site) {
            *bytes = bytes.saturating_sub(entry.bytes());
        }
    }

    /// The record of a slot without its content; `None` if there is none for this key. Blocking, if it is read patiently.
    pub(super) fn record(&self, slot: u64, key: &Key, how: How) -> Reading<Record> {
        let none = |_: &Entry| Ok(Vec::new());
        self.decoded(slot, key, how, none).map(|found| found.map(|(entry, (record, _))| (entry, record)))
    }

    /// The same with the content that lies behind it, for which `memory` is asked: all of it, or an error.
    pub(super) fn record_with_content<M: AsMut<[u8]>>(
        &self,
        slot: u64,
        key: &Key,
        how: How,
        memory: impl Fn(&Entry) -> io::Result<M>,
    ) -> Reading<(Record, M)> {
        let found = self.decoded(slot, key, how, memory)?;
        if let Some((entry, (Record { object: Some(stored), .. }, _))) = &found
            && stored.lies_within()
            && stored.object.representation.length != u64::from(entry.place.within)
        {
            return Err((*entry, io::ErrorKind::InvalidData.into()));
        }
        Ok(found)
    }

    fn decoded<M: AsMut<[u8]>>(
        &self,
        slot: u64,
        key: &Key,
        how: How,
        memory: impl Fn(&Entry) -> io::Result<M>,
    ) -> Reading<(Record, M)> {
        let Some((entry, (read, content))) = self.read(slot, how, memory)? else { return Ok(None) };
        match Record::decode(read.payload(), key) {
            Ok(record) => Ok(Some((entry, (record, content)))),
            Err(Unreadable::OtherKey) => Ok(None),
            Err(Unreadable::Malformed) => Err((entry, io::ErrorKind::InvalidData.into())),
        }
    }

    /// The bytes of a slot's record, without its content.
    pub(super) fn payload(&self, slot: u64, how: How) -> Reading<Read> {
        let none = |_: &Entry| Ok(Vec::new());
        self.read(slot, how, none).map(|found| found.map(|(entry, (read, _))| (entry, read)))
    }

    fn read<M: AsMut<[u8]>>(
        &self,
        slot: u64,
        how: How,
        memory: impl Fn(&Entry) -> io::Result<M>,
    ) -> Reading<(Read, M)> {
        let mut moves = 0;
        loop {
            let Some(entry) = self.get(slot) else { return Ok(None) };
            let mut content = memory(&entry).map_err(|error| (entry, error))?;
            match self.log.read(slot, entry.place, content.as_mut(), how) {
                Ok(read) => return Ok(Some((entry, (read, content)))),
                Err(_) if moves < MOVES && self.get(slot) != Some(entry) => moves += 1,
                Err(error) => return Err((entry, error)),
            }
        }
    }
}
