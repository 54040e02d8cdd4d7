use super::*;

const MADE: Timestamp = Timestamp::from_secs(1_700_000_000);
const NONE: RequestDirectives = RequestDirectives {
    no_cache: false,
    no_store: false,
    only_if_cached: false,
    max_age: None,
    min_fresh: None,
    max_stale: None,
    stale_if_error: None,
};

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn at(age: u64) -> Timestamp {
    Timestamp::from_secs(1_700_000_000 + age)
}

/// Made at [`MADE`], for a minute.
fn terms() -> Terms {
    let freshness = Freshness { response_time: MADE, initial_age: Duration::ZERO, lifetime: secs(60) };
    let stale = Stale::Allowed { while_revalidate: None, if_error: None };
    Terms { freshness, reuse: Reuse::Shared, stale, immutable: false }
}

fn allowed(while_revalidate: Option<u64>, if_error: Option<u64>) -> Terms {
    let (while_revalidate, if_error) = (while_revalidate.map(secs), if_error.map(secs));
    Terms { stale: Stale::Allowed { while_revalidate, if_error }, ..terms() }
}

fn decided(terms: &Terms, wanted: &RequestDirectives, age: u64) -> Decision {
    decide(terms, wanted, &Outlasting::default(), at(age))
}

#[test]
fn it_is_used_while_it_is_fresh_and_validated_afterwards() {
    assert_eq!(decided(&terms(), &NONE, 59), Decision::Use(Because::Fresh));
    assert_eq!(decided(&terms(), &NONE, 60), Decision::Validate(Cause::Stale));
    let always = Terms { reuse: Reuse::Validate, ..terms() };
    assert_eq!(decided(&always, &NONE, 0), Decision::Validate(Cause::Always));
    assert_eq!(decided(&always, &NONE, 61), Decision::Validate(Cause::Stale));
}

#[test]
fn it_is_used_stale_while_it_is_refreshed_for_as_long_as_it_says() {
    let own = allowed(Some(10), None);
    assert_eq!(decided(&own, &NONE, 69), Decision::UseAndRefresh);
    assert_eq!(decided(&own, &NONE, 70), Decision::Validate(Cause::Stale));
    let site = Outlasting { while_revalidate: secs(5), ..Outlasting::default() };
    assert_eq!(decide(&terms(), &NONE, &site, at(64)), Decision::UseAndRefresh);
    assert_eq!(decide(&terms(), &NONE, &site, at(65)), Decision::Validate(Cause::Stale));
    let none = allowed(Some(0), None);
    assert_eq!(decide(&none, &NONE, &site, at(61)), Decision::Validate(Cause::Stale));
    let forbidden = Terms { stale: Stale::Forbidden, ..terms() };
    assert_eq!(decide(&forbidden, &NONE, &site, at(61)), Decision::Validate(Cause::Stale));
}

#[test]
fn a_request_may_want_it_younger_fresher_or_confirmed() {
    let refused = Decision::Validate(Cause::Request);
    let fresh = Decision::Use(Because::Fresh);
    let wants = |change: fn(&mut RequestDirectives)| {
        let mut wanted = NONE;
        change(&mut wanted);
        wanted
    };
    assert_eq!(decided(&terms(), &wants(|wanted| wanted.no_cache = true), 0), refused);
    assert_eq!(decided(&terms(), &wants(|wanted| wanted.max_age = Some(secs(0))), 0), refused);
    let young = wants(|wanted| wanted.max_age = Some(secs(10)));
    assert_eq!([10, 11].map(|age| decided(&terms(), &young, age)), [fresh, refused]);
    let long = wants(|wanted| wanted.min_fresh = Some(secs(20)));
    assert_eq!([40, 41, 61].map(|age| decided(&terms(), &long, age)), [fresh, refused, refused]);
    let stale = wants(|wanted| wanted.max_stale = Some(secs(5)));
    let [used, validated] = [65, 66].map(|age| decided(&terms(), &stale, age));
    assert_eq!((used, validated), (Decision::Use(Because::MaxStale), Decision::Validate(Cause::Stale)));
    let forbidden = Terms { stale: Stale::Forbidden, ..terms() };
    assert_eq!(decided(&forbidden, &stale, 61), Decision::Validate(Cause::Stale));
    let stale_from_the_start = Terms { reuse: Reuse::Validate, ..terms() };
    assert_eq!(decided(&stale_from_the_start, &stale, 65), Decision::Validate(Cause::Stale));
}

#[test]
fn who_wants_it_young_or_fresh_wants_nothing_stale() {
    let (validate, refresh) = (Decision::Validate(Cause::Request), Decision::UseAndRefresh);
    let own = allowed(Some(10), None);
    let young = RequestDirectives { max_age: Some(secs(100)), ..NONE };
    assert_eq!(decided(&own, &NONE, 65), refresh);
    assert_eq!(decided(&own, &young, 65), validate);
    let lenient = RequestDirectives { max_stale: Some(secs(7)), ..young };
    assert_eq!(decided(&own, &lenient, 65), Decision::Use(Because::MaxStale));
    let any = RequestDirectives { min_fresh: Some(Duration::ZERO), ..NONE };
    assert_eq!([60, 61].map(|age| decided(&own, &any, age)), [refresh, validate]);
}

#[test]
fn a_reload_of_what_does_not_change_asks_for_nothing() {
    let immutable = Terms { immutable: true, ..terms() };
    let reload = RequestDirectives { max_age: Some(Duration::ZERO), ..NONE };
    assert_eq!(decided(&immutable, &reload, 5), Decision::Use(Because::Fresh));
    assert_eq!(decided(&immutable, &reload, 61), Decision::Validate(Cause::Request));
    let forced = RequestDirectives { no_cache: true, ..reload };
    assert_eq!(decided(&immutable, &forced, 5), Decision::Validate(Cause::Request));
}

#[test]
fn an_error_is_bridged_for_as_long_as_the_response_the_request_or_the_operator_says() {
    let outlasting = Outlasting { grace: secs(100), ..Outlasting::default() };
    let bridges = |terms: &Terms, wanted: &RequestDirectives, age| {
        may_use_on_error(terms, wanted, &outlasting, at(age))
    };
    assert!(bridges(&terms(), &NONE, 160) && !bridges(&terms(), &NONE, 161));
    let own = allowed(None, Some(10));
    assert!(bridges(&own, &NONE, 70) && !bridges(&own, &NONE, 71));
    let asked = RequestDirectives { stale_if_error: Some(secs(5)), ..NONE };
    assert!(bridges(&terms(), &asked, 65) && !bridges(&terms(), &asked, 66));
    assert!(bridges(&own, &asked, 70), "the response knows better");
    let refreshed = allowed(Some(30), Some(10));
    assert!(bridges(&refreshed, &NONE, 90));
    let confirmed_only = RequestDirectives { no_cache: true, ..NONE };
    assert!(!bridges(&terms(), &confirmed_only, 0));
    let forbidden = Terms { stale: Stale::Forbidden, ..terms() };
    assert!(bridges(&forbidden, &NONE, 59) && !bridges(&forbidden, &NONE, 61));
    let always = Terms { reuse: Reuse::Validate, ..forbidden };
    assert!(!bridges(&always, &NONE, 0));
}

#[test]
fn it_is_kept_beyond_every_use_and_then_for_as_long_as_the_operator_says() {
    let outlasting = Outlasting { grace: secs(10), keep: Some(secs(5)), while_revalidate: secs(3) };
    let kept = |terms: &Terms, age| is_kept(terms, &outlasting, at(age));
    assert!(kept(&terms(), 75) && !kept(&terms(), 76));
    assert!(kept(&allowed(Some(90), Some(20)), 155) && !kept(&allowed(Some(90), Some(20)), 156));
    let forbidden = Terms { stale: Stale::Forbidden, ..terms() };
    assert!(kept(&forbidden, 65) && !kept(&forbidden, 66));
    assert!(is_kept(&forbidden, &Outlasting { keep: None, ..outlasting }, at(u64::from(u32::MAX))));
}

#[test]
fn the_last_part_of_a_lifetime_is_the_time_to_refresh() {
    assert!(!is_due_ahead(&terms(), 10, at(54)) && is_due_ahead(&terms(), 10, at(55)));
    assert!(!is_due_ahead(&terms(), 0, at(59)) && !is_due_ahead(&terms(), 10, at(60)));
}
