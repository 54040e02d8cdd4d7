//! The access log of the built binary: its formats, what a hostile client can do to it, and its rotation.

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use forebay::telemetry::access_log::{Field, JSON};

use crate::admin::{admin_address, scrape, value};
use crate::cli::FOREBAY;
use crate::disk_rig::until;
use crate::metrics::documents;
use crate::support::client::Client;
use crate::support::origin::{Origin, respond};
use crate::support::process::{Process, run};
use crate::support::wait_for_lines;

const FRESH: (&str, &str) = ("Cache-Control", "max-age=60");

async fn origin() -> Origin {
    Origin::tcp(|_, _| vec![respond("200 OK", &[FRESH], "body")]).await
}

/// A node that logs to `path`, and its address.
async fn node(origin: &Origin, path: &Path, more: &[&str]) -> (Process, SocketAddr) {
    let (url, path) = (origin.url(), path.to_str().expect("UTF-8"));
    let args = ["serve", "--listen", "127.0.0.1:0", "--origin", &url, "--access-log", path];
    let node = Process::start(FOREBAY, &[&args[..], more].concat());
    let address = node.listening().await;
    (node, address)
}

/// What the log says of these requests' raw bytes, each on a connection of its own.
async fn logged(format: &str, requests: &[&[u8]]) -> Vec<String> {
    let (origin, directory) = (origin().await, tempfile::tempdir().expect("a directory"));
    let path = directory.path().join("access.log");
    let (mut node, address) = node(&origin, &path, &["--access-log-format", format]).await;
    for (request, lines) in requests.iter().zip(1..) {
        let mut client = Client::connect(address).await;
        client.try_send(request).await.expect("sent");
        client.try_answer().await;
        wait_for_lines(&path, lines).await;
    }
    node.terminate();
    assert_eq!(node.exit_code().await, Some(0));
    fs::read_to_string(path).expect("UTF-8").lines().map(str::to_owned).collect()
}

const PLAIN: &[u8] =
    b"GET /a?b=c HTTP/1.1\r\nHost: Shop.test\r\nUser-Agent: curl/8 (x)\r\nReferer: http://r/\r\n\r\n";

#[tokio::test]
async fn parts_are_told_as_what_they_are() {
    let ask = |range: &str| format!("GET / HTTP/1.1\r\nHost: a\r\nRange: bytes={range}\r\n\r\n").into_bytes();
    let (part, none) = (ask("1-2"), ask("9-"));
    let lines = logged("status,cache,bytes,complete", &[&part, &part, &none]).await;
    assert_eq!(lines[..2], ["206 uri-miss 2 true", "206 hit 2 true"]);
    assert!(lines[2].starts_with("416 hit ") && lines[2].ends_with(" true"), "{}", lines[2]);
}

#[tokio::test]
async fn combined_lines_are_those_of_other_servers() {
    let lines = logged("combined", &[PLAIN]).await;
    let (begin, rest) = lines[0].split_once('[').expect("a time");
    let (time, rest) = rest.split_once(']').expect("a time");
    assert_eq!(begin, "127.0.0.1 - - ");
    assert!(time.len() == 26 && time.ends_with(" +0000") && time.matches('/').count() == 2, "{time}");
    assert_eq!(rest, r#" "GET /a?b=c HTTP/1.1" 200 4 "http://r/" "curl/8 (x)""#);
}

#[tokio::test]
async fn chosen_fields_come_in_their_order() {
    let fields = "status,cache,detail,site,scheme,host,bytes,complete,user_agent,target";
    let lines = logged(fields, &[PLAIN, PLAIN, b"TRACE /x HTTP/1.1\r\nHost: a\r\n\r\n"]).await;
    assert_eq!(
        lines,
        [
            r"200 uri-miss - default http shop.test 4 true curl/8\x20(x) /a?b=c",
            r"200 hit - default http shop.test 4 true curl/8\x20(x) /a?b=c",
            lines[2].as_str(),
        ]
    );
    assert!(lines[2].starts_with("405 rejected method - http a "), "{}", lines[2]);
}

#[tokio::test]
async fn a_refusal_tells_which_host_was_asked_for() {
    let refused = logged(
        "status,site,host",
        &[
            b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
            b"GET http://u@Other.test/ HTTP/1.1\r\nHost: a\r\n\r\n",
            b"POST / HTTP/1.1\r\nHost: Shop.test\r\nContent-Length: 99999999999\r\n\r\n",
        ],
    )
    .await;
    assert_eq!(refused, ["400 - a\\x20b", "400 - u@Other.test", "413 default Shop.test"]);
}

#[tokio::test]
async fn a_long_method_is_cut() {
    let request = format!("{} / HTTP/1.1\r\nHost: a\r\n\r\n", "M".repeat(8000));
    for format in ["json", "combined", "method"] {
        let lines = logged(format, &[request.as_bytes()]).await;
        assert!(lines.len() == 1 && lines[0].len() < 2500 && lines[0].contains("MM…"), "{lines:?}");
    }
}

#[tokio::test]
async fn hostile_requests_make_one_line_each() {
    let long = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(8000));
    let requests: [&[u8]; 6] = [
        b"GET /\"\\%0a%0d HTTP/1.1\r\nHost: a\r\nUser-Agent: \"},{\"a\":\"\\\r\n\r\n",
        b"GET /\xc3\xa9\xc2\x9b31m HTTP/1.1\r\nHost: a\r\nUser-Agent: \xff\xfe\t\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: -\r\nReferer:\r\n\r\n",
        b"WEIRD'METHOD / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: \"\r\n\r\n",
        long.as_bytes(),
    ];
    let every: Vec<_> = Field::ALL.iter().map(|field| field.name()).collect();
    for format in ["json", "combined", &every.join(",")] {
        let lines = logged(format, &requests).await;
        assert!((5..=6).contains(&lines.len()), "at most the second is refused by hyper: {lines:?}");
        for line in &lines {
            assert!(!line.contains(char::is_control), "{line:?}");
            assert!(line.len() < 4096, "{}", line.len());
            match format {
                "json" => drop(serde_json::from_str::<serde_json::Value>(line).expect("JSON")),
                "combined" => assert_eq!(line.matches('"').count(), 6, "{line}"),
                _ => assert_eq!(line.split(' ').count(), every.len(), "{line}"),
            }
        }
    }
}

#[tokio::test]
async fn a_wrong_field_is_told_the_right_one() {
    let output = run(FOREBAY, &["serve", "--access-log-format", "time,statsu"]).await;
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("did you mean \"status\"?"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rotation_under_load_loses_and_doubles_no_line() {
    const CLIENTS: usize = 4;
    const REQUESTS: usize = 500;
    let (origin, directory) = (origin().await, tempfile::tempdir().expect("a directory"));
    let path = directory.path().join("access.log");
    let (mut node, address) = node(&origin, &path, &["--access-log-format", "target", "--admin", "0"]).await;
    let admin = admin_address(&node).await;
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| {
            tokio::spawn(async move {
                let mut connection = Client::connect(address).await;
                for number in 0..REQUESTS {
                    let answer = connection.get(&format!("/{client}-{number}")).await;
                    assert_eq!(answer.status, 200);
                }
            })
        })
        .collect();
    // As logrotate does it: the old name goes away, the signal comes, and the new one is there a moment later.
    let mut rotated = 0;
    while clients.iter().any(|client| !client.is_finished()) {
        let lines = fs::read_to_string(&path).unwrap_or_default().lines().count();
        if lines < 20 {
            tokio::task::yield_now().await;
            continue;
        }
        rotated += 1;
        fs::rename(&path, directory.path().join(format!("access.log.{rotated}"))).expect("moved away");
        node.signal("USR1");
        until("the file is there again", || path.exists()).await;
    }
    for client in clients {
        client.await.expect("all answered");
    }
    assert!(rotated >= 2, "rotated {rotated} times");
    assert_eq!(value(&scrape(admin).await, "forebay_access_log_dropped_lines_total"), Some(0.0));
    node.terminate();
    assert_eq!(node.exit_code().await, Some(0));
    let files =
        fs::read_dir(directory.path()).expect("a directory").map(|entry| entry.expect("a file").path());
    let text: String = files.map(|file| fs::read_to_string(file).expect("text")).collect();
    let lines: Vec<&str> = text.lines().collect();
    let all: BTreeSet<&str> = lines.iter().copied().collect();
    assert_eq!((lines.len(), all.len()), (CLIENTS * REQUESTS, CLIENTS * REQUESTS));
}

#[tokio::test]
async fn a_signal_without_a_file_changes_nothing() {
    let origin = origin().await;
    for to in ["off", "-"] {
        let (mut node, address) = node(&origin, Path::new(to), &[]).await;
        node.signal("USR1");
        assert_eq!(Client::connect(address).await.get("/").await.status, 200);
        node.terminate();
        assert_eq!(node.exit_code().await, Some(0));
    }
}

#[tokio::test]
async fn a_line_is_there_soon_while_the_node_idles() {
    let (origin, directory) = (origin().await, tempfile::tempdir().expect("a directory"));
    let path = directory.path().join("access.log");
    let (_node, address) = node(&origin, &path, &[]).await;
    for number in 1..=3 {
        Client::connect(address).await.get("/").await;
        until("a line", || fs::read_to_string(&path).is_ok_and(|text| text.lines().count() == number)).await;
    }
}

#[test]
fn the_documentation_names_every_field() {
    let row = |field: &Field| {
        let json = if JSON.contains(field) { "json" } else { "" };
        format!("| `{}` | {json} | {} |\n", field.name(), field.help())
    };
    let rows: String = Field::ALL.iter().map(row).collect();
    documents("docs/ACCESS_LOG.md", &format!("| field | in | what |\n|---|---|---|\n{rows}"));
}
