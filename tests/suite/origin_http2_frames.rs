//! Endpoints that break the rules of HTTP/2, frame by frame: what comes of it, and that nothing worse does.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use forebay::body::busy::BodyError;
use forebay::body::tunnel::Io;
use forebay::origin::connect::{Connect, Connecting};
use forebay::semantics::proxy_status::ProxyError;
use futures_util::future::join_all;
use http::Method;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::Notify;

use crate::origin_http2_rig::{Http2Origin, Reach, http2_settings};
use crate::pool_rig::{ask, get, made};
use crate::support::http2::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PREFACE, PUSH_PROMISE, RST_STREAM, Raw,
    SETTINGS, block, field, frame, setting,
};
use crate::support::{ms, within};

/// Reads the request, writes what it is told, and reads on until the end.
#[derive(Debug)]
struct Writes(Vec<u8>);

impl Connect for Writes {
    fn connect<'a>(&'a self, _authority: &'a str) -> Connecting<'a> {
        let (near, far) = tokio::io::duplex(1 << 20);
        let answer = self.0.clone();
        tokio::spawn(async move {
            let mut raw = Raw { io: far };
            if wait_for_request(&mut raw).await.is_some() {
                raw.send(&frame(SETTINGS, 0, 0, &[])).await;
                raw.send(&answer).await;
                raw.rest().await;
            }
        });
        Box::pin(async { Ok(Box::new(near) as Box<dyn Io>) })
    }
}

async fn wait_for_request(raw: &mut Raw<DuplexStream>) -> Option<()> {
    let mut preface = [0; PREFACE.len()];
    raw.io.read_exact(&mut preface).await.ok()?;
    assert_eq!(preface, PREFACE);
    while raw.read().await?.kind != HEADERS {}
    Some(())
}

/// What came of a request: status and content, or why there is none.
#[derive(Debug, PartialEq)]
enum Came {
    Whole(u16, String),
    Broken(BodyError),
    None(ProxyError),
}

async fn came_of(method: Method, written: Vec<u8>) -> Came {
    came_within(4096, method, written).await
}

/// The same where a head may have so many bytes.
async fn came_within(max_head: usize, method: Method, written: Vec<u8>) -> Came {
    let mut settings = http2_settings("http://a.test");
    (settings.retries, settings.max_head) = (0, max_head);
    settings.first_byte_timeout = ms(5000);
    settings.between_bytes_timeout = ms(5000);
    let pool = made(settings, Arc::new(Writes(written))).expect("a pool");
    let mut asked = get("/");
    asked.method = method;
    let exchange = match within(ms(20_000), pool.exchange(asked)).await {
        Ok(exchange) => exchange,
        Err(error) => return Came::None(error.error),
    };
    let (status, mut body) = (exchange.head.status.as_u16(), exchange.body);
    let mut content = Vec::new();
    loop {
        match body.next().await {
            Ok(Some(bytes)) => content.extend_from_slice(&bytes),
            Ok(None) => return Came::Whole(status, String::from_utf8(content).unwrap()),
            Err(error) => return Came::Broken(error),
        }
    }
}

/// Of each case what is expected has to come; all that do not are told.
async fn all_come(cases: impl IntoIterator<Item = (&str, Vec<u8>, Came)>) {
    let mut wrong = Vec::new();
    for (what, written, expected) in cases {
        let came = came_of(Method::GET, written).await;
        if came != expected {
            wrong.push(format!("{what}: {came:?}, not {expected:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn head_of(flags: u8, fields: &[(&str, &str)]) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | flags, 1, &block(fields))
}

fn ok(more: &[(&str, &str)]) -> Vec<u8> {
    head_of(0, &[&[(":status", "200")], more].concat())
}

fn data(flags: u8, content: &str) -> Vec<u8> {
    frame(DATA, flags, 1, content.as_bytes())
}

/// The connection ended, before anything was answered on it.
fn ended() -> Came {
    Came::None(ProxyError::ConnectionTerminated)
}

#[tokio::test(start_paused = true)]
async fn what_is_no_response_is_taken_for_none() {
    let malformed = || Came::None(ProxyError::HttpProtocolError);
    let many: Vec<_> = (0..600).map(|_| ("x", "")).collect();
    let long = "x".repeat(5000);
    let longer = "x".repeat(9000);
    let promise =
        [&2_u32.to_be_bytes()[..], &block(&[(":method", "GET"), (":scheme", "http"), (":path", "/")])];
    let cases = [
        ("one", [ok(&[]), data(END_STREAM, "yes")].concat(), Came::Whole(200, "yes".to_owned())),
        ("text of HTTP/1.1", b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n".to_vec(), ended()),
        ("no status", head_of(END_STREAM, &[("x", "y")]), malformed()),
        ("a status that is none", head_of(END_STREAM, &[(":status", "20")]), ended()),
        ("two of them", head_of(END_STREAM, &[(":status", "200"), (":status", "200")]), malformed()),
        ("a status behind fields", head_of(END_STREAM, &[("x", "y"), (":status", "200")]), malformed()),
        ("a name in capitals", ok(&[("Server", "x")]), ended()),
        ("a field of the connection", ok(&[("connection", "close")]), malformed()),
        ("a transfer coding", ok(&[("transfer-encoding", "chunked")]), malformed()),
        ("a line break in a value", ok(&[("x", "a\r\nset-cookie: b")]), ended()),
        ("a NUL in a value", ok(&[("x", "a\0")]), ended()),
        ("content before its head", data(END_STREAM, "yes"), ended()),
        (
            "content behind an interim head",
            [head_of(0, &[(":status", "103")]), data(END_STREAM, "")].concat(),
            ended(),
        ),
        ("an interim head that is the end", head_of(END_STREAM, &[(":status", "103")]), malformed()),
        ("another protocol", head_of(0, &[(":status", "101")]), malformed()),
        ("a promise", [frame(PUSH_PROMISE, END_HEADERS, 1, &promise.concat()), ok(&[])].concat(), ended()),
        ("what cannot be decompressed", frame(HEADERS, END_HEADERS | END_STREAM, 1, &[0x80]), ended()),
        (
            "a head that never ends",
            [frame(HEADERS, 0, 1, &field(":status", "200")), data(0, "")].concat(),
            ended(),
        ),
        ("far too many fields", ok(&many), malformed()),
        ("too long a head", ok(&[("x", &long)]), Came::None(ProxyError::HttpResponseHeaderSectionSize)),
        ("far too long a head", ok(&[("x", &longer)]), malformed()),
        ("silence", Vec::new(), Came::None(ProxyError::HttpResponseTimeout)),
        (
            "a refusal, and nothing when it is asked again",
            frame(RST_STREAM, 0, 1, &7_u32.to_be_bytes()),
            Came::None(ProxyError::HttpResponseTimeout),
        ),
        (
            "a reset",
            frame(RST_STREAM, 0, 1, &2_u32.to_be_bytes()),
            Came::None(ProxyError::HttpResponseIncomplete),
        ),
        ("a farewell", frame(GOAWAY, 0, 0, &[0; 8]), Came::None(ProxyError::ConnectionTerminated)),
    ];
    all_come(cases).await;
}

#[tokio::test(start_paused = true)]
async fn content_is_as_long_as_its_head_says() {
    let said = |length: &'static str| ok(&[("content-length", length)]);
    let cases = [
        ("as long", [said("3"), data(END_STREAM, "yes")].concat(), Came::Whole(200, "yes".to_owned())),
        ("shorter", [said("4"), data(END_STREAM, "yes")].concat(), Came::Broken(BodyError::Malformed)),
        ("longer", [said("2"), data(END_STREAM, "yes")].concat(), Came::Broken(BodyError::Malformed)),
        ("without an end", [ok(&[]), data(0, "yes")].concat(), Came::Broken(BodyError::Stalled)),
        (
            "with a farewell, and to its end",
            [ok(&[]), frame(GOAWAY, 0, 0, &[0, 0, 0, 1, 0, 0, 0, 0]), data(END_STREAM, "yes")].concat(),
            Came::Whole(200, "yes".to_owned()),
        ),
    ];
    all_come(cases).await;
}

#[tokio::test(start_paused = true)]
async fn a_head_has_no_more_fields_than_it_may() {
    let answer = |many: usize| ok(&vec![("x", ""); many]);
    for (many, is_taken) in [(512, true), (513, false)] {
        let came = came_within(64 << 10, Method::HEAD, [answer(many), data(END_STREAM, "")].concat()).await;
        let refused = Came::None(ProxyError::HttpResponseHeaderSectionSize);
        assert_eq!(came, if is_taken { Came::Whole(200, String::new()) } else { refused }, "{many}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_head_that_comes_in_pieces_without_end_is_given_up() {
    let begin = frame(HEADERS, 0, 1, &field(":status", "200"));
    let piece = frame(CONTINUATION, 0, 1, &field("x", "y".repeat(1000)));
    let flood = [begin, piece.repeat(400)].concat();
    assert_eq!(came_of(Method::GET, flood).await, ended());
}

#[tokio::test(start_paused = true)]
async fn one_that_allows_no_streams_is_not_waited_for_for_ever() {
    #[derive(Debug, Default)]
    struct Stingy(AtomicUsize);
    impl Connect for Stingy {
        fn connect<'a>(&'a self, _authority: &'a str) -> Connecting<'a> {
            let (near, mut far) = tokio::io::duplex(1 << 16);
            self.0.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(async move {
                // MAX_CONCURRENT_STREAMS
                let _ = far.write_all(&frame(SETTINGS, 0, 0, &setting(3, 0))).await;
                let _ = tokio::io::copy(&mut far, &mut tokio::io::sink()).await;
            });
            Box::pin(async { Ok(Box::new(near) as Box<dyn Io>) })
        }
    }
    let mut settings = http2_settings("http://a.test");
    (settings.retries, settings.first_byte_timeout) = (0, ms(500));
    let stingy = Arc::new(Stingy::default());
    let pool = made(settings, Arc::clone(&stingy) as Arc<dyn Connect>).expect("a pool");
    for _ in 0..30 {
        let error = within(ms(20_000), pool.exchange(get("/"))).await.expect_err("no stream").error;
        let expected = [ProxyError::HttpResponseTimeout, ProxyError::ConnectionTerminated];
        assert!(expected.contains(&error), "{error:?}");
        tokio::time::sleep(ms(100)).await;
    }
    let opened = stingy.0.load(Ordering::SeqCst);
    assert!(opened <= 4, "{opened} in three seconds");
    assert_eq!(pool.endpoints()[0].active, 0);
}

/// Passes on what an origin says, and something that nobody may say when it is told to.
#[derive(Debug)]
struct Spoils(Reach, Arc<Notify>);

impl Connect for Spoils {
    fn connect<'a>(&'a self, authority: &'a str) -> Connecting<'a> {
        Box::pin(async move {
            let mut origin = self.0.connect(authority).await?;
            let (near, mut far) = tokio::io::duplex(1 << 20);
            let told = Arc::clone(&self.1);
            tokio::spawn(async move {
                tokio::select! {
                    _ = tokio::io::copy_bidirectional(&mut far, &mut origin) => return,
                    () = told.notified() => {}
                }
                // Content of the connection itself (RFC 9113 §6.1).
                let _ = far.write_all(&frame(DATA, 0, 0, b"x")).await;
                let _ = tokio::io::copy(&mut far, &mut tokio::io::sink()).await;
            });
            Ok(Box::new(near) as Box<dyn Io>)
        })
    }
}

#[tokio::test(start_paused = true)]
async fn who_breaks_the_rules_breaks_no_request_that_may_be_sent_again_and_is_not_left_alone() {
    let spoil = Arc::new(Notify::new());
    let tells = Arc::clone(&spoil);
    let origin = Http2Origin::new(move |mut asked, number| {
        let tells = Arc::clone(&tells);
        async move {
            match (asked.connection, number) {
                (0, 1..6) => std::future::pending().await,
                (0, 6) => tells.notify_one(),
                _ => asked.answer(200, &[], "hello"),
            }
        }
    });
    let mut settings = http2_settings("http://a.test");
    settings.retries = 0;
    let network = Arc::new(Spoils(Reach(Arc::clone(&origin)), spoil));
    let pool = made(settings, network).expect("a pool");
    assert_eq!(ask(&pool, get("/")).await.expect("an answer").1, "hello", "the connection serves");
    for outcome in within(ms(20_000), join_all((0..6).map(|_| ask(&pool, get("/"))))).await {
        assert_eq!(outcome.expect("an answer").1, "hello");
    }
    assert_eq!((origin.opened(), pool.endpoints()[0].up), (2, true));
}
