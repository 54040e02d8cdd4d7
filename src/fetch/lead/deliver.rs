//! A new answer: its head is announced, its body carried over and, if that may be, stored.

use std::sync::Arc;

use http::header;
use http::{Method, StatusCode};
use parking_lot::Mutex;

use super::confirm::without;
use super::{Answer, Lead, Times};
use crate::body::busy::{BodyError, Retention};
use crate::body::content::BLOCK;
use crate::body::message::ReplyHead;
use crate::cache::markers::Marker;
use crate::fetch::cleaned::{announced_trailers, clean, clean_trailers};
use crate::fetch::coded::CodedStreams;
use crate::fetch::flight::{Announced, Announcement, Others};
use crate::fetch::verdict::{self, Verdict};
use crate::fetch::{Purpose, invalidate, store};
use crate::origin::{Exchange, IncomingBody};
use crate::semantics::{fields, storage};

/// Why an error is not stored, in the word that `Cache-Status` uses: what it would take the place of bridges it.
const STALE_IS_KEPT: &str = "stale-is-kept";

impl Lead {
    /// Announces a head and carries its body over.
    pub(super) async fn deliver(mut self: Box<Self>, answer: Box<Answer>) {
        let Answer { exchange, mut times } = *answer;
        let Exchange { head, mut body, tunnel, ends_by_close, .. } = exchange;
        let trailer = announced_trailers(&head.headers, &self.flight.ask.policy.tags);
        // Judged as it came: cleaning takes off what `Connection` names, and that must not hide a `Vary`.
        let bridge = self.bridge(head.status);
        let verdict = match &bridge {
            Some(_) => Verdict::refused(STALE_IS_KEPT),
            None => self.judge(head.status, &head.headers, ends_by_close, times),
        };
        let mut head = clean(head, &self.flight.ask, &self.origins(), times.response);
        if self.passes() {
            times.born =
                invalidate::after(&self.shared, &self.flight.ask, &head, times.born, times.response).await;
        }
        if matches!(self.purpose, Purpose::Pass) && self.flight.ask.method == Method::HEAD {
            Box::pin(self.apply_head(&head, times)).await;
        }
        self.note_refresh(verdict.store.is_some());
        if self.takes_the_place(&verdict, head.status)
            && let Some(stale) = &self.stale
        {
            self.shared.cache.remove(&self.flight.ask.key, &stale.object);
        }
        if verdict.store.is_none() {
            self.writer.lower_retention(verdict::retention_unstored(&head.headers));
        }
        if verdict.store.is_some() {
            self.offer_ranges(&mut head);
        }
        let generation = self.shared.cache.next_generation();
        let length = fields::announced_length(&head.headers);
        let stored_head = verdict
            .store
            .is_some()
            .then(|| ReplyHead::new(head.status, without(head.headers.clone(), &verdict.unshared)));
        let (status, unshared) = (head.status, verdict.unshared.clone());
        self.prepare_others(&verdict, status, times);
        self.tell(Announcement::Head(Arc::new(Announced {
            head,
            others: verdict.others,
            storing: verdict.store.is_some() && !self.stops_at_first_block(length),
            refusal: verdict.refusal,
            replaces_stale: self.stale.is_some(),
            bridge,
            terms: verdict.terms,
            unshared: verdict.unshared,
            tags: verdict.tags.clone(),
            trailer,
            coded: CodedStreams::default(),
            tunnel: Mutex::new(tunnel),
        })));
        if verdict.store.is_none() {
            self.let_era_go();
        }

        // Of a part that is the whole nothing but its `Content-Range` may say how long it is.
        let promised = length.filter(|_| self.asked.is_some());
        let Some(end) = self.carry(&mut body, promised).await else { return };
        let Self { shared, flight, writer, purpose, era, .. } = *self;
        if let Err(error) = end {
            tracing::debug!(%error, key = ?flight.ask.key, "a body broke off");
            shared.counters.broken_bodies.inc();
            return writer.fail(error);
        }
        // Whoever reads gets the same trailers: what is one client's is in none of them.
        let cleaned = |trailers| clean_trailers(trailers, &flight.ask.policy.tags);
        let trailers = body.take_trailers().map(|trailers| without(cleaned(trailers), &unshared));
        let content = writer.finish(trailers);
        if let (Some(content), Some((storable, vary)), Some(head)) = (content, verdict.store, stored_head) {
            let kept = store::Kept { storable: &storable, vary, tags: verdict.tags };
            store::store(&shared, &flight.ask, head, &content, kept, (times.born, generation));
        }
        // Only now may a new fetch for the key begin.
        drop((purpose, era));
        body.release();
    }

    /// Says that parts can be had of what will be stored (RFC 9110 §14.3), where the origin says nothing of it. Said once,
    /// so that no hit has to.
    pub(super) fn offer_ranges(&self, head: &mut ReplyHead) {
        let ask = &self.flight.ask;
        let served = ask.policy.max_ranges > 0 && *ask.fetch_method() == Method::GET;
        if served && head.status == StatusCode::OK {
            let said = head.headers.entry(header::ACCEPT_RANGES);
            said.or_insert(header::HeaderValue::from_static("bytes"));
        }
    }

    /// Copies the body over as fast as the origin sends, if it is as long as promised. `None`: nobody wants it any more.
    async fn carry(
        &mut self,
        body: &mut IncomingBody,
        promised: Option<u64>,
    ) -> Option<Result<(), BodyError>> {
        let mut missing = promised;
        loop {
            let chunk = tokio::select! {
                chunk = body.next() => chunk,
                () = self.writer.abandoned() => return None,
            };
            match chunk {
                Ok(Some(bytes)) => {
                    if let Some(missing) = &mut missing {
                        let Some(rest) = missing.checked_sub(bytes.len() as u64) else {
                            return Some(Err(BodyError::Malformed));
                        };
                        *missing = rest;
                    }
                    // The client may have to send all before it takes anything.
                    tokio::select! {
                        biased;
                        appended = self.writer.append(bytes) => appended.ok()?,
                        never = body.keep_sending() => match never {},
                    }
                }
                Ok(None) if missing.is_some_and(|missing| missing > 0) => {
                    return Some(Err(BodyError::Incomplete));
                }
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
        self.flight.ask.method == Method::HEAD
            && self.refresh.is_none()
            && length.is_some_and(|length| length > BLOCK as u64)
    }

    /// Keeps less of a body that turns out long; false if it should not go on at all.
    fn keep_within_limits(&mut self) -> bool {
        let len = self.flight.busy.len();
        let settings = self.flight.ask.setup.settings();
        let (is_too_large, is_endless) = (len > settings.max_object, len > settings.max_spool);
        if is_too_large {
            self.writer.lower_retention(Retention::Spool);
            self.let_era_go();
        }
        if is_endless {
            self.writer.lower_retention(Retention::Window);
        }
        !(self.stops_at_first_block(Some(len)) && self.writer.abandon_unread())
    }

    /// Nothing of it will be stored: no record of a purge need be kept for its sake. Who comes in a later era does not join.
    fn let_era_go(&mut self) {
        if self.era.is_some() {
            self.flight.let_go();
            self.era = None;
        }
    }

    /// Whether the answer says of the resource that what is stored is no longer what it is, and cannot be stored itself: what
    /// is stored must not bridge errors, or the time of a refresh, as if nothing had changed.
    pub(super) fn takes_the_place(&self, verdict: &Verdict, status: StatusCode) -> bool {
        verdict.store.is_none() && !verdict.speaks_of_request && !status.is_server_error() && !self.passes()
    }

    /// Lets the next requests find their way before the waiters are woken: the variants that are now known, or
    /// the marker that keeps them from waiting.
    pub(super) fn prepare_others(&mut self, verdict: &Verdict, status: StatusCode, times: Times) {
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
    /// client's making, or an origin in trouble. Nor does a part that one client got for itself: it is never stored, and
    /// would have the marker live on for ever where parts are all that is asked for.
    fn leaves_marker(&self, verdict: &Verdict, status: StatusCode) -> bool {
        let personal = storage::is_personal(&self.flight.ask.headers, &self.flight.ask.policy);
        status != StatusCode::PARTIAL_CONTENT
            && !verdict.speaks_of_request
            && !personal
            && !status.is_server_error()
            && !self.passes()
    }
}
