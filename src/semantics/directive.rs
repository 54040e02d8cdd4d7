//! The members of `Cache-Control`, as both sides write them (RFC 9111 §5.2).

use std::borrow::Cow;

use http::{HeaderMap, HeaderName};

use super::delta::Delta;
use super::fields::list_members;

/// One directive: `name` or `name=argument`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Directive<'a> {
    name: &'a [u8],
    /// What follows the `=`, with its quotes.
    pub(super) argument: Option<&'a [u8]>,
}

impl<'a> Directive<'a> {
    /// The directives of all lines of a field of this name.
    pub(super) fn all_of(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = Self> + use<'a> {
        list_members(headers, name).map(Self::split)
    }

    fn split(member: &'a [u8]) -> Self {
        let mut parts = member.splitn(2, |byte| *byte == b'=');
        Self { name: parts.next().unwrap_or_default(), argument: parts.next() }
    }

    /// Whether this is the directive `name`, in any case of letters. A space before the `=` does not hide a
    /// `private`; the number of a directive written so is malformed (see [`Directive::delta`]).
    pub(super) fn is(&self, name: &str) -> bool {
        self.name.trim_ascii_end().eq_ignore_ascii_case(name.as_bytes())
    }

    /// The argument as a number, plain or quoted; `None` if it is none.
    pub(super) fn delta(&self) -> Option<Delta> {
        if self.name.ends_with(b" ") || self.name.ends_with(b"\t") {
            return None;
        }
        self.argument.and_then(|text| Delta::parse(&unquoted(text)))
    }
}

/// What the quoted string `"text"` says, its escapes undone (RFC 9110 §5.6.4); any other text as it is.
pub(super) fn unquoted(text: &[u8]) -> Cow<'_, [u8]> {
    let inside = text.strip_prefix(b"\"").and_then(|text| text.strip_suffix(b"\""));
    match inside {
        None => Cow::Borrowed(text),
        Some(inside) if !inside.contains(&b'\\') => Cow::Borrowed(inside),
        Some(inside) => Cow::Owned(unescaped(inside)),
    }
}

fn unescaped(inside: &[u8]) -> Vec<u8> {
    let mut bytes = inside.iter();
    // A backslash at the end escapes nothing: there it stays, and makes a number or a name malformed.
    std::iter::from_fn(|| match bytes.next() {
        Some(b'\\') => Some(*bytes.next().unwrap_or(&b'\\')),
        other => other.copied(),
    })
    .collect()
}

/// Of two numbers for one directive the smaller.
pub(super) fn smaller(before: Option<Delta>, delta: Delta) -> Delta {
    before.map_or(delta, |before| before.min(delta))
}
