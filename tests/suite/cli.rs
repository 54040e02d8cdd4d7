//! The command line, as a stranger meets it.

use std::path::Path;
use std::process::Output;

use tokio::io::{AsyncBufReadExt as _, BufReader};

use crate::support::authority::Authority;
use crate::support::client::{Answer, Client};
use crate::support::origin::{Origin, SeenRequest, refusing_addr, respond};
use crate::support::process::{Process, run};

pub const FOREBAY: &str = env!("CARGO_BIN_EXE_forebay");

pub async fn forebay(args: &[&str]) -> (Option<i32>, String, String) {
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
async fn tls_needs_a_listener_and_a_certificate_with_its_key() {
    let authority = Authority::new();
    let pair = authority.pair("main", &["site.test"], 2999);
    let (cert, key) = (pair.chain.to_str().expect("UTF-8"), pair.key.to_str().expect("UTF-8"));
    for (args, said) in [
        (&["--tls-listen", "127.0.0.1:0"][..], "--tls-listen needs a certificate"),
        (&["--tls-listen", "127.0.0.1:0", "--cert", cert], "--cert and --key belong together"),
        (&["--cert", cert, "--key", key], "--cert and --key are for --tls-listen"),
        (&["--tls-listen", "127.0.0.1:0", "--cert", key, "--key", key], "there is no certificate in"),
        (&["--tls-listen", "somewhere"], "write IP:PORT"),
        (
            &["--listen", "127.0.0.1:1", "--tls-listen", "127.0.0.1:1", "--cert", cert, "--key", key],
            "said twice",
        ),
    ] {
        let message = complaint(&[&["serve", "--origin", "http://127.0.0.1:1"], args].concat()).await;
        assert!(message.contains(said), "{args:?}: {message}");
    }
}

#[tokio::test]
async fn curl_and_openssl_get_their_page_by_tls() {
    let origin = Origin::tcp(|_, _| vec![respond("200 OK", &[], "page")]).await;
    let authority = Authority::new();
    let pair = authority.pair("main", &["site.test", "127.0.0.1"], 2999);
    let (cert, key) = (pair.chain.to_str().expect("UTF-8"), pair.key.to_str().expect("UTF-8"));
    let url = origin.url();
    let args = ["serve", "--access-log", "off", "--origin", &url, "--tls-listen", "127.0.0.1:0"];
    let node = Process::start(FOREBAY, &[&args[..], &["--cert", cert, "--key", key]].concat());
    let address = node.listening().await;
    assert!(node.lines().iter().any(|line| line.contains("listening on https://")), "{:?}", node.lines());
    let ca = authority.file();
    let ca = ca.to_str().expect("UTF-8");
    let (port, host) = (address.port(), "https://site.test");
    let resolve = format!("site.test:{port}:127.0.0.1");
    for version in ["1.2", "1.3"] {
        let at_least = format!("--tlsv{version}");
        let page = format!("{host}:{port}/");
        let args = ["-sS", "--cacert", ca, "--resolve", &resolve, "--tls-max", version, &at_least, &page];
        let Output { status, stdout, stderr } = run("curl", &args).await;
        assert!(status.success() && stdout == b"page", "{version}: {}", String::from_utf8_lossy(&stderr));
    }
    let connect = format!("127.0.0.1:{port}");
    let args = ["s_client", "-connect", &connect, "-servername", "site.test", "-CAfile", ca, "-brief"];
    let Output { stderr, .. } = run("openssl", &args).await;
    let said = String::from_utf8_lossy(&stderr);
    assert!(said.contains("Protocol version: TLSv1.3") && said.contains("Verification: OK"), "{said}");
    node.terminate();
}

#[tokio::test]
async fn what_is_said_twice_is_refused() {
    let message = complaint(&["serve", "--origin", "http://a", "--origin", "http://A:80"]).await;
    assert!(message.contains("--origin http://a:80 is said twice"), "{message}");
    let message = complaint(&["serve", "--listen", "127.0.0.1:1", "--listen", "127.0.0.1:1"]).await;
    assert!(message.contains("--listen 127.0.0.1:1 is said twice"), "{message}");
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
    assert!(message.contains("the spill directory /proc/nowhere"), "{message}");
    let message = complaint(&["serve", "--access-log", "/proc/nowhere/log"]).await;
    assert!(message.contains("cannot write the access log /proc/nowhere/log"), "{message}");
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

/// A node that starts again finds its port free, though connections and other tests are given ports meanwhile.
#[tokio::test]
async fn a_port_is_a_tests_own_while_it_lives() {
    let held = refusing_addr();
    for _ in 0..2 {
        assert!(tokio::net::TcpStream::connect(held).await.is_err());
        let taken = tokio::net::TcpSocket::new_v4().unwrap().bind(held);
        assert!(taken.is_err(), "as a connection's own port it would be in the way");
        let mut node = Process::start(FOREBAY, &["serve", "--listen", &held.to_string()]);
        assert_eq!(node.listening().await, held);
        node.kill().await;
    }
}

#[tokio::test]
async fn the_demo_site_shows_a_miss_and_then_a_hit() {
    let mut node = Process::start(FOREBAY, &["serve", "--listen", "127.0.0.1:0"]);
    let address = node.listening().await;
    node.wait_for_line(&format!("curl -i http://{address}/ ")).await;
    let mut client = Client::connect(address).await;
    let miss = client.get("/").await;
    assert_eq!(miss.status, 200);
    assert!(
        miss.cache_status().starts_with("forebay; fwd=uri-miss; stored; ttl="),
        "{}",
        miss.cache_status()
    );
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
    let (one, two) = (refusing_addr().to_string(), refusing_addr().to_string());
    let node = Process::start(FOREBAY, &["serve", "--listen", &one, "--listen", &two]);
    for address in [&one, &two] {
        node.wait_for_line(&format!("listening on http://{address}")).await;
        let mut client = Client::connect(address.parse().unwrap()).await;
        assert_eq!(client.get("/").await.status, 200);
    }
}

/// A folder with a configuration of two sites, one of them at `origin`, with an admin listener and a disk tier.
fn configured(origin: &Origin) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a directory");
    let text = format!(
        r#"include = ["sites.d"]
        [[listeners]]
        address = "127.0.0.1:0"
        [admin]
        address = 0
        [disk]
        directory = "cache"
        limit = "64MiB"
        [log]
        access = "access.log"
        format = "fields"
        fields = ["site", "status"]
        [pools.app]
        endpoints = ["{}"]
        send_fields = {{ X-Key = {{ file = "key" }} }}"#,
        origin.url()
    );
    let site = |name: &str, from: &str| format!("[sites.{name}]\nhosts = [\"{name}.test\"]\n{from}\n");
    std::fs::create_dir(folder.path().join("sites.d")).expect("made");
    for (name, text) in [
        ("main.toml", text),
        ("key", "hush\n".into()),
        ("sites.d/shop.toml", site("shop", "pool = \"app\"")),
        ("sites.d/lost.toml", site("lost", "origins = [\"http://nowhere.invalid\"]")),
    ] {
        std::fs::write(folder.path().join(name), text).expect("written");
    }
    folder
}

#[tokio::test]
async fn a_file_says_what_is_served() {
    let origin =
        Origin::tcp(|seen, _| vec![respond("200 OK", &[], seen.header("x-key").unwrap_or("none"))]).await;
    let folder = configured(&origin);
    let file = folder.path().join("main.toml");
    let mut node = Process::start(FOREBAY, &["serve", "--config", file.to_str().expect("UTF-8")]);
    let address = node.listening().await;
    let admin = crate::admin::admin_address(&node).await;
    for (host, status, body) in
        [("shop.test", 200, Some("hush")), ("lost.test", 502, None), ("other.test", 421, None)]
    {
        let mut client = Client::connect(address).await;
        client.send(&format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")).await;
        let answer = client.read_answer().await;
        assert_eq!(answer.status, status, "{host}");
        if let Some(body) = body {
            assert_eq!(answer.text(), body);
        }
    }
    let metrics = crate::admin::scrape(admin).await;
    let endpoint = format!("forebay_endpoint_up{{pool=\"app\",endpoint=\"{}\"}}", origin.url());
    assert_eq!(crate::admin::value(&metrics, &endpoint), Some(1.0), "{metrics}");
    assert!(metrics.contains("site=\"shop\""), "{metrics}");
    node.terminate();
    assert_eq!(node.exit_code().await, Some(0));
    assert!(folder.path().join("cache/format").exists());
    let log = std::fs::read_to_string(folder.path().join("access.log")).expect("a log");
    // A client has its answer before the line is written, and the next one may meet another worker.
    let mut lines: Vec<_> = log.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["- 421", "lost 502", "shop 200"]);
}

#[tokio::test]
async fn options_go_before_the_file() {
    let origin = Origin::tcp(|_, _| vec![respond("200 OK", &[], "other")]).await;
    let folder = configured(&origin);
    let file = folder.path().join("main.toml");
    let (file, url) = (file.to_str().expect("UTF-8"), origin.url());
    let args = ["serve", "--config", file, "--origin", &url, "--admin", "off", "--cache-dir", "off"];
    let mut node = Process::start(FOREBAY, &[&args[..], &["--access-log", "off"]].concat());
    let address = node.listening().await;
    let mut client = Client::connect(address).await;
    client.send("GET / HTTP/1.1\r\nHost: any.test\r\n\r\n").await;
    assert_eq!(client.read_answer().await.status, 200, "the one site is for every host");
    node.terminate();
    assert_eq!(node.exit_code().await, Some(0));
    for none in ["cache", "off", "access.log"] {
        assert!(!folder.path().join(none).exists(), "{none}");
    }
}

#[tokio::test]
async fn a_bad_file_is_told_by_serve_as_by_check() {
    let file = crate::config_docs::root().join("tests/bad_config/key_unknown.toml").display().to_string();
    let (code, _, checked) = forebay(&["check", &file]).await;
    assert_eq!(code, Some(2));
    let told = complaint(&["serve", "--config", &file]).await;
    let all = checked.rsplit_once("\n\n").expect("complaints, and their number").0;
    assert!(told.contains(all), "{told}");
}

#[tokio::test]
async fn who_does_not_hear_its_log_ends_no_node() {
    let origin = Origin::tcp(|_, _| vec![respond("200 OK", &[], "body")]).await;
    let folder = tempfile::tempdir().expect("a directory");
    let log = folder.path().join("access.log").display().to_string();
    let args = ["serve", "--listen", "127.0.0.1:0", "--origin", &origin.url(), "--access-log", &log];
    let mut node = tokio::process::Command::new(FOREBAY);
    let mut node =
        node.args(args).stderr(std::process::Stdio::piped()).kill_on_drop(true).spawn().expect("a node");
    let mut lines = BufReader::new(node.stderr.take().expect("standard error")).lines();
    let mut address = None;
    while let Some(line) = lines.next_line().await.expect("a line") {
        address = address.or(line.split_once("listening on http://").map(|(_, address)| address.to_owned()));
        if line.contains("ready") {
            break;
        }
    }
    // From here on each line to standard error fails, as on a full disk.
    drop(lines);
    std::fs::remove_file(&log).expect("removed");
    let pid = node.id().expect("a pid").to_string();
    let signal = async |name: &str| drop(run("kill", &[name, &pid]).await);
    signal("-USR1").await;
    crate::disk_rig::until("the log is opened anew", || Path::new(&log).exists()).await;
    let address = address.expect("an address").parse().expect("an address");
    assert_eq!(Client::connect(address).await.get("/").await.status, 200);
    signal("-TERM").await;
    assert_eq!(node.wait().await.expect("an end").code(), Some(0));
    assert!(std::fs::read_to_string(&log).expect("a log").contains("\"status\":200"));
}

#[tokio::test]
async fn the_code_is_told_even_if_nothing_else_can_be() {
    let file = crate::config_docs::root().join("tests/bad_config/key_unknown.toml").display().to_string();
    for args in [["check", &file], ["serve", &format!("--config={file}")]] {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("a full device");
        let status = tokio::process::Command::new(FOREBAY).args(args).stderr(full).status().await;
        assert_eq!(status.expect("an end").code(), Some(2), "{args:?}");
    }
}
