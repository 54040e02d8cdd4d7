//! Bytes to the head of a request: httparse for the syntax, the rest of RFC 9112 here, read strictly.

use std::mem::MaybeUninit;

use bytes::{Buf, Bytes};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, Version};
use httparse::Status;

use super::framing::{Claims, Framing};
use crate::http1::lines::all_end_in_crlf;
use crate::listener::Settings;
use crate::listener::refusal::Refusal;

/// Fields for which there is room on the stack; heads with more are parsed once more with room from the heap.
const FEW_FIELDS: usize = 48;

/// Room in a request's fields for those that are added on the way.
const SPARE_FIELDS: usize = 2;

/// The head of a request, with what it says about the connection taken out.
#[derive(Debug)]
pub struct Head {
    /// The method.
    pub method: Method,
    /// The version that the client speaks.
    pub version: Version,
    /// What it asks for.
    pub target: Target,
    /// All field lines, in order.
    pub headers: HeaderMap,
    /// How its content is framed.
    pub framing: Framing,
    /// Whether the client would go on with the connection.
    pub persists: bool,
    /// Whether the client waits to be told that its content is wanted. HTTP/1.0 knows no such thing.
    pub waits_for_100: bool,
    /// Whether the client offers to leave HTTP, which one of HTTP/1.0 cannot.
    pub offers_upgrade: bool,
}

/// A request target (RFC 9112 §3.2).
#[derive(Debug)]
pub struct Target {
    /// Of the absolute form, and of CONNECT.
    pub authority: Option<String>,
    /// Path and query, byte for byte.
    pub path: PathAndQuery,
}

/// Takes the next head off the beginning of `input`; `None` if its end has not come yet.
///
/// Empty lines before a request are passed over (RFC 9112 §2.2).
pub fn take(input: &mut Bytes, settings: &Settings) -> Result<Option<Head>, Refusal> {
    while input.starts_with(b"\r\n") {
        input.advance(2);
    }
    let mut few = [const { MaybeUninit::uninit() }; FEW_FIELDS];
    let parsed = match parse(input, &mut few, settings) {
        Err(httparse::Error::TooManyHeaders) if settings.max_fields > FEW_FIELDS => {
            let mut many = vec![MaybeUninit::uninit(); settings.max_fields];
            parse(input, &mut many, settings)
        }
        parsed => parsed,
    };
    let Some((head, length)) = parsed.map_err(|error| refusal(error, input))?? else { return Ok(None) };
    input.advance(length);
    Ok(Some(head))
}

/// A head and its bytes. The outer error is one of syntax, as httparse tells it.
type Parsed = Result<Result<Option<(Head, usize)>, Refusal>, httparse::Error>;

fn parse<'i>(
    input: &'i Bytes,
    room: &mut [MaybeUninit<httparse::Header<'i>>],
    settings: &Settings,
) -> Parsed {
    let mut request = httparse::Request::new(&mut []);
    let within = input.get(..settings.max_head).unwrap_or(input);
    Ok(match request.parse_with_uninit_headers(within, room)? {
        Status::Complete(length) => {
            understand(input, &request, length, settings).map(|head| Some((head, length)))
        }
        Status::Partial if input.len() >= settings.max_head => Err(too_long(within)),
        Status::Partial => Ok(None),
    })
}

fn understand(
    input: &Bytes,
    request: &httparse::Request<'_, '_>,
    length: usize,
    settings: &Settings,
) -> Result<Head, Refusal> {
    if request.headers.len() > settings.max_fields {
        return Err(Refusal::ManyFields);
    }
    if !all_end_in_crlf(input.get(..length).unwrap_or_default()) {
        return Err(Refusal::Malformed("a line does not end in CR LF"));
    }
    let version = if request.version == Some(1) { Version::HTTP_11 } else { Version::HTTP_10 };
    let method = Method::from_bytes(request.method.unwrap_or_default().as_bytes())
        .map_err(|_| Refusal::Malformed("its method is no token"))?;
    let target = target(input, request.path.unwrap_or_default(), &method)?;
    let mut claims = Claims::default();
    let mut headers = HeaderMap::with_capacity(request.headers.len() + SPARE_FIELDS);
    for field in request.headers.iter() {
        let name = HeaderName::from_bytes(field.name.as_bytes())
            .map_err(|_| Refusal::Malformed("the name of a field is no token"))?;
        let value = HeaderValue::from_maybe_shared(input.slice_ref(field.value))
            .map_err(|_| Refusal::Malformed("the value of a field has control characters"))?;
        claims.note(&name, field.value);
        headers.append(name, value);
    }
    let framing = claims.framing(version)?;
    let is_11 = version == Version::HTTP_11;
    Ok(Head {
        method,
        version,
        target,
        headers,
        framing,
        persists: claims.persists(version),
        waits_for_100: is_11 && claims.waits_for_100,
        offers_upgrade: is_11 && claims.offers_upgrade,
    })
}

/// RFC 9112 §3.2.
fn target(input: &Bytes, text: &str, method: &Method) -> Result<Target, Refusal> {
    const WRONG: Refusal = Refusal::Malformed("its target is no path and no URL");
    if text.contains('#') {
        // `http` would drop it: others route by it.
        return Err(Refusal::Malformed("its target has a fragment"));
    }
    let bytes = input.slice_ref(text.as_bytes());
    if text.starts_with('/') || (text == "*" && *method == Method::OPTIONS) {
        let path = PathAndQuery::from_maybe_shared(bytes).map_err(|_| WRONG)?;
        return Ok(Target { authority: None, path });
    }
    let uri = Uri::from_maybe_shared(bytes).map_err(|_| WRONG)?;
    let authority = uri.authority().map(|authority| authority.as_str().to_owned()).ok_or(WRONG)?;
    let fits = match uri.scheme_str() {
        Some("http" | "https") => *method != Method::CONNECT,
        Some(_) => false,
        None => *method == Method::CONNECT,
    };
    if !fits {
        return Err(WRONG);
    }
    let path = uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
    Ok(Target { authority: Some(authority), path })
}

/// What is too long about a head that has no end within the limit.
fn too_long(within: &[u8]) -> Refusal {
    if memchr::memchr(b'\n', within).is_some() { Refusal::LargeFields } else { Refusal::LongTarget }
}

/// Whether the third word of the first line, and the last one, is a version of HTTP.
fn names_a_version(input: &[u8]) -> bool {
    let line = input.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let mut words = line.split(|byte| *byte == b' ');
    words.nth(2).is_some_and(|word| word.starts_with(b"HTTP/")) && words.next().is_none()
}

fn refusal(error: httparse::Error, input: &[u8]) -> Refusal {
    match error {
        httparse::Error::TooManyHeaders => Refusal::ManyFields,
        httparse::Error::Version if names_a_version(input) => Refusal::Version,
        httparse::Error::Version => Refusal::Malformed("its first line is none of a request"),
        httparse::Error::HeaderName => Refusal::Malformed("the name of a field is no token"),
        httparse::Error::HeaderValue => Refusal::Malformed("the value of a field has control characters"),
        httparse::Error::NewLine => Refusal::Malformed("a line does not end in CR LF"),
        httparse::Error::Token | httparse::Error::Status => {
            Refusal::Malformed("its first line is none of a request")
        }
    }
}
