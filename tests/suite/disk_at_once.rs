//! Hits on disk whose file the system has in memory: answered as those are that have to be waited for, and without a
//! fetch.

use std::time::Duration;

use forebay::cache::Admission;
use forebay::cache::disk::health::Health;
use forebay::listener::{Answer, Handler as _};
use http::{HeaderValue, Method};

use crate::disk_faults::disk_settings;
use crate::interim::request;
use crate::rig::{Pipes, settings};
use crate::support::disk::{Disk, Make};
use crate::support::origin::{Act, SeenRequest, respond};

const LIMIT: Duration = Duration::from_secs(5);

/// A node that keeps next to nothing in memory, so that what it stores is on disk alone, and whether that can be read at
/// once.
async fn node(
    cached: bool,
    script: impl Fn(&SeenRequest, usize) -> Vec<Act> + Send + Sync + 'static,
) -> Pipes {
    let mut settings = settings("http://origin.test");
    let mut on_disk = disk_settings(128 << 20, 4 << 20, Admission::Always);
    on_disk.load_patience = LIMIT;
    settings.cache.disk = Some(on_disk);
    settings.cache.memory = 1;
    let disk = Disk::new(1, Make { capacity: 256 << 20, ordered: true, cached });
    let pipes = Pipes::on(settings, Some(disk.process()), script);
    pipes.node.cache.disk().expect("a disk").wait_for(|health| *health == Health::Serving).await;
    pipes
}

/// Waits until what was stored is on disk, and nowhere else.
async fn on_disk(pipes: &Pipes) {
    pipes.quiet().await;
    let disk = pipes.node.cache.disk().expect("a disk");
    while !disk.is_settled() {
        std::thread::yield_now();
    }
    while pipes.node.cache.memory_used() > 0 {
        std::thread::yield_now();
    }
}

/// What each path is answered with.
fn site(request: &SeenRequest, nth: usize) -> Vec<Act> {
    let tag = ("ETag", "\"1\"");
    match request.target.as_str() {
        "/stale" if request.header("if-none-match").is_some() => {
            vec![respond("304 Not Modified", &[tag], "")]
        }
        "/stale" => vec![respond("200 OK", &[("Cache-Control", "max-age=0"), tag], "stale")],
        "/soon" => {
            let fields = [("Cache-Control", "max-age=0, stale-while-revalidate=600"), tag];
            vec![respond("200 OK", &fields, format!("answer {nth}"))]
        }
        "/varied" => {
            let language = request.header("accept-language").unwrap_or("none").to_owned();
            vec![respond(
                "200 OK",
                &[("Cache-Control", "max-age=600"), ("Vary", "Accept-Language")],
                &language,
            )]
        }
        "/large" => vec![respond("200 OK", &[("Cache-Control", "max-age=600"), tag], "x".repeat(100_000))],
        _ => vec![respond("200 OK", &[("Cache-Control", "max-age=600"), tag], "fresh page")],
    }
}

/// What is asked, and what shall be answered.
type Case = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

/// As many ways to ask as there are to answer from a disk.
const CASES: [Case; 12] = [
    ("GET", "/", &[]),
    ("HEAD", "/", &[]),
    ("GET", "/", &[("range", "bytes=2-4")]),
    ("GET", "/", &[("if-none-match", "\"1\"")]),
    ("GET", "/", &[("cache-control", "no-cache")]),
    ("GET", "/", &[("cache-control", "only-if-cached")]),
    ("GET", "/", &[("cache-control", "no-store")]),
    ("GET", "/", &[("cookie", "a=b")]),
    ("GET", "/stale", &[]),
    ("GET", "/varied", &[("accept-language", "de")]),
    ("GET", "/varied", &[("accept-language", "fr")]),
    ("GET", "/large", &[]),
];

/// All that can be told apart of an answer.
type Told = (u16, Vec<String>, Vec<u8>, usize, u64, u64);

async fn told(cached: bool, (method, path, sent): Case) -> Told {
    let pipes = node(cached, site).await;
    for path in ["/", "/stale", "/large"] {
        pipes.ask(path, &[]).await;
    }
    pipes.ask("/varied", &[("accept-language", "de")]).await;
    on_disk(&pipes).await;
    let before = pipes.origin.hits();
    let mut client = pipes.client();
    client.request(method, path, sent, b"").await;
    let answer = client.read_answer().await;
    let mut headers: Vec<String> =
        answer.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    headers.sort();
    pipes.quiet().await;
    let counters = &pipes.node.counters;
    let counts = (counters.hits.get(), counters.disk_hits.get());
    (answer.status, headers, answer.body, pipes.origin.hits() - before, counts.0, counts.1)
}

#[tokio::test(start_paused = true)]
async fn an_answer_does_not_tell_whether_it_was_waited_for() {
    for case in CASES {
        assert_eq!(told(true, case).await, told(false, case).await, "{case:?}");
    }
}

/// Whether a request is answered without waiting for anybody.
fn is_answered_at_once(pipes: &Pipes, method: Method, path: &str, sent: &[(&str, &str)]) -> bool {
    let mut asked = request(method, path, sent);
    asked.headers.insert("host", HeaderValue::from_static("test"));
    matches!(pipes.node.machine.handle(asked), Answer::Now(_))
}

#[tokio::test(start_paused = true)]
async fn what_the_system_has_in_memory_needs_no_fetch() {
    for cached in [true, false] {
        let pipes = node(cached, site).await;
        for path in ["/", "/stale", "/large"] {
            pipes.ask(path, &[]).await;
        }
        on_disk(&pipes).await;
        assert_eq!(is_answered_at_once(&pipes, Method::GET, "/", &[]), cached);
        assert_eq!(is_answered_at_once(&pipes, Method::HEAD, "/", &[]), cached);
        // It is longer than a worker reads between two requests.
        assert!(!is_answered_at_once(&pipes, Method::GET, "/large", &[]));
        assert!(!is_answered_at_once(&pipes, Method::GET, "/stale", &[]));
        assert!(!is_answered_at_once(&pipes, Method::GET, "/", &[("cache-control", "no-cache")]));
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_purged_is_not_found_at_once_either() {
    let pipes = node(true, site).await;
    pipes.ask("/", &[]).await;
    on_disk(&pipes).await;
    let mut client = pipes.client();
    client.request("POST", "/", &[], b"").await;
    assert_eq!(client.read_answer().await.status, 200);
    assert!(!is_answered_at_once(&pipes, Method::GET, "/", &[]));
    let answer = pipes.ask("/", &[]).await;
    assert!(answer.cache_status().contains("fwd="), "{}", answer.cache_status());
}

#[tokio::test(start_paused = true)]
async fn a_stale_hit_is_refreshed_once_behind_its_answer() {
    let pipes = node(true, site).await;
    pipes.ask("/soon", &[]).await;
    on_disk(&pipes).await;
    pipes.clock.advance(Duration::from_secs(10));
    let before = pipes.origin.hits();
    let answer = pipes.ask("/soon", &[]).await;
    assert_eq!(answer.text(), "answer 0");
    pipes.quiet().await;
    assert_eq!(pipes.origin.hits(), before + 1, "{}", answer.cache_status());
}
