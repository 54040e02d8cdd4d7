//! The records that are alive, in memory, under a limit.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::file::frame_length;
use super::record::{Record, Subject};
use crate::base::clock::Timestamp;
use crate::base::ids::Sequence;

/// What a record costs in memory beside its URL.
const RECORD: u64 = 192;

/// What is dead, by URL and by the floor.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// What was born before it is dead; an ordinal, as all here.
    floor: u64,
    urls: HashMap<Arc<[u8]>, u64>,
    order: BTreeMap<u64, (Arc<[u8]>, Timestamp)>,
    /// Bytes of memory.
    cost: u64,
    /// Bytes of the frames in a file.
    frames: u64,
}

impl Index {
    /// Whether what was born then under this URL is dead.
    pub(super) fn kills(&self, born: u64, url: &[u8]) -> bool {
        born < self.floor || self.urls.get(url).is_some_and(|purged| born < *purged)
    }

    /// Adds a purge of a URL; an earlier one of the same goes.
    pub(super) fn add(&mut self, ordinal: u64, url: Arc<[u8]>, time: Timestamp) {
        if ordinal <= self.floor || self.urls.get(&url).is_some_and(|purged| *purged >= ordinal) {
            return;
        }
        if let Some(earlier) = self.urls.insert(Arc::clone(&url), ordinal) {
            self.forget(earlier);
        }
        self.cost += cost(&url);
        self.frames += frame_length(url.len());
        self.order.insert(ordinal, (url, time));
    }

    fn forget(&mut self, ordinal: u64) {
        if let Some((url, _)) = self.order.remove(&ordinal) {
            self.cost -= cost(&url);
            self.frames -= frame_length(url.len());
        }
    }

    /// Raises the floor, under which records say nothing new.
    pub(super) fn raise_floor(&mut self, floor: u64) {
        self.floor = self.floor.max(floor);
        while let Some((ordinal, (url, _))) = self.order.first_key_value()
            && *ordinal <= self.floor
        {
            let ordinal = *ordinal;
            self.urls.remove(url);
            self.forget(ordinal);
        }
    }

    /// Folds the oldest records into the floor until the rest takes no more than `limit` bytes; tells how many.
    pub(super) fn fold(&mut self, limit: u64) -> usize {
        let before = self.order.len();
        while self.cost > limit
            && let Some(oldest) = self.order.first_key_value().map(|(ordinal, _)| *ordinal)
        {
            self.raise_floor(oldest);
        }
        before - self.order.len()
    }

    /// All purges of `other` as well.
    pub(super) fn merge(&mut self, other: Self) {
        self.raise_floor(other.floor);
        for (ordinal, (url, time)) in other.order {
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
        for (_, (url, time)) in earlier.order {
            last.number += 1;
            self.add(last.ordinal(), url, time);
        }
        last
    }

    /// The floor.
    pub(super) fn floor(&self) -> Sequence {
        Sequence::of_ordinal(self.floor)
    }

    /// The records in order.
    pub(super) fn records(&self) -> impl Iterator<Item = Record> {
        self.order.iter().map(|(ordinal, (url, time))| Record {
            sequence: Sequence::of_ordinal(*ordinal),
            time: *time,
            subject: Subject::Url(Arc::clone(url)),
        })
    }

    /// How many records there are.
    pub(super) fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether nothing is dead by it.
    pub(super) fn is_empty(&self) -> bool {
        self.floor == 0 && self.order.is_empty()
    }

    /// Bytes of memory that it takes.
    pub(super) fn cost(&self) -> u64 {
        self.cost
    }

    /// Bytes of the frames of its records.
    pub(super) fn frames(&self) -> u64 {
        self.frames
    }
}

fn cost(url: &[u8]) -> u64 {
    RECORD + url.len() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(index: &mut Index, ordinal: u64, url: &str) {
        index.add(ordinal, url.as_bytes().into(), Timestamp::default());
    }

    #[test]
    fn a_later_purge_of_a_url_takes_the_place_of_the_earlier() {
        let mut index = Index::default();
        add(&mut index, 1, "/a");
        add(&mut index, 3, "/a");
        add(&mut index, 2, "/a");
        assert_eq!((index.len(), index.cost()), (1, cost(b"/a")));
        assert!(index.kills(2, b"/a") && !index.kills(3, b"/a") && !index.kills(0, b"/b"));
    }

    #[test]
    fn over_the_limit_the_oldest_fold_into_the_floor() {
        let mut index = Index::default();
        for (ordinal, url) in [(1, "/a"), (2, "/b"), (3, "/c")] {
            add(&mut index, ordinal, url);
        }
        assert_eq!(index.fold(2 * cost(b"/a")), 1);
        assert!(index.kills(0, b"/any") && !index.kills(1, b"/any"), "all before the one that was folded");
        assert!(!index.kills(1, b"/a") && index.kills(1, b"/b"));
        assert_eq!(index.fold(0), 2);
        assert_eq!((index.len(), index.cost(), index.frames(), index.floor().ordinal()), (0, 0, 0, 3));
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
        assert!(index.kills(of_another, b"/any") && index.kills(of_another, b"/b"));
        assert!(!index.kills(last.ordinal(), b"/c"));
    }
}
