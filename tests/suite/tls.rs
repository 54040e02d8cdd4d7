//! TLS to clients: what is shown to whom, what is spoken, and what becomes of files that change.

use std::net::SocketAddr;
use std::sync::Arc;

use forebay::admin::exposition;
use forebay::app::{Node, Running};
use forebay::base::clock::{Clock, Timestamp};
use forebay::config::{Configuration, Listen, Settings};
use forebay::listener::tls::certificate::Files;
use forebay::listener::tls::keeper::Named;
use forebay::listener::tls::{self, MinimumVersion};
use forebay::origin::connect::Tcp;
use forebay::telemetry::metrics::exposition::Format;
use http::HeaderValue;
use rustls::pki_types::ServerName;
use rustls::version::{TLS12, TLS13};
use rustls::{ProtocolVersion, SupportedProtocolVersion};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_util::sync::CancellationToken;

use crate::disk_rig::until;
use crate::rig::settings;
use crate::support::authority::{Authority, Pair};
use crate::support::bytes::pattern;
use crate::support::client::Client;
use crate::support::origin::{Act, Origin, SeenRequest, respond};
use crate::support::{ms, within};

const FRESH: (&str, &str) = ("Cache-Control", "max-age=60");

fn now() -> Timestamp {
    Clock::system().now()
}

/// A node that speaks TLS on its first listener, and its origin.
struct Site {
    authority: Authority,
    origin: Origin,
    running: Running,
}

fn page(_: &SeenRequest, _: usize) -> Vec<Act> {
    vec![respond("200 OK", &[FRESH], "page")]
}

impl Site {
    /// With these certificates, each for its hosts; the first is shown where none is for the host, if so wished.
    async fn new(
        certificates: &[(&str, &[&str])],
        default: bool,
        change: impl FnOnce(&mut Settings),
    ) -> Self {
        Self::of(certificates, default, change, page).await
    }

    async fn of(
        certificates: &[(&str, &[&str])],
        default: bool,
        change: impl FnOnce(&mut Settings),
        script: impl Fn(&SeenRequest, usize) -> Vec<Act> + Send + Sync + 'static,
    ) -> Self {
        let (authority, origin) = (Authority::new(), Origin::tcp(script).await);
        let mut settings = settings(&origin.url());
        settings.listen = vec![Listen {
            address: SocketAddr::from(([127, 0, 0, 1], 0)).into(),
            tls: true,
            http2: false,
            early_data: false,
            proxies: Vec::new(),
        }];
        let named = certificates.iter().enumerate().map(|(nth, (name, hosts))| Named {
            name: (*name).to_owned(),
            files: files(&authority.pair(name, hosts, 2999)),
            is_default: default && nth == 0,
        });
        settings.tls = Some(tls::Settings {
            certificates: named.collect(),
            policies: Vec::new(),
            ticket_keys: Vec::new(),
            early_data_sessions: None,
            minimum: MinimumVersion::Tls12,
            handshake_timeout: ms(5_000),
            reload_every: ms(3_600_000),
        });
        change(&mut settings);
        let running = Running::start(&settings, None).expect("a running node");
        Self { authority, origin, running }
    }

    fn addr(&self) -> SocketAddr {
        self.running.addresses[0].address.inet().expect("an address")
    }

    async fn shake(
        &self,
        host: &str,
        version: &'static SupportedProtocolVersion,
        protocols: &[&str],
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(self.addr()).await.expect("connects");
        let name = ServerName::try_from(host.to_owned()).expect("a name");
        self.authority.client(version, protocols).connect(name, stream).await
    }

    async fn client(&self, host: &str) -> Client<TlsStream<TcpStream>> {
        Client::over(self.shake(host, &TLS13, &["http/1.1"]).await.expect("a handshake"))
    }

    /// Waits until so many handshakes have come to nothing: a client knows before that is counted.
    async fn has_failed(&self, times: u64) {
        let failures = &self.running.node.counters.tls_failures;
        until("handshakes have failed", || failures.get() == times).await;
    }

    /// Whether a client that asks for a host is shown a certificate for it.
    async fn is_shown(&self, host: &str) -> bool {
        self.shake(host, &TLS13, &[]).await.is_ok()
    }
}

fn files(pair: &Pair) -> Files {
    Files { chain: pair.chain.clone(), key: pair.key.clone() }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_come_by_either_version_and_origins_learn_that_they_did() {
    let site = Site::new(&[("main", &["site.test"])], false, |_| {}).await;
    for (version, spoken) in [(&TLS12, ProtocolVersion::TLSv1_2), (&TLS13, ProtocolVersion::TLSv1_3)] {
        let stream = site.shake("site.test", version, &["h2", "http/1.1"]).await.expect("a handshake");
        let (_, session) = stream.get_ref();
        assert_eq!(session.protocol_version(), Some(spoken));
        assert_eq!(session.alpn_protocol(), Some(&b"http/1.1"[..]));
        let mut client = Client::over(stream);
        for path in ["/", "/", "/other"] {
            let answer = client.get(path).await;
            assert!(answer.status == 200 && answer.complete && answer.text() == "page");
        }
    }
    assert_eq!(site.origin.hits(), 2, "two pages, kept for all");
    let request = site.origin.exchange(0).request;
    assert_eq!(request.header("x-forwarded-proto"), Some("https"));
    assert!(request.header("forwarded").is_some_and(|forwarded| forwarded.ends_with("proto=https")));
    let counters = &site.running.node.counters;
    assert_eq!((counters.tls_handshakes.get(), counters.tls_failures.get()), (2, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_choose_http2_where_they_may() {
    let site =
        Site::new(&[("main", &["site.test"])], false, |settings| settings.listen[0].http2 = true).await;
    let stream = site.shake("site.test", &TLS13, &["h2", "http/1.1"]).await.expect("a handshake");
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (mut send, connection) = h2::client::handshake(stream).await.expect("HTTP/2");
    tokio::spawn(connection);
    let request = http::Request::get("https://site.test/").body(()).expect("a request");
    let (response, _) = send.send_request(request, true).expect("sent");
    let mut body = within(ms(10_000), response).await.expect("an answer").into_body();
    assert_eq!(body.data().await.expect("content").expect("content"), "page");
    // Who offers HTTP/1.1 alone, or nothing, has it.
    for offered in [&["http/1.1"][..], &[]] {
        let stream = site.shake("site.test", &TLS13, offered).await.expect("a handshake");
        assert_eq!(Client::over(stream).get("/").await.text(), "page");
    }
    assert_eq!(site.running.node.counters.http2_connections.get(), 1);
    assert_eq!(site.origin.exchange(0).request.header("x-forwarded-proto"), Some("https"));
}

#[tokio::test(flavor = "multi_thread")]
async fn curl_speaks_http2() {
    let body = pattern(9, 300_000);
    let site = Site::of(
        &[("main", &["site.test"])],
        false,
        |settings| settings.listen[0].http2 = true,
        move |_, _| vec![respond("200 OK", &[FRESH], &body)],
    )
    .await;
    let (ca, port) = (site.authority.file(), site.addr().port());
    let got = tempfile::NamedTempFile::new().expect("a file");
    for _ in 0..2 {
        let output = tokio::process::Command::new("curl")
            .args(["-sS", "--http2", "--max-time", "20", "-w", "%{http_version} %{http_code}", "--cacert"])
            .arg(&ca)
            .args(["--resolve", &format!("site.test:{port}:127.0.0.1"), "-o"])
            .arg(got.path())
            .arg(format!("https://site.test:{port}/file"))
            .output()
            .await
            .expect("curl");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(said, "2 200", "{}", String::from_utf8_lossy(&output.stderr));
        assert!(std::fs::read(got.path()).expect("a file") == pattern(9, 300_000), "as the origin sent it");
    }
    assert_eq!(site.origin.hits(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_gets_its_own_certificate_or_that_of_its_domain() {
    let certificates: [(&str, &[&str]); 3] =
        [("a", &["a.test", "www.a.test"]), ("b", &["*.b.test"]), ("c", &["x.b.test"])];
    let site = Site::new(&certificates, false, |_| {}).await;
    // The client looks whether what it is shown is for the host.
    for host in ["a.test", "WWW.a.test", "shop.b.test", "x.b.test"] {
        assert!(site.is_shown(host).await, "{host}");
    }
    for host in ["b.test", "x.y.b.test", "c.test", "127.0.0.1"] {
        let error = site.shake(host, &TLS13, &[]).await.expect_err(host).to_string();
        assert!(error.contains("UnrecognisedName"), "{host}: {error}");
    }
    site.has_failed(4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_default_is_shown_where_nothing_is_for_the_host() {
    let site = Site::new(&[("a", &["a.test"]), ("b", &["b.test"])], true, |_| {}).await;
    assert!(site.is_shown("a.test").await && site.is_shown("b.test").await);
    let error = site.shake("c.test", &TLS13, &[]).await.expect_err("another host's").to_string();
    assert!(error.contains("not valid for name"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_old_or_not_spoken_here_is_refused() {
    let site = Site::new(&[("main", &["site.test"])], false, |settings| {
        settings.tls.as_mut().expect("TLS").minimum = MinimumVersion::Tls13;
    })
    .await;
    let error = site.shake("site.test", &TLS12, &[]).await.expect_err("too old").to_string();
    assert!(error.contains("ProtocolVersion"), "{error}");
    let error = site.shake("site.test", &TLS13, &["h2"]).await.expect_err("not spoken").to_string();
    assert!(error.contains("NoApplicationProtocol"), "{error}");
    // Something that is no TLS gets an alert and an end, and harms nobody.
    let mut stream = TcpStream::connect(site.addr()).await.expect("connects");
    stream.write_all(b"GET / HTTP/1.1\r\nHost: site.test\r\n\r\n").await.expect("sent");
    let mut said = Vec::new();
    let _ = within(ms(5_000), stream.read_to_end(&mut said)).await;
    assert!(!said.starts_with(b"HTTP/"), "{said:?}");
    assert_eq!(site.client("site.test").await.get("/").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_client_is_let_go() {
    let site = Site::new(&[("main", &["site.test"])], false, |settings| {
        settings.tls.as_mut().expect("TLS").handshake_timeout = ms(50);
    })
    .await;
    let mut stream = TcpStream::connect(site.addr()).await.expect("connects");
    let mut nothing = [0; 1];
    let read = within(ms(5_000), stream.read(&mut nothing)).await;
    assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
    site.has_failed(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn long_content_arrives_whole_both_ways() {
    const LENGTH: usize = 3 << 20;
    let script = |request: &SeenRequest, _: usize| match request.method.as_str() {
        "POST" => vec![Act::ReadBody, respond("200 OK", &[], "taken")],
        _ => vec![respond("200 OK", &[FRESH], pattern(3, LENGTH))],
    };
    let site = Site::of(&[("main", &["site.test"])], false, |_| {}, script).await;
    let mut client = site.client("site.test").await;
    for _ in 0..2 {
        let answer = client.get("/long").await;
        assert!(answer.complete && answer.body == pattern(3, LENGTH));
    }
    let sent = pattern(5, LENGTH);
    client.request("POST", "/", &[("Content-Length", &LENGTH.to_string())], &sent).await;
    assert_eq!(client.read_answer().await.text(), "taken");
    assert!(site.origin.exchange(1).body == sent);
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_without_tls_are_sent_to_it_and_those_with_it_stay() {
    let script = |_: &SeenRequest, _: usize| {
        vec![respond("200 OK", &[FRESH, ("Strict-Transport-Security", "max-age=1")], "page")]
    };
    let change = |settings: &mut Settings| {
        settings.listen.push(Listen {
            address: SocketAddr::from(([127, 0, 0, 1], 0)).into(),
            tls: false,
            http2: false,
            early_data: false,
            proxies: Vec::new(),
        });
        settings.sites[0].tls_port = Some(443);
        settings.sites[0].policy.strict_transport = Some(HeaderValue::from_static("max-age=600"));
    };
    let site = Site::of(&[("main", &["site.test"])], false, change, script).await;
    let mut clear = Client::connect(site.running.addresses[1].address.inet().expect("an address")).await;
    // Authorities look there before there is a certificate.
    assert_eq!(clear.get_with("/.well-known/acme-challenge/x", &[("Host", "site.test")]).await.status, 200);
    clear.request("OPTIONS", "*", &[("Host", "site.test")], b"").await;
    assert_eq!(clear.read_answer().await.status, 200, "there is no URL to be sent to");
    let before = site.origin.hits();
    for (host, method) in [("site.test", "GET"), ("site.test:8080", "HEAD"), ("site.test", "POST")] {
        clear.request(method, "/a?b=c", &[("Host", host)], b"").await;
        let answer = clear.read_answer().await;
        assert_eq!(
            (answer.status, answer.header("location")),
            (308, Some("https://site.test/a?b=c")),
            "{host}"
        );
        assert_eq!(answer.header("strict-transport-security"), None, "it must not be said here");
    }
    assert_eq!(site.origin.hits(), before);
    let mut client = site.client("site.test").await;
    // From the origin, from memory by the short way, and by the long one.
    for fields in [&[][..], &[], &[("Range", "bytes=0-1")]] {
        let answer = client.get_with("/", fields).await;
        assert_eq!(answer.header_all("strict-transport-security"), ["max-age=600"], "{fields:?}");
    }
    client.request("POST", "/", &[("Content-Length", "99999999999")], b"").await;
    let refused = client.read_answer().await;
    assert_eq!((refused.status, refused.header("strict-transport-security")), (413, Some("max-age=600")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_replaced_when_both_its_files_are() {
    let site = Site::new(&[("main", &["old.test"])], false, |_| {}).await;
    let front = site.running.node.front().expect("TLS");
    let keeper = front.keeper();
    let refused = || keeper.states()[0].refused;
    let mut kept = site.client("old.test").await;
    assert_eq!(kept.get("/").await.status, 200);
    // The new certificate is there, its key is not yet.
    let next = site.authority.pair("next", &["new.test"], 2998);
    let main = site.authority.path("main");
    std::fs::rename(&next.chain, &main.chain).expect("renamed");
    for _ in 0..3 {
        keeper.look(now());
        assert!(refused() && site.is_shown("old.test").await && !site.is_shown("new.test").await);
    }
    std::fs::rename(&next.key, &main.key).expect("renamed");
    keeper.look(now());
    assert!(!refused() && site.is_shown("new.test").await && !site.is_shown("old.test").await);
    std::fs::write(&main.chain, "-----BEGIN CERTIFICATE-----\nrubbish").expect("written");
    keeper.look(now());
    assert!(refused() && site.is_shown("new.test").await);
    std::fs::remove_file(&main.chain).expect("removed");
    keeper.look(now());
    assert!(refused() && site.is_shown("new.test").await);
    assert_eq!(kept.get("/").await.status, 200, "who is connected stays so");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_shown_is_told_at_the_start() {
    let authority = Authority::new();
    let (one, other) = (authority.pair("one", &["a.test"], 2999), authority.pair("other", &["a.test"], 2999));
    let nameless = authority.pair("nameless", &[], 2999);
    let complaint = |chain: &std::path::Path, key: &std::path::Path| {
        let mut settings = settings("http://origin.test");
        let files = Files { chain: chain.to_owned(), key: key.to_owned() };
        settings.tls = Some(tls::Settings {
            certificates: vec![Named { name: "main".into(), files, is_default: false }],
            policies: Vec::new(),
            ticket_keys: Vec::new(),
            early_data_sessions: None,
            minimum: MinimumVersion::default(),
            handshake_timeout: ms(1_000),
            reload_every: ms(1_000),
        });
        let node = Node::build(&settings, Clock::system(), Arc::new(Tcp), None);
        node.map(drop).expect_err("no node").to_string()
    };
    for (chain, key, said) in [
        (&one.chain, &other.key, "the key is not that of the certificate"),
        (&one.key, &one.key, "there is no certificate in the chain"),
        (&one.chain, &one.chain, "the key cannot be read as a private key"),
        (&nameless.chain, &nameless.key, "is for no host"),
        (&one.chain.with_extension("none"), &one.key, "the chain cannot be read"),
    ] {
        let complaint = complaint(chain, key);
        assert!(
            complaint.starts_with("the certificate \"main\" (") && complaint.contains(said),
            "{complaint}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pair_that_does_not_match_and_one_that_has_expired_are_refused_and_told() {
    let site = Site::new(&[("main", &["old.test"])], false, |_| {}).await;
    let node = &site.running.node;
    let front = node.front().expect("TLS");
    let keeper = front.keeper();
    let (main, old) = (site.authority.path("main"), site.authority.path("old"));
    std::fs::rename(&main.key, &old.key).expect("renamed");
    site.authority.pair("next", &["new.test"], 2998);
    std::fs::rename(site.authority.path("next").chain, &main.chain).expect("renamed");
    for _ in 0..3 {
        keeper.look(now());
        assert!(keeper.states()[0].refused);
    }
    std::fs::rename(site.authority.path("next").key, &main.key).expect("renamed");
    keeper.look(now());
    assert!(!keeper.states()[0].refused && site.is_shown("new.test").await);
    // One that has expired does not replace one that has not.
    site.authority.pair("main", &["other.test"], 2020);
    keeper.look(now());
    assert!(keeper.states()[0].refused && site.is_shown("new.test").await);
    let handles = node.handles(CancellationToken::new());
    let text = exposition(&handles, Format::Text).finish();
    assert!(text.contains("forebay_certificate_refused{certificate=\"main\"} 1"), "{text}");
    let expires = format!(
        "forebay_certificate_expiry_time_seconds{{certificate=\"main\"}} {}",
        keeper.states()[0].expires.as_millis() / 1000
    );
    assert!(text.contains(&expires), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_takes_nothing_is_ended() {
    const LONG: usize = 64 << 20;
    let script = |_: &SeenRequest, _: usize| vec![respond("200 OK", &[FRESH], pattern(3, LONG))];
    let change = |settings: &mut Settings| settings.listener.write_timeout = ms(300);
    let site = Site::of(&[("main", &["site.test"])], false, change, script).await;
    let mut client = site.client("site.test").await;
    client.send("GET /long HTTP/1.1\r\nHost: site.test\r\n\r\n").await;
    // Nothing is read: the connection is ended, and its place is free again.
    let connections = site.running.node.machine.connections();
    until("it is ended", || connections.now() == 0).await;
    drop(client);
}

#[test]
fn check_doubts_what_tls_leaves_without_effect_or_without_a_certificate() {
    let authority = Authority::new();
    let pair = authority.pair("main", &["a.test", "*.b.test"], 2999);
    let said = |listener: &str, more: &str| {
        let text = format!(
            "[[listeners]]\naddress = \"127.0.0.1:1\"\n{listener}\n[certificates.main]\nchain = {:?}\nkey = {:?}\n\
             [sites.s]\nhosts = [\"a.test\", \"x.b.test\", \"*.b.test\", \"c.test\", \"*.d.test\"]\n\
             origins = [\"http://127.0.0.1:2\"]\n{more}",
            pair.chain, pair.key
        );
        let report = Configuration::read_text(std::path::Path::new("forebay.toml"), &text);
        assert!(report.configuration.is_some(), "{}", report.complaints);
        report.complaints.to_string()
    };
    let by_tls = said("tls = true", "");
    for host in ["c.test", "*.d.test"] {
        assert!(by_tls.contains(&format!("no certificate is for the host {host}:")), "{by_tls}");
    }
    assert_eq!(by_tls.matches("no certificate is for").count(), 2, "{by_tls}");
    assert_eq!(said("tls = true", "[tls]\ndefault_certificate = \"main\""), "");
    let clear = said("", "[sites.s.tls]\nredirect = 443\nstrict_below = true");
    for doubt in
        ["no listener shows the certificate", "which no listener speaks", "strict_below says more of strict"]
    {
        assert!(clear.contains(doubt), "{doubt} in {clear}");
    }
}
