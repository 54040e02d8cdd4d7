//! Limits of the client side: over each of them a request or a connection ends with a clear word, and no other does.

use std::time::Duration;

use forebay::config::Settings;
use tokio::time::Instant;

use crate::rig::{Pipes, on_hyper, settings, streaming};
use crate::support::client::Ended;
use crate::support::origin::{Act, SeenRequest, respond};
use crate::support::{ms, within};

fn echo(request: &SeenRequest, _nth: usize) -> Vec<Act> {
    vec![respond("200 OK", &[("Cache-Control", "max-age=60")], &request.target)]
}

fn takes(_: &SeenRequest, _nth: usize) -> Vec<Act> {
    vec![Act::ReadBody, respond("201 Created", &[], "")]
}

fn limited(max_body: u64) -> Settings {
    let mut settings = settings("http://origin.test");
    settings.sites[0].max_body = max_body;
    settings
}

/// A node whose sites take so much content.
fn taking(max_body: u64) -> Pipes {
    Pipes::with(limited(max_body), takes)
}

// ---- 414 and 413 ----

#[tokio::test(start_paused = true)]
async fn a_target_over_the_limit_is_told_414() {
    let mut settings = settings("http://origin.test");
    settings.request.max_target = 100;
    let pipes = Pipes::with(settings, echo);
    let target = |length: usize| format!("/{}", "a".repeat(length - 1));
    let mut client = pipes.client();
    assert_eq!(client.get(&target(100)).await.status, 200);
    assert_eq!(client.get(&target(101)).await.status, 414);
    assert_eq!(client.get("/").await.status, 200, "the connection goes on");
    assert_eq!(pipes.origin.hits(), 2);
}

#[tokio::test(start_paused = true)]
async fn announced_content_over_the_limit_is_told_413_before_it_is_read() {
    let pipes = taking(10);
    let mut client = pipes.client();
    client.request("POST", "/", &[], b"0123456789").await;
    assert_eq!(client.read_answer().await.status, 201);
    assert_eq!(pipes.origin.exchange(0).body, b"0123456789");
    client.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 11\r\nExpect: 100-continue\r\n\r\n").await;
    let refused = client.read_answer().await;
    assert_eq!((refused.status, refused.interim), (413, vec![]));
    assert!(String::from_utf8_lossy(&refused.body).contains("longer than 10 bytes"));
    assert_eq!(pipes.origin.hits(), 1);
}

#[tokio::test(start_paused = true)]
async fn content_that_grows_over_the_limit_is_told_413_and_never_whole_at_the_origin() {
    let pipes = Pipes::with(streaming(limited(10)), takes);
    let mut client = pipes.client();
    client.send("POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    client.send("5\r\n01234\r\n5\r\n56789\r\n").await;
    client.send("1\r\nx\r\n0\r\n\r\n").await;
    assert_eq!(within(ms(1000), client.read_answer()).await.status, 413);
    pipes.quiet().await;
    assert!(!pipes.origin.exchange(0).body_whole);
}

#[tokio::test(start_paused = true)]
async fn chunked_content_up_to_the_limit_passes() {
    let pipes = taking(10);
    let mut client = pipes.client();
    client.send("POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    client.send("a\r\n0123456789\r\n0\r\n\r\n").await;
    assert_eq!(client.read_answer().await.status, 201);
    assert_eq!(pipes.origin.exchange(0).body, b"0123456789");
}

// ---- times ----

/// A node whose times all differ.
fn timed(script: impl Fn(&SeenRequest, usize) -> Vec<Act> + Send + Sync + 'static) -> Pipes {
    let mut settings = settings("http://origin.test");
    settings.listener.header_timeout = Duration::from_secs(5);
    settings.listener.idle_timeout = Duration::from_secs(20);
    settings.listener.write_timeout = Duration::from_secs(8);
    Pipes::with(settings, script)
}

#[tokio::test(start_paused = true)]
async fn the_first_head_is_due_from_the_connection_on() {
    let pipes = timed(echo);
    let (mut client, begun) = (pipes.client(), Instant::now());
    assert_eq!(client.expect_end().await, Ended::Closed);
    assert_eq!(begun.elapsed().as_secs(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_head_is_due_from_its_first_byte_however_it_drips() {
    let pipes = timed(echo);
    let mut client = pipes.client();
    client.get("/").await;
    tokio::time::sleep(ms(12_000)).await;
    client.send("GET /d").await;
    let begun = Instant::now();
    for _ in 0..4 {
        tokio::time::sleep(ms(1000)).await;
        client.send("rip").await;
    }
    if on_hyper() {
        client.expect_end().await;
    } else {
        assert_eq!(client.read_answer().await.status, 408);
    }
    assert_eq!(begun.elapsed().as_secs(), 5);
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_has_its_own_time_from_its_last_answer_on() {
    let pipes = timed(echo);
    let mut client = pipes.client();
    for _ in 0..3 {
        client.get("/").await;
        tokio::time::sleep(ms(19_000)).await;
    }
    client.get("/").await;
    let begun = Instant::now();
    assert_eq!(client.expect_end().await, Ended::Closed);
    assert_eq!(begun.elapsed().as_secs(), 20);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_takes_its_time_is_no_idle_connection() {
    let pipes = timed(|request, _| vec![Act::Wait(ms(50_000)), respond("200 OK", &[], &request.target)]);
    assert_eq!(pipes.client().get("/slow").await.text(), "/slow");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_nothing_is_ended_and_one_that_takes_little_is_not() {
    let length = 400_000;
    let pipes = timed(move |_, _| vec![respond("200 OK", &[], vec![b'x'; length])]);
    let mut slow = pipes.client();
    slow.request("GET", "/slow", &[], b"").await;
    slow.read_head().await;
    // A pipe of 64 KiB is filled anew every seven seconds.
    assert_eq!(slow.read_paced(64 << 10, ms(7000), |_| {}).await, length as u64);
    assert!(slow.is_complete());

    let mut stalled = pipes.client();
    stalled.request("GET", "/stalled", &[], b"").await;
    stalled.read_head().await;
    tokio::time::sleep(ms(60_000)).await;
    assert!(stalled.read_body().await.len() < length, "it was ended with what was on its way");
    assert!(!stalled.is_complete());
    pipes.quiet().await;
}
