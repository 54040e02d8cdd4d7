//! The life of one fetch, in a task of its own: request, head, verdict, body, store.
//!
//! The task owns the writing side of the busy body and the flight's place in the table. Both are given back by
//! drop, so that a fetch that is aborted at any await fails its body, wakes its waiters and leaves the table.

use std::sync::Arc;

use http::header::{self, HeaderMap, HeaderName};
use http::{Method, StatusCode};
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::Instant;

use super::cleaned::{clean, clean_trailers};
use super::flight::{Announced, Announcement, Failure, Flight, Others, Refreshed, Trouble};
use super::verdict::{self, Verdict};
use super::{Purpose, Shared, invalidate, outgoing, store};
use crate::base::clock::Timestamp;
use crate::base::ids::Sequence;
use crate::body::Body;
use crate::body::budget::Charge;
use crate::body::busy::{BodyError, Retention, Writer};
use crate::body::content::BLOCK;
use crate::body::message::ReplyHead;
use crate::cache::lookup::{Hit, Lookup};
use crate::cache::markers::Marker;
use crate::origin::{Exchange, IncomingBody, OriginError, OriginRequest, Pool};
use crate::semantics::reuse::Decision;
use crate::semantics::validation::HeadEffect;
use crate::semantics::{fields, storage, validation};

/// A fetch and everything that it owns.
pub(super) struct Lead {
    pub(super) shared: Arc<Shared>,
    pub(super) flight: Arc<Flight>,
    pub(super) announce: watch::Sender<Option<Announcement>>,
    pub(super) writer: Writer,
    pub(super) purpose: Purpose,
    /// What the origin is asked to confirm.
    pub(super) stale: Option<Hit>,
    /// Its place among the fetches that may run, once the origin is asked.
    pub(super) place: Option<OwnedSemaphorePermit>,
    /// Its place among the refreshes that may run, if it is one.
    pub(super) _refresh: Option<OwnedSemaphorePermit>,
    /// What its heads take.
    pub(super) _memory: Charge,
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
    pub(super) async fn run(mut self, body: Body) {
        if self.answers_from_disk().await {
            return;
        }
        self.stale = self.stale.take().filter(|hit| self.lives(hit));
        let request = match self.purpose {
            Purpose::Pass => outgoing::passed(&self.flight.ask, body, &self.us()),
            Purpose::Through => outgoing::written_through(&self.flight.ask, body, &self.us()),
            Purpose::Shared(_) | Purpose::Alone => self.normalised(),
        };
        let Some((exchange, times)) = self.ask_origin(request).await else { return };
        if self.is_bridged(exchange.head.status) {
            return;
        }
        if exchange.head.status != StatusCode::NOT_MODIFIED || self.stale.is_none() {
            return self.deliver(exchange, times).await;
        }
        let Some(stale) = self.stale.take() else { return };
        if validation::confirms(&exchange.head.headers, &stale.object.head.headers) && self.lives(&stale) {
            return self.refresh(&stale, exchange, times).await;
        }
        // It confirmed something that we do not have, or that was purged meanwhile. Ask once more, for all of it.
        drop(exchange);
        let request = self.normalised();
        if let Some((exchange, times)) = self.ask_origin(request).await {
            self.deliver(exchange, times).await;
        }
    }

    /// Whether the origin answered with a server error that what is stored bridges (RFC 9111 §4.3.3, RFC 5861 §4). If
    /// so, everybody was told.
    fn is_bridged(&mut self, status: StatusCode) -> bool {
        let failed = matches!(status.as_u16(), 500 | 502 | 503 | 504) && !self.passes();
        let now = self.shared.clock.now();
        let ask = &self.flight.ask;
        let may_bridge = |hit: &&Hit| self.lives(hit) && ask.may_use_on_error(&hit.object.terms, now);
        let bridges = self.stale.as_ref().filter(may_bridge);
        if !failed || bridges.is_none() {
            if self.stale.is_some() && !failed {
                self.shared.backoff.succeeded(&ask.key);
            }
            return false;
        }
        self.fail(Trouble::Answered(status));
        true
    }

    /// Looks on disk, where memory had nothing. What is fresh there ends the fetch; what is stale is to be confirmed.
    async fn answers_from_disk(&mut self) -> bool {
        if self.passes() || self.stale.is_some() {
            return false;
        }
        let found = tokio::select! {
            found = self.shared.cache.find(&self.flight.ask.key, &self.flight.ask) => found,
            () = self.writer.abandoned() => None,
        };
        let now = self.shared.clock.now();
        match found {
            Some(hit) if !matches!(self.flight.ask.decide(&hit.object.terms, now), Decision::Validate(_)) => {
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

    fn us(&self) -> outgoing::Us<'_> {
        let settings = &self.shared.settings;
        outgoing::Us { node: &settings.node, cdn_id: &settings.cdn_id }
    }

    fn normalised(&self) -> OriginRequest {
        let stale = self.stale.as_ref().map(|hit| &*hit.object);
        outgoing::normalised(&self.flight.ask, stale, &self.us())
    }

    /// Sends the request and waits for a head that makes sense for it. `None`: the fetch is over, and everybody
    /// was told.
    async fn ask_origin(&mut self, request: OriginRequest) -> Option<(Exchange, Times)> {
        if self.place.is_none() {
            self.place = Arc::clone(&self.shared.places).try_acquire_owned().ok();
        }
        if self.place.is_none() {
            self.give_up(OriginError::too_many());
            return None;
        }
        let (born, sent_at) = (self.shared.cache.sequence(), self.shared.clock.now());
        self.flight.leaves(born);
        self.shared.counters.fetches.inc();
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
        match asked.and_then(|exchange| self.makes_sense(exchange)) {
            Ok(exchange) => {
                let times = Times { born, request: sent_at, response: self.shared.clock.now() };
                Some((exchange, times))
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
    async fn exchange(&self, request: OriginRequest) -> Result<Exchange, OriginError> {
        match self.shared.pools.get(self.flight.ask.pool.0) {
            Some(pool) => pool.exchange(request).await,
            None => Err(OriginError::internal()),
        }
    }

    /// Where the site comes from: `host:port` of every endpoint.
    fn origins(&self) -> impl Iterator<Item = &str> + Clone {
        self.shared.pools.get(self.flight.ask.pool.0).into_iter().flat_map(Pool::authorities)
    }

    /// A 101 that nobody asked for, a part when the whole was asked for, or a 304 to no condition is no answer; nor is
    /// content that nobody can decode, unless the site reads that as it is.
    fn makes_sense(&self, exchange: Exchange) -> Result<Exchange, OriginError> {
        if exchange.unknown_coding && !self.flight.ask.policy.store_until_close {
            return Err(OriginError::malformed());
        }
        let passes = self.passes();
        let offered = matches!(self.purpose, Purpose::Pass) && self.flight.ask.upgrade.is_some();
        match exchange.head.status {
            StatusCode::SWITCHING_PROTOCOLS if !offered => Err(OriginError::malformed()),
            StatusCode::PARTIAL_CONTENT if !passes => Err(OriginError::malformed()),
            StatusCode::NOT_MODIFIED if !passes && self.stale.is_none() => Err(OriginError::malformed()),
            _ => Ok(exchange),
        }
    }

    /// Announces a head and carries its body over.
    async fn deliver(mut self, exchange: Exchange, mut times: Times) {
        let Exchange { head, mut body, tunnel, ends_by_close, .. } = exchange;
        let trailer = head.headers.get(header::TRAILER).cloned();
        // Judged as it came: cleaning takes off what `Connection` names, and that must not hide a `Vary`.
        let verdict = self.judge(head.status, &head.headers, ends_by_close, times);
        let head = clean(head, &self.flight.ask, &self.origins(), times.response);
        if self.passes() {
            times.born =
                invalidate::after(&self.shared, &self.flight.ask, &head, times.born, times.response).await;
        }
        if matches!(self.purpose, Purpose::Pass) && self.flight.ask.method == Method::HEAD {
            self.apply_head(&head, times).await;
        }
        if verdict.store.is_none() {
            self.writer.lower_retention(verdict::retention_unstored(&head.headers));
        }
        let generation = self.shared.cache.next_generation();
        let length = fields::announced_length(&head.headers);
        let stored_head = verdict.store.is_some().then(|| ReplyHead {
            status: head.status,
            headers: without(head.headers.clone(), &verdict.unshared),
        });
        self.prepare_others(&verdict, head.status, times);
        self.tell(Announcement::Head(Arc::new(Announced {
            head,
            others: verdict.others,
            storing: verdict.store.is_some() && !self.stops_at_first_block(length),
            refusal: verdict.refusal,
            replaces_stale: self.stale.is_some(),
            terms: verdict.terms,
            unshared: verdict.unshared,
            trailer,
            tunnel: Mutex::new(tunnel),
        })));

        let Some(end) = self.carry(&mut body).await else { return };
        let Self { shared, flight, writer, purpose, .. } = self;
        if let Err(error) = end {
            tracing::debug!(%error, key = ?flight.ask.key, "a body broke off");
            shared.counters.broken_bodies.inc();
            return writer.fail(error);
        }
        let content = writer.finish(body.take_trailers().map(clean_trailers));
        if let (Some(content), Some((storable, vary)), Some(head)) = (content, verdict.store, stored_head) {
            store::store(&shared, &flight.ask, head, &content, &storable, vary, (times.born, generation));
        }
        // Only now may a new fetch for the key begin.
        drop(purpose);
        body.release().await;
    }

    /// Copies the body over as fast as the origin sends. `None`: nobody wants it any more.
    async fn carry(&mut self, body: &mut IncomingBody) -> Option<Result<(), BodyError>> {
        loop {
            let chunk = tokio::select! {
                chunk = body.next() => chunk,
                () = self.writer.abandoned() => return None,
            };
            match chunk {
                Ok(Some(bytes)) => self.writer.append(bytes).await.ok()?,
                Ok(None) => return Some(Ok(())),
                Err(error) => return Some(Err(error)),
            }
            if !self.keep_within_limits() {
                return None;
            }
        }
    }

    /// A HEAD is fetched as a GET so that it can be stored, but costs the origin a block at most.
    fn stops_at_first_block(&self, length: Option<u64>) -> bool {
        self.flight.ask.method == Method::HEAD && length.is_some_and(|length| length > BLOCK as u64)
    }

    /// Keeps less of a body that turns out long; false if it should not go on at all.
    fn keep_within_limits(&mut self) -> bool {
        let len = self.flight.busy.len();
        let settings = &self.shared.settings;
        if len > settings.max_object {
            self.writer.lower_retention(Retention::Spool);
        }
        if len > settings.max_spool {
            self.writer.lower_retention(Retention::Window);
        }
        !(self.stops_at_first_block(Some(len)) && self.writer.abandon_unread())
    }

    /// Brings what was stored up to date with a 304 (RFC 9111 §4.3.4).
    async fn refresh(mut self, stale: &Hit, exchange: Exchange, times: Times) {
        let Exchange { head, body, .. } = exchange;
        let status = stale.object.head.status;
        let head = clean(head, &self.flight.ask, &self.origins(), times.response);
        let merged = validation::update_stored(&stale.object.head.headers, &head.headers);
        let verdict = self.judge(status, &merged, false, times);
        let merged = without(merged, &verdict.unshared);
        let (hit, stored) =
            store::refreshed(&self.shared, &self.flight.ask, stale, &merged, &verdict, times.born);
        self.prepare_others(&verdict, status, times);
        self.tell(Announcement::Refreshed(Arc::new(Refreshed { hit, others: verdict.others, stored })));
        drop(self);
        body.release().await;
    }

    /// Lets what a HEAD that was passed has told apply to what is stored for a GET (RFC 9111 §4.3.5), if it was asked
    /// in words that any client could have used. Cancelled, it does not.
    async fn apply_head(&self, head: &ReplyHead, times: Times) {
        let (cache, ask) = (&self.shared.cache, &self.flight.ask);
        if head.status != StatusCode::OK || ask.goes_alone() || !ask.shareable {
            return;
        }
        let stored = match cache.look_again(&ask.key, &ask.headers) {
            Lookup::Found(hit) => Some(hit),
            Lookup::Miss(_) => cache.find(&ask.key, ask).await,
        };
        let Some(stored) = stored.filter(|hit| hit.object.head.status == StatusCode::OK) else { return };
        match validation::head_effect(&head.headers, &stored.object.head.headers) {
            Some(HeadEffect::Update) => {
                let merged = validation::update_stored(&stored.object.head.headers, &head.headers);
                let (settings, request) = (&self.shared.settings, (times.request, times.response));
                let verdict = verdict::judge(ask, settings, head.status, &merged, false, request);
                let merged = without(merged, &verdict.unshared);
                store::refreshed(&self.shared, ask, &stored, &merged, &verdict, times.born);
            }
            Some(HeadEffect::Invalidate) => cache.remove(&ask.key, &stored.object),
            None => {}
        }
    }

    fn judge(&self, status: StatusCode, headers: &HeaderMap, ends_by_close: bool, times: Times) -> Verdict {
        if matches!(self.purpose, Purpose::Pass) {
            return Verdict::passed();
        }
        let (ask, settings) = (&self.flight.ask, &self.shared.settings);
        if matches!(self.purpose, Purpose::Through) && !verdict::stands_for_get(ask, status, headers) {
            return Verdict::passed();
        }
        verdict::judge(ask, settings, status, headers, ends_by_close, (times.request, times.response))
    }

    /// Lets the next requests find their way before the waiters are woken: the variants that are now known, or
    /// the marker that keeps them from waiting.
    fn prepare_others(&mut self, verdict: &Verdict, status: StatusCode, times: Times) {
        let (cache, key) = (&self.shared.cache, &self.flight.ask.key);
        match &verdict.others {
            Others::Share(vary) => {
                cache.note_vary(key, vary);
                cache.unmark(key);
            }
            Others::Alone => {
                let reason = verdict.refusal.unwrap_or("needs-validation");
                if self.leaves_marker(verdict, status) {
                    cache.mark(key, Marker { born: times.born, since: times.response, reason });
                }
                self.leave_table();
            }
        }
    }

    /// Requests for one person, or that must leave no trace, say nothing about the key; nor does an error of one
    /// client's making, or an origin in trouble.
    fn leaves_marker(&self, verdict: &Verdict, status: StatusCode) -> bool {
        let personal = storage::is_personal(&self.flight.ask.headers, &self.flight.ask.policy);
        !verdict.speaks_of_request && !personal && !status.is_server_error() && !self.passes()
    }

    /// No head comes.
    fn give_up(&mut self, error: OriginError) {
        self.fail(Trouble::NoHead(error));
    }

    /// No head comes that could be used: what is stored bridges that, where it may, and rests before it is tried again.
    fn fail(&mut self, trouble: Trouble) {
        if self.stale.is_some() && trouble.is_of_origin() {
            self.shared.backoff.failed(&self.flight.ask.key, self.shared.clock.now());
        }
        self.leave_table();
        self.tell(Announcement::Failed(Failure { trouble, stale: self.stale.clone() }));
    }

    fn leave_table(&mut self) {
        if matches!(self.purpose, Purpose::Shared(_)) {
            self.purpose = Purpose::Alone;
        }
    }

    fn tell(&self, announcement: Announcement) {
        self.announce.send_replace(Some(announcement));
    }
}

/// `headers` without some of them.
fn without(mut headers: HeaderMap, names: &[HeaderName]) -> HeaderMap {
    for name in names {
        headers.remove(name);
    }
    headers
}
