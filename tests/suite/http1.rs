//! HTTP/1.1 on both sides: connections, framing, trailers, expectations, upgrades, and what is refused.

use std::io;
use std::sync::Arc;

use forebay::body::tunnel::Io;
use forebay::origin::connect::{Connect, Connecting};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::mpsc;

use crate::rig::{Pipes, Sockets, on_hyper, settings};
use crate::support::bytes::{Verify, pattern};
use crate::support::client::{Client, Ended};
use crate::support::origin::{
    Act, Gate, SeenRequest, chunk, head, interim, last_chunk, respond, respond_chunked, respond_to,
};
use crate::support::{ms, within};

const FRESH: (&str, &str) = ("Cache-Control", "max-age=60");

/// An origin that answers each path with the path itself, to be kept for a minute.
fn echo(request: &SeenRequest, _nth: usize) -> Vec<Act> {
    vec![respond("200 OK", &[FRESH], &request.target)]
}

// ---- connections ----

#[tokio::test(start_paused = true)]
async fn a_connection_serves_one_request_after_the_other() {
    let pipes = Pipes::new(echo);
    let mut client = pipes.client();
    assert_eq!(client.get("/a").await.text(), "/a");
    let second = client.get("/b").await;
    assert_eq!((second.text().as_str(), second.header("connection")), ("/b", None));
    assert_eq!(pipes.connections.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_says_close_is_closed() {
    let pipes = Pipes::new(echo);
    let mut client = pipes.client();
    assert_eq!(client.get_with("/", &[("Connection", "close")]).await.header("connection"), Some("close"));
    assert_eq!(client.expect_end().await, Ended::Closed);
}

#[tokio::test(start_paused = true)]
async fn an_http_10_client_is_closed_after_its_answer() {
    let pipes = Pipes::new(echo);
    let answer = http_10(&pipes, "GET /old HTTP/1.0\r\nHost: test\r\n\r\n").await;
    assert!(answer.contains(" 200 OK\r\n") && answer.ends_with("\r\n\r\n/old"), "{answer}");
    http_10(&pipes, "DELETE /old HTTP/1.0\r\nHost: test\r\n\r\n").await;
    assert_eq!(pipes.origin.exchange(1).request.header("via"), Some("1.0 forebay"));
}

#[tokio::test(start_paused = true)]
async fn pipelined_requests_are_answered_in_order() {
    let pipes = Pipes::new(|request, nth| {
        let slow = if request.path() == "/1" { vec![Act::Wait(ms(500))] } else { vec![] };
        [slow, echo(request, nth)].concat()
    });
    let mut client = pipes.client();
    let get = |n: u8| format!("GET /{n} HTTP/1.1\r\nHost: test\r\n\r\n");
    client.send(&[get(1), get(2), get(3)].concat()).await;
    for expected in ["/1", "/2", "/3"] {
        assert_eq!(client.read_answer().await.text(), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_does_not_wait_for_the_rest_of_the_next_request() {
    let pipes = Pipes::new(echo);
    let mut client = pipes.client();
    client.send("GET /1 HTTP/1.1\r\nHost: test\r\n\r\nGET /2 HT").await;
    assert_eq!(within(ms(100), client.read_answer()).await.text(), "/1");
    client.send("TP/1.1\r\nHost: test\r\n\r\n").await;
    assert_eq!(client.read_answer().await.text(), "/2");
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_closed_after_its_time() {
    let pipes = Pipes::new(echo);
    let mut client = pipes.client();
    client.get("/").await;
    let begun = tokio::time::Instant::now();
    assert_eq!(client.expect_end().await, Ended::Closed);
    assert_eq!(begun.elapsed().as_secs(), pipes.settings.listener.header_timeout.as_secs());
}

#[tokio::test]
async fn a_connection_over_the_limit_is_told_503() {
    let node = Sockets::with(|settings| settings.request.max_connections = 1, echo).await;
    let mut first = node.client().await;
    first.get("/").await;
    let mut second = node.client().await;
    let refusal = second.read_answer().await;
    assert_eq!((refusal.status, refusal.header("retry-after")), (503, Some("1")));
    assert_eq!(first.get("/").await.status, 200, "the first connection is left alone");
}

// ---- framing ----

#[tokio::test(start_paused = true)]
async fn a_chunked_response_arrives_chunked_and_whole() {
    let pipes = Pipes::new(|_, _| vec![respond_chunked("200 OK", &[FRESH], &[b"one ", b"two ", b"three"])]);
    let mut client = pipes.client();
    let answer = client.get("/").await;
    assert_eq!((answer.text().as_str(), answer.complete), ("one two three", true));
    assert_eq!(answer.header("transfer-encoding"), Some("chunked"));
    pipes.quiet().await;
    let hit = client.get("/").await;
    assert_eq!((hit.text().as_str(), hit.header("content-length")), ("one two three", Some("13")));
}

#[tokio::test(start_paused = true)]
async fn a_chunked_response_reaches_an_http_10_client_without_chunks() {
    let pipes = Pipes::new(|_, _| vec![respond_chunked("200 OK", &[FRESH], &[b"one ", b"two"])]);
    let answer = http_10(&pipes, "GET / HTTP/1.0\r\nHost: test\r\n\r\n").await;
    assert!(!answer.to_ascii_lowercase().contains("transfer-encoding"), "{answer}");
    assert!(answer.ends_with("\r\n\r\none two"), "{answer}");
}

#[tokio::test(start_paused = true)]
async fn a_chunked_request_body_reaches_the_origin_byte_by_byte() {
    let pipes = Pipes::new(reads_the_body);
    let mut client = pipes.client();
    client.send("POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    client.send("3\r\none\r\n4;ext=1\r\n two\r\n0\r\n\r\n").await;
    assert_eq!(client.read_answer().await.status, 201);
    let exchange = pipes.origin.exchange(0);
    assert_eq!((exchange.body.as_slice(), exchange.body_whole), (b"one two".as_slice(), true));
    pipes.origin.assert_clean();
}

#[tokio::test(start_paused = true)]
async fn a_sized_request_body_keeps_its_length() {
    let pipes = Pipes::new(reads_the_body);
    let mut client = pipes.client();
    client.request("POST", "/", &[], b"name=value").await;
    assert_eq!(client.read_answer().await.status, 201);
    let exchange = pipes.origin.exchange(0);
    assert_eq!(exchange.body, b"name=value");
    assert_eq!(exchange.request.header("content-length"), Some("10"));
    assert_eq!(exchange.request.header("transfer-encoding"), None);
}

#[tokio::test(start_paused = true)]
async fn a_large_post_reaches_the_origin_whole() {
    let pipes = Pipes::new(reads_the_body);
    let mut client = pipes.client();
    client.request("POST", "/", &[], &pattern(7, 1 << 20)).await;
    assert_eq!(client.read_answer().await.status, 201);
    let mut verify = Verify::new(7);
    verify.feed(&pipes.origin.exchange(0).body);
    verify.finish(1 << 20);
}

#[tokio::test(start_paused = true)]
async fn an_empty_post_says_so_to_the_origin() {
    let pipes = Pipes::new(reads_the_body);
    let mut client = pipes.client();
    client.request("POST", "/", &[("Content-Length", "0")], b"").await;
    assert_eq!(client.read_answer().await.status, 201);
    assert_eq!(pipes.origin.exchange(0).request.header("content-length"), Some("0"));
}

#[tokio::test(start_paused = true)]
async fn an_upload_that_the_client_breaks_off_is_never_whole_at_the_origin() {
    let pipes = Pipes::streaming(reads_the_body);
    let mut client = pipes.client();
    client.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 100\r\n\r\nhalf").await;
    pipes.origin.wait_until(|tally| tally.exchanges.first().is_some_and(|e| !e.body.is_empty())).await;
    drop(client);
    pipes.origin.wait_for_closed_by_peer(1).await;
    assert!(!pipes.origin.exchange(0).body_whole);
    pipes.quiet().await;
}

// ---- trailers ----

fn with_trailers(_: &SeenRequest, _: usize) -> Vec<Act> {
    let fields = [("Transfer-Encoding", "chunked"), ("Trailer", "X-Sum")];
    vec![head("200 OK", &fields), chunk("summed"), last_chunk(&[("X-Sum", "42")])]
}

#[tokio::test(start_paused = true)]
async fn trailers_reach_a_client_that_takes_them() {
    let pipes = Pipes::new(with_trailers);
    let mut client = pipes.client();
    for (nth, (method, told)) in [("GET", None), ("DELETE", Some("trailers"))].into_iter().enumerate() {
        client.request(method, "/", &[("TE", "trailers"), ("Connection", "te")], b"").await;
        let answer = client.read_answer().await;
        assert_eq!((answer.text().as_str(), answer.header("trailer")), ("summed", Some("X-Sum")));
        assert_eq!(answer.trailers, [("x-sum".to_owned(), "42".to_owned())]);
        // What may be stored is asked for in the same words for every client.
        assert_eq!(pipes.origin.exchange(nth).request.header("te"), told);
    }
}

#[tokio::test(start_paused = true)]
async fn trailers_are_kept_from_a_client_that_does_not_take_them() {
    let pipes = Pipes::new(with_trailers);
    let mut client = pipes.client();
    let answer = client.get("/").await;
    assert_eq!((answer.text().as_str(), answer.complete), ("summed", true));
    assert_eq!((answer.header("trailer"), answer.trailers.len()), (None, 0));
}

#[tokio::test(start_paused = true)]
async fn request_trailers_reach_the_origin() {
    let (pipes, mut origins) = by_hand();
    let mut client = pipes.client();
    client
        .send("POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n")
        .await;
    client.send("3\r\none\r\n0\r\nX-Sum: 42\r\n\r\n").await;
    let mut origin = origins.recv().await.unwrap();
    let request = read_until(&mut origin, "42\r\n\r\n").await.to_ascii_lowercase();
    assert!(request.contains("\r\ntrailer: x-sum\r\n"), "{request}");
    assert!(request.ends_with("3\r\none\r\n0\r\nx-sum: 42\r\n\r\n"), "{request}");
    origin.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
    assert_eq!(client.read_answer().await.status, 204);
}

// ---- HEAD ----

#[tokio::test(start_paused = true)]
async fn a_head_miss_is_fetched_as_a_get_and_stored() {
    let pipes = Pipes::new(echo);
    let mut client = pipes.client();
    client.request("HEAD", "/page", &[], b"").await;
    let miss = client.read_answer().await;
    assert_eq!((miss.status, miss.header("content-length"), miss.body.len()), (200, Some("5"), 0));
    pipes.quiet().await;
    assert_eq!(pipes.origin.exchange(0).request.method, "GET");
    let hit = client.get("/page").await;
    assert_eq!((hit.text().as_str(), hit.cache_status().as_str()), ("/page", "forebay; hit; ttl=60"));
    assert_eq!(pipes.origin.hits(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_head_hit_has_the_length_and_no_body() {
    let pipes = Pipes::new(echo);
    let mut client = pipes.client();
    client.get("/page").await;
    pipes.quiet().await;
    client.request("HEAD", "/page", &[], b"").await;
    let hit = client.read_answer().await;
    assert_eq!(
        (hit.header("content-length"), hit.cache_status().as_str()),
        (Some("5"), "forebay; hit; ttl=60")
    );
    assert_eq!(client.get("/page").await.text(), "/page", "the connection is still in step");
}

#[tokio::test(start_paused = true)]
async fn a_head_of_something_huge_costs_the_origin_about_a_block() {
    let pipes = Pipes::new(|_, _| vec![respond("200 OK", &[FRESH], pattern(3, 3 << 20))]);
    let mut client = pipes.client();
    client.request("HEAD", "/huge", &[], b"").await;
    let answer = client.read_answer().await;
    assert_eq!((answer.status, answer.header("content-length")), (200, Some("3145728")));
    pipes.origin.wait_for_closed_by_peer(1).await;
    pipes.quiet().await;
    let written = pipes.origin.bytes_written();
    assert!(written < (1 << 20) + (512 << 10), "the origin wrote {written} bytes");
    assert_eq!(client.get("/huge").await.body.len(), 3 << 20, "and it was not stored as whole");
}

#[tokio::test(start_paused = true)]
async fn a_head_that_is_passed_stays_a_head() {
    let pipes = Pipes::new(|request, _| vec![respond_to(request, "200 OK", &[FRESH], "body")]);
    let mut client = pipes.client();
    client.request("HEAD", "/", &[("If-Match", "*")], b"").await;
    let answer = client.read_answer().await;
    assert_eq!((answer.status, answer.header("content-length")), (200, Some("4")));
    assert_eq!(pipes.origin.exchange(0).request.method, "HEAD");
    assert_eq!(client.get("/").await.text(), "body", "the connection is still in step");
}

#[tokio::test(start_paused = true)]
async fn an_answer_without_content_has_no_framing() {
    let pipes = Pipes::new(|_, _| vec![respond("204 No Content", &[FRESH, ("Content-Length", "0")], "")]);
    let mut client = pipes.client();
    for _cold_then_warm in 0..2 {
        let answer = client.get("/").await;
        assert_eq!((answer.status, answer.header("content-length")), (204, None));
        pipes.quiet().await;
    }
    assert_eq!(pipes.origin.hits(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_get_that_joins_a_head_gets_all_of_it() {
    let gate = Gate::new();
    let held = Arc::clone(&gate);
    let pipes = Pipes::new(move |_, _| {
        let body = pattern(3, 3 << 20);
        let length = body.len().to_string();
        vec![
            head("200 OK", &[FRESH, ("Content-Length", &length)]),
            Act::WaitFor(held.clone()),
            Act::send(body),
        ]
    });
    let (mut first, mut second) = (pipes.client(), pipes.client());
    first.request("HEAD", "/huge", &[], b"").await;
    first.read_answer().await;
    second.request("GET", "/huge", &[], b"").await;
    assert_eq!(second.read_head().await.header("content-length"), Some("3145728"));
    gate.open();
    let mut verify = Verify::new(3);
    verify.feed(&second.read_body().await);
    verify.finish(3 << 20);
    assert_eq!(pipes.origin.hits(), 1);
}

// ---- expectations and interim answers ----

const EXPECTING: &str = "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n";

#[tokio::test(start_paused = true)]
async fn a_client_is_told_to_continue_once_the_origin_wants_the_body() {
    let gate = Gate::new();
    let held = Arc::clone(&gate);
    let pipes = Pipes::streaming(move |_, _| {
        let go_ahead = interim("100 Continue", &[]);
        vec![Act::WaitFor(held.clone()), go_ahead, Act::ReadBody, respond("201 Created", &[], "")]
    });
    let mut client = pipes.client();
    client.send(EXPECTING).await;
    let early = tokio::time::timeout(ms(500), client.next_head()).await;
    assert!(early.is_err(), "a 100 before the origin said so: {early:?}");
    gate.open();
    assert_eq!(client.next_head().await.unwrap().status, 100);
    client.send("body").await;
    assert_eq!(client.read_answer().await.status, 201);
    let exchange = pipes.origin.exchange(0);
    assert_eq!((exchange.request.header("expect"), exchange.body), (Some("100-continue"), b"body".to_vec()));
}

#[tokio::test(start_paused = true)]
async fn an_origin_that_never_says_continue_gets_the_body_after_a_while() {
    let pipes = Pipes::streaming(reads_the_body);
    let mut client = pipes.client();
    client.send(EXPECTING).await;
    let begun = tokio::time::Instant::now();
    assert_eq!(client.next_head().await.unwrap().status, 100);
    assert_eq!(begun.elapsed().as_millis(), pipes.settings.pools[0].continue_timeout.as_millis());
    client.send("body").await;
    assert_eq!(client.read_answer().await.status, 201);
    assert_eq!(pipes.origin.exchange(0).body, b"body");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_the_origin_refuses_is_never_asked_for() {
    for refusal in ["417 Expectation Failed", "413 Content Too Large"] {
        let pipes = Pipes::streaming(move |_, _| vec![respond(refusal, &[], "no")]);
        let mut client = pipes.client();
        client.send(EXPECTING).await;
        let answer = client.read_answer().await;
        assert!(refusal.starts_with(&answer.status.to_string()), "{refusal}: {}", answer.status);
        assert_eq!((answer.text().as_str(), answer.interim.len()), ("no", 0));
        pipes.quiet().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_with_a_body_unsent_carries_no_other_request() {
    let pipes = Pipes::streaming(|request, nth| match request.method.as_str() {
        "POST" => vec![respond("417 Expectation Failed", &[], "no")],
        _ => echo(request, nth),
    });
    let mut client = pipes.client();
    client.send(EXPECTING).await;
    assert_eq!(client.read_answer().await.status, 417);
    // Nobody waits for a body that nobody wants: both connections end.
    within(ms(10_000), client.expect_end()).await;
    within(ms(10_000), pipes.origin.wait_for_closed_by_peer(1)).await;
    let after = within(ms(10_000), async { pipes.client().get("/after").await }).await;
    assert_eq!(after.text(), "/after");
    pipes.quiet().await;
    assert_eq!(pipes.client().get("/later").await.text(), "/later");
    assert_eq!(pipes.origin.hits_of("/after") + pipes.origin.hits_of("/later"), 2);
    pipes.origin.assert_clean();
}

#[tokio::test(start_paused = true)]
async fn an_answer_need_not_wait_for_the_end_of_the_upload() {
    let pipes = Pipes::streaming(|_, _| vec![respond("413 Content Too Large", &[], "too much"), Act::Close]);
    let mut client = pipes.client();
    client.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 1048576\r\n\r\n").await;
    // The node need not read all of it before it answers.
    let _ = client.try_send(&pattern(1, 100_000)).await;
    let answer = client.read_answer().await;
    assert_eq!((answer.status, answer.text().as_str()), (413, "too much"));
    pipes.quiet().await;
}

#[tokio::test(start_paused = true)]
async fn an_upload_that_stalls_is_ended() {
    let pipes = Pipes::streaming(|_, _| vec![Act::ReadBody, respond("200 OK", &[], "never")]);
    let mut client = pipes.client();
    client.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 100\r\n\r\nonly this").await;
    let answer = within(2 * pipes.settings.listener.body_timeout, client.read_answer()).await;
    assert_eq!(answer.status, 408);
    pipes.quiet().await;
    assert!(!pipes.origin.exchange(0).body_whole);
}

#[tokio::test(start_paused = true)]
async fn other_expectations_fail() {
    let pipes = Pipes::new(echo);
    let mut client = pipes.client();
    assert_eq!(client.get_with("/", &[("Expect", "a-miracle")]).await.status, 417);
    assert_eq!(pipes.origin.hits(), 0);
}

#[tokio::test(start_paused = true)]
async fn early_hints_come_before_the_answer_and_stay_out_of_it() {
    let pipes = Pipes::new(|request, nth| {
        let hints = interim("103 Early Hints", &[("Link", "</style.css>; rel=preload")]);
        [vec![hints], echo(request, nth)].concat()
    });
    let mut client = pipes.client();
    let answer = client.get("/page").await;
    assert_eq!((answer.status, answer.text().as_str(), answer.header("link")), (200, "/page", None));
    // hyper cannot send them.
    let expected: &[u16] = if on_hyper() { &[] } else { &[103] };
    assert_eq!(answer.interim, expected);
    pipes.quiet().await;
    assert!(client.get("/page").await.interim.is_empty(), "a hit has none");
    let old = http_10(&pipes, "DELETE /page HTTP/1.0\r\nHost: test\r\n\r\n").await;
    assert!(old.starts_with("HTTP/1.1 200 OK\r\n") || old.starts_with("HTTP/1.0 200 OK\r\n"), "{old}");
}

/// hyper leaves content out of a GET that is in chunks, unless it is told otherwise.
#[tokio::test(start_paused = true)]
async fn content_in_chunks_reaches_the_origin_whatever_the_method() {
    for method in ["GET", "DELETE", "POST", "HEAD"] {
        let pipes = Pipes::new(|_, _| vec![Act::ReadBody, head("204 No Content", &[])]);
        let mut client = pipes.client();
        let chunks = "Host: test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
        client.send(&format!("{method} / HTTP/1.1\r\n{chunks}")).await;
        assert_eq!(client.read_head().await.status, 204);
        assert_eq!(pipes.origin.exchange(0).body, b"abc", "{method}");
        pipes.origin.assert_clean();
    }
}

// ---- upgrades ----

const UPGRADING: [(&str, &str); 2] = [("Connection", "Upgrade"), ("Upgrade", "echo/1")];

#[tokio::test(start_paused = true)]
async fn an_upgraded_connection_is_a_tunnel_both_ways() {
    let (pipes, mut origins) = by_hand();
    let mut client = pipes.client();
    client.request("GET", "/chat", &UPGRADING, b"").await;
    let mut origin = origins.recv().await.unwrap();
    let request = read_until(&mut origin, "\r\n\r\n").await.to_ascii_lowercase();
    assert!(request.contains("\r\nupgrade: echo/1\r\n") && request.contains("\r\nconnection: upgrade\r\n"));
    let switch = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo/1\r\n\r\nhello";
    origin.write_all(switch).await.unwrap();
    let head = client.read_head().await;
    assert_eq!((head.status, head.header("upgrade")), (101, Some("echo/1")));
    assert_eq!(head.header("connection").map(str::to_ascii_lowercase).as_deref(), Some("upgrade"));
    assert_eq!(client.read_chunk().await.as_deref(), Some(b"hello".as_slice()));

    client.send("ping").await;
    read_until(&mut origin, "ping").await;
    origin.write_all(b"pong").await.unwrap();
    assert_eq!(client.read_chunk().await.as_deref(), Some(b"pong".as_slice()));

    drop(origin);
    assert_eq!(client.expect_end().await, Ended::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_the_tunnel_closes_it() {
    let (pipes, mut origins) = by_hand();
    let mut client = pipes.client();
    client.request("GET", "/chat", &UPGRADING, b"").await;
    let mut origin = origins.recv().await.unwrap();
    read_until(&mut origin, "\r\n\r\n").await;
    let switch = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo/1\r\n\r\n";
    origin.write_all(switch).await.unwrap();
    client.read_head().await;
    client.send("bye").await;
    drop(client);
    assert_eq!(read_to_end(origin).await, "bye");
    pipes.quiet().await;
}

#[tokio::test(start_paused = true)]
async fn an_origin_that_stays_with_http_is_delivered() {
    let pipes = Pipes::new(echo);
    let mut client = pipes.client();
    let answer = client.get_with("/chat", &UPGRADING).await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "/chat"));
    assert_eq!(answer.cache_status(), "forebay; fwd=bypass; detail=upgrade");
    assert_eq!(client.get("/after").await.text(), "/after");
}

#[tokio::test(start_paused = true)]
async fn a_switch_that_nobody_asked_for_is_a_502() {
    let pipes = Pipes::new(|_, _| {
        vec![head("101 Switching Protocols", &[("Connection", "upgrade"), ("Upgrade", "echo/1")]), Act::Stall]
    });
    let mut client = pipes.client();
    let answer = client.get("/").await;
    assert_eq!(answer.status, 502);
    assert_eq!(answer.header("proxy-status"), Some("forebay; error=http_protocol_error"));
    pipes.quiet().await;
}

// ---- methods, hosts, limits ----

#[tokio::test(start_paused = true)]
async fn options_asks_about_the_whole_server() {
    let pipes = Pipes::new(|_, _| vec![respond("204 No Content", &[("Allow", "GET")], "")]);
    let mut client = pipes.client();
    client.request("OPTIONS", "*", &[], b"").await;
    let answer = client.read_answer().await;
    assert_eq!((answer.status, answer.header("allow")), (204, Some("GET")));
    let request = pipes.origin.exchange(0).request;
    assert_eq!((request.method.as_str(), request.target.as_str()), ("OPTIONS", "*"));
}

#[tokio::test(start_paused = true)]
async fn trace_and_connect_are_not_served() {
    for (method, target) in [("TRACE", "/"), ("CONNECT", "test:443")] {
        let pipes = Pipes::new(echo);
        let mut client = pipes.client();
        client.request(method, target, &[], b"").await;
        let answer = client.read_answer().await;
        assert_eq!(answer.status, 405, "{method}");
        assert!(answer.header("allow").is_some_and(|allow| allow.contains("GET")));
        assert_eq!(pipes.origin.hits(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_names_one_valid_host() {
    for hosts in ["", "Host: a\r\nHost: a\r\n", "Host: a/b\r\n", "Host: user@a\r\n", "Host:\r\n"] {
        let pipes = Pipes::new(echo);
        let mut client = pipes.client();
        client.send(&format!("GET / HTTP/1.1\r\n{hosts}\r\n")).await;
        assert_eq!(client.read_answer().await.status, 400, "{hosts:?}");
        assert_eq!(pipes.origin.hits(), 0, "{hosts:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_absolute_target_outranks_the_host_field() {
    let pipes = Pipes::new(echo);
    let mut client = pipes.client();
    client.send("GET http://Site.test/page?q HTTP/1.1\r\nHost: other\r\n\r\n").await;
    assert_eq!(client.read_answer().await.text(), "/page?q");
    assert_eq!(pipes.origin.exchange(0).request.header_all("host"), ["site.test"]);
}

#[tokio::test(start_paused = true)]
async fn a_head_that_is_too_large_is_refused() {
    let pipes = Pipes::new(echo);
    let mut client = pipes.client();
    let padding = "x".repeat(pipes.settings.listener.max_head);
    let request = format!("GET / HTTP/1.1\r\nHost: test\r\nX-Padding: {padding}\r\n\r\n");
    // The node need not read all of it before it answers.
    let _ = client.try_send(request.as_bytes()).await;
    assert_eq!(client.read_answer().await.status, 431);
    assert_eq!(pipes.origin.hits(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_head_with_too_many_fields_is_refused() {
    let pipes = Pipes::new(echo);
    let mut client = pipes.client();
    let fields = "X: 1\r\n".repeat(pipes.settings.listener.max_fields);
    client.send(&format!("GET / HTTP/1.1\r\nHost: test\r\n{fields}\r\n")).await;
    assert_eq!(client.read_answer().await.status, 431);
    assert_eq!(pipes.origin.hits(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_http_is_told_400() {
    let pipes = Pipes::new(echo);
    for nonsense in
        ["\x16\x03\x01\x02\r\n\r\n", "GET / HTTP/1.1\r\nNo colon\r\n\r\n", "GET  HTTP/1.1\r\n\r\n"]
    {
        let mut client = pipes.client();
        client.send(nonsense).await;
        assert_eq!(client.read_answer().await.status, 400, "{nonsense:?}");
        assert_eq!(client.expect_end().await, Ended::Closed);
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_follows_a_body_with_two_framings() {
    let pipes = Pipes::new(reads_the_body);
    let mut client = pipes.client();
    let framings = "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n";
    let smuggled = "0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: test\r\n\r\n";
    client.send(&format!("POST / HTTP/1.1\r\nHost: test\r\n{framings}\r\n{smuggled}")).await;
    client.read_answer().await;
    assert_eq!(client.expect_end().await, Ended::Closed);
    assert_eq!(pipes.origin.hits_of("/smuggled"), 0);
    pipes.origin.assert_clean();
}

#[tokio::test(start_paused = true)]
async fn framing_that_makes_no_sense_is_refused() {
    for framing in [
        "Content-Length: 4\r\nContent-Length: 5\r\n",
        "Content-Length: 4, 5\r\n",
        "Content-Length: +4\r\n",
        "Transfer-Encoding: gzip\r\n",
        "Transfer-Encoding: chunked, gzip\r\n",
    ] {
        let pipes = Pipes::new(reads_the_body);
        let mut client = pipes.client();
        client.send(&format!("POST / HTTP/1.1\r\nHost: test\r\n{framing}\r\nbody")).await;
        assert_eq!(client.read_answer().await.status, 400, "{framing:?}");
        assert_eq!(pipes.origin.hits(), 0, "{framing:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_transfer_coding_that_is_not_undone_here_is_refused() {
    for coding in [
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: chunked, chunked\r\n",
        "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
    ] {
        let pipes = Pipes::new(reads_the_body);
        let mut client = pipes.client();
        let request = format!("POST / HTTP/1.1\r\nHost: test\r\n{coding}\r\n3\r\nabc\r\n0\r\n\r\n");
        client.send(&request).await;
        let answer = client.read_answer().await;
        let why = if coding.starts_with("Transfer-Encoding: chunked") && !on_hyper() { 400 } else { 501 };
        assert_eq!((answer.status, answer.header("connection")), (why, Some("close")), "{coding:?}");
        assert_eq!(client.expect_end().await, Ended::Closed, "{coding:?}");
        assert_eq!(pipes.origin.hits(), 0, "{coding:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_host_alone_is_no_target() {
    for line in ["GET foo", "GET foo:80", "POST foo", "OPTIONS foo"] {
        let pipes = Pipes::new(echo);
        let mut client = pipes.client();
        client.send(&format!("{line} HTTP/1.1\r\nHost: test\r\n\r\n")).await;
        assert_eq!(client.read_answer().await.status, 400, "{line}");
        assert_eq!(pipes.origin.hits(), 0, "{line}");
    }
}

#[tokio::test(start_paused = true)]
async fn request_trailers_that_would_not_be_believed_in_a_head_end_here() {
    let (pipes, mut origins) = by_hand();
    let mut client = pipes.client();
    let trailer = "Trailer: X-Sum, X_Forwarded_For\r\nTrailer: X-Real-IP";
    client
        .send(&format!("POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n{trailer}\r\n\r\n"))
        .await;
    client.send("3\r\none\r\n0\r\nX_Forwarded_For: evil\r\nX-Sum: 42\r\nX-Real-IP: evil\r\n\r\n").await;
    let mut origin = origins.recv().await.unwrap();
    let request = read_until(&mut origin, "0\r\nx-sum: 42\r\n\r\n").await;
    assert!(request.contains("\r\ntrailer: X-Sum\r\n") && !request.contains("evil"), "{request}");
}

// ---- helpers ----

fn reads_the_body(_: &SeenRequest, _: usize) -> Vec<Act> {
    vec![Act::ReadBody, respond("201 Created", &[], "")]
}

/// Sends what an HTTP/1.0 client does, and gives all that comes until the end of the connection.
pub async fn http_10(pipes: &Pipes, request: &str) -> String {
    let mut client: Client<DuplexStream> = pipes.client();
    client.send(request).await;
    read_to_end(client.into_inner()).await
}

async fn read_to_end(mut io: impl AsyncRead + Unpin) -> String {
    let mut all = Vec::new();
    io.read_to_end(&mut all).await.expect("read to the end");
    String::from_utf8(all).expect("text")
}

pub async fn read_until(io: &mut DuplexStream, end: &str) -> String {
    let mut text = String::new();
    while !text.ends_with(end) {
        text.push(char::from(io.read_u8().await.unwrap_or_else(|e| panic!("{e} after {text:?}"))));
    }
    text
}

/// A node whose origin is the test itself: it is handed the far end of each connection.
pub fn by_hand() -> (Pipes, mpsc::Receiver<DuplexStream>) {
    let (origins, far_ends) = mpsc::channel(8);
    (pipes_over(Arc::new(ByHand(origins))), far_ends)
}

/// A node that reaches its origin in a way of the test's own.
pub fn pipes_over(connector: Arc<dyn Connect>) -> Pipes {
    Pipes::over(settings("http://origin.test"), connector)
}

#[derive(Debug)]
struct ByHand(mpsc::Sender<DuplexStream>);

impl Connect for ByHand {
    fn connect<'a>(&'a self, _authority: &'a str) -> Connecting<'a> {
        Box::pin(async {
            let (near, far) = tokio::io::duplex(64 << 10);
            self.0.send(far).await.map_err(io::Error::other)?;
            Ok(Box::new(near) as Box<dyn Io>)
        })
    }
}
