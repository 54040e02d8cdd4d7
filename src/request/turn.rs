//! What is known of one request while it is on its way.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use http::uri::Scheme;
use http::{HeaderMap, Method, StatusCode, Version};
use tokio::time::Instant;

use crate::admission::Rejection;
use crate::base::clock::{Clock, Timestamp};
use crate::body::busy::BusyBody;
use crate::body::message::{Reply, Request};
use crate::cache::lookup::{Hit, Missing};
use crate::deliver::For;
use crate::fetch::Why;
use crate::fetch::ask::Ask;
use crate::semantics::cache_status::{CacheStatus, Forward};
use crate::semantics::reuse::Cause;
use crate::telemetry::access_log::{AccessLog, Draft, Head};
use crate::telemetry::metrics::{Outcome, SiteMetrics};
use crate::telemetry::record::{Progress, Record};

/// The detail of a request for nothing but what is stored.
const ONLY_IF_CACHED: &str = "only-if-cached";

/// When a request began.
#[derive(Clone, Copy, Debug)]
pub(super) struct Begun {
    pub(super) time: Timestamp,
    pub(super) started: Instant,
}

/// One request's turn.
#[derive(Debug)]
pub(super) struct Turn {
    pub(super) ask: Arc<Ask>,
    begun: Begun,
    /// Why the request goes forward, if it does.
    pub(super) forward: Forward,
    /// More about that.
    pub(super) detail: Option<&'static str>,
    /// Whether it was answered without going forward.
    pub(super) hit: bool,
    /// Whether it asked for nothing but what is stored, and nothing is.
    pub(super) unsatisfied: bool,
    /// What is stored and would need the origin's word.
    pub(super) stale: Option<Hit>,
    /// How often it was sent back because what it waited for was not for it.
    pub(super) sent_back: u8,
    /// How many leaders failed that it waited for.
    pub(super) attempt: u8,
    /// The content of a request that is passed.
    pub(super) content: Option<BusyBody>,
}

impl Begun {
    pub(super) fn now(clock: &Clock) -> Self {
        Self { time: clock.now(), started: Instant::now() }
    }

    /// Attaches what is counted, and written to the log, when the body has left. `line` begins the line, if there is to be
    /// one, with the status and the milliseconds to the head.
    pub(super) fn record(
        self,
        reply: &mut Reply,
        account: Option<(Arc<SiteMetrics>, Outcome)>,
        detail: Option<&'static str>,
        line: impl FnOnce(StatusCode, u64) -> Option<Draft>,
    ) {
        let (status, head) = (reply.head.status, self.started.elapsed());
        reply.record = Some(Box::new(Record {
            account,
            detail,
            status,
            head,
            promised: reply.head.content_length(),
            line: line(status, u64::try_from(head.as_millis()).unwrap_or(u64::MAX)),
            progress: Progress::default(),
        }));
    }

    /// Attaches the log line of a request that was not admitted.
    pub(super) fn logged_rejection(
        self,
        mut reply: Reply,
        request: &Request,
        rejection: &Rejection,
        site: Option<&str>,
        log: Option<&AccessLog>,
    ) -> Reply {
        let told = Told {
            peer: request.peer.ip(),
            site,
            method: &request.method,
            scheme: request.scheme.as_str(),
            host: asked_host(request),
            target: request.target.as_str(),
            version: request.version,
            fields: &request.headers,
        };
        reply.record = self.record_of(&told, rejection.name(), &reply, log);
        reply
    }

    /// Attaches the log line of something that is no request, of which nothing is known but where it came from.
    pub(super) fn logged_refusal(
        self,
        mut reply: Reply,
        peer: SocketAddr,
        why: &'static str,
        log: Option<&AccessLog>,
    ) -> Reply {
        let (method, fields) = (unknown_method(), HeaderMap::new());
        let told = Told {
            peer: peer.ip(),
            site: None,
            method: &method,
            scheme: Scheme::HTTP.as_str(),
            host: None,
            target: "-",
            version: Version::HTTP_11,
            fields: &fields,
        };
        reply.record = self.record_of(&told, why, &reply, log);
        reply
    }

    fn record_of(
        self,
        told: &Told<'_>,
        why: &'static str,
        reply: &Reply,
        log: Option<&AccessLog>,
    ) -> Option<Box<Record>> {
        let Told { peer, site, method, scheme, host, target, version, fields } = *told;
        let line = log?.begin(&Head {
            time: self.time,
            started: self.started,
            peer,
            site,
            method,
            scheme,
            host,
            target,
            version,
            fields,
            status: reply.head.status,
            cache: "rejected",
            detail: Some(why),
            head_ms: 0,
        });
        Some(Box::new(Record {
            account: None,
            detail: Some(why),
            status: reply.head.status,
            head: Duration::ZERO,
            promised: reply.head.content_length(),
            line: Some(line),
            progress: Progress::default(),
        }))
    }
}

/// What a request that was not let in says of itself.
#[derive(Clone, Copy)]
struct Told<'a> {
    peer: IpAddr,
    site: Option<&'a str>,
    method: &'a Method,
    scheme: &'a str,
    host: Option<&'a str>,
    target: &'a str,
    version: Version,
    fields: &'a HeaderMap,
}

/// Stands in the log for a method that could not be read.
fn unknown_method() -> Method {
    Method::from_bytes(b"-").unwrap_or_default()
}

/// The host that a request names, as it came: it may be what is wrong with it.
fn asked_host(request: &Request) -> Option<&str> {
    let field = || request.headers.get(http::header::HOST)?.to_str().ok();
    request.target_authority.as_deref().or_else(field)
}

impl Turn {
    pub(super) fn new(ask: Arc<Ask>, begun: Begun) -> Self {
        Self {
            ask,
            begun,
            forward: Forward::UriMiss,
            detail: None,
            hit: false,
            unsatisfied: false,
            stale: None,
            sent_back: 0,
            attempt: 0,
            content: None,
        }
    }

    /// When it began: the moment that decides about freshness.
    pub(super) fn time(&self) -> Timestamp {
        self.begun.time
    }

    /// Notes why memory could not answer.
    pub(super) fn note(&mut self, why: Why) {
        self.forward = match why {
            Why::Validate(Cause::Request) => Forward::Request,
            Why::Validate(Cause::Stale | Cause::Always) => Forward::Stale,
            Why::Missing(Missing::Uri) => Forward::UriMiss,
            Why::Missing(Missing::Variant) => Forward::VaryMiss,
            Why::Missing(Missing::Either) => Forward::Miss,
        };
    }

    /// Notes that something was stored after all, where memory had nothing.
    pub(super) fn note_stored(&mut self) {
        if matches!(self.forward, Forward::UriMiss | Forward::VaryMiss | Forward::Miss) {
            self.forward = Forward::Stale;
        }
    }

    /// The refusal of a request whose content turned out longer than the site takes.
    pub(super) fn content_refused(&self) -> Option<Rejection> {
        self.content.as_ref().and_then(BusyBody::exceeds).map(Rejection::LargeContent)
    }

    /// What `Cache-Status` says of a request that went forward.
    pub(super) fn forwarded(&self) -> CacheStatus {
        CacheStatus { forward: Some(self.forward), detail: self.detail, ..CacheStatus::default() }
    }

    /// For whom it is told that nothing is stored, and that nobody was asked.
    pub(super) fn not_stored<'a>(&'a mut self, node: &'a str) -> For<'a> {
        self.unsatisfied = true;
        self.detail = Some(ONLY_IF_CACHED);
        let cache = CacheStatus { detail: self.detail, ..CacheStatus::default() };
        self.answer(node, cache)
    }

    /// For whom an answer is.
    pub(super) fn answer<'a>(&'a self, node: &'a str, cache: CacheStatus) -> For<'a> {
        For { ask: &self.ask, node, cache }
    }

    /// Attaches what is counted, and written to the log, when the body has left.
    pub(super) fn recorded(&self, mut reply: Reply, log: Option<&AccessLog>) -> Reply {
        let account = self.ask.metrics.as_ref().map(|site| (Arc::clone(site), self.outcome()));
        let line = |status, head_ms| log.map(|log| self.line(log, status, head_ms));
        self.begun.record(&mut reply, account, self.detail, line);
        reply
    }

    fn line(&self, log: &AccessLog, status: StatusCode, head_ms: u64) -> Draft {
        let ask = &self.ask;
        log.begin(&Head {
            time: self.begun.time,
            started: self.begun.started,
            peer: ask.peer,
            site: ask.metrics.as_ref().map(|site| site.name()),
            method: &ask.method,
            scheme: ask.scheme.as_str(),
            host: Some(ask.host()),
            target: ask.target.as_str(),
            version: ask.version,
            fields: &ask.headers,
            status,
            cache: self.outcome().name(),
            detail: self.detail,
            head_ms,
        })
    }

    fn outcome(&self) -> Outcome {
        match (self.hit, self.unsatisfied) {
            (true, _) => Outcome::Hit,
            (false, true) => Outcome::NotStored,
            (false, false) => Outcome::Forwarded(self.forward),
        }
    }
}
