use http::{Method, StatusCode};

use super::*;
use crate::base::clock::Timestamp;
use crate::semantics::policy::Policy;
use crate::semantics::storage::{Judgement, RequestFacts, judge};
use crate::semantics::testing::fields;
use crate::semantics::vary::VarySet;

const CAME: Timestamp = Timestamp::from_secs(1_700_000_000);

fn told(headers: &HeaderMap, policy: &Policy, seconds_later: u64) -> String {
    let facts = RequestFacts { method: &Method::GET, headers: &HeaderMap::new() };
    let Judgement::Store(storable) = judge(&facts, StatusCode::OK, headers, policy, CAME, CAME) else {
        panic!("not stored")
    };
    let now = CAME.plus(Duration::from_secs(seconds_later));
    freshness((StatusCode::OK, headers), &storable.terms, &Method::GET, policy, now).says.join("\n")
}

#[test]
fn a_lifetime_is_told_with_where_it_comes_from() {
    let date = ("date", "Tue, 14 Nov 2023 22:13:10 GMT");
    let stated = fields(&[date, ("cache-control", "max-age=60"), ("age", "15")]);
    let text = told(&stated, &Policy::default(), 20);
    assert!(text.contains("by that it was 10 s old"), "{text}");
    assert!(text.contains("read as 15 s"), "{text}");
    assert!(text.contains("initial age: 15 s. It was here for 20 s: its current age is 35 s."), "{text}");
    assert!(text.contains("60 s, stated by max-age in cache-control: \"max-age=60\""), "{text}");
    assert!(text.contains("fresh for another 25 s"), "{text}");
    let targeted = fields(&[("cdn-cache-control", "max-age=9"), ("cache-control", "max-age=60")]);
    assert!(told(&targeted, &Policy::default(), 20).contains("max-age in cdn-cache-control"));
    let guessed = fields(&[date, ("last-modified", "Tue, 14 Nov 2023 20:33:10 GMT")]);
    let text = told(&guessed, &Policy::default(), 0);
    assert!(text.contains("Its lifetime is 600 s, guessed: 10 % of the 6000 s"), "{text}");
    let expires = fields(&[date, ("expires", "Tue, 14 Nov 2023 22:14:10 GMT")]);
    let text = told(&expires, &Policy::default(), 61);
    assert!(text.contains("60 s, stated by Expires") && text.contains("stale for 11 s"), "{text}");
}

#[test]
fn the_operator_s_word_is_told_as_such() {
    let mut policy = Policy::default();
    policy.lifetimes.default = Some(Duration::from_secs(90));
    assert!(told(&fields(&[]), &policy, 0).contains("90 s, the operator's for answers that state none"));
    policy.lifetimes.max = Some(Duration::from_secs(30));
    let stated = fields(&[("cache-control", "s-maxage=60")]);
    let text = told(&stated, &policy, 0);
    assert!(
        text.contains("30 s, stated by s-maxage") && text.contains("the operator's limits hold"),
        "{text}"
    );
    assert!(text.contains("Stale it may never be used"), "{text}");
}

#[test]
fn no_secret_is_told_and_nothing_that_a_terminal_obeys() {
    let request = fields(&[("cookie", "sid=hush"), ("authorization", "Basic hush"), ("x", "a\"\u{9b}b")]);
    let names = ["cookie", "authorization", "x"].map(HeaderName::from_static);
    let text = variant(&[VarySet::of_names(names)], None, &request).says.join("\n");
    assert!(!text.contains("hush") && text.contains("sid"), "{text}");
    assert!(!text.contains('\u{9b}'), "{text}");
    let long = fields(&[("x", &"y".repeat(5000))]);
    assert!(value(&long, &HeaderName::from_static("x")).len() < 300);
}
