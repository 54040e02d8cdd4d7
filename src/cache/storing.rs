//! How something is stored, what is noted beside it, and how it is taken out again.

use http::HeaderMap;

use super::Cache;
use super::key::Key;
use super::lookup::Hit;
use super::markers::Marker;
use super::object::Object;
use crate::base::clock::Timestamp;
use crate::base::ids::Generation;
use crate::semantics::tags::Tags;
use crate::semantics::vary::VarySet;

impl Cache {
    /// Notes that answers for `key` vary by `set`, so that the next requests are grouped at once.
    pub fn note_vary(&self, key: &Key, set: &VarySet) {
        if !set.is_empty() {
            self.memory.note_vary(key, set);
        }
    }

    /// Makes `hit` visible to lookup; false if one with a later head is there, or it was purged since it was born. The tiers
    /// may refuse it all the same: they keep what is asked for most.
    pub fn store(&self, key: &Key, hit: &Hit) -> bool {
        let overtaken = || self.disk.as_ref().is_some_and(|disk| disk.has_later(key, &hit.object));
        if !self.is_alive(key, &hit.object) || overtaken() {
            return false;
        }
        let (stored, replaced) = self.memory.store(key, hit);
        if let Some(replaced) = replaced {
            self.forget_blocks(key, &replaced);
            self.forget_codings(key, &replaced);
        }
        if let Some(disk) = self.disk.as_ref().filter(|_| stored) {
            disk.store(key, hit);
        }
        // A purge may have come in between. Nobody uses what it has killed; it need not take room either.
        if stored && !self.is_alive(key, &hit.object) {
            self.remove(key, &hit.object);
            return false;
        }
        stored
    }

    /// Has what is stored under `key` found under other URLs as well, if its fields say that these are the same.
    pub fn note_equivalents(&self, key: &Key, object: &Object) {
        if let Some(rule) = object.head.search_rule() {
            self.aliases.note(key, rule);
        }
    }

    /// Notes that `object`, which varies, was stored for a request with these fields, and lets the variants of `key`
    /// go that were stored longest ago, beyond `max`. Returns how many; says so once in a while.
    pub fn note_variant(&self, key: &Key, object: &Object, request: &HeaderMap, max: usize) -> usize {
        if object.vary.is_empty() {
            return 0;
        }
        let surplus = self.variants.note(key, object, request, max, object.terms().freshness.response_time);
        for variant in &surplus.gone {
            // The disk first, as in `remove`.
            if let Some(disk) = &self.disk {
                disk.forget(variant.slot.short(), key, variant.generation);
            }
            self.memory.remove_variant(key, variant.slot, variant.generation);
        }
        if let Some((fields, values)) = surplus.warning {
            let (url, fields) = (key.readable(), fields.join(", "));
            tracing::warn!(
                "{url:?} has more than {max} variants (max_variants), and the oldest go: its Vary names {fields}, of \
                 which there were {values} different values; the origin should vary by less, or say private"
            );
        }
        surplus.gone.len()
    }

    /// Takes `object` out, unless another one has taken its place.
    pub fn remove(&self, key: &Key, object: &Object) {
        // The disk first: a search that has just read it looks there whether it may go into memory.
        if let Some(disk) = &self.disk {
            disk.forget(object.slot(key).short(), key, object.generation);
        }
        self.forget_blocks(key, object);
        self.forget_codings(key, object);
        self.memory.remove(key, object);
    }

    /// The marker on `key`, if it is still alive.
    pub fn marker(&self, key: &Key, now: Timestamp) -> Option<Marker> {
        self.markers.get(key, now).filter(|marker| self.is_untouched(key, marker.born, &Tags::default()))
    }

    /// Notes that answers for `key` are not for sharing.
    pub fn mark(&self, key: &Key, marker: Marker) {
        let there = self.marker(key, marker.since);
        if !there.is_some_and(|there| self.markers.is_repeated(&there, &marker)) {
            self.markers.put(key, marker);
        }
    }

    /// The first answer that may be shared ends the marker.
    pub fn unmark(&self, key: &Key) {
        self.markers.remove(key);
    }

    /// A generation for a new store.
    pub fn next_generation(&self) -> Generation {
        self.generations.next()
    }
}
