//! QUERY and POST where a site has their answers stored.

use forebay::body::budget::Budget;

use crate::keyed::{cached, echo, is_hit};
use crate::rig::Pipes;
use crate::support::client::Answer;
use crate::support::origin::{Act, Gate, SeenRequest, respond};

const FRESH: (&str, &str) = ("Cache-Control", "max-age=60");
const QUERY: &str = "cacheable_methods = [\"QUERY\"]";
const POST: &str = "cacheable_methods = [\"POST\"]";
const REUSE: &str = "against_rfc = { reuse_post = true }";

async fn send(pipes: &Pipes, method: &str, fields: &[(&str, &str)], body: &[u8]) -> Answer {
    let mut client = pipes.client();
    client.request(method, "/a", fields, body).await;
    let answer = client.read_answer().await;
    pipes.quiet().await;
    answer
}

fn used(pipes: &Pipes) -> u64 {
    Budget::used(&pipes.node.means.budget)
}

// ---- content in the key ----

#[tokio::test(start_paused = true)]
async fn equal_content_is_answered_from_memory_and_other_content_is_not() {
    for (keys, method) in [(QUERY, "QUERY"), (REUSE, "POST")] {
        let pipes = cached(keys, echo);
        let json = ("Content-Type", "application/json");
        let first = send(&pipes, method, &[json], b"{}").await;
        assert_eq!(
            (first.text(), first.cache_status()),
            (format!("0 {method} /a"), "forebay; fwd=uri-miss; stored; ttl=60".into())
        );
        let seen = pipes.origin.exchange(0);
        assert_eq!(
            (&seen.body[..], seen.request.header("content-type")),
            (&b"{}"[..], Some("application/json"))
        );
        assert_eq!(seen.request.header_all("content-length"), ["2"]);
        assert!(is_hit(&send(&pipes, method, &[json], b"{}").await));
        let chunked = [json, ("Transfer-Encoding", "chunked")];
        assert!(
            is_hit(&send(&pipes, method, &chunked, b"1\r\n{\r\n1\r\n}\r\n0\r\n\r\n").await),
            "however framed"
        );
        for (fields, body) in [
            (&[json][..], &b"{ }"[..]),
            (&[], b"{}"),
            (&[("Content-Type", "text/plain")], b"{}"),
            (&[json, ("Content-Encoding", "gzip")], b"{}"),
            (&[json], b""),
        ] {
            let other = send(&pipes, method, fields, body).await;
            assert_eq!(other.cache_status(), "forebay; fwd=uri-miss; stored; ttl=60", "{fields:?} {body:?}");
        }
        let get = pipes.ask("/a", &[]).await;
        assert!(get.text().ends_with("GET /a") && !is_hit(&get), "a GET is another question");
    }
}

#[tokio::test(start_paused = true)]
async fn without_the_site_s_word_they_pass() {
    for (keys, method) in [("", "QUERY"), (POST, "QUERY"), ("", "POST"), (QUERY, "POST")] {
        let pipes = cached(keys, echo);
        for _ in 0..2 {
            assert_eq!(
                send(&pipes, method, &[], b"x").await.cache_status(),
                "forebay; fwd=method",
                "{method}"
            );
        }
        assert_eq!(pipes.origin.exchange(1).body, b"x");
    }
}

#[tokio::test(start_paused = true)]
async fn equal_queries_share_one_fetch() {
    let gate = Gate::new();
    let held = gate.clone();
    let pipes = cached(QUERY, move |_, nth| {
        vec![Act::ReadBody, Act::WaitFor(held.clone()), respond("200 OK", &[FRESH], nth.to_string())]
    });
    let mut clients = [pipes.client(), pipes.client(), pipes.client()];
    for (client, body) in clients.iter_mut().zip([b"a", b"a", b"b"]) {
        client.request("QUERY", "/a", &[], body).await;
    }
    pipes.origin.wait_until(|tally| tally.exchanges.len() == 2).await;
    gate.open();
    let mut bodies = Vec::new();
    for client in &mut clients {
        bodies.push(client.read_answer().await.text());
    }
    assert_eq!(bodies[0], bodies[1]);
    assert_ne!(bodies[0], bodies[2]);
    assert_eq!(pipes.origin.hits(), 2);
    pipes.quiet().await;
}

#[tokio::test(start_paused = true)]
async fn only_an_explicit_lifetime_counts() {
    let keys = "default_lifetime = \"1h\"\ncacheable_methods = [\"QUERY\"]";
    let pipes = cached(keys, |_, nth| {
        let fields = [("ETag", "\"1\""), ("Last-Modified", "Fri, 01 Jan 2021 00:00:00 GMT")];
        vec![Act::ReadBody, respond("200 OK", &fields, nth.to_string())]
    });
    for _ in 0..2 {
        let answer = send(&pipes, "QUERY", &[], b"x").await;
        assert!(!is_hit(&answer) && !answer.cache_status().contains("stored"), "{}", answer.cache_status());
    }
}

#[tokio::test(start_paused = true)]
async fn a_stale_answer_to_a_query_is_confirmed() {
    let pipes = cached(QUERY, |request, nth| {
        let tag = ("ETag", "\"1\"");
        match request.header("if-none-match") {
            Some(_) => vec![Act::ReadBody, respond("304 Not Modified", &[tag, FRESH], "")],
            None => vec![Act::ReadBody, respond("200 OK", &[tag, FRESH], nth.to_string())],
        }
    });
    send(&pipes, "QUERY", &[], b"x").await;
    pipes.pass_time(61);
    let answer = send(&pipes, "QUERY", &[], b"x").await;
    assert_eq!(answer.cache_status(), "forebay; fwd=stale; fwd-status=304; stored; ttl=60");
    let asked = pipes.origin.exchange(1);
    assert_eq!(
        (asked.request.method.as_str(), &asked.body[..], answer.text().as_str()),
        ("QUERY", &b"x"[..], "0")
    );
}

#[tokio::test(start_paused = true)]
async fn content_that_is_too_long_passes_whole() {
    let pipes = cached(QUERY, echo);
    let long = vec![b'x'; (64 << 10) + 1];
    let announced = send(&pipes, "QUERY", &[], &long).await;
    assert_eq!(announced.cache_status(), "forebay; fwd=bypass; detail=content");
    let mut framed = format!("{:x}\r\n", long.len()).into_bytes();
    framed.extend_from_slice(&long);
    framed.extend_from_slice(b"\r\n3\r\nend\r\n0\r\n\r\n");
    let chunked = send(&pipes, "QUERY", &[("Transfer-Encoding", "chunked")], &framed).await;
    assert_eq!(chunked.cache_status(), "forebay; fwd=bypass; detail=content");
    assert_eq!(pipes.origin.exchange(0).body, long);
    assert_eq!(pipes.origin.exchange(1).body, [&long[..], b"end"].concat());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_expects_100_gets_it_and_the_origin_is_not_asked_for_it() {
    let pipes = cached(QUERY, echo);
    let mut client = pipes.client();
    let head = "QUERY /a HTTP/1.1\r\nHost: test\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n";
    client.send(head).await;
    assert_eq!(client.next_head().await.map(|head| head.status), Some(100));
    client.send("x").await;
    assert_eq!(client.read_answer().await.cache_status(), "forebay; fwd=uri-miss; stored; ttl=60");
    assert_eq!(pipes.origin.exchange(0).request.header("expect"), None);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_amid_its_content_leaves_nothing_behind() {
    let pipes = cached(QUERY, echo);
    let idle = used(&pipes);
    for sent in ["", "x", "xyz"] {
        let mut client = pipes.client();
        client.send("QUERY /a HTTP/1.1\r\nHost: test\r\nContent-Length: 9\r\n\r\n").await;
        client.send(sent).await;
        tokio::task::yield_now().await;
        drop(client);
        pipes.connections.close();
        pipes.connections.wait().await;
        pipes.connections.reopen();
        pipes.quiet().await;
    }
    assert_eq!((pipes.origin.hits(), used(&pipes)), (0, idle));
}

// ---- POST, whose answer may be that to a later GET ----

/// What the origin answers to a POST.
fn posted(fields: &'static [(&'static str, &'static str)]) -> impl Fn(&SeenRequest, usize) -> Vec<Act> {
    move |request, nth| {
        let fields = if request.method == "POST" { fields } else { &[FRESH] };
        vec![Act::ReadBody, respond("200 OK", fields, format!("{nth} {}", request.method))]
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_to_a_post_that_says_so_answers_later_gets() {
    for location in ["/a", "http://test/a", "//TEST:80/a"] {
        let fields: &'static [_] = Box::leak(Box::new([FRESH, ("Content-Location", location)]));
        let pipes = cached(POST, posted(fields));
        let post = send(&pipes, "POST", &[], b"12345").await;
        assert_eq!(
            (post.text().as_str(), post.cache_status().as_str()),
            ("0 POST", "forebay; fwd=method; stored; ttl=60")
        );
        assert_eq!(pipes.origin.exchange(0).body, b"12345");
        let get = pipes.ask("/a", &[]).await;
        assert_eq!((get.text().as_str(), is_hit(&get)), ("0 POST", true), "{location}");
        // A POST itself is never answered from what is stored (RFC 9111 §4).
        assert_eq!(send(&pipes, "POST", &[], b"12345").await.text(), "1 POST");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_to_a_post_that_does_not_say_so_answers_nobody_else() {
    for fields in [
        &[FRESH][..],
        &[FRESH, ("Content-Location", "/b")],
        &[FRESH, ("Content-Location", "https://test/a")],
        &[("Content-Location", "/a")],
        &[("Content-Location", "/a"), ("Cache-Control", "no-store")],
    ] {
        let pipes = cached(POST, posted(fields));
        let post = send(&pipes, "POST", &[], b"x").await;
        assert!(!post.cache_status().contains("stored"), "{}", post.cache_status());
        let get = pipes.ask("/a", &[]).await;
        assert_eq!(
            get.cache_status(),
            "forebay; fwd=uri-miss; stored; ttl=60",
            "no marker either: {fields:?}"
        );
    }
    let pipes = cached("", posted(&[FRESH, ("Content-Location", "/a")]));
    send(&pipes, "POST", &[], b"x").await;
    assert!(!is_hit(&pipes.ask("/a", &[]).await), "the site has not chosen it");
}

#[tokio::test(start_paused = true)]
async fn content_that_was_read_for_the_key_goes_along_where_the_request_passes_after_all() {
    let pipes = cached(&format!("{QUERY}\nbypass_cookies = [\"off\"]"), echo);
    for fields in [("Cookie", "off=1"), ("If-Match", "\"a\""), ("Early-Data", "1")] {
        let answer = send(&pipes, "QUERY", &[fields], b"what").await;
        assert!(answer.cache_status().contains("fwd=bypass"), "{}", answer.cache_status());
        let nth = pipes.origin.hits() - 1;
        assert_eq!(pipes.origin.exchange(nth).body, b"what", "{fields:?}");
    }
}
