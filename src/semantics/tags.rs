//! The tags of a response, by which many are purged at once: surrogate keys, and the groups of RFC 9875.

use http::uri::Scheme;
use http::{HeaderMap, HeaderName};
use sfv::{BareItem, Item, ListEntry, Parser};

/// The groups of a response (RFC 9875 §2).
pub const CACHE_GROUPS: HeaderName = HeaderName::from_static("cache-groups");

/// The groups that an answer takes back (RFC 9875 §3).
pub const CACHE_GROUP_INVALIDATION: HeaderName = HeaderName::from_static("cache-group-invalidation");

/// The most tags of one response: as many as eight letters each fill 16 KiB with.
pub const MOST_TAGS: usize = 2048;

/// Where tags are looked for, and what becomes of the fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagRules {
    /// Fields that have tags, which blanks or commas part.
    pub fields: Box<[HeaderName]>,
    /// Whether clients see these fields.
    pub are_shown: bool,
    /// Whether the groups of RFC 9875 are heeded. They are shown in any case: they are for every cache on the way.
    pub heeds_groups: bool,
}

impl Default for TagRules {
    fn default() -> Self {
        let fields = ["surrogate-key", "cache-tag"].map(HeaderName::from_static);
        Self { fields: Box::new(fields), are_shown: false, heeds_groups: true }
    }
}

/// What an object keeps of a tag: eight bytes of its BLAKE3 hash. Two tags that share them are purged together, which
/// nobody can bring about for a tag of somebody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tag(pub u64);

/// The tags of a response, each once, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tags(Box<[Tag]>);

/// A response has more tags than an object can: a purge would miss it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyTags;

impl Tag {
    /// A tag as an origin and an operator write it. Letters in the other case are another one.
    pub fn of(name: &[u8]) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("forebay tag");
        hasher.update(name);
        Self::read(&hasher)
    }

    /// A group: of one origin alone (RFC 9875 §2.1), so that no other can take it back.
    pub fn of_group(scheme: &Scheme, host: &str, name: &str) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("forebay group of an origin");
        for part in [scheme.as_str(), host] {
            hasher.update(&(part.len() as u64).to_be_bytes());
            hasher.update(part.as_bytes());
        }
        hasher.update(name.as_bytes());
        Self::read(&hasher)
    }

    fn read(hasher: &blake3::Hasher) -> Self {
        Self(hasher.finalize().as_bytes().first_chunk().map_or(0, |eight| u64::from_le_bytes(*eight)))
    }
}

impl Tags {
    /// These tags.
    pub fn new(mut tags: Vec<Tag>) -> Self {
        tags.sort_unstable();
        tags.dedup();
        Self(tags.into())
    }

    /// All of them.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Tag> {
        self.0.iter().copied()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Bytes that they take.
    pub fn weight(&self) -> usize {
        size_of_val(&*self.0)
    }
}

impl TagRules {
    /// The tags of a response with these fields, to a request for this canonical host. A group is found by its origin
    /// and by its bare name.
    pub fn tags(&self, fields: &HeaderMap, scheme: &Scheme, host: &str) -> Result<Tags, TooManyTags> {
        let mut tags = Vec::new();
        for name in &self.fields {
            for line in fields.get_all(name) {
                let names = line.as_bytes().split(|byte| matches!(byte, b' ' | b'\t' | b','));
                tags.extend(names.filter(|name| !name.is_empty()).map(Tag::of));
            }
        }
        if self.heeds_groups && fields.contains_key(CACHE_GROUPS) {
            for group in groups(fields, &CACHE_GROUPS) {
                tags.extend([Tag::of(group.as_bytes()), Tag::of_group(scheme, host, &group)]);
            }
        }
        let tags = Tags::new(tags);
        if tags.0.len() > MOST_TAGS { Err(TooManyTags) } else { Ok(tags) }
    }

    /// Whether no client is shown this field.
    pub fn hides(&self, name: &HeaderName) -> bool {
        !self.are_shown && self.fields.contains(name)
    }
}

/// The groups in a field: a list of strings, of which whatever is none is passed over; nothing, if it is no list.
pub fn groups(fields: &HeaderMap, name: &HeaderName) -> Vec<String> {
    let mut lines = Vec::new();
    for line in fields.get_all(name) {
        if !lines.is_empty() {
            lines.extend_from_slice(b", ");
        }
        lines.extend_from_slice(line.as_bytes());
    }
    let list: sfv::List = Parser::new(&lines).parse().unwrap_or_default();
    let strings = list.into_iter().filter_map(|entry| match entry {
        ListEntry::Item(Item { bare_item: BareItem::String(group), .. }) => Some(String::from(group)),
        ListEntry::Item(_) | ListEntry::InnerList(_) => None,
    });
    strings.collect()
}

#[cfg(test)]
mod tests;
