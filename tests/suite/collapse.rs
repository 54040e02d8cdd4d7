//! One request for many: who waits for whom, and for how long.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

use crate::rig::{Pipes, Sockets};
use crate::support::bytes::pattern;
use crate::support::client::{Answer, Client};
use crate::support::origin::{Act, Gate, SeenRequest, head, respond};
use crate::support::{ms, within};

const CACHEABLE: (&str, &str) = ("Cache-Control", "max-age=60");
const LIMIT: Duration = Duration::from_mins(1);

/// What one client saw, timed from its request.
struct Timed {
    answer: Answer,
    first_byte: Duration,
    done: Duration,
}

async fn timed<S: AsyncRead + AsyncWrite + Unpin>(
    mut client: Client<S>,
    path: &str,
    fields: &[(&str, &str)],
) -> Timed {
    let begin = Instant::now();
    client.request("GET", path, fields, b"").await;
    let head = client.read_head().await;
    let mut body = client.read_chunk().await.map(|bytes| bytes.to_vec()).unwrap_or_default();
    let first_byte = begin.elapsed();
    body.extend(client.read_body().await);
    let answer = Answer {
        status: head.status,
        headers: head.headers,
        body,
        complete: client.is_complete(),
        trailers: Vec::new(),
        interim: head.interim,
    };
    Timed { answer, first_byte, done: begin.elapsed() }
}

/// Starts `count` clients at once and waits for all of them.
async fn crowd(rig: &Pipes, count: usize, path: &str, fields: &[(&str, &str)]) -> Vec<Timed> {
    let clients: Vec<_> = (0..count).map(|_| timed(rig.client(), path, fields)).collect();
    within(LIMIT, futures_join(clients)).await
}

/// Runs all of them at the same time, in one task.
async fn futures_join<F: Future>(futures: Vec<F>) -> Vec<F::Output> {
    let mut futures: Vec<_> = futures.into_iter().map(|future| (Box::pin(future), None)).collect();
    std::future::poll_fn(|cx| {
        let mut pending = false;
        for (future, output) in &mut futures {
            if output.is_none() {
                match future.as_mut().poll(cx) {
                    std::task::Poll::Ready(value) => *output = Some(value),
                    std::task::Poll::Pending => pending = true,
                }
            }
        }
        if pending { std::task::Poll::Pending } else { std::task::Poll::Ready(()) }
    })
    .await;
    futures.into_iter().filter_map(|(_, output)| output).collect()
}

fn statuses(answers: &[Timed]) -> BTreeSet<String> {
    answers.iter().map(|timed| timed.answer.cache_status()).collect()
}

#[tokio::test(start_paused = true)]
async fn five_hundred_clients_on_a_cold_object_are_one_request() {
    let body = pattern(1, 100_000);
    let sent = body.clone();
    let rig = Pipes::new(move |_, _| vec![Act::Wait(ms(1000)), respond("200 OK", &[CACHEABLE], &sent)]);
    let answers = crowd(&rig, 500, "/cold", &[]).await;
    assert_eq!(rig.origin.hits(), 1);
    for timed in &answers {
        assert!(timed.answer.complete && timed.answer.body == body);
        assert_eq!(timed.first_byte, ms(1000), "woken with the head");
    }
    let expected = ["forebay; fwd=uri-miss; collapsed; ttl=60", "forebay; fwd=uri-miss; stored; ttl=60"];
    assert_eq!(statuses(&answers), expected.map(String::from).into());
    rig.quiet().await;
}

#[tokio::test(start_paused = true)]
async fn waiters_read_while_the_body_arrives() {
    let body = pattern(2, 300_000);
    let sent = body.clone();
    let rig = Pipes::new(move |_, _| {
        let length = sent.len().to_string();
        vec![
            head("200 OK", &[CACHEABLE, ("Content-Length", &length)]),
            Act::drip(sent.clone(), 300, ms(3000)),
        ]
    });
    let late = async {
        tokio::time::sleep(ms(1500)).await;
        timed(rig.client(), "/drip", &[]).await
    };
    let (early, late) = tokio::join!(crowd(&rig, 50, "/drip", &[]), within(LIMIT, late));
    assert_eq!(rig.origin.hits(), 1);
    for timed in &early {
        assert!(
            timed.first_byte < ms(50) && timed.done >= ms(3000),
            "{:?} {:?}",
            timed.first_byte,
            timed.done
        );
        assert!(timed.answer.body == body);
    }
    assert!(late.first_byte < ms(50), "one who comes later starts from the beginning at once");
    assert!(late.answer.body == body);
    assert!(late.done <= ms(2000), "{:?}", late.done);
}

#[tokio::test(start_paused = true)]
async fn an_uncacheable_head_releases_everybody_in_parallel_and_is_remembered() {
    let rig = Pipes::new(|_, nth| {
        vec![Act::Wait(ms(1000)), respond("200 OK", &[("Cache-Control", "no-store")], nth.to_string())]
    });
    let first = crowd(&rig, 50, "/private", &[]).await;
    let slowest = first.iter().map(|timed| timed.done).max().unwrap();
    assert_eq!(slowest, ms(2000), "two origin times for the waiters");
    assert_eq!(rig.origin.hits(), 50);
    let second = crowd(&rig, 50, "/private", &[]).await;
    assert!(second.iter().all(|timed| timed.done == ms(1000)), "one origin time once it is known");
    assert_eq!(statuses(&second), ["forebay; fwd=uri-miss; detail=hit-for-miss".to_owned()].into());
    let bodies: BTreeSet<Vec<u8>> =
        first.iter().chain(&second).map(|timed| timed.answer.body.clone()).collect();
    assert_eq!(bodies.len(), 100, "nobody got another's answer");
}

#[tokio::test(start_paused = true)]
async fn a_private_answer_reaches_only_the_client_that_it_was_made_for() {
    for private in [("Cache-Control", "private, max-age=60"), ("Set-Cookie", "id=1"), ("Vary", "*")] {
        let rig = Pipes::new(move |_, nth| {
            vec![Act::Wait(ms(100)), respond("200 OK", &[CACHEABLE, private], nth.to_string())]
        });
        let answers = crowd(&rig, 20, "/mine", &[]).await;
        let bodies: BTreeSet<Vec<u8>> = answers.iter().map(|timed| timed.answer.body.clone()).collect();
        assert_eq!(bodies.len(), 20, "{private:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_others_may_not_use_without_validation_is_not_waited_for() {
    for cache_control in ["no-cache", "max-age=0"] {
        let rig = Pipes::new(move |request, _| {
            let fields = [("Cache-Control", cache_control), ("ETag", "\"v1\"")];
            let known = request.header("if-none-match") == Some("\"v1\"");
            let answer = if known {
                respond("304 Not Modified", &fields, "")
            } else {
                respond("200 OK", &fields, "x")
            };
            vec![Act::Wait(ms(1000)), answer]
        });
        let first = crowd(&rig, 20, "/", &[]).await;
        assert_eq!(first.iter().map(|timed| timed.done).max(), Some(ms(2000)), "{cache_control}");
        let second = crowd(&rig, 20, "/", &[]).await;
        assert!(second.iter().all(|timed| timed.done == ms(1000) && timed.answer.body == b"x"));
        assert!(second.iter().all(|timed| timed.answer.cache_status().contains("fwd=stale; fwd-status=304")));
    }
}

/// An answer in the language that was asked for.
fn in_language(request: &SeenRequest) -> Vec<Act> {
    let language = request.header("accept-language").unwrap_or("none").to_owned();
    vec![Act::Wait(ms(100)), respond("200 OK", &[CACHEABLE, ("Vary", "Accept-Language")], language)]
}

/// A crowd for each of two languages at once; how long the slowest took.
async fn languages(rig: &Pipes, count: usize) -> Duration {
    let (english, german) = tokio::join!(
        crowd(rig, count, "/", &[("Accept-Language", "en")]),
        crowd(rig, count, "/", &[("Accept-Language", "de")]),
    );
    for (answers, language) in [(&english, "en"), (&german, "de")] {
        assert!(answers.iter().all(|timed| timed.answer.text() == language), "a wrong variant");
    }
    english.iter().chain(&german).map(|timed| timed.done).max().unwrap()
}

#[tokio::test(start_paused = true)]
async fn waiters_for_another_variant_go_back_and_are_grouped() {
    let rig = Pipes::new(|request, _| in_language(request));
    let slowest = languages(&rig, 20).await;
    assert_eq!(rig.origin.hits(), 2, "one request for each language");
    assert_eq!(slowest, ms(200), "the second group had to wait for the first head");
    rig.clock.advance(Duration::from_secs(61));
    let slowest = languages(&rig, 20).await;
    assert_eq!(rig.origin.hits(), 4);
    assert_eq!(slowest, ms(100), "the known variants group the next ones at once");
}

#[tokio::test(start_paused = true)]
async fn one_sent_back_twice_fetches_alone() {
    let (second, third) = (Gate::new(), Gate::new());
    let gates = (Arc::clone(&second), Arc::clone(&third));
    let rig = Pipes::new(move |_, nth| match nth {
        0 => vec![Act::Wait(ms(100)), respond("200 OK", &[CACHEABLE, ("Vary", "X-A")], "first")],
        1 => vec![
            Act::WaitFor(Arc::clone(&gates.0)),
            respond("200 OK", &[CACHEABLE, ("Vary", "X-B")], "second"),
        ],
        _ => vec![Act::WaitFor(Arc::clone(&gates.1)), respond("200 OK", &[CACHEABLE], "alone")],
    });
    let first = timed(rig.client(), "/", &[("X-A", "1"), ("X-B", "1")]);
    // Both are sent back by the first (another X-A). One leads, and sends the other back again (another X-B).
    let this = timed(rig.client(), "/", &[("X-A", "2"), ("X-B", "2")]);
    let that = timed(rig.client(), "/", &[("X-A", "2"), ("X-B", "3")]);
    let steps = async {
        rig.origin.wait_for_hits(2).await;
        second.open();
        rig.origin.wait_for_hits(3).await;
        assert_eq!(rig.node.fetcher.joinable(), 0, "one who fetches alone is not waited for");
        third.open();
    };
    let (first, this, that, ()) = within(LIMIT, async { tokio::join!(first, this, that, steps) }).await;
    assert_eq!(first.answer.text(), "first");
    let others: BTreeSet<String> = [this, that].iter().map(|timed| timed.answer.text()).collect();
    assert_eq!(others, ["alone", "second"].map(String::from).into());
}

#[tokio::test(start_paused = true)]
async fn a_failed_leader_hands_over_to_one_waiter() {
    let rig = Pipes::new(|_, nth| match nth {
        0 => vec![Act::Wait(ms(100)), Act::Reset],
        _ => vec![Act::Wait(ms(100)), respond("200 OK", &[CACHEABLE], "whole")],
    });
    let answers = crowd(&rig, 20, "/", &[]).await;
    let failed: Vec<_> = answers.iter().filter(|timed| timed.answer.status == 502).collect();
    assert_eq!(failed.len(), 1, "the leader's own client");
    assert!(failed[0].answer.header("proxy-status").unwrap().contains("connection_terminated"));
    assert_eq!(answers.iter().filter(|timed| timed.answer.text() == "whole").count(), 19);
    assert_eq!(rig.origin.hits(), 2);
}

#[tokio::test(start_paused = true)]
async fn after_the_retries_the_rest_fail_together() {
    let rig = Pipes::new(|_, _| vec![Act::Wait(ms(100)), Act::Reset]);
    let answers = crowd(&rig, 50, "/", &[]).await;
    assert!(answers.iter().all(|timed| timed.answer.status == 502));
    assert_eq!(rig.origin.hits(), 3);
    assert_eq!(answers.iter().map(|timed| timed.done).max(), Some(ms(300)));
    rig.quiet().await;
}

#[tokio::test(start_paused = true)]
async fn a_time_limit_is_not_waited_for_again() {
    let rig = Pipes::new(|_, _| vec![Act::Stall]);
    let limit = rig.settings.pools[0].first_byte_timeout;
    let answers =
        within(limit * 2, futures_join((0..10).map(|_| timed(rig.client(), "/", &[])).collect())).await;
    assert!(answers.iter().all(|timed| timed.answer.status == 504 && timed.done == limit));
    assert_eq!(rig.origin.hits(), 1);
}

#[tokio::test(start_paused = true)]
async fn requests_with_credentials_join_nothing_and_leave_no_marker() {
    let rig = Pipes::new(|request, nth| {
        let who = request.header("authorization").unwrap_or("public").to_owned();
        vec![Act::Wait(ms(100)), respond("200 OK", &[CACHEABLE], format!("{who} {nth}"))]
    });
    let mine = async |who| timed(rig.client(), "/", &[("Authorization", who)]).await;
    let everybody = async { tokio::join!(mine("a"), mine("b"), crowd(&rig, 10, "/", &[]), mine("c")) };
    let (a, b, public, c) = within(LIMIT, everybody).await;
    assert_eq!(rig.origin.hits(), 4);
    for (timed, who) in [(&a, "a "), (&b, "b "), (&c, "c ")] {
        assert!(timed.answer.text().starts_with(who));
    }
    assert!(public.iter().all(|timed| timed.answer.text().starts_with("public")));
    assert_eq!(public.iter().filter(|timed| timed.answer.cache_status().contains("collapsed")).count(), 9);
    let again = crowd(&rig, 1, "/", &[]).await;
    assert!(again[0].answer.cache_status().contains("hit"), "no marker kept it out of the cache");
}

#[tokio::test(start_paused = true)]
async fn an_origin_in_trouble_leaves_no_marker() {
    let rig = Pipes::new(|_, nth| match nth {
        0 => vec![respond("503 Service Unavailable", &[], "trouble")],
        _ => vec![Act::Wait(ms(100)), respond("200 OK", &[CACHEABLE], "well")],
    });
    assert_eq!(crowd(&rig, 1, "/", &[]).await[0].answer.status, 503);
    let answers = crowd(&rig, 10, "/", &[]).await;
    assert!(answers.iter().all(|timed| timed.answer.text() == "well"));
    assert_eq!(rig.origin.hits(), 2, "they waited for each other");
}

#[tokio::test(start_paused = true)]
async fn the_first_storable_answer_ends_the_marker() {
    let rig = Pipes::new(|_, nth| match nth {
        0 => vec![respond("200 OK", &[("Cache-Control", "no-store")], "mine")],
        _ => vec![respond("200 OK", &[CACHEABLE], "ours")],
    });
    let mut seen = Vec::new();
    for _ in 0..3 {
        seen.push(crowd(&rig, 1, "/", &[]).await[0].answer.cache_status());
        rig.quiet().await;
    }
    assert_eq!(
        seen,
        [
            "forebay; fwd=uri-miss; detail=no-store",
            "forebay; fwd=uri-miss; stored; ttl=60; detail=hit-for-miss",
            "forebay; hit; ttl=60",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_marker_does_not_live_for_ever() {
    let rig = Pipes::new(|_, _| vec![respond("200 OK", &[("Cache-Control", "no-store")], "mine")]);
    crowd(&rig, 1, "/", &[]).await;
    rig.clock.advance(rig.settings.cache.marker_life);
    let answers = crowd(&rig, 1, "/", &[]).await;
    assert_eq!(answers[0].answer.cache_status(), "forebay; fwd=uri-miss; detail=no-store");
}

/// On real sockets the order is the kernel's; the bounds are five times those of the bench.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_real_sockets_waiters_follow_the_leader_at_once() {
    let body = pattern(3, 50_000);
    let sent = body.clone();
    let asked = Gate::new();
    let go = Arc::clone(&asked);
    let rig =
        Sockets::new(move |_, _| vec![Act::WaitFor(Arc::clone(&go)), respond("200 OK", &[CACHEABLE], &sent)])
            .await;
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..500 {
        let client = rig.client().await;
        clients.spawn(async move {
            let begun = Instant::now();
            (begun, timed(client, "/cold", &[]).await)
        });
    }
    let collapsed = || rig.running.node.counters.collapsed.get();
    within(LIMIT, async {
        while collapsed() < 499 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    asked.open();
    let answers = within(LIMIT, clients.join_all()).await;
    assert_eq!(rig.origin.hits(), 1);
    assert!(answers.iter().all(|(_, timed)| timed.answer.complete && timed.answer.body == body));
    let first_bytes = || answers.iter().map(|(begun, timed)| *begun + timed.first_byte);
    let spread = first_bytes().max().unwrap().duration_since(first_bytes().min().unwrap());
    println!("from the first client's first byte to the last one's: {spread:?}");
    assert!(spread < ms(250), "the last waiter had its first byte {spread:?} after the first one");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_real_sockets_every_waiter_reads_before_the_body_ends() {
    let body = pattern(4, 200_000);
    let sent = body.clone();
    let rest = Gate::new();
    let go = Arc::clone(&rest);
    let rig = Sockets::new(move |_, _| {
        let length = sent.len().to_string();
        vec![
            head("200 OK", &[CACHEABLE, ("Content-Length", &length)]),
            Act::Send(sent.slice(..1000)),
            Act::WaitFor(Arc::clone(&go)),
            Act::Send(sent.slice(1000..)),
        ]
    })
    .await;
    let mut begun = tokio::task::JoinSet::new();
    for _ in 0..200 {
        let mut client = rig.client().await;
        begun.spawn(async move {
            client.request("GET", "/", &[], b"").await;
            client.read_head().await;
            let first = client.read_chunk().await.expect("a first byte");
            (client, first)
        });
    }
    // The body cannot end before the gate opens, and all have begun to read.
    let begun = within(LIMIT, begun.join_all()).await;
    rest.open();
    for (mut client, first) in begun {
        let whole = [first.to_vec(), within(LIMIT, client.read_body()).await].concat();
        assert!(client.is_complete() && whole == body);
    }
    assert_eq!(rig.origin.hits(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_real_sockets_an_uncacheable_head_releases_everybody_in_parallel() {
    let all_asked = Gate::new();
    let go = Arc::clone(&all_asked);
    let rig = Sockets::new(move |_, nth| {
        // All but the first are answered only once all of them are there.
        let wait = if nth == 0 { Act::Wait(ms(50)) } else { Act::WaitFor(Arc::clone(&go)) };
        vec![wait, respond("200 OK", &[("Cache-Control", "no-store")], nth.to_string())]
    })
    .await;
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let mut client = rig.client().await;
        clients.spawn(async move { client.get("/").await.text() });
    }
    within(LIMIT, rig.origin.wait_for_hits(50)).await;
    all_asked.open();
    let answers: BTreeSet<String> = within(LIMIT, clients.join_all()).await.into_iter().collect();
    assert_eq!(answers.len(), 50, "each got an answer of its own");
}
