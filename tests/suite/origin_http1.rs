//! HTTP/1.1 towards origins, byte by byte: what is taken for a response and what is not, what becomes of its connection,
//! and that both directions move at once.

use std::sync::Arc;
use std::time::Duration;

use forebay::body::Body;
use forebay::body::busy::{BodyError, BusyBody, Retention};
use forebay::origin::{Exchange, IncomingBody, Pool};
use forebay::semantics::proxy_status::ProxyError;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use http::{HeaderValue, Method};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::pool_rig::{Network, ask, get, means, pool_over, pool_settings, request, upload};
use crate::support::bytes::pattern;
use crate::support::origin::{Act, Origin, SeenRequest, chunk, head, interim, last_chunk, respond};
use crate::support::{ms, within};

const LIMIT: Duration = Duration::from_mins(5);

/// A pool of one endpoint that acts by this script.
fn one(script: impl Fn(&SeenRequest, usize) -> Vec<Act> + Send + Sync + 'static) -> (Arc<Pool>, Arc<Origin>) {
    let network = Network::new();
    let origin = network.origin("a:80", script);
    let mut settings = pool_settings(&["http://a"]);
    settings.retries = 0;
    (pool_over(settings, &network), origin)
}

/// What came of a response.
#[derive(Debug, PartialEq)]
enum Came {
    /// Status and content; whether its end was told by the end of the connection.
    Whole(u16, String, bool),
    /// Its content broke off.
    Broken(BodyError),
    /// No head.
    None(ProxyError),
}

fn whole(status: u16, content: &str) -> Came {
    Came::Whole(status, content.to_owned(), false)
}

async fn came(pool: &Pool, method: Method) -> Came {
    let exchange = match pool.exchange(request(method, "/", Body::Empty)).await {
        Ok(exchange) => exchange,
        Err(error) => return Came::None(error.error),
    };
    let Exchange { head, mut body, ends_by_close, .. } = exchange;
    match content_of(&mut body).await {
        Ok(content) => {
            body.release();
            Came::Whole(head.status.as_u16(), String::from_utf8(content).unwrap(), ends_by_close)
        }
        Err(error) => Came::Broken(error),
    }
}

async fn content_of(body: &mut IncomingBody) -> Result<Vec<u8>, BodyError> {
    let mut content = Vec::new();
    while let Some(bytes) = body.next().await? {
        assert!(!bytes.is_empty());
        content.extend_from_slice(&bytes);
    }
    Ok(content)
}

// ---- what a response is ----

/// Everything that an endpoint writes before it closes, to a request with this method, and what comes of it.
fn responses() -> Vec<(&'static str, Method, &'static str, Came)> {
    let malformed = || Came::None(ProxyError::HttpProtocolError);
    let closed = || Came::None(ProxyError::ConnectionTerminated);
    let broken = Came::Broken;
    let until_close = |content: &str| Came::Whole(200, content.to_owned(), true);
    let get = || Method::GET;
    vec![
        ("a length", get(), "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", whole(200, "hi")),
        ("no length", get(), "HTTP/1.1 200 OK\r\n\r\nhi", until_close("hi")),
        ("HTTP/1.0", get(), "HTTP/1.0 200 OK\r\n\r\nhi", until_close("hi")),
        ("no reason", get(), "HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nhi", whole(200, "hi")),
        ("lines that end in LF", get(), "HTTP/1.1 200 OK\nContent-Length: 2\n\nhi", whole(200, "hi")),
        (
            "empty lines before it",
            get(),
            "\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
            whole(200, ""),
        ),
        ("an unknown status", get(), "HTTP/1.1 799 Odd\r\nContent-Length: 0\r\n\r\n", whole(799, "")),
        ("one length twice", get(), "HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nhi", whole(200, "hi")),
        (
            "chunks",
            get(),
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nh\r\n1;x\r\ni\r\n0\r\n\r\n",
            whole(200, "hi"),
        ),
        (
            "padded sizes",
            get(),
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2  \t\r\nhi\r\n0   \r\n\r\n",
            whole(200, "hi"),
        ),
        ("a HEAD", Method::HEAD, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", whole(200, "")),
        (
            "a HEAD in chunks",
            Method::HEAD,
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            whole(200, ""),
        ),
        ("a 204", get(), "HTTP/1.1 204 No Content\r\n\r\n", whole(204, "")),
        (
            "a 304 with a length",
            get(),
            "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n",
            whole(304, ""),
        ),
        (
            "interim ones",
            get(),
            "HTTP/1.1 100 C\r\n\r\nHTTP/1.1 103 E\r\n\r\nHTTP/1.1 204 N\r\n\r\n",
            whole(204, ""),
        ),
        (
            "two lengths",
            get(),
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nhi!",
            malformed(),
        ),
        ("an odd length", get(), "HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nhi", malformed()),
        (
            "two framings",
            get(),
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
            malformed(),
        ),
        (
            "coded chunks",
            get(),
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
            malformed(),
        ),
        (
            "chunks of HTTP/1.0",
            get(),
            "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            malformed(),
        ),
        ("a folded field", get(), "HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 0\r\n\r\n", malformed()),
        ("a space in a name", get(), "HTTP/1.1 200 OK\r\nContent-Length : 0\r\n\r\n", malformed()),
        ("a NUL in a value", get(), "HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 0\r\n\r\n", malformed()),
        ("a CR in a value", get(), "HTTP/1.1 200 OK\r\nX: a\rb\r\nContent-Length: 0\r\n\r\n", malformed()),
        ("a status of two digits", get(), "HTTP/1.1 20 OK\r\n\r\n", malformed()),
        ("a status of none", get(), "HTTP/1.1 099 OK\r\n\r\n", malformed()),
        ("HTTP/2", get(), "HTTP/2 200 OK\r\n\r\n", malformed()),
        ("no HTTP", get(), "220 mail.test ESMTP\r\n", malformed()),
        ("half a head", get(), "HTTP/1.1 200 OK\r\nContent-Le", closed()),
        ("nothing", get(), "", closed()),
        ("only interim ones", get(), "HTTP/1.1 103 Early Hints\r\n\r\n", closed()),
        (
            "half of it",
            get(),
            "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhi",
            broken(BodyError::Incomplete),
        ),
        (
            "half a chunk",
            get(),
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhi",
            broken(BodyError::Incomplete),
        ),
        (
            "no last chunk",
            get(),
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n",
            broken(BodyError::Incomplete),
        ),
        (
            "a chunk of odd size",
            get(),
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-2\r\nhi\r\n0\r\n\r\n",
            broken(BodyError::Malformed),
        ),
    ]
}

#[tokio::test(start_paused = true)]
async fn a_response_is_what_rfc_9112_says_it_is_in_whatever_pieces_it_comes() {
    for (name, method, text, expected) in responses() {
        for piece in [usize::MAX, 1] {
            let (pool, _) = one(move |_, _| {
                let pieces = text.as_bytes().chunks(piece.min(text.len().max(1)));
                let pieces = pieces.flat_map(|piece| [Act::send(piece), Act::Wait(ms(1))]);
                pieces.chain([Act::Close]).collect()
            });
            let came = within(LIMIT, came(&pool, method.clone())).await;
            assert_eq!(came, expected, "{name}, {piece} bytes at a time");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_head_is_as_long_as_it_may_be() {
    let fill = |length: usize| {
        let line = format!("X: {}\r\n", "a".repeat(length));
        move |_: &SeenRequest, _| {
            vec![Act::send(format!("HTTP/1.1 200 OK\r\n{line}Content-Length: 0\r\n\r\n")), Act::Stall]
        }
    };
    let (pool, _) = one(fill(60 << 10));
    assert_eq!(came(&pool, Method::GET).await, whole(200, ""));
    let (pool, _) = one(fill(64 << 10));
    assert_eq!(came(&pool, Method::GET).await, Came::None(ProxyError::HttpResponseHeaderSectionSize));
    for (count, expected) in
        [(500, whole(200, "")), (520, Came::None(ProxyError::HttpResponseHeaderSectionSize))]
    {
        let fields = "X: a\r\n".repeat(count);
        let (pool, _) = one(move |_, _| {
            vec![Act::send(format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: 0\r\n\r\n")), Act::Stall]
        });
        assert_eq!(came(&pool, Method::GET).await, expected, "{count} fields");
    }
}

// ---- what becomes of its connection ----

#[tokio::test(start_paused = true)]
async fn a_connection_carries_the_next_request_only_if_nothing_is_left_on_it() {
    let cases: [(&str, &str, bool); 8] = [
        ("a length", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", true),
        ("chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", true),
        ("HTTP/1.0", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nhi", true),
        ("HTTP/1.0 that closes", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi", false),
        ("close", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi", false),
        ("content behind the end", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi!", false),
        (
            "a second response",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhiHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
            false,
        ),
        ("content of a 204", "HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nhi", false),
    ];
    for (name, text, is_kept) in cases {
        let (pool, origin) = one(move |_, _| vec![Act::send(text)]);
        for _ in 0..3 {
            assert!(
                matches!(came(&pool, Method::GET).await, Came::Whole(200 | 204, content, _) if content.len() <= 2)
            );
        }
        assert_eq!(origin.opened(), if is_kept { 1 } else { 3 }, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_said_on_an_idle_connection_is_no_answer_to_the_next_request() {
    let (pool, origin) = one(|_, nth| match nth {
        0 => vec![respond("200 OK", &[], "first"), Act::Wait(ms(10)), respond("200 OK", &[], "evil")],
        _ => vec![respond("200 OK", &[], "second")],
    });
    assert_eq!(came(&pool, Method::GET).await, whole(200, "first"));
    tokio::time::sleep(ms(20)).await;
    assert_eq!(came(&pool, Method::GET).await, whole(200, "second"));
    assert_eq!(origin.opened(), 2);
}

#[tokio::test(start_paused = true)]
async fn idle_connections_that_the_endpoint_has_closed_are_closed_although_nobody_asks() {
    let (pool, origin) = one(|_, _| vec![respond("200 OK", &[], "hi"), Act::Wait(ms(10)), Act::Close]);
    assert_eq!(came(&pool, Method::GET).await, whole(200, "hi"));
    within(LIMIT, origin.wait_until(|tally| tally.ended == 1)).await;
}

#[tokio::test(start_paused = true)]
async fn idle_connections_are_closed_when_their_time_is_over() {
    let network = Network::new();
    let origin = network.origin("a:80", |_, _| vec![respond("200 OK", &[], "hi")]);
    let mut settings = pool_settings(&["http://a"]);
    settings.idle_timeout = ms(5000);
    let pool = pool_over(settings, &network);
    assert_eq!(came(&pool, Method::GET).await, whole(200, "hi"));
    tokio::time::sleep(ms(4900)).await;
    assert_eq!(origin.closed_by_peer(), 0);
    tokio::time::sleep(ms(2000)).await;
    within(LIMIT, origin.wait_for_closed_by_peer(1)).await;
}

#[tokio::test(start_paused = true)]
async fn what_comes_with_a_101_belongs_to_the_tunnel() {
    let switched = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nearly";
    let (pool, origin) = one(move |_, _| vec![Act::send(switched), Act::Stall]);
    let mut upgrade = get("/");
    upgrade.headers.insert("connection", HeaderValue::from_static("upgrade"));
    upgrade.headers.insert("upgrade", HeaderValue::from_static("x"));
    let Exchange { tunnel, body, .. } = pool.exchange(upgrade).await.expect("a 101");
    body.release();
    let mut tunnel = tunnel.expect("a tunnel").open().await.expect("a stream");
    let mut early = [0; 5];
    tunnel.read_exact(&mut early).await.expect("what came early");
    tunnel.write_all(b"more").await.expect("it is open");
    assert_eq!((&early, origin.opened()), (b"early", 1));
}

#[tokio::test(start_paused = true)]
async fn however_many_idle_connections_have_gone_bad_none_of_them_is_used() {
    // More than a task may look at before it has to let others go on.
    const MANY: usize = 200;
    let network = Network::new();
    let origin = network.origin("a:80", |_, nth| match nth {
        0..MANY => {
            let answer = |text| respond("200 OK", &[], text);
            vec![Act::Wait(ms(5)), answer("first"), Act::Wait(ms(10)), answer("evil")]
        }
        _ => vec![respond("200 OK", &[], "second")],
    });
    let mut settings = pool_settings(&["http://a"]);
    (settings.retries, settings.max_connections, settings.max_idle) = (0, 256, 256);
    let pool = pool_over(settings, &network);
    let all: FuturesUnordered<_> = (0..MANY).map(|_| came(&pool, Method::GET)).collect();
    all.collect::<Vec<_>>().await;
    tokio::time::sleep(ms(30)).await;
    assert_eq!(origin.opened(), MANY);
    let second = tokio::spawn(async move { came(&pool, Method::GET).await }).await.expect("a task");
    assert_eq!(second, whole(200, "second"));
    within(LIMIT, origin.wait_until(|tally| tally.ended >= MANY)).await;
}

#[tokio::test(start_paused = true)]
async fn a_request_whose_content_is_still_on_its_way_cannot_become_a_tunnel() {
    let switched = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n";
    let (pool, _) = one(move |_, _| vec![Act::send(switched), Act::Stall]);
    let mut upgrade = request(Method::POST, "/", upload(vec![b"x".to_vec(); 100], ms(1000)));
    upgrade.headers.insert("connection", HeaderValue::from_static("upgrade"));
    upgrade.headers.insert("upgrade", HeaderValue::from_static("x"));
    let error = within(LIMIT, pool.exchange(upgrade)).await.expect_err("no answer");
    assert_eq!(error.error, ProxyError::HttpProtocolError);
}

// ---- both directions ----

#[tokio::test(start_paused = true)]
async fn an_answer_that_comes_early_is_read_while_the_content_is_still_sent() {
    // Each direction has more than all buffers hold, and the endpoint reads only when it has written.
    let (pool, origin) = one(|_, _| {
        vec![head("200 OK", &[("Content-Length", "400000")]), Act::send(pattern(1, 400_000)), Act::ReadBody]
    });
    let body = upload(vec![pattern(2, 10_000).to_vec(); 40], ms(1));
    let exchange = pool.exchange(request(Method::POST, "/", body)).await.expect("a head");
    let mut body = exchange.body;
    assert_eq!(within(LIMIT, content_of(&mut body)).await.expect("all of it"), pattern(1, 400_000));
    within(LIMIT, async {
        tokio::select! {
            never = body.keep_sending() => match never {},
            () = origin.wait_for_finished(1) => {}
        }
    })
    .await;
    assert_eq!(origin.exchange(0).body.len(), 400_000);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_heard_although_the_endpoint_takes_no_content_and_its_connection_ends() {
    let (pool, origin) = one(|_, _| vec![respond("413 Content Too Large", &[], "no"), Act::Stall]);
    for _ in 0..2 {
        let body = upload(vec![pattern(2, 10_000).to_vec(); 100], ms(1));
        let answer = within(LIMIT, ask(&pool, request(Method::POST, "/", body))).await.expect("an answer");
        assert_eq!((answer.0, answer.1.as_str()), (413, "no"));
    }
    assert_eq!(origin.opened(), 2);
}

#[tokio::test(start_paused = true)]
async fn content_that_was_not_called_for_is_not_sent_and_the_connection_ends() {
    let (pool, origin) = one(|_, _| vec![respond("417 Expectation Failed", &[], "no"), Act::ReadBody]);
    let mut expecting = request(Method::POST, "/", upload(vec![b"content".to_vec()], ms(0)));
    expecting.headers.insert("expect", HeaderValue::from_static("100-continue"));
    assert_eq!(ask(&pool, expecting).await.expect("an answer").0, 417);
    within(LIMIT, origin.wait_for_closed_by_peer(1)).await;
    assert_eq!(origin.exchange(0).body, b"");
}

#[tokio::test(start_paused = true)]
async fn an_answer_in_the_place_of_a_call_for_content_ends_the_wait_for_it() {
    let (pool, origin) = one(|_, _| {
        vec![
            head("200 OK", &[("Content-Length", "4")]),
            Act::send("ab"),
            Act::Wait(ms(3000)),
            Act::send("cd"),
            Act::ReadBody,
        ]
    });
    let mut expecting = request(Method::POST, "/", upload(vec![b"content".to_vec()], ms(0)));
    expecting.headers.insert("expect", HeaderValue::from_static("100-continue"));
    assert_eq!(ask(&pool, expecting).await.expect("an answer").1, "abcd");
    within(LIMIT, origin.wait_for_closed_by_peer(1)).await;
    assert_eq!(origin.exchange(0).body, b"");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_there_counts_although_the_content_breaks_off() {
    let (pool, origin) = one(|_, _| vec![respond("413 Content Too Large", &[], "no"), Act::Stall]);
    let (_, writer, reader) = BusyBody::with_reader(means(), Retention::Window);
    let exchange = pool.exchange(request(Method::POST, "/", Body::Busy(reader))).await.expect("a head");
    writer.fail(BodyError::Incomplete);
    let mut body = exchange.body;
    assert_eq!(content_of(&mut body).await.expect("all of it"), b"no");
    body.release();
    within(LIMIT, origin.wait_for_closed_by_peer(1)).await;
}

#[tokio::test(start_paused = true)]
async fn content_is_called_for_or_its_time_comes() {
    for (before, took) in [(vec![interim("100 Continue", &[])], 0), (vec![], 1000)] {
        let (pool, origin) = one(move |_, _| {
            before.iter().cloned().chain([Act::ReadBody, respond("200 OK", &[], "yes")]).collect()
        });
        let mut expecting = request(Method::POST, "/", upload(vec![b"content".to_vec()], ms(0)));
        expecting.headers.insert("expect", HeaderValue::from_static("100-continue"));
        let begun = tokio::time::Instant::now();
        assert_eq!(ask(&pool, expecting).await.expect("an answer").0, 200);
        assert_eq!((origin.exchange(0).body, begun.elapsed().as_millis()), (b"content".to_vec(), took));
    }
}

#[tokio::test(start_paused = true)]
async fn trailers_come_with_the_content() {
    let (pool, _) = one(|_, _| {
        vec![
            head("200 OK", &[("Transfer-Encoding", "chunked"), ("Trailer", "X-Sum")]),
            chunk("hi"),
            last_chunk(&[("X-Sum", "2")]),
        ]
    });
    let mut body = pool.exchange(get("/")).await.expect("a head").body;
    assert_eq!(content_of(&mut body).await.expect("all of it"), b"hi");
    assert_eq!(body.take_trailers().expect("trailers")["x-sum"], "2");
}

// ---- leaving ----

#[tokio::test(start_paused = true)]
async fn who_leaves_between_two_pieces_of_content_loses_none_and_who_leaves_for_good_closes_the_connection() {
    let (pool, origin) = one(|_, _| {
        vec![
            head("200 OK", &[("Content-Length", "4")]),
            Act::send("ab"),
            Act::Wait(ms(100)),
            Act::send("cd"),
            Act::Stall,
        ]
    });
    let mut body = pool.exchange(get("/")).await.expect("a head").body;
    let mut content = Vec::new();
    while content.len() < 4 {
        // Dropped at its await, again and again.
        if let Ok(next) = tokio::time::timeout(ms(7), body.next()).await {
            content.extend_from_slice(&next.expect("content").expect("more of it"));
        }
    }
    assert_eq!(content, b"abcd");
    let body = pool.exchange(get("/")).await.expect("a head").body;
    drop(body);
    within(LIMIT, origin.wait_for_closed_by_peer(1)).await;
}
