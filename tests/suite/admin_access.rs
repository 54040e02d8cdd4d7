//! Who gets in to the admin listener: tokens, guesses, names, pages of other sites, certificates.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use forebay::admin::Settings;
use forebay::app::Running;
use rustls::pki_types::ServerName;
use rustls::version::TLS13;
use serde_json::Value;
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::admin::{admin_of, ask, get, node};
use crate::cli::FOREBAY;
use crate::rig::settings;
use crate::support::authority::{Authority, Pair};
use crate::support::client::{Answer, Client};
use crate::support::process::{Process, run};
use crate::support::within;

const TOKEN: &str = "0123456789abcdef-a-token";
const RIGHT: (&str, &str) = ("Authorization", "Bearer 0123456789abcdef-a-token");
const WRONG: (&str, &str) = ("Authorization", "Bearer 0123456789abcdef-a-tokem");
const HOST: (&str, &str) = ("Host", "localhost");

/// A node whose admin listener is as `change` says.
fn node_with(change: impl FnOnce(&mut Settings)) -> Running {
    let mut settings = settings("http://127.0.0.1:9");
    let mut admin: Settings = "0".parse().expect("a port");
    change(&mut admin);
    settings.admin = Some(admin);
    Running::start(&settings, None).expect("a running node")
}

fn node_with_token() -> Running {
    node_with(|admin| admin.token = Some(TOKEN.parse().expect("a token")))
}

/// The word of a problem.
fn problem(answer: &Answer) -> String {
    assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{}", answer.text());
    let value: Value = serde_json::from_str(&answer.text()).expect("JSON");
    assert_eq!(value["status"], answer.status);
    assert!(value["title"].is_string() && value["detail"].is_string(), "{value}");
    value["type"]
        .as_str()
        .and_then(|kind| kind.strip_prefix("urn:forebay:problem:"))
        .expect("a type")
        .to_owned()
}

#[tokio::test]
async fn a_token_is_asked_for_on_loopback_too() {
    let running = node_with_token();
    let address = admin_of(&running);
    for path in ["/v1/version", "/v1/config", "/metrics", "/v1/elsewhere", "/elsewhere"] {
        let answer = get(address, path).await;
        assert_eq!((answer.status, problem(&answer).as_str()), (401, "unproven"), "{path}");
        assert!(answer.header("www-authenticate").is_some_and(|how| how.starts_with("Bearer")));
    }
    for open in ["/healthz", "/readyz", "/docs", "/openapi.json", "/"] {
        assert_eq!(get(address, open).await.status, 200, "{open}");
    }
    for (way, status) in [
        (RIGHT, 200),
        (("authorization", "bearer  0123456789abcdef-a-token"), 200),
        (("Authorization", "Basic 0123456789abcdef-a-token"), 401),
        (("Authorization", "Bearer"), 401),
        (("Authorization", "Bearer 0123456789abcdef-a-token2"), 401),
        (("Authorization", "Bearer 0123456789abcdef-a-toke"), 401),
        (("Authorization", ""), 401),
        (("X-Authorization", RIGHT.1), 401),
    ] {
        assert_eq!(ask(address, "/v1/version", &[HOST, way]).await.status, status, "{way:?}");
    }
    assert_eq!(
        ask(address, "/v1/version", &[HOST, WRONG, RIGHT]).await.status,
        401,
        "one of two may be anybody's"
    );
    assert_eq!(ask(address, "/v1/elsewhere", &[HOST, RIGHT]).await.status, 404);
    running.drain();
}

/// Asks from another address of this machine.
async fn ask_from(from: [u8; 4], address: SocketAddr, fields: &[(&str, &str)]) -> u16 {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind(SocketAddr::from((from, 0))).expect("an address");
    let mut client = Client::over(socket.connect(address).await.expect("connected"));
    client.request("GET", "/v1/version", fields, b"").await;
    client.read_answer().await.status
}

#[tokio::test]
async fn who_guesses_is_slowed_down_and_nobody_else_is() {
    let running = node_with_token();
    let address = admin_of(&running);
    for _ in 0..10 {
        assert_eq!(ask(address, "/v1/version", &[HOST, WRONG]).await.status, 401);
    }
    let refused = ask(address, "/v1/version", &[HOST, WRONG]).await;
    assert_eq!((refused.status, problem(&refused).as_str()), (429, "too-many-guesses"));
    assert_eq!(refused.header("retry-after"), Some("2"));
    let unseen = ask(address, "/v1/version", &[HOST, RIGHT]).await;
    assert_eq!(unseen.status, 429, "no answer tells whether it was right");
    assert_eq!(get(address, "/v1/version").await.status, 401, "who shows nothing has guessed nothing");
    assert_eq!(get(address, "/readyz").await.status, 200);
    assert_eq!(ask_from([127, 0, 0, 2], address, &[HOST, RIGHT]).await, 200, "the operator is elsewhere");
    assert_eq!(ask_from([127, 0, 0, 2], address, &[HOST, WRONG]).await, 401);
    running.drain();
}

#[tokio::test]
async fn off_loopback_it_is_asked_by_its_names_and_address_alone() {
    let running = node_with(|admin| {
        *admin = Settings {
            names: vec!["node-1.test".into(), "192.0.2.9".into(), "[2001:db8::1]".into()],
            ..Settings::at(([0, 0, 0, 0], 0).into())
        };
        admin.token = Some(TOKEN.parse().expect("a token"));
    });
    let mut address = admin_of(&running);
    address.set_ip([127, 0, 0, 3].into());
    for ours in
        ["node-1.test", "NODE-1.test:9090", "127.0.0.3", "localhost", "192.0.2.9:9090", "[2001:DB8::1]"]
    {
        assert_eq!(ask(address, "/v1/version", &[("Host", ours), RIGHT]).await.status, 200, "{ours}");
    }
    for others in ["node-2.test", "192.0.2.1", "evil.node-1.test", ""] {
        let answer = ask(address, "/v1/version", &[("Host", others), RIGHT]).await;
        assert_eq!((answer.status, problem(&answer).as_str()), (421, "wrong-host"), "{others}");
        assert_eq!(ask(address, "/readyz", &[("Host", others)]).await.status, 421, "{others}");
    }
    running.drain();
}

async fn send(address: SocketAddr, head: &str, body: &str) -> Answer {
    let mut client = Client::connect(address).await;
    let length = body.len();
    client.send(&format!("{head}\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n{body}")).await;
    client.read_answer().await
}

#[tokio::test]
async fn a_page_of_another_site_changes_nothing() {
    let node = node().await;
    let address = admin_of(&node.running);
    for field in [
        "Origin: http://evil.test",
        "Origin: null",
        "Origin: https://localhost",
        "Origin: http://localhost:8080",
        "Sec-Fetch-Site: cross-site",
        "Sec-Fetch-Site: same-site",
        "Sec-Fetch-Site: same-origin\r\nOrigin: https://evil.test",
    ] {
        for way in
            ["POST /v1/node/drain", "PUT /v1/log-level", "POST /v1/config/validate", "DELETE /v1/version"]
        {
            let json =
                if way.starts_with("POST /v1/node") { "" } else { "{\"level\":\"info\",\"toml\":\"\"}" };
            let answer = send(address, &format!("{way} HTTP/1.1\r\n{field}"), json).await;
            assert_eq!((answer.status, problem(&answer).as_str()), (403, "foreign-origin"), "{way} {field}");
        }
    }
    // What a form can send without asking first.
    for kind in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=a",
        "",
        "application/jsonp",
    ] {
        for way in ["POST /v1/node/drain", "POST /v1/config/validate"] {
            let head = format!("{way} HTTP/1.1\r\nContent-Type: {kind}");
            let answer = send(address, &head, "{\"toml\":\"\"}").await;
            assert_eq!((answer.status, problem(&answer).as_str()), (415, "not-json"), "{way} {kind}");
        }
    }
    let twice = "POST /v1/node/drain HTTP/1.1\r\nContent-Type: application/json\r\nContent-Type: text/plain";
    assert_eq!(send(address, twice, "{}").await.status, 415);
    let without = send(address, "POST /v1/config/validate HTTP/1.1", "{\"toml\":\"\"}").await;
    assert_eq!(without.status, 415, "nothing is guessed");
    assert_eq!(get(address, "/readyz").await.status, 200, "nothing of that was done");
    // A page of ours, and a tool.
    let ours = "POST /v1/node/drain HTTP/1.1\r\nOrigin: http://localhost\r\nSec-Fetch-Site: same-origin";
    assert_eq!(send(address, ours, "").await.status, 200);
    assert_eq!(get(address, "/readyz").await.status, 503);
    let json = "POST /v1/node/undrain HTTP/1.1\r\nContent-Type: application/json; charset=utf-8";
    assert_eq!(send(address, json, "{}").await.status, 200);
    let preflight =
        "OPTIONS /v1/node/drain HTTP/1.1\r\nOrigin: http://evil.test\r\nAccess-Control-Request-Method: POST";
    let answer = send(address, preflight, "").await;
    assert_eq!(answer.status, 405);
    assert!(answer.header("access-control-allow-origin").is_none());
    node.running.drain();
}

/// Speaks TLS to a listener of this name.
async fn by_tls(
    address: SocketAddr,
    authority: &Authority,
    shows: Option<&Pair>,
) -> Client<TlsStream<TcpStream>> {
    let connector = TlsConnector::from(Arc::new(authority.client_who(shows, &TLS13, &["http/1.1"])));
    let stream = TcpStream::connect(address).await.expect("connected");
    let name = ServerName::try_from("node.test").expect("a name");
    Client::over(connector.connect(name, stream).await.expect("a handshake"))
}

fn with_certificates(authority: &Authority, token: Option<&str>) -> Running {
    let pair = authority.pair("admin", &["node.test"], 2099);
    node_with(|admin| {
        *admin = Settings::at(([0, 0, 0, 0], 0).into());
        admin.names = vec!["node.test".into()];
        (admin.certificate, admin.key) = (Some(pair.chain), Some(pair.key));
        admin.client_ca = Some(authority.file());
        admin.token = token.map(|token| token.parse().expect("a token"));
    })
}

#[tokio::test]
async fn a_certificate_lets_in_in_place_of_a_token() {
    let (authority, others) = (Authority::new(), Authority::called("others"));
    let operator = authority.pair("operator", &["operator.test"], 2099);
    let stranger = others.pair("stranger", &["operator.test"], 2099);
    for token in [None, Some(TOKEN)] {
        let running = with_certificates(&authority, token);
        assert_eq!(running.admin_scheme(), Some("https"));
        let mut address = admin_of(&running);
        address.set_ip([127, 0, 0, 1].into());
        let host = ("Host", "node.test");
        let mut known = by_tls(address, &authority, Some(&operator)).await;
        assert_eq!(known.get_with("/v1/version", &[host]).await.status, 200);
        let mut nobody = by_tls(address, &authority, None).await;
        let answer = nobody.get_with("/v1/version", &[host]).await;
        assert_eq!((answer.status, problem(&answer).as_str()), (401, "unproven"));
        assert_eq!(nobody.get_with("/readyz", &[host]).await.status, 200, "a load balancer has none");
        let with_token = nobody.get_with("/v1/version", &[host, RIGHT]).await;
        assert_eq!(with_token.status, if token.is_some() { 200 } else { 401 });
        // One that others vouch for ends the handshake, which a client of TLS 1.3 learns at its first read.
        let mut strange = by_tls(address, &authority, Some(&stranger)).await;
        let _ = strange.try_send(b"GET /readyz HTTP/1.1\r\nHost: node.test\r\n\r\n").await;
        assert!(strange.try_answer().await.is_none());
        running.drain();
    }
}

#[tokio::test]
async fn a_handshake_that_never_ends_holds_nobody_up() {
    let authority = Authority::new();
    let running = with_certificates(&authority, None);
    let mut address = admin_of(&running);
    address.set_ip([127, 0, 0, 1].into());
    let mut silent = Vec::new();
    for _ in 0..10 {
        silent.push(TcpStream::connect(address).await.expect("connected"));
    }
    let mut nonsense = Client::connect(address).await;
    nonsense.send("GET /readyz HTTP/1.1\r\nHost: node.test\r\n\r\n").await;
    let asked =
        async { by_tls(address, &authority, None).await.get_with("/readyz", &[("Host", "node.test")]).await };
    assert_eq!(within(Duration::from_secs(5), asked).await.status, 200);
    let drained = tokio::task::spawn_blocking(move || running.drain());
    within(Duration::from_secs(10), drained).await.expect("drained");
    drop(silent);
}

#[tokio::test]
async fn the_command_line_takes_a_token_from_a_file() {
    let folder = tempfile::tempdir().expect("a directory");
    let file = |name: &str, text: &str| {
        let file = folder.path().join(name);
        std::fs::write(&file, text).expect("written");
        file.to_str().expect("UTF-8").to_owned()
    };
    let (good, short) = (file("good", &format!("{TOKEN}\n")), file("short", "secret\n"));
    let serve = ["serve", "--listen", "127.0.0.1:0", "--access-log", "off", "--admin"];
    let output = run(FOREBAY, &[&serve[..], &["0", "--admin-token-file", &short]].concat()).await;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(2) && said.contains("16 characters"), "{said}");
    assert!(!said.contains("secret"), "{said}");
    let node = Process::start(FOREBAY, &[&serve[..], &["0.0.0.0:0", "--admin-token-file", &good]].concat());
    let line = node.wait_for_line("admin on http://").await;
    node.wait_for_line("in the clear").await;
    let address: SocketAddr =
        line.rsplit_once("http://").expect("an address").1.trim().parse().expect("an address");
    let address = SocketAddr::from(([127, 0, 0, 1], address.port()));
    assert_eq!(get(address, "/v1/version").await.status, 401);
    assert_eq!(ask(address, "/v1/version", &[HOST, RIGHT]).await.status, 200);
    let config = ask(address, "/v1/config", &[HOST, RIGHT]).await.text();
    assert!(config.contains("token = { file = ") && !config.contains(TOKEN), "{config}");
}

#[tokio::test]
async fn silent_connections_shut_out_nobody_from_elsewhere() {
    let running = node_with_token();
    let address = admin_of(&running);
    let mut silent = Vec::new();
    for _ in 0..300 {
        silent.push(TcpStream::connect(address).await.expect("the kernel takes it"));
    }
    assert_eq!(within(Duration::from_secs(2), ask_from([127, 0, 0, 2], address, &[HOST, RIGHT])).await, 200);
    drop(silent);
    running.drain();
}

#[tokio::test]
async fn a_page_of_another_site_starts_no_work() {
    let node = node().await;
    let address = admin_of(&node.running);
    for site in ["cross-site", "same-site"] {
        for path in ["/v1/stats", "/v1/objects/hot", "/metrics", "/v1/config/reload"] {
            let answer = ask(address, path, &[HOST, ("Sec-Fetch-Site", site)]).await;
            assert_eq!((answer.status, problem(&answer).as_str()), (403, "foreign-origin"), "{path} {site}");
        }
        assert_eq!(ask(address, "/readyz", &[HOST, ("Sec-Fetch-Site", site)]).await.status, 200);
    }
    assert_eq!(ask(address, "/v1/stats", &[HOST, ("Sec-Fetch-Site", "none")]).await.status, 200);
    node.running.drain();
}
