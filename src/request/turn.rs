//! What is known of one request while it is on its way.

use std::sync::Arc;

use super::begun::{Begun, Told};
use crate::admission::Rejection;
use crate::base::clock::Timestamp;
use crate::body::busy::{BodyError, BusyBody, End};
use crate::body::message::Reply;
use crate::cache::key::Key;
use crate::cache::lookup::{Hit, Missing};
use crate::deliver::{For, tell_strict_transport};
use crate::fetch::Why;
use crate::fetch::ask::Ask;
use crate::semantics::cache_status::{CacheStatus, Forward};
use crate::semantics::reuse::Cause;
use crate::telemetry::access_log::AccessLog;
use crate::telemetry::metrics::Outcome;

/// The detail of a request for nothing but what is stored.
const ONLY_IF_CACHED: &str = "only-if-cached";

/// One request's turn.
#[allow(clippy::struct_excessive_bools, reason = "each is one thing that became of it, on its own")]
#[derive(Debug)]
pub(super) struct Turn {
    pub(super) ask: Arc<Ask>,
    begun: Begun,
    /// Why the request goes forward, if it does.
    pub(super) forward: Forward,
    /// The key of what is stored under another URL, and answers.
    pub(super) other_key: Option<Key>,
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
    /// It waits for no leader any more whose own handshake has not ended.
    pub(super) joins_surely: bool,
    /// How many leaders failed that it waited for.
    pub(super) attempt: u8,
    /// The content of a request that is passed, if it came behind the head.
    pub(super) content: Option<BusyBody>,
    /// An answer of unknown length has to be whole before any of it is sent.
    pub(super) needs_whole: bool,
}

impl Turn {
    pub(super) fn new(ask: Arc<Ask>, begun: Begun) -> Self {
        Self {
            ask,
            begun,
            forward: Forward::UriMiss,
            detail: None,
            other_key: None,
            hit: false,
            unsatisfied: false,
            stale: None,
            sent_back: 0,
            joins_surely: false,
            attempt: 0,
            content: None,
            needs_whole: false,
        }
    }

    /// The key under which a hit is stored that answers.
    pub(super) fn key(&self) -> &Key {
        self.other_key.as_ref().unwrap_or(&self.ask.key)
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

    /// The refusal of a request whose content turned out longer than the site takes, or did not come in time.
    pub(super) fn content_refused(&self) -> Option<Rejection> {
        let content = self.content.as_ref()?;
        match content.end()? {
            End::Failed(BodyError::TooLarge) => Some(Rejection::LargeContent(content.most())),
            End::Failed(BodyError::Stalled) => Some(Rejection::LateContent),
            End::Failed(_) | End::Finished(_) => None,
        }
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
        if let Some(strict) = self.ask.policy.strict_transport_by(&self.ask.scheme) {
            tell_strict_transport(&mut reply, strict);
        }
        let account = self.ask.metrics.as_ref().map(|site| (Arc::clone(site), self.outcome()));
        let line = |status, head_ms| {
            let said = (self.outcome().name(), self.detail);
            log.map(|log| self.begun.line(log, &self.told(), (status, head_ms), said))
        };
        self.begun.record(&mut reply, account, self.detail, line);
        reply
    }

    fn told(&self) -> Told<'_> {
        let ask = &self.ask;
        Told {
            peer: ask.peer,
            site: ask.metrics.as_ref().map(|site| site.name()),
            method: &ask.method,
            scheme: ask.scheme.as_str(),
            host: Some(ask.host()),
            target: ask.target.as_str(),
            version: ask.version,
            fields: &ask.headers,
        }
    }

    fn outcome(&self) -> Outcome {
        match (self.hit, self.unsatisfied) {
            (true, _) => Outcome::Hit,
            (false, true) => Outcome::NotStored,
            (false, false) => Outcome::Forwarded(self.forward),
        }
    }
}
