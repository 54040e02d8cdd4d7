//! The command line, as a stranger meets it.

use std::process::Output;

use crate::support::client::{Answer, Client};
use crate::support::origin::{Origin, SeenRequest, refusing_addr, respond};
use crate::support::process::{Process, run};

pub const FOREBAY: &str = env!("CARGO_BIN_EXE_forebay");

async fn forebay(args: &[&str]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = run(FOREBAY, args).await;
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (status.code(), text(stdout), text(stderr))
}

/// What is wrong with these arguments, which end the program with 2 before anything is started.
async fn complaint(args: &[&str]) -> String {
    let (code, stdout, stderr) = forebay(args).await;
    assert_eq!((code, stdout.as_str()), (Some(2), ""), "{args:?}: {stderr}");
    stderr
}

#[tokio::test]
async fn help_is_on_standard_output() {
    let (code, stdout, stderr) = forebay(&["serve", "--help"]).await;
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    for option in ["--origin <http://HOST:PORT>", "--listen <ADDR>", "--memory <SIZE>", "--drain <TIME>"] {
        assert!(stdout.contains(option), "{option} in {stdout}");
    }
    let (code, stdout, _) = forebay(&["--help"]).await;
    assert_eq!(code, Some(0));
    assert!(stdout.contains("serve"), "{stdout}");
}

#[tokio::test]
async fn the_version_is_told() {
    let (code, stdout, _) = forebay(&["--version"]).await;
    assert_eq!((code, stdout), (Some(0), format!("forebay {}\n", env!("CARGO_PKG_VERSION"))));
}

#[tokio::test]
async fn without_a_command_the_help_is_shown() {
    assert!(complaint(&[]).await.contains("Usage: forebay"));
}

#[tokio::test]
async fn a_bad_origin_is_told_what_to_write() {
    for origin in ["localhost:3000", "http://", "nonsense", "http://a:99999"] {
        let message = complaint(&["serve", "--origin", origin]).await;
        assert!(message.contains("write http://HOST:PORT"), "{origin}: {message}");
    }
    let message = complaint(&["serve", "--origin", "http://a/path"]).await;
    assert!(message.contains("write only http://HOST:PORT"), "{message}");
    let message = complaint(&["serve", "--origin", "http://a", "--origin", "ftp://b"]).await;
    assert!(message.contains("by http:// or https://"), "{message}");
}

#[tokio::test]
async fn origins_that_are_given_one_by_one_take_turns() {
    let page = |_: &SeenRequest, _| vec![respond("200 OK", &[], "page")];
    let (one, two) = (Origin::tcp(page).await, Origin::tcp(page).await);
    let args = [
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--origin",
        &one.url(),
        "--origin",
        &two.url(),
        "--access-log",
        "off",
    ];
    let node = Process::start(FOREBAY, &args);
    let mut client = Client::connect(node.listening().await).await;
    for path in ["/1", "/2", "/3", "/4"] {
        assert_eq!(client.get(path).await.text(), "page");
    }
    assert_eq!((one.hits(), two.hits()), (2, 2));
}

#[tokio::test]
async fn a_bad_size_is_told_what_to_write() {
    let message = complaint(&["serve", "--memory", "lots"]).await;
    assert!(message.contains("--memory") && message.contains("such as 512MiB"), "{message}");
    let message = complaint(&["serve", "--memory", "1MiB"]).await;
    assert!(message.contains("--memory") && message.contains("give at least 64MiB"), "{message}");
}

#[tokio::test]
async fn a_bad_address_is_told_what_to_write() {
    for address in ["nonsense", "8080", "localhost:8080", ":8080", "127.0.0.1", "127.0.0.1:70000"] {
        let message = complaint(&["serve", "--listen", address]).await;
        assert!(message.contains("--listen"), "{address}: {message}");
        assert!(message.contains("write IP:PORT, for example 127.0.0.1:8080"), "{address}: {message}");
    }
}

#[tokio::test]
async fn a_place_that_cannot_be_written_is_named() {
    let message = complaint(&["serve", "--spill-dir", "/proc/nowhere"]).await;
    assert!(message.contains("--spill-dir: /proc/nowhere"), "{message}");
    let message = complaint(&["serve", "--access-log", "/proc/nowhere/log"]).await;
    assert!(message.contains("--access-log: cannot write /proc/nowhere/log"), "{message}");
}

#[tokio::test]
async fn an_address_in_use_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (code, _, stderr) = forebay(&["serve", "--listen", &address]).await;
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains(&format!("cannot listen on {address}")), "{stderr}");
    assert!(stderr.contains("choose another with --listen"), "{stderr}");
}

#[tokio::test]
async fn two_nodes_never_share_an_address() {
    let mut first = Process::start(FOREBAY, &["serve", "--listen", "127.0.0.1:0"]);
    let address = first.listening().await.to_string();
    let (code, _, stderr) = forebay(&["serve", "--listen", &address]).await;
    assert_eq!(code, Some(1), "{stderr}");
    first.kill().await;
}

#[tokio::test]
async fn the_demo_site_shows_a_miss_and_then_a_hit() {
    let mut node = Process::start(FOREBAY, &["serve", "--listen", "127.0.0.1:0"]);
    let address = node.listening().await;
    node.wait_for_line(&format!("curl -i http://{address}/ ")).await;
    let mut client = Client::connect(address).await;
    let miss = client.get("/").await;
    assert_eq!((miss.status, miss.cache_status().as_str()), (200, "forebay; fwd=uri-miss; stored"));
    let hit = client.get("/").await;
    assert!(hit.cache_status().starts_with("forebay; hit; ttl="), "{}", hit.cache_status());
    assert_eq!(hit.body, miss.body);
    node.terminate();
    assert_eq!(node.exit_code().await, Some(0));
}

#[tokio::test]
async fn the_demo_site_has_what_it_promises() {
    let node = Process::start(FOREBAY, &["serve", "--listen", "127.0.0.1:0"]);
    let mut client = Client::connect(node.listening().await).await;
    let kind = |answer: &Answer| answer.header("content-type").unwrap_or_default().to_owned();
    for (path, content_type) in [
        ("/", "text/html; charset=utf-8"),
        ("/style.css", "text/css"),
        ("/script.js", "text/javascript"),
        ("/picture.svg", "image/svg+xml"),
    ] {
        let answer = client.get(path).await;
        assert_eq!((answer.status, kind(&answer).as_str()), (200, content_type), "{path}");
    }
    for _ in 0..2 {
        let time = client.get("/time").await;
        assert!(time.cache_status().contains("fwd=uri-miss"), "{}", time.cache_status());
    }
    assert_eq!(client.get("/download").await.body.len(), 20_000_000);
    assert_eq!(client.get("/nowhere").await.status, 404);
}

#[tokio::test]
async fn an_interrupt_ends_it() {
    let mut node = Process::start(FOREBAY, &["serve", "--listen", "127.0.0.1:0"]);
    node.listening().await;
    node.signal("INT");
    assert_eq!(node.exit_code().await, Some(0));
    node.wait_for_line("stopped").await;
}

#[tokio::test]
async fn it_listens_wherever_it_is_told() {
    let (one, two) = (refusing_addr().await.to_string(), refusing_addr().await.to_string());
    let node = Process::start(FOREBAY, &["serve", "--listen", &one, "--listen", &two]);
    for address in [&one, &two] {
        node.wait_for_line(&format!("listening on http://{address}")).await;
        let mut client = Client::connect(address.parse().unwrap()).await;
        assert_eq!(client.get("/").await.status, 200);
    }
}
