//! Hit ratios of the two tiers under each rule of admission, beside plain LRU over the same bytes; and how many bytes are
//! written for each that is stored.
//!
//! ```sh
//! cargo bench --bench admission        # REQUESTS=400000 OBJECTS=40000 DISK_MIB=64 LARGEST_KB=200 ADMISSION=frequency
//! ```
//!
//! A mix of requests: six in ten ask for one of so many objects by Zipf's law (exponent 0.9), four in ten for an object
//! that nobody asks for again. Sizes are spread between 1 and 200 KB, or
//! what is said. A miss is stored at once. LRU counts bodies
//! alone, without heads, index, directories or free segments, which are all in our limit: so it is flattered.

#![allow(missing_docs, clippy::expect_used, clippy::cast_precision_loss)]

mod support;

use std::collections::{BTreeMap, HashMap};

use forebay::cache::Admission;
use support::{Rig, key, number};

/// The memory tier is kept small, so that the figure is the disk's.
const MEMORY: u64 = 4 << 20;

fn main() {
    let (requests, objects) = (number("REQUESTS", 400_000), number("OBJECTS", 40_000));
    let disk = number("DISK_MIB", 64) << 20;
    let mix = Mix::new(objects);
    println!("{requests} requests, {objects} objects, {} MiB of disk, 4 MiB of memory", disk >> 20);
    let only = std::env::var("ADMISSION").ok();
    let lru = lru(&mix, requests, disk + MEMORY);
    println!("{:<16} hits {:.4}", "plain LRU", lru);
    for admission in Admission::ALL {
        let name = admission.name();
        if only.as_ref().is_some_and(|only| only != name) {
            continue;
        }
        let Told { ratio, objects, amplification } = ours(&mix, requests, disk, admission);
        let to_lru = ratio / lru;
        println!(
            "{name:<16} hits {ratio:.4}   {to_lru:.3} x LRU   {objects} objects written, {amplification:.2} bytes for each"
        );
    }
}

/// Who asks for what.
struct Mix {
    cumulative: Vec<f64>,
}

impl Mix {
    fn new(objects: u64) -> Self {
        let mut sum = 0.0;
        let weights = (1..=objects).map(|rank| {
            sum += (rank as f64).powf(-0.9);
            sum
        });
        Self { cumulative: weights.collect() }
    }

    /// The same requests in each run.
    fn requests(&self, count: u64) -> impl Iterator<Item = u64> + use<'_> {
        let mut random = fastrand::Rng::with_seed(7);
        let whole = self.cumulative.last().copied().expect("an object");
        (0..count).map(move |index| {
            if random.u8(..10) < 4 {
                return 1 << 40 | index;
            }
            let at = random.f64() * whole;
            self.cumulative.partition_point(|sum| *sum < at) as u64
        })
    }
}

/// An object has the same size each time.
fn size(object: u64) -> usize {
    let mut random = fastrand::Rng::with_seed(object);
    let size = 1000.0 * (random.f64() * (number("LARGEST_KB", 200) as f64).ln()).exp();
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let size = size as usize;
    size
}

/// What came of the requests.
struct Told {
    ratio: f64,
    /// How many were written.
    objects: u64,
    /// Bytes that went to the system for each of theirs.
    amplification: f64,
}

/// Bytes of a head.
const HEAD: u64 = 700;

/// Bytes that this process has written so far.
fn written() -> u64 {
    let io = std::fs::read_to_string("/proc/self/io").expect("io");
    let line = io.lines().find_map(|line| line.strip_prefix("wchar: ")).expect("wchar");
    line.parse().expect("bytes")
}

fn ours(mix: &Mix, requests: u64, disk: u64, admission: Admission) -> Told {
    let directory = tempfile::tempdir_in("/var/tmp").expect("a directory");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let rig = Rig::open(directory.path(), disk, 64 << 20, MEMORY, admission);
        rig.serving().await;
        let (mut hits, mut bytes, before) = (0_u64, 0_u64, written());
        for object in mix.requests(requests) {
            let key = key(object);
            if rig.has(&key).await {
                hits += 1;
            } else {
                let stored = rig.counters.disk_stored.get();
                rig.store(&key, &rig.object(size(object)));
                rig.settle();
                bytes += (rig.counters.disk_stored.get() - stored) * (size(object) as u64 + HEAD);
            }
        }
        Told {
            ratio: hits as f64 / requests as f64,
            objects: rig.counters.disk_stored.get(),
            amplification: (written() - before) as f64 / bytes as f64,
        }
    })
}

fn lru(mix: &Mix, requests: u64, bytes: u64) -> f64 {
    let (mut held, mut order): (HashMap<u64, u64>, BTreeMap<u64, u64>) = (HashMap::new(), BTreeMap::new());
    let (mut used, mut hits) = (0, 0_u64);
    for (time, object) in (0..).zip(mix.requests(requests)) {
        match held.insert(object, time) {
            Some(before) => {
                hits += 1;
                order.remove(&before);
            }
            None => used += size(object) as u64,
        }
        order.insert(time, object);
        while used > bytes {
            let (_, oldest) = order.pop_first().expect("something is held");
            held.remove(&oldest);
            used -= size(oldest) as u64;
        }
    }
    hits as f64 / requests as f64
}
