//! As [`super::cancel_blocks`], where a disk is slow: blocks that wait for its room, and reads of blocks from it.

use std::sync::Arc;

use forebay::cache::Admission;
use forebay::cache::disk::health::Health;
use forebay::cache::object::Object;
use http::HeaderMap;
use tokio::task::yield_now;

use crate::cancel::runtime;
use crate::cancel_blocks::{
    ACROSS_BLOCKS, BLOCK, LIMIT, SEED, WITHIN_A_BLOCK, Wish, assert_nothing_left, drop_after, key, paused,
};
use crate::disk_faults::{Request, disk_settings};
use crate::rig::{Pipes, settings};
use crate::support::bytes::pattern_at;
use crate::support::disk::{Disk, Make};
use crate::support::ranged::Ranged;
use crate::support::within;

/// A node whose disk lets a block wait at most, and whose memory takes so many bytes.
fn rig(disk: &Disk, memory: u64, reads: usize, ranged: &Ranged) -> Pipes {
    let mut settings = settings("http://origin.test");
    let mut on_disk = disk_settings(128 << 20, 4 << 20, Admission::Always);
    on_disk.reads = reads;
    on_disk.load_patience = LIMIT;
    settings.cache.disk = Some(on_disk);
    settings.cache.memory = memory;
    Pipes::on(settings, Some(disk.process()), ranged.script())
}

fn disk() -> Disk {
    Disk::new(1, Make { capacity: 256 << 20, ordered: true, cached: false })
}

async fn serves(pipes: &Pipes) {
    pipes.node.cache.disk().expect("a disk").wait_for(|health| *health == Health::Serving).await;
}

/// Waits for other threads, whose work takes no time here.
fn until(what: &str, mut so: impl FnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + LIMIT;
    while !so() {
        assert!(tokio::time::Instant::now() < deadline, "never: {what}");
        std::thread::yield_now();
    }
}

fn settle(pipes: &Pipes) {
    let disk = pipes.node.cache.disk().expect("a disk");
    until("all is written", || disk.is_settled());
}

/// Whether something still ran after so many turns, with a disk that takes nothing.
fn drop_landings_after(wish: Wish, turns: usize) -> bool {
    let what = format!("{wish:?}, dropped after {turns}");
    let (node, reading) = (paused(), paused());
    let (ranged, disk) = (wish.origin(), disk());
    let inside = node.enter();
    let pipes = rig(&disk, 64 << 20, 8, &ranged);
    drop(inside);
    node.block_on(serves(&pipes));
    let base = pipes.node.means.budget.used();
    let frozen = disk.freeze();
    let first = node.block_on(wish.client(&pipes));
    for _ in 0..turns {
        node.block_on(yield_now());
    }
    let waits = pipes.node.fetcher.running() > 0;
    drop((node, first));
    assert_eq!(pipes.node.fetcher.assembling(), 0, "{what}: an assembly was left behind");
    drop(frozen);
    reading.block_on(wish.get(&pipes, &what));
    reading.block_on(pipes.quiet());
    settle(&pipes);
    reading.block_on(assert_nothing_left(&pipes, base, &what));
    waits
}

#[test]
fn blocks_that_wait_for_the_disk_may_be_dropped_anywhere() {
    let usual = ACROSS_BLOCKS.undisturbed();
    let waits: Vec<bool> = usual.walk().map(|turns| drop_landings_after(ACROSS_BLOCKS, turns)).collect();
    assert!(waits.ends_with(&[true; 3]), "no block waited for the disk");
    assert!(!drop_landings_after(WITHIN_A_BLOCK, 2 * usual.turns), "one block has room");
}

/// A node that has blocks on disk only, and their object.
async fn filled(reads: usize) -> (Disk, Pipes, Arc<Object>) {
    let (ranged, disk) = (ACROSS_BLOCKS.origin(), disk());
    let pipes = rig(&disk, 1, reads, &ranged);
    serves(&pipes).await;
    ACROSS_BLOCKS.get(&pipes, "to fill it").await;
    within(LIMIT, pipes.quiet()).await;
    settle(&pipes);
    let found = pipes.node.cache.find(&key(&pipes), &Arc::new(Request(HeaderMap::new()))).await;
    (disk, pipes, found.expect("it is on disk").object)
}

async fn assert_read(pipes: &Pipes, object: &Object, index: u32, what: &str) {
    let block = within(LIMIT, pipes.node.cache.divided_block(&key(pipes), object, index)).await;
    let bytes = object.representation.bytes_of(index);
    assert!(block.expect(what) == pattern_at(SEED, bytes.start, usize::try_from(BLOCK).unwrap()), "{what}");
}

fn assert_given_back(pipes: &Pipes, base: u64) {
    until("the budget is given back", || {
        pipes.node.cache.memory_used();
        pipes.node.means.budget.used() <= base
    });
}

#[test]
fn a_read_of_a_block_may_be_dropped_anywhere() {
    runtime().block_on(async {
        let (disk, pipes, object) = filled(1).await;
        let base = pipes.node.means.budget.used();
        let (mut dropped, mut done) = (0, 0);
        // Each turn at first; then until it is done some times, however many turns that takes on another thread.
        for pendings in (0..40).chain((6..24).map(|power| 1 << power)) {
            if pendings >= 40 && done >= 3 {
                break;
            }
            let read = drop_after(pipes.node.cache.divided_block(&key(&pipes), &object, 8), pendings).await;
            if read.is_some() {
                done += 1;
            } else {
                dropped += 1;
            }
            drop(read);
            assert_read(&pipes, &object, 8, "after that").await;
            assert_given_back(&pipes, base);
        }
        assert!(dropped > 0 && done > 0, "{dropped} dropped, {done} done");
        // One reads, and another one waits for its place.
        for (first, second) in [(1, 9), (9, 1), (9, 9)] {
            let frozen = disk.freeze();
            let cache = &pipes.node.cache;
            let key = key(&pipes);
            let reads = drop_after(cache.divided_block(&key, &object, 8), first);
            let waits = drop_after(cache.divided_block(&key, &object, 9), second);
            let (reads, waits) = tokio::join!(reads, waits);
            assert!(reads.is_none() && waits.is_none(), "the disk is frozen");
            drop(frozen);
            assert_read(&pipes, &object, 9, "after that").await;
            assert_read(&pipes, &object, 8, "after that").await;
            assert_given_back(&pipes, base);
        }
    });
}

#[tokio::test]
async fn a_block_is_not_taken_for_missing_while_the_index_is_loaded() {
    let (disk, pipes, object) = filled(8).await;
    drop(pipes);
    let disk = disk.kill();
    disk.hold_index(true);
    let pipes = rig(&disk, 1, 8, &ACROSS_BLOCKS.origin());
    let read = assert_read(&pipes, &object, 8, "once the index is loaded");
    tokio::join!(read, async { disk.hold_index(false) });
}

#[test]
fn a_read_that_waits_for_memory_may_be_dropped_anywhere() {
    runtime().block_on(async {
        let (_disk, pipes, object) = filled(8).await;
        let budget = &pipes.node.means.budget;
        let base = budget.used();
        for pendings in 1..200 {
            let held = budget.charge(budget.limit());
            let read = drop_after(pipes.node.cache.divided_block(&key(&pipes), &object, 8), pendings).await;
            assert!(read.is_none(), "there is no memory");
            drop(held);
            assert_read(&pipes, &object, 8, "after that").await;
            assert_given_back(&pipes, base);
        }
    });
}
