//! Names of things: texts that must be of a certain make.

use http::HeaderName;

use super::super::reader::{Reader, Said};
use super::super::table::{Kind, Shown};
use super::shown;
use crate::semantics::compression::TypePattern;
use crate::semantics::fields::is_hop_by_hop;
use crate::semantics::{cdn_loop, client_cert};

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

/// What stands for the node in `CDN-Loop` (RFC 8586 §2).
pub fn cdn_id() -> Word {
    Word {
        kind: "CDN id",
        make: "a host name, with a port or without, or another token",
        example: "\"cdn.example.com\"",
        is_one: cdn_loop::is_id,
    }
}

/// The name of a pool. Whether there is one is looked at when all is read.
pub fn pool_name() -> Word {
    Word { kind: "pool name", make: "some letters", example: "\"main\"", is_one: |text| !text.is_empty() }
}

/// The name of a certificate. Whether there is one is looked at when all is read.
pub fn certificate_name() -> Word {
    Word {
        kind: "certificate name",
        make: "some letters",
        example: "\"main\"",
        is_one: |text| !text.is_empty(),
    }
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

/// A type of content, the start of one and a `*`, or a `*` and the end of one.
pub fn type_pattern() -> Word {
    Word {
        kind: "type of content",
        make: "a type, how types begin with a * behind it, or how they end with one before it",
        example: "\"text/*\"",
        is_one: |text| text.parse::<TypePattern>().is_ok(),
    }
}

/// The name of a cookie, or the start of one and a `*`.
pub fn cookie_pattern() -> Word {
    Word {
        kind: "cookie name",
        make: "letters, digits and !#$%&'+-.^_`|~, and a * only at its end",
        example: "\"_ga*\"",
        is_one: |text| {
            let name = text.strip_suffix('*').unwrap_or(text);
            text == "*" || (is_token(name) && !name.contains('*'))
        },
    }
}

/// The name of a request field that may be part of the key. Those that concern the connection or one client's part and
/// condition do not reach the origin; the others are in the key already, or have rules of their own.
pub fn key_field() -> Word {
    Word {
        kind: "name of such a field",
        make: "a field that reaches the origin, and has no rule of its own as Cookie and Range have",
        example: "\"X-Country\"",
        is_one: |text| {
            HeaderName::from_bytes(text.as_bytes()).is_ok_and(|name| {
                let is_ruled = RULED.contains(&name.as_str()) || client_cert::is_one(name.as_str());
                !is_hop_by_hop(&name) && !is_ruled
            })
        },
    }
}

/// Fields that never are part of a key.
const RULED: [&str; 16] = [
    "accept-encoding",
    "authorization",
    "cache-control",
    "cdn-loop",
    "content-length",
    "cookie",
    "early-data",
    "expect",
    "host",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "pragma",
    "range",
];

/// A path, in which a `*` stands for anything.
pub fn path_pattern() -> Word {
    Word {
        kind: "path",
        make: "it begins with / or *, without a query, and a * stands for anything",
        example: "\"/admin/*\"",
        is_one: |text| {
            text.starts_with(['/', '*'])
                && text.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#".contains(&byte))
        },
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
