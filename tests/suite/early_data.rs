//! Early data (RFC 8446 §2.3, RFC 8470): what is answered before the end of a handshake, what waits for it, what origins are
//! told, and that nothing is done twice.

use std::sync::Arc;

use bytes::Bytes;
use forebay::app::Running;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, HandshakeKind};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::disk_rig::until;
use crate::early_data_rig::{HOST, Half, Site, ask, start};
use crate::early_data_secret::Secret;
use crate::support::bytes::pattern;
use crate::support::http2::{self, END_HEADERS, END_STREAM, HEADERS, PREFACE, SETTINGS, frame};
use crate::support::origin::{Act, Gate, SeenRequest, respond};
use crate::support::{ms, within};

const FRESH: (&str, &str) = ("Cache-Control", "max-age=60");

pub fn page(_: &SeenRequest, _: usize) -> Vec<Act> {
    vec![respond("200 OK", &[FRESH], "page")]
}

/// One that wants to hear of nothing that may be a replay.
fn strict(request: &SeenRequest, _: usize) -> Vec<Act> {
    match request.header("early-data") {
        Some(_) => vec![respond("425 Too Early", &[FRESH], "too early")],
        None => vec![respond("200 OK", &[FRESH], "page")],
    }
}

/// Requests that took the way of one that has ended its handshake, there and back, by a client of their own.
pub async fn a_round(site: &Site, path: &str) {
    let (answer, _) = site.visit(&site.config(&["http/1.1"]), path, &[]).await;
    assert_eq!(answer.status, 200);
}

fn early_connections(node: &Running) -> u64 {
    node.node.counters.tls_early_data.get()
}

/// One whose `/large` is this.
pub async fn with_large(large: &Bytes) -> Site {
    let content = large.clone();
    Site::new(move |request, _| {
        let body = if request.path() == "/large" { content.to_vec() } else { b"page".to_vec() };
        vec![respond("200 OK", &[FRESH], body)]
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hit_is_answered_before_the_handshake_has_ended() {
    let large = pattern(1, 300_000);
    let site = with_large(&large).await;
    let client = site.known("/").await;
    a_round(&site, "/large").await;
    let mut half = site.early(&client, ask("GET", "/", "") + &ask("GET", "/large", "")).await;
    half.hears("\r\n\r\npage").await;
    half.until(|read| read.ends_with(&large)).await;
    assert!(half.read.ends_with(&large) && half.text().matches("; hit").count() == 2, "both, whole");
    assert!(half.tls.is_early_data_accepted());
    let handshakes = site.node.node.counters.tls_handshakes.get();
    assert_eq!((early_connections(&site.node), handshakes), (1, 2), "its own has not ended");
    // The connection goes on as any other.
    half.read.clear();
    half.say(&ask("GET", "/", "")).await;
    half.hears("page").await;
    assert_eq!(site.origin.hits(), 2);
    let counters = &site.node.node.counters;
    assert_eq!((counters.tls_handshakes.get(), counters.tls_resumptions.get()), (3, 1));
    assert_eq!(counters.tls_failures.get(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_something_or_brings_something_waits_for_the_end_and_is_done_once() {
    let site = Site::new(page).await;
    let requests = [
        ask("POST", "/waits", "Content-Length: 5\r\n") + "order",
        ask("POST", "/waits", "Content-Length: 0\r\n"),
        ask("DELETE", "/waits", ""),
        ask("GET", "/waits", "Content-Length: 5\r\n") + "order",
        ask("GET", "/waits", "Transfer-Encoding: chunked\r\n") + "5\r\norder\r\n0\r\n\r\n",
        ask("GET", "/waits", "Connection: upgrade\r\nUpgrade: websocket\r\n"),
    ];
    for (nth, request) in requests.into_iter().enumerate() {
        let client = site.known("/").await;
        // Behind a hit, so that it is known to have come.
        let mut half = site.early(&client, ask("GET", "/", "") + &request).await;
        half.hears("\r\n\r\npage").await;
        for round in 0..3 {
            a_round(&site, &format!("/round/{nth}/{round}")).await;
        }
        assert_eq!(site.origin.hits_of("/waits"), nth, "{request}");
        half.read.clear();
        half.finish().await;
        half.hears("\r\n\r\npage").await;
        assert_eq!(site.origin.hits_of("/waits"), nth + 1, "{request}");
        let seen = site.origin.seen().into_iter().rev().find(|seen| seen.path() == "/waits").expect("one");
        assert_eq!(seen.header("early-data"), None);
        assert_eq!(half.text().matches("HTTP/1.1 ").count(), 1, "{}", half.text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_origin_is_told_of_what_may_be_a_replay() {
    let site = Site::new(page).await;
    for (method, path, fields) in [
        ("GET", "/stored", ""),
        ("HEAD", "/head", ""),
        ("OPTIONS", "/passed", ""),
        ("GET", "/alone", "Authorization: Basic eDp5\r\n"),
        ("GET", "/part", "Range: bytes=0-1\r\n"),
    ] {
        let client = site.known("/").await;
        let mut half = site.early(&client, ask(method, path, fields)).await;
        half.until(|read| read.windows(4).any(|window| window == b"\r\n\r\n")).await;
        assert!(half.text().starts_with("HTTP/1.1 20"), "{method} {path}: {}", half.text());
        let seen = site.origin.seen().into_iter().find(|seen| seen.path() == path).expect("asked");
        assert_eq!(seen.header("early-data"), Some("1"), "{method} {path}");
        half.finish().await;
        half.read.clear();
        half.say(&ask("GET", &format!("{path}/afterwards"), "")).await;
        half.hears("\r\n\r\npage").await;
        let seen = site.origin.seen().into_iter().find(|seen| seen.path() == format!("{path}/afterwards"));
        assert_eq!(seen.expect("asked").header("early-data"), None);
    }
    // What came was stored as anything else.
    let hits = site.origin.hits();
    a_round(&site, "/stored").await;
    assert_eq!(site.origin.hits(), hits);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_ends_after_the_handshake_is_not_early() {
    let site = Site::new(page).await;
    let client = site.known("/").await;
    let request = ask("GET", "/half", "");
    let (first, last) = request.split_at(request.len() - 1);
    let mut half = site.early(&client, first).await;
    assert!(half.is_taken().await, "the node does not wait for the rest with its part of the handshake");
    half.say(last).await;
    half.hears("\r\n\r\npage").await;
    assert_eq!(site.origin.exchange(1).request.header("early-data"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_origin_that_refuses_is_asked_again_after_the_handshake() {
    let site = Site::new(strict).await;
    for (method, fields, is_stored) in [
        ("GET", "", true),
        ("OPTIONS", "", false),
        ("GET", "Authorization: Basic eDp5\r\n", false),
        ("GET", "If-Match: \"x\"\r\n", false),
    ] {
        let client = site.known("/").await;
        let before = site.origin.hits();
        let path = format!("/{method}/{}", fields.len());
        let mut half = site.early(&client, ask(method, &path, fields)).await;
        until("the origin has refused", || site.origin.hits() == before + 1).await;
        for round in 0..2 {
            a_round(&site, &format!("/round{path}/{round}")).await;
        }
        assert_eq!(site.origin.hits_of(&path), 1, "it is not asked again before the end");
        half.finish().await;
        half.hears("\r\n\r\npage").await;
        assert!(half.text().starts_with("HTTP/1.1 200") && !half.text().contains("425"), "{}", half.text());
        assert_eq!(site.origin.hits_of(&path), 2);
        let seen: Vec<_> = site.origin.seen().into_iter().filter(|seen| seen.path() == path).collect();
        assert_eq!(seen[0].header("early-data"), Some("1"));
        assert_eq!(seen[1].header("early-data"), None);
        if is_stored {
            a_round(&site, &path).await;
            assert_eq!(site.origin.hits_of(&path), 2, "what came in the end is stored");
        }
    }
    assert_eq!(site.node.node.counters.too_early.get(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_said_so_itself_is_told_that_it_was_too_early() {
    let site = Site::new(strict).await;
    for value in ["1", "0", "1\r\nEarly-Data: 1"] {
        let client = site.known("/").await;
        let before = site.origin.hits();
        // After its handshake, and before.
        let (answer, _) = site.visit(&client, "/asked", &[("Early-Data", value)]).await;
        assert_eq!((answer.status, site.origin.hits() - before), (425, 1));
        let mut half = site.early(&client, ask("GET", "/asked", &format!("Early-Data: {value}\r\n"))).await;
        half.hears("\r\n\r\ntoo early").await;
        assert!(half.text().starts_with("HTTP/1.1 425"), "{}", half.text());
        assert_eq!(site.origin.hits() - before, 2);
        for seen in site.origin.seen().iter().rev().take(2) {
            assert_eq!(seen.header_all("early-data"), ["1"]);
        }
    }
    // Nor may anybody take the field off by the way.
    let fields = [("Early-Data", "1"), ("Connection", "early-data")];
    let (answer, _) = site.visit(&site.config(&["http/1.1"]), "/asked", &fields).await;
    assert_eq!(answer.status, 425);
    let hits = site.origin.hits_of("/asked");
    a_round(&site, "/asked").await;
    assert_eq!(site.origin.hits_of("/asked"), hits + 1, "nothing of that was stored");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_425_to_who_was_not_early_is_theirs_and_is_not_stored() {
    let site = Site::new(|request, _| match request.path() {
        "/" => vec![respond("200 OK", &[FRESH], "page")],
        _ => vec![respond("425 Too Early", &[FRESH], "too early")],
    })
    .await;
    for nth in 1..=2 {
        let (answer, _) = site.visit(&site.config(&["http/1.1"]), "/odd", &[]).await;
        assert_eq!((answer.status, site.origin.hits_of("/odd")), (425, nth));
    }
    let client = site.known("/").await;
    let mut half = site.early(&client, ask("GET", "/odd", "")).await;
    until("the origin has refused", || site.origin.hits_of("/odd") == 3).await;
    half.finish().await;
    half.hears("too early").await;
    assert_eq!(site.origin.hits_of("/odd"), 4, "asked once more, and no oftener");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_with_an_early_request_does_not_get_its_425() {
    let gate = Gate::new();
    let opens = Arc::clone(&gate);
    let site = Site::new(move |request, nth| match request.header("early-data") {
        Some(_) => [vec![Act::WaitFor(Arc::clone(&opens))], strict(request, nth)].concat(),
        None => strict(request, nth),
    })
    .await;
    let client = site.known("/").await;
    let mut half = site.early(&client, ask("GET", "/shared", "")).await;
    until("the early one leads", || site.origin.hits_of("/shared") == 1).await;
    let others = async {
        let configs = [(); 3].map(|()| site.config(&["http/1.1"]));
        let visits = configs.each_ref().map(|config| site.visit(config, "/shared", &[]));
        futures_util::future::join_all(visits).await
    };
    let opened = async {
        until("others wait", || site.node.node.counters.collapsed.get() == 3).await;
        gate.open();
    };
    let (answers, ()) = tokio::join!(within(ms(10_000), others), opened);
    for (answer, _) in answers {
        assert_eq!((answer.status, answer.text().as_str()), (200, "page"));
    }
    let asked = site.origin.hits_of("/shared");
    assert!((2..=4).contains(&asked), "{asked}");
    half.finish().await;
    half.hears("\r\n\r\npage").await;
    assert!(half.text().starts_with("HTTP/1.1 200"), "{}", half.text());
    assert_eq!(site.origin.hits_of("/shared"), asked, "what came for the others is stored");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_depends_on_being_early_is_for_nobody() {
    let site = Site::new(|request, _| {
        let text = if request.header("early-data").is_some() { "early" } else { "in time" };
        vec![respond("200 OK", &[FRESH, ("Vary", "Accept, Early-Data")], text)]
    })
    .await;
    let client = site.known("/").await;
    let mut half = site.early(&client, ask("GET", "/varies", "")).await;
    until("the origin was asked", || site.origin.hits_of("/varies") == 1).await;
    half.finish().await;
    half.hears("in time").await;
    assert!(!half.text().contains("\r\n\r\nearly"));
    let (answer, _) = site.visit(&client, "/varies", &[]).await;
    assert_eq!((answer.text().as_str(), site.origin.hits_of("/varies")), ("in time", 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sent_again_is_not_taken() {
    let site = Site::new(page).await;
    let client = site.known("/").await;
    let mut half = site.early(&client, ask("GET", "/once", "")).await;
    half.hears("\r\n\r\npage").await;
    assert_eq!(site.origin.hits_of("/once"), 1);
    let recorded = half.sent.clone();
    let other = start(&site.shown, &site.origin.url(), "early_data = true\n", "", "");
    let restarted = other.addresses[0].address.inet().expect("an address");
    // Also after the end of the handshake, and at another node.
    for (round, at) in [(0, site.addr()), (1, site.addr()), (2, restarted)] {
        if round == 1 {
            half.finish().await;
            half.say(&ask("GET", "/", "")).await;
        }
        let mut again = TcpStream::connect(at).await.expect("connects");
        again.write_all(&recorded).await.expect("sent");
        let mut hello = [0; 1];
        within(ms(10_000), again.read_exact(&mut hello)).await.expect("the node's part of a handshake");
        again.shutdown().await.expect("shut");
        let mut rest = Vec::new();
        let _ = within(ms(10_000), again.read_to_end(&mut rest)).await;
        assert!(rest.len() < 8_000);
    }
    a_round(&site, "/round").await;
    let failures = [&site.node, &other].map(|node| node.node.counters.tls_failures.get());
    assert_eq!((failures, site.origin.hits_of("/once")), ([2, 1], 1));
    assert_eq!((early_connections(&site.node), early_connections(&other)), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_serves_once() {
    let site = Site::new(page).await;
    let client = site.config(&["http/1.1"]);
    let mut kinds = Vec::new();
    for _ in 0..4 {
        kinds.push(site.visit(&client, "/", &[]).await.1);
    }
    assert_eq!(
        kinds,
        [HandshakeKind::Full, HandshakeKind::Resumed, HandshakeKind::Resumed, HandshakeKind::Resumed]
    );
    // TLS 1.2 has no early data, and resumes all the same.
    let client = Arc::new(site.authority.client_who(None, &TLS12, &["http/1.1"]));
    for kind in [HandshakeKind::Full, HandshakeKind::Resumed, HandshakeKind::Resumed] {
        assert_eq!(site.visit(&client, "/", &[]).await.1, kind);
    }
    // Room for 16 sessions, of which each handshake makes two: those of long ago are forgotten.
    let site = Site::with("early_data = true\n", "early_data_sessions = 16\n", "", page).await;
    let client = site.known("/").await;
    for _ in 0..200 {
        site.known("/").await;
    }
    let mut half = site.early(&client, ask("GET", "/", "")).await;
    assert!(!half.is_taken().await, "and what is sent early with one is not taken");
    half.finish().await;
    half.say(&ask("GET", "/", "")).await;
    half.hears("\r\n\r\npage").await;
    assert_eq!(half.tls.handshake_kind(), Some(HandshakeKind::Full));
}

/// The first text of an answer by HTTP/2 that comes on a connection.
async fn hears_by_http2(half: &mut Half) -> String {
    half.hears("page").await;
    half.text()
}

/// A request of HTTP/2 for the site.
pub fn ask_by_http2(stream: u32, method: &str, path: &str, flags: u8) -> Vec<u8> {
    let fields = [(":method", method), (":scheme", "https"), (":authority", HOST), (":path", path)];
    frame(HEADERS, flags | END_HEADERS, stream, &http2::block(&fields))
}

#[tokio::test(flavor = "multi_thread")]
async fn http2_begins_early_too() {
    let site = Site::with("early_data = true\nhttp2 = true\n", "", "", page).await;
    let begin = [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat();
    let known = async || {
        let config = site.config(&["h2"]);
        let mut half = site.early(&config, []).await;
        assert!(!half.is_taken().await);
        half.finish().await;
        let asked = [&begin[..], &ask_by_http2(1, "GET", "/", END_STREAM)].concat();
        std::io::Write::write_all(&mut half.tls.writer(), &asked).expect("room");
        half.leave().await;
        hears_by_http2(&mut half).await;
        config
    };
    // A hit.
    let client = known().await;
    let mut half = site.early(&client, [&begin[..], &ask_by_http2(1, "GET", "/", END_STREAM)].concat()).await;
    hears_by_http2(&mut half).await;
    assert!(half.tls.is_early_data_accepted() && site.origin.hits() == 1);
    // A miss, and one that waits behind it, content and all; the end of the handshake wakes it.
    let client = known().await;
    let post = [ask_by_http2(3, "POST", "/waits", 0), frame(0, END_STREAM, 3, b"order")].concat();
    let early = [&begin[..], &ask_by_http2(1, "GET", "/miss", END_STREAM), &post].concat();
    let mut half = site.early(&client, early).await;
    hears_by_http2(&mut half).await;
    assert_eq!(site.origin.exchange(1).request.header("early-data"), Some("1"));
    for round in 0..3 {
        let config = site.config(&["http/1.1"]);
        site.visit(&config, &format!("/round/{round}"), &[]).await;
    }
    assert_eq!(site.origin.hits_of("/waits"), 0);
    half.read.clear();
    half.finish().await;
    hears_by_http2(&mut half).await;
    let posted = site.origin.seen().into_iter().find(|seen| seen.path() == "/waits").expect("posted");
    assert_eq!((posted.header("early-data"), site.origin.hits_of("/waits")), (None, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_of_one_protocol_brings_no_early_data_of_another() {
    let site = Site::with("early_data = true\nhttp2 = true\n", "", "", page).await;
    let mut config = site.authority.client_who(None, &TLS13, &["http/1.1"]);
    config.enable_early_data = true;
    let known = Arc::new(config.clone());
    site.visit(&known, "/", &[]).await;
    config.resumption = known.resumption.clone();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let mut half = site.early(&Arc::new(config), ask("GET", "/", "")).await;
    assert!(!half.is_taken().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_end_of_its_handshake_a_connection_ends_in_time() {
    let site = Site::with("early_data = true\n", "handshake_timeout = \"1s\"\n", "", strict).await;
    let counters = &site.node.node.counters;
    let requests = [
        // Answered, and idle.
        ask("GET", "/", ""),
        // Half of one.
        "GET / HTTP/1.1\r\n".to_owned(),
        // Waits for the end.
        ask("POST", "/", "Content-Length: 0\r\n"),
        // Refused by the origin.
        ask("GET", "/refused", ""),
    ];
    for (nth, request) in (1..).zip(requests) {
        let client = site.known("/").await;
        let mut half = site.early(&client, &request).await;
        half.until(|_| false).await;
        assert!(half.ended, "{request}");
        assert_eq!(half.text().contains("HTTP/1.1 200"), nth == 1, "{request}: {}", half.text());
        until("it was counted", || counters.tls_failures.get() == nth).await;
    }
    assert!(site.origin.seen().iter().all(|seen| seen.method == "GET"));
    assert_eq!(site.origin.hits_of("/refused"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_end_of_a_handshake_ends_the_connection_and_does_nothing() {
    let site = Site::with("early_data = true\n", "handshake_timeout = \"60s\"\n", "", page).await;
    let client = site.known("/").await;
    let mut half = site.early(&client, ask("POST", "/", "Content-Length: 0\r\n")).await;
    assert!(half.is_taken().await);
    let mut bytes = Vec::new();
    while half.tls.wants_write() {
        half.tls.write_tls(&mut bytes).expect("encrypted");
    }
    *bytes.last_mut().expect("bytes") ^= 1;
    half.io.write_all(&bytes).await.expect("sent");
    half.until(|_| false).await;
    until("it was counted", || site.node.node.counters.tls_failures.get() == 1).await;
    a_round(&site, "/round").await;
    assert!(site.origin.seen().iter().all(|seen| seen.method == "GET"));
    assert!(!half.text().contains("HTTP/1.1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn where_it_is_off_nobody_is_offered_it() {
    let site = Site::with("", "", "", page).await;
    let client = site.known("/").await;
    let mut half = site.early(&client, []).await;
    assert!(half.tls.early_data().is_none() && !half.is_taken().await);
    half.finish().await;
    half.say(&ask("GET", "/", "")).await;
    half.hears("\r\n\r\npage").await;
    assert_eq!(half.tls.handshake_kind(), Some(HandshakeKind::Resumed), "by a ticket");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_clients_that_have_to_show_a_certificate_none_is_taken() {
    let clients = crate::support::authority::Authority::new();
    let own = clients.pair("client", &["client.test"], 2999);
    let ca = clients.file();
    // A client is asked by the host that it names.
    let more = format!(
        "[sites.t]\nhosts = [{HOST:?}]\norigins = [\"http://127.0.0.1:1\"]\n\
         [sites.t.tls]\nclient_certificates = \"required\"\nclient_ca = {ca:?}\n"
    );
    let site = Site::with("early_data = true\n", "", &more, page).await;
    let mut config = site.authority.client_who(Some(&own), &TLS13, &["http/1.1"]);
    config.enable_early_data = true;
    let config = Arc::new(config);
    for _ in 0..2 {
        let (answer, kind) = site.visit(&config, "/", &[]).await;
        assert_eq!((answer.status, kind), (502, HandshakeKind::Full), "let in, and nobody is there");
        let half = site.early(&config, []).await;
        assert!({ half }.tls.early_data().is_none());
    }
    assert_eq!(early_connections(&site.node), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn openssl_is_answered_early() {
    let site = Site::new(page).await;
    let directory = tempfile::tempdir().expect("a directory");
    let place = |name: &str| directory.path().join(name).to_str().expect("text").to_owned();
    let (session, early, ca) = (place("session"), place("early"), site.authority.file());
    let connect = site.addr().to_string();
    let args = ["s_client", "-connect", &connect, "-servername", HOST, "-tls1_3", "-CAfile"];
    let args = [&args[..], &[ca.to_str().expect("text"), "-alpn", "http/1.1"]].concat();
    let request = ask("GET", "/page", "Connection: close\r\n");
    std::fs::write(&early, &request).expect("written");
    let first = said(&[&args[..], &["-ign_eof", "-sess_out", &session]].concat(), &request).await;
    assert!(first.contains("HTTP/1.1 200"), "{first}");
    let again =
        said(&[&args[..], &["-ign_eof", "-sess_in", &session, "-early_data", &early]].concat(), "").await;
    assert!(again.contains("Early data was accepted") && again.contains("; hit"), "{again}");
    // The session has served.
    let replayed = said(&[&args[..], &["-sess_in", &session, "-early_data", &early]].concat(), "").await;
    assert!(replayed.contains("Early data was rejected"), "{replayed}");
    assert_eq!((early_connections(&site.node), site.origin.hits()), (1, 1));
}

/// What `openssl` says that is told this, and then nothing more.
async fn said(args: &[&str], input: &str) -> String {
    let mut openssl = tokio::process::Command::new("timeout");
    openssl.args(["5", "openssl"]);
    let piped = std::process::Stdio::piped;
    let mut child =
        openssl.args(args).stdin(piped()).stdout(piped()).stderr(piped()).spawn().expect("openssl");
    let mut stdin = child.stdin.take().expect("stdin");
    let _ = stdin.write_all(input.as_bytes()).await;
    if input.is_empty() {
        // It says all that it has to say of the handshake only once it is told something.
        drop(stdin);
    }
    let output = within(ms(20_000), child.wait_with_output()).await.expect("openssl");
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_behind_an_early_answer_may_be_refused_and_is_tried_again() {
    let stale =
        [("Cache-Control", "max-age=60, stale-while-revalidate=600"), ("Age", "100"), ("ETag", "\"1\"")];
    let site = Site::new(move |request, _| match request.header("early-data") {
        Some(_) => vec![respond("425 Too Early", &[], "too early")],
        None if request.header("if-none-match").is_some() => vec![respond("304 Not Modified", &[FRESH], "")],
        None => vec![respond("200 OK", &stale, "page")],
    })
    .await;
    let client = site.known("/").await;
    let mut half = site.early(&client, ask("GET", "/", "")).await;
    half.hears("\r\n\r\npage").await;
    assert!(half.text().contains("stale-while-revalidate"), "{}", half.text());
    until("the refresh was refused", || site.origin.hits() == 2).await;
    assert_eq!(site.origin.exchange(1).request.header("early-data"), Some("1"));
    until("it is over", || site.node.node.fetcher.running() == 0).await;
    // The next one is not held up by that.
    a_round(&site, "/").await;
    until("it was refreshed", || site.origin.hits() == 3).await;
    until("it is over", || site.node.node.fetcher.running() == 0).await;
    let (answer, _) = site.visit(&client, "/", &[]).await;
    assert!(answer.cache_status().contains("; hit; ttl="), "{}", answer.cache_status());
    assert!(!answer.cache_status().contains("stale"), "{}", answer.cache_status());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_stored_in_blocks_waits_for_the_end() {
    let (content, length) = (pattern(2, 3 << 20), 3 << 20);
    let body = content.clone();
    let site = Site::new(move |request, _| {
        let fields = [FRESH, ("ETag", "\"1\"")];
        let range = request.header("range").and_then(|range| range.strip_prefix("bytes=")?.split_once('-'));
        match range {
            _ if request.path() == "/" => vec![respond("200 OK", &[FRESH], "page")],
            None => vec![respond("200 OK", &fields, body.clone())],
            Some((first, last)) => {
                let first: usize = first.parse().expect("a number");
                let last = last.parse().unwrap_or(length - 1).min(length - 1);
                let range = format!("bytes {first}-{last}/{length}");
                let fields = [FRESH, ("ETag", "\"1\""), ("Content-Range", range.as_str())];
                vec![respond("206 Partial Content", &fields, body.slice(first..=last))]
            }
        }
    })
    .await;
    let whole = content.slice(10..20);
    let part = "Range: bytes=10-19\r\n";
    let (answer, _) = site.visit(&site.config(&["http/1.1"]), "/large", &[("Range", "bytes=10-19")]).await;
    assert_eq!((answer.status, &answer.body[..]), (206, &whole[..]));
    let client = site.known("/").await;
    let hits = site.origin.hits();
    // What is there, and what is not.
    for (nth, first) in [10_usize, (2 << 20) + 10].into_iter().enumerate() {
        let asked = part.replace("10-19", &format!("{first}-{}", first + 9));
        let mut half = site.early(&client, ask("GET", "/", "") + &ask("GET", "/large", &asked)).await;
        half.hears("\r\n\r\npage").await;
        a_round(&site, &format!("/{nth}")).await;
        assert_eq!(half.text().matches("HTTP/1.1").count(), 1);
        half.finish().await;
        let wanted = content.slice(first..first + 10);
        half.until(|read| read.ends_with(&wanted)).await;
        assert!(half.read.ends_with(&wanted) && half.text().contains("HTTP/1.1 206"));
    }
    let seen = site.origin.seen();
    assert!(seen[hits..].iter().all(|seen| seen.header("early-data").is_none()));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_visit_brings_sessions_for_the_next_one() {
    let site = Site::new(page).await;
    let client = site.known("/").await;
    for visit in 1..=5 {
        let mut half = site.early(&client, ask("GET", "/", "")).await;
        half.hears("\r\n\r\npage").await;
        half.finish().await;
        // Without another word of the client's.
        half.until_it(|tls, _| tls.tls13_tickets_received() == 2).await;
        assert_eq!((half.tls.tls13_tickets_received(), early_connections(&site.node)), (2, visit));
    }
    assert_eq!(site.origin.hits(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn more_early_data_than_may_be_ends_the_connection() {
    // Which is not the end of its time.
    let site = Site::with("early_data = true\n", "handshake_timeout = \"60s\"\n", "", page).await;
    let (config, secret) = secretive(&site).await;
    let post = ask("POST", "/", "Content-Length: 100000\r\n");
    let mut half = site.early(&config, &post).await;
    let room = (16 << 10) - post.len();
    half.io.write_all(&secret.record(1, &vec![b'x'; room])).await.expect("sent");
    assert!(half.is_taken().await, "so much may be");
    half.io.write_all(&secret.record(2, b"x")).await.expect("sent");
    half.until(|_| false).await;
    until("it was counted", || site.node.node.counters.tls_failures.get() == 1).await;
    a_round(&site, "/round").await;
    assert!(site.origin.seen().iter().all(|seen| seen.method == "GET"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_waits_for_no_handshake_that_goes_on() {
    let site = Site::new(page).await;
    let client = site.known("/").await;
    let mut half = site.early(&client, ask("GET", "/", "")).await;
    half.hears("\r\n\r\npage").await;
    let node = site.node;
    let drained = tokio::task::spawn_blocking(move || node.drain());
    within(ms(3_000), drained).await.expect("drained");
    half.until(|_| false).await;
    assert!(half.ended);
}

/// A client that has been here before, and tells its secret.
pub async fn secretive(site: &Site) -> (Arc<ClientConfig>, Arc<Secret>) {
    let mut config = site.authority.client_who(None, &TLS13, &["http/1.1"]);
    config.enable_early_data = true;
    let secret = Arc::new(Secret::default());
    config.key_log = Arc::clone(&secret) as _;
    let config = Arc::new(config);
    site.visit(&config, "/", &[]).await;
    (config, secret)
}

#[tokio::test(flavor = "multi_thread")]
async fn early_data_may_come_in_pieces() {
    let site = Site::new(page).await;
    let (config, secret) = secretive(&site).await;
    let request = ask("GET", "/", "") + &ask("GET", "/early", "");
    let mut half = site.early(&config, &request[..5]).await;
    assert!(half.is_taken().await);
    for (nth, piece) in (1..).zip(request.as_bytes()[5..].chunks(40)) {
        half.io.write_all(&secret.record(nth, piece)).await.expect("sent");
        a_round(&site, &format!("/round/{nth}")).await;
    }
    half.until(|read| String::from_utf8_lossy(read).matches("\r\n\r\npage").count() == 2).await;
    let early = site.origin.seen().into_iter().find(|seen| seen.path() == "/early").expect("asked");
    assert_eq!(early.header("early-data"), Some("1"));
}
