//! The admin listener: whom it answers, what it says of health, and that nobody holds it up.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use forebay::app::{RunError, Running};
use tokio::net::TcpStream;

use crate::cli::FOREBAY;
use crate::disk_rig;
use crate::rig::{Sockets, settings};
use crate::support::client::{Answer, Client};
use crate::support::origin::{Act, Gate, Origin, head, respond};
use crate::support::process::{Process, run};
use crate::support::within;

const FRESH: (&str, &str) = ("Cache-Control", "max-age=60");

pub fn admin_of(running: &Running) -> SocketAddr {
    running.admin_address().expect("an admin listener")
}

pub async fn ask(address: SocketAddr, path: &str, fields: &[(&str, &str)]) -> Answer {
    let mut client = Client::connect(address).await;
    client.request("GET", path, fields, b"").await;
    client.read_answer().await
}

pub async fn get(address: SocketAddr, path: &str) -> Answer {
    ask(address, path, &[("Host", "localhost")]).await
}

/// What `/metrics` says.
pub async fn scrape(address: SocketAddr) -> String {
    let answer = get(address, "/metrics").await;
    assert_eq!(answer.status, 200);
    answer.text()
}

/// The number of a series.
pub fn value(text: &str, series: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))?;
    Some(line.parse().expect("a number"))
}

pub async fn node() -> Sockets {
    let script = |_: &_, _| vec![respond("200 OK", &[FRESH], "body")];
    Sockets::with(|settings| settings.admin = Some("0".parse().expect("a port")), script).await
}

#[tokio::test]
async fn it_tells_health_readiness_and_metrics() {
    let node = node().await;
    let address = admin_of(&node.running);
    assert!(get(address, "/").await.text().contains("/readyz"));
    let health = get(address, "/healthz").await;
    let says: serde_json::Value = serde_json::from_str(&health.text()).expect("JSON");
    assert_eq!(
        (health.status, says["status"].as_str(), says["disk"].as_str()),
        (200, Some("ok"), Some("none"))
    );
    assert_eq!(says["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(health.header("cache-control"), Some("no-store"));
    let ready = get(address, "/readyz").await;
    assert_eq!((ready.status, ready.text().as_str()), (200, "{\"ready\":true}\n"));
    let metrics = get(address, "/metrics").await;
    assert_eq!(metrics.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    assert_eq!(value(&metrics.text(), "forebay_ready"), Some(1.0));
    assert_eq!(get(address, "/elsewhere").await.status, 404);
    let mut client = Client::connect(address).await;
    client.request("POST", "/metrics", &[("Host", "localhost")], b"").await;
    assert_eq!(client.read_answer().await.status, 405);
    node.running.drain();
}

#[tokio::test]
async fn a_disk_tier_makes_it_ready_once_it_is_loaded() {
    let origin = Origin::tcp(|_, _| vec![respond("200 OK", &[FRESH], "body")]).await;
    let directory = tempfile::tempdir().expect("a directory");
    let node = disk_rig::binary(&origin.url(), &directory.path().join("cache"), &["--admin", "0"]);
    let admin = admin_address(&node).await;
    let ready = async { while get(admin, "/readyz").await.status != 200 {} };
    within(Duration::from_secs(10), ready).await;
    let health: serde_json::Value = serde_json::from_str(&get(admin, "/healthz").await.text()).expect("JSON");
    assert_eq!(health["disk"], "serving");
    let text = scrape(admin).await;
    assert_eq!(value(&text, r#"forebay_disk_tier_health{state="serving"}"#), Some(1.0));
    assert_eq!(value(&text, r#"forebay_disk_tier_health{state="offline"}"#), Some(0.0));
    assert!(value(&text, "forebay_disk_tier_bytes") > Some(0.0), "{text}");
}

/// Where a child's admin listener is.
pub async fn admin_address(node: &Process) -> SocketAddr {
    let line = node.wait_for_line("admin on http://").await;
    line.rsplit_once("http://").unwrap().1.trim().parse().expect("an address")
}

#[tokio::test]
async fn open_metrics_is_had_for_the_asking() {
    let node = node().await;
    let accept = ("Accept", "application/openmetrics-text; version=1.0.0, text/plain;q=0.5");
    let answer = ask(admin_of(&node.running), "/metrics", &[("Host", "127.0.0.1"), accept]).await;
    assert!(answer.header("content-type").unwrap().starts_with("application/openmetrics-text"));
    let text = answer.text();
    assert!(text.ends_with("# EOF\n"));
    assert!(text.contains("# TYPE forebay_requests counter\n"), "{text}");
    node.running.drain();
}

#[tokio::test]
async fn a_page_that_was_led_here_gets_nothing() {
    let node = node().await;
    let address = admin_of(&node.running);
    for host in ["evil.test", "localhost.evil.test", "192.0.2.1:80", "evil.test:9090", "["] {
        for path in ["/metrics", "/healthz", "/", "/elsewhere"] {
            let answer = ask(address, path, &[("Host", host)]).await;
            assert_eq!(answer.status, 421, "{host} {path}");
            assert!(!answer.text().contains("forebay_"));
        }
    }
    assert_eq!(ask(address, "http://evil.test/metrics", &[("Host", "localhost")]).await.status, 421);
    assert_eq!(ask(address, "/metrics", &[("Host", "localhost"), ("Host", "evil.test")]).await.status, 421);
    for host in ["localhost:1", "127.0.0.1", "[::1]:9090"] {
        assert_eq!(ask(address, "/healthz", &[("Host", host)]).await.status, 200, "{host}");
    }
    node.running.drain();
}

#[tokio::test]
async fn it_does_not_leave_loopback() {
    let mut settings = settings("http://127.0.0.1:9");
    settings.admin = Some(forebay::admin::Settings::at(([0, 0, 0, 0], 0).into()));
    let error = Running::start(&settings, None).expect_err("refused");
    assert!(matches!(error, RunError::Admin(_)));
    assert!(error.to_string().contains("does not leave loopback"), "{error}");
    let output = run(FOREBAY, &["serve", "--admin", "0.0.0.0:9090"]).await;
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("does not leave loopback") && said.contains("127.0.0.1:9090"), "{said}");
}

#[tokio::test]
async fn a_slow_client_holds_nobody_up() {
    let node = node().await;
    let address = admin_of(&node.running);
    let mut slow = Vec::new();
    for _ in 0..7 {
        let mut client = Client::connect(address).await;
        client.send("GET /metrics HT").await;
        slow.push(client);
        // One that asks again and again, and reads nothing.
        let mut client = Client::connect_narrow(address, 1024).await;
        let _ = client.try_send(&b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(50)).await;
        slow.push(client);
    }
    within(Duration::from_secs(5), get(address, "/readyz")).await;
    within(Duration::from_secs(5), async { Client::connect(node.addr()).await.get("/").await }).await;
    // Nor the end.
    let drained = tokio::task::spawn_blocking(move || node.running.drain());
    within(Duration::from_secs(10), drained).await.expect("drained");
    drop(slow);
}

#[tokio::test]
async fn connections_over_the_limit_are_closed_and_the_others_served() {
    let node = node().await;
    let address = admin_of(&node.running);
    let mut kept = Client::connect(address).await;
    kept.request("GET", "/healthz", &[("Host", "localhost")], b"").await;
    assert_eq!(kept.read_answer().await.status, 200);
    let mut idle = Vec::new();
    for _ in 0..200 {
        idle.push(TcpStream::connect(address).await.expect("the kernel takes it"));
    }
    kept.request("GET", "/healthz", &[("Host", "localhost")], b"").await;
    assert_eq!(kept.read_answer().await.status, 200);
    // At least these are closed: 128 of this machine may stay, and one is ours.
    let mut closed = 0;
    for stream in &mut idle[127..] {
        let mut byte = [0];
        let read = tokio::io::AsyncReadExt::read(stream, &mut byte);
        let ended = within(Duration::from_secs(5), read).await;
        closed += usize::from(!matches!(ended, Ok(1..)));
    }
    assert_eq!(closed, 73);
    drop(idle);
    node.running.drain();
}

#[tokio::test]
async fn a_drain_is_told_before_connections_close() {
    let gate = Gate::new();
    let opens = Arc::clone(&gate);
    let origin = Origin::tcp(move |_, _| {
        let head = head("200 OK", &[FRESH, ("Content-Length", "8")]);
        vec![head, Act::send("half"), Act::WaitFor(opens.clone()), Act::send("half")]
    })
    .await;
    let url = origin.url();
    let args = ["serve", "--listen", "127.0.0.1:0", "--admin", "0", "--access-log", "off", "--origin", &url];
    let mut node = Process::start(FOREBAY, &args);
    let address = node.listening().await;
    let admin = admin_address(&node).await;
    let mut client = Client::connect(address).await;
    client.request("GET", "/", &[("Host", "a")], b"").await;
    client.read_head().await;
    assert_eq!(get(admin, "/readyz").await.status, 200);
    node.terminate();
    node.wait_for_line("draining").await;
    let unready = async {
        loop {
            let answer = get(admin, "/readyz").await;
            if answer.status == 503 {
                return answer.text();
            }
        }
    };
    let said = within(Duration::from_secs(5), unready).await;
    assert_eq!(said, "{\"ready\":false,\"reason\":\"draining\"}\n");
    let health: serde_json::Value = serde_json::from_str(&get(admin, "/healthz").await.text()).expect("JSON");
    assert_eq!(health["draining"], true);
    assert_eq!(value(&scrape(admin).await, "forebay_ready"), Some(0.0));
    gate.open();
    assert_eq!(client.read_body().await, b"halfhalf");
    assert_eq!(node.exit_code().await, Some(0));
}
