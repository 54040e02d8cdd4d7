//! Connections of HTTP/2 to origins that many requests share: when another is opened, what one request can do to the
//! others, what is sent again, and what is bounded.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use forebay::body::Body;
use forebay::body::budget::Budget;
use forebay::body::busy::BodyError;
use forebay::origin::Pool;
use forebay::semantics::proxy_status::ProxyError;
use futures_util::future::join_all;
use h2::Reason;
use http::Method;
use parking_lot::Mutex;
use tokio::sync::{Semaphore, oneshot};

use crate::origin_http2::{LIMIT, hello, until};
use crate::origin_http2_rig::{Asked, Http2Origin, Reach, http2_settings, pool_of, pool_with};
use crate::pool_rig::{ask, get, read, request, upload};
use crate::support::{ms, within};

// ---- connections that are shared ----

/// Answers when there are permits.
fn gated(
    gate: &Arc<Semaphore>,
) -> impl Fn(Asked, usize) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> + use<> {
    let gate = Arc::clone(gate);
    move |mut asked, _| {
        let gate = Arc::clone(&gate);
        Box::pin(async move {
            gate.acquire().await.unwrap().forget();
            let connection = asked.connection.to_string();
            asked.answer(200, &[], &connection);
        })
    }
}

fn spawn_asks(pool: &Arc<Pool>, many: usize) -> Vec<tokio::task::JoinHandle<crate::pool_rig::Outcome>> {
    let one = |_| {
        let pool = Arc::clone(pool);
        tokio::spawn(async move { ask(&pool, get("/")).await })
    };
    (0..many).map(one).collect()
}

#[tokio::test(start_paused = true)]
async fn a_crowd_shares_one_connection() {
    let gate = Arc::new(Semaphore::new(0));
    let origin = Http2Origin::new(gated(&gate));
    let pool = pool_of(&origin);
    let asks = spawn_asks(&pool, 50);
    until(|| origin.under_way() == 50).await;
    assert_eq!((origin.opened(), pool.endpoints()[0].active, pool.endpoints()[0].opened), (1, 50, 1));
    gate.add_permits(50);
    for asked in join_all(asks).await {
        assert_eq!(asked.unwrap().unwrap().1, "0");
    }
    let state = &pool.endpoints()[0];
    assert_eq!((state.active, state.idle, state.requests), (0, 1, 50));
}

#[tokio::test(start_paused = true)]
async fn a_full_connection_gets_another_beside_it() {
    let gate = Arc::new(Semaphore::new(0));
    let few = |builder: &mut h2::server::Builder| {
        builder.max_concurrent_streams(4);
    };
    let origin = Http2Origin::built(few, gated(&gate));
    let pool = pool_of(&origin);
    let mut asks = Vec::new();
    // What an endpoint allows is known once it has said something.
    for many in [1, 4, 4] {
        asks.extend(spawn_asks(&pool, many));
        until(|| origin.under_way() == asks.len()).await;
    }
    gate.add_permits(asks.len());
    let mut by: Vec<_> = join_all(asks).await.into_iter().map(|asked| asked.unwrap().unwrap().1).collect();
    by.sort_unstable();
    assert_eq!(by, ["0", "0", "0", "0", "1", "1", "1", "1", "2"]);
}

#[tokio::test(start_paused = true)]
async fn the_limit_of_a_pool_counts_requests() {
    let gate = Arc::new(Semaphore::new(0));
    let origin = Http2Origin::new(gated(&gate));
    let mut settings = http2_settings("http://a.test");
    settings.max_connections = 3;
    let pool = pool_with(settings, &origin);
    let asks = spawn_asks(&pool, 5);
    until(|| origin.under_way() == 3 && pool.endpoints()[0].queued == 2).await;
    gate.add_permits(5);
    for asked in join_all(asks).await {
        asked.unwrap().expect("an answer");
    }
    assert_eq!((origin.opened(), origin.hits()), (1, 5));
}

#[tokio::test(start_paused = true)]
async fn who_has_a_connection_opened_and_leaves_takes_nothing_from_others() {
    let origin = Http2Origin::new(hello);
    origin.gate.forget_permits(Semaphore::MAX_PERMITS);
    let pool = pool_of(&origin);
    let mut first = Box::pin(pool.exchange(get("/")));
    assert!(first.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    let others = spawn_asks(&pool, 3);
    until(|| pool.endpoints()[0].active == 4).await;
    drop(first);
    origin.gate.add_permits(1);
    for asked in within(ms(1000), join_all(others)).await {
        assert_eq!(asked.unwrap().unwrap().1, "hello");
    }
    assert_eq!(origin.opened(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_cannot_be_had_is_had_by_nobody() {
    let origin = Http2Origin::new(hello);
    origin.gate.forget_permits(Semaphore::MAX_PERMITS);
    let pool = pool_of(&origin);
    let asks = spawn_asks(&pool, 3);
    until(|| pool.endpoints()[0].active == 3).await;
    origin.gate.close();
    for asked in within(ms(1000), join_all(asks)).await {
        assert_eq!(asked.unwrap().expect_err("refused").error, ProxyError::ConnectionRefused);
    }
    assert!(!pool.endpoints()[0].up);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_rests_too_long_is_closed_in_good_order() {
    let origin = Http2Origin::new(hello);
    let pool = pool_of(&origin);
    ask(&pool, get("/")).await.unwrap();
    tokio::time::sleep(Duration::from_secs(49)).await;
    ask(&pool, get("/")).await.unwrap();
    tokio::time::sleep(Duration::from_secs(49)).await;
    assert_eq!((origin.opened(), origin.ended.lock().len()), (1, 0));
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(*origin.ended.lock(), ["in good order"]);
    ask(&pool, get("/")).await.unwrap();
    assert_eq!(origin.opened(), 2);
}

#[tokio::test(start_paused = true)]
async fn where_none_is_to_rest_one_does_that_was_opened_for_many() {
    let origin = Http2Origin::new(hello);
    let mut settings = http2_settings("http://a.test");
    settings.max_idle = 0;
    let pool = pool_with(settings, &origin);
    for _ in 0..3 {
        let asks = spawn_asks(&pool, 5);
        // Looking is what lets go of those that are too many.
        while pool.endpoints()[0].active > 0 || !origin.hits().is_multiple_of(5) || origin.hits() == 0 {
            tokio::task::yield_now().await;
        }
        for asked in join_all(asks).await {
            asked.unwrap().expect("an answer");
        }
    }
    assert_eq!((origin.opened(), origin.hits()), (1, 15));
}

#[tokio::test(start_paused = true)]
async fn connections_that_are_not_kept_serve_one_request_each() {
    let origin = Http2Origin::new(hello);
    let mut settings = http2_settings("http://a.test");
    settings.keep_alive = false;
    let pool = pool_with(settings, &origin);
    for _ in 0..3 {
        ask(&pool, get("/")).await.unwrap();
    }
    until(|| origin.ended.lock().len() == 3).await;
    assert_eq!(origin.opened(), 3);
}

// ---- what is sent again ----

/// Two endpoints: the first does what it is told, the second says hello.
fn first_of_two<F>(
    serve: impl Fn(Asked, usize) -> F + Send + Sync + 'static,
) -> (Arc<Pool>, Arc<Http2Origin>, Arc<Http2Origin>)
where
    F: Future<Output = ()> + Send + 'static,
{
    #[derive(Debug)]
    struct Two(Reach, Reach);
    impl forebay::origin::connect::Connect for Two {
        fn connect<'a>(&'a self, authority: &'a str) -> forebay::origin::connect::Connecting<'a> {
            if authority.starts_with('a') { self.0.connect(authority) } else { self.1.connect(authority) }
        }
    }
    let (first, second) = (Http2Origin::new(serve), Http2Origin::new(hello));
    let mut settings = http2_settings("http://a");
    settings.endpoints.extend(http2_settings("http://b").endpoints);
    let two = Two(Reach(Arc::clone(&first)), Reach(Arc::clone(&second)));
    (Arc::new(crate::pool_rig::made(settings, Arc::new(two)).unwrap()), first, second)
}

fn reset(asked: &mut Asked, reason: Reason) {
    asked.respond.send_reset(reason);
}

#[tokio::test(start_paused = true)]
async fn what_an_endpoint_did_not_look_at_goes_elsewhere_whatever_it_is() {
    for method in [Method::GET, Method::POST] {
        let (pool, first, second) =
            first_of_two(|mut asked, _| async move { reset(&mut asked, Reason::REFUSED_STREAM) });
        let (_, content, who) =
            ask(&pool, request(method.clone(), "/", Body::Empty)).await.expect("an answer");
        assert_eq!((content.as_str(), who.as_str()), ("hello", "b:80"), "{method}");
        assert_eq!((first.hits(), second.hits()), (4, 1), "{method}");
        assert!(pool.endpoints()[0].up, "{method}: it has said that it is there");
    }
}

#[tokio::test(start_paused = true)]
async fn what_it_has_looked_at_goes_elsewhere_only_if_that_does_no_harm() {
    let (pool, _, second) =
        first_of_two(|mut asked, _| async move { reset(&mut asked, Reason::INTERNAL_ERROR) });
    let error = ask(&pool, request(Method::POST, "/", Body::Empty)).await.expect_err("reset");
    assert_eq!(error.error, ProxyError::HttpResponseIncomplete);
    assert_eq!(second.hits(), 0);
    assert!(pool.endpoints()[0].up, "it is one request that failed");
    ask(&pool, get("/")).await.unwrap();
    assert_eq!(ask(&pool, get("/")).await.unwrap().1, "hello", "on the first it failed");
    assert_eq!(second.hits(), 2);
}

#[tokio::test(start_paused = true)]
async fn content_that_was_taken_is_not_sent_again() {
    let (pool, _, second) = first_of_two(|mut asked, _| async move {
        asked.request.body_mut().data().await.unwrap().unwrap();
        reset(&mut asked, Reason::REFUSED_STREAM);
    });
    let post = request(Method::POST, "/", upload(vec![b"abc".to_vec(), b"def".to_vec()], ms(10)));
    within(LIMIT, ask(&pool, post)).await.expect_err("a part of it is gone");
    assert_eq!(second.hits(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_was_closed_meanwhile_is_no_failure() {
    let origin = Http2Origin::new(hello);
    let pool = pool_of(&origin);
    for round in 1..4 {
        assert_eq!(ask(&pool, request(Method::POST, "/", Body::Empty)).await.unwrap().1, "hello");
        assert_eq!(origin.opened(), round);
        origin.hang_up();
        until(|| origin.ended.lock().len() == round).await;
    }
    assert!(pool.endpoints()[0].up);
    assert_eq!(pool.endpoints()[0].failures, 0);
}

#[tokio::test(start_paused = true)]
async fn farewells_on_several_connections_cost_no_request() {
    let gate = Arc::new(Semaphore::new(0));
    let few = |builder: &mut h2::server::Builder| {
        builder.max_concurrent_streams(2);
    };
    let origin = Http2Origin::built(few, gated(&gate));
    let pool = pool_of(&origin);
    let mut asks = Vec::new();
    for _ in 0..3 {
        asks.extend(spawn_asks(&pool, 2));
        until(|| origin.under_way() == asks.len()).await;
    }
    assert_eq!(origin.opened(), 3);
    origin.say_farewell();
    // Each of the three still serves what it has begun.
    let late = tokio::spawn({
        let pool = Arc::clone(&pool);
        async move { ask(&pool, request(Method::POST, "/", Body::Empty)).await }
    });
    until(|| origin.opened() == 4 && origin.under_way() == 7).await;
    gate.add_permits(7);
    assert_eq!(within(LIMIT, late).await.unwrap().unwrap().1, "3");
    for asked in join_all(asks).await {
        asked.unwrap().expect("an answer");
    }
    assert!(pool.endpoints()[0].up);
}

#[tokio::test(start_paused = true)]
async fn a_cold_crowd_beyond_what_the_endpoint_allows_is_served_whole() {
    let gate = Arc::new(Semaphore::new(0));
    let few = |builder: &mut h2::server::Builder| {
        builder.max_concurrent_streams(8);
    };
    let origin = Http2Origin::built(few, gated(&gate));
    let pool = pool_of(&origin);
    let asks = spawn_asks(&pool, 40);
    gate.add_permits(40);
    for asked in within(LIMIT, join_all(asks)).await {
        asked.unwrap().expect("an answer");
    }
    assert!(pool.endpoints()[0].up);
}

#[tokio::test(start_paused = true)]
async fn clients_that_leave_take_nothing_from_others_on_their_connection() {
    // Without a word to whom it has left, for it has not heard yet that they have.
    let origin = Http2Origin::new(|mut asked, number| async move {
        let mut stream = asked.begin(200, &[], false);
        for _ in 0..20 {
            let _ = stream.send_data("some".into(), false);
            tokio::time::sleep(ms(10)).await;
        }
        let _ = stream.send_data("end".into(), true);
        let _ = number;
    });
    let pool = pool_of(&origin);
    let mut stays = pool.exchange(get("/")).await.expect("an answer").body;
    for _ in 0..30 {
        let leaving = join_all((0..90).map(|_| pool.exchange(get("/")))).await;
        drop(leaving);
    }
    let mut content = Vec::new();
    while let Some(bytes) = within(LIMIT, stays.next()).await.expect("all of it") {
        content.extend_from_slice(&bytes);
    }
    assert_eq!(content.len(), 20 * 4 + 3);
    assert_eq!(origin.opened(), 1);
}

#[tokio::test(start_paused = true)]
async fn many_small_pieces_for_a_slow_reader_break_nothing() {
    let origin = Http2Origin::new(|mut asked, _| async move {
        let mut stream = asked.begin(200, &[], false);
        for _ in 0..20_000 {
            let _ = stream.send_data("0123456789".into(), false);
        }
        let _ = stream.send_data("end".into(), true);
    });
    let pool = pool_of(&origin);
    let mut slow = pool.exchange(get("/")).await.expect("an answer").body;
    tokio::time::sleep(ms(1000)).await;
    for _ in 0..2 {
        assert_eq!(ask(&pool, get("/")).await.expect("an answer").1.len(), 200_003);
    }
    let mut length = 0;
    while let Some(bytes) = slow.next().await.expect("all of it") {
        length += bytes.len();
    }
    assert_eq!((length, origin.opened()), (200_003, 1));
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_is_silent_gets_no_further_streams_on_that_connection() {
    let origin = Http2Origin::new(|mut asked, number| async move {
        if number > 0 {
            asked.answer(200, &[], "hello");
        } else {
            std::future::pending::<()>().await;
        }
    });
    let mut settings = http2_settings("http://a.test");
    settings.first_byte_timeout = Duration::from_secs(3);
    settings.retries = 0;
    let pool = pool_with(settings, &origin);
    let error = ask(&pool, get("/")).await.expect_err("silence");
    assert_eq!(error.error, ProxyError::HttpResponseTimeout);
    assert_eq!(ask(&pool, get("/")).await.unwrap().1, "hello");
    assert_eq!(origin.opened(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_connection_on_which_nothing_was_heard_while_a_client_waited_gets_no_further_streams() {
    let origin = Http2Origin::new(|mut asked, _| async move {
        if asked.connection > 0 {
            return asked.answer(200, &[], "hello");
        }
        std::future::pending::<()>().await;
    });
    let pool = pool_of(&origin);
    for patience in [ms(500), ms(1500)] {
        let left = tokio::time::timeout(patience, pool.exchange(get("/"))).await;
        assert!(left.is_err());
        assert_eq!(origin.opened(), 1);
    }
    assert_eq!(ask(&pool, get("/")).await.unwrap().1, "hello");
    assert_eq!(origin.opened(), 2);
}

#[tokio::test(start_paused = true)]
async fn content_that_breaks_off_is_told_apart_from_its_end() {
    let origin = Http2Origin::new(|mut asked, _| async move {
        let mut stream = asked.begin(200, &[], false);
        stream.send_data("half".into(), false).unwrap();
        tokio::time::sleep(ms(10)).await;
        stream.send_reset(Reason::INTERNAL_ERROR);
    });
    let mut body = pool_of(&origin).exchange(get("/")).await.unwrap().body;
    assert_eq!(body.next().await.unwrap().unwrap(), "half");
    assert_eq!(body.next().await, Err(BodyError::Incomplete));
}

// ---- bounds, and leaving ----

#[tokio::test(start_paused = true)]
async fn what_may_come_before_it_is_taken_is_charged() {
    let gate = Arc::new(Semaphore::new(0));
    let origin = Http2Origin::new(gated(&gate));
    let budget = Budget::new(256 << 20);
    let reach = Arc::new(Reach(Arc::clone(&origin)));
    let pool = Arc::new(Pool::new(http2_settings("http://a.test"), reach, &budget).unwrap());
    let asks = spawn_asks(&pool, 4);
    until(|| origin.under_way() == 4).await;
    assert_eq!(budget.used(), 4 * (64 << 10), "128 KiB each, of which 64 are in nobody's account");
    gate.add_permits(4);
    join_all(asks).await;
    assert_eq!(budget.used(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_exchange_may_be_dropped_anywhere() {
    let (mut dropped, mut done) = (0, 0);
    for turns in 0..30 {
        // It says something after each piece, and asks for the next by it.
        let origin = Http2Origin::new(|mut asked, _| async move {
            let Ok(Some(first)) = asked.request.body_mut().data().await.transpose() else {
                return asked.answer(200, &[], "nothing");
            };
            let mut stream = asked.begin(200, &[], false);
            let _ = stream.send_data(first, false);
            while let Ok(Some(piece)) = asked.request.body_mut().data().await.transpose() {
                let _ = stream.send_data(piece, false);
            }
            let _ = stream.send_data("end".into(), true);
        });
        let pool = pool_of(&origin);
        let pieces = vec![b"one".to_vec(), b"two".to_vec(), b"three".to_vec(), b"four".to_vec()];
        let post = request(Method::POST, "/", upload(pieces, ms(2)));
        let mut exchange = Box::pin(async { read(pool.exchange(post).await?).await });
        let mut is_done = false;
        for _ in 0..turns {
            if let Poll::Ready(outcome) = exchange.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                outcome.expect("an answer");
                is_done = true;
                break;
            }
            tokio::time::sleep(ms(1)).await;
        }
        drop(exchange);
        if is_done {
            done += 1;
        } else {
            dropped += 1;
        }
        let state = &pool.endpoints()[0];
        assert_eq!((state.active, state.queued, state.up), (0, 0, true), "{turns}");
        assert_eq!(within(ms(5000), ask(&pool, get("/"))).await.unwrap().1, "nothing", "{turns}");
        until(|| origin.under_way() == 0).await;
        let state = &pool.endpoints()[0];
        assert_eq!((state.active, state.idle), (0, 1), "{turns}: its connection is whole");
    }
    assert!(dropped > 3 && done > 3, "{dropped} dropped, {done} done");
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_hears_that_nobody_wants_the_rest() {
    let (tells, told) = oneshot::channel();
    let tells = Mutex::new(Some(tells));
    let origin = Http2Origin::new(move |mut asked, _| {
        let tells = tells.lock().take();
        async move {
            let mut stream = asked.begin(200, &[], false);
            stream.send_data("half".into(), false).unwrap();
            let reason = std::future::poll_fn(|cx| stream.poll_reset(cx)).await;
            tells.unwrap().send(reason.unwrap()).unwrap();
        }
    });
    let pool = pool_of(&origin);
    let mut body = pool.exchange(get("/")).await.unwrap().body;
    assert_eq!(body.next().await.unwrap().unwrap(), "half");
    drop(body);
    assert_eq!(within(LIMIT, told).await.unwrap(), Reason::CANCEL);
    assert_eq!(pool.endpoints()[0].active, 0);
}
