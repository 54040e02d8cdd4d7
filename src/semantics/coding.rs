//! Whether a client takes the codings of a stored response (RFC 9110 §8.4, §12.5.3).

use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING};
use http::{HeaderMap, HeaderValue};

use super::fields::{line_members, list_members};

/// Whether a response with these fields may go to a client that sent this request: each coding in the
/// response's `Content-Encoding` that is registered must be acceptable by the request's `Accept-Encoding` (RFC 9110 §12.5.3).
///
/// An uncoded response always may. A request without `Accept-Encoding` is read as taking only uncoded
/// ones: the RFC would allow any coding, but clients that leave the field out seldom decode. A coding is
/// refused by `q=0`, by a weight that is malformed, or by any of several mentions.
pub fn accepts_coding(request: &HeaderMap, response: &HeaderMap) -> bool {
    accepts_coded(request, response.get_all(CONTENT_ENCODING).iter().map(HeaderValue::as_bytes))
}

/// The same of a response with these lines of `Content-Encoding`.
pub fn accepts_coded<'a>(request: &HeaderMap, lines: impl IntoIterator<Item = &'a [u8]>) -> bool {
    let mut codings = lines.into_iter().flat_map(line_members);
    codings.all(|coding| !is_coding(coding) || accepts(request, plain_name(coding)))
}

/// Whether this is a content coding that is registered, and so one that a client could take or not (RFC 9110 §8.4.1).
/// Anything else is a word of the origin's own, for which no client asks: it goes to all as it comes, as it would
/// without a cache.
fn is_coding(name: &[u8]) -> bool {
    const REGISTERED: [&[u8]; 10] = [
        b"aes128gcm",
        b"br",
        b"compress",
        b"dcb",
        b"dcz",
        b"deflate",
        b"exi",
        b"gzip",
        b"pack200-gzip",
        b"zstd",
    ];
    REGISTERED.iter().any(|coding| coding.eq_ignore_ascii_case(plain_name(name)))
}

/// Whether `Accept-Encoding` takes this one coding: by its name, else by `*`.
fn accepts(request: &HeaderMap, coding: &[u8]) -> bool {
    let mut by_name = None;
    let mut by_star = None;
    for preference in list_members(request, &ACCEPT_ENCODING).map(Preference::split) {
        let mention = if plain_name(preference.coding).eq_ignore_ascii_case(coding) {
            &mut by_name
        } else if preference.coding == b"*" {
            &mut by_star
        } else {
            continue;
        };
        *mention = Some(preference.accepted && mention.unwrap_or(true));
    }
    by_name.or(by_star).unwrap_or(false)
}

/// One member of `Accept-Encoding`.
struct Preference<'a> {
    coding: &'a [u8],
    accepted: bool,
}

impl<'a> Preference<'a> {
    fn split(member: &'a [u8]) -> Self {
        let mut parts = member.splitn(2, |byte| *byte == b';').map(<[u8]>::trim_ascii);
        let coding = parts.next().unwrap_or_default();
        Self { coding, accepted: parts.next().is_none_or(is_positive_weight) }
    }
}

/// Whether this is `q=` and a well-formed weight above zero (RFC 9110 §12.4.2).
fn is_positive_weight(parameter: &[u8]) -> bool {
    let Some((b'q' | b'Q', [b'=', weight @ ..])) = parameter.split_first() else { return false };
    match weight {
        [b'1'] | [b'1', b'.'] => true,
        [b'1', b'.', zeros @ ..] => zeros.len() <= 3 && zeros.iter().all(|digit| *digit == b'0'),
        [b'0', b'.', digits @ ..] => {
            digits.len() <= 3
                && digits.iter().all(u8::is_ascii_digit)
                && digits.iter().any(|digit| *digit != b'0')
        }
        _ => false,
    }
}

/// The coding without the `x-` that old senders write (RFC 9110 §8.4.1).
fn plain_name(coding: &[u8]) -> &[u8] {
    match coding {
        [b'x' | b'X', b'-', plain @ ..]
            if plain.eq_ignore_ascii_case(b"gzip") || plain.eq_ignore_ascii_case(b"compress") =>
        {
            plain
        }
        _ => coding,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::semantics::testing::{fields, repeated};

    fn accepts(accept: &str, coding: &str) -> bool {
        let request = fields(&[("accept-encoding", accept)]);
        accepts_coding(&request, &fields(&[("content-encoding", coding)]))
    }

    #[test]
    fn an_uncoded_response_always_may() {
        let nothing = HeaderMap::new();
        assert!(accepts_coding(&nothing, &nothing));
        assert!(accepts_coding(&fields(&[("accept-encoding", "identity;q=0")]), &nothing));
        assert!(accepts_coding(&nothing, &fields(&[("content-encoding", "identity")])));
    }

    #[test]
    fn a_coded_one_must_be_asked_for() {
        assert!(!accepts_coding(&HeaderMap::new(), &fields(&[("content-encoding", "gzip")])));
        assert!(!accepts("", "gzip"));
        assert!(!accepts("br", "gzip"));
        assert!(accepts("br, GZIP", "gzip"));
        assert!(accepts("x-gzip", "gzip"));
        assert!(accepts("gzip", "X-GZip"));
        assert!(!accepts("x-br", "br"));
    }

    #[test]
    fn every_coding_of_a_stack_must_be_accepted() {
        assert!(accepts("gzip, br", "gzip, br"));
        assert!(!accepts("gzip", "gzip, br"));
    }

    #[test]
    fn weights_decide() {
        for yes in ["gzip;q=1", "gzip ; Q=0.001", "gzip;q=1.000", "*", "*;q=0.5", "*;q=0, gzip"] {
            assert!(accepts(yes, "gzip"), "{yes}");
        }
        for no in ["gzip;q=0", "gzip;q=0.000", "*;q=0", "*, gzip;q=0", "gzip, gzip;q=0", "gzip;q=0."] {
            assert!(!accepts(no, "gzip"), "{no}");
        }
    }

    #[test]
    fn a_malformed_weight_refuses() {
        for no in ["gzip;q=", "gzip;", "gzip;q=2", "gzip;q=0.1234", "gzip;q=.5", "gzip;q=1.1", "gzip;v=1"] {
            assert!(!accepts(no, "gzip"), "{no}");
        }
    }

    proptest! {
        #[test]
        fn refusing_by_name_is_final(before in "[a-z0-9;=*,. ]{0,20}", after in "[a-z0-9;=*,. ]{0,20}") {
            let request = repeated(&ACCEPT_ENCODING, &[before, "gzip;q=0".to_owned(), after]);
            prop_assert!(!accepts_coding(&request, &fields(&[("content-encoding", "gzip")])));
        }
    }
}
