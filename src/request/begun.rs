//! When a request began, and what is noted of it until its answer has left: what is counted, and the line of the access
//! log.

use std::net::IpAddr;
use std::sync::Arc;

use http::{HeaderMap, Method, StatusCode, Version};
use tokio::time::Instant;

use crate::admission::Rejection;
use crate::base::clock::{Clock, Timestamp};
use crate::body::message::{Reply, Request};
use crate::listener::link::Link;
use crate::telemetry::access_log::{AccessLog, Draft, Head};
use crate::telemetry::metrics::{Outcome, SiteMetrics};
use crate::telemetry::record::{Progress, Record};

/// When a request began.
#[derive(Clone, Copy, Debug)]
pub(super) struct Begun {
    pub(super) time: Timestamp,
    started: Instant,
}

/// What a request says of itself, for the log.
#[derive(Clone, Copy)]
pub(super) struct Told<'a> {
    pub(super) peer: Option<IpAddr>,
    pub(super) site: Option<&'a str>,
    pub(super) method: &'a Method,
    pub(super) scheme: &'a str,
    pub(super) host: Option<&'a str>,
    pub(super) target: &'a str,
    pub(super) version: Version,
    pub(super) fields: &'a HeaderMap,
}

impl<'a> Told<'a> {
    /// Of a request as it came, for this host of this site.
    pub(super) fn of(request: &'a Request, site: Option<&'a str>, host: Option<&'a str>) -> Self {
        Self {
            peer: request.peer.ip(),
            site,
            method: &request.method,
            scheme: request.scheme.as_str(),
            host,
            target: request.target.as_str(),
            version: request.version,
            fields: &request.headers,
        }
    }
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

    /// Begins a line: `cache` says what became of the request, `detail` more about that.
    pub(super) fn line(
        self,
        log: &AccessLog,
        told: &Told<'_>,
        (status, head_ms): (StatusCode, u64),
        (cache, detail): (&'static str, Option<&'static str>),
    ) -> Draft {
        let Told { peer, site, method, scheme, host, target, version, fields } = *told;
        let (time, started) = (self.time, self.started);
        log.begin(&Head {
            time,
            started,
            peer,
            site,
            method,
            scheme,
            host,
            target,
            version,
            fields,
            status,
            cache,
            detail,
            head_ms,
        })
    }

    /// Attaches the log line of a request that was not admitted.
    pub(super) fn logged_rejection(
        self,
        reply: Reply,
        request: &Request,
        rejection: &Rejection,
        site: Option<&str>,
        log: Option<&AccessLog>,
    ) -> Reply {
        self.logged_rejected(reply, &Told::of(request, site, asked_host(request)), rejection.name(), log)
    }

    /// Attaches the log line of a request to purge that was let in.
    pub(super) fn logged_purge(
        self,
        reply: Reply,
        request: &Request,
        site: &str,
        log: Option<&AccessLog>,
    ) -> Reply {
        self.logged_here(reply, &Told::of(request, Some(site), asked_host(request)), ("purge", None), log)
    }

    /// Attaches the log line of something that is no request, of which nothing is known but where it came from.
    pub(super) fn logged_refusal(
        self,
        reply: Reply,
        link: &Link,
        why: &'static str,
        log: Option<&AccessLog>,
    ) -> Reply {
        let (method, scheme, fields) = (unknown_method(), link.scheme(), HeaderMap::new());
        let told = Told {
            peer: link.peer.ip(),
            site: None,
            method: &method,
            scheme: scheme.as_str(),
            host: None,
            target: "-",
            version: Version::HTTP_11,
            fields: &fields,
        };
        self.logged_rejected(reply, &told, why, log)
    }

    fn logged_rejected(
        self,
        reply: Reply,
        told: &Told<'_>,
        why: &'static str,
        log: Option<&AccessLog>,
    ) -> Reply {
        self.logged_here(reply, told, ("rejected", Some(why)), log)
    }

    /// What is answered here is known at once: the log says that its head took no time.
    fn logged_here(
        self,
        mut reply: Reply,
        told: &Told<'_>,
        said: (&'static str, Option<&'static str>),
        log: Option<&AccessLog>,
    ) -> Reply {
        if let Some(log) = log {
            self.record(&mut reply, None, said.1, |status, _| Some(self.line(log, told, (status, 0), said)));
        }
        reply
    }
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
