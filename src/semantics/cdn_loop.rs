//! `CDN-Loop`: by whose hands a request has gone, so that one that goes in circles is found out (RFC 8586).

use http::{HeaderMap, HeaderName, HeaderValue};

/// The field's name.
pub const CDN_LOOP: HeaderName = HeaderName::from_static("cdn-loop");

/// The longest id that [`is_id`] takes.
const LONGEST: usize = 255;

/// How often `id` is a member of a request's `CDN-Loop`, whatever parameters it has there and in any case of letters
/// (RFC 8586 §2).
///
/// A member is what stands between two commas, and its id what stands before the first `;`, however malformed the
/// rest is. Quotes are given no meaning, because whoever can write one quote before our id would hide a loop by it.
pub fn passages(request: &HeaderMap, id: &str) -> usize {
    let lines = request.iter().filter(|(name, _)| **name == CDN_LOOP);
    let members = lines.flat_map(|(_, line)| line.as_bytes().split(|byte| *byte == b','));
    members.filter(|member| id_of(member).eq_ignore_ascii_case(id.as_bytes())).count()
}

/// Adds `id` as the last member, in a line of its own: what stands there already is never touched (RFC 8586 §2).
pub fn append(request: &mut HeaderMap, id: &HeaderValue) {
    // An overfull map goes without: it has more than a request's limits allow.
    let _ = request.try_append(CDN_LOOP, id.clone());
}

/// Whether this may stand as an id: a token, which most host names are, with a port behind it or without
/// (RFC 8586 §2).
pub fn is_id(text: &str) -> bool {
    let (name, port) = text.split_once(':').unwrap_or((text, "0"));
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    text.len() <= LONGEST && !name.is_empty() && name.bytes().all(is_token) && port.parse::<u16>().is_ok()
}

fn id_of(member: &[u8]) -> &[u8] {
    member.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::semantics::testing::{fields, repeated};

    fn count(lines: &[(&'static str, &str)]) -> usize {
        passages(&fields(lines), "me.example")
    }

    #[test]
    fn an_id_counts_as_a_whole_member() {
        assert_eq!(count(&[]), 0);
        for once in
            ["me.example", "ME.Example;a=b", "x, me.example ; v=\"1,2\"", "me.example.example,me.example,"]
        {
            assert_eq!(count(&[("cdn-loop", once)]), 1, "{once}");
        }
        for none in
            ["", "me.example:80", "me.exampl", "x;me.example", "x=me.example", "me.example x", "me .example"]
        {
            assert_eq!(count(&[("cdn-loop", none)]), 0, "{none}");
        }
        assert_eq!(count(&[("cdn-loop", "me.example, x"), ("cdn-loop", "me.example")]), 2);
    }

    #[test]
    fn nothing_malformed_hides_an_id() {
        for hidden in [
            "\"x, me.example",
            "\"x, me.example, y\"",
            "(, me.example",
            ";;;=,me.example;\"",
            "\\\",me.example",
        ] {
            assert_eq!(count(&[("cdn-loop", hidden)]), 1, "{hidden}");
        }
    }

    #[test]
    fn ours_comes_last_and_the_others_stay_as_they_are() {
        let mut request = fields(&[("cdn-loop", "a;  b,\"")]);
        append(&mut request, &HeaderValue::from_static("me.example"));
        assert_eq!(request.get_all(CDN_LOOP).iter().collect::<Vec<_>>(), ["a;  b,\"", "me.example"]);
    }

    #[test]
    fn an_id_is_a_token_or_a_host() {
        for id in ["edge", "cdn.example", "cdn.example:8080", "0b5a-9", "_x~"] {
            assert!(is_id(id), "{id}");
        }
        for no in ["", ":80", "a b", "a,b", "a;b", "a:x", "a:65536", "[::1]", "\"a\"", "é", &"a".repeat(256)]
        {
            assert!(!is_id(no), "{no}");
        }
    }

    proptest! {
        #[test]
        fn what_was_appended_is_found_again_whatever_stood_there(
            lines in prop::collection::vec("[a-c,;=\" \\\\]{0,12}", 0..4), times in 0_usize..4,
        ) {
            let mut request = repeated(&CDN_LOOP, &lines);
            for _ in 0..times {
                append(&mut request, &HeaderValue::from_static("me.example"));
            }
            prop_assert_eq!(passages(&request, "me.example"), times);
        }
    }
}
