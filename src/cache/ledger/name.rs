//! What purges and objects are compared by: names of sixteen bytes.

use std::cell::OnceCell;

use crate::cache::key::Key;
use crate::semantics::tags::{Tag, Tags};

/// The deepest prefix: segments of its path.
pub(in crate::cache) const DEEPEST: usize = 64;

/// What a name is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A canonical URL, as [`crate::cache::key::url`] makes it.
    Url,
    /// A tag.
    Tag,
    /// A path and all below it, at one host.
    Prefix,
    /// A canonical host.
    Host,
}

impl Kind {
    /// All of them, each at its own place.
    pub(super) const ALL: [Self; 4] = [Self::Url, Self::Tag, Self::Prefix, Self::Host];
}

/// What a record has of what it purges, and costs the same however long that is: the first half of a BLAKE3 hash. Two
/// things that share it, which nobody can make happen, would be purged together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Name {
    /// What it is of.
    pub kind: Kind,
    /// The hash.
    pub hash: [u8; Name::LENGTH],
}

impl Name {
    /// Bytes of the hash.
    pub(super) const LENGTH: usize = 16;

    /// Of a canonical URL, as [`crate::cache::key::url`] makes it.
    pub fn of_url(url: &[u8]) -> Self {
        Self::read(Kind::Url, &blake3::hash(url))
    }

    /// Of a tag.
    pub fn of_tag(tag: Tag) -> Self {
        let mut hash = [0; Self::LENGTH];
        if let Some(eight) = hash.first_chunk_mut() {
            *eight = tag.0.to_le_bytes();
        }
        Self { kind: Kind::Tag, hash }
    }

    /// Of a canonical host.
    pub fn of_host(host: &str) -> Self {
        Self::hashed(Kind::Host, &[host])
    }

    /// Of a path without a slash at its end, and all below it, for this scheme or, if it is empty, any.
    pub fn of_prefix(scheme: &str, host: &str, path: &str) -> Self {
        Self::hashed(Kind::Prefix, &[scheme, host, path])
    }

    fn hashed(kind: Kind, parts: &[&str]) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&[kind as u8]);
        for part in parts {
            hasher.update(&(part.len() as u64).to_be_bytes());
            hasher.update(part.as_bytes());
        }
        Self::read(kind, &hasher.finalize())
    }

    fn read(kind: Kind, hash: &blake3::Hash) -> Self {
        Self { kind, hash: hash.as_bytes().first_chunk().copied().unwrap_or_default() }
    }
}

/// What purges are held against: something stored or coming. What of it is needed is made once.
#[derive(Debug)]
pub(super) struct Facts<'a> {
    key: &'a Key,
    tags: &'a Tags,
    url: OnceCell<String>,
}

impl<'a> Facts<'a> {
    pub(super) fn new(key: &'a Key, tags: &'a Tags) -> Self {
        Self { key, tags, url: OnceCell::new() }
    }

    /// Calls `found` with each name of a kind, until it says that it has seen enough.
    pub(super) fn names(&self, kind: Kind, mut found: impl FnMut(&Name) -> bool) {
        match kind {
            Kind::Url => _ = found(&Name::of_url(self.key.url())),
            Kind::Host => _ = found(&Name::of_host(self.key.host())),
            Kind::Tag => _ = self.tags.iter().any(|tag| found(&Name::of_tag(tag))),
            Kind::Prefix => {
                let (scheme, host, path) = self.key.place();
                let mut ends =
                    path.match_indices('/').map(|(at, _)| at).take(DEEPEST + 1).chain([path.len()]);
                let paths = ends.by_ref().filter_map(|end| path.get(..end));
                for path in paths {
                    for scheme in ["", scheme] {
                        if found(&Name::of_prefix(scheme, host, path)) {
                            return;
                        }
                    }
                }
            }
        }
    }

    /// Its URL as globs are compared with it.
    pub(super) fn url(&self) -> &str {
        self.url.get_or_init(|| self.key.readable())
    }
}
