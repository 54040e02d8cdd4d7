//! Both limits hold while many times more goes through than fits: the disk's, by the word of the file system, and
//! the memory's.
//!
//! `FOREBAY_FILL_MIB` sets how much goes through (the full proof is 2600).

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::disk_rig::{binary, from_environment};
use crate::support::bytes::{Verify, pattern};
use crate::support::client::Client;
use crate::support::ms;
use crate::support::origin::{Origin, respond};
use crate::support::process::rss_anon_kib;

const MIB: u64 = 1 << 20;
const DISK: u64 = 64 * MIB;
const SIZES: [usize; 8] = [300, 3_000, 16_385, 40_000, 100_000, 300_000, (1 << 20) + 1, 3 << 20];

/// What a directory takes by the word of the file system, in bytes, while its node stands still: otherwise what moves
/// or goes meanwhile is counted twice.
fn disk_usage_of(pid: u32, directory: &Path) -> u64 {
    signal(pid, "-STOP");
    let bytes = disk_usage(directory);
    signal(pid, "-CONT");
    bytes
}

fn signal(pid: u32, signal: &str) {
    let status = Command::new("/bin/kill").args([signal, &pid.to_string()]).status();
    assert!(status.expect("run kill").success(), "kill {signal} {pid}");
}

/// What a directory takes by the word of the file system, in bytes.
fn disk_usage(directory: &Path) -> u64 {
    let output = Command::new("du").args(["-s", "--block-size=1"]).arg(directory).output().expect("run du");
    let text = String::from_utf8_lossy(&output.stdout);
    text.split_whitespace().next().and_then(|bytes| bytes.parse().ok()).unwrap_or(0)
}

/// Draws `/SIZE/NUMBER` one after the other; numbers are the bodies' seeds.
async fn draw(addr: std::net::SocketAddr, next: Arc<AtomicU64>, total: u64, through: Arc<AtomicU64>) {
    let mut client: Client<TcpStream> = Client::connect(addr).await;
    while through.load(Ordering::Relaxed) < total {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let size = SIZES[usize::try_from(number).unwrap() % SIZES.len()];
        client.request("GET", &format!("/{size}/{number}"), &[], b"").await;
        let head = client.read_head().await;
        assert_eq!(head.status, 200, "{:?}", head.header("proxy-status"));
        let mut verify = Verify::new(number);
        while let Some(bytes) = client.read_chunk().await {
            verify.feed(&bytes);
        }
        verify.finish(size as u64);
        through.fetch_add(size as u64, Ordering::Relaxed);
    }
}

/// Fills a node many times over, with these options beside a limit of 64 MiB of disk.
async fn fill(memory: u64, options: &[&str]) {
    let total = from_environment("FOREBAY_FILL_MIB", 260) * MIB;
    let origin = Origin::tcp(|request, _| {
        let mut parts = request.path().rsplit('/');
        let number = parts.next().and_then(|number| number.parse().ok()).expect("a number");
        let size = parts.next().and_then(|size| size.parse().ok()).expect("a size");
        vec![respond("200 OK", &[("Cache-Control", "max-age=600")], pattern(number, size))]
    })
    .await;
    let directory = tempfile::tempdir().unwrap();
    let cache_dir = directory.path().join("cache");
    let memory_option = format!("{memory}MiB");
    let all = [&["--memory", &memory_option, "--disk", "64MiB"], options].concat();
    let mut node = binary(&origin.url(), &cache_dir, &all);
    let addr = node.listening().await;
    let (next, through) = (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
    let mut clients = JoinSet::new();
    for _ in 0..4 {
        clients.spawn(draw(addr, Arc::clone(&next), total, Arc::clone(&through)));
    }
    let done = Arc::new(AtomicBool::new(false));
    let (watched, pid, until) = (cache_dir.clone(), node.pid(), Arc::clone(&done));
    let watch = tokio::task::spawn_blocking(move || {
        let (mut most_disk, mut most_memory, mut samples) = (0, 0, 0);
        while !until.load(Ordering::Relaxed) {
            most_disk = disk_usage_of(pid, &watched).max(most_disk);
            most_memory = rss_anon_kib(pid).max(most_memory);
            samples += 1;
            std::thread::sleep(ms(40));
        }
        (most_disk, most_memory, samples)
    });
    while let Some(client) = clients.join_next().await {
        client.unwrap_or_else(|error| panic!("{error}; it said:\n{}", node.lines().join("\n")));
    }
    done.store(true, Ordering::Relaxed);
    let (most_disk, most_memory, samples) = watch.await.unwrap();
    node.terminate();
    assert_eq!(node.exit_code().await, Some(0));
    let after = disk_usage(&cache_dir);
    println!(
        "{} MiB in {} objects through {memory} MiB of memory and 64 MiB of disk {options:?}: du at most {most_disk} \
         of {DISK} bytes, {after} at the end; RssAnon at most {most_memory} KiB of {} KiB; {samples} samples",
        through.load(Ordering::Relaxed) / MIB,
        next.load(Ordering::Relaxed),
        memory << 10,
    );
    let lines = node.lines().join("\n");
    assert!(!lines.contains("disk tier: out of use") && !lines.contains("nothing can be stored"), "{lines}");
    assert!(most_disk <= DISK && after <= DISK, "{most_disk} bytes of disk, {after} at the end");
    assert!(after > DISK / 4, "only {after} bytes were kept");
    assert!(most_memory <= (memory << 10) / 10 * 11, "{most_memory} KiB of memory");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_filled_many_times_over_stays_within_disk_and_memory() {
    fill(64, &[]).await;
}

/// Without room for spilled bodies the cache has all of the limit: nothing is left over to hide in.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_holds_when_the_cache_has_all_of_the_disk_and_lets_everything_in() {
    fill(96, &["--spill", "0", "--disk-admission", "always"]).await;
}
