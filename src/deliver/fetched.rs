//! Answers whose body is still arriving.

use http::{StatusCode, header};

use super::For;
use crate::body::Body;
use crate::body::busy::Reader;
use crate::body::message::Reply;
use crate::fetch::flight::Announced;
use crate::semantics::cache_status::CacheStatus;
use crate::semantics::targeted::SURROGATE_CONTROL;
use crate::semantics::validation;

/// The response of a fetch. Conditions are answered here if the fetch was normalised, because the origin never
/// saw them; a pass carried them itself.
pub fn fetched(announced: &Announced, reader: Reader, to: &For<'_>, normalised: bool) -> Reply {
    let head = &announced.head;
    if let Some(tunnel) = announced.tunnel.lock().take() {
        let mut headers = head.headers.clone();
        if let Some(protocol) = &to.ask.upgrade {
            headers.entry(header::UPGRADE).or_insert_with(|| protocol.clone());
            headers.insert(header::CONNECTION, http::HeaderValue::from_static("upgrade"));
        }
        return Reply::new(head.status, headers, Body::Tunnel(tunnel));
    }
    let unchanged = normalised && to.is_unchanged(head.status, &head.headers);
    let (status, mut headers) = if unchanged {
        (StatusCode::NOT_MODIFIED, validation::not_modified_fields(&head.headers))
    } else {
        (head.status, head.headers.clone())
    };
    // It is meant for this cache alone.
    headers.remove(&SURROGATE_CONTROL);
    // What the origin answered is not what the client sees.
    let forward_status = to.cache.forward_status.or(unchanged.then_some(head.status));
    to.tell(&CacheStatus { forward_status, ..to.cache }, &mut headers);
    if let Some(trailer) = announced.trailer.as_ref().filter(|_| to.ask.takes_trailers) {
        headers.insert(header::TRAILER, trailer.clone());
    }
    let body = if unchanged || to.is_head() { Body::Empty } else { Body::Busy(reader) };
    Reply::new(status, headers, body)
}
