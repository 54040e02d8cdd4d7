//! The metrics as a whole: accepted by Prometheus's own tool, with help and units, right, bounded, and documented.

use std::collections::BTreeSet;
use std::process::Stdio;

use forebay::telemetry::metrics::exposition::{Family, Format};
use tokio::io::AsyncWriteExt;
use tokio_util::sync::CancellationToken;

use crate::admin::{admin_of, scrape, value};
use crate::rig::Sockets;
use crate::support::client::Client;
use crate::support::origin::{Act, SeenRequest, respond};

const FRESH: (&str, &str) = ("Cache-Control", "max-age=60");

fn site(seen: &SeenRequest, _: usize) -> Vec<Act> {
    match seen.target.as_str() {
        "/private" => vec![respond("200 OK", &[("Cache-Control", "private")], "mine")],
        "/missing" => vec![respond("404 Not Found", &[("Cache-Control", "no-store")], "none")],
        _ => vec![respond("200 OK", &[FRESH], "body")],
    }
}

async fn sockets() -> Sockets {
    Sockets::with(|settings| settings.admin = Some("0".parse().expect("a port")), site).await
}

/// Asks on one connection, and waits until all of it is counted: a request counts when its body has left.
async fn ask(node: &Sockets, requests: &[(&str, &str)]) {
    let mut client = node.client().await;
    for (method, target) in requests {
        client.request(method, target, &[("Host", "any.test")], b"").await;
        client.read_answer().await;
    }
}

/// Scrapes until `name` is at least `least`.
async fn counted(node: &Sockets, name: &str, least: f64) -> String {
    for _ in 0..1000 {
        let text = scrape(admin_of(&node.running)).await;
        if value(&text, name).is_some_and(|value| value >= least) {
            return text;
        }
        tokio::task::yield_now().await;
    }
    panic!("{name} never came to {least}");
}

#[tokio::test]
async fn what_is_no_request_is_counted_by_what_is_wrong_with_it() {
    let node = sockets().await;
    for (nonsense, status, reason) in
        [("nonsense\r\n\r\n", 400, "malformed"), ("GET / HTTP/3.0\r\n\r\n", 505, "version")]
    {
        let mut client = node.client().await;
        client.send(nonsense).await;
        assert_eq!(client.read_answer().await.status, status);
        let name = format!("forebay_rejected_requests_total{{reason=\"{reason}\"}}");
        counted(&node, &name, 1.0).await;
    }
}

#[tokio::test]
async fn requests_are_counted_by_what_became_of_them() {
    let node = sockets().await;
    ask(&node, &[("POST", "/a"), ("GET", "/a"), ("GET", "/a"), ("GET", "/a"), ("GET", "/private")]).await;
    ask(&node, &[("GET", "/missing"), ("TRACE", "/a"), ("GET", "/a")]).await;
    let hits = r#"forebay_requests_total{site="default",outcome="hit",status="2xx"}"#;
    let text = counted(&node, hits, 3.0).await;
    for (name, expected) in [
        (hits, 3.0),
        (r#"forebay_requests_total{site="default",outcome="uri-miss",status="2xx"}"#, 2.0),
        (r#"forebay_requests_total{site="default",outcome="uri-miss",status="4xx"}"#, 1.0),
        (r#"forebay_requests_total{site="default",outcome="method",status="2xx"}"#, 1.0),
        (r#"forebay_request_details_total{site="default",detail="private"}"#, 1.0),
        (r#"forebay_rejected_requests_total{reason="method"}"#, 1.0),
        (r#"forebay_response_body_bytes_total{site="default"}"#, 28.0),
        (r#"forebay_hit_seconds_count{site="default"}"#, 3.0),
        (r#"forebay_forwarded_seconds_count{site="default"}"#, 4.0),
        (r#"forebay_origin_seconds_count{site="default"}"#, 4.0),
        ("forebay_cache_hits_total", 3.0),
        ("forebay_origin_requests_total", 4.0),
        ("forebay_stored_objects_total", 1.0),
    ] {
        assert_eq!(value(&text, name), Some(expected), "{name} in\n{text}");
    }
    assert!(value(&text, "forebay_memory_tier_bytes").unwrap() > 0.0);
    assert_eq!(value(&text, "forebay_busy_bodies"), Some(0.0));
    node.running.drain();
}

#[tokio::test]
async fn prometheus_accepts_them() {
    let node = sockets().await;
    ask(&node, &[("GET", "/a"), ("GET", "/a"), ("GET", "/private"), ("TRACE", "/")]).await;
    let text = counted(&node, "forebay_cache_hits_total", 1.0).await;
    // Not to be skipped: test.sh and .ci/run install it.
    let mut promtool = tokio::process::Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool, of Debian's package prometheus");
    promtool.stdin.take().unwrap().write_all(text.as_bytes()).await.expect("written");
    let output = promtool.wait_with_output().await.expect("its end");
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}\n{text}", String::from_utf8_lossy(&said));
    node.running.drain();
}

/// Name, kind and help of each family, in the order of the text.
fn families(text: &str) -> Vec<(&str, &str, &str)> {
    let helps = text.lines().filter_map(|line| line.strip_prefix("# HELP ")?.split_once(' '));
    let kinds = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    let both: Vec<_> = helps.zip(kinds).collect();
    assert!(both.iter().all(|(help, kind)| help.0 == kind.0), "a help without a type");
    both.into_iter().map(|((name, help), (_, kind))| (name, kind, help)).collect()
}

#[tokio::test]
async fn every_metric_has_help_and_a_unit() {
    /// Gauges of things, and of states: there is no unit to name.
    const PLAIN: [&str; 21] = [
        "forebay_memory_tier_entries",
        "forebay_markers",
        "forebay_disk_tier_entries",
        "forebay_disk_tier_health",
        "forebay_fetches",
        "forebay_joinable_fetches",
        "forebay_busy_bodies",
        "forebay_spill_waiting_bodies",
        "forebay_ledger_purges",
        "forebay_client_connections",
        "forebay_client_connections_limit",
        "forebay_certificate_refused",
        "forebay_config_keys_awaiting_restart",
        "forebay_config_last_reload_successful",
        "forebay_ticket_keys_refused",
        "forebay_endpoint_up",
        "forebay_endpoint_drained",
        "forebay_endpoint_active_requests",
        "forebay_endpoint_idle_connections",
        "forebay_pool_queued_requests",
        "forebay_buffering_requests",
    ];
    let node = sockets().await;
    let text = scrape(admin_of(&node.running)).await;
    let families = families(&text);
    let names: BTreeSet<_> = families.iter().map(|(name, ..)| name).collect();
    assert_eq!(names.len(), families.len(), "a family twice");
    for (name, kind, help) in families {
        let unit_is_right = match kind {
            "counter" => name.ends_with("_total"),
            "histogram" => name.ends_with("_seconds"),
            _ => {
                PLAIN.contains(&name)
                    || ["_bytes", "_seconds", "_info", "_ready"].iter().any(|unit| name.ends_with(unit))
            }
        };
        assert!(unit_is_right, "{kind} {name}");
        assert!(help.len() > 10 && help.ends_with('.'), "{name}: {help:?}");
        assert!(name.starts_with("forebay_") || name.starts_with("process_"), "{name}");
    }
    node.running.drain();
}

#[tokio::test]
async fn what_clients_send_makes_no_series() {
    let node = sockets().await;
    ask(&node, &[("PUT", "/a"), ("GET", "/a"), ("GET", "/missing"), ("GET", "/a")]).await;
    let series = |text: &str| text.lines().filter(|line| !line.starts_with('#')).count();
    let before = series(
        &counted(&node, r#"forebay_requests_total{site="default",outcome="hit",status="2xx"}"#, 1.0).await,
    );
    let mut client = node.client().await;
    for number in 0..50 {
        let target = format!("/path-{number}?q={number}");
        let host = format!("host-{number}.test");
        client.request("GET", &target, &[("Host", &host), ("User-Agent", &target)], b"").await;
        client.read_answer().await;
        client.request(&format!("METHOD{number}"), "/a", &[("Host", &host)], b"").await;
        client.read_answer().await;
    }
    let text = counted(&node, r#"forebay_forwarded_seconds_count{site="default"}"#, 103.0).await;
    assert_eq!(series(&text), before, "{text}");
    assert!(!text.contains("host-") && !text.contains("METHOD1"), "{text}");
    node.running.drain();
}

#[tokio::test]
async fn a_client_that_leaves_in_the_middle_is_told_from_a_body_that_broke() {
    let node = Sockets::with(
        |settings| settings.admin = Some("0".parse().expect("a port")),
        |seen, _| match seen.target.as_str() {
            "/cut" => {
                vec![
                    crate::support::origin::head("200 OK", &[FRESH, ("Content-Length", "9")]),
                    Act::send("cut"),
                    Act::Close,
                ]
            }
            _ => vec![respond("200 OK", &[FRESH], "x".repeat(30 << 20))],
        },
    )
    .await;
    let mut client = node.client().await;
    client.request("GET", "/cut", &[("Host", "a")], b"").await;
    client.read_head().await;
    assert_eq!(client.read_body().await, b"cut");
    let mut leaver = Client::connect(node.addr()).await;
    leaver.request("GET", "/large", &[("Host", "a")], b"").await;
    leaver.read_head().await;
    drop(leaver);
    let gone = r#"forebay_broken_responses_total{site="default",reason="client-gone"}"#;
    let text = counted(&node, gone, 1.0).await;
    let cut = r#"forebay_broken_responses_total{site="default",reason="incomplete"}"#;
    assert_eq!(value(&text, cut), Some(1.0), "{text}");
    node.running.drain();
}

/// What `docs/METRICS.md` says of the metrics: a table, made of the node's own words.
fn table(families: &[&Family]) -> String {
    let row = |family: &&Family| {
        let labels: Vec<_> = family.labels.iter().map(|label| format!("`{label}`")).collect();
        let (name, kind, help) = (family.name, family.kind.name(), family.help);
        format!("| `{name}` | {kind} | {} | {help} |\n", labels.join(", "))
    };
    let rows: String = families.iter().map(row).collect();
    format!("| metric | kind | labels | what |\n|---|---|---|---|\n{rows}")
}

#[tokio::test]
async fn the_documentation_names_all_of_them() {
    let node = sockets().await;
    let exposition =
        forebay::admin::exposition(&node.running.node.handles(CancellationToken::new()), Format::Text);
    documents("docs/METRICS.md", &table(exposition.families()));
    let text = exposition.finish();
    assert_eq!(families(&text).len(), scrape(admin_of(&node.running)).await.matches("# HELP ").count());
    node.running.drain();
}

/// Fails if the generated part of a document is not `should`; with `FOREBAY_WRITE_DOCS=1` writes it anew.
pub fn documents(path: &str, should: &str) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    let written = std::fs::read_to_string(&path).expect("the document");
    let (before, rest) = written.split_once("<!-- generated -->\n").expect("the begin of what is generated");
    let (is, after) = rest.split_once("<!-- end -->").expect("the end of what is generated");
    if std::env::var_os("FOREBAY_WRITE_DOCS").is_some() {
        let anew = format!("{before}<!-- generated -->\n{should}<!-- end -->{after}");
        std::fs::write(path, anew).expect("written");
        return;
    }
    assert_eq!(is, should, "{} is out of date: run this test once with FOREBAY_WRITE_DOCS=1", path.display());
}
