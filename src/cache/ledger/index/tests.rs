use http::uri::Scheme;

use super::*;
use crate::base::ids::{KeyRules, SiteId};
use crate::cache::key::{Key, KeyParts};
use crate::semantics::tags::{Tag, Tags};
use Strength::{Hard, Soft};

fn key(target: &str) -> Key {
    Key::new(&KeyParts {
        site: SiteId(1),
        rules: KeyRules(1),
        scheme: &Scheme::HTTPS,
        host: "a.test",
        target: &target.parse().expect("a target"),
        arm: "",
    })
}

fn at(ordinal: u64) -> Timestamp {
    Timestamp::from_millis(ordinal * 10)
}

fn add(index: &mut Index, ordinal: u64, strength: Strength, subject: Subject) {
    let (sequence, says) = (Sequence::of_ordinal(ordinal), Says::Purge(Purge { strength, subject }));
    index.add(&Record { sequence, time: at(ordinal), id: 0, stream: 0, says });
}

fn url(target: &str) -> Subject {
    Subject::Named(Name::of_url(key(target).url()))
}

fn judge(index: &Index, born: u64, target: &str) -> Standing {
    index.judge(born, &Facts::new(&key(target), &Tags::default()))
}

fn kills(index: &Index, born: u64, target: &str) -> bool {
    judge(index, born, target) == Standing::Dead
}

fn retire(index: &mut Index, ordinal: u64, soft_too: bool) -> usize {
    let (gone, more) = index.retire(ordinal, soft_too, &mut Cursor::default());
    assert!(!more, "there are few");
    gone
}

fn subjects() -> [(Subject, bool); 15] {
    let named = Subject::Named;
    let prefix = |scheme, path| named(Name::of_prefix(scheme, "a.test", path));
    let like = |glob| Subject::Like(Glob::new(glob).expect("a glob"));
    [
        (url("/a/b?c"), true),
        (url("/a/b"), false),
        (named(Name::of_tag(Tag::of(b"x"))), true),
        (named(Name::of_tag(Tag::of(b"z"))), false),
        (named(Name::of_host("a.test")), true),
        (named(Name::of_host("b.test")), false),
        (prefix("", ""), true),
        (prefix("https", "/a"), true),
        (prefix("", "/a/b"), true),
        (prefix("http", "/a"), false),
        (prefix("", "/b"), false),
        (like("a.test/*c"), true),
        (like("a.test/a/b"), false),
        (Subject::All, true),
        // A name of one kind is none of another.
        (named(Name { kind: Kind::Host, ..Name::of_tag(Tag::of(b"x")) }), false),
    ]
}

#[test]
fn each_kind_matches_what_it_names_and_what_was_born_before_it() {
    let tags = Tags::new(vec![Tag::of(b"x"), Tag::of(b"y")]);
    for (subject, matches) in subjects() {
        for (strength, expected) in [(Hard, Standing::Dead), (Soft, Standing::StaleSince(at(5)))] {
            let mut index = Index::default();
            add(&mut index, 5, strength, subject.clone());
            let (key, expected) = (key("/a/b?c"), if matches { expected } else { Standing::Alive });
            assert_eq!(index.judge(4, &Facts::new(&key, &tags)), expected, "{subject:?}");
            assert_eq!(index.judge(5, &Facts::new(&key, &tags)), Standing::Alive, "{subject:?}");
        }
    }
}

#[test]
fn a_prefix_ends_where_a_segment_does() {
    for (path, target, matches) in [
        ("/a", "/a", true),
        ("/a", "/a/", true),
        ("/a", "/a?q", true),
        ("/a", "/a/b/c", true),
        ("/a", "/ab", false),
        ("/a", "/b/a", false),
        ("", "/", true),
        ("/a/b", "/a//b", false),
    ] {
        let mut index = Index::default();
        add(&mut index, 1, Hard, Subject::Named(Name::of_prefix("", "a.test", path)));
        assert_eq!(kills(&index, 0, target), matches, "{path} {target}");
    }
}

#[test]
fn of_soft_purges_the_earliest_counts_and_any_hard_one_is_stronger() {
    let mut index = Index::default();
    let host = || Subject::Named(Name::of_host("a.test"));
    add(&mut index, 1, Soft, host());
    add(&mut index, 2, Soft, url("/a"));
    add(&mut index, 3, Soft, Subject::All);
    assert_eq!(judge(&index, 0, "/a"), Standing::StaleSince(at(1)));
    assert_eq!(judge(&index, 1, "/a"), Standing::StaleSince(at(2)));
    assert_eq!(judge(&index, 2, "/a"), Standing::StaleSince(at(3)));
    add(&mut index, 4, Hard, url("/a"));
    assert!(kills(&index, 3, "/a") && judge(&index, 2, "/b") == Standing::StaleSince(at(3)));
    add(&mut index, 5, Hard, Subject::All);
    assert!(kills(&index, 4, "/b") && (index.len(), index.floor().ordinal()) == (0, 5));
    assert_eq!(judge(&index, 5, "/b"), Standing::Alive);
}

#[test]
fn over_the_limit_the_oldest_fold_into_the_floor() {
    let mut index = Index::default();
    add(&mut index, 1, Soft, Subject::Like(Glob::new("a.test/*").expect("a glob")));
    for (ordinal, target) in [(2, "/a"), (3, "/b"), (4, "/c")] {
        add(&mut index, ordinal, Hard, url(target));
    }
    assert_eq!(index.fold(2), 2, "the glob is older");
    assert!(kills(&index, 1, "/any") && !kills(&index, 2, "/any"), "all before the one that was folded");
    assert!(!kills(&index, 2, "/a") && kills(&index, 2, "/b"));
    assert_eq!(index.fold(0), 2);
    assert_eq!((index.len(), index.cost(), index.frames(), index.floor().ordinal()), (0, 0, 0, 4));
}

#[test]
fn two_that_are_merged_kill_what_either_killed_and_fold_in_one_order() {
    let (mut one, mut other) = (Index::default(), Index::default());
    for (ordinal, target) in [(2, "/a"), (4, "/b"), (6, "/c")] {
        add(&mut one, ordinal, Hard, url(target));
    }
    for (ordinal, target) in [(1, "/b"), (3, "/c"), (5, "/a")] {
        add(&mut other, ordinal, Hard, url(target));
    }
    add(&mut other, 7, Soft, Subject::All);
    one.merge(&other);
    for (purged, target) in [(5, "/a"), (4, "/b"), (6, "/c")] {
        assert!(kills(&one, purged - 1, target) && !kills(&one, purged, target), "{target}");
    }
    assert_eq!(judge(&one, 6, "/other"), Standing::StaleSince(at(7)));
    assert_eq!((one.fold(2), one.floor().ordinal()), (1, 4));
}

#[test]
fn what_is_issued_anew_kills_what_it_killed_and_all_that_another_has_seen() {
    let mut index = Index::default();
    for (ordinal, target) in [(1, "/a"), (2, "/b"), (5, "/c")] {
        add(&mut index, ordinal, Hard, url(target));
    }
    add(&mut index, 3, Soft, Subject::All);
    index.raise_floor(1);
    let last = index.reissue(9);
    assert_eq!(last, Sequence { epoch: 9, number: 4 });
    let of_another = Sequence { epoch: 8, number: 77 }.ordinal();
    assert!(kills(&index, of_another, "/any") && kills(&index, of_another, "/b"));
    let after_first = Sequence { epoch: 9, number: 1 }.ordinal();
    assert_eq!(judge(&index, after_first, "/a"), Standing::StaleSince(at(3)));
    assert!(!kills(&index, last.ordinal(), "/c"));
}

#[test]
fn globs_are_few_and_one_of_the_same_takes_the_place_of_the_earlier() {
    let mut index = Index::default();
    let like = |nth: usize| Subject::Like(Glob::new(&format!("a.test/{nth}*")).expect("a glob"));
    for nth in 0..MOST_GLOBS {
        assert!(index.has_room_for(1));
        add(&mut index, 1 + nth as u64, Hard, like(nth));
        add(&mut index, 1 + nth as u64, Hard, like(nth));
    }
    assert!(!index.has_room_for(1) && index.has_room_for(0) && index.globs() == MOST_GLOBS);
    add(&mut index, 100, Hard, like(3));
    assert!(kills(&index, 99, "/3x") && kills(&index, 1, "/1") && !kills(&index, 99, "/1"));
    assert_eq!(retire(&mut index, 10, true), 9);
    assert_eq!(index.len(), MOST_GLOBS - 9);
    assert!(kills(&index, 99, "/3x") && !kills(&index, 0, "/1?"));
}

#[test]
fn retiring_leaves_soft_ones_where_they_still_matter() {
    let mut index = Index::default();
    add(&mut index, 1, Soft, Subject::All);
    add(&mut index, 2, Soft, Subject::Like(Glob::new("*").expect("a glob")));
    add(&mut index, 3, Soft, url("/a"));
    add(&mut index, 4, Hard, url("/a"));
    assert_eq!(index.retirable(false), 2, "the glob may be a hard one");
    assert_eq!(retire(&mut index, 4, false), 1);
    assert_eq!((index.len(), retire(&mut index, 4, true)), (2, 2));
    assert_eq!((index.len(), index.is_empty()), (0, false));
}
