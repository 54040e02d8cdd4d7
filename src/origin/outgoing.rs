//! A request on its way out: how its content is framed, and what is needed to send it again where that does no harm.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};

use super::OriginRequest;
use super::hear::Hear;
use super::http1::written;
use super::settings::{HttpVersion, Settings};
use crate::body::Body;
use crate::http1::framed::Delimiting;
use crate::semantics::fields;

/// A request that is ready to be sent.
pub(super) struct Outgoing {
    head: Head,
    pub(super) body: Body,
    pub(super) delimiting: Delimiting,
    /// Which trailers may follow.
    announced: Vec<HeaderName>,
    /// It asks for the head of a response alone.
    pub(super) is_head: bool,
    /// It asks to leave HTTP.
    pub(super) leaves_http: bool,
    /// It may be sent twice (RFC 9110 §9.2.2).
    is_idempotent: bool,
    /// How long it waits at most to be told to send its content, if it said that it would (RFC 9110 §10.1.1).
    pub(super) waits_for_100: Option<Duration>,
    /// Who is told of what is said before the answer.
    pub(super) hears: Option<Arc<dyn Hear>>,
}

/// What is needed to send a request once more.
pub(super) struct Spare {
    head: Head,
    is_head: bool,
    leaves_http: bool,
    hears: Option<Arc<dyn Hear>>,
}

/// The head of a request.
#[derive(Clone)]
enum Head {
    /// As HTTP/1 writes it: of a pool that speaks nothing else.
    Written(Bytes),
    /// Of one whose endpoints may be spoken to otherwise.
    Fields(Arc<Fields>),
}

/// What is in a head, and goes out as the version of its connection has it.
pub(super) struct Fields {
    pub(super) method: Method,
    pub(super) target: PathAndQuery,
    pub(super) headers: HeaderMap,
}

impl Outgoing {
    /// `request` as the pool's endpoints may take it; `hears` is told of what is said before its answer.
    pub(super) fn new(mut request: OriginRequest, settings: &Settings, hears: Option<Arc<dyn Hear>>) -> Self {
        let delimiting = say_own_length(&mut request);
        let OriginRequest { method, target, headers, body } = request;
        let has_content = delimiting != Delimiting::None;
        let expects = has_content && headers.contains_key(header::EXPECT);
        Self {
            body,
            delimiting,
            announced: if has_content { announced(&headers) } else { Vec::new() },
            is_head: method == Method::HEAD,
            leaves_http: headers.contains_key(header::UPGRADE),
            is_idempotent: method.is_idempotent(),
            waits_for_100: expects.then_some(settings.continue_timeout),
            hears,
            head: match settings.http_version {
                HttpVersion::Http10 | HttpVersion::Http11 => {
                    Head::Written(written::request(&method, &target, settings.http_version, &headers))
                }
                HttpVersion::Http2 | HttpVersion::Auto => {
                    Head::Fields(Arc::new(Fields { method, target, headers }))
                }
            },
        }
    }

    /// Its head as HTTP/1 has it.
    pub(super) fn written(&self) -> Bytes {
        match &self.head {
            Head::Written(lines) => lines.clone(),
            Head::Fields(fields) => {
                let Fields { method, target, headers } = &**fields;
                written::request(method, target, HttpVersion::Http11, headers)
            }
        }
    }

    /// What is in its head, if it may go out in another version than HTTP/1.
    pub(super) fn fields(&self) -> Option<&Fields> {
        match &self.head {
            Head::Written(_) => None,
            Head::Fields(fields) => Some(fields),
        }
    }

    /// Whether nothing follows its head.
    pub(super) fn has_no_content(&self) -> bool {
        self.delimiting == Delimiting::None
    }

    /// The trailers that were announced, once the content is at its end. What is not announced is not sent: it was not looked
    /// at before.
    pub(super) fn trailers(&self) -> Option<HeaderMap> {
        let came = self.body.trailers().filter(|_| !self.announced.is_empty())?;
        let announced = came.iter().filter(|(name, _)| self.announced.contains(name));
        Some(announced.map(|(name, value)| (name.clone(), value.clone())).collect())
    }

    /// None, if sending it twice may do harm, or its content would be gone (RFC 9110 §9.2.2).
    pub(super) fn spare(&self) -> Option<Spare> {
        let repeatable = self.is_idempotent && matches!(self.body, Body::Empty);
        repeatable.then(|| Spare {
            head: self.head.clone(),
            is_head: self.is_head,
            leaves_http: self.leaves_http,
            hears: self.hears.clone(),
        })
    }
}

impl Spare {
    /// The request once more.
    pub(super) fn again(&self) -> Outgoing {
        Outgoing {
            head: self.head.clone(),
            body: Body::Empty,
            delimiting: Delimiting::None,
            announced: Vec::new(),
            is_head: self.is_head,
            leaves_http: self.leaves_http,
            is_idempotent: true,
            waits_for_100: None,
            hears: self.hears.clone(),
        }
    }
}

/// Not the head: it may have secrets in it.
impl fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outgoing").field("delimiting", &self.delimiting).finish_non_exhaustive()
    }
}

/// What has its whole content at hand says how long that is, whatever its fields say: a length without as much content would
/// have the origin take the next request for it. What is still to come, and nobody knows how long it is, goes in chunks.
fn say_own_length(request: &mut OriginRequest) -> Delimiting {
    let said = fields::announced_length(&request.headers);
    let length = match &request.body {
        Body::Empty => 0,
        Body::Bytes(bytes) => bytes.len() as u64,
        _ => {
            if let Some(length) = said {
                return Delimiting::Length(length);
            }
            request.headers.remove(header::CONTENT_LENGTH);
            request.headers.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
            return Delimiting::Chunked;
        }
    };
    if length > 0 || request.headers.contains_key(header::CONTENT_LENGTH) {
        request.headers.insert(header::CONTENT_LENGTH, length.into());
    }
    if length > 0 { Delimiting::Length(length) } else { Delimiting::None }
}

/// The trailers that are announced and may be.
fn announced(headers: &HeaderMap) -> Vec<HeaderName> {
    fields::list_members(headers, &header::TRAILER)
        .filter_map(|name| HeaderName::from_bytes(name).ok())
        .filter(may_trail)
        .collect()
}

/// Whether a field may follow content: not if it means something only before it (RFC 9110 §6.5.1).
fn may_trail(name: &HeaderName) -> bool {
    const NEVER: [HeaderName; 8] = [
        header::CONTENT_LENGTH,
        header::TRANSFER_ENCODING,
        header::CONTENT_ENCODING,
        header::CONTENT_TYPE,
        header::CONTENT_RANGE,
        header::HOST,
        header::TE,
        header::TRAILER,
    ];
    !NEVER.contains(name) && !fields::is_hop_by_hop(name)
}

#[cfg(test)]
mod tests {
    use http::uri::PathAndQuery;

    use super::*;
    use crate::origin::OriginUrl;

    fn outgoing(method: Method, headers: &[(HeaderName, &'static str)], body: Body) -> Outgoing {
        let url: OriginUrl = "http://127.0.0.1:1".parse().expect("a URL");
        let headers =
            headers.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect();
        let request = OriginRequest { method, target: PathAndQuery::from_static("/a?b"), headers, body };
        Outgoing::new(request, &Settings::new("p", vec![url.into()]), None)
    }

    fn written(method: Method, headers: &[(HeaderName, &'static str)], body: Body) -> String {
        String::from_utf8(outgoing(method, headers, body).written().to_vec()).expect("text")
    }

    #[test]
    fn a_request_is_written_as_it_is() {
        let head = written(Method::GET, &[(header::HOST, "a.test"), (header::ACCEPT, "*/*")], Body::Empty);
        assert_eq!(head, "GET /a?b HTTP/1.1\r\nhost: a.test\r\naccept: */*\r\n\r\n");
    }

    #[test]
    fn content_at_hand_is_as_long_as_it_is_said_to_be() {
        let said = |body: Body, length: Option<&'static str>| {
            let headers: Vec<_> = length.map(|length| (header::CONTENT_LENGTH, length)).into_iter().collect();
            let head = written(Method::POST, &headers, body);
            head.lines().find_map(|line| line.strip_prefix("content-length: ").map(str::to_owned))
        };
        assert_eq!(said(Body::Empty, Some("5")).as_deref(), Some("0"));
        assert_eq!(said(Body::Empty, None), None);
        assert_eq!(said(Body::Bytes("abc".into()), Some("5")).as_deref(), Some("3"));
        assert_eq!(said(Body::Bytes("abc".into()), None).as_deref(), Some("3"));
    }

    #[test]
    fn only_what_is_announced_may_follow_content() {
        let headers =
            [(header::TRAILER, "X-Sum, content-length, Host, connection, x y"), (header::HOST, "a")];
        let with = outgoing(Method::POST, &headers, Body::Bytes("abc".into()));
        assert_eq!(with.announced, [HeaderName::from_static("x-sum")]);
    }

    #[test]
    fn what_may_do_harm_is_not_sent_twice() {
        let spare = |method: Method, body| outgoing(method, &[], body).spare().is_some();
        assert!(spare(Method::GET, Body::Empty) && spare(Method::DELETE, Body::Empty));
        assert!(!spare(Method::POST, Body::Empty) && !spare(Method::PUT, Body::Bytes("abc".into())));
    }
}
