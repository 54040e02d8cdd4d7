//! Answers whose body is still arriving.

use http::{StatusCode, header};

use super::For;
use super::decoded::to_be_decoded;
use super::own::unsatisfiable;
use super::ranges::Cut;
use crate::base::clock::Timestamp;
use crate::body::Body;
use crate::body::busy::Reader;
use crate::body::message::Reply;
use crate::body::multipart::Source;
use crate::fetch::flight::Announced;
use crate::semantics::cache_status::CacheStatus;
use crate::semantics::decoding::as_decoded;
use crate::semantics::fields;
use crate::semantics::ranges::Resolved;
use crate::semantics::targeted::SURROGATE_CONTROL;

/// The response of a fetch. Conditions are answered here if the fetch was normalised, because the origin never
/// saw them; a pass carried them itself. So are ranges, once the length is known: a part leaves as soon as it has come.
/// Where its coding is [to be taken off](to_be_decoded), the fields are those of plain content, and the body is as it came.
pub fn fetched(
    announced: &Announced,
    reader: Reader,
    to: &For<'_>,
    normalised: bool,
    now: Timestamp,
) -> Reply {
    let (head, decoded) = (&announced.head, to_be_decoded(announced, to, normalised).is_some());
    if let Some(tunnel) = announced.tunnel.lock().take() {
        let mut headers = head.headers.clone();
        fields::strip(&mut headers, |name| to.hides(name));
        if let Some(protocol) = &to.ask.upgrade {
            headers.entry(header::UPGRADE).or_insert_with(|| protocol.clone());
            headers.insert(header::CONNECTION, http::HeaderValue::from_static("upgrade"));
        }
        return Reply::new(head.status, headers, Body::Tunnel(tunnel));
    }
    let mut all = head.headers.clone();
    if decoded {
        as_decoded(&mut all);
    }
    let may_be_less = normalised && to.may_want_less();
    let known = if may_be_less { to.known(head.status, &all, decoded) } else { None };
    let unchanged = known.is_some();
    let complete = || fields::announced_length(&head.headers);
    let wanted = if may_be_less && !unchanged && !decoded {
        to.wants(head.status, &head.headers, complete())
    } else {
        Resolved::Whole
    };
    // What the origin answered is not what the client sees.
    let changed = unchanged || wanted != Resolved::Whole;
    let cache = CacheStatus {
        forward_status: to.cache.forward_status.or(changed.then_some(head.status)),
        ..to.cache
    };
    let (status, mut headers, cut) = match wanted {
        _ if unchanged => (StatusCode::NOT_MODIFIED, to.not_modified_fields(&known.unwrap_or(all)), None),
        Resolved::Whole => (head.status, all, None),
        Resolved::Unsatisfiable => return unsatisfiable(complete().unwrap_or(0), &cache, to, now),
        Resolved::Parts(mut parts) => {
            // As they arrive, so that none waits for another, nor has to be kept for it.
            parts.sort_unstable_by_key(|part| part.first);
            let mut headers = all;
            let cut = Cut::new(parts, complete().unwrap_or(0), &mut headers);
            (StatusCode::PARTIAL_CONTENT, headers, Some(cut))
        }
    };
    // It is meant for this cache alone.
    headers.remove(&SURROGATE_CONTROL);
    fields::strip(&mut headers, |name| to.hides(name));
    to.tell(&cache, &mut headers);
    if let Some(cut) = cut {
        let reader = reader.parts(cut.ranges());
        return Reply::new(status, headers, cut.body(Source::Busy(reader)));
    }
    // What trailers say may be of the bytes as they came.
    if let Some(trailer) = announced.trailer.as_ref().filter(|_| to.ask.takes_trailers && !decoded) {
        headers.insert(header::TRAILER, trailer.clone());
    }
    let body = if unchanged || to.is_head() { Body::Empty } else { Body::Busy(reader) };
    Reply::new(status, headers, body)
}
