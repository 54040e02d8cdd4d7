//! Objects whose blocks come, stay and go one by one: ranges of what is not stored, origins that lie or change, very
//! large files.

use crate::disk_rig::{DiskNode, until};
use crate::rig::Pipes;
use crate::support::bytes::{pattern, pattern_at};
use crate::support::client::Answer;
use crate::support::ms;
use crate::support::ranged::{Lie, Ranged};

const BLOCK: u64 = 1 << 20;
const LENGTH: u64 = 40 * BLOCK + 777;

#[track_caller]
fn assert_part(answer: &Answer, seed: u64, first: u64, last: u64, complete: u64) {
    assert_eq!((answer.status, answer.complete), (206, true), "{answer:?}");
    assert_eq!(answer.header_all("content-range"), [format!("bytes {first}-{last}/{complete}")]);
    let length = last + 1 - first;
    assert_eq!(answer.header_all("content-length"), [length.to_string()]);
    assert!(answer.body == pattern_at(seed, first, usize::try_from(length).unwrap()), "wrong bytes");
}

async fn range(pipes: &Pipes, asked: &str) -> Answer {
    pipes.ask("/film", &[("Range", asked)]).await
}

#[tokio::test(start_paused = true)]
async fn a_range_of_what_is_not_stored_costs_the_blocks_that_it_touches() {
    for (asked, first, last, blocks) in [
        (format!("bytes={}-{}", 7 * BLOCK + 5, 7 * BLOCK + 99), 7 * BLOCK + 5, 7 * BLOCK + 99, 1),
        (format!("bytes={}-{}", 8 * BLOCK - 5, 8 * BLOCK + 4), 8 * BLOCK - 5, 8 * BLOCK + 4, 2),
        (format!("bytes={}-", LENGTH - 10), LENGTH - 10, LENGTH - 1, 1),
        ("bytes=0-0".to_owned(), 0, 0, 1),
        // Where it begins is known only once the length is: a block for that.
        ("bytes=-10".to_owned(), LENGTH - 10, LENGTH - 1, 2),
    ] {
        let ranged = Ranged::new(1, LENGTH);
        let pipes = Pipes::new(ranged.script());
        let answer = range(&pipes, &asked).await;
        assert_part(&answer, 1, first, last, LENGTH);
        let cold = "forebay; fwd=uri-miss; stored; ttl=60";
        assert_eq!(answer.cache_status(), cold);
        assert!(ranged.sent() <= blocks * BLOCK, "{asked}: {} bytes were sent", ranged.sent());
        let sent = ranged.sent();
        let again = range(&pipes, &asked).await;
        assert_part(&again, 1, first, last, LENGTH);
        assert_eq!((again.cache_status().as_str(), ranged.sent()), ("forebay; hit; ttl=60", sent));
    }
}

#[tokio::test(start_paused = true)]
async fn a_block_is_asked_for_once_whoever_wants_it() {
    let ranged = Ranged::new(1, LENGTH).slow(ms(100));
    let pipes = Pipes::new(ranged.script());
    let asked: Vec<String> =
        (0..20).map(|nth| format!("bytes={}-{}", 5 * BLOCK + nth, 6 * BLOCK + nth)).collect();
    let answers = futures_all(&pipes, &asked).await;
    for (nth, answer) in answers.iter().enumerate() {
        assert_part(answer, 1, 5 * BLOCK + nth as u64, 6 * BLOCK + nth as u64, LENGTH);
    }
    assert_eq!(ranged.sent(), 2 * BLOCK);
}

async fn futures_all(pipes: &Pipes, asked: &[String]) -> Vec<Answer> {
    let mut clients: Vec<_> = asked.iter().map(|_| pipes.client()).collect();
    for (client, asked) in clients.iter_mut().zip(asked) {
        client.request("GET", "/film", &[("Range", asked)], b"").await;
    }
    let mut answers = Vec::new();
    for client in &mut clients {
        answers.push(client.read_answer().await);
    }
    pipes.quiet().await;
    answers
}

#[tokio::test(start_paused = true)]
async fn blocks_add_up_to_the_whole_and_nothing_is_fetched_twice() {
    let ranged = Ranged::new(1, LENGTH);
    let pipes = Pipes::new(ranged.script());
    assert_eq!(range(&pipes, &format!("bytes={}-{}", 3 * BLOCK, 4 * BLOCK + 1)).await.status, 206);
    assert_eq!(range(&pipes, "bytes=-5").await.status, 206);
    let answer = pipes.ask("/film", &[]).await;
    assert_eq!((answer.status, answer.complete), (200, true));
    assert_eq!(answer.cache_status(), "forebay; fwd=partial; ttl=60");
    assert!(answer.body == pattern(1, usize::try_from(LENGTH).unwrap()));
    assert_eq!(ranged.sent(), LENGTH);
    let answer = pipes.ask("/film", &[]).await;
    assert_eq!(answer.cache_status(), "forebay; hit; ttl=60");
    assert!(answer.body == pattern(1, usize::try_from(LENGTH).unwrap()));
    assert_eq!(ranged.sent(), LENGTH);
}

#[tokio::test(start_paused = true)]
async fn several_parts_of_what_is_not_stored() {
    let ranged = Ranged::new(1, LENGTH);
    let pipes = Pipes::new(ranged.script());
    let answer = range(&pipes, &format!("bytes={}-{},0-9,-5", 20 * BLOCK, 20 * BLOCK + 9)).await;
    assert_eq!((answer.status, answer.complete), (206, true));
    assert!(answer.header("content-type").unwrap().starts_with("multipart/byteranges; boundary="));
    for (first, length) in [(20 * BLOCK, 10), (0, 10), (LENGTH - 5, 5)] {
        let part = pattern_at(1, first, length);
        assert!(answer.body.windows(length).any(|window| window == part));
    }
    assert!(ranged.sent() <= 4 * BLOCK, "{}", ranged.sent());
}

#[tokio::test(start_paused = true)]
async fn who_leaves_has_cost_two_blocks_more_than_was_read() {
    let ranged = Ranged::new(1, LENGTH);
    let pipes = Pipes::new(ranged.script());
    for (asked, ahead) in [(Some("bytes=0-"), 2), (None, 5)] {
        let mut client = pipes.client();
        let range = asked.map(|asked| ("Range", asked));
        client.request("GET", &format!("/film?{ahead}"), range.as_slice(), b"").await;
        client.read_head().await;
        let mut read = 0;
        while read < 100_000 {
            read += client.read_chunk().await.unwrap().len() as u64;
        }
        let before = ranged.take_sent();
        drop(client);
        pipes.quiet().await;
        // What is in the pipe between was sent as well.
        assert!(before <= read + ahead * BLOCK + (128 << 10), "{before} for {read}");
        assert!(ranged.take_sent() <= ahead * BLOCK, "it went on");
    }
}

#[tokio::test(start_paused = true)]
async fn an_origin_without_ranges_gives_the_whole_once_for_all() {
    let ranged = Ranged::new(1, LENGTH).without_ranges();
    let pipes = Pipes::new(ranged.script());
    let asked: Vec<String> =
        [30, 3, 17, 30].iter().map(|at| format!("bytes={}-{}", at * BLOCK, at * BLOCK + 9)).collect();
    for (answer, at) in futures_all(&pipes, &asked).await.iter().zip([30, 3, 17, 30]) {
        assert_part(answer, 1, at * BLOCK, at * BLOCK + 9, LENGTH);
    }
    assert!(ranged.sent() <= LENGTH, "{} of {LENGTH}", ranged.sent());
}

#[tokio::test(start_paused = true)]
async fn what_has_changed_is_dropped_and_never_mixed() {
    let ranged = Ranged::new(1, LENGTH);
    let pipes = Pipes::new(ranged.script());
    assert_part(&range(&pipes, "bytes=0-9").await, 1, 0, 9, LENGTH);
    ranged.change(2, LENGTH + 5);
    // What is fresh and there is still given (RFC 9111 §4.2).
    assert_part(&range(&pipes, "bytes=5-9").await, 1, 5, 9, LENGTH);
    let (first, last) = (9 * BLOCK, 9 * BLOCK + 9);
    assert_part(&range(&pipes, &format!("bytes={first}-{last}")).await, 2, first, last, LENGTH + 5);
    assert_part(&range(&pipes, "bytes=0-9").await, 2, 0, 9, LENGTH + 5);
}

#[tokio::test(start_paused = true)]
async fn a_reader_of_what_changes_midway_gets_an_error_and_no_other_bytes() {
    let ranged = Ranged::new(1, LENGTH);
    let pipes = Pipes::new(ranged.script());
    let mut client = pipes.client();
    client.request("GET", "/film", &[("Range", "bytes=0-")], b"").await;
    assert_eq!(client.read_head().await.status, 206);
    let mut body = client.read_chunk().await.unwrap().to_vec();
    ranged.change(2, LENGTH);
    body.extend(client.read_body().await);
    assert!(!client.is_complete());
    assert!(body.len() as u64 <= 4 * BLOCK && body == pattern(1, body.len()));
}

#[tokio::test(start_paused = true)]
async fn a_confirmed_object_keeps_its_blocks_and_a_purge_takes_all() {
    let ranged = Ranged::new(1, LENGTH);
    let pipes = Pipes::new(ranged.script());
    range(&pipes, "bytes=0-9").await;
    range(&pipes, &format!("bytes={}-{}", 9 * BLOCK, 9 * BLOCK + 9)).await;
    let sent = ranged.sent();
    pipes.pass_time(100);
    let answer = range(&pipes, "bytes=0-9").await;
    assert_part(&answer, 1, 0, 9, LENGTH);
    assert_eq!(answer.cache_status(), "forebay; fwd=stale; fwd-status=304; stored; ttl=60");
    let answer = range(&pipes, &format!("bytes={}-{}", 9 * BLOCK, 9 * BLOCK + 9)).await;
    assert_eq!(answer.cache_status(), "forebay; hit; ttl=60");
    assert_eq!(ranged.sent(), sent);
    let mut client = pipes.client();
    client.request("DELETE", "/film", &[], b"").await;
    client.read_answer().await;
    pipes.quiet().await;
    let answer = range(&pipes, "bytes=0-9").await;
    assert_eq!(answer.cache_status(), "forebay; fwd=uri-miss; stored; ttl=60");
    assert!(ranged.sent() > sent);
}

#[tokio::test(start_paused = true)]
async fn lies_of_an_origin_are_found_out() {
    let lies: [(&str, Lie); 4] = [
        ("another part", |first, last| format!("bytes {}-{}/{LENGTH}", first + 1, last + 1)),
        ("no length", |first, last| format!("bytes {first}-{last}/*")),
        ("nonsense", |_, _| "bytes x".to_owned()),
        ("too much", |first, last| format!("bytes {first}-{}/{LENGTH}", last + 1)),
    ];
    for (lie, content_range) in lies {
        let ranged = Ranged::new(1, LENGTH).lying(content_range);
        let pipes = Pipes::new(ranged.script());
        let answer = range(&pipes, "bytes=5-9").await;
        assert_part(&answer, 1, 5, 9, LENGTH);
        assert!(pipes.node.counters.unusable_parts.get() > 0, "{lie}");
    }
}

#[tokio::test(start_paused = true)]
async fn parts_that_cannot_be_kept_are_everybodys_own() {
    for fields in [
        &[("Cache-Control", "no-store"), ("ETag", "\"v1\"")][..],
        &[("Cache-Control", "max-age=60"), ("ETag", "W/\"v1\"")][..],
        &[("Cache-Control", "max-age=60")][..],
    ] {
        let ranged = Ranged::new(1, LENGTH).with_fields(fields);
        let pipes = Pipes::new(ranged.script());
        for _cold_then_marked in 0..2 {
            assert_part(&range(&pipes, "bytes=5-9").await, 1, 5, 9, LENGTH);
            let (first, last) = (9 * BLOCK, 9 * BLOCK + 9);
            assert_part(&range(&pipes, &format!("bytes={first}-{last}")).await, 1, first, last, LENGTH);
        }
        assert!(ranged.sent() <= 3 * BLOCK, "{fields:?}: {}", ranged.sent());
    }
}

#[tokio::test(start_paused = true)]
async fn a_head_of_what_is_large_costs_next_to_nothing() {
    let ranged = Ranged::new(1, LENGTH);
    let pipes = Pipes::new(ranged.script());
    let mut client = pipes.client();
    client.request("HEAD", "/film", &[], b"").await;
    let answer = client.read_answer().await;
    assert_eq!((answer.status, answer.header("content-length")), (200, Some(&*LENGTH.to_string())));
    pipes.quiet().await;
    assert_part(&range(&pipes, "bytes=5-9").await, 1, 5, 9, LENGTH);
}

#[tokio::test(flavor = "multi_thread")]
async fn blocks_are_there_after_a_restart() {
    let ranged = Ranged::new(1, LENGTH);
    let mut node = DiskNode::new(|_| {}, ranged.script()).await;
    let ask = async |node: &DiskNode, asked: &str| {
        let answer = node.client().await.get_with("/film", &[("Range", asked)]).await;
        // The rest of the block comes after the part of it.
        until("no block is under way", || node.running().node.fetcher.running() == 0).await;
        node.settled().await;
        answer
    };
    for at in [0, 5, 6, 30] {
        let asked = format!("bytes={}-{}", at * BLOCK, at * BLOCK + 9);
        assert_part(&ask(&node, &asked).await, 1, at * BLOCK, at * BLOCK + 9, LENGTH);
    }
    let sent = ranged.sent();
    node.restart().await;
    for at in [0, 5, 6, 30] {
        let asked = format!("bytes={}-{}", at * BLOCK, at * BLOCK + 9);
        assert_part(&ask(&node, &asked).await, 1, at * BLOCK, at * BLOCK + 9, LENGTH);
    }
    assert_eq!(ranged.sent(), sent, "the blocks were there");
    let whole = node.client().await.get("/film").await;
    assert!(whole.complete && whole.body == pattern(1, usize::try_from(LENGTH).unwrap()));
    assert_eq!(ranged.sent(), LENGTH, "only what was missing was fetched");
}
