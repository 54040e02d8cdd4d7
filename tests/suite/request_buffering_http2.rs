//! Content that clients send by HTTP/2, taken in before an origin is asked.

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};

use crate::http2::{client, request, send_all};
use crate::rig::Pipes;
use crate::support::bytes::pattern;
use crate::support::origin::{Act, SeenRequest, respond};
use crate::support::{ms, within};

fn takes(_: &SeenRequest, _: usize) -> Vec<Act> {
    vec![Act::ReadBody, respond("201 Created", &[], "taken")]
}

#[tokio::test(start_paused = true)]
async fn slow_streams_hold_no_connection_to_the_origin_until_their_last_byte() {
    let pipes = Pipes::new(takes);
    let mut send = client(&pipes).await;
    let mut uploads = Vec::new();
    for nth in 0..20 {
        let post = request(Method::POST, &format!("/{nth}"), &[]);
        uploads.push((send.send_request(post, false).expect("sent"), pattern(nth, 10_000)));
    }
    for second in 0..10 {
        for ((_, stream), content) in &mut uploads {
            stream.send_data(content.slice(second * 1000..(second + 1) * 1000), false).expect("sent");
        }
        tokio::time::sleep(ms(1000)).await;
        assert_eq!((pipes.origin.opened(), pipes.node.fetcher.running()), (0, 0), "after {second} s");
    }
    assert_eq!(pipes.node.counters.buffering.get(), 20);
    for ((response, mut stream), _) in uploads {
        stream.send_data(Bytes::new(), true).expect("sent");
        assert_eq!(within(ms(1000), response).await.expect("an answer").status(), StatusCode::CREATED);
    }
    for exchange in pipes.origin.tally().exchanges {
        let nth: u64 = exchange.request.target[1..].parse().expect("a number");
        assert!(exchange.body_whole && exchange.body == pattern(nth, 10_000), "{nth}");
        assert_eq!(exchange.request.header("content-length"), Some("10000"), "nobody had said so");
    }
}

/// Its window is opened as it comes, though nobody takes it yet.
#[tokio::test]
async fn content_beyond_the_window_of_a_stream_is_taken_in_as_well() {
    let pipes = Pipes::new(takes);
    let mut send = client(&pipes).await;
    let content = pattern(4, 3 << 20);
    let (response, stream) = send.send_request(request(Method::PUT, "/", &[]), false).expect("sent");
    let sending = tokio::spawn(send_all(stream, content.clone(), None));
    let answer = within(ms(60_000), response).await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::CREATED);
    sending.await.expect("sent");
    let exchange = pipes.origin.exchange(0);
    assert!(exchange.body_whole && exchange.body == content);
}

#[tokio::test(start_paused = true)]
async fn trailers_that_were_announced_reach_the_origin() {
    let pipes = Pipes::new(takes);
    let mut send = client(&pipes).await;
    let post = request(Method::POST, "/", &[("trailer", "x-sum")]);
    let (response, stream) = send.send_request(post, false).expect("sent");
    let sum = HeaderMap::from_iter([("x-sum".parse().expect("a name"), "1".parse().expect("a value"))]);
    send_all(stream, "content".into(), Some(sum)).await;
    assert_eq!(response.await.expect("an answer").status(), StatusCode::CREATED);
    let exchange = pipes.origin.exchange(0);
    assert_eq!(exchange.request.header("transfer-encoding"), Some("chunked"));
    assert_eq!(exchange.body, b"content");
}

/// What was announced as long, with trailers behind it, has no framing but its length where chunks are not understood.
#[tokio::test(start_paused = true)]
async fn trailers_are_left_out_where_the_origin_takes_no_chunks() {
    let mut settings = crate::rig::settings("http://origin.test");
    settings.pools[0].chunked = false;
    let pipes = Pipes::with(settings, takes);
    let mut send = client(&pipes).await;
    for length in [Some("7"), None] {
        let fields: Vec<_> = length.map(|length| ("content-length", length)).into_iter().collect();
        let post = request(Method::POST, "/", &[&fields[..], &[("trailer", "x-sum")]].concat());
        let (response, stream) = send.send_request(post, false).expect("sent");
        let sum = HeaderMap::from_iter([("x-sum".parse().expect("a name"), "1".parse().expect("a value"))]);
        send_all(stream, "content".into(), Some(sum)).await;
        assert_eq!(response.await.expect("an answer").status(), StatusCode::CREATED);
        let exchange = pipes.origin.tally().exchanges.pop().expect("one");
        let framing =
            ["content-length", "transfer-encoding", "trailer"].map(|name| exchange.request.header(name));
        assert_eq!((framing, &exchange.body[..]), ([Some("7"), None, None], &b"content"[..]), "{length:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_gives_its_stream_up_has_asked_the_origin_for_nothing() {
    let pipes = Pipes::new(takes);
    let mut send = client(&pipes).await;
    let (response, mut stream) = send.send_request(request(Method::PUT, "/", &[]), false).expect("sent");
    stream.send_data("half".into(), false).expect("sent");
    tokio::time::sleep(ms(1000)).await;
    assert_eq!(pipes.node.counters.buffering.get(), 1);
    stream.send_reset(h2::Reason::CANCEL);
    drop(response);
    tokio::time::sleep(ms(1000)).await;
    assert_eq!((pipes.origin.opened(), pipes.node.counters.buffering.get()), (0, 0));
    assert_eq!(pipes.node.means.budget.busy_bodies(), 0);
}

/// gRPC goes nowhere but by HTTP/2: what only looks like it holds no connection of HTTP/1.1 either.
#[tokio::test(start_paused = true)]
async fn what_calls_itself_grpc_is_taken_in_where_the_origin_speaks_no_http2() {
    let pipes = Pipes::new(takes);
    let mut send = client(&pipes).await;
    let call = request(Method::POST, "/", &[("content-type", "application/grpc+proto"), ("te", "trailers")]);
    let (response, mut stream) = send.send_request(call, false).expect("sent");
    stream.send_data("half".into(), false).expect("sent");
    tokio::time::sleep(ms(5000)).await;
    assert_eq!(pipes.origin.opened(), 0);
    stream.send_data("half".into(), true).expect("sent");
    assert_eq!(response.await.expect("an answer").status(), StatusCode::CREATED);
    assert_eq!(pipes.origin.exchange(0).body, b"halfhalf");
}

/// As one frame it is here with its head, and needs neither a body of its own nor a charge for what may come.
#[tokio::test(start_paused = true)]
async fn content_that_came_with_its_head_is_passed_on_whole() {
    let mut settings = crate::rig::settings("http://origin.test");
    settings.sites[0].max_body = 10;
    let pipes = Pipes::with(settings, takes);
    let mut send = client(&pipes).await;
    for (length, status) in [(10, StatusCode::CREATED), (11, StatusCode::PAYLOAD_TOO_LARGE)] {
        let post = request(Method::POST, "/", &[]);
        let (response, mut stream) = send.send_request(post, false).expect("sent");
        stream.send_data(vec![b'x'; length].into(), true).expect("sent");
        assert_eq!(within(ms(1000), response).await.expect("an answer").status(), status);
    }
    assert_eq!((pipes.origin.hits(), pipes.origin.exchange(0).body.len()), (1, 10));
}
