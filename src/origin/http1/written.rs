//! The head of a request as HTTP/1 writes it (RFC 9112 §3).

use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use crate::http1::lines::all_fields;
use crate::origin::settings::HttpVersion;

/// The first line, a line for each field, and the empty one.
pub(in crate::origin) fn request(
    method: &Method,
    target: &PathAndQuery,
    version: HttpVersion,
    headers: &HeaderMap,
) -> Bytes {
    let mut head = Vec::with_capacity(room_for(headers) + target.as_str().len());
    head.extend_from_slice(method.as_str().as_bytes());
    head.push(b' ');
    head.extend_from_slice(target.as_str().as_bytes());
    head.extend_from_slice(if version == HttpVersion::Http10 { b" HTTP/1.0\r\n" } else { b" HTTP/1.1\r\n" });
    all_fields(&mut head, headers);
    head.extend_from_slice(b"\r\n");
    head.into()
}

/// Bytes that a head takes at most beside its target.
fn room_for(headers: &HeaderMap) -> usize {
    const FIRST_AND_LAST_LINE: usize = 32;
    let line =
        |(name, value): (&HeaderName, &HeaderValue)| name.as_str().len() + value.len() + b": \r\n".len();
    FIRST_AND_LAST_LINE + headers.iter().map(line).sum::<usize>()
}
