//! Answers that are coded as they leave.

use super::For;
use super::stored::{Wanted, hide, tell, unchanged};
use crate::base::clock::Timestamp;
use crate::body::Body;
use crate::body::message::Reply;
use crate::body::multipart::Source;
use crate::cache::lookup::{Held, Hit};
use crate::fetch::flight::Announced;
use crate::semantics::coding::Coding;
use crate::semantics::compression::{Compression, as_streamed};
use crate::semantics::fields::announced_length;

/// Whether the answer of a fetch is one of those that are coded for whoever takes that. What trailers say may be of its bytes:
/// with them it stays as it is.
pub fn may_be_coded(announced: &Announced, to: &For<'_>, rules: &Compression) -> bool {
    let head = &announced.head;
    // Such as may not be used without the origin's word is for all the same.
    let is_for_many = || announced.terms.is_some() || rules.personal;
    !rules.codings.is_empty()
        && !to.ask.is_peer
        && announced.trailer.is_none()
        && is_for_many()
        && rules.covers(head.status, &head.headers, announced_length(&head.headers))
}

/// Has an answer coded as it leaves, by `code`, which gives the content back if there is no memory for that: then it leaves as
/// it is.
pub fn code(reply: &mut Reply, coding: Coding, code: impl FnOnce(Body) -> Result<Body, Box<Body>>) {
    match std::mem::take(&mut reply.body) {
        // To a HEAD: what a GET would get.
        Body::Empty => {}
        plain => match code(plain) {
            Ok(coded) => reply.body = coded,
            Err(plain) => {
                reply.body = *plain;
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
    (coding, coder): (Coding, impl FnOnce(Body) -> Result<Body, Box<Body>>),
    open: impl FnOnce(&Hit, Wanted) -> Source,
) -> Reply {
    if to.may_want_less() {
        let mut headers = hit.object.head.headers();
        as_streamed(&mut headers, coding);
        if let Some(known) = to.known(hit.object.head.status, &headers, true) {
            return unchanged(hit, to, now, &known);
        }
    }
    let mut reply = Reply::new(hit.object.head.status, hit.object.head.headers(), Body::Empty);
    reply.body = match &hit.content {
        _ if to.is_head() => Body::Empty,
        Held::Memory(content) => content.into(),
        Held::Disk(..) | Held::Divided => open(hit, None).into(),
    };
    code(&mut reply, coding, coder);
    hide(hit, to, &mut reply.head.headers);
    tell(hit, to, now, &mut reply.head.headers);
    reply
}
