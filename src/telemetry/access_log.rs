//! The access log: one JSON line a request, written off the hot path.
//!
//! Lines are formatted by the worker, handed through a bounded queue to one thread, and written in batches.
//! A full queue drops lines and counts them: logging never slows an answer.

use std::io::Write;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use http::{Method, StatusCode, Version};
use tokio::time::Instant;

use crate::base::clock::Timestamp;

/// Lines that may wait for the writing thread.
const QUEUE: usize = 16 << 10;

/// Where finished records go. Cloning shares the log.
#[derive(Clone, Debug)]
pub struct AccessLog {
    lines: SyncSender<Vec<u8>>,
    dropped: Arc<AtomicU64>,
}

impl AccessLog {
    /// Starts the thread that writes to `sink` until every clone of the log is dropped.
    pub fn start(sink: impl Write + Send + 'static) -> std::io::Result<(Self, std::thread::JoinHandle<()>)> {
        let (lines, queue) = sync_channel(QUEUE);
        let thread =
            std::thread::Builder::new().name("access-log".into()).spawn(move || write_lines(&queue, sink))?;
        Ok((Self { lines, dropped: Arc::default() }, thread))
    }

    /// Lines lost because the queue was full.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    fn write(&self, line: Vec<u8>) {
        if self.lines.try_send(line).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Writes what has come and flushes when nothing more waits.
fn write_lines(queue: &Receiver<Vec<u8>>, sink: impl Write) {
    let mut sink = std::io::BufWriter::with_capacity(64 << 10, sink);
    while let Ok(line) = queue.recv() {
        let mut next = Some(line);
        while let Some(line) = next {
            if sink.write_all(&line).is_err() {
                return;
            }
            next = queue.try_recv().ok();
        }
        if sink.flush().is_err() {
            return;
        }
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

/// Quotes and escapes `text`; control characters never reach the log as they are.
fn push_json_string(line: &mut Vec<u8>, text: &str) {
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
        let (log, thread) = AccessLog::start(std::io::sink()).expect("a thread");
        let record = Record {
            log,
            time: Timestamp::from_millis(951_782_400_123),
            started: Instant::now(),
            peer: IpAddr::from([127, 0, 0, 1]),
            method: Method::GET,
            host: "a\"b\\c".into(),
            target: "/\u{1}\r\n?x=\u{7f}".into(),
            version: Version::HTTP_11,
            status: StatusCode::OK,
            cache: "hit",
            detail: None,
            head_ms: 1,
            sent: 5,
            complete: true,
            broken: None,
        };
        let line = String::from_utf8(record.to_json()).expect("UTF-8");
        assert_eq!(line.matches('\n').count(), 1, "one line: {line:?}");
        let json: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!(json["host"], "a\"b\\c");
        assert_eq!(json["target"], "/\u{1}\r\n?x=\u{7f}");
        assert_eq!(json["time"], "2000-02-29T00:00:00.123Z");
        assert_eq!(json["version"], "HTTP/1.1");
        drop(record);
        thread.join().expect("the thread ends with the log");
    }
}
