//! The records that are alive, in memory, under a limit.

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::num::NonZeroU64;

use hashbrown::HashTable;

use super::file::FRAME;
use super::record::{Record, Subject, UrlHash};
use crate::base::clock::Timestamp;
use crate::base::ids::Sequence;

/// What a record costs in memory, whatever its URL: 32 bytes, an eighth for records that were replaced and another that
/// is ready for more, and up to 23 in the table, which may double while it takes records out.
pub(super) const RECORD: u64 = 64;

/// What is dead, by URL and by the floor.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// What was born before it is dead; an ordinal, as all here.
    floor: u64,
    /// Purges in the order in which they were added.
    purges: VecDeque<Purge>,
    /// The place of the first of them: places are counted from the beginning, and over.
    first: u32,
    /// The places of those that no later one of the same URL has replaced, by URL.
    places: HashTable<u32>,
    /// With a key of its own, because whoever asks for a URL chooses its hash in a way.
    hasher: RandomState,
}

#[derive(Clone, Copy, Debug)]
struct Purge {
    /// None once a later one has taken its place.
    ordinal: Option<NonZeroU64>,
    url: UrlHash,
    time: Timestamp,
}

impl Index {
    /// Whether what was born then under this URL is dead.
    pub(super) fn kills(&self, born: u64, url: &UrlHash) -> bool {
        born < self.floor || self.purged(url).is_some_and(|purged| born < purged)
    }

    fn purged(&self, url: &UrlHash) -> Option<u64> {
        let place = self.places.find(self.hasher.hash_one(url), |place| self.is_of(*place, url))?;
        self.at(*place)?.ordinal.map(NonZeroU64::get)
    }

    fn at(&self, place: u32) -> Option<&Purge> {
        self.purges.get(place.wrapping_sub(self.first) as usize)
    }

    fn is_of(&self, place: u32, url: &UrlHash) -> bool {
        self.at(place).is_some_and(|purge| purge.url == *url)
    }

    /// Adds a purge of a URL; an earlier one of the same goes. They come in order, so that the oldest are folded first:
    /// one that does not kills no less.
    pub(super) fn add(&mut self, ordinal: u64, url: UrlHash, time: Timestamp) {
        let Some(number) = NonZeroU64::new(ordinal) else { return };
        if ordinal <= self.floor || self.purged(&url).is_some_and(|purged| purged >= ordinal) {
            return;
        }
        self.make_room();
        let hash = self.hasher.hash_one(url);
        let place = self.first.wrapping_add(u32::try_from(self.purges.len()).unwrap_or(u32::MAX));
        self.purges.push_back(Purge { ordinal: Some(number), url, time });
        let Self { purges, first, places, hasher, .. } = self;
        let at = |place: u32| place.wrapping_sub(*first) as usize;
        if let Some(earlier) =
            places.find_mut(hash, |earlier| purges.get(at(*earlier)).is_some_and(|purge| purge.url == url))
        {
            if let Some(replaced) = purges.get_mut(at(*earlier)) {
                replaced.ordinal = None;
            }
            *earlier = place;
            return;
        }
        places.insert_unique(hash, place, |place| {
            purges.get(at(*place)).map_or(0, |purge| hasher.hash_one(purge.url))
        });
    }

    /// Room for one more, in steps, so that little is spare; what was replaced goes first if it is much.
    fn make_room(&mut self) {
        if self.purges.len() < self.purges.capacity() {
            return;
        }
        let alive = self.places.len();
        if self.purges.len() - alive > alive / 8 + STEP {
            self.drop_replaced();
        } else {
            self.purges.reserve_exact(self.purges.len() / 8 + STEP);
        }
    }

    fn drop_replaced(&mut self) {
        let (first, hasher) = (self.first, &self.hasher);
        self.purges.retain(|purge| purge.ordinal.is_some());
        let purges = &self.purges;
        let hash_at = |place: &u32| {
            let purge = purges.get(place.wrapping_sub(first) as usize);
            purge.map_or(0, |purge| hasher.hash_one(purge.url))
        };
        self.places.clear();
        for (purge, nth) in purges.iter().zip(0..) {
            self.places.insert_unique(hasher.hash_one(purge.url), first.wrapping_add(nth), hash_at);
        }
    }

    /// Takes the oldest away.
    fn forget_first(&mut self) {
        let (place, Some(oldest)) = (self.first, self.purges.pop_front()) else { return };
        self.first = place.wrapping_add(1);
        if oldest.ordinal.is_some()
            && let Ok(entry) =
                self.places.find_entry(self.hasher.hash_one(oldest.url), |other| *other == place)
        {
            entry.remove();
        }
    }

    /// Raises the floor, under which records say nothing new.
    pub(super) fn raise_floor(&mut self, floor: u64) {
        self.floor = self.floor.max(floor);
        while let Some(oldest) = self.purges.front()
            && oldest.ordinal.is_none_or(|ordinal| ordinal.get() <= self.floor)
        {
            self.forget_first();
        }
    }

    /// Folds the oldest records into the floor until there are no more than `limit`; tells how many.
    pub(super) fn fold(&mut self, limit: usize) -> usize {
        let before = self.len();
        while self.len() > limit
            && let Some(oldest) = self.purges.front()
        {
            self.raise_floor(oldest.ordinal.map_or(0, NonZeroU64::get));
        }
        before - self.len()
    }

    /// All purges of `other` as well.
    pub(super) fn merge(&mut self, other: &Self) {
        let earlier = std::mem::take(self);
        self.raise_floor(earlier.floor.max(other.floor));
        let mut all: Vec<_> = earlier.alive().chain(other.alive()).collect();
        all.sort_unstable_by_key(|(ordinal, ..)| *ordinal);
        for (ordinal, url, time) in all {
            self.add(ordinal, url, time);
        }
    }

    /// The same records in the same order, all of them issued anew in `epoch`; the floor is the first. Tells the last.
    pub(super) fn reissue(&mut self, epoch: u64) -> Sequence {
        let earlier = std::mem::take(self);
        let mut last = Sequence { epoch, number: 0 };
        if earlier.floor > 0 {
            last.number += 1;
            self.floor = last.ordinal();
        }
        for (_, url, time) in earlier.alive() {
            last.number += 1;
            self.add(last.ordinal(), url, time);
        }
        last
    }

    /// The floor.
    pub(super) fn floor(&self) -> Sequence {
        Sequence::of_ordinal(self.floor)
    }

    fn alive(&self) -> impl Iterator<Item = (u64, UrlHash, Timestamp)> {
        self.purges.iter().filter_map(|purge| Some((purge.ordinal?.get(), purge.url, purge.time)))
    }

    /// The records in order.
    pub(super) fn records(&self) -> impl Iterator<Item = Record> {
        self.alive().map(|(ordinal, url, time)| Record {
            sequence: Sequence::of_ordinal(ordinal),
            time,
            subject: Subject::Url(url),
        })
    }

    /// How many records there are.
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether nothing is dead by it.
    pub(super) fn is_empty(&self) -> bool {
        self.floor == 0 && self.places.is_empty()
    }

    /// Bytes of memory that it takes.
    pub(super) fn cost(&self) -> u64 {
        self.places.len() as u64 * RECORD
    }

    /// Bytes of the frames of its records.
    pub(super) fn frames(&self) -> u64 {
        self.places.len() as u64 * FRAME
    }
}

/// Room is made for at least so many at a time.
const STEP: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn add(index: &mut Index, ordinal: u64, url: &str) {
        index.add(ordinal, UrlHash::of(url.as_bytes()), Timestamp::default());
    }

    fn kills(index: &Index, born: u64, url: &str) -> bool {
        index.kills(born, &UrlHash::of(url.as_bytes()))
    }

    #[test]
    fn a_later_purge_of_a_url_takes_the_place_of_the_earlier() {
        let mut index = Index::default();
        add(&mut index, 1, "/a");
        add(&mut index, 3, "/a");
        add(&mut index, 2, "/a");
        assert_eq!((index.len(), index.cost(), index.records().count()), (1, RECORD, 1));
        assert!(kills(&index, 2, "/a") && !kills(&index, 3, "/a") && !kills(&index, 0, "/b"));
    }

    #[test]
    fn what_is_purged_again_and_again_takes_no_more_room() {
        let mut index = Index::default();
        for ordinal in 1..100_000 {
            add(&mut index, ordinal, &format!("/{}", ordinal % 1000));
        }
        assert_eq!((index.len(), index.records().count(), index.fold(1000)), (1000, 1000, 0));
        assert!(index.purges.capacity() < 1500, "{}", index.purges.capacity());
        for ordinal in 99_000..100_000 {
            let url = format!("/{}", ordinal % 1000);
            assert!(kills(&index, ordinal - 1, &url) && !kills(&index, ordinal, &url), "{ordinal}");
        }
    }

    #[test]
    fn a_record_costs_no_more_than_is_counted() {
        let mut index = Index::default();
        for ordinal in 1..200_000 {
            add(&mut index, ordinal, &ordinal.to_string());
            let tables = index.purges.capacity() * size_of::<Purge>() + index.places.allocation_size();
            assert!(ordinal < 2000 || tables as u64 <= index.cost(), "{ordinal}: {tables} bytes");
        }
    }

    #[test]
    fn over_the_limit_the_oldest_fold_into_the_floor() {
        let mut index = Index::default();
        for (ordinal, url) in [(1, "/a"), (2, "/b"), (3, "/c")] {
            add(&mut index, ordinal, url);
        }
        assert_eq!(index.fold(2), 1);
        assert!(kills(&index, 0, "/any") && !kills(&index, 1, "/any"), "all before the one that was folded");
        assert!(!kills(&index, 1, "/a") && kills(&index, 1, "/b"));
        assert_eq!(index.fold(0), 2);
        assert_eq!((index.len(), index.cost(), index.frames(), index.floor().ordinal()), (0, 0, 0, 3));
    }

    #[test]
    fn two_that_are_merged_kill_what_either_killed_and_fold_in_one_order() {
        let (mut one, mut other) = (Index::default(), Index::default());
        for (ordinal, url) in [(2, "/a"), (4, "/b"), (6, "/c")] {
            add(&mut one, ordinal, url);
        }
        for (ordinal, url) in [(1, "/b"), (3, "/c"), (5, "/a")] {
            add(&mut other, ordinal, url);
        }
        one.merge(&other);
        for (purged, url) in [(5, "/a"), (4, "/b"), (6, "/c")] {
            assert!(kills(&one, purged - 1, url) && !kills(&one, purged, url), "{url}");
        }
        assert_eq!((one.fold(2), one.floor().ordinal()), (1, 4));
    }

    #[test]
    fn what_is_issued_anew_kills_what_it_killed_and_all_that_another_has_seen() {
        let mut index = Index::default();
        for (ordinal, url) in [(1, "/a"), (2, "/b"), (5, "/c")] {
            add(&mut index, ordinal, url);
        }
        index.raise_floor(1);
        let last = index.reissue(9);
        assert_eq!(last, Sequence { epoch: 9, number: 3 });
        let of_another = Sequence { epoch: 8, number: 77 }.ordinal();
        assert!(kills(&index, of_another, "/any") && kills(&index, of_another, "/b"));
        assert!(!kills(&index, last.ordinal(), "/c"));
    }
}
