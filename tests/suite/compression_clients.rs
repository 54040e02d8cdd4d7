//! Programs that others wrote read what is coded here: curl, the command-line tools of each coding, and Chromium, of what is
//! coded as it leaves and of what is stored, by HTTP/1.1 and by HTTP/2 over TLS.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use crate::cli::FOREBAY;
use crate::compression_model::{MADE, text};
use crate::ranges_clients::done;
use crate::site::Nginx;
use crate::support::authority::{Authority, Pair};
use crate::support::ms;
use crate::support::origin::{Act, Origin, SeenRequest, chunk, head, last_chunk, refusing_addr};
use crate::support::process::Process;

const LIMIT: Duration = Duration::from_mins(1);

/// A node of its own process that makes codings, and speaks TLS with HTTP/2 beside plain HTTP/1.1.
struct Front {
    _node: Process,
    tls: u16,
    clear: u16,
    directory: TempDir,
}

impl Front {
    async fn new(pair: &Pair, origin: &str, codings: &[&str]) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let text = format!(
            "[[listeners]]\naddress = \"127.0.0.1:0\"\ntls = true\n\
             [[listeners]]\naddress = \"127.0.0.1:0\"\n\
             [log]\naccess = \"off\"\n\
             [compression]\ncodings = {codings:?}\n\
             [sites.main]\nhosts = [\"*\"]\norigins = [\"{origin}\"]\n\
             [certificates.main]\nchain = \"{}\"\nkey = \"{}\"\n",
            pair.chain.display(),
            pair.key.display()
        );
        let file = directory.path().join("forebay.toml");
        fs::write(&file, text).expect("write");
        let node = Process::start(FOREBAY, &["serve", "--config", file.to_str().expect("UTF-8")]);
        let port =
            |line: String| line.rsplit(':').next().and_then(|port| port.trim_end_matches('/').parse().ok());
        let tls = port(node.wait_for_line("listening on https://").await).expect("a port");
        let clear = port(node.wait_for_line("listening on http://").await).expect("a port");
        Self { _node: node, tls, clear, directory }
    }

    /// By TLS and in the clear.
    fn bases(&self) -> [String; 2] {
        [format!("https://localhost:{}", self.tls), format!("http://localhost:{}", self.clear)]
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// What curl gets for who takes this coding, as it comes unless `more` says otherwise: fields and content.
    async fn curl(&self, url: &str, coding: &str, more: &[&str]) -> (String, Vec<u8>) {
        let (fields, content) = (self.file("fields"), self.file("content"));
        let accept = format!("Accept-Encoding: {coding}");
        let args = [
            "-sSfk",
            "--http2",
            "-H",
            &accept,
            "-D",
            fields.to_str().unwrap(),
            "-o",
            content.to_str().unwrap(),
        ];
        done("curl", &[&args[..], more, &[url]].concat(), LIMIT).await;
        let fields = fs::read_to_string(fields).expect("fields").to_lowercase();
        (fields, fs::read(content).expect("content"))
    }

    /// Asks until a coding is stored.
    async fn store(&self, url: &str, coding: &str) {
        let deadline = tokio::time::Instant::now() + LIMIT;
        loop {
            let (fields, _) = self.curl(url, coding, &[]).await;
            assert!(fields.contains(&format!("content-encoding: {coding}")), "{url}: {fields}");
            if fields.contains("content-length") {
                return;
            }
            assert!(tokio::time::Instant::now() < deadline, "{url} is never stored in {coding}");
            tokio::time::sleep(ms(5)).await;
        }
    }
}

const LENGTH: usize = 120_000;

/// A text in pieces, between which time passes, so that they are flushed one by one.
fn pieces(_: &SeenRequest, _: usize) -> Vec<Act> {
    let fields = [
        ("Cache-Control", "max-age=600"),
        ("Content-Type", "text/html"),
        ("ETag", "\"v1\""),
        ("Transfer-Encoding", "chunked"),
    ];
    let mut acts = vec![head("200 OK", &fields)];
    for piece in text(LENGTH).chunks(LENGTH / 7) {
        acts.extend([chunk(piece), Act::Wait(ms(5))]);
    }
    acts.push(last_chunk(&[]));
    acts
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn curl_decodes_what_leaves_and_what_is_stored() {
    let (authority, origin) = (Authority::new(), Origin::tcp(pieces).await);
    let pair = authority.pair("main", &["localhost"], 2999);
    let front = Front::new(&pair, &origin.url(), &MADE).await;
    for (base, version) in front.bases().iter().zip(["http/2", "http/1.1"]) {
        for coding in MADE {
            let url = format!("{base}/{coding}");
            for round in ["streamed", "stored"] {
                let (fields, content) = front.curl(&url, coding, &["--compressed"]).await;
                assert!(fields.starts_with(version), "{fields}");
                assert!(fields.contains(&format!("content-encoding: {coding}\r\n")), "{url}: {fields}");
                assert_eq!(fields.contains("content-length"), round == "stored", "{url}: {fields}");
                assert!(content == text(LENGTH), "{url}, {round}");
                front.store(&url, coding).await;
            }
        }
        // As it asks by itself: for all that it knows.
        let both = self::whole(&front, &format!("{base}/any")).await;
        assert!(both.iter().all(|content| *content == text(LENGTH)), "{base}");
    }
    assert_eq!(origin.hits(), 8, "each by host, port and path");
}

/// What `curl --compressed` and curl alone get.
async fn whole(front: &Front, url: &str) -> [Vec<u8>; 2] {
    let file = front.file("whole");
    let mut both = [Vec::new(), Vec::new()];
    for (content, more) in both.iter_mut().zip([&["--compressed"][..], &[]]) {
        done("curl", &[&["-sSfk", "-o", file.to_str().unwrap()], more, &[url]].concat(), LIMIT).await;
        *content = fs::read(&file).expect("content");
    }
    both
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_tools_of_each_coding_read_what_leaves_and_what_is_stored() {
    let (authority, origin) = (Authority::new(), Origin::tcp(pieces).await);
    let pair = authority.pair("main", &["localhost"], 2999);
    let front = Front::new(&pair, &origin.url(), &MADE).await;
    let file = front.file("decoded");
    for base in front.bases() {
        for (coding, tool) in [("br", "brotli"), ("zstd", "zstd"), ("gzip", "gzip")] {
            let url = format!("{base}/{coding}");
            for round in ["streamed", "stored"] {
                let piped = format!(
                    "set -o pipefail; curl -sSfk -H 'Accept-Encoding: {coding}' '{url}' | {tool} -dc > '{}'",
                    file.display()
                );
                done("bash", &["-c", &piped], LIMIT).await;
                assert!(fs::read(&file).expect("content") == text(LENGTH), "{url}, {round}");
                front.store(&url, coding).await;
            }
            let (fields, content) = front.curl(&url, coding, &[]).await;
            assert!(fields.contains(&format!("content-length: {}\r\n", content.len())), "{fields}");
            assert!(content.len() * 3 < LENGTH, "{coding}: {} bytes of {LENGTH}", content.len());
        }
    }
    assert_eq!(origin.hits(), 6);
}

// ---- Chromium ----

/// Tells the origin by which protocol and in which codings all came.
const SCRIPT: &str = r#"
document.getElementById("said").textContent = "The script has run.";
addEventListener("load", () => {
    const entries = [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")];
    const seen = what => [...new Set(entries.map(what))].sort().join("+");
    const shorter = entries.filter(entry => entry.encodedBodySize * 2 < entry.decodedBodySize).length;
    const [protocols, codings] = [seen(entry => entry.nextHopProtocol), seen(entry => entry.contentEncoding || "none")];
    fetch(`/report?${entries.length}-${shorter}-${protocols}-${codings}`);
});
"#;

const FILES: [&str; 5] = ["page.html", "style.css", "script.js", "drawing.svg", "data.js"];

/// A page of which every file is long, repeats itself, and is seen.
fn fill(site: &Path) {
    let mut page =
        "<!DOCTYPE html><link rel=stylesheet href=/style.css><h1>A page</h1><p id=said>No script.</p>\
                    <p id=data>No data.</p><img src=/drawing.svg width=400 height=100 alt=drawing>"
            .to_owned();
    for line in String::from_utf8(text(20_000)).expect("text").lines() {
        let _ = write!(page, "<i>{line}</i> ");
    }
    page += "<script src=/script.js></script><script src=/data.js></script>";
    let mut style = "body{font:14px monospace;background:#ffd}h1{color:#135}".to_owned();
    let mut drawing = "<svg xmlns='http://www.w3.org/2000/svg' width='400' height='100'>".to_owned();
    for nth in 0..200 {
        let _ = writeln!(style, "i:nth-of-type({nth}){{color:rgb({nth},{},0)}}", 200 - nth);
        let _ = write!(
            drawing,
            "<rect x='{}' y='0' width='2' height='{}' fill='rgb({nth},0,99)'/>",
            nth * 2,
            nth / 2
        );
    }
    drawing += "</svg>";
    let data = format!(
        "document.getElementById('data').textContent = {:?}.length + ' characters of data';",
        String::from_utf8(text(50_000)).expect("text")
    );
    let script = format!("{SCRIPT}{}", "// What follows is there to be long.\n".repeat(200));
    for (name, content) in FILES.into_iter().zip([page, style, script, drawing, data]) {
        fs::write(site.join(name), content).expect("write");
    }
}

/// What Chromium shows of a page.
async fn shown(directory: &Path, name: &str, url: &str) -> Vec<u8> {
    let file = directory.join(format!("{name}.png"));
    let (screenshot, profile) = (
        format!("--screenshot={}", file.display()),
        format!("--user-data-dir={}", directory.join(name).display()),
    );
    let flags =
        ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"];
    let more = ["--ignore-certificate-errors", "--window-size=900,900", "--virtual-time-budget=20000"];
    let quiet = ["--disable-background-networking", "--disable-component-update", "--hide-scrollbars"];
    let args = [&flags[..], &more, &quiet, &[&screenshot, &profile, url]].concat();
    done("chromium", &args, Duration::from_mins(2)).await;
    fs::read(file).expect("a picture of it")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chromium_shows_a_coded_page_as_it_shows_the_origin_s() {
    if std::env::var_os("FOREBAY_CHROMIUM").is_none() {
        println!("not run: FOREBAY_CHROMIUM is not set");
        return;
    }
    let directory = tempfile::tempdir_in("/var/tmp").expect("a directory on a disk");
    let site = directory.path().join("site");
    fs::create_dir(&site).expect("a directory");
    fill(&site);
    let said = format!(
        "root '{}'; expires 1h; location /report {{ expires epoch; access_log bytes.log bytes; return 204; }}",
        site.display()
    );
    let nginx = Nginx::at(refusing_addr(), &said).await;
    let (authority, origin_url) = (Authority::new(), format!("http://{}", nginx.address));
    let pair = authority.pair("main", &["localhost"], 2999);

    let origin = shown(directory.path(), "origin", &format!("{origin_url}/page.html")).await;
    let mut expected = vec![format!("{}-0-http/1.1-none", FILES.len())];
    for (coding, over_tls) in [("br", true), ("zstd", true), ("gzip", true), ("br", false), ("gzip", false)] {
        let front = Front::new(&pair, &origin_url, &[coding]).await;
        let base = &front.bases()[usize::from(!over_tls)];
        for round in ["streamed", "stored"] {
            let name = format!("{coding}-{over_tls}-{round}");
            let through = shown(directory.path(), &name, &format!("{base}/page.html")).await;
            assert!(through == origin, "{name}: it looks another way");
            let protocol = if over_tls { "h2" } else { "http/1.1" };
            expected.push(format!("{0}-{0}-{protocol}-{coding}", FILES.len()));
            for file in FILES {
                front.store(&format!("{base}/{file}"), coding).await;
            }
        }
    }
    let log = nginx.log("bytes.log");
    let reports = log.iter().filter_map(|line| line.split_once("/report?")?.1.split(' ').next());
    assert_eq!(reports.collect::<Vec<_>>(), expected);
    println!("{} bytes of picture, the same {} times", origin.len(), expected.len());
}
