//! A run: one exchange with the origin that brings some blocks that follow each other.
//!
//! It asks for a range, on condition that nothing has changed (RFC 9110 §13.1.5), and takes for an answer only what is
//! surely of the same representation. Dropped at any await, its blocks fail, and who reads along has them brought anew.

use std::sync::Arc;

use http::StatusCode;
use http::header::HeaderMap;

use super::answer::{Answer, answer, is_too_short};
use super::assembly::Assembly;
use super::carry::carry;
use super::landing::Landing;
use super::stream::Stream;
use crate::base::clock::Timestamp;
use crate::body::busy::BodyError;
use crate::cache::object::Object;
use crate::fetch::ask::Ask;
use crate::fetch::flight::Trouble;
use crate::fetch::{Shared, outgoing, verdict};
use crate::origin::IncomingBody;
use crate::semantics::ranges::Part;
use crate::semantics::validation;

/// One run.
pub(super) struct Run {
    pub(super) shared: Arc<Shared>,
    pub(super) ask: Arc<Ask>,
    pub(super) object: Arc<Object>,
    pub(super) assembly: Arc<Assembly>,
    /// What it brings, in order and without a gap.
    pub(super) landings: Vec<Landing>,
}

impl Run {
    /// Asks the origin, and carries over what comes. Dropped, as the module's text says; the connection is closed.
    pub(super) async fn run(mut self) {
        if let Some(first) = self.landings.first_mut() {
            first.make_room().await;
        }
        let (Some(first), Some(last)) = (self.landings.first(), self.landings.last()) else { return };
        let representation = &self.object.representation;
        let (first, last) = (first.index(), last.index());
        let part = Part {
            first: representation.bytes_of(first).start,
            last: representation.bytes_of(last).end.saturating_sub(1),
        };
        let request = outgoing::of_part(&self.ask, part, &self.object, &self.ask.setup.us);
        let sent = self.shared.clock.now();
        let exchange = match self.shared.exchange(&self.ask, request).await {
            Ok(exchange) => exchange,
            Err(error) => return self.end(Trouble::NoHead(error)),
        };
        if is_too_short(&exchange, self.object.representation.bytes_of(first).end) {
            // It caps its parts: no block would ever be whole.
            self.shared.counters.unusable_parts.inc();
            self.assembly.note_whole_only();
            // No trouble for those who wait: the whole may be had.
            return self.landings.into_iter().for_each(|landing| landing.fail(BodyError::Incomplete));
        }
        match answer(&exchange, Some(part), &self.object) {
            Answer::Part if !self.may_be_kept(&exchange.head.headers, sent) => {
                self.landings.iter_mut().for_each(Landing::pass);
                carry(&self.shared, &self.ask, &self.object, self.landings, exchange.body).await;
            }
            Answer::Part => carry(&self.shared, &self.ask, &self.object, self.landings, exchange.body).await,
            Answer::Whole => self.whole(exchange.body).await,
            Answer::Changed => self.changed(),
            Answer::Nothing(trouble) => self.end(trouble),
        }
    }

    /// Whether what came may be stored: neither this client's request nor the origin's answer to it forbids that, as
    /// whoever asked first did not (RFC 9111 §3).
    fn may_be_kept(&self, headers: &HeaderMap, sent: Timestamp) -> bool {
        let merged = validation::update_stored(&self.object.head.headers(), headers);
        let times = (sent, self.shared.clock.now());
        let settings = self.ask.setup.settings();
        verdict::judge(&self.ask, settings, StatusCode::OK, &merged, false, times).store.is_some()
    }

    /// The origin does not do ranges: its answer feeds whoever reads. Dropped, as [`Stream::carry`].
    async fn whole(self, body: IncomingBody) {
        let Self { shared, ask, object, assembly, landings } = self;
        assembly.note_whole_only();
        drop(landings);
        // If the whole is under way already, this one is one too many.
        if let Some(stream) = Stream::begin(&shared, &ask, &object, &assembly) {
            stream.carry(body).await;
        }
    }

    /// What is stored is out of date, whatever it says of its freshness.
    fn changed(self) {
        note_changed(&self.shared, &self.ask, &self.object);
        self.landings.into_iter().for_each(|landing| landing.fail(BodyError::Changed));
    }

    fn end(self, trouble: Trouble) {
        tracing::debug!(?trouble, key = ?self.ask.key, "blocks were not brought");
        self.assembly.note_trouble(trouble);
        self.landings.into_iter().for_each(|landing| landing.fail(BodyError::Incomplete));
    }
}

/// Takes an object out of which the origin has another version by now.
pub(super) fn note_changed(shared: &Shared, ask: &Ask, object: &Object) {
    tracing::debug!(key = ?ask.key, "what is stored has changed at the origin: all its blocks are dropped");
    shared.counters.changed_objects.inc();
    shared.cache.remove(&ask.key, object);
}
