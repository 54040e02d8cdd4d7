//! The order of purges, and what they have made of what is stored (decisions 8 and 21).
//!
//! - [`record`]: a purge as bytes. - `file`: frames of them. - `journal`: the files on a disk.
//! - [`name`]: what purges and objects are compared by. - `names`, `index`: what is dead or stale, in memory.
//! - `scribe`: the thread that makes purges durable. - [`receipt`]: waiting for that.
//!
//! A fetch notes [`Ledger::now`] as `born` before its request leaves. What was born before a purge that matches it is
//! dead, or stale if the purge was soft, wherever it is: nobody looks for it when the purge comes, everybody asks before
//! it is used.

mod file;
mod index;
mod journal;
pub mod name;
mod names;
pub mod receipt;
pub mod record;
mod scribe;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
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
use crate::semantics::glob::Glob;
use crate::semantics::tags::Tags;
use index::Index;
pub use index::Standing;
use journal::{Journal, Snapshot};
pub(in crate::cache) use journal::{Replayed, replay};
use name::{Facts, Name};
use names::Cursor;
use receipt::{Kept, Progress, Receipt};
use record::{Purge, Record, Says, Strength, Subject};
pub(in crate::cache) use scribe::Scribe;
use scribe::{Bell, Desk, Mode};

/// What the purges up to some sequence were found to make of something that is alive. Kept beside it, so that it need not
/// be looked up again.
#[derive(Debug)]
pub struct Checked {
    until: AtomicU64,
    /// The earliest time of a soft purge, in milliseconds; [`NEVER`] without one, [`DEAD`] after a hard one.
    stale_since: AtomicU64,
}

const NEVER: u64 = u64::MAX;

/// It was found dead: earlier than any purge.
const DEAD: u64 = 0;

impl Default for Checked {
    fn default() -> Self {
        Self { until: AtomicU64::new(0), stale_since: AtomicU64::new(NEVER) }
    }
}

impl Checked {
    /// Since when it is stale by a soft purge. Of what is dead nothing is told.
    pub fn stale_since(&self) -> Option<Timestamp> {
        let time = self.stale_since.load(Ordering::Relaxed);
        (time != NEVER && time != DEAD).then(|| Timestamp::from_millis(time))
    }

    /// Whether there is nothing to be found out up to `latest`.
    fn is_of(&self, latest: u64) -> bool {
        self.until.load(Ordering::Acquire) >= latest
    }

    /// Notes what was found; false if it is dead. Who sees how far it was checked sees all that was found by then.
    fn note(&self, standing: Standing, latest: u64) -> bool {
        match standing {
            Standing::Dead => {
                self.stale_since.store(DEAD, Ordering::Relaxed);
                return false;
            }
            // The record that killed it may be gone by now.
            _ if self.stale_since.load(Ordering::Relaxed) == DEAD => return false,
            Standing::StaleSince(time) => {
                self.stale_since.fetch_min(time.as_millis().max(DEAD + 1), Ordering::Relaxed);
            }
            Standing::Alive => {}
        }
        self.until.fetch_max(latest, Ordering::Release);
        true
    }
}

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

/// Where a purge comes from, beside this node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Source {
    /// Its unique id; zero if it has none.
    pub id: u128,
    /// Its place in the fleet's stream; zero if it is this node's own.
    pub stream: u64,
}

/// There may be no more globs, until those that are recorded were swept for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "there are {most} globs at work already, and none may be added until what they match is gone from the cache: \
     purge by prefix or by tag, or try again in a minute",
    most = index::MOST_GLOBS
)]
pub struct TooManyGlobs;

/// How a ledger is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LedgerState {
    /// The sequence of the latest purge.
    pub latest: Sequence,
    /// What was born before it is dead.
    pub floor: Sequence,
    /// Records that are held one by one.
    pub records: usize,
    /// How many there may be before the oldest are folded into the floor.
    pub most: usize,
    /// Globs among them.
    pub globs: usize,
    /// Up to which place the fleet's stream was applied; zero without one.
    pub stream: u64,
}

/// Purges that are recorded under one lock: a fraction of a millisecond, for which everybody waits who looks anything up.
const AT_ONCE: usize = 256;

/// The globs among `purges`, each once; an error if they are more than there may be at all.
fn few_globs(purges: &[Purge]) -> Result<HashSet<(&Glob, Strength)>, TooManyGlobs> {
    let mut globs = HashSet::new();
    for purge in purges {
        if let Subject::Like(glob) = &purge.subject {
            globs.insert((glob, purge.strength));
        }
        if globs.len() > index::MOST_GLOBS {
            return Err(TooManyGlobs);
        }
    }
    Ok(globs)
}

/// Tells what purges would match that were never made.
#[derive(Debug)]
pub(in crate::cache) struct Matcher(Index);

impl Matcher {
    /// Of these purges, of which as many may be globs as in a ledger.
    pub(in crate::cache) fn of(purges: Vec<Purge>) -> Result<Self, TooManyGlobs> {
        few_globs(&purges)?;
        let mut index = Index::default();
        let (sequence, time) = (Sequence::of_ordinal(1), Timestamp::default());
        for purge in purges {
            index.add(&Record { sequence, time, id: 0, stream: 0, says: Says::Purge(purge) });
        }
        Ok(Self(index))
    }

    pub(in crate::cache) fn matches(&self, key: &Key, tags: &Tags) -> bool {
        self.0.judge(0, &Facts::new(key, tags)) != Standing::Alive
    }
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
    let of_memory = memory / names::RECORD;
    let most = disk.map_or(of_memory, |disk| of_memory.min(disk / file::frame_of(Name::LENGTH)));
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

    /// What all purges so far make of what was born then under `key`, with these tags.
    pub fn standing(&self, born: Sequence, key: &Key, tags: &Tags) -> Standing {
        let born = born.ordinal();
        if born >= self.latest.load(Ordering::Acquire) {
            return Standing::Alive;
        }
        self.state.read().index.judge(born, &Facts::new(key, tags))
    }

    /// Whether what was born then is not dead, and notes in `checked` what else is found: one atomic load beside it, while
    /// nothing was purged since.
    pub fn lets_live(&self, born: Sequence, checked: &Checked, key: &Key, tags: &Tags) -> bool {
        let latest = self.latest.load(Ordering::Acquire);
        // The index has at least all up to `latest`, which was read before.
        checked.is_of(latest) || checked.note(self.standing(born, key, tags), latest)
    }

    /// Records these purges. They hold once this returns; the receipt tells when they are durable, and may be dropped.
    /// Nothing is recorded if there are more globs than there may be.
    pub fn purge(
        &self,
        purges: Vec<Purge>,
        time: Timestamp,
        source: Source,
    ) -> Result<Receipt, TooManyGlobs> {
        let (mut purges, named): (Vec<_>, Vec<_>) =
            purges.into_iter().partition(|purge| matches!(purge.subject, Subject::Like(_)));
        let globs = few_globs(&purges)?;
        let mut state = self.state.write();
        let new = globs.iter().filter(|(glob, strength)| !state.index.has(glob, *strength)).count();
        if !state.index.has_room_for(new) {
            return Err(TooManyGlobs);
        }
        drop(globs);
        let mut named = named.into_iter().peekable();
        loop {
            purges.extend(named.by_ref().take(AT_ONCE.saturating_sub(purges.len())));
            let receipt = self.record(&mut state, purges.drain(..), time, source);
            drop(state);
            self.bell.ring();
            if named.peek().is_none() {
                return Ok(receipt);
            }
            // Others look things up between two handfuls.
            state = self.state.write();
        }
    }

    /// Purges for an answer that brings them about, whose request left at `born` and was for `key`. Also tells what the
    /// answer itself counts as born at: after these purges, unless another one had matched it before them.
    pub fn purge_for(
        &self,
        key: &Key,
        purges: impl IntoIterator<Item = Purge>,
        time: Timestamp,
        born: Sequence,
    ) -> (Receipt, Sequence) {
        let mut state = self.state.write();
        let lives = state.index.judge(born.ordinal(), &Facts::new(key, &Tags::default())) == Standing::Alive;
        let receipt = self.record(&mut state, purges, time, Source::default());
        drop(state);
        self.bell.ring();
        let sequence = receipt.sequence();
        (receipt, if lives { sequence } else { born })
    }

    fn record(
        &self,
        state: &mut State,
        purges: impl IntoIterator<Item = Purge>,
        time: Timestamp,
        Source { id, stream }: Source,
    ) -> Receipt {
        let mut desk = self.desk.lock();
        let mut latest = self.latest.load(Ordering::Relaxed);
        for purge in purges {
            latest += 1;
            let sequence = Sequence::of_ordinal(latest);
            let record = Record { sequence, time, id, stream, says: Says::Purge(purge) };
            state.index.add(&record);
            self.counters.ledger_records.inc();
            desk.take_in(record);
        }
        self.fold(state);
        // What is in the index by now has to be seen by whoever sees this.
        self.latest.store(latest, Ordering::Release);
        let kept = match desk.mode {
            Mode::Memory => receipt::State::Known(Kept::Memory),
            Mode::Broken => {
                self.counters.ledger_not_durable.inc();
                receipt::State::Known(Kept::NotDurable)
            }
            Mode::Writing => receipt::State::Waiting { progress: self.progress.subscribe() },
        };
        Receipt::new(Sequence::of_ordinal(latest), kept)
    }

    /// Lets go of the records up to `until`, because nothing is stored, waits or is under way that they matter for; of soft
    /// ones only if these too. Tells how many.
    pub(in crate::cache) fn retire(&self, until: Sequence, soft_too: bool) -> usize {
        let (mut retired, mut cursor, mut more) = (0, Cursor::default(), true);
        while more {
            // Others look things up between two handfuls.
            let mut state = self.state.write();
            let gone;
            (gone, more) = state.index.retire(until.ordinal(), soft_too, &mut cursor);
            let cost = state.index.cost();
            state.charge.set(cost);
            drop(state);
            retired += gone;
        }
        self.counters.ledger_retired.add(retired as u64);
        retired
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
        let index = &state.index;
        Snapshot {
            floor: index.floor(),
            records: index.records().collect(),
            frames: index.frames(),
            stream: index.stream(),
            latest,
            writer: self.writer,
        }
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

    /// Whether there are records of more than URLs.
    pub(in crate::cache) fn speaks_of_many(&self) -> bool {
        self.state.read().index.speaks_of_many()
    }

    /// Whether half of the records are there that there may be, and would go after a sweep: time for one.
    pub(in crate::cache) fn is_half_full(&self, soft_too: bool) -> bool {
        self.state.read().index.retirable(soft_too) > self.limit / 2
    }

    /// How it is.
    pub fn state(&self) -> LedgerState {
        let latest = self.now();
        let state = self.state.read();
        let index = &state.index;
        LedgerState {
            latest,
            floor: index.floor(),
            records: index.len(),
            most: self.limit,
            globs: index.globs(),
            stream: index.stream(),
        }
    }

    /// Bytes of its files on disk, to be counted where the disk's limit is.
    pub(in crate::cache) fn on_disk(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.on_disk)
    }
}
