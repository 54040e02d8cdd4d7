//! Names of things: texts that must be of a certain make.

use super::super::reader::{Reader, Said};
use super::super::table::{Kind, Shown};
use super::shown;

/// A text of a certain make.
pub struct Word {
    kind: &'static str,
    /// What it is made of.
    make: &'static str,
    example: &'static str,
    is_one: fn(&str) -> bool,
}

/// How the node names itself: a token, so that it needs no quotes in `Via`, `Cache-Status` and `Proxy-Status`.
pub fn node_name() -> Word {
    Word {
        kind: "name",
        make: "a letter first, then letters, digits, -, . and _, up to 64",
        example: "\"edge-1\"",
        is_one: |text| {
            text.len() <= 64
                && text.starts_with(|c: char| c.is_ascii_alphabetic())
                && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
        },
    }
}

/// The name of a pool. Whether there is one is looked at when all is read.
pub fn pool_name() -> Word {
    Word { kind: "pool name", make: "some letters", example: "\"main\"", is_one: |text| !text.is_empty() }
}

/// The name of a cookie (RFC 6265 §4.1.1: a token).
pub fn cookie_name() -> Word {
    Word {
        kind: "cookie name",
        make: "letters, digits and !#$%&'*+-.^_`|~",
        example: "\"session\"",
        is_one: is_token,
    }
}

/// The name of a field (RFC 9110 §5.1: a token).
pub fn field_name() -> Word {
    Word {
        kind: "field name",
        make: "letters, digits and !#$%&'*+-.^_`|~",
        example: "\"x-name\"",
        is_one: is_token,
    }
}

/// The name of a query parameter, or the start of one and a `*`.
pub fn query_pattern() -> Word {
    Word {
        kind: "query parameter",
        make: "as it stands in the URL, and a * only at its end",
        example: "\"utm_*\"",
        is_one: |text| {
            let name = text.strip_suffix('*').unwrap_or(text);
            !text.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic() && !b"*&=#?".contains(&byte))
        },
    }
}

/// Whether this is a token (RFC 9110 §5.6.2).
fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

impl Kind for Word {
    type Value = String;

    fn name(&self) -> String {
        self.kind.into()
    }

    fn read(&self, said: &Said<'_>, reader: &mut Reader) -> Option<String> {
        let text = reader.text(said, &format!("a {}", self.kind), self.example)?;
        if !(self.is_one)(text) {
            let message = format!("{} is a {}, not {text:?}", reader.key(), self.kind);
            reader.complain(&said.span(), message, Some(format!("{}: such as {}", self.make, self.example)));
            return None;
        }
        Some(text.to_owned())
    }

    fn show(&self, value: &String) -> Shown {
        shown(value)
    }
}
