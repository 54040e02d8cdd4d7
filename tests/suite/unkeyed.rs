//! Nothing that is not in the key changes a stored answer: fields that origins are known to heed, at an origin that gives
//! back all that it gets in an answer that is for everybody.

use crate::http1::http_10;
use crate::keyed::{cached, is_hit};
use crate::rig::Pipes;
use crate::support::origin::{Act, SeenRequest, respond, respond_to};

const FRESH: (&str, &str) = ("Cache-Control", "max-age=60");

const POISON: &str = "poison.example";

/// Answers with every byte of the request's head.
fn echo(request: &SeenRequest, _: usize) -> Vec<Act> {
    vec![Act::ReadBody, respond("200 OK", &[FRESH], &request.raw)]
}

/// Fields that one client sends and that must not reach the origin as they came.
const UNKEYED: &[&str] = &[
    "X.Forwarded-Host",
    "X~Rewrite-URL",
    "Accept_Encoding",
    "Cache_Control",
    "If.Modified-Since",
    "If_None_Match",
    "Request-Range",
    "Transfer_Encoding",
    "X-Envoy-Original-Path",
    "Script-Name",
    "X-Method",
    "A-IM",
    "Accept-Encoding",
    "Akamai-Origin-Hop",
    "CF-Connecting-IP",
    "CF-IPCountry",
    "CF-Visitor",
    "Cache-Control",
    "Client-IP",
    "CloudFront-Forwarded-Proto",
    "CloudFront-Viewer-Country",
    "Content-Type",
    "Fastly-Client-IP",
    "Fastly-SSL",
    "Forwarded",
    "From",
    "Front-End-Https",
    "HTTP2-Settings",
    "If-Modified-Since",
    "If-None-Match",
    "If-Range",
    "Keep-Alive",
    "Max-Forwards",
    "Pragma",
    "Profile",
    "Proxy",
    "Proxy-Authorization",
    "Proxy-Connection",
    "Range",
    "Surrogate-Capability",
    "Surrogate-Control",
    "TE",
    "Trailer",
    "True-Client-IP",
    "Via",
    "WL-Proxy-Client-IP",
    "WL-Proxy-SSL",
    "X-Accel-Mapping",
    "X-Akamai-Edgescape",
    "X-Amz-Security-Token",
    "X-Amz-Website-Redirect-Location",
    "X-Amzn-Trace-Id",
    "X-Azure-ClientIP",
    "X-Client-IP",
    "X-Cluster-Client-IP",
    "X-Correlation-ID",
    "X-Forwarded-By",
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "X-Forwarded-Port",
    "X-Forwarded-Prefix",
    "X-Forwarded-Proto",
    "X-Forwarded-Scheme",
    "X-Forwarded-Server",
    "X-Forwarded-Ssl",
    "X-Forwarder-For",
    "X-Goog-Meta-A",
    "X-HTTP-Host-Override",
    "X-HTTP-Method",
    "X-HTTP-Method-Override",
    "X-HTTP-Path-Override",
    "X-Host",
    "X-Invoke-Path",
    "X-Method-Override",
    "X-Middleware-Subrequest",
    "X-Now-Route-Matches",
    "X-Original-Host",
    "X-Original-Method",
    "X-Original-URL",
    "X-Originating-IP",
    "X-Override-URL",
    "X-Proxy-Host",
    "X-ProxyUser-Ip",
    "X-Real-IP",
    "X-Remote-Addr",
    "X-Request-ID",
    "X-Rewrite-URL",
    "X-Scheme",
    "X-Sendfile-Type",
    "X-Ssl-Cipher",
    "X-Url-Scheme",
    "X-Wap-Profile",
    "X_Forwarded_Host",
    "x-forwarded_host",
];

/// The whole head that an origin sees of a client that says nothing.
async fn plain() -> String {
    cached("", echo).ask("/", &[]).await.text()
}

/// One client asks with `fields`; what is stored is then what a client without them would have had stored.
async fn assert_unmoved(fields: &[(&str, &str)], plain: &str) {
    let pipes = cached("", echo);
    pipes.ask("/", fields).await;
    let after = pipes.ask("/", &[]).await;
    assert!(!after.text().contains("poison"), "{fields:?}\n{}", after.text());
    assert_eq!(after.text(), plain, "{fields:?}");
    let head = String::from_utf8_lossy(&pipes.origin.exchange(0).request.raw).into_owned();
    assert_eq!(head, plain, "{fields:?}: the first fetch itself");
    assert!(is_hit(&after), "{fields:?}: {}", after.cache_status());
}

#[tokio::test(start_paused = true)]
async fn what_origins_heed_is_not_the_client_s_to_say() {
    let plain = plain().await;
    for name in UNKEYED {
        assert_unmoved(&[(name, POISON)], &plain).await;
        assert_unmoved(&[(name, POISON), (name, "poison2")], &plain).await;
    }
}

#[tokio::test(start_paused = true)]
async fn odd_codings_and_hop_by_hop_tricks_move_nothing() {
    let plain = plain().await;
    for fields in [
        &[("Accept-Encoding", "poison, gzip;q=0.5, *")][..],
        &[("Accept-Encoding", "identity;q=0, poison")],
        &[("Accept-Encoding", "")],
        &[("TE", "trailers, poison"), ("Connection", "te")],
        &[("TE", "trailers"), ("Connection", "te")],
        &[("Via", "1.0 poison, 2 poison (b)")],
        &[("Connection", "X-Forwarded-For, Forwarded, Via, Host")],
        &[("Connection", "x-forwarded-host, x-forwarded-proto, poison")],
        &[("Connection", "cookie, authorization"), ("Cookie", "poison=1"), ("Authorization", "poison")],
        &[("Connection", "close, X-Poison"), ("X-Poison", "poison")],
        &[("Connection", "accept-encoding, cache-control"), ("Accept-Encoding", "poison")],
        &[("Connection", "keep-alive"), ("Keep-Alive", "poison")],
        &[("Expect", "100-continue")],
    ] {
        let pipes = cached("", echo);
        pipes.ask("/", fields).await;
        let after = pipes.ask("/", &[]).await;
        assert_eq!(after.text(), plain, "{fields:?}");
        assert!(!after.text().contains("poison"), "{fields:?}");
    }
}

/// Blocks are asked for, in words of our own.
#[tokio::test(start_paused = true)]
async fn of_a_range_only_the_block_moves() {
    let plain = plain().await;
    for fields in [
        &[("Range", "bytes=0-0"), ("If-Range", "\"poison\"")][..],
        &[("Range", "Bytes=7-99 , ,")],
        &[("Range", "bytes=-5")],
        &[("Range", "bytes=00000,poison")],
        &[("Range", "bytes=0-0"), ("Range", "poison")],
    ] {
        let pipes = cached("", echo);
        pipes.ask("/", fields).await;
        let after = pipes.ask("/", &[]).await;
        assert_eq!(after.text().replace("range: bytes=0-1048575\r\n", ""), plain, "{fields:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_that_a_range_brought_about_is_for_nobody_else() {
    for status in ["416 Range Not Satisfiable", "400 Bad Request", "501 Not Implemented", "403 Forbidden"] {
        let pipes = cached("", move |request, _| {
            let status = if request.header("range").is_some() { status } else { "200 OK" };
            vec![respond(status, &[("Cache-Control", "max-age=600")], "the page")]
        });
        let answer = pipes.ask("/", &[("Range", "bytes=999999999-")]).await;
        assert_eq!(answer.status.to_string(), status[..3]);
        assert_eq!(pipes.ask("/", &[]).await.status, 200, "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_order_of_fields_moves_nothing() {
    let pipes = cached("", echo);
    pipes.ask("/", &[("DNT", "1"), ("X-Host", "poison"), ("Accept", "a"), ("Accept-Language", "b")]).await;
    pipes.ask("/b", &[("Accept-Language", "b"), ("Accept", "a"), ("DNT", "1")]).await;
    let head = |nth| String::from_utf8_lossy(&pipes.origin.exchange(nth).request.raw).into_owned();
    assert_eq!(head(0).replace("GET / ", "GET /b "), head(1));
    assert!(head(0).starts_with("GET / HTTP/1.1\r\nhost: test\r\naccept: a\r\n"), "{}", head(0));
}

#[tokio::test(start_paused = true)]
async fn the_version_of_a_client_moves_nothing() {
    let pipes = cached("", echo);
    http_10(&pipes, "GET / HTTP/1.0\r\nHost: test\r\n\r\n").await;
    pipes.quiet().await;
    let after = pipes.ask("/", &[]).await;
    assert_eq!((after.text(), is_hit(&after)), (plain().await, true));
}

#[tokio::test(start_paused = true)]
async fn a_get_with_content_passes_and_stores_nothing() {
    let pipes = cached("", echo);
    for method in ["GET", "HEAD"] {
        let mut client = pipes.client();
        client.request(method, "/", &[], b"poison=1").await;
        assert_eq!(client.read_answer().await.cache_status(), "forebay; fwd=bypass; detail=content");
        pipes.quiet().await;
    }
    assert_eq!(pipes.origin.exchange(0).body, b"poison=1");
    let after = pipes.ask("/", &[]).await;
    assert_eq!((after.text(), is_hit(&after)), (plain().await, false));
}

/// A HEAD may tell that what is stored has other fields now (RFC 9111 §4.3.5): only in words that all clients share.
#[tokio::test(start_paused = true)]
async fn a_head_that_passes_moves_nothing() {
    let pipes = || {
        cached("bypass_cookies = [\"admin\"]\nbypass_paths = [\"/admin\"]", |request, _| {
            let seen = request.lines.join("|");
            let fields = [FRESH, ("ETag", "\"1\""), ("X-Seen", seen.as_str())];
            vec![Act::ReadBody, respond_to(request, "200 OK", &fields, "")]
        })
    };
    let condition = ("If-Match", "\"1\"");
    let updated = pipes();
    updated.ask("/", &[]).await;
    send_head(&updated, &[condition], b"").await;
    let plain = updated.ask("/", &[]).await.header("x-seen").map(str::to_owned);
    assert!(plain.as_ref().is_some_and(|seen| seen.contains("if-match")), "a plain one applies: {plain:?}");
    for name in UNKEYED.iter().filter(|name| !name.starts_with("If-")) {
        let pipes = pipes();
        pipes.ask("/", &[]).await;
        send_head(&pipes, &[condition, (name, POISON)], b"").await;
        assert_eq!(pipes.ask("/", &[]).await.header("x-seen"), plain.as_deref(), "{name}");
    }
    for (fields, body) in [
        (&[condition, ("Early-Data", "1"), ("X-Request-ID", "poison")][..], &b""[..]),
        (&[condition, ("Cookie", "admin=poison")], b""),
        (&[("Cookie", "admin=poison")], b""),
        (&[("X-Request-ID", "poison")], b"poison"),
        (&[condition, ("Authorization", "poison")], b""),
    ] {
        let pipes = pipes();
        let before = pipes.ask("/", &[]).await;
        send_head(&pipes, fields, body).await;
        assert_eq!(pipes.ask("/", &[]).await.header("x-seen"), before.header("x-seen"), "{fields:?}");
    }
}

async fn send_head(pipes: &Pipes, fields: &[(&str, &str)], body: &[u8]) {
    let mut client = pipes.client();
    client.request("HEAD", "/", fields, body).await;
    assert_eq!(client.read_answer().await.status, 200);
    pipes.quiet().await;
}

#[tokio::test(start_paused = true)]
async fn what_may_be_a_replay_passes_with_its_mark() {
    let pipes = cached("", echo);
    let early = pipes.ask("/", &[("Early-Data", "1")]).await;
    assert_eq!(early.cache_status(), "forebay; fwd=bypass; detail=early-data");
    assert!(early.text().contains("early-data: 1"), "{}", early.text());
    assert_eq!(pipes.ask("/", &[]).await.text(), plain().await);
}

#[tokio::test(start_paused = true)]
async fn an_ordinary_field_passes_and_vary_tells_its_answers_apart() {
    let vary = |request: &SeenRequest, _: usize| {
        vec![respond(
            "200 OK",
            &[FRESH, ("Vary", "Accept, Accept-Language, Cookie, Origin, DNT")],
            &request.raw,
        )]
    };
    for (name, value) in [
        ("Accept", "text/poison"),
        ("Accept-Language", "poison"),
        ("Cookie", "poison=1"),
        ("Origin", "https://poison.example"),
        ("DNT", "poison"),
    ] {
        let pipes = cached("", vary);
        assert!(pipes.ask("/", &[(name, value)]).await.text().contains("poison"), "{name}");
        let after = pipes.ask("/", &[]).await;
        assert!(!is_hit(&after) && !after.text().contains("poison"), "{name}: {}", after.text());
    }
}

#[tokio::test(start_paused = true)]
async fn what_varies_by_what_we_say_of_clients_is_not_stored() {
    for name in ["X-Forwarded-For", "Forwarded", "X-Real-IP"] {
        let pipes = cached("", move |_, _| vec![respond("200 OK", &[FRESH, ("Vary", name)], "for you")]);
        for _ in 0..2 {
            let answer = pipes.ask("/", &[]).await;
            assert!(
                !is_hit(&answer) && !answer.cache_status().contains("stored"),
                "{}",
                answer.cache_status()
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_site_may_hide_its_clients_where_answers_are_shared() {
    let pipes = cached("hide_clients = true", echo);
    let shared = pipes.ask("/", &[]).await.text();
    assert!(!shared.contains("192.0.2.7") && !shared.contains("x-forwarded-for"), "{shared}");
    assert!(shared.contains("forwarded: host=\"test\";proto=http\r\n"), "{shared}");
    let mut client = pipes.client();
    client.request("POST", "/", &[], b"x").await;
    assert!(client.read_answer().await.text().contains("x-forwarded-for: 192.0.2.7"));
    let told = cached("", echo).ask("/", &[]).await.text();
    assert!(told.contains("x-forwarded-for: 192.0.2.7"), "{told}");
}
