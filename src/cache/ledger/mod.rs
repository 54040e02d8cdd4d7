//! The order of purges, and what they have killed (decision 8).
//!
//! - [`record`]: a purge as bytes. - `file`: frames of them. - `journal`: the files on a disk.
//! - `index`: what is dead, in memory. - `scribe`: the thread that makes purges durable. - [`receipt`]: waiting for that.
//!
//! A fetch notes [`Ledger::now`] as `born` before its request leaves. What was born before a purge that matches it is
//! dead, wherever it is: nobody looks for it when the purge comes, everybody asks before it is used.

mod file;
mod index;
mod journal;
pub mod receipt;
pub mod record;
mod scribe;
#[cfg(test)]
mod tests;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;

use crate::base::clock::Timestamp;
use crate::base::ids::Sequence;
use crate::body::budget::{Budget, Charge};
use crate::telemetry::counters::Counters;

use super::disk::volume::Volume;
use super::key::Key;
use index::Index;
use journal::{Journal, Snapshot};
pub(in crate::cache) use journal::{Replayed, replay};
use receipt::{Kept, Progress, Receipt};
use record::{Record, Subject, UrlHash};
pub(in crate::cache) use scribe::Scribe;
use scribe::{Bell, Desk, Mode};

/// Up to which sequence something was found alive. Kept beside it, so that it need not be looked up again.
#[derive(Debug, Default)]
pub struct Checked(AtomicU64);

/// The sequence of purges, and what they have killed.
#[derive(Debug)]
pub struct Ledger {
    /// The ordinal of the latest purge.
    latest: AtomicU64,
    state: RwLock<State>,
    desk: Mutex<Desk>,
    bell: Bell,
    /// Held while files are written: taken before `state`, and that before `desk`.
    place: Mutex<Place>,
    progress: watch::Sender<Progress>,
    /// A file was removed, and may come back after a power cut: none that is later may be removed without a successor.
    doubt: AtomicBool,
    /// Bytes of the files.
    on_disk: Arc<AtomicU64>,
    /// Records that there may be.
    limit: usize,
    /// This process, in the files that it begins.
    writer: u128,
    counters: Arc<Counters>,
}

#[derive(Debug)]
struct State {
    index: Index,
    charge: Charge,
    /// Who began the files that were replayed last: a disk with one of them is known, and nobody else had it meanwhile.
    known: Vec<u128>,
}

/// The most records that there may be for so many bytes of memory, and of disk if there is one.
pub(in crate::cache) fn most_records(memory: u64, disk: Option<u64>) -> usize {
    let of_memory = memory / index::RECORD;
    let most = disk.map_or(of_memory, |disk| of_memory.min(disk / file::FRAME));
    usize::try_from(most).unwrap_or(MOST_RECORDS).min(MOST_RECORDS)
}

/// However much memory there is: files stay of a length that is read at once.
const MOST_RECORDS: usize = 1 << 21;

/// Where records are written.
#[derive(Debug)]
enum Place {
    /// Nowhere: there is no disk, or it is not open.
    None,
    /// On a disk that has failed, and may be well again.
    Broken(Arc<dyn Volume>),
    /// In a file that has all that is not on the desk.
    Open(Journal),
}

impl Ledger {
    /// An empty ledger of at most `limit` records.
    pub fn new(limit: usize, budget: &Arc<Budget>, counters: &Arc<Counters>) -> Self {
        let state = State { index: Index::default(), charge: budget.charge(0), known: Vec::new() };
        Self {
            latest: AtomicU64::new(0),
            state: RwLock::new(state),
            desk: Mutex::default(),
            bell: Bell::default(),
            place: Mutex::new(Place::None),
            progress: watch::Sender::default(),
            doubt: AtomicBool::new(false),
            on_disk: Arc::default(),
            limit,
            writer: fastrand::u128(..),
            counters: Arc::clone(counters),
        }
    }

    /// The latest sequence that was given to a purge.
    pub fn now(&self) -> Sequence {
        Sequence::of_ordinal(self.latest.load(Ordering::Acquire))
    }

    /// Whether what was born then is alive, by all purges so far.
    pub fn lets_live(&self, born: Sequence, key: &Key) -> bool {
        let born = born.ordinal();
        if born >= self.latest.load(Ordering::Acquire) {
            return true;
        }
        let url = UrlHash::of(key.url());
        !self.state.read().index.kills(born, &url)
    }

    /// The same, for what notes in `checked` that it was found alive: one atomic load beside it, while nothing was purged
    /// since.
    pub fn still_lets_live(&self, born: Sequence, checked: &Checked, key: &Key) -> bool {
        let latest = self.latest.load(Ordering::Acquire);
        if checked.0.load(Ordering::Relaxed) >= latest {
            return true;
        }
        // The index has at least all up to `latest`, which was read before.
        let alive = self.lets_live(born, key);
        if alive {
            checked.0.fetch_max(latest, Ordering::Relaxed);
        }
        alive
    }

    /// Purges what is stored under these URLs (see [`crate::cache::key::url`]), hard. It holds once this returns; the receipt
    /// tells when it is durable, and may be dropped.
    pub fn purge_urls(&self, urls: impl IntoIterator<Item = Arc<[u8]>>, time: Timestamp) -> Receipt {
        self.purge_for(urls, time, Sequence::default()).0
    }

    /// The same for an answer that brings the purges about, whose request left at `born` and asked for the first URL. Also
    /// tells what the answer itself counts as born at: after these purges, unless another one had killed it before them.
    pub fn purge_for(
        &self,
        urls: impl IntoIterator<Item = Arc<[u8]>>,
        time: Timestamp,
        born: Sequence,
    ) -> (Receipt, Sequence) {
        let urls: Vec<UrlHash> = urls.into_iter().map(|url| UrlHash::of(&url)).collect();
        let mut state = self.state.write();
        let killed = urls.first().is_some_and(|url| state.index.kills(born.ordinal(), url));
        let mut desk = self.desk.lock();
        let mut latest = self.latest.load(Ordering::Relaxed);
        for url in urls {
            latest += 1;
            let record = Record { sequence: Sequence::of_ordinal(latest), time, subject: Subject::Url(url) };
            state.index.add(latest, url, time);
            self.counters.ledger_records.inc();
            desk.take_in(record);
        }
        self.fold(&mut state);
        // What is in the index by now has to be seen by whoever sees this.
        self.latest.store(latest, Ordering::Release);
        let receipt = match desk.mode {
            Mode::Memory => receipt::State::Known(Kept::Memory),
            Mode::Broken => {
                self.counters.ledger_not_durable.inc();
                receipt::State::Known(Kept::NotDurable)
            }
            Mode::Writing => receipt::State::Waiting { until: latest, progress: self.progress.subscribe() },
        };
        drop(desk);
        drop(state);
        self.bell.ring();
        (Receipt(receipt), if killed { born } else { Sequence::of_ordinal(latest) })
    }

    fn fold(&self, state: &mut State) {
        let folded = state.index.fold(self.limit);
        if folded > 0 {
            self.counters.ledger_folded.add(folded as u64);
        }
        state.charge.set(state.index.cost());
    }

    /// Goes on in `epoch` on a disk that was opened, with all that it has `replayed`; `last` is the latest epoch that it has
    /// seen. Blocking; after an error nothing is written to it.
    pub(in crate::cache) fn attach(
        &self,
        volume: &Arc<dyn Volume>,
        replayed: Replayed,
        (last, epoch): (u64, u64),
    ) -> io::Result<()> {
        let mut place = self.place.lock();
        let (snapshot, owed) = {
            let mut state = self.state.write();
            let before = self.latest.load(Ordering::Relaxed);
            let owed = !state.index.is_empty();
            let mut latest = Sequence { epoch, number: 0 };
            let known = replayed.writers.iter().any(|writer| state.known.contains(writer));
            if owed && last > 0 && (last > Sequence::of_ordinal(before).epoch || !known) {
                // The disk has objects that were born by the count of others, whatever its epochs.
                latest = state.index.reissue(epoch);
            }
            state.index.merge(&replayed.index);
            state.known = replayed.writers;
            state.known.push(self.writer);
            self.fold(&mut state);
            self.latest.fetch_max(latest.ordinal(), Ordering::Release);
            (self.snapshot(&state), owed)
        };
        let begun = self.begin(&mut place, volume, &snapshot);
        if begun.is_err() {
            *place = Place::None;
            if owed {
                self.take_away(&**volume);
            }
        }
        self.mind_overflow(&mut place);
        begun
    }

    /// All that is alive. From now on the desk gathers what comes after it.
    fn snapshot(&self, state: &State) -> Snapshot {
        let mut desk = self.desk.lock();
        desk.queue.clear();
        desk.mode = Mode::Writing;
        let latest = self.latest.load(Ordering::Relaxed);
        let (floor, records) = (state.index.floor(), state.index.records().collect());
        Snapshot { floor, records, latest, writer: self.writer }
    }

    /// Begins a new file on `volume`.
    fn begin(&self, place: &mut Place, volume: &Arc<dyn Volume>, snapshot: &Snapshot) -> io::Result<()> {
        match Journal::begin(volume, snapshot) {
            Ok(journal) => {
                self.open(place, journal);
                self.settle(snapshot.latest, true);
                Ok(())
            }
            Err(error) => {
                self.give_up(&error);
                Err(error)
            }
        }
    }

    fn open(&self, place: &mut Place, journal: Journal) {
        self.on_disk.store(journal.length(), Ordering::Relaxed);
        self.doubt.fetch_or(!journal.is_alone(), Ordering::Relaxed);
        *place = Place::Open(journal);
    }

    /// Takes the ledger of a disk away, because it is not what holds any more.
    fn take_away(&self, volume: &dyn Volume) {
        if !self.doubt.load(Ordering::Relaxed) && !journal::disown(volume) {
            self.doubt.store(true, Ordering::Relaxed);
        }
    }

    /// Nothing can be made durable now: whoever waits goes on.
    fn give_up(&self, error: &io::Error) {
        tracing::warn!(%error, "the ledger of purges cannot be written: they hold in memory until it can");
        self.stop_writing();
    }

    fn stop_writing(&self) {
        {
            let _no_purge_meanwhile = self.state.read();
            let mut desk = self.desk.lock();
            desk.mode = Mode::Broken;
            self.counters.ledger_not_durable.add(desk.queue.len() as u64);
            desk.queue.clear();
        }
        self.settle(self.latest.load(Ordering::Relaxed), false);
    }

    fn settle(&self, until: u64, durable: bool) {
        self.progress.send_modify(|progress| {
            progress.settled = progress.settled.max(until);
            if durable {
                progress.durable = progress.durable.max(until);
            }
        });
    }

    /// How many records there are.
    pub fn records(&self) -> usize {
        self.state.read().index.len()
    }

    /// Bytes of its files on disk, to be counted where the disk's limit is.
    pub(in crate::cache) fn on_disk(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.on_disk)
    }
}
