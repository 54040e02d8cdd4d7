//! One line of the access log.

use std::io::Write;
use std::net::IpAddr;

use http::{Method, StatusCode, Version};
use tokio::time::Instant;

use super::AccessLog;
use crate::base::clock::Timestamp;

/// The most of a text of the client's (a target, say) that a line repeats.
pub(super) const LONGEST_TEXT: usize = 2 << 10;

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

    pub(super) fn to_json(&self) -> Vec<u8> {
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
