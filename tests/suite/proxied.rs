//! Clients behind proxies that pass connections on, and say so by the PROXY protocol: who is believed, and what of.

use std::time::Duration;

use forebay::app::Running;
use forebay::config::Settings;
use forebay::listener::proxied::Proxies;
use rustls::pki_types::ServerName;
use rustls::version::TLS13;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::rig::{settings, showing};
use crate::support::authority::Authority;
use crate::support::client::Client;
use crate::support::origin::{Origin, SeenRequest, respond};
use crate::support::process::run;
use crate::support::within;

const LIMIT: Duration = Duration::from_secs(20);
const V1: &[u8] = b"PROXY TCP4 192.0.2.7 192.0.2.1 5000 443\r\n";
/// The same from `2001:db8::7`, with a field that means nothing here.
const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x21\0\x28\
    \x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x07\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x13\x88\x01\xbb\x04\0\x01\0";
/// A proxy that speaks for itself.
const LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";

/// A node whose first listener trusts these networks, and an origin that says for whom it was asked.
async fn node(networks: &[&str], change: impl FnOnce(&mut Settings)) -> (Running, Origin) {
    let origin = Origin::tcp(|request: &SeenRequest, _| {
        let of = request.header("x-forwarded-for").unwrap_or("nobody").to_owned();
        vec![respond("200 OK", &[("Cache-Control", "no-store")], of)]
    })
    .await;
    let mut settings = settings(&origin.url());
    settings.listen[0].proxies =
        networks.iter().map(|network| Proxies::Of(network.parse().expect("a network"))).collect();
    change(&mut settings);
    (Running::start(&settings, None).expect("a running node"), origin)
}

async fn connect(node: &Running) -> TcpStream {
    TcpStream::connect(node.addresses[0].address.inet().expect("an address")).await.expect("connects")
}

async fn after(node: &Running, header: &[u8]) -> Client<TcpStream> {
    let mut stream = connect(node).await;
    stream.write_all(header).await.expect("sends");
    Client::over(stream)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trusted_proxy_says_whose_request_it_is_once_for_a_connection() {
    let (node, _origin) = node(&["127.0.0.0/8"], |_| {}).await;
    for (header, client) in
        [(V1, "192.0.2.7"), (V2, "2001:db8::7"), (LOCAL, "127.0.0.1"), (b"PROXY UNKNOWN\r\n", "127.0.0.1")]
    {
        let mut asks = after(&node, header).await;
        for _ in 0..2 {
            assert_eq!(within(LIMIT, asks.get("/")).await.body, client.as_bytes());
        }
        // Byte by byte, with the request close behind.
        let mut stream = connect(&node).await;
        stream.set_nodelay(true).expect("an option");
        let request = b"GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n";
        for byte in [header, request].concat() {
            stream.write_all(&[byte]).await.expect("sends");
        }
        let mut answer = String::new();
        within(LIMIT, stream.read_to_string(&mut answer)).await.expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with(client), "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trusted_proxy_that_does_not_say_so_is_dropped_without_an_answer() {
    let (node, origin) =
        node(&["127.0.0.1/32"], |settings| settings.listener.header_timeout = Duration::from_millis(200))
            .await;
    for begin in [
        &b"GET / HTTP/1.1\r\nHost: test\r\n\r\n"[..],
        b"PROXY TCP4 a b c d\r\n",
        b"PROXY TCP4 192.0.2.7",
        b"",
    ] {
        let mut stream = connect(&node).await;
        stream.write_all(begin).await.expect("sends");
        let mut answer = Vec::new();
        // It may be reset, where something is left unread.
        let _ = within(LIMIT, stream.read_to_end(&mut answer)).await;
        assert_eq!(answer, b"", "{begin:?}");
    }
    assert_eq!(origin.hits(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_others_it_is_not_taken_and_they_need_not_say_anything() {
    let (node, origin) = node(&["192.0.2.0/24", "2001:db8::/32"], |_| {}).await;
    assert_eq!(after(&node, b"").await.get("/").await.body, b"127.0.0.1");
    for header in [V1, V2] {
        let mut client = after(&node, header).await;
        client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n").await;
        assert_eq!(within(LIMIT, client.read_answer()).await.status, 400);
    }
    assert_eq!(origin.hits(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_client_sends_behind_it_is_its_request_and_no_second_word() {
    let (node, origin) = node(&["127.0.0.1/32"], |_| {}).await;
    let mut client = after(&node, &[V1, b"PROXY TCP4 198.51.100.1 192.0.2.1 5000 443\r\n"].concat()).await;
    client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n").await;
    assert_eq!(within(LIMIT, client.read_answer()).await.status, 400);
    assert_eq!(origin.hits(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_follows_it() {
    let authority = Authority::new();
    let pair = authority.pair("main", &["site.test"], 2999);
    let (node, _origin) = node(&["127.0.0.1/32"], |settings| {
        settings.listen[0].tls = true;
        settings.tls = Some(showing(&[&pair], true));
    })
    .await;
    let mut stream = connect(&node).await;
    stream.write_all(V1).await.expect("sends");
    let name = ServerName::try_from("site.test").expect("a name");
    let shaken = authority.client(&TLS13, &["http/1.1"]).connect(name, stream).await.expect("a handshake");
    let answer = Client::over(shaken).get_with("/", &[("Host", "site.test")]).await;
    assert_eq!(answer.body, b"192.0.2.7");
}

#[tokio::test(flavor = "multi_thread")]
async fn curl_speaks_it_before_either_version_of_http() {
    let (node, _origin) = node(&["127.0.0.1/32"], |settings| settings.listen[0].http2 = true).await;
    let url = format!("http://{}/", node.addresses[0].address.inet().expect("an address"));
    for version in ["--http1.1", "--http2-prior-knowledge"] {
        let told = run("curl", &["-sS", version, "--haproxy-protocol", &url]).await;
        assert_eq!(String::from_utf8_lossy(&told.stdout), "127.0.0.1", "{version}: {told:?}");
    }
}
