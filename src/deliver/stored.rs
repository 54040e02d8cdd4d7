//! Answers from stored objects.

use http::{HeaderValue, StatusCode, header};

use super::For;
use crate::base::clock::Timestamp;
use crate::body::Body;
use crate::body::busy::Reader;
use crate::body::content::{Blocks, Parts};
use crate::body::message::Reply;
use crate::cache::lookup::{Held, Hit};
use crate::semantics::targeted::SURROGATE_CONTROL;
use crate::semantics::{fields, validation};

/// The object, or a 304 if the client has it already (RFC 9111 §4.3.2), with its age (§5.1). What is not in memory
/// as a whole is read by `replay`.
pub fn stored(hit: &Hit, to: &For<'_>, now: Timestamp, replay: impl FnOnce(&Hit) -> Reader) -> Reply {
    let head = &hit.object.head;
    let unchanged = to.is_unchanged(head.status, &head.headers);
    let (status, mut headers) = if unchanged {
        (StatusCode::NOT_MODIFIED, validation::not_modified_fields(&head.headers))
    } else {
        (head.status, head.headers.clone())
    };
    // It is meant for this cache alone.
    fields::strip(&mut headers, |name| *name == SURROGATE_CONTROL);
    headers.insert(header::AGE, HeaderValue::from(hit.object.terms.freshness.age(now).as_secs()));
    to.tell(&to.cache, &mut headers);
    let body = match &hit.content {
        _ if unchanged || to.is_head() => Body::Empty,
        Held::Memory(Parts::Inline(bytes)) => Body::Bytes(bytes.clone()),
        Held::Memory(Parts::Blocks(blocks)) => Body::Blocks(Blocks::new(blocks.iter().cloned())),
        Held::Disk(..) => Body::Busy(replay(hit)),
    };
    Reply::new(status, headers, body)
}
