//! Answers that this node makes itself: a short page that says what happened, and fields that say it to programs.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};

use crate::admission::Rejection;
use crate::base::clock::Timestamp;
use crate::body::Body;
use crate::body::message::Reply;
use crate::origin::OriginError;
use crate::semantics::cache_status::CacheStatus;
use crate::semantics::date;
use crate::semantics::proxy_status::ProxyError;
use crate::semantics::ranges::ContentRange;

use super::For;

const PROXY_STATUS: HeaderName = HeaderName::from_static("proxy-status");

/// The origin failed: 502, 503 or 504 with `Proxy-Status` (RFC 9209). Says nothing about who the origin is.
///
/// It has `Cache-Status` too, although RFC 9211 §2 would rather not see it on answers that an intermediary makes
/// itself: only it tells why the request went to the origin at all.
pub fn failed(error: OriginError, to: &For<'_>, now: Timestamp) -> Reply {
    let status = error.error.status();
    let mut reply = page(status, explanation(status), &to.ask.method, now);
    reply.head.headers.insert(PROXY_STATUS, error.error.field(to.node, None));
    let cache = CacheStatus { stored: false, ..to.cache };
    to.tell(&cache, &mut reply.head.headers);
    reply
}

/// Nothing is stored, and the request wants nothing else (RFC 9111 §5.2.1.7).
pub fn not_stored(to: &For<'_>, now: Timestamp) -> Reply {
    let explanation = "This is not stored here, and the request wants nothing else.";
    let mut reply = page(StatusCode::GATEWAY_TIMEOUT, explanation, &to.ask.method, now);
    to.tell(&to.cache, &mut reply.head.headers);
    reply
}

/// Nothing of what was asked for is within the `complete` bytes that there are (RFC 9110 §15.5.17).
pub(super) fn unsatisfiable(complete: u64, cache: &CacheStatus, to: &For<'_>, now: Timestamp) -> Reply {
    let explanation = format!("What was asked for is beyond the end: there are {complete} bytes.");
    let mut reply = page(StatusCode::RANGE_NOT_SATISFIABLE, &explanation, &to.ask.method, now);
    reply.head.headers.insert(header::CONTENT_RANGE, ContentRange::Unsatisfied(complete).field());
    to.tell(cache, &mut reply.head.headers);
    reply
}

/// The request makes no sense, and why. One that goes in circles is told so by `Proxy-Status` as well, for the
/// operators of those who sent it around.
pub fn rejected(rejection: &Rejection, node: &str, method: &Method, now: Timestamp) -> Reply {
    let mut reply = page(rejection.status(), &rejection.to_string(), method, now);
    if matches!(rejection, Rejection::Method(_)) {
        let allowed = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
        reply.head.headers.insert(header::ALLOW, allowed);
    }
    if let Rejection::NeedsTls(url) = rejection
        && let Ok(url) = HeaderValue::from_str(url)
    {
        reply.head.headers.insert(header::LOCATION, url);
    }
    if *rejection == Rejection::Loop {
        reply.head.headers.insert(PROXY_STATUS, ProxyError::ProxyLoopDetected.field(node, None));
        let cache = CacheStatus { detail: Some(rejection.name()), ..CacheStatus::default() };
        cache.append_to(node, None, &mut reply.head.headers);
    }
    reply
}

/// What this node has done itself, or not, with a request that asked for content, or why what came is no request at all.
pub fn said(status: StatusCode, explanation: &str, now: Timestamp) -> Reply {
    page(status, explanation, &Method::GET, now)
}

fn explanation(status: StatusCode) -> &'static str {
    match status {
        StatusCode::GATEWAY_TIMEOUT => "The site took too long to answer. Please try again in a moment.",
        StatusCode::SERVICE_UNAVAILABLE => {
            "The site cannot be reached just now. Please try again in a moment."
        }
        StatusCode::BAD_REQUEST => "The request broke off or could not be understood.",
        _ => "The site's answer could not be used. Please try again in a moment.",
    }
}

fn page(status: StatusCode, explanation: &str, method: &Method, now: Timestamp) -> Reply {
    let reason = status.canonical_reason().unwrap_or("Error");
    let text = format!(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>{code} {reason}</title>\n\
         <h1>{code} {reason}</h1>\n<p>{explanation}</p>\n</html>\n",
        code = status.as_str(),
        explanation = escape(explanation),
    );
    let mut headers = HeaderMap::with_capacity(8);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(text.len()));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::DATE, date::format_date(now));
    let body = if method == Method::HEAD { Body::Empty } else { Body::Bytes(text.into()) };
    Reply::new(status, headers, body)
}

/// What a client sent may be part of the explanation: it never becomes markup.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_client_sent_never_becomes_markup() {
        let method = Method::from_bytes(b"GET").expect("a method");
        let reply = page(StatusCode::BAD_REQUEST, "<script>", &method, Timestamp::from_secs(0));
        let Body::Bytes(text) = reply.body else { panic!("a page has content") };
        assert!(!text.windows(8).any(|window| window == b"<script>"));
    }
}
