use proptest::prelude::*;

use super::*;
use crate::semantics::policy::{IgnoredDirectives, Lifetimes};
use crate::semantics::testing::fields;

const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);
const ETAG: (&str, &str) = ("etag", r#""a""#);

type Lines<'a> = &'a [(&'static str, &'a str)];

fn judge_with(policy: &Policy, request: Lines, status: u16, response: Lines) -> Judgement {
    let headers = fields(request);
    let request = RequestFacts { method: &Method::GET, headers: &headers };
    judge(&request, StatusCode::from_u16(status).unwrap(), &fields(response), policy, NOW, NOW)
}

fn refused(request: Lines, status: u16, response: Lines) -> Option<Refusal> {
    match judge_with(&Policy::default(), request, status, response) {
        Judgement::Refuse(refusal) => Some(refusal),
        Judgement::Store(_) => None,
    }
}

fn refused_cc(cache_control: &str) -> Option<Refusal> {
    refused(&[], 200, &[("cache-control", cache_control)])
}

fn stored(response: Lines) -> Storable {
    match judge_with(&Policy::default(), &[], 200, response) {
        Judgement::Store(storable) => storable,
        Judgement::Refuse(refusal) => panic!("refused: {}", refusal.name()),
    }
}

#[test]
fn a_fresh_answer_to_a_get_is_shared() {
    let storable = stored(&[("cache-control", "max-age=60")]);
    assert_eq!(storable.terms.reuse, Reuse::Shared);
    assert_eq!(storable.terms.freshness.lifetime, Duration::from_mins(1));
    assert_eq!(storable.terms.stale, Stale::Allowed { while_revalidate: None, if_error: None });
    assert_eq!(storable.basis, Basis::Stated);
}

fn judged(method: &[u8], lines: &[(&'static str, &str)], policy: &Policy) -> Judgement {
    let method = Method::from_bytes(method).expect("a method");
    let request = RequestFacts { method: &method, headers: &HeaderMap::new() };
    judge(&request, StatusCode::OK, &fields(lines), policy, NOW, NOW)
}

#[test]
fn only_methods_that_can_be_answered_from_a_cache_are_stored() {
    for method in [&b"HEAD"[..], b"OPTIONS", b"PUT", b"query"] {
        let judgement = judged(method, &[("cache-control", "max-age=60")], &Policy::default());
        assert_eq!(judgement, Judgement::Refuse(Refusal::Method));
    }
}

#[test]
fn what_is_no_get_needs_a_lifetime_of_its_own() {
    let lifetimes = Lifetimes { default: Some(Duration::from_mins(1)), ..Lifetimes::default() };
    let policy = Policy { lifetimes, ..Policy::default() };
    for method in [&b"POST"[..], b"QUERY"] {
        let stated = judged(method, &[("cache-control", "max-age=60")], &policy);
        assert!(matches!(stated, Judgement::Store(_)), "{stated:?}");
        let unstated = judged(method, &[("etag", "\"1\""), ("cache-control", "public")], &policy);
        assert_eq!(unstated, Judgement::Refuse(Refusal::NoLifetime));
    }
}

#[test]
fn either_side_can_forbid_it() {
    let request = [("cache-control", "no-store")];
    assert_eq!(refused(&request, 200, &[("cache-control", "max-age=60")]), Some(Refusal::RequestNoStore));
    assert_eq!(refused_cc("no-store, max-age=60"), Some(Refusal::NoStore));
    assert_eq!(refused_cc("public, private, max-age=60"), Some(Refusal::Private));
    assert_eq!(refused_cc(r#"private="", max-age=60"#), Some(Refusal::Private));
}

#[test]
fn no_other_reason_hides_that_it_is_private() {
    let request = [("cache-control", "no-store")];
    assert_eq!(refused(&request, 206, &[("cache-control", "no-store, private")]), Some(Refusal::Private));
    assert_eq!(refused(&request, 206, &[("set-cookie", "id=1"), ("vary", "*")]), Some(Refusal::SetCookie));
    assert!(Refusal::Authorization.blames_request() && Refusal::RequestNoStore.blames_request());
    assert!(!Refusal::Private.blames_request() && !Refusal::SetCookie.blames_request());
}

#[test]
fn with_a_lifetime_any_final_status_will_do() {
    for status in [200, 203, 204, 299, 301, 302, 303, 307, 308, 404, 410, 499, 500, 503, 599] {
        assert_eq!(refused(&[], status, &[("cache-control", "max-age=60")]), None, "{status}");
    }
    for status in [100, 103, 304, 600, 999] {
        let refusal = refused(&[], status, &[("cache-control", "max-age=60")]);
        assert_eq!(refusal, Some(Refusal::Status), "{status}");
    }
    assert_eq!(refused(&[], 206, &[("cache-control", "max-age=60")]), Some(Refusal::Partial));
}

#[test]
fn must_understand_asks_for_a_known_status_and_then_lifts_no_store() {
    let response = [("cache-control", "must-understand, no-store, max-age=60")];
    assert_eq!(refused(&[], 200, &response), None);
    assert_eq!(refused(&[], 299, &response), Some(Refusal::Status));
}

#[test]
fn without_a_lifetime_only_a_200_with_a_validator_is_stored() {
    assert_eq!(refused(&[], 200, &[]), Some(Refusal::NoLifetime));
    assert_eq!(refused(&[], 404, &[ETAG]), Some(Refusal::NoLifetime));
    assert_eq!((stored(&[ETAG]).terms.reuse, stored(&[ETAG]).basis), (Reuse::Validate, Basis::None));
    let future = [("last-modified", "Sun, 06 Nov 2094 08:49:37 GMT")];
    assert_eq!(stored(&future).terms.reuse, Reuse::Validate);
}

#[test]
fn what_was_last_modified_long_ago_is_taken_to_last() {
    let old = [("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT")];
    let storable = stored(&old);
    assert_eq!(
        (storable.terms.freshness.lifetime, storable.basis),
        (Duration::from_hours(24), Basis::Heuristic)
    );
    assert_eq!(refused(&[], 404, &old), None);
    assert_eq!(refused(&[], 403, &old), Some(Refusal::NoLifetime));
    assert_eq!(refused(&[], 599, &[("cache-control", "public"), old[0]]), None);
}

#[test]
fn what_was_never_fresh_bridges_errors_only_where_it_says_so() {
    let stale = |cc: &str| stored(&[("cache-control", cc), ETAG]).terms.stale;
    assert_eq!(stored(&[ETAG]).terms.stale, Stale::Forbidden);
    assert_eq!(stale("max-age=0"), Stale::Forbidden);
    let own =
        Stale::Allowed { while_revalidate: Some(Duration::ZERO), if_error: Some(Duration::from_mins(1)) };
    assert_eq!(stale("max-age=0, stale-if-error=60"), own);
}

#[test]
fn nothing_is_guessed_for_others_from_what_was_made_for_a_cookie() {
    let old = [("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT")];
    let judgement = judge_with(&Policy::default(), &[("cookie", "a=1")], 200, &old);
    let Judgement::Store(storable) = judgement else { panic!("refused") };
    assert_eq!((storable.terms.reuse, storable.basis), (Reuse::Validate, Basis::None));
}

#[test]
fn a_targeted_field_takes_the_place_of_cache_control_and_expires() {
    let response = [("cache-control", "no-store"), ("expires", "0"), ("cdn-cache-control", "max-age=60")];
    assert_eq!(stored(&response).terms.freshness.lifetime, Duration::from_mins(1));
    let response = [("cache-control", "max-age=60"), ("cdn-cache-control", "no-store")];
    assert_eq!(refused(&[], 200, &response), Some(Refusal::NoStore));
    let response = [("expires", "Sun, 06 Nov 2094 08:49:37 GMT"), ("cdn-cache-control", "public")];
    assert_eq!(refused(&[], 200, &response), Some(Refusal::NoLifetime));
}

#[test]
fn what_is_stale_from_the_start_may_be_used_while_it_is_refreshed() {
    let terms = stored(&[("cache-control", "max-age=0, stale-while-revalidate=60")]).terms;
    assert_eq!(terms.reuse, Reuse::Shared);
    assert_eq!(
        terms.stale,
        Stale::Allowed { while_revalidate: Some(Duration::from_mins(1)), if_error: None }
    );
    let forbidden = stored(&[("cache-control", "s-maxage=0, stale-while-revalidate=60"), ETAG]).terms;
    assert_eq!((forbidden.reuse, forbidden.stale), (Reuse::Validate, Stale::Forbidden));
}

#[test]
fn fields_that_are_private_or_need_validation_do_not_hold_up_the_rest() {
    let response =
        [("cache-control", r#"private="set-cookie", no-cache="x", max-age=60"#), ("set-cookie", "a=1")];
    assert_eq!(stored(&response).terms.reuse, Reuse::Shared);
    assert!(stored(&response).terms.stale != Stale::Forbidden);
    let response = [("cache-control", r#"no-cache="x", max-age=60"#), ("set-cookie", "a=1")];
    assert_eq!(refused(&[], 200, &response), Some(Refusal::SetCookie));
}

#[test]
fn a_site_may_overhear_what_forbids_to_store() {
    let ignored = IgnoredDirectives { no_store: true, no_cache: true, ..IgnoredDirectives::default() };
    let lifetimes = Lifetimes { min: Some(Duration::from_secs(1)), ..Lifetimes::default() };
    let policy = Policy { lifetimes, ignored, ..Policy::default() };
    let judge = |cc: &str| judge_with(&policy, &[], 200, &[("cache-control", cc)]);
    let Judgement::Store(storable) = judge("no-store, no-cache, max-age=0") else { panic!("refused") };
    assert_eq!((storable.terms.freshness.lifetime.as_secs(), storable.terms.reuse), (1, Reuse::Shared));
    assert_eq!(judge("private, max-age=0"), Judgement::Refuse(Refusal::Private));
}

#[test]
fn what_was_never_fresh_must_be_validated() {
    for cache_control in ["no-cache, max-age=60", r#"no-cache="", max-age=60"#, "max-age=0", "max-age=x"] {
        assert_eq!(stored(&[("cache-control", cache_control), ETAG]).terms.reuse, Reuse::Validate);
    }
    assert_eq!(stored(&[("cache-control", "max-age=60"), ("age", "60"), ETAG]).terms.reuse, Reuse::Validate);
    assert_eq!(stored(&[("expires", "0"), ETAG]).terms.reuse, Reuse::Validate);
}

#[test]
fn what_nothing_could_ever_use_is_not_stored() {
    assert_eq!(refused_cc("no-cache"), Some(Refusal::NoLifetime));
    assert_eq!(refused_cc("no-cache, max-age=60"), Some(Refusal::NoValidator));
    assert_eq!(refused_cc("max-age=0, must-revalidate"), Some(Refusal::NoValidator));
    assert_eq!(refused_cc("max-age=0"), Some(Refusal::NoValidator));
    assert_eq!(refused_cc("max-age=0, stale-if-error=60"), None);
}

#[test]
fn the_origin_can_forbid_staleness() {
    for cache_control in ["max-age=60, must-revalidate", "max-age=60, proxy-revalidate", "s-maxage=60"] {
        assert_eq!(
            stored(&[("cache-control", cache_control)]).terms.stale,
            Stale::Forbidden,
            "{cache_control}"
        );
    }
    assert_eq!(stored(&[("cache-control", "no-cache"), ETAG]).terms.stale, Stale::Forbidden);
}

#[test]
fn credentials_need_a_word_from_the_origin() {
    let request = [("authorization", "Basic eDp5")];
    let refused = |cache_control| refused(&request, 200, &[("cache-control", cache_control)]);
    assert_eq!(refused("max-age=60"), Some(Refusal::Authorization));
    assert_eq!(refused("max-age=60, proxy-revalidate"), Some(Refusal::Authorization));
    assert_eq!(refused("max-age=60, public"), None);
    assert_eq!(refused("s-maxage=60"), None);
    assert_eq!(refused("max-age=60, must-revalidate"), None);
}

#[test]
fn personal_cookies_count_as_credentials() {
    let policy = Policy { personal_cookies: vec!["sid".into()], ..Policy::default() };
    let judge = |cookie, cache_control| {
        judge_with(&policy, &[("cookie", cookie)], 200, &[("cache-control", cache_control)])
    };
    assert_eq!(judge("a=1; sid=2", "max-age=60"), Judgement::Refuse(Refusal::PersonalCookie));
    assert!(matches!(judge("a=1; sid=2", "public, max-age=60"), Judgement::Store(_)));
    assert!(matches!(judge("a=sid; SID=2; xsid=1", "max-age=60"), Judgement::Store(_)));
}

#[test]
fn a_request_is_personal_by_its_credentials() {
    let policy = Policy { personal_cookies: vec!["sid".into()], ..Policy::default() };
    assert!(is_personal(&fields(&[("authorization", "x")]), &Policy::default()));
    assert!(is_personal(&fields(&[("cookie", "a=1"), ("cookie", "sid=2")]), &policy));
    assert!(is_personal(&fields(&[("cookie", "a=1;sid")]), &policy));
    assert!(!is_personal(&fields(&[("cookie", "sid=2")]), &Policy::default()));
}

#[test]
fn a_cookie_is_set_for_one_client_unless_the_site_says_otherwise() {
    let response = [("cache-control", "public, max-age=60"), ("set-cookie", "id=1")];
    assert_eq!(refused(&[], 200, &response), Some(Refusal::SetCookie));
    let generous = Policy { store_set_cookie: true, ..Policy::default() };
    assert!(matches!(judge_with(&generous, &[], 200, &response), Judgement::Store(_)));
}

#[test]
fn a_star_in_vary_is_never_stored() {
    for vary in ["*", "origin, *", "origin;"] {
        let response = [("cache-control", "max-age=60"), ("vary", vary)];
        assert_eq!(refused(&[], 200, &response), Some(Refusal::VaryStar), "{vary}");
    }
}

proptest! {
    #[test]
    fn no_store_and_private_always_win(
        status in 200_u16..600,
        others in "(public|s-maxage=9|max-age=9|immutable|x=\"y\"|, ){0,6}",
        word in "no-store|private|PRIVATE|Private=",
    ) {
        let response = [("cache-control", others.as_str()), ("cache-control", word.as_str()), ETAG];
        prop_assert!(refused(&[], status, &response).is_some());
    }
}
