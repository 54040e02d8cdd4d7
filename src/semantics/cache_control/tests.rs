use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::semantics::testing::{fields, repeated};

fn read(value: &str) -> CacheControl {
    CacheControl::of(&fields(&[("cache-control", value)]))
}

fn max_age(value: &str) -> Option<u64> {
    read(value).max_age.map(|delta| delta.as_duration().as_secs())
}

#[test]
fn directives_have_no_case_and_may_span_lines() {
    let headers = fields(&[("cache-control", "Public, MAX-AGE=60"), ("cache-control", "S-MaxAge=5")]);
    let cc = CacheControl::of(&headers);
    assert!(cc.public);
    assert_eq!(cc.max_age.map(Delta::as_duration), Some(Duration::from_mins(1)));
    assert_eq!(cc.s_maxage.map(Delta::as_duration), Some(Duration::from_secs(5)));
}

#[test]
fn numbers_are_read_or_count_as_stale() {
    assert_eq!(max_age("max-age=60"), Some(60));
    assert_eq!(max_age("max-age=\"60\""), Some(60));
    assert_eq!(max_age(r#"max-age="6\0""#), Some(60), "an escape in a quoted string");
    assert_eq!(max_age("max-age=99999999999999999999"), Some(1 << 31));
    for wrong in ["max-age", "max-age=", "max-age=-1", "max-age=+60", "max-age=60s", "max-age= 60"] {
        assert_eq!(max_age(wrong), Some(0), "{wrong}");
    }
    for wrong in ["max-age =60", "max-age='60'", "max-age=\"60", "max-age=1.5"] {
        assert_eq!(max_age(wrong), Some(0), "{wrong}");
    }
    assert_eq!(max_age("xmax-age=60"), None);
}

#[test]
fn of_two_numbers_the_smaller_counts() {
    assert_eq!(max_age("max-age=60, max-age=5"), Some(5));
    assert_eq!(max_age("max-age=5, max-age=60"), Some(5));
    assert_eq!(max_age("max-age=60, max-age=x"), Some(0));
}

#[test]
fn staleness_is_allowed_in_so_many_seconds_and_malformed_in_none() {
    let cc = read("stale-while-revalidate=30, stale-if-error=\"60\", immutable");
    assert_eq!(cc.stale_while_revalidate.map(Delta::as_duration), Some(Duration::from_secs(30)));
    assert_eq!(cc.stale_if_error.map(Delta::as_duration), Some(Duration::from_mins(1)));
    assert!(cc.immutable);
    let cc = read("stale-while-revalidate, stale-if-error=60s");
    assert_eq!([cc.stale_while_revalidate, cc.stale_if_error], [Some(Delta::ZERO); 2]);
}

#[test]
fn an_argument_is_not_a_directive() {
    let cc = read(r#"ext="no-store, max-age=5", max-age=60"#);
    assert!(!cc.no_store);
    assert_eq!(cc.max_age.map(Delta::as_duration), Some(Duration::from_mins(1)));
}

#[test]
fn the_qualified_forms_name_fields_or_count_as_bare() {
    assert_eq!(read("no-cache").no_cache, Qualified::All);
    assert_eq!(read(r#"no-cache="a, b""#).no_cache, Qualified::Fields);
    assert_eq!(read("no-cache=a").no_cache, Qualified::Fields);
    assert_eq!(read(r#"no-cache, no-cache="a""#).no_cache, Qualified::All);
    assert_eq!(read(r#"no-cache="a", no-cache"#).no_cache, Qualified::All);
    assert_eq!(read(r#"private="set-cookie""#).private, Qualified::Fields);
    for unclear in
        ["private", "private=", r#"private="""#, r#"private="a b""#, r#"private="a, @""#, "private =\"a"]
    {
        assert_eq!(read(unclear).private, Qualified::All, "{unclear}");
    }
}

#[test]
fn fields_are_named_over_all_lines_but_for_what_the_rest_needs() {
    let headers = fields(&[
        ("cache-control", r#"no-cache="Set-Cookie, x-a", max-age=1"#),
        ("cache-control", r#"private="vary, x-b, content-encoding", no-cache"#),
    ]);
    assert_eq!(qualified_fields(&headers, &TargetList::default()), ["set-cookie", "x-a", "x-b"]);
    assert!(qualified_fields(&fields(&[("cache-control", "private")]), &TargetList::default()).is_empty());
}

proptest! {
    #[test]
    fn adding_private_is_always_seen(before in r#"[a-z=", \\]{0,20}"#) {
        let headers = repeated(&CACHE_CONTROL, &[before, "private".to_owned()]);
        prop_assert_eq!(CacheControl::of(&headers).private, Qualified::All);
    }
}
