//! What the answer to an unsafe request takes back (RFC 9111 §4.4), and from whom: the store, the waiters, the 304s, the
//! fetches under way.

use std::sync::Arc;
use std::time::Duration;

use forebay::semantics::policy::Policy;
use forebay::semantics::query::QueryRules;

use crate::rig::{Pipes, settings};
use crate::support::client::Answer;
use crate::support::origin::{Act, Gate, SeenRequest, chunk, head, last_chunk, respond};
use crate::support::within;

const FRESH: (&str, &str) = ("Cache-Control", "max-age=1000");
const MISS: &str = "forebay; fwd=uri-miss; stored; ttl=1000";
const LIMIT: Duration = Duration::from_mins(1);

/// A GET is answered with its number, to be kept; everything else as `unsafe_answer` says.
fn numbered(unsafe_answer: impl Fn(&SeenRequest) -> Vec<Act> + Send + Sync + 'static) -> Pipes {
    Pipes::new(move |request, nth| match request.method.as_str() {
        "GET" => vec![respond("200 OK", &[FRESH], nth.to_string())],
        _ => unsafe_answer(request),
    })
}

fn done(status: &'static str, fields: &'static [(&str, &str)]) -> Pipes {
    numbered(move |_| vec![Act::ReadBody, respond(status, fields, "")])
}

impl Pipes {
    async fn change(&self, method: &str, path: &str) -> Answer {
        let mut client = self.client();
        client.request(method, path, &[], b"abc").await;
        client.read_answer().await
    }

    /// The number of the answer to a GET.
    async fn number(&self, path: &str) -> String {
        self.ask(path, &[]).await.text()
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_to_an_unsafe_method_takes_back_what_is_stored() {
    for method in ["POST", "PUT", "DELETE", "PATCH", "M-SEARCH"] {
        for status in ["200 OK", "204 No Content", "303 See Other"] {
            let pipes = done(status, &[]);
            assert_eq!(pipes.number("/a?b").await, "0");
            assert_eq!(pipes.number("/a").await, "1");
            pipes.change(method, "/a?b").await;
            let anew = pipes.ask("/a?b", &[]).await;
            assert_eq!(
                (anew.text().as_str(), anew.cache_status().as_str()),
                ("3", MISS),
                "{method} {status}"
            );
            assert_eq!(pipes.number("/a").await, "1", "another URL");
            assert_eq!(pipes.number("/a?b").await, "3", "stored again");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_or_a_safe_method_takes_back_nothing() {
    for (method, status) in [
        ("POST", "500 Oh"),
        ("PUT", "404 Not Found"),
        ("M-SEARCH", "503 Later"),
        ("OPTIONS", "200 OK"),
        ("QUERY", "200 OK"),
    ] {
        let pipes = done(status, &[]);
        assert_eq!(pipes.number("/a").await, "0");
        pipes.change(method, "/a").await;
        assert_eq!(pipes.number("/a").await, "0", "{method} {status}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_answer_names_of_its_own_origin_is_taken_back_too() {
    let fields = [
        ("Location", "new?x#part"),
        ("Location", "http://TEST:80/b/new?x"),
        ("Location", "//test/b/./new?x"),
        ("Content-Location", "../b/new?x"),
        // The origin's own address is the client's host to us.
        ("Location", "http://origin.test/b/new?x"),
    ];
    for field in fields {
        let pipes = numbered(move |_| vec![Act::ReadBody, respond("201 Created", &[field], "")]);
        assert_eq!(pipes.number("/b/new?x").await, "0");
        assert_eq!(pipes.number("/b/new").await, "1");
        pipes.change("POST", "/b/list").await;
        assert_eq!(pipes.number("/b/new?x").await, "3", "{field:?}");
        assert_eq!(pipes.number("/b/new").await, "1", "{field:?}");
    }
    for location in ["http://other/b/new", "https://test/b/new", "http://test:81/b/new", "mailto:x"] {
        let pipes =
            numbered(move |_| vec![Act::ReadBody, respond("201 Created", &[("Location", location)], "")]);
        let host = |host| [("Host", host)];
        for other in ["test", "other"] {
            pipes.ask("/b/new", &host(other)).await;
        }
        pipes.change("POST", "/").await;
        for other in ["test", "other"] {
            assert!(pipes.ask("/b/new", &host(other)).await.cache_status().contains("hit"), "{location}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn every_variant_of_the_url_goes_and_the_ignored_parameters_do_not_hide_it() {
    let mut settings = settings("http://origin.test");
    let query = QueryRules::ignoring(["utm_*"]);
    settings.sites[0].policy = Policy { query, ..Policy::default() };
    let pipes = Pipes::with(settings, |request, nth| match request.method.as_str() {
        "GET" => vec![respond("200 OK", &[FRESH, ("Vary", "Accept-Language")], nth.to_string())],
        _ => vec![respond("200 OK", &[("Location", "/other?utm_b=2")], "")],
    });
    for language in ["de", "en"] {
        pipes.ask("/a?utm_x=1", &[("Accept-Language", language)]).await;
    }
    pipes.ask("/other", &[]).await;
    pipes.change("DELETE", "/a?utm_y=2").await;
    for (nth, language) in [(4, "de"), (5, "en")] {
        let answer = pipes.ask("/a", &[("Accept-Language", language)]).await;
        assert_eq!(answer.text(), nth.to_string(), "{}", answer.cache_status());
    }
    assert_eq!(pipes.number("/other").await, "6");
}

#[tokio::test(start_paused = true)]
async fn a_fetch_that_left_before_is_not_for_those_who_ask_afterwards() {
    let (head_gate, body_gate) = (Gate::new(), Gate::new());
    for (early_head, gate) in [(false, head_gate), (true, body_gate)] {
        let go = Arc::clone(&gate);
        let pipes = Pipes::new(move |request, nth| match (request.method.as_str(), nth) {
            ("GET", 0) => {
                let first = head("200 OK", &[FRESH, ("Transfer-Encoding", "chunked")]);
                let wait = Act::WaitFor(Arc::clone(&go));
                let acts = if early_head { [first, wait] } else { [wait, first] };
                acts.into_iter().chain([chunk("old"), last_chunk(&[])]).collect()
            }
            ("GET", _) => vec![respond("200 OK", &[FRESH], "new")],
            _ => vec![Act::ReadBody, respond("200 OK", &[], "")],
        });
        let mut before = pipes.client();
        before.request("GET", "/", &[], b"").await;
        pipes.origin.wait_for_hits(1).await;
        if early_head {
            before.read_head().await;
        }
        pipes.change("POST", "/").await;
        let answer = within(LIMIT, pipes.client().get("/")).await;
        assert_eq!(answer.text(), "new", "{}", answer.cache_status());
        gate.open();
        let text = if early_head { before.read_body().await } else { before.read_answer().await.body };
        assert_eq!(text, b"old", "who asked before may have it");
        pipes.quiet().await;
        let answer = pipes.ask("/", &[]).await;
        assert_eq!((answer.text().as_str(), answer.cache_status().contains("hit")), ("new", true));
    }
}

#[tokio::test(start_paused = true)]
async fn a_304_to_what_was_taken_back_meanwhile_confirms_nothing() {
    let gate = Gate::new();
    let go = Arc::clone(&gate);
    let short = [("Cache-Control", "max-age=10"), ("ETag", "\"1\"")];
    let pipes = Pipes::new(move |request, nth| match (request.method.as_str(), nth) {
        ("GET", 0) => vec![respond("200 OK", &short, "old")],
        ("GET", 1) => {
            assert!(request.header("if-none-match").is_some());
            vec![Act::WaitFor(Arc::clone(&go)), respond("304 Not Modified", &short, "")]
        }
        ("GET", _) => {
            assert_eq!(request.header("if-none-match"), None, "its validators are as dead as it is");
            vec![respond("200 OK", &[FRESH], "new")]
        }
        _ => vec![Act::ReadBody, respond("200 OK", &[], "")],
    });
    pipes.ask("/", &[]).await;
    pipes.pass_time(11);
    let mut before = pipes.client();
    before.request("GET", "/", &[], b"").await;
    pipes.origin.wait_for_hits(2).await;
    pipes.change("POST", "/").await;
    gate.open();
    assert_eq!(before.read_answer().await.text(), "new");
    pipes.quiet().await;
    let answer = pipes.ask("/", &[]).await;
    assert_eq!((answer.text().as_str(), answer.cache_status().contains("hit")), ("new", true));
}

#[tokio::test(start_paused = true)]
async fn what_was_taken_back_answers_no_outage_and_sends_no_validators() {
    let pipes = Pipes::new(move |request, nth| match (request.method.as_str(), nth) {
        ("GET", 0) => vec![respond("200 OK", &[("Cache-Control", "max-age=10"), ("ETag", "\"1\"")], "old")],
        ("GET", _) => {
            assert_eq!(request.header("if-none-match"), None);
            vec![Act::Reset]
        }
        _ => vec![Act::ReadBody, respond("200 OK", &[], "")],
    });
    pipes.ask("/", &[]).await;
    pipes.pass_time(11);
    pipes.change("POST", "/").await;
    assert_eq!(pipes.ask("/", &[]).await.status, 502);
}

#[tokio::test(start_paused = true)]
async fn a_marker_ends_with_the_url_that_it_is_about() {
    let gate = Gate::new();
    let go = Arc::clone(&gate);
    let pipes = Pipes::new(move |request, nth| match (request.method.as_str(), nth) {
        ("GET", 0) => vec![respond("200 OK", &[("Cache-Control", "private")], "one")],
        ("GET", _) => vec![Act::WaitFor(Arc::clone(&go)), respond("200 OK", &[FRESH], "for all")],
        _ => vec![Act::ReadBody, respond("200 OK", &[], "")],
    });
    pipes.ask("/", &[]).await;
    pipes.change("POST", "/").await;
    let (mut one, mut two) = (pipes.client(), pipes.client());
    one.request("GET", "/", &[], b"").await;
    pipes.origin.wait_for_hits(3).await;
    two.request("GET", "/", &[], b"").await;
    while pipes.node.counters.collapsed.get() == 0 {
        tokio::task::yield_now().await;
    }
    gate.open();
    assert_eq!(
        (one.read_answer().await.text(), two.read_answer().await.text().as_str()),
        ("for all".into(), "for all")
    );
    assert_eq!(pipes.origin.hits(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_has_left_keeps_nothing_from_being_taken_back() {
    let pipes = done("200 OK", &[]);
    assert_eq!(pipes.number("/").await, "0");
    let mut client = pipes.client();
    client.request("POST", "/", &[], b"abc").await;
    pipes.origin.wait_for_hits(2).await;
    pipes.origin.wait_for_finished(2).await;
    drop(client);
    pipes.quiet().await;
    assert_eq!(pipes.number("/").await, "2");
}
