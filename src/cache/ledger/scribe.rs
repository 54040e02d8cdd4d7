//! The thread that makes purges durable: one write and one sync for all that have gathered while the last were written.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use parking_lot::Condvar;
use tokio::time::Instant;

use super::Ledger;
use super::journal::Journal;
use super::record::Record;
use super::writing::Place;
use std::sync::atomic::Ordering;

/// Records that wait to be written at most: the disk hangs if there are so many.
const MOST_WAITING: usize = 1 << 16;

/// A file is written anew when this many bytes more than twice of what is alive are in it.
const SLACK: u64 = 64 << 10;

/// What has gathered to be written.
#[derive(Debug, Default)]
pub(super) struct Desk {
    pub(super) queue: Vec<Record>,
    pub(super) mode: Mode,
    retry_at: Option<Instant>,
    closed: bool,
    abandoned: bool,
}

/// Whether records are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Mode {
    /// There is no disk.
    #[default]
    Memory,
    /// They are.
    Writing,
    /// They cannot be now; all that is alive will be written anew.
    Broken,
}

impl Desk {
    /// Takes a record in, if records are written.
    pub(super) fn take_in(&mut self, record: Record) {
        match self.mode {
            Mode::Writing if self.queue.len() < MOST_WAITING => self.queue.push(record),
            // Written anew at once: the scribe may have nothing else to wake up for.
            Mode::Writing => {
                self.mode = Mode::Broken;
                self.queue.clear();
                self.retry_at = Some(Instant::now());
            }
            Mode::Memory | Mode::Broken => {}
        }
    }
}

/// Wakes the scribe.
#[derive(Debug, Default)]
pub(super) struct Bell(Condvar);

impl Bell {
    pub(super) fn ring(&self) {
        self.0.notify_one();
    }
}

/// The thread. Dropped, it ends where it is, as in a crash.
#[derive(Debug)]
pub(in crate::cache) struct Scribe {
    ledger: Arc<Ledger>,
    ended: Receiver<()>,
}

impl Scribe {
    /// Starts it. It tries again every `retry` when the disk has failed. Until a disk is attached, purges are not durable.
    pub(in crate::cache) fn start(ledger: &Arc<Ledger>, retry: Duration) -> std::io::Result<Self> {
        ledger.desk.lock().mode = Mode::Broken;
        let (end, ended) = sync_channel(1);
        let writing = Arc::clone(ledger);
        std::thread::Builder::new().name("ledger".into()).spawn(move || {
            writing.write_on(retry);
            let _ = end.send(());
        })?;
        Ok(Self { ledger: Arc::clone(ledger), ended })
    }

    /// Writes what has gathered and lets go of the disk, within `patience`.
    pub(in crate::cache) fn close(self, patience: Duration) {
        self.ledger.desk.lock().closed = true;
        self.ledger.bell.ring();
        if self.ended.recv_timeout(patience).is_err() {
            tracing::warn!("the ledger of purges was not brought to its end");
        }
    }
}

impl Drop for Scribe {
    fn drop(&mut self) {
        let mut desk = self.ledger.desk.lock();
        if !desk.closed {
            desk.abandoned = true;
            drop(desk);
            self.ledger.bell.ring();
            let _ = self.ended.recv_timeout(Duration::from_secs(5));
        }
    }
}

/// What there is to do.
enum Work {
    Group,
    Retry,
    End,
    Abandon,
}

impl Ledger {
    fn write_on(&self, retry: Duration) {
        loop {
            match self.work() {
                Work::Group => self.write_group(retry),
                Work::Retry => self.write_anew(retry),
                Work::End => {
                    self.write_anew(Duration::ZERO);
                    break;
                }
                Work::Abandon => break,
            }
        }
        *self.place.lock() = Place::None;
        self.stop_writing();
    }

    /// Waits until there is something to do.
    fn work(&self) -> Work {
        let mut desk = self.desk.lock();
        loop {
            if desk.abandoned {
                return Work::Abandon;
            }
            if !desk.queue.is_empty() {
                return Work::Group;
            }
            if desk.closed {
                return Work::End;
            }
            let Some(at) = desk.retry_at else {
                self.bell.0.wait(&mut desk);
                continue;
            };
            let now = Instant::now();
            if at <= now {
                desk.retry_at = None;
                return Work::Retry;
            }
            self.bell.0.wait_for(&mut desk, at - now);
        }
    }

    fn write_group(&self, retry: Duration) {
        let mut place = self.place.lock();
        let Place::Open(journal) = &mut *place else { return };
        let group = std::mem::take(&mut self.desk.lock().queue);
        let Some(last) = group.last().map(|record| record.sequence.ordinal()) else { return };
        if let Err(error) = journal.append(&group) {
            self.counters.ledger_not_durable.add(group.len() as u64);
            self.give_up(&error);
            return self.disown(&mut place, retry);
        }
        self.settle(last, true);
        self.on_disk.store(journal.length(), Ordering::Relaxed);
        self.compact(&mut place);
        self.mind_overflow(&mut place);
    }

    /// Too much has gathered while the disk was waited for, and was let go: the file has not all that holds.
    pub(super) fn mind_overflow(&self, place: &mut Place) {
        if self.desk.lock().mode == Mode::Broken {
            self.disown(place, Duration::ZERO);
        }
    }

    /// Writes the file anew if most of it is out of date.
    fn compact(&self, place: &mut Place) {
        let Place::Open(journal) = place else { return };
        let alive = self.state.read().index.frames();
        if journal.length() < 2 * alive + SLACK {
            return;
        }
        let snapshot = {
            let state = self.state.read();
            self.snapshot(&state)
        };
        let volume = Arc::clone(journal.volume());
        match Journal::begin(&volume, &snapshot) {
            Ok(begun) => {
                self.open(place, begun);
                self.settle(snapshot.latest, true);
            }
            Err(error) => {
                self.give_up(&error);
                self.disown(place, Duration::ZERO);
            }
        }
    }

    /// The disk's ledger is not what holds any more: takes it away, and tries again later.
    fn disown(&self, place: &mut Place, retry: Duration) {
        let Place::Open(journal) = place else { return };
        let volume = Arc::clone(journal.volume());
        self.take_away(&*volume);
        *place = Place::Broken(volume);
        self.desk.lock().retry_at = Some(Instant::now() + retry);
        self.bell.ring();
    }

    /// Writes all that is alive to a disk that had failed.
    fn write_anew(&self, retry: Duration) {
        let mut place = self.place.lock();
        // Too much has gathered while nobody wrote.
        self.mind_overflow(&mut place);
        let Place::Broken(volume) = &*place else { return };
        let volume = Arc::clone(volume);
        let snapshot = {
            let state = self.state.read();
            self.snapshot(&state)
        };
        if self.begin(&mut place, &volume, &snapshot).is_ok() {
            tracing::info!("the ledger of purges is on disk again");
            return self.mind_overflow(&mut place);
        }
        self.take_away(&*volume);
        self.desk.lock().retry_at = Some(Instant::now() + retry);
    }
}
