use http::StatusCode;

use super::*;
use crate::semantics::cache_control::{CacheControl, Qualified};
use crate::semantics::patterns::Names;

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn of(
    lifetimes: &Lifetimes,
    status: u16,
    stated: Option<u64>,
    unchanged: Option<u64>,
) -> Option<(u64, Basis)> {
    let status = StatusCode::from_u16(status).expect("a status");
    let found = lifetimes.of(status, stated.map(secs), unchanged.map(secs), false);
    found.map(|(lifetime, basis)| (lifetime.as_secs(), basis))
}

#[test]
fn a_stated_lifetime_is_kept_within_bounds() {
    let free = Lifetimes::default();
    assert_eq!(of(&free, 200, Some(7), Some(1000)), Some((7, Basis::Stated)));
    let bound = Lifetimes { min: Some(secs(5)), max: Some(secs(60)), ..free };
    let lifetimes =
        [0, 5, 30, 61].map(|stated| of(&bound, 500, Some(stated), None).map(|(lifetime, _)| lifetime));
    assert_eq!(lifetimes, [5, 5, 30, 60].map(Some));
}

#[test]
fn what_states_none_lasts_for_a_tenth_of_its_age_at_most_a_day() {
    let free = Lifetimes::default();
    for status in [200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501] {
        assert_eq!(of(&free, status, None, Some(1000)), Some((100, Basis::Heuristic)), "{status}");
    }
    for status in [201, 302, 303, 307, 400, 403, 500, 502, 503, 504, 599] {
        assert_eq!(of(&free, status, None, Some(1000)), None, "{status}");
    }
    assert_eq!(of(&free, 200, None, Some(u64::MAX)), Some((86_400, Basis::Heuristic)));
    assert_eq!(of(&free, 200, None, None), None);
    let public = free.of(StatusCode::BAD_GATEWAY, None, Some(secs(1000)), true);
    assert_eq!(public, Some((secs(100), Basis::Heuristic)));
    let off = Lifetimes { heuristic: Heuristic { percent: 0, ..Heuristic::default() }, ..free };
    assert_eq!(of(&off, 200, None, Some(1000)), None);
}

#[test]
fn the_operators_lifetimes_come_before_the_guess() {
    let lifetimes = Lifetimes {
        default: Some(secs(90)),
        by_status: vec![
            (StatusRange { first: 404, last: 404 }, secs(9)),
            (StatusRange { first: 500, last: 599 }, secs(1)),
        ],
        max: Some(secs(60)),
        min: Some(secs(70)),
        ..Lifetimes::default()
    };
    for status in [200, 203, 204, 300, 301, 308, 410] {
        assert_eq!(of(&lifetimes, status, None, Some(1000)), Some((60, Basis::Default)), "{status}");
    }
    assert_eq!(of(&lifetimes, 404, None, None), Some((9, Basis::ByStatus)));
    assert_eq!(of(&lifetimes, 503, None, None), Some((1, Basis::ByStatus)));
    for status in [201, 302, 400, 403, 405, 414, 431] {
        assert_eq!(of(&lifetimes, status, None, None), None, "{status}");
    }
    let public = |status| lifetimes.of(status, None, None, true).map(|(lifetime, _)| lifetime);
    assert_eq!(public(StatusCode::FOUND), Some(secs(60)));
    assert_eq!(public(StatusCode::FORBIDDEN), None);
}

#[test]
fn a_forced_lifetime_is_above_all_for_usual_answers() {
    let forced = Lifetimes { forced: Some(secs(5)), max: Some(secs(1)), ..Lifetimes::default() };
    assert_eq!(of(&forced, 200, Some(3600), None), Some((5, Basis::Forced)));
    assert_eq!(of(&forced, 500, None, None), None);
    assert_eq!(of(&forced, 500, Some(9), None), Some((1, Basis::Stated)));
}

#[test]
fn what_is_ignored_is_not_said() {
    let all = CacheControl {
        no_store: true,
        no_cache: Qualified::All,
        must_revalidate: true,
        proxy_revalidate: true,
        private: Qualified::All,
        ..CacheControl::default()
    };
    let ignored = IgnoredDirectives {
        no_store: true,
        no_cache: true,
        must_revalidate: true,
        proxy_revalidate: true,
        s_maxage_revalidates: true,
    };
    assert_eq!(ignored.apply(all), CacheControl { private: Qualified::All, ..CacheControl::default() });
    assert_eq!(IgnoredDirectives::default().apply(all), all);
}

#[test]
fn the_rules_of_keys_differ_where_keys_or_stored_responses_would() {
    let plain = Policy::default();
    let cookies = |names: &[&str]| Policy {
        personal_cookies: names.iter().map(|name| (*name).to_owned()).collect(),
        ..Policy::default()
    };
    let ignoring =
        |names: &[&str]| Policy { query: QueryRules::ignoring(names.iter().copied()), ..Policy::default() };
    let names = |name| Names::new([name]);
    let by_cookies = |cookies| Policy { cookies, ..Policy::default() };
    let none = CookieRules::default;
    let longer =
        Policy { lifetimes: Lifetimes { max: Some(secs(1)), ..Lifetimes::default() }, ..Policy::default() };
    let texts = [
        &plain,
        &cookies(&["ab"]),
        &cookies(&["a", "b"]),
        &ignoring(&["ab"]),
        &Policy {
            query: QueryRules { kept: Some(names("ab")), ..QueryRules::default() },
            ..Policy::default()
        },
        &Policy { query: QueryRules { sort: true, ..QueryRules::default() }, ..Policy::default() },
        &by_cookies(CookieRules { ignored: names("ab"), ..none() }),
        &by_cookies(CookieRules { variant: names("ab"), ..none() }),
        &by_cookies(CookieRules { bypass: names("ab"), ..none() }),
        &Policy { variant_fields: vec![HeaderName::from_static("ab")], ..Policy::default() },
        &Policy { hide_clients: true, ..Policy::default() },
    ]
    .map(Policy::key_rules);
    for (index, text) in texts.iter().enumerate() {
        assert!(!texts.iter().skip(index + 1).any(|other| other == text), "{index}");
    }
    assert_eq!(plain.key_rules(), longer.key_rules());
}
