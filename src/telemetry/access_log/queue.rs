//! Lines on their way from the workers to the thread that writes them.
//!
//! Each worker adds to a part of its own, under a lock that only the writing thread ever takes beside it, and only to
//! swap. The writing thread is woken by the first line after a rest, then looks again every now and then: not for
//! each line.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::Thread;

use parking_lot::Mutex;

use crate::telemetry::shards::Sharded;

/// Threads that have a part of their own.
const PARTS: usize = 8;

/// Bytes that may wait in one part.
pub(super) const PART_BYTES: usize = 1 << 20;

/// So much waiting in one part is written at once.
const HURRY: usize = 128 << 10;

/// A buffer that has grown beyond this is not kept for the next lines.
const KEPT: usize = 256 << 10;

/// What waits, and what was lost.
#[derive(Debug)]
pub(super) struct Queue {
    parts: Sharded<Mutex<Vec<u8>>>,
    dropped: AtomicU64,
    asleep: AtomicBool,
    closed: AtomicBool,
    reopen: AtomicBool,
    writer: OnceLock<Thread>,
}

impl Queue {
    pub(super) fn new() -> Self {
        Self {
            parts: Sharded::new(PARTS),
            dropped: AtomicU64::new(0),
            asleep: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            reopen: AtomicBool::new(false),
            writer: OnceLock::new(),
        }
    }

    /// Adds one line of about `size` bytes, or drops it if too much waits.
    pub(super) fn add(&self, size: usize, line: impl FnOnce(&mut Vec<u8>)) {
        let mut part = self.parts.local().lock();
        let before = part.len();
        if before.saturating_add(size) > PART_BYTES {
            drop(part);
            return self.lost(1);
        }
        line(&mut part);
        let after = part.len();
        drop(part);
        let hurries = before < HURRY && after >= HURRY;
        // The first line after a rest: the writer says that it sleeps before it looks for the last time.
        if hurries || (before == 0 && self.asleep.load(Ordering::SeqCst)) {
            self.wake();
        }
    }

    /// So many lines did not reach their sink.
    pub(super) fn lost(&self, lines: u64) {
        self.dropped.fetch_add(lines, Ordering::Relaxed);
    }

    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Bytes that wait.
    pub(super) fn bytes(&self) -> usize {
        self.parts.iter().map(|part| part.lock().len()).sum()
    }

    /// No line will come any more.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        self.wake();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    /// Asks the writer to open its file anew.
    pub(super) fn ask_to_reopen(&self) {
        self.reopen.store(true, Ordering::SeqCst);
        self.wake();
    }

    pub(super) fn takes_reopen(&self) -> bool {
        self.reopen.swap(false, Ordering::SeqCst)
    }

    fn wake(&self) {
        if let Some(writer) = self.writer.get() {
            writer.unpark();
        }
    }

    /// For the thread that writes: says that it is the one to be woken.
    pub(super) fn adopt(&self, writer: Thread) {
        let _ = self.writer.set(writer);
    }

    /// Calls `write` with what waits in each part; whether there was anything.
    pub(super) fn drain(&self, spare: &mut Vec<u8>, mut write: impl FnMut(&[u8])) -> bool {
        let mut any = false;
        for part in self.parts.iter() {
            std::mem::swap(&mut *part.lock(), spare);
            if !spare.is_empty() {
                any = true;
                write(spare);
            }
            spare.clear();
            spare.shrink_to(KEPT);
        }
        any
    }

    /// For the thread that writes, once nothing waits: sleeps until something does, or it is asked for something.
    pub(super) fn sleep(&self) {
        self.asleep.store(true, Ordering::SeqCst);
        if self.bytes() == 0 && !self.is_closed() && !self.reopen.load(Ordering::SeqCst) {
            std::thread::park();
        }
        self.asleep.store(false, Ordering::SeqCst);
    }
}
