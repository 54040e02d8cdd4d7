//! The index of the disk tier by itself: what its operations cost, how soon it is back, what it takes.
//!
//! ```sh
//! cargo bench --bench disk_index       # OBJECTS=200000 INLINE_PERCENT=40 OPEN_ONLY=0
//! ```
//!
//! Heads of some 600 bytes; a part of the objects has an inline body of 0 to 16 KiB. `OPEN_ONLY=1` leaves out all but
//! storing and loading, for large numbers.

#![allow(missing_docs, clippy::expect_used, clippy::cast_precision_loss)]

mod support;

use std::path::Path;

use forebay::cache::Admission;
use support::{Rig, cpu_seconds, key, number, rss_anon};
use tokio::time::Instant;

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(run());
}

async fn run() {
    let (objects, inline) = (number("OBJECTS", 200_000), number("INLINE_PERCENT", 40));
    let directory = tempfile::tempdir_in("/var/tmp").expect("a directory");
    println!("{objects} objects, {inline} % of them with an inline body");

    let rig = open(directory.path(), objects);
    rig.serving().await;
    measure("put", objects, async {
        for number in 0..objects {
            rig.store_surely(&key(number), &rig.object(length(number, inline)));
        }
        rig.settle();
    })
    .await;
    println!(
        "  disk taken                 {:>10.1} MB",
        rig.cache.disk().expect("a tier").used() as f64 / 1e6
    );

    if number("OPEN_ONLY", 0) == 0 {
        operations(&rig, objects, inline).await;
    }
    rig.cache.close(std::time::Duration::from_mins(10));
    drop(rig);

    load("after a clean end", directory.path(), objects).await;
    // Dropped without a word: the last segment has no summary, as after a kill.
    load("after a kill", directory.path(), objects).await;
    if std::fs::write("/proc/sys/vm/drop_caches", "3").is_ok() {
        load("the same, cold", directory.path(), objects).await;
    }
}

async fn operations(rig: &Rig, objects: u64, inline: u64) {
    let gets = objects.min(200_000);
    measure("get, present", gets, async {
        for _ in 0..gets {
            assert!(rig.find(&key(fastrand::u64(..objects))).await);
        }
    })
    .await;
    measure("get, absent", gets, async {
        for _ in 0..gets {
            assert!(!rig.find(&key(fastrand::u64(objects * 8..))).await);
        }
    })
    .await;
    measure("replace", gets, async {
        for _ in 0..gets {
            let number = fastrand::u64(..objects);
            rig.store_surely(&key(number), &rig.object(length(number, inline)));
        }
        rig.settle();
    })
    .await;
    println!(
        "  disk taken                 {:>10.1} MB",
        rig.cache.disk().expect("a tier").used() as f64 / 1e6
    );
}

async fn load(what: &str, directory: &Path, objects: u64) {
    let memory = rss_anon();
    let start = Instant::now();
    let rig = open(directory, objects);
    rig.serving().await;
    let took = start.elapsed();
    let entries = rig.cache.disk().expect("a tier").entries();
    let each = rss_anon().saturating_sub(memory) as f64 / entries.max(1) as f64;
    println!(
        "  open, {what:<20} {:>10.0} ms   {entries} slots, {each:.0} B of memory each",
        took.as_secs_f64() * 1e3
    );
    // As a kill: what waits is not written, and nothing is ended in good order.
    drop(rig);
}

/// With memory for as many slots as there will be, and no memory tier to speak of: every get is the disk's.
fn open(directory: &Path, objects: u64) -> Rig {
    Rig::open(directory, 64 << 30, (objects * 128).max(4 << 20), 1024, Admission::Always)
}

fn length(number: u64, inline: u64) -> usize {
    let mut random = fastrand::Rng::with_seed(number);
    if random.u64(..100) < inline { random.usize(1..=16 << 10) } else { 0 }
}

async fn measure(what: &str, count: u64, work: impl Future<Output = ()>) {
    let (cpu, start) = (cpu_seconds(), Instant::now());
    work.await;
    let each = |seconds: f64| seconds * 1e6 / count as f64;
    let (cpu, wall) = (each(cpu_seconds() - cpu), each(start.elapsed().as_secs_f64()));
    println!("  {what:<20} {cpu:>8.1} µs CPU, {wall:>8.1} µs");
}
