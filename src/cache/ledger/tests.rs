use http::uri::Scheme;

use super::*;
use crate::base::ids::{KeyRules, SiteId};
use crate::cache::disk::volume::Directory;
use crate::cache::disk::volume::Volume;
use crate::cache::key::{KeyParts, url};
use crate::semantics::glob::Glob;
use crate::semantics::tags::Tag;

fn ledger() -> Arc<Ledger> {
    Arc::new(Ledger::new(1 << 14, &Budget::new(1 << 20), &Arc::default()))
}

fn key(site: u32, target: &str) -> Key {
    Key::new(&KeyParts {
        site: SiteId(site),
        rules: KeyRules(site),
        scheme: &Scheme::HTTP,
        host: "a",
        target: &target.parse().expect("a target"),
        arm: "",
    })
}

fn purge(ledger: &Ledger, target: &str) -> Receipt {
    record(ledger, &[target])
}

fn record(ledger: &Ledger, targets: &[&str]) -> Receipt {
    let purges = targets.iter().map(|target| Purge::of_name(named(target))).collect();
    ledger.purge(purges, Timestamp::default(), Source::default()).expect("no glob")
}

fn named(target: &str) -> Name {
    Name::of_url(&url(&Scheme::HTTP, "a", &target.parse().expect("a target")))
}

fn lets_live(ledger: &Ledger, born: Sequence, key: &Key) -> bool {
    ledger.lets_live(born, &Checked::default(), key, &Tags::default())
}

fn volume(path: &std::path::Path) -> Arc<dyn Volume> {
    Arc::new(Directory::open(path, None).expect("a cache directory"))
}

/// As opening a disk does.
fn attach(ledger: &Ledger, volume: &Arc<dyn Volume>, epochs: (u64, u64)) {
    let replayed = replay(&**volume).expect("it can be read").unwrap_or_default();
    ledger.attach(volume, replayed, epochs).expect("it can be written");
}

#[tokio::test]
async fn a_purge_kills_what_was_born_before_it_whatever_site_and_rules() {
    let ledger = ledger();
    let (before, checked) = (ledger.now(), Checked::default());
    assert!(ledger.lets_live(before, &checked, &key(1, "/x"), &Tags::default()));
    assert_eq!(purge(&ledger, "/x").kept(std::time::Duration::ZERO).await, Kept::Memory);
    for site in [1, 2] {
        assert!(!ledger.lets_live(before, &checked, &key(site, "/x"), &Tags::default()));
        assert!(lets_live(&ledger, ledger.now(), &key(site, "/x")));
        assert!(lets_live(&ledger, before, &key(site, "/x?y")));
    }
}

#[test]
fn what_was_found_alive_is_not_looked_up_again_until_the_next_purge() {
    let ledger = ledger();
    let (born, checked) = (ledger.now(), Checked::default());
    drop(purge(&ledger, "/other"));
    assert!(ledger.lets_live(born, &checked, &key(1, "/x"), &Tags::default()));
    // Who is held here would wait for ever if he looked it up.
    let held = ledger.state.write();
    assert!(ledger.lets_live(born, &checked, &key(1, "/x"), &Tags::default()));
    drop(held);
    drop(purge(&ledger, "/x"));
    assert!(!ledger.lets_live(born, &checked, &key(1, "/x"), &Tags::default()));
}

#[test]
fn tens_of_thousands_of_purges_fit_where_there_is_least_memory() {
    // What a memory limit of 64 MiB gives it, and a disk of 1 GiB.
    let limit = most_records(2 << 20, None);
    assert_eq!((limit, most_records(1 << 30, Some(1 << 25))), (32_768, 349_525));
    let counters = Arc::<Counters>::default();
    let ledger = Ledger::new(limit, &Budget::new(8 << 20), &counters);
    let (born, long) = (ledger.now(), "x".repeat(7000));
    for number in 0..limit {
        drop(purge(&ledger, &format!("/{number}?{long}")));
    }
    assert!(counters.ledger_folded.get() == 0 && lets_live(&ledger, born, &key(1, "/other")));
    drop(purge(&ledger, "/one-more"));
    assert!(counters.ledger_folded.get() == 1 && !lets_live(&ledger, born, &key(1, "/other")));
}

#[test]
fn purges_kill_what_a_disk_of_others_has_from_an_equal_or_earlier_epoch() {
    let directories = [(); 2].map(|()| tempfile::tempdir().expect("a directory"));
    let [own, foreign] = [0, 1].map(|nth: usize| volume(directories[nth].path()));
    for last in [4, 5] {
        let other = self::ledger();
        attach(&other, &foreign, (last - 1, last));
        let ledger = ledger();
        attach(&ledger, &own, (3, 4));
        drop(purge(&ledger, "/early"));
        attach(&ledger, &own, (4, 5));
        drop(purge(&ledger, "/late"));
        let stored_after = ledger.now();
        attach(&ledger, &own, (5, 6));
        assert!(lets_live(&ledger, stored_after, &key(1, "/late")), "the same disk again");
        attach(&ledger, &foreign, (last, 7));
        let of_others = Sequence { epoch: last, number: 99 };
        for target in ["/early", "/late"] {
            assert!(!lets_live(&ledger, of_others, &key(1, target)), "{target} of epoch {last}");
        }
        assert!(lets_live(&ledger, of_others, &key(1, "/other")));
    }
}

#[tokio::test]
async fn a_real_directory_keeps_purges_and_one_file_of_them() {
    let directory = tempfile::tempdir().expect("a directory");
    for epoch in 1..5 {
        let (volume, ledger) = (volume(directory.path()), ledger());
        let scribe = Scribe::start(&ledger, std::time::Duration::from_secs(1)).expect("a thread");
        attach(&ledger, &volume, (epoch - 1, epoch));
        assert_eq!(ledger.now(), Sequence { epoch, number: 0 });
        let earlier = Sequence { epoch: epoch - 1, number: 0 };
        assert_eq!(lets_live(&ledger, earlier, &key(1, "/x")), epoch == 1, "epoch {epoch}");
        assert_eq!(purge(&ledger, "/x").kept(std::time::Duration::from_secs(10)).await, Kept::Disk);
        assert_eq!(volume.ledgers().expect("a list").len(), 1);
        // In order, or as a crash does it.
        if epoch % 2 == 0 {
            drop(scribe);
        } else {
            scribe.close(std::time::Duration::from_secs(10));
        }
        assert_eq!(purge(&ledger, "/y").kept(std::time::Duration::ZERO).await, Kept::NotDurable);
    }
}

#[test]
fn a_record_that_is_not_known_makes_the_ledger_unreadable() {
    let directory = tempfile::tempdir().expect("a directory");
    let volume = volume(directory.path());
    assert!(matches!(replay(&*volume), Ok(Err(journal::Unreadable::Missing))));
    attach(&ledger(), &volume, (0, 1));
    assert!(matches!(replay(&*volume), Ok(Ok(_))));
    std::fs::write(directory.path().join("ledger/00000009"), b"").expect("written");
    assert!(matches!(replay(&*volume), Ok(Ok(_))), "what was begun and not written says nothing");
    std::fs::remove_file(directory.path().join("ledger/00000009")).expect("removed");
    std::fs::create_dir(directory.path().join("ledger/00000009")).expect("made");
    assert!(matches!(replay(&*volume), Ok(Err(journal::Unreadable::Bad(_)))));
}

#[test]
fn an_answer_outlives_what_it_takes_back_but_not_what_came_before() {
    let ledger = ledger();
    let answered = |urls: [&str; 2], born| {
        let purges = urls.map(|target| Purge::of_name(named(target)));
        ledger.purge_for(&key(1, urls[0]), purges, Timestamp::default(), born).1
    };
    let born = ledger.now();
    // Purges of others do not concern it.
    drop(purge(&ledger, "/other"));
    assert_eq!(answered(["/a", "/b"], born), ledger.now());
    // One of its own URL does, if it came while the request was under way.
    let born = ledger.now();
    drop(purge(&ledger, "/a"));
    assert_eq!(answered(["/a", "/a"], born), born);
}

fn soft(subject: Subject) -> Purge {
    Purge { strength: Strength::Soft, subject }
}

#[test]
fn what_was_softly_purged_lives_on_and_is_known_as_stale_since_the_earliest_time() {
    let ledger = ledger();
    let (born, checked, tags) = (ledger.now(), Checked::default(), Tags::new(vec![Tag::of(b"t")]));
    let lives = || ledger.lets_live(born, &checked, &key(1, "/x"), &tags);
    let purge = |purge, second| {
        drop(ledger.purge(vec![purge], Timestamp::from_secs(second), Source::default()).expect("room"));
    };
    assert!(lives() && checked.stale_since().is_none());
    purge(soft(Subject::Named(Name::of_tag(Tag::of(b"other")))), 5);
    assert!(lives() && checked.stale_since().is_none());
    purge(soft(Subject::Named(Name::of_tag(Tag::of(b"t")))), 6);
    assert!(lives() && checked.stale_since() == Some(Timestamp::from_secs(6)));
    purge(soft(Subject::All), 7);
    assert!(lives() && checked.stale_since() == Some(Timestamp::from_secs(6)));
    purge(Purge { strength: Strength::Hard, subject: Subject::Named(Name::of_host("a")) }, 8);
    assert!(!lives());
}

#[test]
fn a_call_with_more_globs_than_there_may_be_records_nothing_at_all() {
    let ledger = ledger();
    let like = |nth: usize| soft(Subject::Like(Glob::new(&format!("a/{nth}*")).expect("a glob")));
    let record = |purges| {
        ledger.purge(purges, Timestamp::default(), Source::default()).map(|receipt| receipt.sequence())
    };
    let too_many: Vec<Purge> = [Purge::of_name(named("/x"))].into_iter().chain((0..65).map(like)).collect();
    assert_eq!((record(too_many), ledger.state().records), (Err(TooManyGlobs), 0));
    assert!(record((0..64).map(like).collect()).is_ok());
    assert!(record((0..64).map(like).collect()).is_ok(), "the same ones again");
    assert_eq!((record(vec![like(70)]), ledger.state().globs), (Err(TooManyGlobs), 64));
    assert_eq!(ledger.retire(ledger.now(), true), 64);
    assert!(record(vec![like(70)]).is_ok());
}

#[test]
fn many_at_once_hold_when_the_call_returns_and_have_one_receipt() {
    let ledger = ledger();
    let born = ledger.now();
    let targets: Vec<String> = (0..AT_ONCE * 3 + 7).map(|nth| format!("/{nth}")).collect();
    let receipt = record(&ledger, &targets.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(receipt.sequence(), ledger.now());
    assert!(targets.iter().all(|target| !lets_live(&ledger, born, &key(1, target))));
}

#[tokio::test]
async fn every_kind_and_the_place_in_the_stream_outlive_the_process() {
    let directory = tempfile::tempdir().expect("a directory");
    let tags = Tags::new(vec![Tag::of(b"t")]);
    let subjects = [
        Subject::Named(named("/x")),
        Subject::Named(Name::of_tag(Tag::of(b"t"))),
        Subject::Named(Name::of_host("a")),
        Subject::Named(Name::of_prefix("", "a", "")),
        Subject::Like(Glob::new("a/*").expect("a glob")),
        Subject::All,
    ];
    for (nth, subject) in subjects.into_iter().enumerate() {
        for strength in [Strength::Hard, Strength::Soft] {
            let epoch = 1 + 2 * nth as u64 + u64::from(strength == Strength::Soft);
            let ledger = ledger();
            let volume = volume(directory.path());
            let scribe = Scribe::start(&ledger, std::time::Duration::from_secs(1)).expect("a thread");
            attach(&ledger, &volume, (epoch - 1, epoch));
            assert_eq!(ledger.state().stream, epoch - 1);
            let born = ledger.now();
            let source = Source { id: 7, stream: epoch };
            let time = Timestamp::from_secs(epoch);
            let receipt = ledger.purge(vec![Purge { strength, subject: subject.clone() }], time, source);
            let kept = receipt.expect("room").kept(std::time::Duration::from_secs(10)).await;
            assert_eq!(kept, Kept::Disk);
            drop(scribe);
            let replayed = replay(&*volume).expect("read").expect("whole");
            let later = self::ledger();
            later.attach(&volume, replayed, (epoch, epoch + 1)).expect("written");
            let expected = match strength {
                Strength::Hard => Standing::Dead,
                Strength::Soft => Standing::StaleSince(time),
            };
            assert_eq!(later.standing(born, &key(1, "/x"), &tags), expected, "{subject:?}");
            // Nothing of it for the next one.
            std::fs::remove_dir_all(directory.path().join("ledger")).expect("removed");
            std::fs::create_dir(directory.path().join("ledger")).expect("made");
            let floor = Source { id: 0, stream: epoch };
            let begun = self::ledger();
            drop(begun.purge(vec![soft(Subject::Named(named("/y")))], time, floor));
            begun.attach(&volume, Replayed::default(), (0, 1)).expect("written");
        }
    }
}

#[test]
fn what_was_let_go_of_kills_all_the_same_what_a_disk_of_others_has() {
    let directories = [(); 2].map(|()| tempfile::tempdir().expect("a directory"));
    let [own, foreign] = [0, 1].map(|nth: usize| volume(directories[nth].path()));
    attach(&self::ledger(), &foreign, (3, 4));
    let ledger = ledger();
    attach(&ledger, &own, (3, 4));
    drop(purge(&ledger, "/x"));
    let stored_after = ledger.now();
    assert_eq!(ledger.retire(ledger.now(), false), 1);
    attach(&ledger, &own, (4, 5));
    assert!(lets_live(&ledger, stored_after, &key(1, "/x")), "the same disk again");
    attach(&ledger, &foreign, (4, 7));
    assert!(!lets_live(&ledger, Sequence { epoch: 4, number: 99 }, &key(1, "/x")));
}

#[tokio::test]
async fn a_ledger_that_could_not_follow_is_written_anew() {
    let directory = tempfile::tempdir().expect("a directory");
    let ledger = ledger();
    let volume = volume(directory.path());
    let scribe = Scribe::start(&ledger, std::time::Duration::from_millis(50)).expect("a thread");
    attach(&ledger, &volume, (0, 1));
    {
        // Nobody writes meanwhile, whatever was begun.
        let _held = ledger.place.lock();
        while ledger.desk.lock().mode == Mode::Writing {
            drop(record(&ledger, &["/a", "/b", "/c", "/d"]));
        }
    }
    let written = async {
        while purge(&ledger, "/after").kept(std::time::Duration::from_secs(1)).await != Kept::Disk {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(10), written).await.expect("written anew");
    drop(scribe);
}
