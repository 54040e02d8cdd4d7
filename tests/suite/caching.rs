//! What is stored, for whom, for how long, and what happens when the origin is asked again.

use std::sync::Arc;
use std::time::Duration;

use crate::rig::{Pipes, settings};
use crate::support::bytes::pattern;
use crate::support::client::Answer;
use crate::support::ms;
use crate::support::origin::{Act, Gate, SeenRequest, head, respond, respond_chunked};

const FRESH: (&str, &str) = ("Cache-Control", "max-age=60");
const V1: (&str, &str) = ("ETag", "\"v1\"");
const MISS: &str = "forebay; fwd=uri-miss; stored; ttl=60";
const HIT: &str = "forebay; hit; ttl=60";

/// An origin that answers each path with the path itself, to be kept for a minute.
fn echo(request: &SeenRequest, _nth: usize) -> Vec<Act> {
    vec![respond("200 OK", &[FRESH], &request.target)]
}

/// The answer, for the shortest of assertions.
fn said(answer: &Answer) -> (u16, String, String) {
    (answer.status, answer.text(), answer.cache_status())
}

#[track_caller]
fn assert_said(answer: &Answer, status: u16, text: &str, cache: &str) {
    assert_eq!(said(answer), (status, text.to_owned(), cache.to_owned()));
}

// ---- fresh ----

#[tokio::test(start_paused = true)]
async fn a_fresh_object_answers_without_the_origin() {
    let pipes = Pipes::new(echo);
    assert_said(&pipes.ask("/page", &[]).await, 200, "/page", MISS);
    pipes.pass_time(59);
    assert_said(&pipes.ask("/page", &[]).await, 200, "/page", "forebay; hit; ttl=1");
    assert_eq!(pipes.origin.hits(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_large_object_is_the_same_cold_and_warm() {
    let pipes = Pipes::new(|_, _| vec![respond("200 OK", &[FRESH], pattern(1, 3_000_001))]);
    for cache in [MISS, HIT] {
        let answer = pipes.ask("/large", &[]).await;
        assert_eq!(answer.cache_status(), cache);
        assert!(answer.complete && answer.body == pattern(1, 3_000_001), "{} bytes", answer.body.len());
    }
}

#[tokio::test(start_paused = true)]
async fn a_shared_lifetime_outranks_the_private_one() {
    let fields = [("Cache-Control", "max-age=5, s-maxage=60"), ("Expires", "0")];
    let pipes = Pipes::new(move |_, _| vec![respond("200 OK", &fields, "")]);
    pipes.ask("/", &[]).await;
    assert_eq!(pipes.ask("/", &[]).await.cache_status(), HIT);
}

#[tokio::test(start_paused = true)]
async fn expires_counts_where_nothing_else_is_said() {
    let expires = ("Expires", "Fri, 15 Jan 2027 08:01:00 GMT");
    let pipes = Pipes::new(move |_, _| vec![respond("200 OK", &[expires], "")]);
    pipes.ask("/", &[]).await;
    assert_eq!(pipes.ask("/", &[]).await.cache_status(), HIT);
}

#[tokio::test(start_paused = true)]
async fn an_error_that_says_how_long_it_lasts_is_stored() {
    let pipes = Pipes::new(|_, _| vec![respond("404 Not Found", &[FRESH], "none")]);
    assert_said(&pipes.ask("/", &[]).await, 404, "none", MISS);
    assert_said(&pipes.ask("/", &[]).await, 404, "none", HIT);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_does_not_say_how_long_it_lasts_is_not_stored() {
    let pipes = Pipes::new(|_, _| vec![respond("200 OK", &[], "body")]);
    assert_said(&pipes.ask("/", &[]).await, 200, "body", "forebay; fwd=uri-miss; detail=no-lifetime");
    pipes.ask("/", &[]).await;
    assert_eq!(pipes.origin.hits(), 2);
}

// ---- stale ----

/// Answers the first request with v1 for ten seconds, later ones as `later` says.
fn v1_then(later: impl Fn(&SeenRequest) -> Vec<Act> + Send + Sync + 'static) -> Pipes {
    Pipes::new(move |request, nth| match nth {
        0 => vec![respond("200 OK", &[("Cache-Control", "max-age=10"), V1, ("X-Seen", "1")], "one")],
        _ => later(request),
    })
}

#[tokio::test(start_paused = true)]
async fn a_304_refreshes_what_is_stored() {
    let fields = [("Cache-Control", "max-age=60"), V1, ("X-Seen", "2")];
    let pipes = v1_then(move |_| vec![respond("304 Not Modified", &fields, "")]);
    pipes.ask("/", &[]).await;
    pipes.pass_time(10);
    let confirmed = pipes.ask("/", &[]).await;
    assert_said(&confirmed, 200, "one", "forebay; fwd=stale; fwd-status=304; stored; ttl=60");
    assert_eq!(pipes.origin.exchange(1).request.header_all("if-none-match"), ["\"v1\""]);
    let hit = pipes.ask("/", &[]).await;
    assert_said(&hit, 200, "one", HIT);
    assert_eq!((hit.header_all("x-seen"), hit.header("content-length")), (vec!["2"], Some("3")));
    assert_eq!(pipes.origin.hits(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_304_confirms_by_date_too() {
    let modified = ("Last-Modified", "Fri, 15 Jan 2027 07:00:00 GMT");
    let pipes = Pipes::new(move |request, _| match request.header("if-modified-since") {
        Some(_) => vec![respond("304 Not Modified", &[FRESH], "")],
        None => vec![respond("200 OK", &[FRESH, modified], "one")],
    });
    pipes.ask("/", &[]).await;
    pipes.pass_time(60);
    pipes.ask("/", &[]).await;
    assert_eq!(pipes.origin.exchange(1).request.header("if-modified-since"), Some(modified.1));
    assert_said(&pipes.ask("/", &[]).await, 200, "one", HIT);
}

#[tokio::test(start_paused = true)]
async fn a_200_replaces_what_is_stored() {
    let pipes = v1_then(|_| vec![respond("200 OK", &[FRESH, ("ETag", "\"v2\"")], "two")]);
    pipes.ask("/", &[]).await;
    pipes.pass_time(10);
    assert_said(&pipes.ask("/", &[]).await, 200, "two", "forebay; fwd=stale; stored; ttl=60");
    assert_said(&pipes.ask("/", &[]).await, 200, "two", HIT);
}

#[tokio::test(start_paused = true)]
async fn a_304_about_something_else_is_asked_again_without_validators() {
    let pipes = v1_then(|request| match request.header("if-none-match") {
        Some(_) => vec![respond("304 Not Modified", &[FRESH, ("ETag", "\"v2\"")], "")],
        None => vec![respond("200 OK", &[FRESH, ("ETag", "\"v2\"")], "two")],
    });
    pipes.ask("/", &[]).await;
    pipes.pass_time(10);
    assert_said(&pipes.ask("/", &[]).await, 200, "two", "forebay; fwd=stale; stored; ttl=60");
    assert_said(&pipes.ask("/", &[]).await, 200, "two", HIT);
    assert_eq!(pipes.origin.hits(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_client_s_condition_is_judged_by_what_was_confirmed() {
    let pipes = v1_then(|_| vec![respond("304 Not Modified", &[FRESH, V1], "")]);
    pipes.ask("/", &[]).await;
    pipes.pass_time(10);
    let answer = pipes.ask("/", &[("If-None-Match", "\"mine\", \"v1\"")]).await;
    assert_said(&answer, 304, "", "forebay; fwd=stale; fwd-status=304; stored; ttl=60");
    assert_eq!(pipes.origin.exchange(1).request.header_all("if-none-match"), ["\"v1\""]);
}

#[tokio::test(start_paused = true)]
async fn no_cache_is_stored_and_confirmed_each_time() {
    let no_cache = ("Cache-Control", "no-cache, max-age=60");
    let pipes = Pipes::new(move |request, _| match request.header("if-none-match") {
        Some(_) => vec![respond("304 Not Modified", &[no_cache, V1], "")],
        None => vec![respond("200 OK", &[no_cache, V1], "one")],
    });
    pipes.ask("/", &[]).await;
    for times in 2..4 {
        let answer = pipes.ask("/", &[]).await;
        assert_eq!((answer.status, answer.text().as_str()), (200, "one"));
        assert!(answer.cache_status().starts_with("forebay; fwd=stale; fwd-status=304; stored"));
        assert_eq!(pipes.origin.hits(), times);
    }
}

#[tokio::test(start_paused = true)]
async fn a_dead_origin_is_stood_in_for() {
    let pipes = v1_then(|_| vec![Act::Close]);
    pipes.ask("/", &[]).await;
    pipes.pass_time(15);
    let stale = pipes.ask("/", &[]).await;
    assert_said(&stale, 200, "one", "forebay; fwd=stale; ttl=-5; detail=stale-on-error");
    assert_eq!(stale.header("age"), Some("15"));
}

#[tokio::test(start_paused = true)]
async fn what_must_be_revalidated_is_never_served_stale() {
    for directive in ["must-revalidate", "proxy-revalidate", "s-maxage=10", "no-cache"] {
        let fields = format!("max-age=10, {directive}");
        let pipes = Pipes::new(move |_, nth| match nth {
            0 => vec![respond("200 OK", &[("Cache-Control", &fields), V1], "one")],
            _ => vec![Act::Close],
        });
        pipes.ask("/", &[]).await;
        pipes.pass_time(15);
        let answer = pipes.ask("/", &[]).await;
        assert_eq!(answer.status, 502, "{directive}");
        assert_eq!(answer.header("proxy-status"), Some("forebay; error=connection_terminated"));
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_stale_for_too_long_is_not_served_any_more() {
    let pipes = v1_then(|_| vec![Act::Close]);
    pipes.ask("/", &[]).await;
    pipes.pass_time(11 + pipes.settings.sites[0].policy.outlasting.grace.as_secs());
    assert_eq!(pipes.ask("/", &[]).await.status, 502);
}

// ---- not stored ----

#[tokio::test(start_paused = true)]
async fn what_may_not_be_stored_is_not_and_says_why() {
    for (field, detail) in [
        (("Cache-Control", "no-store, max-age=60"), "no-store"),
        (("Cache-Control", "private, max-age=60"), "private"),
        (("Set-Cookie", "id=1"), "set-cookie"),
        (("Vary", "*"), "vary-star"),
    ] {
        let pipes = Pipes::new(move |_, _| vec![respond("200 OK", &[FRESH, field], "body")]);
        let first = pipes.ask("/", &[]).await;
        assert_said(&first, 200, "body", &format!("forebay; fwd=uri-miss; detail={detail}"));
        assert_eq!(first.header(field.0), Some(if field.0 == "Cache-Control" { FRESH.1 } else { field.1 }));
        let second = pipes.ask("/", &[]).await;
        assert_said(&second, 200, "body", "forebay; fwd=uri-miss; detail=hit-for-miss");
        assert_eq!(pipes.origin.hits(), 2, "{detail}");
    }
}

const LOGGED_IN: (&str, &str) = ("Authorization", "Basic eDp5");

#[tokio::test(start_paused = true)]
async fn an_answer_to_a_request_with_credentials_is_for_that_client() {
    let pipes = Pipes::new(echo);
    let answer = pipes.ask("/", &[LOGGED_IN]).await;
    assert_said(&answer, 200, "/", "forebay; fwd=uri-miss; detail=authorization");
    assert_said(&pipes.ask("/", &[]).await, 200, "/", MISS);
    assert_eq!(pipes.origin.hits(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_public_answer_to_a_request_with_credentials_is_for_all() {
    let public = ("Cache-Control", "public, max-age=60");
    let pipes = Pipes::new(move |_, _| vec![respond("200 OK", &[public], "body")]);
    assert_said(&pipes.ask("/", &[LOGGED_IN]).await, 200, "body", MISS);
    assert_said(&pipes.ask("/", &[]).await, 200, "body", HIT);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_says_no_store_leaves_no_trace() {
    let pipes = Pipes::new(echo);
    let answer = pipes.ask("/", &[("Cache-Control", "no-store")]).await;
    assert_eq!(answer.cache_status(), "forebay; fwd=uri-miss; detail=request-no-store");
    assert_eq!(pipes.ask("/", &[]).await.cache_status(), MISS);
}

#[tokio::test(start_paused = true)]
async fn a_post_is_never_stored_and_never_answered_from_memory() {
    let pipes = Pipes::new(|request, _| vec![Act::ReadBody, respond("200 OK", &[FRESH], &request.method)]);
    pipes.ask("/", &[]).await;
    for _ in 0..2 {
        let mut client = pipes.client();
        client.request("POST", "/", &[], b"name=value").await;
        assert_said(&client.read_answer().await, 200, "POST", "forebay; fwd=method");
        pipes.quiet().await;
    }
    assert_eq!(pipes.origin.hits(), 3);
    assert_eq!(pipes.ask("/", &[]).await.text(), "GET");
}

#[tokio::test(start_paused = true)]
async fn a_get_with_content_is_passed_with_it() {
    let pipes = Pipes::new(|_, _| vec![Act::ReadBody, respond("200 OK", &[FRESH], "found")]);
    let mut client = pipes.client();
    client.request("GET", "/search", &[], b"query").await;
    assert_said(&client.read_answer().await, 200, "found", "forebay; fwd=bypass; detail=content");
    assert_eq!(pipes.origin.exchange(0).body, b"query");
    assert_eq!(pipes.ask("/search", &[]).await.cache_status(), MISS);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_ends_by_close_is_delivered_but_not_stored() {
    let pipes = Pipes::new(|_, _| vec![head("200 OK", &[FRESH]), Act::send("perhaps all"), Act::Close]);
    let answer = pipes.ask("/", &[]).await;
    assert_said(&answer, 200, "perhaps all", "forebay; fwd=uri-miss; detail=end-by-close");
    assert!(answer.complete);
    pipes.ask("/", &[]).await;
    assert_eq!(pipes.origin.hits(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_is_too_large_is_delivered_but_not_stored() {
    let mut settings = settings("http://origin.test");
    settings.fetch.max_object = 1000;
    let pipes = Pipes::with(settings, |request, _| match request.path() {
        "/sized" => vec![respond("200 OK", &[FRESH], pattern(1, 2000))],
        _ => vec![respond_chunked("200 OK", &[FRESH], &[&pattern(1, 1000), &pattern_rest()])],
    });
    for path in ["/sized", "/chunked"] {
        for _cold_then_still_cold in 0..2 {
            let answer = pipes.ask(path, &[]).await;
            assert!(answer.complete && answer.body == pattern(1, 2000), "{path}");
            assert!(answer.cache_status().starts_with("forebay; fwd=uri-miss"), "{}", answer.cache_status());
        }
    }
    assert_eq!(pipes.ask("/sized", &[]).await.cache_status(), "forebay; fwd=uri-miss; detail=too-large");
    assert_eq!(pipes.origin.hits(), 5);
}

fn pattern_rest() -> Vec<u8> {
    pattern(1, 2000)[1000..].to_vec()
}

// ---- variants and keys ----

#[tokio::test(start_paused = true)]
async fn each_language_is_a_variant() {
    let pipes = Pipes::new(|request, _| {
        let language = request.header("accept-language").unwrap_or("none");
        vec![respond("200 OK", &[FRESH, ("Vary", "Accept-Language")], language)]
    });
    assert_said(&pipes.ask("/", &[("Accept-Language", "de")]).await, 200, "de", MISS);
    let other = pipes.ask("/", &[("Accept-Language", "en")]).await;
    assert_said(&other, 200, "en", "forebay; fwd=vary-miss; stored; ttl=60");
    for language in ["de", "en"] {
        assert_said(&pipes.ask("/", &[("Accept-Language", language)]).await, 200, language, HIT);
    }
    assert_said(&pipes.ask("/", &[]).await, 200, "none", "forebay; fwd=vary-miss; stored; ttl=60");
    assert_eq!(pipes.origin.hits(), 3);
}

#[tokio::test(start_paused = true)]
async fn languages_are_told_apart_by_what_is_asked_for_and_not_by_how() {
    let pipes = Pipes::new(|request, _| {
        let language = request.header("accept-language").unwrap_or("none");
        vec![respond("200 OK", &[FRESH, ("Vary", "Accept-Language"), ("Content-Language", "de")], language)]
    });
    let ask = async |languages: &str| pipes.ask("/", &[("Accept-Language", languages)]).await;
    assert_said(&ask("en, de").await, 200, "en, de", MISS);
    for same in ["de, en", "eN, De", " en ,   de", "de;q=1.0,en"] {
        assert_said(&ask(same).await, 200, "en, de", HIT);
    }
    // That what is stored is in the language that is wanted most does not make the request the same (RFC 9111 §4.1).
    let other = ask("fr;q=0.5, de;q=1.0").await;
    assert_said(&other, 200, "fr;q=0.5, de;q=1.0", "forebay; fwd=vary-miss; stored; ttl=60");
    assert_said(&ask("de, fr;q=0.50").await, 200, "fr;q=0.5, de;q=1.0", HIT);
}

#[tokio::test(start_paused = true)]
async fn what_varies_by_a_field_of_the_connection_is_for_one_client() {
    let pipes = Pipes::new(|_, _| vec![respond("200 OK", &[FRESH, ("Vary", "TE")], "")]);
    let answer = pipes.ask("/", &[("TE", "trailers")]).await;
    assert_eq!(answer.cache_status(), "forebay; fwd=uri-miss; detail=vary-unbelieved");
    pipes.ask("/", &[]).await;
    assert_eq!(pipes.origin.hits(), 2);
}

#[tokio::test(start_paused = true)]
async fn vary_by_coding_makes_no_variants() {
    let fields = [FRESH, ("Vary", "Accept-Encoding")];
    let pipes = Pipes::new(move |_, _| vec![respond("200 OK", &fields, "plain")]);
    pipes.ask("/", &[("Accept-Encoding", "gzip")]).await;
    for codings in ["gzip", "br", "identity"] {
        assert_said(&pipes.ask("/", &[("Accept-Encoding", codings)]).await, 200, "plain", HIT);
    }
    assert_eq!(pipes.ask("/", &[]).await.header("vary"), Some("Accept-Encoding"));
}

#[tokio::test(start_paused = true)]
async fn a_stored_coding_serves_only_clients_that_take_it() {
    let fields = [FRESH, ("Content-Encoding", "deflate")];
    let pipes = Pipes::new(move |_, _| vec![respond("200 OK", &fields, "squeezed")]);
    pipes.ask("/", &[("Accept-Encoding", "deflate")]).await;
    assert_said(&pipes.ask("/", &[("Accept-Encoding", "br, deflate")]).await, 200, "squeezed", HIT);
    for codings in ["br", "deflate;q=0", "identity"] {
        let before = pipes.origin.hits();
        pipes.ask("/", &[("Accept-Encoding", codings)]).await;
        assert_eq!(pipes.origin.hits(), before + 1, "{codings}");
    }
}

#[tokio::test(start_paused = true)]
async fn hosts_and_queries_have_objects_of_their_own() {
    let pipes = Pipes::new(|request, _| {
        vec![respond("200 OK", &[FRESH], format!("{}{}", request.header("host").unwrap(), request.target))]
    });
    let requests =
        [("a.test", "/"), ("b.test", "/"), ("a.test", "/?q"), ("a.test", "/?q=1"), ("a.test", "/%71")];
    for cache in [MISS, HIT] {
        for (host, target) in requests {
            let answer = pipes.ask(target, &[("Host", host)]).await;
            assert_said(&answer, 200, &format!("{host}{target}"), cache);
        }
    }
    assert_said(&pipes.ask("/", &[("Host", "A.test.:80")]).await, 200, "a.test/", HIT);
}

// ---- connections to the origin ----

#[tokio::test(start_paused = true)]
async fn an_origin_connection_is_used_again() {
    let pipes = Pipes::new(echo);
    for path in ["/a", "/b", "/c"] {
        pipes.ask(path, &[]).await;
    }
    assert_eq!((pipes.origin.hits(), pipes.origin.opened()), (3, 1));
}

#[tokio::test(start_paused = true)]
async fn an_origin_connection_that_idles_for_long_is_not() {
    let pipes = Pipes::new(echo);
    pipes.ask("/a", &[]).await;
    tokio::time::advance(pipes.settings.pools[0].idle_timeout + ms(1)).await;
    pipes.ask("/b", &[]).await;
    assert_eq!(pipes.origin.opened(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_origin_that_says_close_is_not_asked_on_that_connection_again() {
    let fields = [FRESH, ("Connection", "close")];
    let pipes = Pipes::new(move |_, _| vec![respond("200 OK", &fields, "body"), Act::Close]);
    for path in ["/a", "/b"] {
        assert_said(&pipes.ask(path, &[]).await, 200, "body", MISS);
    }
    assert_eq!(pipes.origin.opened(), 2);
}

/// An origin whose first connection dies under the second request on it.
fn first_connection_dies(request: &SeenRequest, nth: usize) -> Vec<Act> {
    let dies = request.connection == 0 && nth > 0;
    if dies {
        vec![Act::ReadBody, Act::Close]
    } else {
        vec![Act::ReadBody, respond("200 OK", &[FRESH], "body")]
    }
}

#[tokio::test(start_paused = true)]
async fn a_get_on_a_connection_that_just_died_is_asked_again() {
    let pipes = Pipes::new(first_connection_dies);
    pipes.ask("/a", &[]).await;
    assert_said(&pipes.ask("/b", &[]).await, 200, "body", MISS);
    assert_eq!((pipes.origin.opened(), pipes.origin.hits_of("/b")), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn a_post_on_a_connection_that_just_died_is_never_sent_twice() {
    for content in [b"name=value".as_slice(), b""] {
        let pipes = Pipes::new(first_connection_dies);
        pipes.ask("/a", &[]).await;
        let mut client = pipes.client();
        client.request("POST", "/b", &[], content).await;
        assert_eq!(client.read_answer().await.status, 502);
        pipes.quiet().await;
        assert_eq!(pipes.origin.hits_of("/b"), 1);
    }
}

const FAKE: &str = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 4\r\n\r\nfake";

#[tokio::test(start_paused = true)]
async fn bytes_beyond_the_length_are_nobody_s_answer() {
    let whole = || respond("200 OK", &[FRESH], "hello");
    let at_once = Act::send(match whole() {
        Act::Send(bytes) => [&bytes[..], FAKE.as_bytes()].concat(),
        other => panic!("{other:?}"),
    });
    for poisoned in
        [vec![at_once], vec![whole(), Act::send(FAKE)], vec![whole(), Act::Wait(ms(5)), Act::send(FAKE)]]
    {
        let pipes = Pipes::new(move |_, nth| if nth == 0 { poisoned.clone() } else { vec![whole()] });
        let mut client = pipes.client();
        assert_eq!(client.get("/a").await.text(), "hello");
        tokio::time::sleep(ms(10)).await;
        assert_eq!(client.get("/b").await.text(), "hello");
        assert_eq!(client.get("/a").await.text(), "hello");
        assert_eq!(pipes.origin.opened(), 2, "the connection was given up");
    }
}

#[tokio::test(start_paused = true)]
async fn bytes_beyond_the_length_are_not_the_answer_to_a_request_that_follows_at_once() {
    let pipes = Pipes::new(|_, nth| {
        let whole = respond("200 OK", &[FRESH], "hello");
        if nth == 0 { vec![whole, Act::send(FAKE)] } else { vec![whole] }
    });
    let mut client = pipes.client();
    let pipelined = "GET /a HTTP/1.1\r\nHost: test\r\n\r\nGET /b HTTP/1.1\r\nHost: test\r\n\r\n";
    client.send(pipelined).await;
    for _ in 0..2 {
        assert_eq!(client.read_answer().await.text(), "hello");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_was_overtaken_does_not_replace_the_newer_one() {
    let late = Gate::new();
    let go = Arc::clone(&late);
    let pipes = Pipes::new(move |_, nth| match nth {
        // Leaves a marker, so that the next two fetch alone.
        0 => vec![respond("200 OK", &[("Cache-Control", "no-store")], "mine")],
        1 => vec![
            head("200 OK", &[("Cache-Control", "max-age=60"), ("Content-Length", "5")]),
            Act::WaitFor(Arc::clone(&go)),
            Act::send("older"),
        ],
        _ => vec![respond("200 OK", &[("Cache-Control", "max-age=60")], "newer")],
    });
    pipes.client().get("/").await;
    let mut slow = pipes.client();
    slow.request("GET", "/", &[], b"").await;
    pipes.origin.wait_for_hits(2).await;
    slow.read_head().await;
    pipes.clock.advance(Duration::from_secs(2));
    let mut other = pipes.client();
    other.request("GET", "/", &[], b"").await;
    assert_eq!(other.read_answer().await.text(), "newer");
    late.open();
    assert_eq!(slow.read_body().await, b"older");
    pipes.quiet().await;
    let answer = pipes.client().get("/").await;
    assert_eq!((answer.text().as_str(), answer.cache_status().contains("hit")), ("newer", true));
}
