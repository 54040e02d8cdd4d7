//! What may be answered without the origin, beside or after it: request directives, staleness, refreshes behind
//! answers, and what an operator adds to that.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use forebay::semantics::policy::{Heuristic, IgnoredDirectives, Lifetimes, Outlasting, Policy, StatusRange};

use crate::rig::{Pipes, START, settings};
use crate::support::client::Answer;
use crate::support::origin::{Act, Gate, SeenRequest, head, respond};

/// A node with one site of this policy.
fn with_policy(
    policy: Policy,
    script: impl Fn(&SeenRequest, usize) -> Vec<Act> + Send + Sync + 'static,
) -> Pipes {
    let mut settings = settings("http://origin.test");
    settings.sites[0].policy = policy;
    Pipes::with(settings, script)
}

/// An origin whose answers are numbered, with these fields.
fn numbered(fields: &'static [(&'static str, &'static str)]) -> impl Fn(&SeenRequest, usize) -> Vec<Act> {
    move |_, nth| vec![respond("200 OK", fields, format!("{nth}"))]
}

#[track_caller]
fn assert_said(answer: &Answer, text: &str, cache: &str) {
    assert_eq!((answer.text(), answer.cache_status()), (text.to_owned(), cache.to_owned()));
}

const MINUTE: &[(&str, &str)] = &[("Cache-Control", "max-age=60")];

// ---- what a request wants ----

#[tokio::test(start_paused = true)]
async fn a_request_may_refuse_what_is_fresh() {
    for wish in ["no-cache", "max-age=0", "max-age=5", "min-fresh=55"] {
        let pipes = Pipes::new(numbered(MINUTE));
        pipes.ask("/", &[]).await;
        pipes.pass_time(10);
        let answer = pipes.ask("/", &[("Cache-Control", wish)]).await;
        assert_said(&answer, "1", "forebay; fwd=request; stored; ttl=60");
        assert_said(&pipes.ask("/", &[]).await, "1", "forebay; hit; ttl=60");
    }
    let pipes = Pipes::new(numbered(MINUTE));
    pipes.ask("/", &[]).await;
    let answer = pipes.ask("/", &[("Pragma", "no-cache")]).await;
    assert_eq!(answer.text(), "1");
    for wish in ["max-age=60", "min-fresh=10", "max-stale", "unknown"] {
        assert_eq!(pipes.ask("/", &[("Cache-Control", wish)]).await.text(), "1", "{wish}");
    }
}

#[tokio::test(start_paused = true)]
async fn those_who_refuse_what_is_fresh_share_one_fetch() {
    let gate = Gate::new();
    let open = Arc::clone(&gate);
    let pipes = Pipes::new(move |_, nth| match nth {
        0 => vec![respond("200 OK", MINUTE, "0")],
        _ => vec![Act::WaitFor(Arc::clone(&open)), respond("200 OK", MINUTE, format!("{nth}"))],
    });
    pipes.ask("/", &[]).await;
    let mut clients = [pipes.client(), pipes.client()];
    for client in &mut clients {
        client.request("GET", "/", &[("Cache-Control", "no-cache")], b"").await;
    }
    while pipes.node.counters.collapsed.get() < 1 {
        tokio::task::yield_now().await;
    }
    gate.open();
    for client in &mut clients {
        assert_eq!(client.read_answer().await.text(), "1");
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_may_take_what_is_stale_unless_that_is_forbidden() {
    let pipes = Pipes::new(numbered(MINUTE));
    pipes.ask("/", &[]).await;
    pipes.pass_time(70);
    let answer = pipes.ask("/", &[("Cache-Control", "max-stale=10")]).await;
    assert_said(&answer, "0", "forebay; hit; ttl=-10; detail=max-stale");
    assert_eq!(pipes.ask("/", &[("Cache-Control", "max-stale=9")]).await.text(), "1");

    let pipes = Pipes::new(numbered(&[("Cache-Control", "max-age=60, must-revalidate")]));
    pipes.ask("/", &[]).await;
    pipes.pass_time(70);
    assert_eq!(pipes.ask("/", &[("Cache-Control", "max-stale")]).await.text(), "1");
}

#[tokio::test(start_paused = true)]
async fn only_if_cached_never_asks_the_origin() {
    let pipes = Pipes::new(numbered(MINUTE));
    let only = [("Cache-Control", "only-if-cached")];
    let answer = pipes.ask("/", &only).await;
    assert_eq!((answer.status, answer.cache_status().as_str()), (504, "forebay; detail=only-if-cached"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(pipes.origin.hits(), 0);
    pipes.ask("/", &[]).await;
    assert_said(&pipes.ask("/", &only).await, "0", "forebay; hit; ttl=60");
    pipes.pass_time(61);
    assert_eq!(pipes.ask("/", &only).await.status, 504);
    let stale_too = [("Cache-Control", "only-if-cached, max-stale=5")];
    assert_eq!(pipes.ask("/", &stale_too).await.text(), "0");
    assert_eq!(pipes.origin.hits(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_site_need_not_heed_its_clients() {
    let pipes = with_policy(Policy { request_directives: false, ..Policy::default() }, numbered(MINUTE));
    pipes.ask("/", &[]).await;
    for wish in ["no-cache", "max-age=0", "min-fresh=99"] {
        assert_eq!(pipes.ask("/", &[("Cache-Control", wish)]).await.text(), "0", "{wish}");
    }
    assert_eq!(pipes.ask("/other", &[("Cache-Control", "no-store")]).await.text(), "1");
    assert_eq!(pipes.ask("/other", &[]).await.text(), "2", "that nothing be kept is heeded all the same");
}

#[tokio::test(start_paused = true)]
async fn a_reload_of_what_is_immutable_is_a_hit() {
    let pipes = Pipes::new(numbered(&[("Cache-Control", "max-age=60, immutable")]));
    pipes.ask("/", &[]).await;
    assert_eq!(pipes.ask("/", &[("Cache-Control", "max-age=0")]).await.text(), "0");
    assert_eq!(pipes.ask("/", &[("Cache-Control", "no-cache")]).await.text(), "1");
}

// ---- stale while it is refreshed ----

const REFRESHED: &[(&str, &str)] = &[("Cache-Control", "max-age=60, stale-while-revalidate=30")];

#[tokio::test(start_paused = true)]
async fn what_may_be_stale_answers_at_once_and_is_refreshed_once() {
    let gate = Gate::new();
    let open = Arc::clone(&gate);
    let pipes = Pipes::new(move |_, nth| match nth {
        0 => vec![respond("200 OK", REFRESHED, "0")],
        _ => vec![Act::WaitFor(Arc::clone(&open)), respond("200 OK", REFRESHED, format!("{nth}"))],
    });
    pipes.ask("/", &[]).await;
    pipes.pass_time(65);
    for _ in 0..5 {
        let answer = pipes.client().get("/").await;
        assert_said(&answer, "0", "forebay; hit; ttl=-5; detail=stale-while-revalidate");
    }
    assert_eq!(pipes.node.counters.refreshes.get(), 1, "one refresh for all");
    gate.open();
    pipes.quiet().await;
    assert_said(&pipes.ask("/", &[]).await, "1", "forebay; hit; ttl=60");
    assert_eq!(pipes.origin.hits(), 2);
    pipes.pass_time(90);
    assert_said(&pipes.ask("/", &[]).await, "2", "forebay; fwd=stale; stored; ttl=60");
}

#[tokio::test(start_paused = true)]
async fn a_site_may_allow_it_for_what_does_not_say() {
    let outlasting = Outlasting { while_revalidate: Duration::from_secs(30), ..Outlasting::default() };
    let pipes = with_policy(Policy { outlasting, ..Policy::default() }, |request, nth| {
        let says =
            if request.target == "/own" { "max-age=60, stale-while-revalidate=1" } else { "max-age=60" };
        vec![respond("200 OK", &[("Cache-Control", says)], format!("{nth}"))]
    });
    for (path, text) in [("/", "0"), ("/own", "1")] {
        assert_eq!(pipes.ask(path, &[]).await.text(), text);
    }
    pipes.pass_time(65);
    assert_eq!(pipes.ask("/", &[]).await.text(), "0");
    assert_eq!(pipes.ask("/own", &[]).await.text(), "3");
}

#[tokio::test(start_paused = true)]
async fn what_is_stale_from_the_start_is_shared_while_it_is_refreshed() {
    let pipes = Pipes::new(numbered(&[("Cache-Control", "max-age=0, stale-while-revalidate=30")]));
    assert_said(&pipes.ask("/", &[]).await, "0", "forebay; fwd=uri-miss; stored; ttl=0");
    pipes.pass_time(1);
    assert_eq!(pipes.ask("/", &[]).await.text(), "0");
    assert_eq!(pipes.ask("/", &[]).await.text(), "1");
}

#[tokio::test(start_paused = true)]
async fn a_refresh_that_confirms_needs_no_body() {
    let pipes = Pipes::new(|request, _| match request.header("if-none-match") {
        Some(_) => vec![head("304 Not Modified", REFRESHED)],
        None => vec![respond("200 OK", &[REFRESHED[0], ("ETag", "\"a\"")], "body")],
    });
    pipes.ask("/", &[]).await;
    pipes.pass_time(65);
    assert_eq!(pipes.ask("/", &[]).await.text(), "body");
    assert_said(&pipes.ask("/", &[]).await, "body", "forebay; hit; ttl=60");
}

#[tokio::test(start_paused = true)]
async fn refreshes_are_bounded() {
    let mut settings = settings("http://origin.test");
    settings.fetch.max_refreshes = 1;
    let gate = Gate::new();
    let open = Arc::clone(&gate);
    let pipes = Pipes::with(settings, move |_, nth| match nth {
        0 | 1 => vec![respond("200 OK", REFRESHED, format!("{nth}"))],
        _ => vec![Act::WaitFor(Arc::clone(&open)), respond("200 OK", REFRESHED, format!("{nth}"))],
    });
    for path in ["/a", "/b"] {
        pipes.ask(path, &[]).await;
    }
    pipes.pass_time(65);
    for path in ["/a", "/b", "/b"] {
        pipes.client().get(path).await;
    }
    let counters = &pipes.node.counters;
    assert_eq!((counters.refreshes.get(), counters.refreshes_refused.get()), (1, 2));
    gate.open();
    pipes.quiet().await;
    pipes.ask("/b", &[]).await;
    assert_eq!(counters.refreshes.get(), 2, "its turn comes");
}

// ---- an origin that fails ----

/// An origin that can be broken: it answers 503 then, or closes without an answer.
fn breakable(
    fields: &'static [(&'static str, &'static str)],
    broken: &Arc<AtomicBool>,
    answers: bool,
) -> Pipes {
    let broken = Arc::clone(broken);
    Pipes::new(move |_, nth| match (broken.load(Ordering::Acquire), answers) {
        (true, true) => vec![respond("503 Service Unavailable", &[], "broken")],
        (true, false) => vec![Act::Reset],
        (false, _) => vec![respond("200 OK", fields, format!("{nth}"))],
    })
}

#[tokio::test(start_paused = true)]
async fn an_error_is_bridged_and_the_origin_is_used_again_when_it_is_well() {
    for answers in [true, false] {
        let broken = Arc::new(AtomicBool::new(false));
        let pipes = breakable(MINUTE, &broken, answers);
        pipes.ask("/", &[]).await;
        pipes.pass_time(70);
        broken.store(true, Ordering::Release);
        let status = if answers { "; fwd-status=503" } else { "" };
        let said = format!("forebay; fwd=stale{status}; ttl=-10; detail=stale-on-error");
        for _ in 0..2 {
            assert_said(&pipes.ask("/", &[]).await, "0", &said);
        }
        broken.store(false, Ordering::Release);
        // A pool leaves an endpoint alone for a moment that gave no answer at all.
        tokio::time::sleep(Duration::from_mins(1)).await;
        let mended = pipes.ask("/", &[]).await;
        assert_eq!(mended.cache_status(), "forebay; fwd=stale; stored; ttl=60");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refresh_that_fails_is_put_off_and_not_tried_by_every_request() {
    for (status, fields) in [("503 Busy", &[][..]), ("429 Too Many Requests", &[]), ("403 No", &[])] {
        let broken = Arc::new(AtomicBool::new(false));
        let fail = Arc::clone(&broken);
        let pipes = Pipes::new(move |_, nth| {
            if fail.load(Ordering::Acquire) {
                return vec![respond(status, fields, "broken")];
            }
            vec![respond(
                "200 OK",
                &[("Cache-Control", "max-age=60, stale-while-revalidate=600")],
                format!("{nth}"),
            )]
        });
        pipes.ask("/", &[]).await;
        pipes.pass_time(70);
        broken.store(true, Ordering::Release);
        for (after, tries) in [(0, 1), (0, 1), (1, 2), (1, 2), (1, 3), (3, 3), (1, 4)] {
            pipes.pass_time(after);
            let answer = pipes.ask("/", &[]).await;
            assert_eq!(answer.text(), "0", "{status}: {}", answer.cache_status());
            assert_eq!(pipes.origin.hits(), 1 + tries, "{status}");
        }
        broken.store(false, Ordering::Release);
        pipes.pass_time(8);
        pipes.ask("/", &[]).await;
        assert_eq!(pipes.ask("/", &[]).await.cache_status(), "forebay; hit; ttl=60", "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_came_instead_and_cannot_be_stored_ends_what_was_stored() {
    for (status, says) in [("200 OK", "no-store"), ("200 OK", "private"), ("404 Not Found", "")] {
        let changed = Arc::new(AtomicBool::new(false));
        let now = Arc::clone(&changed);
        let pipes = Pipes::new(move |_, _| {
            if now.load(Ordering::Acquire) {
                return vec![respond(status, &[("Cache-Control", says)], "new")];
            }
            vec![respond("200 OK", REFRESHED, "old")]
        });
        pipes.ask("/", &[]).await;
        pipes.pass_time(65);
        changed.store(true, Ordering::Release);
        assert_eq!(pipes.ask("/", &[]).await.text(), "old", "refreshed behind it");
        assert_eq!(pipes.ask("/", &[]).await.text(), "new", "{status} {says}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_nobody_is_not_given_what_is_stale() {
    let fields = &[("Cache-Control", "public, max-age=60, stale-while-revalidate=30")];
    let pipes = Pipes::new(numbered(fields));
    pipes.ask("/", &[]).await;
    pipes.pass_time(65);
    let own = [("Authorization", "Basic eDp5")];
    assert_said(&pipes.ask("/", &own).await, "1", "forebay; fwd=stale; stored; ttl=60");
}

#[tokio::test(start_paused = true)]
async fn what_was_never_fresh_is_for_nobody_unasked_whatever_fails() {
    let pipes = Pipes::new(|request, nth| {
        if request.header("x-break").is_some() {
            return vec![respond("500 Oops", &[], "broken")];
        }
        vec![respond(
            "200 OK",
            &[("ETag", "\"a\""), ("Last-Modified", "Fri, 15 Jan 2027 07:43:20 GMT")],
            format!("{nth}"),
        )]
    });
    pipes.ask("/", &[("Cookie", "session=1")]).await;
    let broken = pipes.ask("/", &[("X-Break", "1")]).await;
    assert_eq!((broken.status, broken.text().as_str()), (500, "broken"));
    assert_eq!(pipes.ask("/", &[("Cache-Control", "max-stale")]).await.text(), "2");
}

#[tokio::test(start_paused = true)]
async fn one_who_wants_it_confirmed_does_not_send_the_others_to_a_failing_origin() {
    let (gate, broken) = (Gate::new(), Arc::new(AtomicBool::new(false)));
    let (open, fail) = (Arc::clone(&gate), Arc::clone(&broken));
    let pipes = Pipes::new(move |_, _| {
        if fail.load(Ordering::Acquire) {
            return vec![Act::WaitFor(Arc::clone(&open)), respond("500 Oops", &[], "broken")];
        }
        vec![respond("200 OK", MINUTE, "0")]
    });
    pipes.ask("/", &[]).await;
    pipes.pass_time(70);
    broken.store(true, Ordering::Release);
    let mut strict = pipes.client();
    strict.request("GET", "/", &[("Cache-Control", "no-cache")], b"").await;
    while pipes.origin.hits() < 2 {
        tokio::task::yield_now().await;
    }
    let mut others = [pipes.client(), pipes.client(), pipes.client()];
    for client in &mut others {
        client.request("GET", "/", &[], b"").await;
    }
    while pipes.node.counters.collapsed.get() < 3 {
        tokio::task::yield_now().await;
    }
    gate.open();
    assert_eq!(strict.read_answer().await.status, 500);
    for client in &mut others {
        assert_eq!(client.read_answer().await.text(), "0");
    }
    assert_eq!(pipes.origin.hits(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_answer_says_for_how_long_it_bridges_errors() {
    let broken = Arc::new(AtomicBool::new(false));
    let pipes = breakable(&[("Cache-Control", "max-age=60, stale-if-error=20")], &broken, true);
    pipes.ask("/", &[]).await;
    broken.store(true, Ordering::Release);
    pipes.pass_time(80);
    assert_eq!(pipes.ask("/", &[]).await.text(), "0");
    pipes.pass_time(1);
    let answer = pipes.ask("/", &[]).await;
    assert_eq!((answer.status, answer.text().as_str()), (503, "broken"), "the origin's own words");
}

#[tokio::test(start_paused = true)]
async fn what_must_be_validated_bridges_nothing() {
    for says in ["max-age=60, must-revalidate", "max-age=60, proxy-revalidate", "s-maxage=60", "no-cache"] {
        let broken = Arc::new(AtomicBool::new(false));
        let fail = Arc::clone(&broken);
        let pipes = Pipes::new(move |_, _| {
            if fail.load(Ordering::Acquire) {
                return vec![respond("503 Service Unavailable", &[], "broken")];
            }
            vec![respond("200 OK", &[("Cache-Control", says), ("ETag", "\"a\"")], "0")]
        });
        pipes.ask("/", &[]).await;
        pipes.pass_time(70);
        broken.store(true, Ordering::Release);
        assert_eq!(pipes.ask("/", &[]).await.status, 503, "{says}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_wants_it_confirmed_gets_the_error_beside_those_who_do_not() {
    let (gate, broken) = (Gate::new(), Arc::new(AtomicBool::new(false)));
    let (open, fail) = (Arc::clone(&gate), Arc::clone(&broken));
    let pipes = Pipes::new(move |_, nth| {
        if fail.load(Ordering::Acquire) {
            return vec![Act::WaitFor(Arc::clone(&open)), respond("503 Service Unavailable", &[], "broken")];
        }
        vec![respond("200 OK", MINUTE, format!("{nth}"))]
    });
    pipes.ask("/", &[]).await;
    pipes.pass_time(70);
    broken.store(true, Ordering::Release);
    let mut patient = pipes.client();
    patient.request("GET", "/", &[], b"").await;
    while pipes.origin.hits() < 2 {
        tokio::task::yield_now().await;
    }
    let mut strict = pipes.client();
    strict.request("GET", "/", &[("Cache-Control", "no-cache")], b"").await;
    while pipes.node.counters.collapsed.get() < 1 {
        tokio::task::yield_now().await;
    }
    gate.open();
    assert_eq!(patient.read_answer().await.text(), "0");
    assert_eq!(strict.read_answer().await.status, 503);
}

// ---- what rules, and what an operator adds ----

#[tokio::test(start_paused = true)]
async fn a_targeted_field_rules_and_the_one_for_this_cache_goes_no_further() {
    let pipes = Pipes::new(numbered(&[("Cache-Control", "no-store"), ("Surrogate-Control", "max-age=60")]));
    for text in ["forebay; fwd=uri-miss; stored; ttl=60", "forebay; hit; ttl=60"] {
        let answer = pipes.ask("/", &[]).await;
        assert_eq!(answer.cache_status(), text);
        assert_eq!(answer.header("surrogate-control"), None);
        assert_eq!(answer.header("cache-control"), Some("no-store"));
    }
    let pipes = Pipes::new(numbered(&[("Cache-Control", "max-age=60"), ("CDN-Cache-Control", "no-store")]));
    pipes.ask("/", &[]).await;
    let answer = pipes.ask("/", &[]).await;
    assert_eq!((answer.text().as_str(), answer.header("cdn-cache-control")), ("1", Some("no-store")));
}

#[tokio::test(start_paused = true)]
async fn a_surrogate_field_survives_a_confirmation_without_it() {
    let pipes = Pipes::new(|request, _| {
        if request.header("if-none-match").is_some() {
            return vec![head("304 Not Modified", &[])];
        }
        let fields = [("Surrogate-Control", "max-age=60"), ("Cache-Control", "max-age=0"), ("ETag", "\"a\"")];
        vec![respond("200 OK", &fields, "body")]
    });
    pipes.ask("/", &[]).await;
    pipes.pass_time(61);
    pipes.ask("/", &[]).await;
    assert_said(&pipes.ask("/", &[]).await, "body", "forebay; hit; ttl=60");
}

#[tokio::test(start_paused = true)]
async fn named_fields_are_for_one_client_and_the_rest_is_for_all() {
    let gate = Gate::new();
    let open = Arc::clone(&gate);
    let fields = [
        ("Cache-Control", "private=\"x-id\", no-cache=\"set-cookie\", max-age=60"),
        ("X-Id", "1"),
        ("Set-Cookie", "a=b"),
        ("X-Other", "1"),
    ];
    let pipes =
        Pipes::new(move |_, _| vec![Act::WaitFor(Arc::clone(&open)), respond("200 OK", &fields, "body")]);
    let (mut first, mut waiter) = (pipes.client(), pipes.client());
    first.request("GET", "/", &[], b"").await;
    while pipes.origin.hits() < 1 {
        tokio::task::yield_now().await;
    }
    waiter.request("GET", "/", &[], b"").await;
    while pipes.node.counters.collapsed.get() < 1 {
        tokio::task::yield_now().await;
    }
    gate.open();
    let own = first.read_answer().await;
    assert_eq!((own.header("x-id"), own.header("set-cookie")), (Some("1"), Some("a=b")));
    let hit = {
        let collapsed = waiter.read_answer().await;
        pipes.quiet().await;
        [collapsed, pipes.ask("/", &[]).await]
    };
    for answer in &hit {
        let named = (answer.header("x-id"), answer.header("set-cookie"), answer.header("x-other"));
        assert_eq!(named, (None, None, Some("1")), "{}", answer.cache_status());
    }
    assert_eq!(pipes.origin.hits(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_was_last_modified_long_ago_lasts_for_a_part_of_that() {
    // A thousand seconds before the clock of these tests.
    let modified = [("Last-Modified", "Fri, 15 Jan 2027 07:43:20 GMT")];
    assert_eq!(START.as_secs(), 1_800_000_000);
    let script = move |_: &SeenRequest, nth: usize| vec![respond("200 OK", &modified, format!("{nth}"))];
    let pipes = Pipes::new(script);
    pipes.ask("/", &[]).await;
    assert_said(&pipes.ask("/", &[]).await, "0", "forebay; hit; ttl=100");
    let heuristic = Heuristic { percent: 0, ..Heuristic::default() };
    let lifetimes = Lifetimes { heuristic, ..Lifetimes::default() };
    let pipes = with_policy(Policy { lifetimes, ..Policy::default() }, script);
    pipes.ask("/", &[]).await;
    assert_eq!(pipes.ask("/", &[]).await.text(), "1");
}

#[tokio::test(start_paused = true)]
async fn dynamic_pages_are_cached_for_a_moment() {
    // Within the RFC: pages that state nothing.
    let lifetimes = Lifetimes { default: Some(Duration::from_secs(1)), ..Lifetimes::default() };
    let pipes = with_policy(Policy { lifetimes, ..Policy::default() }, numbered(&[]));
    pipes.ask("/", &[]).await;
    assert_said(&pipes.ask("/", &[]).await, "0", "forebay; hit; ttl=1");
    pipes.pass_time(1);
    assert_eq!(pipes.ask("/", &[]).await.text(), "1");
    // Against it: pages that forbid to be kept.
    let forbid = &[("Cache-Control", "no-store, no-cache, must-revalidate, max-age=0")];
    let ignored = IgnoredDirectives {
        no_store: true,
        no_cache: true,
        must_revalidate: true,
        ..IgnoredDirectives::default()
    };
    let lifetimes = Lifetimes { min: Some(Duration::from_secs(1)), ..Lifetimes::default() };
    let pipes = with_policy(Policy { lifetimes, ignored, ..Policy::default() }, numbered(forbid));
    pipes.ask("/", &[]).await;
    assert_said(&pipes.ask("/", &[]).await, "0", "forebay; hit; ttl=1");
}

#[tokio::test(start_paused = true)]
async fn statuses_have_lifetimes_of_the_operators() {
    let by_status = vec![
        (StatusRange { first: 404, last: 404 }, Duration::from_secs(9)),
        (StatusRange { first: 500, last: 599 }, Duration::from_secs(2)),
    ];
    let lifetimes = Lifetimes { by_status, ..Lifetimes::default() };
    let pipes = with_policy(Policy { lifetimes, ..Policy::default() }, |request, _| {
        vec![respond(if request.target == "/404" { "404 Not Found" } else { "503 Busy" }, &[], "")]
    });
    for (path, ttl) in [("/404", 9), ("/503", 2)] {
        pipes.ask(path, &[]).await;
        assert_eq!(pipes.ask(path, &[]).await.cache_status(), format!("forebay; hit; ttl={ttl}"));
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_asked_for_often_is_refreshed_before_it_expires() {
    let pipes = with_policy(Policy { refresh_ahead: 50, ..Policy::default() }, numbered(MINUTE));
    pipes.ask("/", &[]).await;
    for _ in 0..10 {
        pipes.ask("/", &[]).await;
    }
    assert_eq!(pipes.origin.hits(), 1, "it is not time yet");
    pipes.pass_time(31);
    for _ in 0..4 {
        assert_eq!(pipes.ask("/", &[]).await.text(), "0");
    }
    assert_said(&pipes.ask("/", &[]).await, "1", "forebay; hit; ttl=60");
    assert_eq!(pipes.origin.hits(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_site_may_store_what_ends_with_its_connection() {
    let script = |request: &SeenRequest, _: usize| {
        let coding = if request.target == "/coded" { ("Transfer-Encoding", "own") } else { ("X-A", "1") };
        vec![head("200 OK", &[MINUTE[0], coding]), Act::send("all"), Act::Close]
    };
    let pipes = with_policy(Policy { store_until_close: true, ..Policy::default() }, script);
    for path in ["/", "/coded"] {
        assert_said(&pipes.ask(path, &[]).await, "all", "forebay; fwd=uri-miss; stored; ttl=60");
        let hit = pipes.ask(path, &[]).await;
        assert_said(&hit, "all", "forebay; hit; ttl=60");
        assert_eq!(hit.header("transfer-encoding"), None);
    }
    assert_eq!(Pipes::new(script).ask("/coded", &[]).await.status, 502);
}

// ---- HEAD ----

/// An origin for whom a HEAD cannot be answered from what is stored: it carries a condition for the origin.
async fn head_request(pipes: &Pipes) -> Answer {
    let mut client = pipes.client();
    client.request("HEAD", "/", &[("If-Unmodified-Since", "Fri, 15 Jan 2027 07:43:20 GMT")], b"").await;
    let answer = client.read_answer().await;
    pipes.quiet().await;
    answer
}

#[tokio::test(start_paused = true)]
async fn a_head_that_is_passed_updates_what_is_stored_or_throws_it_out() {
    for (etag, then) in [("\"a\"", "0"), ("\"b\"", "2")] {
        let pipes = Pipes::new(move |request, nth| {
            if request.method == "HEAD" {
                let fields = [
                    ("Cache-Control", "max-age=600"),
                    ("ETag", etag),
                    ("X-New", "1"),
                    ("Content-Length", "1"),
                ];
                return vec![head("200 OK", &fields)];
            }
            vec![respond("200 OK", &[MINUTE[0], ("ETag", "\"a\"")], format!("{nth}"))]
        });
        pipes.ask("/", &[]).await;
        assert_eq!(head_request(&pipes).await.status, 200);
        let answer = pipes.ask("/", &[]).await;
        assert_eq!(answer.text(), then, "{etag}");
        if then == "0" {
            assert_eq!(answer.cache_status(), "forebay; hit; ttl=600");
            assert_eq!(answer.header("x-new"), Some("1"));
        }
    }
}

// ---- what has no right to stand in, or to take a place ----

/// Sends `first`, and three plain requests that wait for the same fetch; the origin's answer then is let go.
async fn wait_together(pipes: &Pipes, gate: &Gate, first: &[(&str, &str)]) -> Vec<Answer> {
    let before = (pipes.origin.hits(), pipes.node.counters.collapsed.get());
    let mut clients = [pipes.client(), pipes.client(), pipes.client(), pipes.client()];
    for (nth, client) in clients.iter_mut().enumerate() {
        client.request("GET", "/", if nth == 0 { first } else { &[] }, b"").await;
        while pipes.origin.hits() == before.0 {
            tokio::task::yield_now().await;
        }
    }
    while pipes.node.counters.collapsed.get() < before.1 + 3 {
        tokio::task::yield_now().await;
    }
    gate.open();
    let mut answers = Vec::new();
    for client in &mut clients {
        answers.push(client.read_answer().await);
    }
    answers
}

#[tokio::test(start_paused = true)]
async fn an_error_that_nothing_may_bridge_is_read_by_all_who_waited() {
    for (says, status) in [("max-age=60, must-revalidate", 503), ("max-age=60, stale-if-error=60", 501)] {
        let gate = Gate::new();
        let open = Arc::clone(&gate);
        let pipes = Pipes::new(move |_, nth| {
            if nth == 0 {
                return vec![respond("200 OK", &[("Cache-Control", says)], "0")];
            }
            let error = respond(&format!("{status} No"), &[("Cache-Control", "max-age=5")], "broken");
            vec![Act::WaitFor(Arc::clone(&open)), error]
        });
        pipes.ask("/", &[]).await;
        pipes.pass_time(70);
        for answer in wait_together(&pipes, &gate, &[]).await {
            assert_eq!(answer.status, status, "{}", answer.cache_status());
        }
        assert_eq!(pipes.origin.hits(), 2, "one request for all: {says}");
    }
}

#[tokio::test(start_paused = true)]
async fn one_who_wants_it_confirmed_does_not_take_from_the_others_what_bridges_errors() {
    let by_status = vec![(StatusRange { first: 500, last: 599 }, Duration::from_secs(2))];
    let lifetimes = Lifetimes { by_status, ..Lifetimes::default() };
    let pipes = with_policy(Policy { lifetimes, ..Policy::default() }, |_, nth| match nth {
        0 => vec![respond("200 OK", MINUTE, "0")],
        _ => vec![respond("503 Busy", &[], "broken")],
    });
    pipes.ask("/", &[]).await;
    pipes.pass_time(70);
    for _ in 0..2 {
        assert_eq!(pipes.ask("/", &[("Cache-Control", "no-cache")]).await.status, 503);
        let answer = pipes.ask("/", &[]).await;
        assert_eq!(answer.text(), "0", "{}", answer.cache_status());
        pipes.pass_time(3);
    }
}

#[tokio::test(start_paused = true)]
async fn nor_do_several_who_want_it_confirmed_together() {
    let (gate, wish) = (Gate::new(), [("Cache-Control", "no-cache")]);
    let open = Arc::clone(&gate);
    let pipes = Pipes::new(move |_, nth| {
        if nth == 0 {
            return vec![respond("200 OK", MINUTE, "0")];
        }
        let error = respond("503 Busy", &[("Cache-Control", "max-age=5")], "broken");
        vec![Act::WaitFor(Arc::clone(&open)), error]
    });
    pipes.ask("/", &[]).await;
    let mut clients = [pipes.client(), pipes.client(), pipes.client()];
    for client in &mut clients {
        client.request("GET", "/", &wish, b"").await;
    }
    while pipes.node.counters.collapsed.get() < 2 {
        tokio::task::yield_now().await;
    }
    gate.open();
    for client in &mut clients {
        assert_eq!(client.read_answer().await.status, 503);
    }
    pipes.quiet().await;
    assert_said(&pipes.ask("/", &[]).await, "0", "forebay; hit; ttl=60");
}

#[tokio::test(start_paused = true)]
async fn a_page_made_for_a_cookie_does_not_bridge_a_refresh_that_it_does_not_allow_itself() {
    let outlasting = Outlasting { while_revalidate: Duration::from_secs(30), ..Outlasting::default() };
    for fields in [
        &[("ETag", "\"a\""), ("Last-Modified", "Fri, 15 Jan 2027 07:43:20 GMT")][..],
        &[("ETag", "\"a\""), ("Cache-Control", "max-age=0")],
    ] {
        let fields: &'static [_] = Box::leak(fields.to_vec().into_boxed_slice());
        let pipes = with_policy(Policy { outlasting, ..Policy::default() }, numbered(fields));
        pipes.ask("/", &[("Cookie", "session=1")]).await;
        let other = pipes.ask("/", &[("Cookie", "session=2")]).await;
        assert_eq!(other.text(), "1", "{}", other.cache_status());
    }
}

#[tokio::test(start_paused = true)]
async fn a_304_about_something_else_does_not_keep_what_is_gone() {
    for (then, text) in [("200 OK", "new"), ("503 Busy", "old")] {
        let pipes = Pipes::new(move |request, nth| match (nth, request.header("if-none-match")) {
            (0, _) => vec![respond("200 OK", &[REFRESHED[0], ("ETag", "\"a\"")], "old")],
            (_, Some(_)) => vec![head("304 Not Modified", &[("ETag", "\"b\"")])],
            _ => vec![respond(then, &[("Cache-Control", "no-store")], "new")],
        });
        pipes.ask("/", &[]).await;
        pipes.pass_time(65);
        assert_eq!(pipes.ask("/", &[]).await.text(), "old", "refreshed behind it");
        let hits = pipes.origin.hits();
        assert_eq!(hits, 3, "asked again for all of it");
        assert_eq!(pipes.ask("/", &[]).await.text(), text, "{then}");
        if text == "old" {
            assert_eq!(pipes.origin.hits(), hits, "a refresh that failed is put off");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_304_that_nobody_asked_for_confirms_nothing() {
    let pipes = Pipes::new(|_, nth| match nth {
        0 => vec![respond("200 OK", &[("Cache-Control", "max-age=60, must-revalidate")], "old")],
        _ => vec![head("304 Not Modified", MINUTE)],
    });
    pipes.ask("/", &[]).await;
    pipes.pass_time(70);
    let answer = pipes.ask("/", &[]).await;
    assert_eq!(pipes.origin.exchange(1).request.header("if-none-match"), None);
    assert_eq!(answer.status, 502, "{}", answer.cache_status());
}

#[tokio::test(start_paused = true)]
async fn a_trailer_that_is_one_client_s_is_not_handed_to_those_who_wait() {
    let gate = Gate::new();
    let open = Arc::clone(&gate);
    let pipes = Pipes::new(move |_, _| {
        let fields = [
            ("Cache-Control", "private=\"x-id\", max-age=60"),
            ("Transfer-Encoding", "chunked"),
            ("Trailer", "x-id, x-sum"),
        ];
        let body = Act::send("4\r\nbody\r\n0\r\nX-Id: 1\r\nX-Sum: 2\r\n\r\n");
        vec![head("200 OK", &fields), Act::WaitFor(Arc::clone(&open)), body]
    });
    let (mut first, mut waiter) = (pipes.client(), pipes.client());
    let te = [("TE", "trailers"), ("Connection", "te")];
    first.request("GET", "/", &te, b"").await;
    while pipes.origin.hits() < 1 {
        tokio::task::yield_now().await;
    }
    waiter.request("GET", "/", &te, b"").await;
    while pipes.node.counters.collapsed.get() < 1 {
        tokio::task::yield_now().await;
    }
    gate.open();
    first.read_answer().await;
    let names: Vec<_> =
        waiter.read_answer().await.trailers.into_iter().map(|(name, _)| name.to_lowercase()).collect();
    assert_eq!(names, ["x-sum"]);
}
