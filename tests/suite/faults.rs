//! What goes wrong, and the stated outcome each time: no stuck waiter, nothing wrong stored, every task ended.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::rig::{Pipes, Sockets};
use crate::support::bytes::pattern;
use crate::support::client::Answer;
use crate::support::origin::{Act, Gate, chunk, head, interim, last_chunk, respond};
use crate::support::{ms, within};

const CACHEABLE: (&str, &str) = ("Cache-Control", "max-age=60");
const LIMIT: Duration = Duration::from_mins(10);
const HALF: &[u8] = b"half of ";
const WHOLE: &[u8] = b"half of it";

/// What a client gets of an origin that misbehaves.
enum Outcome {
    /// An error of our own with this token in `Proxy-Status`.
    Error(u16, &'static str),
    /// The head and a part of the body, which the framing shows to be a part.
    Part,
    /// The whole answer, which may be stored.
    Whole,
}

use Outcome::{Error, Part, Whole};

struct Fault {
    name: &'static str,
    acts: Vec<Act>,
    outcome: Outcome,
}

fn sized(length: usize) -> Act {
    head("200 OK", &[CACHEABLE, ("Content-Length", &length.to_string())])
}

fn in_chunks() -> Act {
    head("200 OK", &[CACHEABLE, ("Transfer-Encoding", "chunked")])
}

fn faults() -> Vec<Fault> {
    let fault = |name, acts, outcome| Fault { name, acts, outcome };
    let text = |text: &'static str| Act::Send(Bytes::from_static(text.as_bytes()));
    let half = || Act::Send(Bytes::from_static(HALF));
    vec![
        fault("closes before the head", vec![Act::Close], Error(502, "connection_terminated")),
        fault("resets before the head", vec![Act::Reset], Error(502, "connection_terminated")),
        fault(
            "closes in the head",
            vec![text("HTTP/1.1 200 OK\r\nCache-Con"), Act::Close],
            Error(502, "connection_terminated"),
        ),
        fault(
            "resets in the head",
            vec![text("HTTP/1.1 200 OK\r\nCache-Con"), Act::Reset],
            Error(502, "connection_terminated"),
        ),
        fault("stalls before the head", vec![Act::Stall], Error(504, "http_response_timeout")),
        fault(
            "stalls in the head",
            vec![text("HTTP/1.1 200"), Act::Stall],
            Error(504, "http_response_timeout"),
        ),
        fault(
            "answers garbage",
            vec![text("\u{1}\u{2}garbage\r\n\r\n"), Act::Close],
            Error(502, "http_protocol_error"),
        ),
        fault(
            "answers with two lengths",
            vec![
                head("200 OK", &[CACHEABLE, ("Content-Length", "8"), ("Content-Length", "9")]),
                half(),
                Act::Close,
            ],
            Error(502, "http_protocol_error"),
        ),
        fault(
            "answers with a length that is none",
            vec![head("200 OK", &[CACHEABLE, ("Content-Length", "+8")]), half(), Act::Close],
            Error(502, "http_protocol_error"),
        ),
        fault(
            "answers with two framings",
            vec![
                head("200 OK", &[CACHEABLE, ("Content-Length", "8"), ("Transfer-Encoding", "chunked")]),
                chunk(HALF),
                Act::Stall,
            ],
            Error(502, "http_protocol_error"),
        ),
        fault(
            "codes its transfer in a way of its own",
            vec![
                head("200 OK", &[CACHEABLE, ("Transfer-Encoding", "gzip, chunked")]),
                chunk(HALF),
                Act::Stall,
            ],
            Error(502, "http_protocol_error"),
        ),
        fault(
            "chunks twice",
            vec![
                head(
                    "200 OK",
                    &[CACHEABLE, ("Transfer-Encoding", "chunked"), ("Transfer-Encoding", "chunked")],
                ),
                chunk(HALF),
                Act::Stall,
            ],
            Error(502, "http_protocol_error"),
        ),
        fault(
            "answers a head without end",
            vec![head("200 OK", &[("X-Long", "x".repeat(100_000).as_str())]), Act::Stall],
            Error(502, "http_response_header_section_size"),
        ),
        fault(
            "answers a part that nobody asked for",
            vec![respond("206 Partial Content", &[CACHEABLE, ("Content-Range", "bytes 0-1/9")], "ab")],
            Error(502, "http_protocol_error"),
        ),
        fault(
            "switches protocols unasked",
            vec![
                head("101 Switching Protocols", &[("Upgrade", "other"), ("Connection", "upgrade")]),
                Act::Stall,
            ],
            Error(502, "http_protocol_error"),
        ),
        fault(
            "dies after an interim answer",
            vec![interim("103 Early Hints", &[]), Act::Close],
            Error(502, "connection_terminated"),
        ),
        fault(
            "answers 1xx, then the final answer",
            vec![
                interim("102 Processing", &[]),
                interim("103 Early Hints", &[("Link", "</a>")]),
                sized(WHOLE.len()),
                Act::Send(Bytes::from_static(WHOLE)),
            ],
            Whole,
        ),
        fault("closes in a sized body", vec![sized(WHOLE.len()), half(), Act::Close], Part),
        fault("resets in a sized body", vec![sized(WHOLE.len()), half(), Act::Reset], Part),
        fault("closes in a chunked body", vec![in_chunks(), chunk(HALF), Act::Close], Part),
        fault("closes within a chunk", vec![in_chunks(), text("a\r\nhalf of "), Act::Close], Part),
        fault(
            "writes a chunk size that is none",
            vec![in_chunks(), chunk(HALF), text("zz\r\nit\r\n0\r\n\r\n"), Act::Stall],
            Part,
        ),
        fault("stalls in the body", vec![sized(WHOLE.len()), half(), Act::Stall], Part),
        fault(
            "promises more than it sends",
            vec![sized(WHOLE.len() + 1), Act::Send(Bytes::from_static(WHOLE)), Act::Close],
            Part,
        ),
        fault(
            "sends more than it promised",
            vec![sized(WHOLE.len()), Act::Send(Bytes::from_static(WHOLE)), text("and more"), Act::Stall],
            Whole,
        ),
    ]
}

async fn crowd(rig: &Pipes, count: usize) -> Vec<Answer> {
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..count {
        let mut client = rig.client();
        clients.spawn(async move { client.get("/").await });
    }
    within(LIMIT, clients.join_all()).await
}

fn check(fault: &Fault, answer: &Answer) {
    let name = fault.name;
    match fault.outcome {
        Error(status, token) => {
            assert_eq!(answer.status, status, "{name}");
            assert!(answer.complete, "{name}: our own page is whole");
            let proxy_status = answer.header("proxy-status").unwrap_or_default();
            assert!(proxy_status.contains(token), "{name}: {proxy_status}");
            assert!(!answer.text().contains("origin.test"), "{name}: the page names the origin");
        }
        Part => {
            assert_eq!(answer.status, 200, "{name}");
            assert!(!answer.complete, "{name}: a part was presented as whole");
            assert!(WHOLE.starts_with(&answer.body), "{name}: {:?}", answer.text());
        }
        Whole => assert!(answer.complete && answer.body == WHOLE, "{name}: {answer:?}"),
    }
}

/// Each fault for one client and for several that wait for each other, and then an origin that is well again.
#[tokio::test(start_paused = true)]
async fn every_fault_of_the_origin_has_its_outcome() {
    for fault in faults() {
        for clients in [1, 5] {
            let misbehaviour = fault.acts.clone();
            let well = Gate::new();
            let is_well = Arc::clone(&well);
            let rig = Pipes::new(move |_, _| {
                if is_well.is_open() {
                    vec![respond("200 OK", &[CACHEABLE], "well")]
                } else {
                    misbehaviour.clone()
                }
            });
            for answer in crowd(&rig, clients).await {
                check(&fault, &answer);
            }
            rig.quiet().await;
            well.open();
            let next = crowd(&rig, 1).await.remove(0);
            match fault.outcome {
                Whole => assert_eq!(next.body, WHOLE, "{}", fault.name),
                Error(..) | Part => {
                    assert_eq!(next.text(), "well", "{}: something wrong was stored", fault.name);
                }
            }
        }
    }
}

const BIG: usize = 3 << 20;

/// A storable answer whose second half comes when `gate` opens.
fn in_halves(gate: &Arc<Gate>, fields: &'static [(&'static str, &'static str)]) -> Pipes {
    let gate = Arc::clone(gate);
    let body = pattern(9, BIG);
    Pipes::new(move |_, _| {
        let mut all = vec![("Content-Length", body.len().to_string())];
        all.extend(fields.iter().map(|(name, value)| (*name, (*value).to_owned())));
        let all: Vec<(&str, &str)> = all.iter().map(|(name, value)| (*name, value.as_str())).collect();
        vec![
            Act::Wait(ms(100)),
            head("200 OK", &all),
            Act::Send(body.slice(..BIG / 2)),
            Act::WaitFor(Arc::clone(&gate)),
            Act::Send(body.slice(BIG / 2..)),
        ]
    })
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_leaves_before_the_head_ends_nothing() {
    let gate = Gate::new();
    gate.open();
    let rig = in_halves(&gate, &[CACHEABLE]);
    let mut leader = rig.client();
    leader.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    rig.origin.wait_for_hits(1).await;
    let mut waiter = rig.client();
    waiter.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    drop(leader);
    let answer = within(LIMIT, waiter.read_answer()).await;
    assert!(answer.complete && answer.body == pattern(9, BIG));
    rig.quiet().await;
    assert!(rig.client().get_with("/", &[("Host", "a")]).await.cache_status().contains("hit"));
    assert_eq!(rig.origin.hits(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_leaves_or_stalls_in_the_body_slows_nobody() {
    for stalls in [true, false] {
        let gate = Gate::new();
        let rig = in_halves(&gate, &[CACHEABLE]);
        let mut leader = rig.client();
        leader.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        leader.read_head().await;
        let mut waiter = rig.client();
        waiter.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        waiter.read_head().await;
        // One who stalls reads nothing more, but stays.
        let staying = stalls.then_some(leader);
        gate.open();
        assert!(within(LIMIT, waiter.read_body()).await == pattern(9, BIG));
        rig.quiet().await;
        drop(staying);
        assert!(rig.client().get_with("/", &[("Host", "a")]).await.cache_status().contains("hit"));
        assert_eq!(rig.origin.hits(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_waiter_that_leaves_ends_nothing() {
    let gate = Gate::new();
    let rig = in_halves(&gate, &[CACHEABLE]);
    let mut leader = rig.client();
    leader.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let mut waiter = rig.client();
    waiter.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    waiter.read_head().await;
    drop(waiter);
    gate.open();
    let answer = within(LIMIT, leader.read_answer()).await;
    assert!(answer.complete && answer.body == pattern(9, BIG));
    rig.quiet().await;
}

#[tokio::test(start_paused = true)]
async fn when_everyone_leaves_what_can_be_stored_is_fetched_to_its_end() {
    let gate = Gate::new();
    let rig = in_halves(&gate, &[CACHEABLE]);
    for _ in 0..3 {
        let mut client = rig.client();
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        client.read_head().await;
    }
    gate.open();
    rig.quiet().await;
    let answer = rig.client().get_with("/", &[("Host", "a")]).await;
    assert!(answer.cache_status().contains("hit") && answer.body == pattern(9, BIG));
    assert_eq!(rig.origin.hits(), 1);
}

#[tokio::test(start_paused = true)]
async fn when_everyone_leaves_what_cannot_be_stored_is_ended() {
    let gate = Gate::new();
    let rig = in_halves(&gate, &[("Cache-Control", "no-store")]);
    let mut client = rig.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    client.read_head().await;
    drop(client);
    // The gate never opens: the fetch ends because nobody wants it.
    rig.quiet().await;
    within(LIMIT, rig.origin.wait_for_closed_by_peer(1)).await;
}

#[tokio::test(start_paused = true)]
async fn a_pass_ends_with_its_client_even_before_the_head() {
    let rig = Pipes::new(|_, _| vec![Act::ReadBody, Act::Stall]);
    let mut client = rig.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi").await;
    rig.origin.wait_for_hits(1).await;
    drop(client);
    rig.quiet().await;
    within(LIMIT, rig.origin.wait_for_closed_by_peer(1)).await;
}

#[tokio::test(start_paused = true)]
async fn an_upload_that_breaks_off_reaches_the_origin_as_broken() {
    let rig = Pipes::streaming(|_, _| vec![Act::ReadBody, respond("200 OK", &[], "never")]);
    let mut client = rig.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nonly this").await;
    rig.origin.wait_for_hits(1).await;
    drop(client);
    rig.quiet().await;
    within(LIMIT, rig.origin.wait_for_closed_by_peer(1)).await;
    assert!(!rig.origin.exchange(0).body_whole);
}

#[tokio::test(start_paused = true)]
async fn bytes_beyond_the_promised_length_never_answer_the_next_request() {
    let fake = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 4\r\n\r\nFAKE";
    let rig = Pipes::new(move |request, _| match request.path() {
        "/first" => vec![Act::Send(Bytes::from(format!(
            "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 5\r\n\r\nhello{fake}"
        )))],
        _ => vec![respond("200 OK", &[CACHEABLE], "true")],
    });
    assert_eq!(rig.client().get("/first").await.text(), "hello");
    for path in ["/a", "/b", "/c"] {
        assert_eq!(rig.client().get(path).await.text(), "true");
    }
}

#[tokio::test(start_paused = true)]
async fn an_endless_stream_is_passed_as_it_comes_and_ends_with_its_client() {
    let rig = Pipes::new(|_, _| {
        // Its lifetime does not make it storable: it never ends.
        let fields = [CACHEABLE, ("Content-Type", "text/event-stream"), ("Transfer-Encoding", "chunked")];
        let event = Bytes::from_static(b"d\r\ndata: tick\n\n\n\r\n");
        vec![head("200 OK", &fields), Act::Endless { piece: event, every: ms(1000) }]
    });
    let mut client = rig.client();
    client.send("GET /events HTTP/1.1\r\nHost: a\r\n\r\n").await;
    client.read_head().await;
    for _ in 0..5 {
        let event = within(ms(1500), client.read_chunk()).await.expect("an event");
        assert!(event.starts_with(b"data: tick"), "{event:?}");
    }
    drop(client);
    rig.quiet().await;
}

/// All that a client of HTTP/1.0 reads, and the error that ends it if one does.
async fn http_10(node: &Sockets) -> (String, Option<io::ErrorKind>) {
    let mut stream = TcpStream::connect(node.addr()).await.unwrap();
    stream.write_all(b"GET / HTTP/1.0\r\nHost: test\r\n\r\n").await.unwrap();
    let mut all = Vec::new();
    let ended = within(LIMIT, stream.read_to_end(&mut all)).await;
    (String::from_utf8(all).unwrap(), ended.err().map(|error| error.kind()))
}

#[tokio::test]
async fn a_part_never_passes_for_a_whole_to_a_client_that_knows_no_chunks() {
    let node = Sockets::new(|_, _| vec![in_chunks(), chunk(HALF), Act::Wait(ms(50)), Act::Close]).await;
    let (text, error) = http_10(&node).await;
    assert_eq!(error, Some(io::ErrorKind::ConnectionReset), "{text}");
}

#[tokio::test]
async fn a_whole_ends_in_an_orderly_way_for_a_client_that_knows_no_chunks() {
    let node =
        Sockets::new(|_, _| vec![in_chunks(), chunk(HALF), Act::Wait(ms(50)), chunk("it"), last_chunk(&[])])
            .await;
    let (text, error) = http_10(&node).await;
    assert!(text.ends_with("\r\n\r\nhalf of it") && error.is_none(), "{text} {error:?}");
}

#[tokio::test]
async fn a_sized_body_ends_in_an_orderly_way_for_a_client_that_knows_no_chunks() {
    let node = Sockets::new(|_, _| vec![sized(WHOLE.len()), Act::Wait(ms(50)), Act::send(WHOLE)]).await;
    let (text, error) = http_10(&node).await;
    assert!(text.ends_with("\r\n\r\nhalf of it") && error.is_none(), "{text} {error:?}");
}
