//! Ranges with real clients and a real origin: downloads that curl resumes and aria2c splits, and a file that is larger
//! than everything. nginx is the origin, and its log tells what it has sent.
//!
//! `FOREBAY_ARIA_MIB` and `FOREBAY_LARGE_MIB` set how large the files are (the full proofs are 2048 and 5120).

use std::fs::{self, File};
use std::io::{BufWriter, Read, Seek, SeekFrom, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::time::Instant;

use crate::disk_rig::{binary, content_files, from_environment, until};
use crate::site::Nginx;
use crate::support::bytes::{Verify, pattern_at};
use crate::support::client::Client;
use crate::support::ms;
use crate::support::origin::refusing_addr;
use crate::support::process::{Process, RssWatch, rss_anon_kib};

const BLOCK: u64 = 1 << 20;
const MIB: u64 = 1 << 20;

/// nginx in front of a directory, and Forebay in front of nginx.
pub struct Rig {
    pub nginx: Nginx,
    pub node: Process,
    pub addr: SocketAddr,
    directory: TempDir,
    options: Vec<String>,
    status: SocketAddr,
}

impl Rig {
    /// `fill` makes the files of the site in the directory that it is given.
    pub async fn new(options: &[&str], fill: impl FnOnce(&Path)) -> Self {
        let directory = tempfile::tempdir_in("/var/tmp").expect("a directory on a disk");
        let site = directory.path().join("site");
        fs::create_dir(&site).expect("a directory");
        fill(&site);
        let status = refusing_addr();
        let said = format!(
            "root '{}'; sendfile on; expires 1h; access_log bytes.log bytes;
            location /report {{ expires epoch; return 204; }}
            }} server {{ listen {status}; location / {{ stub_status; access_log off; }}",
            site.display()
        );
        let nginx = Nginx::at(refusing_addr(), &said).await;
        // Clients name the port in Host, so it is a part of keys: it stays over restarts.
        let addr = refusing_addr();
        let listen = ["--listen".to_owned(), addr.to_string()];
        let options: Vec<_> = options.iter().map(|&option| option.to_owned()).chain(listen).collect();
        let node = started(&nginx, directory.path(), &options, addr).await;
        Self { nginx, node, addr, directory, options, status }
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }

    /// Ends it in good order and starts it again on its directory.
    pub async fn restart(&mut self) {
        self.node.terminate();
        assert_eq!(self.node.exit_code().await, Some(0), "{}", self.node.lines().join("\n"));
        self.node = started(&self.nginx, self.directory.path(), &self.options, self.addr).await;
    }

    /// Bytes of bodies that the origin has sent, once it rests.
    pub async fn sent(&self) -> u64 {
        self.exchanges().await.into_iter().map(|(bytes, _)| bytes).sum()
    }

    /// What the origin was asked for, with the bytes that it sent, once it rests.
    pub async fn exchanges(&self) -> Vec<(u64, String)> {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let status = Client::connect(self.status).await.get("/").await.text();
            // Its own is the one that is being answered.
            if status.contains("Reading: 0 Writing: 1 ") {
                break;
            }
            assert!(Instant::now() < deadline, "the origin never rests: {status}");
            tokio::time::sleep(ms(10)).await;
        }
        let parsed = |line: &String| {
            let (bytes, rest) = line.split_once(' ').expect("a line of our format");
            (bytes.parse::<u64>().expect("bytes"), rest.to_owned())
        };
        self.nginx.log("bytes.log").iter().map(parsed).collect()
    }
}

async fn started(nginx: &Nginx, directory: &Path, options: &[String], addr: SocketAddr) -> Process {
    let origin = format!("http://{}", nginx.address);
    let options: Vec<_> = options.iter().map(String::as_str).collect();
    let node = binary(&origin, &directory.join("cache"), &options);
    node.wait_for_line(&format!("listening on http://{addr}")).await;
    node
}

/// Writes the body of a seed.
fn write_pattern(path: &Path, seed: u64, length: u64) {
    let mut file = BufWriter::new(File::create(path).expect("a file"));
    let mut at = 0;
    while at < length {
        let piece = (length - at).min(BLOCK);
        file.write_all(&pattern_at(seed, at, usize::try_from(piece).unwrap())).expect("write");
        at += piece;
    }
    file.flush().expect("write");
}

/// Fails unless a file is the whole body of a seed.
fn assert_pattern(path: &Path, seed: u64, length: u64) {
    let mut file = File::open(path).expect("what was downloaded");
    let (mut verify, mut buffer) = (Verify::new(seed), vec![0; 1 << 20]);
    loop {
        match file.read(&mut buffer).expect("read") {
            0 => return verify.finish(length),
            read => verify.feed(&buffer[..read]),
        }
    }
}

fn child(program: &str, args: &[&str]) -> Child {
    let mut command = Command::new(program);
    command.args(args).kill_on_drop(true).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap_or_else(|error| panic!("{program} does not start ({error}): .ci/run installs it"))
}

/// Runs a program to its end, which has to be a good one.
pub async fn done(program: &str, args: &[&str], limit: Duration) -> String {
    let output = tokio::time::timeout(limit, child(program, args).wait_with_output()).await;
    let output = output.unwrap_or_else(|_| panic!("{program} takes longer than {limit:?}")).expect("run");
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let complaint = said(&output.stderr);
    assert!(
        output.status.success(),
        "{program} {args:?}: {}\n{complaint}{}",
        output.status,
        said(&output.stdout)
    );
    said(&output.stdout)
}

// ---- curl: a download that is cut off, and goes on ----

/// Draws slowly until the file is so long, and is killed.
async fn cut_off_at(rig: &Rig, file: &Path, length: u64) {
    let name = file.to_str().unwrap();
    let url = rig.url("/file.bin");
    let mut curl = child("curl", &["-sSf", "--limit-rate", "20M", "-C", "-", "-o", name, &url]);
    until("the download has come so far", || fs::metadata(file).is_ok_and(|found| found.len() >= length))
        .await;
    curl.kill().await.expect("kill curl");
    let length = fs::metadata(file).expect("a file").len();
    assert!(length < FILE, "it was not cut off");
}

const FILE: u64 = 60 * MIB + 4321;

/// What this system lets the buffers of a connection grow to, at the receiver and at the sender, which counts as sent what
/// waits there.
fn in_buffers() -> u64 {
    let most = |name: &str| {
        let said = fs::read_to_string(format!("/proc/sys/net/ipv4/{name}")).expect("a setting of the system");
        said.split_whitespace().last().and_then(|most| most.parse::<u64>().ok()).expect("a number")
    };
    most("tcp_rmem") + most("tcp_wmem")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn curl_resumes_what_was_cut_off_from_blocks_also_after_a_restart() {
    let write = |site: &Path| write_pattern(&site.join("file.bin"), 1, FILE);
    let mut rig = Rig::new(&["--memory", "128MiB", "--disk", "256MiB"], write).await;
    let file = rig.file("download");
    cut_off_at(&rig, &file, 12 * MIB).await;
    let first = rig.sent().await;
    cut_off_at(&rig, &file, 30 * MIB).await;
    let second = rig.sent().await;
    rig.restart().await;
    let came = fs::metadata(&file).unwrap().len();
    // What came before is there, but for the blocks that were on their way.
    let half = format!("0-{}", came - 2 * BLOCK - 1);
    let again = rig.file("again");
    let limit = Duration::from_secs(30);
    done("curl", &["-sSf", "-r", &half, "-o", again.to_str().unwrap(), &rig.url("/file.bin")], limit).await;
    assert_pattern(&again, 1, came - 2 * BLOCK);
    let fetched = rig.sent().await - second;
    assert_eq!(fetched, 0, "what had come was fetched again after the restart: {:#?}", rig.exchanges().await);

    done("curl", &["-sSf", "-C", "-", "-o", file.to_str().unwrap(), &rig.url("/file.bin")], limit).await;
    assert_pattern(&file, 1, FILE);
    let sent = rig.sent().await;
    println!(
        "cut off at {first} and {second} bytes of the origin, {came} of the client; {sent} for {FILE} in all"
    );
    // Of the whole answer that was cut off, the system's buffers between held as much besides as they take.
    let most = FILE + 2 * BLOCK + in_buffers();
    assert!((FILE..=most).contains(&sent), "{sent} bytes for {FILE}: {:#?}", rig.exchanges().await);

    // From the blocks, whole.
    done("curl", &["-sSf", "-o", again.to_str().unwrap(), &rig.url("/file.bin")], limit).await;
    assert_pattern(&again, 1, FILE);
    assert_eq!(rig.sent().await, sent);
}

// ---- aria2c: eight connections at once ----

async fn digest(path: &Path) -> String {
    let said = done("sha256sum", &[path.to_str().unwrap()], Duration::from_mins(2)).await;
    said.split(' ').next().expect("a digest").to_owned()
}

async fn drawn_by_aria2c(rig: &Rig, to: &Path, expected: &str) -> Duration {
    let (begun, directory) = (Instant::now(), to.parent().unwrap().to_str().unwrap());
    let (name, url) = (to.file_name().unwrap().to_str().unwrap(), rig.url("/large.bin"));
    let args = [
        "--no-conf",
        "-x8",
        "-s8",
        "--file-allocation=none",
        "--quiet",
        "--dir",
        directory,
        "--out",
        name,
        &url,
    ];
    done("aria2c", &args, Duration::from_mins(5)).await;
    let took = begun.elapsed();
    assert!(digest(to).await == expected, "the digest is another");
    fs::remove_file(to).expect("remove a file");
    took
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn aria2c_draws_a_file_over_eight_connections_and_the_origin_sends_it_once() {
    const LIMIT_KIB: u64 = 128 << 10;
    let size = from_environment("FOREBAY_ARIA_MIB", 200) * MIB + 4321;
    let disk = format!("{}MiB", size / MIB * 3 / 2 + 64);
    let fill = |site: &Path| write_pattern(&site.join("large.bin"), 3, size);
    let mut rig = Rig::new(&["--memory", "128MiB", "--disk", &disk], fill).await;
    let (expected, to) = (digest(&rig.file("site/large.bin")).await, rig.file("download"));

    let (before, watch) = (rss_anon_kib(rig.node.pid()), RssWatch::start(rig.node.pid(), ms(20)));
    let took = drawn_by_aria2c(&rig, &to, &expected).await;
    let cold_rss = before + watch.growth_kib().await;
    let cold = rig.sent().await;
    println!("{size} bytes cold: {took:?}, {cold} bytes of the origin, RssAnon at most {cold_rss} KiB");
    // The first request asks for the whole, and is ended once others have what comes next: some blocks, however long
    // the file is, are in the buffers of its connection by then (tcp_rmem and tcp_wmem allow for many).
    let more = (size / 100).max(12 * BLOCK);
    assert!(cold <= size + more, "{cold} bytes for {size}: {:#?}", rig.exchanges().await);

    // From memory and disk, and from disk alone.
    for _ in 0..2 {
        let (before, watch) = (rss_anon_kib(rig.node.pid()), RssWatch::start(rig.node.pid(), ms(20)));
        let took = drawn_by_aria2c(&rig, &to, &expected).await;
        let warm_rss = before + watch.growth_kib().await;
        let warm = rig.sent().await - cold;
        println!("warm: {took:?}, {warm} bytes of the origin, RssAnon at most {warm_rss} KiB");
        assert_eq!(warm, 0, "the origin was asked again: {:#?}", rig.exchanges().await);
        assert!(warm_rss.max(cold_rss) <= LIMIT_KIB, "RssAnon reached {warm_rss} or {cold_rss} KiB");
        rig.restart().await;
    }
}

// ---- a file that is larger than memory and disk together ----

/// A sparse file, in which each block begins with its number: no two blocks are equal.
fn write_sparse(path: &Path, length: u64) {
    let mut file = File::create(path).expect("a file");
    file.set_len(length).expect("a sparse file");
    for block in 0..length / BLOCK {
        file.seek(SeekFrom::Start(block * BLOCK)).expect("seek");
        file.write_all(&mark(block)).expect("write");
    }
}

fn mark(block: u64) -> [u8; 8] {
    (block + 1).to_be_bytes()
}

/// Checks bytes of that file as they come.
struct Sparse(u64);

impl Sparse {
    fn feed(&mut self, mut piece: &[u8]) {
        while !piece.is_empty() {
            let (block, within) = (self.0 / BLOCK, self.0 % BLOCK);
            let end = if within < 8 { 8 } else { BLOCK };
            let (now, rest) = piece.split_at(piece.len().min(usize::try_from(end - within).unwrap()));
            let right = if within < 8 {
                let from = usize::try_from(within).unwrap();
                mark(block)[from..from + now.len()] == *now
            } else {
                now.iter().fold(0, |all, byte| all | byte) == 0
            };
            assert!(right, "wrong bytes in block {block}");
            self.0 += now.len() as u64;
            piece = rest;
        }
    }
}

/// Asks for what is from `first` on, and leaves once a block has come. How long the first byte took.
async fn first_byte(rig: &Rig, first: u64) -> Duration {
    let mut client = Client::connect(rig.addr).await;
    let begun = Instant::now();
    client.request("GET", "/huge.bin", &[("Range", &format!("bytes={first}-"))], b"").await;
    let head = client.read_head().await;
    assert_eq!(head.status, 206);
    let (mut sparse, mut took) = (Sparse(first), None);
    while sparse.0 < first + BLOCK {
        let piece = client.read_chunk().await.expect("bytes");
        took = took.or(Some(begun.elapsed()));
        sparse.feed(&piece);
    }
    took.expect("a first byte")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_larger_than_memory_and_disk_comes_at_once_and_block_by_block_goes_again() {
    const LIMIT: u64 = 64;
    let size = from_environment("FOREBAY_LARGE_MIB", 300) * MIB;
    let disk = size / 3;
    let options = ["--memory", &format!("{LIMIT}MiB"), "--disk", &format!("{disk}"), "--spill", "0"];
    let rig = Rig::new(&options, |site| write_sparse(&site.join("huge.bin"), size)).await;
    let pid = rig.node.pid();

    let middle = size / 2;
    let (start, seek) = (first_byte(&rig, 0).await, first_byte(&rig, middle).await);
    let sent = rig.sent().await;
    println!("first byte after {start:?}, after a seek to the middle {seek:?}; {sent} bytes of the origin");
    let soon = Duration::from_secs(1);
    assert!(start < soon && seek < soon, "{start:?} and {seek:?}");
    assert!(sent <= 10 * BLOCK, "{sent} bytes for two blocks");

    let (before, watch) = (rss_anon_kib(pid), RssWatch::start(pid, ms(20)));
    let begun = Instant::now();
    let mut client = Client::connect(rig.addr).await;
    client.request("GET", "/huge.bin", &[], b"").await;
    let head = client.read_head().await;
    assert_eq!((head.status, head.header("content-length")), (200, Some(size.to_string().as_str())));
    let mut sparse = Sparse(0);
    while let Some(piece) = client.read_chunk().await {
        sparse.feed(&piece);
    }
    assert!(client.is_complete() && sparse.0 == size, "{} of {size}", sparse.0);
    let took = begun.elapsed();
    let rss = before + watch.growth_kib().await;
    let whole = rig.sent().await - sent;
    println!("{size} bytes in {took:?}, {whole} of the origin; RssAnon at most {rss} KiB, {before} before");
    assert!(whole <= size, "{whole} bytes for {size}: {:#?}", rig.exchanges().await);
    assert!(rss <= LIMIT << 10, "RssAnon reached {rss} KiB");

    // Some blocks are there still, and others had to go.
    let (blocks, mut there) = (size / BLOCK, 0);
    let asked = 60.min(blocks);
    for nth in 0..asked {
        let (at, before) = (nth * blocks / asked * BLOCK, rig.sent().await);
        let range = format!("bytes={}-{}", at + 3, at + 90);
        let answer = client.get_with("/huge.bin", &[("Range", &range)]).await;
        assert_eq!(answer.status, 206);
        Sparse(at + 3).feed(&answer.body);
        let cost = rig.sent().await - before;
        assert!(cost == 0 || cost == BLOCK, "{cost} bytes for a few");
        there += u64::from(cost == 0);
    }
    let files = content_files(&rig.file("cache"));
    let kept: u64 = files.iter().map(|file| fs::metadata(file).map_or(0, |found| found.len())).sum();
    println!(
        "of {asked} blocks {there} were there; {} files with {kept} bytes on {disk} of disk",
        files.len()
    );
    assert!(there > 0 && there < asked, "{there} of {asked}");
    assert!(kept > disk / 2 && kept <= disk, "{kept} of {disk}");
}
