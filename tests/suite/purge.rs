//! Purges by all names and patterns, hard and soft: what is answered next, what may bridge, who waits, what clients see of
//! tags, and the method PURGE.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use forebay::base::ids::ClientPolicy;
use forebay::cache::ledger::Source;
use forebay::cache::wish::{Fulfilled, Unfulfilled, Wish};
use forebay::config::Settings;
use forebay::listener::{self, Handler};
use forebay::request::PurgeRules;
use forebay::semantics::policy::{Outlasting, Policy};
use forebay::semantics::query::QueryRules;
use forebay::semantics::tags::{MOST_TAGS, TagRules};
use http::{Method, Version};

use crate::interim::request;
use crate::rig::{PEER, Pipes, settings};
use crate::support::client::Answer;
use crate::support::origin::{Act, Gate, SeenRequest, chunk, head, interim, last_chunk, respond};

const FRESH: (&str, &str) = ("Cache-Control", "max-age=1000");
const TAGGED: &[(&str, &str)] = &[FRESH, ("Surrogate-Key", "post-1 home"), ("Cache-Tag", "all,of,them")];

fn with(
    change: impl FnOnce(&mut Settings),
    script: impl Fn(&SeenRequest, usize) -> Vec<Act> + Send + Sync + 'static,
) -> Pipes {
    let mut settings = settings("http://origin.test");
    change(&mut settings);
    Pipes::with(settings, script)
}

fn policy(policy: Policy) -> impl FnOnce(&mut Settings) {
    move |settings| settings.sites[0].policy = policy
}

/// Answers numbered from 0 on, with these fields.
fn numbered(fields: &'static [(&str, &str)]) -> impl Fn(&SeenRequest, usize) -> Vec<Act> {
    move |_, nth| vec![respond("200 OK", fields, nth.to_string())]
}

fn list(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

fn tags(texts: &[&str], soft: bool) -> Wish {
    Wish { tags: list(texts), soft: Some(soft), ..Wish::default() }
}

impl Pipes {
    async fn purge(&self, wish: &Wish) -> Fulfilled {
        self.node.machine.purge(wish, Source::default()).await.expect("fulfilled")
    }
}

#[track_caller]
fn assert_said(answer: &Answer, text: &str, cache: &str) {
    assert_eq!((answer.text(), answer.cache_status()), (text.to_owned(), cache.to_owned()));
}

const MISS: &str = "forebay; fwd=uri-miss; stored; ttl=1000";

#[tokio::test(start_paused = true)]
async fn whatever_matches_is_gone_at_once_and_the_rest_stays() {
    let wish = Wish::default();
    for (wish, gone) in [
        (Wish::of_url("http://test/a/b?c"), [true, false, false]),
        (Wish::of_url("//TEST/a/b"), [false, true, false]),
        (tags(&["of"], false), [true; 3]),
        (tags(&["post-1", "none"], false), [true; 3]),
        (tags(&["Post-1", "post"], false), [false; 3]),
        (Wish { prefixes: list(&["test/a"]), ..wish.clone() }, [true, true, false]),
        (Wish { prefixes: list(&["https://test/a"]), ..wish.clone() }, [false; 3]),
        (Wish { globs: list(&["test/a*c"]), ..wish.clone() }, [true, false, false]),
        (Wish { globs: list(&["*"]), ..wish.clone() }, [true; 3]),
        (Wish { hosts: list(&["test"]), ..wish.clone() }, [true; 3]),
        (Wish { hosts: list(&["test:81", "other.test"]), ..wish.clone() }, [false; 3]),
        (Wish { all: true, ..wish.clone() }, [true; 3]),
    ] {
        let pipes = with(|_| {}, numbered(TAGGED));
        let paths = ["/a/b?c", "/a/b", "/ab"];
        for (nth, path) in paths.iter().enumerate() {
            assert_said(&pipes.ask(path, &[]).await, &nth.to_string(), MISS);
        }
        pipes.purge(&wish).await;
        for (nth, (path, gone)) in paths.iter().zip(gone).enumerate() {
            let answer = pipes.ask(path, &[]).await;
            assert_eq!(answer.text() != nth.to_string(), gone, "{wish:?} {path}");
            assert_eq!(answer.cache_status() == MISS, gone, "{wish:?} {path}");
            assert!(pipes.ask(path, &[]).await.cache_status().contains("hit"), "stored again");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_url_is_purged_by_the_rules_of_its_site_and_with_all_its_variants() {
    let query = QueryRules::ignoring(["utm_*"]);
    let script = |request: &SeenRequest, nth: usize| {
        let language = request.header("accept-language").unwrap_or("none").to_owned();
        vec![respond("200 OK", &[FRESH, ("Vary", "accept-language")], format!("{language} {nth}"))]
    };
    let pipes = with(policy(Policy { query, ..Policy::default() }), script);
    let languages = [[("accept-language", "de")], [("accept-language", "en")]];
    for fields in &languages {
        pipes.ask("/a?utm_x=1", fields).await;
        assert!(pipes.ask("/a", fields).await.cache_status().contains("hit"));
    }
    pipes.purge(&Wish::of_url("http://test/a?utm_other=2")).await;
    for (fields, text) in languages.iter().zip(["de 2", "en 3"]) {
        assert_eq!(pipes.ask("/a", fields).await.text(), text);
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_makes_no_sense_in_one_place_purges_nothing() {
    let pipes = with(|_| {}, numbered(TAGGED));
    pipes.ask("/a", &[]).await;
    let wish = Wish { urls: list(&["http://test/a", "nonsense"]), all: true, ..Wish::default() };
    let refused = pipes.node.machine.purge(&wish, Source::default()).await;
    assert!(matches!(refused, Err(Unfulfilled::Wrong(wrong)) if wrong.len() == 1 && wrong[0].place == 1));
    assert!(pipes.ask("/a", &[]).await.cache_status().contains("hit"));
    assert_eq!(pipes.node.cache.ledger().records, 0);
}

// ---- soft ----

fn origin_that_may_fail(fails: &Arc<AtomicBool>) -> impl Fn(&SeenRequest, usize) -> Vec<Act> + use<> {
    let fails = Arc::clone(fails);
    move |request, nth| {
        if fails.load(Ordering::Relaxed) {
            return vec![Act::Reset];
        }
        if request.header("if-none-match").is_some() {
            return vec![respond("304 Not Modified", &[FRESH, ("ETag", "\"e\"")], "")];
        }
        let fields = [FRESH, ("ETag", "\"e\""), ("Surrogate-Key", "post-1")];
        vec![respond("200 OK", &fields, nth.to_string())]
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_softly_purged_is_confirmed_and_bridges_an_outage() {
    let fails = Arc::new(AtomicBool::new(false));
    let pipes = with(|_| {}, origin_that_may_fail(&fails));
    pipes.ask("/", &[]).await;
    pipes.pass_time(10);
    pipes.purge(&tags(&["post-1"], true)).await;
    assert_said(&pipes.ask("/", &[]).await, "0", "forebay; fwd=stale; fwd-status=304; stored; ttl=1000");
    assert_said(&pipes.ask("/", &[]).await, "0", "forebay; hit; ttl=1000");
    // The 304 said nothing of tags: they are as they were.
    fails.store(true, Ordering::Relaxed);
    pipes.purge(&tags(&["post-1"], true)).await;
    pipes.pass_time(20);
    assert_said(&pipes.ask("/", &[]).await, "0", "forebay; fwd=stale; ttl=-20; detail=stale-on-error");
    // Grace counts from the purge.
    pipes.pass_time(24 * 3600 - 20);
    assert_eq!(pipes.ask("/", &[]).await.text(), "0");
    pipes.pass_time(1);
    assert_eq!(pipes.ask("/", &[]).await.status, 502);
}

#[tokio::test(start_paused = true)]
async fn what_was_hard_purged_bridges_nothing_and_its_validators_are_not_sent() {
    let fails = Arc::new(AtomicBool::new(false));
    let pipes = with(|_| {}, origin_that_may_fail(&fails));
    pipes.ask("/", &[]).await;
    pipes.purge(&tags(&["post-1"], true)).await;
    pipes.purge(&tags(&["post-1"], false)).await;
    fails.store(true, Ordering::Relaxed);
    assert_eq!(pipes.ask("/", &[]).await.status, 502);
    fails.store(false, Ordering::Relaxed);
    let anew = pipes.ask("/", &[]).await;
    assert!(anew.text() != "0" && anew.cache_status() == MISS, "{anew:?}");
}

#[tokio::test(start_paused = true)]
async fn while_it_is_refreshed_what_was_softly_purged_answers_and_one_fetch_is_made_for_all() {
    let outlasting = Outlasting { while_revalidate: Duration::from_secs(30), ..Outlasting::default() };
    let gate = Gate::new();
    let open = Arc::clone(&gate);
    let script = move |_: &SeenRequest, nth: usize| match nth {
        0 => vec![respond("200 OK", TAGGED, "0")],
        _ => vec![Act::WaitFor(Arc::clone(&open)), respond("200 OK", TAGGED, nth.to_string())],
    };
    let pipes = with(policy(Policy { outlasting, ..Policy::default() }), script);
    pipes.ask("/", &[]).await;
    pipes.pass_time(5);
    pipes.purge(&Wish { all: true, soft: Some(true), ..Wish::default() }).await;
    for _ in 0..10 {
        let answer = pipes.client().get("/").await;
        assert_said(&answer, "0", "forebay; hit; ttl=0; detail=stale-while-revalidate");
    }
    gate.open();
    pipes.quiet().await;
    assert_eq!(pipes.origin.hits(), 2);
    assert_said(&pipes.ask("/", &[]).await, "1", "forebay; hit; ttl=1000");
}

#[tokio::test(start_paused = true)]
async fn a_lifetime_that_was_over_before_the_soft_purge_is_not_made_longer() {
    let outlasting = Outlasting { while_revalidate: Duration::from_secs(30), ..Outlasting::default() };
    let pipes = with(policy(Policy { outlasting, ..Policy::default() }), numbered(TAGGED));
    pipes.ask("/", &[]).await;
    pipes.pass_time(1020);
    pipes.purge(&tags(&["home"], true)).await;
    pipes.pass_time(9);
    let answer = pipes.client().get("/").await;
    assert_said(&answer, "0", "forebay; hit; ttl=-29; detail=stale-while-revalidate");
}

#[tokio::test(start_paused = true)]
async fn what_must_be_confirmed_when_stale_is_never_used_after_a_soft_purge() {
    let script = numbered(&[("Cache-Control", "max-age=1000, must-revalidate"), ("Surrogate-Key", "a")]);
    let pipes = with(|_| {}, script);
    pipes.ask("/", &[]).await;
    pipes.purge(&tags(&["a"], true)).await;
    assert_eq!(pipes.ask("/", &[]).await.text(), "1");
}

// ---- who waits ----

/// The first GET is answered with these fields once its gate is open, all others at once.
fn gated(fields: &'static [(&str, &str)]) -> (Arc<Gate>, Pipes) {
    let gate = Gate::new();
    let open = Arc::clone(&gate);
    let script = move |_: &SeenRequest, nth: usize| match nth {
        0 => vec![Act::WaitFor(Arc::clone(&open)), respond("200 OK", fields, "0")],
        _ => vec![respond("200 OK", fields, nth.to_string())],
    };
    (gate, with(|_| {}, script))
}

#[tokio::test(start_paused = true)]
async fn who_came_after_a_purge_gets_nothing_from_a_fetch_that_began_before_it() {
    for soft in [false, true] {
        let (gate, pipes) = gated(TAGGED);
        let mut before = [pipes.client(), pipes.client()];
        for client in &mut before {
            client.request("GET", "/", &[], b"").await;
        }
        while pipes.node.counters.collapsed.get() < 1 {
            tokio::task::yield_now().await;
        }
        // Nobody knows yet that the answer has this tag.
        pipes.purge(&tags(&["post-1"], soft)).await;
        let mut after = pipes.client();
        after.request("GET", "/", &[], b"").await;
        while pipes.node.counters.collapsed.get() < 2 {
            tokio::task::yield_now().await;
        }
        gate.open();
        for client in &mut before {
            assert_eq!(client.read_answer().await.text(), "0", "who came before may have it");
        }
        assert_eq!(after.read_answer().await.text(), "1");
        pipes.quiet().await;
        assert_said(&pipes.ask("/", &[]).await, "1", "forebay; hit; ttl=1000");
        assert_eq!(pipes.origin.hits(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_purge_of_another_tag_sends_nobody_back() {
    let (gate, pipes) = gated(TAGGED);
    let mut leader = pipes.client();
    leader.request("GET", "/", &[], b"").await;
    while pipes.origin.hits() < 1 {
        tokio::task::yield_now().await;
    }
    pipes.purge(&tags(&["other"], false)).await;
    let mut after = pipes.client();
    after.request("GET", "/", &[], b"").await;
    while pipes.node.counters.collapsed.get() < 1 {
        tokio::task::yield_now().await;
    }
    gate.open();
    assert_eq!(
        (leader.read_answer().await.text(), after.read_answer().await.text()),
        ("0".into(), "0".into())
    );
    pipes.quiet().await;
    assert_eq!(pipes.origin.hits(), 1);
}

#[tokio::test(start_paused = true)]
async fn nobody_joins_a_body_that_arrives_once_its_tag_was_purged() {
    let gate = Gate::new();
    let open = Arc::clone(&gate);
    let script = move |_: &SeenRequest, nth: usize| match nth {
        0 => vec![
            head("200 OK", &[FRESH, ("Surrogate-Key", "a"), ("Transfer-Encoding", "chunked")]),
            chunk("first "),
            Act::WaitFor(Arc::clone(&open)),
            chunk("last"),
            last_chunk(&[]),
        ],
        _ => vec![respond("200 OK", &[FRESH, ("Surrogate-Key", "a")], nth.to_string())],
    };
    let pipes = with(|_| {}, script);
    let mut early = pipes.client();
    early.request("GET", "/", &[], b"").await;
    early.read_head().await;
    // Until the purge, who comes may join.
    let mut joins = pipes.client();
    joins.request("GET", "/", &[], b"").await;
    assert!(joins.read_head().await.header("cache-status").is_some_and(|said| said.contains("collapsed")));
    pipes.purge(&tags(&["a"], false)).await;
    assert_eq!(pipes.client().get("/").await.text(), "1");
    gate.open();
    for client in [&mut early, &mut joins] {
        assert_eq!(client.read_body().await, b"first last", "what was begun goes on");
    }
    pipes.quiet().await;
    assert_eq!(pipes.ask("/", &[]).await.text(), "1", "the older one does not take its place");
}

#[tokio::test(start_paused = true)]
async fn a_304_to_what_was_purged_meanwhile_confirms_nothing() {
    for soft in [false, true] {
        let gate = Gate::new();
        let open = Arc::clone(&gate);
        let script = move |request: &SeenRequest, nth: usize| match (nth, request.header("if-none-match")) {
            (1, Some(_)) => {
                vec![
                    Act::WaitFor(Arc::clone(&open)),
                    respond("304 Not Modified", &[("Cache-Control", "max-age=9")], ""),
                ]
            }
            (_, Some(_)) => vec![respond("304 Not Modified", &[("Cache-Control", "max-age=9")], "")],
            _ => vec![respond(
                "200 OK",
                &[("Cache-Control", "max-age=1"), ("ETag", "\"e\""), ("Surrogate-Key", "a")],
                nth.to_string(),
            )],
        };
        let pipes = with(|_| {}, script);
        pipes.ask("/", &[]).await;
        pipes.pass_time(5);
        let mut client = pipes.client();
        client.request("GET", "/", &[], b"").await;
        while pipes.origin.hits() < 2 {
            tokio::task::yield_now().await;
        }
        pipes.purge(&tags(&["a"], soft)).await;
        gate.open();
        let answer = client.read_answer().await;
        pipes.quiet().await;
        if soft {
            // It answers who asked before the purge; the next one has it confirmed again.
            assert_eq!(answer.text(), "0");
            assert!(pipes.ask("/", &[]).await.cache_status().contains("fwd=stale; fwd-status=304"));
        } else {
            assert_eq!(answer.text(), "2", "asked once more, without validators");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn many_who_wait_under_many_purges_stay_one_fetch() {
    const ROUNDS: usize = 6;
    let gates: Vec<Arc<Gate>> = (0..=ROUNDS).map(|_| Gate::new()).collect();
    let of_origin = gates.clone();
    let script = move |_: &SeenRequest, nth: usize| {
        let wait = of_origin.get(nth).map(|gate| Act::WaitFor(Arc::clone(gate)));
        wait.into_iter().chain([respond("200 OK", TAGGED, nth.to_string())]).collect()
    };
    let pipes = with(|_| {}, script);
    let mut all: VecDeque<_> = (0..20)
        .map(|_| match pipes.node.machine.handle(request(Method::GET, "/", &[])) {
            listener::Answer::Later(later) => later.reply,
            listener::Answer::Now(reply) => panic!("nobody was waited for: {reply:?}"),
        })
        .collect();
    for (round, gate) in gates.iter().enumerate() {
        // Who was sent on first leads, and the others join it after one more purge.
        let mut leader = all.pop_front().expect("a client");
        while pipes.origin.hits() <= round {
            assert!(futures_util::poll!(&mut leader).is_pending());
            tokio::task::yield_now().await;
        }
        if round < ROUNDS {
            pipes.purge(&tags(&["post-1"], false)).await;
        }
        for waiter in &mut all {
            assert!(futures_util::poll!(waiter).is_pending());
        }
        gate.open();
        assert_eq!(leader.await.head.status, 200);
    }
    for waiter in all {
        assert_eq!(waiter.await.head.status, 200);
    }
    pipes.quiet().await;
    assert_eq!(pipes.origin.hits(), ROUNDS + 1, "one after each purge");
}

// ---- what clients see of tags ----

#[tokio::test(start_paused = true)]
async fn tags_are_in_nothing_that_comes_before_or_after_an_answer_either() {
    let fields: Box<[http::HeaderName]> = Box::new([http::HeaderName::from_static("x-tags")]);
    let rules = TagRules { fields, ..TagRules::default() };
    let script = |_: &SeenRequest, _: usize| {
        vec![
            interim("103 Early Hints", &[("X-Tags", "secret"), ("Link", "</a.css>; rel=preload")]),
            head(
                "200 OK",
                &[
                    FRESH,
                    ("X-Tags", "secret"),
                    ("Transfer-Encoding", "chunked"),
                    ("Trailer", "X-Tags, X-Sum"),
                ],
            ),
            chunk("abc"),
            last_chunk(&[("X-Tags", "secret"), ("X-Sum", "1")]),
        ]
    };
    let pipes = with(policy(Policy { tags: rules, ..Policy::default() }), script);
    for (method, path, fields) in
        [("GET", "/a", &[][..]), ("GET", "/b", &[("Cache-Control", "no-store")]), ("POST", "/c", &[])]
    {
        let mut client = pipes.client();
        let fields: Vec<_> =
            [("TE", "trailers"), ("Connection", "TE")].into_iter().chain(fields.iter().copied()).collect();
        client.request(method, path, &fields, b"").await;
        let (hint, answer) = (client.next_head().await.expect("a hint"), client.read_answer().await);
        assert_eq!(hint.status, 103, "{method}");
        let names: Vec<_> = answer.trailers.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
        assert_eq!(names, ["x-sum"], "{method}");
        let text = format!("{hint:?} {answer:?}").to_ascii_lowercase();
        assert!(!text.contains("secret") && !text.contains("x-tags"), "{text}");
    }
    // By HTTP/2 as well.
    let mut asked = request(Method::GET, "/d", &[("te", "trailers")]);
    asked.version = Version::HTTP_2;
    let listener::Answer::Later(mut later) = pipes.node.machine.handle(asked) else { panic!("not fetched") };
    let reply = later.reply.await;
    let told = later.interim.take().expect("a hint");
    assert!(told.headers.contains_key("link") && !told.headers.contains_key("x-tags"), "{told:?}");
    let headers = reply.head.into_headers();
    assert!(!format!("{headers:?}").contains("x-tags"), "{headers:?}");
}

#[tokio::test(start_paused = true)]
async fn clients_see_no_tags_unless_the_operator_shows_them() {
    for are_shown in [false, true] {
        let tags = TagRules { are_shown, ..TagRules::default() };
        let fields: &[_] = &[
            FRESH,
            ("Surrogate-Key", "a"),
            ("Cache-Tag", "b"),
            ("Cache-Groups", "\"g\""),
            ("ETag", "\"e\""),
        ];
        let script = move |_: &SeenRequest, _| vec![respond("200 OK", fields, "0123456789")];
        let pipes = with(policy(Policy { tags, ..Policy::default() }), script);
        let shown = |answer: &Answer| {
            let names = ["surrogate-key", "cache-tag", "cache-groups"];
            names.map(|name| answer.header(name).is_some())
        };
        let expected = [are_shown, are_shown, true];
        assert_eq!(shown(&pipes.ask("/", &[]).await), expected, "miss");
        assert_eq!(shown(&pipes.ask("/", &[]).await), expected, "hit");
        assert_eq!(shown(&pipes.ask("/", &[("Range", "bytes=2-3")]).await), expected, "range");
        assert_eq!(shown(&pipes.ask("/x", &[("Cache-Control", "no-store")]).await), expected, "alone");
        let mut client = pipes.client();
        client.request("POST", "/", &[], b"abc").await;
        assert_eq!(shown(&client.read_answer().await), expected, "pass");
    }
}

#[tokio::test(start_paused = true)]
async fn the_operator_names_the_fields_that_have_tags() {
    let tags_in = TagRules { fields: Box::new(["x-keys".parse().expect("a name")]), ..TagRules::default() };
    let script = numbered(&[FRESH, ("X-Keys", "mine, yours"), ("Surrogate-Key", "theirs")]);
    let pipes = with(policy(Policy { tags: tags_in, ..Policy::default() }), script);
    let answer = pipes.ask("/", &[]).await;
    assert_eq!((answer.header("x-keys"), answer.header("surrogate-key")), (None, Some("theirs")));
    pipes.purge(&tags(&["theirs"], false)).await;
    assert_eq!(pipes.ask("/", &[]).await.text(), "0");
    pipes.purge(&tags(&["yours"], false)).await;
    assert_eq!(pipes.ask("/", &[]).await.text(), "1");
}

#[tokio::test(start_paused = true)]
async fn what_has_more_tags_than_can_be_kept_is_not_stored() {
    let script = |_: &SeenRequest, nth: usize| {
        let names: Vec<String> = (0..=MOST_TAGS).map(|nth| format!("{nth:x}")).collect();
        vec![respond("200 OK", &[FRESH, ("Surrogate-Key", &names.join(" "))], nth.to_string())]
    };
    let pipes = with(|_| {}, script);
    let said = pipes.ask("/", &[]).await.cache_status();
    assert_eq!(said, "forebay; fwd=uri-miss; detail=too-many-tags");
    assert_eq!(pipes.ask("/", &[]).await.text(), "1");
}

// ---- groups (RFC 9875) ----

#[tokio::test(start_paused = true)]
async fn the_answer_to_an_unsafe_request_takes_back_groups_of_its_origin() {
    let script = |request: &SeenRequest, nth: usize| match request.method.as_str() {
        "GET" => vec![respond("200 OK", &[FRESH, ("Cache-Groups", "\"scripts\", \"all\"")], nth.to_string())],
        method => {
            let status = if method == "DELETE" { "500 Oh" } else { "200 OK" };
            let groups = ("Cache-Group-Invalidation", "\"other\", \"scripts\"");
            vec![Act::ReadBody, respond(status, &[groups], "")]
        }
    };
    let pipes = with(|_| {}, script);
    let of = |host: &'static str| [("Host", host)];
    for (host, text) in [("a.test", "0"), ("b.test", "1")] {
        assert_eq!(pipes.ask("/x", &of(host)).await.text(), text);
    }
    let change = async |method: &str, host: &'static str| {
        let mut client = pipes.client();
        client.request(method, "/form", &of(host), b"abc").await;
        client.read_answer().await
    };
    let failed = change("DELETE", "a.test").await;
    assert_eq!(
        failed.header("cache-group-invalidation"),
        Some("\"other\", \"scripts\""),
        "for caches further on"
    );
    assert_eq!(pipes.ask("/x", &of("a.test")).await.text(), "0", "an error takes back nothing");
    change("POST", "a.test").await;
    assert_eq!(pipes.ask("/x", &of("a.test")).await.text(), "4");
    assert_eq!(pipes.ask("/x", &of("b.test")).await.text(), "1", "nothing of others");
    pipes.purge(&tags(&["all"], false)).await;
    assert_eq!(pipes.ask("/x", &of("b.test")).await.text(), "5", "a group is a tag too");
}

#[tokio::test(start_paused = true)]
async fn groups_are_heeded_only_if_the_operator_wants_it_and_never_of_safe_requests() {
    for (heeds_groups, method, text) in [(false, "POST", "0"), (true, "GET", "0"), (true, "POST", "2")] {
        let fields: &[_] =
            &[FRESH, ("Cache-Groups", "\"g\""), ("Cache-Group-Invalidation", "\"g\""), ("ETag", "\"e\"")];
        let script = move |_: &SeenRequest, nth: usize| {
            vec![Act::ReadBody, respond("200 OK", fields, nth.to_string())]
        };
        let tags = TagRules { heeds_groups, ..TagRules::default() };
        let pipes = with(policy(Policy { tags, ..Policy::default() }), script);
        pipes.ask("/a", &[]).await;
        let mut client = pipes.client();
        client.request(method, "/b", &[], b"").await;
        client.read_answer().await;
        assert_eq!(pipes.ask("/a", &[]).await.text(), text, "{heeds_groups} {method}");
    }
}

// ---- the method PURGE ----

const TOKEN: &str = "0123456789abcdef";

type Change = Box<dyn FnOnce(&mut Settings)>;

fn allowing(from: &str) -> impl FnOnce(&mut Settings) {
    let rules =
        PurgeRules { from: vec![from.parse().expect("a network")], token: TOKEN.parse().expect("a token") };
    move |settings| settings.request.purge = Some(rules)
}

async fn send_purge(pipes: &Pipes, path: &str, authorization: &str) -> Answer {
    let mut client = pipes.client();
    let fields = [("Authorization", authorization)];
    client.request("PURGE", path, if authorization.is_empty() { &[] } else { &fields }, b"").await;
    client.read_answer().await
}

#[tokio::test(start_paused = true)]
async fn who_may_purges_by_the_method_purge_and_by_either_scheme() {
    let pipes = with(allowing("192.0.2.0/24"), numbered(TAGGED));
    pipes.ask("/a?b", &[]).await;
    pipes.ask("/a", &[]).await;
    let answer = send_purge(&pipes, "/a?b", &format!("Bearer {TOKEN}")).await;
    assert_eq!((answer.status, answer.header("cache-control")), (200, Some("no-store")));
    assert!(answer.text().contains("Purged at 0.2"), "{}", answer.text());
    assert_eq!(pipes.ask("/a?b", &[]).await.text(), "2");
    assert_eq!(pipes.ask("/a", &[]).await.text(), "1", "another URL");
    assert_eq!(pipes.origin.hits(), 3, "no PURGE reached the origin");
}

#[tokio::test(start_paused = true)]
async fn who_may_not_is_told_the_same_whatever_is_stored_and_whyever() {
    let bearer = format!("Bearer {TOKEN}");
    let wrong = "Bearer 0123456789abcdeF".to_owned();
    let nobody = |_: &mut Settings| {};
    let cases: [(Change, &str); 5] = [
        (Box::new(nobody), &bearer),
        (Box::new(allowing("198.51.100.0/24")), &bearer),
        (Box::new(allowing("192.0.2.7/32")), &wrong),
        (Box::new(allowing("192.0.2.7/32")), ""),
        (Box::new(allowing("192.0.2.7/32")), "Basic 0123456789abcdef"),
    ];
    let mut told: Vec<String> = Vec::new();
    for (change, authorization) in cases {
        assert_eq!(PEER.ip().to_string(), "192.0.2.7");
        let pipes = with(change, numbered(TAGGED));
        pipes.ask("/stored", &[]).await;
        for path in ["/stored", "/not"] {
            let answer = send_purge(&pipes, path, authorization).await;
            told.push(format!("{} {:?} {}", answer.status, answer.headers, answer.text()));
        }
        assert_eq!((pipes.ask("/stored", &[]).await.text().as_str(), pipes.origin.hits()), ("0", 1));
    }
    assert!(told[0].starts_with("405 "), "{}", told[0]);
    assert!(told.iter().all(|one| *one == told[0]), "{told:#?}");
}

#[tokio::test(start_paused = true)]
async fn who_may_purges_in_the_clear_what_is_served_by_tls_or_to_certificates_alone() {
    let redirects: Change = Box::new(|settings| settings.sites[0].tls_port = Some(443));
    let asks: Change = Box::new(|settings| settings.sites[0].clients.need_certificate = true);
    for change in [redirects, asks] {
        let change = |settings: &mut Settings| {
            allowing("192.0.2.0/24")(settings);
            settings.sites[0].clients.policy = ClientPolicy(7);
            change(settings);
        };
        let pipes = with(change, numbered(TAGGED));
        let answer = send_purge(&pipes, "/a?b", &format!("Bearer {TOKEN}")).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(pipes.node.cache.ledger().records, 2);
        assert_eq!(send_purge(&pipes, "/a?b", "Bearer other").await.status, 405);
        assert_ne!(pipes.client().get("/a?b").await.status, 200, "it serves nobody else so");
    }
}
