//! Clients that take or send too little are ended, those that are only slow are not, and none costs more than it has to.

use std::time::Duration;

use forebay::cache::ledger::Source;
use forebay::cache::wish::Wish;
use forebay::config::Settings;
use forebay::semantics::patterns::Paths;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::Instant;

use crate::http2_frames::{connect, connect_by};
use crate::rig::{Pipes, Sockets, on_hyper, settings};
use crate::support::bytes::{Verify, pattern};
use crate::support::client::Client;
use crate::support::http2::{
    DATA, END_HEADERS, HEADERS, RST_STREAM, Raw, WINDOW_UPDATE, ask, frame, get, setting,
};
use crate::support::origin::{Act, SeenRequest, chunk, head, last_chunk, respond};
use crate::support::{ms, within};

const LENGTH: usize = 300_000;
const FRESH: (&str, &str) = ("Cache-Control", "max-age=60000");

/// The default is 240 bytes a second over a minute.
fn node(script: impl Fn(&SeenRequest, usize) -> Vec<Act> + Send + Sync + 'static) -> Pipes {
    with(|_| {}, script)
}

fn with(
    change: impl FnOnce(&mut Settings),
    script: impl Fn(&SeenRequest, usize) -> Vec<Act> + Send + Sync + 'static,
) -> Pipes {
    let mut settings = settings("http://origin.test");
    change(&mut settings);
    Pipes::with(settings, script)
}

fn page(_: &SeenRequest, _: usize) -> Vec<Act> {
    vec![respond("200 OK", &[FRESH], pattern(0, LENGTH))]
}

/// Why answers broke off, and how many.
fn broken(pipes: &Pipes) -> Vec<(&'static str, u64)> {
    pipes.node.metrics.site("default").broken().into_iter().collect()
}

async fn seconds_of<T>(work: impl Future<Output = T>) -> (T, u64) {
    let begun = Instant::now();
    (work.await, begun.elapsed().as_secs())
}

// ---- answers ----

/// How many bytes of an answer a client gets that reads so many every so often, from a pipe that holds little, and the seconds
/// that this takes.
async fn takes(pipes: &Pipes, bytes: usize, every: Duration) -> (usize, u64) {
    let (mut io, serves) = pipes.connection(1 << 10);
    pipes.connections.spawn(serves);
    io.write_all(b"GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").await.expect("sent");
    let (mut piece, mut total, begun) = (vec![0; bytes], 0, Instant::now());
    loop {
        // What a pipe has at a time may be less.
        let mut left = bytes;
        while left > 0 {
            match io.read(&mut piece[..left]).await {
                Ok(0) | Err(_) => return (total, begun.elapsed().as_secs()),
                Ok(came) => (left, total) = (left - came, total + came),
            }
        }
        tokio::time::sleep(every).await;
    }
}

#[tokio::test(start_paused = true)]
async fn who_takes_too_little_of_an_answer_is_ended_and_the_log_says_why() {
    if on_hyper() {
        return;
    }
    let pipes = node(page);
    let (taken, seconds) = takes(&pipes, 60, ms(1000)).await;
    // A quarter of the rate gives back a quarter of the minute, and of that, and of that; then what lies in the pipe is read.
    assert!((75 * 60..105 * 60).contains(&taken) && (75..105).contains(&seconds), "{taken} in {seconds} s");
    assert_eq!(broken(&pipes), [("min-rate", 1)]);
}

#[tokio::test(start_paused = true)]
async fn who_takes_nothing_is_ended_by_the_time_for_that() {
    let pipes = with(|settings| settings.listener.write_timeout = ms(20_000), page);
    let mut client = pipes.client();
    client.request("GET", "/", &[], b"").await;
    client.read_head().await;
    tokio::time::sleep(ms(30_000)).await;
    client.read_body().await;
    assert!(!client.is_complete());
    if !on_hyper() {
        assert_eq!(broken(&pipes), [("write-timeout", 1)]);
    }
}

#[tokio::test(start_paused = true)]
async fn who_takes_enough_is_not_ended_in_trickles_or_in_bursts() {
    let pipes = node(page);
    for (bytes, every) in [(260, 1000), (50_000, 59_000), (14_400, 50_000)] {
        let (taken, _) = takes(&pipes, bytes, ms(every)).await;
        assert!(taken > LENGTH, "{taken}: {bytes} bytes every {every} ms: {:?}", broken(&pipes));
    }
    assert_eq!(broken(&pipes), []);
}

#[tokio::test(start_paused = true)]
async fn without_a_rate_any_progress_is_enough() {
    let pipes = with(|settings| settings.listener.min_rate.bytes = 0, page);
    assert!(takes(&pipes, 1000, ms(50_000)).await.0 > LENGTH, "{:?}", broken(&pipes));
}

#[tokio::test(start_paused = true)]
async fn a_slow_origin_is_not_its_client_s_fault() {
    let events = || {
        let mut acts =
            vec![head("200 OK", &[("Transfer-Encoding", "chunked"), ("Content-Type", "text/event-stream")])];
        for _ in 0..40 {
            acts.extend([Act::Wait(ms(50_000)), chunk("data: x\n\n")]);
        }
        acts.push(last_chunk(&[]));
        acts
    };
    let pipes = with(|_| {}, move |_, _| events());
    let mut client = pipes.client();
    assert_eq!(client.get("/events").await.body.len(), 40 * 9);
    // A long poll.
    let pipes = node(|_, _| vec![Act::Wait(ms(55_000)), respond("200 OK", &[], "late")]);
    let mut client = pipes.client();
    for _ in 0..5 {
        assert_eq!(client.get("/poll").await.text(), "late");
    }
    assert_eq!(broken(&pipes), []);
}

#[tokio::test(start_paused = true)]
async fn pauses_between_requests_do_not_count() {
    let pipes = with(|settings| settings.listener.idle_timeout = Duration::from_hours(1), page);
    let mut client = pipes.client();
    for _ in 0..5 {
        client.request("GET", "/", &[], b"").await;
        client.read_head().await;
        tokio::time::sleep(ms(40_000)).await;
        assert_eq!(client.read_body().await.len(), LENGTH);
        tokio::time::sleep(ms(1_000_000)).await;
    }
}

/// A socket takes nothing more before half of what it holds has gone, which is hundreds of KiB: only the system sees that such
/// a client goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_empties_the_system_s_buffers_slowly_is_not_ended() {
    let length = 4 << 20;
    let node = Sockets::with(
        |settings| {
            settings.listener.min_rate.bytes = 20_000;
            settings.listener.min_rate.window = ms(1500);
            settings.listener.write_timeout = ms(1500);
        },
        move |_, _| vec![respond("200 OK", &[FRESH], pattern(0, length))],
    )
    .await;
    let mut client = Client::connect_narrow(node.addr(), 16 << 10).await;
    client.request("GET", "/", &[], b"").await;
    client.read_head().await;
    let (mut verify, begun) = (Verify::new(0), Instant::now());
    let mut tick = tokio::time::interval(ms(100));
    let mut total = 0;
    while let Some(bytes) = client.read_chunk().await {
        verify.feed(&bytes);
        total += bytes.len();
        // About 80 KiB a second.
        while begun.elapsed() < ms(7000) && total as u128 > begun.elapsed().as_millis() * 80 {
            tick.tick().await;
        }
    }
    assert!(client.is_complete(), "it was ended after {total} bytes and {:?}", begun.elapsed());
    verify.finish(length as u64);
    node.running.drain();
}

// ---- content of requests ----

fn taking(_: &SeenRequest, _: usize) -> Vec<Act> {
    vec![Act::ReadBody, respond("201 Created", &[], "stored")]
}

#[tokio::test(start_paused = true)]
async fn who_sends_too_slowly_is_told_408() {
    let pipes = node(taking);
    let mut client = pipes.client();
    client.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 100000\r\n\r\n").await;
    let sending = async {
        while client.try_send(&[b'x'; 100]).await.is_ok() {
            let answered = tokio::time::timeout(ms(1000), client.read_answer()).await;
            if let Ok(answer) = answered {
                return answer;
            }
        }
        client.read_answer().await
    };
    let (answer, seconds) = seconds_of(within(ms(200_000), sending)).await;
    if on_hyper() {
        return;
    }
    assert_eq!(answer.status, 408);
    assert!((90..120).contains(&seconds), "{seconds}");
    let details = pipes.node.metrics.site("default").details();
    assert_eq!(details.get("late-content"), Some(&1), "{details:?}");
    pipes.quiet().await;
    assert_eq!(pipes.origin.hits(), 0, "nobody was asked for what never came whole");
    client.expect_end().await;
}

#[tokio::test(start_paused = true)]
async fn who_sends_enough_is_not_told_so_in_trickles_or_in_bursts() {
    let pipes = node(taking);
    for (bytes, every) in [(300, 1000), (20_000, 55_000)] {
        let mut client = pipes.client();
        client.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 120000\r\n\r\n").await;
        for _ in 0..120_000 / bytes {
            client.try_send(&vec![b'x'; bytes]).await.expect("taken");
            tokio::time::sleep(ms(every)).await;
        }
        assert_eq!(client.read_answer().await.status, 201, "{bytes} bytes every {every} ms");
    }
}

#[tokio::test(start_paused = true)]
async fn a_conversation_may_be_slow_once_its_answer_has_begun() {
    let change = |settings: &mut Settings| {
        settings.pools[0].between_bytes_timeout = Duration::from_hours(1);
        settings.sites[0].streamed_paths = Paths::new(["/*"]);
    };
    let pipes = with(change, |_, _| {
        let first = [head("200 OK", &[("Content-Length", "2")]), Act::send("a")];
        [first, [Act::ReadBody, Act::send("b")]].concat()
    });
    let mut client = pipes.client();
    client.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\n").await;
    assert_eq!(client.read_head().await.status, 200);
    for _ in 0..10 {
        tokio::time::sleep(ms(50_000)).await;
        client.send("x").await;
    }
    if !on_hyper() {
        assert_eq!(client.read_body().await, b"ab");
        assert!(client.is_complete());
    }
}

// ---- HTTP/2 ----

fn window(stream: u32, bytes: u32) -> Vec<u8> {
    frame(WINDOW_UPDATE, 0, stream, &bytes.to_be_bytes())
}

/// The error by which a stream is reset, if it is, while its window is opened so.
async fn opens(pipes: &Pipes, bytes: u32, every: Duration, times: u32) -> Option<(u32, u64)> {
    let mut raw = Raw::begin(connect(pipes), &setting(4, 0)).await;
    raw.send(&window(0, 1 << 24)).await;
    raw.send(&get(1, "/")).await;
    let begun = Instant::now();
    for _ in 0..times {
        raw.send(&window(1, bytes)).await;
        let until = Instant::now() + every;
        while let Ok(came) = tokio::time::timeout_at(until, raw.next()).await {
            let came = came.expect("the connection goes on");
            if came.kind == RST_STREAM {
                return Some((came.number(0), begun.elapsed().as_secs()));
            }
        }
    }
    None
}

#[tokio::test(start_paused = true)]
async fn a_stream_whose_window_opens_too_slowly_is_reset() {
    let pipes = node(page);
    pipes.ask("/", &[]).await;
    let (error, seconds) = opens(&pipes, 60, ms(1000), 1000).await.expect("reset");
    assert_eq!(error, 8, "CANCEL");
    assert!((70..100).contains(&seconds), "{seconds}");
    assert_eq!(broken(&pipes), [("min-rate", 1)]);
    assert_eq!(opens(&pipes, 300, ms(1000), 900).await, None);
    assert_eq!(opens(&pipes, 30_000, ms(59_000), 9).await, None);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_takes_too_little_is_ended() {
    let pipes = node(page);
    pipes.ask("/", &[]).await;
    let mut raw = Raw::begin(connect_by(&pipes, 4 << 10), &setting(4, 1 << 24)).await;
    raw.send(&window(0, 1 << 24)).await;
    raw.send(&get(1, "/")).await;
    let begun = Instant::now();
    let mut piece = [0; 60];
    while !matches!(raw.io.read(&mut piece).await, Ok(0) | Err(_)) {
        tokio::time::sleep(ms(1000)).await;
    }
    let seconds = begun.elapsed().as_secs() - (4 << 10) / 60;
    assert!((70..100).contains(&seconds), "{seconds}");
    assert_eq!(broken(&pipes), [("min-rate", 1)]);
}

/// Content by HTTP/2, so many bytes every second: the status that comes of it.
async fn sends(pipes: &Pipes, bytes: usize, times: usize, kind: &str) -> String {
    let mut raw = Raw::begin(connect(pipes), &[]).await;
    let head = ask("POST", "/", &[("content-type", kind)]);
    raw.send(&frame(HEADERS, END_HEADERS, 1, &head)).await;
    for nth in 1..=times {
        let flags = u8::from(nth == times);
        raw.send(&frame(DATA, flags, 1, &vec![b'x'; bytes])).await;
        let until = Instant::now() + ms(1000);
        while let Ok(came) = tokio::time::timeout_at(until, raw.next()).await {
            let came = came.expect("the connection goes on");
            if came.kind == DATA {
                return String::from_utf8_lossy(&came.payload).into_owned();
            }
        }
    }
    String::new()
}

#[tokio::test(start_paused = true)]
async fn content_that_comes_too_slowly_by_http2_is_told_so_but_for_calls_of_grpc() {
    let pipes = node(taking);
    let told = sends(&pipes, 60, 400, "text/plain").await;
    assert!(told.contains("did not come in time"), "{told}");
    assert_eq!(sends(&pipes, 300, 400, "text/plain").await, "stored");
    assert_eq!(sends(&pipes, 6, 400, "application/grpc+proto").await, "stored");
}

// ---- what a stalled reader holds ----

/// It holds a reference to what is stored, and its socket: not a byte more, whoever evicts that meanwhile.
#[tokio::test(start_paused = true)]
async fn a_stalled_reader_of_what_is_stored_holds_a_reference_and_no_more() {
    const CLIENTS: usize = 100;
    let length = 8 << 20;
    let pipes = node(move |request, _| {
        let length = if request.path() == "/large" { length } else { 1 << 20 };
        vec![respond("200 OK", &[FRESH], pattern(0, length))]
    });
    assert_eq!(pipes.ask("/large", &[]).await.body.len(), length);
    let budget = &pipes.node.means.budget;
    let used = budget.used();
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        let mut client = pipes.client();
        client.request("GET", "/large", &[], b"").await;
        assert_eq!(
            client.read_head().await.header("cache-status").map(|said| said.contains("hit")),
            Some(true)
        );
        clients.push(client);
    }
    assert_eq!(budget.used(), used, "nothing is kept for them");

    // Evicted, or taken back, it is there for those who read it, once.
    let wish = Wish { all: true, soft: Some(false), ..Wish::default() };
    pipes.node.machine.purge(&wish, Source::default()).await.expect("fulfilled");
    pipes.node.cache.sweep();
    assert!(pipes.node.cache.memory_used() < length as u64 / 2, "it is out of the tier");
    let mut reads_on = clients.pop().expect("a client");
    let mut verify = Verify::new(0);
    while let Some(bytes) = reads_on.read_chunk().await {
        verify.feed(&bytes);
    }
    verify.finish(length as u64);
    assert!(budget.used() <= used);

    // The others take nothing, and are ended.
    let begun = Instant::now();
    pipes.connections.close();
    drop(reads_on);
    within(ms(70_000), pipes.connections.wait()).await;
    assert!(begun.elapsed() >= ms(50_000) || on_hyper());
    assert!(
        budget.used() < used - length as u64 / 2,
        "what they held is given back: {} of {used}",
        budget.used()
    );
    drop(clients);
}
