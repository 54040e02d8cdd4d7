//! The built binary at its end, and what it says on its way: draining, the access log, the log for people.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::cli::FOREBAY;
use crate::support::client::{Client, Ended};
use crate::support::origin::{Act, Gate, Origin, SeenRequest, head, respond};
use crate::support::process::{Process, run};
use crate::support::{ms, wait_for_lines, within};

const FRESH: (&str, &str) = ("Cache-Control", "max-age=60");

/// An origin whose answers stop in the middle until the gate opens.
async fn halting(gate: &Arc<Gate>) -> Origin {
    let gate = Arc::clone(gate);
    Origin::tcp(move |_, _| {
        let head = head("200 OK", &[FRESH, ("Content-Length", "8")]);
        vec![head, Act::send("half"), Act::WaitFor(gate.clone()), Act::send("half")]
    })
    .await
}

/// A node in front of `origin`, and its address: one of the loopback's that no other test listens at, so that nobody does
/// once the node does not.
async fn node(origin: &Origin, more: &[&str]) -> (Process, SocketAddr) {
    let url = origin.url();
    let own = format!("127.{}.{}.{}:0", fastrand::u8(64..128), fastrand::u8(..), fastrand::u8(1..255));
    let args = [&["serve", "--listen", &own, "--origin", &url], more].concat();
    let node = Process::start(FOREBAY, &args);
    let address = node.listening().await;
    (node, address)
}

/// Waits until nobody listens there any more.
async fn refused(address: SocketAddr) {
    let trying = async { while TcpStream::connect(address).await.is_ok() {} };
    within(Duration::from_secs(10), trying).await;
}

#[tokio::test]
async fn a_running_response_finishes_and_nothing_new_is_accepted() {
    let gate = Gate::new();
    let origin = halting(&gate).await;
    let (mut node, address) = node(&origin, &[]).await;
    let mut client = Client::connect(address).await;
    client.request("GET", "/", &[], b"").await;
    assert_eq!(client.read_head().await.status, 200);
    node.terminate();
    node.wait_for_line("draining").await;
    refused(address).await;
    gate.open();
    assert_eq!(client.read_body().await, b"halfhalf");
    assert!(client.is_complete());
    assert_eq!(client.expect_end().await, Ended::Closed);
    assert_eq!(node.exit_code().await, Some(0));
}

#[tokio::test]
async fn a_response_outlives_the_worker_that_fetches_it() {
    let gate = Gate::new();
    let origin = halting(&gate).await;
    let (mut node, address) = node(&origin, &["--workers", "16"]).await;
    let mut leader = Client::connect(address).await;
    leader.request("GET", "/", &[], b"").await;
    leader.read_head().await;
    // Sixteen workers: most likely another one serves the waiter.
    let mut waiter = Client::connect(address).await;
    waiter.request("GET", "/", &[], b"").await;
    waiter.read_head().await;
    drop(leader);
    node.terminate();
    refused(address).await;
    gate.open();
    assert_eq!(waiter.read_body().await, b"halfhalf");
    assert!(waiter.is_complete());
    assert_eq!(node.exit_code().await, Some(0));
    assert_eq!(origin.hits(), 1);
}

#[tokio::test]
async fn idle_connections_do_not_hold_it_up() {
    let origin = Origin::tcp(|_, _| vec![respond("200 OK", &[FRESH], "body")]).await;
    let (mut node, address) = node(&origin, &[]).await;
    let mut idle = Client::connect(address).await;
    idle.get("/").await;
    let begun = Instant::now();
    node.terminate();
    assert_eq!(idle.expect_end().await, Ended::Closed);
    assert_eq!(node.exit_code().await, Some(0));
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_response_that_never_ends_is_cut_at_the_deadline() {
    let origin = halting(&Gate::new()).await;
    let (mut node, address) = node(&origin, &["--drain", "300ms"]).await;
    let mut client = Client::connect(address).await;
    client.request("GET", "/", &[], b"").await;
    client.read_head().await;
    let begun = Instant::now();
    node.terminate();
    assert_eq!(client.read_body().await, b"half");
    assert!(!client.is_complete(), "half a body never passes for a whole one");
    assert_eq!(node.exit_code().await, Some(0));
    let took = begun.elapsed();
    assert!(ms(300) <= took && took < Duration::from_secs(5), "{took:?}");
    node.wait_for_line("the drain deadline passed").await;
}

// ---- what it says ----

fn site(request: &SeenRequest, _: usize) -> Vec<Act> {
    match request.path() {
        "/private" => vec![respond("200 OK", &[("Cache-Control", "private")], "mine")],
        "/cut" => vec![head("200 OK", &[FRESH, ("Content-Length", "9")]), Act::send("cut"), Act::Close],
        "/dead" => vec![Act::Close],
        _ => vec![Act::ReadBody, respond("200 OK", &[FRESH], "body")],
    }
}

/// The lines of the access log after these requests, each on a connection of its own.
async fn logged(requests: &[(&str, &str)]) -> Vec<Value> {
    let origin = Origin::tcp(site).await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("access.log");
    let (mut node, address) = node(&origin, &["--access-log", path.to_str().unwrap()]).await;
    for ((method, target), lines) in requests.iter().zip(1..) {
        let mut client = Client::connect(address).await;
        client.request(method, target, &[], b"").await;
        // Cut early enough, a body takes its head with it.
        client.try_answer().await;
        wait_for_lines(&path, lines).await;
    }
    node.terminate();
    assert_eq!(node.exit_code().await, Some(0));
    let log = std::fs::read_to_string(path).unwrap();
    log.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect()
}

#[tokio::test]
async fn the_access_log_says_in_json_what_was_decided() {
    let requests = [
        ("GET", "/page"),
        ("GET", "/page"),
        ("POST", "/page"),
        ("GET", "/private"),
        ("GET", "/cut"),
        ("GET", "/dead"),
        ("TRACE", "/"),
    ];
    let said: Vec<_> = logged(&requests)
        .await
        .iter()
        .map(|line| {
            let text = |name: &str| line[name].as_str().unwrap_or("-").to_owned();
            let number = |name: &str| line[name].as_u64().expect("a number");
            let (status, bytes) = (number("status"), number("bytes"));
            format!(
                "{} {} {status} {} {} {bytes}",
                text("method"),
                text("target"),
                text("cache"),
                text("detail")
            )
        })
        .collect();
    let failed = said[5].rsplit_once(' ').unwrap().0;
    assert_eq!(
        said[..5],
        [
            "GET /page 200 uri-miss - 4",
            "GET /page 200 hit - 4",
            "POST /page 200 method - 4",
            "GET /private 200 uri-miss private 4",
            "GET /cut 200 uri-miss - 3",
        ]
    );
    assert_eq!(failed, "GET /dead 502 uri-miss connection_terminated");
    assert!(said[6].starts_with("TRACE / 405 rejected method "), "{}", said[6]);
}

#[tokio::test]
async fn the_access_log_tells_a_cut_body_from_a_whole_one() {
    let lines = logged(&[("GET", "/page"), ("GET", "/cut"), ("HEAD", "/page")]).await;
    let ends: Vec<_> = lines.iter().map(|line| (line["complete"].clone(), line["broken"].clone())).collect();
    assert_eq!(ends[0], (true.into(), Value::Null));
    assert_eq!(ends[1], (false.into(), "incomplete".into()));
    assert_eq!(ends[2], (true.into(), Value::Null));
    assert_eq!((lines[0]["client"].as_str(), lines[0]["host"].as_str()), (Some("127.0.0.1"), Some("test")));
    assert_eq!(lines[0]["version"], "HTTP/1.1");
}

#[tokio::test]
async fn people_read_standard_error_and_programs_standard_output() {
    let origin = Origin::tcp(site).await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("stdout");
    // With standard output in a file, the lines that are seen here are those of standard error.
    let serve = format!(
        "exec {FOREBAY} serve --listen 127.0.0.1:0 --origin {} >{}",
        origin.url(),
        path.to_str().unwrap()
    );
    let mut node = Process::start("/bin/sh", &["-c", &serve]);
    let address = node.listening().await;
    Client::connect(address).await.get("/page").await;
    node.terminate();
    assert_eq!(node.exit_code().await, Some(0));
    node.wait_for_line("stopped").await;
    let stdout = std::fs::read_to_string(path).unwrap();
    let line: Value = serde_json::from_str(&stdout).unwrap_or_else(|e| panic!("{e}: {stdout}"));
    assert_eq!((line["target"].as_str(), line["cache"].as_str()), (Some("/page"), Some("uri-miss")));
    assert!(node.lines().iter().all(|line| !line.starts_with('{')), "{:?}", node.lines());
}

#[tokio::test]
async fn a_log_that_cannot_be_written_is_told_and_holds_nothing_up() {
    let origin = Origin::tcp(site).await;
    let (mut node, address) = node(&origin, &["--access-log", "/dev/full"]).await;
    for _ in 0..3 {
        assert_eq!(Client::connect(address).await.get("/page").await.status, 200);
    }
    node.wait_for_line("the access log cannot be written").await;
    node.terminate();
    assert_eq!(node.exit_code().await, Some(0));
    node.wait_for_line("lines were dropped lines=3").await;
}

#[tokio::test]
async fn a_log_that_nobody_reads_does_not_hold_up_the_end() {
    let origin = Origin::tcp(site).await;
    let directory = tempfile::tempdir().unwrap();
    let fifo = directory.path().join("fifo");
    assert!(run("mkfifo", &[&fifo]).await.status.success());
    let _unread = std::fs::OpenOptions::new().read(true).write(true).open(&fifo).unwrap();
    let (mut node, address) = node(&origin, &["--access-log", fifo.to_str().unwrap()]).await;
    let mut client = Client::connect(address).await;
    // Some ten lines more than a pipe takes.
    for n in 0..40 {
        client.get(&format!("/{n}?{}", "q".repeat(2 << 10))).await;
    }
    let begun = Instant::now();
    node.terminate();
    assert_eq!(node.exit_code().await, Some(0));
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    node.wait_for_line("could not be written in time").await;
}
