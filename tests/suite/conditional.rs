//! A client's own conditions: answered from what is stored, and from what is only arriving.

use crate::rig::Pipes;
use crate::support::client::Answer;
use crate::support::origin::{Act, SeenRequest, respond};

const FRESH: (&str, &str) = ("Cache-Control", "max-age=60");
const MODIFIED: &str = "Fri, 15 Jan 2027 07:00:00 GMT";
const EARLIER: &str = "Fri, 15 Jan 2027 06:59:59 GMT";

fn page(_: &SeenRequest, _: usize) -> Vec<Act> {
    let fields = [
        FRESH,
        ("ETag", "\"v1\""),
        ("Last-Modified", MODIFIED),
        ("Vary", "Accept-Language"),
        ("Content-Type", "text/plain"),
        ("Set-Nothing", "1"),
    ];
    vec![respond("200 OK", &fields, "the page")]
}

/// What a hit answers to these conditions.
async fn hit(fields: &[(&str, &str)]) -> Answer {
    let pipes = Pipes::new(page);
    let mut client = pipes.client();
    assert_eq!(client.get("/").await.status, 200);
    pipes.quiet().await;
    let answer = client.get_with("/", fields).await;
    assert_eq!(answer.cache_status(), "forebay; hit; ttl=60");
    assert_eq!(client.get("/").await.text(), "the page", "the connection is still in step");
    assert_eq!(pipes.origin.hits(), 1);
    answer
}

/// What a miss answers to these conditions, and a hit after it.
async fn miss(fields: &[(&str, &str)]) -> Answer {
    let pipes = Pipes::new(page);
    let mut client = pipes.client();
    let answer = client.get_with("/", fields).await;
    let other = if answer.status == 304 { " fwd-status=200;" } else { "" };
    assert_eq!(answer.cache_status(), format!("forebay; fwd=uri-miss;{other} stored; ttl=60"));
    pipes.quiet().await;
    let request = pipes.origin.exchange(0).request;
    assert_eq!((request.header("if-none-match"), request.header("if-modified-since")), (None, None));
    let hit = client.get("/").await;
    assert_eq!((hit.text().as_str(), hit.cache_status().as_str()), ("the page", "forebay; hit; ttl=60"));
    answer
}

#[tokio::test(start_paused = true)]
async fn a_tag_that_the_client_has_is_a_304() {
    for tags in ["\"v1\"", "W/\"v1\"", "\"v0\", \"v1\"", "*"] {
        let answer = hit(&[("If-None-Match", tags)]).await;
        assert_eq!((answer.status, answer.body.len()), (304, 0), "{tags}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_tag_that_the_client_does_not_have_is_a_200() {
    for tags in ["\"v2\"", "\"V1\"", "v1", ""] {
        let answer = hit(&[("If-None-Match", tags)]).await;
        assert_eq!((answer.status, answer.text().as_str()), (200, "the page"), "{tags}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_date_that_the_client_has_is_a_304() {
    for (since, status) in
        [(MODIFIED, 304), ("Fri, 15 Jan 2027 07:30:00 GMT", 304), (EARLIER, 200), ("soon", 200)]
    {
        assert_eq!(hit(&[("If-Modified-Since", since)]).await.status, status, "{since}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_tag_outranks_a_date() {
    let fields = [("If-None-Match", "\"v2\""), ("If-Modified-Since", MODIFIED)];
    assert_eq!(hit(&fields).await.status, 200);
    let fields = [("If-None-Match", "\"v1\""), ("If-Modified-Since", EARLIER)];
    assert_eq!(hit(&fields).await.status, 304);
}

#[tokio::test(start_paused = true)]
async fn a_304_has_the_fields_that_a_cache_needs_and_no_others() {
    let answer = hit(&[("If-None-Match", "\"v1\"")]).await;
    for (name, value) in [
        ("etag", "\"v1\""),
        ("last-modified", MODIFIED),
        ("cache-control", "max-age=60"),
        ("vary", "Accept-Language"),
        ("date", "Fri, 15 Jan 2027 08:00:00 GMT"),
        ("age", "0"),
    ] {
        assert_eq!(answer.header_all(name), [value], "{name}");
    }
    for gone in ["content-length", "content-type", "set-nothing", "transfer-encoding"] {
        assert_eq!(answer.header(gone), None, "{gone}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_cold_condition_is_answered_here_and_the_whole_is_stored() {
    for fields in [("If-None-Match", "\"v1\""), ("If-None-Match", "*"), ("If-Modified-Since", MODIFIED)] {
        let answer = miss(&[fields]).await;
        assert_eq!((answer.status, answer.body.len()), (304, 0), "{fields:?}");
        assert_eq!(answer.header("etag"), Some("\"v1\""));
    }
}

#[tokio::test(start_paused = true)]
async fn a_cold_condition_that_does_not_hold_is_a_200() {
    let answer = miss(&[("If-None-Match", "\"v0\"")]).await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "the page"));
}

#[tokio::test(start_paused = true)]
async fn conditions_that_only_the_origin_can_judge_are_passed() {
    let pipes = Pipes::new(|request, _| {
        let status =
            if request.header("if-match") == Some("\"v0\"") { "412 Precondition Failed" } else { "200 OK" };
        vec![respond(status, &[FRESH], "")]
    });
    let mut client = pipes.client();
    client.get("/").await;
    pipes.quiet().await;
    let answer = client.get_with("/", &[("If-Match", "\"v0\"")]).await;
    assert_eq!(
        (answer.status, answer.cache_status().as_str()),
        (412, "forebay; fwd=bypass; detail=precondition")
    );
}

#[tokio::test(start_paused = true)]
async fn only_a_200_becomes_a_304() {
    let pipes = Pipes::new(|_, _| vec![respond("404 Not Found", &[FRESH, ("ETag", "\"v1\"")], "none")]);
    let mut client = pipes.client();
    for _cold_then_warm in 0..2 {
        let answer = client.get_with("/", &[("If-None-Match", "\"v1\"")]).await;
        assert_eq!((answer.status, answer.text().as_str()), (404, "none"));
        pipes.quiet().await;
    }
}
