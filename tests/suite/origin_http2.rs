//! HTTP/2 towards origins: what of a request reaches them, what of an answer comes back, how requests share connections,
//! and what is sent again.

use std::sync::Arc;
use std::time::Duration;

use forebay::body::Body;
use forebay::body::busy::{BusyBody, Retention};
use forebay::origin::{Exchange, Hear, HttpVersion, OriginRequest};
use forebay::semantics::proxy_status::ProxyError;
use futures_util::future::join_all;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Version};
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use crate::http2_frames;
use crate::origin_http2_rig::{Asked, Http2Origin, Reach, pool_of};
use crate::pool_rig::{ask, get, means, request, upload};
use crate::rig::{Pipes, settings};
use crate::support::bytes::pattern;
use crate::support::{ms, within};

pub const LIMIT: Duration = Duration::from_mins(5);

/// Waits until something is so.
pub async fn until(what: impl Fn() -> bool) {
    within(LIMIT, async {
        while !what() {
            tokio::time::sleep(ms(1)).await;
        }
    })
    .await;
}

pub async fn hello(mut asked: Asked, _: usize) {
    let _ = asked.content().await;
    asked.answer(200, &[("cache-control", "max-age=60")], "hello");
}

fn with(mut request: OriginRequest, fields: &[(&'static str, &'static str)]) -> OriginRequest {
    for (name, value) in fields {
        request.headers.append(*name, HeaderValue::from_static(value));
    }
    request
}

// ---- a request and its answer ----

#[tokio::test(start_paused = true)]
async fn a_request_goes_out_as_http2_has_it() {
    let seen = Arc::<Mutex<Vec<(Method, String, Version, HeaderMap)>>>::default();
    let pad = Arc::clone(&seen);
    let origin = Http2Origin::new(move |mut asked, _| {
        let head = &asked.request;
        let noted = (head.method().clone(), head.uri().to_string(), head.version(), head.headers().clone());
        pad.lock().push(noted);
        async move { asked.answer(200, &[], "") }
    });
    let pool = pool_of(&origin);
    let said = [
        ("te", "trailers"),
        ("connection", "te"),
        ("x-many", "one"),
        ("x-many", "two"),
        ("upgrade", "websocket"),
    ];
    ask(&pool, with(get("/a?b=c"), &said)).await.expect("an answer");
    ask(&pool, request(Method::OPTIONS, "*", Body::Empty)).await.expect("an answer");
    let seen = seen.lock();
    let (method, uri, version, headers) = &seen[0];
    assert_eq!((method, uri.as_str(), *version), (&Method::GET, "http://site.test/a?b=c", Version::HTTP_2));
    let fields: Vec<_> =
        headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
    assert_eq!(fields, [("te", "trailers"), ("x-many", "one"), ("x-many", "two")]);
    assert_eq!((&seen[1].0, seen[1].1.as_str()), (&Method::OPTIONS, "http://site.test*"));
}

#[tokio::test(start_paused = true)]
async fn an_answer_comes_with_its_fields_content_and_trailers() {
    let origin = Http2Origin::new(|mut asked, _| async move {
        let mut stream = asked.begin(200, &[("x-a", "1"), ("x-a", "2")], false);
        stream.send_data("hello ".into(), false).unwrap();
        stream.send_data("world".into(), false).unwrap();
        let trailers = HeaderMap::from_iter([("x-sum".parse().unwrap(), HeaderValue::from_static("7"))]);
        stream.send_trailers(trailers).unwrap();
    });
    let Exchange { head, mut body, ends_by_close, .. } = pool_of(&origin).exchange(get("/")).await.unwrap();
    let fields = head.headers;
    assert_eq!(fields.get_all("x-a").iter().collect::<Vec<_>>(), ["1", "2"]);
    let mut content = Vec::new();
    while let Some(bytes) = body.next().await.unwrap() {
        content.extend_from_slice(&bytes);
    }
    assert_eq!((content.as_slice(), ends_by_close), (&b"hello world"[..], false));
    assert_eq!(body.next().await, Ok(None), "it stays whole");
    assert_eq!(body.take_trailers().unwrap()["x-sum"], "7");
}

#[tokio::test(start_paused = true)]
async fn answers_without_content_may_say_how_long_it_would_be() {
    let origin = Http2Origin::new(|mut asked, _| async move {
        let status = asked.request.uri().path()[1..].parse().unwrap();
        asked.answer(status, &[("content-length", if status == 204 { "0" } else { "5" })], "");
    });
    let pool = pool_of(&origin);
    let answered = ask(&pool, request(Method::HEAD, "/200", Body::Empty)).await.unwrap();
    assert_eq!((answered.0, answered.1.as_str()), (200, ""));
    assert_eq!(ask(&pool, get("/304")).await.unwrap().0, 304);
    assert_eq!(ask(&pool, get("/204")).await.unwrap().0, 204);
    assert_eq!(origin.opened(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_at_its_end_with_its_head_says_so() {
    let origin = Http2Origin::new(|mut asked, _| async move { asked.answer(200, &[], "") });
    let pool = pool_of(&origin);
    for (method, length) in [(Method::GET, Some("0")), (Method::HEAD, None)] {
        let exchange = pool.exchange(request(method.clone(), "/", Body::Empty)).await.expect("an answer");
        let said = exchange.head.headers.get("content-length").map(|value| value.to_str().unwrap());
        assert_eq!(said, length, "{method}");
    }
}

#[tokio::test(start_paused = true)]
async fn content_comes_at_the_pace_of_who_takes_it() {
    const LENGTH: usize = 4 << 20;
    let handed = Arc::<Mutex<usize>>::default();
    let count = Arc::clone(&handed);
    let origin = Http2Origin::new(move |mut asked, _| {
        let count = Arc::clone(&count);
        async move {
            let mut stream = asked.begin(200, &[], false);
            let all = pattern(1, LENGTH);
            let mut at = 0;
            while at < LENGTH {
                stream.reserve_capacity(LENGTH - at);
                let room = std::future::poll_fn(|cx| stream.poll_capacity(cx)).await.unwrap().unwrap();
                let to = (at + room).min(LENGTH);
                stream.send_data(all.slice(at..to), to == LENGTH).unwrap();
                at = to;
                *count.lock() = at;
            }
        }
    });
    let mut body = pool_of(&origin).exchange(get("/")).await.unwrap().body;
    tokio::time::sleep(ms(1000)).await;
    assert_eq!(*handed.lock(), 64 << 10, "a window, while nobody takes anything");
    let mut content = Vec::new();
    while let Some(bytes) = body.next().await.unwrap() {
        content.extend_from_slice(&bytes);
    }
    assert_eq!(content, pattern(1, LENGTH));
}

// ---- content of requests ----

/// Says what came: its length as announced, and it.
async fn echo(mut asked: Asked, _: usize) {
    let announced =
        asked.request.headers().get("content-length").map(|value| value.to_str().unwrap().to_owned());
    let content = asked.content().await;
    let trailers = asked.request.body_mut().trailers().await;
    let said = match (content, trailers) {
        (Ok(content), Ok(trailers)) => {
            let trailers = trailers.unwrap_or_default();
            let names: Vec<_> = trailers.keys().map(http::HeaderName::as_str).collect();
            format!("{announced:?} {} {names:?}", content.len())
        }
        other => format!("broke off: {other:?}"),
    };
    asked.answer(200, &[], &said);
}

#[tokio::test(start_paused = true)]
async fn content_goes_out_whole_with_its_length_if_that_is_known() {
    let origin = Http2Origin::new(echo);
    let pool = pool_of(&origin);
    let sent = |body| ask(&pool, request(Method::POST, "/", body));
    assert_eq!(sent(Body::Bytes("abc".into())).await.unwrap().1, "Some(\"3\") 3 []");
    assert_eq!(sent(Body::Empty).await.unwrap().1, "None 0 []");
    let pieces = [100_000, 1, 300_000].map(|length| pattern(1, length).to_vec()).to_vec();
    let long = within(LIMIT, sent(upload(pieces, ms(10)))).await;
    assert_eq!(long.unwrap().1, "None 400001 []");
}

#[tokio::test(start_paused = true)]
async fn only_trailers_that_were_announced_go_out() {
    let origin = Http2Origin::new(echo);
    let (_, mut writer, reader) = BusyBody::with_reader(means(), Retention::Window);
    writer.append("abc".into()).await.unwrap();
    let mut trailers = HeaderMap::new();
    for name in ["x-sum", "content-length", "connection", "x-forwarded-for"] {
        trailers.insert(name, HeaderValue::from_static("1"));
    }
    writer.finish(Some(trailers));
    let announcing = [("trailer", "x-sum, content-length")];
    let said =
        ask(&pool_of(&origin), with(request(Method::POST, "/", Body::Busy(reader)), &announcing)).await;
    assert_eq!(said.unwrap().1, "None 3 [\"x-sum\"]");
}

#[tokio::test(start_paused = true)]
async fn content_that_is_not_as_long_as_was_said_is_given_up() {
    let origin = Http2Origin::new(echo);
    let pool = pool_of(&origin);
    for said in ["2", "4"] {
        let post = with(
            request(Method::POST, "/", upload(vec![b"abc".to_vec()], ms(1))),
            &[("content-length", "0")],
        );
        let mut post = post;
        post.headers.insert("content-length", HeaderValue::from_str(said).unwrap());
        let error = within(LIMIT, ask(&pool, post)).await.expect_err("no answer");
        assert_eq!(error.error, ProxyError::HttpRequestError, "{said}");
    }
    assert_eq!(ask(&pool, get("/")).await.unwrap().0, 200);
    assert_eq!(origin.opened(), 1, "the connection is none the worse");
}

#[tokio::test(start_paused = true)]
async fn both_directions_move_at_once() {
    // Each piece is answered as it comes, which asks for the next.
    let origin = Http2Origin::new(|mut asked, _| async move {
        let mut stream = asked.begin(200, &[("content-type", "application/grpc")], false);
        let body = asked.request.body_mut();
        while let Some(bytes) = body.data().await {
            let bytes = bytes.unwrap();
            body.flow_control().release_capacity(bytes.len()).unwrap();
            stream.send_data(bytes, false).unwrap();
        }
        stream.send_trailers(HeaderMap::from_iter([("grpc-status".parse().unwrap(), 0.into())])).unwrap();
    });
    let (_, mut writer, reader) = BusyBody::with_reader(means(), Retention::Window);
    let pool = pool_of(&origin);
    let exchange = pool.exchange(request(Method::POST, "/", Body::Busy(reader)));
    let mut body = within(LIMIT, exchange).await.expect("a head before any content").body;
    for piece in ["one", "two", "three"] {
        writer.append(piece.into()).await.unwrap();
        assert_eq!(within(LIMIT, body.next()).await.unwrap().unwrap(), piece);
    }
    writer.finish(None);
    assert_eq!(within(LIMIT, body.next()).await, Ok(None));
    assert_eq!(body.take_trailers().unwrap()["grpc-status"], "0");
}

#[tokio::test(start_paused = true)]
async fn content_waits_to_be_called_for() {
    let origin = Http2Origin::new(|mut asked, number| async move {
        match number {
            0 => {
                let informed = http::Response::builder().status(100).body(()).unwrap();
                asked.respond.send_informational(informed).unwrap();
                let content = asked.content().await.unwrap();
                asked.answer(200, &[], &format!("{}", content.len()));
            }
            _ => asked.answer(417, &[], "no"),
        }
    });
    let pool = pool_of(&origin);
    let expecting = || {
        let (body, mut writer, reader) = BusyBody::with_reader(means(), Retention::Window);
        tokio::spawn(async move {
            writer.demanded().await;
            if writer.append("abc".into()).await.is_ok() {
                writer.finish(None);
            }
        });
        (body, with(request(Method::POST, "/", Body::Busy(reader)), &[("expect", "100-continue")]))
    };
    let (_, first) = expecting();
    assert_eq!(within(ms(500), ask(&pool, first)).await.unwrap().1, "3", "not after the time limit of 1 s");
    let (body, second) = expecting();
    assert_eq!(within(ms(500), ask(&pool, second)).await.unwrap().0, 417);
    assert_eq!(body.progress(), (0, 0), "nobody has asked for it");
}

#[tokio::test(start_paused = true)]
async fn what_is_said_before_the_answer_is_heard() {
    #[derive(Debug, Default)]
    struct Ear(Mutex<Vec<(StatusCode, HeaderMap)>>);
    impl Hear for Ear {
        fn hear(&self, status: StatusCode, headers: &HeaderMap) {
            self.0.lock().push((status, headers.clone()));
        }
    }
    let origin = Http2Origin::new(|mut asked, _| async move {
        for link in ["</a>", "</b>"] {
            let hint = http::Response::builder().status(103).header("link", link).body(()).unwrap();
            asked.respond.send_informational(hint).unwrap();
        }
        asked.answer(200, &[], "");
    });
    let ear = Arc::new(Ear::default());
    let listener = Arc::clone(&ear) as Arc<dyn Hear>;
    pool_of(&origin).exchange_heard(Box::new(get("/")), Some(listener)).await.unwrap();
    let heard = ear.0.lock();
    let links: Vec<_> =
        heard.iter().map(|(status, headers)| (status.as_u16(), headers["link"].clone())).collect();
    assert_eq!(links, [(103, "</a>".parse().unwrap()), (103, "</b>".parse().unwrap())]);
}

// ---- a whole node between ----

/// A node in front of this origin.
fn node(origin: &Arc<Http2Origin>) -> Pipes {
    let mut settings = settings("http://a.test");
    settings.pools[0].http_version = HttpVersion::Http2;
    Pipes::over(settings, Arc::new(Reach(Arc::clone(origin))))
}

#[tokio::test(start_paused = true)]
async fn what_comes_by_http2_is_stored_as_anything_else() {
    let origin = Http2Origin::new(hello);
    let node = node(&origin);
    for cache in ["miss", "hit"] {
        let answer = node.ask("/", &[]).await;
        assert_eq!((answer.status, answer.text().as_str()), (200, "hello"), "{cache}");
    }
    assert_eq!(origin.hits(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_collapsed_crowd_is_one_stream() {
    let gate = Arc::new(Semaphore::new(0));
    let held = Arc::clone(&gate);
    let origin = Http2Origin::new(move |mut asked, _| {
        let held = Arc::clone(&held);
        async move {
            held.acquire().await.unwrap().forget();
            asked.answer(200, &[("cache-control", "max-age=60")], "for all");
        }
    });
    let node = node(&origin);
    let asks = (0..20).map(|_| node.ask("/", &[]));
    let opens = async {
        until(|| origin.under_way() == 1).await;
        gate.add_permits(1);
    };
    let (answers, ()) = tokio::join!(join_all(asks), opens);
    assert!(answers.iter().all(|answer| answer.text() == "for all"));
    assert_eq!((origin.hits(), origin.opened()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_call_of_grpc_goes_through_from_end_to_end() {
    let origin = Http2Origin::new(|mut asked, _| async move {
        let fields = asked.request.headers();
        let calls = fields["te"] == "trailers" && fields["content-type"] == "application/grpc";
        assert!(calls && !fields.contains_key("content-length"), "{fields:?}");
        let mut stream = asked.begin(200, &[("content-type", "application/grpc")], false);
        let body = asked.request.body_mut();
        while let Some(bytes) = body.data().await {
            let bytes = bytes.unwrap();
            body.flow_control().release_capacity(bytes.len()).unwrap();
            stream.send_data(bytes, false).unwrap();
        }
        stream.send_trailers(HeaderMap::from_iter([("grpc-status".parse().unwrap(), 0.into())])).unwrap();
    });
    let node = node(&origin);
    let (send, connection) = h2::client::handshake(http2_frames::connect(&node)).await.unwrap();
    tokio::spawn(connection);
    let call = http::Request::builder()
        .method(Method::POST)
        .uri("http://test/package.Service/Method")
        .header("te", "trailers")
        .header("content-type", "application/grpc")
        .body(())
        .unwrap();
    let (response, mut stream) = send.ready().await.unwrap().send_request(call, false).unwrap();
    let mut content = within(LIMIT, response).await.expect("a head before any content").into_body();
    for piece in ["one", "two"] {
        stream.send_data(piece.into(), false).unwrap();
        assert_eq!(within(LIMIT, content.data()).await.unwrap().unwrap(), piece);
    }
    stream.send_data("".into(), true).unwrap();
    assert!(within(LIMIT, content.data()).await.is_none());
    assert_eq!(content.trailers().await.unwrap().unwrap()["grpc-status"], "0");
}
