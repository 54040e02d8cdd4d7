//! Conditional requests, both ways: answering a client's, and asking the origin with ours
//! (RFC 9110 §13, RFC 9111 §4.3).

use http::header::{
    AGE, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_LOCATION, CONTENT_RANGE, DATE, ETAG,
    EXPIRES, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_UNMODIFIED_SINCE, LAST_MODIFIED, MaxSizeReached,
    SET_COOKIE, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::date::parse_date;
use super::etag::{ETag, tag_list};
use super::fields::{date_of, strip, strip_hop_by_hop};
use crate::base::clock::Timestamp;

/// What a 304 carries of the response it stands for (RFC 9110 §15.4.5).
static KEPT_BY_NOT_MODIFIED: [HeaderName; 7] =
    [CACHE_CONTROL, CONTENT_LOCATION, DATE, ETAG, EXPIRES, LAST_MODIFIED, VARY];

/// What describes the stored bytes themselves and so stays as it was (RFC 9111 §3.2). The `Content-Digest` of a 304 is
/// that of its own content, which is none (RFC 9530 §2).
static KEPT_BY_UPDATE: [HeaderName; 5] = [
    CONTENT_ENCODING,
    CONTENT_LENGTH,
    CONTENT_RANGE,
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("content-md5"),
];

/// The digest of the selected representation (RFC 9530 §3).
static REPR_DIGEST: HeaderName = HeaderName::from_static("repr-digest");

/// What a client's condition asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precondition {
    /// Answer as if there were no condition.
    Proceed,
    /// Answer 304: the client has this representation already.
    NotModified,
}

/// Evaluates a GET's or HEAD's `If-None-Match`, or else its `If-Modified-Since`, against a stored 200
/// (RFC 9110 §13.2.2, RFC 9111 §4.3.2). Not to be asked for other statuses: they have no conditions.
///
/// What is malformed does not match, which costs a body but is never wrong.
pub fn evaluate(request: &HeaderMap, stored: &HeaderMap) -> Precondition {
    let known = if request.contains_key(IF_NONE_MATCH) {
        knows_tag(request, stored)
    } else {
        knows_date(request, stored)
    };
    if known { Precondition::NotModified } else { Precondition::Proceed }
}

/// Whether `If-None-Match` is `*` or lists the stored tag, weakly compared (RFC 9110 §13.1.2).
fn knows_tag(request: &HeaderMap, stored: &HeaderMap) -> bool {
    let stored = ETag::of(stored);
    request.get_all(IF_NONE_MATCH).into_iter().map(HeaderValue::as_bytes).any(|line| {
        line.trim_ascii() == b"*"
            || stored.is_some_and(|stored| tag_list(line).any(|tag| tag.matches_weakly(stored)))
    })
}

/// Whether the stored response was last modified no later than `If-Modified-Since` (RFC 9110 §13.1.3); made no later, if
/// it has no `Last-Modified` (RFC 9111 §4.3.2).
fn knows_date(request: &HeaderMap, stored: &HeaderMap) -> bool {
    let Some(since) = only_date(request, &IF_MODIFIED_SINCE) else { return false };
    let by = if stored.contains_key(LAST_MODIFIED) { LAST_MODIFIED } else { DATE };
    let modified = date_of(stored, &by);
    modified.is_some_and(|modified| modified <= since)
}

/// The date of a field that stands once: repeated, it is not valid (RFC 9110 §13.1.3).
fn only_date(headers: &HeaderMap, name: &HeaderName) -> Option<Timestamp> {
    let mut lines = headers.get_all(name).into_iter();
    let first = lines.next()?;
    if lines.next().is_some() { None } else { parse_date(first) }
}

/// Removes every condition, `If-Range` included, as from a fetch whose whole answer is wanted.
pub fn strip_conditionals(request: &mut HeaderMap) {
    strip(request, is_conditional);
}

/// Whether a field of this name is a condition (RFC 9110 §13.1).
pub fn is_conditional(name: &HeaderName) -> bool {
    // Compared as text, which goes by the length first: cheaper than one name after the other.
    matches!(
        name.as_str(),
        "if-match" | "if-none-match" | "if-modified-since" | "if-unmodified-since" | "if-range"
    )
}

/// Whether the request has a condition that only the origin can evaluate: `If-Match` or
/// `If-Unmodified-Since` (RFC 9110 §13.1.1, §13.1.4; RFC 9111 §4.3.2).
pub fn has_origin_precondition(request: &HeaderMap) -> bool {
    request.contains_key(IF_MATCH) || request.contains_key(IF_UNMODIFIED_SINCE)
}

/// Whether the origin could be asked if this response still holds: it has a well-formed `ETag` or
/// `Last-Modified` (RFC 9110 §8.8).
pub fn has_validator(stored: &HeaderMap) -> bool {
    ETag::of(stored).is_some() || date_of(stored, &LAST_MODIFIED).is_some()
}

/// Makes the request ask whether the stored response still holds (RFC 9111 §4.3.1): its validators replace
/// whatever conditions the request had. False, and no condition at all, if it has no validator.
pub fn add_validators(request: &mut HeaderMap, stored: &HeaderMap) -> bool {
    strip_conditionals(request);
    let etag = stored.get(ETAG).filter(|_| ETag::of(stored).is_some());
    let modified = stored.get(LAST_MODIFIED).filter(|value| parse_date(value).is_some());
    let mut asks = false;
    for (name, validator) in [(IF_NONE_MATCH, etag), (IF_MODIFIED_SINCE, modified)] {
        if let Some(validator) = validator {
            asks |= request.try_insert(name, validator.clone()).is_ok();
        }
    }
    asks
}

/// Whether this 304 speaks of that stored response and may update it (RFC 9111 §4.3.4).
///
/// Its `ETag` decides, compared strongly if it is strong and weakly otherwise; without one its
/// `Last-Modified`. A 304 without either answers the validators that were sent, so it does. One with a
/// validator that the stored response lacks does not.
pub fn confirms(not_modified: &HeaderMap, stored: &HeaderMap) -> bool {
    if let Some(line) = not_modified.get(ETAG) {
        return match (ETag::of(not_modified), ETag::of(stored)) {
            (Some(new), Some(old)) if new.weak => new.matches_weakly(old),
            (Some(new), Some(old)) => new.matches_strongly(old),
            // Not tags at all, but still the same text.
            (None, None) => stored.get(ETAG) == Some(line),
            _ => false,
        };
    }
    not_modified.get(LAST_MODIFIED).is_none_or(|line| stored.get(LAST_MODIFIED) == Some(line))
}

/// The stored fields brought up to date by a 304 that [`confirms`] them (RFC 9111 §3.2, §4.3.4): each field
/// that it carries replaces the stored one of that name.
///
/// Left as stored: what describes the stored bytes (`Content-Length`, `Content-Encoding`,
/// `Content-Range`, `Content-Digest`), and all that is hop-by-hop. `Repr-Digest` too, unless a strong `ETag` says that
/// the origin's bytes are the stored ones (RFC 9530 §3). `Age` is the 304's or none. `Set-Cookie` is replaced only
/// where one was stored, that is where the site allows it: a 304 meant for one client must not plant its
/// cookie in an answer for all. A 304 with more fields than a header map can take on changes nothing.
pub fn update_stored(stored: &HeaderMap, not_modified: &HeaderMap) -> HeaderMap {
    let mut update = not_modified.clone();
    strip_hop_by_hop(&mut update);
    for name in &KEPT_BY_UPDATE {
        update.remove(name);
    }
    if !is_same_to_the_byte(not_modified, stored) {
        update.remove(&REPR_DIGEST);
    }
    if !stored.contains_key(SET_COOKIE) {
        update.remove(SET_COOKIE);
    }

    merged(stored, &update).unwrap_or_else(|_| stored.clone())
}

fn is_same_to_the_byte(not_modified: &HeaderMap, stored: &HeaderMap) -> bool {
    ETag::is_shared_by(not_modified, stored)
}

fn merged(stored: &HeaderMap, update: &HeaderMap) -> Result<HeaderMap, MaxSizeReached> {
    let mut merged = stored.clone();
    merged.remove(AGE);
    for name in update.keys() {
        merged.remove(name);
    }
    for (name, line) in update {
        merged.try_append(name.clone(), line.clone())?;
    }
    Ok(merged)
}

/// What a 200 to a HEAD says about a stored response to a GET (RFC 9111 §4.3.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadEffect {
    /// It is what is stored: its fields bring that up to date.
    Update,
    /// The resource has changed: what is stored is out of date.
    Invalidate,
}

/// Compares the validators and the length that a 200 to a HEAD carries with those that are stored (RFC 9111 §4.3.5).
/// One that carries none of them updates nothing, and is no reason to throw away what is stored.
pub fn head_effect(head: &HeaderMap, stored: &HeaderMap) -> Option<HeadEffect> {
    let told = [ETAG, LAST_MODIFIED, CONTENT_LENGTH].into_iter().filter(|name| head.contains_key(name));
    let mut effect = None;
    for name in told {
        if head.get(&name) != stored.get(&name) {
            return Some(HeadEffect::Invalidate);
        }
        effect = Some(HeadEffect::Update);
    }
    effect
}

/// The fields of a 304 made from this stored response (RFC 9110 §15.4.5). `Age` and what the node says
/// about itself are added by others; `Set-Cookie` is never among them.
pub fn not_modified_fields(stored: &HeaderMap) -> HeaderMap {
    let mut fields = HeaderMap::with_capacity(KEPT_BY_NOT_MODIFIED.len());
    for name in &KEPT_BY_NOT_MODIFIED {
        for line in stored.get_all(name) {
            fields.append(name.clone(), line.clone());
        }
    }
    fields
}

#[cfg(test)]
mod tests;
