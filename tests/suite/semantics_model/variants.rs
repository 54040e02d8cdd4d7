//! `Vary`, validators and 304s (RFC 9110 §8.8, §12.5.5, §13.1; RFC 9111 §3.2, §4.1, §4.3).

use std::collections::BTreeMap;

use super::dates;
use super::text::{Message, field_name, members, places};

/// The names in `Vary`, sorted, each once; `None` if nothing else may use the response. `Accept-Encoding` is not among
/// them: no client's ever reaches the origin.
pub fn names(response: &Message) -> Option<Vec<String>> {
    let mut names = Vec::new();
    for member in members(response, "vary") {
        if member == "*" {
            return None;
        }
        names.push(field_name(&member)?);
    }
    names.retain(|name| name != "accept-encoding");
    names.sort();
    names.dedup();
    Some(names)
}

/// Whether two requests have the same values for all of these (RFC 9111 §4.1).
pub fn same(names: &[String], one: &Message, other: &Message) -> bool {
    names.iter().all(|name| one.has(name) == other.has(name) && places(one, name) == places(other, name))
}

/// The first `ETag`, if it is one: whether it is weak, and its text with the quotes.
pub fn etag(message: &Message) -> Option<(bool, String)> {
    let line = message.first("etag")?;
    let (tag, rest) = leading_tag(line)?;
    rest.is_empty().then_some(tag)
}

/// The entity tag at the start of a text, and what follows it (RFC 9110 §8.8.3).
fn leading_tag(text: &str) -> Option<((bool, String), &str)> {
    let weak = text.starts_with("W/");
    let quoted = if weak { &text[2..] } else { text };
    let inside = quoted.strip_prefix('"')?;
    let end = inside.find('"')?;
    let legal = inside[..end].chars().all(|c| c == '!' || ('#'..='~').contains(&c) || c >= '\u{80}');
    legal.then(|| ((weak, inside[..end].to_owned()), &inside[end + 1..]))
}

/// The tags in one line of `If-None-Match`; what is none is left out.
fn tags(line: &str) -> Vec<(bool, String)> {
    let blank = [' ', '\t'];
    let rest = line.trim_start_matches([' ', '\t', ',']);
    if rest.is_empty() {
        return Vec::new();
    }
    if let Some((tag, after)) = leading_tag(rest) {
        let after = after.trim_start_matches(blank);
        if after.is_empty() || after.starts_with(',') {
            let mut found = vec![tag];
            found.extend(tags(after));
            return found;
        }
        return after.find(',').map_or(Vec::new(), |comma| tags(&after[comma..]));
    }
    rest.find(',').map_or(Vec::new(), |comma| tags(&rest[comma..]))
}

/// Whether the client has the stored 200 already (RFC 9110 §13.2.2, RFC 9111 §4.3.2).
pub fn client_knows(request: &Message, stored: &Message) -> bool {
    let conditions = request.lines("if-none-match");
    if !conditions.is_empty() {
        let known = etag(stored).map(|(_, tag)| tag);
        return conditions.iter().any(|line| {
            line.trim_matches([' ', '\t']) == "*" || tags(line).into_iter().any(|(_, tag)| Some(tag) == known)
        });
    }
    let [since] = request.lines("if-modified-since")[..] else { return false };
    let by = if stored.has("last-modified") { "last-modified" } else { "date" };
    match (dates::seconds(since), stored.first(by).and_then(dates::seconds)) {
        (Some(since), Some(modified)) => modified <= since,
        _ => false,
    }
}

/// Whether a 304 speaks of the stored response (RFC 9111 §4.3.4).
pub fn confirms(not_modified: &Message, stored: &Message) -> bool {
    if not_modified.has("etag") {
        return match (etag(not_modified), etag(stored)) {
            (Some((true, new)), Some((_, old))) => new == old,
            (Some((false, new)), Some((weak, old))) => !weak && new == old,
            (None, None) => not_modified.first("etag") == stored.first("etag"),
            _ => false,
        };
    }
    match not_modified.first("last-modified") {
        None => true,
        new => new == stored.first("last-modified"),
    }
}

pub type Fields = BTreeMap<String, Vec<String>>;

pub fn fields(message: &Message) -> Fields {
    let mut fields = Fields::new();
    for (name, value) in &message.0 {
        fields.entry(name.clone()).or_default().push(value.clone());
    }
    fields
}

/// The stored fields after a 304 (RFC 9111 §3.2).
pub fn updated(stored: &Message, not_modified: &Message) -> Fields {
    let mut fields = fields(stored);
    fields.remove("age");
    let hop_by_hop = [
        "connection",
        "keep-alive",
        "proxy-connection",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-authentication-info",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ];
    let of_the_bytes =
        ["content-encoding", "content-length", "content-range", "content-digest", "content-md5"];
    // The digest of the whole representation says something of the stored bytes only if they are those (RFC 9530 §3).
    let other_bytes = match (etag(stored), etag(not_modified)) {
        (Some((false, old)), Some((false, new))) => old != new,
        _ => true,
    };
    let named: Vec<String> =
        members(not_modified, "connection").iter().filter_map(|name| field_name(name)).collect();
    for (name, values) in self::fields(not_modified) {
        let stays = hop_by_hop.contains(&name.as_str())
            || of_the_bytes.contains(&name.as_str())
            || (named.contains(&name) && name != "cache-control" && name != "cdn-loop")
            || (name == "repr-digest" && other_bytes)
            || (name == "set-cookie" && !stored.has("set-cookie"));
        if !stays {
            fields.insert(name, values);
        }
    }
    fields
}
