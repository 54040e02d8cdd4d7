//! Session tickets by keys in files: whose sessions are resumed where, what becomes of keys that change, and that no ticket
//! leads past what a site asks of its clients.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use forebay::admin::exposition;
use forebay::app::Running;
use forebay::base::clock::Clock;
use forebay::base::units::ByteSize;
use forebay::config::{Configuration, Settings};
use forebay::telemetry::metrics::exposition::Format;
use rustls::pki_types::ServerName;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, HandshakeKind, SupportedProtocolVersion};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;

use crate::support::authority::{Authority, Pair};
use crate::support::client::Client;
use crate::support::origin::{Origin, SeenRequest, respond};
use crate::support::process::run;
use crate::support::{ms, within};

const HOST: &str = "site.test";

/// What nodes of one operator have in common, and who is behind them.
struct Fleet {
    authority: Authority,
    shown: Pair,
    origin: Origin,
    keys: tempfile::TempDir,
}

impl Fleet {
    async fn new() -> Self {
        let authority = Authority::new();
        let shown = authority.pair("main", &[HOST, "127.0.0.1"], 2999);
        let origin = Origin::tcp(|_: &SeenRequest, _| vec![respond("200 OK", &[], "page")]).await;
        Self { authority, shown, origin, keys: tempfile::tempdir().expect("a directory") }
    }

    /// A file with a new key, in place of what is there by this name.
    fn key(&self, name: &str) -> PathBuf {
        let (file, mut rng) = (self.keys.path().join(name), fastrand::Rng::new());
        fs::write(&file, std::iter::repeat_with(|| rng.u8(..)).take(80).collect::<Vec<_>>())
            .expect("written");
        file
    }

    /// A node with these keys of tickets, and `more` said of its site.
    fn node(&self, keys: &[&Path], more: &str) -> Running {
        let text = format!(
            "[[listeners]]\naddress = \"127.0.0.1:0\"\ntls = true\n\
             [tls]\ndefault_certificate = \"own\"\nreload_every = \"1h\"\nticket_keys = {keys:?}\n\
             [certificates.own]\nchain = \"{}\"\nkey = \"{}\"\n\
             [sites.s]\nhosts = [\"*\"]\norigins = [{:?}]\n{more}",
            self.shown.chain.display(),
            self.shown.key.display(),
            self.origin.url()
        );
        let report = Configuration::read_text(Path::new("forebay.toml"), &text);
        let mut written = report.configuration.unwrap_or_else(|| panic!("{}", report.complaints));
        written.memory.limit = ByteSize::mib(128);
        written.node.workers = Some(2);
        Running::start(&Settings::compile(&written).expect("settings"), None).expect("a running node")
    }

    /// A client that remembers its sessions.
    fn client(&self, version: &'static SupportedProtocolVersion) -> Arc<ClientConfig> {
        Arc::new(self.authority.client_who(None, version, &["http/1.1"]))
    }
}

fn address(node: &Running) -> SocketAddr {
    node.addresses[0].address.inet().expect("an address")
}

/// Shakes hands, asks for a page, and tells by what kind of a handshake.
async fn visit(client: &Arc<ClientConfig>, node: &Running) -> HandshakeKind {
    let stream = TcpStream::connect(address(node)).await.expect("connects");
    let name = ServerName::try_from(HOST).expect("a name");
    let shaken = TlsConnector::from(Arc::clone(client)).connect(name, stream).await.expect("a handshake");
    let kind = shaken.get_ref().1.handshake_kind().expect("a handshake");
    // The tickets of TLS 1.3 come before the answer.
    assert_eq!(Client::over(shaken).get("/").await.text(), "page");
    kind
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_of_one_node_is_resumed_at_every_node_with_its_key_and_at_no_other() {
    let fleet = Fleet::new().await;
    let (shared, other) = (fleet.key("shared"), fleet.key("other"));
    let (one, two) = (fleet.node(&[&shared], ""), fleet.node(&[&shared], ""));
    let (stranger, alone) = (fleet.node(&[&other], ""), fleet.node(&[], ""));
    for version in [&TLS12, &TLS13] {
        let client = fleet.client(version);
        assert_eq!(visit(&client, &one).await, HandshakeKind::Full);
        for node in [&one, &two, &one] {
            assert_eq!(visit(&client, node).await, HandshakeKind::Resumed, "{version:?}");
        }
        for node in [&stranger, &alone] {
            let client = fleet.client(version);
            assert_eq!(visit(&client, &one).await, HandshakeKind::Full);
            assert_eq!(visit(&client, node).await, HandshakeKind::Full, "{version:?}");
            assert_eq!(visit(&client, node).await, HandshakeKind::Resumed, "by a ticket of its own");
        }
    }
    let resumptions = |node: &Running| node.node.counters.tls_resumptions.get();
    assert_eq!([&one, &two, &stranger, &alone].map(resumptions), [4, 2, 2, 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn openssl_takes_its_session_from_node_to_node() {
    let fleet = Fleet::new().await;
    let (shared, other) = (fleet.key("shared"), fleet.key("other"));
    let (one, two, stranger) =
        (fleet.node(&[&shared], ""), fleet.node(&[&shared], ""), fleet.node(&[&other], ""));
    let (ca, kept) = (fleet.authority.file(), fleet.keys.path().join("session"));
    let (ca, kept) = (ca.to_str().expect("text"), kept.to_str().expect("text"));
    for version in ["-tls1_2", "-tls1_3"] {
        for (node, session, said) in
            [(&one, "-sess_out", "New, "), (&two, "-sess_in", "Reused, "), (&stranger, "-sess_in", "New, ")]
        {
            let at = address(node).to_string();
            // It reads until the answer has come, and with it the tickets of TLS 1.3.
            let command = format!(
                "printf 'GET / HTTP/1.1\\r\\nHost: {HOST}\\r\\nConnection: close\\r\\n\\r\\n' | timeout 20 openssl \
                 s_client -ign_eof {version} -connect {at} -servername {HOST} -CAfile {ca} {session} {kept}"
            );
            let told = run("sh", &["-c", &command]).await;
            let text = String::from_utf8_lossy(&told.stdout);
            assert!(text.contains(said) && text.contains("page"), "{version} {session}: {text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_replaced_without_a_reload_and_old_tickets_hold_while_their_key_is_listed() {
    let fleet = Fleet::new().await;
    let (now, before) = (fleet.key("now"), fleet.key("before"));
    let node = fleet.node(&[&now, &before], "");
    let front = node.node.front().expect("TLS");
    let look = || front.look(Clock::system().now());
    let [stays, leaves] = [&TLS13, &TLS12].map(|version| fleet.client(version));
    for client in [&stays, &leaves] {
        assert_eq!(visit(client, &node).await, HandshakeKind::Full);
    }
    // By steps, each of which is looked at.
    fs::rename(&now, &before).expect("renamed");
    for _ in 0..2 {
        look();
        assert_eq!(front.ticket_keys_are_refused(), Some(true));
        assert_eq!(visit(&stays, &node).await, HandshakeKind::Resumed, "by the old keys");
    }
    fleet.key("now");
    look();
    assert_eq!(front.ticket_keys_are_refused(), Some(false));
    assert_eq!(visit(&stays, &node).await, HandshakeKind::Resumed, "by the key that is the second now");
    assert_eq!(visit(&stays, &node).await, HandshakeKind::Resumed, "by a ticket of the new key");
    // Once more: who has not come in between has a ticket of a key that is gone.
    fs::rename(&now, &before).expect("renamed");
    fleet.key("now");
    look();
    assert_eq!(visit(&stays, &node).await, HandshakeKind::Resumed);
    assert_eq!(visit(&leaves, &node).await, HandshakeKind::Full);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_key_leaves_the_old_ones_and_is_told() {
    let fleet = Fleet::new().await;
    let key = fleet.key("now");
    let node = fleet.node(&[&key], "");
    let front = node.node.front().expect("TLS");
    let client = fleet.client(&TLS13);
    visit(&client, &node).await;
    let told = || exposition(&node.node.handles(CancellationToken::new()), Format::Text).finish();
    assert!(told().contains("forebay_ticket_keys_refused 0"), "{}", told());
    for wrong in [&b"secret"[..], &[7; 80], &[]] {
        fs::write(&key, wrong).expect("written");
        for _ in 0..3 {
            front.look(Clock::system().now());
            assert!(told().contains("forebay_ticket_keys_refused 1"), "{}", told());
        }
        assert_eq!(visit(&client, &node).await, HandshakeKind::Resumed);
    }
    fleet.key("now");
    front.look(Clock::system().now());
    assert!(told().contains("forebay_ticket_keys_refused 0"), "{}", told());
    assert_eq!(visit(&client, &node).await, HandshakeKind::Full, "the old key is gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_ticket_leads_past_what_a_site_asks_at_another_node() {
    let fleet = Fleet::new().await;
    let shared = fleet.key("shared");
    let clients = Authority::called("of clients");
    let good = clients.pair("good", &["client.test"], 2999);
    let asks = |what: &str| {
        format!("[sites.s.tls]\nclient_certificates = \"{what}\"\nclient_ca = {:?}\n", clients.file())
            + "tell_client_certificate = \"certificate\"\n"
    };
    let open = fleet.node(&[&shared], "");
    let (must, may) = (fleet.node(&[&shared], &asks("required")), fleet.node(&[&shared], &asks("optional")));
    for version in [&TLS12, &TLS13] {
        // Who has a session of the node that asks for nothing is let in nowhere else without a certificate.
        let client = fleet.client(version);
        visit(&client, &open).await;
        assert_eq!(visit(&client, &open).await, HandshakeKind::Resumed);
        assert_eq!(visit(&client, &may).await, HandshakeKind::Full);
        let hits = fleet.origin.hits();
        let stream = TcpStream::connect(address(&must)).await.expect("connects");
        let name = ServerName::try_from(HOST).expect("a name");
        let shaken = TlsConnector::from(Arc::clone(&client)).connect(name, stream).await;
        let refused = match shaken {
            Err(error) => error,
            // By TLS 1.3 the client is told once it is done.
            Ok(mut shaken) => {
                let _ = shaken.write_all(b"GET / HTTP/1.1\r\nHost: site.test\r\n\r\n").await;
                within(ms(5_000), shaken.read(&mut [0])).await.expect_err("refused")
            }
        };
        let said = refused.to_string();
        assert!(said.contains("CertificateRequired") || said.contains("HandshakeFailure"), "{said}");
        assert_eq!(fleet.origin.hits(), hits);
        // A session that began with a certificate gets no ticket, for whichever node.
        let shows = Arc::new(fleet.authority.client_who(Some(&good), version, &["http/1.1"]));
        for node in [&must, &must, &may, &open, &must] {
            assert_eq!(visit(&shows, node).await, HandshakeKind::Full);
        }
    }
}
