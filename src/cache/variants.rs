//! How many variants a key has, so that an origin that varies by what every client sends in its own way cannot fill
//! the tiers with one page.
//!
//! The list of a key's variants is in memory and bounded in bytes: a key whose list was pushed out, or one from before
//! a restart, is counted anew, and what it had is left to the tiers' own eviction.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use parking_lot::Mutex;

use super::key::{Key, KeyHash};
use super::object::Object;
use super::short_hash::{BuildShortHasher, ShortHash};
use crate::base::clock::Timestamp;
use crate::base::ids::Generation;
use crate::semantics::vary::VarySet;

/// How long nothing more is said of a key that has too many.
const QUIET_KEY: Duration = Duration::from_hours(1);

/// How long nothing more is said of any key.
const QUIET: Duration = Duration::from_secs(10);

/// What an entry costs beside what is in it, roughly.
const ENTRY_OVERHEAD: usize = 256;

#[derive(Debug)]
pub(super) struct Variants {
    keys: Cache<ShortHash<KeyHash>, Arc<Known>, BuildShortHasher>,
    random: RandomState,
    warned: Mutex<Option<Timestamp>>,
}

/// What is known of a key.
#[derive(Clone, Debug, Default)]
struct Known {
    /// The one that was stored last comes last.
    variants: Vec<Variant>,
    warned: Option<Timestamp>,
}

/// A variant, and what tells it from others.
#[derive(Clone, Debug)]
pub(super) struct Variant {
    pub(super) slot: KeyHash,
    pub(super) generation: Generation,
    vary: VarySet,
    /// For each name of `vary`, a hash of what the request said there.
    values: Arc<[u64]>,
}

/// What is to be done about a key that has too many variants.
#[derive(Debug, Default)]
pub(super) struct Surplus {
    /// These are to go.
    pub(super) gone: Vec<Variant>,
    /// This is to be said: the names of the fields whose values differ most, and how many different ones there are.
    pub(super) warning: Option<(Vec<String>, usize)>,
}

impl Variants {
    /// Empty, for `capacity` bytes.
    pub(super) fn new(capacity: u64) -> Self {
        let keys = Cache::builder()
            .max_capacity(capacity)
            .weigher(|_, known: &Arc<Known>| u32::try_from(known.weight()).unwrap_or(u32::MAX))
            .eviction_policy(EvictionPolicy::lru())
            .build_with_hasher(BuildShortHasher);
        Self { keys, random: RandomState::new(), warned: Mutex::default() }
    }

    /// Notes that `object` was stored for a request with these fields. Beyond `max` variants of its key, those that
    /// were stored longest ago are to go.
    pub(super) fn note(
        &self,
        key: &Key,
        object: &Object,
        request: &HeaderMap,
        max: usize,
        now: Timestamp,
    ) -> Surplus {
        let names = object.vary.names().iter();
        let said = |name: &http::HeaderName| VarySet::of_names([name.clone()]).values(request);
        let variant = Variant {
            slot: object.slot(key),
            generation: object.generation,
            vary: object.vary.clone(),
            values: names.map(|name| self.random.hash_one(said(name))).collect(),
        };
        let mut surplus = Surplus::default();
        self.keys.entry(ShortHash(key.hash())).and_upsert_with(|known| {
            let mut known = known.map(|entry| Known::clone(&entry.into_value())).unwrap_or_default();
            known.variants.retain(|other| other.slot != variant.slot);
            known.variants.push(variant);
            let too_many = known.variants.len().saturating_sub(max);
            if too_many > 0 && self.may_warn(known.warned, now) {
                known.warned = Some(now);
                surplus.warning = Some(known.most_different());
            }
            surplus.gone = known.variants.drain(..too_many).collect();
            Arc::new(known)
        });
        surplus
    }

    /// Where the variants of `key` are that are known, the one that was stored last at the end.
    pub(super) fn slots(&self, key: &Key) -> Vec<KeyHash> {
        let known = self.keys.get(&ShortHash(key.hash()));
        known.map_or_else(Vec::new, |known| known.variants.iter().map(|variant| variant.slot).collect())
    }

    /// Whether it is time to say something of a key of which something was said at `before`.
    fn may_warn(&self, before: Option<Timestamp>, now: Timestamp) -> bool {
        let quiet = |since: Option<Timestamp>, time| since.is_some_and(|since| now.since(since) < time);
        let mut any = self.warned.lock();
        if quiet(before, QUIET_KEY) || quiet(*any, QUIET) {
            return false;
        }
        *any = Some(now);
        true
    }
}

impl Known {
    fn weight(&self) -> usize {
        let values: usize = self.variants.iter().map(|variant| variant.values.len() * size_of::<u64>()).sum();
        ENTRY_OVERHEAD + self.variants.len() * size_of::<Variant>() + values
    }

    /// The fields of which there are most different values, and how many.
    fn most_different(&self) -> (Vec<String>, usize) {
        let mut values: Vec<(&str, u64)> = self.variants.iter().flat_map(Variant::values).collect();
        values.sort_unstable();
        values.dedup();
        let counts: Vec<(&str, usize)> = values
            .chunk_by(|(one, _), (other, _)| one == other)
            .filter_map(|same| Some((same.first()?.0, same.len())))
            .collect();
        let most = counts.iter().map(|(_, count)| *count).max().unwrap_or(0);
        let names = counts.iter().filter(|(_, count)| *count == most).map(|(name, _)| (*name).to_owned());
        (names.collect(), most)
    }
}

impl Variant {
    fn values(&self) -> impl Iterator<Item = (&str, u64)> {
        self.vary.names().iter().map(http::HeaderName::as_str).zip(self.values.iter().copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ids::{KeyRules, SiteId};
    use crate::cache::key::KeyParts;

    fn variant(names: &[&'static str], values: &[u64]) -> Variant {
        let key = Key::new(&KeyParts {
            site: SiteId(1),
            rules: KeyRules(1),
            scheme: &http::uri::Scheme::HTTP,
            host: "a.example",
            target: &http::uri::PathAndQuery::from_static("/"),
            arm: "",
        });
        Variant {
            slot: key.hash(),
            generation: Generation::default(),
            vary: VarySet::of_names(names.iter().map(|name| http::HeaderName::from_static(name))),
            values: values.into(),
        }
    }

    #[test]
    fn the_fields_that_differ_most_are_named() {
        let two = |values| variant(&["accept-language", "cookie"], values);
        let variants = vec![two(&[1, 1]), two(&[1, 2]), two(&[2, 3]), variant(&["origin"], &[1])];
        assert_eq!(Known { variants, warned: None }.most_different(), (vec!["cookie".to_owned()], 3));
        let variants = vec![two(&[1, 1]), two(&[2, 2])];
        let both = vec!["accept-language".to_owned(), "cookie".to_owned()];
        assert_eq!(Known { variants, warned: None }.most_different(), (both, 2));
    }

    #[test]
    fn a_key_is_told_of_once_an_hour_and_not_all_keys_at_once() {
        let variants = Variants::new(1 << 20);
        let at = Timestamp::from_secs;
        assert!(variants.may_warn(None, at(1000)));
        assert!(!variants.may_warn(None, at(1009)), "another key, a moment later");
        assert!(variants.may_warn(None, at(1010)));
        assert!(!variants.may_warn(Some(at(1000)), at(4599)));
        assert!(variants.may_warn(Some(at(1000)), at(4600)));
    }
}
