use http::uri::Scheme;

use super::*;
use crate::base::ids::{KeyRules, SiteId};
use crate::cache::disk::volume::Directory;
use crate::cache::key::{KeyParts, url};

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
    ledger.purge_urls([url(&Scheme::HTTP, "a", &target.parse().expect("a target"))], Timestamp::default())
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
    assert!(ledger.still_lets_live(before, &checked, &key(1, "/x")));
    assert_eq!(purge(&ledger, "/x").kept(std::time::Duration::ZERO).await, Kept::Memory);
    for site in [1, 2] {
        assert!(!ledger.still_lets_live(before, &checked, &key(site, "/x")));
        assert!(ledger.lets_live(ledger.now(), &key(site, "/x")));
        assert!(ledger.lets_live(before, &key(site, "/x?y")));
    }
}

#[test]
fn what_was_found_alive_is_not_looked_up_again_until_the_next_purge() {
    let ledger = ledger();
    let (born, checked) = (ledger.now(), Checked::default());
    drop(purge(&ledger, "/other"));
    assert!(ledger.still_lets_live(born, &checked, &key(1, "/x")));
    // Who is held here would wait for ever if he looked it up.
    let held = ledger.state.write();
    assert!(ledger.still_lets_live(born, &checked, &key(1, "/x")));
    drop(held);
    drop(purge(&ledger, "/x"));
    assert!(!ledger.still_lets_live(born, &checked, &key(1, "/x")));
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
    assert!(counters.ledger_folded.get() == 0 && ledger.lets_live(born, &key(1, "/other")));
    drop(purge(&ledger, "/one-more"));
    assert!(counters.ledger_folded.get() == 1 && !ledger.lets_live(born, &key(1, "/other")));
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
        assert!(ledger.lets_live(stored_after, &key(1, "/late")), "the same disk again");
        attach(&ledger, &foreign, (last, 7));
        let of_others = Sequence { epoch: last, number: 99 };
        for target in ["/early", "/late"] {
            assert!(!ledger.lets_live(of_others, &key(1, target)), "{target} of epoch {last}");
        }
        assert!(ledger.lets_live(of_others, &key(1, "/other")));
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
        assert_eq!(ledger.lets_live(earlier, &key(1, "/x")), epoch == 1, "epoch {epoch}");
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
    let of = |target: &str| url(&Scheme::HTTP, "a", &target.parse().expect("a target"));
    let born = ledger.now();
    // Purges of others do not concern it.
    ledger.purge_urls([of("/other")], Timestamp::default());
    let (_, answer) = ledger.purge_for([of("/a"), of("/b")], Timestamp::default(), born);
    assert_eq!(answer, ledger.now());
    // One of its own URL does, if it came while the request was under way.
    let born = ledger.now();
    ledger.purge_urls([of("/a")], Timestamp::default());
    let (_, answer) = ledger.purge_for([of("/a")], Timestamp::default(), born);
    assert_eq!(answer, born);
}
