//! A reload with another memory limit: the tier is built anew, what it holds is kept, and the limit is that of the process.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use forebay::body::budget::Budget;
use forebay::cache::Admission;
use forebay::cache::disk::health::Health;
use forebay::cache::ledger::Source;
use forebay::cache::ledger::name::Name;
use forebay::cache::ledger::record::{Purge, Strength, Subject};
use forebay::cache::lookup::{Held, Hit};
use forebay::cache::{Cache, Settings};

use crate::admin::{scrape, value};
use crate::disk_faults::{Request, disk_settings};
use crate::disk_model::{Model, NOW, Slot, Stamp, key, object, request};
use crate::disk_rig::until;
use crate::reload_rig::{PLACES, Served, site};
use crate::support::client::Client;
use crate::support::disk::{Disk, Make};
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

fn settings(memory: u64) -> Settings {
    let marker_life = Duration::from_secs(1);
    Settings { memory, max_markers: 10, marker_life, ledger: 1 << 20, disk: None }
}

fn tier(memory: u64) -> (Cache, Arc<Budget>) {
    let budget = Budget::new(1 << 30);
    (Cache::open(&settings(memory), &budget, &Arc::default()).expect("no disk"), budget)
}

/// Stores an object of so many bytes under this key.
fn store(cache: &Cache, number: usize, length: usize) {
    let content = Stamp { seed: number as u64, length };
    let mut model = Model::default();
    model.add(Slot { key: number, language: None }, cache.next_generation(), content);
    let object = Arc::new(object(model.versions.last().unwrap(), cache.sequence()));
    cache.store(&key(number), &Hit { object, content: Held::Memory(content.content().parts) });
}

fn is_there(cache: &Cache, number: usize) -> bool {
    cache.lookup(&key(number), &request(None)).hit().is_some()
}

fn purge(cache: &Cache, subject: Subject) {
    let purge = Purge { strength: Strength::Hard, subject };
    cache.purge(vec![purge], NOW, Source::default()).expect("no glob");
}

/// Sets a flag when it goes, also where an assertion fails.
pub struct Ends<'a>(pub &'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn what_is_asked_for_most_is_kept_when_the_tier_becomes_smaller() {
    let (cache, budget) = tier(64 << 20);
    (0..1_000).for_each(|number| store(&cache, number, OBJECT));
    assert!((0..1_000).all(|number| is_there(&cache, number)), "all fit");
    // Of look-ups one in so many is noted.
    (0..20_000).for_each(|turn| assert!(is_there(&cache, 100 * (turn % 10))));
    cache.resize(&settings(8 << 20), &budget);
    assert!(cache.memory_used() <= 8 << 20);
    let kept = (0..1_000).filter(|number| is_there(&cache, *number)).count();
    assert!(kept > 100, "{kept}");
    assert!((0..10).all(|hot| is_there(&cache, 100 * hot)));
}

/// A part of an object is of no use: a smaller tier is full of whole ones.
#[test]
fn what_is_kept_is_kept_whole() {
    for (length, many) in [(150_000, 400), (3_000_000, 20)] {
        let (cache, budget) = tier(64 << 20);
        (0..many).for_each(|number| store(&cache, number, length));
        assert!((0..many).all(|number| is_there(&cache, number)), "all fit");
        cache.resize(&settings(32 << 20), &budget);
        let kept = (0..many).filter(|number| is_there(&cache, *number)).count();
        let fit = (32 << 20) / length;
        assert!(kept <= fit && kept * 10 >= fit * 8, "{kept} of {fit} objects of {length} bytes");
        let used = usize::try_from(cache.memory_used()).unwrap();
        assert!(used < kept * (length + 2_000) + (1 << 20), "{used} bytes for {kept} objects of {length}");
        cache.resize(&settings(64 << 20), &budget);
        assert_eq!((0..many).filter(|number| is_there(&cache, *number)).count(), kept, "and lost nowhere");
    }
}

/// A sweep that was made has met whatever lives on, also where the tier is full and built anew meanwhile: records of purges are
/// let go of on its word.
#[test]
fn nothing_that_was_purged_comes_back_when_records_go_while_the_tier_is_built_anew() {
    const KEYS: usize = 1_000;
    let (cache, budget) = tier(1 << 20);
    let is_done = AtomicBool::new(false);
    let going = || !is_done.load(Ordering::Relaxed);
    let mut retired = 0;
    std::thread::scope(|scope| {
        let _ends = Ends(&is_done);
        scope.spawn(|| {
            for limit in [3 << 20, 1 << 20].into_iter().cycle().take_while(|_| going()) {
                cache.resize(&settings(limit), &budget);
                std::thread::sleep(Duration::from_micros(fastrand::u64(..100_000)));
            }
        });
        scope.spawn(|| {
            for number in (KEYS..20 * KEYS).cycle().take_while(|_| going()) {
                store(&cache, number, 100);
            }
        });
        for round in 0..40 {
            (0..KEYS).for_each(|number| store(&cache, number, 100));
            purge(&cache, Subject::Named(Name::of_host("disk.test")));
            for _ in 0..50 {
                cache.sweep();
                if cache.ledger().records == 0 {
                    retired += 1;
                    break;
                }
            }
            let alive: Vec<_> = (0..KEYS).filter(|number| is_there(&cache, *number)).collect();
            assert!(alive.is_empty(), "in round {round}: {alive:?}");
        }
    });
    assert!(retired > 0, "{retired}");
}

#[test]
fn a_smaller_ledger_folds_with_the_next_purge() {
    let (cache, budget) = tier(64 << 20);
    store(&cache, 0, 100);
    (1..=1_000).for_each(|number| purge(&cache, Subject::Named(Name::of_url(key(number).url()))));
    store(&cache, 1, 100);
    let less = Settings { ledger: 64 * 100, ..settings(64 << 20) };
    cache.resize(&less, &budget);
    assert_eq!((cache.ledger().records, cache.ledger().most), (1_000, 100));
    assert!(is_there(&cache, 0) && is_there(&cache, 1));
    purge(&cache, Subject::Named(Name::of_url(key(2).url())));
    assert_eq!(cache.ledger().records, 100);
    assert!(!is_there(&cache, 0), "it is as old as what was folded");
    assert!(is_there(&cache, 1));
}

/// Slots in the index for each MiB of its memory.
const ENTRIES_MIB: usize = (1 << 20) / 88;

/// An index that is too large for its memory by now is made to fit, and goes on.
#[tokio::test]
async fn a_smaller_index_of_the_disk_is_made_to_fit() {
    let disk = Disk::new(1, Make { capacity: 1 << 30, ordered: true, cached: true });
    let with = |index| {
        let disk = Some(disk_settings(512 << 20, index, Admission::Always));
        Settings { disk, ..settings(1) }
    };
    let budget = Budget::new(1 << 30);
    let opener = Some(disk.process() as _);
    let cache = Cache::open_on(&with(4 << 20), opener, &budget, &Arc::default()).expect("a disk");
    let tier = cache.disk().expect("a disk");
    tier.wait_for(|health| *health == Health::Serving).await;
    let store_all = async |numbers: std::ops::Range<usize>| {
        for number in numbers {
            store(&cache, number, 100);
            until("it has room", || tier.waiting_changes() < 100).await;
        }
        until("all is written", || tier.is_settled()).await;
    };
    store_all(0..20_000).await;
    let (most, charged) = (ENTRIES_MIB / 2, budget.used());
    assert!(tier.entries() > most + 200, "{}", tier.entries());
    cache.resize(&with(512 << 10), &budget);
    until("it fits", || tier.entries() <= most).await;
    until("memory is given back", || budget.used() < charged).await;
    let found = async |numbers: std::ops::Range<usize>| {
        let mut found = 0;
        for number in numbers {
            found += usize::from(cache.find(&key(number), &Arc::new(Request(request(None)))).await.is_some());
        }
        found
    };
    let kept = found(0..20_000).await;
    assert!(kept > most / 2 && kept <= most, "{kept} of {most}");
    store_all(20_000..20_100).await;
    assert_eq!(found(20_099..20_100).await, 1, "what comes now is stored, whatever has to go for it");
    cache.close(Duration::from_secs(5));
}
