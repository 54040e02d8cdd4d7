//! What an origin says before its answer (RFC 9110 §15.2, RFC 8297), on its way to those who wait for that.
//!
//! The handler is asked as a listener asks it, because what is told comes out beside the answer.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use forebay::base::ids::ClientPolicy;
use forebay::body::Body;
use forebay::body::busy::{BusyBody, Retention};
use forebay::body::message::{Interim, Reply, Request};
use forebay::listener::{Answer, Handler, Later};
use http::uri::Scheme;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Version};

use crate::pool_rig::{Host, Network, pool_settings};
use crate::rig::{PEER, Pipes, settings};
use crate::support::origin::{Act, Gate, Origin, interim, respond};
use crate::support::{ms, within};

const FRESH: (&str, &str) = ("Cache-Control", "max-age=60");
const STYLE: (&str, &str) = ("Link", "</style.css>; rel=preload; as=style");
const SCRIPT: (&str, &str) = ("Link", "</script.js>; rel=preload; as=script");

fn hints(fields: &[(&str, &str)]) -> Act {
    interim("103 Early Hints", fields)
}

pub fn request(method: Method, path: &str, fields: &[(&str, &str)]) -> Request {
    let mut headers = HeaderMap::new();
    for (name, value) in [("host", "site.test")].iter().chain(fields) {
        let name = HeaderName::from_bytes(name.as_bytes()).expect("a name");
        headers.append(name, HeaderValue::from_str(value).expect("a value"));
    }
    Request {
        method,
        scheme: Scheme::HTTP,
        target_authority: None,
        target: path.parse().expect("a target"),
        version: Version::HTTP_11,
        headers,
        body: Body::Empty,
        peer: PEER.into(),
        policy: ClientPolicy::NONE,
        certificate: None,
        early: None,
        can_break_off: true,
    }
}

fn get(path: &str) -> Request {
    request(Method::GET, path, &[])
}

/// One client as its connection sees it.
struct Client<'a> {
    later: Later<'a>,
    reply: Option<Reply>,
}

/// What a client gets.
enum Got {
    Told(Interim),
    Answer(Reply),
}

impl<'a> Client<'a> {
    fn asks(pipes: &'a Pipes, request: Request) -> Self {
        match pipes.node.machine.handle(request) {
            Answer::Later(later) => Self { later, reply: None },
            Answer::Now(reply) => panic!("nobody was waited for: {reply:?}"),
        }
    }

    /// What is told before the answer and with it, then the answer.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Got> {
        if self.reply.is_none()
            && let Poll::Ready(reply) = self.later.reply.as_mut().poll(cx)
        {
            self.reply = Some(reply);
        }
        let told = match self.reply {
            Some(_) => self.later.interim.take(),
            None => match self.later.interim.poll_next(cx) {
                Poll::Ready(told) => Some(told),
                Poll::Pending => None,
            },
        };
        match (told, self.reply.take()) {
            (Some(told), reply) => {
                self.reply = reply;
                Poll::Ready(Got::Told(told))
            }
            (None, Some(reply)) => Poll::Ready(Got::Answer(reply)),
            (None, None) => Poll::Pending,
        }
    }

    async fn next(&mut self) -> Got {
        within(ms(100_000), poll_fn(|cx| self.poll(cx))).await
    }

    /// What it is told next; its answer has to be still to come.
    async fn told(&mut self) -> (u16, Vec<(String, String)>) {
        match self.next().await {
            Got::Told(told) => read(&told),
            Got::Answer(reply) => panic!("answered {reply:?}, and told nothing more"),
        }
    }

    /// Its answer; nothing more may be told before it.
    async fn answer(mut self) -> Reply {
        match self.next().await {
            Got::Answer(reply) => reply,
            Got::Told(told) => panic!("told {told:?}"),
        }
    }

    /// All that it is told, and its answer.
    async fn all(mut self) -> (Vec<(u16, Vec<(String, String)>)>, Reply) {
        let mut told = Vec::new();
        loop {
            match self.next().await {
                Got::Told(interim) => told.push(read(&interim)),
                Got::Answer(reply) => return (told, reply),
            }
        }
    }

    /// Whether it has nothing to read, after everybody else has had his turn.
    async fn hears_nothing(&mut self) -> bool {
        for _ in 0..50 {
            if self.poll(&mut Context::from_waker(Waker::noop())).is_ready() {
                return false;
            }
            tokio::task::yield_now().await;
        }
        true
    }
}

fn read(interim: &Interim) -> (u16, Vec<(String, String)>) {
    let field = |(name, value): (&HeaderName, &HeaderValue)| {
        (name.as_str().to_owned(), value.to_str().expect("text").to_owned())
    };
    (interim.status.as_u16(), interim.headers.iter().map(field).collect())
}

fn of(status: u16, fields: &[(&str, &str)]) -> (u16, Vec<(String, String)>) {
    (status, fields.iter().map(|(name, value)| (name.to_ascii_lowercase(), (*value).to_owned())).collect())
}

fn field(reply: &Reply, name: &str) -> Option<String> {
    let headers = reply.head.clone().into_headers();
    headers.get(name).map(|value| value.to_str().expect("text").to_owned())
}

async fn text(reply: Reply) -> String {
    let mut body = reply.body;
    let mut bytes = Vec::new();
    while let Some(piece) = poll_fn(|cx| body.poll_next(cx)).await {
        bytes.extend_from_slice(&piece.expect("a whole body"));
    }
    String::from_utf8(bytes).expect("text")
}

/// A node whose origin says `before`, waits for the gate, and answers.
fn gated(before: Vec<Act>, fields: &'static [(&'static str, &'static str)]) -> (Pipes, Arc<Gate>) {
    let gate = Gate::new();
    let opens = Arc::clone(&gate);
    let pipes = Pipes::new(move |_, _| {
        let rest = [Act::WaitFor(Arc::clone(&opens)), respond("200 OK", fields, "page")];
        [before.clone(), rest.into()].concat()
    });
    (pipes, gate)
}

// ---- whom it reaches ----

#[tokio::test(start_paused = true)]
async fn a_hint_reaches_all_who_wait_before_the_answer_and_who_comes_meanwhile() {
    let (pipes, gate) = gated(vec![Act::Wait(ms(10)), hints(&[STYLE])], &[FRESH]);
    let mut leader = Client::asks(&pipes, get("/"));
    let mut waiter = Client::asks(&pipes, get("/"));
    assert!(leader.hears_nothing().await && waiter.hears_nothing().await);
    assert_eq!(leader.told().await, of(103, &[STYLE]));
    assert_eq!(waiter.told().await, of(103, &[STYLE]));
    let mut late = Client::asks(&pipes, get("/"));
    assert_eq!(late.told().await, of(103, &[STYLE]));
    assert!(!gate.is_open() && leader.hears_nothing().await, "the answer is still to come");
    gate.open();
    for client in [leader, waiter, late] {
        let reply = client.answer().await;
        assert_eq!((reply.head.status.as_u16(), field(&reply, "link")), (200, None));
        assert_eq!(text(reply).await, "page");
    }
    assert_eq!(pipes.origin.hits(), 1);
    pipes.quiet().await;
}

#[tokio::test(start_paused = true)]
async fn several_come_in_order_without_what_belongs_to_the_hop_or_tells_of_the_origin() {
    let hop = [STYLE, ("Connection", "x-hop"), ("X-Hop", "1"), ("Keep-Alive", "timeout=5"), ("X-My", "own")];
    let own =
        [SCRIPT, ("Server", "secret/1"), ("Via", "1.1 inner"), ("Content-Length", "5"), ("X-My", "two")];
    let before = vec![
        interim("100 Continue", &[("X-My", "none of your business")]),
        interim("102 Processing", &[]),
        hints(&hop),
        Act::Wait(ms(10)),
        interim("102 Processing", &[]),
        hints(&own),
        interim("199 Whatever", &[("X-My", "three")]),
    ];
    let expected = [
        of(102, &[]),
        of(103, &[STYLE, ("X-My", "own")]),
        of(102, &[]),
        of(103, &[SCRIPT, ("X-My", "two")]),
        of(199, &[("X-My", "three")]),
    ];
    let (pipes, gate) = gated(before, &[FRESH]);
    let (mut leader, mut waiter) = (Client::asks(&pipes, get("/")), Client::asks(&pipes, get("/")));
    for expected in &expected {
        assert_eq!((&leader.told().await, &waiter.told().await), (expected, expected));
    }
    gate.open();
    for client in [leader, waiter] {
        assert_eq!(field(&client.answer().await, "x-my"), None);
    }
    pipes.quiet().await;
}

#[tokio::test(start_paused = true)]
async fn what_comes_together_with_the_head_was_said_before_it() {
    let pipes = Pipes::new(|_, _| vec![hints(&[STYLE]), respond("200 OK", &[FRESH], "page")]);
    let (leader, waiter) = (Client::asks(&pipes, get("/")), Client::asks(&pipes, get("/")));
    let (leader, waiter) = tokio::join!(leader.all(), waiter.all());
    for (told, reply) in [leader, waiter] {
        assert_eq!(told, [of(103, &[STYLE])]);
        assert_eq!(text(reply).await, "page");
    }
    assert_eq!(pipes.origin.hits(), 1);
}

#[tokio::test(start_paused = true)]
async fn who_joins_when_the_head_is_there_is_told_nothing() {
    let gate = Gate::new();
    let opens = Arc::clone(&gate);
    let pipes = Pipes::new(move |_, _| {
        let head = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 4\r\n\r\n";
        vec![hints(&[STYLE]), Act::send(head), Act::WaitFor(Arc::clone(&opens)), Act::send("page")]
    });
    let (told, first) = Client::asks(&pipes, get("/")).all().await;
    assert_eq!(told, [of(103, &[STYLE])]);
    let second = Client::asks(&pipes, get("/")).answer().await;
    gate.open();
    assert_eq!((text(first).await, text(second).await), ("page".to_owned(), "page".to_owned()));
    assert_eq!(pipes.origin.hits(), 1);
}

#[tokio::test(start_paused = true)]
async fn clients_of_http_10_are_told_nothing() {
    let (pipes, gate) = gated(vec![hints(&[STYLE])], &[FRESH]);
    let mut new = Client::asks(&pipes, get("/"));
    let mut old = Client::asks(&pipes, Request { version: Version::HTTP_10, ..get("/") });
    assert_eq!(new.told().await, of(103, &[STYLE]));
    assert!(old.hears_nothing().await);
    gate.open();
    let (_, answer) = tokio::join!(new.answer(), old.answer());
    assert_eq!(text(answer).await, "page");
    let pass = Request { version: Version::HTTP_10, ..request(Method::DELETE, "/", &[]) };
    assert_eq!(text(Client::asks(&pipes, pass).answer().await).await, "page");
}

// ---- what it leaves behind ----

#[tokio::test(start_paused = true)]
async fn nothing_of_it_is_stored() {
    let pipes = Pipes::new(|_, nth| {
        let fields = [FRESH, ("ETag", "\"1\"")];
        let answer = match nth {
            0 => respond("200 OK", &fields, "page"),
            _ => respond("304 Not Modified", &fields, ""),
        };
        vec![hints(&[STYLE, ("Cache-Control", "no-store"), ("Vary", "*"), ("X-My", "1")]), answer]
    });
    let told = [of(103, &[STYLE, ("X-My", "1")])];
    for round in 0..2 {
        let (heard, reply) = Client::asks(&pipes, get("/")).all().await;
        assert_eq!(heard, told, "{round}: as it is brought, and as it is confirmed");
        assert_eq!(text(reply).await, "page");
        pipes.quiet().await;
        let Answer::Now(hit) = pipes.node.machine.handle(get("/")) else { panic!("it is stored") };
        assert_eq!(field(&hit, "cache-status").as_deref(), Some("forebay; hit; ttl=60"));
        let fields = ["link", "x-my", "vary"].map(|name| field(&hit, name).is_some());
        assert_eq!((fields, field(&hit, "cache-control").as_deref()), ([false; 3], Some("max-age=60")));
        pipes.pass_time(61);
    }
    assert_eq!(pipes.origin.hits(), 2);
    assert_eq!(pipes.origin.exchange(1).request.header("if-none-match"), Some("\"1\""));
}

#[tokio::test(start_paused = true)]
async fn a_refresh_behind_an_answer_tells_nobody() {
    let (before, fields) =
        (vec![hints(&[STYLE])], &[("Cache-Control", "max-age=1, stale-while-revalidate=60")]);
    let (pipes, gate) = gated(before, fields);
    gate.open();
    assert_eq!(Client::asks(&pipes, get("/")).all().await.0.len(), 1);
    pipes.quiet().await;
    pipes.pass_time(2);
    let Answer::Now(stale) = pipes.node.machine.handle(get("/")) else { panic!("it is stored") };
    assert_eq!(text(stale).await, "page");
    // One who joins the refresh waits for what is made for nobody.
    let joins = Client::asks(&pipes, request(Method::GET, "/", &[("Cache-Control", "no-cache")]));
    let (told, reply) = joins.all().await;
    assert_eq!((told, text(reply).await), (Vec::new(), "page".to_owned()));
    assert_eq!(pipes.origin.hits(), 2);
    pipes.quiet().await;
}

#[tokio::test(start_paused = true)]
async fn a_part_and_what_is_divided_are_told_of_once() {
    let length = 40_u64 << 20;
    let pipes = Pipes::new(move |request, _| {
        let asked = request.header("range").and_then(|range| range.strip_prefix("bytes=")?.split_once('-'));
        let (first, last) = asked.expect("a range");
        let (first, last): (u64, u64) = (first.parse().unwrap(), last.parse().unwrap());
        let range = format!("bytes {first}-{last}/{length}");
        let part = vec![b'x'; usize::try_from(last - first + 1).unwrap()];
        let fields = [FRESH, ("ETag", "\"1\""), ("Content-Range", &range)];
        vec![hints(&[STYLE]), respond("206 Partial Content", &fields, part)]
    });
    // The blocks that follow the first two are brought by runs of their own.
    let range = ("Range", "bytes=0-3145727");
    let (told, reply) = Client::asks(&pipes, request(Method::GET, "/", &[range])).all().await;
    assert_eq!((told, reply.head.status.as_u16()), (vec![of(103, &[STYLE])], 206));
    assert_eq!(field(&reply, "link"), None);
    assert_eq!(text(reply).await.len(), 3 << 20);
    assert!(pipes.origin.hits() > 1);
    pipes.quiet().await;
    let again = Client::asks(&pipes, request(Method::GET, "/", &[range])).all().await;
    assert_eq!((again.0.len(), again.1.head.status.as_u16()), (0, 206));
}

// ---- for one client, and for many ----

#[tokio::test(start_paused = true)]
async fn what_is_for_one_client_alone_is_told_as_it_is() {
    let own = [STYLE, ("Set-Cookie", "id=1"), ("Location", "/upload/7")];
    let (pipes, gate) = gated(vec![hints(&own)], &[("Cache-Control", "no-store")]);
    for request in [
        request(Method::POST, "/", &[]),
        request(Method::GET, "/", &[("Authorization", "Basic eA==")]),
        request(Method::GET, "/", &[("Cache-Control", "no-store")]),
        request(Method::GET, "/", &[("If-Match", "\"1\"")]),
    ] {
        let mut client = Client::asks(&pipes, request);
        assert_eq!(client.told().await, of(103, &own));
        assert!(gate.is_open() || client.hears_nothing().await);
        gate.open();
        assert_eq!(text(client.answer().await).await, "page");
    }
    pipes.quiet().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_for_many_has_nothing_of_one_client() {
    let fields = [STYLE, ("Set-Cookie", "id=1"), ("WWW-Authenticate", "Basic"), ("Age", "5"), ("X-My", "1")];
    let only_cookies = hints(&[("Set-Cookie", "id=2")]);
    let (pipes, gate) = gated(vec![only_cookies, hints(&fields)], &[FRESH]);
    let (mut leader, mut waiter) = (Client::asks(&pipes, get("/")), Client::asks(&pipes, get("/")));
    let expected = of(103, &[STYLE, ("X-My", "1")]);
    assert_eq!((leader.told().await, waiter.told().await), (expected.clone(), expected));
    gate.open();
    for client in [leader, waiter] {
        assert_eq!(field(&client.answer().await, "set-cookie"), None);
    }
    pipes.quiet().await;
}

#[tokio::test(start_paused = true)]
async fn a_waiter_is_told_what_was_said_to_one_like_it_only() {
    // What the head will say of whom it is for, nobody knows yet.
    let (pipes, gate) =
        gated(vec![hints(&[("Link", "</of/anna.css>; rel=preload")])], &[FRESH, ("Vary", "Cookie")]);
    let asks = |fields: &[(&str, &str)]| Client::asks(&pipes, request(Method::GET, "/", fields));
    let mut leader = asks(&[("Cookie", "user=anna"), ("User-Agent", "one"), ("Accept-Language", "en")]);
    assert!(matches!(leader.next().await, Got::Told(_)));
    let mut same = asks(&[("Cookie", "user=anna"), ("User-Agent", "two"), ("Range", "bytes=0-1")]);
    assert!(matches!(same.next().await, Got::Told(_)));
    for unlike in [
        &[("Cookie", "user=bert")][..],
        &[],
        &[("Cookie", "user=anna"), ("Cookie", "more=1")],
        &[("Cookie", "user=anna"), ("X-Token", "1")],
    ] {
        assert!(asks(unlike).hears_nothing().await, "{unlike:?}");
    }
    assert_eq!(pipes.origin.hits(), 1, "all have joined the one fetch");
    gate.open();
    assert_eq!(leader.answer().await.head.status.as_u16(), 200);
    assert_eq!(same.answer().await.head.status.as_u16(), 206);
}

// ---- trouble ----

#[tokio::test(start_paused = true)]
async fn a_flood_is_bounded_and_the_answer_comes_all_the_same() {
    let flood = (0..5_000).map(|nth| hints(&[("Link", &format!("</{nth}.css>; rel=preload"))]));
    let (pipes, gate) = gated(flood.collect(), &[FRESH]);
    let before = pipes.node.means.budget.used();
    let (mut leader, mut waiter) = (Client::asks(&pipes, get("/")), Client::asks(&pipes, get("/")));
    let mut told = Vec::new();
    for _ in 0..8 {
        told.push(leader.told().await);
        assert_eq!(waiter.told().await, *told.last().unwrap());
    }
    let expected = (0..8).map(|nth| of(103, &[("Link", &format!("</{nth}.css>; rel=preload"))]));
    assert_eq!(told, expected.collect::<Vec<_>>(), "the first ones");
    assert!(leader.hears_nothing().await && waiter.hears_nothing().await);
    assert!(pipes.node.means.budget.used() - before < 16 << 10, "{}", pipes.node.means.budget.used());
    gate.open();
    for client in [leader, waiter] {
        assert_eq!(text(client.answer().await).await, "page");
    }
    pipes.quiet().await;
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_bytes_is_bounded_too() {
    let long = "x".repeat(12 << 10);
    let large: Vec<_> =
        (0..500).map(|nth| hints(&[("X-Nth", &nth.to_string()), ("X-Long", &long)])).collect();
    let small = vec![hints(&[STYLE])];
    let (pipes, gate) = gated([large, small].concat(), &[FRESH]);
    let before = pipes.node.means.budget.used();
    let mut client = Client::asks(&pipes, get("/"));
    for nth in ["0", "1"] {
        assert_eq!(client.told().await, of(103, &[("X-Nth", nth), ("X-Long", &long)]));
    }
    assert_eq!(client.told().await, of(103, &[STYLE]), "for what is small there is room");
    assert!(client.hears_nothing().await);
    assert!(pipes.node.means.budget.used() - before < 40 << 10, "{}", pipes.node.means.budget.used());
    gate.open();
    assert_eq!(text(client.answer().await).await, "page");
    pipes.quiet().await;
    assert!(pipes.node.means.budget.used() - before < 8 << 10, "given back with the fetch");
}

#[tokio::test(start_paused = true)]
async fn a_flood_without_an_answer_buys_no_time() {
    let pipes = Pipes::new(|_, _| {
        vec![Act::Endless { piece: Bytes::from_static(b"HTTP/1.1 102 Processing\r\n\r\n"), every: ms(100) }]
    });
    let (told, reply) = Client::asks(&pipes, get("/")).all().await;
    assert_eq!((told.len(), reply.head.status.as_u16()), (8, 504));
    pipes.quiet().await;
}

/// Endpoints a and b, of which the first one to be asked says `dies` before it goes.
fn two_endpoints(dies: &[Act], answers: &[Act]) -> (Pipes, [Arc<Origin>; 2]) {
    let network = Network::new();
    let asked = Gate::new();
    let origins = ["a:80", "b:80"].map(|at| {
        let (asked, dies, answers) = (Arc::clone(&asked), dies.to_vec(), answers.to_vec());
        network.origin(at, move |_, _| {
            let first = !asked.is_open();
            asked.open();
            if first { dies.clone() } else { answers.clone() }
        })
    });
    let mut settings = settings("http://a");
    settings.pools = vec![pool_settings(&["http://a", "http://b"])];
    (Pipes::over(settings, network), origins)
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_dies_after_a_hint_is_replaced_and_nothing_is_said_twice() {
    let dies = vec![hints(&[STYLE]), Act::Wait(ms(10)), Act::Reset];
    let answers =
        vec![hints(&[STYLE]), hints(&[SCRIPT]), Act::Wait(ms(10)), respond("200 OK", &[FRESH], "page")];
    let (pipes, origins) = two_endpoints(&dies, &answers);
    let (leader, waiter) = (Client::asks(&pipes, get("/")), Client::asks(&pipes, get("/")));
    let (leader, waiter) = tokio::join!(leader.all(), waiter.all());
    for (told, reply) in [leader, waiter] {
        assert_eq!(told, [of(103, &[STYLE]), of(103, &[SCRIPT])]);
        assert_eq!(field(&reply, "link"), None);
        assert_eq!(text(reply).await, "page");
    }
    assert_eq!(origins.map(|origin| origin.hits()), [1, 1]);
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_that_dies_after_a_hint_is_replaced_too() {
    let pipes = Pipes::new(|_, nth| match nth {
        1 => vec![hints(&[STYLE]), Act::Close],
        _ => vec![hints(&[STYLE]), respond("200 OK", &[FRESH], "page")],
    });
    Client::asks(&pipes, get("/first")).all().await;
    pipes.quiet().await;
    let (told, reply) = Client::asks(&pipes, get("/second")).all().await;
    assert_eq!((told, text(reply).await), (vec![of(103, &[STYLE])], "page".to_owned()));
    let connections: Vec<_> = pipes.origin.seen().iter().map(|seen| seen.connection).collect();
    assert_eq!(connections, [0, 0, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_waiter_that_takes_over_is_not_told_again_what_it_knows() {
    let pipes = Pipes::new(|_, nth| match nth {
        0 => vec![hints(&[STYLE]), Act::Wait(ms(10)), Act::Close],
        _ => vec![hints(&[STYLE]), hints(&[SCRIPT]), Act::Wait(ms(10)), respond("200 OK", &[FRESH], "page")],
    });
    let (leader, waiter) = (Client::asks(&pipes, get("/")), Client::asks(&pipes, get("/")));
    let (leader, waiter) = tokio::join!(leader.all(), waiter.all());
    assert_eq!((leader.0, leader.1.head.status.as_u16()), (vec![of(103, &[STYLE])], 502));
    assert_eq!(waiter.0, [of(103, &[STYLE]), of(103, &[SCRIPT])]);
    assert_eq!(text(waiter.1).await, "page");
    assert_eq!(pipes.origin.hits(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_refuses_is_not_heard() {
    let network = Network::new();
    network.set("a:80", Host::Refuses);
    network.origin("b:80", |_, _| vec![hints(&[STYLE]), respond("200 OK", &[FRESH], "page")]);
    let mut settings = settings("http://a");
    settings.pools = vec![pool_settings(&["http://a", "http://b"])];
    let pipes = Pipes::over(settings, network);
    for path in ["/1", "/2"] {
        let (told, reply) = Client::asks(&pipes, get(path)).all().await;
        assert_eq!((told, text(reply).await), (vec![of(103, &[STYLE])], "page".to_owned()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_hint_before_100_does_not_hold_the_content_back() {
    let pipes = Pipes::new(|_, _| {
        let go_on = interim("100 Continue", &[]);
        vec![hints(&[STYLE]), go_on, Act::ReadBody, hints(&[SCRIPT]), respond("201 Created", &[], "")]
    });
    let (_, mut writer, reader) = BusyBody::with_reader(pipes.node.means.clone(), Retention::Window);
    let fields = [("Expect", "100-continue"), ("Content-Length", "4")];
    let upload = Request { body: Body::Busy(reader), ..request(Method::PUT, "/", &fields) };
    let mut client = Client::asks(&pipes, upload);
    assert_eq!(client.told().await, of(103, &[STYLE]));
    writer.append(Bytes::from_static(b"body")).await.expect("somebody reads");
    writer.finish(None);
    assert_eq!(client.told().await, of(103, &[SCRIPT]));
    assert_eq!(client.answer().await.head.status.as_u16(), 201);
    assert_eq!(pipes.origin.exchange(0).body, b"body");
    pipes.quiet().await;
}

// ---- who leaves ----

#[tokio::test(start_paused = true)]
async fn who_leaves_at_the_await_takes_nothing_from_those_who_stay() {
    let (mut early, mut late) = (0, 0);
    for turns in 0..40 {
        let before = vec![hints(&[STYLE]), Act::Wait(ms(10)), hints(&[SCRIPT])];
        let (pipes, gate) = gated(before, &[FRESH]);
        let (mut leader, mut waiter) = (Client::asks(&pipes, get("/")), Client::asks(&pipes, get("/")));
        let mut stays = Client::asks(&pipes, get("/"));
        let mut told = 0;
        for _ in 0..turns {
            for client in [&mut leader, &mut waiter] {
                let polled = client.poll(&mut Context::from_waker(Waker::noop()));
                told += usize::from(matches!(polled, Poll::Ready(Got::Told(_))));
            }
            tokio::task::yield_now().await;
        }
        drop((leader, waiter));
        *(if told == 0 { &mut early } else { &mut late }) += 1;
        assert_eq!(
            (stays.told().await, stays.told().await),
            (of(103, &[STYLE]), of(103, &[SCRIPT])),
            "{turns}"
        );
        gate.open();
        assert_eq!(text(stays.answer().await).await, "page", "{turns}");
        assert_eq!(pipes.origin.hits(), 1, "{turns}");
        pipes.quiet().await;
    }
    assert!(early > 0 && late > 2, "{early} before the first hint, {late} after it");
}

#[tokio::test(start_paused = true)]
async fn a_pass_whose_client_leaves_after_a_hint_ends() {
    let (pipes, _gate) = gated(vec![hints(&[STYLE])], &[]);
    let before = pipes.node.means.budget.used();
    let mut client = Client::asks(&pipes, request(Method::POST, "/", &[]));
    assert_eq!(client.told().await, of(103, &[STYLE]));
    drop(client);
    within(ms(1000), pipes.origin.wait_for_closed_by_peer(1)).await;
    pipes.quiet().await;
    assert_eq!(pipes.node.means.budget.used(), before, "nothing is left of what was said");
}
