//! Answers that are coded as they leave.

use std::sync::Arc;

use super::For;
use super::stored::{hide, tell, unchanged};
use crate::base::clock::Timestamp;
use crate::body::Body;
use crate::body::budget::Budget;
use crate::body::coded::Coded;
use crate::body::coded::encoder::Effort;
use crate::body::message::Reply;
use crate::cache::lookup::{Held, Hit};
use crate::fetch::flight::{Announced, Others};
use crate::semantics::coding::Coding;
use crate::semantics::compression::{Compression, as_streamed};
use crate::semantics::fields::announced_length;
use crate::semantics::notable::Notable;

/// Whether the answer of a fetch is one of those that are coded for whoever takes that. A part is one of what the origin sent.
pub fn may_be_coded(announced: &Announced, to: &For<'_>, rules: &Compression) -> bool {
    let head = &announced.head;
    let is_for_many = || matches!(announced.others, Others::Share(_)) || rules.personal;
    !rules.codings.is_empty()
        && !to.ask.is_peer
        && !to.ask.notable.may_have(Notable::RANGE)
        && is_for_many()
        && rules.covers(head.status, &head.headers, announced_length(&head.headers))
}

/// Has an answer coded as it leaves. Without memory for that it leaves as it is.
pub fn code(reply: &mut Reply, (coding, effort): (Coding, Effort), budget: &Arc<Budget>) {
    match std::mem::take(&mut reply.body) {
        // To a HEAD: what a GET would get.
        Body::Empty => {}
        plain => match Coded::over(plain, effort, budget) {
            Ok(coded) => reply.body = Body::Coded(Box::new(coded)),
            Err(plain) => {
                reply.body = plain;
                return;
            }
        },
    }
    as_streamed(&mut reply.head.headers, coding);
}

/// A hit, coded as it leaves; a 304 if the client has that already.
pub fn streamed(
    hit: &Hit,
    to: &For<'_>,
    now: Timestamp,
    (coding, effort): (Coding, Effort),
    budget: &Arc<Budget>,
) -> Reply {
    if to.may_want_less() {
        let mut headers = hit.object.head.headers();
        as_streamed(&mut headers, coding);
        if to.is_unchanged(hit.object.head.status, &headers) {
            return unchanged(hit, to, now, &headers);
        }
    }
    let mut reply = Reply::new(hit.object.head.status, hit.object.head.headers(), Body::Empty);
    if let (false, Held::Memory(content)) = (to.is_head(), &hit.content) {
        reply.body = content.into();
    }
    code(&mut reply, (coding, effort), budget);
    hide(hit, to, &mut reply.head.headers);
    tell(hit, to, now, &mut reply.head.headers);
    reply
}
