//! What origins do to objects that come block by block, beside lies: they cap parts, and die.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use tokio::time::{Duration, Instant};

use crate::rig::Pipes;
use crate::support::bytes::{pattern, pattern_at};
use crate::support::client::Answer;
use crate::support::origin::{Act, Gate, SeenRequest, head};

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
