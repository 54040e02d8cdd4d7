//! Our request in hyper's words, once, and again where that does no harm.

use std::sync::Arc;
use std::time::Duration;

use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Uri, Version, header};
use tokio::sync::Notify;

use super::OriginRequest;
use super::hear::{Hear, listen};
use super::settings::{HttpVersion, Settings};
use crate::body::Body;
use crate::body::wire::WireBody;

/// A request in hyper's words.
pub(super) type Outgoing = hyper::Request<WireBody>;

/// What is needed to send a request once more.
pub(super) struct Spare {
    method: Method,
    target: PathAndQuery,
    headers: HeaderMap,
    version: Version,
    hears: Option<Arc<dyn Hear>>,
}

impl Spare {
    /// None, if sending it twice may do harm, or its content would be gone (RFC 9110 §9.2.2).
    pub(super) fn of(
        request: &OriginRequest,
        settings: &Settings,
        hears: Option<&Arc<dyn Hear>>,
    ) -> Option<Self> {
        let repeatable = request.method.is_idempotent() && matches!(request.body, Body::Empty);
        repeatable.then(|| Self {
            method: request.method.clone(),
            target: request.target.clone(),
            headers: request.headers.clone(),
            version: version(settings),
            hears: hears.cloned(),
        })
    }

    pub(super) fn again(&self) -> Outgoing {
        let mut outgoing = hyper::Request::new(WireBody::new(Body::Empty, None));
        *outgoing.method_mut() = self.method.clone();
        *outgoing.uri_mut() = Uri::from(self.target.clone());
        *outgoing.headers_mut() = self.headers.clone();
        *outgoing.version_mut() = self.version;
        listen(&mut outgoing, None, self.hears.clone());
        outgoing
    }
}

fn version(settings: &Settings) -> Version {
    match settings.http_version {
        HttpVersion::Http10 => Version::HTTP_10,
        HttpVersion::Http11 => Version::HTTP_11,
    }
}

/// The request, held back until 100 (Continue) if it asks for that (RFC 9110 §10.1.1); `hears` is told of what else is said
/// before its answer.
pub(super) fn to_hyper(
    mut request: OriginRequest,
    settings: &Settings,
    hears: Option<Arc<dyn Hear>>,
) -> Outgoing {
    say_own_length(&mut request);
    let expects_continue = request.headers.contains_key(header::EXPECT);
    let go_ahead = Arc::new(Notify::new());
    let body = WireBody::new(request.body, None);
    let body = if expects_continue { body.hold(until(&go_ahead, settings.continue_timeout)) } else { body };
    let mut outgoing = hyper::Request::new(body);
    *outgoing.method_mut() = request.method;
    *outgoing.uri_mut() = Uri::from(request.target);
    *outgoing.headers_mut() = request.headers;
    *outgoing.version_mut() = version(settings);
    listen(&mut outgoing, expects_continue.then_some(go_ahead), hears);
    outgoing
}

/// What has its whole content at hand says how long that is, whatever its fields say: a length without as much content would
/// have the origin take the next request for it. Of what is still to come, and nobody knows how long it is, hyper would leave
/// the content out where the method usually has none.
fn say_own_length(request: &mut OriginRequest) {
    let says_something = request.headers.contains_key(header::CONTENT_LENGTH);
    let length = match &request.body {
        Body::Empty => 0,
        Body::Bytes(bytes) => bytes.len(),
        _ if says_something => return,
        _ => {
            let chunked = HeaderValue::from_static("chunked");
            request.headers.insert(header::TRANSFER_ENCODING, chunked);
            return;
        }
    };
    if says_something || length > 0 {
        request.headers.insert(header::CONTENT_LENGTH, length.into());
    }
}

/// Resolves when the origin said 100 (Continue), or has said nothing for `limit`.
fn until(go_ahead: &Arc<Notify>, limit: Duration) -> impl Future<Output = ()> + Send + 'static {
    let go_ahead = Arc::clone(go_ahead);
    async move {
        let _ = tokio::time::timeout(limit, go_ahead.notified()).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_at_hand_is_as_long_as_it_is_said_to_be() {
        let said = |body: Body, length: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            if let Some(length) = length {
                headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static(length));
            }
            let target = PathAndQuery::from_static("/");
            let mut request = OriginRequest { method: Method::POST, target, headers, body };
            say_own_length(&mut request);
            request
                .headers
                .get(header::CONTENT_LENGTH)
                .map(|length| length.to_str().expect("text").to_owned())
        };
        assert_eq!(said(Body::Empty, Some("5")).as_deref(), Some("0"));
        assert_eq!(said(Body::Empty, None), None);
        assert_eq!(said(Body::Bytes("abc".into()), Some("5")).as_deref(), Some("3"));
        assert_eq!(said(Body::Bytes("abc".into()), None).as_deref(), Some("3"));
    }
}
