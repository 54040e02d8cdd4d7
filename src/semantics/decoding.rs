//! Content that an origin sent coded, for clients that do not take its coding (RFC 9110 §8.4, §12.5.3).

use http::header::{ACCEPT_RANGES, CONTENT_ENCODING, CONTENT_LENGTH, ETAG};
use http::{HeaderMap, StatusCode};

use super::coded_tag::{IDENTITY, coded_tag};
use super::coding::{self, Coding};
use super::compression::{ABOUT_BYTES, forbids_transforms, vary};
use super::etag::ETag;
use super::fields::list_members;

/// The coding that can be taken off an answer with these fields: its only one, and one that this cache knows. Not of parts,
/// nor where transforming is forbidden.
pub fn decodable(status: StatusCode, fields: &HeaderMap) -> Option<Coding> {
    let mut codings = list_members(fields, &CONTENT_ENCODING);
    let only = codings.next().filter(|_| codings.next().is_none())?;
    let coding = Coding::named(only)?;
    (status != StatusCode::PARTIAL_CONTENT && !forbids_transforms(fields)).then_some(coding)
}

/// Whether a request takes content whose coding was taken off: it refuses neither content in none nor transforming (RFC 9111
/// §5.2.1.6).
pub fn takes_plain(request: &HeaderMap) -> bool {
    coding::weight_of_plain(request).is_none_or(|weight| weight > 0) && !forbids_transforms(request)
}

/// Makes the fields of coded content those of the same content without its coding, whose bytes nobody knows beforehand: it has
/// no length, no digests, no parts and a weak validator of its own.
pub fn as_decoded(fields: &mut HeaderMap) {
    for name in [CONTENT_ENCODING, CONTENT_LENGTH, ACCEPT_RANGES].iter().chain(&ABOUT_BYTES) {
        fields.remove(name);
    }
    match ETag::of(fields).and_then(|tag| coded_tag(tag, IDENTITY, None)) {
        Some(tag) => drop(fields.insert(ETAG, tag)),
        None => drop(fields.remove(ETAG)),
    }
    vary(fields);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::semantics::testing::fields;

    #[test]
    fn one_coding_that_is_known_is_taken_off() {
        let of = |status, lines: &[(&'static str, &str)]| decodable(status, &fields(lines));
        assert_eq!(of(StatusCode::OK, &[("content-encoding", "x-GZip")]), Some(Coding::Gzip));
        assert_eq!(of(StatusCode::NOT_FOUND, &[("content-encoding", "br")]), Some(Coding::Brotli));
        assert_eq!(of(StatusCode::PARTIAL_CONTENT, &[("content-encoding", "br")]), None);
        for other in ["gzip, br", "deflate", "", "gzip;q=1"] {
            assert_eq!(of(StatusCode::OK, &[("content-encoding", other)]), None, "{other}");
        }
        let kept = [("content-encoding", "zstd"), ("cache-control", "max-age=1, No-Transform")];
        assert_eq!(of(StatusCode::OK, &kept), None);
    }

    #[test]
    fn who_refuses_plain_content_gets_none() {
        for yes in ["", "br", "identity;q=0.1", "*;q=0, identity", "gzip;q=0"] {
            assert!(takes_plain(&fields(&[("accept-encoding", yes)])), "{yes}");
        }
        for no in ["identity;q=0", "br, *;q=0", "*;q=0"] {
            assert!(!takes_plain(&fields(&[("accept-encoding", no)])), "{no}");
        }
        assert!(takes_plain(&HeaderMap::new()));
        assert!(!takes_plain(&fields(&[("cache-control", "no-transform")])));
    }

    #[test]
    fn nothing_of_the_coded_bytes_is_said_of_the_plain() {
        let mut of = fields(&[
            ("content-encoding", "gzip"),
            ("content-length", "9"),
            ("accept-ranges", "bytes"),
            ("repr-digest", "sha-256=:AA==:"),
            ("etag", "\"v1\""),
            ("content-type", "text/plain"),
        ]);
        as_decoded(&mut of);
        let expected =
            [("content-type", "text/plain"), ("etag", "W/\"v1~identity\""), ("vary", "accept-encoding")];
        assert_eq!(of, fields(&expected));
    }
}
