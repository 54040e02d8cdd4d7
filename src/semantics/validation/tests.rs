use super::*;
use crate::semantics::testing::fields;

const OLD: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const NEW: &str = "Mon, 07 Nov 1994 08:49:37 GMT";

fn answer(request: &[(&'static str, &str)], stored: &[(&'static str, &str)]) -> Precondition {
    evaluate(&fields(request), &fields(stored))
}

#[test]
fn if_none_match_compares_weakly_and_takes_lists() {
    let stored = [("etag", r#"W/"a,b""#)];
    assert_eq!(answer(&[("if-none-match", r#""x", "a,b""#)], &stored), Precondition::NotModified);
    assert_eq!(
        answer(&[("if-none-match", r#""x""#), ("if-none-match", r#"W/"a,b""#)], &stored),
        Precondition::NotModified
    );
    assert_eq!(answer(&[("if-none-match", r#""a", "b""#)], &stored), Precondition::Proceed);
    assert_eq!(answer(&[("if-none-match", "a,b")], &stored), Precondition::Proceed);
}

#[test]
fn a_star_matches_whatever_is_stored() {
    assert_eq!(answer(&[("if-none-match", "*")], &[]), Precondition::NotModified);
}

#[test]
fn if_none_match_outranks_the_date() {
    let request = [("if-none-match", r#""x""#), ("if-modified-since", NEW)];
    assert_eq!(answer(&request, &[("etag", r#""a""#), ("last-modified", OLD)]), Precondition::Proceed);
}

#[test]
fn dates_compare_with_last_modified_or_else_with_date() {
    let since = |date| answer(&[("if-modified-since", date)], &[("last-modified", OLD)]);
    assert_eq!(since(NEW), Precondition::NotModified);
    assert_eq!(since(OLD), Precondition::NotModified);
    assert_eq!(since("Sat, 05 Nov 1994 08:49:37 GMT"), Precondition::Proceed);
    assert_eq!(since("yesterday"), Precondition::Proceed);
    assert_eq!(answer(&[("if-modified-since", OLD)], &[("date", OLD)]), Precondition::NotModified);
    assert_eq!(answer(&[("if-modified-since", OLD)], &[("date", NEW)]), Precondition::Proceed);
    let unreadable = [("date", OLD), ("last-modified", "yesterday")];
    assert_eq!(answer(&[("if-modified-since", NEW)], &unreadable), Precondition::Proceed);
    let twice = [("if-modified-since", NEW), ("if-modified-since", NEW)];
    assert_eq!(answer(&twice, &[("last-modified", OLD)]), Precondition::Proceed);
}

#[test]
fn without_a_condition_all_proceeds() {
    assert_eq!(answer(&[], &[("etag", r#""a""#)]), Precondition::Proceed);
}

#[test]
fn our_validators_replace_the_clients() {
    let mut request = fields(&[("if-none-match", r#""x""#), ("if-range", r#""x""#), ("accept", "*/*")]);
    let stored = fields(&[("etag", r#"W/"a""#), ("last-modified", OLD)]);
    assert!(add_validators(&mut request, &stored));
    let asked = fields(&[("accept", "*/*"), ("if-none-match", r#"W/"a""#), ("if-modified-since", OLD)]);
    assert_eq!(request, asked);
}

#[test]
fn malformed_validators_are_none() {
    let mut request = fields(&[("if-none-match", r#""x""#)]);
    assert!(!add_validators(&mut request, &fields(&[("etag", "a"), ("last-modified", "then")])));
    assert!(request.is_empty());
}

#[test]
fn only_the_origin_judges_if_match() {
    assert!(has_origin_precondition(&fields(&[("if-match", "*")])));
    assert!(has_origin_precondition(&fields(&[("if-unmodified-since", OLD)])));
    assert!(!has_origin_precondition(&fields(&[("if-none-match", "*")])));
}

#[test]
fn a_304_confirms_what_its_validators_name() {
    let confirms = |new: &[(&'static str, &str)], old: &[(&'static str, &str)]| {
        super::confirms(&fields(new), &fields(old))
    };
    let stored = [("etag", r#""a""#), ("last-modified", OLD)];
    assert!(confirms(&[], &stored));
    assert!(confirms(&[("etag", r#""a""#), ("last-modified", NEW)], &stored));
    assert!(confirms(&[("etag", r#"W/"a""#)], &stored));
    assert!(confirms(&[("last-modified", OLD)], &stored));
    assert!(!confirms(&[("etag", r#""b""#), ("last-modified", OLD)], &stored));
    assert!(!confirms(&[("last-modified", NEW)], &stored));
    assert!(!confirms(&[("etag", r#""a""#)], &[("etag", r#"W/"a""#)]));
    assert!(!confirms(&[("etag", r#""a""#)], &[("last-modified", OLD)]));
    assert!(confirms(&[("etag", "a")], &[("etag", "a"), ("last-modified", OLD)]));
}

#[test]
fn an_update_replaces_all_lines_but_those_of_the_bytes() {
    let stored = fields(&[
        ("etag", r#"W/"a""#),
        ("content-length", "10"),
        ("content-encoding", "gzip"),
        ("content-type", "text/plain"),
        ("link", "<1>"),
        ("link", "<2>"),
        ("age", "500"),
        ("x-kept", "1"),
    ]);
    let not_modified = fields(&[
        ("etag", r#"W/"b""#),
        ("content-length", "0"),
        ("content-encoding", "br"),
        ("content-type", "text/html"),
        ("link", "<3>"),
        ("link", "<4>"),
        ("connection", "x-hop"),
        ("x-hop", "1"),
        ("set-cookie", "id=1"),
    ]);
    let expected = fields(&[
        ("etag", r#"W/"b""#),
        ("content-length", "10"),
        ("content-encoding", "gzip"),
        ("content-type", "text/html"),
        ("link", "<3>"),
        ("link", "<4>"),
        ("x-kept", "1"),
    ]);
    assert_eq!(update_stored(&stored, &not_modified), expected);
}

#[test]
fn an_update_brings_its_own_age_and_a_cookie_only_where_one_was() {
    let stored = fields(&[("age", "500"), ("set-cookie", "id=1")]);
    let not_modified = fields(&[("age", "3"), ("set-cookie", "id=2")]);
    assert_eq!(update_stored(&stored, &not_modified), not_modified);
}

#[test]
fn a_304_of_ours_carries_what_caches_need_and_no_cookie() {
    let stored = fields(&[
        ("etag", r#""a""#),
        ("vary", "origin"),
        ("vary", "cookie"),
        ("content-type", "text/html"),
        ("content-length", "10"),
        ("set-cookie", "id=1"),
    ]);
    let expected = fields(&[("etag", r#""a""#), ("vary", "origin"), ("vary", "cookie")]);
    assert_eq!(not_modified_fields(&stored), expected);
}

#[test]
fn a_head_updates_what_it_describes_and_invalidates_what_it_does_not() {
    let stored = fields(&[("etag", r#""a""#), ("last-modified", OLD), ("content-length", "5")]);
    let effect = |lines: &[(&'static str, &str)]| head_effect(&fields(lines), &stored);
    assert_eq!(effect(&[("etag", r#""a""#), ("content-length", "5")]), Some(HeadEffect::Update));
    assert_eq!(effect(&[("last-modified", OLD)]), Some(HeadEffect::Update));
    for other in [("etag", r#""b""#), ("etag", r#"W/"a""#), ("last-modified", NEW), ("content-length", "6")] {
        assert_eq!(effect(&[other, ("x", "1")]), Some(HeadEffect::Invalidate), "{other:?}");
    }
    assert_eq!(effect(&[("etag", r#""a""#), ("content-length", "6")]), Some(HeadEffect::Invalidate));
    assert_eq!(effect(&[("cache-control", "max-age=9")]), None);
    let bare = fields(&[("content-length", "5")]);
    assert_eq!(head_effect(&fields(&[("etag", r#""a""#)]), &bare), Some(HeadEffect::Invalidate));
}

#[test]
fn a_digest_describes_the_stored_bytes_whatever_a_304_says() {
    let stored = [("content-digest", "sha-256=:YQ==:"), ("repr-digest", "sha-256=:YQ==:")];
    let new = [("content-digest", "sha-256=:Yg==:"), ("repr-digest", "sha-512=:Yg==:")];
    for (old_tag, new_tag, repr) in
        [("\"v\"", "\"v\"", new[1].1), ("W/\"v\"", "W/\"v\"", stored[1].1), ("\"v\"", "W/\"v\"", stored[1].1)]
    {
        let merged = update_stored(
            &fields(&[("etag", old_tag), stored[0], stored[1]]),
            &fields(&[("etag", new_tag), new[0], new[1]]),
        );
        assert_eq!(
            (&merged["content-digest"], &merged["repr-digest"]),
            (&stored[0].1.parse().unwrap(), &repr.parse().unwrap())
        );
        let without =
            update_stored(&fields(&[("etag", old_tag)]), &fields(&[("etag", new_tag), new[0], new[1]]));
        assert_eq!(without.get("content-digest"), None);
        assert_eq!(without.contains_key("repr-digest"), repr == new[1].1);
    }
}
