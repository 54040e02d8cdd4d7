//! What becomes of the space of what was purged, and of records that nothing is left for; and what a purge would match.

use std::sync::Arc;
use std::time::Duration;

use forebay::cache::disk::DiskTier;
use forebay::cache::disk::health::Health;
use forebay::cache::ledger::Source;
use forebay::cache::ledger::name::Name;
use forebay::cache::ledger::record::{Purge, Strength, Subject};
use forebay::cache::lookup::{Held, Hit};
use forebay::cache::markers::Marker;
use forebay::cache::object::Object;
use forebay::cache::wish::Wish;
use forebay::cache::{Admission, Cache};
use forebay::semantics::tags::{Tag, Tags};
use forebay::telemetry::counters::Counters;
use http::HeaderMap;

use crate::disk_faults::{Request, disk_settings, open, until};
use crate::disk_model::{NOW, Slot, Stamp, Version, key, object};
use crate::rig::{Pipes, settings};
use crate::support::disk::{Disk, Make};
use crate::support::origin::{Act, Gate, SeenRequest, chunk, head, last_chunk, respond};

const OBJECTS: usize = 300;

fn disk() -> Disk {
    Disk::new(1, Make { capacity: 1 << 30, ordered: true, cached: false })
}

fn cache_on(disk: &Disk) -> (Cache, Arc<Counters>) {
    open(disk, 1 << 20, disk_settings(64 << 20, 64 << 20, Admission::Always)).expect("a cache")
}

fn tag(of: usize) -> Tag {
    Tag::of(format!("{of}").as_bytes())
}

/// Stores objects, of which each third has the same tag, and more of them than memory can hold.
async fn fill(cache: &Cache, length: usize) {
    until("serving", || cache.disk().is_none_or(|disk| disk.health() == Health::Serving)).await.unwrap();
    for number in 0..OBJECTS {
        let content = Stamp { seed: number as u64, length };
        let mut headers = HeaderMap::new();
        headers.insert("content-length", length.into());
        let slot = Slot { key: number, language: None };
        let version = Version { slot, headers, generation: cache.next_generation(), content };
        let object = Object { tags: Tags::new(vec![tag(number % 3)]), ..object(&version, cache.sequence()) };
        let hit = Hit { object: Arc::new(object), content: Held::Memory(content.content().parts) };
        assert!(cache.store(&key(number), &hit));
        if number.is_multiple_of(20) {
            until("settled", || cache.disk().is_none_or(DiskTier::is_settled)).await.unwrap();
        }
    }
    until("settled", || cache.disk().is_none_or(DiskTier::is_settled)).await.unwrap();
}

/// A disk with all objects, and a cache that was begun on it after a kill.
async fn filled_and_begun_anew() -> (Disk, Cache) {
    let disk = disk();
    let (cache, _) = cache_on(&disk);
    fill(&cache, 10_000).await;
    until("durable", || disk.is_durable()).await.unwrap();
    let disk = disk.kill();
    drop(cache);
    let (cache, _) = cache_on(&disk);
    until("serving", || cache.disk().unwrap().health() == Health::Serving).await.unwrap();
    (disk, cache)
}

fn purge(cache: &Cache, subject: Subject, strength: Strength) {
    drop(cache.purge(vec![Purge { strength, subject }], NOW, Source::default()).expect("room"));
}

fn purge_tag(cache: &Cache, of: usize, strength: Strength) {
    purge(cache, Subject::Named(Name::of_tag(tag(of))), strength);
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap()
}

#[test]
fn what_was_purged_gives_its_space_back_though_nobody_asks_for_it() {
    runtime().block_on(async {
        let disk = disk();
        let (cache, counters) = cache_on(&disk);
        fill(&cache, 10_000).await;
        let (memory, slots) = (cache.memory_used(), cache.disk().unwrap().entries());
        assert_eq!(slots, OBJECTS);
        purge_tag(&cache, 1, Strength::Hard);
        until("swept by itself", || cache.sweeps() > 0).await.unwrap();
        until("settled", || cache.disk().unwrap().is_settled()).await.unwrap();
        assert_eq!(cache.disk().unwrap().entries(), OBJECTS / 3 * 2);
        assert!(cache.memory_used() < memory / 10 * 9, "{} of {memory}", cache.memory_used());
        assert!(counters.swept_objects.get() >= OBJECTS as u64 / 3);
        // Nothing is left for it.
        until("retired", || cache.ledger().records == 0).await.unwrap();
        assert!(cache.lookup(&key(1), &HeaderMap::new()).hit().is_none());
    });
}

#[test]
fn what_a_sweep_took_out_stays_out_after_a_power_cut_although_its_record_is_gone() {
    runtime().block_on(async {
        let disk = disk();
        let (cache, _) = cache_on(&disk);
        fill(&cache, 1000).await;
        until("durable", || disk.is_durable()).await.unwrap();
        purge_tag(&cache, 1, Strength::Hard);
        cache.sweep();
        assert_eq!(cache.ledger().records, 0);
        // More of the ledger than it keeps out of date, so that it is written anew.
        for _ in 0..2000 {
            purge(&cache, Subject::Named(Name::of_url(b"other")), Strength::Hard);
        }
        let (again, _) = cache_on(&disk.crash());
        until("serving", || again.disk().unwrap().health() == Health::Serving).await.unwrap();
        assert_eq!(again.disk().unwrap().entries(), OBJECTS / 3 * 2);
    });
}

#[test]
fn a_record_stays_as_long_as_something_from_before_it_is_under_way() {
    runtime().block_on(async {
        let disk = disk();
        let (cache, _) = cache_on(&disk);
        fill(&cache, 100).await;
        let (era, born) = (cache.era(), cache.sequence());
        purge_tag(&cache, 1, Strength::Hard);
        cache.sweep();
        cache.sweep();
        assert_eq!(cache.ledger().records, 1);
        assert!(!cache.is_untouched(&key(1), born, &Tags::new(vec![tag(1)])));
        // One that came later holds up nothing.
        let _later = cache.era();
        drop(era);
        cache.sweep();
        assert_eq!(cache.ledger().records, 0);
    });
}

#[test]
fn soft_records_go_where_softness_is_known_without_them() {
    runtime().block_on(async {
        let disk = disk();
        let (on_disk, _) = cache_on(&disk);
        let pipes = Pipes::new(|_, _| vec![Act::Reset]);
        let in_memory = &pipes.node.cache;
        for (cache, left) in [(&on_disk, 1), (&**in_memory, 0)] {
            fill(cache, 100).await;
            purge_tag(cache, 1, Strength::Soft);
            cache.sweep();
            assert_eq!(cache.ledger().records, left);
            let found = cache.lookup(&key(1), &HeaderMap::new());
            assert_eq!(found.hit().and_then(|hit| hit.object.checked.stale_since()), Some(NOW));
        }
    });
}

#[test]
fn after_a_restart_a_sweep_is_made_up_for() {
    runtime().block_on(async {
        let disk = disk();
        let (cache, _) = cache_on(&disk);
        fill(&cache, 100).await;
        until("durable", || disk.is_durable()).await.unwrap();
        let purge = Purge { strength: Strength::Hard, subject: Subject::Named(Name::of_host("disk.test")) };
        let receipt = cache.purge(vec![purge], NOW, Source::default()).unwrap();
        receipt.kept(Duration::from_secs(10)).await;
        let (again, counters) = cache_on(&disk.kill());
        until("swept", || counters.swept_objects.get() == OBJECTS as u64).await.unwrap();
        until("empty", || again.disk().unwrap().entries() == 0).await.unwrap();
    });
}

#[test]
fn what_a_purge_would_match_is_counted_and_nothing_is_purged() {
    runtime().block_on(async {
        let disk = disk();
        let (cache, _) = cache_on(&disk);
        fill(&cache, 100).await;
        let count =
            |wish: &Wish| cache.tally(wish.read(|_, target| target).expect("sense")).expect("few globs");
        let of_tag = count(&Wish { tags: vec!["1".into()], ..Wish::default() });
        assert_eq!((of_tag.disk.matched, of_tag.disk.seen, of_tag.disk.is_cut), (100, 300, false));
        assert_eq!((of_tag.memory.matched, of_tag.memory.is_cut), (100, false));
        assert_eq!(count(&Wish::of_url("http://disk.test/7")).disk.matched, 1);
        assert_eq!(count(&Wish { all: true, ..Wish::default() }).memory.matched, 300);
        let globs = vec!["disk.test/1*".into()];
        assert_eq!(count(&Wish { globs, ..Wish::default() }).disk.matched, 111);
        assert_eq!((cache.ledger().records, cache.ledger().latest.number), (0, 0));
        purge_tag(&cache, 1, Strength::Hard);
        let globs = (0..65).map(|nth| format!("disk.test/{nth}*")).collect();
        let many = Wish { globs, ..Wish::default() }.read(|_, target| target).expect("sense");
        assert!(cache.tally(many).is_err(), "as many as could be purged");
        let dead = count(&Wish { tags: vec!["1".into()], ..Wish::default() });
        assert_eq!((dead.memory.matched, dead.disk.matched), (0, 0), "what is dead already does not count");
    });
}

#[tokio::test(start_paused = true)]
async fn a_fetch_from_before_a_sweep_stores_nothing_that_was_purged() {
    let gate = Gate::new();
    let open = Arc::clone(&gate);
    let fields = [("Cache-Control", "max-age=1000"), ("Surrogate-Key", "a")];
    let pipes = Pipes::new(move |_: &SeenRequest, nth: usize| match nth {
        0 => vec![Act::WaitFor(Arc::clone(&open)), respond("200 OK", &fields, "0")],
        _ => vec![respond("200 OK", &fields, nth.to_string())],
    });
    let mut client = pipes.client();
    client.request("GET", "/", &[], b"").await;
    while pipes.origin.hits() < 1 {
        tokio::task::yield_now().await;
    }
    let cache = &pipes.node.cache;
    purge(cache, Subject::Named(Name::of_tag(Tag::of(b"a"))), Strength::Hard);
    cache.sweep();
    assert_eq!(cache.ledger().records, 1);
    gate.open();
    assert_eq!(client.read_answer().await.text(), "0");
    pipes.quiet().await;
    assert_eq!(pipes.ask("/", &[]).await.text(), "1");
    cache.sweep();
    assert_eq!(cache.ledger().records, 0);
    assert_eq!(pipes.ask("/", &[]).await.text(), "1");
}

#[test]
fn what_a_sweep_could_not_read_does_not_come_back() {
    runtime().block_on(async {
        for nth in [0, 1, 4, 30] {
            let (disk, cache) = filled_and_begun_anew().await;
            purge(&cache, Subject::Named(Name::of_host("disk.test")), Strength::Hard);
            // A passing error of the device, or no descriptor left.
            disk.err_at_read(nth);
            cache.sweep();
            until("settled", || cache.disk().unwrap().is_settled()).await.unwrap();
            for number in 0..OBJECTS {
                let request = Arc::new(Request(HeaderMap::new()));
                assert!(cache.find(&key(number), &request).await.is_none(), "{number} after read {nth}");
            }
        }
    });
}

#[test]
fn a_disk_that_hangs_does_not_hold_up_the_end() {
    runtime().block_on(async {
        let (disk, cache) = filled_and_begun_anew().await;
        let frozen = disk.freeze();
        purge_tag(&cache, 1, Strength::Hard);
        let (sent, ended) = std::sync::mpsc::sync_channel(1);
        let closing = std::thread::spawn(move || {
            cache.close(Duration::from_millis(500));
            sent.send(()).unwrap();
            drop(cache);
        });
        assert!(ended.recv_timeout(Duration::from_secs(20)).is_ok());
        drop(frozen);
        closing.join().unwrap();
    });
}

#[test]
fn a_marker_that_was_purged_does_not_come_back() {
    runtime().block_on(async {
        let pipes = Pipes::new(|_, _| vec![Act::Reset]);
        let cache = &pipes.node.cache;
        cache.mark(&key(1), Marker { born: cache.sequence(), since: NOW, reason: "x" });
        purge(cache, Subject::Named(Name::of_host("disk.test")), Strength::Hard);
        assert!(cache.marker(&key(1), NOW).is_none());
        cache.sweep();
        assert_eq!(cache.ledger().records, 0);
        assert!(cache.marker(&key(1), NOW).is_none());
    });
}

#[test]
fn a_soft_purge_beside_a_disk_is_no_reason_to_read_it_all() {
    runtime().block_on(async {
        let disk = disk();
        let (cache, _) = cache_on(&disk);
        fill(&cache, 100).await;
        purge_tag(&cache, 1, Strength::Soft);
        purge_tag(&cache, 2, Strength::Hard);
        until("swept for the hard one", || cache.sweeps() == 1 && cache.ledger().records == 1).await.unwrap();
        purge_tag(&cache, 1, Strength::Soft);
        // As long as one that is wanted gathers, and more.
        std::thread::sleep(Duration::from_millis(600));
        assert_eq!((cache.sweeps(), cache.ledger().records), (1, 1));
    });
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_outgrew_what_is_stored_keeps_no_record_and_is_not_joined_later() {
    let gate = Gate::new();
    let open = Arc::clone(&gate);
    let script = move |_: &SeenRequest, nth: usize| match nth {
        0 => vec![
            head("200 OK", &[("Cache-Control", "max-age=1000"), ("Transfer-Encoding", "chunked")]),
            chunk("a".repeat(4000)),
            Act::WaitFor(Arc::clone(&open)),
            last_chunk(&[]),
        ],
        _ => vec![respond("200 OK", &[("Cache-Control", "max-age=1000")], nth.to_string())],
    };
    let mut settings = settings("http://origin.test");
    settings.fetch.max_object = 1000;
    let pipes = Pipes::with(settings, script);
    let mut client = pipes.client();
    client.request("GET", "/", &[], b"").await;
    client.read_head().await;
    client.read_chunk().await;
    let cache = &pipes.node.cache;
    purge(cache, Subject::Named(Name::of_host("test")), Strength::Hard);
    cache.sweep();
    assert_eq!(cache.ledger().records, 0);
    assert_eq!(
        pipes.client().get("/").await.text(),
        "1",
        "it is from before the purge, of which nothing is known any more"
    );
    gate.open();
    client.read_body().await;
}
