//! What origins do to objects that come block by block, beside lies: they cap parts, send chunks, die, and change their
//! minds.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::time::{Duration, Instant};

use crate::rig::Pipes;
use crate::support::bytes::{pattern, pattern_at};
use crate::support::client::Answer;
use crate::support::origin::{Act, Gate, SeenRequest, head, respond_chunked, respond_to};
use crate::support::ranged::Ranged;

const BLOCK: u64 = 1 << 20;
const LENGTH: u64 = 40 * BLOCK + 777;

async fn range(pipes: &Pipes, asked: &str) -> Answer {
    pipes.ask("/film", &[("Range", asked)]).await
}

#[track_caller]
fn assert_part(answer: &Answer, first: u64, last: u64, complete: u64) {
    assert_eq!((answer.status, answer.complete), (206, true), "{:?}", answer.headers);
    assert_eq!(answer.header("content-range"), Some(&*format!("bytes {first}-{last}/{complete}")));
    let length = usize::try_from(last + 1 - first).unwrap();
    assert!(answer.body == pattern_at(1, first, length), "wrong bytes");
}

/// First and last byte asked for by a request with `Range`.
fn asked(request: &SeenRequest) -> Option<(u64, u64)> {
    let (first, last) = request.header("range")?.strip_prefix("bytes=")?.split_once('-')?;
    Some((first.parse().ok()?, last.parse().ok()?))
}

/// An origin whose parts are no longer than `cap`.
fn capping(cap: u64) -> impl Fn(&SeenRequest, usize) -> Vec<Act> + Send + Sync + 'static {
    move |request, _| {
        let sent = Arc::default();
        let (status, first, end, said) = match asked(request) {
            Some((first, last)) => {
                let last = last.min(first + cap - 1).min(LENGTH - 1);
                ("206 Partial Content", first, last + 1, Some(format!("bytes {first}-{last}/{LENGTH}")))
            }
            None => ("200 OK", 0, LENGTH, None),
        };
        let length = (end - first).to_string();
        let mut fields =
            vec![("Cache-Control", "max-age=60"), ("ETag", "\"v1\""), ("Content-Length", &*length)];
        fields.extend(said.as_deref().map(|said| ("Content-Range", said)));
        vec![head(status, &fields), Act::Pattern { seed: 1, first, length: end - first, sent }]
    }
}

#[tokio::test(start_paused = true)]
async fn an_origin_that_caps_its_parts_is_asked_for_the_whole() {
    for cap in [1000, BLOCK + BLOCK / 2] {
        for (from, to) in [(5, 9), (3 * BLOCK, 3 * BLOCK + 9)] {
            let pipes = Pipes::new(capping(cap));
            assert_part(&range(&pipes, &format!("bytes={from}-{to}")).await, from, to, LENGTH);
            assert_part(&range(&pipes, &format!("bytes={from}-{to}")).await, from, to, LENGTH);
            assert_part(&range(&pipes, "bytes=-10").await, LENGTH - 10, LENGTH - 1, LENGTH);
            let whole = pipes.ask("/film", &[]).await;
            assert!(whole.complete && whole.body == pattern(1, usize::try_from(LENGTH).unwrap()), "{cap}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_part_of_all_that_there_is_has_to_be_as_long_as_it_says() {
    for came in [50, 150] {
        let fields =
            [("Cache-Control", "max-age=60"), ("ETag", "\"v1\""), ("Content-Range", "bytes 0-99/100")];
        let pipes = Pipes::new(move |request, _| match request.header("range") {
            Some(_) => vec![respond_chunked("206 Partial Content", &fields, &[&pattern(1, came)])],
            None => vec![respond_to(request, "200 OK", &fields[..2], pattern(1, 100))],
        });
        let mut client = pipes.client();
        client.request("GET", "/film", &[("Range", "bytes=0-")], b"").await;
        // Where the head has not left yet, the connection just ends.
        let answer = client.try_answer().await;
        assert!(answer.is_none_or(|answer| !answer.complete), "{came} bytes are not what was said");
        pipes.quiet().await;
        let answer = pipes.ask("/film", &[]).await;
        assert_eq!((answer.status, answer.complete, answer.body.len()), (200, true, 100));
    }
}

#[tokio::test(start_paused = true)]
async fn parts_are_kept_again_once_the_origin_lets_them() {
    let ranged =
        Ranged::new(1, LENGTH).with_fields(&[("Cache-Control", "max-age=6000"), ("ETag", "W/\"v1\"")]);
    let strong = Ranged::new(1, LENGTH).with_fields(&[("Cache-Control", "max-age=6000"), ("ETag", "\"v1\"")]);
    let is_strong = Arc::new(AtomicBool::new(false));
    let (one, other, strong_now) = (ranged.script(), strong.script(), Arc::clone(&is_strong));
    let pipes =
        Pipes::new(
            move |request, nth| {
                if strong_now.load(Ordering::Relaxed) { other(request, nth) } else { one(request, nth) }
            },
        );
    assert_part(&range(&pipes, "bytes=5-9").await, 5, 9, LENGTH);
    is_strong.store(true, Ordering::Relaxed);
    for _ in 0..40 {
        let answer = range(&pipes, "bytes=5-9").await;
        assert_part(&answer, 5, 9, LENGTH);
        if answer.cache_status().contains("hit;") {
            return;
        }
        pipes.pass_time(10);
    }
    panic!("the marker never ends");
}

#[tokio::test(start_paused = true)]
async fn those_who_wait_for_a_whole_that_breaks_off_do_not_ask_in_turn() {
    let (gate, down) = (Gate::new(), Arc::new(AtomicUsize::new(0)));
    let (opened, asked) = (Arc::clone(&gate), Arc::clone(&down));
    let pipes = Pipes::new(move |_, nth| {
        if nth > 0 {
            return vec![Act::Count(Arc::clone(&asked)), Act::Wait(Duration::from_secs(1)), Act::Reset];
        }
        let length = LENGTH.to_string();
        let fields = [("Cache-Control", "max-age=60"), ("ETag", "\"v1\""), ("Content-Length", &*length)];
        let sent = Arc::default();
        let some = Act::Pattern { seed: 1, first: 0, length: 2 * BLOCK, sent };
        vec![head("200 OK", &fields), some, Act::WaitFor(Arc::clone(&opened)), Act::Reset]
    });
    let mut clients: Vec<_> = (0..20).map(|_| pipes.client()).collect();
    for (client, block) in clients.iter_mut().zip(20..) {
        let asked = format!("bytes={}-{}", block * BLOCK, block * BLOCK + 9);
        client.request("GET", "/film", &[("Range", &asked)], b"").await;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let begun = Instant::now();
    gate.open();
    for client in &mut clients {
        assert_eq!(client.read_answer().await.status, 502);
    }
    assert!(begun.elapsed() < Duration::from_secs(6), "{:?}, asked {down:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_condition_comes_before_a_range() {
    let ranged = Ranged::new(1, LENGTH).with_fields(&[("Cache-Control", "no-store"), ("ETag", "\"v1\"")]);
    let pipes = Pipes::new(ranged.script());
    for _ in 0..2 {
        let answer = pipes.ask("/film", &[("Range", "bytes=5-9"), ("If-None-Match", "\"v1\"")]).await;
        assert_eq!(answer.status, 304);
    }
}
