//! Purging by the admin API and by `forebay purge`.

use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::admin::{admin_address, admin_of, get, node};
use crate::cli::FOREBAY;
use crate::rig::Sockets;
use crate::support::client::{Answer, Client};
use crate::support::origin::{Origin, SeenRequest, respond};
use crate::support::process::{Process, run};

async fn post(address: SocketAddr, text: &str) -> Answer {
    let mut client = Client::connect(address).await;
    let fields = [("Host", "localhost"), ("Content-Type", "application/json")];
    client.request("POST", "/v1/purge", &fields, text.as_bytes()).await;
    client.read_answer().await
}

async fn purge(address: SocketAddr, wanted: Value) -> Value {
    let answer = post(address, &wanted.to_string()).await;
    assert_eq!(answer.status, 200, "{wanted}: {}", answer.text());
    value(&answer)
}

fn value(answer: &Answer) -> Value {
    serde_json::from_str(&answer.text()).expect("JSON")
}

async fn is_hit(node: &Sockets, path: &str) -> bool {
    let answer = node.client().await.get_with(path, &[("Host", "shop.test")]).await;
    answer.cache_status().contains("; hit")
}

async fn ledger(address: SocketAddr) -> Value {
    value(&get(address, "/v1/ledger").await)
}

#[tokio::test]
async fn a_purge_is_answered_with_its_place_and_holds() {
    let node = node().await;
    let admin = admin_of(&node.running);
    for wanted in [
        json!({ "urls": ["http://shop.test/a"] }),
        json!({ "prefixes": ["shop.test/"], "soft": false }),
        json!({ "globs": ["shop.test/*"] }),
        json!({ "hosts": ["shop.test"] }),
        json!({ "all": true }),
    ] {
        is_hit(&node, "/a").await;
        assert!(is_hit(&node, "/a").await);
        let before = ledger(admin).await["latest"].clone();
        let told = purge(admin, wanted.clone()).await;
        assert_eq!(told["purged"]["records"], 1, "{told}");
        assert_eq!(
            (told["purged"]["durable"].as_bool(), told["purged"]["id"].as_str().map(str::len)),
            (Some(true), Some(32))
        );
        let after = ledger(admin).await["latest"].clone();
        assert!(after == told["purged"]["sequence"] && after != before, "{told}");
        assert!(!is_hit(&node, "/a").await, "{wanted}");
    }
    node.running.drain();
}

#[tokio::test]
async fn what_is_wrong_is_told_in_its_place_and_nothing_is_purged() {
    let node = node().await;
    let admin = admin_of(&node.running);
    is_hit(&node, "/a").await;
    let many: Vec<String> = (0..10_001).map(|nth| nth.to_string()).collect();
    for (text, status, word, says) in [
        ("{}".to_owned(), 422, "unusable", "nothing is named"),
        (
            json!({ "urls": ["http://shop.test/a", "/b"], "all": true }).to_string(),
            422,
            "unusable",
            "urls[1] \\\"/b\\\"",
        ),
        (json!({ "tags": many }).to_string(), 422, "unusable", "10000 are the most"),
        (
            json!({ "tags": many[..6_000], "urls": many[..6_000] }).to_string(),
            422,
            "unusable",
            "10000 are the most",
        ),
        (json!({ "url": ["http://shop.test/a"] }).to_string(), 422, "unusable", "unknown field `url`"),
        (json!({ "urls": "http://shop.test/a" }).to_string(), 422, "unusable", "expected a sequence"),
        ("{\"all\": true".to_owned(), 400, "malformed", "EOF"),
        (format!("{{\"tags\": [\"{}\"]}}", "x".repeat(5 << 20)), 413, "too-long", "longer than"),
    ] {
        let answer = post(admin, &text).await;
        let what = format!("{}: {}", &text[..text.len().min(60)], answer.text());
        assert_eq!(answer.status, status, "{what}");
        assert!(answer.text().contains(&format!(":{word}\"")) && answer.text().contains(says), "{what}");
    }
    assert!(is_hit(&node, "/a").await);
    assert_eq!(ledger(admin).await["records"], 0);
    node.running.drain();
}

#[tokio::test]
async fn ten_thousand_at_once_and_globs_up_to_their_limit() {
    let node = node().await;
    let admin = admin_of(&node.running);
    let urls: Vec<String> = (0..9_999).map(|nth| format!("http://shop.test/{nth}")).collect();
    for path in ["/5", "/9998", "/a"] {
        is_hit(&node, path).await;
    }
    assert_eq!(purge(admin, json!({ "urls": urls, "tags": ["x"] })).await["purged"]["records"], 10_000);
    assert!(!is_hit(&node, "/5").await && !is_hit(&node, "/9998").await && is_hit(&node, "/a").await);
    let globs = |range: std::ops::Range<usize>| -> Vec<String> {
        range.map(|nth| format!("shop.test/{nth}*")).collect()
    };
    let refused = post(admin, &json!({ "globs": globs(0..65), "all": true }).to_string()).await;
    assert_eq!(
        (refused.status, value(&refused)["type"].clone()),
        (409, json!("urn:forebay:problem:too-many-globs"))
    );
    assert!(is_hit(&node, "/a").await, "nothing of it holds");
    purge(admin, json!({ "globs": globs(100..110) })).await;
    assert_eq!(ledger(admin).await["globs"], 10);
    node.running.drain();
}

#[tokio::test]
async fn a_dry_run_counts_and_changes_nothing_and_unknown_hosts_are_told() {
    let node = node().await;
    let admin = admin_of(&node.running);
    for path in ["/a/1", "/a/2", "/b"] {
        is_hit(&node, path).await;
    }
    let told = purge(admin, json!({ "prefixes": ["shop.test/a"], "dry_run": true })).await;
    assert_eq!(told["matched"]["memory"], json!({ "matched": 2, "seen": 3, "cut": false }));
    assert_eq!((told["purged"].clone(), ledger(admin).await["records"].clone()), (Value::Null, json!(0)));
    assert!(is_hit(&node, "/a/1").await);
    node.running.drain();
}

#[tokio::test]
async fn a_purge_goes_on_when_the_one_who_asked_for_it_has_left() {
    let node = node().await;
    let admin = admin_of(&node.running);
    is_hit(&node, "/a").await;
    let before = ledger(admin).await["latest"].clone();
    let mut client = Client::connect(admin).await;
    let fields = [("Host", "localhost"), ("Content-Type", "application/json")];
    client.request("POST", "/v1/purge", &fields, b"{\"all\": true}").await;
    drop(client);
    while ledger(admin).await["latest"] == before {
        tokio::task::yield_now().await;
    }
    assert!(!is_hit(&node, "/a").await);
    node.running.drain();
}

#[tokio::test]
async fn the_command_tells_people_and_programs() {
    let script = |_: &SeenRequest, nth: usize| {
        vec![respond("200 OK", &[("Cache-Control", "max-age=60"), ("Surrogate-Key", "a b")], nth.to_string())]
    };
    let origin = Origin::tcp(script).await;
    let config = tempfile::tempdir().unwrap();
    let file = config.path().join("forebay.toml");
    let text = format!("[sites.shop]\nhosts = [\"shop.test\"]\norigins = [\"{}\"]\n", origin.url());
    std::fs::write(&file, text).unwrap();
    let args = ["serve", "--config", file.to_str().unwrap(), "--listen", "127.0.0.1:0", "--admin", "0"];
    let mut node = Process::start(FOREBAY, &args);
    let (address, admin) = (node.listening().await, admin_address(&node).await.to_string());
    let text_of =
        async || Client::connect(address).await.get_with("/x", &[("Host", "shop.test")]).await.text();
    let forebay = async |words: &[&str]| {
        let output = run(FOREBAY, &[&["purge", "--admin", &admin], words].concat()).await;
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    assert_eq!(text_of().await, "0");
    let (code, out, _) = forebay(&["--tag", "a", "--hard"]).await;
    assert!(code == Some(0) && out.starts_with("purged: 1 in the ledger, the last at 0.1 (id "), "{out}");
    assert_eq!(text_of().await, "1");
    let (_, out, _) = forebay(&["http://shop.test/x", "https://shpo.test/x", "--json"]).await;
    let told: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (told["purged"]["records"].as_u64(), told["unknown_hosts"][0].as_str()),
        (Some(2), Some("shpo.test"))
    );
    assert_eq!(text_of().await, "2");
    let (_, out, _) = forebay(&["--glob", "*", "--dry-run"]).await;
    assert!(out.starts_with("memory: 1 of 1 objects would be purged\n"), "{out}");
    assert_eq!(text_of().await, "2");
    let (code, _, errors) = forebay(&[]).await;
    assert!(code == Some(2) && errors.contains("nothing is named"), "{errors}");
    let (code, _, errors) = forebay(&["nonsense"]).await;
    assert!(code == Some(2) && errors.contains("urls[0] \"nonsense\": it has no host"), "{errors}");
    // Every change has left a line, also the ones that were refused.
    node.wait_for_line("changed by an operator").await;
    let lines = || node.lines().into_iter().filter(|line| line.contains("what=\"purge\"")).count();
    assert!(lines() >= 2, "{:#?}", node.lines());
    let has = |what: &str| {
        assert!(node.lines().iter().any(|line| line.contains(what)), "{what}: {:#?}", node.lines());
    };
    has("all=false soft=default urls=2 tags=0 prefixes=0 globs=0 hosts=0: ");
    let mut operator = Client::connect(admin.parse().unwrap()).await;
    let json = ("Content-Type", "application/json");
    for (method, path, text) in
        [("POST", "/v1/purge", "{\"urls\": 7}"), ("POST", "/v1/endpoints/a%FF/b/drain", "")]
    {
        operator.request(method, path, &[("Host", "localhost"), json], text.as_bytes()).await;
        let answer = operator.read_answer().await;
        assert!(answer.status == 422 || answer.status == 400, "{}", answer.text());
    }
    node.wait_for_line("outcome=\"unusable\"").await;
    node.wait_for_line("outcome=\"malformed\"").await;
    node.kill().await;
}
