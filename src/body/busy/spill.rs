//! Files for what exceeds the memory window: unlinked from birth, so nothing is left behind by a crash.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

/// A directory for spill files and the bytes that they may take together.
#[derive(Debug)]
pub struct SpillArea {
    directory: PathBuf,
    used: AtomicU64,
    limit: u64,
}

impl SpillArea {
    /// Spill files in `directory`, `limit` bytes in all; zero turns spilling off.
    pub fn new(directory: PathBuf, limit: u64) -> Arc<Self> {
        Arc::new(Self { directory, used: AtomicU64::new(0), limit })
    }

    /// Bytes in spill files now.
    pub fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// Bytes that they may take.
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// Sets `bytes` aside; false if they exceed the limit.
    fn reserve(&self, bytes: u64) -> bool {
        self.used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
                used.checked_add(bytes).filter(|sum| *sum <= self.limit)
            })
            .is_ok()
    }
}

/// One body's spill file, written from front to back.
#[derive(Debug)]
pub(super) struct SpillFile {
    file: File,
    area: Arc<SpillArea>,
    written: AtomicU64,
}

impl SpillFile {
    /// Blocking: creates the file.
    pub(super) fn create(area: &Arc<SpillArea>) -> io::Result<Arc<Self>> {
        let file = tempfile::tempfile_in(&area.directory)?;
        Ok(Arc::new(Self { file, area: Arc::clone(area), written: AtomicU64::new(0) }))
    }

    /// Blocking: writes `pieces` behind what was written before and returns where they begin. On an error
    /// nothing counts as written. Only one call at a time (there is one writer).
    pub(super) fn append(&self, pieces: &[Bytes]) -> io::Result<u64> {
        let begin = self.written.load(Ordering::Acquire);
        let bytes: u64 = pieces.iter().map(|piece| piece.len() as u64).sum();
        if !self.area.reserve(bytes) {
            return Err(io::Error::new(io::ErrorKind::StorageFull, "the spill limit is reached"));
        }
        let mut at = begin;
        for piece in pieces {
            if let Err(error) = self.file.write_all_at(piece, at) {
                self.area.used.fetch_sub(bytes, Ordering::Relaxed);
                return Err(error);
            }
            at += piece.len() as u64;
        }
        self.written.store(at, Ordering::Release);
        Ok(begin)
    }

    /// Blocking: fills `buffer` with the bytes at `offset`, which were written before.
    pub(super) fn read(&self, offset: u64, mut buffer: Vec<u8>) -> io::Result<Bytes> {
        self.file.read_exact_at(&mut buffer, offset)?;
        Ok(buffer.into())
    }
}

impl Drop for SpillFile {
    fn drop(&mut self) {
        self.area.used.fetch_sub(self.written.load(Ordering::Acquire), Ordering::Relaxed);
    }
}
