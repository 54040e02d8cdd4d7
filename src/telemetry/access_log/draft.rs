//! A line as it is made: most of it when the head of the answer is there, the rest when its body has left.
//!
//! So nothing of the request need be kept or copied for the log but the line itself.

use std::cell::Cell;
use std::io::Write;
use std::net::IpAddr;
use std::time::Duration;

use http::header::{REFERER, USER_AGENT};
use http::{HeaderMap, HeaderName, Method, StatusCode, Version};
use tokio::time::Instant;

use super::AccessLog;
use super::escape::{LONGEST_TEXT, push_json, push_plain};
use super::field::Field;
use super::layout::{Layout, MOST_LATE, Piece, Style};
use super::time;
use crate::base::clock::Timestamp;
use crate::base::peer::Peer;

/// What is known when the head of the answer is there. The words of `cache` are those of the `Cache-Status` field.
#[derive(Debug)]
pub struct Head<'a> {
    /// When the request was complete.
    pub time: Timestamp,
    /// The same moment on the clock that only runs forward.
    pub started: Instant,
    /// The address of the connection's other end, if it has one.
    pub peer: Option<IpAddr>,
    /// The site, if one was found.
    pub site: Option<&'a str>,
    /// As the client sent it.
    pub method: &'a Method,
    /// Of the client's connection.
    pub scheme: &'a str,
    /// The host asked for, if there is one.
    pub host: Option<&'a str>,
    /// Path and query.
    pub target: &'a str,
    /// The client's version.
    pub version: Version,
    /// The request's fields.
    pub fields: &'a HeaderMap,
    /// The status that is sent.
    pub status: StatusCode,
    /// How the cache answered: `hit`, or why the request went forward.
    pub cache: &'static str,
    /// More about the decision, if there is more to say.
    pub detail: Option<&'static str>,
    /// Milliseconds from the request to the head of the answer.
    pub head_ms: u64,
}

/// What is known when the body has left.
#[derive(Clone, Copy, Debug)]
pub struct Ending {
    /// Body bytes handed to the connection.
    pub sent: u64,
    /// Whether the whole body was.
    pub complete: bool,
    /// Why it broke off, if it did.
    pub broken: Option<&'static str>,
}

/// What most lines have room in.
const USUAL: usize = 320;

thread_local! {
    /// The room of the last line that this thread has written, for the next one.
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// A line without its end.
#[derive(Debug)]
pub struct Draft {
    log: AccessLog,
    started: Instant,
    text: Vec<u8>,
    /// Where in the text the late pieces belong, in their order.
    cuts: [u32; MOST_LATE],
}

impl Draft {
    pub(super) fn new(log: &AccessLog, head: &Head<'_>) -> Self {
        let layout = log.layout();
        let (mut text, mut cuts) = (SPARE.try_with(Cell::take).unwrap_or_default(), [0; MOST_LATE]);
        text.reserve(USUAL);
        let mut free = cuts.iter_mut();
        for piece in &layout.pieces {
            if !piece.field.is_late() {
                push(&mut text, piece, |line, field| head.push(line, layout.style, field));
            } else if let Some(cut) = free.next() {
                *cut = u32::try_from(text.len()).unwrap_or(u32::MAX);
            }
        }
        text.extend_from_slice(layout.end.as_bytes());
        Self { log: log.clone(), started: head.started, text, cuts }
    }

    /// Hands the whole line to the log.
    pub fn write(mut self, ending: &Ending) {
        let now = Instant::now();
        let took = now.saturating_duration_since(self.started);
        let size = self.text.len() + 64;
        self.log.write(size, now, |line| self.push_whole(line, self.log.layout(), ending, took));
        self.text.clear();
        if self.text.capacity() <= 2 * USUAL {
            // A thread that is ending has none any more.
            let _ = SPARE.try_with(|spare| spare.set(self.text));
        }
    }

    fn push_whole(&self, line: &mut Vec<u8>, layout: &Layout, ending: &Ending, took: Duration) {
        let mut from = 0;
        for (piece, cut) in layout.late.iter().zip(self.cuts) {
            line.extend_from_slice(self.text.get(from..cut as usize).unwrap_or_default());
            from = cut as usize;
            push(line, piece, |line, field| ending.push(line, field, took));
        }
        line.extend_from_slice(self.text.get(from..).unwrap_or_default());
    }

    #[cfg(test)]
    pub(super) fn whole(&self, ending: &Ending) -> Vec<u8> {
        let mut line = Vec::new();
        self.push_whole(&mut line, self.log.layout(), ending, self.started.elapsed());
        line
    }
}

/// Adds a piece; `value` adds a field's value and tells whether there is one.
fn push(line: &mut Vec<u8>, piece: &Piece, value: impl FnOnce(&mut Vec<u8>, Field) -> bool) {
    let begin = line.len();
    line.extend_from_slice(piece.before.as_bytes());
    match (value(line, piece.field), piece.optional) {
        (true, _) if piece.quoted => line.push(b'"'),
        (true, _) => {}
        (false, true) => line.truncate(begin),
        (false, false) => line.push(b'-'),
    }
}

impl Head<'_> {
    /// Adds a value; false if there is none.
    fn push(&self, line: &mut Vec<u8>, style: Style, field: Field) -> bool {
        match field {
            Field::Time => time::push(line, style, self.time),
            Field::Client => match self.peer {
                Some(address) => push_address(line, address),
                None => push_word(line, Peer::LOCAL),
            },
            Field::Site => return push_text(line, style, self.site),
            // A token, in which there is nothing to escape (RFC 9110 §5.6.2), but which may be of any length.
            Field::Method if self.method.as_str().len() <= LONGEST_TEXT => {
                push_word(line, self.method.as_str());
            }
            Field::Method => return push_text(line, style, Some(self.method.as_str())),
            Field::Scheme => return push_text(line, style, Some(self.scheme)),
            Field::Host => return push_text(line, style, self.host),
            Field::Target => return push_text(line, style, Some(self.target)),
            Field::Version => push_word(line, version(self.version)),
            Field::Status => line.extend_from_slice(self.status.as_str().as_bytes()),
            Field::Cache => push_word(line, self.cache),
            Field::Detail => return self.detail.map(|word| push_word(line, word)).is_some(),
            Field::HeadMs => push_number(line, self.head_ms),
            Field::UserAgent => return self.push_field(line, style, &USER_AGENT),
            Field::Referer => return self.push_field(line, style, &REFERER),
            Field::Bytes | Field::Complete | Field::Broken | Field::TotalMs => return false,
        }
        true
    }

    fn push_field(&self, line: &mut Vec<u8>, style: Style, name: &HeaderName) -> bool {
        push_text(line, style, self.fields.get(name).map(http::HeaderValue::as_bytes))
    }
}

impl Ending {
    /// Adds a value; false if there is none.
    fn push(&self, line: &mut Vec<u8>, field: Field, took: Duration) -> bool {
        match field {
            Field::Bytes => push_number(line, self.sent),
            Field::Complete => line.extend_from_slice(if self.complete { b"true" } else { b"false" }),
            Field::Broken => return self.broken.map(|word| push_word(line, word)).is_some(),
            Field::TotalMs => push_number(line, u64::try_from(took.as_millis()).unwrap_or(u64::MAX)),
            _ => return false,
        }
        true
    }
}

const fn version(version: Version) -> &'static str {
    match version {
        Version::HTTP_09 => "HTTP/0.9",
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2.0",
        Version::HTTP_3 => "HTTP/3.0",
        _ => "HTTP/1.1",
    }
}

/// What the client sent.
fn push_text<T: AsRef<[u8]>>(line: &mut Vec<u8>, style: Style, text: Option<T>) -> bool {
    let Some(text) = text else { return false };
    match style {
        Style::Json => push_json(line, text.as_ref()),
        Style::Combined => push_plain(line, text.as_ref(), false),
        Style::Fields => push_plain(line, text.as_ref(), true),
    }
    true
}

/// A word of the code, which has nothing to escape.
fn push_word(line: &mut Vec<u8>, word: &str) {
    line.extend_from_slice(word.as_bytes());
}

/// Addresses of version 4 without the detour of formatting: every line has one.
fn push_address(line: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(address) => {
            for (at, octet) in address.octets().into_iter().enumerate() {
                if at > 0 {
                    line.push(b'.');
                }
                push_number(line, octet.into());
            }
        }
        // Writing to a Vec cannot fail.
        IpAddr::V6(address) => drop(write!(line, "{address}")),
    }
}

/// The digits of a number, likewise.
fn push_number(line: &mut Vec<u8>, number: u64) {
    if number < 10 {
        return line.push(b'0' + u8::try_from(number).unwrap_or(0));
    }
    let (mut digits, mut rest) = ([0; 20], number);
    let mut begin = digits.len();
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + u8::try_from(rest % 10).unwrap_or(0);
        rest /= 10;
        begin -= 1;
        if rest == 0 {
            break;
        }
    }
    line.extend_from_slice(digits.get(begin..).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_addresses_are_as_others_write_them() {
        for number in [0, 9, 10, 1234, u64::MAX] {
            let mut line = Vec::new();
            push_number(&mut line, number);
            assert_eq!(line, number.to_string().as_bytes());
        }
        for text in ["127.0.0.1", "255.10.0.99", "::1", "2001:db8::ff"] {
            let mut line = Vec::new();
            push_address(&mut line, text.parse().expect("an address"));
            assert_eq!(line, text.as_bytes());
        }
    }
}
