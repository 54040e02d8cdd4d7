//! Ranges: of what is in memory, on disk and only arriving; what is refused, and what is none of this node's business.

use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};

use crate::disk_rig::DiskNode;
use crate::rig::{Pipes, Sockets, settings};
use crate::support::bytes::{pattern, pattern_at};
use crate::support::client::{Answer, Client};
use crate::support::origin::{
    Act, Gate, SeenRequest, chunk, head, last_chunk, respond, respond_chunked, respond_to,
};
use crate::support::{ms, within};

const BLOCK: usize = 1 << 20;
const SMALL: usize = 2000;
const LARGE: usize = 3 * BLOCK + 777;
const FRESH: (&str, &str) = ("Cache-Control", "max-age=60");
const TAG: (&str, &str) = ("ETag", "\"v1\"");
const MODIFIED: &str = "Fri, 15 Jan 2027 07:00:00 GMT";

/// An origin that has no ranges: `/N` is N bytes.
fn plain(request: &SeenRequest, _: usize) -> Vec<Act> {
    let length = request.path().trim_start_matches('/').parse().unwrap();
    let fields = [FRESH, TAG, ("Last-Modified", MODIFIED), ("Content-Type", "video/mp4"), ("X-Other", "1")];
    vec![respond_to(request, "200 OK", &fields, pattern(1, length))]
}

fn path(length: usize) -> String {
    format!("/{length}")
}

/// The bytes from `first` to `last`.
fn bytes(first: usize, last: usize) -> Vec<u8> {
    pattern_at(1, first as u64, last + 1 - first).to_vec()
}

#[track_caller]
fn assert_part(answer: &Answer, first: usize, last: usize, complete: usize) {
    assert_eq!((answer.status, answer.complete), (206, true));
    assert_eq!(answer.header_all("content-range"), [format!("bytes {first}-{last}/{complete}")]);
    assert_eq!(answer.header_all("content-length"), [(last + 1 - first).to_string()]);
    assert!(answer.body == bytes(first, last), "not the bytes from {first} to {last}");
}

#[track_caller]
fn assert_whole(answer: &Answer, length: usize) {
    assert_eq!((answer.status, answer.complete, answer.header("content-range")), (200, true, None));
    assert!(answer.body == pattern(1, length));
}

/// The parts of a multipart answer, taken apart by the letter: each with its offsets.
#[track_caller]
fn assert_parts(answer: &Answer, expected: &[(usize, usize)], complete: usize) {
    assert_eq!((answer.status, answer.complete, answer.header("content-range")), (206, true, None));
    let boundary =
        answer.header("content-type").unwrap().strip_prefix("multipart/byteranges; boundary=").unwrap();
    assert_eq!(boundary.len(), 32);
    let mut text = Vec::new();
    for (nth, (first, last)) in expected.iter().enumerate() {
        let line = if nth == 0 { "" } else { "\r\n" };
        let fields = format!("Content-Type: video/mp4\r\nContent-Range: bytes {first}-{last}/{complete}");
        text.extend(format!("{line}--{boundary}\r\n{fields}\r\n\r\n").into_bytes());
        text.extend(bytes(*first, *last));
    }
    text.extend(format!("\r\n--{boundary}--\r\n").into_bytes());
    assert_eq!(answer.header_all("content-length"), [text.len().to_string()]);
    assert!(answer.body == text, "{:?}", String::from_utf8_lossy(&answer.body[..200]));
}

async fn range<S: AsyncRead + AsyncWrite + Unpin>(
    client: &mut Client<S>,
    length: usize,
    range: &str,
) -> Answer {
    client.get_with(&path(length), &[("Range", range)]).await
}

/// What is asked of a body of `length` bytes, and its only part.
fn singles(length: usize) -> Vec<(String, usize, usize)> {
    let end = length - 1;
    let mut asked = vec![
        ("bytes=0-0".to_owned(), 0, 0),
        ("Bytes=5-9, ,".to_owned(), 5, 9),
        ("bytes=1000-".to_owned(), 1000, end),
        ("bytes=-7".to_owned(), end - 6, end),
        ("bytes=-9999999999".to_owned(), 0, end),
        (format!("bytes={end}-99999999999"), end, end),
        ("bytes=100-199,200-299,150-160".to_owned(), 100, 299),
        ("bytes=9999999999-,3-4".to_owned(), 3, 4),
    ];
    if length > 2 * BLOCK {
        asked.push((format!("bytes={}-{}", BLOCK - 1, BLOCK), BLOCK - 1, BLOCK));
        asked.push((format!("bytes={}-{}", BLOCK, 2 * BLOCK - 1), BLOCK, 2 * BLOCK - 1));
        asked.push((format!("bytes=7-{}", 3 * BLOCK), 7, 3 * BLOCK));
    }
    asked
}

/// Parts that stay apart.
fn several(length: usize) -> (String, Vec<(usize, usize)>) {
    let (middle, end) = (length / 2, length - 1);
    let asked = format!("bytes={middle}-{},0-9,-5", middle + 9);
    (asked, vec![(middle, middle + 9), (0, 9), (end - 4, end)])
}

#[tokio::test(start_paused = true)]
async fn parts_of_what_is_in_memory() {
    for length in [SMALL, LARGE] {
        let pipes = Pipes::new(plain);
        let mut client = pipes.client();
        assert_whole(&client.get(&path(length)).await, length);
        pipes.quiet().await;
        for (asked, first, last) in singles(length) {
            let answer = range(&mut client, length, &asked).await;
            assert_part(&answer, first, last, length);
            assert_eq!(answer.cache_status(), "forebay; hit; ttl=60");
            for (name, value) in
                [("etag", "\"v1\""), ("content-type", "video/mp4"), ("x-other", "1"), ("age", "0")]
            {
                assert_eq!(answer.header_all(name), [value]);
            }
        }
        let (asked, parts) = several(length);
        assert_parts(&range(&mut client, length, &asked).await, &parts, length);
        assert_whole(&client.get(&path(length)).await, length);
        assert_eq!(pipes.origin.hits(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn parts_of_what_is_not_stored_yet() {
    for length in [SMALL, LARGE] {
        for (asked, first, last) in singles(length) {
            let pipes = Pipes::new(plain);
            let answer = range(&mut pipes.client(), length, &asked).await;
            assert_part(&answer, first, last, length);
            assert_eq!(answer.cache_status(), "forebay; fwd=uri-miss; fwd-status=200; stored; ttl=60");
            pipes.quiet().await;
            // Whole blocks are asked for, of which an origin without ranges thinks nothing.
            let sent = pipes.origin.exchange(0).request.header("range").unwrap().to_owned();
            let (from, to) = sent.strip_prefix("bytes=").unwrap().split_once('-').unwrap();
            let (from, to): (usize, usize) = (from.parse().unwrap(), to.parse().unwrap());
            assert_eq!((from % BLOCK, (to + 1) % BLOCK), (0, 0), "{sent}");
            assert_whole(&pipes.ask(&path(length), &[]).await, length);
            assert_eq!(pipes.origin.hits(), 1, "the whole was stored");
        }
        let pipes = Pipes::new(plain);
        let (asked, mut parts) = several(length);
        // In the order in which they arrive.
        parts.sort_unstable();
        assert_parts(&range(&mut pipes.client(), length, &asked).await, &parts, length);
    }
}

#[tokio::test(start_paused = true)]
async fn a_part_that_has_come_is_answered_while_the_rest_is_missing() {
    let (gate, sent) = (Gate::new(), pattern(1, LARGE));
    let closed = Arc::clone(&gate);
    let pipes = Pipes::new(move |_, _| {
        let length = LARGE.to_string();
        vec![
            head("200 OK", &[FRESH, ("Content-Length", &length), ("Content-Type", "video/mp4")]),
            Act::send(sent.slice(..2 * BLOCK)),
            Act::WaitFor(Arc::clone(&closed)),
            Act::send(sent.slice(2 * BLOCK..)),
        ]
    });
    let mut leader = pipes.client();
    leader.request("GET", &path(LARGE), &[], b"").await;
    leader.read_head().await;
    let mut early = pipes.client();
    let asked = format!("bytes={}-{}", BLOCK - 5, BLOCK + 5);
    let answer = within(ms(1000), range(&mut early, LARGE, &asked)).await;
    assert_part(&answer, BLOCK - 5, BLOCK + 5, LARGE);
    assert_eq!(answer.cache_status(), "forebay; fwd=uri-miss; fwd-status=200; collapsed; ttl=60");
    assert_eq!(answer.header("age"), Some("0"));
    // Part by part: the first of them is there before the last can come.
    let mut both = pipes.client();
    both.request("GET", &path(LARGE), &[("Range", "bytes=-9,0-9")], b"").await;
    assert_eq!(both.read_head().await.status, 206);
    let mut body = Vec::new();
    while !body.windows(10).any(|found| found == bytes(0, 9)) {
        body.extend(within(ms(1000), both.read_chunk()).await.unwrap());
    }
    let mut late = pipes.client();
    late.request("GET", &path(LARGE), &[("Range", "bytes=-9")], b"").await;
    assert_eq!(late.read_head().await.status, 206);
    tokio::time::timeout(ms(1000), late.read_chunk()).await.expect_err("it has not come yet");
    gate.open();
    assert_eq!(late.read_body().await, bytes(LARGE - 9, LARGE - 1));
    body.extend(both.read_body().await);
    assert!(both.is_complete() && body.windows(9).any(|found| found == bytes(LARGE - 9, LARGE - 1)));
    assert!(leader.read_body().await == pattern(1, LARGE));
    assert_eq!(pipes.origin.hits(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_breaks_off_breaks_parts_off_that_have_not_come() {
    let pipes = Pipes::new(|_, _| {
        let length = LARGE.to_string();
        vec![head("200 OK", &[FRESH, ("Content-Length", &length)]), Act::send(pattern(1, BLOCK)), Act::Reset]
    });
    let asked = format!("bytes={}-{}", BLOCK - 5, BLOCK + 5);
    let answer = range(&mut pipes.client(), LARGE, &asked).await;
    assert_eq!((answer.status, answer.complete), (206, false));
    assert!(answer.body.len() <= 5 && bytes(BLOCK - 5, BLOCK).starts_with(&answer.body));
}

#[tokio::test(start_paused = true)]
async fn a_body_of_unknown_length_is_sent_whole_until_it_is_stored() {
    let pipes = Pipes::new(|_, _| vec![respond_chunked("200 OK", &[FRESH, TAG], &[&pattern(1, SMALL)])]);
    let cold = pipes.ask("/", &[("Range", "bytes=0-9")]).await;
    assert_whole(&cold, SMALL);
    assert_part(&pipes.ask("/", &[("Range", "bytes=0-9")]).await, 0, 9, SMALL);
}

#[tokio::test(start_paused = true)]
async fn parts_of_what_is_never_stored_are_cut_here_and_held_by_nobody() {
    // More than is kept in memory of one body.
    let length = 40 * BLOCK;
    let mut settings = settings("http://origin.test");
    settings.spill.limit = 0;
    let pipes = Pipes::with(settings, move |_, _| {
        let fields = [("Cache-Control", "no-store"), ("Content-Type", "video/mp4")];
        vec![respond("200 OK", &fields, pattern(1, length))]
    });
    let first = length - 100;
    let mut client = pipes.client();
    let answer = within(ms(60_000), range(&mut client, length, &format!("bytes={first}-"))).await;
    assert_part(&answer, first, length - 1, length);
    let answer = within(ms(60_000), range(&mut client, length, &format!("bytes={first}-,0-0"))).await;
    assert_parts(&answer, &[(0, 0), (first, length - 1)], length);
    let answer = within(ms(60_000), range(&mut client, length, "bytes=0-9")).await;
    assert_part(&answer, 0, 9, length);
    pipes.quiet().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_beyond_the_end_is_a_416() {
    for warm in [false, true] {
        for asked in ["bytes=2000-", "bytes=5000-6000,7000-", "bytes=-0"] {
            let pipes = Pipes::new(plain);
            if warm {
                pipes.ask(&path(SMALL), &[]).await;
            }
            let mut client = pipes.client();
            let answer = range(&mut client, SMALL, asked).await;
            assert_eq!((answer.status, answer.complete), (416, true), "{asked}");
            assert_eq!(answer.header_all("content-range"), ["bytes */2000"]);
            assert!(answer.text().contains("there are 2000 bytes"), "{}", answer.text());
            for gone in ["etag", "last-modified", "content-encoding", "x-other", "accept-ranges", "age"] {
                assert_eq!(answer.header(gone), None, "{gone}");
            }
            let forward = "forebay; fwd=uri-miss; fwd-status=200; stored; ttl=60";
            assert_eq!(answer.cache_status(), if warm { "forebay; hit; ttl=60" } else { forward });
            assert_whole(&client.get(&path(SMALL)).await, SMALL);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_damaged_or_of_another_unit_is_ignored() {
    let pipes = Pipes::new(plain);
    let mut client = pipes.client();
    for asked in
        ["bytes=9-5", "bytes=", "bytes=a-b", "bytes=0-1,x", "items=0-1", "bytes 0-1", "bytes=-", "0-1"]
    {
        assert_whole(&range(&mut client, SMALL, asked).await, SMALL);
    }
    let twice = [("Range", "bytes=0-1"), ("Range", "bytes=0-1")];
    assert_whole(&client.get_with(&path(SMALL), &twice).await, SMALL);
}

#[tokio::test(start_paused = true)]
async fn if_range_decides_between_the_part_and_the_whole() {
    let cases = [
        ("\"v1\"", true),
        ("\"v2\"", false),
        ("W/\"v1\"", false),
        (MODIFIED, true),
        ("Fri, 15 Jan 2027 07:00:01 GMT", false),
        ("nonsense", false),
    ];
    for warm in [false, true] {
        for (validator, holds) in cases {
            let pipes = Pipes::new(plain);
            if warm {
                pipes.ask(&path(SMALL), &[]).await;
            }
            let answer = pipes.ask(&path(SMALL), &[("Range", "bytes=5-9"), ("If-Range", validator)]).await;
            if holds {
                assert_part(&answer, 5, 9, SMALL);
            } else {
                assert_whole(&answer, SMALL);
            }
        }
    }
    // A range that cannot be satisfied is none either where the validator is another.
    let pipes = Pipes::new(plain);
    let beyond = [("Range", "bytes=9000-"), ("If-Range", "\"v2\"")];
    assert_whole(&pipes.ask(&path(SMALL), &beyond).await, SMALL);
}

#[tokio::test(start_paused = true)]
async fn conditions_come_first_and_a_head_has_no_ranges() {
    for warm in [false, true] {
        let pipes = Pipes::new(plain);
        if warm {
            pipes.ask(&path(SMALL), &[]).await;
        }
        let mut client = pipes.client();
        for asked in ["bytes=0-9", "bytes=9000-"] {
            let fields = [("Range", asked), ("If-None-Match", "\"v1\"")];
            let answer = client.get_with(&path(SMALL), &fields).await;
            assert_eq!((answer.status, answer.header("content-range")), (304, None));
            client.request("HEAD", &path(SMALL), &[("Range", asked)], b"").await;
            let answer = client.read_answer().await;
            assert_eq!((answer.status, answer.header("content-length")), (200, Some("2000")));
            assert_eq!(
                (answer.header("content-range"), answer.header("accept-ranges")),
                (None, Some("bytes"))
            );
        }
        let fields = [("Range", "bytes=0-9"), ("If-None-Match", "\"v2\"")];
        assert_part(&client.get_with(&path(SMALL), &fields).await, 0, 9, SMALL);
    }
}

#[tokio::test(start_paused = true)]
async fn only_a_200_has_parts() {
    let pipes = Pipes::new(|_, _| vec![respond("404 Not Found", &[FRESH, TAG], "nothing is here")]);
    for _cold_then_warm in 0..2 {
        let answer = pipes.ask("/", &[("Range", "bytes=0-3")]).await;
        assert_eq!((answer.status, answer.text().as_str()), (404, "nothing is here"));
        assert_eq!(answer.header("accept-ranges"), None);
    }
}

#[tokio::test(start_paused = true)]
async fn what_passes_is_the_origins_business() {
    let pipes = Pipes::new(|request, _| {
        if request.header("range") == Some("bytes=0-3") {
            let fields = [("Content-Range", "bytes 0-3/9"), ("Accept-Ranges", "none")];
            vec![respond("206 Partial Content", &fields, "part")]
        } else {
            let fields = [("Content-Range", "bytes */9"), ("Content-Type", "text/odd")];
            vec![respond("416 Range Not Satisfiable", &fields, "no")]
        }
    });
    let mut client = pipes.client();
    let fields = [("Range", "bytes=0-3"), ("If-Match", "\"v1\""), ("If-Range", "\"x\"")];
    let answer = client.get_with("/", &fields).await;
    assert_eq!((answer.status, answer.text().as_str()), (206, "part"));
    assert_eq!(answer.header("content-range"), Some("bytes 0-3/9"));
    assert_eq!(answer.header("accept-ranges"), Some("none"));
    assert_eq!(pipes.origin.exchange(0).request.header("if-range"), Some("\"x\""));
    let answer = client.get_with("/", &[("Range", "bytes=90-"), ("If-Match", "\"v1\"")]).await;
    assert_eq!((answer.status, answer.text().as_str()), (416, "no"));
    assert_eq!(answer.header("content-type"), Some("text/odd"));
}

#[tokio::test(start_paused = true)]
async fn hostile_sets_never_send_more_than_there_is() {
    let pipes = Pipes::new(plain);
    let mut client = pipes.client();
    client.get(&path(LARGE)).await;
    pipes.quiet().await;
    let set = |part: &dyn Fn(usize) -> String, count| (0..count).map(part).collect::<Vec<_>>().join(",");
    let ignored = [
        set(&|_| "0-".to_owned(), 1000),
        set(&|at| format!("{}-{}", 200 * at, 200 * at), 1000),
        set(&|at| format!("{at}-"), 17),
        set(&|at| format!("-{}", at + 1), 17),
    ];
    for asked in ignored {
        assert_whole(&range(&mut client, LARGE, &format!("bytes={asked}")).await, LARGE);
    }
    let overlapping = set(&|at| format!("{at}-"), 16);
    assert_part(&range(&mut client, LARGE, &format!("bytes={overlapping}")).await, 0, LARGE - 1, LARGE);
    let tiny = set(&|at| format!("{}-{}", 79 * at, 79 * at), 16);
    assert_part(&range(&mut client, LARGE, &format!("bytes={tiny}")).await, 0, 79 * 15, LARGE);
    let apart: Vec<(usize, usize)> = (0..16).map(|at| (200_000 * at, 200_000 * at)).collect();
    let asked = set(&|at| format!("{}-{}", 200_000 * at, 200_000 * at), 16);
    assert_parts(&range(&mut client, LARGE, &format!("bytes={asked}")).await, &apart, LARGE);
    // The framing would be longer than what is left out.
    assert_whole(&range(&mut client, 100, "bytes=0-0,-1").await, 100);
}

#[tokio::test(start_paused = true)]
async fn a_site_may_have_fewer_ranges_or_none() {
    for (most, one, two) in [(0, 200, 200), (1, 206, 200), (2, 206, 206)] {
        let mut settings = settings("http://origin.test");
        for site in &mut settings.sites {
            site.policy.max_ranges = most;
        }
        let pipes = Pipes::with(settings, plain);
        let offered = if most == 0 { None } else { Some("bytes") };
        for _cold_then_warm in 0..2 {
            let answer = pipes.ask(&path(SMALL), &[("Range", "bytes=0-0")]).await;
            assert_eq!((answer.status, answer.header("accept-ranges")), (one, offered));
            assert_eq!(pipes.ask(&path(SMALL), &[("Range", "bytes=0-0,-1")]).await.status, two);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_origin_says_of_ranges_stays() {
    for said in ["none", "bytes", "items"] {
        let pipes =
            Pipes::new(move |_, _| vec![respond("200 OK", &[FRESH, ("Accept-Ranges", said)], "body")]);
        for _cold_then_warm in 0..2 {
            assert_eq!(pipes.ask("/", &[]).await.header_all("accept-ranges"), [said]);
        }
    }
    let pipes = Pipes::new(|_, _| vec![respond("200 OK", &[("Cache-Control", "no-store")], "body")]);
    assert_eq!(pipes.ask("/", &[]).await.header("accept-ranges"), None);
}

#[tokio::test(start_paused = true)]
async fn parts_of_a_coded_body_are_parts_of_the_code() {
    let pipes = Pipes::new(|_, _| {
        let fields = [
            FRESH,
            ("Content-Encoding", "gzip"),
            ("Content-Digest", "sha-256=:AAAA:"),
            ("Repr-Digest", "sha-256=:BBBB:"),
        ];
        vec![respond("200 OK", &fields, pattern(1, SMALL))]
    });
    let coded = ("Accept-Encoding", "gzip");
    for _cold_then_warm in 0..2 {
        let answer = pipes.ask("/", &[coded, ("Range", "bytes=3-7")]).await;
        assert_part(&answer, 3, 7, SMALL);
        assert_eq!(answer.header("content-encoding"), Some("gzip"));
        assert_eq!(answer.header("content-digest"), None, "it is that of the whole");
        assert_eq!(answer.header("repr-digest"), Some("sha-256=:BBBB:"));
        // Nobody could tell the framing from the code.
        assert_whole(&pipes.ask("/", &[coded, ("Range", "bytes=0-0,-1")]).await, SMALL);
    }
}

#[tokio::test(start_paused = true)]
async fn trailers_are_not_sent_after_a_part() {
    let pipes = Pipes::new(|_, _| {
        let fields = [("Cache-Control", "no-store"), ("Transfer-Encoding", "chunked"), ("Trailer", "X-Sum")];
        vec![head("200 OK", &fields), chunk("whole"), last_chunk(&[("X-Sum", "1")])]
    });
    let fields = [("TE", "trailers"), ("Connection", "TE"), ("Range", "bytes=0-1")];
    let answer = pipes.client().get_with("/", &fields).await;
    assert_eq!((answer.status, answer.text().as_str(), answer.trailers.len()), (200, "whole", 1));
}

// ---- on disk ----

fn of_disk(request: &SeenRequest, nth: usize) -> Vec<Act> {
    let mut acts = plain(request, nth);
    acts.insert(0, Act::Wait(ms(1)));
    acts
}

async fn on_disk() -> DiskNode {
    let mut node = DiskNode::new(|_| {}, of_disk).await;
    assert_whole(&node.client().await.get(&path(LARGE)).await, LARGE);
    node.settled().await;
    node.stop();
    node
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_of_what_is_on_disk() {
    let mut node = on_disk().await;
    for (asked, first, last) in singles(LARGE) {
        // Started anew, so that nothing of it is in memory.
        node.start().await;
        let answer = range(&mut node.client().await, LARGE, &asked).await;
        assert_part(&answer, first, last, LARGE);
        assert!(answer.cache_status().ends_with("detail=disk"), "{}", answer.cache_status());
        node.stop();
    }
    node.start().await;
    let (asked, parts) = several(LARGE);
    assert_parts(&range(&mut node.client().await, LARGE, &asked).await, &parts, LARGE);
    assert_whole(&node.client().await.get(&path(LARGE)).await, LARGE);
    assert_eq!(node.origin.hits(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn blocks_that_a_part_does_not_touch_are_not_read() {
    let mut node = on_disk().await;
    std::fs::remove_file(node.file_of(&bytes(BLOCK, 2 * BLOCK - 1))).unwrap();
    node.start().await;
    let mut client = node.client().await;
    for (first, last) in [(BLOCK - 9, BLOCK - 1), (2 * BLOCK, 2 * BLOCK + 9), (LARGE - 9, LARGE - 1)] {
        assert_part(&range(&mut client, LARGE, &format!("bytes={first}-{last}")).await, first, last, LARGE);
    }
    let asked = format!("bytes=0-9,{}-{},-9", 2 * BLOCK + 3, 2 * BLOCK + 5);
    let parts = [(0, 9), (2 * BLOCK + 3, 2 * BLOCK + 5), (LARGE - 9, LARGE - 1)];
    assert_parts(&range(&mut client, LARGE, &asked).await, &parts, LARGE);
    assert_eq!(node.origin.hits(), 1);
    // One that it does touch comes from the origin.
    let asked = format!("bytes={}-{}", BLOCK - 9, 2 * BLOCK + 9);
    assert_part(&range(&mut client, LARGE, &asked).await, BLOCK - 9, 2 * BLOCK + 9, LARGE);
    assert_eq!(node.origin.hits(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn several_parts_go_on_from_elsewhere_where_a_block_is_damaged() {
    let mut node = on_disk().await;
    let file = node.file_of(&bytes(BLOCK, 2 * BLOCK - 1));
    std::fs::write(file, pattern(9, BLOCK)).unwrap();
    node.start().await;
    let asked = format!("bytes=0-9,{0}-{1},{2}-{3},-9", BLOCK + 5, BLOCK + 8, BLOCK + 500, 2 * BLOCK + 500);
    let parts = [(0, 9), (BLOCK + 5, BLOCK + 8), (BLOCK + 500, 2 * BLOCK + 500), (LARGE - 9, LARGE - 1)];
    assert_parts(&range(&mut node.client().await, LARGE, &asked).await, &parts, LARGE);
    assert_eq!(node.origin.hits(), 2);
}

// ---- a real client ----

#[tokio::test]
async fn curl_gets_its_part_and_resumes_a_download() {
    let node = Sockets::new(plain).await;
    let url = format!("http://{}{}", node.addr(), path(LARGE));
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    let curl = async |args: &[&str]| {
        let mut command = tokio::process::Command::new("curl");
        command.args(["--silent", "--show-error", "--fail"]).args(args).arg(&url);
        let output = command.output().await.expect("curl starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    };
    assert!(curl(&["-r", "1000000-1100000"]).await == bytes(1_000_000, 1_100_000));
    assert!(curl(&["-r", "-500"]).await == bytes(LARGE - 500, LARGE - 1));
    std::fs::write(&file, bytes(0, BLOCK + 4)).unwrap();
    curl(&["-C", "-", "-o", file.to_str().unwrap()]).await;
    assert!(std::fs::read(&file).unwrap() == pattern(1, LARGE));
    assert_eq!(node.origin.hits(), 1);
}
