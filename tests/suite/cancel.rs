//! A fetch that is dropped at any of its awaits tells everybody, stores nothing wrong and leaves nothing behind.
//!
//! The node runs on a runtime of its own, which is dropped after so many turns of its scheduler: the number of
//! turns walks through every await of the fetch. Who reads, reads on another runtime.

use std::time::Duration;

use forebay::app::Node;
use forebay::base::early::Early;
use forebay::base::ids::{KeyRules, PoolId, SiteId};
use forebay::body::busy::BodyError;
use forebay::body::content::Parts;
use forebay::cache::key::{Key, KeyParts};
use forebay::cache::lookup::{Held, Lookup};
use forebay::fetch::Joined;
use forebay::fetch::ask::{Ask, Asked, Fields};
use forebay::fetch::flight::{Advice, Seat};
use http::uri::Scheme;
use std::sync::Arc;
use tokio::runtime::Runtime;

use crate::rig::{PEER, Pipes};
use crate::support::bytes::{Verify, pattern};
use crate::support::origin::{Act, respond};
use crate::support::within;

const LIMIT: Duration = Duration::from_secs(5);
const LENGTH: usize = (2 << 20) + 100;
/// More turns than a whole fetch takes.
const TURNS: usize = 400;

/// What a client asks of a node.
pub fn ask(node: &Node) -> Ask {
    ask_with(node, http::Method::GET)
}

pub fn ask_with(node: &Node, method: http::Method) -> Ask {
    ask_by(node, method, None)
}

/// One by a client whose handshake goes on, if there is such.
pub fn ask_by(node: &Node, method: http::Method, early: Option<Early>) -> Ask {
    let target = "/".parse().expect("a target");
    let key = Key::new(&KeyParts {
        site: SiteId(0),
        rules: KeyRules(0),
        scheme: &Scheme::HTTP,
        host: "a",
        target: &target,
        arm: "",
    });
    let asked = Asked {
        key,
        method,
        target,
        normal_target: None,
        scheme: Scheme::HTTP,
        peer: Some(PEER.ip()),
        certificate: None,
        early,
        version: http::Version::HTTP_11,
        policy: Arc::default(),
        content: None,
        is_peer: false,
        applied: 0,
        setup: Arc::clone(node.machine.machine().setup()),
        pool: PoolId(0),
        metrics: None,
    };
    Ask::new(asked, Fields::default())
}

pub fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// What was seen of one fetch that was dropped.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    failed_before_head: bool,
    part: bool,
    whole: bool,
    stored: bool,
}

fn drop_after(turns: usize, cache_control: &'static str) -> Seen {
    let (node, reading) = (runtime(), runtime());
    let guard = node.enter();
    let rig = Pipes::new(move |_, _| {
        vec![respond("200 OK", &[("Cache-Control", cache_control)], pattern(5, LENGTH)), Act::Stall]
    });
    drop(guard);
    let ask = Arc::new(ask(&rig.node));
    let seat = node.block_on(async {
        let mut seat = join(&rig, &ask);
        seat.hand_over();
        for _ in 0..turns {
            tokio::task::yield_now().await;
        }
        seat
    });
    drop(node);
    let mut seen = reading.block_on(read(seat, &ask));
    assert_eq!(rig.node.fetcher.joinable(), 0, "{turns}: a dropped fetch stayed in the table");
    match rig.node.cache.lookup(&ask.key, &ask.headers) {
        Lookup::Found(hit) => {
            seen.stored = true;
            let Held::Memory(parts) = &hit.content else { panic!("{turns}: not in memory") };
            let stored = match parts {
                Parts::Inline(bytes) => bytes.to_vec(),
                Parts::Blocks(blocks) => blocks.concat(),
            };
            assert!(stored == pattern(5, LENGTH), "{turns}: not what the origin sent");
        }
        Lookup::Miss(_) => {
            assert_eq!(rig.node.means.budget.used(), 0, "{turns}: memory was left behind");
        }
    }
    // Files are closed behind those who had them.
    drop(reading);
    assert_eq!(rig.node.means.spill.used(), 0, "{turns}: spill was left behind");
    seen
}

fn join(rig: &Pipes, ask: &Arc<Ask>) -> Seat {
    match rig.node.fetcher.join(ask, 0, false, rig.clock.now()) {
        Joined::Seat(seat, ..) => seat,
        other => panic!("nothing is stored yet: {other:?}"),
    }
}

async fn read(mut seat: Seat, ask: &Ask) -> Seen {
    let mut seen = Seen::default();
    match within(LIMIT, seat.advice(ask)).await {
        Advice::Fail(_) => seen.failed_before_head = true,
        Advice::Read(_) => {
            let mut reader = seat.into_reader();
            let mut verify = Verify::new(5);
            loop {
                match within(LIMIT, reader.next()).await {
                    Some(Ok(bytes)) => verify.feed(&bytes),
                    Some(Err(error)) => {
                        assert_eq!(error, BodyError::Aborted);
                        seen.part = true;
                        break;
                    }
                    None => {
                        verify.finish(LENGTH as u64);
                        seen.whole = true;
                        break;
                    }
                }
            }
        }
        other => panic!("{other:?}"),
    }
    seen
}

fn walk(cache_control: &'static str) -> Vec<Seen> {
    (0..TURNS).map(|turns| drop_after(turns, cache_control)).collect()
}

#[test]
fn a_fetch_that_is_stored_may_be_dropped_anywhere() {
    let seen = walk("max-age=60");
    assert!(seen.iter().any(|seen| seen.failed_before_head), "dropped before the head");
    assert!(seen.iter().any(|seen| seen.part), "dropped in the body");
    assert!(seen.iter().any(|seen| seen.whole && seen.stored), "not dropped at all");
    assert!(seen.iter().all(|seen| seen.whole || !seen.stored), "a part was stored");
}

#[test]
fn a_fetch_that_spills_may_be_dropped_anywhere() {
    let seen = walk("no-store");
    assert!(seen.iter().any(|seen| seen.failed_before_head), "dropped before the head");
    assert!(seen.iter().any(|seen| seen.part), "dropped in the body");
    assert!(seen.iter().all(|seen| !seen.stored));
}

/// The client that began a fetch moves it along itself, until it has the head. It leaves when it was polled so often.
fn leave_after(turns: usize) -> bool {
    let node = runtime();
    node.block_on(async {
        let rig = Pipes::new(move |_, _| {
            vec![respond("200 OK", &[("Cache-Control", "max-age=60")], pattern(5, LENGTH)), Act::Stall]
        });
        let ask = Arc::new(ask(&rig.node));
        let mut first = join(&rig, &ask);
        let second = join(&rig, &ask);
        assert!(first.leads() && !second.leads());
        let mut has_left = false;
        {
            let mut advice = std::pin::pin!(first.advice(&ask));
            for _ in 0..turns {
                if futures_util::poll!(advice.as_mut()).is_ready() {
                    has_left = true;
                    break;
                }
                tokio::task::yield_now().await;
            }
        }
        drop(first);
        let seen = read(second, &ask).await;
        assert_eq!(seen, Seen { whole: true, ..Seen::default() }, "{turns}: the other one got less");
        within(LIMIT, rig.node.fetcher.finished()).await;
        assert_eq!((rig.node.fetcher.joinable(), rig.node.fetcher.running()), (0, 0), "{turns}");
        has_left
    })
}

#[test]
fn who_began_a_fetch_may_leave_at_any_await_and_takes_nothing_from_others() {
    let seen: Vec<bool> = (0..40).map(leave_after).collect();
    assert!(seen.contains(&false) && seen.contains(&true), "before the head, and after it");
}
