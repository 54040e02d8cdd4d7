//! Endpoints that break the rules of HTTP/2, frame by frame: what comes of it, and that nothing worse does.

use std::sync::Arc;

use forebay::body::busy::BodyError;
use forebay::body::tunnel::Io;
use forebay::origin::connect::{Connect, Connecting};
use forebay::semantics::proxy_status::ProxyError;
use http::Method;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use crate::origin_http2_rig::http2_settings;
use crate::pool_rig::{get, made, request};
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

fn head_of(flags: u8, fields: &[(&str, &str)]) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | flags, 1, &block(fields))
}

fn ok(more: &[(&str, &str)]) -> Vec<u8> {
    head_of(0, &[&[(":status", "200")], more].concat())
}

fn data(flags: u8, content: &str) -> Vec<u8> {
    frame(DATA, flags, 1, content.as_bytes())
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
        ("text of HTTP/1.1", b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n".to_vec(), malformed()),
        ("no status", head_of(END_STREAM, &[("x", "y")]), malformed()),
        ("a status that is none", head_of(END_STREAM, &[(":status", "20")]), malformed()),
        ("two of them", head_of(END_STREAM, &[(":status", "200"), (":status", "200")]), malformed()),
        ("a status behind fields", head_of(END_STREAM, &[("x", "y"), (":status", "200")]), malformed()),
        ("a name in capitals", ok(&[("Server", "x")]), malformed()),
        ("a field of the connection", ok(&[("connection", "close")]), malformed()),
        ("a transfer coding", ok(&[("transfer-encoding", "chunked")]), malformed()),
        ("a line break in a value", ok(&[("x", "a\r\nset-cookie: b")]), malformed()),
        ("a NUL in a value", ok(&[("x", "a\0")]), malformed()),
        ("content before its head", data(END_STREAM, "yes"), malformed()),
        (
            "content behind an interim head",
            [head_of(0, &[(":status", "103")]), data(END_STREAM, "")].concat(),
            malformed(),
        ),
        ("an interim head that is the end", head_of(END_STREAM, &[(":status", "103")]), malformed()),
        ("another protocol", head_of(0, &[(":status", "101")]), malformed()),
        (
            "a promise",
            [frame(PUSH_PROMISE, END_HEADERS, 1, &promise.concat()), ok(&[])].concat(),
            malformed(),
        ),
        ("what cannot be decompressed", frame(HEADERS, END_HEADERS | END_STREAM, 1, &[0x80]), malformed()),
        (
            "a head that never ends",
            [frame(HEADERS, 0, 1, &field(":status", "200")), data(0, "")].concat(),
            malformed(),
        ),
        ("far too many fields", ok(&many), malformed()),
        ("too long a head", ok(&[("x", &long)]), Came::None(ProxyError::HttpResponseHeaderSectionSize)),
        ("far too long a head", ok(&[("x", &longer)]), malformed()),
        ("silence", Vec::new(), Came::None(ProxyError::HttpResponseTimeout)),
        (
            "a refusal",
            frame(RST_STREAM, 0, 1, &7_u32.to_be_bytes()),
            Came::None(ProxyError::ConnectionTerminated),
        ),
        (
            "a reset",
            frame(RST_STREAM, 0, 1, &2_u32.to_be_bytes()),
            Came::None(ProxyError::HttpResponseIncomplete),
        ),
        ("a farewell", frame(GOAWAY, 0, 0, &[0; 8]), Came::None(ProxyError::ConnectionTerminated)),
    ];
    let mut wrong = Vec::new();
    for (what, written, expected) in cases {
        let came = came_of(Method::GET, written).await;
        if came != expected {
            wrong.push(format!("{what}: {came:?}, not {expected:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
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
    let mut wrong = Vec::new();
    for (what, written, expected) in cases {
        let came = came_of(Method::GET, written).await;
        if came != expected {
            wrong.push(format!("{what}: {came:?}, not {expected:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
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
    assert_eq!(came_of(Method::GET, flood).await, Came::None(ProxyError::HttpProtocolError));
}

#[tokio::test(start_paused = true)]
async fn one_that_allows_no_streams_is_not_waited_for_for_ever() {
    #[derive(Debug)]
    struct None;
    impl Connect for None {
        fn connect<'a>(&'a self, _authority: &'a str) -> Connecting<'a> {
            let (near, mut far) = tokio::io::duplex(1 << 16);
            tokio::spawn(async move {
                // MAX_CONCURRENT_STREAMS
                let _ = far.write_all(&frame(SETTINGS, 0, 0, &setting(3, 0))).await;
                let _ = tokio::io::copy(&mut far, &mut tokio::io::sink()).await;
            });
            Box::pin(async { Ok(Box::new(near) as Box<dyn Io>) })
        }
    }
    let mut settings = http2_settings("http://a.test");
    (settings.retries, settings.first_byte_timeout) = (0, ms(5000));
    let pool = made(settings, Arc::new(None)).expect("a pool");
    for _ in 0..3 {
        let error = within(ms(20_000), pool.exchange(request(Method::GET, "/", forebay::body::Body::Empty)));
        let error = error.await.expect_err("no stream").error;
        let expected = [ProxyError::HttpResponseTimeout, ProxyError::ConnectionTerminated];
        assert!(expected.contains(&error), "{error:?}");
    }
    assert_eq!(pool.endpoints()[0].active, 0);
}
