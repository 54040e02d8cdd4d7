//! How the ledger gets onto a disk, and off one that fails.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::super::disk::volume::Volume;
use super::journal::{self, Journal, Replayed, Snapshot};
use super::scribe::Mode;
use super::{Ledger, State};
use crate::base::ids::Sequence;

/// Where records are written.
#[derive(Debug)]
pub(super) enum Place {
    /// Nowhere: there is no disk, or it is not open.
    None,
    /// On a disk that has failed, and may be well again.
    Broken(Arc<dyn Volume>),
    /// In a file that has all that is not on the desk.
    Open(Journal),
}

impl Ledger {
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
    pub(super) fn snapshot(&self, state: &State) -> Snapshot {
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
    pub(super) fn begin(
        &self,
        place: &mut Place,
        volume: &Arc<dyn Volume>,
        snapshot: &Snapshot,
    ) -> io::Result<()> {
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

    pub(super) fn open(&self, place: &mut Place, journal: Journal) {
        self.on_disk.store(journal.length(), Ordering::Relaxed);
        self.doubt.fetch_or(!journal.is_alone(), Ordering::Relaxed);
        *place = Place::Open(journal);
    }

    /// Takes the ledger of a disk away, because it is not what holds any more.
    pub(super) fn take_away(&self, volume: &dyn Volume) {
        if !self.doubt.load(Ordering::Relaxed) && !journal::disown(volume) {
            self.doubt.store(true, Ordering::Relaxed);
        }
    }

    /// Nothing can be made durable now: whoever waits goes on.
    pub(super) fn give_up(&self, error: &io::Error) {
        tracing::warn!(%error, "the ledger of purges cannot be written: they hold in memory until it can");
        self.stop_writing();
    }

    pub(super) fn stop_writing(&self) {
        {
            let _no_purge_meanwhile = self.state.read();
            let mut desk = self.desk.lock();
            desk.mode = Mode::Broken;
            self.counters.ledger_not_durable.add(desk.queue.len() as u64);
            desk.queue.clear();
        }
        self.settle(self.latest.load(Ordering::Relaxed), false);
    }

    pub(super) fn settle(&self, until: u64, durable: bool) {
        self.progress.send_modify(|progress| {
            progress.settled = progress.settled.max(until);
            if durable {
                progress.durable = progress.durable.max(until);
            }
        });
    }

    /// Bytes of its files on disk, to be counted where the disk's limit is.
    pub(in crate::cache) fn on_disk(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.on_disk)
    }
}
