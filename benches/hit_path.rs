//! What a hit in memory costs above the listener.
//!
//! ```sh
//! cargo bench --bench hit_path        # ROUNDS=30 CALLS=20000
//! ```
//!
//! Nanoseconds for one call: the median of the rounds, with the quickest. `PART=hit` (`browser`, `key`, `lookup`) makes the calls of
//! one row and times nothing, for `valgrind --tool=callgrind --toggle-collect='*measured*'`, which counts instructions. `PART=memory` stores
//! `OBJECTS` (100,000) objects of 1 KB and tells what each took.

#![allow(missing_docs, clippy::expect_used, clippy::cast_precision_loss)]

#[path = "support/timing.rs"]
mod timing;
#[path = "../tests/support/warm.rs"]
mod warm;

use std::hint::black_box;

use forebay::base::ids::{KeyRules, SiteId};
use forebay::cache::key::{Key, KeyParts};
use forebay::cache::lookup::Lookup;
use forebay::listener::http1::render::{self, Asked, Fate};
use forebay::semantics::policy::Policy;
use http::uri::{PathAndQuery, Scheme};
use http::{Method, Version};

use timing::{number, row, title};
use warm::Warm;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let warm = Warm::new().await;
        let target = PathAndQuery::from_static(warm::PATH);
        let (plain, browser) = (|| warm::request(warm::PLAIN), || warm::request(warm::BROWSER));
        let rules = (SiteId::of("default"), KeyRules::of(&Policy::default().key_rules()));
        let key = || key_of(rules, &target);
        let fields = warm::request(warm::PLAIN).headers;
        let known = key();
        if let Ok(part) = std::env::var("PART") {
            let calls = number("CALLS", 20_000);
            if part == "memory" {
                return memory(&warm).await;
            }
            match part.as_str() {
                "hit" => repeat(calls, plain, |request| measured(|| warm.hit(request))),
                "browser" => repeat(calls, browser, |request| measured(|| warm.hit(request))),
                "key" => repeat(calls, || (), |()| drop(measured(key))),
                _ => repeat(calls, || (), |()| drop(measured(|| warm.node.cache.lookup(&known, &fields)))),
            }
            return;
        }
        title();
        row("the key of a request", || (), |()| drop(key()));
        row(
            "look it up in memory",
            || (),
            |()| {
                let found = warm.node.cache.lookup(&known, &fields);
                assert!(matches!(found, Lookup::Found(_)));
            },
        );
        let reply = warm.answer(plain());
        let asked = Asked::new(Version::HTTP_11, &Method::GET);
        row("write the head of its answer", Vec::new, |mut out| {
            black_box(render::head(&mut out, &reply.head, None, asked, Fate::Persists));
        });
        row("from a plain request to its answer and its end", plain, |request| warm.hit(request));
        row("from a browser's request to its answer and its end", browser, |request| warm.hit(request));
    });
}

fn key_of((site, rules): (SiteId, KeyRules), target: &PathAndQuery) -> Key {
    Key::new(&KeyParts { site, rules, scheme: &Scheme::HTTP, host: warm::HOST, target, arm: "" })
}

/// What a stored object takes, as the system sees it, as the tier weighs it, and as the budget charges it.
async fn memory(warm: &Warm) {
    let objects = number("OBJECTS", 100_000);
    let cache = &warm.node.cache;
    let sizes = || [rss_anon(), cache.memory_used(), warm.node.means.budget.used()];
    let mut before = sizes();
    for object in 0..objects + objects / 10 {
        // The first ones fill what is there once.
        if object == objects / 10 {
            before = sizes();
        }
        let mut request = warm::request(warm::PLAIN);
        request.target = format!("/1024/kept-{object}").parse().expect("a target");
        warm.store(request).await;
    }
    for (name, (after, before)) in
        ["resident", "weighed", "charged"].into_iter().zip(sizes().into_iter().zip(before))
    {
        println!("{name:<12} {:>6.0} bytes an object", (after - before) as f64 / objects as f64);
    }
}

/// Anonymous memory of this process, in bytes.
fn rss_anon() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("status");
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("RssAnon");
    line.trim().trim_end_matches("kB").trim().parse::<u64>().expect("KiB") << 10
}

/// A name for callgrind to begin and end at.
#[inline(never)]
fn measured<T>(call: impl FnOnce() -> T) -> T {
    black_box(call())
}

fn repeat<I>(calls: u64, input: impl Fn() -> I, call: impl Fn(I)) {
    for _ in 0..calls {
        call(black_box(input()));
    }
}
