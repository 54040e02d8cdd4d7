//! What becomes of the file system under a node that serves: it turns read-only, fills, or goes away.
//!
//! Each mount is made in a mount namespace of the node's own, so that nobody else sees it and it ends with the node.
//! That needs root, `unshare`, `mkfs.ext4` and a loop device: without them these tests say so and pass.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::cli::FOREBAY;
use crate::disk_rig::{binary, content_file, said, until};
use crate::support::bytes::{Verify, pattern};
use crate::support::client::Client;
use crate::support::ms;
use crate::support::origin::{Origin, respond};
use crate::support::process::Process;

const MIB: u64 = 1 << 20;
const OUT_OF_USE: &str = "disk tier: out of use; the node has its memory tier only";
const READ_ONLY: &str = "disk tier: nothing can be stored; what is there is served";
const SERVING: &str = "disk tier: serving";

/// `/SIZE/NUMBER`: the number is the body's seed.
async fn origin() -> Origin {
    Origin::tcp(|request, _| {
        let (size, number) = parts_of(request.path());
        let fields = [("Cache-Control", "max-age=600"), ("ETag", "\"v1\"")];
        vec![respond("200 OK", &fields, pattern(number, size))]
    })
    .await
}

fn parts_of(path: &str) -> (usize, u64) {
    let mut parts = path.rsplit('/');
    let number = parts.next().and_then(|number| number.parse().ok()).expect("a number");
    (parts.next().and_then(|size| size.parse().ok()).expect("a size"), number)
}

/// Asks for a path and verifies the whole of it; gives `Cache-Status`.
async fn whole(client: &mut Client, path: &str) -> String {
    let (size, number) = parts_of(path);
    let answer = client.get(path).await;
    let status = answer.cache_status();
    assert!(answer.status == 200 && answer.complete, "{path}: {} {status}", answer.status);
    assert!(answer.body == pattern(number, size), "{path}: {} bytes, {status}", answer.body.len());
    status
}

/// Clients that go on asking, for things old and new, until they are stopped: no request fails.
struct Traffic {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    clients: Vec<JoinHandle<()>>,
}

impl Traffic {
    fn start(addr: std::net::SocketAddr) -> Self {
        let (stop, answered) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let one = |client: u64| {
            let (stop, answered) = (Arc::clone(&stop), Arc::clone(&answered));
            tokio::spawn(async move {
                let mut connection = Client::connect(addr).await;
                let mut number = client * 1_000_000;
                while !stop.load(Ordering::SeqCst) {
                    let size = [500, 20_000, 100_000, 1_500_000][usize::try_from(number % 4).unwrap()];
                    let old = number.saturating_sub(number % 50).max(client * 1_000_000);
                    let number_now = if number.is_multiple_of(3) { old } else { number };
                    whole(&mut connection, &format!("/{size}/{number_now}")).await;
                    answered.fetch_add(1, Ordering::SeqCst);
                    number += 1;
                    tokio::time::sleep(ms(2)).await;
                }
            })
        };
        let clients = (1..3).map(one).collect();
        Self { stop, answered, clients }
    }

    /// Waits for so many more answers.
    async fn goes_on(&self, more: usize) {
        let before = self.answered.load(Ordering::SeqCst);
        until("requests are answered", || self.answered.load(Ordering::SeqCst) >= before + more).await;
    }

    async fn stop(self) {
        self.stop.store(true, Ordering::SeqCst);
        for client in self.clients {
            client.await.expect("every request was answered in full");
        }
    }
}

/// New objects reach the disk. One may be refused while too much else waits to be written, and a failed disk is tried
/// again after a minute at the latest.
async fn stores_again(addr: std::net::SocketAddr, cache_dir: &Path) {
    let deadline = Instant::now() + Duration::from_secs(90);
    let mut client = Client::connect(addr).await;
    for number in 5000.. {
        whole(&mut client, &format!("/150000/{number}")).await;
        tokio::time::sleep(ms(250)).await;
        if content_file(cache_dir, &pattern(number, 150_000)).is_some() {
            return;
        }
        assert!(Instant::now() < deadline, "nothing is stored");
    }
}

// ---- the directory goes away ----

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_that_is_removed_costs_no_request_and_is_made_again() {
    let (origin, directory) = (origin().await, tempfile::tempdir().unwrap());
    let cache_dir = directory.path().join("cache");
    let node = binary(&origin.url(), &cache_dir, &["--memory", "64MiB", "--disk", "64MiB"]);
    let addr = node.listening().await;
    let traffic = Traffic::start(addr);
    stores_again(addr, &cache_dir).await;
    // The node writes meanwhile, so that at first not all of it may go.
    while cache_dir.exists() {
        let _ = fs::remove_dir_all(&cache_dir);
    }
    node.wait_for_line(OUT_OF_USE).await;
    assert!(node.wait_for_line(OUT_OF_USE).await.contains("disk-vanished"), "{:?}", node.lines());
    traffic.goes_on(100).await;
    said(&node, SERVING, 2).await;
    traffic.goes_on(100).await;
    traffic.stop().await;
    stores_again(addr, &cache_dir).await;
}

/// Moved away and back: what it holds is served again. A client that reads from it meanwhile, for as long as it
/// likes, does not stand in the way.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_that_is_moved_away_and_back_is_used_again_whoever_still_reads_it() {
    let (origin, directory) = (origin().await, tempfile::tempdir().unwrap());
    let (cache_dir, away) = (directory.path().join("cache"), directory.path().join("away"));
    let options = ["--memory", "512MiB", "--disk", "256MiB"];
    let size = usize::try_from(24 * MIB).unwrap();
    let large = format!("/{size}/1");
    let mut node = binary(&origin.url(), &cache_dir, &options);
    let addr = node.listening().await;
    whole(&mut Client::connect(addr).await, &large).await;
    node.terminate();
    assert_eq!(node.exit_code().await, Some(0));

    let node = binary(&origin.url(), &cache_dir, &options);
    let addr = node.listening().await;
    said(&node, SERVING, 1).await;
    let mut slow = Client::connect_narrow(addr, 16 << 10).await;
    slow.request("GET", &large, &[], b"").await;
    let head = slow.read_head().await;
    assert!(head.header("cache-status").is_some_and(|status| status.contains("detail=disk")), "{head:?}");
    let mut verify = Verify::new(1);
    verify.feed(&slow.read_chunk().await.expect("the beginning"));

    fs::rename(&cache_dir, &away).unwrap();
    // It is noticed when something is to be written.
    let mut client = Client::connect(addr).await;
    whole(&mut client, "/150000/2").await;
    node.wait_for_line(OUT_OF_USE).await;
    fs::rename(&away, &cache_dir).unwrap();
    said(&node, SERVING, 2).await;
    stores_again(addr, &cache_dir).await;
    while let Some(bytes) = slow.read_chunk().await {
        verify.feed(&bytes);
    }
    assert!(slow.is_complete());
    verify.finish(size as u64);
    assert_eq!(origin.hits_of(&large), 1);
}

// ---- real file systems ----

/// A small file system in a file, and the node's view of where it is mounted.
struct Mounted {
    directory: TempDir,
    node: Option<Process>,
}

impl Mounted {
    /// Makes the file system; `None`, and a note why, if that cannot be done here.
    fn make(megabytes: u64) -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("mount")).unwrap();
        let mounted = Self { directory, node: None };
        let image = mounted.image("image");
        fs::File::create(&image).unwrap().set_len(megabytes * MIB).unwrap();
        let steps = format!(
            "set -e; [ $(id -u) = 0 ]; mkfs.ext4 -q -F {image}; unshare -m sh -c 'mount -o loop {image} {mount}'",
            image = image.display(),
            mount = mounted.mount().display(),
        );
        let output = shell(&steps);
        if output.status.success() {
            return Some(mounted);
        }
        eprintln!(
            "SKIPPED: this needs root, unshare, mkfs.ext4 and a loop device: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        None
    }

    fn image(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn mount(&self) -> PathBuf {
        self.directory.path().join("mount")
    }

    /// Mounts it in a namespace of the node's own, and starts the node there.
    async fn serve(&mut self, origin: &Origin, disk: &str) -> std::net::SocketAddr {
        let script = format!(
            "mount -o loop,errors=remount-ro {image} {mount} && exec {FOREBAY} serve --listen 127.0.0.1:0 \
             --access-log off --origin {origin} --memory 64MiB --disk {disk} --disk-admission always --cache-dir {mount}/cache",
            image = self.image("image").display(),
            mount = self.mount().display(),
            origin = origin.url(),
        );
        let node = Process::start("unshare", &["-m", "--propagation", "private", "sh", "-c", &script]);
        let addr = node.listening().await;
        self.node = Some(node);
        addr
    }

    fn node(&self) -> &Process {
        self.node.as_ref().expect("a node")
    }

    /// A path as the node sees it.
    fn seen(&self, path: &Path) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.node().pid()));
        root.join(path.strip_prefix("/").unwrap())
    }

    fn cache_dir(&self) -> PathBuf {
        self.seen(&self.mount().join("cache"))
    }

    /// Runs a command in the node's namespace.
    fn inside(&self, script: &str) -> Output {
        shell(&format!("nsenter -t {} -m sh -c '{script}'", self.node().pid()))
    }

    /// Bytes that are free for whoever is not root.
    fn free(&self) -> u64 {
        let mount = self.seen(&self.mount());
        let output = Command::new("stat").args(["-f", "-c", "%a %S"]).arg(mount).output().expect("run stat");
        let text = String::from_utf8(output.stdout).unwrap();
        text.split_whitespace().map(|number| number.parse::<u64>().expect("a number")).product()
    }
}

fn shell(script: &str) -> Output {
    Command::new("sh").args(["-c", script]).stdin(Stdio::null()).output().expect("run sh")
}

#[track_caller]
fn done(output: &Output) {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// The kernel refuses `remount,ro` while files are open for writing; what happens in life is that it does the same
/// by itself after an error, which `abort` stands for. To use it again, the operator repairs it and mounts it anew.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_system_that_turns_read_only_costs_no_request_and_is_used_again_once_mended() {
    let Some(mut mounted) = Mounted::make(100) else { return };
    let origin = origin().await;
    let addr = mounted.serve(&origin, "64MiB").await;
    stores_again(addr, &mounted.cache_dir()).await;
    let traffic = Traffic::start(addr);
    traffic.goes_on(20).await;
    let mount = mounted.mount().display().to_string();
    if !mounted.inside(&format!("mount -o remount,ro {mount}")).status.success() {
        done(&mounted.inside(&format!("mount -o remount,abort {mount}")));
    }
    until("the node notices", || {
        mounted.node().lines().iter().any(|line| line.contains(READ_ONLY) || line.contains(OUT_OF_USE))
    })
    .await;
    traffic.goes_on(100).await;

    // Another device: the kernel keeps the broken one as long as the node has files of it open.
    let mend = format!(
        "umount -l {mount} && cp {image} {copy}; e2fsck -fy {copy}; mount -o loop {copy} {mount}",
        image = mounted.image("image").display(),
        copy = mounted.image("copy").display(),
    );
    done(&mounted.inside(&mend));
    said(mounted.node(), SERVING, 2).await;
    traffic.goes_on(50).await;
    traffic.stop().await;
    stores_again(addr, &mounted.cache_dir()).await;
    for line in mounted.node().lines().iter().filter(|line| line.contains("disk tier")) {
        println!("{line}");
    }
}

/// A file system that is smaller than `--disk` is filled many times over, then by somebody else to the last byte.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_system_that_fills_costs_no_request_and_is_used_again_once_there_is_room() {
    let Some(mut mounted) = Mounted::make(40) else { return };
    let origin = origin().await;
    let addr = mounted.serve(&origin, "128MiB").await;
    let mut least = u64::MAX;
    let mut client = Client::connect(addr).await;
    for number in 0..400 {
        let size = [20_000, 100_000, 1_000_000, 500_000][number % 4];
        whole(&mut client, &format!("/{size}/{number}")).await;
        least = least.min(mounted.free());
    }
    let kept = content_bytes(&mounted);
    println!("{kept} bytes were kept, {least} bytes of the file system were left free at least");
    assert!(kept > 8 * MIB, "only {kept} bytes were kept");

    let traffic = Traffic::start(addr);
    let other = mounted.mount().join("other").display().to_string();
    // Whatever the node gives up is taken as well.
    for _ in 0..25 {
        mounted.inside(&format!("cat /dev/zero >> {other}"));
        traffic.goes_on(5).await;
    }
    println!("{} bytes are free, {} bytes are kept", mounted.free(), content_bytes(&mounted));
    traffic.goes_on(50).await;
    done(&mounted.inside(&format!("rm {other}")));
    traffic.goes_on(50).await;
    traffic.stop().await;
    stores_again(addr, &mounted.cache_dir()).await;
    let lines = mounted.node().lines();
    for line in lines.iter().filter(|line| line.contains("disk tier")) {
        println!("{line}");
    }
    let turned = |what: &str| lines.iter().rposition(|line| line.contains(what));
    assert!(turned(SERVING) > turned(READ_ONLY).max(turned(OUT_OF_USE)), "it serves at the end");
}

fn content_bytes(mounted: &Mounted) -> u64 {
    let files = crate::disk_rig::content_files(&mounted.cache_dir());
    files.iter().filter_map(|file| fs::metadata(file).ok()).map(|found| found.len()).sum()
}
