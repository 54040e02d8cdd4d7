//! An exchange that is dropped at any of its awaits leaves its place, its turn in the queue and its trial to others.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use forebay::origin::{OriginRequest, Pool};
use http::Method;

use crate::pool_rig::{Host, Network, ask, get, means, pool_over, pool_settings, read, request, says};
use crate::support::origin::{Act, respond};
use crate::support::{ms, within};

/// More turns than a whole exchange takes.
const TURNS: usize = 60;

/// Polls an exchange so often, with a turn of the scheduler between, and then drops it. True if it was done first.
async fn drop_after(pool: &Pool, request: OriginRequest, turns: usize) -> bool {
    let mut exchange = pin!(async { read(pool.exchange(request).await?).await });
    for _ in 0..turns {
        if let Poll::Ready(done) = exchange.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            done.expect("an answer");
            return true;
        }
        tokio::task::yield_now().await;
    }
    false
}

/// Whatever was dropped: no place is taken, nobody waits, and a request is answered.
async fn assert_nothing_left(pool: &Pool, turns: usize) {
    let states = pool.endpoints();
    assert!(states.iter().all(|state| state.active == 0 && state.queued == 0), "{turns}: {states:?}");
    within(ms(5000), ask(pool, get("/after"))).await.expect("an answer");
}

#[tokio::test(start_paused = true)]
async fn an_exchange_may_be_dropped_anywhere() {
    let (mut dropped, mut done) = (0, 0);
    for turns in 0..TURNS {
        let (network, names) = Network::with_names();
        let script = |_: &crate::support::origin::SeenRequest, _| {
            vec![Act::ReadBody, crate::support::origin::respond_chunked("200 OK", &[], &[b"a", b"b"])]
        };
        network.origin("192.0.2.1:80", script);
        names.stands_for("a:80", &["192.0.2.1:80"]);
        let mut settings = pool_settings(&["http://a"]);
        (settings.max_connections, settings.chunked) = (1, false);
        let pool = pool_over(settings, &network);
        let (_, mut writer, reader) =
            forebay::body::busy::BusyBody::with_reader(means(), forebay::body::busy::Retention::Window);
        tokio::spawn(async move {
            for piece in ["on", "et", "wo"] {
                for _ in 0..3 {
                    tokio::task::yield_now().await;
                }
                if writer.append(piece.into()).await.is_err() {
                    return;
                }
            }
            writer.finish(None);
        });
        let mut post = request(Method::POST, "/", forebay::body::Body::Busy(reader));
        post.headers.insert("content-length", 6.into());
        if drop_after(&pool, post, turns).await {
            done += 1;
        } else {
            dropped += 1;
        }
        assert_nothing_left(&pool, turns).await;
        assert!(pool.endpoints()[0].up, "{turns}");
    }
    assert!(dropped > 5 && done > 5, "{dropped} dropped, {done} done");
}

#[tokio::test(start_paused = true)]
async fn a_trial_may_be_dropped_anywhere_and_the_next_one_brings_the_endpoint_back() {
    let (mut dropped, mut done) = (0, 0);
    for turns in 0..TURNS {
        let network = Network::new();
        network.set("a:80", Host::Refuses);
        network.origin("b:80", says("b"));
        let pool = pool_over(pool_settings(&["http://a", "http://b"]), &network);
        ask(&pool, get("/")).await.expect("from b");
        assert!(!pool.endpoints()[0].up);
        network.origin("a:80", |_, _| vec![Act::Wait(ms(0)), respond("200 OK", &[], "a")]);
        tokio::time::advance(ms(1000)).await;
        // Turns come to the one that is tried within two requests.
        for _ in 0..2 {
            if drop_after(&pool, get("/"), turns).await { done += 1 } else { dropped += 1 }
        }
        for _ in 0..2 {
            assert_nothing_left(&pool, turns).await;
        }
        assert!(pool.endpoints()[0].up, "{turns}: {:?}", pool.endpoints());
    }
    assert!(dropped > 2 && done > 5, "{dropped} dropped, {done} done");
}

#[tokio::test(start_paused = true)]
async fn one_that_waits_in_the_queue_may_be_dropped_anywhere() {
    for turns in 0..TURNS {
        let network = Network::new();
        network.origin("a:80", says("a"));
        let mut settings = pool_settings(&["http://a"]);
        settings.max_connections = 1;
        let pool = pool_over(settings, &network);
        let held = pool.exchange(get("/held")).await.expect("a head");
        let waits = tokio::spawn({
            let pool = Arc::clone(&pool);
            async move { drop_after(&pool, get("/waits"), turns).await }
        });
        let behind = tokio::spawn({
            let pool = Arc::clone(&pool);
            async move { ask(&pool, get("/behind")).await }
        });
        for _ in 0..TURNS / 3 {
            tokio::task::yield_now().await;
        }
        read(held).await.expect("an answer");
        waits.await.expect("a task");
        within(ms(5000), behind).await.expect("a task").expect("an answer");
        assert_nothing_left(&pool, turns).await;
    }
}
