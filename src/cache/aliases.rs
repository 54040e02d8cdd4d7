//! Other URLs of what is stored, by its own `No-Vary-Search`.
//!
//! For a path (a key without its query) the rules are kept that answers for it stated last, and for each of them and
//! for what it leaves of a query, the key of the newest answer. So an answer is found again under a URL that it was
//! never asked for by. All of that is in memory only, and bounded: what is forgotten costs a fetch.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use super::key::{Key, KeyHash};
use super::short_hash::{BuildShortHasher, ShortHash};
use crate::semantics::no_vary_search::SearchRule;

/// The most rules that are remembered for one path; the oldest goes first. An origin should not have more than one
/// (draft-ietf-httpbis-no-vary-search, section "Caching").
const MAX_RULES: usize = 4;

/// What an entry costs beside what is in it, roughly.
const ENTRY_OVERHEAD: usize = 256;

/// Rules of a path, the newest first.
type Rules = Arc<[Arc<SearchRule>]>;

#[derive(Debug)]
pub(super) struct Aliases {
    rules: Cache<ShortHash<KeyHash>, Rules, BuildShortHasher>,
    keys: Cache<Alias, Key>,
    /// Whether anything was ever noted: most sites have nothing of the kind.
    used: AtomicBool,
}

/// All URLs of a path that are the same by a rule.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Alias {
    path: KeyHash,
    rule: Arc<SearchRule>,
    query: Box<[u8]>,
}

impl Aliases {
    /// Empty, for `capacity` bytes.
    pub(super) fn new(capacity: u64) -> Self {
        let weight = |bytes: usize| u32::try_from(bytes + ENTRY_OVERHEAD).unwrap_or(u32::MAX);
        let rules = Cache::builder()
            .max_capacity(capacity / 4)
            .weigher(move |_, rules: &Rules| weight(rules.iter().map(|rule| rule.weight() + 64).sum()))
            .eviction_policy(EvictionPolicy::lru())
            .build_with_hasher(BuildShortHasher);
        let keys = Cache::builder()
            .max_capacity(capacity - capacity / 4)
            .weigher(move |alias: &Alias, key: &Key| weight(alias.query.len() + key.weight()))
            .eviction_policy(EvictionPolicy::lru())
            .build();
        Self { rules, keys, used: AtomicBool::new(false) }
    }

    /// Whether anything was ever noted.
    pub(super) fn is_used(&self) -> bool {
        self.used.load(Ordering::Relaxed)
    }

    /// Forgets all of them.
    pub(super) fn clear(&self) {
        if self.used.load(Ordering::Relaxed) {
            self.rules.invalidate_all();
            self.keys.invalidate_all();
        }
    }

    /// Notes that what is stored under `key` states `rule`.
    pub(super) fn note(&self, key: &Key, rule: SearchRule) {
        let (path, rule) = (key.path(), Arc::new(rule));
        self.rules.entry(ShortHash(path)).and_upsert_with(|known| {
            let known = known.map(moka::Entry::into_value).unwrap_or_default();
            let others = known.iter().filter(|other| **other != rule);
            [&rule].into_iter().chain(others).take(MAX_RULES).cloned().collect()
        });
        self.keys.insert(Alias::of(key, path, rule), key.clone());
        self.used.store(true, Ordering::Release);
    }

    /// Keys of what may be stored for a URL that is the same as that of `key`, by rules from the newest on. What is
    /// stored there has to be asked whether it still says so.
    pub(super) fn of(&self, key: &Key) -> Vec<Key> {
        if !self.used.load(Ordering::Acquire) {
            return Vec::new();
        }
        let path = key.path();
        let rules = self.rules.get(&ShortHash(path)).unwrap_or_default();
        let aliases = rules.iter().map(|rule| Alias::of(key, path, Arc::clone(rule)));
        aliases.filter_map(|alias| self.keys.get(&alias)).filter(|other| other != key).collect()
    }
}

impl Alias {
    fn of(key: &Key, path: KeyHash, rule: Arc<SearchRule>) -> Self {
        let query = rule.normal_form(key.query()).into();
        Self { path, rule, query }
    }
}
