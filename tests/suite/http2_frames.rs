//! What HTTP/2 forbids, frame by frame, and the error that each has to end in (RFC 9113 §§3–8, RFC 7541).

use forebay::listener::http2;
use forebay::listener::link::Link;
use tokio::io::DuplexStream;

use crate::rig::{PEER, Pipes};
use crate::support::http2::*;
use crate::support::origin::respond;

// Errors (RFC 9113 §7).
pub const PROTOCOL_ERROR: u32 = 1;
pub const FLOW_CONTROL_ERROR: u32 = 3;
pub const STREAM_CLOSED: u32 = 5;
pub const FRAME_SIZE_ERROR: u32 = 6;
pub const REFUSED_STREAM: u32 = 7;
pub const ENHANCE_YOUR_CALM: u32 = 11;

/// What has to come of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comes {
    /// The connection ends with this error.
    Ends(u32),
    /// Stream 1 ends with this error, and the connection goes on.
    Resets(u32),
    /// Stream 1 is answered, and the connection goes on.
    Answers,
    /// Nothing, and the connection goes on.
    Nothing,
}

use Comes::{Answers, Ends, Nothing, Resets};

/// A raw client of a node over pipes.
pub fn connect(pipes: &Pipes) -> DuplexStream {
    connect_by(pipes, 1 << 20)
}

/// The same, where so many bytes go through at once.
pub fn connect_by(pipes: &Pipes, pipe: usize) -> DuplexStream {
    let (near, far) = tokio::io::duplex(pipe);
    let (machine, serving) = (pipes.node.machine.clone(), pipes.serving());
    pipes.connections.spawn(async move {
        http2::serve(far, Link::plain(PEER), &*machine, &serving).await;
    });
    near
}

fn node() -> Pipes {
    Pipes::new(|_, _| vec![respond("200 OK", &[("Cache-Control", "max-age=60")], "page")])
}

/// What comes of `bytes` on a new connection.
async fn come_of(pipes: &Pipes, bytes: &[u8]) -> Comes {
    let mut raw = Raw::begin(connect(pipes), &[]).await;
    raw.send(bytes).await;
    // A mark: what comes before its answer has come of the bytes. Requests take a moment longer.
    let mark = frame(PING, 0, 0, b"the mark");
    raw.send(&mark).await;
    let mut came = Nothing;
    while let Some(frame) = raw.next().await {
        match frame.kind {
            GOAWAY => {
                let code = frame.number(4);
                assert!(raw.rest().await.is_empty(), "it goes on after GOAWAY");
                return Ends(code);
            }
            RST_STREAM => {
                assert_eq!((frame.stream, came), (1, Nothing));
                came = Resets(frame.number(0));
            }
            HEADERS if came == Nothing => came = Answers,
            PING if frame.flags == ACK && frame.payload == b"the mark" => {
                if came != Nothing {
                    return came;
                }
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                raw.send(&frame_of(8, PING, 0, 0, b"the last")).await;
            }
            PING if frame.payload == b"the last" => return came,
            _ => {}
        }
    }
    panic!("it ended without a word; before: {came:?}")
}

async fn check(cases: &[(&str, Vec<u8>, Comes)]) {
    let pipes = node();
    let mut wrong = Vec::new();
    for (name, bytes, expected) in cases {
        let came = come_of(&pipes, bytes).await;
        if came != *expected {
            wrong.push(format!("{name}: {came:?}, not {expected:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

fn all(parts: &[Vec<u8>]) -> Vec<u8> {
    parts.concat()
}

/// A request whose content is to come.
fn post(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, stream, &ask("POST", "/", &[]))
}

/// A request of these fields.
fn of(fields: &[(&str, &str)]) -> Vec<u8> {
    frame(HEADERS, END_STREAM | END_HEADERS, 1, &block(fields))
}

fn with(more: &[(&str, &str)]) -> Vec<u8> {
    frame(HEADERS, END_STREAM | END_HEADERS, 1, &ask("GET", "/", more))
}

#[tokio::test(start_paused = true)]
async fn what_is_no_http2_is_closed() {
    let pipes = node();
    let mut raw = Raw { io: connect(&pipes) };
    raw.send(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n").await;
    assert!(raw.rest().await.iter().all(|frame| frame.kind == GOAWAY));
    let mut raw = Raw { io: connect(&pipes) };
    raw.send(PREFACE).await;
    raw.send(&get(1, "/")).await;
    let rest = raw.rest().await;
    assert!(rest.iter().any(|frame| frame.kind == GOAWAY && frame.number(4) == PROTOCOL_ERROR), "{rest:?}");
    // Who says nothing is not waited for.
    assert_eq!(Raw { io: connect(&pipes) }.rest().await, []);
}

#[tokio::test(start_paused = true)]
async fn frames_of_the_wrong_size_or_at_the_wrong_place() {
    let large = vec![0; (16 << 10) + 1];
    let empty_block = |kind, flags, stream| frame(kind, flags, stream, &[]);
    check(&[
        // §4.1
        ("a frame of an unknown kind", frame(99, 0xff, 0, b"anything"), Nothing),
        ("flags without a meaning", all(&[frame(PING, 0xfe, 0, &[1; 8])]), Nothing),
        (
            "the reserved bit",
            frame(HEADERS, END_STREAM | END_HEADERS, 0x8000_0001, &ask("GET", "/", &[])),
            Answers,
        ),
        // §4.2
        ("DATA that is too large", all(&[post(1), frame(DATA, 0, 1, &large)]), Ends(FRAME_SIZE_ERROR)),
        ("HEADERS that is too large", frame(HEADERS, END_HEADERS, 1, &large), Ends(FRAME_SIZE_ERROR)),
        ("PING that is too large", frame(PING, 0, 0, &large), Ends(FRAME_SIZE_ERROR)),
        // §4.3, §6.10
        (
            "a frame between HEADERS and its end",
            all(&[frame(HEADERS, END_STREAM, 1, &ask("GET", "/", &[])), frame(PING, 0, 0, &[0; 8])]),
            Ends(PROTOCOL_ERROR),
        ),
        (
            "an unknown frame between HEADERS and its end",
            all(&[frame(HEADERS, END_STREAM, 1, &ask("GET", "/", &[])), frame(99, 0, 0, &[])]),
            Ends(PROTOCOL_ERROR),
        ),
        (
            "HEADERS of another stream between",
            all(&[frame(HEADERS, END_STREAM, 1, &ask("GET", "/", &[])), get(3, "/")]),
            Ends(PROTOCOL_ERROR),
        ),
        (
            "CONTINUATION of another stream",
            all(&[
                frame(HEADERS, END_STREAM, 1, &ask("GET", "/", &[])),
                empty_block(CONTINUATION, END_HEADERS, 3),
            ]),
            Ends(PROTOCOL_ERROR),
        ),
        (
            "a head in three frames",
            all(&[
                frame(HEADERS, END_STREAM, 1, &ask("GET", "/", &[])[..7]),
                frame(CONTINUATION, 0, 1, &ask("GET", "/", &[])[7..20]),
                frame(CONTINUATION, END_HEADERS, 1, &ask("GET", "/", &[])[20..]),
            ]),
            Answers,
        ),
        ("CONTINUATION of nothing", empty_block(CONTINUATION, END_HEADERS, 1), Ends(PROTOCOL_ERROR)),
        (
            "CONTINUATION after the end",
            all(&[get(1, "/"), empty_block(CONTINUATION, END_HEADERS, 1)]),
            Ends(PROTOCOL_ERROR),
        ),
        ("CONTINUATION of stream 0", empty_block(CONTINUATION, END_HEADERS, 0), Ends(PROTOCOL_ERROR)),
        // §6.1
        ("DATA of stream 0", frame(DATA, 0, 0, b"a"), Ends(PROTOCOL_ERROR)),
        (
            "DATA padded beyond its end",
            all(&[post(1), frame(DATA, PADDED, 1, &[5, 0, 0])]),
            Ends(PROTOCOL_ERROR),
        ),
        ("DATA padded and empty", all(&[post(1), frame(DATA, PADDED, 1, &[])]), Ends(PROTOCOL_ERROR)),
        (
            "DATA with padding",
            all(&[post(1), frame(DATA, PADDED | END_STREAM, 1, &[2, b'a', 0, 0])]),
            Answers,
        ),
        // §6.2
        ("HEADERS of stream 0", get(0, "/"), Ends(PROTOCOL_ERROR)),
        (
            "HEADERS padded beyond its end",
            frame(HEADERS, PADDED | END_STREAM | END_HEADERS, 1, &[9, 0x82]),
            Ends(PROTOCOL_ERROR),
        ),
        (
            "HEADERS with padding and a priority",
            frame(
                HEADERS,
                PADDED | WITH_PRIORITY | END_STREAM | END_HEADERS,
                1,
                &[&[1, 0, 0, 0, 0, 15][..], &ask("GET", "/", &[]), &[0]].concat(),
            ),
            Answers,
        ),
        // §6.3
        ("PRIORITY of stream 0", frame(PRIORITY, 0, 0, &[0; 5]), Ends(PROTOCOL_ERROR)),
        ("PRIORITY of four bytes", all(&[post(1), frame(PRIORITY, 0, 1, &[0; 4])]), Ends(FRAME_SIZE_ERROR)),
        ("PRIORITY", frame(PRIORITY, 0, 1, &[0, 0, 0, 3, 1]), Nothing),
        // §6.4
        ("RST_STREAM of stream 0", frame(RST_STREAM, 0, 0, &[0; 4]), Ends(PROTOCOL_ERROR)),
        (
            "RST_STREAM of three bytes",
            all(&[post(1), frame(RST_STREAM, 0, 1, &[0; 3])]),
            Ends(FRAME_SIZE_ERROR),
        ),
        ("RST_STREAM", all(&[post(1), frame(RST_STREAM, 0, 1, &[0, 0, 0, 8])]), Nothing),
        // §6.6
        (
            "PUSH_PROMISE",
            all(&[post(1), frame(PUSH_PROMISE, END_HEADERS, 1, &[0, 0, 0, 2])]),
            Ends(PROTOCOL_ERROR),
        ),
        // §6.7
        ("PING of a stream", frame(PING, 0, 1, &[0; 8]), Ends(PROTOCOL_ERROR)),
        ("PING of six bytes", frame(PING, 0, 0, &[0; 6]), Ends(FRAME_SIZE_ERROR)),
        ("PING that acknowledges", frame(PING, ACK, 0, &[7; 8]), Nothing),
        // §6.8
        ("GOAWAY of a stream", frame(GOAWAY, 0, 1, &[0; 8]), Ends(PROTOCOL_ERROR)),
        ("GOAWAY of seven bytes", frame(GOAWAY, 0, 0, &[0; 7]), Ends(FRAME_SIZE_ERROR)),
    ])
    .await;
}

#[tokio::test(start_paused = true)]
async fn settings_that_cannot_be() {
    let set = |id, value| frame(SETTINGS, 0, 0, &setting(id, value));
    check(&[
        ("of a stream", frame(SETTINGS, 0, 1, &[]), Ends(PROTOCOL_ERROR)),
        ("of five bytes", frame(SETTINGS, 0, 0, &[0; 5]), Ends(FRAME_SIZE_ERROR)),
        (
            "that acknowledge and say something",
            frame(SETTINGS, ACK, 0, &setting(1, 0)),
            Ends(FRAME_SIZE_ERROR),
        ),
        ("ENABLE_PUSH of 2", set(2, 2), Ends(PROTOCOL_ERROR)),
        ("a window beyond 2^31 - 1", set(4, 1 << 31), Ends(FLOW_CONTROL_ERROR)),
        ("the largest window", set(4, (1 << 31) - 1), Nothing),
        ("frames below 2^14", set(5, (1 << 14) - 1), Ends(PROTOCOL_ERROR)),
        ("frames beyond 2^24 - 1", set(5, 1 << 24), Ends(PROTOCOL_ERROR)),
        ("the largest frames", set(5, (1 << 24) - 1), Nothing),
        ("ENABLE_CONNECT_PROTOCOL of 2", set(8, 2), Ends(PROTOCOL_ERROR)),
        ("one that nobody knows", set(0x7777, 1), Nothing),
        ("the same twice", frame(SETTINGS, 0, 0, &[setting(4, 1), setting(4, 100)].concat()), Nothing),
    ])
    .await;
}

#[tokio::test(start_paused = true)]
async fn windows_that_cannot_be() {
    let update = |stream, by: u32| frame(WINDOW_UPDATE, 0, stream, &by.to_be_bytes());
    check(&[
        ("by nothing", update(0, 0), Ends(PROTOCOL_ERROR)),
        ("by nothing, of a stream", all(&[post(1), update(1, 0)]), Ends(PROTOCOL_ERROR)),
        ("of three bytes", frame(WINDOW_UPDATE, 0, 0, &[0; 3]), Ends(FRAME_SIZE_ERROR)),
        ("beyond 2^31 - 1", update(0, (1 << 31) - 1), Ends(FLOW_CONTROL_ERROR)),
        (
            "beyond 2^31 - 1 of a stream",
            all(&[post(1), update(1, (1 << 31) - 1)]),
            Resets(FLOW_CONTROL_ERROR),
        ),
        (
            "beyond 2^31 - 1 by SETTINGS",
            all(&[post(1), update(1, (1 << 31) - 1 - 65_535), frame(SETTINGS, 0, 0, &setting(4, 65_536))]),
            Ends(FLOW_CONTROL_ERROR),
        ),
        ("of a stream that was not opened", update(1, 1), Ends(PROTOCOL_ERROR)),
    ])
    .await;
}

#[tokio::test(start_paused = true)]
async fn more_content_than_the_window_has_room_for() {
    let pipes = Pipes::new(|_, _| vec![crate::support::origin::Act::Stall]);
    let mut raw = Raw::begin(connect(&pipes), &[]).await;
    raw.send(&post(1)).await;
    for _ in 0..64 {
        raw.send(&frame(DATA, 0, 1, &[0; 16 << 10])).await;
    }
    let rest = raw.rest().await;
    let flow = |frame: &Frame| match frame.kind {
        GOAWAY => frame.number(4) == FLOW_CONTROL_ERROR,
        RST_STREAM => frame.number(0) == FLOW_CONTROL_ERROR,
        _ => false,
    };
    assert!(rest.iter().any(flow), "{rest:?}");
}

#[tokio::test(start_paused = true)]
async fn streams_in_a_state_that_does_not_allow_it() {
    let reset = frame(RST_STREAM, 0, 1, &[0, 0, 0, 8]);
    check(&[
        // §5.1
        ("DATA before HEADERS", frame(DATA, END_STREAM, 1, b"a"), Ends(PROTOCOL_ERROR)),
        ("RST_STREAM before HEADERS", reset.clone(), Ends(PROTOCOL_ERROR)),
        ("DATA after the end", all(&[get(1, "/"), frame(DATA, END_STREAM, 1, b"a")]), Ends(STREAM_CLOSED)),
        ("HEADERS after the end", all(&[get(1, "/"), get(1, "/")]), Ends(STREAM_CLOSED)),
        // §5.1.1
        ("a stream of the server's", get(2, "/"), Ends(PROTOCOL_ERROR)),
        ("a stream before the last", all(&[get(5, "/"), get(3, "/")]), Ends(PROTOCOL_ERROR)),
        // §8.1
        (
            "trailers that do not end",
            all(&[post(1), frame(HEADERS, END_HEADERS, 1, &block(&[("x", "y")]))]),
            Resets(PROTOCOL_ERROR),
        ),
        (
            "trailers",
            all(&[post(1), frame(HEADERS, END_HEADERS | END_STREAM, 1, &block(&[("x", "y")]))]),
            Answers,
        ),
    ])
    .await;
}

#[tokio::test(start_paused = true)]
async fn too_many_streams_are_refused() {
    let pipes = Pipes::new(|_, _| vec![crate::support::origin::Act::Stall]);
    let mut raw = Raw::begin(connect(&pipes), &[]).await;
    let most = pipes.settings.listener.max_streams;
    for nth in 0..=most {
        raw.send(&get(2 * nth + 1, &format!("/{nth}"))).await;
    }
    let refused = raw.next().await.expect("a frame");
    assert_eq!((refused.kind, refused.stream), (RST_STREAM, 2 * most + 1));
    assert_eq!(refused.number(0), REFUSED_STREAM);
}

#[tokio::test(start_paused = true)]
async fn fields_that_cannot_be() {
    let malformed = [
        // §8.2, §8.2.1
        ("a blank before", with(&[("x", " a")])),
        ("a blank behind", with(&[("x", "a ")])),
        ("a tab behind", with(&[("x", "a\t")])),
        // §8.2.2
        ("connection", with(&[("connection", "close")])),
        ("keep-alive", with(&[("keep-alive", "timeout=1")])),
        ("proxy-connection", with(&[("proxy-connection", "close")])),
        ("transfer-encoding", with(&[("transfer-encoding", "chunked")])),
        ("upgrade", with(&[("upgrade", "websocket")])),
        ("te other than trailers", with(&[("te", "gzip")])),
        ("te with more than trailers", with(&[("te", "trailers, gzip")])),
        // §8.3
        ("a pseudo-field of answers", with(&[(":status", "200")])),
        (
            "a pseudo-field after a field",
            of(&[
                (":method", "GET"),
                (":scheme", "http"),
                ("x", "y"),
                (":path", "/"),
                (":authority", "test"),
            ]),
        ),
        (
            "two methods",
            of(&[
                (":method", "GET"),
                (":method", "GET"),
                (":scheme", "http"),
                (":path", "/"),
                (":authority", "test"),
            ]),
        ),
        (
            "two paths",
            of(&[
                (":method", "GET"),
                (":scheme", "http"),
                (":path", "/"),
                (":path", "/"),
                (":authority", "test"),
            ]),
        ),
        (
            "two schemes",
            of(&[
                (":method", "GET"),
                (":scheme", "http"),
                (":scheme", "http"),
                (":path", "/"),
                (":authority", "test"),
            ]),
        ),
        (
            "two authorities",
            of(&[
                (":method", "GET"),
                (":scheme", "http"),
                (":path", "/"),
                (":authority", "test"),
                (":authority", "test"),
            ]),
        ),
        // §8.3.1
        ("no method", of(&[(":scheme", "http"), (":path", "/"), (":authority", "test")])),
        ("no scheme", of(&[(":method", "GET"), (":path", "/"), (":authority", "test")])),
        ("no path", of(&[(":method", "GET"), (":scheme", "http"), (":authority", "test")])),
        (
            "an empty path",
            of(&[(":method", "GET"), (":scheme", "http"), (":path", ""), (":authority", "test")]),
        ),
        (
            "a path without a slash",
            of(&[(":method", "GET"), (":scheme", "http"), (":path", "a"), (":authority", "test")]),
        ),
        (
            "a path that is a URL",
            of(&[(":method", "GET"), (":scheme", "http"), (":path", "http://a/"), (":authority", "test")]),
        ),
        (
            "an asterisk for GET",
            of(&[(":method", "GET"), (":scheme", "http"), (":path", "*"), (":authority", "test")]),
        ),
        (
            "a blank in the path",
            of(&[(":method", "GET"), (":scheme", "http"), (":path", "/ HTTP/1.1"), (":authority", "test")]),
        ),
        (
            "CR LF in the path",
            of(&[(":method", "GET"), (":scheme", "http"), (":path", "/\r\nx: y"), (":authority", "test")]),
        ),
        (
            "a blank in the authority",
            of(&[(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "a b")]),
        ),
        (
            "a blank in the scheme",
            of(&[(":method", "GET"), (":scheme", "ht tp"), (":path", "/"), (":authority", "test")]),
        ),
        // §8.5
        ("CONNECT with a path", of(&[(":method", "CONNECT"), (":path", "/"), (":authority", "test:1")])),
        (
            "CONNECT with a scheme",
            of(&[(":method", "CONNECT"), (":scheme", "http"), (":authority", "test:1")]),
        ),
        // RFC 8441 §4
        (
            "a protocol without CONNECT",
            of(&[
                (":method", "GET"),
                (":protocol", "websocket"),
                (":scheme", "http"),
                (":path", "/"),
                (":authority", "test"),
            ]),
        ),
        (
            "extended CONNECT without a path",
            of(&[
                (":method", "CONNECT"),
                (":protocol", "websocket"),
                (":scheme", "http"),
                (":authority", "test"),
            ]),
        ),
        (
            "extended CONNECT without a scheme",
            of(&[(":method", "CONNECT"), (":protocol", "websocket"), (":path", "/"), (":authority", "test")]),
        ),
        // §8.1.1
        ("a length and no content", with(&[("content-length", "1")])),
        ("a length that is none", with(&[("content-length", "a")])),
        (
            "the same length twice",
            all(&[
                frame(
                    HEADERS,
                    END_HEADERS,
                    1,
                    &ask("POST", "/", &[("content-length", "1"), ("content-length", "1")]),
                ),
                frame(DATA, END_STREAM, 1, b"a"),
            ]),
        ),
        ("two lengths", with(&[("content-length", "1"), ("content-length", "2")])),
        (
            "more content than the length",
            all(&[
                frame(HEADERS, END_HEADERS, 1, &ask("POST", "/", &[("content-length", "1")])),
                frame(DATA, END_STREAM, 1, b"ab"),
            ]),
        ),
        (
            "less content than the length",
            all(&[
                frame(HEADERS, END_HEADERS, 1, &ask("POST", "/", &[("content-length", "3")])),
                frame(DATA, 0, 1, b"a"),
                frame(DATA, END_STREAM, 1, b"b"),
            ]),
        ),
        (
            "a field of the connection in trailers",
            all(&[post(1), frame(HEADERS, END_HEADERS | END_STREAM, 1, &block(&[("connection", "close")]))]),
        ),
    ];
    let cases: Vec<_> =
        malformed.into_iter().map(|(name, bytes)| (name, bytes, Resets(PROTOCOL_ERROR))).collect();
    check(&cases).await;
    // Where not even the fields' syntax is right the codec ends the connection, as it may (RFC 9113 §5.4.1).
    let broken = [
        ("an upper-case name", with(&[("X-Upper", "a")])),
        ("a blank in a name", with(&[("x y", "a")])),
        ("a colon in a name", with(&[("x:y", "a")])),
        ("an empty name", with(&[("", "a")])),
        ("CR", with(&[("x", "a\rb")])),
        ("LF", with(&[("x", "a\nb")])),
        ("CR LF and a request", with(&[("x", "a\r\n\r\nGET / HTTP/1.1\r\nHost: b\r\n\r\n")])),
        ("NUL", with(&[("x", "a\0b")])),
        ("LF in a name", with(&[("x\nhost", "a")])),
        ("a pseudo-field that nobody knows", with(&[(":x", "a")])),
        (
            "a blank in the method",
            of(&[(":method", "GET /"), (":scheme", "http"), (":path", "/"), (":authority", "test")]),
        ),
    ];
    let cases: Vec<_> = broken.into_iter().map(|(name, bytes)| (name, bytes, Ends(PROTOCOL_ERROR))).collect();
    check(&cases).await;
    check(&[
        ("te: trailers", with(&[("te", "trailers")]), Answers),
        ("Host of another host", with(&[("host", "other")]), Answers),
        ("Host of the same host", with(&[("host", "TEST")]), Answers),
        (
            "Host alone",
            of(&[(":method", "GET"), (":scheme", "http"), (":path", "/"), ("host", "test")]),
            Answers,
        ),
        (
            "OPTIONS of everything",
            of(&[(":method", "OPTIONS"), (":scheme", "http"), (":path", "*"), (":authority", "test")]),
            Answers,
        ),
        // The codec leaves it out, so nobody is told of it (RFC 9113 §8.1 would have it refused).
        (
            "a pseudo-field in trailers",
            all(&[post(1), frame(HEADERS, END_HEADERS | END_STREAM, 1, &block(&[(":path", "/")]))]),
            Answers,
        ),
        ("CONNECT is answered", of(&[(":method", "CONNECT"), (":authority", "test:1")]), Answers),
        (
            "the length of the content",
            all(&[
                frame(HEADERS, END_HEADERS, 1, &ask("POST", "/", &[("content-length", "3")])),
                frame(DATA, 0, 1, b"a"),
                frame(DATA, END_STREAM, 1, b"bc"),
            ]),
            Answers,
        ),
    ])
    .await;
}

#[tokio::test(start_paused = true)]
async fn fields_that_cannot_be_decoded() {
    let head = |bytes: &[u8]| {
        let whole = [&ask("GET", "/", &[])[..], bytes].concat();
        frame(HEADERS, END_STREAM | END_HEADERS, 1, &whole)
    };
    let first = |bytes: &[u8]| {
        let whole = [bytes, &ask("GET", "/", &[])[..]].concat();
        frame(HEADERS, END_STREAM | END_HEADERS, 1, &whole)
    };
    let broken = [
        ("index 0", head(&[0x80])),
        ("an index beyond both tables", head(&[0xff, 0x00])),
        ("a name beyond both tables", head(&[0x7f, 0x20, 1, b'a'])),
        (
            "a number without an end",
            head(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]),
        ),
        ("a text that is cut off", head(&[0x00, 5, b'a'])),
        ("a table beyond what was allowed", first(&[0x3f, 0xe2, 0x1f])),
        ("a size of the table behind fields", head(&[0x20])),
        // §5.2
        ("padding of more than seven bits", head(&[0x00, 0x82, 0x1f, 0xff, 1, b'a'])),
        ("padding of zeroes", head(&[0x00, 0x81, 0x18, 1, b'a'])),
        ("EOS within a text", head(&[0x00, 0x84, 0xff, 0xff, 0xff, 0xff, 1, b'a'])),
    ];
    // RFC 9113 §4.3 has COMPRESSION_ERROR for them. The codec ends the connection with another.
    let cases: Vec<_> = broken.into_iter().map(|(name, bytes)| (name, bytes, Ends(PROTOCOL_ERROR))).collect();
    check(&cases).await;
    check(&[
        ("a smaller table", first(&[0x20]), Answers),
        ("the table as it was allowed", first(&[0x3f, 0xe1, 0x1f]), Answers),
        ("a field for the table", head(&[0x40, 1, b'a', 1, b'b']), Answers),
        ("and its use", head(&[0x40, 1, b'a', 1, b'b', 0xbe]), Answers),
        ("a name in Huffman's code", head(&[0x00, 0x81, 0x1f, 1, b'a']), Answers),
    ])
    .await;
}
