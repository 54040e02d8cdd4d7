//! The steps of the client machine, in the order in which a request meets them.

use http::Method;

use super::turn::Turn;
use super::{ClientMachine, Step};
use crate::base::clock::Timestamp;
use crate::body::Body;
use crate::body::message::Reply;
use crate::cache::lookup::{Hit, Lookup};
use crate::deliver;
use crate::fetch::flight::{Advice, Announced, Failure, MAX_ATTEMPTS, Refreshed, Seat};
use crate::fetch::{Joined, Why};
use crate::semantics::cache_control::{self, CacheControl};
use crate::semantics::cache_status::CacheStatus;
use crate::semantics::freshness::State;
use crate::semantics::storage;

/// A waiter that was sent back this often fetches alone.
const MAX_SENT_BACK: u8 = 2;

/// The detail of a request that did not wait because of a marker.
const HIT_FOR_MISS: &str = "hit-for-miss";

/// The detail of a hit on disk.
const DISK: &str = "disk";

/// The detail of a stale answer.
const STALE_ON_ERROR: &str = "stale-on-error";

impl ClientMachine {
    /// Memory, without any lock. Requests that are for one person or must leave no trace wait for nobody.
    pub(super) fn lookup(&self, turn: &mut Turn) -> Step {
        let ask = &turn.ask;
        let found = self.cache.lookup(&ask.key, &ask.headers, turn.time());
        let (why, stale) = match found.if_kept(&ask.policy.outlasting, turn.time()) {
            Lookup::Fresh(hit) => return self.hit(turn, &hit),
            Lookup::Stale(hit) => (Why::Stale, Some(hit)),
            Lookup::Miss(missing) => (Why::Missing(missing), None),
        };
        turn.note(why);
        if goes_alone(turn, stale.as_ref()) {
            turn.stale.clone_from(&stale);
            return Step::Alone(stale);
        }
        Step::Join
    }

    /// Joins or starts the fetch for the key.
    pub(super) fn join(&self, turn: &mut Turn) -> Step {
        // Asked anew: the request may have waited since it came.
        let now = self.clock.now();
        match self.fetcher.join(&turn.ask, turn.attempt, now) {
            Joined::Hit(hit) => self.hit(turn, &hit),
            Joined::Seat(seat, why, stale) => {
                turn.note(why);
                turn.stale = stale;
                Step::Wait(seat)
            }
            Joined::Marked(marker, why, stale) => {
                tracing::trace!(reason = marker.reason, "hit-for-miss");
                turn.note(why);
                turn.detail = Some(HIT_FOR_MISS);
                if turn.ask.method == Method::HEAD && stale.is_none() {
                    // Nothing to store is expected: no content need be asked for.
                    return Step::Pass(Body::Empty);
                }
                turn.stale.clone_from(&stale);
                Step::Alone(stale)
            }
        }
    }

    pub(super) fn alone(&self, turn: &Turn, stale: Option<Hit>) -> Step {
        Step::Wait(self.fetcher.alone(&turn.ask, stale))
    }

    pub(super) fn pass(&self, turn: &mut Turn, body: Body) -> Step {
        if let Body::Busy(content) = &body {
            turn.content = Some(content.body());
        }
        Step::Wait(self.fetcher.pass(&turn.ask, body))
    }

    /// Waits for the head and does as advised. Cancel-safe: dropped while waiting, the client has left its seat.
    pub(super) async fn wait(&self, turn: &mut Turn, mut seat: Seat) -> Step {
        match seat.advice(&turn.ask).await {
            Advice::Read(announced) => Step::Done(self.read(turn, &announced, seat)),
            Advice::Use(refreshed) => Step::Done(self.confirmed(turn, &refreshed, &seat)),
            Advice::Hit(hit) => {
                self.counters.disk_hits.inc();
                turn.detail = Some(DISK);
                self.hit(turn, &hit)
            }
            Advice::Again => {
                turn.sent_back += 1;
                self.counters.released.inc();
                if turn.sent_back < MAX_SENT_BACK { Step::Join } else { Step::Alone(turn.stale.take()) }
            }
            Advice::TakeOver(failure) => {
                turn.attempt = turn.attempt.max(seat.attempt()) + 1;
                if turn.attempt < MAX_ATTEMPTS { Step::Join } else { Step::Done(self.fail(turn, failure)) }
            }
            Advice::Alone => {
                self.counters.released.inc();
                Step::Alone(turn.stale.clone())
            }
            Advice::Fail(failure) => Step::Done(self.fail(turn, failure)),
        }
    }

    /// Answered from memory.
    fn hit(&self, turn: &mut Turn, hit: &Hit) -> Step {
        self.counters.hits.inc();
        turn.hit = true;
        let now = turn.time();
        let (ttl, detail) = (Some(ttl(hit, now)), turn.detail);
        let cache = CacheStatus { hit: true, ttl, detail, ..CacheStatus::default() };
        Step::Done(self.stored(turn, hit, cache, now))
    }

    /// Answered by a body that is still arriving.
    fn read(&self, turn: &mut Turn, announced: &Announced, seat: Seat) -> Reply {
        self.counters.forwarded.inc();
        turn.detail = turn.detail.or(announced.refusal);
        if announced.replaces_stale {
            turn.note(Why::Stale);
        }
        let cache = CacheStatus {
            stored: announced.storing && seat.leads(),
            collapsed: !seat.leads(),
            ..turn.forwarded()
        };
        let normalised = !seat.passes();
        let to = turn.answer(&self.settings.node, cache);
        let mut reply = deliver::fetched(announced, seat.into_reader(), &to, normalised);
        if let Some(freshness) = announced.freshness.filter(|_| cache.collapsed) {
            deliver::set_age(&mut reply, freshness.age(self.clock.now()));
        }
        reply
    }

    /// Answered from memory after the origin confirmed it.
    fn confirmed(&self, turn: &mut Turn, refreshed: &Refreshed, seat: &Seat) -> Reply {
        self.counters.forwarded.inc();
        turn.note(Why::Stale);
        let now = self.clock.now();
        let cache = CacheStatus {
            forward_status: Some(http::StatusCode::NOT_MODIFIED),
            stored: refreshed.stored && seat.leads(),
            collapsed: !seat.leads(),
            ttl: Some(ttl(&refreshed.hit, now)),
            ..turn.forwarded()
        };
        self.stored(turn, &refreshed.hit, cache, now)
    }

    /// What is stored, as the answer of this turn.
    fn stored(&self, turn: &Turn, hit: &Hit, cache: CacheStatus, now: Timestamp) -> Reply {
        let replay = |hit: &Hit| self.fetcher.replay(&turn.ask, hit);
        deliver::stored(hit, &turn.answer(&self.settings.node, cache), now, replay)
    }

    /// No head came: what is stored, if it may be used stale, or the error (RFC 9111 §4.2.4).
    fn fail(&self, turn: &mut Turn, failure: Failure) -> Reply {
        self.counters.forwarded.inc();
        let (error, now) = (failure.error, self.clock.now());
        if let Some(refusal) = turn.content_refused() {
            turn.detail = Some(refusal.name());
            return deliver::rejected(&refusal, &turn.ask.method, now);
        }
        if failure.stale.is_some() {
            turn.note(Why::Stale);
        }
        if let Some(stale) = turn.stale.take().or(failure.stale).filter(|hit| may_use_stale(turn, hit, now)) {
            turn.detail = Some(STALE_ON_ERROR);
            let cache = CacheStatus { ttl: Some(ttl(&stale, now)), ..turn.forwarded() };
            return self.stored(turn, &stale, cache, now);
        }
        self.counters.origin_errors.inc();
        turn.detail = Some(error.error.token());
        let cache = CacheStatus { detail: None, ..turn.forwarded() };
        deliver::failed(error, &turn.answer(&self.settings.node, cache), now)
    }
}

/// Whether the request is for one person, or must leave no trace: it waits for nobody.
fn goes_alone(turn: &Turn, stale: Option<&Hit>) -> bool {
    let headers = &turn.ask.headers;
    let known_shareable = || {
        stale.is_some_and(|hit| {
            storage::shareable_despite_authorization(&CacheControl::of(&hit.object.head.headers))
        })
    };
    cache_control::request_forbids_store(headers)
        || (storage::is_personal(headers, &turn.ask.policy) && !known_shareable())
}

fn may_use_stale(turn: &Turn, hit: &Hit, now: Timestamp) -> bool {
    hit.object.serve_stale && turn.ask.policy.outlasting.in_grace(hit.object.freshness.state(now))
}

/// What is left of the lifetime in seconds; negative once it is over.
fn ttl(hit: &Hit, now: Timestamp) -> i64 {
    let seconds = |duration: std::time::Duration| i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
    match hit.object.freshness.state(now) {
        State::Fresh { ttl } => seconds(ttl),
        State::Stale { by } => -seconds(by),
    }
}
