//! Answers from stored objects.

use std::collections::VecDeque;
use std::fmt::{self, Write};
use std::ops::Range;

use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::For;
use super::own::unsatisfiable;
use super::ranges::Cut;
use crate::base::clock::Timestamp;
use crate::body::Body;
use crate::body::message::Reply;
use crate::body::multipart::Source;
use crate::body::rendered::ValueText;
use crate::cache::lookup::{Held, Hit};
use crate::semantics::cache_status::CacheStatus;
use crate::semantics::decoding::as_decoded;
use crate::semantics::ranges::Resolved;
use crate::semantics::targeted::SURROGATE_CONTROL;

/// What of the content of a hit is to be read: `None` for the whole.
pub type Wanted = Option<VecDeque<Range<u64>>>;

/// Bytes for the lines that are added to what is stored: `Age` and `Cache-Status`.
const ROOM: usize = 96;

/// What of the content of a hit this answer needs; `None` if it needs none of it.
pub fn content_of(hit: &Hit, to: &For<'_>) -> Option<Wanted> {
    if to.is_head() {
        return None;
    }
    if !to.may_want_less() {
        return Some(None);
    }
    let (status, mut headers) = (hit.object.head.status, hit.object.head.headers());
    let is_decoded = hit.object.head.to_decode_for(&to.ask.headers).is_some();
    if is_decoded {
        as_decoded(&mut headers);
    }
    if to.known(status, &headers, is_decoded || hit.object.codings.made.is_some()).is_some() {
        return None;
    }
    if is_decoded {
        return Some(None);
    }
    match to.wants(status, &headers, Some(hit.object.representation.length)) {
        Resolved::Whole => Some(None),
        Resolved::Unsatisfiable => None,
        Resolved::Parts(parts) => Some(Some(parts.iter().map(|part| part.range()).collect())),
    }
}

/// The object, a 304 if the client has it already (RFC 9111 §4.3.2), or the parts of it that the client wants (RFC 9110
/// §15.3.7), with its age (RFC 9111 §5.1), and for a node of the same operator's with its tags. What is not in memory as a whole is given by
/// `open`.
pub fn stored(hit: &Hit, to: &For<'_>, now: Timestamp, open: impl FnOnce(&Hit, Wanted) -> Source) -> Reply {
    if !to.may_want_less() {
        return whole(hit, to, now, open);
    }
    let (status, mut headers) = (hit.object.head.status, hit.object.head.headers());
    if let Some(known) = to.known(status, &headers, hit.object.codings.made.is_some()) {
        return unchanged(hit, to, now, &known);
    }
    let complete = hit.object.representation.length;
    match to.wants(status, &headers, Some(complete)) {
        Resolved::Whole => whole(hit, to, now, open),
        Resolved::Unsatisfiable => unsatisfiable(complete, &to.cache, to, now),
        Resolved::Parts(parts) => {
            let cut = Cut::new(parts, complete, &mut headers);
            hide(hit, to, &mut headers);
            tell(hit, to, now, &mut headers);
            let source = match &hit.content {
                Held::Memory(content) => Source::Blocks(content.slices(cut.ranges())),
                Held::Disk(..) | Held::Divided => open(hit, Some(cut.ranges())),
            };
            Reply::new(StatusCode::PARTIAL_CONTENT, headers, cut.body(source))
        }
    }
}

/// A 304 for what has these fields.
pub(super) fn unchanged(hit: &Hit, to: &For<'_>, now: Timestamp, headers: &HeaderMap) -> Reply {
    let mut kept = to.not_modified_fields(headers);
    tell(hit, to, now, &mut kept);
    Reply::new(StatusCode::NOT_MODIFIED, kept, Body::Empty)
}

/// All of the object, for a GET that wants nothing else and is told no key; `None` if it is not in memory. `name` is the
/// node's, as [`written_name`](crate::semantics::cache_status::written_name) gives it.
pub fn plain(hit: &Hit, name: &str, now: Timestamp) -> Option<Reply> {
    let Held::Memory(content) = &hit.content else { return None };
    let cache = CacheStatus::hit(hit.object.terms().freshness.left(now));
    Some(as_stored(hit, now, content.into(), name.len(), |out| {
        out.write_str(name)?;
        cache.write_parameters(None, out)
    }))
}

/// All of the object.
fn whole(hit: &Hit, to: &For<'_>, now: Timestamp, open: impl FnOnce(&Hit, Wanted) -> Source) -> Reply {
    let body = match &hit.content {
        _ if to.is_head() => Body::Empty,
        Held::Memory(content) => content.into(),
        Held::Disk(..) | Held::Divided => open(hit, None).into(),
    };
    if to.ask.is_peer {
        let mut headers = hit.object.head.headers();
        hide(hit, to, &mut headers);
        tell(hit, to, now, &mut headers);
        return Reply::new(hit.object.head.status, headers, body);
    }
    as_stored(hit, now, body, to.node.len(), |out| to.cache.write(to.node, to.key().as_deref(), out))
}

/// The lines leave as they are stored, with how old it is and what the cache did, by a name of so many bytes.
fn as_stored(
    hit: &Hit,
    now: Timestamp,
    body: Body,
    name: usize,
    cache_status: impl FnOnce(&mut ValueText<'_>) -> fmt::Result,
) -> Reply {
    let mut lines = hit.object.head.render(ROOM + name);
    let age = hit.object.terms().freshness.age(now).as_secs();
    lines.push(&header::AGE, |out| out.write_str(itoa::Buffer::new().format(age)));
    lines.push(&header::CACHE_STATUS, cache_status);
    let mut reply = Reply::new(hit.object.head.status, HeaderMap::new(), body);
    reply.head.stored = Some(lines);
    reply
}

/// Takes out of all that is stored what the client is not shown.
pub(super) fn hide(hit: &Hit, to: &For<'_>, headers: &mut HeaderMap) {
    // It is meant for this cache alone.
    headers.remove(&SURROGATE_CONTROL);
    if to.ask.is_peer {
        return;
    }
    for name in hit.object.head.hidden() {
        headers.remove(name);
    }
}

/// Adds how old it is, and what the cache did.
pub(super) fn tell(hit: &Hit, to: &For<'_>, now: Timestamp, headers: &mut HeaderMap) {
    headers.insert(header::AGE, HeaderValue::from(hit.object.terms().freshness.age(now).as_secs()));
    to.tell(&to.cache, headers);
}
