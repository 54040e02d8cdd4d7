//! The access log: one JSON line a request, written off the hot path.
//!
//! Lines are formatted by the worker, handed through a bounded queue to one thread, and written in batches.
//! A full queue drops lines and counts them: logging never slows an answer.

mod record;
#[cfg(test)]
mod tests;

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::time::Instant;

pub use record::Record;

/// Lines that may wait for the writing thread.
const QUEUE: usize = 16 << 10;

/// Bytes that they may take together.
const QUEUE_BYTES: usize = 8 << 20;

/// Bytes that are written at once.
const BATCH: usize = 64 << 10;

/// How often the end of the writing thread is looked for.
const POLL: Duration = Duration::from_millis(5);

/// Where finished records go. Cloning shares the log.
#[derive(Clone, Debug)]
pub struct AccessLog {
    lines: SyncSender<Vec<u8>>,
    queue: Arc<Queue>,
}

/// What is known of the lines on their way.
#[derive(Debug, Default)]
struct Queue {
    bytes: AtomicUsize,
    dropped: AtomicU64,
}

impl AccessLog {
    /// Starts the thread that writes to `sink` until every clone of the log is dropped.
    pub fn start(sink: impl Write + Send + 'static) -> io::Result<(Self, LogWriter)> {
        let (lines, waiting) = sync_channel(QUEUE);
        let queue = Arc::<Queue>::default();
        let output = Output { sink, queue: Arc::clone(&queue), torn: false, warned: false };
        let thread = std::thread::Builder::new()
            .name("access-log".into())
            .spawn(move || output.write_lines(&waiting))?;
        Ok((Self { lines, queue: Arc::clone(&queue) }, LogWriter { thread, queue }))
    }

    /// Lines lost because the queue was full or could not be written.
    pub fn dropped(&self) -> u64 {
        self.queue.dropped.load(Ordering::Relaxed)
    }

    fn write(&self, line: Vec<u8>) {
        let size = line.capacity();
        let before = self.queue.bytes.fetch_add(size, Ordering::Relaxed);
        if before.saturating_add(size) > QUEUE_BYTES || self.lines.try_send(line).is_err() {
            self.queue.bytes.fetch_sub(size, Ordering::Relaxed);
            self.queue.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The thread that writes.
#[derive(Debug)]
pub struct LogWriter {
    thread: JoinHandle<()>,
    queue: Arc<Queue>,
}

impl LogWriter {
    /// Waits until all lines are written, once every clone of the log is dropped, and tells what was lost. One
    /// who does not read what we write cannot keep us from ending: after `limit` the rest is lost too.
    pub fn finish(self, limit: Duration) {
        let begun = Instant::now();
        while !self.thread.is_finished() && begun.elapsed() < limit {
            std::thread::sleep(POLL);
        }
        if !self.thread.is_finished() {
            let bytes = self.queue.bytes.load(Ordering::Relaxed);
            tracing::warn!(bytes, "the end of the access log could not be written in time");
        }
        let lines = self.queue.dropped.load(Ordering::Relaxed);
        if lines > 0 {
            tracing::warn!(lines, "the access log is not complete: lines were dropped");
        }
    }
}

/// The writing end. An error loses the lines that it hits and no others.
struct Output<W> {
    sink: W,
    queue: Arc<Queue>,
    /// Whether the last thing written is a part of a line.
    torn: bool,
    warned: bool,
}

impl<W: Write> Output<W> {
    /// Writes what has come and flushes when nothing more waits.
    fn write_lines(mut self, waiting: &Receiver<Vec<u8>>) {
        let mut batch = Vec::with_capacity(BATCH);
        while let Ok(line) = waiting.recv() {
            self.take(&mut batch, &line);
            while batch.len() < BATCH
                && let Ok(line) = waiting.try_recv()
            {
                self.take(&mut batch, &line);
            }
            self.write(&batch);
            batch.clear();
        }
    }

    fn take(&self, batch: &mut Vec<u8>, line: &Vec<u8>) {
        batch.extend_from_slice(line);
        self.queue.bytes.fetch_sub(line.capacity(), Ordering::Relaxed);
    }

    fn write(&mut self, batch: &[u8]) {
        let mut rest = batch;
        if let Err(error) = self.mend().and_then(|()| self.write_all(&mut rest)) {
            // Each line has one end: so many did not reach theirs.
            let lines = rest.split(|byte| *byte == b'\n').count().saturating_sub(1) as u64;
            self.queue.dropped.fetch_add(lines, Ordering::Relaxed);
            if !std::mem::replace(&mut self.warned, true) {
                tracing::warn!(%error, "the access log cannot be written; lines are lost until it can");
            }
        }
    }

    /// Ends a line that was cut by an error, so that it does not spoil the next one.
    fn mend(&mut self) -> io::Result<()> {
        if self.torn {
            self.sink.write_all(b"\n")?;
            self.torn = false;
        }
        Ok(())
    }

    /// Writes and flushes; whatever happens, `rest` is what was not written.
    fn write_all(&mut self, rest: &mut &[u8]) -> io::Result<()> {
        while !rest.is_empty() {
            let written = match self.sink.write(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => written,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let (done, left) = rest.split_at_checked(written).unwrap_or((rest, &[]));
            self.torn = done.last() != Some(&b'\n');
            *rest = left;
        }
        self.sink.flush()
    }
}
