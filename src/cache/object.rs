//! A stored response.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use super::codings::{Codings, Made};
use super::key::{Key, KeyHash};
use super::ledger::{Checked, Ledger};
use crate::base::clock::Timestamp;
use crate::base::ids::{Generation, Sequence};
use crate::body::budget::{Budget, Charge};
use crate::body::content::{BLOCK, Content, Parts};
use crate::body::rendered::{FieldLines, RenderedFields};
use crate::semantics::coding::{self, Coding};
use crate::semantics::compression;
use crate::semantics::date;
use crate::semantics::decoding;
use crate::semantics::no_vary_search::{NO_VARY_SEARCH, SearchRule};
use crate::semantics::reuse::Terms;
use crate::semantics::tags::Tags;
use crate::semantics::targeted::SURROGATE_CONTROL;
use crate::semantics::vary::VarySet;

/// A stored response: its head, and one representation or more of its content (one so far: as the origin sent
/// it).
#[derive(Debug)]
pub struct Object {
    /// The store that this object came from; its blocks are found by it.
    pub generation: Generation,
    /// The ledger's sequence before the request left that brought (or last confirmed) it.
    pub born: Sequence,
    /// What the purges so far were found to make of it.
    pub checked: Checked,
    /// Status and end-to-end fields, ready to be sent but for what changes with each answer.
    pub head: StoredHead,
    /// How long and on which terms it may be used, by its fields and the rules of its site.
    pub given: Terms,
    /// By what it is purged together with others.
    pub tags: Tags,
    /// The fields that selected it, and the values that the request had for them.
    pub vary: VarySet,
    /// See [`VarySet::values`].
    pub vary_values: Box<[u8]>,
    /// The content.
    pub representation: Representation,
    /// How often it was asked for when it was time to refresh it.
    pub heat: Heat,
    /// What is known of its codings.
    pub codings: Codings,
    /// The memory of the head, until the object is dropped.
    pub charge: Option<Charge>,
}

/// Counts requests for an object near the end of its lifetime.
#[derive(Debug, Default)]
pub struct Heat(AtomicU8);

impl Heat {
    /// One request in so many is worth a refresh ahead of time.
    const HOT: u8 = 4;

    /// Counts a request; true for the fourth, and for every fourth after it.
    pub fn is_hot(&self) -> bool {
        self.0.fetch_add(1, Ordering::Relaxed) % Self::HOT == Self::HOT - 1
    }
}

/// Status and fields of a stored response, the fields in one piece of memory as HTTP/1.1 writes them. What is meant for
/// this cache alone comes last, and is not shown.
#[derive(Clone, Debug)]
pub struct StoredHead {
    /// The status code.
    pub status: StatusCode,
    /// Of what kind its `Content-Encoding` is: a hit need not look.
    encoding: Encoding,
    /// Whether there is a `No-Vary-Search`: nor need a store.
    searches: bool,
    fields: FieldLines,
}

/// What a head says of the coding of its content.
#[derive(Clone, Copy, Debug)]
enum Encoding {
    /// There is none.
    Plain,
    /// One that can be taken off.
    Decodable(Coding),
    /// Another one, or several.
    Other,
}

/// Not for clients as it is stored: it is for this cache, or is written anew for each answer.
static HIDDEN: [HeaderName; 2] = [SURROGATE_CONTROL, header::AGE];

impl StoredHead {
    /// A head of these end-to-end fields, `Content-Length` and `Date` among them. It keeps a copy: a field that came off a
    /// socket is a slice of the buffer that it was read into, and would keep all of that alive.
    pub fn new(status: StatusCode, fields: &HeaderMap) -> Self {
        Self::hiding(status, fields, |_| false)
    }

    /// The same, of which no client is shown fields of these names either.
    pub fn hiding(status: StatusCode, fields: &HeaderMap, hidden: impl Fn(&HeaderName) -> bool) -> Self {
        let encoding = match decoding::decodable(status, fields) {
            Some(coding) => Encoding::Decodable(coding),
            None if fields.contains_key(header::CONTENT_ENCODING) => Encoding::Other,
            None => Encoding::Plain,
        };
        let searches = fields.contains_key(NO_VARY_SEARCH);
        let fields = FieldLines::of(fields, |name| HIDDEN.contains(name) || hidden(name));
        Self { status, encoding, searches, fields }
    }

    /// The names of the fields that no client is shown, each as often as there are lines of it.
    pub fn hidden(&self) -> impl Iterator<Item = &str> {
        self.fields.hidden().filter(|name| !HIDDEN.iter().any(|hidden| hidden == name))
    }

    /// All fields as a map, which is made for the occasion: for what is more than a plain hit.
    pub fn headers(&self) -> HeaderMap {
        self.fields.to_map()
    }

    /// Names and values of all fields, in their order.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.fields.all()
    }

    /// The values of one field, line by line.
    pub fn values<'a>(&'a self, name: &'a HeaderName) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.fields.values(name)
    }

    /// What it says by `No-Vary-Search` of the queries that it answers, if it says anything that makes a difference.
    pub fn search_rule(&self) -> Option<SearchRule> {
        if self.searches { SearchRule::of_lines(self.fields.values(&NO_VARY_SEARCH)) } else { None }
    }

    /// Whether the content is for a client that sent this request: in codings that it takes, or in one that is taken off.
    pub fn is_accepted_by(&self, request: &HeaderMap) -> bool {
        match self.encoding {
            Encoding::Plain => true,
            Encoding::Decodable(_) => self.is_taken_as_it_is(request) || decoding::takes_plain(request),
            Encoding::Other => self.is_taken_as_it_is(request),
        }
    }

    /// The coding that has to be taken off for a client that sent this request.
    pub fn to_decode_for(&self, request: &HeaderMap) -> Option<Coding> {
        match self.encoding {
            Encoding::Decodable(coding) if !self.is_taken_as_it_is(request) => {
                decoding::takes_plain(request).then_some(coding)
            }
            Encoding::Plain | Encoding::Decodable(_) | Encoding::Other => None,
        }
    }

    fn is_taken_as_it_is(&self, request: &HeaderMap) -> bool {
        coding::accepts_coded(request, self.fields.values(&header::CONTENT_ENCODING))
    }

    /// What its first `Date` says, if that is a date.
    pub fn date(&self) -> Option<Timestamp> {
        date::parse(self.fields.values(&header::DATE).next()?)
    }

    /// The fields for a client, with room for so many bytes behind them. `Age` is not among them.
    pub fn render(&self, room: usize) -> RenderedFields {
        self.fields.render(room)
    }
}

/// One coding of the content: as the origin sent it.
#[derive(Clone, Debug)]
pub struct Representation {
    /// Length in bytes.
    pub length: u64,
    /// Where its bytes are.
    pub place: Place,
}

/// Where the bytes of a representation are.
#[derive(Clone, Debug)]
pub enum Place {
    /// With the head.
    Inline(Bytes),
    /// In blocks, each with an entry of its own in the tier.
    Blocks {
        /// How many there are.
        count: u32,
        /// Any of them may be absent (decision 10).
        divided: bool,
    },
}

impl Representation {
    /// Describes `content`; its blocks are stored beside.
    pub fn of(content: &Content) -> Self {
        let place = match &content.parts {
            Parts::Inline(bytes) => Place::Inline(bytes.clone()),
            Parts::Blocks(blocks) => {
                Place::Blocks { count: u32::try_from(blocks.len()).unwrap_or(u32::MAX), divided: false }
            }
        };
        Self { length: content.length, place }
    }

    /// Describes a content of this length whose blocks come, stay and go one by one; none if they are too many.
    pub fn divided(length: u64) -> Option<Self> {
        let count =
            u32::try_from(length.div_ceil(BLOCK as u64)).ok().filter(|count| *count <= MOST_BLOCKS)?;
        Some(Self { length, place: Place::Blocks { count, divided: true } })
    }

    /// The blocks that these bytes of it touch.
    pub fn blocks_of(bytes: &Range<u64>) -> Range<u32> {
        let index = |at: u64| u32::try_from(at / BLOCK as u64).unwrap_or(u32::MAX);
        if bytes.is_empty() { 0..0 } else { index(bytes.start)..index(bytes.end - 1).saturating_add(1) }
    }

    /// Bytes that are in blocks, and are all there or of no use.
    pub fn blocks_weight(&self) -> u64 {
        match self.place {
            Place::Blocks { divided: false, .. } => self.length,
            Place::Blocks { divided: true, .. } | Place::Inline(_) => 0,
        }
    }

    /// The bytes of a block.
    pub fn bytes_of(&self, index: u32) -> Range<u64> {
        let start = u64::from(index) * BLOCK as u64;
        start.min(self.length)..(start + BLOCK as u64).min(self.length)
    }
}

/// What an object takes in memory beside its lines and its content, with what holds its content, measured.
const OBJECT: usize = 400;

/// The most blocks of a divided object: 64 GiB. Longer ones are passed on and not stored.
const MOST_BLOCKS: u32 = 1 << 16;

impl Object {
    /// The slot in which it is found: the key's own, unless it varies, or is a coding that was made here.
    pub fn slot(&self, key: &Key) -> KeyHash {
        match self.codings.made {
            Some(made) => self.coded_slot(key, made.coding),
            None => self.own_slot(key),
        }
    }

    fn own_slot(&self, key: &Key) -> KeyHash {
        if self.vary.is_empty() { key.hash() } else { key.variant(&self.vary_values) }
    }

    /// The slot of a coding of it.
    pub fn coded_slot(&self, key: &Key, coding: Coding) -> KeyHash {
        self.own_slot(key).beside(coding as u8 + 1)
    }

    /// Whether no purge has killed it that matches it. One atomic load, while there was none since it was last asked. Softly
    /// purged, it is stale from then on.
    pub fn is_alive(&self, key: &Key, ledger: &Ledger) -> bool {
        ledger.lets_live(self.born, &self.checked, key, &self.tags)
    }

    /// How long and on which terms it may be used, by the purges that are known of it.
    pub fn terms(&self) -> Terms {
        self.checked.stale_since().map_or(self.given, |time| self.given.stale_since(time))
    }

    /// The same content under a confirmed head (RFC 9111 §4.3.4).
    #[must_use]
    pub fn refreshed(
        &self,
        head: StoredHead,
        given: Terms,
        tags: Tags,
        born: Sequence,
        charge: Charge,
    ) -> Self {
        Self {
            generation: self.generation,
            born,
            checked: Checked::default(),
            head,
            given,
            tags,
            vary: self.vary.clone(),
            vary_values: self.vary_values.clone(),
            representation: self.representation.clone(),
            heat: Heat::default(),
            // Those that are stored are of another head by now, and are found out to be.
            codings: Codings::default(),
            charge: Some(charge),
        }
    }

    /// A coding of it with this content, under its own head: of the same generation, as old, and on the same terms.
    #[must_use]
    pub fn coded(&self, made: Made, representation: Representation, budget: &Arc<Budget>) -> Self {
        let mut headers = self.head.headers();
        compression::as_stored(&mut headers, made.coding, representation.length, made.digest);
        let hidden: Vec<&str> = self.head.hidden().collect();
        let head = StoredHead::hiding(self.head.status, &headers, |name| hidden.contains(&name.as_str()));
        let charge = budget.charge(head_weight(&headers) as u64);
        let (tags, born) = (self.tags.clone(), self.born);
        Self {
            representation,
            codings: Codings::made(made),
            ..self.refreshed(head, self.given, tags, born, charge)
        }
    }

    /// What the head and its bookkeeping take in memory, in bytes: as [`head_weight`] tells beforehand.
    pub fn head_weight(&self) -> usize {
        OBJECT + self.head.fields.weight()
    }

    /// The same with the inline content.
    pub fn weight(&self) -> usize {
        let inline = match &self.representation.place {
            Place::Inline(bytes) => bytes.len(),
            Place::Blocks { .. } => 0,
        };
        self.head_weight() + self.vary_values.len() + self.tags.weight() + inline
    }
}

/// What a head and its bookkeeping take in memory, roughly: an object is of one size but for the lines of its fields.
pub fn head_weight(headers: &HeaderMap) -> usize {
    let line =
        |(name, value): (&HeaderName, &HeaderValue)| name.as_str().len() + value.len() + ": \r\n".len();
    OBJECT + headers.iter().map(line).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stored_head_keeps_no_read_buffer_alive() {
        let budget = Budget::new(100_000);
        let read_buffer = budget.charge(65_536).attach(b"text/html; charset=utf-8\"v1\"en, de".to_vec());
        let mut fields = HeaderMap::new();
        for (name, range) in [("content-type", 0..24), ("etag", 24..28), ("content-language", 28..34)] {
            fields.append(name, HeaderValue::from_maybe_shared(read_buffer.slice(range)).expect("a value"));
        }
        fields.append("vary", HeaderValue::from_static("a"));
        fields.append("vary", HeaderValue::from_static(""));
        let stored = StoredHead::new(StatusCode::OK, &fields);
        assert_eq!(stored.headers(), fields);
        drop((fields, read_buffer));
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn what_is_for_this_cache_alone_is_kept_and_not_shown() {
        let mut fields = HeaderMap::new();
        for (name, value) in [("surrogate-control", "max-age=9"), ("age", "3"), ("etag", "\"v1\"")] {
            fields.append(name, HeaderValue::from_static(value));
        }
        let stored = StoredHead::new(StatusCode::OK, &fields);
        assert_eq!(stored.render(0).lines(), b"etag: \"v1\"\r\n");
        assert_eq!(stored.headers(), fields);
    }

    #[test]
    fn what_a_hit_needs_is_known_without_a_map() {
        let mut fields = HeaderMap::new();
        for (name, value) in [("date", "Sun, 06 Nov 1994 08:49:37 GMT"), ("content-encoding", "gzip")] {
            fields.append(name, HeaderValue::from_static(value));
        }
        let coded = StoredHead::new(StatusCode::OK, &fields);
        let takes = HeaderMap::from_iter([(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip"))]);
        assert!(coded.is_accepted_by(&takes) && coded.to_decode_for(&takes).is_none());
        assert!(coded.is_accepted_by(&HeaderMap::new()));
        assert_eq!(coded.to_decode_for(&HeaderMap::new()), Some(Coding::Gzip));
        let nothing = HeaderMap::from_iter([(header::ACCEPT_ENCODING, HeaderValue::from_static("*;q=0"))]);
        assert!(!coded.is_accepted_by(&nothing));
        assert_eq!(coded.date(), Some(Timestamp::from_secs(784_111_777)));
        fields.append("content-encoding", HeaderValue::from_static("br"));
        assert!(!StoredHead::new(StatusCode::OK, &fields).is_accepted_by(&takes));
        let bare = StoredHead::new(StatusCode::OK, &HeaderMap::new());
        assert!(bare.is_accepted_by(&HeaderMap::new()) && bare.date().is_none());
    }
}
