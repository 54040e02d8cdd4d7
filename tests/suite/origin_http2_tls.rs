//! Which version of HTTP an endpoint is spoken to in, by what it chooses (ALPN); and who this node is, to those that ask.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use forebay::body::Body;
use forebay::body::tunnel::Io;
use forebay::origin::connect::{Connect, Connecting};
use forebay::origin::{HttpVersion, Pool, Settings};
use forebay::semantics::proxy_status::ProxyError;
use futures_util::future::join_all;
use http::{HeaderValue, Method};
use tokio::io::AsyncReadExt;
use tokio_rustls::TlsAcceptor;

use crate::origin_http2_rig::{Asked, Http2Origin, Reach};
use crate::pool_rig::{ask, get, made, pool_settings, request, says};
use crate::support::authority::Authority;
use crate::support::origin::{Act, Origin, SeenRequest};
use crate::support::{ms, within};

/// TLS in front of an origin of HTTP/1.1 and one of HTTP/2: what was chosen leads to the one or the other.
struct Either {
    http1: Arc<Origin>,
    http2: Arc<Http2Origin>,
    acceptor: TlsAcceptor,
    opened: AtomicUsize,
}

impl std::fmt::Debug for Either {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Either")
    }
}

impl Connect for Either {
    fn connect<'a>(&'a self, authority: &'a str) -> Connecting<'a> {
        let (near, far) = tokio::io::duplex(64 << 10);
        let (http1, http2) = (Arc::clone(&self.http1), Reach(Arc::clone(&self.http2)));
        let (acceptor, authority) = (self.acceptor.clone(), authority.to_owned());
        self.opened.fetch_add(1, Ordering::SeqCst);
        tokio::spawn(async move {
            let Ok(mut stream) = acceptor.accept(far).await else { return };
            let mut behind: Box<dyn Io> = match stream.get_ref().1.alpn_protocol() {
                Some(b"h2") => http2.connect(&authority).await.expect("a pipe"),
                _ => Box::new(http1.connect()),
            };
            let _ = tokio::io::copy_bidirectional(&mut stream, &mut behind).await;
        });
        Box::pin(async { Ok(Box::new(near) as Box<dyn Io>) as io::Result<_> })
    }
}

async fn by_2(mut asked: Asked, _: usize) {
    let scheme = asked.request.uri().scheme_str().unwrap_or("none").to_owned();
    asked.answer(200, &[], &format!("by 2, {scheme}"));
}

fn settings(authority: &Authority, version: HttpVersion) -> Settings {
    let mut settings = pool_settings(&["https://origin.test"]);
    settings.tls.ca = Some(authority.file());
    settings.http_version = version;
    settings
}

fn either(authority: &Authority, protocols: &[&str], version: HttpVersion) -> (Arc<Pool>, Arc<Either>) {
    either_by(authority, protocols, version, says("by 1.1"))
}

/// The same with an origin of HTTP/1.1 that acts by a script.
fn either_by(
    authority: &Authority,
    protocols: &[&str],
    version: HttpVersion,
    script: impl Fn(&SeenRequest, usize) -> Vec<Act> + Send + Sync + 'static,
) -> (Arc<Pool>, Arc<Either>) {
    let either = Arc::new(Either {
        http1: Arc::new(Origin::pipe(script)),
        http2: Http2Origin::new(by_2),
        acceptor: authority.server_of(&["origin.test"], 2999, protocols, false),
        opened: AtomicUsize::new(0),
    });
    let reached = Arc::clone(&either) as Arc<dyn Connect>;
    (Arc::new(made(settings(authority, version), reached).expect("a pool")), either)
}

#[tokio::test(start_paused = true)]
async fn what_the_endpoint_chooses_of_both_is_spoken() {
    let authority = Authority::new();
    for (protocols, expected, opened) in
        [(&["h2", "http/1.1"][..], "by 2, https", 1), (&["http/1.1"], "by 1.1", 3), (&[], "by 1.1", 3)]
    {
        let (pool, either) = either(&authority, protocols, HttpVersion::Auto);
        let asked = join_all((0..3).map(|_| ask(&pool, get("/")))).await;
        for outcome in asked {
            assert_eq!(outcome.expect("an answer").1, expected);
        }
        // Connections of HTTP/1.1 go to one each, and are kept.
        let opened_by_all = either.opened.load(Ordering::SeqCst);
        assert!(opened_by_all == opened, "{protocols:?}: {opened_by_all}");
        assert_eq!(ask(&pool, get("/")).await.expect("an answer").1, expected);
        assert_eq!(either.opened.load(Ordering::SeqCst), opened_by_all, "{protocols:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_does_not_speak_what_is_wanted_is_refused() {
    let authority = Authority::new();
    for (protocols, expected) in [
        (&["http/1.1"][..], ProxyError::TlsAlertReceived),
        // One that knows of no choice chooses nothing.
        (&[], ProxyError::TlsProtocolError),
    ] {
        let (pool, either) = either(&authority, protocols, HttpVersion::Http2);
        let error = ask(&pool, get("/")).await.expect_err("no HTTP/2");
        assert_eq!((error.error, either.http1.hits()), (expected, 0), "{protocols:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_wish_it_is_http1_whatever_the_endpoint_would_choose() {
    let authority = Authority::new();
    let (pool, _) = either(&authority, &["h2", "http/1.1"], HttpVersion::Http11);
    assert_eq!(ask(&pool, get("/")).await.expect("an answer").1, "by 1.1");
}

#[tokio::test(start_paused = true)]
async fn what_leaves_http_goes_by_http1_beside_a_connection_of_http2() {
    let authority = Authority::new();
    let switch = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: chat\r\n\r\nhello";
    let (pool, either) = either_by(&authority, &["h2", "http/1.1"], HttpVersion::Auto, move |_, _| {
        vec![Act::Send(switch[..].into()), Act::Stall]
    });
    assert_eq!(ask(&pool, get("/")).await.expect("an answer").1, "by 2, https");
    let mut upgrade = request(Method::GET, "/", Body::Empty);
    upgrade.headers.insert("connection", HeaderValue::from_static("upgrade"));
    upgrade.headers.insert("upgrade", HeaderValue::from_static("chat"));
    let exchange = within(ms(5000), pool.exchange(upgrade)).await.expect("an answer");
    assert_eq!(exchange.head.status, 101);
    let mut io = exchange.tunnel.expect("a tunnel").open().await.expect("open");
    let mut back = [0; 5];
    within(ms(5000), io.read_exact(&mut back)).await.expect("read");
    assert_eq!((&back, pool.endpoints()[0].active), (b"hello", 1));
    drop(io);
    assert_eq!(ask(&pool, get("/")).await.expect("an answer").1, "by 2, https");
    assert_eq!(either.opened.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_asks_is_shown_who_this_is() {
    let authority = Authority::new();
    let pair = authority.pair("node", &["node.test"], 2999);
    for (version, protocol, said) in
        [(HttpVersion::Http11, "http/1.1", "by 1.1"), (HttpVersion::Http2, "h2", "by 2, https")]
    {
        let either = Arc::new(Either {
            http1: Arc::new(Origin::pipe(says("by 1.1"))),
            http2: Http2Origin::new(by_2),
            acceptor: authority.server_of(&["origin.test"], 2999, &[protocol], true),
            opened: AtomicUsize::new(0),
        });
        let mut settings = settings(&authority, version);
        settings.retries = 0;
        let reached = || Arc::clone(&either) as Arc<dyn Connect>;
        let nobody = made(settings.clone(), reached()).expect("a pool");
        within(ms(20_000), ask(&nobody, get("/"))).await.expect_err("it shows nothing");
        assert!(!nobody.endpoints()[0].up, "{said}");
        assert_eq!((either.http1.hits(), either.http2.hits()), (0, 0));
        settings.tls.client = Some((pair.chain.clone(), pair.key.clone()));
        let pool = made(settings, reached()).expect("a pool");
        assert_eq!(ask(&pool, get("/")).await.expect("an answer").1, said);
    }
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_of_http2_alone_is_not_left_alone_for_clients_that_want_to_leave_http() {
    let authority = Authority::new();
    let (pool, _) = either(&authority, &["h2"], HttpVersion::Auto);
    assert_eq!(ask(&pool, get("/")).await.expect("an answer").1, "by 2, https");
    let mut upgrade = request(Method::GET, "/", Body::Empty);
    upgrade.headers.insert("connection", HeaderValue::from_static("upgrade"));
    upgrade.headers.insert("upgrade", HeaderValue::from_static("chat"));
    pool.exchange(upgrade).await.expect_err("it speaks no HTTP/1.1");
    assert!(pool.endpoints()[0].up);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_shown_is_said_at_once() {
    let authority = Authority::new();
    let (one, other) =
        (authority.pair("one", &["one.test"], 2999), authority.pair("other", &["other.test"], 2999));
    let refused = |client| {
        let mut settings = settings(&authority, HttpVersion::Auto);
        settings.tls.client = Some(client);
        made(settings, Arc::new(Reach(Http2Origin::new(by_2)))).expect_err("refused").to_string()
    };
    let said = refused((one.chain.clone(), other.key.clone()));
    assert!(said.contains("cannot be shown with the key in"), "{said}");
    let said = refused((one.chain.clone(), "/nowhere.pem".into()));
    assert!(said.contains("the key in /nowhere.pem cannot be read"), "{said}");
    let said = refused(("/nowhere.pem".into(), one.key.clone()));
    assert!(said.contains("the certificates in /nowhere.pem cannot be read"), "{said}");
}
