//! The purges of names that are alive, in memory: one table for all kinds, oldest first.

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::num::NonZeroU64;

use hashbrown::HashTable;

use super::name::{Kind, Name};
use super::record::Strength;
use crate::base::clock::Timestamp;

/// What a record costs in memory, whatever its name: 32 bytes, an eighth for records that were replaced and another that
/// is ready for more, and up to 23 in the table, which may double while it takes records out.
pub(super) const RECORD: u64 = 64;

/// Room is made for at least so many at a time.
const STEP: usize = 64;

/// How far [`Names::retire`] has come.
#[derive(Debug, Default)]
pub(super) struct Cursor(Option<u32>);

/// Purges of names.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// In the order in which they were added.
    purges: VecDeque<Purge>,
    /// The place of the first of them: places are counted from the beginning, and over.
    first: u32,
    /// The places of those that no later one of the same name and strength has replaced, by both.
    places: HashTable<u32>,
    /// With a key of its own, because whoever asks for a URL chooses its hash in a way.
    hasher: RandomState,
    /// How many there are of each kind and strength: of what there is none, nobody need look.
    counts: [usize; 2 * Kind::ALL.len()],
}

/// A purge of a name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Named {
    pub(super) ordinal: u64,
    pub(super) time: Timestamp,
    pub(super) strength: Strength,
    pub(super) name: Name,
}

/// The same in 32 bytes.
#[derive(Clone, Copy, Debug)]
struct Purge {
    /// None once a later one has taken its place.
    ordinal: Option<NonZeroU64>,
    hash: [u8; Name::LENGTH],
    /// In the lowest byte kind and strength, and milliseconds above: enough for two million years.
    time_and_sort: u64,
}

/// Kind and strength in a number.
fn sort_of(kind: Kind, strength: Strength) -> usize {
    2 * kind as usize + usize::from(strength == Strength::Soft)
}

impl Purge {
    fn sort(&self) -> usize {
        usize::from(self.time_and_sort.to_le_bytes()[0])
    }

    fn named(&self) -> Option<Named> {
        let sort = self.sort();
        let strength = if sort.is_multiple_of(2) { Strength::Hard } else { Strength::Soft };
        Some(Named {
            ordinal: self.ordinal?.get(),
            time: Timestamp::from_millis(self.time_and_sort >> 8),
            strength,
            name: Name { kind: *Kind::ALL.get(sort / 2)?, hash: self.hash },
        })
    }
}

impl Names {
    /// Whether any purge of this kind and strength is recorded.
    pub(super) fn has(&self, kind: Kind, strength: Strength) -> bool {
        self.counts.get(sort_of(kind, strength)).is_some_and(|count| *count > 0)
    }

    /// The latest purge of a name.
    pub(super) fn get(&self, name: &Name, strength: Strength) -> Option<Named> {
        let sort = sort_of(name.kind, strength);
        let is_it = |place: &u32| {
            self.at(*place).is_some_and(|purge| purge.hash == name.hash && purge.sort() == sort)
        };
        let place = self.places.find(self.hash(&name.hash, sort), is_it)?;
        self.at(*place)?.named()
    }

    fn hash(&self, hash: &[u8; Name::LENGTH], sort: usize) -> u64 {
        self.hasher.hash_one((hash, sort))
    }

    fn at(&self, place: u32) -> Option<&Purge> {
        self.purges.get(place.wrapping_sub(self.first) as usize)
    }

    /// Adds a purge, unless there is a later one; an earlier one of the same name goes, a soft one also for a hard one.
    /// They come in order, so that the oldest are folded first: one that does not kills no less.
    pub(super) fn add(&mut self, purge: &Named) {
        let Named { ordinal, time, strength, name } = *purge;
        let later = |strength| self.get(&name, strength).is_some_and(|there| there.ordinal >= ordinal);
        let Some(number) = NonZeroU64::new(ordinal).filter(|_| !later(strength) && !later(Strength::Hard))
        else {
            return;
        };
        self.remove(&name, strength);
        if strength == Strength::Hard {
            self.remove(&name, Strength::Soft);
        }
        self.make_room();
        let sort = sort_of(name.kind, strength);
        let place = self.first.wrapping_add(u32::try_from(self.purges.len()).unwrap_or(u32::MAX));
        let time_and_sort = time.as_millis() << 8 | sort as u64;
        self.purges.push_back(Purge { ordinal: Some(number), hash: name.hash, time_and_sort });
        self.note(place);
        if let Some(count) = self.counts.get_mut(sort) {
            *count += 1;
        }
    }

    /// Puts a place into the table.
    fn note(&mut self, place: u32) {
        let Self { purges, first, places, hasher, .. } = self;
        let hash_at = |place: &u32| {
            let purge = purges.get(place.wrapping_sub(*first) as usize);
            purge.map_or(0, |purge| hasher.hash_one((&purge.hash, purge.sort())))
        };
        places.insert_unique(hash_at(&place), place, hash_at);
    }

    /// Takes a purge away that another makes superfluous. Its place stays until the next time of tidying.
    fn remove(&mut self, name: &Name, strength: Strength) {
        let sort = sort_of(name.kind, strength);
        let hash = self.hash(&name.hash, sort);
        let Self { purges, first, places, counts, .. } = self;
        let at = |place: u32| place.wrapping_sub(*first) as usize;
        let is_it = |place: &u32| {
            purges.get(at(*place)).is_some_and(|purge| purge.hash == name.hash && purge.sort() == sort)
        };
        let Ok(entry) = places.find_entry(hash, is_it) else { return };
        let (place, _) = entry.remove();
        if let Some(purge) = purges.get_mut(at(place)) {
            purge.ordinal = None;
        }
        if let Some(count) = counts.get_mut(sort) {
            *count -= 1;
        }
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
        self.purges.retain(|purge| purge.ordinal.is_some());
        self.places.clear();
        for nth in 0..u32::try_from(self.purges.len()).unwrap_or(u32::MAX) {
            self.note(self.first.wrapping_add(nth));
        }
    }

    /// Takes away all that say nothing above this floor.
    pub(super) fn raise_floor(&mut self, floor: u64) {
        while let Some(oldest) = self.purges.front().copied()
            && oldest.ordinal.is_none_or(|ordinal| ordinal.get() <= floor)
        {
            if let Some(Named { name, strength, .. }) = oldest.named() {
                self.remove(&name, strength);
            }
            self.purges.pop_front();
            self.first = self.first.wrapping_add(1);
        }
    }

    /// Takes away those up to `ordinal`, soft ones only if these too, among so many from where `cursor` has come; false if there
    /// are no more.
    pub(super) fn retire(&mut self, ordinal: u64, soft_too: bool, cursor: &mut Cursor, at_once: u32) -> bool {
        // What came first may have gone meanwhile.
        let gone = self.first.wrapping_sub(cursor.0.unwrap_or(self.first)).cast_signed();
        let from = cursor.0.filter(|_| gone <= 0).unwrap_or(self.first);
        for place in (0..at_once).map(|nth| from.wrapping_add(nth)) {
            let Some(purge) = self.at(place) else { return self.end_retiring() };
            let Some(named) = purge.named() else { continue };
            if named.ordinal > ordinal {
                return self.end_retiring();
            }
            if soft_too || named.strength == Strength::Hard {
                self.remove(&named.name, named.strength);
            }
        }
        self.drop_replaced_in_front();
        cursor.0 = Some(from.wrapping_add(at_once));
        true
    }

    fn end_retiring(&mut self) -> bool {
        self.drop_replaced_in_front();
        if self.purges.len() < self.purges.capacity() / 4 {
            self.shrink();
        }
        false
    }

    fn drop_replaced_in_front(&mut self) {
        while self.purges.front().is_some_and(|oldest| oldest.ordinal.is_none()) {
            self.purges.pop_front();
            self.first = self.first.wrapping_add(1);
        }
    }

    /// Gives room back of which there is much too much.
    fn shrink(&mut self) {
        self.purges.shrink_to(self.purges.len() + self.purges.len() / 8 + STEP);
        let Self { purges, first, places, hasher, .. } = self;
        places.shrink_to(0, |place| {
            let purge = purges.get(place.wrapping_sub(*first) as usize);
            purge.map_or(0, |purge| hasher.hash_one((&purge.hash, purge.sort())))
        });
    }

    /// How many there are of a strength.
    pub(super) fn of(&self, strength: Strength) -> usize {
        Kind::ALL.into_iter().filter_map(|kind| self.counts.get(sort_of(kind, strength))).sum()
    }

    /// The ordinal of the oldest.
    pub(super) fn oldest(&self) -> Option<u64> {
        self.iter().next().map(|purge| purge.ordinal)
    }

    /// All of them, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = Named> {
        self.purges.iter().filter_map(Purge::named)
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// Bytes that the tables have taken.
    #[cfg(test)]
    fn allocated(&self) -> usize {
        self.purges.capacity() * size_of::<Purge>() + self.places.allocation_size()
    }
}

#[cfg(test)]
mod tests;
