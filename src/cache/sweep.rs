//! Giving back the space of what was purged, and letting go of records that nothing is left for.
//!
//! A sweep looks at everything that is stored, memory first and then the disk, and takes out what the ledger has killed. It
//! decides nothing: whoever looks something up asks the ledger too. When a sweep has seen all, and every fetch has ended that
//! began before it, no record from before it matters any more (decision 21).
//!
//! It has a thread of its own, which begins with the first purge of more than URLs, rests as long as it works, and yields
//! to everybody else.

use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use tokio::time::Instant;

use super::aliases::Aliases;
use super::disk::DiskTier;
use super::disk::health::Health;
use super::era::{Eras, Past};
use super::ledger::Ledger;
use super::markers::Markers;
use super::memory::MemoryTier;
use crate::base::ids::Sequence;
use crate::base::polite;
use crate::telemetry::counters::Counters;

/// How long it works at a time.
const STINT: Duration = Duration::from_millis(2);

/// Entries between two looks at the clock.
const BETWEEN_LOOKS: usize = 64;

/// Removals that may wait for the keeper of the disk.
const MOST_REMOVALS: usize = 1024;

/// How long after a purge it begins: others may follow.
const GATHERING: Duration = Duration::from_millis(200);

/// How often it looks whether the fetches from before a sweep have ended.
const LOOK: Duration = Duration::from_secs(1);

/// When it is tried again that could not be made to its end, because the disk was loading or in trouble.
const LATER: Duration = Duration::from_secs(30);

/// How long its end is waited for.
const FAREWELL: Duration = Duration::from_secs(5);

/// A sweep takes at most this part of the time.
const REST: u32 = 4;

/// What it sweeps through, as long as that is there.
#[derive(Clone, Debug)]
pub(super) struct Means {
    pub(super) memory: Weak<MemoryTier>,
    pub(super) disk: Option<Weak<DiskTier>>,
    pub(super) ledger: Arc<Ledger>,
    pub(super) eras: Arc<Eras>,
    pub(super) aliases: Arc<Aliases>,
    pub(super) markers: Arc<Markers>,
    pub(super) counters: Arc<Counters>,
}

/// The thread, once there is one. Dropped, it ends before the next stint.
#[derive(Debug)]
pub(super) struct Sweeper {
    desk: Arc<Desk>,
    /// Its end is the thread's.
    thread: Mutex<Option<Receiver<()>>>,
    means: Means,
}

#[derive(Debug, Default)]
struct Desk {
    state: Mutex<State>,
    bell: Condvar,
    /// The sweeps that were made and not followed by the end of all fetches from before them, in order. Held while one is
    /// made, so that there is one at a time.
    seen: Mutex<Vec<Seen>>,
}

#[derive(Debug, Default)]
struct State {
    /// A sweep was asked for, and when.
    wanted: Option<Instant>,
    /// Sweeps that were made to their end.
    made: u64,
    ends: bool,
}

/// A sweep that has seen everything: records up to `until` go once the fetches have ended that began before it.
#[derive(Debug)]
struct Seen {
    until: Sequence,
    past: Past,
}

/// Sweeps that may wait for the end of fetches, each by itself.
const MOST_SEEN: usize = 64;

impl Seen {
    fn take_in(&mut self, until: Sequence, past: Past) {
        self.until = until;
        self.past.join(past);
    }
}

impl Sweeper {
    pub(super) fn new(means: Means) -> Self {
        Self { desk: Arc::default(), thread: Mutex::default(), means }
    }

    /// Asks for a sweep.
    pub(super) fn ask(&self) {
        self.desk.want();
        let mut thread = self.thread.lock();
        if thread.is_none() {
            let (desk, means) = (Arc::clone(&self.desk), self.means.clone());
            let (end, ended) = sync_channel(1);
            let spawned = std::thread::Builder::new().name("sweep".into()).spawn(move || {
                run(&desk, &means);
                // So that whoever waits for the end knows that nothing of the tiers is held any more.
                drop(means);
                let _ = end.send(());
            });
            match spawned {
                Ok(_) => *thread = Some(ended),
                Err(error) => tracing::warn!(%error, "nothing sweeps after purges"),
            }
        }
    }

    /// Blocking: makes one now, without rests, and lets go of what can be let go of by then.
    pub(super) fn sweep(&self) {
        self.means.sweep_once(&self.desk, false);
        self.means.retire(&self.desk);
    }

    /// How many sweeps were made to their end.
    pub(super) fn made(&self) -> u64 {
        self.desk.state.lock().made
    }
}

impl Sweeper {
    /// Blocking: ends it, within `patience`. A disk that hangs keeps its thread until it does not any more.
    pub(super) fn end(&self, patience: Duration) {
        self.desk.state.lock().ends = true;
        self.desk.bell.notify_all();
        if let Some(ended) = self.thread.lock().take() {
            let _ = ended.recv_timeout(patience);
        }
    }
}

impl Drop for Sweeper {
    fn drop(&mut self) {
        self.end(FAREWELL);
    }
}

fn run(desk: &Desk, means: &Means) {
    polite::yield_to_others();
    while desk.wait() {
        if desk.takes_on() {
            let begun = Instant::now();
            let is_made = means.sweep_once(desk, true);
            let elapsed = begun.elapsed();
            tracing::debug!(?elapsed, is_made, "swept after purges");
            if !desk.rest(if is_made { elapsed * REST } else { LATER }) {
                return;
            }
            if !is_made {
                desk.want();
            }
        }
        means.retire(desk);
    }
}

impl Desk {
    fn want(&self) {
        self.state.lock().wanted.get_or_insert_with(Instant::now);
        self.bell.notify_all();
    }

    /// Waits until there may be something to do; false at the end.
    fn wait(&self) -> bool {
        let idle = self.seen.lock().is_empty();
        let mut state = self.state.lock();
        while !state.ends {
            let due = state.wanted.map(|since| since + GATHERING);
            match due {
                Some(due) if due <= Instant::now() => return true,
                Some(due) => {
                    self.bell.wait_for(&mut state, due.saturating_duration_since(Instant::now()));
                }
                None if idle => self.bell.wait(&mut state),
                None => {
                    if self.bell.wait_for(&mut state, LOOK).timed_out() {
                        return !state.ends;
                    }
                }
            }
        }
        false
    }

    /// Whether a sweep is wanted; if so, it is begun.
    fn takes_on(&self) -> bool {
        self.state.lock().wanted.take().is_some()
    }

    /// Sleeps; false at the end.
    fn rest(&self, time: Duration) -> bool {
        let until = Instant::now() + time;
        let mut state = self.state.lock();
        while !state.ends && Instant::now() < until {
            self.bell.wait_for(&mut state, until.saturating_duration_since(Instant::now()));
        }
        !state.ends
    }
}

impl Means {
    /// Makes a sweep, with rests if it `yields` to others; tells whether it has seen everything.
    fn sweep_once(&self, desk: &Desk, yields: bool) -> bool {
        let mut seen = desk.seen.lock();
        // In this order: whoever is of the era after it was born after `until`.
        let until = self.ledger.now();
        let past = self.eras.turn();
        let mut pace = Pace::new(desk, yields);
        let all = self.sweep_memory(&mut pace) && self.sweep_disk(&mut pace);
        // A disk that was opened meanwhile may have what was not seen: with each the epoch is raised.
        let all = all && self.ledger.now().epoch == until.epoch;
        if all {
            // As one with the one before it where there are many: the first is waited for in any case.
            let crowded = seen.len() >= MOST_SEEN;
            match seen.last_mut().filter(|_| crowded) {
                Some(last) => last.take_in(until, past),
                None => seen.push(Seen { until, past }),
            }
            desk.state.lock().made += 1;
        }
        all
    }

    /// Whether everything in memory was looked at.
    fn sweep_memory(&self, pace: &mut Pace<'_>) -> bool {
        let Some(memory) = self.memory.upgrade() else { return false };
        let disk = self.disk.as_ref().and_then(Weak::upgrade);
        memory.each(|key, object| {
            if !object.is_alive(key, &self.ledger) {
                // The disk first, as whoever takes something out does.
                if let Some(disk) = &disk {
                    disk.forget(object.slot(key).short(), key, object.generation);
                }
                memory.remove(key, object);
                self.counters.swept_objects.inc();
            }
            pace.goes_on() && pace.waits_for(|| disk.as_deref().is_none_or(has_followed))
        })
    }

    /// The same of the disk, if there is one.
    fn sweep_disk(&self, pace: &mut Pace<'_>) -> bool {
        let Some(disk) = &self.disk else { return true };
        // What is on its way to the disk is in no table yet.
        let Some(ticket) = disk.upgrade().map(|disk| disk.last_change()) else { return false };
        if !pace.waits_for(|| disk.upgrade().is_none_or(|disk| disk.has_done(ticket))) {
            return false;
        }
        let Some(disk) = disk.upgrade() else { return false };
        let all = disk.each_record(|slot, found| {
            if !self.ledger.lets_live(found.born, &found.checked, &found.key, &found.tags) {
                disk.forget(slot, &found.key, found.generation);
                self.counters.swept_objects.inc();
            }
            pace.goes_on() && pace.waits_for(|| has_followed(&disk))
        });
        // What was taken out must not come back after a power cut, when no record speaks of it any more.
        let ticket = disk.ask_sync();
        let is_ill = || disk.health() != Health::Serving;
        all && pace.waits_for(|| disk.is_synced(ticket) || is_ill()) && !is_ill()
    }

    /// Lets go of the records that the sweeps so far have made superfluous.
    fn retire(&self, desk: &Desk) {
        let mut seen = desk.seen.lock();
        // One after the other: what is of an earlier era may be as old as what is of a later one.
        let over = seen.iter_mut().map(|seen| seen.past.is_over()).take_while(|is_over| *is_over).count();
        let last = seen.drain(..over).next_back();
        let Some(until) = last.map(|seen| seen.until).filter(|until| until.epoch == self.ledger.now().epoch)
        else {
            return;
        };
        // They may be older than a purge of their keys, and of what an answer stands for as well.
        self.aliases.clear();
        self.markers.clear();
        let retired = self.ledger.retire(until, self.disk.is_none());
        if retired > 0 {
            tracing::debug!(retired, %until, "records of the ledger that matter for nothing any more are let go");
        }
    }
}

/// Whether the keeper of the disk has done most of what it was given.
fn has_followed(disk: &DiskTier) -> bool {
    disk.waiting_changes() <= MOST_REMOVALS
}

/// How a sweep works and rests.
struct Pace<'a> {
    desk: &'a Desk,
    yields: bool,
    begun: Instant,
    looks: usize,
}

impl<'a> Pace<'a> {
    fn new(desk: &'a Desk, yields: bool) -> Self {
        Self { desk, yields, begun: Instant::now(), looks: 0 }
    }

    /// Rests when it is time for as long as it has worked; false at the end of all.
    fn goes_on(&mut self) -> bool {
        self.looks += 1;
        if !self.yields || !self.looks.is_multiple_of(BETWEEN_LOOKS) || self.begun.elapsed() < STINT {
            return true;
        }
        let goes_on = self.desk.rest(self.begun.elapsed());
        self.begun = Instant::now();
        goes_on
    }

    /// Rests until something `is_done`; false at the end of all.
    fn waits_for(&self, is_done: impl Fn() -> bool) -> bool {
        while !is_done() {
            if !self.desk.rest(STINT) {
                return false;
            }
        }
        true
    }
}
