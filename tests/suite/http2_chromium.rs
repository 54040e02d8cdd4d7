//! Chromium loading a whole page over HTTP/2: what it shows is what it shows of the origin.
//!
//! Runs only where `FOREBAY_CHROMIUM` is set, as the other test with a browser.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use crate::ranges_clients::{Rig, done};
use crate::support::authority::Authority;
use crate::support::origin::refusing_addr;

/// Pictures of the page, each a file.
const PICTURES: usize = 120;

/// Tells the origin by which protocol all came.
const SCRIPT: &str = r#"
document.getElementById("said").textContent = "The script has run.";
addEventListener("load", () => {
    const entries = [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")];
    const protocols = [...new Set(entries.map(entry => entry.nextHopProtocol))].sort().join("+");
    fetch(`/report?${entries.length}-${protocols}`);
});
"#;

/// A page of which every part is seen.
fn fill(site: &Path) {
    let mut page =
        "<!DOCTYPE html><link rel=stylesheet href=/style.css><h1>A page</h1><p id=said>No script.</p>"
            .to_owned();
    for nth in 0..PICTURES {
        let (red, green, blue) = (nth * 2, 255 - nth * 2, nth * 37 % 256);
        let picture = format!(
            "<svg xmlns='http://www.w3.org/2000/svg' width='40' height='40'>\
             <rect width='40' height='40' fill='rgb({red},{green},{blue})'/>\
             <text x='8' y='26' font-size='16'>{nth}</text><!--{}--></svg>",
            "x".repeat(nth * 300)
        );
        fs::write(site.join(format!("{nth}.svg")), picture).expect("write");
        let _ = write!(page, "<img src=/{nth}.svg width=40 height=40 alt={nth}>");
    }
    page += "<script src=/script.js></script>";
    fs::write(site.join("page.html"), page).expect("write");
    fs::write(site.join("script.js"), SCRIPT).expect("write");
    let style = "body{font:20px monospace;background:#ffd}h1{color:#135}img{margin:3px}";
    fs::write(site.join("style.css"), style).expect("write");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chromium_shows_a_page_by_http2_as_it_shows_the_origin_s() {
    if std::env::var_os("FOREBAY_CHROMIUM").is_none() {
        println!("not run: FOREBAY_CHROMIUM is not set");
        return;
    }
    let (authority, tls) = (Authority::new(), refusing_addr());
    let pair = authority.pair("main", &["localhost"], 2999);
    let (chain, key, listen) =
        (pair.chain.display().to_string(), pair.key.display().to_string(), tls.to_string());
    let rig = Rig::new(&["--tls-listen", &listen, "--cert", &chain, "--key", &key], fill).await;

    let shown = async |name: &str, base: &str| {
        let (file, profile) = (rig.file(&format!("{name}.png")), rig.file(name));
        let (screenshot, profile) =
            (format!("--screenshot={}", file.display()), format!("--user-data-dir={}", profile.display()));
        let url = format!("{base}/page.html");
        let flags =
            ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"];
        let more = ["--ignore-certificate-errors", "--window-size=900,900", "--virtual-time-budget=20000"];
        let quiet = ["--disable-background-networking", "--disable-component-update", "--hide-scrollbars"];
        let args = [&flags[..], &more, &quiet, &[&screenshot, &profile, &url]].concat();
        done("chromium", &args, std::time::Duration::from_mins(2)).await;
        fs::read(file).expect("a picture of it")
    };
    let reports = || {
        let log = rig.nginx.log("bytes.log");
        log.iter().filter_map(|line| Some(line.split_once("/report?")?.1.to_owned())).collect::<Vec<_>>()
    };
    let origin = shown("origin", &format!("http://{}", rig.nginx.address)).await;
    for round in ["cold", "warm"] {
        let through = shown(round, &format!("https://localhost:{}", tls.port())).await;
        assert!(through == origin, "{round}: it looks another way; see {}", rig.file("").display());
    }
    let all = PICTURES + 3;
    let expected = [format!("{all}-http/1.1"), format!("{all}-h2"), format!("{all}-h2")];
    let reports = reports();
    assert_eq!(reports.iter().map(|line| line.split(' ').next().unwrap_or("")).collect::<Vec<_>>(), expected);
    println!("{} bytes of picture, the same thrice; {reports:?}", origin.len());
}
