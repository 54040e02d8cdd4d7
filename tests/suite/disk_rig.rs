//! What tests of the disk tier share: a node in this process that is stopped and started on one directory, the built
//! binary on a directory, and a look into that directory.

use std::collections::HashSet;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use forebay::app::Running;
use forebay::base::units::ByteSize;
use forebay::config::{Disk, Settings};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::cli::FOREBAY;
use crate::rig::settings;
use crate::support::client::Client;
use crate::support::ms;
use crate::support::origin::{Act, Origin, SeenRequest};
use crate::support::process::Process;

/// How long something may take that happens behind the requests' back.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Asks again and again whether something holds, which nobody announces.
pub async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        tokio::time::sleep(ms(10)).await;
    }
}

/// A number from the environment, such as how many rounds to run.
pub fn from_environment<T: std::str::FromStr>(name: &str, otherwise: T) -> T {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

/// A node in this process with a disk tier. It may be stopped and started again in the same directory, in front of
/// the same origin. Needs a runtime of several threads: to stop it blocks.
pub struct DiskNode {
    pub origin: Origin,
    directory: TempDir,
    pub settings: Settings,
    running: Option<Running>,
}

impl DiskNode {
    pub async fn new(
        change: impl FnOnce(&mut Settings),
        script: impl Fn(&SeenRequest, usize) -> Vec<Act> + Send + Sync + 'static,
    ) -> Self {
        let (origin, directory) = (Origin::tcp(script).await, tempfile::tempdir().expect("a directory"));
        let mut settings = settings(&origin.url());
        let disk = Disk {
            directory: directory.path().join("cache"),
            limit: ByteSize::mib(512),
            admission: forebay::cache::Admission::default(),
        };
        settings.use_disk(disk, None).expect("enough disk");
        change(&mut settings);
        let mut node = Self { origin, directory, settings, running: None };
        node.start().await;
        node
    }

    pub fn cache_dir(&self) -> PathBuf {
        self.directory.path().join("cache")
    }

    pub fn running(&self) -> &Running {
        self.running.as_ref().expect("a running node")
    }

    /// Starts it, and waits until its index is loaded.
    pub async fn start(&mut self) {
        let running = Running::start(&self.settings, None).expect("a node");
        let disk = running.node.cache.disk().expect("a disk tier");
        disk.wait_for(|health| *health == forebay::cache::disk::health::Health::Serving).await;
        self.running = Some(running);
    }

    /// Stops it in good order: what waits is written.
    pub fn stop(&mut self) {
        let running = self.running.take().expect("a running node");
        tokio::task::block_in_place(|| running.drain());
    }

    pub async fn restart(&mut self) {
        self.stop();
        self.start().await;
    }

    /// Waits until all that was stored so far is written.
    pub async fn settled(&self) {
        let disk = self.running().node.cache.disk().expect("a disk tier");
        until("the disk tier has written all", || disk.is_settled()).await;
    }

    pub async fn client(&self) -> Client<TcpStream> {
        Client::connect(self.addr()).await
    }

    pub fn addr(&self) -> SocketAddr {
        self.running().addresses[0].address.inet().expect("an address")
    }

    /// The file in which a block is kept.
    pub fn file_of(&self, block: &[u8]) -> PathBuf {
        content_file(&self.cache_dir(), block).expect("a file with this block")
    }
}

/// The built binary on a cache directory in front of `origin`.
pub fn binary(origin: &str, cache_dir: &Path, more: &[&str]) -> Process {
    let cache_dir = cache_dir.to_str().expect("UTF-8");
    let args = ["serve", "--listen", "127.0.0.1:0", "--access-log", "off", "--origin", origin, "--cache-dir"];
    Process::start(FOREBAY, &[&args[..], &[cache_dir], more].concat())
}

/// Waits until a child has said `what` so often.
pub async fn said(child: &Process, what: &str, times: usize) {
    let count = || child.lines().iter().filter(|line| line.contains(what)).count();
    let deadline = Instant::now() + PATIENCE;
    while count() < times {
        let lines = || child.lines().join("\n");
        assert!(Instant::now() < deadline, "{what:?} was said {} times, not {times}:\n{}", count(), lines());
        tokio::time::sleep(ms(20)).await;
    }
}

// ---- a look into the directory ----

/// Every file and directory below `root`, not following links.
pub fn everything_below(root: &Path) -> Vec<PathBuf> {
    let (mut found, mut directories) = (Vec::new(), vec![root.to_owned()]);
    while let Some(directory) = directories.pop() {
        // What is removed meanwhile is not there any more.
        for entry in fs::read_dir(&directory).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                directories.push(entry.path());
            }
            found.push(entry.path());
        }
    }
    found
}

/// The files of all contents.
pub fn content_files(cache_dir: &Path) -> Vec<PathBuf> {
    let mut files = everything_below(&cache_dir.join("content/content-v2"));
    files.retain(|path| path.is_file());
    files
}

/// The file whose bytes are these.
pub fn content_file(cache_dir: &Path, bytes: &[u8]) -> Option<PathBuf> {
    let same_length =
        |path: &PathBuf| fs::metadata(path).is_ok_and(|found| found.len() == bytes.len() as u64);
    let files = content_files(cache_dir).into_iter().filter(same_length);
    files.into_iter().find(|path| fs::read(path).is_ok_and(|found| found == bytes))
}

/// Slots of which the index on disk has a record.
pub fn slots_on_disk(cache_dir: &Path) -> HashSet<u64> {
    frames_on_disk(cache_dir).into_iter().map(|frame| frame.slot).collect()
}

/// A record on disk, and where the content that lies behind it is.
#[derive(Debug)]
pub struct FrameOnDisk {
    pub file: PathBuf,
    pub slot: u64,
    pub head: std::ops::Range<usize>,
    pub content: std::ops::Range<usize>,
}

/// All records on disk, read without any of Forebay's own code: a frame is a check of 16 bytes, the length of its head
/// in 4, its kind in 1, the length of its content in 3, a slot in 8, the head, and the content with a byte behind it.
pub fn frames_on_disk(cache_dir: &Path) -> Vec<FrameOnDisk> {
    const PUT: u8 = 1;
    let mut frames = Vec::new();
    for segment in fs::read_dir(cache_dir.join("index")).into_iter().flatten().flatten() {
        let bytes = fs::read(segment.path()).unwrap_or_default();
        let mut at = 0;
        while let Some(header) = bytes.get(at..at + 32) {
            let number = |bytes: &[u8]| bytes.iter().rev().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
            let head = at + 32..at + 32 + number(&header[16..20]);
            let content = head.end..head.end + number(&header[21..24]);
            at = content.end + usize::from(!content.is_empty());
            if bytes.len() < at {
                break;
            }
            if header[20] == PUT {
                let slot = u64::from_le_bytes(header[24..32].try_into().unwrap());
                frames.push(FrameOnDisk { file: segment.path(), slot, head, content });
            }
        }
    }
    frames
}
