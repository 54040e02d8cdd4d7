use proptest::prelude::*;

use super::*;
use crate::semantics::date::format_date;
use crate::semantics::testing::fields;

const NOON: Timestamp = Timestamp::from_secs(1_700_000_000);

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn date(time: Timestamp) -> String {
    format_date(time).to_str().unwrap().to_owned()
}

fn lifetime_of(lines: &[(&'static str, &str)]) -> Option<u64> {
    let headers = fields(lines);
    lifetime(&headers, &CacheControl::of(&headers), NOON).map(|lifetime| lifetime.as_secs())
}

fn initial_age_of(lines: &[(&'static str, &str)]) -> u64 {
    initial_age(&fields(lines), NOON, NOON).as_secs()
}

#[test]
fn s_maxage_outranks_max_age_outranks_expires() {
    let later = date(NOON.plus(seconds(30)));
    let (now, later) = (date(NOON), later.as_str());
    assert_eq!(lifetime_of(&[("cache-control", "max-age=60, s-maxage=5"), ("expires", later)]), Some(5));
    assert_eq!(lifetime_of(&[("cache-control", "max-age=60"), ("expires", later)]), Some(60));
    assert_eq!(lifetime_of(&[("date", &now), ("expires", later)]), Some(30));
    assert_eq!(lifetime_of(&[("date", &now)]), None);
}

#[test]
fn a_missing_date_is_the_time_of_receipt() {
    let later = date(NOON.plus(seconds(30)));
    assert_eq!(lifetime_of(&[("expires", &later)]), Some(30));
    assert_eq!(lifetime_of(&[("expires", &later), ("date", "yesterday")]), Some(30));
}

#[test]
fn an_expires_that_is_wrong_or_early_is_over() {
    let later = date(NOON.plus(seconds(30)));
    assert_eq!(lifetime_of(&[("expires", "0")]), Some(0));
    assert_eq!(lifetime_of(&[("expires", &date(Timestamp::from_secs(1)))]), Some(0));
    assert_eq!(lifetime_of(&[("expires", &later), ("expires", "0")]), Some(0));
}

#[test]
fn age_counts_its_first_valid_member() {
    assert_eq!(initial_age_of(&[("age", "30, 1")]), 30);
    assert_eq!(initial_age_of(&[("age", "30"), ("age", "1")]), 30);
    assert_eq!(initial_age_of(&[("age", "-5")]), 0);
    assert_eq!(initial_age_of(&[("age", "soon, 7")]), 7);
    assert_eq!(initial_age_of(&[("age", "30;a=b")]), 30);
    assert_eq!(initial_age_of(&[("age", ";30")]), 0);
    assert_eq!(initial_age_of(&[("age", "99999999999999999999999")]), 1 << 31);
}

#[test]
fn an_old_date_and_a_slow_answer_both_age() {
    let hour_ago = date(Timestamp::from_secs(NOON.as_secs() - 3600));
    let sent = Timestamp::from_secs(NOON.as_secs() - 10);
    let delayed = |lines: &[(&'static str, &str)]| initial_age(&fields(lines), sent, NOON).as_secs();
    assert_eq!(delayed(&[("date", &hour_ago)]), 3600);
    assert_eq!(delayed(&[("date", &hour_ago), ("age", "5000")]), 5010);
    assert_eq!(delayed(&[("date", &date(NOON))]), 10);
}

#[test]
fn a_date_of_this_very_second_is_not_old() {
    let arrived = NOON.plus(Duration::from_millis(900));
    assert_eq!(apparent_age(&fields(&[("date", &date(NOON))]), arrived), Duration::ZERO);
}

#[test]
fn the_border_itself_is_stale() {
    let freshness = Freshness { response_time: NOON, initial_age: Duration::ZERO, lifetime: seconds(10) };
    assert_eq!(freshness.state(NOON.plus(seconds(9))), State::Fresh { ttl: seconds(1) });
    assert_eq!(freshness.state(NOON.plus(seconds(10))), State::Stale { by: Duration::ZERO });
    assert_eq!(freshness.state(NOON.plus(seconds(12))), State::Stale { by: seconds(2) });
}

prop_compose! {
    fn any_freshness()(response: u64, age in 0..=1_u64 << 42, lifetime in 0..=1_u64 << 42) -> Freshness {
        Freshness {
            response_time: Timestamp::from_millis(response),
            initial_age: Duration::from_millis(age),
            lifetime: Duration::from_millis(lifetime),
        }
    }
}

proptest! {
    #[test]
    fn age_never_decreases_with_time(freshness in any_freshness(), one: u64, other: u64) {
        let (before, after) = (one.min(other), one.max(other));
        let age = |millis| freshness.age(Timestamp::from_millis(millis));
        prop_assert!(age(before) <= age(after));
    }

    #[test]
    fn fresh_means_younger_than_the_lifetime(freshness in any_freshness(), since in 0..=1_u64 << 42) {
        let now = freshness.response_time.plus(Duration::from_millis(since));
        let age = freshness.age(now);
        prop_assert_eq!(freshness.is_fresh(now), age < freshness.lifetime);
        match freshness.state(now) {
            State::Fresh { ttl } => prop_assert_eq!(age + ttl, freshness.lifetime),
            State::Stale { by } => prop_assert_eq!(freshness.lifetime + by, age),
        }
    }
}

#[test]
fn what_is_over_at_a_time_is_stale_from_then_on_and_never_later_than_it_would_have_been() {
    let fresh = Freshness { response_time: NOON, initial_age: seconds(5), lifetime: seconds(65) };
    let state = |time: u64, at: u64| {
        let over = fresh.over_at(Timestamp::from_secs(NOON.as_secs() + time));
        over.state(Timestamp::from_secs(NOON.as_secs() + at))
    };
    assert_eq!(state(10, 9), State::Fresh { ttl: seconds(1) });
    assert_eq!(state(10, 10), State::Stale { by: Duration::ZERO });
    assert_eq!(state(10, 70), State::Stale { by: seconds(60) });
    assert_eq!(state(100, 70), State::Stale { by: seconds(10) }, "its own end was earlier");
    // The clock was put back after it came.
    let early = fresh.over_at(Timestamp::from_secs(NOON.as_secs() - 2));
    assert_eq!(early.lifetime, seconds(3));
    assert_eq!(fresh.over_at(Timestamp::from_secs(1)).lifetime, Duration::ZERO);
    // As old as anything can be.
    let old = Freshness { initial_age: Duration::MAX, ..fresh };
    assert_eq!(old.over_at(Timestamp::from_secs(NOON.as_secs() + 1)).lifetime, seconds(65));
}
