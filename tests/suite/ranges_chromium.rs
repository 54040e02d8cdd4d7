//! Chromium seeking in a real video: what it got through Forebay is what the file has.
//!
//! ffmpeg makes the film, with its index at the end, as a seekable file has it that was not made for streaming; a page
//! plays it, seeks to and fro, and reports. Runs only where `FOREBAY_CHROMIUM` is set, since it needs Debian's chromium
//! and ffmpeg: half a gigabyte.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

use crate::disk_rig::until;
use crate::ranges_clients::{Rig, done};
use crate::support::process::Process;

const BLOCK: u64 = 1 << 20;

/// Seeks to each place, and reports where it has come to and whether a frame is there.
const PAGE: &str = r#"<!DOCTYPE html><video id="film" src="/film.mp4" muted preload="metadata"></video><script>
const film = document.getElementById("film");
const once = name => new Promise(done => film.addEventListener(name, done, { once: true }));
const report = text => fetch("/report?" + encodeURIComponent(text));
film.addEventListener("error", () => report("error " + film.error.message));
async function play() {
    if (film.readyState < 1) await once("loadedmetadata");
    for (const part of [0.5, 0.9, 0.1, 0.75, 0.3, 0.97, 0.02]) {
        const arrived = once("seeked");
        film.currentTime = film.duration * part;
        await arrived;
        await report(`seeked ${part} ${Math.round(film.currentTime / film.duration * 100) / 100} ${film.readyState >= 2}`);
    }
    await report("done");
}
play();
</script>"#;

/// What passed over one connection.
#[derive(Default)]
struct Passed {
    asked: Vec<u8>,
    answered: Vec<u8>,
}

/// Passes every connection on to `to`, and keeps what passes.
async fn recorder(to: SocketAddr) -> (SocketAddr, Arc<Mutex<Vec<Arc<Mutex<Passed>>>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let (addr, all) = (listener.local_addr().unwrap(), Arc::<Mutex<Vec<_>>>::default());
    let connections = Arc::clone(&all);
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let Ok(server) = TcpStream::connect(to).await else { return };
            let passed = Arc::<Mutex<Passed>>::default();
            connections.lock().push(Arc::clone(&passed));
            let ((client_reads, client_writes), (server_reads, server_writes)) =
                (client.into_split(), server.into_split());
            let asked = Arc::clone(&passed);
            tokio::spawn(pass(client_reads, server_writes, move |bytes| asked.lock().asked.extend(bytes)));
            tokio::spawn(pass(server_reads, client_writes, move |bytes| {
                passed.lock().answered.extend(bytes);
            }));
        }
    });
    (addr, all)
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, keep: impl Fn(&[u8])) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        keep(&buffer[..read]);
        if to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}

/// Compares all parts of the film that came over a connection with the file; the last answer may have been cut off.
/// How many parts there were, and bytes in them.
#[track_caller]
fn compared(passed: &Passed, film: &[u8]) -> (usize, usize) {
    let targets = String::from_utf8_lossy(&passed.asked);
    let mut targets = targets.lines().filter_map(|line| line.strip_prefix("GET ")?.split(' ').next());
    let (mut rest, mut parts, mut bytes) = (&passed.answered[..], 0, 0);
    while let Some(end) = rest.windows(4).position(|window| window == b"\r\n\r\n") {
        let head = String::from_utf8_lossy(&rest[..end]).to_lowercase();
        let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        let length = field("content-length").map_or(0, |length| length.parse().expect("a length"));
        rest = &rest[end + 4..];
        let body = &rest[..rest.len().min(length)];
        if targets.next() == Some("/film.mp4") {
            let start: usize = if head.starts_with("http/1.1 206") {
                let range = field("content-range").expect("Content-Range").strip_prefix("bytes ").unwrap();
                assert!(range.ends_with(&format!("/{}", film.len())), "{range}");
                range.split('-').next().unwrap().parse().expect("a position")
            } else {
                assert!(head.starts_with("http/1.1 200"), "{head}");
                0
            };
            assert!(
                film[start..start + body.len()] == *body,
                "wrong bytes in the {} from {start} on",
                body.len()
            );
            (parts, bytes) = (parts + 1, bytes + body.len());
        }
        rest = &rest[body.len()..];
    }
    (parts, bytes)
}

/// A minute of noise, of about 60 MB, so that no seek is to what has been loaded along.
async fn make_film(site: &Path) {
    let film = site.join("film.mp4");
    let source = "testsrc2=size=640x360:rate=25,noise=alls=40:allf=t";
    let args = ["-loglevel", "error", "-f", "lavfi", "-i", source, "-t", "60", "-c:v", "libx264"];
    let quick = ["-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "25", "-b:v", "8M"];
    done("ffmpeg", &[&args[..], &quick, &[film.to_str().unwrap()]].concat(), Duration::from_mins(2)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chromium_seeks_in_a_video_and_gets_the_bytes_of_the_file() {
    if std::env::var_os("FOREBAY_CHROMIUM").is_none() {
        println!("not run: FOREBAY_CHROMIUM is not set");
        return;
    }
    let rig = Rig::new(&["--memory", "128MiB", "--disk", "512MiB"], |site| {
        fs::write(site.join("page.html"), PAGE).expect("write");
    })
    .await;
    make_film(&rig.file("site")).await;
    let film = fs::read(rig.file("site/film.mp4")).expect("the film");
    let (addr, passed) = recorder(rig.addr).await;

    for round in ["cold", "warm"] {
        passed.lock().clear();
        let before = rig.sent().await;
        let profile = format!("--user-data-dir={}", rig.file(round).display());
        let url = format!("http://{addr}/page.html?{round}");
        let flags =
            ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"];
        let quiet = ["--disable-background-networking", "--disable-component-update", "--mute-audio"];
        let debugging = ["--remote-debugging-port=0", &profile, &url];
        let mut chromium = Process::start("chromium", &[&flags[..], &quiet, &debugging].concat());
        let reports = || {
            let log = rig.nginx.log("bytes.log");
            let report = |line: &String| Some(line.split_once("/report?")?.1.replace("%20", " "));
            log.iter().filter_map(report).collect::<Vec<_>>()
        };
        let times = if round == "cold" { 1 } else { 2 };
        let is_done = || reports().iter().filter(|report| report.starts_with("done")).count() == times;
        until("the page has reported all seeks", is_done).await;
        chromium.terminate();
        chromium.exit_code().await;
        let reports = reports();
        let sent = rig.sent().await - before;
        let (mut parts, mut bytes) = (0, 0);
        for connection in passed.lock().iter() {
            let (more_parts, more_bytes) = compared(&connection.lock(), &film);
            (parts, bytes) = (parts + more_parts, bytes + more_bytes);
        }
        println!(
            "{round}: {bytes} bytes in {parts} parts of a film of {} were those of the file; {sent} of the origin",
            film.len()
        );
        println!("{reports:?}");
        assert!(reports.iter().all(|report| !report.starts_with("error")), "{reports:?}");
        for part in ["0.5 0.5", "0.9 0.9", "0.1 0.1", "0.75 0.75", "0.3 0.3", "0.97 0.97", "0.02 0.02"] {
            let seeked = format!("seeked {part} true");
            let count = reports.iter().filter(|report| report.starts_with(&seeked)).count();
            assert_eq!(count, times, "{part}: {reports:?}");
        }
        assert!(parts > 3, "it never seeked by a range");
        let most = if round == "cold" { bytes as u64 + parts as u64 * 6 * BLOCK } else { 40 * BLOCK };
        assert!(sent <= most, "{sent} bytes of the origin for {bytes} in {parts} parts");
    }
}
