//! Client certificates: who is let in to which site, by which ways nobody is, and what origins are told.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use forebay::admin::exposition;
use forebay::app::Running;
use forebay::base::clock::Clock;
use forebay::base::units::ByteSize;
use forebay::config::{Configuration, Settings};
use forebay::listener::tls::authorities::{Authorities, AuthoritiesError};
use forebay::listener::tls::provider;
use forebay::route::Router;
use forebay::telemetry::metrics::Metrics;
use forebay::telemetry::metrics::exposition::Format;
use http::StatusCode;
use rustls::client::{
    ClientSessionMemoryCache, ClientSessionStore, Tls12ClientSessionValue, Tls13ClientSessionValue,
};
use rustls::pki_types::ServerName;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, HandshakeKind, NamedGroup, SupportedProtocolVersion};
use sfv::{BareItem, Parser};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::sync::CancellationToken;

use crate::disk_rig::until;
use crate::support::authority::{Authority, Pair};
use crate::support::client::Client;
use crate::support::origin::{Act, Origin, SeenRequest, respond};
use crate::support::{ms, within};

const VERSIONS: [&SupportedProtocolVersion; 2] = [&TLS12, &TLS13];

/// What the node's own certificate is for. Of `nobody.test` there is no site.
const HOSTS: [&str; 9] = [
    "open.test",
    "must.test",
    "*.must.test",
    "same.test",
    "other.test",
    "may.test",
    "told.test",
    "nobody.test",
    "127.0.0.1",
];

/// A node with sites that ask for different things, by TLS on its first listener, in the clear on its second.
struct Sites {
    node: Authority,
    clients: Authority,
    strangers: Authority,
    origin: Origin,
    running: Running,
    good: Pair,
    strange: Pair,
}

fn page(request: &SeenRequest, nth: usize) -> Vec<Act> {
    if request.target == "/varies" {
        let fields = [("Cache-Control", "max-age=60"), ("Vary", "Accept, Client-Cert")];
        return vec![respond("200 OK", &fields, format!("page {nth}"))];
    }
    vec![respond("200 OK", &[("Cache-Control", "max-age=60")], format!("page {nth}"))]
}

/// The node's, its clients', and one that nobody knows.
fn authorities() -> (Authority, Authority, Authority) {
    (Authority::new(), Authority::called("of clients"), Authority::called("of strangers"))
}

impl Sites {
    async fn new() -> Self {
        Self::with("").await
    }

    /// With `more` in the table of TLS of the site `must`.
    async fn with(more: &str) -> Self {
        let (node, clients, strangers) = authorities();
        let good = clients.pair("good", &["client.test"], 2999);
        let strange = strangers.pair("strange", &["client.test"], 2999);
        Self::of(node, clients, strangers, (good, strange), more).await
    }

    async fn of(
        node: Authority,
        clients: Authority,
        strangers: Authority,
        (good, strange): (Pair, Pair),
        more: &str,
    ) -> Self {
        let origin = Origin::tcp(page).await;
        let shown = node.pair("node", &HOSTS, 2999);
        let (ca, other_ca) = (clients.file(), strangers.file());
        let site = |name: &str, hosts: &str, tls: &str| {
            format!(
                "[sites.{name}]\nhosts = [{hosts}]\norigins = [{:?}]\n[sites.{name}.tls]\n{tls}\n",
                origin.url()
            )
        };
        let required =
            format!("client_certificates = \"required\"\nclient_ca = \"{}\"\n{more}", ca.display());
        let asks = |what: &str, ca: &Path| {
            format!("client_certificates = \"{what}\"\nclient_ca = \"{}\"\n", ca.display())
        };
        let tells = |what: &str| format!("tell_client_certificate = \"{what}\"\n");
        let text = [
            "[[listeners]]\naddress = \"127.0.0.1:0\"\ntls = true\n".to_owned(),
            "[[listeners]]\naddress = \"127.0.0.2:0\"\n".to_owned(),
            "[tls]\ndefault_certificate = \"own\"\nreload_every = \"1h\"\n".to_owned(),
            format!(
                "[certificates.own]\nchain = \"{}\"\nkey = \"{}\"\n",
                shown.chain.display(),
                shown.key.display()
            ),
            site("open", "\"open.test\"", ""),
            site("must", "\"must.test\", \"*.must.test\"", &required),
            site("same", "\"same.test\"", &format!("{required}\nredirect = 443")),
            site("other", "\"other.test\"", &asks("required", &other_ca)),
            site("may", "\"may.test\"", &(asks("optional", &ca) + &tells("certificate"))),
            site("told", "\"told.test\"", &(asks("required", &ca) + &tells("chain"))),
        ];
        let report = Configuration::read_text(Path::new("forebay.toml"), &text.concat());
        let mut written = report.configuration.unwrap_or_else(|| panic!("{}", report.complaints));
        written.memory.limit = ByteSize::mib(128);
        written.node.workers = Some(2);
        let settings = Settings::compile(&written).expect("settings");
        let running = Running::start(&settings, None).expect("a running node");
        Self { node, clients, strangers, origin, running, good, strange }
    }

    fn addr(&self) -> SocketAddr {
        self.running.addresses[0].address.inet().expect("an address")
    }

    fn client(&self, shows: Option<&Pair>, version: &'static SupportedProtocolVersion) -> ClientConfig {
        self.node.client_who(shows, version, &["http/1.1"])
    }

    async fn shake(&self, config: ClientConfig, name: &str) -> std::io::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(self.addr()).await.expect("connects");
        let name = ServerName::try_from(name.to_owned()).expect("a name");
        TlsConnector::from(Arc::new(config)).connect(name, stream).await
    }

    async fn connect(&self, shows: Option<&Pair>, name: &str) -> Client<TlsStream<TcpStream>> {
        Client::over(self.shake(self.client(shows, &TLS13), name).await.expect("a handshake"))
    }

    /// The whole of what is answered by this version to a request for `host` on a connection that was made for it, or why
    /// there is no answer: by TLS 1.3 a client learns only after its handshake that it is refused.
    async fn ask(
        &self,
        shows: Option<&Pair>,
        version: &'static SupportedProtocolVersion,
        host: &str,
    ) -> Result<String, String> {
        let asked = async {
            let mut stream = self.shake(self.client(shows, version), host).await?;
            let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
            stream.write_all(request.as_bytes()).await?;
            let mut said = String::new();
            stream.read_to_string(&mut said).await?;
            Ok(said)
        };
        within(ms(10_000), asked).await.map_err(|error: std::io::Error| error.to_string())
    }

    /// That such a client is let in, by either version.
    async fn lets_in(&self, shows: Option<&Pair>, host: &str) {
        for version in VERSIONS {
            let said = self.ask(shows, version, host).await;
            assert!(said.as_ref().is_ok_and(|said| said.starts_with("HTTP/1.1 200 ")), "{host}: {said:?}");
        }
    }

    /// That such a client is refused with this alert, by either version.
    async fn refuses(&self, shows: Option<&Pair>, host: &str, alert: &str) {
        let counters = &self.running.node.counters;
        let (failures, refused) = (&counters.tls_failures, &counters.refused_client_certificates);
        for version in VERSIONS {
            let (before, refused_before) = (failures.get(), refused.get());
            let said = self.ask(shows, version, host).await.expect_err("no answer");
            assert!(said.contains(alert), "{host}: {said}");
            until("it is counted", || failures.get() == before + 1 && refused.get() == refused_before + 1)
                .await;
        }
    }

    /// The value of a field in the last request that the origin had.
    fn told(&self, field: &str) -> Option<String> {
        let last = self.origin.exchange(self.origin.hits() - 1).request;
        last.header(field).map(str::to_owned)
    }
}

fn bytes(item: &BareItem) -> &[u8] {
    item.as_byte_sequence().expect("a byte sequence")
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_to_show_a_certificate_is_let_in_by_one_that_counts_alone() {
    let sites = Sites::new().await;
    let expired = sites.clients.pair("expired", &["client.test"], 2020);
    for host in ["must.test", "a.must.test", "MUST.test", "same.test"] {
        sites.lets_in(Some(&sites.good), host).await;
        sites.refuses(None, host, "CertificateRequired").await;
        sites.refuses(Some(&sites.strange), host, "UnknownCA").await;
        sites.refuses(Some(&expired), host, "CertificateExpired").await;
    }
    sites.lets_in(Some(&sites.strange), "other.test").await;
    sites.refuses(Some(&sites.good), "other.test", "UnknownCA").await;
    for shows in [None, Some(&sites.good), Some(&sites.strange)] {
        sites.lets_in(shows, "open.test").await;
    }
    // It is an admission, and nothing else: the page is kept for all who are let in.
    let pages = sites.origin.hits();
    sites.lets_in(Some(&sites.good), "must.test").await;
    assert_eq!(sites.origin.hits(), pages);
    assert_eq!(sites.told("client-cert"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_show_a_certificate_is_let_in_without_and_not_with_one_that_does_not_count() {
    let sites = Sites::new().await;
    let expired = sites.clients.pair("expired", &["client.test"], 2020);
    sites.lets_in(None, "may.test").await;
    sites.lets_in(Some(&sites.good), "may.test").await;
    sites.refuses(Some(&sites.strange), "may.test", "UnknownCA").await;
    sites.refuses(Some(&expired), "may.test", "CertificateExpired").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_other_connection_leads_to_a_site_that_asks_for_certificates() {
    let sites = Sites::new().await;
    let (good, strange) = (Some(&sites.good), Some(&sites.strange));
    // By SNI: the site's own, none, a host of no site, another site's that asks for nothing, or for something else.
    for (shows, name) in [
        (None, "open.test"),
        (good, "open.test"),
        (None, "127.0.0.1"),
        (good, "127.0.0.1"),
        (good, "nobody.test"),
        (strange, "other.test"),
        (None, "may.test"),
        (good, "may.test"),
        (good, "told.test"),
    ] {
        let mut client = sites.connect(shows, name).await;
        for host in ["must.test", "MUST.Test", "must.test.", "must.test:443", "must.test:8443", "x.must.test"]
        {
            for target in ["/", "*"] {
                let method = if target == "*" { "OPTIONS" } else { "GET" };
                client.request(method, target, &[("Host", host)], b"").await;
                let answer = client.read_answer().await;
                assert_eq!(answer.status, 421, "{host} on a connection for {name}");
                assert!(answer.text().contains("connections of its own"), "{}", answer.text());
            }
        }
        for target in ["https://must.test/", "http://must.test/", "https://MUST.test.:443/"] {
            for host in [name, "must.test", "open.test"] {
                client.request("GET", target, &[("Host", host)], b"").await;
                assert_eq!(client.read_answer().await.status, 421, "{target} on a connection for {name}");
            }
        }
        client.request("POST", "/", &[("Host", "must.test"), ("Content-Length", "5")], b"hello").await;
        assert_eq!(client.read_answer().await.status, 421);
    }
    assert_eq!(sites.origin.hits(), 0, "no origin hears of it");
    // Nor the other way round: who was asked for a certificate was not asked for nothing.
    let mut client = sites.connect(good, "must.test").await;
    for host in ["open.test", "may.test", "other.test", "told.test"] {
        assert_eq!(client.get_with("/", &[("Host", host)]).await.status, 421, "{host}");
    }
    // Of sites that ask for the same, one connection serves all.
    for host in ["must.test", "x.must.test", "same.test"] {
        assert_eq!(client.get_with("/", &[("Host", host)]).await.status, 200, "{host}");
    }
    let told = exposition(&sites.running.node.handles(CancellationToken::new()), Format::Text).finish();
    assert!(told.contains("forebay_rejected_requests_total{reason=\"other-policy\"}"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_of_http2_is_not_shared_by_sites_that_ask_for_different_things() {
    let sites = Sites::new().await;
    let hosts = ["open.test", "must.test", "same.test", "other.test", "may.test", "told.test"];
    for (name, served) in
        [("open.test", &hosts[..1]), ("must.test", &hosts[1..3]), ("may.test", &hosts[4..5])]
    {
        let config = sites.node.client_who(Some(&sites.good), &TLS13, &["h2"]);
        let stream = sites.shake(config, name).await.expect("a handshake");
        let (mut send, connection) = h2::client::handshake(stream).await.expect("HTTP/2");
        tokio::spawn(connection);
        for host in hosts {
            let request = http::Request::get(format!("https://{host}/")).body(()).expect("a request");
            let (response, _) = send.send_request(request, true).expect("sent");
            let status = within(ms(10_000), response).await.expect("an answer").status();
            let expected =
                if served.contains(&host) { StatusCode::OK } else { StatusCode::MISDIRECTED_REQUEST };
            assert_eq!(status, expected, "{host} on a connection for {name}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_gets_anything_in_the_clear_where_a_certificate_is_required() {
    let sites = Sites::new().await;
    let mut client = Client::connect(sites.running.addresses[1].address.inet().expect("an address")).await;
    for target in ["/", "/.well-known/acme-challenge/x", "https://must.test/", "http://must.test/"] {
        for host in ["must.test", "x.must.test", "MUST.test."] {
            assert_eq!(client.get_with(target, &[("Host", host)]).await.status, 421, "{host} {target}");
        }
    }
    let answer = client.get_with("/a", &[("Host", "same.test")]).await;
    assert_eq!((answer.status, answer.header("location")), (308, Some("https://same.test/a")));
    // Where there is no way to be sent to, or none is taken, it is the same as without.
    client.request("OPTIONS", "*", &[("Host", "same.test")], b"").await;
    assert_eq!(client.read_answer().await.status, 421);
    let challenge = "/.well-known/acme-challenge/x";
    assert_eq!(client.get_with(challenge, &[("Host", "same.test")]).await.status, 421);
    assert_eq!(sites.origin.hits(), 0);
    // Where it is not, they are served as clients without one.
    for host in ["open.test", "may.test"] {
        assert_eq!(client.get_with("/", &[("Host", host), ("Client-Cert", ":AAAA:")]).await.status, 200);
        assert_eq!(sites.told("client-cert"), None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn origins_are_told_of_certificates_and_what_they_answer_then_is_for_one_client() {
    let sites = Sites::new().await;
    let own = sites.good.certificates();
    let forged = [
        ("Client-Cert", ":AAAA:"),
        ("client-cert", ":BBBB:"),
        ("Client_Cert", ":CCCC:"),
        ("Client-Cert-Chain", ":DDDD:"),
        ("X-Client-Cert", "forged"),
    ];
    let mut client = sites.connect(Some(&sites.good), "may.test").await;
    for nth in 0..3 {
        let answer = client.get_with("/", &[&[("Host", "may.test")][..], &forged].concat()).await;
        assert_eq!((answer.status, answer.text()), (200, format!("page {nth}")));
        assert!(answer.cache_status().contains("fwd=bypass; detail=client-certificate"), "{answer:?}");
        let request = sites.origin.exchange(nth).request;
        assert_eq!(request.header_all("client-cert").len(), 1);
        let told = sites.told("client-cert").expect("a field");
        let item = Parser::new(&told).parse::<sfv::Item>().expect("an item");
        assert_eq!(bytes(&item.bare_item), &own[0][..]);
        for none in ["client-cert-chain", "client_cert", "x-client-cert"] {
            assert_eq!(sites.told(none), None);
        }
    }
    // Nothing of that is kept, and nothing that is kept is of that.
    let mut without = sites.connect(None, "may.test").await;
    for _ in 0..2 {
        let answer = without.get_with("/", &[&[("Host", "may.test")][..], &forged].concat()).await;
        assert_eq!(answer.text(), "page 3", "kept for all who show none");
        assert_eq!((sites.told("client-cert"), sites.told("client_cert")), (None, None));
    }
    assert_eq!(client.get_with("/", &[("Host", "may.test")]).await.text(), "page 4");
    assert_eq!(without.get_with("/", &[("Host", "may.test")]).await.text(), "page 3");
    // What varies by it is for no cache of the clients' either (RFC 9440 §2.4), and is not kept for who shows none.
    for (nth, shows) in (5..).zip([true, false, false]) {
        let client = if shows { &mut client } else { &mut without };
        let answer = client.get_with("/varies", &[("Host", "may.test")]).await;
        assert_eq!((answer.text(), answer.header("vary")), (format!("page {nth}"), Some("*")));
    }
    // Conditional requests and those with content too.
    for (method, fields) in [
        ("HEAD", &[("Host", "may.test"), ("If-Match", "\"a\"")][..]),
        ("POST", &[("Host", "may.test"), ("Content-Length", "0")]),
    ] {
        client.request(method, "/x", fields, b"").await;
        assert_eq!(client.read_answer().await.status, 200);
        assert!(sites.told("client-cert").is_some(), "{method}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn origins_are_told_of_the_chain_where_they_want_it() {
    let (node, clients, strangers) = authorities();
    let (good, strange) =
        (clients.pair("good", &["client.test"], 2999), strangers.pair("strange", &["client.test"], 2999));
    let chain = [&good.chain, &clients.file()].map(|file| std::fs::read_to_string(file).expect("PEM"));
    std::fs::write(&good.chain, chain.concat()).expect("written");
    let sites = Sites::of(node, clients, strangers, (good, strange), "").await;
    let shown = sites.good.certificates();
    assert_eq!(shown.len(), 2);
    let mut client = sites.connect(Some(&sites.good), "told.test").await;
    let answer = client.get_with("/", &[("Host", "told.test"), ("Client-Cert-Chain", ":AAAA:")]).await;
    assert_eq!(answer.status, 200);
    let told = sites.told("client-cert").expect("a field");
    assert_eq!(bytes(&Parser::new(&told).parse::<sfv::Item>().expect("an item").bare_item), &shown[0][..]);
    let chain = sites.told("client-cert-chain").expect("a field");
    let chain = Parser::new(&chain).parse::<sfv::List>().expect("a list");
    let [sfv::ListEntry::Item(beside)] = &chain[..] else { panic!("{chain:?}") };
    assert_eq!(bytes(&beside.bare_item), &shown[1][..]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_explained_is_what_a_client_with_a_certificate_would_get() {
    let sites = Sites::new().await;
    let machine = &sites.running.node.machine;
    let explained = async |url: &str| {
        let explanation = machine.explain("GET", url, &[]).await;
        explanation.map(|explanation| explanation.to_string()).map_err(|why| why.to_string())
    };
    let told = explained("https://told.test/").await.expect("an explanation");
    assert!(told.contains("tell_client_certificate"), "{told}");
    for url in ["https://must.test/", "https://may.test/", "http://may.test/"] {
        let other = explained(url).await.expect("an explanation");
        assert!(other.contains("fwd=uri-miss"), "{url}: {other}");
    }
    let why = explained("http://must.test/").await.expect_err("refused in the clear");
    assert!(why.contains("421"), "{why}");
}

/// Remembers sessions for one server, and offers them to all.
#[derive(Debug)]
struct Sessions(ClientSessionMemoryCache);

impl Sessions {
    fn server() -> ServerName<'static> {
        ServerName::try_from("any.test").expect("a name")
    }
}

impl ClientSessionStore for Sessions {
    fn set_kx_hint(&self, _: ServerName<'static>, group: NamedGroup) {
        self.0.set_kx_hint(Self::server(), group);
    }

    fn kx_hint(&self, _: &ServerName<'_>) -> Option<NamedGroup> {
        self.0.kx_hint(&Self::server())
    }

    fn set_tls12_session(&self, _: ServerName<'static>, value: Tls12ClientSessionValue) {
        self.0.set_tls12_session(Self::server(), value);
    }

    fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        self.0.tls12_session(&Self::server())
    }

    fn remove_tls12_session(&self, _: &ServerName<'static>) {
        self.0.remove_tls12_session(&Self::server());
    }

    fn insert_tls13_ticket(&self, _: ServerName<'static>, value: Tls13ClientSessionValue) {
        self.0.insert_tls13_ticket(Self::server(), value);
    }

    fn take_tls13_ticket(&self, _: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.0.take_tls13_ticket(&Self::server())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_session_is_resumed_where_a_certificate_is_asked_for() {
    let sites = Sites::new().await;
    for version in VERSIONS {
        // What a client has to show is the same for all: the library offers no session of another one's.
        let mut config = sites.client(Some(&sites.good), version);
        let store = Sessions(ClientSessionMemoryCache::new(8));
        config.resumption = rustls::client::Resumption::store(Arc::new(store));
        // A connection, with a request on it: the tickets of TLS 1.3 come behind the handshake.
        let asks = async |name: &str| {
            let stream = sites.shake(config.clone(), name).await.expect("a handshake");
            let kind = stream.get_ref().1.handshake_kind().expect("a handshake");
            let answer = Client::over(stream).get_with("/", &[("Host", name)]).await;
            assert_eq!(answer.status, 200, "{name}");
            kind
        };
        // Sessions of a host of which nothing is asked are resumed, and so are tried everywhere else.
        for name in ["must.test", "told.test", "may.test"] {
            asks("open.test").await;
            assert_eq!(asks("open.test").await, HandshakeKind::Resumed);
            for _ in 0..3 {
                assert_ne!(asks(name).await, HandshakeKind::Resumed, "{name}: neither another's nor its own");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn authorities_are_replaced_when_their_file_is() {
    let sites = Sites::new().await;
    let front = sites.running.node.front().expect("TLS");
    let look = || front.look(Clock::system().now());
    let mut kept = sites.connect(Some(&sites.good), "must.test").await;
    assert_eq!(kept.get_with("/", &[("Host", "must.test")]).await.status, 200);
    let before = std::fs::read(sites.clients.file()).expect("a file");
    for rubbish in ["", "-----BEGIN CERTIFICATE-----\nrubbish"] {
        std::fs::write(sites.clients.file(), rubbish).expect("written");
        (0..3).for_each(|_| look());
        sites.lets_in(Some(&sites.good), "must.test").await;
        sites.refuses(Some(&sites.strange), "must.test", "UnknownCA").await;
    }
    std::fs::copy(sites.strangers.file(), sites.clients.file()).expect("copied");
    look();
    sites.refuses(Some(&sites.good), "must.test", "UnknownCA").await;
    sites.lets_in(Some(&sites.strange), "must.test").await;
    assert_eq!(kept.get_with("/", &[("Host", "must.test")]).await.status, 200, "who is connected stays so");
    std::fs::write(sites.clients.file(), before).expect("written");
    look();
    sites.lets_in(Some(&sites.good), "must.test").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_authority_has_revoked_does_not_count() {
    let (node, clients, strangers) = authorities();
    let (good, strange) =
        (clients.pair("good", &["client.test"], 2999), strangers.pair("strange", &["client.test"], 2999));
    let bad = clients.pair("bad", &["client.test"], 2999);
    let list = clients.revoke(&[&bad], 2999);
    let more = format!("client_revocations = \"{}\"", list.display());
    let sites = Sites::of(node, clients, strangers, (good, strange), &more).await;
    sites.lets_in(Some(&sites.good), "must.test").await;
    sites.refuses(Some(&bad), "must.test", "CertificateRevoked").await;
    // The site that reads no list lets it in.
    sites.lets_in(Some(&bad), "may.test").await;
    let front = sites.running.node.front().expect("TLS");
    sites.clients.revoke(&[&bad, &sites.good], 2999);
    front.look(Clock::system().now());
    sites.refuses(Some(&sites.good), "must.test", "CertificateRevoked").await;
    sites.clients.revoke(&[], 2999);
    front.look(Clock::system().now());
    sites.lets_in(Some(&bad), "must.test").await;
    // One that has run out vouches for nobody.
    sites.clients.revoke(&[], 2021);
    front.look(Clock::system().now());
    assert!(sites.ask(Some(&sites.good), &TLS13, "must.test").await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn more_certificates_than_are_kept_are_refused() {
    let (node, clients, strangers) = authorities();
    let (good, strange) =
        (clients.pair("good", &["client.test"], 2999), strangers.pair("strange", &["client.test"], 2999));
    let [own, ca] = [&good.chain, &clients.file()].map(|file| std::fs::read_to_string(file).expect("PEM"));
    std::fs::write(&good.chain, own + &ca.repeat(50)).expect("written");
    let sites = Sites::of(node, clients, strangers, (good, strange), "").await;
    assert!(sites.ask(Some(&sites.good), &TLS13, "must.test").await.is_err());
    let refused = &sites.running.node.counters.refused_client_certificates;
    until("it is counted", || refused.get() == 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn curl_shows_its_certificate() {
    let sites = Sites::new().await;
    let (ca, port) = (sites.node.file(), sites.addr().port());
    let said = async |shows: Option<&Pair>, version: &str, host: &str| {
        let mut curl = tokio::process::Command::new("curl");
        curl.args([
            "-sS",
            version,
            "--max-time",
            "20",
            "-w",
            "%{http_version} %{http_code}",
            "-o",
            "/dev/null",
        ])
        .arg("--cacert")
        .arg(&ca)
        .args(["--resolve", &format!("{host}:{port}:127.0.0.1")]);
        if let Some(pair) = shows {
            curl.arg("--cert").arg(&pair.chain).arg("--key").arg(&pair.key);
        }
        let output = curl.arg(format!("https://{host}:{port}/")).output().await.expect("curl");
        let text = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&text).into_owned())
    };
    for (version, spoken) in [("--http1.1", "1.1"), ("--http2", "2")] {
        for host in ["must.test", "told.test", "may.test"] {
            assert_eq!(said(Some(&sites.good), version, host).await, (true, format!("{spoken} 200")));
        }
        assert_eq!(said(None, version, "may.test").await, (true, format!("{spoken} 200")));
        let (done, text) = said(None, version, "must.test").await;
        assert!(!done && text.contains("certificate required"), "{text}");
        let (done, text) = said(Some(&sites.strange), version, "must.test").await;
        assert!(!done && text.contains("unknown ca"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn openssl_takes_no_session_from_one_site_to_another() {
    let sites = Sites::new().await;
    let directory = tempfile::tempdir().expect("a directory");
    let session = directory.path().join("session");
    for version in ["-tls1_2", "-tls1_3"] {
        let said = async |name: &str, flag: &str| {
            let mut openssl = tokio::process::Command::new("openssl");
            openssl.args(["s_client", "-connect", &sites.addr().to_string(), "-servername", name, version]);
            let mut child = openssl
                .args(["-ign_eof", flag])
                .arg(&session)
                .stdin(std::process::Stdio::piped())
                .stdout(std::process::Stdio::piped())
                .stderr(std::process::Stdio::piped())
                .spawn()
                .expect("openssl");
            let request = format!("GET / HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n");
            let mut stdin = child.stdin.take().expect("stdin");
            let _ = stdin.write_all(request.as_bytes()).await;
            let output = within(ms(20_000), child.wait_with_output()).await.expect("openssl");
            drop(stdin);
            String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
        };
        let first = said("open.test", "-sess_out").await;
        assert!(first.contains("HTTP/1.1 200"), "{first}");
        let again = said("open.test", "-sess_in").await;
        assert!(again.contains("Reused, TLS") && again.contains("HTTP/1.1 200"), "{again}");
        let elsewhere = said("must.test", "-sess_in").await;
        assert!(!elsewhere.contains("Reused, TLS") && !elsewhere.contains("HTTP/1.1"), "{elsewhere}");
        assert!(elsewhere.contains("certificate required"), "{elsewhere}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authority_that_has_expired_counts_no_more() {
    let sites = Sites::new().await;
    let mut params = rcgen::CertificateParams::new(Vec::new()).expect("parameters");
    params.distinguished_name.push(rcgen::DnType::CommonName, "of yesterday");
    params.not_after = rcgen::date_time_ymd(2020, 1, 1);
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let key = rcgen::KeyPair::generate().expect("a key");
    let expired = rcgen::CertifiedIssuer::self_signed(params, key).expect("an authority");
    let mut params = rcgen::CertificateParams::new(vec!["client.test".to_owned()]).expect("parameters");
    params.not_after = rcgen::date_time_ymd(2999, 1, 1);
    let key = rcgen::KeyPair::generate().expect("a key");
    let own = params.signed_by(&key, &expired).expect("a certificate");
    // Beside one that is good, it is left out.
    let both = std::fs::read_to_string(sites.clients.file()).expect("a file") + &expired.pem();
    std::fs::write(sites.clients.file(), both).expect("written");
    sites.running.node.front().expect("a front").look(Clock::system().now());
    assert!(sites.ask(Some(&sites.good), &TLS13, "must.test").await.expect("an answer").contains("200"));
    std::fs::write(&sites.good.chain, own.pem()).expect("written");
    std::fs::write(&sites.good.key, key.serialize_pem()).expect("written");
    assert!(sites.ask(Some(&sites.good), &TLS13, "must.test").await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn more_authorities_than_can_be_named_are_not_named() {
    let sites = Sites::new().await;
    let mut all = std::fs::read_to_string(sites.clients.file()).expect("a file");
    let key = rcgen::KeyPair::generate().expect("a key");
    for nth in 0..700 {
        let mut params = rcgen::CertificateParams::new(Vec::new()).expect("parameters");
        params.distinguished_name.push(rcgen::DnType::CommonName, format!("{nth:0>100}"));
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        all += &params.self_signed(&key).expect("an authority").pem();
    }
    std::fs::write(sites.clients.file(), all).expect("written");
    sites.running.node.front().expect("a front").look(Clock::system().now());
    for version in VERSIONS {
        let said = sites.ask(Some(&sites.good), version, "must.test").await;
        assert!(said.expect("an answer").contains("200"));
    }
}

#[test]
fn of_two_lists_of_one_authority_one_has_to_go() {
    let clients = Authority::called("clients");
    let bad = clients.pair("bad", &["client.test"], 2999);
    let old = std::fs::read_to_string(clients.revoke(&[], 2999)).expect("a list");
    let crl = clients.revoke(&[&bad], 2999);
    let new = std::fs::read_to_string(&crl).expect("a list");
    std::fs::write(&crl, old + &new).expect("written");
    let authorities = Authorities { ca: clients.file(), crl: Some(crl) };
    let error = authorities.verifier(true, &Arc::new(provider())).expect_err("two lists");
    assert!(matches!(error, AuthoritiesError::TwoLists(1, 2)) && error.is_of_lists(), "{error}");
}

/// What was stored for those who had to show a certificate is for nobody else, also when none has to be shown any more.
#[test]
fn keys_of_a_site_that_requires_certificates_are_its_own() {
    let rules = |need_certificate: bool| {
        let mut settings = crate::rig::settings("http://origin.test").sites.remove(0);
        settings.clients.need_certificate = need_certificate;
        let router = Router::new([settings], &Metrics::new(1, Arc::default()));
        router.site("a.test").expect("a site").key_rules
    };
    assert_eq!(rules(false), rules(false));
    assert_ne!(rules(true), rules(false));
}
