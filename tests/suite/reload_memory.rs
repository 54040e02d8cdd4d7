//! A reload with another memory limit: the tier is built anew, what it holds is kept, and the limit is that of the process.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use forebay::body::budget::Budget;
use forebay::cache::ledger::Source;
use forebay::cache::ledger::name::Name;
use forebay::cache::ledger::record::{Purge, Strength, Subject};
use forebay::cache::lookup::{Held, Hit};
use forebay::cache::{Cache, Settings};

use crate::admin::{scrape, value};
use crate::disk_model::{Model, NOW, Slot, Stamp, key, object, request};
use crate::reload_rig::{PLACES, Served, site};
use crate::support::client::Client;
use crate::support::origin::{Origin, respond};
use crate::support::process::rss_anon_kib;

const OBJECT: usize = 50_000;
/// Most of what a memory tier holds where the limit of the process is 256 MiB.
const OBJECTS: usize = 2_000;

/// Answers with content of a length, and counts.
async fn counting(count: &Arc<AtomicUsize>) -> Origin {
    let count = Arc::clone(count);
    Origin::tcp(move |_, _| {
        count.fetch_add(1, Ordering::Relaxed);
        vec![respond("200 OK", &[("Cache-Control", "max-age=600")], vec![b'x'; OBJECT])]
    })
    .await
}

async fn get_all(client: &mut Client<tokio::net::TcpStream>) -> usize {
    let mut hits = 0;
    for number in 0..OBJECTS {
        let answer = client.get(&format!("/{number}")).await;
        assert!(answer.complete && answer.body.len() == OBJECT);
        hits += usize::from(answer.cache_status().contains("; hit"));
    }
    hits
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_stored_is_kept_as_far_as_it_fits_and_the_limit_holds() {
    let count = Arc::default();
    let origin = counting(&count).await;
    let text = format!("{PLACES}{}", site("a", "*", &origin.url())).replace("128MiB", "256MiB");
    let served = Served::with(&text, &["--access-log", "off"]).await;
    let limit = async || value(&scrape(served.admin).await, "forebay_memory_tier_limit_bytes").expect("told");
    let held = async || value(&scrape(served.admin).await, "forebay_memory_tier_bytes").expect("told");
    let at_first = limit().await;
    let mut client = served.client().await;
    get_all(&mut client).await;
    assert_eq!(get_all(&mut client).await, OBJECTS, "they fit");

    served.reload(&text.replace("256MiB", "512MiB")).await;
    served.node.wait_for_line("the memory tier was built anew").await;
    served.node.wait_for_line("changed=\"memory\"").await;
    assert!(limit().await > 2.0 * at_first);
    assert_eq!(get_all(&mut client).await, OBJECTS, "nothing was lost, and no connection");
    assert_eq!(count.load(Ordering::Relaxed), OBJECTS);

    served.reload(&text.replace("256MiB", "128MiB")).await;
    assert!(limit().await < at_first / 2.0 + 1.0);
    assert!(held().await <= limit().await);
    assert!(held().await > limit().await / 2.0, "what fits is kept");
    get_all(&mut client).await;
    let rss = rss_anon_kib(served.node.pid());
    assert!(rss < 128 << 10, "RssAnon is {rss} KiB");

    served.refuses(&text.replace("256MiB", "1MiB")).await;
    assert!(limit().await < at_first, "a bad limit changes nothing");
}

#[test]
fn what_is_asked_for_most_is_kept_when_the_tier_becomes_smaller() {
    let settings = |memory| {
        let marker_life = Duration::from_secs(1);
        Settings { memory, max_markers: 10, marker_life, ledger: 1 << 20, disk: None }
    };
    let cache = Cache::open(&settings(64 << 20), &Budget::new(1 << 30), &Arc::default()).expect("no disk");
    let mut model = Model::default();
    for number in 0..1_000 {
        let content = Stamp { seed: number as u64, length: OBJECT };
        model.add(Slot { key: number, language: None }, cache.next_generation(), content);
        let object = Arc::new(object(model.versions.last().unwrap(), cache.sequence()));
        assert!(cache.store(&key(number), &Hit { object, content: Held::Memory(content.content().parts) }));
    }
    let is_there = |number| cache.lookup(&key(number), &request(None)).hit().is_some();
    assert!((0..1_000).all(is_there), "all fit");
    // Of look-ups one in so many is noted.
    (0..20_000).for_each(|turn| assert!(is_there(100 * (turn % 10))));
    cache.resize(&settings(8 << 20));
    assert!(cache.memory_used() <= 8 << 20);
    let kept = (0..1_000).filter(|number| is_there(*number)).count();
    assert!(kept > 100, "{kept}");
    assert!((0..10).all(|hot| is_there(100 * hot)));
}

/// Who walks through the tier meets whatever is there from beginning to end, also while it is moved: sweeps rely on it.
#[test]
fn a_sweep_misses_nothing_while_the_tier_is_built_anew() {
    let settings = |memory| {
        let marker_life = Duration::from_secs(1);
        Settings { memory, max_markers: 10, marker_life, ledger: 1 << 20, disk: None }
    };
    let cache = Cache::open(&settings(512 << 20), &Budget::new(1 << 30), &Arc::default()).expect("no disk");
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for limit in [400 << 20, 512 << 20].into_iter().cycle() {
                cache.resize(&settings(limit));
                if is_done.load(Ordering::Relaxed) {
                    return;
                }
            }
        });
        let mut model = Model::default();
        for round in 0..20 {
            for number in 0..500 {
                let content = Stamp { seed: round, length: 100 };
                model.add(Slot { key: number, language: None }, cache.next_generation(), content);
                let object = Arc::new(object(model.versions.last().unwrap(), cache.sequence()));
                let hit = Hit { object, content: Held::Memory(content.content().parts) };
                assert!(cache.store(&key(number), &hit));
            }
            let subject = Subject::Named(Name::of_host("disk.test"));
            let purge = Purge { strength: Strength::Hard, subject };
            cache.purge(vec![purge], NOW, Source::default()).expect("no glob");
            cache.sweep();
            assert_eq!(cache.ledger().records, 0, "what it was for is gone");
            let alive = (0..500).filter(|number| cache.lookup(&key(*number), &request(None)).hit().is_some());
            assert_eq!(alive.count(), 0, "in round {round}");
        }
        is_done.store(true, Ordering::Relaxed);
    });
}
