//! An answer to one client: from a stored object, from a body that is still arriving, or of our own making.
//!
//! What an answer says of the cache is decided by the client machine; here it is put into fields, together with
//! what HTTP asks of every answer: conditions, ranges, `Age`, `HEAD` without content.

mod coded;
mod decoded;
mod fetched;
mod own;
mod ranges;
mod stored;

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};

pub use coded::{code, may_be_coded, streamed};
pub use decoded::{Decoding, decode, decoded, to_be_decoded};
pub use fetched::fetched;
pub use own::{failed, not_stored, rejected, said};
pub use stored::{content_of, plain, stored};

use crate::body::message::{Reply, ReplyHead};
use crate::fetch::ask::Ask;
use crate::semantics::cache_status::CacheStatus;
use crate::semantics::notable::Notable;
use crate::semantics::tags::CACHE_GROUPS;
use crate::semantics::validation::{self, Precondition};
use crate::semantics::{coded_tag, compression};

/// Tells how old the answer of a fetch is (RFC 9111 §5.1).
pub fn set_age(reply: &mut Reply, age: Duration) {
    reply.head.headers.insert(header::AGE, HeaderValue::from(age.as_secs()));
}

/// Takes out of the answer of a fetch the fields that are for another client (RFC 9111 §5.2.2.7).
pub fn leave_out(reply: &mut Reply, names: &[HeaderName]) {
    for name in names {
        reply.head.headers.remove(name);
    }
}

/// Tells a client to come by TLS alone (RFC 6797), in place of what the origin has said of that, stored or not: clients
/// heed the first word.
pub fn tell_strict_transport(reply: &mut Reply, strict: &HeaderValue) {
    let head = &mut reply.head;
    let stored = head.stored.as_ref();
    if stored.is_some_and(|stored| stored.may_have(&header::STRICT_TRANSPORT_SECURITY)) {
        let nothing = ReplyHead::new(head.status, HeaderMap::new());
        let headers = std::mem::replace(head, nothing).into_headers();
        head.headers = headers;
    }
    head.headers.insert(header::STRICT_TRANSPORT_SECURITY, strict.clone());
}

/// For whom an answer is, and what it says of the cache.
#[derive(Clone, Copy, Debug)]
pub struct For<'a> {
    /// The request.
    pub ask: &'a Ask,
    /// How this node names itself.
    pub node: &'a str,
    /// What the cache did.
    pub cache: CacheStatus,
}

impl For<'_> {
    /// Adds what the cache did to the fields of the answer.
    fn tell(&self, cache: &CacheStatus, headers: &mut HeaderMap) {
        cache.append_to(self.node, self.key().as_deref(), headers);
    }

    /// The key, if it is to be told.
    fn key(&self) -> Option<String> {
        self.ask.policy.tell_key.then(|| self.ask.key.readable())
    }

    /// Whether this field has tags that the client is not shown. Another node of the same operator's is: what it stores has to
    /// be found there by its tags.
    fn hides(&self, name: &HeaderName) -> bool {
        !self.ask.is_peer && self.ask.policy.tags.hides(name)
    }

    /// The fields of a 304 made from these. A node of the same operator's is told the tags too, which may be others than it has.
    fn not_modified_fields(&self, headers: &HeaderMap) -> HeaderMap {
        let mut fields = validation::not_modified_fields(headers);
        if !self.ask.is_peer {
            return fields;
        }
        for name in self.ask.policy.tags.fields.iter().chain(&[CACHE_GROUPS]) {
            if !fields.contains_key(name) {
                for line in headers.get_all(name) {
                    fields.append(name.clone(), line.clone());
                }
            }
        }
        fields
    }

    /// Whether less than the whole may do: the request has a condition, or wants a part.
    fn may_want_less(&self) -> bool {
        self.ask.notable.may_have(Notable::RANGE | Notable::CONDITION)
    }

    /// Whether a part may be wanted, which is one of what the origin sent.
    pub fn may_want_part(&self) -> bool {
        self.ask.notable.may_have(Notable::RANGE)
    }

    fn is_head(&self) -> bool {
        self.ask.method == Method::HEAD
    }

    /// The fields of a 304, if the client has what these are of: by the same validators, or by the tag of a coding of it, which
    /// it is told then. `is_made`: they are of a coding themselves.
    fn known(&self, status: StatusCode, headers: &HeaderMap, is_made: bool) -> Option<HeaderMap> {
        if self.is_unchanged(status, headers) {
            return Some(headers.clone());
        }
        let applies = is_success(status) && self.ask.method != Method::POST;
        let tag = applies.then(|| coded_tag::known_tag(&self.ask.headers, headers, is_made)).flatten()?;
        let mut headers = headers.clone();
        headers.insert(header::ETAG, tag);
        compression::vary(&mut headers);
        Some(headers)
    }

    /// Conditions apply where the answer would be a success (RFC 9110 §13.2.1).
    fn is_unchanged(&self, status: StatusCode, headers: &HeaderMap) -> bool {
        // A part that was asked of the origin without the condition would be the whole without its range.
        is_success(status)
            && self.ask.method != Method::POST
            && validation::evaluate(&self.ask.headers, headers) == Precondition::NotModified
    }
}

/// Whether conditions apply to an answer of this status.
fn is_success(status: StatusCode) -> bool {
    matches!(status, StatusCode::OK | StatusCode::PARTIAL_CONTENT)
}
