//! Answers that are parts of a representation (RFC 9110 §14, §15.3.7).

use std::collections::VecDeque;
use std::ops::Range;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};

use super::For;
use crate::body::Body;
use crate::body::multipart::{Multipart, Source};
use crate::semantics::ranges::{self, ContentRange, Part, Resolved};

/// What speaks of the content that is sent, and is not true of a part of it (RFC 9530 §2).
const OF_WHOLE_CONTENT: [HeaderName; 2] =
    [HeaderName::from_static("content-digest"), HeaderName::from_static("content-md5")];

impl For<'_> {
    /// Whether the first part of what the client has may be one of a coding of this: only a date says what it is of.
    fn may_hold_a_coding(&self, status: StatusCode, headers: &HeaderMap, length: u64) -> bool {
        let rules = &self.ask.policy.compression;
        !rules.codings.is_empty()
            && ranges::is_by_date(&self.ask.headers)
            && rules.for_request(&self.ask.headers).is_some()
            && rules.covers(status, headers, Some(length))
    }

    /// What of a representation the client gets where a GET without `Range` would get all of it, with these fields. Asked
    /// after the conditions (RFC 9110 §13.2.2). The whole, where its length is not known yet.
    pub(super) fn wants(&self, status: StatusCode, headers: &HeaderMap, length: Option<u64>) -> Resolved {
        let request = &self.ask.headers;
        // The one look that an answer with the whole costs.
        if !request.contains_key(header::RANGE) {
            return Resolved::Whole;
        }
        if status != StatusCode::OK || self.ask.method != Method::GET {
            return Resolved::Whole;
        }
        let Some((length, asked)) = length.zip(ranges::asked(request)) else { return Resolved::Whole };
        if !ranges::if_range_holds(request, headers) || self.may_hold_a_coding(status, headers, length) {
            return Resolved::Whole;
        }
        match asked.resolve(length, self.ask.policy.max_ranges) {
            // `Content-Encoding` would speak of the framing as well, which is not coded.
            Resolved::Parts(parts) if parts.len() > 1 && headers.contains_key(header::CONTENT_ENCODING) => {
                Resolved::Whole
            }
            resolved => resolved,
        }
    }
}

/// How parts of a representation are put into an answer.
pub(super) struct Cut {
    parts: Vec<Part>,
    /// For more than one part: what stands before each, and at the end.
    framing: Option<(Vec<Bytes>, Bytes)>,
}

impl Cut {
    /// Makes the fields of a 200 those of a 206 with these parts of `complete` bytes: `Content-Range` for one of them, a
    /// multipart type for several, and the length of what will be sent.
    pub(super) fn new(parts: Vec<Part>, complete: u64, headers: &mut HeaderMap) -> Self {
        for name in &OF_WHOLE_CONTENT {
            headers.remove(name);
        }
        let of_parts: u64 = parts.iter().map(|part| part.length()).sum();
        if let [only] = parts.as_slice() {
            headers.insert(header::CONTENT_RANGE, ContentRange::Part(*only, Some(complete)).field());
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(of_parts));
            return Self { parts, framing: None };
        }
        // So long that no content holds it by chance, and nobody can have put it there.
        let boundary = format!("{:032x}", fastrand::u128(..));
        let content_type = headers.get(header::CONTENT_TYPE);
        let before: Vec<Bytes> = parts
            .iter()
            .enumerate()
            .map(|(index, part)| {
                let said = ContentRange::Part(*part, Some(complete)).field();
                before_part(index == 0, &boundary, content_type, &said)
            })
            .collect();
        let end = Bytes::from(format!("\r\n--{boundary}--\r\n"));
        let framing: usize = before.iter().map(Bytes::len).sum::<usize>() + end.len();
        let of_all = format!("multipart/byteranges; boundary={boundary}");
        let of_all =
            HeaderValue::try_from(of_all).unwrap_or(HeaderValue::from_static("multipart/byteranges"));
        headers.insert(header::CONTENT_TYPE, of_all);
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(of_parts + framing as u64));
        Self { parts, framing: Some((before, end)) }
    }

    /// Where the parts lie, one after the other.
    pub(super) fn ranges(&self) -> VecDeque<Range<u64>> {
        self.parts.iter().map(|part| part.range()).collect()
    }

    /// The content, of a source that gives the bytes of [`Cut::ranges`].
    pub(super) fn body(self, source: Source) -> Body {
        match (self.framing, source) {
            (None, Source::Blocks(blocks)) => Body::Blocks(blocks),
            (None, Source::Busy(reader)) => Body::Busy(reader),
            (Some((before, end)), source) => {
                let lengths = self.parts.iter().map(|part| part.length());
                Body::Multipart(Box::new(Multipart::new(before.into_iter().zip(lengths), end, source)))
            }
        }
    }
}

/// The delimiter and the fields of one part (RFC 9110 §15.3.7.2).
fn before_part(
    first: bool,
    boundary: &str,
    content_type: Option<&HeaderValue>,
    range: &HeaderValue,
) -> Bytes {
    let mut text = Vec::with_capacity(160);
    if !first {
        text.extend_from_slice(b"\r\n");
    }
    text.extend_from_slice(format!("--{boundary}\r\n").as_bytes());
    for (name, value) in [("Content-Type: ", content_type), ("Content-Range: ", Some(range))] {
        if let Some(value) = value {
            text.extend_from_slice(name.as_bytes());
            text.extend_from_slice(value.as_bytes());
            text.extend_from_slice(b"\r\n");
        }
    }
    text.extend_from_slice(b"\r\n");
    text.into()
}
