//! What only our own driver can do: the strictest reading of requests, interim answers of origins, answers to what is no
//! request that are counted and logged, and connections that end without losing what was said.

use std::sync::Arc;
use std::time::Duration;

use forebay::listener::http1;
use forebay::listener::link::Link;
use tokio::time::Instant;

use crate::rig::{PEER, Pipes, Sockets, settings};
use crate::support::client::Ended;
use crate::support::origin::{Act, Gate, SeenRequest, head, respond};
use crate::support::{ms, within};

fn echo(request: &SeenRequest, _nth: usize) -> Vec<Act> {
    vec![Act::ReadBody, respond("200 OK", &[("Cache-Control", "max-age=60")], &request.target)]
}

/// What is answered to these bytes; the connection must end with it, and nothing may reach the origin.
async fn refused(bytes: &str) -> u16 {
    let pipes = Pipes::new(echo);
    let mut client = pipes.client();
    client.send(bytes).await;
    let answer = client.read_answer().await;
    assert_eq!(answer.header("connection"), Some("close"), "{bytes:?}");
    assert_eq!(within(ms(5000), client.expect_end()).await, Ended::Closed, "{bytes:?}");
    assert_eq!(pipes.origin.hits(), 0, "{bytes:?}");
    answer.status
}

/// A POST with these framing fields, and content in which another request hides.
fn smuggling(framing: &str) -> String {
    format!(
        "POST / HTTP/1.1\r\nHost: test\r\n{framing}\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: test\r\n\r\n"
    )
}

#[tokio::test(start_paused = true)]
async fn framing_in_two_ways_is_refused() {
    for framing in [
        "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
        "Content-Length: 5\r\nContent-Length: 5\r\n",
        "Content-Length: 5, 5\r\n",
        "Content-Length: 0x5\r\n",
        "Content-Length: -5\r\n",
        "Content-Length:\r\n",
        "Content-Length: 99999999999999999999\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding:\u{b}chunked\r\n",
        "Transfer-Encoding: chunked;a=b\r\n",
        "Transfer-Encoding: \"chunked\"\r\n",
        "Transfer-Encoding : chunked\r\n",
        " Transfer-Encoding: chunked\r\n",
        "X: 1\r\n Transfer-Encoding: chunked\r\n",
    ] {
        assert_eq!(refused(&smuggling(framing)).await, 400, "{framing:?}");
    }
    assert_eq!(
        refused("POST / HTTP/1.0\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n").await,
        400
    );
}

#[tokio::test(start_paused = true)]
async fn lines_that_others_read_otherwise_are_refused() {
    for request in [
        "GET / HTTP/1.1\nHost: test\n\n",
        "GET / HTTP/1.1\r\nHost: test\nX: 1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: test\r\nX: 1\n\r\n",
        "GET / HTTP/1.1\r\nHost: test\r\nX: a\rb\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: test\r\nX: a\0b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: test\r\nX : 1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: test\r\nX: 1\r\n folded\r\n\r\n",
        "GET / HTTP/1.1\r\n: test\r\n\r\n",
        "GET\t/ HTTP/1.1\r\nHost: test\r\n\r\n",
        "GET /a b HTTP/1.1\r\nHost: test\r\n\r\n",
        "GE\u{1}T / HTTP/1.1\r\nHost: test\r\n\r\n",
        "GET /#fragment HTTP/1.1\r\nHost: test\r\n\r\n",
        "GET http://test/#fragment HTTP/1.1\r\nHost: test\r\n\r\n",
        "GET * HTTP/1.1\r\nHost: test\r\n\r\n",
        "GET ftp://test/ HTTP/1.1\r\nHost: test\r\n\r\n",
        "CONNECT http://test:80/ HTTP/1.1\r\nHost: test\r\n\r\n",
    ] {
        assert_eq!(refused(request).await, 400, "{request:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn each_limit_and_version_has_a_status_of_its_own() {
    assert_eq!(refused("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await, 505);
    assert_eq!(refused("GET / HTTP/1.2\r\nHost: test\r\n\r\n").await, 505);
    assert_eq!(refused(&smuggling("Transfer-Encoding: gzip, chunked\r\n")).await, 501);
    let limit = settings("http://origin.test").listener.max_head;
    assert_eq!(refused(&format!("GET /{} HTTP/1.1\r\n", "a".repeat(limit))).await, 414);
    assert_eq!(refused(&format!("GET / HTTP/1.1\r\nX: {}", "a".repeat(limit))).await, 431);
}

#[tokio::test(start_paused = true)]
async fn empty_lines_before_a_request_are_passed_over() {
    let pipes = Pipes::new(echo);
    let mut client = pipes.client();
    client
        .send("\r\n\r\nGET /a HTTP/1.1\r\nHost: test\r\n\r\n\r\nGET /b HTTP/1.1\r\nHost: test\r\n\r\n")
        .await;
    for expected in ["/a", "/b"] {
        assert_eq!(client.read_answer().await.text(), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_head_may_come_byte_by_byte_and_many_fields_fit() {
    let mut settings = settings("http://origin.test");
    settings.listener.max_fields = 200;
    let pipes = Pipes::with(settings, echo);
    let mut client = pipes.client();
    for byte in "GET /drip HTTP/1.1\r\nHost: test\r\n\r\n".as_bytes() {
        client.try_send(&[*byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    assert_eq!(client.read_answer().await.text(), "/drip");
    let fields = (0..190).map(|n| format!("x-{n}: 1\r\n")).collect::<Vec<_>>().concat();
    client.send(&format!("GET /many HTTP/1.1\r\nHost: test\r\n{fields}\r\n")).await;
    assert_eq!(client.read_answer().await.text(), "/many");
}

// ---- content ----

#[tokio::test(start_paused = true)]
async fn chunks_that_are_none_break_the_request_off() {
    for chunks in [
        "3\r\nabcX\r\n0\r\n\r\n",
        "3\nabc\r\n0\r\n\r\n",
        "3\r\nabc\n0\r\n\r\n",
        "0x3\r\nabc\r\n0\r\n\r\n",
        "+3\r\nabc\r\n0\r\n\r\n",
        "-3\r\nabc\r\n0\r\n\r\n",
        "3 \r\nabc\r\n0\r\n\r\n",
        "\r\n3\r\nabc\r\n0\r\n\r\n",
        "fffffffffffffffff\r\nabc",
        "3;a\nb\r\nabc\r\n0\r\n\r\n",
        "3\r\nabc\r\n0\r\nbad trailer\r\n\r\n",
        "3\r\nabc\r\n0\r\nX: 1\n\r\n",
    ] {
        let pipes = Pipes::new(echo);
        let mut client = pipes.client();
        let request = "POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n";
        client.send(&format!("{request}{chunks}GET /smuggled HTTP/1.1\r\nHost: test\r\n\r\n")).await;
        assert_eq!(client.read_answer().await.status, 400, "{chunks:?}");
        assert_eq!(within(ms(5000), client.expect_end()).await, Ended::Closed, "{chunks:?}");
        pipes.quiet().await;
        assert_eq!(pipes.origin.hits_of("/smuggled"), 0, "{chunks:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn extensions_of_chunks_are_borne_up_to_their_limit() {
    let pipes = Pipes::new(echo);
    let with = |length: usize| {
        let request = "POST /ext HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n";
        format!("{request}3;{}\r\nabc\r\n0 ; last=\"x\"\r\n\r\n", "e".repeat(length))
    };
    let mut client = pipes.client();
    client.send(&with(4000)).await;
    assert_eq!(client.read_answer().await.text(), "/ext");
    assert_eq!(pipes.origin.exchange(0).body, b"abc");
    client.send(&with(5000)).await;
    assert_eq!(client.read_answer().await.status, 400);
}

#[tokio::test(start_paused = true)]
async fn the_next_request_is_found_behind_content_that_nobody_wanted() {
    let mut settings = settings("http://origin.test");
    settings.sites[0].max_body = 10;
    let pipes = Pipes::with(settings, echo);
    let mut client = pipes.client();
    client.request("POST", "/", &[], &vec![b'x'; 20_000]).await;
    assert_eq!(client.read_answer().await.status, 413);
    assert_eq!(client.get("/after").await.text(), "/after");
    // More than is worth reading: what was said arrives all the same.
    client.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 10000000\r\n\r\n").await;
    let _ = client.try_send(&vec![b'x'; 200_000]).await;
    assert_eq!(client.read_answer().await.status, 413);
    assert_eq!(within(ms(10_000), client.expect_end()).await, Ended::Closed);
}

#[tokio::test(start_paused = true)]
async fn an_http_10_client_may_keep_its_connection() {
    let pipes = Pipes::new(echo);
    let mut client = pipes.client();
    for _ in 0..2 {
        client.send("GET /a HTTP/1.0\r\nHost: test\r\nConnection: keep-alive\r\n\r\n").await;
        let answer = client.read_answer().await;
        assert_eq!((answer.text().as_str(), answer.header("connection")), ("/a", Some("keep-alive")));
    }
}

/// What a connection that waits takes in memory: its task, and little beside.
#[tokio::test(start_paused = true)]
async fn a_connection_s_task_is_small() {
    let pipes = Pipes::new(echo);
    let serving = pipes.serving();
    let (_near, far) = tokio::io::duplex(64);
    let size = std::mem::size_of_val(&http1::serve(far, Link::plain(PEER), &*pipes.node.machine, &serving));
    assert!(size <= 896, "{size} bytes");
}

// ---- ends ----

#[tokio::test(start_paused = true)]
async fn a_head_that_does_not_end_in_time_is_told_408() {
    let pipes = Pipes::new(echo);
    let mut client = pipes.client();
    client.send("GET / HTTP/1.1\r\nHost: te").await;
    let begun = Instant::now();
    assert_eq!(client.read_answer().await.status, 408);
    assert_eq!(begun.elapsed(), pipes.settings.listener.header_timeout);
    assert_eq!(within(ms(5000), client.expect_end()).await, Ended::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_while_it_waits_ends_its_request() {
    let pipes = Pipes::new(|_, _| vec![Act::Stall]);
    let mut client = pipes.client();
    client.request("GET", "/", &[("Cache-Control", "no-store")], b"").await;
    pipes.origin.wait_until(|tally| !tally.exchanges.is_empty()).await;
    drop(client);
    within(ms(5000), pipes.origin.wait_for_closed_by_peer(1)).await;
    pipes.quiet().await;
}

/// A task's share of work is used up in the middle of these: its timer must have begun all the same.
#[tokio::test(start_paused = true)]
async fn many_requests_at_once_do_not_outlive_their_idle_time() {
    let mut settings = settings("http://origin.test");
    settings.listener.idle_timeout = Duration::from_secs(20);
    let pipes = Pipes::with(settings, echo);
    pipes.ask("/", &[]).await;
    let mut client = pipes.client();
    client.send(&"GET / HTTP/1.1\r\nHost: test\r\n\r\n".repeat(300)).await;
    for _ in 0..300 {
        assert_eq!(client.read_answer().await.text(), "/");
    }
    let begun = Instant::now();
    assert_eq!(within(ms(60_000), client.expect_end()).await, Ended::Closed);
    assert_eq!(begun.elapsed().as_secs(), 20);
}

#[tokio::test(start_paused = true)]
async fn a_drain_that_begins_while_an_answer_leaves_ends_the_connection_after_it() {
    let gate = Gate::new();
    let held = Arc::clone(&gate);
    let pipes = Pipes::new(move |request, nth| match request.path() {
        "/slow" => {
            let begin = head("200 OK", &[("Content-Length", "8")]);
            vec![begin, Act::send("half"), Act::WaitFor(held.clone()), Act::send("half")]
        }
        _ => echo(request, nth),
    });
    let mut client = pipes.client();
    client.get("/first").await;
    client.request("GET", "/slow", &[], b"").await;
    assert_eq!(client.read_head().await.header("connection"), None);
    assert_eq!(client.read_chunk().await.as_deref(), Some(b"half".as_slice()));
    pipes.draining.cancel();
    tokio::time::sleep(ms(10)).await;
    gate.open();
    assert_eq!(client.read_body().await, b"half");
    let begun = Instant::now();
    assert_eq!(client.expect_end().await, Ended::Closed);
    assert_eq!(begun.elapsed().as_secs(), 0);
}

#[tokio::test(start_paused = true)]
async fn nothing_follows_a_request_to_leave_http_that_was_refused() {
    let next = "GET /smuggled HTTP/1.1\r\nHost: test\r\n\r\n";
    for request in [
        "CONNECT test:443 HTTP/1.1\r\nHost: test\r\n\r\n",
        "GET /ws HTTP/1.1\r\nHost: test\r\nConnection: upgrade\r\nUpgrade: echo/1\r\n\r\n",
    ] {
        let pipes = Pipes::new(echo);
        let mut client = pipes.client();
        client.send(&format!("{request}{next}")).await;
        assert_eq!(client.read_answer().await.header("connection"), Some("close"), "{request:?}");
        assert_eq!(within(ms(60_000), client.expect_end()).await, Ended::Closed, "{request:?}");
        assert_eq!(pipes.origin.hits_of("/smuggled"), 0, "{request:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_still_sends_content_has_not_left_http() {
    let switch = [("Connection", "upgrade"), ("Upgrade", "echo/1")];
    let pipes = Pipes::streaming(move |_, _| vec![head("101 Switching Protocols", &switch), Act::Stall]);
    let mut client = pipes.client();
    let fields = "Connection: upgrade\r\nUpgrade: echo/1\r\nContent-Length: 10\r\n";
    client.send(&format!("POST / HTTP/1.1\r\nHost: test\r\n{fields}\r\nhalf")).await;
    let answer = client.read_answer().await;
    assert_eq!((answer.status, answer.header("upgrade")), (502, None));
}

#[tokio::test(start_paused = true)]
async fn content_that_nobody_wants_is_not_read_for_long_however_it_drips() {
    let pipes = Pipes::streaming(|_, _| vec![respond("413 Content Too Large", &[], "too much"), Act::Close]);
    let mut client = pipes.client();
    client.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 30000\r\n\r\n0123456789").await;
    assert_eq!(client.read_answer().await.status, 413);
    let begun = Instant::now();
    for _ in 0..20 {
        tokio::time::sleep(ms(900)).await;
        if client.try_send(b"x").await.is_err() {
            break;
        }
    }
    assert_eq!(client.expect_end().await, Ended::Closed);
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
}

/// Over sockets: the client must be able to read why, although it was still sending.
#[tokio::test]
async fn on_sockets_an_answer_outlives_what_was_not_read() {
    let node = Sockets::new(echo).await;
    for (request, status) in [
        ("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: +1\r\n\r\n", 400),
        ("CONNECT test:443 HTTP/1.1\r\nHost: test\r\n\r\n", 405),
    ] {
        let mut client = node.client().await;
        client.send(request).await;
        client.try_send(&vec![b'x'; 10_000_000]).await.expect("all of it is taken in");
        assert_eq!(client.read_answer().await.status, status);
        within(Duration::from_secs(5), client.expect_end()).await;
    }
}
