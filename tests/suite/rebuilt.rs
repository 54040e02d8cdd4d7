//! Messages are rebuilt, never copied: what the origin sees of a client, and a client of the origin.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use forebay::app::Running;
use forebay::body::message::Request;
use forebay::listener::Handler as _;
use forebay::origin::connect::{Connect, Connecting};
use http::Method;
use tokio::time::Instant;

use crate::http1::pipes_over;
use crate::interim::request;
use crate::rig::{Pipes, settings};
use crate::support::client::{Answer, Client};
use crate::support::origin::{Act, SeenRequest, chunk, head, last_chunk, respond};

const FRESH: (&str, &str) = ("Cache-Control", "max-age=60");

/// The request that the origin sees when a client sends this one.
async fn seen(method: &str, fields: &[(&str, &str)]) -> SeenRequest {
    let pipes = Pipes::new(|_, _| vec![Act::ReadBody, respond("200 OK", &[FRESH], "")]);
    let mut client = pipes.client();
    client.request(method, "/page?q", fields, b"").await;
    assert_eq!(client.read_answer().await.status, 200);
    pipes.origin.assert_clean();
    pipes.origin.exchange(0).request
}

/// The answer that a client sees when the origin answers so.
async fn answered(status: &'static str, fields: &'static [(&str, &str)]) -> Answer {
    let pipes = Pipes::new(move |_, _| vec![respond(status, fields, "body")]);
    pipes.client().get("/page").await
}

// ---- what the origin sees ----

#[tokio::test(start_paused = true)]
async fn the_host_is_canonical() {
    let request = seen("GET", &[("Host", "EXAMPLE.test.:80")]).await;
    assert_eq!(request.header_all("host"), ["example.test"]);
    assert_eq!(request.target, "/page?q");
}

#[tokio::test(start_paused = true)]
async fn via_names_us_after_the_others() {
    let request = seen("DELETE", &[("Via", "1.0 fred")]).await;
    assert_eq!(request.header_all("via").join(", "), "1.0 fred, 1.1 forebay");
    // What may be stored is asked for in the same words for every client.
    let request = seen("GET", &[("Via", "1.0 fred")]).await;
    assert_eq!(request.header_all("via"), ["1.1 forebay"]);
}

#[tokio::test(start_paused = true)]
async fn an_ipv6_address_is_told_in_brackets_and_quotes() {
    let pipes = Pipes::new(|_, _| vec![respond("200 OK", &[FRESH], "")]);
    let peer: std::net::SocketAddr = "[2001:db8::7]:4711".parse().expect("an address");
    let request = Request { peer: peer.into(), ..request(Method::GET, "/", &[]) };
    assert_eq!(pipes.node.machine.handle(request).reply().await.head.status, 200);
    let request = pipes.origin.exchange(0).request;
    assert_eq!(request.header("x-forwarded-for"), Some("2001:db8::7"));
    let forwarded = r#"for="[2001:db8::7]";host="site.test";proto=http"#;
    assert_eq!(request.header("forwarded"), Some(forwarded));
}

#[tokio::test(start_paused = true)]
async fn what_a_client_says_of_where_it_comes_from_is_not_believed() {
    let lies = [
        ("X-Forwarded-For", "10.0.0.1"),
        ("X-Forwarded-For", "10.0.0.2"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", "admin.internal"),
        ("X-Forwarded-Port", "443"),
        ("X-Real-IP", "10.0.0.1"),
        ("Forwarded", "for=10.0.0.1;proto=https"),
        ("X-Original-URL", "/admin"),
    ];
    for method in ["GET", "POST"] {
        let request = seen(method, &lies).await;
        assert_eq!(request.header_all("x-forwarded-for"), ["192.0.2.7"]);
        assert_eq!(request.header_all("x-forwarded-proto"), ["http"]);
        assert_eq!(request.header_all("x-forwarded-host"), ["test"]);
        assert_eq!(request.header_all("forwarded"), ["for=192.0.2.7;host=\"test\";proto=http"]);
        for gone in ["x-forwarded-port", "x-real-ip", "x-original-url"] {
            assert_eq!(request.header(gone), None, "{gone}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn no_spelling_of_a_lie_gets_through() {
    let lies = [
        "X_Forwarded_For",
        "x-forwarded_host",
        "X-Forwarded",
        "X-Forwarded-Ssl",
        "X-Forwarded-Prefix",
        "Forwarded-For",
        "Front-End-Https",
        "X-Host",
        "X_Original_Host",
        "X-HTTP-Host-Override",
        "X-Scheme",
        "X-Url-Scheme",
        "Client-IP",
        "True-Client-IP",
        "X-Client-IP",
        "X-Cluster-Client-Ip",
        "Proxy",
    ];
    let fields: Vec<_> = lies.iter().map(|name| (*name, "evil")).collect();
    for method in ["GET", "POST"] {
        let request = seen(method, &fields).await;
        assert!(request.headers.iter().all(|(_, value)| value != "evil"), "{method}: {:?}", request.headers);
    }
}

#[tokio::test(start_paused = true)]
async fn what_one_client_demands_of_caches_is_not_asked_for_all() {
    let demands = [("Cache-Control", "max-stale=5, no-transform"), ("Pragma", "x-mine")];
    let request = seen("GET", &demands).await;
    assert_eq!((request.header("cache-control"), request.header("pragma")), (None, None));
    let passed = seen("POST", &demands).await;
    assert_eq!(passed.header("cache-control"), Some("max-stale=5, no-transform"));
}

#[tokio::test(start_paused = true)]
async fn h2c_is_never_offered() {
    let connection = ("Connection", "Upgrade, HTTP2-Settings");
    let settings = ("HTTP2-Settings", "AAMAAABkAARAAAAAAAIAAAAA");
    for upgrade in ["h2c", "H2C", "h2c-14, h2c"] {
        let request = seen("GET", &[connection, settings, ("Upgrade", upgrade)]).await;
        for name in ["upgrade", "connection", "http2-settings"] {
            assert_eq!(request.header(name), None, "{upgrade}: {name}");
        }
        assert_eq!(request.header("accept-encoding"), Some("identity"), "{upgrade}: not a pass");
    }
    let request = seen("GET", &[connection, settings, ("Upgrade", "h2c, echo/1")]).await;
    assert_eq!((request.header("upgrade"), request.header("http2-settings")), (Some("echo/1"), None));
}

#[tokio::test(start_paused = true)]
async fn hop_by_hop_fields_end_here() {
    let fields = [
        ("Connection", "X-Secret, keep-alive"),
        ("X-Secret", "1"),
        ("Keep-Alive", "timeout=5"),
        ("Proxy-Connection", "keep-alive"),
        ("Proxy-Authorization", "Basic eDp5"),
        ("TE", "gzip"),
        ("X-Kept", "1"),
    ];
    for method in ["GET", "POST"] {
        let request = seen(method, &fields).await;
        let gone = ["connection", "x-secret", "keep-alive", "proxy-connection", "proxy-authorization", "te"];
        for name in gone {
            assert_eq!(request.header(name), None, "{method}: {name}");
        }
        assert_eq!(request.header("x-kept"), Some("1"));
    }
}

#[tokio::test(start_paused = true)]
async fn connection_cannot_take_off_our_own_fields() {
    let request = seen("GET", &[("Connection", "host, via, x-forwarded-for, forwarded")]).await;
    for name in ["host", "via", "x-forwarded-for", "forwarded"] {
        assert!(request.header(name).is_some(), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_fetch_that_may_be_stored_has_no_condition_and_only_whole_blocks() {
    let fields = [
        ("If-None-Match", "\"mine\""),
        ("If-Modified-Since", "Fri, 15 Jan 2027 08:00:00 GMT"),
        ("If-Range", "\"mine\""),
        ("Range", "bytes=0-1"),
        ("Accept-Encoding", "br, gzip"),
    ];
    let request = seen("GET", &fields).await;
    for name in ["if-none-match", "if-modified-since", "if-range"] {
        assert_eq!(request.header(name), None, "{name}");
    }
    assert_eq!(request.header_all("range"), ["bytes=0-1048575"]);
    assert_eq!(request.header_all("accept-encoding"), ["identity"]);
}

#[tokio::test(start_paused = true)]
async fn a_pass_keeps_the_client_s_request() {
    let fields = [("If-Match", "\"mine\""), ("Range", "bytes=0-1"), ("Accept-Encoding", "br, gzip")];
    let request = seen("POST", &fields).await;
    assert_eq!(request.header("if-match"), Some("\"mine\""));
    assert_eq!(request.header("range"), Some("bytes=0-1"));
    assert_eq!(request.header("accept-encoding"), Some("br, gzip"));
}

// ---- what the client sees ----

#[tokio::test(start_paused = true)]
async fn nothing_tells_who_the_origin_is() {
    let fields = &[
        FRESH,
        ("Server", "secretd/1.2"),
        ("X-Powered-By", "PHP/5"),
        ("Via", "1.1 inner"),
        ("Alt-Svc", "h3=\":443\""),
        ("X-Kept", "1"),
    ];
    let answer = answered("200 OK", fields).await;
    for name in ["server", "x-powered-by", "via", "alt-svc"] {
        assert_eq!(answer.header(name), None, "{name}");
    }
    assert_eq!(answer.header("x-kept"), Some("1"));
}

#[tokio::test(start_paused = true)]
async fn hop_by_hop_fields_of_the_origin_end_here() {
    let fields = &[
        FRESH,
        ("Connection", "X-Secret, keep-alive"),
        ("X-Secret", "1"),
        ("Keep-Alive", "timeout=5"),
        ("Proxy-Authenticate", "Basic"),
        ("Upgrade", "h2c"),
    ];
    let answer = answered("200 OK", fields).await;
    for name in ["connection", "x-secret", "keep-alive", "proxy-authenticate", "upgrade"] {
        assert_eq!(answer.header(name), None, "{name}");
    }
    assert_eq!(answer.text(), "body");
}

#[tokio::test(start_paused = true)]
async fn links_to_the_origin_lead_to_us() {
    for (link, visible) in [
        ("http://origin.test/new?a=b#c", "http://test/new?a=b#c"),
        ("http://origin.test:80/new", "http://test/new"),
        ("http://elsewhere.test/new", "http://elsewhere.test/new"),
        ("//origin.test:80/new?a=b#c", "//test/new?a=b#c"),
        ("//elsewhere.test/new", "//elsewhere.test/new"),
        ("/relative", "/relative"),
    ] {
        let pipes = Pipes::new(move |_, _| vec![respond("301 Moved Permanently", &[("Location", link)], "")]);
        let answer = pipes.client().get("/old").await;
        assert_eq!((answer.status, answer.header("location")), (301, Some(visible)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_missing_date_is_added() {
    let answer = answered("200 OK", &[FRESH]).await;
    assert_eq!(answer.header_all("date"), ["Fri, 15 Jan 2027 08:00:00 GMT"]);
    let given = answered("200 OK", &[FRESH, ("Date", "Fri, 15 Jan 2027 07:59:58 GMT")]).await;
    assert_eq!(given.header_all("date"), ["Fri, 15 Jan 2027 07:59:58 GMT"]);
}

#[tokio::test(start_paused = true)]
async fn trailers_tell_no_more_than_heads() {
    let pipes = Pipes::new(|_, _| {
        let fields = [FRESH, ("Trailer", "X-Sum, Server, Set-Cookie"), ("Transfer-Encoding", "chunked")];
        let trailers = [("X-Sum", "42"), ("Server", "secretd/1.2"), ("Set-Cookie", "a=b")];
        vec![head("200 OK", &fields), chunk("summed"), last_chunk(&trailers)]
    });
    let answer = pipes.client().get_with("/", &[("TE", "trailers"), ("Connection", "te")]).await;
    assert_eq!(answer.trailers, [("x-sum".to_owned(), "42".to_owned())]);
}

#[tokio::test(start_paused = true)]
async fn the_age_is_the_origin_s_and_our_own() {
    let pipes = Pipes::new(|_, _| vec![respond("200 OK", &[FRESH, ("Age", "10")], "body")]);
    let mut client = pipes.client();
    assert_eq!(client.get("/").await.header_all("age"), ["10"]);
    pipes.quiet().await;
    pipes.clock.advance(Duration::from_secs(5));
    let hit = client.get("/").await;
    assert_eq!((hit.header_all("age"), hit.cache_status().as_str()), (vec!["15"], "forebay; hit; ttl=45"));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_was_made_just_now_has_no_age_or_none_to_speak_of() {
    let answer = answered("200 OK", &[FRESH]).await;
    assert!(matches!(answer.header("age"), None | Some("0")), "{:?}", answer.header("age"));
}

// ---- what the client sees of an origin that fails ----

/// A 502 or the like says what happened, and nothing about who the origin is.
#[track_caller]
fn assert_failure(answer: &Answer, status: u16, error: &str) {
    assert_eq!(answer.status, status);
    assert_eq!(answer.header("proxy-status"), Some(format!("forebay; error={error}").as_str()));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.cache_status(), "forebay; fwd=uri-miss");
    let all = format!("{:?}{}", answer.headers, answer.text()).to_ascii_lowercase();
    assert!(!all.contains("origin.test") && !all.contains("127.0.0.1"), "{all}");
}

#[tokio::test(start_paused = true)]
async fn a_refused_connection_is_a_502() {
    #[derive(Debug)]
    struct Refusing;
    impl Connect for Refusing {
        fn connect<'a>(&'a self, _authority: &'a str) -> Connecting<'a> {
            Box::pin(async { Err(io::ErrorKind::ConnectionRefused.into()) })
        }
    }
    let pipes = pipes_over(Arc::new(Refusing));
    assert_failure(&pipes.client().get("/").await, 502, "connection_refused");
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_takes_too_long_is_a_504() {
    #[derive(Debug)]
    struct Silent;
    impl Connect for Silent {
        fn connect<'a>(&'a self, _authority: &'a str) -> Connecting<'a> {
            Box::pin(std::future::pending())
        }
    }
    let pipes = pipes_over(Arc::new(Silent));
    let begun = Instant::now();
    assert_failure(&pipes.client().get("/").await, 504, "connection_timeout");
    assert_eq!(begun.elapsed().as_secs(), pipes.settings.pools[0].connect_timeout.as_secs());
}

#[tokio::test(start_paused = true)]
async fn an_origin_that_says_nothing_is_a_504() {
    let pipes = Pipes::new(|_, _| vec![Act::Stall]);
    let begun = Instant::now();
    assert_failure(&pipes.client().get("/").await, 504, "http_response_timeout");
    assert_eq!(begun.elapsed().as_secs(), pipes.settings.pools[0].first_byte_timeout.as_secs());
    pipes.origin.wait_for_closed_by_peer(1).await;
}

#[tokio::test(start_paused = true)]
async fn an_origin_that_speaks_something_else_is_a_502() {
    let both = [("Content-Length", "4"), ("Content-Length", "5")];
    for garbage in [
        Act::send("SSH-2.0-OpenSSH_9.9\r\n\r\n"),
        Act::send("HTTP/1.1 200 OK\r\nno colon here\r\n\r\n"),
        head("200 OK", &both),
        head("HTTP/3.7 200 OK", &[]),
    ] {
        let pipes = Pipes::new(move |_, _| vec![garbage.clone(), Act::Stall]);
        assert_failure(&pipes.client().get("/").await, 502, "http_protocol_error");
        pipes.quiet().await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_to_another_question_is_a_502() {
    for status in ["206 Partial Content", "101 Switching Protocols", "304 Not Modified"] {
        let part = ("Content-Range", "bytes 0-3/8");
        let pipes = Pipes::new(move |_, _| vec![respond(status, &[part], "half")]);
        assert_failure(&pipes.client().get("/").await, 502, "http_protocol_error");
    }
}

#[tokio::test(start_paused = true)]
async fn an_origin_that_closes_before_its_head_is_a_502() {
    for begun in ["", "HTTP/1.1 200 OK\r\nContent-Le"] {
        let pipes = Pipes::new(move |_, _| vec![Act::send(begun), Act::Close]);
        assert_failure(&pipes.client().get("/").await, 502, "connection_terminated");
    }
}

#[tokio::test(start_paused = true)]
async fn a_head_that_is_too_large_is_a_502() {
    let pipes = Pipes::new(|_, _| vec![respond("200 OK", &[("X-Padding", &"x".repeat(70 << 10))], "")]);
    assert_failure(&pipes.client().get("/").await, 502, "http_response_header_section_size");
}

#[tokio::test]
async fn a_name_that_does_not_resolve_is_a_502() {
    // A label of 64 letters is no name, which the resolver knows without asking anybody.
    let settings = settings(&format!("http://{}.test", "a".repeat(64)));
    let running = Running::start(&settings, None).expect("a running node");
    let answer =
        Client::connect(running.addresses[0].address.inet().expect("an address")).await.get("/").await;
    assert_failure(&answer, 502, "dns_error");
}

#[tokio::test(start_paused = true)]
async fn a_failure_of_a_head_request_has_no_body() {
    let pipes = Pipes::new(|_, _| vec![Act::Close]);
    let mut client = pipes.client();
    client.request("HEAD", "/", &[], b"").await;
    let answer = client.read_answer().await;
    assert_eq!((answer.status, answer.body.len()), (502, 0));
    assert_eq!(client.get("/").await.status, 502, "the connection is still in step");
}
