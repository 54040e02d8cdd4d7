//! Bytes to the head of a response: httparse for the syntax, and what it says of its content gathered on the way.

use std::mem::MaybeUninit;

use bytes::{Buf, Bytes};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version};
use httparse::Status;

use super::Broken;
use super::framing::Claims;

/// Fields for which there is room on the stack; heads with more are parsed once more with room from the heap.
const FEW_FIELDS: usize = 48;

/// Most fields: more than any response has a use for. What they may be long is a limit by itself.
const MAX_FIELDS: usize = 512;

/// Room for the fields that are added to what is passed on.
const SPARE_FIELDS: usize = 8;

/// The head of a response.
#[derive(Debug)]
pub struct Head {
    /// The status, of interim responses as well.
    pub status: StatusCode,
    /// All field lines, in order.
    pub headers: HeaderMap,
    /// What they say of the content and of the connection.
    pub claims: Claims,
}

/// Takes the next head off the beginning of `input`; `None` if its end has not come yet. It may have `max_head` bytes.
///
/// Lines may end in a line feed alone (RFC 9112 §2.2): old programs write them so, and there is nobody behind this node
/// who would read them otherwise.
pub fn take(input: &mut Bytes, max_head: usize) -> Result<Option<Head>, Broken> {
    let mut few = [const { MaybeUninit::uninit() }; FEW_FIELDS];
    let parsed = match parse(input, &mut few, max_head) {
        Err(httparse::Error::TooManyHeaders) => {
            let mut many = vec![MaybeUninit::uninit(); MAX_FIELDS];
            parse(input, &mut many, max_head)
        }
        parsed => parsed,
    };
    let Some((head, length)) = parsed.map_err(what_is_wrong)?? else { return Ok(None) };
    input.advance(length);
    Ok(Some(head))
}

/// A head and its bytes. The outer error is one of syntax, as httparse tells it.
type Parsed = Result<Result<Option<(Head, usize)>, Broken>, httparse::Error>;

fn parse<'i>(input: &'i Bytes, room: &mut [MaybeUninit<httparse::Header<'i>>], max_head: usize) -> Parsed {
    let mut response = httparse::Response::new(&mut []);
    let within = input.get(..max_head).unwrap_or(input);
    let config = httparse::ParserConfig::default();
    Ok(match config.parse_response_with_uninit_headers(&mut response, within, room)? {
        Status::Complete(length) => understand(input, &response).map(|head| Some((head, length))),
        Status::Partial if input.len() >= max_head => Err(Broken::LargeHead),
        Status::Partial => Ok(None),
    })
}

fn understand(input: &Bytes, response: &httparse::Response<'_, '_>) -> Result<Head, Broken> {
    let status = response.code.and_then(|code| StatusCode::from_u16(code).ok());
    let status = status.ok_or(Broken::Malformed("its status is none"))?;
    let version = if response.version == Some(1) { Version::HTTP_11 } else { Version::HTTP_10 };
    let mut claims = Claims::of(version);
    let mut headers = HeaderMap::with_capacity(response.headers.len() + SPARE_FIELDS);
    for field in response.headers.iter() {
        let name = HeaderName::from_bytes(field.name.as_bytes())
            .map_err(|_| Broken::Malformed("the name of a field is no token"))?;
        let value = HeaderValue::from_maybe_shared(input.slice_ref(field.value))
            .map_err(|_| Broken::Malformed("the value of a field has control characters"))?;
        claims.note(&name, field.value);
        headers.append(name, value);
    }
    Ok(Head { status, headers, claims })
}

fn what_is_wrong(error: httparse::Error) -> Broken {
    match error {
        httparse::Error::TooManyHeaders => Broken::LargeHead,
        httparse::Error::Version => Broken::Malformed("its version is none of HTTP/1"),
        httparse::Error::HeaderName => Broken::Malformed("the name of a field is no token"),
        httparse::Error::HeaderValue => Broken::Malformed("the value of a field has control characters"),
        httparse::Error::NewLine => Broken::Malformed("a line does not end in CR LF"),
        httparse::Error::Token | httparse::Error::Status => {
            Broken::Malformed("its first line is none of a response")
        }
    }
}
