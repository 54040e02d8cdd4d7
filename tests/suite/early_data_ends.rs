//! Connections with early data that end early, and what they may cost: answers that close, clients that go on to speak, that
//! leave, that send their data bit by bit, or that ask for what is not theirs.

use std::io::Write as _;
use std::process;
use std::sync::Arc;

use forebay::base::early::Handshake;
use forebay::fetch::Joined;
use forebay::fetch::flight::Seat;
use http::Method;

use crate::cancel::{ask_by, ask_with};
use crate::disk_rig::until;
use crate::early_data::{a_round, ask_by_http2, page, secretive, with_large};
use crate::early_data_rig::{HOST, Half, Site, ask};
use crate::rig::Pipes;
use crate::support::authority::Authority;
use crate::support::bytes::pattern;
use crate::support::http2::{self, END_HEADERS, END_STREAM, HEADERS, PREFACE, SETTINGS, frame};
use crate::support::origin::Act;
use crate::support::process::rss_anon_kib;
use tokio::io::AsyncWriteExt as _;

/// Lets the node do whatever it has to do now: it answers others some times, or has let all of them go.
async fn some_rounds(site: &Site) {
    for _ in 0..40 {
        a_round(site, "/").await;
        if site.node.node.machine.connections().now() == 0 {
            return;
        }
    }
}

/// More than is on its way when the connection ends, with the end of the handshake still to come.
#[tokio::test(flavor = "multi_thread")]
async fn an_early_answer_that_closes_comes_whole() {
    let large = pattern(1, 300_000);
    let site = with_large(&large).await;
    a_round(&site, "/large").await;
    let client = site.known("/").await;
    let hits = site.node.node.counters.hits.get();
    let mut half = site.early(&client, ask("GET", "/large", "Connection: close\r\n")).await;
    until("it is answered", || site.node.node.counters.hits.get() > hits).await;
    some_rounds(&site).await;
    half.finish().await;
    half.until(|read| read.ends_with(&large)).await;
    assert!(half.read.ends_with(&large), "{} bytes came", half.read.len());
}

/// The end of a handshake is none of the client's silence.
#[tokio::test(flavor = "multi_thread")]
async fn who_is_told_that_it_made_no_sense_may_end_its_handshake_and_read_that() {
    let site = Site::new(page).await;
    let client = site.known("/").await;
    let mut half = site.early(&client, "GARBAGE\r\n\r\n").await;
    half.until(|read| read.starts_with(b"HTTP/1.1 400")).await;
    some_rounds(&site).await;
    half.finish().await;
    for _ in 0..20 {
        a_round(&site, "/").await;
        half.say("more of it").await;
        assert!(site.node.node.machine.connections().now() > 0, "it was let go");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_leaves_before_the_end_of_a_handshake_counts() {
    let site = Site::new(page).await;
    let client = site.known("/").await;
    let failures = || site.node.node.counters.tls_failures.get();
    let before = failures();
    let mut half = site.early(&client, ask("GET", "/", "Connection: close\r\n")).await;
    half.hears("page").await;
    drop(half);
    until("it counts", || failures() == before + 1).await;
}

/// Early data takes what it is, however it was cut up.
#[tokio::test(flavor = "multi_thread")]
async fn early_data_in_records_of_one_byte_takes_no_more_than_in_large_ones() {
    const CONNECTIONS: u64 = 20;
    const EACH_KIB: u64 = 128;
    let site = Site::with("early_data = true\n", "handshake_timeout = \"60s\"\n", "", page).await;
    let begin = async || -> Half {
        let (config, secret) = secretive(&site).await;
        // Content that nobody reads before the end of the handshake.
        let post = ask("POST", "/", "Content-Length: 100000\r\n");
        let mut half = site.early(&config, &post).await;
        assert!(half.is_taken().await);
        half.io.write_all(&secret.records((16 << 10) - post.len(), 1)).await.expect("sent");
        half
    };
    // What the first one makes grow stays.
    let first = begin().await;
    some_rounds(&site).await;
    let before = rss_anon_kib(process::id());
    let mut held = vec![first];
    for _ in 0..CONNECTIONS {
        held.push(begin().await);
    }
    some_rounds(&site).await;
    let grown = rss_anon_kib(process::id()).saturating_sub(before);
    assert!(grown < CONNECTIONS * EACH_KIB, "{grown} KiB for {CONNECTIONS} connections");
}

/// 20 KiB as any connection, 44 by TLS, and 16 of early data.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_is_charged_for_what_it_may_send_early() {
    for (listener, kib) in [("early_data = true\n", 80), ("", 64)] {
        let site = Site::with(listener, "", "", page).await;
        let client = site.known("/").await;
        until("all are gone", || site.node.node.machine.connections().now() == 0).await;
        let budget = &site.node.node.means.budget;
        let before = budget.used();
        let mut half = site.early(&client, []).await;
        half.finish().await;
        until("it is charged", || budget.used() == before + (kib << 10)).await;
    }
}

/// Who was refused along with an early leader waits for no other one, but for who leads surely.
#[tokio::test(start_paused = true)]
async fn who_wants_to_be_sure_joins_no_leader_whose_handshake_goes_on() {
    let pipes = Pipes::new(|_, _| vec![Act::Stall]);
    let (_handshake, early) = Handshake::begun();
    let early = Arc::new(ask_by(&pipes.node, Method::GET, Some(early)));
    let late = Arc::new(ask_with(&pipes.node, Method::GET));
    let seat = |ask, surely| match pipes.node.fetcher.join(ask, 0, surely, pipes.clock.now()) {
        Joined::Seat(seat, ..) => seat,
        other => panic!("nothing is stored: {other:?}"),
    };
    let leader = seat(&early, false);
    let joined = seat(&late, false);
    let sure = [seat(&late, true), seat(&late, true)];
    let lead = [&leader, &joined, &sure[0], &sure[1]].map(Seat::leads);
    assert_eq!(lead, [true, false, true, false]);
    assert_eq!(pipes.node.fetcher.joinable(), 2);
}

/// Of a site that asks for certificates nothing is told to who was asked for none, early as ever.
#[tokio::test(flavor = "multi_thread")]
async fn a_site_that_asks_for_certificates_is_not_reached_early_by_another_name() {
    let authority = Authority::new();
    let more = format!(
        "[sites.other]\nhosts = [\"other.test\"]\norigins = [\"http://127.0.0.1:1\"]\n\
         [sites.other.tls]\nclient_certificates = \"required\"\nclient_ca = {:?}\n",
        authority.file()
    );
    let site = Site::with("early_data = true\n", "", &more, page).await;
    for (method, length) in [("GET", ""), ("POST", "Content-Length: 0\r\n")] {
        let client = site.known("/").await;
        let request = format!("{method} / HTTP/1.1\r\nHost: other.test\r\n{length}\r\n");
        let mut half = site.early(&client, request).await;
        half.until(|read| read.starts_with(b"HTTP/1.1 421")).await;
        assert!(half.text().starts_with("HTTP/1.1 421"), "{}", half.text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_by_http2_waits_for_the_end_of_the_handshake() {
    let site = Site::with("early_data = true\nhttp2 = true\n", "", "", page).await;
    let begin = [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat();
    let config = site.config(&["h2"]);
    let mut half = site.early(&config, []).await;
    half.finish().await;
    half.tls
        .writer()
        .write_all(&[&begin[..], &ask_by_http2(1, "GET", "/", END_STREAM)].concat())
        .expect("room");
    half.leave().await;
    half.until(|read| read.windows(4).any(|window| window == b"page")).await;
    let fields = [
        (":method", "CONNECT"),
        (":protocol", "websocket"),
        (":scheme", "https"),
        (":authority", HOST),
        (":path", "/socket"),
    ];
    let connect = frame(HEADERS, END_HEADERS, 3, &http2::block(&fields));
    let asked = [&begin[..], &ask_by_http2(1, "GET", "/", END_STREAM), &connect].concat();
    let mut half = site.early(&config, asked).await;
    half.until(|read| read.windows(4).any(|window| window == b"page")).await;
    let asked = || site.origin.seen().iter().filter(|seen| seen.path() == "/socket").count();
    assert_eq!(asked(), 0);
    half.finish().await;
    until("it is asked", || asked() == 1).await;
}
