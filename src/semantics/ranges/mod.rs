//! Ranges of bytes (RFC 9110 §14): what a request asks for, and what of it there is.
//!
//! Whatever is malformed is no range at all: the answer is then the whole, which costs bytes and is never wrong.

mod content_range;
mod if_range;
mod resolve;

use std::fmt;

use http::header::RANGE;
use http::{HeaderMap, HeaderValue};

pub use content_range::ContentRange;
pub use if_range::{if_range_holds, is_by_date};
pub use resolve::Resolved;

/// The only unit that there is (RFC 9110 §14.1.2).
const BYTES: &[u8] = b"bytes";

/// A run of bytes of a representation, both ends included; never empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Part {
    /// Offset of its first byte.
    pub first: u64,
    /// Offset of its last byte; no less than `first`, and less than `u64::MAX`.
    pub last: u64,
}

impl Part {
    /// How many bytes it has.
    pub fn length(self) -> u64 {
        self.last - self.first + 1
    }

    /// The offset behind its last byte.
    pub fn end(self) -> u64 {
        self.last + 1
    }

    /// The same with its end left out.
    pub fn range(self) -> std::ops::Range<u64> {
        self.first..self.end()
    }

    /// The `Range` of a request for this part alone.
    pub fn asked(self) -> HeaderValue {
        value(&format!("bytes={}-{}", self.first, self.last))
    }
}

/// One member of a `Range` (RFC 9110 §14.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spec {
    /// `first-`: all from there on.
    From(u64),
    /// `first-last`; `last` is no less than `first`.
    Between(u64, u64),
    /// `-length`: that many of the last bytes.
    Suffix(u64),
}

/// The `Range` of a request: one member at least, in the order asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RangeSpecs(Vec<Spec>);

/// What a request asks for in `Range` (RFC 9110 §14.2). `None` if it has none that can be used: another unit, more than
/// one line, numbers beyond 64 bits, or anything malformed, of which the field is to be ignored.
pub fn asked(request: &HeaderMap) -> Option<RangeSpecs> {
    RangeSpecs::parse(only_line(request, &RANGE)?)
}

impl RangeSpecs {
    /// Reads `bytes=` and a list of members, with blanks around the commas and empty members as in any list
    /// (RFC 9110 §5.6.1.2). `None` if any member is malformed.
    pub fn parse(line: &[u8]) -> Option<Self> {
        let (unit, list) = line.split_at_checked(BYTES.len())?;
        let list = list.strip_prefix(b"=").filter(|_| unit.eq_ignore_ascii_case(BYTES))?;
        let members = list.split(|byte| *byte == b',').map(trimmed).filter(|member| !member.is_empty());
        let specs: Vec<Spec> = members.map(Spec::parse).collect::<Option<_>>()?;
        (!specs.is_empty()).then_some(Self(specs))
    }

    /// The members, in the order asked.
    pub fn specs(&self) -> &[Spec] {
        &self.0
    }
}

impl Spec {
    fn parse(member: &[u8]) -> Option<Self> {
        let dash = member.iter().position(|byte| *byte == b'-')?;
        let (first, last) = (member.get(..dash)?, member.get(dash + 1..)?);
        match (first, last) {
            ([], length) => number(length).map(Self::Suffix),
            (first, []) => number(first).map(Self::From),
            (first, last) => {
                let (first, last) = (number(first)?, number(last)?);
                (first <= last).then_some(Self::Between(first, last))
            }
        }
    }
}

impl fmt::Display for RangeSpecs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bytes=")?;
        for (index, spec) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            match spec {
                Spec::From(first) => write!(f, "{comma}{first}-")?,
                Spec::Between(first, last) => write!(f, "{comma}{first}-{last}")?,
                Spec::Suffix(length) => write!(f, "{comma}-{length}")?,
            }
        }
        Ok(())
    }
}

/// The value of a field that stands once.
fn only_line<'a>(headers: &'a HeaderMap, name: &http::HeaderName) -> Option<&'a [u8]> {
    let mut lines = headers.get_all(name).into_iter();
    let first = lines.next()?;
    if lines.next().is_some() { None } else { Some(first.as_bytes()) }
}

/// Digits and nothing else; `None` beyond 64 bits.
fn number(digits: &[u8]) -> Option<u64> {
    let plain = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(digits).ok().filter(|_| plain)?.parse().ok()
}

/// Without the blanks that may stand around a comma.
fn trimmed(mut member: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = member {
        member = rest;
    }
    member
}

/// Text of ours as the value of a field: digits, letters and signs only, which every field may hold.
fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static("bytes"))
}

#[cfg(test)]
mod tests;
