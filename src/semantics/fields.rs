//! What all fields have in common: lists, dates, and which of them end at the next hop.

use http::header::{CACHE_CONTROL, CONNECTION, CONTENT_LENGTH};
use http::{HeaderMap, HeaderName};

use super::cdn_loop::CDN_LOOP;
use super::date::parse_date;
use crate::base::clock::Timestamp;

/// Says that a request was sent before the end of a handshake, and may be a replay (RFC 8470 §5.1). Whatever its value, and
/// however often it stands there, it means the same.
pub const EARLY_DATA: HeaderName = HeaderName::from_static("early-data");

/// The members of a comma-separated list, over all lines of the field (RFC 9110 §5.6.1).
///
/// Whitespace around a member is gone, empty members are left out, and a comma within a quoted string does
/// not separate. Where a quoted string never ends, its quote and all later ones of that line are taken for
/// ordinary characters, so that a stray quote cannot hide a `private` behind it.
pub fn list_members<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> impl Iterator<Item = &'a [u8]> + use<'a> {
    all_members(headers, name).filter(|member| !member.is_empty())
}

/// The same of one line.
pub(super) fn line_members(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    Members { rest: Some(line), quoting: true }.filter(|member| !member.is_empty())
}

/// Like [`list_members`], but with the empty members: for fields that may not be lists at all.
pub(super) fn all_members<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> impl Iterator<Item = &'a [u8]> + use<'a> {
    headers.get_all(name).into_iter().flat_map(|line| Members { rest: Some(line.as_bytes()), quoting: true })
}

/// Whether `Connection` lists `token`, in any case of letters (RFC 9110 §7.6.1).
pub fn connection_names(headers: &HeaderMap, token: &str) -> bool {
    list_members(headers, &CONNECTION).any(|member| member.eq_ignore_ascii_case(token.as_bytes()))
}

/// Whether a field concerns one connection only, even if `Connection` does not name it (RFC 9110 §7.6.1).
pub fn is_hop_by_hop(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection"
            | "keep-alive"
            | "proxy-connection"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "proxy-authentication-info"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
    )
}

/// Whether `Connection` says nothing but that it stays open, in each of its lines: no other field goes with it.
pub fn only_keeps_alive(headers: &HeaderMap) -> bool {
    headers.get_all(CONNECTION).into_iter().all(|line| line.as_bytes().eq_ignore_ascii_case(b"keep-alive"))
}

/// Removes what must not travel beyond this hop: `Connection`, all that it names, and the fields that are
/// always hop-by-hop (RFC 9110 §7.6.1).
///
/// `Connection` may name any field but `Cache-Control`, which the RFC says is never a connection option:
/// no peer can take off a `private` that way. Nor may it name `CDN-Loop` or `Early-Data`, which nobody may
/// take off at all (RFC 8586 §2, RFC 8470 §5.1). Fields that the proxy sets itself are set after this call.
pub fn strip_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = list_members(headers, &CONNECTION)
        .filter_map(|member| HeaderName::from_bytes(member).ok())
        .filter(|name| ![CACHE_CONTROL, CDN_LOOP, EARLY_DATA].contains(name))
        .collect();
    for name in &named {
        headers.remove(name);
    }
    strip(headers, is_hop_by_hop);
}

/// Removes the fields whose name `goes`. One look at the names there are, of which mostly none goes, costs less than
/// looking for each that might.
pub fn strip(headers: &mut HeaderMap, goes: impl Fn(&HeaderName) -> bool) {
    let names: Vec<HeaderName> = headers.keys().filter(|name| goes(name)).cloned().collect();
    for name in names {
        headers.remove(name);
    }
}

/// Whether a name begins so, in whatever spelling: programs behind CGI, WSGI or PHP cannot tell apart what is no letter and
/// no digit, which counts as `-` here. `beginning` is in small letters.
pub fn begins_like(name: &str, beginning: &str) -> bool {
    let as_hyphen = |byte: u8| if byte.is_ascii_alphanumeric() { byte.to_ascii_lowercase() } else { b'-' };
    name.len() >= beginning.len()
        && name.bytes().zip(beginning.bytes()).all(|(byte, expected)| as_hyphen(byte) == expected)
}

/// The length of the content that the head promises (RFC 9110 §8.6).
pub fn announced_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// The date in the first line of a field that holds one, if it is a date.
pub(super) fn date_of(headers: &HeaderMap, name: &HeaderName) -> Option<Timestamp> {
    headers.get(name).and_then(parse_date)
}

/// Splits one field line at its commas.
struct Members<'a> {
    /// What is still to be split; `None` after the last member.
    rest: Option<&'a [u8]>,
    /// Whether a quote may still begin a quoted string.
    quoting: bool,
}

impl<'a> Iterator for Members<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.rest?;
        let (member, after) = rest.split_at_checked(self.comma_in(rest)).unwrap_or((rest, &[]));
        self.rest = after.get(1..);
        Some(member.trim_ascii())
    }
}

impl Members<'_> {
    /// Where the next separating comma stands, or the end of `text`.
    fn comma_in(&mut self, text: &[u8]) -> usize {
        let mut at = 0;
        while let Some(byte) = text.get(at) {
            match byte {
                b',' => return at,
                b'"' if self.quoting => match closing_quote(text, at + 1) {
                    Some(close) => at = close + 1,
                    // Not looked for again: trying each of many such quotes would take quadratic time.
                    None => self.quoting = false,
                },
                _ => at += 1,
            }
        }
        text.len()
    }
}

/// Where the quoted string whose text begins at `from` is closed, if it is.
fn closing_quote(text: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        match text.get(at)? {
            b'"' => return Some(at),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

#[cfg(test)]
mod tests;
