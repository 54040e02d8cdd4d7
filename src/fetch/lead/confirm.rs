//! An answer that brings what is stored up to date: a 304, or what a HEAD has told.

use std::sync::Arc;

use http::StatusCode;
use http::header::{HeaderMap, HeaderName};

use super::{Answer, Lead, Times};
use crate::body::message::ReplyHead;
use crate::cache::lookup::{Hit, Lookup};
use crate::fetch::cleaned::clean;
use crate::fetch::flight::{Announcement, Refreshed};
use crate::fetch::{store, verdict};
use crate::origin::Exchange;
use crate::semantics::validation::{self, HeadEffect};

impl Lead {
    /// Brings what was stored up to date with a 304 (RFC 9111 §4.3.4).
    pub(super) fn refresh(mut self: Box<Self>, stale: &Hit, answer: Box<Answer>) {
        let Answer { exchange: Exchange { head, body, .. }, times } = *answer;
        let status = stale.object.head.status;
        let head = clean(head, &self.flight.ask, &self.origins(), times.response);
        let merged = validation::update_stored(&stale.object.head.headers(), &head.headers);
        let verdict = self.judge(status, &merged, false, times);
        let merged = without(merged, &verdict.unshared);
        let (hit, stored) =
            store::refreshed(&self.shared, &self.flight.ask, stale, &merged, &verdict, times.born);
        self.prepare_others(&verdict, status, times);
        self.tell(Announcement::Refreshed(Arc::new(Refreshed { hit, others: verdict.others, stored })));
        drop(self);
        body.release();
    }

    /// Lets what a HEAD that was passed has told apply to what is stored for a GET (RFC 9111 §4.3.5), if it was asked
    /// in words that any client could have used. Cancelled, it does not.
    pub(super) async fn apply_head(&self, head: &ReplyHead, times: Times) {
        let (cache, ask) = (&self.shared.cache, &self.flight.ask);
        if head.status != StatusCode::OK || ask.goes_alone() || !ask.shareable {
            return;
        }
        let stored = match cache.look_again(&ask.key, &ask.headers) {
            Lookup::Found(hit) => Some(hit),
            Lookup::Miss(_) => cache.find(&ask.key, ask).await,
        };
        let Some(stored) = stored.filter(|hit| hit.object.head.status == StatusCode::OK) else { return };
        if stored.object.terms().freshness.response_time > times.request {
            // What is stored came after the HEAD was asked: it knows better.
            return;
        }
        let fields = stored.object.head.headers();
        match validation::head_effect(&head.headers, &fields) {
            Some(HeadEffect::Update) => {
                let merged = validation::update_stored(&fields, &head.headers);
                let (settings, request) = (ask.setup.settings(), (times.request, times.response));
                let verdict = verdict::judge(ask, settings, head.status, &merged, false, request);
                let merged = without(merged, &verdict.unshared);
                store::refreshed(&self.shared, ask, &stored, &merged, &verdict, times.born);
            }
            Some(HeadEffect::Invalidate) => cache.remove(&ask.key, &stored.object),
            None => {}
        }
    }
}

/// `headers` without some of them.
pub(super) fn without(mut headers: HeaderMap, names: &[HeaderName]) -> HeaderMap {
    for name in names {
        headers.remove(name);
    }
    headers
}
