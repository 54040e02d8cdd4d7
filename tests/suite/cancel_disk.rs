//! A search on disk and a replay from it that are dropped at any of their awaits tell everybody and leave nothing behind:
//! what is on disk stays as it was.
//!
//! As in [`super::cancel`], the node runs on a runtime of its own, which is dropped after so many turns.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use forebay::body::busy::{BodyError, Reader};
use forebay::cache::Admission;
use forebay::cache::disk::health::Health;
use forebay::cache::lookup::Held;
use forebay::config::Disk;
use forebay::fetch::Joined;
use forebay::fetch::ask::Ask;
use forebay::fetch::flight::{Advice, Seat};

use crate::cancel::{ask, runtime};
use crate::rig::{Pipes, settings};
use crate::support::bytes::{Verify, pattern};
use crate::support::origin::{Act, respond};
use crate::support::within;

const LIMIT: Duration = Duration::from_secs(10);
const LENGTH: usize = (3 << 20) + 100;
const TURNS: usize = 60;

/// A node on the directory, whose memory tier is too small for anything. Its origin never answers.
fn rig(directory: &Path, answers: bool) -> Pipes {
    let mut settings = settings("http://origin.test");
    let disk = Disk {
        directory: directory.to_owned(),
        limit: "64MiB".parse().unwrap(),
        admission: Admission::default(),
    };
    settings.use_disk(disk, None).unwrap();
    settings.cache.memory = 1;
    Pipes::with(settings, move |_, _| {
        if answers {
            vec![respond(
                "200 OK",
                &[("Cache-Control", "max-age=3600"), ("ETag", "\"1\"")],
                pattern(5, LENGTH),
            )]
        } else {
            vec![Act::Stall]
        }
    })
}

fn fill(directory: &Path) {
    let runtime = runtime();
    runtime.block_on(async {
        let rig = rig(directory, true);
        let ask = Arc::new(ask(&rig.node));
        let mut seat = sit(&rig, &ask, 0).await;
        assert!(matches!(seat.advice(&ask).await, Advice::Read(_)));
        assert!(read(seat.into_reader(), Verify::new(5)).await);
        rig.quiet().await;
        rig.node.cache.close(LIMIT);
    });
}

/// The seat of a client that wants what is on disk, after so many turns of the scheduler.
async fn sit(rig: &Pipes, ask: &Arc<Ask>, turns: usize) -> Seat {
    rig.node.cache.disk().unwrap().wait_for(|health| *health == Health::Serving).await;
    let Joined::Seat(mut seat, ..) = rig.node.fetcher.join(ask, 0, false, rig.clock.now()) else {
        panic!("nothing is in memory")
    };
    seat.hand_over();
    turn(turns).await;
    seat
}

async fn turn(turns: usize) {
    for _ in 0..turns {
        tokio::task::yield_now().await;
    }
}

/// What is on disk is whole, whatever was dropped, and nobody holds memory or a place.
async fn check(rig: &Pipes, ask: &Arc<Ask>) {
    assert_eq!(rig.node.fetcher.joinable(), 0, "a dropped search stayed in the table");
    let hit = rig.node.cache.find(&ask.key, ask).await.expect("it is still on disk");
    let Held::Disk(pinned, _) = &hit.content else { panic!("more than one block") };
    let mut verify = Verify::new(5);
    for index in 0..4 {
        verify.feed(&rig.node.cache.block(&ask.key, &hit.object, pinned, index).await.expect("a block"));
    }
    verify.finish(LENGTH as u64);
}

/// Whether the client was told before or after it had its hit.
fn drop_search_after(directory: &Path, turns: usize) -> bool {
    let (node, reading) = (runtime(), runtime());
    let guard = node.enter();
    let rig = rig(directory, false);
    drop(guard);
    let ask = Arc::new(ask(&rig.node));
    let mut seat = node.block_on(sit(&rig, &ask, turns));
    drop(node);
    reading.block_on(async {
        let found = match within(LIMIT, seat.advice(&ask)).await {
            Advice::Fail(_) => false,
            Advice::Hit(_) => true,
            other => panic!("{other:?}"),
        };
        drop(seat);
        check(&rig, &ask).await;
        found
    })
}

#[test]
fn a_search_on_disk_may_be_dropped_anywhere() {
    let directory = tempfile::tempdir().unwrap();
    fill(directory.path());
    let found: Vec<bool> = (0..TURNS).map(|turns| drop_search_after(directory.path(), turns)).collect();
    assert!(found.contains(&false), "dropped on the way");
    let waited =
        std::iter::repeat_with(|| drop_search_after(directory.path(), 100_000)).take(3).any(|found| found);
    assert!(waited, "not dropped at all");
}

async fn read(mut reader: Reader, mut verify: Verify) -> bool {
    loop {
        match within(LIMIT, reader.next()).await {
            Some(Ok(bytes)) => verify.feed(&bytes),
            Some(Err(error)) => {
                assert_eq!(error, BodyError::Aborted);
                return false;
            }
            None => {
                verify.finish(LENGTH as u64);
                return true;
            }
        }
    }
}

/// Whether the reader had the whole.
fn drop_replay_after(directory: &Path, turns: usize) -> bool {
    let (node, reading) = (runtime(), runtime());
    let guard = node.enter();
    let rig = rig(directory, false);
    drop(guard);
    let ask = Arc::new(ask(&rig.node));
    let mut verify = Verify::new(5);
    let reader = node.block_on(async {
        let mut seat = sit(&rig, &ask, 0).await;
        let Advice::Hit(hit) = seat.advice(&ask).await else { panic!("it is on disk") };
        assert!(matches!(hit.content, Held::Disk(..)), "more than one block");
        let mut reader = rig.node.fetcher.replay(&ask, &hit, None);
        // It has come so far as its reader takes blocks, one after the other.
        let mut taken = 0;
        while taken < turns % 4 {
            let bytes = reader.next().await.expect("more").expect("a block");
            taken += usize::from(!bytes.is_empty());
            verify.feed(&bytes);
        }
        turn(turns).await;
        reader
    });
    drop(node);
    reading.block_on(async {
        let whole = read(reader, verify).await;
        check(&rig, &ask).await;
        whole
    })
}

#[test]
fn a_replay_may_be_dropped_anywhere() {
    let directory = tempfile::tempdir().unwrap();
    fill(directory.path());
    let whole: Vec<bool> = (0..TURNS).map(|turns| drop_replay_after(directory.path(), turns)).collect();
    assert!(whole.contains(&false), "dropped on the way");
}
