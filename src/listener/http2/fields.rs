//! Fields of HTTP/2 as the rest of the node knows them, and back (RFC 9113 §8).

use bytes::Bytes;
use h2::ext::Protocol;
use http::header::{self, HeaderMap, HeaderValue};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{Method, Response, StatusCode, Version};

use crate::body::message::{Interim, ReplyHead};
use crate::http1::lines::OF_A_CONNECTION;
use crate::listener::refusal::Refusal;

/// RFC 8441 §5.
const WEBSOCKET: &str = "websocket";

/// What a request's head came to.
#[derive(Debug)]
pub struct Head {
    /// The method: of an extended CONNECT, the one by which HTTP/1.1 asks for the same.
    pub method: Method,
    /// The host, as the client names it.
    pub authority: Option<String>,
    /// Path and query.
    pub target: PathAndQuery,
    /// The fields.
    pub headers: HeaderMap,
    /// It wants to leave HTTP (RFC 8441).
    pub wants_tunnel: bool,
    /// It waits to be told to send its content.
    pub waits_for_100: bool,
}

/// Why there is no head.
#[derive(Debug, PartialEq, Eq)]
pub enum Unfit {
    /// The stream is reset as malformed (RFC 9113 §8.1.1).
    Malformed(&'static str),
    /// It is answered.
    Refused(Refusal),
}

/// What the head of a request may have.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of names and values, with what separates them in HTTP/1.1.
    pub bytes: usize,
    /// Fields, each crumb of a cookie being one.
    pub fields: usize,
}

/// The head of a request of which the codec has checked what RFC 9113 §8.2 and §8.3 say of names and pseudo-fields, within
/// these limits.
pub fn head(parts: Parts, limits: Limits) -> Result<Head, Unfit> {
    let Parts { method, uri, mut headers, mut extensions, .. } = parts;
    let uri = uri.into_parts();
    let target = uri.path_and_query.unwrap_or_else(|| PathAndQuery::from_static("/"));
    check_size(target.as_str(), &headers, limits).map_err(Unfit::Refused)?;
    if headers.values().any(|value| has_blank_ends(value.as_bytes())) {
        return Err(Unfit::Malformed("a field's value begins or ends with a blank"));
    }
    let authority = uri.authority.map(|authority| authority.as_str().to_owned());
    tell_length_once(&mut headers)?;
    let is_path = target.as_str().starts_with('/') || target == "*" && method == Method::OPTIONS;
    if !is_path {
        return Err(Unfit::Malformed(":path is no path"));
    }
    join_cookies(&mut headers);
    let waits_for_100 = headers
        .get(header::EXPECT)
        .is_some_and(|expected| expected.as_bytes().eq_ignore_ascii_case(b"100-continue"));
    let tunnel = extensions.remove::<Protocol>();
    let method = match &tunnel {
        None => method,
        Some(protocol) if protocol.as_str() == WEBSOCKET => {
            ask_for_websocket(&mut headers);
            Method::GET
        }
        Some(_) => return Err(Unfit::Refused(Refusal::UnknownProtocol)),
    };
    Ok(Head { method, authority, target, headers, wants_tunnel: tunnel.is_some(), waits_for_100 })
}

fn check_size(target: &str, headers: &HeaderMap, limits: Limits) -> Result<(), Refusal> {
    let separate = b": \r\n".len();
    let lines = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + separate);
    match target.len() {
        _ if headers.len() > limits.fields => Err(Refusal::ManyFields),
        long if long > limits.bytes => Err(Refusal::LongTarget),
        length if length + lines.sum::<usize>() > limits.bytes => Err(Refusal::LargeFields),
        _ => Ok(()),
    }
}

/// RFC 9113 §8.2.1. HTTP/1.1 would take them off, so that two parties read two things.
fn has_blank_ends(value: &[u8]) -> bool {
    let is_blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    is_blank(value.first()) || is_blank(value.last())
}

/// The codec holds clients to the length that they announce, but lets it be said twice, or in an odd way.
fn tell_length_once(headers: &mut HeaderMap) -> Result<(), Unfit> {
    let mut said = headers.get_all(header::CONTENT_LENGTH).iter();
    let Some(length) = said.next() else { return Ok(()) };
    if said.next().is_some() {
        return Err(Unfit::Malformed("it tells its length twice"));
    }
    let digits = length.as_bytes();
    let length = std::str::from_utf8(digits).ok().filter(|_| digits.iter().all(u8::is_ascii_digit));
    let length: u64 =
        length.and_then(|digits| digits.parse().ok()).ok_or(Unfit::Malformed("its length is no number"))?;
    headers.insert(header::CONTENT_LENGTH, length.into());
    Ok(())
}

/// Crumbs become one cookie (RFC 9113 §8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let mut crumbs = headers.get_all(header::COOKIE).iter();
    if crumbs.nth(1).is_none() {
        return;
    }
    let crumbs: Vec<&[u8]> = headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
    // Made of values, it is one.
    if let Ok(whole) = HeaderValue::from_maybe_shared(Bytes::from(crumbs.join(&b"; "[..]))) {
        headers.insert(header::COOKIE, whole);
    }
}

/// What HTTP/1.1 says in place of `:protocol` (RFC 6455 §4.1). The key has to be there, and nobody looks at it here.
fn ask_for_websocket(headers: &mut HeaderMap) {
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static(WEBSOCKET));
    if let Ok(key) = HeaderValue::from_str(&websocket_key()) {
        headers.insert(header::SEC_WEBSOCKET_KEY, key);
    }
}

/// Sixteen random bytes in base64, of which the last digit has four bits that say nothing.
fn websocket_key() -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digit = |of: &[u8]| fastrand::choice(of).copied().map_or('A', char::from);
    (0..21).map(|_| digit(DIGITS)).chain([digit(b"AQgw"), '=', '=']).collect()
}

/// The head of an answer, and whether content may follow it.
pub fn response(head: ReplyHead, length: Option<u64>, is_head: bool) -> (Response<()>, Content) {
    let status = head.status;
    let announced = head.content_length();
    let length = length.or(announced);
    let content = match length {
        _ if is_head || !head.may_have_content() => Content::None,
        Some(length) => Content::Length(length),
        None => Content::Unknown,
    };
    let may_tell = head.may_tell_length();
    let mut headers = head.into_headers();
    strip(&mut headers);
    let told = if content == Content::None { announced } else { length };
    match told.filter(|_| may_tell) {
        Some(length) => drop(headers.insert(header::CONTENT_LENGTH, length.into())),
        None => drop(headers.remove(header::CONTENT_LENGTH)),
    }
    (written(status, headers), content)
}

/// The head of an answer to a request to leave HTTP that may: all that follows is the tunnel's (RFC 8441 §5).
pub fn tunnelled(head: ReplyHead) -> Response<()> {
    let mut headers = head.into_headers();
    strip(&mut headers);
    for name in [header::CONTENT_LENGTH, header::SEC_WEBSOCKET_ACCEPT] {
        headers.remove(name);
    }
    written(StatusCode::OK, headers)
}

/// An answer before the answer.
pub fn interim(interim: Interim) -> Response<()> {
    let Interim { status, mut headers } = interim;
    strip(&mut headers);
    written(status, headers)
}

/// Tells a client to send its content (RFC 9110 §15.2.1).
pub fn go_on() -> Response<()> {
    written(StatusCode::CONTINUE, HeaderMap::new())
}

fn strip(headers: &mut HeaderMap) {
    for name in &OF_A_CONNECTION {
        headers.remove(name);
    }
}

fn written(status: StatusCode, headers: HeaderMap) -> Response<()> {
    let mut response = Response::new(());
    *response.status_mut() = status;
    *response.version_mut() = Version::HTTP_2;
    *response.headers_mut() = headers;
    response
}

/// What follows a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Nothing, whatever the fields say of it.
    None,
    /// So many bytes.
    Length(u64),
    /// Nobody knows how much.
    Unknown,
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    const LIMITS: Limits = Limits { bytes: 100, fields: 4 };

    fn of(request: http::request::Builder) -> Result<Head, Unfit> {
        head(request.version(Version::HTTP_2).body(()).expect("a request").into_parts().0, LIMITS)
    }

    #[test]
    fn crumbs_become_a_cookie() {
        let request =
            Request::get("https://a/").header("cookie", "a=1").header("cookie", "b=2").header("x", "y");
        let head = of(request.header("cookie", "c=3")).expect("a head");
        let cookies: Vec<_> = head.headers.get_all("cookie").iter().collect();
        assert_eq!(cookies, ["a=1; b=2; c=3"]);
        assert_eq!(head.headers.len(), 2);
    }

    #[test]
    fn what_two_would_read_in_two_ways_is_malformed() {
        for value in [" a", "a ", "\ta", "a\t", " "] {
            let request =
                Request::get("https://a/").header("x", HeaderValue::from_str(value).expect("a value"));
            assert!(matches!(of(request), Err(Unfit::Malformed(_))), "{value:?}");
        }
        assert!(of(Request::get("https://a/").header("x", "a b")).is_ok());
        assert!(of(Request::get("https://a/").header("x", "")).is_ok());
        let length = |said: &[&str]| {
            of(said.iter().fold(Request::post("https://a/"), |it, said| it.header("content-length", *said)))
        };
        for said in [&["5", "5"][..], &["+5"], &[""], &["5, 5"], &["99999999999999999999"]] {
            assert!(matches!(length(said), Err(Unfit::Malformed(_))), "{said:?}");
        }
        assert_eq!(length(&["005"]).expect("a head").headers["content-length"], "5");
        assert!(matches!(of(Request::get("*")), Err(Unfit::Malformed(_))));
        assert!(of(Request::options("*")).is_ok());
    }

    #[test]
    fn each_field_counts() {
        let crumbs =
            |times: usize| (0..times).fold(Request::get("https://a/"), |it, _| it.header("cookie", "a"));
        assert!(of(crumbs(4)).is_ok());
        assert_eq!(of(crumbs(5)).expect_err("too many"), Unfit::Refused(Refusal::ManyFields));
    }

    #[test]
    fn what_is_too_large_is_told_so() {
        let large = |length| of(Request::get("https://a/").header("x", "a".repeat(length)));
        assert!(large(100 - "/x: \r\n".len()).is_ok());
        assert_eq!(large(100).expect_err("too large"), Unfit::Refused(Refusal::LargeFields));
        let long = of(Request::get(format!("https://a/{}", "a".repeat(100))));
        assert_eq!(long.expect_err("too long"), Unfit::Refused(Refusal::LongTarget));
    }

    #[test]
    fn a_websocket_is_asked_for_as_http1_does() {
        let connect = |protocol| {
            let request = Request::builder().method(Method::CONNECT).uri("https://a/chat?b");
            of(request.extension(Protocol::from_static(protocol)))
        };
        let head = connect("websocket").expect("a head");
        assert_eq!((head.method, head.wants_tunnel, head.target.as_str()), (Method::GET, true, "/chat?b"));
        let key = head.headers.get("sec-websocket-key").expect("a key").to_str().expect("text");
        assert!(key.len() == 24 && key.ends_with("=="), "{key}");
        assert_eq!(connect("ip").expect_err("unknown"), Unfit::Refused(Refusal::UnknownProtocol));
    }

    #[test]
    fn an_answer_says_nothing_of_connections_and_one_thing_of_its_length() {
        let mut headers = HeaderMap::new();
        for (name, value) in
            [("connection", "close"), ("transfer-encoding", "chunked"), ("content-length", "7"), ("x", "y")]
        {
            headers.insert(name, HeaderValue::from_static(value));
        }
        let of = |status, length, is_head| {
            let (response, content) = response(ReplyHead::new(status, headers.clone()), length, is_head);
            let said =
                response.headers().get("content-length").map(|said| said.to_str().expect("text").to_owned());
            (response.headers().len(), said, content)
        };
        let seven = || Some("7".to_owned());
        assert_eq!(of(StatusCode::OK, Some(7), false), (2, seven(), Content::Length(7)));
        assert_eq!(of(StatusCode::OK, None, false), (2, seven(), Content::Length(7)));
        assert_eq!(of(StatusCode::OK, Some(0), true), (2, seven(), Content::None));
        assert_eq!(of(StatusCode::NOT_MODIFIED, None, false), (2, seven(), Content::None));
        assert_eq!(of(StatusCode::NO_CONTENT, Some(0), false), (1, None, Content::None));
    }
}
