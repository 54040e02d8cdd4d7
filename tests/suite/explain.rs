//! `explain`: what it foretells is what the next request gets, and nothing changes by asking.

use std::sync::Arc;
use std::time::Duration;

use forebay::config::Settings;
use forebay::request::imagined::Unexplained;
use forebay::semantics::explanation::{Explanation, Outcome};
use forebay::semantics::policy::{Outlasting, Policy};
use forebay::semantics::query::QueryRules;

use crate::admin::admin_of;
use crate::cli::FOREBAY;
use crate::disk_rig::DiskNode;
use crate::rig::{Pipes, Sockets, settings};
use crate::support::client::{Answer, Client};
use crate::support::origin::{Act, Gate, Origin, SeenRequest, refusing_addr, respond};
use crate::support::process::{Process, run};

type Fields = &'static [(&'static str, &'static str)];

const FRESH: (&str, &str) = ("Cache-Control", "max-age=60");
const TAG: (&str, &str) = ("ETag", "\"v1\"");

/// A request, and how long after the one before it comes.
type Asked = (u64, &'static str, &'static str, Fields);

/// One line of the table: a site, an origin, requests before, and the one that is foretold.
struct Case {
    name: &'static str,
    policy: Policy,
    answers: Fields,
    before: &'static [Asked],
    asked: Asked,
    foretold: &'static str,
    outcome: Outcome,
    /// Something that has to be among what is said.
    says: &'static str,
}

impl Default for Case {
    fn default() -> Self {
        Self {
            name: "",
            policy: Policy::default(),
            answers: &[FRESH, TAG],
            before: &[(0, "GET", "/a", &[])],
            asked: (0, "GET", "/a", &[]),
            foretold: "forebay; fwd=uri-miss",
            outcome: Outcome::Miss,
            says: "",
        }
    }
}

fn url(target: &str) -> String {
    format!("http://test{target}")
}

fn owned(fields: &[(&str, &str)]) -> Vec<(String, String)> {
    fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

async fn explained(pipes: &Pipes, method: &str, target: &str, fields: &[(&str, &str)]) -> Explanation {
    let before = state(pipes);
    let explanation = pipes.node.machine.explain(method, &url(target), &owned(fields)).await;
    assert_eq!(state(pipes), before, "something has changed by asking for {method} {target}");
    explanation.expect("an explanation")
}

/// All that is counted and held.
fn state(pipes: &Pipes) -> String {
    let node = &pipes.node;
    let (used, entries) = (node.cache.memory_used(), node.cache.memory_entries());
    let fetches = (node.fetcher.running(), node.fetcher.joinable());
    let markers = node.cache.markers();
    let (hits, budget) = (pipes.origin.hits(), node.means.budget.used());
    format!("{used} {entries} {fetches:?} {markers} {hits} {budget} {:?}", node.counters)
}

async fn ask(pipes: &Pipes, (later, method, target, fields): Asked) -> Answer {
    pipes.pass_time(later);
    let mut client = pipes.client();
    client.request(method, target, fields, b"").await;
    let answer = client.read_answer().await;
    pipes.quiet().await;
    answer
}

/// What a request got is what was foretold: all of it where nobody has to be asked, and else what can be known before.
fn came_true(foretold: &str, came: &str) -> bool {
    let parts: Vec<&str> = came.split("; ").collect();
    if foretold.contains("fwd=") {
        foretold.split("; ").all(|part| parts.contains(&part)) && !parts.contains(&"hit")
    } else {
        foretold == came
    }
}

fn cases() -> Vec<Case> {
    let with = |change: fn(&mut Policy)| {
        let mut policy = Policy::default();
        change(&mut policy);
        policy
    };
    let swr = &[("Cache-Control", "max-age=60, stale-while-revalidate=30"), TAG];
    vec![
        Case {
            name: "nothing is stored",
            before: &[],
            says: "Nothing that this request selects",
            ..Case::default()
        },
        Case {
            name: "a fresh hit",
            asked: (10, "GET", "/a", &[]),
            foretold: "forebay; hit; ttl=50",
            outcome: Outcome::Hit,
            says: "stated by max-age in cache-control",
            ..Case::default()
        },
        Case {
            name: "a HEAD is answered from a GET",
            asked: (10, "HEAD", "/a", &[]),
            foretold: "forebay; hit; ttl=50",
            outcome: Outcome::Hit,
            ..Case::default()
        },
        Case {
            name: "stale while it is refreshed",
            answers: swr,
            asked: (70, "GET", "/a", &[]),
            foretold: "forebay; hit; ttl=-10; detail=stale-while-revalidate",
            outcome: Outcome::HitAndRefresh,
            says: "The refresh would begin now",
            ..Case::default()
        },
        Case {
            name: "stale, and to be confirmed",
            answers: &[("Cache-Control", "max-age=60, must-revalidate"), TAG],
            asked: (70, "GET", "/a", &[]),
            foretold: "forebay; fwd=stale",
            outcome: Outcome::Revalidation,
            says: "asked with If-None-Match: \"\\\"v1\\\"\"",
            ..Case::default()
        },
        Case {
            name: "to be confirmed at each use",
            answers: &[("Cache-Control", "no-cache"), TAG],
            foretold: "forebay; fwd=stale; detail=hit-for-miss",
            outcome: Outcome::Revalidation,
            says: "hit-for-miss",
            ..Case::default()
        },
        Case {
            name: "never stored",
            answers: &[("Cache-Control", "no-store")],
            foretold: "forebay; fwd=uri-miss; detail=hit-for-miss",
            says: "not for sharing (no-store)",
            ..Case::default()
        },
        Case {
            name: "never stored, and a HEAD",
            answers: &[("Cache-Control", "private")],
            asked: (0, "HEAD", "/a", &[]),
            foretold: "forebay; fwd=uri-miss; detail=hit-for-miss",
            says: "(private)",
            ..Case::default()
        },
        Case {
            name: "another variant",
            answers: &[FRESH, ("Vary", "X")],
            before: &[(0, "GET", "/a", &[("X", "1")])],
            asked: (0, "GET", "/a", &[("X", "2")]),
            foretold: "forebay; fwd=vary-miss",
            says: "x: \"2\"",
            ..Case::default()
        },
        Case {
            name: "the same variant",
            answers: &[FRESH, ("Vary", "Accept-Language")],
            before: &[(0, "GET", "/a", &[("Accept-Language", "de, en;q=0.5")])],
            asked: (0, "GET", "/a", &[("Accept-Language", "DE,en;q=0.50")]),
            foretold: "forebay; hit; ttl=60",
            outcome: Outcome::Hit,
            says: "compared as \"de, en;q=0.5\"",
            ..Case::default()
        },
        Case {
            name: "a POST",
            asked: (0, "POST", "/a", &[]),
            foretold: "forebay; fwd=method",
            outcome: Outcome::Pass,
            says: "takes back what is stored",
            ..Case::default()
        },
        Case {
            name: "what only the origin can judge",
            asked: (0, "GET", "/a", &[("If-Match", "\"v1\"")]),
            foretold: "forebay; fwd=bypass; detail=precondition",
            outcome: Outcome::Pass,
            says: "If-Match",
            ..Case::default()
        },
        Case {
            name: "a personal cookie",
            policy: with(|policy| policy.personal_cookies = vec!["sid".into()]),
            before: &[],
            asked: (0, "GET", "/a", &[("Cookie", "sid=hush")]),
            says: "for this request alone",
            ..Case::default()
        },
        Case {
            name: "credentials, and what is for others too",
            answers: &[("Cache-Control", "max-age=60, public")],
            asked: (0, "GET", "/a", &[("Authorization", "Basic aHVzaA==")]),
            foretold: "forebay; hit; ttl=60",
            outcome: Outcome::Hit,
            ..Case::default()
        },
        Case {
            name: "rules of queries",
            policy: with(|policy| {
                policy.query = QueryRules { sort: true, ..QueryRules::ignoring(["utm_*"]) }
            }),
            before: &[(0, "GET", "/a?b=1&c=2&utm_x=1", &[])],
            asked: (0, "GET", "/a?c=2&utm_y=3&b=1", &[]),
            foretold: "forebay; hit; ttl=60",
            outcome: Outcome::Hit,
            says: "Left out of the query: utm_y=3.",
            ..Case::default()
        },
        Case {
            name: "taken back by an unsafe request",
            before: &[(0, "GET", "/a", &[]), (0, "POST", "/a", &[])],
            says: "not alive by the ledger",
            ..Case::default()
        },
        Case {
            name: "nothing but what is stored",
            before: &[],
            asked: (0, "GET", "/a", &[("Cache-Control", "only-if-cached")]),
            foretold: "forebay; detail=only-if-cached",
            outcome: Outcome::NotStored,
            says: "504",
            ..Case::default()
        },
        Case {
            name: "what is fresh is refused",
            asked: (10, "GET", "/a", &[("Cache-Control", "max-age=5")]),
            foretold: "forebay; fwd=request",
            outcome: Outcome::Revalidation,
            says: "max-age of 5 s",
            ..Case::default()
        },
        Case {
            name: "what is stale is welcome",
            asked: (70, "GET", "/a", &[("Cache-Control", "max-stale=20")]),
            foretold: "forebay; hit; ttl=-10; detail=max-stale",
            outcome: Outcome::Hit,
            says: "max-stale of 20 s",
            ..Case::default()
        },
        Case {
            name: "another URL that is the same",
            answers: &[FRESH, ("No-Vary-Search", "params")],
            before: &[(0, "GET", "/a?x=1", &[])],
            asked: (0, "GET", "/a?x=2", &[]),
            foretold: "forebay; hit; ttl=60; detail=no-vary-search",
            outcome: Outcome::Hit,
            says: "under another URL",
            ..Case::default()
        },
        Case {
            name: "kept for no longer",
            policy: with(|policy| {
                policy.outlasting = Outlasting {
                    grace: Duration::ZERO,
                    keep: Some(Duration::from_secs(5)),
                    ..Outlasting::default()
                };
            }),
            asked: (70, "GET", "/a", &[]),
            says: "counts as not there",
            ..Case::default()
        },
        Case {
            name: "a guessed lifetime",
            answers: &[("Last-Modified", "Fri, 15 Jan 2027 06:20:00 GMT")],
            foretold: "forebay; hit; ttl=600",
            outcome: Outcome::Hit,
            says: "guessed: 10 % of the 6000 s",
            ..Case::default()
        },
    ]
}

#[tokio::test(start_paused = true)]
async fn what_it_foretells_is_what_the_next_request_gets() {
    let mut wrong = Vec::new();
    for case in cases() {
        let Case { name, policy, answers, before, asked, foretold, outcome, says } = case;
        let mut settings = settings("http://origin.test");
        settings.sites[0].policy = policy;
        let pipes = Pipes::with(settings, move |_, _| vec![respond("200 OK", answers, "")]);
        for asked in before {
            ask(&pipes, *asked).await;
        }
        let (later, method, target, fields) = asked;
        pipes.pass_time(later);
        let explanation = explained(&pipes, method, target, fields).await;
        let text = explanation.to_string();
        let came = ask(&pipes, (0, method, target, fields)).await.cache_status();
        let verdict = &explanation.verdict;
        let right = verdict.cache_status == foretold
            && verdict.outcome == outcome
            && text.contains(says)
            && !text.contains("hush")
            && came_true(foretold, &came);
        if !right {
            wrong.push(format!("{name}: {came}, {:?}, {says:?}\n{text}", verdict.outcome));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[tokio::test(start_paused = true)]
async fn what_the_origin_s_failure_brings_is_foretold() {
    let fields = [("Cache-Control", "max-age=60, stale-while-revalidate=20"), TAG];
    let pipes = Pipes::new(move |_, nth| match nth {
        0 => vec![respond("200 OK", &fields, "page")],
        _ => vec![respond("503 Service Unavailable", &[], "")],
    });
    ask(&pipes, (0, "GET", "/a", &[])).await;
    pipes.pass_time(70);
    ask(&pipes, (0, "GET", "/a", &[])).await;
    let resting = explained(&pipes, "GET", "/a", &[]).await;
    assert!(resting.to_string().contains("rests for 1 s more"), "{resting}");
    let came = ask(&pipes, (0, "GET", "/a", &[])).await.cache_status();
    assert_eq!((resting.verdict.cache_status.as_str(), pipes.origin.hits()), (came.as_str(), 2));
    pipes.pass_time(20);
    let stale = explained(&pipes, "GET", "/a", &[]).await;
    assert!(stale.to_string().contains("If the origin fails, what is stored answers"), "{stale}");
    let bridged = ask(&pipes, (0, "GET", "/a", &[])).await.cache_status();
    assert!(bridged.contains("detail=stale-on-error"), "{bridged}");
}

#[tokio::test(start_paused = true)]
async fn a_fetch_under_way_is_told_and_not_joined() {
    let gate = Gate::new();
    let held = Arc::clone(&gate);
    let pipes = Pipes::new(move |_, _| vec![Act::WaitFor(held.clone()), respond("200 OK", &[FRESH], "page")]);
    let (mut first, mut second) = (pipes.client(), pipes.client());
    first.request("GET", "/a", &[], b"").await;
    pipes.origin.wait_for_hits(1).await;
    let explanation = explained(&pipes, "GET", "/a", &[]).await;
    assert_eq!(explanation.verdict.outcome, Outcome::Joins, "{explanation}");
    assert_eq!(explanation.verdict.cache_status, "forebay; fwd=uri-miss; collapsed");
    second.request("GET", "/a", &[], b"").await;
    pipes.origin.wait_until(|tally| tally.exchanges.len() == 1).await;
    while pipes.node.counters.collapsed.get() == 0 {
        tokio::task::yield_now().await;
    }
    gate.open();
    assert_eq!(first.read_answer().await.text(), "page");
    let came = second.read_answer().await.cache_status();
    assert!(came_true(&explanation.verdict.cache_status, &came), "{came}");
    pipes.quiet().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_on_disk_is_told_and_stays_there() {
    let answers = |request: &SeenRequest, _: usize| match request.target.as_str() {
        "/stale" => vec![respond("200 OK", &[("Cache-Control", "max-age=0"), TAG], "page")],
        _ => vec![respond("200 OK", &[("Cache-Control", "max-age=6000"), TAG], "page")],
    };
    let mut node = DiskNode::new(|_| {}, answers).await;
    for path in ["/fresh", "/stale"] {
        node.client().await.get(path).await;
    }
    // A client has its answer before that is stored.
    let fetcher = node.running().node.fetcher.clone();
    crate::disk_rig::until("all is stored", || fetcher.running() == 0).await;
    node.settled().await;
    node.restart().await;
    let insists: &[(&str, &str)] = &[("Cache-Control", "no-cache")];
    for (path, fields, foretold) in [
        ("/fresh", &[][..], "forebay; hit; ttl="),
        ("/stale", &[], "forebay; fwd=stale"),
        ("/fresh", insists, "forebay; fwd=stale"),
    ] {
        let hits = node.origin.hits();
        let machine = &node.running().node.machine;
        let explanation = machine.explain("GET", &url(path), &owned(fields)).await.expect("explained");
        assert!(explanation.verdict.cache_status.starts_with(foretold), "{explanation}");
        assert!(explanation.to_string().contains("The disk tier has a 200 OK"), "{explanation}");
        assert_eq!((node.running().node.cache.memory_entries(), node.origin.hits()), (0, hits), "{path}");
        let came = node.client().await.get_with(path, fields).await.cache_status();
        assert!(came.starts_with(foretold), "{came}");
        assert_eq!(explanation.verdict.cache_status.ends_with("detail=disk"), came.ends_with("detail=disk"));
        node.restart().await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_makes_no_sense_is_told_as_such() {
    let mut named: Settings = settings("http://origin.test");
    named.sites[0].hosts = vec!["shop.example".parse().expect("a pattern")];
    let pipes = Pipes::with(named, |_, _| vec![respond("200 OK", &[FRESH], "")]);
    let machine = &pipes.node.machine;
    for wrong in ["", "/a", "shop.example/a", "ftp://shop.example/", "http:///a", "http://a b/"] {
        let error = machine.explain("GET", wrong, &[]).await.expect_err(wrong);
        assert!(matches!(error, Unexplained::Url(_)), "{wrong}: {error}");
        assert!(error.to_string().contains("write http://HOST/PATH"), "{error}");
    }
    let error = machine.explain("GET", "http://other.example/", &[]).await.expect_err("nobody's");
    assert_eq!(
        error.to_string(),
        "such a request is answered with 421 Misdirected Request: this host is not served here"
    );
    let error = machine.explain("TRACE", "http://shop.example/", &[]).await.expect_err("no mirror");
    assert!(error.to_string().contains("405"), "{error}");
    assert!(machine.explain("G T", "http://shop.example/", &[]).await.is_err());
    let bad = owned(&[("X Y", "1")]);
    assert!(matches!(machine.explain("GET", "http://shop.example/", &bad).await, Err(Unexplained::Field(_))));
    let other_host = owned(&[("Host", "other.example")]);
    assert!(machine.explain("GET", "http://shop.example/", &other_host).await.is_err(), "as curl has it");
}

#[tokio::test(start_paused = true)]
async fn a_hit_is_told_in_these_words() {
    let mut settings = settings("http://origin.test");
    settings.sites[0].policy.query = QueryRules::ignoring(["utm_*"]);
    let answers = [
        ("Cache-Control", "max-age=600, stale-while-revalidate=30"),
        ("Date", "Fri, 15 Jan 2027 07:59:50 GMT"),
        ("Age", "4"),
        ("Vary", "Accept-Language"),
        TAG,
    ];
    let pipes = Pipes::with(settings, move |_, _| vec![respond("200 OK", &answers, "page")]);
    let fields = [("Accept-Language", "de"), ("X-Forwarded-For", "192.0.2.1")];
    pipes.ask("/a?b=1", &fields).await;
    pipes.pass_time(25);
    let text = explained(&pipes, "GET", "/a?b=1&utm_x=2", &fields).await.to_string();
    let hash =
        text.split_once("Its hash begins with ").expect("a hash").1.get(..16).expect("a hash").to_owned();
    let expected = r#"Site
  "test" is answered for by the site "default".
  Of queries it ignores utm_* (ignored_query).

Key [RFC 9111 §2]
  The URL in its normal form is http://test/a?b=1
  It was asked for as /a?b=1&utm_x=2.
  Left out of the query: utm_x=2.
  Fields that no origin would see, and so nothing varies by: x-forwarded-for.
  Its hash begins with HASH.

Variant [RFC 9111 §4.1]
  Answers are known to vary by accept-language.
  accept-language: "de", compared as "de"

Stored [RFC 9111 §4]
  The memory tier has a 200 OK with 4 bytes of content.
  It came, or was last confirmed, 25 s ago.
  It is of generation 1, was born at purge 0 of epoch 0, and is alive by the ledger.
  etag: "\"v1\""

Freshness [RFC 9111 §4.2]
  Date is "Fri, 15 Jan 2027 07:59:50 GMT" and it came at Fri, 15 Jan 2027 08:00:00 GMT: by that it was 10 s old.
  Age was "4", read as 4 s; the time that the request took is added to that.
  The larger is its corrected initial age: 10 s. It was here for 25 s: its current age is 35 s.
  Its lifetime is 600 s, stated by max-age in cache-control: "max-age=600, stale-while-revalidate=30" (RFC 9111 §4.2.1).
  35 s is less than 600 s: it is fresh for another 565 s.
  Stale it may be used for 30 s by its own word while it is refreshed (RFC 5861 §3), and for 86400 s by the operator's if the origin fails (RFC 5861 §4).

Request [RFC 9111 §5.2.1]
  It asks nothing of caches.

Now [RFC 9111 §4.2]
  It is fresh and answers, without the origin.
  Cache-Status: forebay; hit; ttl=565
"#;
    assert_eq!(text, expected.replace("HASH", &hash));
}

async fn get(address: std::net::SocketAddr, target: &str, fields: &[(&str, &str)]) -> Answer {
    let mut client = Client::connect(address).await;
    client.request("GET", target, fields, b"").await;
    client.read_answer().await
}

#[tokio::test]
async fn the_admin_listener_tells_it_as_json_and_as_text() {
    let node = Sockets::with(
        |settings| {
            settings.admin = Some("0".parse().expect("a port"));
            settings.sites[0].hosts = vec!["shop.example".parse().expect("a pattern")];
        },
        |_, _| vec![respond("200 OK", &[FRESH], "page")],
    )
    .await;
    let (admin, local) = (admin_of(&node.running), ("Host", "localhost"));
    let target = "/v1/explain?url=http%3A%2F%2Fshop.example%2Fa&header=Cache-Control%3A+no-cache";
    let answer = get(admin, target, &[local]).await;
    let value: serde_json::Value = serde_json::from_str(&answer.text()).expect("JSON");
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(value["verdict"]["outcome"], "miss", "{value}");
    assert_eq!(value["verdict"]["cache_status"], "forebay; fwd=uri-miss");
    assert_eq!(value["steps"][0]["title"], "Site");
    let text = get(admin, target, &[local, ("Accept", "text/plain")]).await;
    assert_eq!(text.header("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(value["text"], text.text());
    for (query, status, why) in [
        ("url=http://other.example/", 404, "not served here"),
        ("url=http://shop.example/&method=TRACE", 422, "405"),
        ("url=shop", 400, "write http://HOST/PATH"),
        ("url=http://shop.example/&header=nonsense", 400, "write NAME: VALUE"),
        ("", 400, "say which URL"),
    ] {
        let answer = get(admin, &format!("/v1/explain?{query}"), &[local]).await;
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{query}");
        let problem: serde_json::Value = serde_json::from_str(&answer.text()).expect("JSON");
        assert_eq!((answer.status, &problem["status"]), (status, &status.into()), "{query}");
        assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains(why)), "{problem}");
    }
    assert_eq!(get(admin, target, &[("Host", "evil.test")]).await.status, 421);
    assert_eq!(node.origin.hits(), 0);
    node.running.drain();
}

async fn explain(args: &[&str]) -> (Option<i32>, String, String) {
    let output = run(FOREBAY, &[&["explain"], args].concat()).await;
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[tokio::test]
async fn the_command_asks_a_running_node() {
    let origin = Origin::tcp(|_, _| vec![respond("200 OK", &[FRESH], "page")]).await;
    let from = origin.url();
    let args = ["serve", "--listen", "127.0.0.1:0", "--admin", "0", "--access-log", "off", "--origin", &from];
    let node = Process::start(FOREBAY, &args);
    let address = node.listening().await;
    let admin = crate::admin::admin_address(&node).await.to_string();
    Client::connect(address).await.get_with("/a", &[("Host", "shop.example")]).await;
    let ask = ["http://shop.example/a", "--admin", &admin];
    let (code, text, errors) = explain(&ask).await;
    assert_eq!((code, errors.as_str()), (Some(0), ""), "{text}");
    assert!(
        text.contains("It is fresh and answers") && text.contains("Cache-Status: forebay; hit; ttl="),
        "{text}"
    );
    let (_, json, _) = explain(&[&ask[..], &["--json", "-H", "Cache-Control: no-cache"]].concat()).await;
    let value: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(value["verdict"]["cache_status"], "forebay; fwd=request", "{json}");
    let (_, posted, _) = explain(&[&ask[..], &["-X", "POST"]].concat()).await;
    assert!(posted.contains("fwd=method"), "{posted}");
    assert_eq!(origin.hits(), 1);
    let (code, _, said) = explain(&["shop.example/a", "--admin", &admin]).await;
    assert_eq!(code, Some(2));
    assert!(said.contains("write http://HOST/PATH"), "{said}");
}

#[tokio::test]
async fn the_command_says_what_is_wrong() {
    let nobody = refusing_addr().to_string();
    let (code, _, said) = explain(&["http://a/", "--admin", &nobody]).await;
    assert_eq!(code, Some(1));
    assert!(said.contains("no node answers at") && said.contains("--admin"), "{said}");
    let older = Origin::tcp(|_, _| vec![respond("404 Not Found", &[], ""), Act::Close]).await;
    let (code, _, said) = explain(&["http://a/", "--admin", &older.addr().to_string()]).await;
    assert!(code == Some(1) && said.contains("older version"), "{said}");
    let other = Origin::tcp(|_, _| vec![respond("200 OK", &[], "<html>"), Act::Close]).await;
    let (code, _, said) = explain(&["http://a/", "--admin", &other.addr().to_string()]).await;
    assert!(code == Some(1) && said.contains("no admin listener of a node"), "{said}");
    let folder = tempfile::tempdir().expect("a directory");
    let file = folder.path().join("forebay.toml");
    std::fs::write(&file, "[admin]\naddress = \"off\"\n").expect("written");
    let file = file.to_str().expect("UTF-8");
    let (code, _, said) = explain(&["http://a/", "--config", file]).await;
    assert!(code == Some(2) && said.contains("has no admin listener"), "{said}");
    std::fs::write(file, format!("[admin]\naddress = \"{nobody}\"\n")).expect("written");
    let (code, _, said) = explain(&["http://a/", "--config", file]).await;
    assert!(code == Some(1) && said.contains(&nobody), "{said}");
    assert_eq!(explain(&[]).await.0, Some(2));
}
