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
use crate::body::busy::Reader;
use crate::http1::framed::Delimiting;
use crate::semantics::{fields, validation};

/// A request that is ready to be sent.
#[allow(clippy::struct_excessive_bools, reason = "each is what the request is or asks for, on its own")]
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
    /// Its content was sent before, and is sent again from its beginning.
    pub(super) is_replay: bool,
    /// How long it waits at most to be told to send its content, if it said that it would (RFC 9110 §10.1.1).
    pub(super) waits_for_100: Option<Duration>,
    /// Who is told of what is said before the answer.
    pub(super) hears: Option<Arc<dyn Hear>>,
}

/// What is needed to send a request once more.
pub(super) struct Spare {
    head: Head,
    content: Kept,
    delimiting: Delimiting,
    announced: Vec<HeaderName>,
    is_head: bool,
    leaves_http: bool,
    hears: Option<Arc<dyn Hear>>,
}

/// Content that can be had once more.
enum Kept {
    Nothing,
    Bytes(Bytes),
    /// A reader that stays at the first byte, so that nothing is let go of what others have taken.
    Busy(Reader),
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
        let announced = announced(&request.headers);
        let delimiting = say_own_length(&mut request, &announced);
        let OriginRequest { method, target, headers, body } = request;
        let has_content = delimiting != Delimiting::None;
        let expects = has_content && headers.contains_key(header::EXPECT);
        Self {
            body,
            delimiting,
            announced: if has_content { announced } else { Vec::new() },
            is_replay: false,
            is_head: method == Method::HEAD,
            leaves_http: headers.contains_key(header::UPGRADE),
            is_idempotent: may_be_repeated(&method, &headers),
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
    /// Content that is all here is kept until the result is dropped.
    pub(super) fn spare(&self) -> Option<Spare> {
        if !self.is_idempotent {
            return None;
        }
        let content = match &self.body {
            Body::Empty => Kept::Nothing,
            Body::Bytes(bytes) => Kept::Bytes(bytes.clone()),
            Body::Busy(reader) if reader.whole_length().is_some() => Kept::Busy(reader.body().reader()?),
            _ => return None,
        };
        Some(Spare {
            head: self.head.clone(),
            content,
            delimiting: self.delimiting,
            announced: self.announced.clone(),
            is_head: self.is_head,
            leaves_http: self.leaves_http,
            hears: self.hears.clone(),
        })
    }
}

impl Spare {
    /// The request once more, as long as nobody has given up its content.
    pub(super) fn again(&self) -> Option<Box<Outgoing>> {
        let body = match &self.content {
            Kept::Nothing => Body::Empty,
            Kept::Bytes(bytes) => Body::Bytes(bytes.clone()),
            Kept::Busy(parked) => Body::Busy(parked.body().reader()?),
        };
        Some(Box::new(Outgoing {
            head: self.head.clone(),
            is_replay: !matches!(body, Body::Empty),
            body,
            delimiting: self.delimiting,
            announced: self.announced.clone(),
            is_head: self.is_head,
            leaves_http: self.leaves_http,
            is_idempotent: true,
            waits_for_100: None,
            hears: self.hears.clone(),
        }))
    }
}

/// Not the head: it may have secrets in it.
impl fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outgoing").field("delimiting", &self.delimiting).finish_non_exhaustive()
    }
}

/// What has its whole content at hand says how long that is, whatever its fields say: a length without as much content would
/// have the origin take the next request for it. Nor does it wait to be told to send it. What is still to come, and nobody
/// knows how long it is, goes in chunks, and so does what has trailers among those that are `announced`.
fn say_own_length(request: &mut OriginRequest, announced: &[HeaderName]) -> Delimiting {
    let at_hand = match &request.body {
        Body::Busy(reader) => reader.whole_length(),
        other => other.known_length(),
    };
    let Some(length) = at_hand else {
        return match fields::announced_length(&request.headers) {
            Some(length) => Delimiting::Length(length),
            None => in_chunks(request),
        };
    };
    request.headers.remove(header::EXPECT);
    let came_behind = matches!(request.body, Body::Busy(_));
    if came_behind && !announced.is_empty() && request.body.trailers().is_some() {
        return in_chunks(request);
    }
    if came_behind {
        request.headers.remove(header::TRAILER);
    }
    if came_behind || length > 0 || request.headers.contains_key(header::CONTENT_LENGTH) {
        request.headers.insert(header::CONTENT_LENGTH, length.into());
    }
    if length == 0 {
        request.body = Body::Empty;
        return Delimiting::None;
    }
    Delimiting::Length(length)
}

fn in_chunks(request: &mut OriginRequest) -> Delimiting {
    request.headers.remove(header::CONTENT_LENGTH);
    request.headers.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    Delimiting::Chunked
}

/// Whether a request may be sent twice (RFC 9110 §9.2.2). Not one that changes something on a condition: its own first time may
/// be what the second fails for.
fn may_be_repeated(method: &Method, headers: &HeaderMap) -> bool {
    method.is_idempotent() && (method.is_safe() || !headers.keys().any(validation::is_conditional))
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
    use crate::body::budget::Budget;
    use crate::body::busy::{BusyBody, Means, Retention, SpillArea, Writer};
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
        assert!(spare(Method::PUT, Body::Bytes("abc".into())));
        assert!(!spare(Method::POST, Body::Empty) && !spare(Method::POST, Body::Bytes("abc".into())));
    }

    fn upload() -> (Writer, Reader) {
        let (budget, spill) = (Budget::new(1 << 20), SpillArea::new("/nowhere".into(), 0));
        let (_, writer, reader) =
            BusyBody::with_reader(Means { budget, spill, window: 1 << 16 }, Retention::Spool);
        (writer, reader)
    }

    #[tokio::test]
    async fn content_that_is_still_to_come_is_gone_once_it_was_sent_and_is_called_for() {
        let (mut writer, reader) = upload();
        writer.append("abc".into()).await.expect("room");
        let expecting = [(header::EXPECT, "100-continue")];
        let coming = outgoing(Method::PUT, &expecting, Body::Busy(reader));
        assert!(coming.spare().is_none() && coming.waits_for_100.is_some());
        assert_eq!(coming.delimiting, Delimiting::Chunked);
    }

    #[tokio::test]
    async fn content_that_is_here_can_be_had_again_and_is_not_waited_for() {
        let (mut writer, reader) = upload();
        let body = reader.body();
        writer.append("abc".into()).await.expect("room");
        writer.finish(None);
        let said = [(header::EXPECT, "100-continue"), (header::TRAILER, "x-sum")];
        let mut first = outgoing(Method::PUT, &said, Body::Busy(reader));
        assert!(first.waits_for_100.is_none() && first.delimiting == Delimiting::Length(3));
        let head = String::from_utf8(first.written().to_vec()).expect("text");
        assert!(!head.contains("expect") && !head.contains("trailer"), "{head}");
        let spare = first.spare().expect("a spare");
        assert_eq!(taken(&mut first).await, "abc");
        for _ in 0..2 {
            let mut again = spare.again().expect("once more");
            assert!(again.is_replay && again.delimiting == Delimiting::Length(3));
            assert_eq!(taken(&mut again).await, "abc");
        }
        drop(spare);
        assert_eq!(body.means().budget.used(), 0, "it is let go with the spare");
    }

    async fn taken(outgoing: &mut Outgoing) -> String {
        let mut taken = Vec::new();
        while let Some(bytes) = std::future::poll_fn(|cx| outgoing.body.poll_next(cx)).await {
            taken.extend_from_slice(&bytes.expect("whole"));
        }
        String::from_utf8(taken).expect("text")
    }

    #[tokio::test]
    async fn trailers_that_came_and_may_go_keep_content_in_chunks() {
        for (announced, delimiting) in [("x-sum", Delimiting::Chunked), ("host", Delimiting::Length(3))] {
            let (mut writer, reader) = upload();
            writer.append("abc".into()).await.expect("room");
            let sum = (HeaderName::from_static("x-sum"), HeaderValue::from_static("1"));
            writer.finish(Some(HeaderMap::from_iter([sum])));
            let with = outgoing(Method::POST, &[(header::TRAILER, announced)], Body::Busy(reader));
            assert_eq!(with.delimiting, delimiting, "{announced}");
        }
    }

    #[tokio::test]
    async fn content_that_turned_out_empty_is_none_and_says_so() {
        let (writer, reader) = upload();
        writer.finish(None);
        let empty = outgoing(Method::POST, &[], Body::Busy(reader));
        assert!(empty.has_no_content() && matches!(empty.body, Body::Empty));
        let head = String::from_utf8(empty.written().to_vec()).expect("text");
        assert!(head.contains("content-length: 0"), "{head}");
    }
}
