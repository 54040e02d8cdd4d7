//! What was once wrong with objects that come block by block, each case by itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::time::{Duration, Instant};

use crate::rig::Pipes;
use crate::support::bytes::{pattern, pattern_at};
use crate::support::client::Answer;
use crate::support::ms;
use crate::support::origin::Act;
use crate::support::ranged::Ranged;

const BLOCK: u64 = 1 << 20;
const LENGTH: u64 = 40 * BLOCK + 777;

/// Ten bytes at the start of a block.
fn at(block: u64) -> String {
    format!("bytes={}-{}", block * BLOCK, block * BLOCK + 9)
}

async fn range(pipes: &Pipes, asked: &str) -> Answer {
    pipes.ask("/film", &[("Range", asked)]).await
}

#[track_caller]
fn assert_ten(answer: &Answer, seed: u64, block: u64, complete: u64) {
    let first = block * BLOCK;
    assert_eq!((answer.status, answer.complete), (206, true), "{answer:?}");
    assert_eq!(answer.header("content-range"), Some(&*format!("bytes {first}-{}/{complete}", first + 9)));
    assert!(answer.body == pattern_at(seed, first, 10), "wrong bytes");
}

#[tokio::test(start_paused = true)]
async fn a_block_that_is_missing_of_what_would_bridge_an_error_is_an_error() {
    let fields = [("Cache-Control", "max-age=60, stale-if-error=600"), ("ETag", "\"v1\"")];
    let ranged = Ranged::new(1, LENGTH).with_fields(&fields);
    let down = Arc::new(AtomicUsize::new(0));
    let (script, is_down) = (ranged.script(), Arc::clone(&down));
    let pipes = Pipes::new(move |request, nth| match is_down.load(Ordering::Relaxed) {
        // Whoever asks so often that it comes up again has asked too often.
        1..60 => {
            is_down.fetch_add(1, Ordering::Relaxed);
            vec![Act::Reset]
        }
        _ => script(request, nth),
    });
    assert_ten(&range(&pipes, &at(0)).await, 1, 0, LENGTH);
    pipes.pass_time(100);
    down.store(1, Ordering::Relaxed);
    let there = range(&pipes, &at(0)).await;
    assert_ten(&there, 1, 0, LENGTH);
    assert!(there.cache_status().contains("stale-on-error"), "{}", there.cache_status());
    assert_eq!(range(&pipes, &at(9)).await.status, 502);
    assert!(down.load(Ordering::Relaxed) < 30, "{down:?}");
}

#[tokio::test(start_paused = true)]
async fn who_wants_only_what_is_stored_has_no_block_fetched() {
    let ranged = Ranged::new(1, LENGTH);
    let pipes = Pipes::new(ranged.script());
    assert_ten(&range(&pipes, &at(0)).await, 1, 0, LENGTH);
    let asked = ranged.asked().len();
    let only = ("Cache-Control", "only-if-cached");
    assert_ten(&pipes.ask("/film", &[("Range", &at(0)), only]).await, 1, 0, LENGTH);
    for fields in [&[("Range", &*at(9)), only][..], &[only]] {
        assert_eq!(pipes.ask("/film", fields).await.status, 504, "{fields:?}");
    }
    assert_eq!(ranged.asked().len(), asked);
}

#[tokio::test(start_paused = true)]
async fn a_part_beyond_the_end_is_refused_only_if_nothing_else_is_wanted() {
    let beyond = format!("bytes={}-", 2 * LENGTH);
    let other_part = format!("{beyond},0-9");
    for (fields, status, bytes) in [
        (&[("Range", &*beyond)][..], 416, None),
        (
            &[("Range", &beyond), ("If-Range", "\"v0\"")],
            200,
            Some(pattern(1, usize::try_from(LENGTH).unwrap())),
        ),
        (&[("Range", &other_part)], 206, Some(pattern(1, 10))),
    ] {
        let ranged = Ranged::new(1, LENGTH);
        let pipes = Pipes::new(ranged.script());
        let answer = pipes.ask("/film", fields).await;
        assert_eq!((answer.status, answer.complete), (status, true), "{fields:?}");
        assert!(bytes.is_none_or(|bytes| answer.body == bytes), "{fields:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_said_of_a_part_is_not_said_of_the_whole() {
    let fields = [("Cache-Control", "max-age=60"), ("ETag", "\"v1\""), ("Content-Digest", "sha-256=:YQ==:")];
    let pipes = Pipes::new(Ranged::new(1, LENGTH).with_fields(&fields).script());
    assert_ten(&range(&pipes, &at(3)).await, 1, 3, LENGTH);
    let whole = pipes.ask("/film", &[]).await;
    assert_eq!((whole.status, whole.header("content-digest")), (200, None));
}

#[tokio::test(start_paused = true)]
async fn a_part_under_if_range_need_not_repeat_the_head() {
    let fields = [
        ("Cache-Control", "max-age=60"),
        ("ETag", "\"v1\""),
        ("Content-Type", "video/mp4"),
        ("Content-Encoding", "gzip"),
    ];
    let (full, terse) = (Ranged::new(1, LENGTH), Ranged::new(1, LENGTH));
    let (full, terse) = (full.with_fields(&fields), terse.with_fields(&fields[..2]));
    let (full, terse) = (full.script(), terse.script());
    let pipes = Pipes::new(move |request, nth| match request.header("if-range") {
        None => full(request, nth),
        Some(_) => terse(request, nth),
    });
    for block in [0, 9] {
        let asked = at(block);
        let answer = pipes.ask("/film", &[("Range", &asked), ("Accept-Encoding", "gzip")]).await;
        assert_ten(&answer, 1, block, LENGTH);
    }
    assert_eq!(pipes.node.counters.changed_objects.get(), 0);
}

#[tokio::test(start_paused = true)]
async fn another_length_under_the_same_tag_takes_the_object_out() {
    let ranged = Ranged::new(1, LENGTH);
    let pipes = Pipes::new(ranged.script());
    assert_ten(&range(&pipes, &at(0)).await, 1, 0, LENGTH);
    ranged.change(1, LENGTH + 5);
    assert_ten(&range(&pipes, &at(9)).await, 1, 9, LENGTH + 5);
    assert_eq!(pipes.node.counters.changed_objects.get(), 1);
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_a_whole_answer_that_waits_for_its_slow_reader() {
    for block in [6, 8, 11, 13] {
        let ranged = Ranged::new(1, LENGTH);
        let pipes = Pipes::new(ranged.script());
        let mut slow = pipes.client();
        slow.request("GET", "/film", &[], b"").await;
        assert_eq!(slow.read_head().await.status, 200);
        while ranged.sent() < 5 * BLOCK {
            tokio::task::yield_now().await;
        }
        let begun = Instant::now();
        let answer = pipes.client().get_with("/film", &[("Range", &at(block))]).await;
        assert_ten(&answer, 1, block, LENGTH);
        assert!(begun.elapsed() < Duration::from_secs(1), "block {block}: {:?}", begun.elapsed());
        drop(slow);
        pipes.quiet().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_does_not_have_the_whole_sent_again_and_again() {
    let ranged = Ranged::new(1, LENGTH).without_ranges();
    let pipes = Pipes::new(ranged.script());
    let mut client = pipes.client();
    client.request("GET", "/film", &[("Range", "bytes=0-")], b"").await;
    assert_eq!(client.read_head().await.status, 206);
    let mut body = Vec::new();
    let tick = ms(15_000);
    client.read_paced(usize::try_from(BLOCK).unwrap(), tick, |piece| body.extend_from_slice(piece)).await;
    assert!(client.is_complete() && body == pattern(1, usize::try_from(LENGTH).unwrap()));
    assert_eq!((ranged.asked().len(), ranged.sent()), (1, LENGTH));
}

#[tokio::test(start_paused = true)]
async fn what_is_asked_for_as_a_whole_after_a_useless_part_is_not_confirmed() {
    let length = BLOCK + 9;
    let weak = |seed| {
        let tag = if seed == 1 { "W/\"v1\"" } else { "W/\"v2\"" };
        Ranged::new(seed, length).with_fields(&[("Cache-Control", "max-age=60"), ("ETag", tag)])
    };
    let (now, for_a_moment) = (weak(1).script(), weak(2).script());
    let pipes = Pipes::new(move |request, nth| {
        let confirms_a_part = request.header("if-none-match").and(request.header("range")).is_some();
        if confirms_a_part { for_a_moment(request, nth) } else { now(request, nth) }
    });
    assert_ten(&range(&pipes, "bytes=0-9").await, 1, 0, length);
    pipes.pass_time(100);
    assert_ten(&range(&pipes, "bytes=0-9").await, 1, 0, length);
}

#[tokio::test(start_paused = true)]
async fn a_block_that_may_not_be_stored_is_passed() {
    let forbidden = [("Cache-Control", "no-store"), ("ETag", "\"v1\"")];
    for (fields, forbids) in [
        (&[("Cache-Control", "no-store")][..], false),
        (&[("Authorization", "Basic eA==")], false),
        (&[], true),
    ] {
        let (ranged, other) = (Ranged::new(1, LENGTH), Ranged::new(1, LENGTH).with_fields(&forbidden));
        let (script, other) = (ranged.script(), other.script());
        let pipes = Pipes::new(move |request, nth| match request.header("if-range") {
            Some(_) if forbids => other(request, nth),
            _ => script(request, nth),
        });
        assert_ten(&range(&pipes, &at(0)).await, 1, 0, LENGTH);
        let asked = at(9);
        let fields = [fields, &[("Range", &*asked)]].concat();
        assert_ten(&pipes.ask("/film", &fields).await, 1, 9, LENGTH);
        let again = range(&pipes, &asked).await;
        assert_ten(&again, 1, 9, LENGTH);
        assert_eq!(again.cache_status(), "forebay; fwd=partial; ttl=60", "{fields:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn bodies_that_break_off_before_anything_was_sent_are_the_origins_fault() {
    let ranged = Ranged::new(1, LENGTH);
    let pipes = Pipes::new(ranged.script());
    assert_ten(&range(&pipes, &at(0)).await, 1, 0, LENGTH);
    // However often it is tried.
    (0..3).for_each(|_| ranged.die_after(0));
    let answer = range(&pipes, &at(9)).await;
    assert_eq!(answer.status, 502);
    assert_eq!(answer.header("proxy-status"), Some("forebay; error=http_response_incomplete"));
    assert_ten(&range(&pipes, &at(9)).await, 1, 9, LENGTH);
}

#[tokio::test(start_paused = true)]
async fn an_error_that_the_origin_answers_to_a_run_is_passed_on() {
    let ranged = Ranged::new(1, LENGTH);
    let pipes = Pipes::new(ranged.script());
    assert_ten(&range(&pipes, &at(0)).await, 1, 0, LENGTH);
    // To the run, and to the client that then asks for itself.
    ranged.fail(2);
    let answer = range(&pipes, &at(9)).await;
    assert_eq!((answer.status, answer.header("proxy-status")), (503, None));
    ranged.fail(1);
    assert_ten(&range(&pipes, &at(9)).await, 1, 9, LENGTH);
    // One that goes on asks no more often than it may.
    ranged.fail(1000);
    let asked = ranged.asked().len();
    assert_eq!(range(&pipes, &at(19)).await.status, 503);
    assert!(ranged.asked().len() <= asked + 2, "{:?}", ranged.asked());
}

#[tokio::test(start_paused = true)]
async fn trouble_is_forgotten_once_a_run_has_brought_something() {
    let ranged = Ranged::new(1, LENGTH);
    let pipes = Pipes::new(ranged.script());
    // One that stops reading, and so holds the assembly.
    let mut slow = pipes.client();
    slow.request("GET", "/film", &[("Range", "bytes=0-")], b"").await;
    slow.read_head().await;
    ranged.lie(Some(|first, last| format!("bytes {}-{}/{LENGTH}", first + 1, last + 1)));
    assert_eq!(pipes.client().get_with("/film", &[("Range", &at(20))]).await.status, 502);
    ranged.lie(None);
    assert_ten(&pipes.client().get_with("/film", &[("Range", &at(25))]).await, 1, 25, LENGTH);
    // This one would have been given up at once, as hopeless.
    ranged.die_after(0);
    assert_ten(&pipes.client().get_with("/film", &[("Range", &at(30))]).await, 1, 30, LENGTH);
}
