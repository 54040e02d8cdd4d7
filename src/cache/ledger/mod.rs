//! The order of purges, and what they have made of what is stored (decisions 8 and 21).
//!
//! - [`record`]: a purge as bytes. - `file`: frames of them. - `journal`: the files on a disk.
//! - [`name`]: what purges and objects are compared by. - `names`, `index`: what is dead or stale, in memory.
//! - `checked`: what was found out, kept beside what is alive. - `matcher`: what purges would match.
//! - `writing`, `scribe`: the way onto a disk, and the thread that makes purges durable. - [`receipt`]: waiting for that.
//!
//! A fetch notes [`Ledger::now`] as `born` before its request leaves. What was born before a purge that matches it is
//! dead, or stale if the purge was soft, wherever it is: nobody looks for it when the purge comes, everybody asks before
//! it is used.

mod checked;
mod file;
mod index;
mod journal;
mod matcher;
pub mod name;
mod names;
pub mod receipt;
pub mod record;
mod scribe;
#[cfg(test)]
mod tests;
mod writing;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;

use crate::base::clock::Timestamp;
use crate::base::ids::Sequence;
use crate::body::budget::{Budget, Charge};
use crate::telemetry::counters::Counters;

use super::key::Key;
use crate::semantics::glob::Glob;
use crate::semantics::tags::Tags;
pub use checked::Checked;
use index::Index;
pub use index::Standing;
pub(in crate::cache) use journal::{Replayed, replay};
pub(in crate::cache) use matcher::Matcher;
use name::{Facts, Name};
use names::Cursor;
use receipt::{Kept, Progress, Receipt};
use record::{Purge, Record, Says, Strength, Subject};
pub(in crate::cache) use scribe::Scribe;
use scribe::{Bell, Desk, Mode};
use writing::Place;

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
    limit: AtomicUsize,
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
            limit: AtomicUsize::new(limit),
            writer: fastrand::u128(..),
            counters: Arc::clone(counters),
        }
    }

    fn limit(&self) -> usize {
        self.limit.load(Ordering::Relaxed)
    }

    /// So many records from now on. If there are more, the next purge folds the oldest, unless a sweep makes them superfluous
    /// before.
    pub(in crate::cache) fn set_limit(&self, limit: usize) {
        self.limit.store(limit, Ordering::Relaxed);
        let records = self.state.read().index.len();
        if records > limit {
            tracing::warn!(
                records,
                limit,
                "the ledger has more purges than there is memory for by now: the next one folds the oldest, and whatever is \
                 as old counts as purged"
            );
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
        let folded = state.index.fold(self.limit());
        if folded > 0 {
            self.counters.ledger_folded.add(folded as u64);
        }
        state.charge.set(state.index.cost());
    }

    /// Whether there are records of more than URLs.
    pub(in crate::cache) fn speaks_of_many(&self) -> bool {
        self.state.read().index.speaks_of_many()
    }

    /// Whether half of the records are there that there may be, and would go after a sweep: time for one.
    pub(in crate::cache) fn is_half_full(&self, soft_too: bool) -> bool {
        self.state.read().index.retirable(soft_too) > self.limit() / 2
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
            most: self.limit(),
            globs: index.globs(),
            stream: index.stream(),
        }
    }
}
