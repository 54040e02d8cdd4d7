//! Fields by which a client could tell an origin about itself, or have it answer for another resource than the key
//! says. None of them is believed: they are taken off, and those that have a use are made anew.

use http::HeaderName;

/// Beside these, everything that begins with `x-forwarded`.
const NAMES: [&str; 19] = [
    "client-ip",
    "forwarded",
    "forwarded-for",
    "front-end-https",
    "http2-settings",
    // CGI programs see it as HTTP_PROXY, and then talk through it.
    "proxy",
    "true-client-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-host",
    "x-http-host-override",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-original-host",
    "x-original-url",
    "x-real-ip",
    "x-rewrite-url",
    "x-url-scheme",
];

/// Whether a client's field of this name is not believed. `_` counts as `-`, because programs behind CGI, WSGI or
/// PHP cannot tell them apart.
pub(super) fn is_unbelieved(name: &HeaderName) -> bool {
    let name = name.as_str();
    // Most names are none of these, and few begin like them.
    if !matches!(name.as_bytes().first(), Some(b'c' | b'f' | b'h' | b'p' | b't' | b'x')) {
        return false;
    }
    let same = |other: &str| name.len() == other.len() && begins_like(name, other);
    begins_like(name, "x-forwarded") || begins_like(name, "x-scheme") || NAMES.iter().any(|other| same(other))
}

fn begins_like(name: &str, beginning: &str) -> bool {
    let as_hyphen = |byte: u8| if byte == b'_' { b'-' } else { byte };
    name.len() >= beginning.len()
        && name.bytes().zip(beginning.bytes()).all(|(byte, expected)| as_hyphen(byte) == expected)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_is_known() {
        for name in
            ["x-forwarded-for", "x_forwarded_for", "x-forwarded-ssl", "x-real_ip", "proxy", "x-scheme"]
        {
            assert!(is_unbelieved(&HeaderName::from_static(name)), "{name}");
        }
        for name in ["accept", "cookie", "proxy-status", "x-note", "from", "host", "x-client"] {
            assert!(!is_unbelieved(&HeaderName::from_static(name)), "{name}");
        }
    }
}
