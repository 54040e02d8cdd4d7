//! What the index keeps of a slot: the key, the `Vary` sets seen, and the object with the addresses of its blocks.
//!
//! A record is in postcard's encoding. A content that is not long has no address: it lies behind its record, in the
//! same frame (decision 17). [`VERSION`] is raised whenever the meaning of a byte changes; a directory of another
//! version is set aside.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};

use super::volume::{Address, ShortAddress};
use crate::base::clock::Timestamp;
use crate::base::ids::{Generation, Sequence};
use crate::body::content::{BLOCK, INLINE_MAX};
use crate::cache::codings::{Codings, Made};
use crate::cache::key::Key;
use crate::cache::ledger::Checked;
use crate::cache::object::{Heat, Object, Place, Representation, StoredHead};
use crate::semantics::coding::Coding;
use crate::semantics::freshness::Freshness;
use crate::semantics::reuse::{Reuse, Stale, Terms};
use crate::semantics::tags::{Tag, Tags};
use crate::semantics::vary::VarySet;

/// The version of records, segments and notes.
pub const VERSION: u32 = 7;

/// A block of a representation, as its head names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockRef {
    /// Where its content is.
    pub address: Address,
    /// XXH3-128 of its bytes: what is verified before they leave, because it costs a tenth of SHA-256.
    pub check: u128,
    /// Its length in bytes.
    pub length: u32,
}

impl BlockRef {
    /// Names a block that was written at `address`.
    pub fn of(bytes: &[u8], address: Address) -> Self {
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        Self { address, check: check(bytes), length }
    }

    /// Whether `bytes` are this block.
    pub fn verify(&self, bytes: &[u8]) -> bool {
        bytes.len() == self.length as usize && check(bytes) == self.check
    }

    /// What contents are counted by.
    pub fn counted(&self) -> (ShortAddress, u32) {
        (self.address.short(), self.length)
    }
}

fn check(bytes: &[u8]) -> u128 {
    xxhash_rust::xxh3::xxh3_128(bytes)
}

/// A decoded record.
#[derive(Debug)]
pub struct Record {
    /// The `Vary` sets seen under the key.
    pub vary_sets: Vec<VarySet>,
    /// The object of this slot.
    pub object: Option<Stored>,
}

/// An object as its record has it.
#[derive(Debug)]
pub struct Stored {
    /// The object, without inline bytes. Nothing of it is charged to a budget.
    pub object: Object,
    /// Its blocks in order; none if its content lies behind the record, or has records of its own.
    pub blocks: Arc<[BlockRef]>,
    /// The content that lies behind the record, once it was read.
    pub within: Bytes,
}

impl Stored {
    /// Whether its content lies behind the record.
    pub fn lies_within(&self) -> bool {
        let divided = matches!(self.object.representation.place, Place::Blocks { divided: true, .. });
        self.blocks.is_empty() && !divided
    }
}

/// Why bytes are no record for a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// The record is of another key with the same short hash: nothing is wrong with it.
    OtherKey,
    /// The bytes make no sense.
    Malformed,
}

/// The record of `key` as bytes. The content of a whole object without blocks has to be put behind it.
pub fn encode(key: &Key, vary_sets: &[VarySet], object: Option<(&Object, &[BlockRef])>) -> Vec<u8> {
    let written = Written {
        key: key.full(),
        vary_sets: vary_sets.iter().map(names_of).collect(),
        object: object.map(|(object, blocks)| written_object(object, blocks)),
    };
    // Writing into a vector cannot fail.
    postcard::to_extend(&written, Vec::with_capacity(USUAL)).unwrap_or_default()
}

impl Record {
    /// The record of `key` in `bytes`.
    pub fn decode(bytes: &[u8], key: &Key) -> Result<Self, Unreadable> {
        let written = Written::parse(bytes)?;
        if written.key != key.full() {
            return Err(Unreadable::OtherKey);
        }
        let vary_sets = written.vary_sets.iter().map(|names| vary_set(names)).collect::<Option<_>>();
        let object = match &written.object {
            Some(object) => Some(object.restore().ok_or(Unreadable::Malformed)?),
            None => None,
        };
        Ok(Self { vary_sets: vary_sets.ok_or(Unreadable::Malformed)?, object })
    }
}

/// What the table and the summaries need to know of a record, without its key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outline {
    /// The site that it belongs to.
    pub site: u32,
    /// The store that its object came from; none if it has no object.
    pub generation: Option<Generation>,
    /// Whether it has `Vary` sets.
    pub varies: bool,
    /// Its blocks.
    pub blocks: Vec<BlockRef>,
    /// Bytes of content that lie behind it.
    pub within: u32,
}

impl Outline {
    /// The outline of the record in `bytes`, whatever its key.
    pub fn of(bytes: &[u8]) -> Result<Self, Unreadable> {
        let written = Written::parse(bytes)?;
        let site = written.key.first_chunk().map_or(0, |site| u32::from_be_bytes(*site));
        let (blocks, within) = match &written.object {
            Some(WrittenObject { content: WrittenContent::Blocks(blocks), .. }) => (blocks.to_vec(), 0),
            Some(WrittenObject { content: WrittenContent::Behind, length, .. }) => {
                (Vec::new(), u32::try_from(*length).map_err(|_| Unreadable::Malformed)?)
            }
            Some(WrittenObject { content: WrittenContent::Divided, .. }) | None => (Vec::new(), 0),
        };
        let generation = written.object.map(|object| Generation(object.generation));
        Ok(Self { site, generation, varies: !written.vary_sets.is_empty(), blocks, within })
    }
}

/// What is needed to know of an object, with its key, to judge by the ledger whether it is alive.
#[derive(Debug)]
pub struct Summary {
    /// The key.
    pub key: Key,
    /// The store that it came from.
    pub generation: Generation,
    /// When it was born, by the ledger.
    pub born: Sequence,
    /// Its tags.
    pub tags: Tags,
}

impl Summary {
    /// Of the record in `bytes`, if it has an object.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        let Written { key, object, .. } = Written::parse(bytes).ok()?;
        let object = object?;
        Some(Self {
            key: Key::of_full(key.into()),
            generation: Generation(object.generation),
            born: Sequence { epoch: object.born.0, number: object.born.1 },
            tags: Tags::new(object.tags.into_iter().map(Tag).collect()),
        })
    }
}

/// Bytes that are enough for most records.
const USUAL: usize = 1024;

/// A record as it is written. Never changes under one [`VERSION`].
#[derive(Serialize, Deserialize)]
struct Written<'a> {
    #[serde(borrow)]
    key: &'a [u8],
    #[serde(borrow)]
    vary_sets: Vec<Vec<&'a str>>,
    #[serde(borrow)]
    object: Option<WrittenObject<'a>>,
}

#[derive(Serialize, Deserialize)]
struct WrittenObject<'a> {
    generation: u64,
    born: (u64, u64),
    status: u16,
    #[serde(borrow)]
    fields: Vec<(&'a str, &'a [u8])>,
    /// Names of fields that no client is shown, beside those that never are.
    #[serde(borrow)]
    hidden: Vec<&'a str>,
    tags: Vec<u64>,
    response_time: u64,
    initial_age: Duration,
    lifetime: Duration,
    validate: bool,
    /// For how long it may be used stale while it is refreshed, and on errors; none if it never may.
    stale: Option<(Option<Duration>, Option<Duration>)>,
    immutable: bool,
    #[serde(borrow)]
    vary: Vec<&'a str>,
    vary_values: &'a [u8],
    /// The coding that it is, if it was made here.
    #[serde(borrow)]
    made: Option<(&'a str, u32)>,
    length: u64,
    content: WrittenContent<'a>,
}

#[derive(Serialize, Deserialize)]
enum WrittenContent<'a> {
    /// Behind the record.
    Behind,
    Blocks(Cow<'a, [BlockRef]>),
    /// Its blocks have records of their own (decision 10).
    Divided,
}

impl<'a> Written<'a> {
    fn parse(bytes: &'a [u8]) -> Result<Self, Unreadable> {
        match postcard::take_from_bytes(bytes) {
            Ok((written, [])) => Ok(written),
            _ => Err(Unreadable::Malformed),
        }
    }
}

fn written_object<'a>(object: &'a Object, blocks: &'a [BlockRef]) -> WrittenObject<'a> {
    let content = match object.representation.place {
        Place::Blocks { divided: true, .. } => WrittenContent::Divided,
        Place::Inline(_) | Place::Blocks { .. } if blocks.is_empty() => WrittenContent::Behind,
        Place::Inline(_) | Place::Blocks { .. } => WrittenContent::Blocks(Cow::Borrowed(blocks)),
    };
    let terms = object.terms();
    WrittenObject {
        generation: object.generation.0,
        born: (object.born.epoch, object.born.number),
        status: object.head.status.as_u16(),
        fields: object.head.fields().collect(),
        hidden: object.head.hidden().collect(),
        tags: object.tags.iter().map(|tag| tag.0).collect(),
        response_time: terms.freshness.response_time.as_millis(),
        initial_age: terms.freshness.initial_age,
        lifetime: terms.freshness.lifetime,
        validate: terms.reuse == Reuse::Validate,
        stale: match terms.stale {
            Stale::Forbidden => None,
            Stale::Allowed { while_revalidate, if_error } => Some((while_revalidate, if_error)),
        },
        immutable: terms.immutable,
        vary: names_of(&object.vary),
        vary_values: &object.vary_values,
        made: object.codings.made.map(|made| (made.coding.name(), made.digest)),
        length: object.representation.length,
        content,
    }
}

impl WrittenObject<'_> {
    fn terms(&self) -> Terms {
        Terms {
            freshness: Freshness {
                response_time: Timestamp::from_millis(self.response_time),
                initial_age: self.initial_age,
                lifetime: self.lifetime,
            },
            reuse: if self.validate { Reuse::Validate } else { Reuse::Shared },
            stale: match self.stale {
                None => Stale::Forbidden,
                Some((while_revalidate, if_error)) => Stale::Allowed { while_revalidate, if_error },
            },
            immutable: self.immutable,
        }
    }

    fn head(&self, fields: &HeaderMap) -> Option<StoredHead> {
        let status = StatusCode::from_u16(self.status).ok()?;
        Some(StoredHead::hiding(status, fields, |name| self.hidden.contains(&name.as_str())))
    }

    /// The object; `None` if its parts do not fit together.
    fn restore(&self) -> Option<Stored> {
        let mut fields = HeaderMap::try_with_capacity(self.fields.len()).ok()?;
        for (name, value) in &self.fields {
            let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
            fields.try_append(name, HeaderValue::from_bytes(value).ok()?).ok()?;
        }
        let (representation, blocks): (_, Arc<[BlockRef]>) = match &self.content {
            WrittenContent::Behind if self.length > INLINE_MAX as u64 => return None,
            WrittenContent::Behind => {
                let place = Place::Inline(Bytes::new());
                (Representation { length: self.length, place }, Arc::default())
            }
            WrittenContent::Divided => (Representation::divided(self.length)?, Arc::default()),
            WrittenContent::Blocks(blocks) => {
                let (_, full) = blocks.split_last()?;
                if full.iter().any(|block| block.length as usize != BLOCK) {
                    return None;
                }
                let length = blocks.iter().map(|block| u64::from(block.length)).sum();
                let place = Place::Blocks { count: u32::try_from(blocks.len()).ok()?, divided: false };
                (Representation { length, place }, blocks.to_vec().into())
            }
        };
        if representation.length != self.length {
            return None;
        }
        let object = Object {
            generation: Generation(self.generation),
            born: Sequence { epoch: self.born.0, number: self.born.1 },
            head: self.head(&fields)?,
            given: self.terms(),
            tags: Tags::new(self.tags.iter().copied().map(Tag).collect()),
            vary: vary_set(&self.vary)?,
            vary_values: self.vary_values.into(),
            representation,
            heat: Heat::default(),
            codings: match self.made {
                Some((name, digest)) => {
                    let coding = Coding::named(name.as_bytes())?;
                    Codings::made(Made { coding, digest })
                }
                None => Codings::default(),
            },
            checked: Checked::default(),
            charge: None,
        };
        Some(Stored { object, blocks, within: Bytes::new() })
    }
}

fn names_of(set: &VarySet) -> Vec<&str> {
    set.names().iter().map(HeaderName::as_str).collect()
}

fn vary_set(names: &[&str]) -> Option<VarySet> {
    let names: Option<Vec<_>> =
        names.iter().map(|name| HeaderName::from_bytes(name.as_bytes()).ok()).collect();
    names.map(VarySet::of_names)
}
