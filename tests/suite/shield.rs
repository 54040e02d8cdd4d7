//! Two Forebays, one behind the other: an edge tells its shield which purges of the fleet it has applied, and gets nothing
//! from before them, whether the shield has applied them or not.

use std::sync::Arc;

use forebay::body::tunnel::Io;
use forebay::cache::ledger::Source;
use forebay::cache::wish::Wish;
use forebay::listener::{self, Handler};
use forebay::origin::connect::{Connect, Connecting};
use http::{HeaderMap, Method, Version};

use crate::interim::request;
use crate::rig::{PEER, Pipes, settings};
use crate::support::client::Answer;
use crate::support::origin::{Act, Gate, SeenRequest, respond};

const FIELD: &str = "forebay-applied";

/// Connects to a node as a client does.
struct To(Arc<Pipes>);

impl std::fmt::Debug for To {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("To")
    }
}

impl Connect for To {
    fn connect<'a>(&'a self, _authority: &'a str) -> Connecting<'a> {
        Box::pin(async {
            let (near, serves) = self.0.connection(64 << 10);
            tokio::spawn(serves);
            Ok(Box::new(near) as Box<dyn Io>)
        })
    }
}

/// A shield that believes these networks, before an origin whose answers are numbered and last.
fn shield(peers: &[&str], gate: Option<Arc<Gate>>) -> Arc<Pipes> {
    let mut settings = settings("http://origin.test");
    settings.request.cdn_id = "the-shield".into();
    settings.fetch.cdn_id = "the-shield".into();
    settings.request.peers = peers.iter().map(|peer| peer.parse().expect("a network")).collect();
    let script = move |_: &SeenRequest, nth: usize| {
        let answer = respond(
            "200 OK",
            &[("Cache-Control", "max-age=1000"), ("ETag", "\"e\""), ("Surrogate-Key", "a")],
            nth.to_string(),
        );
        match &gate {
            Some(gate) if nth == 0 => vec![Act::WaitFor(Arc::clone(gate)), answer],
            _ => vec![answer],
        }
    };
    Arc::new(Pipes::with(settings, script))
}

fn edge(shield: &Arc<Pipes>, is_shield: bool) -> Pipes {
    let mut settings = settings("http://shield.test");
    settings.request.cdn_id = "an-edge".into();
    settings.fetch.cdn_id = "an-edge".into();
    settings.pools[0].is_shield = is_shield;
    Pipes::over(settings, Arc::new(To(Arc::clone(shield))))
}

async fn purge(node: &Pipes, stream: u64) {
    let wish = Wish { all: true, soft: Some(false), ..Wish::default() };
    node.node.machine.purge(&wish, Source { id: 1, stream }).await.expect("purged");
}

async fn ask(edge: &Pipes) -> Answer {
    let answer = edge.client().get("/").await;
    edge.quiet().await;
    answer
}

const NEAR: &[&str] = &["192.0.2.0/24"];

#[tokio::test(start_paused = true)]
async fn a_shield_that_has_not_come_so_far_answers_from_no_cache() {
    assert_eq!(PEER.ip().to_string(), "192.0.2.7");
    let shield = shield(NEAR, None);
    let edge = edge(&shield, true);
    assert_eq!(ask(&edge).await.text(), "0");
    purge(&edge, 7).await;
    let answer = ask(&edge).await;
    assert_eq!(answer.text(), "1", "{answer:?}");
    // Its own client finds it there, until the purge comes to the shield too.
    assert_eq!(shield.client().get("/").await.text(), "1");
    purge(&shield, 7).await;
    assert_eq!(shield.client().get("/").await.text(), "2");
    // As far as the edge: the shield's cache is good enough.
    purge(&edge, 6).await;
    assert_eq!(ask(&edge).await.text(), "2");
    assert_eq!(shield.origin.hits(), 3);
    let seen = shield.origin.exchange(1);
    assert_eq!(seen.request.header(FIELD), None, "no origin is told");
    assert_eq!(seen.request.header("if-none-match"), None, "nor asked to confirm what was purged");
}

#[tokio::test(start_paused = true)]
async fn a_fetch_of_the_shield_that_began_before_is_not_joined() {
    let gate = Gate::new();
    let shield = shield(NEAR, Some(Arc::clone(&gate)));
    let mut early = shield.client();
    early.request("GET", "/", &[], b"").await;
    while shield.origin.hits() < 1 {
        tokio::task::yield_now().await;
    }
    let edge = edge(&shield, true);
    purge(&edge, 1).await;
    assert_eq!(ask(&edge).await.text(), "1");
    gate.open();
    assert_eq!(early.read_answer().await.text(), "0");
}

#[tokio::test(start_paused = true)]
async fn a_shield_that_came_so_far_answers_from_its_cache() {
    let shield = shield(NEAR, None);
    let edge = edge(&shield, true);
    purge(&shield, 9).await;
    assert_eq!(shield.client().get("/").await.text(), "0");
    purge(&edge, 8).await;
    assert_eq!((ask(&edge).await.text().as_str(), shield.origin.hits()), ("0", 1));
}

#[tokio::test(start_paused = true)]
async fn the_field_is_believed_of_peers_alone_and_sent_to_shields_alone() {
    // A stranger may not have the origin asked again and again.
    let stranger = shield(&["198.51.100.0/24"], None);
    for _ in 0..3 {
        assert_eq!(stranger.ask("/", &[(FIELD, "99")]).await.text(), "0");
    }
    let peer = shield(NEAR, None);
    for (said, text) in [("99", "0"), ("nonsense", "1"), ("0", "1")] {
        assert_eq!(peer.ask("/", &[(FIELD, said)]).await.text(), text, "{said}");
    }
    assert_eq!(peer.ask("/", &[(FIELD, "99"), ("Cache-Control", "only-if-cached")]).await.status, 504);
    // Not to what is no shield, whoever asks.
    let believes = shield(NEAR, None);
    let edge = edge(&believes, false);
    assert_eq!(ask(&edge).await.text(), "0");
    purge(&edge, 3).await;
    assert_eq!(ask(&edge).await.text(), "0", "it is an origin as any other");
}

#[tokio::test(start_paused = true)]
async fn what_a_peer_knows_goes_on_to_the_next_shield() {
    let far = shield(NEAR, None);
    let mut settings = settings("http://shield.test");
    settings.request.cdn_id = "in-between".into();
    settings.fetch.cdn_id = "in-between".into();
    settings.request.peers = vec!["192.0.2.0/24".parse().expect("a network")];
    settings.pools[0].is_shield = true;
    let near = Arc::new(Pipes::over(settings, Arc::new(To(Arc::clone(&far)))));
    let edge = edge(&near, true);
    assert_eq!(ask(&edge).await.text(), "0");
    purge(&edge, 5).await;
    assert_eq!(ask(&edge).await.text(), "1", "neither of the shields had applied it");
}

fn tag(tag: &str) -> Wish {
    Wish { tags: vec![tag.into()], soft: Some(false), ..Wish::default() }
}

#[tokio::test(start_paused = true)]
async fn an_edge_knows_the_tags_of_what_its_shield_sends() {
    let shield = shield(NEAR, None);
    let edges = [edge(&shield, true), edge(&shield, false)];
    for edge in &edges {
        // The first is told what is fetched, the second what is stored.
        let answer = ask(edge).await;
        assert_eq!((answer.text().as_str(), answer.header("surrogate-key")), ("0", None));
    }
    shield.node.machine.purge(&tag("a"), Source::default()).await.expect("purged");
    for edge in &edges {
        assert_eq!(ask(edge).await.text(), "0", "it is still stored");
        edge.node.machine.purge(&tag("a"), Source::default()).await.expect("purged");
        assert_eq!(ask(edge).await.text(), "1");
    }
}

/// The fields of an answer, over this version of HTTP.
async fn fields_over(pipes: &Pipes, version: Version, fields: &[(&str, &str)]) -> HeaderMap {
    let mut asked = request(Method::GET, "/", fields);
    asked.version = version;
    let reply = match pipes.node.machine.handle(asked) {
        listener::Answer::Now(reply) => reply,
        listener::Answer::Later(later) => later.reply.await,
    };
    let (status, headers) = (reply.head.status, reply.head.into_headers());
    pipes.quiet().await;
    assert!(status.as_u16() < 400, "{status} {headers:?}");
    headers
}

#[tokio::test(start_paused = true)]
async fn peers_alone_are_told_tags_in_whatever_form_an_answer_has() {
    for (peers, told) in [(NEAR, Some("a")), (&["198.51.100.0/24"], None), (&[], None)] {
        let node = shield(peers, None);
        let forms: [&[(&str, &str)]; 5] = [
            &[],
            &[],
            &[("range", "bytes=0-0")],
            &[("if-none-match", "\"e\"")],
            &[("cache-control", "no-store")],
        ];
        for version in [Version::HTTP_11, Version::HTTP_2] {
            for form in forms {
                let headers = fields_over(&node, version, form).await;
                let tags = headers.get("surrogate-key").map(|value| value.to_str().expect("text"));
                assert_eq!(tags, told, "{peers:?} {version:?} {form:?} {headers:?}");
            }
        }
        let mut client = node.client();
        client.request("HEAD", "/", &[], b"").await;
        let answer = client.read_answer().await;
        assert_eq!(answer.header("surrogate-key"), told, "{peers:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn tags_that_change_at_the_shield_change_at_the_edge_by_a_304_too() {
    let mut settings = settings("http://origin.test");
    settings.request.cdn_id = "the-shield".into();
    settings.fetch.cdn_id = "the-shield".into();
    settings.request.peers = vec![NEAR[0].parse().expect("a network")];
    let script = |_: &SeenRequest, nth: usize| {
        let tags = if nth == 0 { "old" } else { "new" };
        let fields = [("Cache-Control", "max-age=0"), ("ETag", "\"e\""), ("Surrogate-Key", tags)];
        vec![match nth {
            1 => respond("304 Not Modified", &[("Cache-Control", "max-age=1000"), fields[1], fields[2]], ""),
            _ => respond("200 OK", &fields, nth.to_string()),
        }]
    };
    let shield = Arc::new(Pipes::with(settings, script));
    let edge = edge(&shield, true);
    for _ in 0..2 {
        assert_eq!(ask(&edge).await.text(), "0");
    }
    edge.node.machine.purge(&tag("new"), Source::default()).await.expect("purged");
    assert!(ask(&edge).await.cache_status().contains("fwd=uri-miss"), "its new tag was known");
}
