//! What is asked for most, by a sample: one look-up in so many of each thread is put down.
//!
//! The table holds a bounded number of keys. One that is new takes the place of the one that was counted least, and its
//! count with it (Space-Saving, Metwally et al. 2005): so a key is never counted for less than it was sampled, and one that
//! makes up more than a 512th of the sample is always there. Counts are halved now and then, so that they tell of late.

use std::cell::Cell;
use std::collections::HashMap;

use parking_lot::Mutex;

use super::key::{Key, KeyHash};

/// One look-up in so many is put down.
pub const SAMPLED: u32 = 64;

/// The most keys at a time.
pub const MOST: usize = 512;

/// Samples after which all counts are halved.
const HALVED_AFTER: u64 = 1 << 16;

/// A key that takes up more than this is not kept: the list would hold too much.
const LONGEST: usize = 4 << 10;

thread_local! {
    /// Look-ups of this thread until the next one is put down. Threads begin at places of their own, or what is asked for in
    /// a fixed order would always be met at the same step.
    static LEFT: Cell<u32> = Cell::new(fastrand::u32(0..SAMPLED));
}

/// The keys that were sampled most of late.
#[derive(Debug, Default)]
pub(super) struct HotList(Mutex<Sample>);

#[derive(Debug)]
struct Sample {
    keys: HashMap<KeyHash, Sampled>,
    noted: u64,
}

impl Default for Sample {
    /// Nothing sampled yet. All of its memory is there from the start, so that no hit has to wait for any.
    fn default() -> Self {
        Self { keys: HashMap::with_capacity(MOST + 1), noted: 0 }
    }
}

#[derive(Debug)]
struct Sampled {
    key: Key,
    count: u64,
    /// How much of the count was taken over.
    inherited: u64,
}

/// A key that is asked for much.
#[derive(Clone, Debug)]
pub struct Hot {
    /// The key.
    pub key: Key,
    /// Samples of it, at most.
    pub count: u64,
    /// How many of them may have been of others.
    pub uncertain: u64,
}

impl HotList {
    /// Counts a look-up of this thread; every so many are put down.
    pub(super) fn note(&self, key: &Key) {
        let left = LEFT.get();
        if left > 0 {
            return LEFT.set(left - 1);
        }
        // By chance, so that no rhythm of requests meets that of the sample; so many on average.
        LEFT.set(fastrand::u32(0..2 * SAMPLED - 1));
        if key.weight() <= LONGEST {
            self.0.lock().put_down(key);
        }
    }

    /// The first so many, most of them first.
    pub(super) fn first(&self, limit: usize) -> Vec<Hot> {
        let sample = self.0.lock();
        let hot = |sampled: &Sampled| Hot {
            key: sampled.key.clone(),
            count: sampled.count,
            uncertain: sampled.inherited,
        };
        let mut all: Vec<Hot> = sample.keys.values().map(hot).collect();
        drop(sample);
        all.sort_unstable_by_key(|hot| (std::cmp::Reverse(hot.count - hot.uncertain), hot.key.hash()));
        all.truncate(limit);
        all
    }
}

impl Sample {
    fn put_down(&mut self, key: &Key) {
        self.noted += 1;
        if self.noted >= HALVED_AFTER {
            self.halve();
        }
        if let Some(sampled) = self.keys.get_mut(&key.hash()) {
            sampled.count += 1;
            return;
        }
        let inherited = if self.keys.len() < MOST { 0 } else { self.give_way() };
        self.keys.insert(key.hash(), Sampled { key: key.clone(), count: inherited + 1, inherited });
    }

    /// Takes the key out that was counted least; its count.
    fn give_way(&mut self) -> u64 {
        let least = self.keys.iter().min_by_key(|(_, sampled)| sampled.count).map(|(hash, _)| *hash);
        let gone = least.and_then(|least| self.keys.remove(&least));
        gone.map_or(0, |gone| gone.count)
    }

    fn halve(&mut self) {
        self.noted = 0;
        self.keys.retain(|_, sampled| {
            sampled.count /= 2;
            sampled.inherited /= 2;
            sampled.count > 0
        });
    }
}

#[cfg(test)]
mod tests {
    use http::uri::Scheme;

    use super::*;
    use crate::base::ids::{KeyRules, SiteId};
    use crate::cache::key::KeyParts;

    fn key(number: usize) -> Key {
        let target = format!("/{number}").parse().expect("a target");
        let (site, rules, scheme) = (SiteId(1), KeyRules(0), &Scheme::HTTP);
        Key::new(&KeyParts { site, rules, scheme, host: "a", target: &target, arm: "" })
    }

    #[test]
    fn what_is_hot_is_found_among_far_more_than_the_table_holds() {
        let list = HotList::default();
        let (hot, mut cold) = (key(0), 1);
        for turn in 0..400_000 {
            if turn % 4 == 0 {
                list.note(&hot);
            } else {
                list.note(&key(cold));
                cold += 1;
            }
        }
        let first = list.first(10);
        assert_eq!((first.len(), &first[0].key), (10, &hot));
        // A fourth of 6,250 samples, give or take.
        let sure = first[0].count - first[0].uncertain;
        assert!((1200..2000).contains(&sure), "{first:?}");
        assert_eq!(list.first(usize::MAX).len(), MOST, "the table is bounded");
    }

    #[test]
    fn counts_are_halved_so_that_they_tell_of_late() {
        let mut sample = Sample::default();
        for _ in 0..HALVED_AFTER - 1 {
            sample.put_down(&key(1));
        }
        sample.put_down(&key(2));
        let count = |number| sample.keys.get(&key(number).hash()).map(|sampled| sampled.count);
        assert_eq!((count(1), count(2)), (Some((HALVED_AFTER - 1) / 2), Some(1)));
    }
}
