//! Answers from stored objects.

use std::collections::VecDeque;
use std::ops::Range;

use http::{HeaderValue, StatusCode, header};

use super::For;
use super::own::unsatisfiable;
use super::ranges::Cut;
use crate::base::clock::Timestamp;
use crate::body::Body;
use crate::body::content::{Blocks, Parts};
use crate::body::message::Reply;
use crate::body::multipart::Source;
use crate::cache::lookup::{Held, Hit};
use crate::semantics::ranges::Resolved;
use crate::semantics::targeted::SURROGATE_CONTROL;
use crate::semantics::{fields, validation};

/// What of the content of a hit is to be read: `None` for the whole.
pub type Wanted = Option<VecDeque<Range<u64>>>;

/// What of the content of a hit this answer needs; `None` if it needs none of it.
pub fn content_of(hit: &Hit, to: &For<'_>) -> Option<Wanted> {
    let head = &hit.object.head;
    if to.is_head() || to.is_unchanged(head.status, &head.headers) {
        return None;
    }
    match to.wants(head.status, &head.headers, Some(hit.object.representation.length)) {
        Resolved::Whole => Some(None),
        Resolved::Unsatisfiable => None,
        Resolved::Parts(parts) => Some(Some(parts.iter().map(|part| part.range()).collect())),
    }
}

/// The object, a 304 if the client has it already (RFC 9111 §4.3.2), or the parts of it that the client wants (RFC 9110
/// §15.3.7), with its age (RFC 9111 §5.1). What is not in memory as a whole is given by
/// `open`.
pub fn stored(hit: &Hit, to: &For<'_>, now: Timestamp, open: impl FnOnce(&Hit, Wanted) -> Source) -> Reply {
    let head = &hit.object.head;
    let unchanged = to.is_unchanged(head.status, &head.headers);
    let complete = hit.object.representation.length;
    let (status, mut headers, cut) = if unchanged {
        (StatusCode::NOT_MODIFIED, validation::not_modified_fields(&head.headers), None)
    } else {
        let mut headers = head.headers.clone();
        match to.wants(head.status, &headers, Some(complete)) {
            Resolved::Whole => (head.status, headers, None),
            Resolved::Unsatisfiable => return unsatisfiable(complete, &to.cache, to, now),
            Resolved::Parts(parts) => {
                let cut = Cut::new(parts, complete, &mut headers);
                (StatusCode::PARTIAL_CONTENT, headers, Some(cut))
            }
        }
    };
    // It is meant for this cache alone.
    fields::strip(&mut headers, |name| *name == SURROGATE_CONTROL);
    headers.insert(header::AGE, HeaderValue::from(hit.object.terms.freshness.age(now).as_secs()));
    to.tell(&to.cache, &mut headers);
    if let Some(cut) = cut {
        let source = match &hit.content {
            Held::Memory(content) => Source::Blocks(content.slices(cut.ranges())),
            Held::Disk(..) | Held::Divided => open(hit, Some(cut.ranges())),
        };
        return Reply::new(status, headers, cut.body(source));
    }
    let body = match &hit.content {
        _ if unchanged || to.is_head() => Body::Empty,
        Held::Memory(Parts::Inline(bytes)) => Body::Bytes(bytes.clone()),
        Held::Memory(Parts::Blocks(blocks)) => Body::Blocks(Blocks::new(blocks.iter().cloned())),
        Held::Disk(..) | Held::Divided => open(hit, None).into(),
    };
    Reply::new(status, headers, body)
}
