use std::time::Duration;

use proptest::prelude::*;

use super::*;

const RULES: Rules = Rules {
    down_after: 1,
    backoff: Duration::from_secs(1),
    max_backoff: Duration::from_secs(30),
    trial: Duration::from_mins(1),
};

fn roster(weights: &[u16], max_connections: usize) -> Roster {
    Roster::new(weights.iter().copied(), max_connections, RULES)
}

/// The endpoint that a request goes to, and its tie to that.
fn go(roster: &mut Roster, tried: &[usize]) -> (usize, Begun) {
    match roster.pick(tried) {
        Pick::Go(index, begun) => (index, begun),
        other => panic!("{other:?}"),
    }
}

/// Where so many requests go that end at once.
fn turns(roster: &mut Roster, count: usize) -> Vec<usize> {
    let mut turn = |_| {
        let (index, begun) = go(roster, &[]);
        roster.release(index, Some(begun));
        index
    };
    (0..count).map(&mut turn).collect()
}

#[test]
fn weights_are_kept_smoothly() {
    assert_eq!(turns(&mut roster(&[1, 1, 1], 1), 6), [0, 1, 2, 0, 1, 2]);
    assert_eq!(turns(&mut roster(&[3, 1], 1), 8), [0, 0, 1, 0, 0, 0, 1, 0]);
    assert_eq!(turns(&mut roster(&[5, 1, 1], 1), 7), [0, 0, 1, 0, 2, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn one_that_is_down_is_skipped_and_the_others_share_its_part_evenly() {
    let mut roster = roster(&[1, 1, 1], 10);
    let (index, begun) = go(&mut roster, &[]);
    roster.failed(index, begun);
    roster.release(index, None);
    let turns = turns(&mut roster, 100);
    assert_eq!([0, 1, 2].map(|index| turns.iter().filter(|turn| **turn == index).count()), [0, 50, 50]);
}

#[tokio::test(start_paused = true)]
async fn after_its_pause_one_request_tries_it_and_an_answer_brings_it_back() {
    let mut roster = roster(&[1, 1], 10);
    let (index, begun) = go(&mut roster, &[]);
    roster.failed(index, begun);
    roster.release(index, None);
    tokio::time::advance(Duration::from_secs(1)).await;
    let picks: Vec<_> = (0..6).map(|_| go(&mut roster, &[]).0).collect();
    assert_eq!(picks.iter().filter(|pick| **pick == index).count(), 1, "{picks:?}");
    assert!(roster.answered(index));
    assert!(turns(&mut roster, 4).iter().filter(|turn| **turn == index).count() >= 2);
}

#[tokio::test(start_paused = true)]
async fn if_all_are_down_the_one_where_fewest_wait_and_then_the_one_whose_pause_ends_first_is_asked() {
    let mut roster = roster(&[1, 1], 10);
    for first in [0, 1] {
        let (index, begun) = go(&mut roster, &[1 - first]);
        assert_eq!(index, first);
        roster.failed(index, begun);
        roster.release(index, None);
        tokio::time::advance(Duration::from_millis(300)).await;
    }
    assert_eq!(turns(&mut roster, 3), [0, 0, 0]);
    assert_eq!([0, 0, 0, 0].map(|_| go(&mut roster, &[]).0), [0, 1, 0, 1]);
    assert!(matches!(roster.pick(&[0]), Pick::Nobody), "in an outage each request is one attempt");
}

#[test]
fn a_full_endpoint_is_passed_over_and_full_is_said_only_if_all_are() {
    let mut roster = roster(&[1, 1], 2);
    for expected in [0, 1, 0, 1] {
        assert_eq!(go(&mut roster, &[]).0, expected);
    }
    assert!(matches!(roster.pick(&[]), Pick::Full));
    assert!(matches!(roster.pick(&[0]), Pick::Full));
    assert!(matches!(roster.pick(&[0, 1]), Pick::Nobody));
    roster.release(1, None);
    assert!(matches!(roster.pick(&[1]), Pick::Full));
    assert_eq!(go(&mut roster, &[]).0, 1);
}

proptest! {
    #[test]
    fn any_weights_are_met_within_one_round(weights in prop::collection::vec(1_u16..=50, 1..8)) {
        let mut roster = roster(&weights, 1);
        let total: usize = weights.iter().map(|weight| usize::from(*weight)).sum();
        let turns = turns(&mut roster, total * 3);
        for (index, weight) in weights.iter().enumerate() {
            let count = turns.iter().filter(|turn| **turn == index).count();
            prop_assert_eq!(count, usize::from(*weight) * 3);
        }
    }
}

#[test]
fn a_drained_endpoint_is_no_choice_even_if_all_others_are_down() {
    let mut roster = roster(&[1, 1], 10);
    roster.drain(0, true);
    assert_eq!(turns(&mut roster, 4), [1; 4]);
    assert!(matches!(roster.pick(&[1]), Pick::Nobody), "nor after the other one failed");
    let (index, begun) = go(&mut roster, &[]);
    roster.failed(index, begun);
    assert_eq!(go(&mut roster, &[]).0, 1, "the one that is down is asked all the same");
    roster.drain(1, true);
    assert!(matches!(roster.pick(&[]), Pick::Nobody));
    roster.drain(0, false);
    assert_eq!(go(&mut roster, &[]).0, 0);
}
