//! Objects on disk after a restart: what comes of damaged blocks, of many clients and of slow ones, and of what
//! clients and the origin say about validity.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::disk_rig::{DiskNode, binary, content_file, until};
use crate::support::bytes::{Verify, pattern, pattern_at};
use crate::support::client::{Answer, Client};
use crate::support::origin::{Act, Origin, SeenRequest, respond, respond_to};
use crate::support::process::RssWatch;
use crate::support::{ms, within};

const BLOCK: usize = 1 << 20;
/// Four blocks and a part of a fifth.
const LENGTH: usize = 4 * BLOCK + 300_001;
const FRESH: (&str, &str) = ("Cache-Control", "max-age=600");
const STRONG: &str = "\"v1\"";

/// The seed of a path's body in one version.
fn seed_of(path: &str, version: u64) -> u64 {
    path.bytes().fold(version, |seed, byte| seed.wrapping_mul(131).wrapping_add(byte.into()))
}

/// Block `index` of a path's body, from 0.
fn block_of(path: &str, index: usize) -> Vec<u8> {
    let start = index * BLOCK;
    pattern_at(seed_of(path, 1), start as u64, BLOCK.min(LENGTH - start)).to_vec()
}

#[track_caller]
fn assert_whole(answer: &Answer, path: &str, version: u64) {
    let why = ["proxy-status", "cache-status", "retry-after"].map(|name| answer.header(name));
    assert_eq!((answer.status, answer.complete), (200, true), "{path}: {why:?}");
    assert!(answer.body == pattern(seed_of(path, version), LENGTH), "{path}: {} bytes", answer.body.len());
}

/// An origin with a large body at every path, under one `ETag` if any; `version` may be changed.
fn large(etag: Option<&'static str>, version: Arc<AtomicU64>) -> impl Fn(&SeenRequest, usize) -> Vec<Act> {
    move |request, _| {
        let now = version.load(Ordering::SeqCst);
        let named = etag.map(|etag| etag.replace("v1", &format!("v{now}")));
        let mut fields = vec![FRESH];
        fields.extend(named.as_deref().map(|etag| ("ETag", etag)));
        vec![respond_to(request, "200 OK", &fields, pattern(seed_of(request.path(), now), LENGTH))]
    }
}

async fn node_with(etag: Option<&'static str>) -> (DiskNode, Arc<AtomicU64>) {
    let version = Arc::new(AtomicU64::new(1));
    (DiskNode::new(|_| {}, large(etag, Arc::clone(&version))).await, version)
}

/// Asks for each path once and stops when all is on disk.
async fn fill(node: &mut DiskNode, paths: &[&str]) {
    for path in paths {
        assert_whole(&node.client().await.get(path).await, path, 1);
        // One at a time: more than the queue takes is not kept.
        node.settled().await;
    }
    node.stop();
}

// ---- damage ----

#[derive(Clone, Copy, Debug)]
enum Damage {
    Flip,
    Missing,
    Truncated,
    Empty,
    Grown,
    Swapped,
    Link,
    Directory,
}

impl Damage {
    const ALL: [Self; 8] = [
        Self::Flip,
        Self::Missing,
        Self::Truncated,
        Self::Empty,
        Self::Grown,
        Self::Swapped,
        Self::Link,
        Self::Directory,
    ];

    fn path(self) -> String {
        format!("/{self:?}")
    }

    /// Does it to a file; `other` is one to swap it with.
    fn apply(self, file: &Path, other: &Path) {
        let mut bytes = fs::read(file).expect("a block");
        match self {
            Self::Flip => {
                let middle = bytes.len() / 2;
                bytes[middle] ^= 1;
                fs::write(file, bytes).unwrap();
            }
            Self::Missing => fs::remove_file(file).unwrap(),
            Self::Truncated => fs::write(file, &bytes[..bytes.len() - 1]).unwrap(),
            Self::Empty => fs::write(file, b"").unwrap(),
            Self::Grown => {
                bytes.push(0);
                fs::write(file, bytes).unwrap();
            }
            Self::Swapped => {
                let aside = file.with_extension("aside");
                fs::rename(file, &aside).unwrap();
                fs::rename(other, file).unwrap();
                fs::rename(&aside, other).unwrap();
            }
            Self::Link => {
                fs::remove_file(file).unwrap();
                std::os::unix::fs::symlink("/etc/passwd", file).unwrap();
            }
            Self::Directory => {
                fs::remove_file(file).unwrap();
                fs::create_dir(file).unwrap();
            }
        }
    }
}

/// Fills the node with a path for each kind of damage, and damages block `index` of each while it is stopped.
async fn damaged(node: &mut DiskNode, index: usize) -> Vec<String> {
    let paths: Vec<String> = Damage::ALL.iter().map(|damage| damage.path()).collect();
    let mut all: Vec<&str> = paths.iter().map(String::as_str).collect();
    all.push("/other");
    fill(node, &all).await;
    let other = node.file_of(&block_of("/other", index));
    for damage in Damage::ALL {
        damage.apply(&node.file_of(&block_of(&damage.path(), index)), &other);
    }
    node.start().await;
    paths
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_block_is_replaced_from_the_origin_under_a_strong_etag() {
    let (mut node, _) = node_with(Some(STRONG)).await;
    let paths = damaged(&mut node, 2).await;
    for path in &paths {
        let answer = node.client().await.get(path).await;
        assert_whole(&answer, path, 1);
        assert!(answer.cache_status().starts_with("forebay; hit;"), "{path}: {}", answer.cache_status());
        assert_eq!(node.origin.hits_of(path), 2, "{path}: once to fill, once for the rest");
        node.settled().await;
    }
    // What was fetched for the rest was stored: the next have it, from memory and after a restart.
    for path in &paths {
        assert_whole(&node.client().await.get(path).await, path, 1);
    }
    node.restart().await;
    for path in &paths {
        assert_whole(&node.client().await.get(path).await, path, 1);
        assert_eq!(node.origin.hits_of(path), 2, "{path} after a restart");
    }
    node.origin.assert_clean();
}

/// The client keeps what was right of it, sees that it is a part, and gets the whole when it asks again.
async fn breaks_off(etag: Option<&'static str>, next_version: u64, replays_ask: bool) {
    let (mut node, version) = node_with(etag).await;
    let paths = damaged(&mut node, 2).await;
    version.store(next_version, Ordering::SeqCst);
    for path in &paths {
        let answer = node.client().await.get(path).await;
        assert_eq!((answer.status, answer.complete), (200, false), "{path}");
        assert_eq!(answer.body.len(), 2 * BLOCK, "{path}");
        Verify::new(seed_of(path, 1)).feed(&answer.body);
        assert_eq!(node.origin.hits_of(path), 1 + usize::from(replays_ask), "{path}");
        assert_whole(&node.client().await.get(path).await, path, next_version);
        assert_eq!(node.origin.hits_of(path), 2, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_an_etag_a_damaged_body_breaks_off_and_is_fetched_anew() {
    breaks_off(None, 1, false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_weak_etag_a_damaged_body_breaks_off_and_is_fetched_anew() {
    breaks_off(Some("W/\"v1\""), 1, false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_versions_are_never_mixed() {
    breaks_off(Some(STRONG), 2, true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_its_first_block_damaged_an_object_is_a_plain_miss() {
    for etag in [Some(STRONG), None] {
        let (mut node, _) = node_with(etag).await;
        for path in damaged(&mut node, 0).await {
            let answer = node.client().await.get(&path).await;
            assert_whole(&answer, &path, 1);
            assert!(answer.cache_status().starts_with("forebay; fwd=miss; stored; ttl="), "{path}");
            assert_eq!(node.origin.hits_of(&path), 2, "{path}");
        }
    }
}

// ---- many and slow clients ----

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_clients_of_a_cold_object_on_disk_cost_the_origin_nothing() {
    let (mut node, _) = node_with(None).await;
    fill(&mut node, &["/a"]).await;
    node.start().await;
    let mut clients = tokio::task::JoinSet::new();
    let addr = node.addr();
    for _ in 0..20 {
        clients.spawn(async move { Client::connect(addr).await.get("/a").await });
    }
    for answer in clients.join_all().await {
        assert_whole(&answer, "/a", 1);
        assert!(answer.cache_status().starts_with("forebay; hit;"), "{}", answer.cache_status());
    }
    assert_eq!(node.origin.hits(), 1);
}

/// More readers than there is memory for a block each: they take turns, and nobody starves or is broken off.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_that_have_not_all_room_in_memory_take_turns() {
    let paths: Vec<String> = (0..8).map(|number| format!("/{number}")).collect();
    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    let (mut node, _) = node_with(None).await;
    fill(&mut node, &paths).await;
    (node.settings.memory.budget, node.settings.cache.memory) = (16 << 20, 6 << 20);
    node.start().await;
    let connections = node.running().node.machine.connections();
    for round in 0..2 {
        // All are let in before any of them reads: who comes while memory is full is turned away, which is another matter.
        until("the last ones have left", || connections.now() == 0).await;
        let mut readers = Vec::new();
        for number in 0..16 {
            readers.push((node.client().await, paths[number % paths.len()].to_owned()));
        }
        until("all are let in", || connections.now() == 16).await;
        let mut clients = tokio::task::JoinSet::new();
        for (mut client, path) in readers {
            clients.spawn(async move { (client.get(&path).await, path) });
        }
        for (answer, path) in within(Duration::from_secs(20), clients.join_all()).await {
            assert_whole(&answer, &path, 1);
        }
        assert_eq!(node.origin.hits(), paths.len(), "round {round}");
    }
}

/// An origin that hangs takes all places for fetches, and none of what is on disk.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hit_on_disk_needs_no_place_for_a_fetch() {
    let script = |request: &SeenRequest, _: usize| match request.path() {
        "/stored" => vec![respond("200 OK", &[FRESH], "on disk")],
        _ => vec![Act::Stall],
    };
    let mut node = DiskNode::new(|settings| settings.fetch.max_fetches = 2, script).await;
    assert_eq!(node.client().await.get("/stored").await.status, 200);
    node.stop();
    node.start().await;
    let (mut one, mut other) = (node.client().await, node.client().await);
    one.request("GET", "/hangs/1", &[], b"").await;
    other.request("GET", "/hangs/2", &[], b"").await;
    node.origin.wait_for_hits(3).await;
    let answer = node.client().await.get("/stored").await;
    assert!(answer.cache_status().starts_with("forebay; hit;"), "{}", answer.cache_status());
    assert_eq!(node.client().await.get("/hangs/3").await.status, 503);
}

/// What slow clients of large objects cost is a few blocks each, not the objects.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_clients_of_large_objects_on_disk_cost_a_few_blocks() {
    /// Many times what the sockets on the way hold, which is some 4 MiB.
    const SIZE: usize = 48 * BLOCK;
    const CLIENTS: usize = 3;
    let origin = Origin::tcp(|request, _| {
        vec![respond("200 OK", &[FRESH], pattern(seed_of(request.path(), 1), SIZE))]
    })
    .await;
    let directory = tempfile::tempdir().unwrap();
    let cache_dir = directory.path().join("cache");
    let options = ["--memory", "512MiB", "--disk", "1GiB"];
    let mut node = binary(&origin.url(), &cache_dir, &options);
    let mut client = Client::connect(node.listening().await).await;
    for index in 0..CLIENTS {
        let path = format!("/{index}");
        assert_eq!(client.get(&path).await.body.len(), SIZE);
        let last = pattern_at(seed_of(&path, 1), (SIZE - BLOCK) as u64, BLOCK);
        until("the object is on disk", || content_file(&cache_dir, &last).is_some()).await;
    }
    node.terminate();
    assert_eq!(node.exit_code().await, Some(0));

    let node = binary(&origin.url(), &cache_dir, &options);
    let addr = node.listening().await;
    node.wait_for_line("the index is loaded").await;
    let rss = RssWatch::start(node.pid(), ms(50));
    let mut clients = Vec::new();
    for index in 0..CLIENTS {
        let mut client = Client::connect_narrow(addr, 16 << 10).await;
        client.request("GET", &format!("/{index}"), &[], b"").await;
        assert_eq!(client.read_head().await.status, 200);
        clients.push((client, Verify::new(seed_of(&format!("/{index}"), 1))));
    }
    // For three seconds each takes 64 KiB now and then.
    for _ in 0..12 {
        tokio::time::sleep(ms(250)).await;
        for (client, verify) in &mut clients {
            verify.feed(&client.read_chunk().await.expect("more of the body"));
        }
    }
    let growth = rss.growth_kib().await;
    println!("RssAnon grew by {growth} KiB for {CLIENTS} objects of {} KiB", SIZE >> 10);
    assert!(growth < SIZE as u64 >> 10, "RssAnon grew by {growth} KiB");
    for (mut client, mut verify) in clients {
        while let Some(bytes) = client.read_chunk().await {
            verify.feed(&bytes);
        }
        assert!(client.is_complete());
        verify.finish(SIZE as u64);
    }
    assert_eq!(origin.hits(), CLIENTS);
}

// ---- conditions, staleness, variants ----

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_and_a_condition_are_answered_from_disk() {
    let (mut node, _) = node_with(Some(STRONG)).await;
    fill(&mut node, &["/a"]).await;
    node.start().await;
    let mut client = node.client().await;
    client.request("HEAD", "/a", &[], b"").await;
    let head = client.read_answer().await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(head.header("content-length"), Some(LENGTH.to_string().as_str()));
    assert_eq!(head.header("etag"), Some(STRONG));
    assert!(head.cache_status().starts_with("forebay; hit;"), "{}", head.cache_status());

    node.restart().await;
    let mut client = node.client().await;
    let same = client.get_with("/a", &[("If-None-Match", STRONG)]).await;
    assert_eq!((same.status, same.body.len()), (304, 0));
    assert!(same.cache_status().starts_with("forebay; hit;"), "{}", same.cache_status());

    node.restart().await;
    let other = node.client().await.get_with("/a", &[("If-None-Match", "\"v0\"")]).await;
    assert_whole(&other, "/a", 1);
    assert_eq!(node.origin.hits(), 1);
}

/// Stale after a second at first; a 304 gives ten minutes more.
fn soon_stale(request: &SeenRequest, _: usize) -> Vec<Act> {
    if request.header("if-none-match") == Some(STRONG) {
        return vec![respond("304 Not Modified", &[FRESH, ("ETag", STRONG)], "")];
    }
    let fields = [("Cache-Control", "max-age=1"), ("ETag", STRONG)];
    vec![respond("200 OK", &fields, pattern(seed_of(request.path(), 1), length_in(request.path())))]
}

/// A path may end with a length.
fn length_in(path: &str) -> usize {
    path.rsplit('/').next().and_then(|length| length.parse().ok()).unwrap_or(LENGTH)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stale_object_on_disk_is_confirmed_and_then_a_hit_also_after_a_restart() {
    let paths = ["/0", "/1000", "/100000", "/1048576", "/1048577", "/4000000"];
    let mut node = DiskNode::new(|_| {}, soon_stale).await;
    for path in paths {
        node.client().await.get(path).await;
        node.settled().await;
    }
    node.restart().await;
    tokio::time::sleep(ms(2100)).await;
    let whole = |answer: &Answer, path: &str| {
        answer.status == 200 && answer.complete && answer.body == pattern(seed_of(path, 1), length_in(path))
    };
    for path in paths {
        let answer = node.client().await.get(path).await;
        assert!(whole(&answer, path), "{path}: {} {}", answer.status, answer.body.len());
        assert!(answer.cache_status().contains("fwd-status=304"), "{path}: {}", answer.cache_status());
        node.settled().await;
    }
    let seen = node.origin.seen();
    let asked: Vec<_> =
        seen.iter().skip(paths.len()).map(|request| request.header("if-none-match")).collect();
    assert_eq!(asked, [Some(STRONG); 6]);
    for round in ["at once", "after a restart"] {
        for path in paths {
            let answer = node.client().await.get(path).await;
            assert!(whole(&answer, path), "{path}: {} {}", answer.status, answer.body.len());
            assert!(
                answer.cache_status().starts_with("forebay; hit;"),
                "{path} {round}: {}",
                answer.cache_status()
            );
        }
        node.restart().await;
    }
    assert_eq!(node.origin.hits(), 2 * paths.len());
}

/// A body of its own for each language.
fn languages(request: &SeenRequest, _: usize) -> Vec<Act> {
    let language = request.header("accept-language").unwrap_or("none");
    let fields = [FRESH, ("Vary", "Accept-Language"), ("Content-Language", language)];
    vec![respond("200 OK", &fields, pattern(seed_of(language, 1), length_in(request.path())))]
}

async fn each_has_its_language(lengths: &[usize]) {
    let mut node = DiskNode::new(|_| {}, languages).await;
    let paths: Vec<String> = lengths.iter().map(|length| format!("/{length}")).collect();
    for round in 0..3 {
        for path in &paths {
            for language in ["en", "de", "fr"] {
                let fields = [("Accept-Language", language)];
                let answer = node.client().await.get_with(path, &fields).await;
                let what = format!("{path} in {language}, round {round}: {}", answer.cache_status());
                assert_eq!(answer.header("content-language"), Some(language), "{what}");
                assert!(answer.body == pattern(seed_of(language, 1), length_in(path)), "{what}");
                assert!(round == 0 || answer.cache_status().starts_with("forebay; hit;"), "{what}");
                node.settled().await;
            }
        }
        node.restart().await;
    }
    assert_eq!(node.origin.hits(), 3 * lengths.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_restart_each_client_has_its_own_language() {
    each_has_its_language(&[0, 1000, 16_384, 16_385, 100_000, 1 << 20]).await;
}

/// A variant that is larger than what may wait to be written, but not than what may be stored.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_restart_each_client_has_its_own_language_of_a_large_object() {
    each_has_its_language(&[4_000_000]).await;
}

/// A body that outlives its directory is finished, or breaks off: it never ends early as if it were whole.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_that_vanishes_under_a_reader_costs_no_byte() {
    let (mut node, _) = node_with(Some(STRONG)).await;
    fill(&mut node, &["/a"]).await;
    node.start().await;
    let mut client = Client::connect_narrow(node.addr(), 16 << 10).await;
    client.request("GET", "/a", &[], b"").await;
    assert_eq!(client.read_head().await.status, 200);
    let mut verify = Verify::new(seed_of("/a", 1));
    verify.feed(&client.read_chunk().await.expect("the beginning"));
    fs::remove_dir_all(node.cache_dir().join("content")).unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    while let Some(bytes) = client.read_chunk().await {
        verify.feed(&bytes);
    }
    assert!(client.is_complete());
    verify.finish(LENGTH as u64);
}
