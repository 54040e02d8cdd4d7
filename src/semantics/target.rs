//! The host that a request is for, in its one canonical form.
//!
//! [`canonical_host`] is **the** normaliser: what it returns is both hashed into the key and sent to the
//! origin, so that no two spellings can be one object here and two resources there, or the other way
//! round. Path and query are kept byte for byte in both, for the same reason.

use std::net::Ipv6Addr;

use http::uri::PathAndQuery;

/// The longest name, escapes counted as they are written.
const LONGEST: usize = 255;

/// Why a text names no host.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum HostError {
    /// There is no name before the port.
    #[error("the host is empty")]
    Empty,
    /// There is an `@`: a user's name before the host, which HTTP forbids (RFC 9110 §4.2.4).
    #[error("the host must not come with a user name before an @")]
    UserInfo,
    /// What stands in brackets is no IPv6 address, or something follows it that is no port.
    #[error("what is in brackets must be an IPv6 address, such as [2001:db8::1], and only a port may follow")]
    Literal,
    /// The name has a character that no name may have, or an incomplete `%` escape.
    #[error("the host has a character that may not stand in a name")]
    Character,
    /// Two dots in a row, or a dot at the start.
    #[error("the host has an empty label: two dots in a row, or one at the start")]
    Label,
    /// Longer than a name may be (RFC 1035 §2.3.4).
    #[error("the host is longer than {LONGEST} bytes")]
    Long,
    /// The port is no number from 1 to 65535.
    #[error("the port must be a number from 1 to 65535")]
    Port,
}

/// The canonical form of a host as it stands in `Host`, `:authority` or a URL (RFC 9110 §4.2.3, RFC 3986
/// §3.2.2, §6.2).
///
/// Letters become small; one trailing dot, an empty port and the default port of `scheme` (80 for `http`,
/// 443 for `https`) go; another port loses leading zeros; an IPv6 address takes its shortest form. Names
/// are made of RFC 3986's characters only. Canonical text stays as it is.
pub fn canonical_host(raw: &str, scheme: &str) -> Result<String, HostError> {
    if is_plain_name(raw) || is_plain_with_port(raw, scheme) {
        return Ok(raw.to_owned());
    }
    if raw.contains('@') {
        return Err(HostError::UserInfo);
    }
    let (mut host, port) = match raw.strip_prefix('[') {
        Some(literal) => canonical_literal(literal)?,
        None => canonical_name(raw)?,
    };
    if let Some(port) = kept_port(port, scheme)? {
        host.push(':');
        host.push_str(&port.to_string());
    }
    Ok(host)
}

/// Whether this is canonical as it stands, as almost every host is: small letters, digits and hyphens, in labels.
fn is_plain_name(raw: &str) -> bool {
    let mut before = b'.';
    let plain = raw.bytes().all(|byte| {
        let plain = match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'-' => true,
            // No label is empty.
            b'.' => before != b'.',
            _ => false,
        };
        before = byte;
        plain
    });
    plain && before != b'.' && raw.len() <= LONGEST
}

/// The same with a port that is kept, and written in one way only.
fn is_plain_with_port(raw: &str, scheme: &str) -> bool {
    raw.rsplit_once(':').is_some_and(|(name, port)| {
        is_plain_name(name) && !port.starts_with('0') && matches!(kept_port(port, scheme), Ok(Some(_)))
    })
}

/// Whether `reference` names the resource of this scheme, canonical host and target, without need to ask whether it
/// could be spelled otherwise: it is a URL, or begins with `//` or `/` (RFC 3986 §4.2). A fragment does not matter.
pub fn is_same(reference: &str, scheme: &str, host: &str, target: &str) -> bool {
    let reference = reference.split('#').next().unwrap_or(reference);
    let after_scheme = match reference.split_once("://") {
        Some((own, rest)) if !own.contains('/') => own.eq_ignore_ascii_case(scheme).then_some(rest),
        _ => reference.strip_prefix("//"),
    };
    let Some(rest) = after_scheme else { return reference == target };
    let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let same_target = match path.strip_prefix('?') {
        Some(_) => target.strip_prefix('/') == Some(path),
        None if path.is_empty() => target == "/",
        None => path == target,
    };
    same_target && canonical_host(authority, scheme).is_ok_and(|own| own == host)
}

/// `address]:port`, the opening bracket being gone: the address in brackets, and the text of the port.
fn canonical_literal(literal: &str) -> Result<(String, &str), HostError> {
    let (address, after) = literal.split_once(']').ok_or(HostError::Literal)?;
    let address: Ipv6Addr = address.parse().map_err(|_| HostError::Literal)?;
    let port = if after.is_empty() { after } else { after.strip_prefix(':').ok_or(HostError::Literal)? };
    Ok((format!("[{address}]"), port))
}

/// `name:port`: the name in small letters, and the text of the port.
fn canonical_name(raw: &str) -> Result<(String, &str), HostError> {
    let (name, port) = raw.split_once(':').unwrap_or((raw, ""));
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.is_empty() {
        return Err(HostError::Empty);
    }
    if name.len() > LONGEST {
        return Err(HostError::Long);
    }
    if !is_reg_name(name) {
        return Err(HostError::Character);
    }
    if name.split('.').any(str::is_empty) {
        return Err(HostError::Label);
    }
    Ok((name.to_ascii_lowercase(), port))
}

/// The port, unless it is left out or goes without saying.
fn kept_port(text: &str, scheme: &str) -> Result<Option<u16>, HostError> {
    if text.is_empty() {
        return Ok(None);
    }
    // The standard library would take a sign.
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(HostError::Port);
    }
    match text.parse() {
        Err(_) | Ok(0) => Err(HostError::Port),
        Ok(80) if scheme.eq_ignore_ascii_case("http") => Ok(None),
        Ok(443) if scheme.eq_ignore_ascii_case("https") => Ok(None),
        Ok(port) => Ok(Some(port)),
    }
}

/// Whether this is a `reg-name` (RFC 3986 §3.2.2).
fn is_reg_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let allowed = match byte {
            b'%' => {
                bytes.next().is_some_and(|hex| hex.is_ascii_hexdigit())
                    && bytes.next().is_some_and(|hex| hex.is_ascii_hexdigit())
            }
            _ => byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=".contains(&byte),
        };
        if !allowed {
            return false;
        }
    }
    true
}

/// A canonical host without its port.
pub fn without_port(host: &str) -> &str {
    if host.ends_with(']') {
        return host;
    }
    // Written out, because hosts are short: a search by pattern takes longer to begin with.
    let colon = host.bytes().rposition(|byte| byte == b':');
    colon.and_then(|colon| host.get(..colon)).unwrap_or(host)
}

/// The URL of a canonical host's `target` by TLS, on this port.
pub fn secure_url(host: &str, port: u16, target: &PathAndQuery) -> String {
    let name = without_port(host);
    if port == 443 { format!("https://{name}{target}") } else { format!("https://{name}:{port}{target}") }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn http(raw: &str) -> Result<String, HostError> {
        canonical_host(raw, "http")
    }

    #[test]
    fn a_url_by_tls_has_the_port_of_tls() {
        let target = PathAndQuery::from_static("/a?b");
        for (host, port, url) in [
            ("a.example", 443, "https://a.example/a?b"),
            ("a.example:8080", 443, "https://a.example/a?b"),
            ("a.example:8080", 8443, "https://a.example:8443/a?b"),
            ("[2001:db8::1]:8080", 443, "https://[2001:db8::1]/a?b"),
            ("[2001:db8::1]", 8443, "https://[2001:db8::1]:8443/a?b"),
        ] {
            assert_eq!(secure_url(host, port, &target), url);
        }
    }

    #[test]
    fn spellings_of_one_host_become_one() {
        for raw in ["example.com", "EXAMPLE.com", "example.com.", "example.com:80", "example.com.:0080"] {
            assert_eq!(http(raw).as_deref(), Ok("example.com"), "{raw}");
        }
        assert_eq!(http("example.com:").as_deref(), Ok("example.com"));
        assert_eq!(canonical_host("example.com:443", "https").as_deref(), Ok("example.com"));
        assert_eq!(canonical_host("example.com:080", "https").as_deref(), Ok("example.com:80"));
    }

    #[test]
    fn a_reference_is_the_same_resource_or_is_not() {
        let same = |reference| is_same(reference, "http", "a.example", "/x?y");
        for reference in
            ["/x?y", "http://a.example/x?y", "HTTP://A.example:80/x?y", "//a.example/x?y#z", "/x?y#z"]
        {
            assert!(same(reference), "{reference}");
        }
        for reference in [
            "",
            "x?y",
            "/x",
            "/x?y&",
            "https://a.example/x?y",
            "http://b.example/x?y",
            "//x?y",
            "/?u=http://a.example/x?y",
        ] {
            assert!(!same(reference), "{reference}");
        }
        assert!(is_same("http://a.example", "http", "a.example", "/"));
        assert!(is_same("http://a.example?y", "http", "a.example", "/?y"));
    }

    #[test]
    fn addresses_take_their_shortest_form() {
        assert_eq!(http("[2001:DB8:0:0::1]:080").as_deref(), Ok("[2001:db8::1]"));
        assert_eq!(http("[::1]:8080").as_deref(), Ok("[::1]:8080"));
        assert_eq!(http("127.0.0.1:8080").as_deref(), Ok("127.0.0.1:8080"));
        for wrong in ["[::1", "[::1]x", "[::1].", "[fe80::1%25eth0]", "[v1.a]", "[127.0.0.1]", "[]"] {
            assert_eq!(http(wrong), Err(HostError::Literal), "{wrong}");
        }
    }

    #[test]
    fn what_is_no_host_says_why() {
        assert_eq!(http(""), Err(HostError::Empty));
        assert_eq!(http("."), Err(HostError::Empty));
        assert_eq!(http(":80"), Err(HostError::Empty));
        assert_eq!(http("me@example.com"), Err(HostError::UserInfo));
        assert_eq!(http("example..com"), Err(HostError::Label));
        assert!(http(&"a.".repeat(127)).is_ok());
        assert_eq!(http(&"a.".repeat(129)), Err(HostError::Long));
        assert_eq!(http("example.com.."), Err(HostError::Label));
        for wrong in ["a b", "a/b", "a?b", "a#b", "a\\b", "bücher.example", "a%2", "a%zz", "a\0b", "a]"] {
            assert_eq!(http(wrong), Err(HostError::Character), "{wrong}");
        }
        for wrong in ["a:x", "a:+80", "a:-1", "a:65536", "a:0", "a:80:80", "::1", "a: 80"] {
            assert!(matches!(http(wrong), Err(HostError::Port | HostError::Empty)), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn the_canonical_form_is_its_own(
            raw in r"([A-Za-z0-9%._~!-]{1,12}|\[[0-9a-fA-F:]{2,12}\])\.?(:[0-9]{0,6})?", tls: bool,
        ) {
            let scheme = if tls { "https" } else { "http" };
            if let Ok(host) = canonical_host(&raw, scheme) {
                prop_assert_eq!(canonical_host(&host, scheme), Ok(host));
            }
        }

        #[test]
        fn a_plain_name_is_what_the_long_way_makes_of_it(raw in r"[a-z0-9.-]{0,8}|[a-zA-Z0-9.:@%-]{0,8}") {
            if is_plain_name(&raw) {
                prop_assert_eq!(canonical_name(&raw), Ok((raw.clone(), "")));
            }
        }

        #[test]
        fn no_text_panics(raw: String) {
            let _ = http(&raw);
        }
    }
}
