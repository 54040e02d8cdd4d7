//! Names of endpoints: looked up on first use, again after a while, one lookup at a time, and never in the way.

use std::sync::Arc;
use std::time::Duration;

use forebay::semantics::proxy_status::ProxyError;
use tokio::time::Instant;

use crate::pool_rig::{Answer, Host, Network, ask, get, pool_over, pool_settings, says};
use crate::rig::{Pipes, settings};
use crate::support::ms;

const NAME: &str = "origin.test:80";
const ONE: &str = "192.0.2.1:80";
const TWO: &str = "192.0.2.2:80";
const SIX: &str = "[2001:db8::1]:80";

#[tokio::test(start_paused = true)]
async fn a_name_is_looked_up_again_and_its_new_address_is_used() {
    let (network, names) = Network::with_names();
    let (one, two) = (network.origin(ONE, says("one")), network.origin(TWO, says("two")));
    names.stands_for(NAME, &[ONE]);
    let pool = pool_over(pool_settings(&["http://origin.test"]), &network);
    for _ in 0..50 {
        assert_eq!(ask(&pool, get("/")).await.expect("an answer").1, "one");
    }
    assert_eq!((names.lookups(), one.opened()), (1, 1), "looked up once, and one connection");
    names.stands_for(NAME, &[TWO]);
    tokio::time::advance(Duration::from_secs(31)).await;
    // A connection is opened when none is idle: so the lookup is due when the old one has gone.
    one.stop();
    let mut answers = Vec::new();
    for _ in 0..3 {
        answers.push(ask(&pool, get("/")).await.map(|answer| answer.1));
        tokio::time::advance(ms(1100)).await;
    }
    assert_eq!(answers.last().expect("three").as_deref(), Ok("two"), "{answers:?}");
    assert_eq!((names.lookups(), two.opened()), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn a_connection_to_an_address_that_is_the_host_s_no_longer_is_not_kept() {
    let (network, names) = Network::with_names();
    let (one, _) = (network.origin(ONE, says("one")), network.origin(TWO, says("two")));
    names.stands_for(NAME, &[ONE]);
    let pool = pool_over(pool_settings(&["http://origin.test"]), &network);
    let mut who = Vec::new();
    for second in 0..120 {
        if second == 60 {
            names.stands_for(NAME, &[TWO]);
        }
        who.push(ask(&pool, get("/")).await.expect("an answer").1);
        tokio::time::advance(ms(1000)).await;
    }
    assert!(who[..60].iter().all(|who| who == "one"));
    assert!(who[92..].iter().all(|who| who == "two"), "{who:?}");
    one.wait_for_closed_by_peer(1).await;
}

#[tokio::test(start_paused = true)]
async fn idle_connections_to_an_address_that_is_the_host_s_no_longer_are_not_used() {
    let (network, names) = Network::with_names();
    let (one, two) = (network.origin(ONE, says("one")), network.origin(TWO, says("two")));
    names.stands_for(NAME, &[ONE]);
    let pool = pool_over(pool_settings(&["http://origin.test"]), &network);
    let (first, second) = (pool.exchange(get("/")).await, pool.exchange(get("/")).await);
    for exchange in [first, second] {
        crate::pool_rig::read(exchange.expect("a head")).await.expect("an answer");
    }
    assert_eq!(pool.endpoints()[0].idle, 2);
    names.stands_for(NAME, &[TWO]);
    tokio::time::advance(Duration::from_secs(31)).await;
    // It finds that the lookup is due, and is answered from where the host was.
    assert_eq!(ask(&pool, get("/")).await.expect("an answer").1, "one");
    tokio::time::sleep(ms(10)).await;
    for _ in 0..3 {
        assert_eq!(ask(&pool, get("/")).await.expect("an answer").1, "two");
    }
    one.wait_for_closed_by_peer(2).await;
    assert_eq!(two.opened(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_lookup_that_fails_later_leaves_the_addresses_as_they_were() {
    let (network, names) = Network::with_names();
    network.origin(ONE, says("one"));
    names.stands_for(NAME, &[ONE]);
    let pool = pool_over(pool_settings(&["http://origin.test"]), &network);
    ask(&pool, get("/")).await.expect("an answer");
    for answer in [Answer::Fails, Answer::Hangs, Answer::Addresses(Vec::new())] {
        names.set(NAME, answer);
        for _ in 0..3 {
            tokio::time::advance(Duration::from_secs(61)).await;
            let begun = Instant::now();
            assert_eq!(ask(&pool, get("/")).await.expect("an answer").1, "one");
            assert_eq!(begun.elapsed(), ms(0));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_name_that_does_not_resolve_fails_its_own_pool_at_once_and_recovers() {
    let (network, names) = Network::with_names();
    network.origin(ONE, says("one"));
    network.origin(TWO, says("two"));
    names.stands_for("good.test:80", &[TWO]);
    let bad = pool_over(pool_settings(&["http://origin.test"]), &network);
    let good = pool_over(pool_settings(&["http://good.test"]), &network);
    for _ in 0..100 {
        let begun = Instant::now();
        let error = ask(&bad, get("/")).await.expect_err("no such host");
        assert_eq!((error.error, begun.elapsed()), (ProxyError::DnsError, ms(0)));
        assert_eq!(ask(&good, get("/")).await.expect("another pool").1, "two");
    }
    assert_eq!(names.lookups(), 2, "one for each name");
    names.stands_for(NAME, &[ONE]);
    tokio::time::advance(ms(1001)).await;
    assert_eq!(ask(&bad, get("/")).await.expect("it resolves").1, "one");
}

#[tokio::test(start_paused = true)]
async fn a_node_starts_with_a_name_that_does_not_resolve() {
    let (network, names) = Network::with_names();
    network.origin(ONE, says("one"));
    let mut settings = settings("http://a");
    settings.pools = vec![pool_settings(&["http://origin.test"])];
    let pipes = Pipes::over(settings, network);
    let answer = pipes.client().get("/").await;
    assert_eq!((answer.status, answer.header("proxy-status")), (502, Some("forebay; error=dns_error")));
    names.stands_for(NAME, &[ONE]);
    tokio::time::advance(ms(1001)).await;
    assert_eq!(pipes.client().get("/").await.text(), "one");
}

#[tokio::test(start_paused = true)]
async fn a_resolver_that_hangs_costs_one_time_limit_and_not_one_for_each_request() {
    let (network, names) = Network::with_names();
    names.set(NAME, Answer::Hangs);
    let mut settings = pool_settings(&["http://origin.test"]);
    settings.connect_timeout = ms(2000);
    let pool = pool_over(settings, &network);
    let begun = Instant::now();
    let crowd: Vec<_> = (0..20)
        .map(|_| {
            let pool = Arc::clone(&pool);
            tokio::spawn(async move { ask(&pool, get("/")).await })
        })
        .collect();
    for asked in crowd {
        let error = asked.await.expect("a task").expect_err("no address");
        assert!(matches!(error.error, ProxyError::DnsTimeout | ProxyError::ConnectionTimeout), "{error:?}");
    }
    assert_eq!(begun.elapsed(), ms(2000));
    for _ in 0..20 {
        assert_eq!(ask(&pool, get("/")).await.expect_err("no address").error, ProxyError::DnsTimeout);
    }
    assert_eq!((begun.elapsed(), names.lookups()), (ms(2000), 1), "one lookup, for all of them");
}

#[tokio::test(start_paused = true)]
async fn every_address_is_tried_within_one_time_limit() {
    for (host, waits) in [(Host::Refuses, 0), (Host::Silent, 250)] {
        let (network, names) = Network::with_names();
        network.origin(TWO, says("two"));
        network.set(ONE, host.clone());
        network.set(SIX, host);
        names.stands_for(NAME, &[SIX, ONE, TWO]);
        let pool = pool_over(pool_settings(&["http://origin.test"]), &network);
        let begun = Instant::now();
        assert_eq!(ask(&pool, get("/")).await.expect("an answer").1, "two");
        assert_eq!((begun.elapsed(), network.asked()), (ms(2 * waits), 3));
        assert!(pool.endpoints()[0].up);
    }
}

#[tokio::test]
async fn the_system_resolves_names() {
    use forebay::origin::resolve::{Resolve, System};
    let addresses = System.resolve("localhost:80").await.expect("every machine knows it");
    assert!(addresses.iter().all(|address| address.ip().is_loopback()) && !addresses.is_empty());
}
