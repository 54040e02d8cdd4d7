//! A stored response.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use crate::base::ids::{Generation, Sequence};
use crate::body::budget::Charge;
use crate::body::content::{Content, Digest, Parts};
use crate::semantics::freshness::Freshness;
use crate::semantics::storage::{Reuse, Storable};
use crate::semantics::vary::VarySet;

/// A stored response: its head, and one representation or more of its content (one so far: as the origin sent
/// it).
#[derive(Debug)]
pub struct Object {
    /// The store that this object came from; its blocks are found by it.
    pub generation: Generation,
    /// The ledger's sequence before the request left that brought (or last confirmed) it.
    pub born: Sequence,
    /// Status and end-to-end fields, ready to be sent but for what changes with each answer.
    pub head: Arc<StoredHead>,
    /// How long it may be used.
    pub freshness: Freshness,
    /// Whether it may be used without asking the origin while it is fresh.
    pub reuse: Reuse,
    /// Whether it may be used stale when the origin cannot be reached.
    pub serve_stale: bool,
    /// The fields that selected it, and the values that the request had for them.
    pub vary: VarySet,
    /// See [`VarySet::values`].
    pub vary_values: Vec<u8>,
    /// The content.
    pub representation: Representation,
    /// The memory of the head, until the object is dropped.
    pub charge: Option<Charge>,
}

/// Status and fields of a stored response.
#[derive(Clone, Debug)]
pub struct StoredHead {
    /// The status code.
    pub status: StatusCode,
    /// End-to-end fields, `Content-Length` and `Date` among them.
    pub headers: HeaderMap,
}

/// One coding of the content: as the origin sent it.
#[derive(Clone, Debug)]
pub struct Representation {
    /// Length in bytes.
    pub length: u64,
    /// BLAKE3 of the whole.
    pub digest: Digest,
    /// Where its bytes are.
    pub place: Place,
}

/// Where the bytes of a representation are.
#[derive(Clone, Debug)]
pub enum Place {
    /// With the head.
    Inline(Bytes),
    /// In so many blocks, each with an entry of its own in the tier.
    Blocks(u32),
}

impl Representation {
    /// Describes `content`; its blocks are stored beside.
    pub fn of(content: &Content) -> Self {
        let place = match &content.parts {
            Parts::Inline(bytes) => Place::Inline(bytes.clone()),
            Parts::Blocks(blocks) => Place::Blocks(u32::try_from(blocks.len()).unwrap_or(u32::MAX)),
        };
        Self { length: content.length, digest: content.digest, place }
    }
}

impl Object {
    /// The same content under a confirmed head (RFC 9111 §4.3.4).
    #[must_use]
    pub fn refreshed(&self, headers: HeaderMap, storable: &Storable, born: Sequence, charge: Charge) -> Self {
        Self {
            generation: self.generation,
            born,
            head: Arc::new(StoredHead { status: self.head.status, headers }),
            freshness: storable.freshness,
            reuse: storable.reuse,
            serve_stale: storable.serve_stale,
            vary: self.vary.clone(),
            vary_values: self.vary_values.clone(),
            representation: self.representation.clone(),
            charge: Some(charge),
        }
    }

    /// What the head and its bookkeeping take in memory, in bytes, inline content included.
    pub fn weight(&self) -> usize {
        let inline = match &self.representation.place {
            Place::Inline(bytes) => bytes.len(),
            Place::Blocks(_) => 0,
        };
        head_weight(&self.head.headers) + self.vary_values.len() + inline
    }
}

/// What a head takes in memory, roughly: names are mostly shared statics, values are their bytes, and the map has
/// its slots.
pub fn head_weight(headers: &HeaderMap) -> usize {
    const OBJECT: usize = 512;
    const FIELD: usize = 112;
    OBJECT + headers.values().map(|value| value.len() + FIELD).sum::<usize>()
}
