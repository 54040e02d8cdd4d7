//! Which responses may stand for one another.

use std::fmt;
use std::sync::Arc;

use http::uri::{PathAndQuery, Scheme};

use crate::base::ids::{KeyRules, SiteId};

/// What a key is made of. The host is canonical already; path and query are taken byte for byte, as they are
/// forwarded.
#[derive(Clone, Debug)]
pub struct KeyParts<'a> {
    /// The site.
    pub site: SiteId,
    /// The generation of its key rules.
    pub rules: KeyRules,
    /// The scheme that the client used.
    pub scheme: &'a Scheme,
    /// The canonical host, with its port unless that is the scheme's default.
    pub host: &'a str,
    /// Path and query. A query that is empty differs from none.
    pub target: &'a PathAndQuery,
    /// The arm of an experiment; empty for now.
    pub arm: &'a str,
}

/// A full key with its hash. Cheap to clone.
#[derive(Clone, PartialEq, Eq)]
pub struct Key {
    full: Arc<[u8]>,
    hash: KeyHash,
}

/// BLAKE3 of a full key: names the entry. The full key is compared on every hit all the same.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyHash([u8; 32]);

impl Key {
    /// The key of these parts. Each part is length-prefixed, so that no two lists of parts share a key.
    pub fn new(parts: &KeyParts<'_>) -> Self {
        let query = parts.target.query();
        let path = parts.target.path();
        let mut full = Vec::with_capacity(48 + parts.host.len() + path.len() + query.map_or(0, str::len));
        full.extend_from_slice(&parts.site.0.to_be_bytes());
        full.extend_from_slice(&parts.rules.0.to_be_bytes());
        push_part(&mut full, parts.scheme.as_str());
        push_part(&mut full, parts.host);
        push_part(&mut full, path);
        full.push(u8::from(query.is_some()));
        push_part(&mut full, query.unwrap_or_default());
        push_part(&mut full, parts.arm);
        let hash = KeyHash(*blake3::hash(&full).as_bytes());
        Self { full: full.into(), hash }
    }

    /// The hash that names the entry.
    pub fn hash(&self) -> KeyHash {
        self.hash
    }

    /// All parts, length-prefixed: what is compared on a hit.
    pub fn full(&self) -> &[u8] {
        &self.full
    }

    /// The site, which is the first part.
    pub fn site(&self) -> SiteId {
        SiteId(self.full.first_chunk().map_or(0, |site| u32::from_be_bytes(*site)))
    }

    /// Bytes of the full key.
    pub fn weight(&self) -> usize {
        self.full.len()
    }

    /// The name of the variant of this key whose request had these selecting values
    /// (see [`crate::semantics::vary::VarySet::values`]).
    pub fn variant(&self, values: &[u8]) -> KeyHash {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.hash.0);
        hasher.update(values);
        KeyHash(*hasher.finalize().as_bytes())
    }
}

impl KeyHash {
    /// Eight of its bytes: as good as random, so that tables need no hash of their own.
    pub fn short(&self) -> u64 {
        let (eight, _) = self.0.split_first_chunk().unwrap_or((&[0; 8], &[]));
        u64::from_le_bytes(*eight)
    }
}

fn push_part(full: &mut Vec<u8>, part: &str) {
    full.extend_from_slice(&(part.len() as u64).to_be_bytes());
    full.extend_from_slice(part.as_bytes());
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({:?})", self.hash)
    }
}

impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.short())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(site: u32, host: &str, target: &str, arm: &str) -> Key {
        Key::new(&KeyParts {
            site: SiteId(site),
            rules: KeyRules(0),
            scheme: &Scheme::HTTP,
            host,
            target: &target.parse().expect("a target"),
            arm,
        })
    }

    #[test]
    fn every_part_tells_keys_apart() {
        let one = key(1, "a.example", "/x?y", "");
        assert_eq!(one, key(1, "a.example", "/x?y", ""));
        assert_ne!(one, key(2, "a.example", "/x?y", ""));
        assert_ne!(one, key(1, "b.example", "/x?y", ""));
        assert_ne!(one, key(1, "a.example", "/x", ""));
        assert_ne!(one, key(1, "a.example", "/x?y", "b"));
        assert_ne!(key(1, "a.example", "/x?", ""), key(1, "a.example", "/x", ""));
    }

    proptest! {
        #[test]
        fn parts_never_run_into_each_other(
            host_a in "[a-z.]{0,6}", path_a in "/[a-z?]{0,6}", host_b in "[a-z.]{0,6}", path_b in "/[a-z?]{0,6}",
        ) {
            let same = host_a == host_b && path_a == path_b;
            prop_assert_eq!(key(1, &host_a, &path_a, "") == key(1, &host_b, &path_b, ""), same);
        }
    }
}
