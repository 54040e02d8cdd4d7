//! Content of requests that is taken in before an origin is asked: what the origin gets, and when; what slow clients, those
//! that leave, and those that send too much cost it; and what is passed on as it comes.

use std::time::Duration;

use forebay::config::Settings;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;

use crate::http1::by_hand;
use crate::rig::{Pipes, settings, streaming};
use crate::support::bytes::pattern;
use crate::support::client::Client;
use crate::support::origin::{Act, Exchange, SeenRequest, respond};
use crate::support::{ms, within};

fn takes(_: &SeenRequest, _: usize) -> Vec<Act> {
    vec![Act::ReadBody, respond("201 Created", &[], "taken")]
}

fn with(change: impl FnOnce(&mut Settings)) -> Pipes {
    let mut settings = settings("http://origin.test");
    change(&mut settings);
    Pipes::with(settings, takes)
}

/// The only exchange that the origin has seen, with all of its content.
fn only(pipes: &Pipes) -> Exchange {
    assert_eq!(pipes.origin.hits(), 1);
    pipes.origin.assert_clean();
    let exchange = pipes.origin.exchange(0);
    assert!(exchange.body_whole);
    exchange
}

// ---- what an origin gets, and when ----

#[tokio::test(start_paused = true)]
async fn slow_clients_hold_no_connection_to_the_origin_until_their_last_byte() {
    const CLIENTS: u64 = 50;
    let pipes = Pipes::new(takes);
    let mut clients = Vec::new();
    for nth in 0..CLIENTS {
        let mut client = pipes.client();
        let head = format!("POST /{nth} HTTP/1.1\r\nHost: test\r\nContent-Length: 20000\r\n\r\n");
        client.send(&head).await;
        clients.push((client, pattern(nth, 20_000)));
    }
    for second in 0..20 {
        for (client, content) in &mut clients {
            let end = if second == 19 { 19_999 } else { (second + 1) * 1000 };
            client.try_send(&content[second * 1000..end]).await.expect("sent");
        }
        tokio::time::sleep(ms(1000)).await;
        assert_eq!(pipes.origin.opened(), 0, "after {second} s");
        assert_eq!(pipes.node.fetcher.running(), 0, "no fetch has a place yet");
    }
    assert_eq!(pipes.node.counters.buffering.get(), CLIENTS);
    for (client, content) in &mut clients {
        client.try_send(&content[19_999..]).await.expect("sent");
        assert_eq!(client.read_answer().await.status, 201);
    }
    let tally = pipes.origin.tally();
    assert_eq!(tally.exchanges.len(), clients.len());
    for exchange in tally.exchanges {
        let nth: u64 = exchange.request.target[1..].parse().expect("a number");
        assert!(exchange.body_whole && exchange.body == pattern(nth, 20_000), "{nth}");
    }
    pipes.quiet().await;
    let counters = &pipes.node.counters;
    assert_eq!((counters.buffering.get(), counters.buffered.get()), (0, CLIENTS));
}

/// Beyond the window it goes to a file, of which nothing is left afterwards.
#[tokio::test]
async fn what_exceeds_the_window_is_spilled_and_let_go_with_the_answer() {
    let pipes = Pipes::new(takes);
    let content = pattern(7, 1 << 20);
    let used = pipes.node.means.budget.used();
    let mut client = pipes.client();
    client.send(&format!("PUT / HTTP/1.1\r\nHost: test\r\nContent-Length: {}\r\n\r\n", content.len())).await;
    client.try_send(&content[1..]).await.expect("taken in, though nobody reads it");
    let means = &pipes.node.means;
    let spilled = async {
        while means.spill.used() < 512 << 10 {
            tokio::task::yield_now().await;
        }
    };
    within(Duration::from_secs(20), spilled).await;
    assert_eq!(pipes.origin.opened(), 0);
    assert!(means.budget.used() < used + (512 << 10), "{} bytes in memory", means.budget.used());
    // One byte is missing still, and it is another one than was left out: the origin gets what was sent, in order.
    client.try_send(&content[..1]).await.expect("sent");
    assert_eq!(within(Duration::from_secs(20), client.read_answer()).await.status, 201);
    assert!(only(&pipes).body == [&content[1..], &content[..1]].concat());
    drop(client);
    pipes.nothing_spilled().await;
}

#[tokio::test(start_paused = true)]
async fn the_length_of_what_came_in_chunks_is_known_once_it_is_whole() {
    let pipes = Pipes::new(takes);
    let mut client = pipes.client();
    client
        .send("POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n")
        .await;
    client.send("3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n").await;
    assert_eq!(client.read_answer().await.status, 201);
    let seen = only(&pipes);
    assert_eq!((&seen.body[..], seen.request.header("content-length")), (&b"abcdef"[..], Some("6")));
    assert_eq!((seen.request.header("transfer-encoding"), seen.request.header("trailer")), (None, None));
}

#[tokio::test(start_paused = true)]
async fn empty_chunks_are_no_content_and_say_so() {
    let pipes = Pipes::new(takes);
    let mut client = pipes.client();
    client.send("POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n").await;
    assert_eq!(client.read_answer().await.status, 201);
    assert_eq!(only(&pipes).request.header("content-length"), Some("0"));
}

#[tokio::test(start_paused = true)]
async fn trailers_that_came_keep_it_in_chunks() {
    let pipes = Pipes::new(takes);
    let mut client = pipes.client();
    client
        .send("POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n")
        .await;
    client.send("3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n").await;
    assert_eq!(client.read_answer().await.status, 201);
    let seen = only(&pipes);
    assert_eq!((&seen.body[..], seen.request.header("transfer-encoding")), (&b"abc"[..], Some("chunked")));
}

/// Content that is kept for another attempt is let go by nobody, and counts as taken all the same: an origin that takes its
/// time with it is not silent.
#[tokio::test(start_paused = true)]
async fn an_origin_that_takes_content_slowly_is_not_given_up() {
    let (pipes, mut connections) = by_hand();
    let content = pattern(3, 400_000);
    let mut client = pipes.client();
    client.request("PUT", "/", &[], &content).await;
    let mut origin = connections.recv().await.expect("a connection");
    let head = crate::http1::read_until(&mut origin, "\r\n\r\n").await;
    let mut taken = head.split_once("\r\n\r\n").expect("a head").1.as_bytes().to_vec();
    let mut piece = vec![0; 10_000];
    while taken.len() < content.len() {
        tokio::time::sleep(pipes.settings.pools[0].first_byte_timeout / 20).await;
        let most = piece.len().min(content.len() - taken.len());
        origin.read_exact(&mut piece[..most]).await.expect("content");
        taken.extend_from_slice(&piece[..most]);
    }
    assert!(taken == content);
    origin.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await.expect("answered");
    assert_eq!(client.read_answer().await.status, 200);
}

/// What came with its head needs nobody who brings it, and leaves with its head as well.
#[tokio::test(start_paused = true)]
async fn content_that_came_with_its_head_is_followed_by_the_next_request() {
    let pipes = Pipes::new(takes);
    let mut client = pipes.client();
    let post = |content: &str| {
        format!(
            "POST /{content} HTTP/1.1\r\nHost: test\r\nContent-Length: {}\r\n\r\n{content}",
            content.len()
        )
    };
    client.send(&format!("{}{}", post("one"), post("three"))).await;
    for _ in 0..2 {
        assert_eq!(client.read_answer().await.status, 201);
    }
    let bodies: Vec<_> = pipes.origin.tally().exchanges.into_iter().map(|seen| seen.body).collect();
    assert_eq!(bodies, [&b"one"[..], b"three"]);
    assert_eq!(pipes.node.means.budget.busy_bodies(), 0, "of requests; those of answers are read");
}

// ---- 100 (Continue) ----

const EXPECTING: &str = "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n";

#[tokio::test(start_paused = true)]
async fn a_client_is_told_to_go_on_by_the_node_and_the_origin_is_not_asked_whether_it_may() {
    let pipes = Pipes::new(takes);
    let mut client = pipes.client();
    client.send(EXPECTING).await;
    assert_eq!(within(ms(100), client.next_head()).await.expect("a head").status, 100);
    assert_eq!(pipes.origin.opened(), 0);
    client.send("body").await;
    assert_eq!(client.read_answer().await.status, 201);
    let seen = only(&pipes);
    assert_eq!((seen.request.header("expect"), &seen.body[..]), (None, &b"body"[..]));
}

// ---- what an origin never hears of ----

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_midway_has_asked_the_origin_for_nothing() {
    for framing in ["Content-Length: 10", "Transfer-Encoding: chunked"] {
        let pipes = Pipes::new(takes);
        let mut client = pipes.client();
        client.send(&format!("PUT / HTTP/1.1\r\nHost: test\r\n{framing}\r\n\r\n3\r\nabc\r\n")).await;
        tokio::time::sleep(ms(1000)).await;
        assert_eq!(pipes.node.counters.buffering.get(), 1);
        drop(client);
        pipes.connections.close();
        within(ms(10_000), pipes.connections.wait()).await;
        assert_eq!((pipes.origin.opened(), pipes.node.means.budget.busy_bodies()), (0, 0), "{framing}");
    }
}

#[tokio::test(start_paused = true)]
async fn content_that_grows_over_the_limit_is_told_413_and_the_origin_hears_nothing() {
    let pipes = with(|settings| settings.sites[0].max_body = 10);
    let mut client = pipes.client();
    client.send("POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    client.send("5\r\n01234\r\n5\r\n56789\r\n").await;
    tokio::time::sleep(ms(1000)).await;
    client.send("1\r\nx\r\n0\r\n\r\n").await;
    assert_eq!(within(ms(1000), client.read_answer()).await.status, 413);
    assert_eq!(pipes.origin.opened(), 0);
}

#[tokio::test(start_paused = true)]
async fn content_that_came_with_its_head_is_held_against_the_limit_as_well() {
    let pipes = with(|settings| settings.sites[0].max_body = 3);
    let mut client = pipes.client();
    client.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\n\r\n0123").await;
    assert_eq!(client.read_answer().await.status, 413);
    client.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 3\r\n\r\n012").await;
    assert_eq!(client.read_answer().await.status, 201, "the connection goes on");
    assert_eq!(only(&pipes).body, b"012");
}

#[tokio::test(start_paused = true)]
async fn content_that_stops_coming_is_told_408_and_the_origin_hears_nothing() {
    let pipes = Pipes::new(takes);
    let mut client = pipes.client();
    client.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 100\r\n\r\nonly this").await;
    let answer = within(2 * pipes.settings.listener.body_timeout, client.read_answer()).await;
    assert_eq!((answer.status, pipes.origin.opened()), (408, 0));
}

#[tokio::test(start_paused = true)]
async fn chunks_that_make_no_sense_are_told_400_and_the_origin_hears_nothing() {
    let pipes = Pipes::new(takes);
    let mut client = pipes.client();
    client.send("POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nx\r\n").await;
    let answer = within(ms(1000), client.read_answer()).await;
    assert_eq!((answer.status, pipes.origin.opened()), (400, 0));
}

// ---- what is passed on as it comes ----

/// The origin has the beginning before the client has sent the end.
async fn flows(pipes: &Pipes, client: &mut Client<tokio::io::DuplexStream>, head: &str) {
    client.send(head).await;
    client.send("ab").await;
    within(ms(5000), pipes.origin.wait_until(|tally| tally.exchanges.iter().any(|seen| seen.body == b"ab")))
        .await;
    client.send("cd").await;
    assert_eq!(client.read_answer().await.status, 201);
    assert_eq!(only(pipes).body, b"abcd");
}

#[tokio::test(start_paused = true)]
async fn a_site_may_have_all_content_passed_on_as_it_comes() {
    let pipes = Pipes::with(streaming(settings("http://origin.test")), takes);
    flows(&pipes, &mut pipes.client(), "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\n\r\n").await;
}

#[tokio::test(start_paused = true)]
async fn a_site_may_have_that_for_some_paths_however_they_are_spelled() {
    let streamed = |settings: &mut Settings| {
        settings.sites[0].streamed_paths = forebay::semantics::patterns::Paths::new(["/live/*"]);
    };
    for path in ["/live/a", "/%6cive/a", "//live/a"] {
        let pipes = with(streamed);
        let head = format!("POST {path} HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\n\r\n");
        flows(&pipes, &mut pipes.client(), &head).await;
    }
    let pipes = with(streamed);
    let mut client = pipes.client();
    client.send("POST /other HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\n\r\nab").await;
    tokio::time::sleep(ms(5000)).await;
    assert_eq!(pipes.origin.opened(), 0);
}

#[tokio::test(start_paused = true)]
async fn content_that_is_announced_longer_than_may_be_taken_in_is_not_waited_for() {
    let pipes = with(|settings| settings.sites[0].max_buffered_body = 3);
    flows(&pipes, &mut pipes.client(), "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\n\r\n").await;
}

#[tokio::test(start_paused = true)]
async fn content_that_grows_beyond_what_may_be_taken_in_is_passed_on_from_there() {
    let pipes = with(|settings| settings.sites[0].max_buffered_body = 3);
    let mut client = pipes.client();
    client.send("POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n").await;
    tokio::time::sleep(ms(5000)).await;
    assert_eq!(pipes.origin.opened(), 0);
    client.send("1\r\nd\r\n").await;
    within(
        ms(5000),
        pipes.origin.wait_until(|tally| tally.exchanges.iter().any(|seen| seen.body == b"abcd")),
    )
    .await;
    assert_eq!(pipes.node.counters.buffered_in_part.get(), 1);
    client.send("2\r\nef\r\n0\r\n\r\n").await;
    assert_eq!(client.read_answer().await.status, 201);
    let seen = only(&pipes);
    assert_eq!((&seen.body[..], seen.request.header("transfer-encoding")), (&b"abcdef"[..], Some("chunked")));
}

/// An offer to leave HTTP costs a client nothing, and is no way around.
#[tokio::test(start_paused = true)]
async fn what_comes_with_an_offer_to_leave_http_is_taken_in_as_well() {
    let pipes = with(|_| {});
    let mut client = pipes.client();
    let offer = "Connection: upgrade\r\nUpgrade: echo/1\r\nContent-Length: 4\r\n\r\nab";
    client.send(&format!("POST / HTTP/1.1\r\nHost: test\r\n{offer}")).await;
    tokio::time::sleep(ms(5000)).await;
    assert_eq!((pipes.origin.opened(), pipes.node.counters.buffering.get()), (0, 1));
    client.send("cd").await;
    assert_eq!(client.read_answer().await.status, 201);
    assert_eq!(only(&pipes).body, b"abcd");
}

/// Without room on disk the window is all that is taken in: what follows waits for the origin.
#[tokio::test]
async fn without_room_it_is_passed_on_and_its_client_waits_for_the_origin() {
    let mut settings = settings("http://origin.test");
    settings.spill.limit = 0;
    let gate = crate::support::origin::Gate::new();
    let held = std::sync::Arc::clone(&gate);
    let pipes = Pipes::with(settings, move |_, _| {
        vec![Act::WaitFor(held.clone()), Act::ReadBody, respond("201 Created", &[], "taken")]
    });
    let content = pattern(9, 4 << 20);
    let (near, serves) = pipes.connection(16 << 10);
    tokio::spawn(serves);
    let mut client = Client::over(near);
    client.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 4194304\r\n\r\n").await;
    let begun = Instant::now();
    {
        let sending = client.try_send(&content);
        tokio::pin!(sending);
        let asked = pipes.origin.wait_for_hits(1);
        tokio::select! {
            sent = &mut sending => panic!("all of it was taken in: {sent:?}"),
            () = within(Duration::from_secs(20), asked) => {}
        }
        gate.open();
        within(Duration::from_mins(1), sending).await.expect("sent");
    }
    assert_eq!(
        within(Duration::from_mins(1), client.read_answer()).await.status,
        201,
        "{:?}",
        begun.elapsed()
    );
    assert!(only(&pipes).body == content);
}

/// Files are few: without one, content up to the window is taken in, and what follows waits for the origin.
#[tokio::test]
async fn more_files_than_fetches_are_not_taken_up() {
    let pipes = with(|settings| settings.fetch.max_fetches = 1);
    let long = |nth: usize| format!("POST /{nth} HTTP/1.1\r\nHost: test\r\nContent-Length: 1000000\r\n\r\n");
    let (mut first, mut second, content) = (pipes.client(), pipes.client(), pattern(2, 1_000_000));
    first.send(&long(1)).await;
    first.try_send(&content[..999_999]).await.expect("taken in");
    assert_eq!(pipes.origin.opened(), 0);
    second.send(&long(2)).await;
    let sending = async { second.try_send(&content).await };
    let asked = pipes.origin.wait_for_hits(1);
    let (sent, ()) = within(Duration::from_secs(20), async { tokio::join!(sending, asked) }).await;
    sent.expect("passed on");
    assert_eq!(second.read_answer().await.status, 201);
    assert_eq!(pipes.node.counters.buffered_in_part.get(), 1);
    first.try_send(&content[999_999..]).await.expect("sent");
    assert_eq!(first.read_answer().await.status, 201);
    assert!(pipes.origin.tally().exchanges.iter().all(|seen| seen.body_whole && seen.body == content));
}

/// Where the answer is waited for a long time, and then comes bit by bit, each bit leaves as it comes.
#[tokio::test(start_paused = true)]
async fn an_answer_to_content_that_was_taken_in_flows_at_once() {
    let pipes = Pipes::new(|_, _| {
        let head = crate::support::origin::head(
            "200 OK",
            &[("Content-Type", "text/event-stream"), ("Transfer-Encoding", "chunked")],
        );
        let (wait, chunk) = (Act::Wait(ms(20_000)), crate::support::origin::chunk);
        vec![Act::ReadBody, wait.clone(), head, chunk("data: 1\n\n"), wait, chunk("data: 2\n\n"), Act::Stall]
    });
    let begun = Instant::now();
    let mut client = pipes.client();
    client.send("POST /events HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\n\r\nbody").await;
    assert_eq!(client.read_head().await.status, 200);
    for (event, seconds) in [("data: 1\n\n", 20), ("data: 2\n\n", 40)] {
        assert_eq!(client.read_chunk().await.expect("an event"), event);
        assert_eq!(begun.elapsed().as_secs(), seconds);
    }
}
