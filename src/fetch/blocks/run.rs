//! A run: one exchange with the origin that brings some blocks that follow each other.
//!
//! It asks for a range, on condition that nothing has changed (RFC 9110 §13.1.5), and takes for an answer only what is
//! surely of the same representation. Dropped at any await, its blocks fail, and who reads along has them brought anew.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use http::header::{self, HeaderMap};

use super::assembly::Assembly;
use super::landing::Landing;
use super::stream::Stream;
use crate::base::clock::Timestamp;
use crate::body::busy::BodyError;
use crate::cache::object::{Object, Representation};
use crate::fetch::ask::Ask;
use crate::fetch::flight::Trouble;
use crate::fetch::{Shared, outgoing, verdict};
use crate::origin::{Exchange, IncomingBody, OriginError};
use crate::semantics::etag::ETag;
use crate::semantics::fields;
use crate::semantics::ranges::{ContentRange, Part};
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

/// What the origin's answer is good for.
pub(super) enum Answer {
    /// The bytes that were asked for, or the first of them.
    Part,
    /// The whole, unchanged: the origin does not do ranges.
    Whole,
    /// The origin has something else by now.
    Changed,
    /// Nothing.
    Nothing(Trouble),
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
        let request = outgoing::of_part(&self.ask, part, &self.object, &self.shared.us());
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
        let merged = validation::update_stored(&self.object.head.headers, headers);
        let times = (sent, self.shared.clock.now());
        let settings = &self.shared.settings;
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

/// Carries blocks that follow each other over to the tiers, from the first byte of `body` on. Dropped, the blocks that are
/// not whole fail, those before them stay, and the connection is closed.
pub(in crate::fetch) async fn carry(
    shared: &Shared,
    ask: &Ask,
    object: &Object,
    landings: impl IntoIterator<Item = Landing>,
    mut body: IncomingBody,
) {
    let mut rest = Bytes::new();
    let mut landings = landings.into_iter();
    while let Some(mut landing) = landings.next() {
        landing.make_room().await;
        let length = length_of(&object.representation, landing.index());
        match bring(landing, length, &mut rest, &mut body).await {
            Ok(landing) => landing.finish(&shared.cache, &ask.key, object).await,
            Err(error) => {
                shared.counters.broken_bodies.inc();
                return landings.for_each(|landing| landing.fail(error));
            }
        }
    }
    if rest.is_empty() && matches!(body.next().await, Ok(None)) {
        body.release().await;
    }
}

/// Bytes of a block.
pub(super) fn length_of(representation: &Representation, index: u32) -> usize {
    let bytes = representation.bytes_of(index);
    usize::try_from(bytes.end - bytes.start).unwrap_or(0)
}

/// Fills a block from `rest` and then from `body`; what is over stays in `rest`. Dropped, the block fails.
pub(super) async fn bring(
    mut landing: Landing,
    length: usize,
    rest: &mut Bytes,
    body: &mut IncomingBody,
) -> Result<Landing, BodyError> {
    let mut missing = length;
    while missing > 0 {
        let piece = match next_piece(missing, rest, body).await {
            Ok(piece) => piece,
            Err(error) => {
                landing.break_off(error);
                return Err(error);
            }
        };
        missing -= piece.len();
        landing.append(piece).await.map_err(|_| BodyError::Aborted)?;
    }
    Ok(landing)
}

/// The next bytes, `most` at most, of `rest` and then of `body`; never none. Cancel-safe: they are taken only when
/// returned.
pub(super) async fn next_piece(
    most: usize,
    rest: &mut Bytes,
    body: &mut IncomingBody,
) -> Result<Bytes, BodyError> {
    if rest.is_empty() {
        *rest = body.next().await?.ok_or(BodyError::Incomplete)?;
    }
    Ok(rest.split_to(most.min(rest.len())))
}

/// Whether a part ends before the first block of it does, at `end`.
fn is_too_short(exchange: &Exchange, end: u64) -> bool {
    let headers = &exchange.head.headers;
    exchange.head.status == StatusCode::PARTIAL_CONTENT
        && matches!(ContentRange::of(headers), Some(ContentRange::Part(part, _)) if part.end() < end)
}

/// What an answer to a request for this part, or for the whole, is good for.
pub(super) fn answer(exchange: &Exchange, asked: Option<Part>, object: &Object) -> Answer {
    let (status, headers) = (exchange.head.status, &exchange.head.headers);
    let stored = &object.head.headers;
    // Under `If-Range` the rest of the head may be left out (RFC 9110 §15.3.7).
    let terse = status == StatusCode::PARTIAL_CONTENT
        && !headers.contains_key(header::CONTENT_ENCODING)
        && !headers.contains_key(header::CONTENT_TYPE)
        && stored.contains_key(header::CONTENT_TYPE);
    let same = if terse { ETag::is_shared_by(headers, stored) } else { is_same(headers, stored) };
    let length = object.representation.length;
    if exchange.unknown_coding {
        return Answer::Nothing(malformed());
    }
    match (status, ContentRange::of(headers).zip(asked)) {
        (StatusCode::PARTIAL_CONTENT, Some((ContentRange::Part(part, complete), asked))) => {
            let said = fields::announced_length(headers);
            let lies = part.first != asked.first
                || part.last > asked.last
                || said.is_some_and(|said| said != part.length());
            // Under the same tag, but not as long: one of the two is of something else.
            let as_long = complete.is_none_or(|complete| complete == length);
            match (same, lies) {
                (true, false) if as_long => Answer::Part,
                (true, true) => Answer::Nothing(malformed()),
                (_, _) => Answer::Changed,
            }
        }
        (StatusCode::OK, _) if same && fields::announced_length(headers) == Some(length) => Answer::Whole,
        (
            StatusCode::OK | StatusCode::RANGE_NOT_SATISFIABLE | StatusCode::NOT_FOUND | StatusCode::GONE,
            _,
        ) => Answer::Changed,
        (status, _) if status.is_client_error() || status.is_server_error() => {
            Answer::Nothing(Trouble::Answered(status))
        }
        // A part without a range that can be read, many parts at once, a confirmation that was not asked for.
        _ => Answer::Nothing(malformed()),
    }
}

/// What came makes no sense.
pub(super) fn malformed() -> Trouble {
    Trouble::NoHead(OriginError::malformed())
}

/// Whether a head is of the very representation that another is of: the same strong `ETag`, and the same coding
/// (RFC 9110 §15.3.7.3).
fn is_same(headers: &HeaderMap, stored: &HeaderMap) -> bool {
    let coding =
        |headers: &HeaderMap| headers.get_all(header::CONTENT_ENCODING).iter().cloned().collect::<Vec<_>>();
    ETag::is_shared_by(headers, stored) && coding(headers) == coding(stored)
}
