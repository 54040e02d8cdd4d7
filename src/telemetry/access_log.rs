//! The access log: one JSON line a request, written off the hot path.
//!
//! Lines are formatted by the worker, handed through a bounded queue to one thread, and written in batches.
//! A full queue drops lines and counts them: logging never slows an answer.

use std::io::{self, Write};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use http::{Method, StatusCode, Version};
use tokio::time::Instant;

use crate::base::clock::Timestamp;

/// Lines that may wait for the writing thread.
const QUEUE: usize = 16 << 10;

/// Bytes that they may take together.
const QUEUE_BYTES: usize = 8 << 20;

/// Bytes that are written at once.
const BATCH: usize = 64 << 10;

/// The most of a text of the client's (a target, say) that a line repeats.
const LONGEST_TEXT: usize = 2 << 10;

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

/// What one line says. The words of `cache` are those of the `Cache-Status` field.
#[derive(Debug)]
pub struct Record {
    /// Where the line goes.
    pub log: AccessLog,
    /// When the request was complete.
    pub time: Timestamp,
    /// The same moment on the clock that only runs forward.
    pub started: Instant,
    /// The connection's other end.
    pub peer: IpAddr,
    /// As the client sent it.
    pub method: Method,
    /// The host asked for.
    pub host: String,
    /// Path and query.
    pub target: String,
    /// The client's version.
    pub version: Version,
    /// The status that was sent.
    pub status: StatusCode,
    /// How the cache answered: `hit`, or why the request went forward.
    pub cache: &'static str,
    /// More about the decision, if there is more to say.
    pub detail: Option<&'static str>,
    /// Milliseconds from the request to the head of the answer.
    pub head_ms: u64,
    /// The body's length, if the head promised one.
    pub promised: Option<u64>,
    /// Body bytes handed to the connection.
    pub sent: u64,
    /// Whether the whole body was.
    pub complete: bool,
    /// Why it broke off, if it did.
    pub broken: Option<&'static str>,
}

impl Record {
    /// Formats the line and hands it to the log.
    pub fn write(self) {
        let line = self.to_json();
        self.log.write(line);
    }

    fn to_json(&self) -> Vec<u8> {
        let total_ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let mut line = Vec::with_capacity(320);
        line.extend_from_slice(b"{\"time\":\"");
        push_display(&mut line, &humantime::format_rfc3339_millis(self.time.to_system_time()));
        line.extend_from_slice(b"\",\"client\":\"");
        push_display(&mut line, &self.peer);
        line.extend_from_slice(b"\",\"method\":");
        push_json_string(&mut line, self.method.as_str());
        line.extend_from_slice(b",\"host\":");
        push_json_string(&mut line, &self.host);
        line.extend_from_slice(b",\"target\":");
        push_json_string(&mut line, &self.target);
        line.extend_from_slice(b",\"version\":\"");
        push_debug(&mut line, &self.version);
        line.extend_from_slice(b"\",\"status\":");
        line.extend_from_slice(self.status.as_str().as_bytes());
        line.extend_from_slice(b",\"cache\":\"");
        line.extend_from_slice(self.cache.as_bytes());
        line.push(b'"');
        push_named(&mut line, "detail", self.detail);
        line.extend_from_slice(b",\"bytes\":");
        push_display(&mut line, &self.sent);
        line.extend_from_slice(b",\"complete\":");
        push_display(&mut line, &self.complete);
        push_named(&mut line, "broken", self.broken);
        line.extend_from_slice(b",\"head_ms\":");
        push_display(&mut line, &self.head_ms);
        line.extend_from_slice(b",\"total_ms\":");
        push_display(&mut line, &total_ms);
        line.extend_from_slice(b"}\n");
        line
    }
}

fn push_named(line: &mut Vec<u8>, name: &str, value: Option<&str>) {
    if let Some(value) = value {
        line.extend_from_slice(b",\"");
        line.extend_from_slice(name.as_bytes());
        line.extend_from_slice(b"\":\"");
        line.extend_from_slice(value.as_bytes());
        line.push(b'"');
    }
}

// Writing to a Vec cannot fail.
fn push_display(line: &mut Vec<u8>, value: &impl std::fmt::Display) {
    let _ = write!(line, "{value}");
}

fn push_debug(line: &mut Vec<u8>, value: &impl std::fmt::Debug) {
    let _ = write!(line, "{value:?}");
}

/// Quotes and escapes `text`, cut if it is very long; control characters never reach the log as they are.
fn push_json_string(line: &mut Vec<u8>, text: &str) {
    match text.get(..text.floor_char_boundary(LONGEST_TEXT)) {
        Some(begin) if begin.len() < text.len() => push_whole_json_string(line, &format!("{begin}…")),
        _ => push_whole_json_string(line, text),
    }
}

fn push_whole_json_string(line: &mut Vec<u8>, text: &str) {
    let plain = text.bytes().all(|byte| byte >= 0x20 && byte != b'"' && byte != b'\\' && byte != 0x7f);
    if plain {
        line.push(b'"');
        line.extend_from_slice(text.as_bytes());
        line.push(b'"');
    } else {
        let _ = serde_json::to_writer(line, text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_json_whatever_the_client_sent() {
        let (log, writer) = AccessLog::start(io::sink()).expect("a thread");
        let record = Record { host: "a\"b\\c".into(), target: "/\u{1}\r\n?x=\u{7f}".into(), ..record(log) };
        let line = String::from_utf8(record.to_json()).expect("UTF-8");
        assert_eq!(line.matches('\n').count(), 1, "one line: {line:?}");
        let json: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!(json["host"], "a\"b\\c");
        assert_eq!(json["target"], "/\u{1}\r\n?x=\u{7f}");
        assert_eq!(json["time"], "2000-02-29T00:00:00.123Z");
        assert_eq!(json["version"], "HTTP/1.1");
        drop(record);
        writer.thread.join().expect("the thread ends with the log");
    }

    #[test]
    fn a_very_long_target_is_cut() {
        let (log, _writer) = AccessLog::start(io::sink()).expect("a thread");
        let record = Record { target: "/é".repeat(20_000), ..record(log) };
        let json: serde_json::Value = serde_json::from_slice(&record.to_json()).expect("JSON");
        let target = json["target"].as_str().expect("a text");
        assert!(target.starts_with("/é/é") && target.ends_with('…'), "{target}");
        assert!(target.len() <= LONGEST_TEXT + '…'.len_utf8());
    }

    type Written = Arc<parking_lot::Mutex<Vec<u8>>>;

    /// A sink that is told by the test what to do with each write.
    struct Scripted {
        does: Receiver<io::Result<usize>>,
        written: Written,
    }

    impl Write for Scripted {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let most = self.does.recv().unwrap_or(Ok(usize::MAX))?.min(bytes.len());
            self.written.lock().extend_from_slice(&bytes[..most]);
            Ok(most)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn scripted() -> (SyncSender<io::Result<usize>>, Scripted, Written) {
        let (script, does) = sync_channel(8);
        let written = Written::default();
        (script, Scripted { does, written: Arc::clone(&written) }, written)
    }

    #[test]
    fn an_error_loses_the_lines_that_it_hits_and_no_others() {
        let (script, sink, written) = scripted();
        let (log, writer) = AccessLog::start(sink).expect("a thread");
        let wait_for = |dropped| {
            while log.dropped() < dropped {
                std::thread::yield_now();
            }
        };
        log.write(b"none of it\n".to_vec());
        script.send(Err(io::ErrorKind::StorageFull.into())).expect("a listener");
        wait_for(1);
        log.write(b"half of it\n".to_vec());
        script.send(Ok(4)).expect("a listener");
        script.send(Err(io::ErrorKind::StorageFull.into())).expect("a listener");
        wait_for(2);
        log.write(b"all of it\n".to_vec());
        drop((script, log));
        writer.finish(Duration::from_secs(10));
        assert_eq!(String::from_utf8_lossy(&written.lock()), "half\nall of it\n");
    }

    #[test]
    fn lines_that_nobody_takes_are_bounded_in_bytes_and_do_not_hold_up_the_end() {
        let (_script, sink, _written) = scripted();
        let (log, writer) = AccessLog::start(sink).expect("a thread");
        for _ in 0..2 * QUEUE_BYTES / BATCH {
            log.write(vec![b'x'; BATCH]);
        }
        assert!(log.queue.bytes.load(Ordering::Relaxed) <= QUEUE_BYTES);
        assert!(log.dropped() >= (QUEUE_BYTES / BATCH) as u64 - 2, "{}", log.dropped());
        drop(log);
        let begun = Instant::now();
        writer.finish(Duration::from_millis(50));
        assert!(begun.elapsed() < Duration::from_secs(5));
    }

    fn record(log: AccessLog) -> Record {
        Record {
            log,
            time: Timestamp::from_millis(951_782_400_123),
            started: Instant::now(),
            peer: IpAddr::from([127, 0, 0, 1]),
            method: Method::GET,
            host: "test".into(),
            target: "/".into(),
            version: Version::HTTP_11,
            status: StatusCode::OK,
            cache: "hit",
            detail: None,
            head_ms: 1,
            promised: Some(5),
            sent: 5,
            complete: true,
            broken: None,
        }
    }
}
