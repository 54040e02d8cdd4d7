//! Parts only of what the client has already (RFC 9110 §13.1.5).

use std::time::Duration;

use http::HeaderMap;
use http::header::{DATE, IF_RANGE, LAST_MODIFIED};

use super::only_line;
use crate::semantics::date::parse_date;
use crate::semantics::etag::ETag;
use crate::semantics::fields::date_of;

/// By so much `Date` has to be later than `Last-Modified`, so that nothing can have changed again within the second that
/// it names, even if the clocks of both are not one (RFC 9110 §8.8.2.2, which asks for a second where they are).
const APART: Duration = Duration::from_mins(1);

/// Whether a request's `If-Range` lets it have parts of this response: it has none, or names the response's strong `ETag`,
/// or its `Last-Modified` where that is as good as one. Anything else, malformed or repeated, asks for the whole.
pub fn if_range_holds(request: &HeaderMap, response: &HeaderMap) -> bool {
    if !request.contains_key(IF_RANGE) {
        return true;
    }
    let Some(line) = only_line(request, &IF_RANGE) else { return false };
    match ETag::parse(line) {
        Some(tag) => ETag::of(response).is_some_and(|own| own.matches_strongly(tag)),
        None => is_date_of(line, response),
    }
}

/// Whether `If-Range` names a date, which codings of one content share.
pub fn is_by_date(request: &HeaderMap) -> bool {
    only_line(request, &IF_RANGE).is_some_and(|line| ETag::parse(line).is_none())
}

fn is_date_of(line: &[u8], response: &HeaderMap) -> bool {
    let asked = http::HeaderValue::from_bytes(line).ok().and_then(|value| parse_date(&value));
    let modified = date_of(response, &LAST_MODIFIED);
    let (Some(modified), Some(date)) = (modified, date_of(response, &DATE)) else { return false };
    asked == Some(modified) && date.since(modified) >= APART
}
