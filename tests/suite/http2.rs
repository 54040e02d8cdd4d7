//! HTTP/2 with clients: what of a request reaches the origin, what of an answer the client, and how streams share a
//! connection.

use std::time::Duration;

use bytes::Bytes;
use forebay::admin::exposition;
use forebay::telemetry::metrics::exposition::Format;
use h2::client::{self, SendRequest};
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, Method, Request, Response, StatusCode, Version};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::http1::{by_hand, read_until};
use crate::http2_frames::{ENHANCE_YOUR_CALM, connect, connect_by};
use crate::rig::Pipes;
use crate::support::bytes::{Verify, pattern};
use crate::support::http2::{
    ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, PRIORITY, PRIORITY_UPDATE,
    RST_STREAM, Raw, SETTINGS, WINDOW_UPDATE, ask, block, frame, get, setting,
};
use crate::support::origin::{Act, Gate, chunk, head, interim, last_chunk, respond, respond_chunked};
use crate::support::{ms, within};

const FRESH: (&str, &str) = ("Cache-Control", "max-age=60");

/// A client that knows the protocol.
pub async fn client(pipes: &Pipes) -> SendRequest<Bytes> {
    let mut builder = client::Builder::new();
    builder.initial_window_size(1 << 20).initial_connection_window_size(1 << 21);
    client_of(pipes, &builder).await
}

async fn client_of(pipes: &Pipes, builder: &client::Builder) -> SendRequest<Bytes> {
    let (send, connection) = builder.handshake(connect(pipes)).await.expect("a handshake");
    tokio::spawn(async move {
        let _ = connection.await;
    });
    send.ready().await.expect("a connection")
}

pub fn request(method: Method, path: &str, fields: &[(&str, &str)]) -> Request<()> {
    let mut request =
        Request::builder().method(method).uri(format!("http://test{path}")).version(Version::HTTP_2);
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    request.body(()).expect("a request")
}

type Answered = (Response<()>, Vec<u8>, Option<HeaderMap>);

/// Reads an answer to its end, opening the window as it comes.
async fn whole(response: Response<RecvStream>) -> Result<Answered, h2::Error> {
    let (parts, mut body) = response.into_parts();
    let mut content = Vec::new();
    while let Some(bytes) = body.data().await {
        let bytes = bytes?;
        body.flow_control().release_capacity(bytes.len()).expect("room");
        content.extend_from_slice(&bytes);
    }
    Ok((Response::from_parts(parts, ()), content, body.trailers().await?))
}

async fn answer(send: &mut SendRequest<Bytes>, request: Request<()>) -> Answered {
    let (response, _) = send.send_request(request, true).expect("sent");
    let response = within(ms(100_000), response).await.expect("an answer");
    within(ms(100_000), whole(response)).await.expect("a whole answer")
}

/// Sends content with a request, as the window has room, and its trailers.
pub async fn send_all(mut stream: SendStream<Bytes>, mut content: Bytes, trailers: Option<HeaderMap>) {
    while !content.is_empty() {
        stream.reserve_capacity(content.len());
        let room =
            std::future::poll_fn(|cx| stream.poll_capacity(cx)).await.expect("a stream").expect("room");
        stream.send_data(content.split_to(room.min(content.len())), false).expect("sent");
    }
    match trailers {
        Some(trailers) => stream.send_trailers(trailers).expect("sent"),
        None => stream.send_data(Bytes::new(), true).expect("sent"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_miss_then_hits_and_a_head() {
    let pipes = Pipes::new(|_, _| {
        vec![respond("200 OK", &[FRESH, ("Connection", "x-hop"), ("X-Hop", "1"), ("ETag", "\"a\"")], "page")]
    });
    let mut send = client(&pipes).await;
    let (miss, content, _) = answer(&mut send, request(Method::GET, "/a?b=c", &[])).await;
    assert_eq!((miss.status(), &content[..]), (StatusCode::OK, &b"page"[..]));
    assert_eq!(miss.headers()["cache-status"], "forebay; fwd=uri-miss; stored; ttl=60");
    pipes.quiet().await;
    let (hit, content, _) = answer(&mut send, request(Method::GET, "/a?b=c", &[])).await;
    assert_eq!(content, b"page");
    assert_eq!(hit.headers()["cache-status"], "forebay; hit; ttl=60");
    assert_eq!(hit.headers()["content-length"], "4");
    assert!(!hit.headers().contains_key("x-hop") && !hit.headers().contains_key("connection"));
    let (head, content, _) = answer(&mut send, request(Method::HEAD, "/a?b=c", &[])).await;
    assert_eq!((head.headers()["content-length"].as_bytes(), content.len()), (&b"4"[..], 0));
    let (same, content, _) =
        answer(&mut send, request(Method::GET, "/a?b=c", &[("if-none-match", "\"a\"")])).await;
    assert_eq!((same.status(), content.len()), (StatusCode::NOT_MODIFIED, 0));
    let seen = &pipes.origin.seen()[..];
    assert_eq!((seen.len(), seen[0].target.as_str(), seen[0].header("host")), (1, "/a?b=c", Some("test")));
    assert_eq!(seen[0].header("via"), Some("1.1 forebay"));
    pipes.origin.assert_clean();
}

#[tokio::test(start_paused = true)]
async fn what_a_client_says_reaches_the_origin_as_http1() {
    let pipes = Pipes::new(|_, _| vec![respond("200 OK", &[], "ok")]);
    let mut send = client(&pipes).await;
    let fields = [("cookie", "a=1"), ("cookie", "b=2"), ("te", "trailers"), ("x-mine", "1")];
    answer(&mut send, request(Method::DELETE, "/a", &fields)).await;
    let seen = &pipes.origin.seen()[0];
    assert_eq!(seen.header_all("cookie"), ["a=1; b=2"]);
    assert_eq!((seen.header("x-mine"), seen.header("via")), (Some("1"), Some("2 forebay")));
    pipes.origin.assert_clean();
}

#[tokio::test(start_paused = true)]
async fn content_goes_both_ways_with_trailers() {
    let pipes = Pipes::new(|_, _| {
        vec![
            Act::ReadBody,
            head("200 OK", &[("Transfer-Encoding", "chunked"), ("Trailer", "X-Sum")]),
            chunk("first "),
            Act::Wait(ms(500)),
            chunk("second"),
            last_chunk(&[("X-Sum", "42")]),
        ]
    });
    let mut send = client(&pipes).await;
    let upload = pattern(7, 700_000);
    let request = request(Method::POST, "/", &[("te", "trailers")]);
    let (response, stream) = send.send_request(request, false).expect("sent");
    let sending = tokio::spawn(send_all(stream, upload.clone(), None));
    let (response, content, trailers) = whole(response.await.expect("an answer")).await.expect("whole");
    sending.await.expect("sent");
    assert_eq!((response.status(), &content[..]), (StatusCode::OK, &b"first second"[..]));
    assert_eq!(trailers.expect("trailers")["x-sum"], "42");
    let exchange = pipes.origin.exchange(0);
    assert!(exchange.body[..] == upload[..], "the content came as it was sent");
    pipes.origin.assert_clean();
}

#[tokio::test(start_paused = true)]
async fn what_is_said_before_the_answer_is_told() {
    let pipes = Pipes::new(|_, _| {
        let hints = interim("103 Early Hints", &[("Link", "</a.css>; rel=preload"), ("Connection", "close")]);
        vec![hints, Act::Wait(ms(100)), respond("200 OK", &[], "page")]
    });
    let mut send = client(&pipes).await;
    let (mut response, _) = send.send_request(request(Method::GET, "/", &[]), true).expect("sent");
    let told =
        std::future::poll_fn(|cx| response.poll_informational(cx)).await.expect("hints").expect("hints");
    assert_eq!((told.status(), told.headers().len()), (StatusCode::EARLY_HINTS, 1));
    assert_eq!(response.await.expect("an answer").status(), StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn who_waits_to_be_told_is_told() {
    let pipes = Pipes::new(|_, _| vec![Act::ReadBody, respond("200 OK", &[], "ok")]);
    let mut send = client(&pipes).await;
    let request = request(Method::POST, "/", &[("expect", "100-continue")]);
    let (mut response, stream) = send.send_request(request, false).expect("sent");
    let told = std::future::poll_fn(|cx| response.poll_informational(cx)).await.expect("told").expect("told");
    assert_eq!(told.status(), StatusCode::CONTINUE);
    send_all(stream, Bytes::from_static(b"content"), None).await;
    assert_eq!(response.await.expect("an answer").status(), StatusCode::OK);
    assert_eq!(pipes.origin.exchange(0).body, b"content");
}

#[tokio::test(start_paused = true)]
async fn a_large_answer_comes_as_the_window_opens() {
    const LENGTH: usize = 3 << 20;
    let pipes = Pipes::new(|_, _| vec![respond("200 OK", &[FRESH], pattern(3, LENGTH))]);
    // The window that everybody begins with.
    let mut send = client_of(&pipes, &client::Builder::new()).await;
    for _ in 0..2 {
        let (_, content, _) = answer(&mut send, request(Method::GET, "/", &[])).await;
        let mut verify = Verify::new(3);
        verify.feed(&content);
        verify.finish(LENGTH as u64);
        pipes.quiet().await;
    }
    assert_eq!(pipes.origin.seen().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn many_streams_are_answered_each_in_its_own_time() {
    let pipes = Pipes::new(|request, _| {
        let wait = request.path()[1..].parse().expect("a number");
        vec![Act::Wait(ms(wait)), respond("200 OK", &[], request.path())]
    });
    let send = client(&pipes).await;
    let ask = |wait: u64| {
        let mut send = send.clone();
        async move {
            let begun = tokio::time::Instant::now();
            let (_, content, _) = answer(&mut send, request(Method::GET, &format!("/{wait}"), &[])).await;
            assert_eq!(content, format!("/{wait}").into_bytes());
            assert_eq!(begun.elapsed().as_millis() / 100, u128::from(wait / 100));
        }
    };
    let asking: tokio::task::JoinSet<()> = [900_u64, 100, 500, 300, 700].into_iter().map(ask).collect();
    asking.join_all().await;
}

// ---- order ----

/// The streams of DATA frames, in order, once the windows open for two bodies of 200 KB with these priorities.
async fn order(said: [&str; 2], update: Option<(u32, &str)>) -> Vec<u32> {
    let pipes = Pipes::new(|_, _| vec![respond("200 OK", &[FRESH], pattern(5, 200_000))]);
    pipes.ask("/", &[]).await;
    // Nothing may be sent on any stream until both were asked for.
    let mut raw = Raw::begin(connect(&pipes), &setting(4, 0)).await;
    raw.send(&frame(WINDOW_UPDATE, 0, 0, &1_000_000_u32.to_be_bytes())).await;
    for (stream, said) in [1, 3].into_iter().zip(said) {
        let said = [("priority", said)];
        let fields = if said[0].1.is_empty() { &[] } else { &said[..] };
        raw.send(&frame(HEADERS, END_STREAM | END_HEADERS, stream, &ask("GET", "/", fields))).await;
    }
    if let Some((stream, said)) = update {
        let payload = [&stream.to_be_bytes()[..], said.as_bytes()].concat();
        raw.send(&frame(PRIORITY_UPDATE, 0, 0, &payload)).await;
    }
    tokio::time::sleep(ms(10)).await;
    raw.send(&frame(SETTINGS, 0, 0, &setting(4, 1_000_000))).await;
    let (mut order, mut left) = (Vec::new(), [200_000; 2]);
    while left != [0, 0] {
        let came = raw.next().await.expect("a frame");
        if came.kind == DATA {
            order.push(came.stream);
            left[(came.stream as usize - 1) / 2] -= came.payload.len();
        }
    }
    order
}

fn changes(order: &[u32]) -> usize {
    order.windows(2).filter(|pair| pair[0] != pair[1]).count()
}

#[tokio::test(start_paused = true)]
async fn the_urgent_leaves_first() {
    let urgent = order(["u=5", "u=1"], None).await;
    // All windows open at once, and the first one to notice may fill what is handed over in one go (64 KiB).
    let before = |order: &[u32]| order.iter().take_while(|stream| **stream == 1).count();
    assert!(before(&urgent) <= 5 && changes(&urgent) <= 2, "{urgent:?}");
    let in_turn = order(["u=3", "u=3"], None).await;
    assert!(changes(&in_turn) <= 2, "{in_turn:?}");
    let updated = order(["u=5", "u=5"], Some((3, "u=0"))).await;
    assert!(before(&updated) <= 5 && changes(&updated) <= 2, "{updated:?}");
}

#[tokio::test(start_paused = true)]
async fn who_says_so_or_says_nothing_shares() {
    for said in [["u=3, i", "u=3, i"], ["", ""]] {
        let shared = order(said, None).await;
        assert!(changes(&shared) > 8, "{said:?}: {shared:?}");
    }
}

// ---- what is refused, and ends ----

#[tokio::test(start_paused = true)]
async fn too_many_fields_are_refused_each_crumb_being_one() {
    let pipes = Pipes::new(|_, _| vec![respond("200 OK", &[], "ok")]);
    let mut send = client(&pipes).await;
    let crumbs = vec![("cookie", "a=b"); pipes.settings.listener.max_fields + 1];
    let (answered, ..) = answer(&mut send, request(Method::GET, "/", &crumbs)).await;
    assert_eq!(answered.status(), StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    let (refused, content, _) = answer(&mut send, request(Method::HEAD, "/", &crumbs)).await;
    assert_eq!((refused.status().as_u16(), content.len()), (431, 0), "after HEAD there is no content");
    let large = "a".repeat(pipes.settings.listener.max_head);
    let (answered, ..) = answer(&mut send, request(Method::GET, "/", &[("x", &large)])).await;
    assert_eq!(answered.status(), StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    let (answered, ..) = answer(&mut send, request(Method::GET, "/", &[])).await;
    assert_eq!(answered.status(), StatusCode::OK, "the connection goes on");
    let (response, _) = send.send_request(request(Method::GET, "/", &[("x", "blank ")]), true).expect("sent");
    assert_eq!(response.await.expect_err("malformed").reason(), Some(Reason::PROTOCOL_ERROR));
    assert_eq!(pipes.origin.seen().len(), 1);
    // The operator learns of all of them, also of those that were told by a reset alone.
    let told = exposition(&pipes.node.handles(pipes.draining.clone()), Format::Text).finish();
    for (reason, times) in [("many-fields", 2), ("large-fields", 1), ("malformed", 1)] {
        let line = format!("forebay_rejected_requests_total{{reason=\"{reason}\"}} {times}\n");
        assert!(told.contains(&line), "{line}{told}");
    }
}

#[tokio::test(start_paused = true)]
async fn fields_that_grow_by_reference_end_the_connection() {
    let pipes = Pipes::new(|_, _| vec![respond("200 OK", &[], "ok")]);
    let mut raw = Raw::begin(connect(&pipes), &[]).await;
    let value = "a".repeat(3_900);
    let literal = [&[0x40, 1, b'x', 0x7f, 0xbd, 0x1d][..], value.as_bytes()].concat();
    assert_eq!(literal.len(), 6 + 3_900);
    // One large field in the table, and a byte for each time that it is meant.
    let bomb = [&ask("GET", "/", &[])[..], &literal, &[0xbe; 8_000]].concat();
    raw.send(&frame(HEADERS, END_STREAM | END_HEADERS, 1, &bomb)).await;
    let rest = raw.rest().await;
    assert!(rest.iter().any(|frame| frame.kind == GOAWAY && frame.number(4) != 0), "{rest:?}");
    assert_eq!(pipes.origin.seen().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn who_sends_on_when_the_connection_has_ended_is_not_read_for_long() {
    let pipes = Pipes::new(|_, _| vec![respond("200 OK", &[], "ok")]);
    let mut raw = Raw::begin(connect_by(&pipes, 64 << 10), &[]).await;
    // Content of the connection itself (RFC 9113 §6.1).
    raw.send(&frame(DATA, 0, 0, b"x")).await;
    let (mut reads, mut writes) = tokio::io::split(raw.io);
    let told = tokio::spawn(async move {
        let mut told = Vec::new();
        let _ = reads.read_to_end(&mut told).await;
        told
    });
    let mut sent = 0;
    while writes.write_all(&[0; 16 << 10]).await.is_ok() {
        sent += 16 << 10;
        assert!(sent <= (1 << 20) + (128 << 10), "{sent} bytes were taken");
    }
    assert!(sent > 1 << 19, "{sent} bytes: what was on its way is read");
    assert!(told.await.expect("what it was told").windows(4).any(|head| head[3] == GOAWAY));
}

#[tokio::test(start_paused = true)]
async fn content_beyond_the_limit_is_refused() {
    let mut settings = crate::rig::settings("http://origin.test");
    settings.sites[0].max_body = 1_000;
    let pipes = Pipes::with(settings, |_, _| vec![Act::ReadBody, respond("200 OK", &[], "ok")]);
    let mut send = client(&pipes).await;
    let announced = request(Method::POST, "/", &[("content-length", "1001")]);
    let (response, _stream) = send.send_request(announced, false).expect("sent");
    assert_eq!(response.await.expect("an answer").status(), StatusCode::PAYLOAD_TOO_LARGE);
    let (response, stream) = send.send_request(request(Method::POST, "/", &[]), false).expect("sent");
    let sending = tokio::spawn(send_all(stream, vec![0; 2_000].into(), None));
    assert_eq!(response.await.expect("an answer").status(), StatusCode::PAYLOAD_TOO_LARGE);
    sending.await.expect("sent");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_wants_no_answer_lets_the_origin_go() {
    let pipes = Pipes::new(|_, _| vec![Act::Stall]);
    let mut send = client(&pipes).await;
    let (response, mut stream) = send.send_request(request(Method::GET, "/", &[]), true).expect("sent");
    pipes.origin.wait_until(|tally| tally.exchanges.len() == 1).await;
    stream.send_reset(Reason::CANCEL);
    drop(response);
    pipes.quiet().await;
    within(ms(10_000), pipes.origin.wait_until(|tally| tally.opened == tally.ended)).await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_breaks_off_is_not_taken_for_whole() {
    for length in [None, Some(("Content-Length", "100"))] {
        let pipes = Pipes::new(move |_, _| {
            let framing = length.unwrap_or(("Transfer-Encoding", "chunked"));
            let part = if length.is_some() { Act::send("part") } else { chunk("part") };
            vec![head("200 OK", &[framing]), part, Act::Wait(ms(100)), Act::Close]
        });
        let mut send = client(&pipes).await;
        let (response, _) = send.send_request(request(Method::GET, "/", &[]), true).expect("sent");
        let error = whole(response.await.expect("a head")).await.expect_err("broken off");
        assert_eq!(error.reason(), Some(Reason::INTERNAL_ERROR));
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_opens_no_window_is_not_waited_for_for_ever() {
    let pipes = Pipes::new(|_, _| vec![respond("200 OK", &[FRESH], pattern(1, 1 << 20))]);
    pipes.ask("/", &[]).await;
    let mut raw = Raw::begin(connect(&pipes), &setting(4, 10)).await;
    raw.send(&get(1, "/")).await;
    let begun = tokio::time::Instant::now();
    let reset = loop {
        let frame = raw.next().await.expect("a frame");
        if frame.kind == RST_STREAM {
            break frame;
        }
    };
    assert_eq!((reset.stream, reset.number(0)), (1, 8));
    let limit = pipes.settings.listener.write_timeout;
    assert!(begun.elapsed() >= limit && begun.elapsed() < limit * 2, "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_sends_nothing_is_not_waited_for_for_ever() {
    let mut settings = crate::rig::settings("http://origin.test");
    settings.listener.body_timeout = ms(10_000);
    let pipes = Pipes::with(settings, |_, _| vec![Act::ReadBody, respond("200 OK", &[], "ok")]);
    let mut send = client(&pipes).await;
    let (response, _stream) = send.send_request(request(Method::POST, "/", &[]), false).expect("sent");
    let status = within(ms(1_000_000), response).await.expect("an answer").status();
    assert_eq!(status, StatusCode::REQUEST_TIMEOUT);
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_told_to_go() {
    let pipes = Pipes::new(|_, _| vec![respond("200 OK", &[], "ok")]);
    let settings = &pipes.settings.listener;
    let mut raw = Raw::begin(connect(&pipes), &[]).await;
    let begun = tokio::time::Instant::now();
    assert!(raw.rest().await.iter().any(|frame| frame.kind == GOAWAY && frame.number(4) == 0));
    assert_eq!(begun.elapsed().as_secs(), settings.header_timeout.as_secs() + 2);

    let mut raw = Raw::begin(connect(&pipes), &[]).await;
    tokio::time::sleep(settings.header_timeout / 2).await;
    raw.send(&get(1, "/")).await;
    let begun = tokio::time::Instant::now();
    assert!(raw.rest().await.iter().any(|frame| frame.kind == GOAWAY && frame.number(4) == 0));
    assert_eq!(begun.elapsed().as_secs(), settings.idle_timeout.as_secs() + 2);
    pipes.connections.close();
    within(ms(10_000), pipes.connections.wait()).await;
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_told_to_go_also_after_a_slow_answer() {
    let pipes = Pipes::new(|request, _| {
        let wait = if request.path() == "/slow" { 3_000 } else { 0 };
        vec![Act::Wait(ms(wait)), respond("200 OK", &[], "")]
    });
    let mut raw = Raw::begin(connect(&pipes), &[]).await;
    raw.send(&get(1, "/")).await;
    tokio::time::sleep(ms(500)).await;
    raw.send(&get(3, "/slow")).await;
    assert!(raw.rest().await.iter().any(|frame| frame.kind == GOAWAY));
}

/// The end of a stream while the connection takes nothing once had it look at the time for ever.
#[tokio::test(start_paused = true)]
async fn a_client_that_takes_nothing_is_ended_also_after_it_has_given_up() {
    let pipes = Pipes::new(|_, _| vec![respond("200 OK", &[FRESH], pattern(1, 1 << 20))]);
    pipes.ask("/", &[]).await;
    let mut raw = Raw::begin(connect_by(&pipes, 4 << 10), &setting(4, 1 << 24)).await;
    raw.send(&frame(WINDOW_UPDATE, 0, 0, &(1_u32 << 24).to_be_bytes())).await;
    raw.send(&get(1, "/")).await;
    tokio::time::sleep(pipes.settings.listener.write_timeout / 2).await;
    raw.send(&frame(RST_STREAM, 0, 1, &[0, 0, 0, 8])).await;
    pipes.connections.close();
    within(pipes.settings.listener.write_timeout, pipes.connections.wait()).await;
}

#[tokio::test(start_paused = true)]
async fn a_drain_does_not_wait_for_who_goes_on_asking_or_says_nothing() {
    let pipes = Pipes::new(|_, _| vec![respond("200 OK", &[FRESH], "page")]);
    let _silent = connect(&pipes);
    let mut raw = Raw::begin(connect(&pipes), &[]).await;
    raw.send(&get(1, "/")).await;
    raw.next().await.expect("an answer");
    pipes.draining.cancel();
    pipes.connections.close();
    let (mut from, mut to) = tokio::io::split(raw.io);
    tokio::spawn(async move { tokio::io::copy(&mut from, &mut tokio::io::sink()).await });
    let asking = tokio::spawn(async move {
        // The PING by which it would tell that it knows is not answered.
        for nth in 1.. {
            if to.write_all(&get(2 * nth + 1, "/")).await.is_err() {
                break;
            }
            tokio::time::sleep(ms(100)).await;
        }
    });
    within(ms(10_000), pipes.connections.wait()).await;
    asking.await.expect("it ends");
}

#[tokio::test(start_paused = true)]
async fn content_that_nobody_takes_does_not_hold_up_other_content() {
    let pipes = Pipes::new(|request, _| match request.path() {
        "/stuck" => vec![Act::Wait(ms(3_000_000))],
        _ => vec![Act::ReadBody, respond("200 OK", &[], "ok")],
    });
    let mut send = client(&pipes).await;
    let mut stuck = Vec::new();
    for _ in 0..4 {
        let (response, stream) =
            send.send_request(request(Method::POST, "/stuck", &[]), false).expect("sent");
        stuck.push((response, tokio::spawn(send_all(stream, vec![0; 4 << 20].into(), None))));
    }
    tokio::time::sleep(ms(100)).await;
    let (response, stream) = send.send_request(request(Method::POST, "/", &[]), false).expect("sent");
    let sending = tokio::spawn(send_all(stream, vec![0; 1 << 20].into(), None));
    assert_eq!(within(ms(10_000), response).await.expect("an answer").status(), StatusCode::OK);
    sending.await.expect("sent");
    for (_, sending) in stuck {
        sending.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn a_get_that_ends_in_an_empty_frame_has_no_content() {
    let pipes = Pipes::new(|_, _| vec![Act::ReadBody, respond("200 OK", &[FRESH], "page")]);
    let mut send = client(&pipes).await;
    let (response, mut stream) = send.send_request(request(Method::GET, "/", &[]), false).expect("sent");
    stream.send_data(Bytes::new(), true).expect("sent");
    let response = response.await.expect("an answer");
    assert_eq!(response.headers()["cache-status"], "forebay; fwd=uri-miss; stored; ttl=60");
    // One with content has it still.
    let (response, stream) = send.send_request(request(Method::GET, "/", &[]), false).expect("sent");
    send_all(stream, Bytes::from_static(b"content"), None).await;
    let response = response.await.expect("an answer");
    assert_eq!(response.headers()["cache-status"], "forebay; fwd=bypass; detail=content");
    assert_eq!(pipes.origin.exchange(1).body, b"content");
}

#[tokio::test(start_paused = true)]
async fn a_drain_lets_what_is_under_way_come_to_its_end() {
    let gate = Gate::new();
    let go = gate.clone();
    let pipes = Pipes::new(move |_, _| {
        vec![
            head("200 OK", &[("Content-Length", "4")]),
            Act::send("pa"),
            Act::WaitFor(go.clone()),
            Act::send("ge"),
        ]
    });
    let mut send = client(&pipes).await;
    let idle = client(&pipes).await;
    let (response, _) = send.send_request(request(Method::GET, "/", &[]), true).expect("sent");
    let response = response.await.expect("a head");
    pipes.draining.cancel();
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(idle.ready().await.is_err(), "an idle connection has ended");
    let late = send.send_request(request(Method::GET, "/late", &[]), true);
    assert!(late.is_err() || late.expect("sent").0.await.is_err(), "no more is taken");
    gate.open();
    assert_eq!(whole(response).await.expect("whole").1, b"page");
    pipes.connections.close();
    within(ms(10_000), pipes.connections.wait()).await;
}

// ---- leaving HTTP (RFC 8441) ----

fn websocket(protocol: &'static str) -> Request<()> {
    let mut request = request(Method::CONNECT, "/chat", &[("sec-websocket-version", "13")]);
    request.extensions_mut().insert(h2::ext::Protocol::from_static(protocol));
    request
}

/// A client that has read that the server knows extended CONNECT.
async fn knowing_client(pipes: &Pipes) -> SendRequest<Bytes> {
    let send = client(pipes).await;
    while !send.is_extended_connect_protocol_enabled() {
        tokio::time::sleep(ms(1)).await;
    }
    send
}

#[tokio::test(start_paused = true)]
async fn a_websocket_is_a_tunnel_both_ways() {
    let (pipes, mut origins) = by_hand();
    let mut send = knowing_client(&pipes).await;
    let (response, mut stream) = send.send_request(websocket("websocket"), false).expect("sent");
    let mut origin = origins.recv().await.expect("a connection");
    let asked = read_until(&mut origin, "\r\n\r\n").await.to_ascii_lowercase();
    assert!(asked.starts_with("get /chat http/1.1\r\n"), "{asked}");
    for field in
        ["upgrade: websocket", "connection: upgrade", "sec-websocket-version: 13", "sec-websocket-key: "]
    {
        assert!(asked.contains(&format!("\r\n{field}")), "{field}: {asked}");
    }
    let switch = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Accept: x\r\nSec-WebSocket-Protocol: chat\r\n\r\n";
    origin.write_all(switch.as_bytes()).await.expect("written");
    tokio::spawn(async move {
        let (mut from, mut to) = tokio::io::split(origin);
        let _ = tokio::io::copy(&mut from, &mut to).await;
        let _ = to.shutdown().await;
    });
    let response = response.await.expect("an answer");
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["sec-websocket-protocol"], "chat");
    assert!(
        ["upgrade", "connection", "sec-websocket-accept"]
            .iter()
            .all(|name| !response.headers().contains_key(*name))
    );
    let mut body = response.into_body();
    for message in [b"hello".to_vec(), vec![7; 100_000]] {
        stream.reserve_capacity(message.len());
        let mut left = Bytes::from(message.clone());
        let mut back = Vec::new();
        while back.len() < message.len() {
            tokio::select! {
                room = std::future::poll_fn(|cx| stream.poll_capacity(cx)), if !left.is_empty() => {
                    let room = room.expect("a stream").expect("room").min(left.len());
                    stream.send_data(left.split_to(room), false).expect("sent");
                }
                data = body.data() => {
                    let data = data.expect("data").expect("data");
                    body.flow_control().release_capacity(data.len()).expect("room");
                    back.extend_from_slice(&data);
                }
            }
        }
        assert!(back == message);
    }
    stream.send_data(Bytes::new(), true).expect("sent");
    let end = body.data().await.transpose().expect("an orderly end");
    assert!(end.is_none_or(|bytes| bytes.is_empty()) && body.is_end_stream(), "the end goes through as well");
}

#[tokio::test(start_paused = true)]
async fn a_websocket_may_be_refused() {
    let pipes = Pipes::new(|_, _| vec![respond("403 Forbidden", &[], "no")]);
    let mut send = knowing_client(&pipes).await;
    let (response, _stream) = send.send_request(websocket("websocket"), false).expect("sent");
    let (response, content, _) = whole(response.await.expect("an answer")).await.expect("whole");
    assert_eq!((response.status(), &content[..]), (StatusCode::FORBIDDEN, &b"no"[..]));
    let pipes = Pipes::new(|_, _| vec![respond("200 OK", &[], "no tunnel")]);
    let mut send = knowing_client(&pipes).await;
    let (response, _stream) = send.send_request(websocket("websocket"), false).expect("sent");
    let (response, content, _) = whole(response.await.expect("an answer")).await.expect("whole");
    assert_eq!(
        (response.status(), content.len()),
        (StatusCode::BAD_GATEWAY, 0),
        "success would say that it is open"
    );
    let (response, _stream) = send.send_request(websocket("other"), false).expect("sent");
    assert_eq!(response.await.expect("an answer").status(), StatusCode::NOT_IMPLEMENTED);
    assert_eq!(pipes.origin.seen().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_tunnel_that_is_reset_lets_the_origin_go() {
    let (pipes, mut origins) = by_hand();
    let mut send = knowing_client(&pipes).await;
    let (response, mut stream) = send.send_request(websocket("websocket"), false).expect("sent");
    let mut origin = origins.recv().await.expect("a connection");
    read_until(&mut origin, "\r\n\r\n").await;
    let switch = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    origin.write_all(switch.as_bytes()).await.expect("written");
    let response = response.await.expect("an answer");
    stream.send_data(Bytes::new(), true).expect("sent");
    let mut rest = Vec::new();
    within(ms(10_000), origin.read_to_end(&mut rest)).await.expect("the client's end comes through");
    // The way back is open still, until the client wants no more.
    origin.write_all(b"more").await.expect("written");
    drop((response, stream));
    let closed = async {
        while origin.write_all(b"more").await.is_ok() {
            tokio::time::sleep(ms(10)).await;
        }
    };
    within(ms(10_000), closed).await;
}

// ---- floods ----

/// A client that sends `flood`, over and over, and what it is told in the end. Nothing reaches the origin.
async fn flooded(begin: Vec<u8>, flood: impl Fn(u32) -> Vec<u8>) -> Option<u32> {
    let pipes = Pipes::new(|_, _| vec![Act::Stall]);
    let (mut near, mut sink) = tokio::io::split(connect(&pipes));
    let mut told = tokio::spawn(async move {
        let mut raw = Raw { io: tokio::io::join(&mut near, tokio::io::sink()) };
        while let Some(frame) = raw.next().await {
            if frame.kind == GOAWAY {
                return Some(frame.number(4));
            }
        }
        None
    });
    sink.write_all(crate::support::http2::PREFACE).await.expect("written");
    sink.write_all(&frame(SETTINGS, 0, 0, &[])).await.expect("written");
    sink.write_all(&begin).await.expect("written");
    for nth in 0..20_000 {
        if sink.write_all(&flood(nth)).await.is_err() {
            break;
        }
        // So that what was told is read, and streams are not too many at once.
        tokio::time::sleep(ms(1)).await;
    }
    drop(sink);
    within(ms(100_000), &mut told).await.expect("no panic")
}

#[tokio::test(start_paused = true)]
async fn floods_end_the_connection() {
    let calm = Some(ENHANCE_YOUR_CALM);
    let none = Vec::new;
    let post = || frame(HEADERS, END_HEADERS, 1, &ask("POST", "/", &[]));
    assert_eq!(flooded(none(), |_| frame(PING, 0, 0, &[0; 8])).await, calm, "PING");
    assert_eq!(flooded(none(), |_| frame(PING, ACK, 0, &[0; 8])).await, calm, "answers to PING");
    assert_eq!(flooded(none(), |_| frame(SETTINGS, 0, 0, &[])).await, calm, "SETTINGS");
    assert_eq!(flooded(none(), |_| frame(PRIORITY, 0, 1, &[0, 0, 0, 3, 1])).await, calm, "PRIORITY");
    assert_eq!(flooded(none(), |_| frame(99, 0, 0, &[])).await, calm, "unknown frames");
    assert_eq!(flooded(none(), |_| frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1])).await, calm, "windows");
    assert_eq!(flooded(post(), |_| frame(DATA, 0, 1, &[])).await, calm, "empty DATA");
    let reset = |nth: u32| {
        let stream = 2 * nth + 1;
        [get(stream, "/"), frame(RST_STREAM, 0, stream, &[0, 0, 0, 8])].concat()
    };
    assert_eq!(flooded(none(), reset).await, calm, "requests that are given up");
    let made_to_reset = |nth: u32| {
        let stream = 2 * nth + 1;
        [
            frame(HEADERS, END_HEADERS, stream, &ask("POST", "/", &[])),
            // Beyond the largest window.
            frame(WINDOW_UPDATE, 0, stream, &[0x7f, 0xff, 0xff, 0xff]),
        ]
        .concat()
    };
    assert_eq!(flooded(none(), made_to_reset).await, calm, "requests that are made to be reset");
    let continued = flooded(frame(HEADERS, END_STREAM, 1, &ask("GET", "/", &[])), |_| {
        frame(CONTINUATION, 0, 1, &block(&[("x", "y")]))
    });
    assert_eq!(continued.await, calm, "CONTINUATION");
    let empty =
        flooded(frame(HEADERS, END_STREAM, 1, &ask("GET", "/", &[])), |_| frame(CONTINUATION, 0, 1, &[]));
    assert_eq!(empty.await, calm, "empty CONTINUATION");
}

// ---- by prior knowledge ----

#[tokio::test(flavor = "multi_thread")]
async fn http2_in_the_clear_is_spoken_where_it_is_wished_and_http1_beside_it() {
    let sockets = crate::rig::Sockets::with(
        |settings| {
            settings.listen[0].http2 = true;
            settings.request.max_connections = 5;
        },
        |_, _| vec![respond_chunked("200 OK", &[FRESH], &[b"page"])],
    )
    .await;
    let address = sockets.running.addresses[0].address.inet().expect("an address");
    let stream = tokio::net::TcpStream::connect(address).await.expect("connects");
    let (mut send, connection) = client::handshake(stream).await.expect("a handshake");
    tokio::spawn(connection);
    assert_eq!(answer(&mut send, request(Method::GET, "/", &[])).await.1, b"page");
    let mut http1 = crate::support::client::Client::connect(address).await;
    assert_eq!(http1.get("/").await.text(), "page");
    let begun = async |bytes: &[u8]| {
        let mut stream = tokio::net::TcpStream::connect(address).await.expect("connects");
        stream.write_all(bytes).await.expect("written");
        stream
    };
    // One that has but begun has its place, as any other.
    let three = [begun(b"PRI").await, begun(b"").await, begun(b"PRI * HTTP/2.0\r\n").await];
    crate::disk_rig::until("all places are taken", || sockets.running.node.machine.connections().now() == 5)
        .await;
    let mut said = String::new();
    begun(b"").await.read_to_string(&mut said).await.expect("an answer");
    assert!(said.starts_with("HTTP/1.1 503 "), "{said}");
    drop((three, http1));
    crate::disk_rig::until("places are free", || sockets.running.node.machine.connections().now() < 3).await;
    // A method that begins as the preface does, byte by byte.
    let mut slow = tokio::net::TcpStream::connect(address).await.expect("connects");
    for byte in b"PROPFIND / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n" {
        slow.write_all(&[*byte]).await.expect("written");
    }
    let mut said = String::new();
    slow.read_to_string(&mut said).await.expect("an answer");
    assert!(said.starts_with("HTTP/1.1 200 OK\r\n"), "{said}");
    let mut slow = Raw { io: tokio::net::TcpStream::connect(address).await.expect("connects") };
    for piece in [&crate::support::http2::PREFACE[..10], &crate::support::http2::PREFACE[10..]] {
        slow.send(piece).await;
        tokio::time::sleep(ms(20)).await;
    }
    slow.send(&frame(SETTINGS, 0, 0, &[])).await;
    assert_eq!(slow.read().await.expect("a frame").kind, SETTINGS);
}
