//! Pools: whose turn it is, who is left alone, what is repeated where, and who has to wait.

use std::sync::Arc;
use std::time::Duration;

use forebay::body::Body;
use forebay::origin::Pool;
use forebay::semantics::proxy_status::ProxyError;
use http::Method;
use tokio::time::Instant;

use crate::pool_rig::{Host, Network, ask, get, pool_over, pool_settings, request, says, upload, whole};
use crate::rig::{Pipes, settings};
use crate::support::origin::{Act, Gate, Origin, respond};
use crate::support::{ms, within};

const THREE: [&str; 3] = ["http://a", "http://b", "http://c"];

/// A pool of three that say who they are.
fn three(change: impl FnOnce(&mut forebay::origin::Settings)) -> (Arc<Pool>, Arc<Network>, [Arc<Origin>; 3]) {
    let network = Network::new();
    let origins =
        [("a:80", "a"), ("b:80", "b"), ("c:80", "c")].map(|(at, who)| network.origin(at, says(who)));
    let mut settings = pool_settings(&THREE);
    change(&mut settings);
    (pool_over(settings, &network), network, origins)
}

fn hits(origins: &[Arc<Origin>]) -> Vec<usize> {
    origins.iter().map(|origin| origin.hits()).collect()
}

/// Asks so often that every endpoint has had its turn, and gives who answered.
async fn round(pool: &Pool, count: usize) -> String {
    let mut who = String::new();
    for _ in 0..count {
        who += &ask(pool, get("/")).await.expect("an answer").1;
    }
    who
}

fn up(pool: &Pool) -> Vec<bool> {
    pool.endpoints().into_iter().map(|endpoint| endpoint.up).collect()
}

// ---- balance ----

#[tokio::test(start_paused = true)]
async fn ten_thousand_requests_are_shared_within_three_percent() {
    let (pool, _, origins) = three(|_| {});
    let clients: Vec<_> = (0..50)
        .map(|_| {
            let pool = Arc::clone(&pool);
            tokio::spawn(async move {
                for _ in 0..200 {
                    ask(&pool, get("/")).await.expect("an answer");
                }
            })
        })
        .collect();
    for client in clients {
        client.await.expect("a client");
    }
    let hits = hits(&origins);
    assert_eq!(hits.iter().sum::<usize>(), 10_000);
    assert!(hits.iter().all(|hits| (3234..=3433).contains(hits)), "{hits:?}");
    // Connections were shared: as many as there were requests at a time, not more.
    assert!(origins.iter().map(|origin| origin.opened()).sum::<usize>() <= 60);
    for state in pool.endpoints() {
        assert_eq!((state.active, state.failures, state.retries, state.queued), (0, 0, 0, 0), "{state:?}");
        assert!(state.idle > 0 && state.requests > 3000, "{state:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn weights_are_shares() {
    let (pool, _, origins) = three(|settings| {
        for (endpoint, weight) in settings.endpoints.iter_mut().zip([3, 2, 1]) {
            endpoint.weight = weight;
        }
    });
    assert_eq!(round(&pool, 6).await, "abacba");
    round(&pool, 594).await;
    assert_eq!(hits(&origins), [300, 200, 100]);
}

// ---- endpoints in trouble ----

#[tokio::test(start_paused = true)]
async fn a_dead_endpoint_costs_no_request_and_is_tried_again_with_growing_pauses() {
    let (pool, network, origins) = three(|_| {});
    network.set("b:80", Host::Refuses);
    let begun = Instant::now();
    let who = round(&pool, 300).await;
    assert!(!who.contains('b') && who.len() == 300);
    assert_eq!(up(&pool), [true, false, true]);
    assert_eq!((network.asked(), begun.elapsed()), (3, ms(0)), "asked once of each, and left alone");
    let mut tried = Vec::new();
    for second in 1..=120 {
        tokio::time::advance(ms(1000)).await;
        let before = network.asked();
        round(&pool, 6).await;
        if network.asked() > before {
            tried.push(second);
        }
    }
    // Pauses of 1, 2, 4, 8, 16 and 30 s, each up to a fifth shorter.
    assert!((6..=9).contains(&tried.len()), "{tried:?}");
    assert!(tried.windows(2).skip(1).all(|pair| pair[1] - pair[0] >= 2), "{tried:?}");

    network.set("b:80", Host::Origin(Arc::clone(&origins[1])));
    tokio::time::advance(Duration::from_secs(31)).await;
    round(&pool, 6).await;
    assert_eq!(up(&pool), [true, true, true]);
    let before = origins[1].hits();
    round(&pool, 30).await;
    assert_eq!(origins[1].hits() - before, 10, "back at once, with its whole share");
}

#[tokio::test(start_paused = true)]
async fn a_silent_endpoint_costs_one_time_limit_and_no_request() {
    let (pool, network, origins) = three(|settings| settings.first_byte_timeout = ms(2000));
    let stopped = network.origin("a:80", |_, _| vec![Act::Stall]);
    let begun = Instant::now();
    let first = ask(&pool, get("/")).await.expect("repeated elsewhere");
    assert_eq!((first.1.as_str(), begun.elapsed()), ("b", ms(2000)));
    let begun = Instant::now();
    let who = round(&pool, 100).await;
    assert!(!who.contains('a'));
    assert_eq!((begun.elapsed(), stopped.hits()), (ms(0), 1), "later ones pass it by");
    // After the pause one request finds out, and the others do not wait for it.
    tokio::time::advance(ms(1000)).await;
    let asking = |_| {
        let pool = Arc::clone(&pool);
        tokio::spawn(async move {
            let begun = Instant::now();
            let answer = ask(&pool, get("/")).await.expect("an answer").1;
            (answer, begun.elapsed())
        })
    };
    let mut slow = 0;
    for asked in (0..30).map(asking).collect::<Vec<_>>() {
        let (answer, took) = asked.await.expect("a task");
        assert_ne!(answer, "a");
        slow += usize::from(took >= ms(2000));
    }
    assert_eq!((slow, stopped.hits()), (1, 2));
    assert_eq!(hits(&origins[1..]).iter().sum::<usize>(), 131);
}

#[tokio::test(start_paused = true)]
async fn a_slow_endpoint_fills_its_connections_and_leaves_the_rest_to_the_others() {
    let (pool, network, origins) = three(|settings| settings.max_connections = 4);
    let slow = network.origin("a:80", |_, _| vec![Act::Wait(ms(10_000)), respond("200 OK", &[], "a")]);
    let begun = Instant::now();
    let clients: Vec<_> = (0..12)
        .map(|_| {
            let pool = Arc::clone(&pool);
            tokio::spawn(async move { ask(&pool, get("/")).await.map(|answer| (answer.1, begun.elapsed())) })
        })
        .collect();
    let mut quick = 0;
    for client in clients {
        let (who, took) = client.await.expect("a task").expect("an answer");
        assert_eq!(who == "a", took == ms(10_000));
        quick += usize::from(who != "a");
    }
    assert_eq!((quick, slow.hits()), (8, 4));
    round(&pool, 3).await;
    assert!(up(&pool).iter().all(|up| *up), "slow is not down");
    assert!(hits(&origins[1..]).iter().all(|hits| *hits >= 4));
}

#[tokio::test(start_paused = true)]
async fn in_an_outage_each_request_is_one_attempt_and_the_first_answer_ends_it() {
    let (pool, network, origins) = three(|_| {});
    for at in ["a:80", "b:80", "c:80"] {
        network.set(at, Host::Refuses);
    }
    let error = ask(&pool, get("/")).await.expect_err("nobody answers");
    assert_eq!((error.error, error.attempts, network.asked()), (ProxyError::ConnectionRefused, 3, 3));
    assert!(!error.next_leader_may_succeed(), "the pool has tried everybody");
    for _ in 0..10 {
        let error = ask(&pool, get("/")).await.expect_err("nobody answers");
        assert_eq!(error.attempts, 1);
    }
    assert_eq!(network.asked(), 13);
    for (at, origin) in ["a:80", "b:80", "c:80"].into_iter().zip(&origins) {
        network.set(at, Host::Origin(Arc::clone(origin)));
    }
    assert!(ask(&pool, get("/")).await.is_ok(), "asked although all are down");
    tokio::time::advance(ms(2000)).await;
    round(&pool, 6).await;
    assert_eq!(up(&pool), [true; 3]);
}

#[tokio::test(start_paused = true)]
async fn in_an_outage_one_that_says_nothing_does_not_gather_all_requests() {
    let (pool, network, origins) = three(|settings| {
        settings.endpoints.pop();
        settings.retries = 0;
    });
    network.origin("a:80", |_, _| vec![Act::Stall]);
    network.set("b:80", Host::Refuses);
    ask(&pool, get("/")).await.expect_err("silent");
    tokio::time::advance(ms(500)).await;
    ask(&pool, get("/")).await.expect_err("refused");
    assert_eq!(up(&pool), [false, false]);
    network.set("b:80", Host::Origin(Arc::clone(&origins[1])));
    let asking: Vec<_> = (0..20)
        .map(|_| {
            let pool = Arc::clone(&pool);
            tokio::spawn(async move { ask(&pool, get("/")).await.map(|answer| answer.1) })
        })
        .collect();
    tokio::time::sleep(ms(100)).await;
    assert_eq!(up(&pool), [false, true], "somebody found out");
    let waiting = asking.iter().filter(|asking| !asking.is_finished()).count();
    assert!(waiting <= 10, "{waiting} wait for the silent one");
    for _ in 0..10 {
        assert_eq!(ask(&pool, get("/")).await.expect("an answer").1, "b");
    }
    asking.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test(start_paused = true)]
async fn several_failures_in_a_row_may_be_asked_for() {
    let (pool, network, _) = three(|settings| settings.down_after = 3);
    network.set("a:80", Host::Refuses);
    round(&pool, 6).await;
    assert_eq!(up(&pool), [true, true, true], "two so far");
    round(&pool, 3).await;
    assert_eq!(up(&pool), [false, true, true]);
}

#[tokio::test(start_paused = true)]
async fn idle_connections_that_a_restart_closed_are_no_failure() {
    let (pool, network, origins) = three(|_| {});
    round(&pool, 3).await;
    for (at, (origin, who)) in ["a:80", "b:80", "c:80"].into_iter().zip(origins.iter().zip(["a", "b", "c"])) {
        origin.stop();
        network.origin(at, says(who));
    }
    assert_eq!(round(&pool, 3).await, "abc");
    assert!(pool.endpoints().iter().all(|state| state.up && state.failures == 0 && state.retries == 0));
}

// ---- what is repeated, and where ----

#[tokio::test(start_paused = true)]
async fn a_request_is_repeated_on_another_endpoint_and_never_twice_on_the_same() {
    let (pool, network, _) = three(|settings| settings.retries = 5);
    let broken = ["a:80", "b:80", "c:80"].map(|at| network.origin(at, |_, _| vec![Act::Reset]));
    let error = ask(&pool, get("/")).await.expect_err("all break off");
    assert_eq!((error.error, error.attempts), (ProxyError::ConnectionTerminated, 3));
    assert_eq!(hits(&broken), [1, 1, 1]);
}

#[tokio::test(start_paused = true)]
async fn there_are_no_more_retries_than_may_be() {
    for (retries, attempts) in [(0, 1), (1, 2), (2, 3)] {
        let (pool, network, _) = three(|settings| settings.retries = retries);
        let broken = ["a:80", "b:80", "c:80"].map(|at| network.origin(at, |_, _| vec![Act::Reset]));
        assert_eq!(ask(&pool, get("/")).await.expect_err("all break off").attempts, attempts);
        assert_eq!(hits(&broken).iter().sum::<usize>(), attempts as usize);
    }
}

#[tokio::test(start_paused = true)]
async fn a_post_that_was_sent_is_never_repeated() {
    for (body, timeout) in [(Body::Bytes("content".into()), false), (Body::Empty, false), (Body::Empty, true)]
    {
        let (pool, network, origins) = three(|_| {});
        let broken = network
            .origin("a:80", move |_, _| vec![Act::ReadBody, if timeout { Act::Stall } else { Act::Reset }]);
        ask(&pool, request(Method::POST, "/", body)).await.expect_err("not repeated");
        assert_eq!((broken.hits(), hits(&origins[1..])), (1, vec![0, 0]));
    }
}

/// As often as may be, and each time from its beginning.
#[tokio::test(start_paused = true)]
async fn a_put_whose_content_is_all_here_is_repeated_with_it() {
    for in_one_piece in [true, false] {
        let (pool, network, origins) = three(|_| {});
        network.origin("a:80", |_, _| vec![Act::ReadBody, Act::Reset]);
        network.origin("b:80", |_, _| vec![Act::Reset]);
        let body = if in_one_piece { Body::Bytes("onetwo".into()) } else { whole(&["one", "two"]).await };
        assert_eq!(ask(&pool, request(Method::PUT, "/", body)).await.expect("repeated").1, "c");
        let came = origins[2].exchange(0);
        assert!(came.body_whole && came.body == b"onetwo");
        assert_eq!(came.request.header("content-length"), Some("6"));
        let replays: Vec<_> = pool.endpoints().iter().map(|state| state.replays).collect();
        assert_eq!(replays, [0, 1, 1]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_put_whose_content_is_still_to_come_is_not_repeated_because_that_is_gone() {
    let (pool, network, origins) = three(|_| {});
    network.origin("a:80", |_, _| vec![Act::ReadBody, Act::Reset]);
    let body = upload(vec![b"one".to_vec(), b"two".to_vec()], ms(10));
    ask(&pool, request(Method::PUT, "/", body)).await.expect_err("not repeated");
    assert_eq!(hits(&origins[1..]), [0, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_post_of_which_nothing_was_sent_goes_to_another_endpoint() {
    for host in [Host::Refuses, Host::Silent] {
        let (pool, network, origins) = three(|_| {});
        network.set("a:80", host);
        let body = upload(vec![b"one".to_vec(), b"two".to_vec()], ms(10));
        let answer = ask(&pool, request(Method::POST, "/", body)).await.expect("repeated");
        assert_eq!(answer.1, "b");
        assert_eq!(origins[1].exchange(0).body, b"onetwo");
        assert_eq!(pool.endpoints()[1].retries, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_client_breaks_off_is_not_held_against_the_endpoint() {
    let (pool, _, origins) = three(|_| {});
    let (_, writer, reader) = forebay::body::busy::BusyBody::with_reader(
        crate::pool_rig::means(),
        forebay::body::busy::Retention::Window,
    );
    let asking = tokio::spawn({
        let pool = Arc::clone(&pool);
        async move { ask(&pool, request(Method::POST, "/", Body::Busy(reader))).await }
    });
    origins[0].wait_for_hits(1).await;
    writer.fail(forebay::body::busy::BodyError::Incomplete);
    let error = asking.await.expect("a task").expect_err("broken off");
    assert_eq!(error.error, ProxyError::HttpRequestError);
    assert_eq!((up(&pool), hits(&origins)), (vec![true; 3], vec![1, 0, 0]));
}

#[tokio::test(start_paused = true)]
async fn a_crowd_on_one_object_asks_each_endpoint_once_and_fails_together() {
    let network = Network::new();
    let broken =
        ["a:80", "b:80", "c:80"].map(|at| network.origin(at, |_, _| vec![Act::Wait(ms(100)), Act::Reset]));
    let mut settings = settings("http://a");
    settings.pools = vec![pool_settings(&THREE)];
    let pipes = Pipes::over(settings, network);
    let clients: Vec<_> = (0..20)
        .map(|_| {
            let mut client = pipes.client();
            tokio::spawn(async move { client.get("/").await.status })
        })
        .collect();
    for client in clients {
        assert_eq!(client.await.expect("a client"), 502);
    }
    assert_eq!(hits(&broken), [1, 1, 1], "leaders do not multiply what the pool has tried");
}

// ---- the queue ----

#[tokio::test(start_paused = true)]
async fn who_finds_all_connections_in_use_waits_in_turn_and_beyond_the_queue_gets_a_503() {
    let (network, gate) = (Network::new(), Gate::new());
    let opens = Arc::clone(&gate);
    let origin = network.origin("a:80", move |request, _| {
        vec![Act::WaitFor(Arc::clone(&opens)), respond("200 OK", &[], request.target.clone())]
    });
    let mut settings = settings("http://a");
    let mut pool = pool_settings(&["http://a"]);
    (pool.max_connections, pool.queue) = (1, 2);
    settings.pools = vec![pool];
    let pipes = Pipes::over(settings, network);
    let mut clients: Vec<_> = (0..4).map(|_| pipes.client()).collect();
    for (nth, client) in clients.iter_mut().take(3).enumerate() {
        client.request("GET", &format!("/{nth}"), &[], b"").await;
        tokio::time::sleep(ms(1)).await;
    }
    origin.wait_for_hits(1).await;
    let refused = clients[3].get("/3").await;
    assert_eq!(refused.status, 503);
    assert_eq!(refused.header("proxy-status"), Some("forebay; error=connection_limit_reached"));
    gate.open();
    for (nth, client) in clients.iter_mut().take(3).enumerate() {
        assert_eq!(client.read_answer().await.text(), format!("/{nth}"));
    }
    let order: Vec<_> = origin.seen().into_iter().map(|request| request.target).collect();
    assert_eq!(order, ["/0", "/1", "/2"]);
    assert_eq!(origin.opened(), 1);
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_too_long_gets_a_503() {
    let (pool, network, _) = three(|settings| settings.max_connections = 1);
    for at in ["a:80", "b:80", "c:80"] {
        network.origin(at, |_, _| vec![Act::Wait(ms(7000)), respond("200 OK", &[], "late")]);
    }
    let held: Vec<_> = (0..3)
        .map(|_| {
            let pool = Arc::clone(&pool);
            tokio::spawn(async move { ask(&pool, get("/")).await })
        })
        .collect();
    tokio::task::yield_now().await;
    let begun = Instant::now();
    let error = ask(&pool, get("/")).await.expect_err("no place");
    assert_eq!((error.error, begun.elapsed()), (ProxyError::ConnectionLimitReached, ms(5000)));
    assert_eq!(pool.endpoints()[0].refused, 1);
    for held in held {
        assert_eq!(held.await.expect("a task").expect("an answer").1, "late");
    }
    assert!(pool.endpoints().iter().all(|state| state.active == 0));
}

#[tokio::test(start_paused = true)]
async fn a_tunnel_counts_until_it_ends() {
    let network = Network::new();
    network.origin("a:80", |request, _| match request.header("upgrade") {
        Some(_) => vec![
            crate::support::origin::head(
                "101 Switching Protocols",
                &[("Connection", "upgrade"), ("Upgrade", "x")],
            ),
            Act::Stall,
        ],
        None => vec![respond("200 OK", &[], "plain")],
    });
    let mut settings = pool_settings(&["http://a"]);
    (settings.max_connections, settings.queue_timeout) = (1, ms(100));
    let pool = pool_over(settings, &network);
    let mut upgrade = get("/");
    upgrade.headers.insert("connection", "upgrade".parse().unwrap());
    upgrade.headers.insert("upgrade", "x".parse().unwrap());
    let exchange = pool.exchange(upgrade).await.expect("a 101");
    let tunnel = exchange.tunnel.expect("a tunnel").open().await.expect("a stream");
    exchange.body.release();
    assert_eq!(pool.endpoints()[0].active, 1);
    assert!(ask(&pool, get("/")).await.is_err());
    drop(tunnel);
    assert_eq!(ask(&pool, get("/")).await.expect("a place").1, "plain");
}

// ---- leaving ----

#[tokio::test(start_paused = true)]
async fn who_leaves_while_connecting_waiting_or_trying_leaves_nothing_behind() {
    let (pool, network, origins) = three(|settings| settings.max_connections = 1);
    let leave_at_once = async |pool: &Pool| {
        assert!(tokio::time::timeout(ms(10), ask(pool, get("/"))).await.is_err(), "it would wait");
    };
    // While connecting.
    for at in ["a:80", "b:80", "c:80"] {
        network.set(at, Host::Silent);
    }
    for _ in 0..3 {
        leave_at_once(&pool).await;
    }
    // While waiting for a head; and in the queue behind those.
    for at in ["a:80", "b:80", "c:80"] {
        network.origin(at, |_, _| vec![Act::Stall]);
    }
    let held: Vec<_> = (0..3)
        .map(|_| {
            let pool = Arc::clone(&pool);
            tokio::spawn(async move { ask(&pool, get("/")).await })
        })
        .collect();
    tokio::time::sleep(ms(1)).await;
    leave_at_once(&pool).await;
    for held in held {
        held.abort();
        let _ = held.await;
    }
    let states = pool.endpoints();
    assert!(states.iter().all(|state| state.up && state.active == 0 && state.queued == 0), "{states:?}");
    // While trying one that is down.
    network.set("a:80", Host::Refuses);
    for (at, origin) in ["b:80", "c:80"].into_iter().zip(&origins[1..]) {
        network.set(at, Host::Origin(Arc::clone(origin)));
    }
    round(&pool, 6).await;
    assert_eq!(up(&pool), [false, true, true]);
    network.set("a:80", Host::Silent);
    tokio::time::advance(ms(1000)).await;
    let mut left = 0;
    while left < 3 {
        left += usize::from(tokio::time::timeout(ms(10), ask(&pool, get("/"))).await.is_err());
    }
    network.set("a:80", Host::Origin(Arc::clone(&origins[0])));
    within(ms(1000), round(&pool, 6)).await;
    assert_eq!(up(&pool), [true; 3], "a trial that was left did not keep it out");
}

#[tokio::test(start_paused = true)]
async fn a_whole_exchange_may_have_a_limit() {
    let (pool, network, _) = three(|settings| settings.total_timeout = Some(ms(3000)));
    for at in ["a:80", "b:80", "c:80"] {
        network.origin(at, |_, _| vec![Act::Stall]);
    }
    let begun = Instant::now();
    assert_eq!(ask(&pool, get("/")).await.expect_err("no head").error, ProxyError::HttpResponseTimeout);
    assert_eq!(begun.elapsed(), ms(3000));

    let (pool, network, _) = three(|settings| settings.total_timeout = Some(ms(3000)));
    network.origin("a:80", |_, _| {
        let drip = Act::drip(bytes::Bytes::from_static(b"0123456789"), 10, ms(9000));
        vec![crate::support::origin::head("200 OK", &[("Content-Length", "10")]), drip]
    });
    let begun = Instant::now();
    let mut body = pool.exchange(get("/")).await.expect("a head").body;
    let ended = loop {
        match body.next().await {
            Ok(Some(_)) => {}
            other => break other,
        }
    };
    assert!(ended.is_err());
    assert_eq!(begun.elapsed(), ms(3000));
}

#[tokio::test(start_paused = true)]
async fn a_silent_endpoint_is_left_alone_although_the_whole_exchange_has_less_time_than_its_first_byte() {
    for silent in ["a head", "a connection"] {
        let (pool, network, _) = three(|settings| {
            settings.total_timeout = Some(ms(3000));
        });
        if silent == "a head" {
            network.origin("a:80", |_, _| vec![Act::Stall]);
        } else {
            network.set("a:80", Host::Silent);
        }
        let begun = Instant::now();
        ask(&pool, get("/")).await.expect_err("it had all the time that there was");
        assert_eq!((begun.elapsed(), network.asked()), (ms(3000), 1), "{silent}");
        assert_eq!(up(&pool), [false, true, true], "{silent}");
        assert!(!round(&pool, 30).await.contains('a'), "{silent}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_upload_that_takes_all_the_time_is_no_fault_of_its_endpoint() {
    let (pool, network, _) = three(|settings| settings.total_timeout = Some(ms(3000)));
    network.origin("a:80", says("a"));
    let body = upload(vec![b"x".to_vec(); 100], ms(1000));
    ask(&pool, request(Method::POST, "/", body)).await.expect_err("too late");
    assert_eq!(up(&pool), [true; 3]);
}

#[tokio::test(start_paused = true)]
async fn a_long_upload_that_tries_an_endpoint_does_not_keep_the_others_away_until_its_end() {
    let (pool, network, origins) = three(|settings| settings.first_byte_timeout = ms(5000));
    network.set("a:80", Host::Refuses);
    round(&pool, 6).await;
    network.set("a:80", Host::Origin(Arc::clone(&origins[0])));
    tokio::time::advance(ms(1000)).await;
    let mut uploads = Vec::new();
    while origins[0].opened() == 0 {
        let pool = Arc::clone(&pool);
        uploads.push(tokio::spawn(async move {
            let body = upload(vec![b"x".to_vec(); 3600], ms(1000));
            ask(&pool, request(Method::POST, "/", body)).await
        }));
        tokio::time::sleep(ms(10)).await;
    }
    let begun = Instant::now();
    while !up(&pool)[0] {
        assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", pool.endpoints());
        round(&pool, 3).await;
        tokio::time::sleep(ms(1000)).await;
    }
    assert!(begun.elapsed() > ms(8000), "it had its time first");
    uploads.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test(start_paused = true)]
async fn who_waits_finds_an_endpoint_whose_pause_ends_although_nobody_else_comes_by() {
    let (pool, network, origins) = three(|settings| settings.max_connections = 1);
    network.set("c:80", Host::Refuses);
    round(&pool, 6).await;
    let slow = |_: &_, _| vec![Act::Wait(ms(30_000)), respond("200 OK", &[], "slow")];
    network.origin("a:80", slow);
    network.origin("b:80", slow);
    origins[..2].iter().for_each(|origin| origin.stop());
    let busy: Vec<_> = (0..2)
        .map(|_| {
            let pool = Arc::clone(&pool);
            tokio::spawn(async move { ask(&pool, get("/")).await })
        })
        .collect();
    tokio::time::sleep(ms(10)).await;
    network.set("c:80", Host::Origin(Arc::clone(&origins[2])));
    let begun = Instant::now();
    assert_eq!(ask(&pool, get("/")).await.expect("it is back").1, "c");
    assert!(begun.elapsed() <= ms(2000), "{:?}", begun.elapsed());
    busy.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test(start_paused = true)]
async fn a_link_to_any_endpoint_leads_to_the_host_that_was_asked_for() {
    let network = Network::new();
    let script = |_: &_, _| vec![respond("302 Found", &[("Location", "http://a.internal:8080/x")], "")];
    network.origin("a.internal:8080", script);
    network.origin("b.internal:8080", script);
    let mut node = settings("http://a");
    node.pools = vec![pool_settings(&["http://a.internal:8080", "http://b.internal:8080"])];
    let pipes = Pipes::over(node, network);
    for _ in 0..2 {
        assert_eq!(pipes.client().get("/").await.header("location"), Some("http://test/x"));
    }
}
