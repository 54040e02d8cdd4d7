//! Endpoints that an operator drains: no new exchange, running ones to their end, no connection kept.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use forebay::app::Running;
use forebay::semantics::proxy_status::ProxyError;
use serde_json::Value;
use tokio::sync::Semaphore;

use crate::admin::{admin_of, get, scrape, value};
use crate::origin_http2::until;
use crate::origin_http2_rig::{Asked, Http2Origin, pool_of};
use crate::pool_rig;
use crate::rig::settings;
use crate::support::client::{Answer, Client};
use crate::support::origin::{Act, Gate, Origin, head, refusing_addr, respond};
use crate::support::within;

const FRESH: (&str, &str) = ("Cache-Control", "max-age=60");

/// A node with an admin listener before these endpoints.
fn node(urls: &[String]) -> Running {
    let mut settings = settings(&urls[0]);
    settings.admin = Some("0".parse().expect("a port"));
    settings.workers = 1;
    let pool = &mut settings.pools[0];
    pool.endpoints =
        urls.iter().map(|url| url.parse::<forebay::config::OriginUrl>().expect("an origin").into()).collect();
    Running::start(&settings, None).expect("a running node")
}

fn address(running: &Running) -> SocketAddr {
    running.addresses[0].address.inet().expect("an address")
}

async fn fetch(running: &Running, path: &str) -> Answer {
    Client::connect(address(running)).await.get_with(path, &[("Host", "a.test")]).await
}

async fn post(running: &Running, path: &str) -> Answer {
    let mut client = Client::connect(admin_of(running)).await;
    client.request("POST", path, &[("Host", "localhost")], b"").await;
    client.read_answer().await
}

/// What is told of an endpoint.
async fn told(running: &Running, url: &str) -> Value {
    let answer = get(admin_of(running), "/v1/endpoints").await;
    let value: Value = serde_json::from_str(&answer.text()).expect("JSON");
    let mut all = value["endpoints"].as_array().expect("a list").iter();
    all.find(|endpoint| endpoint["endpoint"] == url).expect("an endpoint").clone()
}

fn way(url: &str, what: &str) -> String {
    format!("/v1/endpoints/default/{}/{what}", url.replace(':', "%3A").replace('/', "%2F"))
}

async fn origin(name: &'static str) -> Origin {
    Origin::tcp(move |_, _| vec![respond("200 OK", &[("Cache-Control", "no-store")], name)]).await
}

#[tokio::test]
async fn a_drained_endpoint_gets_nothing_new_and_ends_what_it_has() {
    let gate = Gate::new();
    let opens = Arc::clone(&gate);
    let slow = Origin::tcp(move |seen, _| match seen.path() {
        "/slow" => {
            let head = head("200 OK", &[FRESH, ("Content-Length", "8")]);
            vec![head, Act::send("half"), Act::WaitFor(opens.clone()), Act::send("half")]
        }
        _ => vec![respond("200 OK", &[("Cache-Control", "no-store")], "slow")],
    })
    .await;
    let other = origin("other").await;
    let running = node(&[slow.url(), other.url()]);
    // Both have a connection that is kept, and one of them an exchange under way.
    for nth in 0..4 {
        fetch(&running, &format!("/{nth}")).await;
    }
    let mut client = Client::connect(address(&running)).await;
    client.request("GET", "/slow", &[("Host", "a.test")], b"").await;
    let under_way = client.read_head().await;
    assert_eq!(under_way.status, 200);
    assert_eq!(slow.hits_of("/slow"), 1, "it was its turn");
    let hits = slow.hits();
    let drained = post(&running, &way(&slow.url(), "drain")).await;
    let says: Value = serde_json::from_str(&drained.text()).expect("JSON");
    assert_eq!(
        (drained.status, says["state"].as_str(), says["idle"].as_u64()),
        (200, Some("draining"), Some(0)),
        "{says}"
    );
    for nth in 0..6 {
        assert_eq!(fetch(&running, &format!("/new-{nth}")).await.text(), "other");
    }
    assert_eq!(slow.hits(), hits, "nothing new came");
    gate.open();
    assert_eq!(client.read_body().await, b"halfhalf", "what was under way has ended as it would");
    // Not even the connection of that is kept, which would otherwise wait for 50 s.
    within(Duration::from_secs(10), slow.wait_until(|tally| tally.opened == tally.ended)).await;
    let says = told(&running, &slow.url()).await;
    assert_eq!((says["state"].as_str(), says["up"].as_bool()), (Some("drained"), Some(true)), "{says}");
    let text = scrape(admin_of(&running)).await;
    let series = |url: &str| format!("forebay_endpoint_drained{{pool=\"default\",endpoint=\"{url}\"}}");
    assert_eq!([slow.url(), other.url()].map(|url| value(&text, &series(&url))), [Some(1.0), Some(0.0)]);
    let enabled = post(&running, &way(&slow.addr().to_string(), "enable")).await;
    assert_eq!(enabled.status, 200);
    let mut names = Vec::new();
    for nth in 0..4 {
        names.push(fetch(&running, &format!("/again-{nth}")).await.text());
    }
    assert!(names.contains(&"slow".to_owned()) && names.contains(&"other".to_owned()), "{names:?}");
    running.drain();
}

#[tokio::test]
async fn a_drain_outlasts_failures_and_recoveries() {
    let (refuses, other) = (format!("http://{}", refusing_addr()), origin("other").await);
    let running = node(&[refuses.clone(), other.url()]);
    for nth in 0..4 {
        assert_eq!(fetch(&running, &format!("/{nth}")).await.text(), "other", "it goes on to the next");
    }
    assert_eq!(told(&running, &refuses).await["state"], "down");
    post(&running, &way(&refuses, "drain")).await;
    let says = told(&running, &refuses).await;
    assert_eq!((says["state"].as_str(), says["up"].as_bool()), (Some("drained"), Some(false)), "{says}");
    // The other one goes: the one that is drained is not asked even then.
    let failures = says["failures"].clone();
    post(&running, &way(&other.url(), "drain")).await;
    let answer = fetch(&running, "/all-are-drained").await;
    assert_eq!(answer.status, 503);
    assert!(
        answer.header("proxy-status").is_some_and(|told| told.contains("destination_unavailable")),
        "{answer:?}"
    );
    assert_eq!(told(&running, &refuses).await["failures"], failures);
    post(&running, &way(&other.url(), "enable")).await;
    assert_eq!(fetch(&running, "/one-is-back").await.text(), "other");
    running.drain();
}

#[tokio::test]
async fn what_is_stored_still_answers_while_all_are_drained() {
    let origin = Origin::tcp(|_, _| {
        vec![respond(
            "200 OK",
            &[("Cache-Control", "max-age=0, stale-if-error=60"), ("ETag", "\"a\"")],
            "page",
        )]
    })
    .await;
    let running = node(&[origin.url()]);
    assert_eq!(fetch(&running, "/page").await.text(), "page");
    post(&running, &way(&origin.url(), "drain")).await;
    let answer = fetch(&running, "/page").await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "page"), "{answer:?}");
    assert_eq!(origin.hits(), 1);
    running.drain();
}

#[tokio::test]
async fn what_there_is_not_is_told_so() {
    let origin = origin("a").await;
    let running = node(&[origin.url()]);
    for path in [
        way("http://127.0.0.1:1", "drain"),
        way(&origin.url(), "drain").replace("default", "other"),
        way("", "enable").replace("//", "/x/"),
        way("%FF", "drain").replace("%2F", ""),
    ] {
        let answer = post(&running, &path).await;
        assert!([400, 404].contains(&answer.status), "{path}: {}", answer.status);
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{path}");
    }
    assert_eq!(get(admin_of(&running), &way(&origin.url(), "drain")).await.status, 405);
    assert_eq!(told(&running, &origin.url()).await["drained"], false);
    running.drain();
}

#[tokio::test(start_paused = true)]
async fn connections_of_http2_are_closed_after_their_last_exchange() {
    let gate = Arc::new(Semaphore::new(1));
    let opens = Arc::clone(&gate);
    let origin = Http2Origin::new(move |mut asked: Asked, _| {
        let gate = Arc::clone(&opens);
        async move {
            gate.acquire().await.expect("open").forget();
            asked.answer(200, &[], "page");
        }
    });
    let pool = pool_of(&origin);
    pool_rig::ask(&pool, pool_rig::get("/")).await.expect("an answer");
    let under_way = tokio::spawn({
        let pool = Arc::clone(&pool);
        async move { pool_rig::ask(&pool, pool_rig::get("/slow")).await }
    });
    until(|| origin.under_way() == 1).await;
    let name = pool.endpoints()[0].endpoint.clone();
    assert!(pool.drain("nobody", true).is_none());
    let state = pool.drain(&name, true).expect("an endpoint");
    assert_eq!((state.drained, state.active), (true, 1));
    tokio::time::sleep(Duration::from_secs(5)).await;
    gate.add_permits(10);
    assert_eq!(under_way.await.expect("no panic").expect("an answer").1, "page");
    let refused = pool_rig::ask(&pool, pool_rig::get("/")).await.expect_err("all are drained");
    assert_eq!(refused.error, ProxyError::DestinationUnavailable);
    tokio::time::sleep(Duration::from_millis(2100)).await;
    assert_eq!((pool.endpoints()[0].idle, origin.opened()), (0, 1));
    pool.drain(&name, false);
    pool_rig::ask(&pool, pool_rig::get("/")).await.expect("an answer");
    assert_eq!(origin.opened(), 2, "the one from before was closed");
}
