//! Room in files for what exceeds the memory window, shared fairly between bodies.
//!
//! A body may have in its file half of what is still free for all ([`OF_FILES`]): so the largest is the first that has to
//! wait, and there is room for one that comes. What its readers have taken is given back piece by piece. Who waits for
//! room is woken when there is some, the smallest first.

mod file;
mod queue;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::available_parallelism;

use tokio::sync::Semaphore;

use crate::base::limit::{Limit, Place};
use crate::body::share::OF_FILES;
use queue::Queue;

pub(super) use file::{GIVEN_BACK, SpillFile};
pub(super) use queue::RoomFor;

/// A directory for spill files and the bytes that they may take together.
#[derive(Debug)]
pub struct SpillArea {
    directory: PathBuf,
    used: AtomicU64,
    limit: u64,
    queue: Queue,
    /// Each takes a descriptor.
    files: Limit,
    /// Those who write at a time. What the system takes in is a copy, for which more cores than these only take time from
    /// those who serve; and those who wait for their turn keep no thread.
    pub(super) turns: Arc<Semaphore>,
    /// The same for those who read, which may have to wait for the disk.
    pub(super) reading: Arc<Semaphore>,
}

impl SpillArea {
    /// Spill files in `directory`, `limit` bytes in all; zero turns spilling off.
    pub fn new(directory: PathBuf, limit: u64) -> Arc<Self> {
        let cores = available_parallelism().map_or(1, usize::from);
        let turns = Arc::new(Semaphore::new((cores / 2).max(1)));
        let reading = Arc::new(Semaphore::new(cores));
        let (queue, files) = (Queue::default(), Limit::new(usize::MAX));
        Arc::new(Self { directory, used: AtomicU64::new(0), limit, queue, files, turns, reading })
    }

    /// From now on at most so many files at a time: who would need one more waits as for room.
    pub fn limit_files(&self, most: usize) {
        self.files.set(most);
        self.wake_first();
    }

    /// Bytes in spill files now.
    pub fn used(&self) -> u64 {
        self.used.load(Ordering::Acquire)
    }

    /// Bytes that they may take.
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// How many bodies wait for room.
    pub fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// Sets `bytes` aside for a body that has `own` in its file, if that is no more than its share.
    pub(super) fn try_take(self: &Arc<Self>, own: u64, bytes: u64) -> Option<Room> {
        let grown = |used: u64| {
            let sum = used.checked_add(bytes)?;
            let free = self.limit.checked_sub(sum)?;
            OF_FILES.allows(own.saturating_add(bytes), free).then_some(sum)
        };
        self.used.fetch_update(Ordering::AcqRel, Ordering::Acquire, grown).ok()?;
        Some(Room { area: Arc::clone(self), bytes })
    }

    /// A place for one file more, if there may be one.
    pub(super) fn place_for_file(self: &Arc<Self>) -> Option<FilePlace> {
        self.files.take().map(|place| FilePlace { area: Arc::clone(self), place: Some(place) })
    }

    /// Bytes that nobody has.
    fn free(&self) -> u64 {
        self.limit.saturating_sub(self.used())
    }

    fn wake_first(&self) {
        self.queue.wake_first(|| (self.free(), !self.files.is_full()));
    }

    fn give_back(&self, bytes: u64) {
        self.used.fetch_sub(bytes, Ordering::AcqRel);
        self.wake_first();
    }
}

/// A file of the area, or a place for one; who waits for one is woken when this is dropped.
#[derive(Debug)]
pub(super) struct FilePlace {
    area: Arc<SpillArea>,
    place: Option<Place>,
}

impl Drop for FilePlace {
    fn drop(&mut self) {
        self.place = None;
        self.area.wake_first();
    }
}

/// Bytes of the area, given back when this is dropped.
#[derive(Debug)]
pub(super) struct Room {
    area: Arc<SpillArea>,
    bytes: u64,
}

impl Room {
    /// Puts another's bytes to these.
    fn add(&mut self, mut other: Self) {
        self.bytes += std::mem::take(&mut other.bytes);
    }

    /// Gives so many of them back.
    fn shrink(&mut self, by: u64) {
        let by = by.min(self.bytes);
        self.bytes -= by;
        self.area.give_back(by);
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.area.give_back(self.bytes);
        }
    }
}

#[cfg(test)]
mod tests;
