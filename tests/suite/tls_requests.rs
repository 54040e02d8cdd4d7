//! Requests by TLS that are more than a head and an answer, certificates of two kinds for one host, and the end of a node while
//! hands are shaken.

use std::net::SocketAddr;
use std::time::Duration;

use forebay::app::Running;
use forebay::config::Settings;
use rustls::pki_types::ServerName;
use rustls::version::{TLS12, TLS13};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use tokio_rustls::client::TlsStream;

use crate::rig::{settings, showing};
use crate::support::authority::{Authority, Pair};
use crate::support::bytes::pattern;
use crate::support::client::{Client, Ended};
use crate::support::origin::{Act, Gate, Origin, SeenRequest, interim, respond};
use crate::support::process::run;
use crate::support::within;

const LIMIT: Duration = Duration::from_secs(20);
const HOST: &str = "site.test";

/// A node that shows these certificates, named in their order.
fn node(origin: &str, shown: &[&Pair], change: impl FnOnce(&mut Settings)) -> Running {
    let mut settings = settings(origin);
    settings.listen[0].tls = true;
    settings.tls = Some(showing(shown, false));
    change(&mut settings);
    Running::start(&settings, None).expect("a running node")
}

fn address(node: &Running) -> SocketAddr {
    node.addresses[0].address.inet().expect("an address")
}

async fn client(authority: &Authority, node: &Running) -> Client<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address(node)).await.expect("connects");
    let name = ServerName::try_from(HOST).expect("a name");
    Client::over(authority.client(&TLS13, &["http/1.1"]).connect(name, stream).await.expect("a handshake"))
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_kinds_of_certificates_each_client_gets_the_first_that_it_can_verify() {
    let authority = Authority::new();
    let (ec, rsa) = (authority.pair("ec", &[HOST], 2999), authority.rsa_pair("rsa", &[HOST], 2999));
    let origin = Origin::tcp(|_: &SeenRequest, _| vec![respond("200 OK", &[], "page")]).await;
    let ca = authority.file();
    for shown in [[&ec, &rsa], [&rsa, &ec]] {
        let node = node(&origin.url(), &shown, |_| {});
        let at = address(&node).to_string();
        for (verifies, bits) in [("rsa_pss_rsae_sha256", 2048), ("ecdsa_secp256r1_sha256", 256)] {
            for version in ["-tls1_2", "-tls1_3"] {
                let ca = ca.to_str().expect("text");
                let args = [
                    "s_client",
                    version,
                    "-sigalgs",
                    verifies,
                    "-connect",
                    &at,
                    "-servername",
                    HOST,
                    "-CAfile",
                    ca,
                ];
                let told = run("openssl", &args).await;
                let text = String::from_utf8_lossy(&told.stdout);
                assert!(
                    text.contains(&format!("Server public key is {bits} bit")),
                    "{version} {verifies}: {text}"
                );
            }
        }
        // Who verifies either gets the first.
        for version in [&TLS12, &TLS13] {
            let stream = TcpStream::connect(address(&node)).await.expect("connects");
            let name = ServerName::try_from(HOST).expect("a name");
            let shaken = authority.client(version, &[]).connect(name, stream).await.expect("a handshake");
            let (_, session) = shaken.get_ref();
            assert_eq!(session.peer_certificates().expect("shown")[0], shown[0].certificates()[0]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_by_tls_becomes_a_tunnel() {
    let authority = Authority::new();
    let pair = authority.pair("main", &[HOST], 2999);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let origin = format!("http://{}", listener.local_addr().expect("an address"));
    let node = node(&origin, &[&pair], |_| {});
    let mut client = client(&authority, &node).await;
    let upgrading = [
        ("Host", HOST),
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
    ];
    client.request("GET", "/chat", &upgrading, b"").await;
    let (mut origin, _) = within(LIMIT, listener.accept()).await.expect("asked");
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(within(LIMIT, origin.read_u8()).await.expect("a head"));
    }
    let request = String::from_utf8_lossy(&request).to_ascii_lowercase();
    assert!(
        request.contains("upgrade: websocket") && request.contains("x-forwarded-proto: https"),
        "{request}"
    );
    let switch =
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello";
    origin.write_all(switch).await.expect("sent");
    assert_eq!(client.read_head().await.status, 101);
    assert_eq!(client.read_chunk().await.as_deref(), Some(&b"hello"[..]));
    // More than any buffer, both ways at once.
    let long = vec![7; 1 << 20];
    let mut tunnel = client.into_inner();
    let (mut came, mut went) = (vec![0; long.len()], vec![0; long.len()]);
    let both_ways = async {
        let (mut from, mut to) = tokio::io::split(&mut tunnel);
        let (mut origin_from, mut origin_to) = tokio::io::split(&mut origin);
        let sends = async {
            to.write_all(&long).await?;
            to.flush().await
        };
        tokio::try_join!(
            sends,
            origin_to.write_all(&long),
            origin_from.read_exact(&mut went),
            from.read_exact(&mut came),
        )
    };
    within(LIMIT, both_ways).await.expect("both ways");
    assert!(came == long && went == long);
    drop(origin);
    assert_eq!(within(LIMIT, tunnel.read(&mut [0])).await.expect("an end"), 0, "with a close_notify");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_by_tls_is_told_to_continue_once_the_origin_wants_the_content() {
    let authority = Authority::new();
    let pair = authority.pair("main", &[HOST], 2999);
    let gate = Gate::new();
    let held = gate.clone();
    let origin = Origin::tcp(move |_: &SeenRequest, _| {
        let go_ahead = interim("100 Continue", &[]);
        vec![Act::WaitFor(held.clone()), go_ahead, Act::ReadBody, respond("201 Created", &[], "")]
    })
    .await;
    // Not before the origin says so.
    let node = node(&origin.url(), &[&pair], |settings| {
        settings.pools[0].continue_timeout = LIMIT;
        settings.sites[0].max_buffered_body = 0;
    });
    let mut client = client(&authority, &node).await;
    client
        .send("POST / HTTP/1.1\r\nHost: site.test\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
        .await;
    origin.wait_for_hits(1).await;
    gate.open();
    assert_eq!(within(LIMIT, client.next_head()).await.expect("a head").status, 100);
    client.send("body").await;
    assert_eq!(within(LIMIT, client.read_answer()).await.status, 201);
    assert_eq!(origin.exchange(0).body, b"body");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_waits_for_no_handshake_and_for_every_answer() {
    let authority = Authority::new();
    let pair = authority.pair("main", &[HOST], 2999);
    let gate = Gate::new();
    let held = gate.clone();
    let script =
        move |_: &SeenRequest, _: usize| vec![Act::WaitFor(held.clone()), respond("200 OK", &[], "page")];
    let origin = Origin::tcp(script).await;
    let node = node(&origin.url(), &[&pair], |settings| settings.drain = LIMIT);
    let at = address(&node);
    let mut asks = client(&authority, &node).await;
    asks.send("GET / HTTP/1.1\r\nHost: site.test\r\n\r\n").await;
    origin.wait_for_hits(1).await;
    // One that says nothing, and one that stops in the middle of its first message.
    let silent = TcpStream::connect(at).await.expect("connects");
    let mut begun = TcpStream::connect(at).await.expect("connects");
    begun.write_all(&[22, 3, 1, 2, 0, 1]).await.expect("sent");
    let connections = node.node.machine.connections();
    crate::disk_rig::until("all are there", || connections.now() == 3).await;
    let begins = Instant::now();
    let drained = tokio::task::spawn_blocking(move || node.drain());
    for mut shakes in [silent, begun] {
        let read = within(LIMIT / 2, shakes.read(&mut [0])).await;
        assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
    }
    crate::disk_rig::until("the one that asks is left", || connections.now() == 1).await;
    gate.open();
    let answer = within(LIMIT, asks.read_answer()).await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "page"));
    assert_eq!(asks.expect_end().await, Ended::Closed);
    drained.await.expect("it ends");
    assert!(begins.elapsed() < LIMIT, "nobody was waited for in vain");
}

#[tokio::test(flavor = "multi_thread")]
async fn content_by_tls_is_taken_in_before_the_origin_is_asked() {
    let authority = Authority::new();
    let pair = authority.pair("main", &[HOST], 2999);
    let takes = |_: &SeenRequest, _: usize| vec![Act::ReadBody, respond("201 Created", &[], "")];
    let origin = Origin::tcp(takes).await;
    let node = node(&origin.url(), &[&pair], |_| {});
    let mut client = client(&authority, &node).await;
    let content = pattern(6, 1 << 20);
    client.send(&format!("PUT / HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {}\r\n\r\n", 1 << 20)).await;
    within(LIMIT, client.try_send(&content[..1_000_000])).await.expect("taken in");
    assert_eq!(origin.opened(), 0);
    within(LIMIT, client.try_send(&content[1_000_000..])).await.expect("taken in");
    assert_eq!(within(LIMIT, client.read_answer()).await.status, 201);
    let exchange = origin.exchange(0);
    assert!(exchange.body_whole && exchange.body == content);
}
