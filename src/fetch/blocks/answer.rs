//! What an origin's answer to a run, or to a question for the whole, is good for: only what is surely of the same
//! representation is used.

use http::StatusCode;
use http::header::{self, HeaderMap};

use crate::cache::object::Object;
use crate::fetch::flight::Trouble;
use crate::origin::{Exchange, OriginError};
use crate::semantics::etag::ETag;
use crate::semantics::fields;
use crate::semantics::ranges::{ContentRange, Part};

/// What the origin's answer is good for.
pub(super) enum Answer {
    /// The bytes that were asked for, or the first of them.
    Part,
    /// The whole, unchanged: the origin does not do ranges.
    Whole,
    /// The origin has something else by now.
    Changed,
    /// Nothing.
    Nothing(Trouble),
}

/// Whether a part ends before the first block of it does, at `end`.
pub(super) fn is_too_short(exchange: &Exchange, end: u64) -> bool {
    let headers = &exchange.head.headers;
    exchange.head.status == StatusCode::PARTIAL_CONTENT
        && matches!(ContentRange::of(headers), Some(ContentRange::Part(part, _)) if part.end() < end)
}

/// What an answer to a request for this part, or for the whole, is good for.
pub(super) fn answer(exchange: &Exchange, asked: Option<Part>, object: &Object) -> Answer {
    let (status, headers) = (exchange.head.status, &exchange.head.headers);
    let stored = &object.head.headers();
    // Under `If-Range` the rest of the head may be left out (RFC 9110 §15.3.7).
    let terse = status == StatusCode::PARTIAL_CONTENT
        && !headers.contains_key(header::CONTENT_ENCODING)
        && !headers.contains_key(header::CONTENT_TYPE)
        && stored.contains_key(header::CONTENT_TYPE);
    let same = if terse { ETag::is_shared_by(headers, stored) } else { is_same(headers, stored) };
    let length = object.representation.length;
    if exchange.unknown_coding {
        return Answer::Nothing(malformed());
    }
    match (status, ContentRange::of(headers).zip(asked)) {
        (StatusCode::PARTIAL_CONTENT, Some((ContentRange::Part(part, complete), asked))) => {
            let said = fields::announced_length(headers);
            let lies = part.first != asked.first
                || part.last > asked.last
                || said.is_some_and(|said| said != part.length());
            // Under the same tag, but not as long: one of the two is of something else.
            let as_long = complete.is_none_or(|complete| complete == length);
            match (same, lies) {
                (true, false) if as_long => Answer::Part,
                (true, true) => Answer::Nothing(malformed()),
                (_, _) => Answer::Changed,
            }
        }
        (StatusCode::OK, _) if same && fields::announced_length(headers) == Some(length) => Answer::Whole,
        (
            StatusCode::OK | StatusCode::RANGE_NOT_SATISFIABLE | StatusCode::NOT_FOUND | StatusCode::GONE,
            _,
        ) => Answer::Changed,
        (status, _) if status.is_client_error() || status.is_server_error() => {
            Answer::Nothing(Trouble::Answered(status))
        }
        // A part without a range that can be read, many parts at once, a confirmation that was not asked for.
        _ => Answer::Nothing(malformed()),
    }
}

/// What came makes no sense.
pub(super) fn malformed() -> Trouble {
    Trouble::NoHead(OriginError::malformed())
}

/// Whether a head is of the very representation that another is of: the same strong `ETag`, and the same coding
/// (RFC 9110 §15.3.7.3).
fn is_same(headers: &HeaderMap, stored: &HeaderMap) -> bool {
    let coding =
        |headers: &HeaderMap| headers.get_all(header::CONTENT_ENCODING).iter().cloned().collect::<Vec<_>>();
    ETag::is_shared_by(headers, stored) && coding(headers) == coding(stored)
}
