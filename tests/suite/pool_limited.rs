//! Origins of limited HTTP: HTTP/1.0, one request a connection, no chunks; and the fields that an origin is owed.

use forebay::body::Body;
use forebay::origin::{HttpVersion, PoolError};
use http::Method;

use crate::pool_rig::{Network, ask, get, made, pool_over, pool_settings, request, says, upload, whole};
use crate::rig::{Pipes, settings, streaming};
use crate::support::bytes::pattern;
use crate::support::origin::{Act, head, respond};
use crate::support::{ms, within};

#[tokio::test(start_paused = true)]
async fn an_origin_of_http_1_0_is_spoken_to_in_its_own_words() {
    let network = Network::new();
    let origin = network.origin("a:80", |_, _| {
        let fields = [("Connection", "keep-alive")];
        vec![Act::ReadBody, respond("HTTP/1.0 200 OK", &fields, "old")]
    });
    let mut settings = pool_settings(&["http://a"]);
    settings.http_version = HttpVersion::Http10;
    let pool = pool_over(settings, &network);
    for _ in 0..2 {
        let mut asked = get("/");
        for (name, value) in [("te", "trailers"), ("connection", "te"), ("expect", "100-continue")] {
            asked.headers.insert(name, value.parse().unwrap());
        }
        assert_eq!(ask(&pool, asked).await.expect("an answer").1, "old");
    }
    let body = whole(&["one ", "two"]).await;
    ask(&pool, request(Method::POST, "/", body)).await.expect("an answer");
    for seen in origin.seen() {
        assert_eq!(seen.version, "HTTP/1.0");
        assert_eq!(seen.header_all("connection"), ["keep-alive"]);
        let unknown = ["te", "expect", "transfer-encoding"];
        assert!(unknown.iter().all(|name| seen.header(name).is_none()), "{:?}", seen.lines);
    }
    let last = origin.exchange(2);
    assert_eq!((last.request.header("content-length"), last.body.as_slice()), (Some("7"), &b"one two"[..]));
    assert_eq!(origin.opened(), 1, "kept alive by both sides' word");
    origin.assert_clean();
}

#[tokio::test(start_paused = true)]
async fn an_answer_of_http_1_0_may_end_by_close() {
    let network = Network::new();
    let origin = network
        .origin("a:80", |_, _| vec![head("HTTP/1.0 200 OK", &[]), Act::send("to the end"), Act::Close]);
    let mut settings = pool_settings(&["http://a"]);
    settings.http_version = HttpVersion::Http10;
    let pool = pool_over(settings, &network);
    for _ in 0..2 {
        let exchange = pool.exchange(get("/")).await.expect("a head");
        assert!(exchange.ends_by_close);
        assert_eq!(crate::pool_rig::read(exchange).await.expect("a body").1, "to the end");
    }
    assert_eq!(origin.opened(), 2);
}

#[tokio::test(start_paused = true)]
async fn without_keep_alive_each_request_has_its_connection() {
    for version in [HttpVersion::Http11, HttpVersion::Http10] {
        let network = Network::new();
        let origin = network.origin("a:80", says("once"));
        let mut settings = pool_settings(&["http://a"]);
        (settings.keep_alive, settings.http_version) = (false, version);
        let pool = pool_over(settings, &network);
        for _ in 0..3 {
            ask(&pool, get("/")).await.expect("an answer");
        }
        assert_eq!((origin.opened(), pool.endpoints()[0].idle), (3, 0));
        origin.wait_for_closed_by_peer(3).await;
        assert!(origin.seen().iter().all(|seen| seen.header_all("connection") == ["close"]));
    }
}

#[tokio::test(start_paused = true)]
async fn content_of_unknown_length_is_spooled_where_chunks_are_not_taken() {
    let network = Network::new();
    let origin = network.origin("a:80", says("taken"));
    let mut node = settings("http://a");
    let mut pool = pool_settings(&["http://a"]);
    pool.chunked = false;
    node.pools = vec![pool];
    let pipes = Pipes::over(node, network);
    let content = pattern(7, 1_000_000);
    let mut client = pipes.client();
    client.send("POST /up HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    for piece in content.chunks(10_000) {
        client.send(&format!("{:x}\r\n", piece.len())).await;
        client.try_send(piece).await.expect("taken as it comes");
        client.send("\r\n").await;
        assert_eq!(origin.hits(), 0, "not before its end is known");
    }
    client.send("0\r\n\r\n").await;
    assert_eq!(client.read_answer().await.text(), "taken");
    let exchange = origin.exchange(0);
    assert_eq!(exchange.request.header_all("content-length"), ["1000000"]);
    assert_eq!(exchange.request.header("transfer-encoding"), None);
    assert!(exchange.body_whole && exchange.body == content);
    origin.assert_clean();
}

/// Also where all else is passed on as it comes.
#[tokio::test(start_paused = true)]
async fn content_of_unknown_length_that_finds_no_room_is_refused_where_chunks_are_not_taken() {
    for (room, status) in [(10 << 20, 200), (0, 503)] {
        let network = Network::new();
        let origin = network.origin("a:80", says("taken"));
        let mut node = streaming(settings("http://a"));
        node.spill.limit = room;
        node.pools = vec![pool_settings(&["http://a"])];
        node.pools[0].http_version = HttpVersion::Http10;
        let pipes = Pipes::over(node, network);
        let mut client = pipes.client();
        client.send("POST /up HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n").await;
        let content = pattern(7, 1_000_000);
        let sending = async {
            let chunks = [format!("{:x}\r\n", content.len()).as_bytes(), &content, b"\r\n0\r\n\r\n"].concat();
            // Who is refused need not take all.
            let _ = client.try_send(&chunks).await;
            client.read_answer().await.status
        };
        assert_eq!(within(ms(100_000), sending).await, status, "{room}");
        assert_eq!(origin.hits(), usize::from(status == 200));
    }
}

#[tokio::test(start_paused = true)]
async fn content_of_known_length_is_not_spooled() {
    let network = Network::new();
    let origin = network.origin("a:80", says("taken"));
    let mut settings = pool_settings(&["http://a"]);
    settings.chunked = false;
    let pool = pool_over(settings, &network);
    let mut asked = request(Method::POST, "/", upload(vec![b"1234".to_vec(), b"5678".to_vec()], ms(1000)));
    asked.headers.insert("content-length", "8".parse().unwrap());
    let asking = tokio::spawn(async move { ask(&pool, asked).await });
    tokio::time::sleep(ms(1500)).await;
    assert_eq!(origin.hits(), 1, "sent while it arrives");
    asking.await.expect("a task").expect("an answer");
    assert_eq!(origin.exchange(0).body, b"12345678");
}

#[tokio::test(start_paused = true)]
async fn no_content_has_a_length_too_where_chunks_are_not_taken() {
    let network = Network::new();
    let origin = network.origin("a:80", says("taken"));
    let mut settings = pool_settings(&["http://a"]);
    settings.chunked = false;
    let pool = pool_over(settings, &network);
    for (nth, method, length) in [(0, Method::POST, Some("0")), (1, Method::GET, None)] {
        ask(&pool, request(method, "/", Body::Empty)).await.expect("an answer");
        assert_eq!(origin.exchange(nth).request.header("content-length"), length);
    }
    origin.assert_clean();
}

#[tokio::test(start_paused = true)]
async fn an_upload_that_breaks_off_while_it_is_spooled_reaches_nobody() {
    let network = Network::new();
    let origin = network.origin("a:80", says("taken"));
    let mut settings = pool_settings(&["http://a"]);
    settings.chunked = false;
    let pool = pool_over(settings, &network);
    let (_, mut writer, reader) = forebay::body::busy::BusyBody::with_reader(
        crate::pool_rig::means(),
        forebay::body::busy::Retention::Window,
    );
    writer.append("part".into()).await.expect("room");
    writer.fail(forebay::body::busy::BodyError::Incomplete);
    let error = ask(&pool, request(Method::POST, "/", Body::Busy(reader))).await.expect_err("broken off");
    assert_eq!(error.blame, forebay::base::blame::Blame::Client);
    assert_eq!(origin.opened(), 0);
}

#[tokio::test(start_paused = true)]
async fn fields_to_send_take_the_place_of_a_client_s_and_are_not_printed() {
    let network = Network::new();
    let origin = network.origin("a:80", says("taken"));
    let mut settings = pool_settings(&["http://a"]);
    settings.send_fields.insert("x-origin-key", "secret".parse().unwrap());
    let pool = pool_over(settings, &network);
    let mut asked = get("/");
    asked.headers.insert("x-origin-key", "forged".parse().unwrap());
    ask(&pool, asked).await.expect("an answer");
    assert_eq!(origin.exchange(0).request.header_all("x-origin-key"), ["secret"]);
    assert!(!format!("{pool:?}").contains("secret"));
}

#[test]
fn fields_of_the_connection_cannot_be_set() {
    let mut settings = pool_settings(&["http://a"]);
    settings.send_fields.insert("connection", "close".parse().unwrap());
    let error = made(settings, Network::new()).expect_err("refused");
    assert!(matches!(error, PoolError::Field { .. }), "{error}");
    assert!(matches!(made(pool_settings(&[]), Network::new()), Err(PoolError::NoEndpoints(_))));
}

#[tokio::test(start_paused = true)]
async fn an_answer_of_many_fields_is_taken_as_long_as_its_head_is() {
    let network = Network::new();
    network.origin("a:80", |_, _| {
        let names: Vec<_> = (0..400).map(|nth| format!("x-field-{nth}")).collect();
        let fields: Vec<_> = names.iter().map(|name| (name.as_str(), "1")).collect();
        vec![respond("200 OK", &fields, "many")]
    });
    let pool = pool_over(pool_settings(&["http://a"]), &network);
    let exchange = pool.exchange(get("/")).await.expect("a head");
    assert_eq!(exchange.head.headers["x-field-399"], "1");
}
