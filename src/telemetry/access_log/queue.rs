//! Lines on their way from the workers to the thread that writes them.
//!
//! Each worker adds to a part of its own, under a lock that only the writing thread ever takes beside it, and only to
//! swap. The writing thread is woken by the first line after a rest, then looks again every now and then: not for
//! each line. It puts the lines of all parts in the order in which they were done.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::Thread;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::telemetry::shards::Sharded;

/// Threads that have a part of their own.
const PARTS: usize = 8;

/// Bytes that may wait in one part.
pub(super) const PART_BYTES: usize = 1 << 20;

/// So much waiting in one part is written at once.
const HURRY: usize = 128 << 10;

/// A buffer that has grown beyond this is not kept for the next lines.
const KEPT: usize = 256 << 10;

/// Lines of one thread, in the order in which they were done.
#[derive(Debug, Default)]
pub(super) struct Part {
    text: Vec<u8>,
    /// When each line was done, and where it ends.
    ends: Vec<(Instant, usize)>,
}

impl Part {
    fn size(&self) -> usize {
        self.text.len() + self.ends.len() * size_of::<(Instant, usize)>()
    }
}

/// What was taken from all parts at one moment.
#[derive(Debug, Default)]
pub(super) struct Taken(Vec<Part>);

impl Taken {
    pub(super) fn is_empty(&self) -> bool {
        self.0.iter().all(|part| part.ends.is_empty())
    }

    /// Calls `write` with all lines in the order in which they were done, several at a time.
    pub(super) fn in_order(&self, mut write: impl FnMut(&[u8])) {
        let mut parts: Vec<_> = self.0.iter().filter(|part| !part.ends.is_empty()).map(Rest::new).collect();
        if let [only] = &parts[..] {
            return write(only.text);
        }
        let mut lines = Vec::with_capacity(HURRY);
        while let Some(first) =
            parts.iter_mut().filter(|part| part.next.is_some()).min_by_key(|part| part.next)
        {
            lines.extend_from_slice(first.take_line());
            if lines.len() >= HURRY {
                write(&lines);
                lines.clear();
            }
        }
        if !lines.is_empty() {
            write(&lines);
        }
    }

    /// Makes room for what is taken next.
    pub(super) fn clear(&mut self) {
        for Part { text, ends } in &mut self.0 {
            text.clear();
            text.shrink_to(KEPT);
            ends.clear();
            ends.shrink_to(KEPT / 64);
        }
    }
}

/// What is left of one part.
struct Rest<'a> {
    text: &'a [u8],
    ends: std::slice::Iter<'a, (Instant, usize)>,
    begin: usize,
    /// When the next line was done.
    next: Option<Instant>,
}

impl<'a> Rest<'a> {
    fn new(part: &'a Part) -> Self {
        let next = part.ends.first().map(|(at, _)| *at);
        Self { text: &part.text, ends: part.ends.iter(), begin: 0, next }
    }

    fn take_line(&mut self) -> &'a [u8] {
        let end = self.ends.next().map_or(self.text.len(), |(_, end)| *end);
        self.next = self.ends.as_slice().first().map(|(at, _)| *at);
        let line = self.text.get(self.begin..end).unwrap_or_default();
        self.begin = end;
        line
    }
}

/// What waits, and what was lost.
#[derive(Debug)]
pub(super) struct Queue {
    parts: Sharded<Mutex<Part>>,
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

    /// Adds one line of about `size` bytes that was done `at` a moment, or drops it if too much waits.
    pub(super) fn add(&self, size: usize, at: Instant, line: impl FnOnce(&mut Vec<u8>)) {
        let mut part = self.parts.local().lock();
        let before = part.size();
        if before.saturating_add(size) > PART_BYTES {
            drop(part);
            return self.lost(1);
        }
        line(&mut part.text);
        let end = part.text.len();
        part.ends.push((at, end));
        let after = part.size();
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
        self.parts.iter().map(|part| part.lock().size()).sum()
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

    /// Takes what waits in all parts at one moment, so that no line overtakes an earlier one.
    pub(super) fn take(&self, taken: &mut Taken) {
        taken.0.resize_with(self.parts.iter().count(), Part::default);
        let locked: Vec<_> = self.parts.iter().map(|part| part.lock()).collect();
        for (mut part, empty) in locked.into_iter().zip(&mut taken.0) {
            std::mem::swap(&mut *part, empty);
        }
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
