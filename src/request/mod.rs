//! The client machine: the way of one request, from its head to the head of its answer.
//!
//! ```text
//! admit ── classify ─┬─ Lookup ─┬────────────────────────────── hit ──┐
//!                    │          ├─ Disk ── hit, or nothing is stored ─┤
//!                    │          └─ Join ── Wait ─┬─ read, use ─────────┤
//!                    │              ▲            ├─ stale on error ────┼─ Done
//!                    │              └─ again ────┤                     │
//!                    ├─ Alone ───── Wait ────────┴─ failed ────────────┤
//!                    └─ Buffer ─┬─ Through ─── Wait ──────────────────┤
//!                               └─ Pass ────── Wait ──────────────────┘
//! ```
//!
//! `ClientMachine::begin` goes as far as nobody has to be waited for, which is all the way of a hit in memory, and of one on
//! disk if the system has its file in memory;
//! `ClientMachine::go_on` is the loop over `Step`; each step has a function of its own.

mod at_once;
mod begun;
mod buffering;
mod classify;
mod coded;
mod content;
mod current;
pub mod explain;
mod hold;
pub mod imagined;
mod inspect;
mod preface;
mod purge;
mod steps;
mod troubles;
mod turn;

use std::net::IpAddr;
use std::sync::Arc;

use http::uri::Scheme;
use http::{Method, header};
use ipnet::IpNet;

use crate::admission::{self, Admitted, Connections, Guest, Rejection};
use crate::base::clock::Clock;
use crate::base::early::NeverEnded;
use crate::body::Body;
use crate::body::budget::{Budget, Charge};
use crate::body::message::{InterimSender, Reply, Request};
use crate::cache::Cache;
use crate::cache::lookup::Hit;
use crate::deliver;
use crate::fetch::Fetcher;
use crate::fetch::flight::Seat;
use crate::fetch::setup::Setup;
use crate::listener::link::Link;
use crate::listener::refusal::Refusal;
use crate::route::{Router, Site};
use crate::semantics::applied::applied;
use crate::semantics::cache_status::{CacheStatus, written_name};
use crate::semantics::fields::announced_length;
use crate::semantics::notable::Notable;
use crate::semantics::target::secure_url;
use crate::telemetry::access_log::AccessLog;
use crate::telemetry::counters::Counters;
use crate::telemetry::metrics::Metrics;
use crate::transform::press::Press;
use at_once::Seen;
use begun::Begun;
use buffering::Onward;
pub use current::Current;
use preface::Preface;
pub use purge::PurgeRules;
use turn::Turn;

/// What one connection is charged to the budget. It takes a few KiB while it idles, and more while it answers: heads that
/// are arriving, an answer that leaves.
const CONNECTION_COST: u64 = 20 << 10;

/// What one by TLS is charged beside that: its session, and a record in each direction.
const TLS_COST: u64 = 44 << 10;

/// What one by TLS is charged beside that whose client may send something early: as much of it as is taken.
const EARLY_COST: u64 = 16 << 10;

/// Rules of the client machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How this node names itself.
    pub node: String,
    /// What stands for it in `CDN-Loop`.
    pub cdn_id: String,
    /// How often a request may have passed by that id before it came here; beyond, it is answered with 508.
    pub max_loops: usize,
    /// Most bytes of path and query; more is answered with 414.
    pub max_target: usize,
    /// Most connections at a time.
    pub max_connections: usize,
    /// Where other nodes of the same operator's are, whose word on purges counts.
    pub peers: Vec<IpNet>,
    /// Who may purge by the method PURGE; nobody, if this is not said.
    pub purge: Option<PurgeRules>,
}

/// Answers requests by one configuration, and has each to its end ([`Current`]).
#[derive(Debug)]
pub struct ClientMachine {
    settings: Settings,
    /// The node's name as `Cache-Status` has it.
    name: String,
    connections: Connections,
    budget: Arc<Budget>,
    router: Arc<Router>,
    cache: Arc<Cache>,
    fetcher: Fetcher,
    setup: Arc<Setup>,
    clock: Clock,
    counters: Arc<Counters>,
    metrics: Arc<Metrics>,
    log: Option<AccessLog>,
    press: Arc<Press>,
}

/// What the client machine leans on.
#[derive(Clone, Debug)]
pub struct Parts {
    /// The account of connections.
    pub connections: Connections,
    /// The one budget of the node.
    pub budget: Arc<Budget>,
    /// Finds sites.
    pub router: Arc<Router>,
    /// The tiers.
    pub cache: Arc<Cache>,
    /// The fetch machine.
    pub fetcher: Fetcher,
    /// By which rules it fetches for these requests.
    pub setup: Arc<Setup>,
    /// Wall time.
    pub clock: Clock,
    /// Counters of decisions.
    pub counters: Arc<Counters>,
    /// Counts of requests.
    pub metrics: Arc<Metrics>,
    /// The access log, if one is wanted.
    pub log: Option<AccessLog>,
    /// Codes what is stored behind answers.
    pub press: Arc<Press>,
}

/// Where a request is on its way.
#[derive(Debug)]
enum Step {
    /// Ask memory.
    Lookup,
    /// Ask the disk, and nobody else.
    Disk,
    /// Join the fetch for the key, or start it.
    Join,
    /// Fetch for this request alone, confirming what is stored if there is something.
    Alone(Option<Hit>),
    /// Wait for the end of the client's content, before the origin is asked for anything.
    Buffer(Body, Onward),
    /// Hand the client's own request through, with its content.
    Pass(Body),
    /// The same, and what comes may answer later GETs.
    Through(Body),
    /// Wait for the head.
    Wait(Seat),
    /// Wait for the first bytes of what is stored in blocks.
    Gather(Hit, CacheStatus),
    /// Wait for the end of an answer that has to be whole before it is sent.
    Hold(Reply),
    /// The answer.
    Done(Reply),
}

/// How far a request came without waiting.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "the large one is the hit, which shall cost no allocation")]
enum Begin {
    /// To its answer.
    Answered(Reply),
    /// To a step that waits.
    OnItsWay(Box<(Turn, Step)>),
    /// To its content, which is part of the key and has to be collected.
    HasContent(Box<Received>),
    /// To the ledger, in which it is to be recorded.
    Purges(Box<Received>),
    /// Not any further before the end of its client's handshake.
    TooEarly(Box<Request>),
}

/// A request that was let in.
#[derive(Debug)]
struct Received {
    request: Request,
    admitted: Admitted,
    site: Arc<Site>,
    begun: Begun,
}

/// A refusal, and the site that it was for, if the request got so far.
type Turned<'a> = (Rejection, Option<&'a Arc<Site>>);

impl ClientMachine {
    /// A machine that leans on `parts`.
    pub fn new(settings: Settings, parts: Parts) -> Self {
        let Parts {
            connections,
            budget,
            router,
            cache,
            fetcher,
            setup,
            clock,
            counters,
            metrics,
            log,
            press,
        } = parts;
        let name = written_name(&settings.node);
        Self {
            settings,
            name,
            connections,
            budget,
            router,
            cache,
            fetcher,
            setup,
            clock,
            counters,
            metrics,
            log,
            press,
        }
    }

    /// The account of its connections.
    pub fn connections(&self) -> Connections {
        self.connections.clone()
    }

    /// By which rules it has things fetched, and of whom.
    pub fn setup(&self) -> &Arc<Setup> {
        &self.setup
    }

    /// The way of one request as far as it goes without waiting for anybody: a hit in memory, or on disk in what the system
    /// has in memory, or a refusal, is an answer already.
    fn begin(&self, request: Request) -> Begin {
        let begun = Begun::now(&self.clock);
        let (admitted, site) = match self.receive(&request) {
            Ok(received) => received,
            Err((rejection, site)) => {
                self.metrics.rejected(rejection.name());
                let mut reply =
                    deliver::rejected(&rejection, &self.settings.node, &request.method, begun.time);
                if let Some(strict) = site.and_then(|site| site.policy.strict_transport_by(&request.scheme)) {
                    deliver::tell_strict_transport(&mut reply, strict);
                }
                let site = site.map(|site| site.name.as_str());
                let log = self.log.as_ref();
                return Begin::Answered(begun.logged_rejection(reply, &request, &rejection, site, log));
            }
        };
        if request.is_early() && !may_be_a_replay(&request) {
            return Begin::TooEarly(Box::new(request));
        }
        let (key, found) = match self.at_once(&request, &admitted, site, begun) {
            Ok(reply) => return Begin::Answered(reply),
            Err(seen) => seen.map(|Seen { key, found }| (key, found)).unzip(),
        };
        if purge::is_purge(&request.method) {
            let site = Arc::clone(site);
            return Begin::Purges(Box::new(Received { request, admitted, site, begun }));
        }
        if content::is_wanted(&request.method, &site.policy) {
            let site = Arc::clone(site);
            return Begin::HasContent(Box::new(Received { request, admitted, site, begun }));
        }
        let (mut turn, step) = classify::classify(request, None, &admitted, (site, &self.setup), begun, key);
        match step {
            Step::Lookup => match self.lookup(&mut turn, found) {
                Step::Done(reply) => Begin::Answered(turn.recorded(reply, self.log.as_ref())),
                step => Begin::OnItsWay(Box::new((turn, step))),
            },
            step => Begin::OnItsWay(Box::new((turn, step))),
        }
    }

    /// The rest of the way. What is said before the answer goes to the client as it comes. Dropped at any await, the client has
    /// left: nothing that others use is touched.
    async fn go_on(self: Arc<Self>, begin: Begin, client: InterimSender) -> Reply {
        let begin = match begin {
            Begin::TooEarly(request) => self.begin_in_time(*request).await,
            begin => begin,
        };
        let (mut turn, mut step) = match begin {
            Begin::Answered(reply) => return reply,
            Begin::TooEarly(request) => return self.too_early(&request),
            Begin::OnItsWay(way) => *way,
            Begin::Purges(received) => return self.purged(*received).await,
            Begin::HasContent(received) => {
                let Received { mut request, admitted, site, begun } = *received;
                let content = content::collect(&mut request, &site.policy, &self.budget).await;
                classify::classify(request, content, &admitted, (&*site, &self.setup), begun, None)
            }
        };
        let mut preface = Preface::to(client, turn.ask.version);
        loop {
            step = match step {
                Step::Lookup => self.lookup(&mut turn, None),
                Step::Disk => self.disk(&mut turn).await,
                Step::Join => self.join(&mut turn),
                Step::Alone(stale) => self.alone(&turn, stale),
                Step::Buffer(body, onward) => self.buffer(&mut turn, body, onward).await,
                Step::Pass(body) => self.pass(&mut turn, body),
                Step::Through(body) => self.through(&mut turn, body),
                Step::Wait(seat) => self.wait(&mut turn, seat, &mut preface).await,
                Step::Gather(hit, cache) => self.gather(&mut turn, &hit, cache).await,
                Step::Hold(reply) => self.hold(&mut turn, reply).await,
                Step::Done(reply) => return turn.recorded(reply, self.log.as_ref()),
            };
        }
    }

    /// Begins once the handshake has ended of a request that came before. Cancel-safe: dropped, nothing was begun.
    async fn begin_in_time(&self, request: Request) -> Begin {
        let ended = match &request.early {
            Some(early) => early.end().await,
            None => Ok(()),
        };
        match ended {
            Ok(()) => self.begin(request),
            Err(NeverEnded) => Begin::TooEarly(Box::new(request)),
        }
    }

    /// Said to a request whose client's handshake came to nothing, if anybody hears it.
    fn too_early(&self, request: &Request) -> Reply {
        let (begun, refusal) = (Begun::now(&self.clock), Rejection::TooEarly);
        self.metrics.rejected(refusal.name());
        let reply = deliver::rejected(&refusal, &self.settings.node, &request.method, begun.time);
        begun.logged_rejection(reply, request, &refusal, None, self.log.as_ref())
    }

    /// Whether a request comes from a node of the same operator's.
    fn is_peer(&self, request: &Request) -> bool {
        let is_in =
            |peer: IpAddr| self.settings.peers.iter().any(|network| network.contains(&peer.to_canonical()));
        request.peer.ip().is_some_and(is_in)
    }

    /// Whether the request goes any further, and to which site. A refusal tells the site as well, if it got so far.
    fn receive(&self, request: &Request) -> Result<(Admitted, &Arc<Site>), Turned<'_>> {
        let mut admitted = admission::check(request, self.settings.max_target).map_err(|why| (why, None))?;
        admitted.is_peer = !self.settings.peers.is_empty() && self.is_peer(request);
        if admitted.is_peer && admitted.notable.may_have(Notable::OTHER) {
            admitted.applied = applied(&request.headers);
        }
        admission::never_circles(request, &admitted, &self.settings.cdn_id, self.settings.max_loops)
            .map_err(|why| (why, None))?;
        if purge::is_purge(&request.method)
            && let Some(refusal) = self.purge_refused(request)
        {
            return Err((refusal, None));
        }
        let site = self.router.site(&admitted.host).ok_or((Rejection::UnknownHost, None))?;
        if let Some(port) = site.tls_port.filter(|_| is_to_come_by_tls(request)) {
            let url = secure_url(&admitted.host, port, &request.target);
            return Err((Rejection::NeedsTls(url), Some(site)));
        }
        if request.policy != site.clients.policy && !may_come_otherwise(request, site) {
            return Err((Rejection::OtherPolicy, Some(site)));
        }
        let length = match &request.body {
            Body::Busy(content) => {
                content.body().limit(site.max_body);
                announced_length(&request.headers)
            }
            here => here.known_length(),
        };
        if length.is_some_and(|length| length > site.max_body) {
            return Err((Rejection::LargeContent(site.max_body), Some(site)));
        }
        Ok((admitted, site))
    }
}

/// Whether it does no harm to answer a request twice: it asks for nothing to be done (RFC 8470 §4). What it brings along, and
/// what it would leave HTTP for, waits for the end of the handshake as well.
fn may_be_a_replay(request: &Request) -> bool {
    let asks = [Method::GET, Method::HEAD, Method::OPTIONS].contains(&request.method);
    asks && matches!(request.body, Body::Empty) && !request.headers.contains_key(header::UPGRADE)
}

/// Where authorities look whether a host is ours before they give it a certificate (RFC 8555 §8.3): in the clear.
const CHALLENGES: &str = "/.well-known/acme-challenge/";

/// Whether a request in the clear can be sent to TLS: it has a URL there, and is not for what has to be had before. A PURGE
/// that was let in comes from behind the same wall, and speaks of TLS as well.
fn is_to_come_by_tls(request: &Request) -> bool {
    let path = request.target.path();
    request.scheme == Scheme::HTTP
        && path != "*"
        && !path.starts_with(CHALLENGES)
        && !purge::is_purge(&request.method)
}

/// Whether a request is answered although its client was not asked what its site asks: in the clear nobody is, and the site
/// has nothing against that, or it is a PURGE that was let in by its network and token.
fn may_come_otherwise(request: &Request, site: &Site) -> bool {
    let needs_certificate = site.clients.need_certificate && !purge::is_purge(&request.method);
    request.scheme == Scheme::HTTP && !needs_certificate
}

impl ClientMachine {
    /// A place for a connection, and its share of the budget.
    fn admit(&self, link: &Link) -> Option<(Guest, Charge)> {
        let of_tls = if link.is_tls { TLS_COST } else { 0 };
        let cost = CONNECTION_COST + of_tls + if link.may_be_early { EARLY_COST } else { 0 };
        let place = self.connections.admit().zip(self.budget.try_charge(cost));
        if place.is_none() {
            self.counters.refused_connections.inc();
        }
        place
    }

    /// What is said to something that is no request.
    fn refuse(&self, refusal: &Refusal, link: &Link) -> Reply {
        let begun = Begun::now(&self.clock);
        self.metrics.rejected(refusal.name());
        let reply = deliver::said(refusal.status(), &refusal.to_string(), begun.time);
        begun.logged_refusal(reply, link, refusal.name(), self.log.as_ref())
    }
}
