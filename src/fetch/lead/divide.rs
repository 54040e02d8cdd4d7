//! Answers that are stored block by block as they come: parts, and what is long (decision 10).
//!
//! Dropped at any await before everybody is told, a fetch has failed (see [`super`]); after that, the head is stored, and
//! the blocks that are not whole fail.

use std::sync::Arc;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};

use super::{Answer, Lead};
use crate::body::content::BLOCK;
use crate::body::message::ReplyHead;
use crate::cache::object::{Object, Representation};
use crate::fetch::blocks::carry::carry;
use crate::fetch::blocks::landing::Landing;
use crate::fetch::blocks::stream::Stream;
use crate::fetch::cleaned::clean;
use crate::fetch::flight::{Announcement, Divided, Others};
use crate::fetch::verdict::{self, Verdict};
use crate::fetch::{Purpose, outgoing, store};
use crate::semantics::fields;
use crate::semantics::ranges::{self, ContentRange, Part, RangeSpecs, Resolved, Spec};

/// Blocks that are asked for at first: those that a short range touches.
const AT_FIRST: u64 = 2;

/// Why a part is not stored: nothing says surely what it is a part of.
const WEAK: &str = "weak-validator";

/// An answer that is stored block by block, once its head is.
struct Division {
    object: Arc<Object>,
    /// The blocks of a whole.
    stream: Option<Stream>,
    /// Those of a part.
    landings: Vec<Landing>,
}

impl Lead {
    /// The part that the origin is asked for where a client wants one of what may be for many: widened to blocks, and no
    /// longer than the first ones, because the rest is asked for as it is read. `None`: the whole.
    pub(super) fn part_to_ask(&self) -> Option<Part> {
        let ask = &self.flight.ask;
        let of_get = ask.method == Method::GET && ask.content.is_none() && ask.policy.max_ranges > 0;
        if !of_get || !matches!(self.purpose, Purpose::Shared(_)) {
            return None;
        }
        let block = BLOCK as u64;
        let asked = ranges::asked(&ask.headers)?;
        let (first, last) = match *asked.specs().first()? {
            Spec::From(first) => (first, u64::MAX),
            Spec::Between(first, last) => (first, last),
            // Where that begins is known once an answer has told how much there is.
            Spec::Suffix(_) => (0, 0),
        };
        let start = first - first % block;
        let most = start.checked_add(AT_FIRST * block)? - 1;
        Some(Part { first: start, last: most.min(last - last % block + (block - 1)) })
    }

    /// Goes on with an answer whose head has come and that confirms nothing. Dropped, as the module's text says.
    pub(super) async fn receive(mut self: Box<Self>, mut answer: Box<Answer>) {
        let in_vain = self.asked_in_vain(&answer.exchange.head);
        if in_vain || !self.recognises(&mut answer.exchange.head) {
            drop(answer);
            return Box::pin(self.receive_whole()).await;
        }
        if let Some(division) = self.divide(&answer) {
            Box::pin(self.follow(division, answer)).await;
        } else if self.is_part(&answer.exchange.head) {
            Box::pin(self.not_divided(answer)).await;
        } else {
            self.deliver(answer).await;
        }
    }

    /// Asks again, for the whole. Dropped, as the module's text says.
    async fn receive_whole(mut self: Box<Self>) {
        (self.asked, self.asks_whole) = (None, true);
        // What was to be confirmed is not: what has come so far was something else.
        let request = outgoing::normalised(&self.flight.ask, None, self.us());
        let Some(answer) = self.ask_origin(Box::new(request)).await else { return };
        match self.divide(&answer) {
            Some(division) => self.follow(division, answer).await,
            None => self.deliver(answer).await,
        }
    }

    /// Whether the origin has nothing of the part that it was asked for, but may have something for the client: another one
    /// of its parts, or the whole, because its `If-Range` does not hold (RFC 9110 §13.1.5, §15.5.17).
    fn asked_in_vain(&self, head: &ReplyHead) -> bool {
        if head.status != StatusCode::RANGE_NOT_SATISFIABLE || self.asked.is_none() {
            return false;
        }
        let complete = match ContentRange::of(&head.headers) {
            Some(ContentRange::Unsatisfied(complete)) => complete,
            _ => 0,
        };
        let ask = &self.flight.ask;
        let wanted = ranges::asked(&ask.headers).map(|asked| asked.resolve(complete, ask.policy.max_ranges));
        ask.headers.contains_key(header::IF_RANGE) || wanted != Some(Resolved::Unsatisfiable)
    }

    /// Whether an answer is a part that this fetch has asked for.
    fn is_part(&self, head: &ReplyHead) -> bool {
        head.status == StatusCode::PARTIAL_CONTENT && self.asked.is_some()
    }

    /// Takes a part that is all there is for the whole. False if an answer is a part, and not of what was asked for, or
    /// contradicts itself.
    fn recognises(&self, head: &mut ReplyHead) -> bool {
        if head.status != StatusCode::PARTIAL_CONTENT || !self.asks_for_part() {
            return true;
        }
        if self.asked.is_none() && self.is_its_part(head) {
            return true;
        }
        let Some((part, complete)) = self.part_of(head) else {
            self.shared.counters.unusable_parts.inc();
            tracing::debug!(key = ?self.flight.ask.key, "the origin's part is not what was asked for: asking for the whole");
            return false;
        };
        if part.length() == complete {
            *head = of_whole(head, complete);
        }
        true
    }

    /// Which part of how much a 206 has.
    fn part_of(&self, head: &ReplyHead) -> Option<(Part, u64)> {
        let asked = self.asked?;
        let Some(ContentRange::Part(part, Some(complete))) = ContentRange::of(&head.headers) else {
            return None;
        };
        let said = fields::announced_length(&head.headers);
        let fits = part.first == asked.first && part.last <= asked.last;
        (fits && said.is_none_or(|said| said == part.length())).then_some((part, complete))
    }

    /// Whether a 206 is what the client has asked for itself, as far as that can be told: of several parts only that they are
    /// several.
    fn is_its_part(&self, head: &ReplyHead) -> bool {
        let asked = ranges::asked(&self.flight.ask.headers);
        let said = fields::announced_length(&head.headers);
        match (ContentRange::of(&head.headers), asked.as_ref().map(RangeSpecs::specs)) {
            (Some(ContentRange::Part(part, complete)), Some([only])) => {
                let fits = match *only {
                    Spec::From(first) => part.first == first,
                    Spec::Between(first, last) => part.first == first && part.last <= last,
                    Spec::Suffix(length) => {
                        part.length() <= length && complete.is_none_or(|complete| part.end() == complete)
                    }
                };
                fits && said.is_none_or(|said| said == part.length())
            }
            (Some(ContentRange::Part(part, _)), Some(_)) => said.is_none_or(|said| said == part.length()),
            (None, Some([_, _, ..])) => !head.headers.contains_key(header::CONTENT_RANGE),
            _ => false,
        }
    }

    /// Which part of how much there is in an answer that may be divided: a part, or a whole that is long.
    fn extent_of(&self, head: &ReplyHead) -> Option<(Part, u64)> {
        match head.status {
            StatusCode::PARTIAL_CONTENT => self.part_of(head),
            StatusCode::OK if !self.passes() => {
                let length =
                    fields::announced_length(&head.headers).filter(|length| *length > verdict::LONG)?;
                Some((Part { first: 0, last: length - 1 }, length))
            }
            _ => None,
        }
    }

    /// Stores the head of an answer whose blocks can stand alone, and tells everybody; the blocks are to
    /// [follow](Self::follow). `None`: it is to be whole or gone.
    fn divide(&mut self, answer: &Answer) -> Option<Division> {
        let Answer { exchange, times } = answer;
        let is_part = self.is_part(&exchange.head);
        let (part, complete) = self.extent_of(&exchange.head)?;
        let head = of_whole(&exchange.head, complete);
        // Judged as it came, as `deliver` does.
        let mut verdict = self.judge(head.status, &head.headers, exchange.ends_by_close, *times);
        let representation = verdict::divided(&head.headers, complete)?;
        let (storable, vary) = verdict.store.take()?;
        let kept = store::Kept { storable: &storable, vary, tags: std::mem::take(&mut verdict.tags) };
        let mut head = clean(head, &self.flight.ask, &self.origins(), times.response);
        self.offer_ranges(&mut head);
        let (shared, ask) = (Arc::clone(&self.shared), Arc::clone(&self.flight.ask));
        let unshared = std::mem::take(&mut verdict.unshared);
        let hit = store::divided(&shared, &ask, &head, &unshared, representation, kept, times.born);
        self.note_refresh(true);
        self.prepare_others(&verdict, StatusCode::OK, *times);
        // Claimed before anybody is told, so that all who come find them under way.
        let assembly = shared.assemblies.of(&ask.key, &hit.object);
        if !is_part && self.asked.is_some() {
            assembly.note_whole_only();
        }
        let stream = if is_part { None } else { Stream::begin(&shared, &ask, &hit.object, &assembly) };
        let blocks = if is_part { Representation::blocks_of(&part.range()) } else { 0..0 };
        // One that is cut off is asked for again when it is wanted.
        let whole = |index: &u32| hit.object.representation.bytes_of(*index).end <= part.end();
        let landings = blocks.take_while(whole).map_while(|index| assembly.claim_one(index)).collect();
        let replaces_stale = self.stale.is_some();
        let object = Arc::clone(&hit.object);
        let others = verdict.others;
        self.tell(Announcement::Divided(Arc::new(Divided { hit, others, replaces_stale })));
        Some(Division { object, stream, landings })
    }

    /// Lets the blocks follow whose head is stored. Dropped, as the module's text says.
    async fn follow(self: Box<Self>, division: Division, answer: Box<Answer>) {
        let Division { object, stream, landings } = division;
        let (shared, ask) = (Arc::clone(&self.shared), Arc::clone(&self.flight.ask));
        let nobody = ask.method == Method::HEAD || self.refresh.is_some();
        // Its head is stored: requests find it there.
        drop(self);
        let body = answer.exchange.body;
        match stream {
            Some(stream) if !nobody => stream.carry(body).await,
            Some(_) => {}
            None => carry(&shared, &ask, &object, landings, body).await,
        }
    }

    /// A part that cannot be kept as one. What is short is asked for as a whole; of what is long everybody asks for his own
    /// part, as he wants it. Dropped, as the module's text says.
    async fn not_divided(mut self: Box<Self>, answer: Box<Answer>) {
        let Answer { exchange, times } = *answer;
        let complete = self.part_of(&exchange.head).map_or(0, |(_, complete)| complete);
        let head = of_whole(&exchange.head, complete);
        let verdict = self.judge(head.status, &head.headers, exchange.ends_by_close, times);
        drop(exchange);
        if verdict.store.is_some() && complete <= AT_FIRST * BLOCK as u64 {
            return self.receive_whole().await;
        }
        let gone = verdict.store.is_some() || self.takes_the_place(&verdict, StatusCode::OK);
        if let Some(stale) = self.stale.as_ref().filter(|_| gone) {
            self.shared.cache.remove(&self.flight.ask.key, &stale.object);
        }
        let refusal = verdict.refusal.or(Some(WEAK));
        let alone = Verdict { store: None, others: Others::Alone, refusal, ..verdict };
        self.prepare_others(&alone, StatusCode::OK, times);
        self.tell(Announcement::Unshared);
    }
}

/// The head of the whole of which there are so many bytes, by that of a part of it.
fn of_whole(part: &ReplyHead, complete: u64) -> ReplyHead {
    let mut headers: HeaderMap = part.headers.clone();
    headers.remove(header::CONTENT_RANGE);
    // They speak of the part (RFC 9530 §2).
    headers.remove(HeaderName::from_static("content-digest"));
    headers.remove(HeaderName::from_static("content-md5"));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(complete));
    ReplyHead::new(StatusCode::OK, headers)
}
