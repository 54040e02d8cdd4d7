//! What the decisions of `semantics` cost, beside those of the crate `http-cache-semantics`.
//!
//! ```sh
//! cargo bench --bench decide        # ROUNDS=30 CALLS=20000
//! ```
//!
//! Nanoseconds for one call: the median of the rounds, with the quickest. Where the machine is busy the quickest is the
//! better figure, and the ratio to the crate in the same run the best.

#![allow(missing_docs, clippy::expect_used, clippy::cast_precision_loss)]

use std::hint::black_box;
use std::time::{Duration, UNIX_EPOCH};

use forebay::base::clock::Timestamp;
use forebay::semantics::cache_control::CacheControl;
use forebay::semantics::policy::Policy;
use forebay::semantics::request_directives::RequestDirectives;
use forebay::semantics::reuse::decide;
use forebay::semantics::storage::{Judgement, RequestFacts, judge};
use forebay::semantics::targeted::TargetList;
use forebay::semantics::vary::VarySet;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_cache_semantics::{CacheOptions, CachePolicy};
use tokio::time::Instant;

/// When the response came, and when it is asked for.
const RECEIVED: u64 = 1_700_000_000;
const NOW: u64 = RECEIVED + 5;

fn main() {
    let request = fields(&[
        ("host", "www.example"),
        ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
        ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
        ("accept-language", "en-GB,en;q=0.5"),
        ("accept-encoding", "gzip, deflate, br, zstd"),
        ("cookie", "theme=dark; seen=1"),
    ]);
    let mut reload = request.clone();
    reload.insert("cache-control", HeaderValue::from_static("max-age=30, max-stale=5"));
    let response = fields(&[
        ("date", "Tue, 14 Nov 2023 22:13:20 GMT"),
        ("content-type", "text/html; charset=utf-8"),
        ("content-length", "1024"),
        ("cache-control", "public, max-age=60, s-maxage=3600, stale-while-revalidate=30"),
        ("last-modified", "Mon, 13 Nov 2023 10:00:00 GMT"),
        ("etag", "\"5f3759df-400\""),
        ("vary", "Accept-Encoding, Origin"),
    ]);
    let mut targeted = response.clone();
    targeted.insert("cdn-cache-control", HeaderValue::from_static("max-age=600, stale-if-error=86400"));

    let (policy, targets) = (Policy::default(), TargetList::default());
    let (received, now) = (Timestamp::from_secs(RECEIVED), Timestamp::from_secs(NOW));
    let judged = |headers: &HeaderMap| {
        let facts = RequestFacts { method: &Method::GET, headers: &request };
        judge(&facts, StatusCode::OK, headers, &policy, received, received)
    };
    let Judgement::Store(storable) = judged(&response) else { unreachable!("it is stored") };
    let vary = VarySet::of(&response).expect("a set");
    let decided = |request: &HeaderMap| {
        decide(&storable.terms, &RequestDirectives::of(request), &policy.outlasting, now)
    };

    let their_request = their_request(&request);
    let their_reload = self::their_request(&reload);
    let their_response = their_response(&response);
    let at = |secs| UNIX_EPOCH + Duration::from_secs(secs);
    let policy_of =
        || CachePolicy::new_options(&their_request, &their_response, at(RECEIVED), CacheOptions::default());
    let theirs = policy_of();

    println!("{:<52} {:>9} {:>9}", "ns for one call", "median", "quickest");
    row("Cache-Control of a response", || CacheControl::of(black_box(&response)));
    row("what rules a response: no targeted field", || CacheControl::ruling(black_box(&response), &targets));
    row("what rules a response: CDN-Cache-Control", || CacheControl::ruling(black_box(&targeted), &targets));
    row("directives of a request without any", || RequestDirectives::of(black_box(&request)));
    let store = row("may it be stored, and how (judge)", || judged(black_box(&response)));
    row("the same with CDN-Cache-Control", || judged(black_box(&targeted)));
    let fresh = row("may it be used (decide), no directives", || decided(black_box(&request)));
    let asked = row("may it be used (decide), max-age and max-stale", || decided(black_box(&reload)));
    let chosen = row("does Vary select it", || vary.selects_same(black_box(&request), black_box(&reload)));
    println!();
    let their_store = row("http-cache-semantics: new_options, is_storable", || policy_of().is_storable());
    let their_fresh = row("http-cache-semantics: before_request", || {
        theirs.before_request(black_box(&their_request), at(NOW))
    });
    let their_asked = row("http-cache-semantics: before_request, directives", || {
        theirs.before_request(black_box(&their_reload), at(NOW))
    });
    println!();
    println!("to store: {:.2} x theirs", store / their_store);
    println!(
        "to use (Vary and decide): {:.2} x theirs, with directives {:.2} x",
        (fresh + chosen) / their_fresh,
        (asked + chosen) / their_asked
    );
}

fn fields(lines: &[(&'static str, &'static str)]) -> HeaderMap {
    lines
        .iter()
        .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
        .collect()
}

fn their_request(headers: &HeaderMap) -> Request<()> {
    let mut request = Request::new(());
    *request.headers_mut() = headers.clone();
    request
}

fn their_response(headers: &HeaderMap) -> Response<()> {
    let mut response = Response::new(());
    *response.headers_mut() = headers.clone();
    response
}

/// Times a call and prints it; the quickest round's nanoseconds.
fn row<T>(name: &str, call: impl Fn() -> T) -> f64 {
    let (rounds, calls) = (number("ROUNDS", 30), number("CALLS", 20_000));
    let mut times: Vec<f64> = (0..rounds.max(1))
        .map(|_| {
            let start = Instant::now();
            for _ in 0..calls {
                black_box(call());
            }
            start.elapsed().as_nanos() as f64 / calls as f64
        })
        .collect();
    times.sort_by(f64::total_cmp);
    let median = times.get(times.len() / 2).copied().unwrap_or_default();
    let quickest = times.first().copied().unwrap_or_default();
    println!("{name:<52} {median:>9.0} {quickest:>9.0}");
    quickest
}

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}
