//! Several sites on one node: who answers for which host, and what each of them adds to the rules of HTTP.

use std::time::Duration;

use forebay::base::ids::PoolId;
use forebay::base::units::ByteSize;
use forebay::config::Settings;
use forebay::route;
use forebay::semantics::patterns::Paths;
use forebay::semantics::policy::{Lifetimes, Policy};
use forebay::semantics::query::QueryRules;

use crate::rig::{Pipes, settings};
use crate::support::origin::{Act, SeenRequest, respond};

const FRESH: (&str, &str) = ("Cache-Control", "max-age=60");

fn site(name: &str, hosts: &[&str], policy: Policy) -> route::Settings {
    let hosts = hosts.iter().map(|host| host.parse().expect("a pattern")).collect();
    route::Settings {
        name: name.into(),
        hosts,
        pool: PoolId(0),
        policy,
        max_body: ByteSize::mib(1).0,
        max_buffered_body: ByteSize::mib(1).0,
        streamed_paths: Paths::default(),
        tls_port: None,
        clients: route::Clients::default(),
    }
}

fn with_sites(sites: Vec<route::Settings>) -> Settings {
    Settings { sites, ..settings("http://origin.test") }
}

/// A node with one site of this policy.
fn with_policy(
    policy: Policy,
    script: impl Fn(&SeenRequest, usize) -> Vec<Act> + Send + Sync + 'static,
) -> Pipes {
    Pipes::with(with_sites(vec![site("only", &["*"], policy)]), script)
}

fn echo(request: &SeenRequest, nth: usize) -> Vec<Act> {
    vec![respond("200 OK", &[FRESH], format!("{nth} {}", request.target))]
}

// ---- hosts ----

#[tokio::test(start_paused = true)]
async fn a_host_that_no_site_answers_for_is_misdirected() {
    let sites = vec![
        site("shop", &["shop.example"], Policy::default()),
        site("more", &["*.shop.example"], Policy::default()),
    ];
    let pipes = Pipes::with(with_sites(sites), echo);
    for host in ["shop.example", "SHOP.example.", "shop.example:8080", "a.b.shop.example"] {
        assert_eq!(pipes.ask("/", &[("Host", host)]).await.status, 200, "{host}");
    }
    let asked = pipes.origin.hits();
    for host in ["example", "other.example", "xshop.example", "127.0.0.1", "[::1]:80"] {
        let answer = pipes.ask("/", &[("Host", host)]).await;
        assert_eq!(answer.status, 421, "{host}");
        assert!(answer.text().contains("not served here"), "{}", answer.text());
        assert_eq!(answer.header("cache-control"), Some("no-store"));
    }
    assert_eq!(pipes.origin.hits(), asked, "the origin hears nothing of it");
}

#[tokio::test(start_paused = true)]
async fn a_misdirected_request_leaves_the_connection_to_the_next() {
    let pipes = Pipes::with(with_sites(vec![site("a", &["a.example"], Policy::default())]), echo);
    let mut client = pipes.client();
    assert_eq!(client.get_with("/", &[("Host", "b.example")]).await.status, 421);
    assert_eq!(client.get_with("/", &[("Host", "a.example")]).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn two_sites_share_nothing_that_is_stored() {
    let sites = vec![
        site("exact", &["a.example"], Policy::default()),
        site("below", &["*.example"], Policy::default()),
    ];
    let pipes = Pipes::with(with_sites(sites), echo);
    for (host, text) in [("a.example", "0 /"), ("b.example", "1 /"), ("a.example", "0 /")] {
        assert_eq!(pipes.ask("/", &[("Host", host)]).await.text(), text, "{host}");
    }
}

// ---- lifetimes ----

#[tokio::test(start_paused = true)]
async fn what_states_no_lifetime_gets_the_sites_own() {
    let lifetimes = Lifetimes { default: Some(Duration::from_secs(30)), ..Lifetimes::default() };
    let pipes = with_policy(Policy { lifetimes, ..Policy::default() }, |request, nth| {
        let status = if request.path() == "/error" { "403 Forbidden" } else { "200 OK" };
        vec![respond(status, &[], format!("{nth}"))]
    });
    assert_eq!(pipes.ask("/", &[]).await.text(), "0");
    pipes.pass_time(29);
    let hit = pipes.ask("/", &[]).await;
    assert_eq!((hit.text().as_str(), hit.cache_status().as_str()), ("0", "forebay; hit; ttl=1"));
    pipes.pass_time(1);
    assert_eq!(pipes.ask("/", &[]).await.text(), "1");
    for text in ["2", "3"] {
        assert_eq!(pipes.ask("/error", &[]).await.text(), text, "one client's error is not for others");
    }
}

#[tokio::test(start_paused = true)]
async fn what_states_a_lifetime_is_kept_within_the_sites_bounds() {
    let lifetimes = Lifetimes {
        min: Some(Duration::from_secs(20)),
        max: Some(Duration::from_secs(40)),
        ..Lifetimes::default()
    };
    let pipes = with_policy(Policy { lifetimes, ..Policy::default() }, |request, _| {
        let stated = format!("max-age={}", request.path().trim_start_matches('/'));
        vec![respond("200 OK", &[("Cache-Control", &stated)], "x")]
    });
    for (stated, ttl) in [("/0", 20), ("/10", 20), ("/30", 30), ("/500", 40)] {
        pipes.ask(stated, &[]).await;
        let hit = pipes.ask(stated, &[]).await;
        assert_eq!(hit.cache_status(), format!("forebay; hit; ttl={ttl}"), "{stated}");
    }
}

#[tokio::test(start_paused = true)]
async fn no_lifetime_makes_public_what_is_private() {
    let lifetimes = Lifetimes {
        default: Some(Duration::from_mins(1)),
        min: Some(Duration::from_mins(1)),
        ..Lifetimes::default()
    };
    for field in ["private", "no-store", "private, max-age=9"] {
        let pipes =
            with_policy(Policy { lifetimes: lifetimes.clone(), ..Policy::default() }, move |_, nth| {
                vec![respond("200 OK", &[("Cache-Control", field)], format!("{nth}"))]
            });
        for text in ["0", "1"] {
            assert_eq!(pipes.ask("/", &[]).await.text(), text, "{field}");
        }
    }
}

// ---- grace and keep ----

/// A site whose origin confirms what it has, until it dies, and whose objects last ten seconds.
fn outlasting(grace: u64, keep: Option<u64>, dies_at: usize) -> Pipes {
    let mut policy = Policy::default();
    policy.outlasting.grace = Duration::from_secs(grace);
    policy.outlasting.keep = keep.map(Duration::from_secs);
    let fields = [("Cache-Control", "max-age=10"), ("ETag", "\"v\"")];
    with_policy(policy, move |request, nth| match request.header("if-none-match") {
        _ if nth >= dies_at => vec![Act::Close],
        Some(_) => vec![respond("304 Not Modified", &fields, "")],
        None => vec![respond("200 OK", &fields, "one")],
    })
}

#[tokio::test(start_paused = true)]
async fn grace_is_the_sites_own() {
    for (past, status) in [(5, 200), (6, 502)] {
        let pipes = outlasting(5, None, 1);
        pipes.ask("/", &[]).await;
        pipes.pass_time(10 + past);
        assert_eq!(pipes.ask("/", &[]).await.status, status, "{past} s past its lifetime");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_kept_is_confirmed_and_what_is_not_is_fetched_anew() {
    for (past, status) in [
        (8, "forebay; fwd=stale; fwd-status=304; stored; ttl=10"),
        (9, "forebay; fwd=uri-miss; stored; ttl=10"),
    ] {
        let pipes = outlasting(5, Some(3), 9);
        pipes.ask("/", &[]).await;
        pipes.pass_time(10 + past);
        assert_eq!(pipes.ask("/", &[]).await.cache_status(), status, "{past} s past its lifetime");
    }
}

// ---- ignored parameters ----

#[tokio::test(start_paused = true)]
async fn ignored_parameters_are_neither_keyed_nor_forwarded() {
    let policy = Policy { query: QueryRules::ignoring(["utm_*", "ref"]), ..Policy::default() };
    let pipes = with_policy(policy, echo);
    let cold = pipes.ask("/a?utm_source=mail&b=1&ref=x", &[]).await;
    assert_eq!(cold.text(), "0 /a?b=1");
    for same in ["/a?b=1", "/a?ref=y&b=1", "/a?b=1&utm_medium="] {
        assert!(pipes.ask(same, &[]).await.cache_status().starts_with("forebay; hit"), "{same}");
    }
    assert_eq!(pipes.ask("/a?b=2&ref=x", &[]).await.text(), "1 /a?b=2");
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_passed_keeps_its_parameters() {
    let policy = Policy { query: QueryRules::ignoring(["*"]), ..Policy::default() };
    let pipes = with_policy(policy, echo);
    let mut client = pipes.client();
    client.request("POST", "/a?ref=x", &[], b"content").await;
    assert_eq!(client.read_answer().await.text(), "0 /a?ref=x");
}
