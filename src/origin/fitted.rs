//! A request as the endpoints of a pool can take it: their version, their framing, the fields that they are owed.

use http::Method;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use super::OriginRequest;
use super::error::OriginError;
use super::settings::{HttpVersion, Settings};
use crate::body::Body;
use crate::body::busy::End;

/// What HTTP/1.0 does not know (RFC 9110 §10.1.1, §7.8, §6.5; RFC 9112 §7.4).
const NOT_IN_10: [HeaderName; 5] =
    [header::EXPECT, header::UPGRADE, header::TRAILER, header::TE, header::CONNECTION];

/// Fields that belong to the connection: no operator's to set.
pub(super) const OURS: [HeaderName; 6] = [
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::TE,
    header::TRAILER,
    header::UPGRADE,
];

/// Fits `request` to what the pool's endpoints can take. Content that may not be sent in chunks has to have come to its end,
/// unless it says how long it is (see [`Pool::needs_length`](super::Pool::needs_length)): it could not be kept until then.
pub(super) fn fitted(
    mut request: Box<OriginRequest>,
    settings: &Settings,
) -> Result<Box<OriginRequest>, OriginError> {
    let is_10 = settings.http_version == HttpVersion::Http10;
    if is_10 {
        for name in &NOT_IN_10 {
            request.headers.remove(name);
        }
    }
    if settings.http_version == HttpVersion::Http2 {
        // There is no other protocol to go over to (RFC 9113 §8.6).
        request.headers.remove(header::UPGRADE);
    }
    if is_10 || !settings.chunked {
        with_length(&mut request)?;
    }
    say_whether_to_close(&mut request.headers, is_10, settings.keep_alive);
    for name in settings.send_fields.keys() {
        request.headers.remove(name);
        for value in settings.send_fields.get_all(name) {
            request.headers.append(name, value.clone());
        }
    }
    Ok(request)
}

/// HTTP/1.0 closes unless told otherwise, HTTP/1.1 the other way round (RFC 9112 §9.3, appendix C.2.2).
fn say_whether_to_close(headers: &mut HeaderMap, is_10: bool, keep_alive: bool) {
    match (is_10, keep_alive) {
        (true, true) => headers.insert(header::CONNECTION, HeaderValue::from_static("keep-alive")),
        // An upgrade leaves nothing to close.
        (_, false) if !headers.contains_key(header::UPGRADE) => {
            headers.append(header::CONNECTION, HeaderValue::from_static("close"));
            None
        }
        _ => None,
    };
}

fn with_length(request: &mut OriginRequest) -> Result<(), OriginError> {
    // Only chunks carry trailers, whatever length was said.
    request.headers.remove(header::TRAILER);
    if request.headers.contains_key(header::CONTENT_LENGTH) {
        return Ok(());
    }
    // RFC 9110 §8.6: who knows no other framing may take the length for missing, and answer 400 or 411.
    let has_meaning = [Method::POST, Method::PUT, Method::PATCH].contains(&request.method);
    if has_meaning && matches!(request.body, Body::Empty) {
        request.headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
    if let Body::Busy(reader) = &request.body {
        match reader.body().end() {
            Some(End::Finished(_)) => {}
            Some(End::Failed(_)) => return Err(OriginError::client_broke_off()),
            None => {
                tracing::warn!(
                    "there is no room to take in a request's content, which its origin wants whole"
                );
                return Err(OriginError::too_many());
            }
        }
    }
    Ok(())
}
