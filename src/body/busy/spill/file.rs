//! One body's spill file: unlinked from birth, so that nothing is left behind by a crash.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;
use rustix::fs::{FallocateFlags, fallocate};
use tokio::runtime::Handle;

use super::{FilePlace, Room, SpillArea};

/// What all readers have taken is given back in pieces of this size.
pub(in super::super) const GIVEN_BACK: u64 = 1 << 20;

/// Pieces that are shorter than this on the average leave in one write: others are not worth the copy.
const SMALL: usize = 4 << 10;

/// A body's file, written from front to back, and given back from front to back.
#[derive(Debug)]
pub(in super::super) struct SpillFile {
    /// Until it is closed, which takes a while.
    open: Option<Arc<Open>>,
    written: AtomicU64,
}

/// Closed when it is dropped, and its room given back after that.
#[derive(Debug)]
struct Open {
    file: File,
    room: Mutex<Room>,
    place: FilePlace,
    /// What nobody will read again ends here, and what of it was given back.
    dead: AtomicU64,
    punched: AtomicU64,
    /// Somebody is giving back, or nobody can.
    punching: AtomicBool,
}

impl Open {
    /// Blocking: gives back what nobody will read again, until there is no more of that.
    fn punch(&self) {
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        loop {
            let (from, to) = (self.punched.load(Ordering::SeqCst), self.dead.load(Ordering::SeqCst));
            if from < to {
                if let Err(error) = fallocate(&self.file, flags, from, to - from) {
                    tracing::debug!(%error, "a spill file keeps all of its room to its end");
                    return;
                }
                self.room.lock().shrink(to - from);
                self.punched.store(to, Ordering::SeqCst);
                continue;
            }
            self.punching.store(false, Ordering::SeqCst);
            if self.dead.load(Ordering::SeqCst) == to || self.punching.swap(true, Ordering::SeqCst) {
                return;
            }
        }
    }
}

impl SpillFile {
    /// Blocking: creates the file.
    pub(in super::super) fn create(area: &Arc<SpillArea>, place: FilePlace) -> io::Result<Self> {
        let file = tempfile::tempfile_in(&area.directory)?;
        let room = Mutex::new(Room { area: Arc::clone(area), bytes: 0 });
        let (dead, punched, punching) = (AtomicU64::new(0), AtomicU64::new(0), AtomicBool::new(false));
        let open = Some(Arc::new(Open { file, room, place, dead, punched, punching }));
        Ok(Self { open, written: AtomicU64::new(0) })
    }

    /// Bytes of the area that it has.
    pub(in super::super) fn held(&self) -> u64 {
        self.open.as_ref().map_or(0, |open| open.room.lock().bytes)
    }

    /// Blocking: writes `pieces`, for which there is `room`, behind what was written before and returns where they begin. On an
    /// error nothing counts as written. Only one call at a time (there is one writer).
    pub(in super::super) fn append(&self, pieces: &[Bytes], room: Room) -> io::Result<u64> {
        let open = self.open()?;
        let begin = self.written.load(Ordering::Acquire);
        let mut at = begin;
        let length: usize = pieces.iter().map(Bytes::len).sum();
        let joined = (length < pieces.len() * SMALL).then(|| [Bytes::from(pieces.concat())]);
        for piece in joined.as_ref().map_or(pieces, |joined| &joined[..]) {
            open.file.write_all_at(piece, at)?;
            at += piece.len() as u64;
        }
        open.room.lock().add(room);
        self.written.store(at, Ordering::Release);
        Ok(begin)
    }

    /// Blocking: fills `buffer` with the bytes at `offset`, which were written before.
    pub(in super::super) fn read(&self, offset: u64, mut buffer: Vec<u8>) -> io::Result<Bytes> {
        self.open()?.file.read_exact_at(&mut buffer, offset)?;
        Ok(buffer.into())
    }

    /// Nobody will read anything before `offset` again: once that is enough, its room is given back, where the file system
    /// can do so; else at the end.
    pub(in super::super) fn is_dead_to(&self, offset: u64) {
        let Some(open) = &self.open else { return };
        let end = offset - offset % GIVEN_BACK;
        // One at a time for each file, however fast it is read.
        if open.dead.fetch_max(end, Ordering::SeqCst) < end && !open.punching.swap(true, Ordering::SeqCst) {
            let open = Arc::clone(open);
            in_background(move || open.punch());
        }
    }

    /// The area that it is in.
    pub(in super::super) fn area(&self) -> Option<Arc<SpillArea>> {
        self.open.as_ref().map(|open| Arc::clone(&open.place.area))
    }

    fn open(&self) -> io::Result<&Open> {
        self.open.as_deref().ok_or_else(|| io::Error::other("the spill file is closed"))
    }
}

impl Drop for SpillFile {
    /// A long file takes milliseconds to go, for which whoever serves does not wait.
    fn drop(&mut self) {
        let open = self.open.take();
        in_background(move || drop(open));
    }
}

/// Off the threads that serve. What the runtime has no time for any more is dropped, which does as much.
fn in_background(work: impl FnOnce() + Send + 'static) {
    match Handle::try_current() {
        Ok(runtime) => drop(runtime.spawn_blocking(work)),
        Err(_) => work(),
    }
}
