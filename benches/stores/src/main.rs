//! Measures embedded stores as candidates for the on-disk index of the cache's disk tier.
//!
//! An object is a 32-byte key, 48 bytes in `meta` and a record of a 600-byte head, for some followed by a
//! body of up to 16 KiB. Puts come in group commits of 2,000 and are atomic over both tables.
//!
//! ```text
//! cargo run --release -- run KIND OBJECTS BODIES% [PACE]    puts, gets, churn at the limit, opening, SIGKILL
//! cargo run --release -- damage KIND ROUNDS                 what becomes of damaged files
//! ```
//!
//! KIND is one of `store::KINDS`. Files go to `$STORES_DIR` (`/tmp/stores-bench`) and are removed at the end.
//! CPU times are those of the whole process, threads of the store included, less what it takes to make the
//! objects. Churn is as fast as the store lets it be, or PACE puts a second. "Live" is the bytes of all keys
//! and values in both tables, "disk" the allocated blocks of all files, "lengths" the sum of what their
//! lengths say.

// The clock that tests of the cache can stop has no place here.
#![allow(clippy::disallowed_methods)]

mod damage;
mod data;
mod measure;
mod store;

use data::{Rng, Shape, key};
use measure::{Clock, disk, micros_each, percentiles, process_cpu, rss_anon, settle, thread_cpu};
use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio, exit};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};
use store::Store;

const GROUP: u64 = 2000;
const GETS: u64 = 200_000;
/// Churn ends early when it fills the disk of the bench.
const DISK_LIMIT: u64 = 4_500_000_000;
const MIXED: Duration = Duration::from_secs(8);

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let number = |text: &str| text.parse::<u64>().expect("a number");
    let shape = |text: &str| Shape { bodies: number(text) };
    let root = std::env::var_os("STORES_DIR").map_or(PathBuf::from("/tmp/stores-bench"), PathBuf::from);
    match args[..] {
        ["run", kind, objects, bodies] => run(kind, number(objects), shape(bodies), u64::MAX, &root),
        ["run", kind, objects, bodies, pace] => {
            run(kind, number(objects), shape(bodies), number(pace), &root);
        }
        ["damage", kind, rounds] => damage::run(kind, number(rounds), &root.join("damage").join(kind)),
        ["child", "write", kind, dir, bodies, from] => child_write(kind, dir, shape(bodies), number(from)),
        ["child", "open", kind, dir] => child_open(kind, dir),
        ["child", "check", kind, dir, bodies, from, to] => {
            child_check(kind, dir, shape(bodies), number(from)..number(to));
        }
        _ => {
            eprintln!("usage: stores run KIND OBJECTS BODIES% [PACE] | stores damage KIND ROUNDS");
            eprintln!("KIND is one of: {}", store::KINDS);
            exit(64);
        }
    }
}

fn run(kind: &str, objects: u64, shape: Shape, pace: u64, root: &Path) {
    println!("== {kind}, {objects} objects, bodies in {} %", shape.bodies);
    let dir = &root.join(format!("{kind}-{objects}"));
    let _ = std::fs::remove_dir_all(dir);
    std::fs::create_dir_all(dir).unwrap();
    let store = store::open(kind, dir).unwrap();
    let mut churn = Churn { shape, live: Vec::new(), next: 0, bytes: 0, rng: Rng::new(2) };
    puts(store.as_ref(), objects, &mut churn, dir);
    gets(store.as_ref(), objects, &mut churn);
    at_the_limit(store.as_ref(), 3 * objects, pace, &mut churn, dir);
    let clock = Clock::start();
    store.close().unwrap();
    let (blocks, lengths) = disk(dir);
    println!(
        "after close ({:.1} s): disk {} MB, file lengths {} MB",
        clock.wall().as_secs_f64(),
        blocks / 1_000_000,
        lengths / 1_000_000
    );
    opening(kind, dir, &churn);
    std::fs::remove_dir_all(dir).unwrap();
    // Only if no other run has files there.
    let _ = std::fs::remove_dir(root);
}

/// A cache at its limit: which objects are live, and the next one to come.
struct Churn {
    shape: Shape,
    live: Vec<u64>,
    next: u64,
    bytes: u64,
    rng: Rng,
}

impl Churn {
    fn put(&mut self, store: &dyn Store, deletes: bool) {
        let puts: Vec<u64> = (self.next..self.next + GROUP).collect();
        let mut gone = Vec::new();
        for _ in 0..if deletes { GROUP } else { 0 } {
            gone.push(self.live.swap_remove(self.rng.below(self.live.len() as u64) as usize));
        }
        store.commit(self.shape, &puts, &gone).unwrap();
        self.bytes += puts.iter().map(|&id| self.shape.live_bytes(id)).sum::<u64>();
        self.bytes -= gone.iter().map(|&id| self.shape.live_bytes(id)).sum::<u64>();
        self.live.extend(puts);
        self.next += GROUP;
    }
}

fn puts(store: &dyn Store, objects: u64, churn: &mut Churn, dir: &Path) {
    let making = making(churn.shape);
    let clock = Clock::start();
    while churn.next < objects {
        churn.put(store, false);
    }
    let (cpu, wall) = (clock.cpu(), clock.wall());
    let (now, lengths) = disk(dir);
    settle();
    println!(
        "put: cpu {:.2} us ({:.2} once settled; {making:.2} for making it already taken off), wall {:.2} us",
        micros_each(cpu, objects) - making,
        micros_each(clock.cpu(), objects) - making,
        micros_each(wall, objects)
    );
    println!(
        "after puts: live {} MB, disk {} MB = {:.2} x, lengths {} MB; settled disk {} MB = {:.2} x",
        churn.bytes / 1_000_000,
        now / 1_000_000,
        now as f64 / churn.bytes as f64,
        lengths / 1_000_000,
        disk(dir).0 / 1_000_000,
        disk(dir).0 as f64 / churn.bytes as f64
    );
}

/// CPU time in µs that making an object takes, which is not the store's.
fn making(shape: Shape) -> f64 {
    let mut record = Vec::new();
    let mut make = |ids: Range<u64>| {
        for id in ids {
            shape.record(id, &mut record);
            std::hint::black_box((&record, shape.meta(id), key(id)));
        }
    };
    make(0..1000);
    let before = thread_cpu();
    make(0..50_000);
    micros_each(thread_cpu() - before, 50_000)
}

fn gets(store: &dyn Store, objects: u64, churn: &mut Churn) {
    let mut rng = Rng::new(3);
    for (name, first) in [("warming", 0), ("present", 0), ("absent", u64::MAX / 2)] {
        let keys: Vec<_> = (0..GETS).map(|_| key(first + rng.below(objects))).collect();
        let mut times = Vec::with_capacity(keys.len());
        let before = (thread_cpu(), process_cpu());
        for key in &keys {
            let start = Instant::now();
            let found = store.get(key, &mut |record| drop(std::hint::black_box(record.to_vec()))).unwrap();
            times.push(start.elapsed().as_nanos() as u32);
            assert_eq!(found, first == 0);
        }
        let cpu = micros_each(thread_cpu() - before.0, GETS);
        let all = micros_each(process_cpu() - before.1, GETS);
        println!("get {name}: cpu {cpu:.2} us (whole process {all:.2} us), wall {}", percentiles(times));
    }

    let stop = AtomicBool::new(false);
    let times = thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut rng = Rng::new(4);
            let mut times = Vec::new();
            while !stop.load(Relaxed) {
                let key = key(rng.below(objects));
                let start = Instant::now();
                store.get(&key, &mut |record| drop(std::hint::black_box(record.to_vec()))).unwrap();
                times.push(start.elapsed().as_nanos() as u32);
            }
            times
        });
        let (start, mut commits, mut longest) = (Instant::now(), 0, Duration::ZERO);
        while start.elapsed() < MIXED {
            let start = Instant::now();
            churn.put(store, true);
            longest = longest.max(start.elapsed());
            commits += 1;
        }
        stop.store(true, Relaxed);
        println!(
            "writer beside the reader: {} put+delete a second, longest commit {:.0} ms",
            commits * GROUP / start.elapsed().as_secs(),
            longest.as_secs_f64() * 1e3
        );
        reader.join().unwrap()
    });
    println!("get while writing: wall {}", percentiles(times));
    settle();
}

fn at_the_limit(store: &dyn Store, rounds: u64, pace: u64, churn: &mut Churn, dir: &Path) {
    let making = making(churn.shape);
    let (stop, peak, peak_lengths) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    thread::scope(|scope| {
        let sampler = scope.spawn(|| {
            while !stop.load(Relaxed) {
                let (blocks, lengths) = disk(dir);
                peak.fetch_max(blocks, Relaxed);
                peak_lengths.fetch_max(lengths, Relaxed);
                thread::sleep(Duration::from_millis(20));
            }
            thread_cpu()
        });
        let (clock, mut rounds_done, mut longest) = (Clock::start(), 0, Duration::ZERO);
        while rounds_done < rounds && peak.load(Relaxed) < DISK_LIMIT {
            let start = Instant::now();
            churn.put(store, true);
            longest = longest.max(start.elapsed());
            rounds_done += GROUP;
            let due = Duration::from_secs_f64(rounds_done as f64 / pace as f64);
            thread::sleep(due.saturating_sub(clock.wall()));
        }
        let (wall, (now, _)) = (clock.wall(), disk(dir));
        settle();
        let (settled, _) = disk(dir);
        stop.store(true, Relaxed);
        let cpu = clock.cpu() - sampler.join().unwrap();
        println!(
            "churn: {rounds_done} rounds, put+delete cpu {:.2} us (settled), wall {:.2} us, longest commit {:.0} ms",
            micros_each(cpu, rounds_done) - making,
            micros_each(wall, rounds_done),
            longest.as_secs_f64() * 1e3
        );
        let ratio = |bytes: u64| bytes as f64 / churn.bytes as f64;
        println!(
            "churn: live {} MB; disk peak {:.2} x (lengths {:.2} x), at end {:.2} x, settled {:.2} x",
            churn.bytes / 1_000_000,
            ratio(peak.load(Relaxed)),
            ratio(peak_lengths.load(Relaxed)),
            ratio(now),
            ratio(settled)
        );
    });
}

fn opening(kind: &str, dir: &Path, churn: &Churn) {
    let path = dir.to_str().unwrap();
    let open = |name: &str| {
        let output = child(&["open", kind, path]).output().unwrap();
        println!("open {name}: {}", String::from_utf8_lossy(&output.stdout).trim_end());
        eprint!("{}", String::from_utf8_lossy(&output.stderr));
    };
    open("after clean close, warm");
    if measure::drop_caches() {
        open("after clean close, cold");
    }
    let mut from = churn.next;
    for name in ["warm", "cold"] {
        let to = killed_writer(kind, path, churn.shape, from);
        if name == "cold" && !measure::drop_caches() {
            break;
        }
        open(&format!("after SIGKILL, {name}"));
        let bodies = churn.shape.bodies.to_string();
        let output =
            child(&["check", kind, path, &bodies, &from.to_string(), &to.to_string()]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).trim_end().replace('\n', ", ");
        println!("  {} puts were reported as committed before the kill: {said}", to - from);
        from = to + 10 * GROUP;
    }
}

/// Runs a writer for three seconds and kills it; returns the end of what it said was committed.
fn killed_writer(kind: &str, path: &str, shape: Shape, from: u64) -> u64 {
    let mut writer = child(&["write", kind, path, &shape.bodies.to_string(), &from.to_string()])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(writer.stdout.take().unwrap()).lines();
    let last = move || lines.map_while(Result::ok).filter_map(|line| line.parse().ok()).last();
    let reader = thread::spawn(last);
    thread::sleep(Duration::from_secs(3));
    writer.kill().unwrap();
    writer.wait().unwrap();
    reader.join().unwrap().unwrap_or(from)
}

/// This program again, as another process.
fn child(args: &[&str]) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.arg("child").args(args);
    command
}

/// Puts the objects in group commits.
fn fill(store: &dyn Store, shape: Shape, ids: Range<u64>) {
    let ids: Vec<u64> = ids.collect();
    for group in ids.chunks(GROUP as usize) {
        store.commit(shape, group, &[]).unwrap();
    }
}

fn child_write(kind: &str, dir: &str, shape: Shape, mut next: u64) {
    let store = store::open(kind, Path::new(dir)).unwrap();
    loop {
        fill(store.as_ref(), shape, next..next + GROUP);
        next += GROUP;
        println!("{next}");
    }
}

fn child_open(kind: &str, dir: &str) {
    let clock = Clock::start();
    let store = store::open(kind, Path::new(dir)).unwrap();
    let opened = (clock.cpu(), clock.wall());
    let mut table: HashMap<u64, u32> = HashMap::new();
    let scanned = store.scan_meta(&mut |key, meta| {
        let short = u64::from_le_bytes(key[..8].try_into().unwrap());
        table.insert(short, u64::from_le_bytes(meta[8..16].try_into().unwrap()) as u32);
    });
    let (cpu, wall) = (clock.cpu(), clock.wall());
    // A bucket is a pair of 16 bytes and a byte of control; seven of eight can be full.
    let own = (table.capacity() * 8 / 7).next_power_of_two() * 17;
    let rest = rss_anon() as f64 - own as f64;
    println!(
        "open {:.0} ms (cpu {:.0}), open+scan {:.0} ms (cpu {:.0}), {} objects; RssAnon less table {:.1} MB = {:.0} B \
         an object{}",
        opened.1.as_secs_f64() * 1e3,
        opened.0.as_secs_f64() * 1e3,
        wall.as_secs_f64() * 1e3,
        cpu.as_secs_f64() * 1e3,
        table.len(),
        rest / 1e6,
        rest / table.len() as f64,
        scanned.err().map(|error| format!("; SCAN FAILED: {error}")).unwrap_or_default()
    );
    store.close().unwrap();
}

/// Compares everything with what it should be. Ends with 2 if the store cannot be opened or written to.
fn child_check(kind: &str, dir: &str, shape: Shape, ids: Range<u64>) {
    let store = store::open(kind, Path::new(dir)).unwrap_or_else(|error| {
        eprintln!("open: {error}");
        exit(2);
    });
    let (mut right, mut absent, mut wrong, mut failed) = (0, 0, 0, 0);
    let mut first_error = None;
    let scanned = store.scan_meta(&mut |stored, meta| {
        let id = u64::from_le_bytes(meta[..8].try_into().unwrap());
        wrong += u64::from(stored != key(id) || meta != shape.meta(id));
    });
    if let Err(error) = scanned {
        failed += 1;
        first_error = Some(error);
    }
    let mut record = Vec::new();
    for id in ids.clone() {
        shape.record(id, &mut record);
        let mut same = false;
        match store.get(&key(id), &mut |stored| same = stored == record) {
            Ok(true) if same => right += 1,
            Ok(true) => wrong += 1,
            Ok(false) => absent += 1,
            Err(error) => {
                failed += 1;
                first_error.get_or_insert(error);
            }
        }
    }
    if let Some(error) = first_error {
        eprintln!("read: {error}");
    }
    println!("right {right}, absent {absent}, wrong {wrong}, errors {failed}");
    let class = match (wrong, failed, absent, right) {
        (1.., ..) => "WRONG value",
        (0, 1.., ..) => "opened, some reads are errors",
        (0, 0, 0, _) => "all right",
        (0, 0, _, 0) => "opened, all absent",
        _ => "right or absent",
    };
    println!("class {class}");
    let more = ids.end..ids.end + GROUP;
    if let Err(error) = store.commit(shape, &more.collect::<Vec<_>>(), &[]).and_then(|()| store.close()) {
        eprintln!("write: {error}");
        exit(2);
    }
}
