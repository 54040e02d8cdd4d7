//! Which part of what a message holds (RFC 9110 §14.4).

use http::header::CONTENT_RANGE;
use http::{HeaderMap, HeaderValue};

use super::{BYTES, Part, number, only_line, value};

/// What `Content-Range` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContentRange {
    /// `bytes first-last/complete`: the content is this part of a representation of `complete` bytes, or of nobody knows
    /// how many (`*`). `complete` is beyond the part's last byte.
    Part(Part, Option<u64>),
    /// `bytes */complete`: nothing that was asked for is within these many bytes.
    Unsatisfied(u64),
}

impl ContentRange {
    /// The `Content-Range` of a message; `None` if it has none that is well formed and valid, or more than one.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        Self::parse(only_line(headers, &CONTENT_RANGE)?)
    }

    /// Reads the value of the field strictly. `None` for other units, for a part whose last byte comes before its first,
    /// and for a complete length that the part exceeds (RFC 9110 §14.4).
    pub fn parse(line: &[u8]) -> Option<Self> {
        let (unit, rest) = line.split_at_checked(BYTES.len())?;
        let rest = rest.strip_prefix(b" ").filter(|_| unit.eq_ignore_ascii_case(BYTES))?;
        let slash = rest.iter().position(|byte| *byte == b'/')?;
        let (range, complete) = (rest.get(..slash)?, rest.get(slash + 1..)?);
        if range == b"*" {
            return number(complete).map(Self::Unsatisfied);
        }
        let dash = range.iter().position(|byte| *byte == b'-')?;
        let part = Part { first: number(range.get(..dash)?)?, last: number(range.get(dash + 1..)?)? };
        let complete = if complete == b"*" { None } else { Some(number(complete)?) };
        // Nothing has so many bytes that one of them is at the last of 64 bits.
        let beyond = complete.unwrap_or(u64::MAX);
        (part.first <= part.last && part.last < beyond).then_some(Self::Part(part, complete))
    }

    /// The value of the field.
    pub fn field(self) -> HeaderValue {
        value(&match self {
            Self::Part(Part { first, last }, Some(complete)) => format!("bytes {first}-{last}/{complete}"),
            Self::Part(Part { first, last }, None) => format!("bytes {first}-{last}/*"),
            Self::Unsatisfied(complete) => format!("bytes */{complete}"),
        })
    }
}
