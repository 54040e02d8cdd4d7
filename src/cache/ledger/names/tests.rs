use super::*;
use Strength::{Hard, Soft};

fn name(url: &str) -> Name {
    Name::of_url(url.as_bytes())
}

fn add(names: &mut Names, ordinal: u64, url: &str, strength: Strength) {
    names.add(&Named { ordinal, time: Timestamp::from_millis(ordinal * 10), strength, name: name(url) });
}

fn latest(names: &Names, url: &str) -> [Option<u64>; 2] {
    [Hard, Soft].map(|strength| names.get(&name(url), strength).map(|purge| purge.ordinal))
}

/// All of it, in handfuls; how many went.
fn retire(names: &mut Names, ordinal: u64, soft_too: bool) -> usize {
    let (before, mut cursor) = (names.len(), Cursor::default());
    while names.retire(ordinal, soft_too, &mut cursor, 7) {}
    before - names.len()
}

#[test]
fn a_later_purge_of_a_name_takes_the_place_of_the_earlier() {
    let mut names = Names::default();
    for ordinal in [1, 3, 2] {
        add(&mut names, ordinal, "/a", Hard);
    }
    assert_eq!((names.len(), latest(&names, "/a")), (1, [Some(3), None]));
}

#[test]
fn a_hard_one_takes_the_place_of_earlier_soft_ones_and_a_soft_one_only_of_those() {
    let mut names = Names::default();
    add(&mut names, 1, "/a", Soft);
    assert!(names.has(Kind::Url, Soft) && !names.has(Kind::Url, Hard) && !names.has(Kind::Tag, Soft));
    add(&mut names, 2, "/a", Hard);
    assert_eq!(latest(&names, "/a"), [Some(2), None]);
    assert!(!names.has(Kind::Url, Soft));
    add(&mut names, 3, "/a", Soft);
    add(&mut names, 4, "/a", Soft);
    assert_eq!((latest(&names, "/a"), names.len()), ([Some(2), Some(4)], 2));
    assert_eq!(names.get(&name("/a"), Soft).map(|purge| purge.time.as_millis()), Some(40));
}

#[test]
fn what_is_purged_again_and_again_takes_no_more_room() {
    let mut names = Names::default();
    for ordinal in 1..100_000 {
        add(&mut names, ordinal, &format!("/{}", ordinal % 1000), Hard);
    }
    assert_eq!((names.len(), names.iter().count()), (1000, 1000));
    assert!(names.purges.capacity() < 1500, "{}", names.purges.capacity());
    for ordinal in 99_000..100_000 {
        assert_eq!(latest(&names, &format!("/{}", ordinal % 1000))[0], Some(ordinal));
    }
}

#[test]
fn a_record_costs_no_more_than_is_counted() {
    let mut names = Names::default();
    for ordinal in 1..200_000 {
        add(&mut names, ordinal, &ordinal.to_string(), Hard);
        assert!(ordinal < 2000 || names.allocated() as u64 <= names.len() as u64 * RECORD, "{ordinal}");
    }
    retire(&mut names, 190_000, true);
    assert!(names.allocated() < 10_000 * 80, "{}", names.allocated());
}

#[test]
fn what_is_retired_is_gone_and_the_rest_is_found() {
    let mut names = Names::default();
    for ordinal in 1..=100 {
        add(&mut names, ordinal, &ordinal.to_string(), if ordinal % 10 == 0 { Soft } else { Hard });
    }
    assert_eq!(retire(&mut names, 50, false), 45);
    for ordinal in 1..=100 {
        let there = ordinal > 50 || ordinal % 10 == 0;
        let found = latest(&names, &ordinal.to_string()).into_iter().flatten().next();
        assert_eq!(found, there.then_some(ordinal), "{ordinal}");
    }
    assert_eq!(names.oldest(), Some(10));
    assert_eq!((retire(&mut names, 50, true), names.oldest()), (5, Some(51)));
    names.raise_floor(99);
    assert_eq!(names.iter().map(|purge| purge.ordinal).collect::<Vec<_>>(), [100]);
    add(&mut names, 101, "/new", Hard);
    assert_eq!(latest(&names, "/new")[0], Some(101));
}
