//! The life of one fetch, whoever moves it along ([`Running`](super::running)): request, head, verdict, body, store.
//!
//! - here: the request, and which way its answer goes. - `deliver`: a new answer, its head and its body. - `divide`: one
//!   that is stored block by block.
//! - `confirm`: an answer that brings what is stored up to date. - `trouble`: no answer that could be used.
//!
//! It owns the writing side of the busy body and the flight's place in the table. Both are given back by
//! drop, so that a fetch that is aborted at any await fails its body, wakes its waiters and leaves the table.

mod confirm;
mod deliver;
mod divide;
mod trouble;

use std::sync::Arc;

use http::StatusCode;
use http::header::HeaderMap;
use tokio::time::Instant;

use super::board::Announcer;
use super::flight::{Announcement, Flight};
use super::verdict::{self, Verdict};
use super::{Purpose, Shared, outgoing};
use crate::base::clock::Timestamp;
use crate::base::ids::Sequence;
use crate::base::limit::Place;
use crate::body::Body;
use crate::body::budget::Charge;
use crate::body::busy::Writer;
use crate::body::message::ReplyHead;
use crate::cache::era::Era;
use crate::cache::lookup::Hit;
use crate::origin::{Exchange, Hear, OriginError, OriginRequest};
use crate::semantics::fields::EARLY_DATA;
use crate::semantics::ranges::Part;
use crate::semantics::reuse::Decision;
use crate::semantics::validation;
use crate::semantics::vary::VarySet;

/// A fetch and everything that it owns.
pub(super) struct Lead {
    pub(super) shared: Arc<Shared>,
    pub(super) flight: Arc<Flight>,
    pub(super) announcer: Announcer,
    pub(super) writer: Writer,
    pub(super) purpose: Purpose,
    /// For whom what the origin says before its answer is heard, if for anybody.
    pub(super) hears: Option<Arc<dyn Hear>>,
    /// What the origin is asked to confirm.
    pub(super) stale: Option<Hit>,
    /// The part that the origin was asked for, if not for the whole.
    pub(super) asked: Option<Part>,
    /// Parts are of no use, whatever the client wants.
    pub(super) asks_whole: bool,
    /// Its place among the fetches that may run, once the origin is asked.
    pub(super) place: Option<Place>,
    /// Its place among the refreshes that may run, if it is one.
    pub(super) refresh: Option<Place>,
    /// As long as it may store something, or be joined by others.
    pub(super) era: Option<Era>,
    /// What its heads take.
    pub(super) _memory: Charge,
}

/// An answer whose head has come. In a box wherever it goes from hand to hand, as a fetch is: what an await holds by value
/// is held twice, and so it is copied again and again.
struct Answer {
    exchange: Exchange,
    times: Times,
}

/// When a request left and its response's head came, by the ledger and by the clock.
#[derive(Clone, Copy, Debug)]
struct Times {
    born: Sequence,
    request: Timestamp,
    response: Timestamp,
}

impl Lead {
    /// Runs the fetch to its end. Dropped at any await, it has failed: see the module's text.
    pub(super) async fn run(mut self: Box<Self>, body: Body) {
        if self.answers_from_disk().await {
            return;
        }
        self.stale = self.stale.take().filter(|hit| self.lives(hit));
        self.asked = self.part_to_ask();
        let request = match self.purpose {
            Purpose::Pass => outgoing::passed(&self.flight.ask, body, self.us()),
            Purpose::Through => outgoing::written_through(&self.flight.ask, body, self.us()),
            Purpose::Shared(_) | Purpose::Alone => self.normalised(),
        };
        let Some(answer) = self.ask_origin(Box::new(request)).await else { return };
        if answer.exchange.head.status == StatusCode::NOT_MODIFIED && self.stale.is_some() {
            Box::pin(self.receive_confirmation(answer)).await;
        } else {
            self.receive(answer).await;
        }
    }

    /// Goes on with a 304 to our condition. Dropped, as the module's text says.
    async fn receive_confirmation(mut self: Box<Self>, answer: Box<Answer>) {
        self.stale = self.stale.take().filter(|hit| self.lives(hit));
        let told = &answer.exchange.head.headers;
        let confirmed = |hit: &&Hit| validation::confirms(told, &hit.object.head.headers());
        if let Some(stale) = self.stale.as_ref().filter(confirmed).cloned() {
            self.note_refresh(true);
            return self.refresh(&stale, answer);
        }
        // It confirmed something that we do not have, or that was purged meanwhile. Ask once more, for all of it.
        drop(answer);
        let request = outgoing::normalised(&self.flight.ask, None, self.us());
        let Some(answer) = self.ask_origin(Box::new(request)).await else { return };
        self.asked = None;
        self.receive(answer).await;
    }

    /// Looks on disk, where memory had nothing. What is fresh there ends the fetch; what is stale is to be confirmed.
    async fn answers_from_disk(&mut self) -> bool {
        if self.passes() || self.stale.is_some() || self.shared.is_behind(&self.flight.ask) {
            return false;
        }
        let found = tokio::select! {
            found = self.shared.cache.find(&self.flight.ask.key, &self.flight.ask) => found,
            () = self.writer.abandoned() => None,
        };
        let now = self.shared.clock.now();
        match found {
            Some(hit)
                if !matches!(self.flight.ask.decide(&hit.object.terms(), now), Decision::Validate(_)) =>
            {
                self.tell(Announcement::Stored(hit));
                true
            }
            stale => {
                self.stale = stale.filter(|hit| hit.is_kept(&self.flight.ask.policy.outlasting, now));
                false
            }
        }
    }

    /// Whether the origin gets the client's own request.
    fn passes(&self) -> bool {
        matches!(self.purpose, Purpose::Pass | Purpose::Through)
    }

    /// Whether what is stored was not purged meanwhile.
    fn lives(&self, hit: &Hit) -> bool {
        self.shared.cache.is_alive(&self.flight.ask.key, &hit.object)
    }

    fn us(&self) -> &outgoing::Us {
        &self.flight.ask.setup.us
    }

    fn normalised(&self) -> OriginRequest {
        let stale = self.stale.as_ref().map(|hit| &*hit.object);
        let mut request = outgoing::normalised(&self.flight.ask, stale, self.us());
        if let Some(part) = self.asked {
            outgoing::add_part(&mut request, part);
        } else if self.asks_for_its_part() {
            outgoing::add_range(&mut request, &self.flight.ask);
        }
        request
    }

    /// Sends the request and waits for a head that makes sense for it, and that nothing stored bridges. `None`: the fetch is
    /// over, and everybody was told.
    async fn ask_origin(&mut self, request: Box<OriginRequest>) -> Option<Box<Answer>> {
        if self.place.is_none() {
            self.place = self.shared.places.take();
        }
        if self.place.is_none() {
            self.give_up(OriginError::too_many());
            return None;
        }
        let (born, sent_at) = (self.shared.cache.sequence(), self.shared.clock.now());
        self.flight.leaves(born);
        self.shared.counters.fetches.inc();
        let is_early = outgoing::is_early_by_us(&request, &self.flight.ask);
        let may_confirm = self.stale.is_some() || self.asks_for_part();
        let conditional = may_confirm && request.headers.keys().any(validation::is_conditional);
        let begun = Instant::now();
        let asked = tokio::select! {
            // An answer that is there counts, whoever has left: it may tell of a change.
            biased;
            asked = self.exchange(request) => asked,
            () = self.writer.abandoned() => return None,
        };
        if let (Ok(_), Some(site)) = (&asked, &self.flight.ask.metrics) {
            site.origin_took(begun.elapsed());
        }
        match asked.and_then(|exchange| self.makes_sense(exchange, conditional)) {
            Ok(exchange) if is_early && depends_on_early(&exchange.head) => {
                self.leave_table();
                self.tell(Announcement::TooEarly);
                exchange.body.release();
                None
            }
            Ok(exchange) => {
                let times = Times { born, request: sent_at, response: self.shared.clock.now() };
                let bridged = self.is_bridged(exchange.head.status);
                (!bridged).then(|| Box::new(Answer { exchange, times }))
            }
            Err(error) => {
                let blame = error.blame.name();
                tracing::debug!(%error, blame, key = ?self.flight.ask.key, "a fetch failed before its head");
                self.give_up(error);
                None
            }
        }
    }

    /// Asks the pool of the site. Cancelled, the connection is closed.
    async fn exchange(&self, mut request: Box<OriginRequest>) -> Result<Exchange, OriginError> {
        match self.flight.ask.pool() {
            Some(pool) => {
                self.shared.tell_shield(&self.flight.ask, pool, &mut request);
                pool.exchange_heard(request, self.hears.clone()).await
            }
            None => Err(OriginError::internal()),
        }
    }

    /// Where the site comes from: `host:port` of every endpoint.
    fn origins(&self) -> impl Iterator<Item = &str> + Clone {
        self.flight.ask.pool().into_iter().flat_map(|pool| pool.authorities())
    }

    /// Whether the request that is sent has a `Range`.
    fn asks_for_part(&self) -> bool {
        self.asked.is_some() || self.asks_for_its_part()
    }

    /// Whether it has the client's own, because what comes is for that client.
    fn asks_for_its_part(&self) -> bool {
        matches!(self.purpose, Purpose::Alone)
            && !self.asks_whole
            && outgoing::asks_for_part(&self.flight.ask)
    }

    /// A 101 that nobody asked for, a part when the whole was asked for, or a 304 to no condition is no answer; nor is
    /// content that nobody can decode, unless the site reads that as it is.
    fn makes_sense(&self, exchange: Exchange, conditional: bool) -> Result<Exchange, OriginError> {
        if exchange.unknown_coding && !self.flight.ask.policy.store_until_close {
            return Err(OriginError::malformed());
        }
        let passes = self.passes();
        let offered = matches!(self.purpose, Purpose::Pass) && self.flight.ask.upgrade.is_some();
        match exchange.head.status {
            StatusCode::SWITCHING_PROTOCOLS if !offered => Err(OriginError::malformed()),
            StatusCode::PARTIAL_CONTENT if !passes && !self.asks_for_part() => Err(OriginError::malformed()),
            StatusCode::NOT_MODIFIED if !passes && !conditional => Err(OriginError::malformed()),
            _ => Ok(exchange),
        }
    }

    fn judge(&self, status: StatusCode, headers: &HeaderMap, ends_by_close: bool, times: Times) -> Verdict {
        if matches!(self.purpose, Purpose::Pass) {
            return Verdict::passed();
        }
        let (ask, settings) = (&self.flight.ask, self.flight.ask.setup.settings());
        if matches!(self.purpose, Purpose::Through) && !verdict::stands_for_get(ask, status, headers) {
            return Verdict::passed();
        }
        if self.asks_for_part() && !verdict::is_of_resource(status) {
            return Verdict::of_range();
        }
        verdict::judge(ask, settings, status, headers, ends_by_close, (times.request, times.response))
    }

    fn leave_table(&mut self) {
        if matches!(self.purpose, Purpose::Shared(_)) {
            self.purpose = Purpose::Alone;
        }
    }

    fn tell(&self, announcement: Announcement) {
        self.announcer.tell(announcement);
    }
}

/// Whether an answer would have been another one to a request that is surely no replay.
fn depends_on_early(head: &ReplyHead) -> bool {
    let varies = || VarySet::of(&head.headers).is_some_and(|vary| vary.names().contains(&EARLY_DATA));
    head.status == StatusCode::TOO_EARLY || varies()
}
