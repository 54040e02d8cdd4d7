//! The routes of `/v1`: what they tell, and what they change.

use std::net::SocketAddr;
use std::time::Duration;

use forebay::admin::problem::Kind;
use serde_json::Value;

use crate::admin::{admin_address, admin_of, get, node};
use crate::cli::FOREBAY;
use crate::disk_rig;
use crate::rig::Sockets;
use crate::support::client::{Answer, Client};
use crate::support::origin::{Origin, refusing_addr, respond};
use crate::support::process::{Process, run};
use crate::support::within;

const FRESH: (&str, &str) = ("Cache-Control", "max-age=60");

async fn tell(address: SocketAddr, method: &str, path: &str, json: &str) -> Answer {
    let mut client = Client::connect(address).await;
    let mut fields = vec![("Host", "localhost")];
    if !json.is_empty() {
        fields.push(("Content-Type", "application/json"));
    }
    client.request(method, path, &fields, json.as_bytes()).await;
    client.read_answer().await
}

async fn told(address: SocketAddr, path: &str) -> Value {
    let answer = get(address, path).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/json"));
    serde_json::from_str(&answer.text()).expect("JSON")
}

fn word(answer: &Answer) -> String {
    let value: Value = serde_json::from_str(&answer.text()).expect("JSON");
    value["type"].as_str().expect("a type").rsplit(':').next().expect("a word").to_owned()
}

async fn fetch(node: &Sockets, url: &str, fields: &[(&str, &str)]) -> Answer {
    node.client().await.get_with(url, &[&[("Host", "shop.test")], fields].concat()).await
}

#[tokio::test]
async fn stats_tell_what_came_of_requests() {
    let node = node().await;
    let admin = admin_of(&node.running);
    assert_eq!(told(admin, "/v1/stats").await["requests"]["hit_ratio"], Value::Null);
    let mut client = node.client().await;
    for _ in 0..4 {
        client.get_with("/a", &[("Host", "shop.test")]).await;
    }
    let counted = async {
        loop {
            let stats = told(admin, "/v1/stats").await;
            if stats["requests"]["total"] == 4 {
                return stats;
            }
        }
    };
    let stats = within(Duration::from_secs(5), counted).await;
    assert_eq!(stats["requests"]["by_outcome"], serde_json::json!({ "hit": 3, "uri-miss": 1 }));
    assert_eq!(
        (stats["requests"]["hit_ratio"].as_f64(), stats["requests"]["bytes_sent"].as_u64()),
        (Some(0.75), Some(16))
    );
    assert_eq!(
        (stats["fetches"]["begun"].as_u64(), stats["connections"]["now"].as_u64()),
        (Some(1), Some(1))
    );
    assert!(
        stats["tiers"]["memory"]["bytes"].as_u64() > Some(0) && stats["tiers"]["disk"].is_null(),
        "{stats}"
    );
    assert!(stats["ledger"]["sequence"].as_str().is_some_and(|at| at.contains('.')), "{stats}");
    let sites = told(admin, "/v1/sites").await;
    let site = &sites["sites"][0];
    assert_eq!(
        (site["name"].as_str(), site["hosts"][0].as_str(), site["pool"].as_str()),
        (Some("default"), Some("*"), Some("default"))
    );
    assert_eq!(site["requests"]["total"], 4);
    let version = told(admin, "/v1/version").await;
    assert_eq!(
        (version["version"].as_str(), version["api"][0].as_str()),
        (Some(env!("CARGO_PKG_VERSION")), Some("v1"))
    );
    let endpoints = told(admin, "/v1/endpoints").await;
    assert_eq!(endpoints["endpoints"][0]["requests"], 1);
    let health = told(admin, "/v1/health").await;
    assert_eq!((health["status"].as_str(), health["ready"].as_bool()), (Some("ok"), Some(true)));
    node.running.drain();
}

#[tokio::test]
async fn variants_of_a_url_are_told_with_what_they_vary_by() {
    let script = |seen: &crate::support::origin::SeenRequest, _: usize| {
        let fields = [FRESH, ("Vary", "X-Kind, Cookie"), ("ETag", "\"one\""), ("Content-Type", "text/plain")];
        vec![respond("200 OK", &fields, format!("for {}", seen.header("x-kind").unwrap_or("none")))]
    };
    let node = Sockets::with(|settings| settings.admin = Some("0".parse().expect("a port")), script).await;
    let admin = admin_of(&node.running);
    let nothing = told(admin, "/v1/objects?url=http://shop.test/a").await;
    assert_eq!(
        (nothing["url"].as_str(), nothing["variants"].as_array().map(Vec::len)),
        (Some("http://shop.test/a"), Some(0))
    );
    for kind in ["red", "blue, green"] {
        fetch(&node, "/a", &[("X-Kind", kind), ("Cookie", "id=7")]).await;
    }
    let hits = node.origin.hits();
    let stored =
        told(admin, "/v1/objects?url=http://shop.test/a&header=X-Kind:%20red&header=Cookie:%20id%3D7").await;
    let variants = stored["variants"].as_array().expect("a list");
    assert_eq!(variants.len(), 2, "{stored}");
    let (selected, other) = (&variants[0], &variants[1]);
    assert_eq!((selected["selected"].as_bool(), other["selected"].as_bool()), (Some(true), Some(false)));
    assert_eq!(selected["vary"], serde_json::json!({ "x-kind": ["red"], "cookie": ["(not told)"] }));
    assert_eq!(other["vary"]["x-kind"], serde_json::json!(["blue", "green"]));
    assert!(!stored.to_string().contains("id=7"), "{stored}");
    assert_eq!(stored["vary"], serde_json::json!([["cookie", "x-kind"]]));
    let representation = &selected["representations"][0];
    assert_eq!(
        (representation["coding"].as_str(), representation["bytes"].as_u64()),
        (Some("identity"), Some(7))
    );
    assert_eq!((selected["status"].as_u64(), selected["etag"].as_str()), (Some(200), Some("\"one\"")));
    assert_eq!(
        (selected["alive"].as_bool(), selected["head_in_memory"].as_bool(), selected["on_disk"].as_bool()),
        (Some(true), Some(true), Some(false))
    );
    assert_eq!(
        (selected["lifetime"]["fresh"].as_bool(), selected["lifetime"]["fresh_seconds"].as_u64()),
        (Some(true), Some(60))
    );
    // What an unsafe request takes back is dead from then on.
    let mut client = node.client().await;
    client.request("DELETE", "/a", &[("Host", "shop.test")], b"").await;
    client.read_answer().await;
    let purged =
        told(admin, "/v1/objects?url=http://shop.test/a&header=X-Kind:%20red&header=Cookie:%20id%3D7").await;
    let all = purged["variants"].as_array().expect("a list");
    assert!(all.iter().all(|variant| variant["alive"] == false), "{purged}");
    assert_eq!(node.origin.hits(), hits + 1, "nothing was fetched to tell it");
    for (path, kind, status) in [
        ("/v1/objects", "malformed", 400),
        ("/v1/objects?url=nonsense", "malformed", 400),
        ("/v1/objects?url=http://shop.test/a&limit=1", "malformed", 400),
        ("/v1/objects/hot?limit=0", "malformed", 400),
        ("/v1/objects/hot?limit=513", "malformed", 400),
        ("/v1/objects/hot?n=1", "malformed", 400),
    ] {
        let answer = get(admin, path).await;
        assert_eq!((answer.status, word(&answer).as_str()), (status, kind), "{path}");
    }
    node.running.drain();
}

#[tokio::test]
async fn blocks_and_tiers_of_an_object_are_told() {
    let body = "x".repeat((2 << 20) + 10);
    let origin = Origin::tcp(move |_, _| vec![respond("200 OK", &[FRESH], &body)]).await;
    let directory = tempfile::tempdir().expect("a directory");
    let mut node = disk_rig::binary(&origin.url(), &directory.path().join("cache"), &["--admin", "0"]);
    let (address, admin) = (node.listening().await, admin_address(&node).await);
    let answer = Client::connect(address).await.get_with("/film", &[("Host", "shop.test")]).await;
    assert_eq!((answer.status, answer.body.len()), (200, (2 << 20) + 10));
    let on_disk = async {
        loop {
            let stored = told(admin, "/v1/objects?url=http://shop.test/film").await;
            if stored["variants"][0]["representations"][0]["blocks_on_disk"] == 3 {
                return stored;
            }
        }
    };
    let stored = within(Duration::from_secs(10), on_disk).await;
    let variant = &stored["variants"][0];
    assert_eq!(
        (variant["on_disk"].as_bool(), variant["representations"][0]["blocks"].as_u64()),
        (Some(true), Some(3)),
        "{stored}"
    );
    assert_eq!(variant["representations"][0]["blocks_in_memory"], 3, "{stored}");
    // What waits to be written is written at the end. After a restart memory is empty, and the disk has it.
    node.terminate();
    assert_eq!(node.exit_code().await, Some(0));
    let node = disk_rig::binary(&origin.url(), &directory.path().join("cache"), &["--admin", "0"]);
    let admin = admin_address(&node).await;
    within(Duration::from_secs(10), async { while get(admin, "/readyz").await.status != 200 {} }).await;
    let stored = told(admin, "/v1/objects?url=http://shop.test/film").await;
    let variant = &stored["variants"][0];
    assert_eq!(
        (variant["head_in_memory"].as_bool(), variant["on_disk"].as_bool()),
        (Some(false), Some(true)),
        "{stored}"
    );
    let blocks = &variant["representations"][0];
    assert_eq!(
        (blocks["blocks_in_memory"].as_u64(), blocks["blocks_on_disk"].as_u64()),
        (Some(0), Some(3)),
        "{stored}"
    );
    assert_eq!(origin.hits(), 1);
}

#[tokio::test]
async fn what_is_asked_for_most_is_told_first() {
    let node = node().await;
    let admin = admin_of(&node.running);
    let mut client = node.client().await;
    for nth in 0..3000 {
        let path = if nth % 3 == 0 { format!("/cold-{nth}") } else { "/hot".to_owned() };
        client.get_with(&path, &[("Host", "shop.test")]).await;
    }
    let hot = told(admin, "/v1/objects/hot?limit=3").await;
    let first = &hot["keys"][0];
    assert_eq!(
        (first["url"].as_str(), first["site"].as_str()),
        (Some("http://shop.test/hot"), Some("default")),
        "{hot}"
    );
    // 2,000 of them; of a sample of about 31 nobody expects more.
    assert!(first["requests_about"].as_u64().is_some_and(|about| (500..4500).contains(&about)), "{hot}");
    assert!(hot["keys"].as_array().is_some_and(|keys| keys.len() <= 3));
    node.running.drain();
}

#[tokio::test]
async fn a_node_that_is_taken_out_serves_on_and_comes_back() {
    let node = node().await;
    let admin = admin_of(&node.running);
    for _ in 0..2 {
        let drained = tell(admin, "POST", "/v1/node/drain", "").await;
        assert_eq!(
            (drained.status, drained.text().as_str()),
            (200, "{\"ready\":false,\"reason\":\"drained\",\"drained\":true}\n")
        );
    }
    let ready = get(admin, "/readyz").await;
    assert_eq!((ready.status, ready.text().as_str()), (503, "{\"ready\":false,\"reason\":\"drained\"}\n"));
    assert_eq!(fetch(&node, "/a", &[]).await.status, 200, "who comes is served");
    let health = told(admin, "/healthz").await;
    assert_eq!((health["drained"].as_bool(), health["draining"].as_bool()), (Some(true), Some(false)));
    assert_eq!(tell(admin, "POST", "/v1/node/undrain", "").await.status, 200);
    assert_eq!(get(admin, "/readyz").await.status, 200);
    assert_eq!(told(admin, "/v1/node").await["drained"], false);
    node.running.drain();
}

#[tokio::test]
async fn the_log_level_changes_at_once_and_changes_leave_a_line() {
    let url = format!("http://{}", refusing_addr());
    let args = ["serve", "--listen", "127.0.0.1:0", "--admin", "0", "--access-log", "off", "--origin", &url];
    let node = Process::start(FOREBAY, &args);
    let admin = admin_address(&node).await;
    assert_eq!(told(admin, "/v1/log-level").await["level"], "info");
    // At this level nothing else would be told.
    let set = tell(admin, "PUT", "/v1/log-level", "{\"level\":\"error\"}").await;
    assert_eq!((set.status, set.text().as_str()), (200, "{\"level\":\"error\"}\n"));
    let line = node.wait_for_line("set the log level").await;
    assert!(
        line.contains("what=\"set the log level\" on=\"error\" outcome=\"done\"")
            && line.contains("who=127.0.0.1:"),
        "{line}"
    );
    for (json, status, kind) in [
        ("{\"level\":\"loud\"}", 422, "unusable"),
        ("{\"level\":\"info\",\"more\":1}", 422, "unusable"),
        ("{", 400, "malformed"),
        (&format!("{{\"level\":\"{}\"}}", "x".repeat(5000)), 413, "too-long"),
    ] {
        let answer = tell(admin, "PUT", "/v1/log-level", json).await;
        assert_eq!((answer.status, word(&answer).as_str()), (status, kind), "{json}");
    }
    node.wait_for_line("outcome=\"unusable\"").await;
    assert_eq!(told(admin, "/v1/log-level").await["level"], "error");
    tell(admin, "POST", "/v1/endpoints/default/nowhere%0A%1B/drain", "").await;
    let line = node.wait_for_line("drain an endpoint").await;
    assert!(line.contains("on=\"default nowhere\\n\\u{1b}\" outcome=\"no-such-endpoint\""), "{line}");
    tell(admin, "POST", "/v1/node/drain", "").await;
    node.wait_for_line("what=\"drain the node\"").await;
    tell(admin, "PUT", "/v1/log-level", "{\"level\":\"debug\"}").await;
    let address = node.listening().await;
    Client::connect(address).await.get_with("/a", &[("Host", "shop.test")]).await;
    // Told at this level alone.
    node.wait_for_line("DEBUG an endpoint could not be reached").await;
}

#[tokio::test]
async fn the_configuration_is_shown_without_secrets_and_texts_are_checked() {
    let folder = tempfile::tempdir().expect("a directory");
    let main = "[[listeners]]\naddress = \"127.0.0.1:0\"\n[admin]\naddress = 0\n[log]\naccess = \"off\"\n\
                [sites.a]\nhosts = [\"*\"]\npool = \"p\"\n[pools.p]\nendpoints = [\"http://127.0.0.1:9\"]\n\
                send_fields = { X-Plain = \"in-the-clear\", X-Kept = { file = \"key\" } }\n";
    let file = folder.path().join("main.toml");
    std::fs::write(&file, main).expect("written");
    std::fs::write(folder.path().join("key"), "hush").expect("written");
    let node =
        Process::start(FOREBAY, &["serve", "--config", file.to_str().expect("UTF-8"), "--memory", "128MiB"]);
    let admin = admin_address(&node).await;
    let config = get(admin, "/v1/config").await;
    assert_eq!(config.header("content-type"), Some("application/toml"));
    let text = config.text();
    assert!(text.contains("limit = \"128MiB\"") && text.contains("max_connections = "), "{text}");
    assert!(
        !text.contains("in-the-clear") && !text.contains("hush") && text.contains("x-plain = \"(hidden)\""),
        "{text}"
    );
    let check = async |toml: &str| -> Value {
        let json = serde_json::json!({ "toml": toml }).to_string();
        let answer = tell(admin, "POST", "/v1/config/validate", &json).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        serde_json::from_str(&answer.text()).expect("JSON")
    };
    assert_eq!(
        check("[node]\nworkers = 2\n").await,
        serde_json::json!({ "valid": true, "complaints": [], "text": "" })
    );
    let wrong = check("[node]\nworkres = 2\n").await;
    assert_eq!(
        (wrong["valid"].as_bool(), wrong["complaints"][0]["line"].as_u64()),
        (Some(false), Some(2)),
        "{wrong}"
    );
    assert!(
        wrong["complaints"][0]["what_to_do"].as_str().is_some_and(|hint| hint.contains("workers")),
        "{wrong}"
    );
    // What is in a file of this machine is nobody's to be told.
    let secret = folder.path().join("secret.toml");
    std::fs::write(&secret, "very secret\n").expect("written");
    for include in [
        format!("include = [{:?}]", secret.display().to_string()),
        format!("include = {:?}", secret.display().to_string()),
    ] {
        let included = check(&include).await;
        assert!(
            included["valid"] == false && !included["text"].as_str().unwrap().contains("very secret"),
            "{included}"
        );
        assert!(included["text"].as_str().unwrap().contains("not included here"), "{included}");
    }
    let long = serde_json::json!({ "toml": "#".repeat(4 << 20) }).to_string();
    let answer = tell(admin, "POST", "/v1/config/validate", &long).await;
    assert_eq!((answer.status, word(&answer).as_str()), (413, "too-long"));
    // What was refused has changed nothing.
    assert_eq!(get(admin, "/v1/config").await.text(), text);
}

#[tokio::test]
async fn errors_are_problems_and_everything_is_described() {
    let node = node().await;
    let admin = admin_of(&node.running);
    let document = told(admin, "/openapi.json").await;
    assert_eq!(document["openapi"], "3.1.0");
    let paths = document["paths"].as_object().expect("paths");
    for path in [
        "/v1/stats",
        "/v1/objects",
        "/v1/objects/hot",
        "/v1/explain",
        "/v1/endpoints/{pool}/{endpoint}/drain",
        "/metrics",
        "/readyz",
    ] {
        assert!(paths.contains_key(path), "{path}");
    }
    for (path, item) in paths {
        for (method, operation) in item.as_object().expect("methods") {
            let answers = operation["responses"].as_object().expect("answers");
            let open = ["/healthz", "/readyz"].contains(&path.as_str());
            for status in if open { &["405", "421"][..] } else { &["401", "405", "421", "429"] } {
                assert!(answers.contains_key(*status), "{method} {path} {status}");
            }
            if method != "get" {
                assert!(["403", "415"].iter().all(|status| answers.contains_key(*status)), "{method} {path}");
            }
        }
    }
    let page = get(admin, "/docs").await;
    assert!(
        page.header("content-security-policy").is_some_and(|policy| policy.starts_with("default-src 'none'"))
    );
    let page = page.text();
    assert!(
        page.contains("/v1/endpoints/{pool}/{endpoint}/drain")
            && page.contains("urn:forebay:problem:wrong-host")
    );
    assert!(!page.contains("<script") && !page.contains("src="), "{page}");
    let nowhere = get(admin, "/v2/stats").await;
    assert_eq!((nowhere.status, word(&nowhere).as_str()), (404, "no-such-path"));
    for (method, path, allowed) in
        [("DELETE", "/v1/stats", "GET"), ("GET", "/v1/node/drain", "POST"), ("POST", "/v1/log-level", "PUT")]
    {
        let answer = tell(admin, method, path, "").await;
        assert_eq!((answer.status, word(&answer).as_str()), (405, "no-such-method"), "{method} {path}");
        assert!(
            answer.header("allow").is_some_and(|allow| allow.contains(allowed)),
            "{method} {path}: {:?}",
            answer.headers
        );
    }
    node.running.drain();
}

#[tokio::test]
async fn every_path_word_and_command_stands_in_the_documentation() {
    let node = node().await;
    let text =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/ADMIN_API.md")).expect("a file");
    let document = told(admin_of(&node.running), "/openapi.json").await;
    for path in document["paths"].as_object().expect("paths").keys() {
        let stands = [format!("{path}`"), format!("{path} "), format!("{path}?"), format!("{path}[")];
        assert!(stands.iter().any(|path| text.contains(path)), "{path}");
    }
    for kind in Kind::ALL {
        assert!(text.contains(&format!("`{}`", kind.word())), "{}", kind.word());
    }
    let help = String::from_utf8(run(FOREBAY, &["--help"]).await.stdout).expect("UTF-8");
    let (_, commands) = help.split_once("Commands:").expect("commands");
    let (commands, _) = commands.split_once("Options:").expect("options");
    let asks = |name: &&str| !["serve", "check", "help"].contains(name);
    let names: Vec<&str> =
        commands.lines().filter_map(|line| line.split_whitespace().next()).filter(asks).collect();
    assert!(names.contains(&"purge") && names.contains(&"reload"), "{names:?}");
    for name in names {
        assert!(text.contains(&format!("| `forebay {name}")), "{name}");
    }
    node.running.drain();
}

#[tokio::test]
async fn a_node_without_a_file_has_nothing_to_read_anew() {
    let node = node().await;
    for method in ["GET", "POST"] {
        let answer = tell(admin_of(&node.running), method, "/v1/config/reload", "").await;
        assert_eq!((answer.status, word(&answer).as_str()), (409, "not-here"), "{method}");
    }
    node.running.drain();
}
