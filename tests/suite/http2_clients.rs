//! Programs that others wrote as clients: nghttp and h2load by HTTP/2, OpenSSL with every suite that is offered.

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tokio::process::Command;

use crate::support::authority::Authority;
use crate::support::bytes::pattern;
use crate::support::origin::{Act, Origin, SeenRequest, respond};
use crate::support::process::Process;
use crate::support::within;

/// A node of its own process that speaks TLS, and HTTP/2 in the clear beside it.
struct Front {
    node: Process,
    origin: Origin,
    tls: u16,
    clear: u16,
    directory: TempDir,
}

impl Front {
    /// Shows the certificates in these pairs of files.
    async fn new(
        pairs: &[(&Path, &Path)],
        script: impl Fn(&SeenRequest, usize) -> Vec<Act> + Send + Sync + 'static,
    ) -> Self {
        let (directory, origin) = (tempfile::tempdir().expect("a directory"), Origin::tcp(script).await);
        let mut text = format!(
            "[[listeners]]\naddress = \"127.0.0.1:0\"\ntls = true\n\
             [[listeners]]\naddress = \"127.0.0.1:0\"\nhttp2 = true\n\
             [log]\naccess = \"off\"\n\
             [sites.main]\nhosts = [\"*\"]\norigins = [\"{}\"]\n",
            origin.url()
        );
        for (nth, (chain, key)) in pairs.iter().enumerate() {
            let (chain, key) = (chain.display(), key.display());
            let _ = writeln!(text, "[certificates.c{nth}]\nchain = \"{chain}\"\nkey = \"{key}\"");
        }
        let file = directory.path().join("forebay.toml");
        std::fs::write(&file, text).expect("write");
        let args = ["serve".as_ref(), "--config".as_ref(), file.as_os_str()];
        let node = Process::start(env!("CARGO_BIN_EXE_forebay"), &args);
        let port =
            |line: String| line.rsplit(':').next().and_then(|port| port.trim_end_matches('/').parse().ok());
        let tls = port(node.wait_for_line("listening on https://").await).expect("a port");
        let clear = port(node.wait_for_line("listening on http://").await).expect("a port");
        Self { node, origin, tls, clear, directory }
    }

    /// What a program says until its end, which has to be a good one.
    async fn said(&self, program: &str, args: &[&str]) -> String {
        let output = self.ended(program, args).await;
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    }

    async fn ended(&self, program: &str, args: &[&str]) -> Output {
        let mut command = Command::new(program);
        command.args(args).current_dir(self.directory.path()).stdin(Stdio::null()).kill_on_drop(true);
        let output = within(Duration::from_mins(1), command.output()).await;
        let output =
            output.unwrap_or_else(|error| panic!("{program} does not start ({error}): .ci/run installs it"));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{program} {args:?}\n{said}\n{}", self.node.lines().join("\n"));
        output
    }
}

fn page(request: &SeenRequest, _: usize) -> Vec<Act> {
    let length = request.target.trim_start_matches('/').parse().unwrap_or(10);
    vec![respond("200 OK", &[("Cache-Control", "max-age=60")], pattern(5, length))]
}

#[tokio::test(flavor = "multi_thread")]
async fn nghttp_gets_what_the_origin_has() {
    let authority = Authority::new();
    let pair = authority.pair("main", &["localhost"], 2999);
    let front = Front::new(&[(&pair.chain, &pair.key)], page).await;
    for base in [format!("https://localhost:{}", front.tls), format!("http://localhost:{}", front.clear)] {
        for length in [10, 100_000, 300_000, 100_000] {
            let output = front.ended("nghttp", &[&format!("{base}/{length}")]).await;
            assert!(output.stdout == pattern(5, length), "{base}/{length}");
        }
    }
    assert_eq!(front.origin.hits(), 6, "by host and port, three each");
}

#[tokio::test(flavor = "multi_thread")]
async fn nghttp_is_told_what_stands_in_the_answers() {
    let authority = Authority::new();
    let pair = authority.pair("main", &["localhost"], 2999);
    let front = Front::new(&[(&pair.chain, &pair.key)], page).await;
    let url = format!("https://localhost:{}/10", front.tls);
    let miss = front.said("nghttp", &["-v", "-n", &url]).await;
    assert!(miss.contains(":status: 200") && miss.contains("fwd=uri-miss"), "{miss}");
    let hit = front.said("nghttp", &["-v", "-n", &url]).await;
    assert!(hit.contains(":status: 200") && hit.contains("; hit"), "{hit}");
    for said in ["The negotiated protocol: h2", "send GOAWAY frame"] {
        assert!(hit.contains(said), "{said}: {hit}");
    }
    assert!(!hit.contains("recv RST_STREAM") && !hit.contains("recv GOAWAY"), "{hit}");
}

#[tokio::test(flavor = "multi_thread")]
async fn h2load_gets_all_of_thousands_of_answers() {
    let authority = Authority::new();
    let pair = authority.pair("main", &["localhost"], 2999);
    let front = Front::new(&[(&pair.chain, &pair.key)], page).await;
    for (base, length, many) in [
        (format!("https://localhost:{}", front.tls), 1_000, "20000"),
        (format!("http://localhost:{}", front.clear), 1_000, "20000"),
        (format!("https://localhost:{}", front.tls), 1_000_000, "200"),
    ] {
        let url = format!("{base}/{length}");
        let said = front.said("h2load", &["-n", many, "-c", "8", "-m", "32", &url]).await;
        let expected = format!(
            "requests: {many} total, {many} started, {many} done, {many} succeeded, 0 failed, 0 errored, 0 timeout"
        );
        assert!(said.contains(&expected), "{said}");
        assert!(said.contains(&format!("status codes: {many} 2xx")), "{said}");
    }
    assert_eq!(front.origin.hits(), 3);
}

/// The suites that are offered, by the names that OpenSSL has for them.
const TLS_13: [&str; 3] =
    ["TLS_AES_256_GCM_SHA384", "TLS_AES_128_GCM_SHA256", "TLS_CHACHA20_POLY1305_SHA256"];
const TLS_12: [&str; 3] = ["AES256-GCM-SHA384", "AES128-GCM-SHA256", "CHACHA20-POLY1305"];

#[tokio::test(flavor = "multi_thread")]
async fn openssl_shakes_hands_with_every_suite_that_is_offered_and_no_other() {
    let authority = Authority::new();
    let (ecdsa, rsa) =
        (authority.pair("ecdsa", &["ecdsa.test"], 2999), tempfile::tempdir().expect("a directory"));
    let (chain, key) = (rsa.path().join("rsa.pem"), rsa.path().join("rsa.key.pem"));
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=rsa.test"])
        .args(["-addext", "subjectAltName=DNS:rsa.test", "-keyout"])
        .args([key.as_os_str(), "-out".as_ref(), chain.as_os_str()])
        .output()
        .await;
    assert!(made.expect("openssl").status.success());
    let front = Front::new(&[(&ecdsa.chain, &ecdsa.key), (&chain, &key)], page).await;
    let shaken = async |host: &str, args: &[&str]| {
        let to = format!("127.0.0.1:{}", front.tls);
        let mut command = Command::new("openssl");
        command.args(["s_client", "-connect", &to, "-servername", host]).args(args);
        command.stdin(Stdio::null()).kill_on_drop(true);
        let output = within(Duration::from_mins(1), command.output()).await.expect("openssl");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        said.lines().find_map(|line| line.strip_prefix("New, ")).unwrap_or("nothing").to_owned()
    };
    for (host, key) in [("ecdsa.test", "ECDSA"), ("rsa.test", "RSA")] {
        for suite in TLS_13 {
            let said = shaken(host, &["-tls1_3", "-ciphersuites", suite]).await;
            assert_eq!(said, format!("TLSv1.3, Cipher is {suite}"), "{host}");
        }
        for suite in TLS_12.map(|suite| format!("ECDHE-{key}-{suite}")) {
            let said = shaken(host, &["-tls1_2", "-cipher", &suite]).await;
            assert_eq!(said, format!("TLSv1.2, Cipher is {suite}"), "{host}");
        }
        let others = format!(
            "ALL:@SECLEVEL=0:!ECDHE-{key}-{}:!ECDHE-{key}-{}:!ECDHE-{key}-{}",
            TLS_12[0], TLS_12[1], TLS_12[2]
        );
        assert_eq!(
            shaken(host, &["-tls1_2", "-cipher", &others]).await,
            "(NONE), Cipher is (NONE)",
            "{host}"
        );
        for version in ["-tls1_1", "-tls1"] {
            let said = shaken(host, &[version, "-cipher", "ALL:@SECLEVEL=0"]).await;
            assert_eq!(said, "(NONE), Cipher is (NONE)", "{host} {version}");
        }
    }
}
