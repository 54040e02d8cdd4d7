use proptest::prelude::*;

use http::HeaderValue;

use super::*;
use crate::semantics::testing::{fields, repeated};

fn members(lines: &[&str]) -> Vec<String> {
    let lines: Vec<_> = lines.iter().map(|line| ("x", *line)).collect();
    let headers = fields(&lines);
    list_members(&headers, &HeaderName::from_static("x"))
        .map(|member| String::from_utf8_lossy(member).into_owned())
        .collect()
}

#[test]
fn lists_join_over_lines_and_lose_empty_members() {
    assert_eq!(members(&["a , b", "", ",c,,\td"]), ["a", "b", "c", "d"]);
    assert!(members(&[]).is_empty());
}

#[test]
fn a_quoted_comma_does_not_separate() {
    assert_eq!(members(&[r#"a="x, y", b"#]), [r#"a="x, y""#, "b"]);
    assert_eq!(members(&[r#"a="\", x", b"#]), [r#"a="\", x""#, "b"]);
}

#[test]
fn a_quote_that_never_ends_hides_nothing() {
    assert_eq!(members(&[r#"a="x, private"#]), [r#"a="x"#, "private"]);
    assert_eq!(members(&[r#"a="\", private"#, r#"b="c, d""#]), [r#"a="\""#, "private", r#"b="c, d""#]);
}

#[test]
fn what_connection_names_goes_with_it() {
    let mut headers = fields(&[
        ("connection", "close, X-Hop"),
        ("connection", "cache-control"),
        ("x-hop", "1"),
        ("x-end", "2"),
        ("cache-control", "private"),
        ("keep-alive", "timeout=5"),
        ("te", "trailers"),
        ("transfer-encoding", "chunked"),
    ]);
    strip_hop_by_hop(&mut headers);
    let mut left: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
    left.sort_unstable();
    assert_eq!(left, ["cache-control", "x-end"]);
}

#[test]
fn connection_tokens_have_no_case() {
    let headers = fields(&[("connection", "keep-alive"), ("connection", "Upgrade")]);
    assert!(connection_names(&headers, "upgrade"));
    assert!(!connection_names(&headers, "close"));
}

proptest! {
    #[test]
    fn members_are_trimmed_full_and_lose_no_text(lines in prop::collection::vec(r#"[a,"\\ é]{0,12}"#, 0..4)) {
        let name = HeaderName::from_static("x");
        let headers = repeated(&name, &lines);
        let kept: usize = list_members(&headers, &name).map(<[u8]>::len).sum();
        let all: usize = headers.values().map(HeaderValue::len).sum();
        prop_assert!(kept <= all);
        for member in list_members(&headers, &name) {
            prop_assert!(!member.is_empty());
            prop_assert_eq!(member, member.trim_ascii());
        }
    }
}
