//! What was ever stored, so that every answer of the tiers can be told right from wrong.
//!
//! Each store and each refresh is a **version** with a number of its own, stamped into its head; its content is
//! stamped too. For every slot (a key, plain or as a variant) the model knows which version is the latest, and the
//! **floors**: what may come back after the process ends.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use forebay::base::clock::Timestamp;
use forebay::base::ids::{Generation, KeyRules, Sequence, SiteId};
use forebay::body::content::{BLOCK, Content, INLINE_MAX, Parts};
use forebay::cache::codings::Codings;
use forebay::cache::key::{Key, KeyParts};
use forebay::cache::ledger::Checked;
use forebay::cache::object::{Heat, Object, Representation, StoredHead};
use forebay::semantics::freshness::Freshness;
use forebay::semantics::reuse::{Reuse, Stale, Terms};
use forebay::semantics::vary::VarySet;
use http::uri::Scheme;
use http::{HeaderMap, HeaderValue, StatusCode};

/// Wall time of everything here.
pub const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

/// The languages that requests ask for.
pub const LANGUAGES: [&str; 3] = ["de", "en", "fr"];

/// A key, and the language of a variant of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Slot {
    pub key: usize,
    pub language: Option<usize>,
}

/// A version of the object in a slot.
#[derive(Clone, Debug)]
pub struct Version {
    pub slot: Slot,
    pub headers: HeaderMap,
    pub generation: Generation,
    pub content: Stamp,
}

/// A content by which bytes are made: equal ones are equal contents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    pub seed: u64,
    pub length: usize,
}

/// What is known of a slot.
#[derive(Clone, Copy, Debug, Default)]
pub struct Standing {
    /// No version before this one may be seen in this life of the process.
    pub least: u64,
    /// None may be seen after a kill.
    pub after_kill: u64,
    /// None may be seen after a power cut.
    pub after_crash: u64,
    /// The latest version that was stored in this life and not removed.
    pub latest: Option<u64>,
}

/// All that was stored.
#[derive(Debug, Default)]
pub struct Model {
    pub versions: Vec<Version>,
    pub slots: HashMap<Slot, Standing>,
}

impl Model {
    /// Notes a version that is about to be stored.
    pub fn add(&mut self, slot: Slot, generation: Generation, content: Stamp) -> u64 {
        let number = self.versions.len() as u64;
        let headers = headers(slot, number, content);
        self.versions.push(Version { slot, headers, generation, content });
        number
    }

    /// It was stored: nothing older may be seen.
    pub fn stored(&mut self, slot: Slot, number: u64) {
        let standing = self.slots.entry(slot).or_default();
        standing.least = number;
        standing.latest = Some(number);
    }

    /// Whatever was stored was removed.
    pub fn removed(&mut self, slot: Slot) {
        let next = self.versions.len() as u64;
        let standing = self.slots.entry(slot).or_default();
        standing.least = next;
        standing.latest = None;
    }

    /// Everything so far is on disk; and durable, if that is so too.
    pub fn settled(&mut self, durable: bool) {
        for standing in self.slots.values_mut() {
            standing.after_kill = standing.least;
            if durable {
                standing.after_crash = standing.least;
            }
        }
    }

    /// The process has ended.
    pub fn ended(&mut self, least: impl Fn(&Standing) -> u64) {
        for standing in self.slots.values_mut() {
            standing.least = least(standing);
            standing.after_kill = standing.least;
            standing.after_crash = standing.after_crash.min(standing.least);
            standing.latest = None;
        }
    }

    /// Checks the head of an answer for a slot; gives its version.
    pub fn check(&mut self, asked: Slot, object: &Object) -> Result<Version, String> {
        let number =
            object.head.headers().get("x-version").and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
        let number = number.ok_or_else(|| format!("{asked:?}: an answer without a version"))?;
        let version = self.versions.get(usize::try_from(number).unwrap()).cloned();
        let version = version.ok_or_else(|| format!("{asked:?}: version {number} was never stored"))?;
        let slot = version.slot;
        if slot.key != asked.key || slot.language.is_some_and(|language| Some(language) != asked.language) {
            return Err(format!("{asked:?} was answered with what was stored for {slot:?}"));
        }
        if object.head.headers() != version.headers {
            return Err(format!("{slot:?}: version {number} has another head: {:?}", object.head.headers()));
        }
        if object.representation.length != version.content.length as u64
            || object.generation != version.generation
            || object.vary != vary_of(slot)
            || object.terms().freshness != freshness()
        {
            return Err(format!("{slot:?}: version {number} is not what was stored: {object:?}"));
        }
        let standing = self.slots.entry(slot).or_default();
        if number < standing.least {
            return Err(format!("older: {slot:?} was answered with version {number}, but {standing:?}"));
        }
        // What was seen once is not followed by what is older.
        standing.least = number;
        Ok(version)
    }
}

impl Stamp {
    /// The bytes from `offset` on.
    pub fn bytes(&self, offset: usize, length: usize) -> Vec<u8> {
        let mut bytes = vec![(self.seed % 251) as u8; length];
        for (index, page) in bytes.chunks_mut(4096).enumerate() {
            let stamp = [self.seed.to_le_bytes(), ((offset / 4096 + index) as u64).to_le_bytes()].concat();
            let some = stamp.len().min(page.len());
            page[..some].copy_from_slice(&stamp[..some]);
        }
        bytes
    }

    /// All of it, as the tiers take it.
    pub fn content(&self) -> Content {
        let parts = if self.length <= INLINE_MAX {
            Parts::Inline(self.bytes(0, self.length).into())
        } else {
            let blocks = (0..self.length).step_by(BLOCK);
            Parts::Blocks(blocks.map(|at| Bytes::from(self.bytes(at, BLOCK.min(self.length - at)))).collect())
        };
        Content { parts, length: self.length as u64 }
    }
}

/// The key of this number.
pub fn key(number: usize) -> Key {
    Key::new(&KeyParts {
        site: SiteId(1),
        rules: KeyRules(0),
        scheme: &Scheme::HTTP,
        host: "disk.test",
        target: &format!("/{number}").parse().unwrap(),
        arm: "",
    })
}

/// The fields of a request in a language.
pub fn request(language: Option<usize>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if let Some(language) = language {
        headers.insert("accept-language", HeaderValue::from_static(LANGUAGES[language]));
    }
    headers
}

/// The names by which the object of a slot varies.
pub fn vary_of(slot: Slot) -> VarySet {
    let mut headers = HeaderMap::new();
    if slot.language.is_some() {
        headers.insert("vary", HeaderValue::from_static("accept-language"));
    }
    VarySet::of(&headers).unwrap()
}

fn freshness() -> Freshness {
    Freshness { response_time: NOW, initial_age: Duration::ZERO, lifetime: Duration::from_hours(1) }
}

fn headers(slot: Slot, number: u64, content: Stamp) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let date = Timestamp::from_secs(1_700_000_000 + number).to_system_time();
    headers.insert("date", httpdate::fmt_http_date(date).try_into().unwrap());
    headers.insert("content-length", content.length.into());
    headers.insert("x-version", number.into());
    headers.insert("x-key", slot.key.into());
    for line in 0..number % 4 {
        headers.append("x-line", line.into());
    }
    headers
}

/// The object of a version.
pub fn object(version: &Version, born: Sequence) -> Object {
    let vary = vary_of(version.slot);
    Object {
        generation: version.generation,
        born,
        head: StoredHead::new(StatusCode::OK, &version.headers),
        tags: forebay::semantics::tags::Tags::default(),
        given: Terms {
            freshness: freshness(),
            reuse: Reuse::Shared,
            stale: Stale::Forbidden,
            immutable: false,
        },
        heat: Heat::default(),
        codings: Codings::default(),
        vary_values: vary.values(&request(version.slot.language)).into(),
        vary,
        representation: Representation::of(&version.content.content()),
        checked: Checked::default(),
        charge: None,
    }
}
