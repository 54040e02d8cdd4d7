//! Unix sockets, for clients and to origins: what is spoken by them, who a client is, what becomes of their files. And addresses
//! of IPv6, beside those of IPv4.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use forebay::app::Running;
use forebay::config::{Listen, Settings};
use forebay::listener::address::Address;
use forebay::listener::bind;
use forebay::listener::proxied::Proxies;
use rustls::pki_types::ServerName;
use rustls::version::TLS13;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixListener, UnixStream};

use crate::cli::{FOREBAY, forebay};
use crate::rig::{settings, showing};
use crate::site::Nginx;
use crate::support::authority::Authority;
use crate::support::bytes::pattern;
use crate::support::client::Client;
use crate::support::origin::{Act, Origin, SeenRequest, refusing_addr, respond};
use crate::support::process::{Process, run};
use crate::support::within;

const LIMIT: Duration = Duration::from_secs(20);
const FRESH: (&str, &str) = ("Cache-Control", "max-age=60");

/// A directory for sockets.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a directory"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn url(&self, name: &str) -> String {
        format!("unix:{}", self.path(name).display())
    }

    async fn client(&self, name: &str) -> Client<UnixStream> {
        Client::over(UnixStream::connect(self.path(name)).await.expect("connects"))
    }
}

/// A node that listens on a Unix socket, and on nothing else.
fn node(place: &Place, name: &str, origin: &str, change: impl FnOnce(&mut Settings)) -> Running {
    let mut settings = settings(origin);
    settings.listen = vec![listen(&place.url(name))];
    change(&mut settings);
    Running::start(&settings, None).expect("a running node")
}

fn listen(address: &str) -> Listen {
    let address = address.parse().expect("an address");
    Listen { address, tls: false, http2: false, early_data: false, proxies: Vec::new() }
}

/// An origin that says what it was told of its client.
async fn telling() -> Origin {
    Origin::tcp(|request: &SeenRequest, _| {
        let told = |name| request.header(name).unwrap_or("none").to_owned();
        let told = ["x-forwarded-for", "forwarded", "x-forwarded-proto"].map(told).join("|");
        vec![respond("200 OK", &[("Cache-Control", "no-store")], told)]
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_by_a_unix_socket_has_no_address_and_cannot_make_one_up() {
    let (place, origin) = (Place::new(), telling().await);
    let _node = node(&place, "s", &origin.url(), |_| {});
    let mut client = place.client("s").await;
    let forged =
        [("X-Forwarded-For", "192.0.2.1"), ("Forwarded", "for=192.0.2.1"), ("X-Real-IP", "192.0.2.1")];
    for _ in 0..2 {
        let answer = client.get_with("/", &[&[("Host", "site.test")][..], &forged].concat()).await;
        assert_eq!(answer.text(), "none|for=unknown;host=\"site.test\";proto=http|http");
    }
    assert_eq!(origin.exchange(0).request.header("x-real-ip"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn curl_comes_by_it_in_either_version_of_http() {
    let place = Place::new();
    let body = pattern(7, 300_000);
    let script = move |_: &SeenRequest, _: usize| vec![respond("200 OK", &[FRESH], &body)];
    let origin = Origin::tcp(script).await;
    let _node = node(&place, "s", &origin.url(), |settings| settings.listen[0].http2 = true);
    let (socket, got) = (place.path("s"), place.path("got"));
    let (socket, file) = (socket.to_str().expect("text"), got.to_str().expect("text"));
    for (flag, version) in [("--http1.1", "1.1"), ("--http2-prior-knowledge", "2")] {
        let args =
            ["-sS", flag, "--unix-socket", socket, "-o", file, "-w", "%{http_version}", "http://site.test/"];
        let told = run("curl", &args).await;
        assert_eq!(String::from_utf8_lossy(&told.stdout), version, "{told:?}");
        assert!(std::fs::read(&got).expect("a file") == pattern(7, 300_000));
    }
    assert_eq!(origin.hits(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_on_this_host_says_for_whom_it_connects_where_it_is_trusted() {
    let (place, origin) = (Place::new(), telling().await);
    let _trusting =
        node(&place, "a", &origin.url(), |settings| settings.listen[0].proxies = vec![Proxies::Local]);
    let everywhere = Proxies::Of("0.0.0.0/0".parse().expect("a network"));
    let _other = node(&place, "b", &origin.url(), |settings| settings.listen[0].proxies = vec![everywhere]);
    let after = async |name: &str, header: &[u8]| {
        let mut client = place.client(name).await;
        client.try_send(header).await.expect("sent");
        within(LIMIT, client.get("/")).await
    };
    let v1 = b"PROXY TCP4 192.0.2.7 192.0.2.1 5000 443\r\n";
    assert!(after("a", v1).await.text().starts_with("192.0.2.7|"));
    assert!(after("a", b"PROXY UNKNOWN\r\n").await.text().starts_with("none|for=unknown;"));
    assert!(after("b", b"").await.text().starts_with("none|"), "it is of no network");
    assert_eq!(after("b", v1).await.status, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_is_spoken_by_it() {
    let (place, origin, authority) = (Place::new(), telling().await, Authority::new());
    let pair = authority.pair("main", &["site.test"], 2999);
    let _node = node(&place, "s", &origin.url(), |settings| {
        settings.listen[0].tls = true;
        settings.tls = Some(showing(&[&pair], true));
    });
    let stream = UnixStream::connect(place.path("s")).await.expect("connects");
    let name = ServerName::try_from("site.test").expect("a name");
    let shaken = authority.client(&TLS13, &["http/1.1"]).connect(name, stream).await.expect("a handshake");
    let answer = Client::over(shaken).get_with("/", &[("Host", "site.test")]).await;
    assert_eq!(answer.text(), "none|for=unknown;host=\"site.test\";proto=https|https");
}

#[tokio::test(flavor = "multi_thread")]
async fn its_file_is_there_while_it_is_listened_on_with_the_permissions_that_were_said() {
    let (place, origin) = (Place::new(), telling().await);
    // What a node left that was killed.
    drop(std::os::unix::net::UnixListener::bind(place.path("s")).expect("binds"));
    let first = node(&place, "s", &origin.url(), |settings| {
        settings.listen[0].address =
            settings.listen[0].address.clone().with_mode("0600".parse().expect("a mode"));
    });
    let found = std::fs::metadata(place.path("s")).expect("a file").permissions().mode();
    assert_eq!(found & 0o777, 0o600);
    assert_eq!(place.client("s").await.get("/").await.status, 200);
    // Another one does not take it away.
    let mut same = settings(&origin.url());
    same.listen = vec![listen(&place.url("s"))];
    let refused = Running::start(&same, None).map(drop).expect_err("it is used").to_string();
    assert!(refused.contains(&format!("cannot listen on {}", place.url("s"))), "{refused}");
    assert!(refused.contains("another program listens there"), "{refused}");
    assert_eq!(place.client("s").await.get("/").await.status, 200);
    // The answer that is under way when it ends is given, and then the file is gone.
    let mut client = place.client("s").await;
    assert_eq!(client.get("/").await.status, 200);
    tokio::task::spawn_blocking(move || first.drain()).await.expect("it ends");
    assert!(!place.path("s").exists());
    client.expect_end().await;
    let second = Running::start(&same, None).expect("it is free");
    assert_eq!(place.client("s").await.get("/").await.status, 200);
    drop(second);
}

#[tokio::test]
async fn the_command_line_takes_it_and_leaves_nothing_behind() {
    let place = Place::new();
    let mut process = Process::start(FOREBAY, &["serve", "--listen", &place.url("s")]);
    process.wait_for_line(&format!("listening on {} for http", place.url("s"))).await;
    process.wait_for_line("curl -i --unix-socket").await;
    let answer = place.client("s").await.get("/").await;
    assert_eq!(answer.status, 200);
    process.wait_for_line("\"client\":\"unix:\"").await;
    process.terminate();
    assert_eq!(process.exit_code().await, Some(0));
    assert!(!place.path("s").exists());
    let missing = place.url("none/s");
    for (address, said) in [
        (missing.as_str(), "the directory of a Unix socket has to be there"),
        ("unix:s", "begins with one slash"),
        ("unix:///run/s", "begins with one slash"),
    ] {
        let (code, _, stderr) = forebay(&["serve", "--listen", address]).await;
        assert!(code.is_some_and(|code| code != 0) && stderr.contains(said), "{address}: {stderr}");
    }
}

/// What a node does with an origin that is reached by a Unix socket, whatever it is.
async fn asks_as_any_other(client: &mut Client<impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin>) {
    for (nth, said) in [("1", "fwd=uri-miss"), ("2", "hit")] {
        let answer = client.get_with("/page", &[("Host", "site.test")]).await;
        assert_eq!((answer.status, answer.text().as_str()), (200, "site.test"), "{nth}");
        assert!(answer.cache_status().contains(said), "{answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_origin_at_a_unix_socket_is_asked_as_any_other() {
    let place = Place::new();
    let sent = pattern(3, 200_000);
    let origin = Origin::tcp(|request: &SeenRequest, _| match request.method.as_str() {
        "POST" => vec![Act::ReadBody, respond("200 OK", &[], "taken")],
        _ => vec![respond("200 OK", &[FRESH], request.header("host").unwrap_or("nobody"))],
    })
    .await;
    // Another node is its origin.
    let _behind = node(&place, "behind", &origin.url(), |_| {});
    let front = node(&place, "front", &place.url("behind"), |_| {});
    let mut client = place.client("front").await;
    asks_as_any_other(&mut client).await;
    client.request("POST", "/", &[("Host", "site.test"), ("Content-Length", "200000")], &sent).await;
    assert_eq!(client.read_answer().await.text(), "taken");
    assert!(origin.exchange(1).body == sent);
    let pool = &front.node.pools()[0];
    let states = pool.endpoints();
    assert_eq!((states[0].endpoint.as_str(), states[0].requests), (place.url("behind").as_str(), 2));
    assert_eq!(states[0].opened, 1, "the connection was kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn nginx_at_a_unix_socket_is_an_origin() {
    let place = Place::new();
    let said = format!(
        "listen unix:{}; location / {{ add_header Cache-Control max-age=60; return 200 $host; }}",
        place.path("nginx").display()
    );
    let _nginx = Nginx::at(refusing_addr(), &said).await;
    let _node = node(&place, "s", &place.url("nginx"), |_| {});
    asks_as_any_other(&mut place.client("s").await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_unix_socket_without_an_origin_is_an_origin_that_is_down() {
    let place = Place::new();
    let _node = node(&place, "s", &place.url("none"), |settings| {
        settings.pools[0].backoff = Duration::from_millis(1);
    });
    let mut client = place.client("s").await;
    let status =
        |answer: &crate::support::client::Answer| answer.header("proxy-status").unwrap_or("").to_owned();
    let answer = client.get("/").await;
    assert_eq!(answer.status, 503);
    assert!(status(&answer).contains("destination_unavailable"), "{answer:?}");
    assert!(!status(&answer).contains("none"), "its path is nobody's business");
    // Left by one that was killed.
    drop(UnixListener::bind(place.path("none")).expect("binds"));
    let answer = client.get("/").await;
    assert!(status(&answer).contains("connection_refused"), "{answer:?}");
    std::fs::remove_file(place.path("none")).expect("removed");
    let listener = UnixListener::bind(place.path("none")).expect("binds");
    let answers = tokio::spawn(async move {
        let (mut io, _) = listener.accept().await.expect("accepts");
        let mut request = vec![0; 4096];
        let length = io.read(&mut request).await.expect("a request");
        io.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nback").await.expect("sent");
        String::from_utf8_lossy(&request[..length]).into_owned()
    });
    let answer = within(LIMIT, async {
        loop {
            let answer = client.get("/").await;
            if answer.status == 200 {
                break answer;
            }
        }
    });
    assert_eq!(answer.await.text(), "back");
    let request = answers.await.expect("a request");
    assert!(request.starts_with("GET / HTTP/1.1\r\n") && request.contains("\r\nhost: "), "{request}");
}

#[tokio::test(flavor = "multi_thread")]
async fn ipv6_is_spoken_with_clients_and_origins() {
    let place = Place::new();
    let origin = telling().await;
    let v6 = SocketAddr::from((Ipv6Addr::LOCALHOST, 0));
    let behind =
        node(&place, "unused", &origin.url(), |settings| settings.listen = vec![listen(&v6.to_string())]);
    let at = behind.addresses[0].address.inet().expect("an address");
    assert!(at.is_ipv6() && at.port() != 0);
    let front = node(&place, "also-unused", &format!("http://{at}"), |settings| {
        settings.listen = vec![listen(&v6.to_string())];
    });
    let mut client = Client::connect(front.addresses[0].address.inet().expect("an address")).await;
    let answer = client.get_with("/", &[("Host", "[::1]:80")]).await;
    // What the node behind was told is not believed: it says that the one in front is its client.
    assert_eq!(answer.text(), "::1|for=\"[::1]\";host=\"[::1]\";proto=http|http", "{answer:?}");
}

#[test]
fn every_address_of_ipv6_is_none_of_ipv4_and_both_stand_side_by_side() {
    let v6 = bind::bind(SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)), 2).expect("binds");
    let port = v6[0].local_addr().expect("an address").port();
    let connects = |address: SocketAddr| std::net::TcpStream::connect(address).is_ok();
    assert!(connects(SocketAddr::from((Ipv6Addr::LOCALHOST, port))));
    let only_v6 = socket2::SockRef::from(&v6[0]).only_v6().expect("an option");
    assert!(only_v6, "whatever the system would make of it");
    let v4 = bind::bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)), 2);
    // Another test may have been given the port.
    if v4.is_ok() {
        assert!(connects(SocketAddr::from((Ipv4Addr::LOCALHOST, port))));
    }
}

#[test]
fn what_is_said_of_the_other_kind_of_socket_is_doubted() {
    let doubts = |listener: &str| {
        let text = format!("[[listeners]]\n{listener}\n");
        forebay::config::Configuration::read_text(Path::new("forebay.toml"), &text).complaints.to_string()
    };
    let unix = "address = \"unix:/run/forebay.sock\"";
    assert_eq!(doubts(&format!("{unix}\nmode = \"666\"\nproxy_protocol = [\"unix\"]")), "");
    assert!(doubts(&format!("{unix}\nproxy_protocol = [\"10.0.0.0/8\"]")).contains("has no address"));
    assert!(doubts("mode = \"0600\"").contains("mode has no effect"));
    assert!(doubts("proxy_protocol = [\"unix\"]").contains("nobody comes by a Unix socket here"));
    assert!(doubts(&format!("{unix}\nmode = \"rw\"")).contains("is no mode of a file"));
    assert!(doubts(&format!("{unix}\n[[listeners]]\n{unix}")).contains("is listened on already"));
    assert!(doubts("address = \"unix:forebay.sock\"").contains("begins with one slash"));
}

#[test]
fn an_address_tells_whether_it_is_of_the_network() {
    let address: Address = "[::]:80".parse().expect("an address");
    assert_eq!(address.inet(), Some(SocketAddr::from((Ipv6Addr::UNSPECIFIED, 80))));
    assert_eq!("unix:/run/s".parse::<Address>().map(|address| address.inet()), Ok(None));
}

/// Clients of the network and of this host come to the same node.
#[tokio::test(flavor = "multi_thread")]
async fn both_kinds_stand_side_by_side() {
    let place = Place::new();
    let origin = Origin::tcp(|_: &SeenRequest, _| vec![respond("200 OK", &[FRESH], "page")]).await;
    let node = node(&place, "s", &origin.url(), |settings| settings.listen.push(listen("127.0.0.1:0")));
    let address = node.addresses[1].address.inet().expect("an address");
    let stream = TcpStream::connect(address).await.expect("connects");
    assert_eq!(Client::over(stream).get_with("/", &[("Host", "a.test")]).await.text(), "page");
    assert_eq!(place.client("s").await.get_with("/", &[("Host", "a.test")]).await.text(), "page");
    assert_eq!(origin.hits(), 1, "kept for all");
}
