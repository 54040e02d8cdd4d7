//! The records that are alive, in memory, under a limit.

use super::file;
use super::name::{Facts, Kind, Name};
use super::names::{Cursor, Named, Names, RECORD};
use super::record::{Purge, Record, Says, Strength, Subject};
use crate::base::clock::Timestamp;
use crate::base::ids::Sequence;
use crate::semantics::glob::Glob;

/// The most globs at a time: each is compared with every object that is looked at after a purge.
pub(super) const MOST_GLOBS: usize = 64;

/// Records that are looked at under one lock when they are let go of.
const RETIRED_AT_ONCE: u32 = 512;

/// What a glob costs beside its text, in memory.
const GLOB: u64 = 128;

/// What the purges so far make of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// None since it was born matches it.
    Alive,
    /// It is stale since then, if not before.
    StaleSince(Timestamp),
    /// It is dead.
    Dead,
}

/// What is dead, and what is stale.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// What was born before it is dead; an ordinal, as all here.
    floor: u64,
    names: Names,
    /// In order.
    globs: Vec<Like>,
    /// The latest soft purge of everything; a hard one is the floor.
    all: Option<(u64, Timestamp)>,
    /// Up to which place the fleet's stream was applied.
    stream: u64,
    /// Records were let go of, because nothing was left that they matter for: on the disk that is known.
    has_retired: bool,
}

/// A purge of URLs that are like this.
#[derive(Clone, Debug)]
struct Like {
    ordinal: u64,
    time: Timestamp,
    strength: Strength,
    glob: Glob,
}

impl Index {
    /// What is to be thought of what was born then.
    pub(super) fn judge(&self, born: u64, facts: &Facts<'_>) -> Standing {
        if born < self.floor || self.kills(born, facts) {
            return Standing::Dead;
        }
        self.stale_since(born, facts).map_or(Standing::Alive, Standing::StaleSince)
    }

    fn kills(&self, born: u64, facts: &Facts<'_>) -> bool {
        self.any_name(Strength::Hard, facts, |purge| born < purge.ordinal)
            || self.any_glob(Strength::Hard, born, facts, |_| true)
    }

    /// The earliest time of the soft purges that match.
    fn stale_since(&self, born: u64, facts: &Facts<'_>) -> Option<Timestamp> {
        let mut earliest = self.all.filter(|(ordinal, _)| born < *ordinal).map(|(_, time)| time);
        let mut note =
            |time: Timestamp| earliest = Some(earliest.map_or(time, |earliest| earliest.min(time)));
        self.any_name(Strength::Soft, facts, |purge| {
            if born < purge.ordinal {
                note(purge.time);
            }
            false
        });
        self.any_glob(Strength::Soft, born, facts, |time| {
            note(time);
            false
        });
        earliest
    }

    /// Whether one of the purges of what `facts` name is it.
    fn any_name(&self, strength: Strength, facts: &Facts<'_>, mut is_it: impl FnMut(Named) -> bool) -> bool {
        let mut found = false;
        for kind in Kind::ALL.into_iter().filter(|kind| self.names.has(*kind, strength)) {
            facts.names(kind, |name| {
                found = found || self.names.get(name, strength).is_some_and(&mut is_it);
                found
            });
        }
        found
    }

    /// The same for those of globs since `born`, by their times.
    fn any_glob(
        &self,
        strength: Strength,
        born: u64,
        facts: &Facts<'_>,
        mut is_it: impl FnMut(Timestamp) -> bool,
    ) -> bool {
        let since = |like: &&Like| like.strength == strength && born < like.ordinal;
        self.globs.iter().filter(since).any(|like| like.glob.matches(facts.url()) && is_it(like.time))
    }

    /// Whether there is room for so many globs more that are not there yet.
    pub(super) fn has_room_for(&self, globs: usize) -> bool {
        self.globs.len() + globs <= MOST_GLOBS
    }

    /// Whether a glob is there.
    pub(super) fn has(&self, glob: &Glob, strength: Strength) -> bool {
        self.globs.iter().any(|like| like.glob == *glob && like.strength == strength)
    }

    /// Adds what a record says. They come in order, so that the oldest are folded first.
    pub(super) fn add(&mut self, record: &Record) {
        self.stream = self.stream.max(record.stream);
        let (ordinal, time) = (record.sequence.ordinal(), record.time);
        match &record.says {
            Says::Floor { .. } => self.raise_floor(ordinal),
            Says::Purge(purge) if ordinal > self.floor => self.add_purge(purge, ordinal, time),
            Says::Purge(_) => {}
        }
    }

    fn add_purge(&mut self, purge: &Purge, ordinal: u64, time: Timestamp) {
        match (&purge.subject, purge.strength) {
            (Subject::Named(name), strength) => {
                self.names.add(&Named { ordinal, time, strength, name: *name });
            }
            (Subject::Like(glob), strength) => {
                self.add_glob(Like { ordinal, time, strength, glob: glob.clone() });
            }
            (Subject::All, Strength::Hard) => self.raise_floor(ordinal),
            (Subject::All, Strength::Soft) => {
                self.all = self.all.filter(|(there, _)| *there >= ordinal).or(Some((ordinal, time)));
            }
        }
    }

    fn add_glob(&mut self, like: Like) {
        let same = |there: &Like| there.glob == like.glob && there.strength == like.strength;
        if self.globs.iter().any(|there| same(there) && there.ordinal >= like.ordinal) {
            return;
        }
        self.globs.retain(|there| !same(there));
        self.globs.push(like);
    }

    /// Raises the floor, under which records say nothing new.
    pub(super) fn raise_floor(&mut self, floor: u64) {
        self.floor = self.floor.max(floor);
        let floor = self.floor;
        self.names.raise_floor(floor);
        self.globs.retain(|like| like.ordinal > floor);
        self.all = self.all.filter(|(ordinal, _)| *ordinal > floor);
    }

    /// Folds the oldest records into the floor until there are no more than `limit`; tells how many.
    pub(super) fn fold(&mut self, limit: usize) -> usize {
        let before = self.len();
        while self.names.len() > limit
            && let Some(oldest) = self.names.oldest()
        {
            self.raise_floor(oldest);
        }
        before - self.len()
    }

    /// Takes away some of those up to `ordinal`, because nothing is left that they matter for; soft ones only if these too.
    /// Tells how many went, and whether there may be more.
    pub(super) fn retire(&mut self, ordinal: u64, soft_too: bool, cursor: &mut Cursor) -> (usize, bool) {
        let before = self.len();
        let goes = |of: u64, strength| of <= ordinal && (soft_too || strength == Strength::Hard);
        let more = self.names.retire(ordinal, soft_too, cursor, RETIRED_AT_ONCE);
        self.globs.retain(|like| !goes(like.ordinal, like.strength));
        self.all = self.all.filter(|(of, _)| !goes(*of, Strength::Soft));
        let gone = before - self.len();
        self.has_retired |= gone > 0;
        (gone, more)
    }

    /// Records that a sweep would make superfluous: soft ones only if these too.
    pub(super) fn retirable(&self, soft_too: bool) -> usize {
        if soft_too { self.len() } else { self.names.of(Strength::Hard) + self.globs.len() }
    }

    /// All purges of `other` as well.
    pub(super) fn merge(&mut self, other: &Self) {
        let earlier = std::mem::take(self);
        self.raise_floor(earlier.floor.max(other.floor));
        self.stream = earlier.stream.max(other.stream);
        self.has_retired = earlier.has_retired;
        let mut all: Vec<Record> = earlier.records().chain(other.records()).collect();
        all.sort_by_key(|record| record.sequence);
        for record in &all {
            self.add(record);
        }
    }

    /// The same records in the same order, all of them issued anew in `epoch`; the floor is the first, and stands for those too
    /// that were let go of. Tells the last.
    pub(super) fn reissue(&mut self, epoch: u64) -> Sequence {
        let earlier = std::mem::take(self);
        self.stream = earlier.stream;
        let mut last = Sequence { epoch, number: 0 };
        if earlier.floor > 0 || earlier.has_retired {
            last.number += 1;
            self.floor = last.ordinal();
        }
        let mut all: Vec<Record> = earlier.records().collect();
        all.sort_by_key(|record| record.sequence);
        for record in all {
            last.number += 1;
            self.add(&Record { sequence: last, ..record });
        }
        last
    }

    /// The floor.
    pub(super) fn floor(&self) -> Sequence {
        Sequence::of_ordinal(self.floor)
    }

    /// Up to which place the fleet's stream was applied.
    pub(super) fn stream(&self) -> u64 {
        self.stream
    }

    /// The records: those of each sort in order.
    pub(super) fn records(&self) -> impl Iterator<Item = Record> {
        let record = |ordinal, time, strength, subject| {
            let (sequence, says) = (Sequence::of_ordinal(ordinal), Says::Purge(Purge { strength, subject }));
            Record { sequence, time, id: 0, stream: 0, says }
        };
        let named =
            move |purge: Named| record(purge.ordinal, purge.time, purge.strength, Subject::Named(purge.name));
        let like = move |like: &Like| {
            record(like.ordinal, like.time, like.strength, Subject::Like(like.glob.clone()))
        };
        let all = self.all.map(|(ordinal, time)| record(ordinal, time, Strength::Soft, Subject::All));
        self.names.iter().map(named).chain(self.globs.iter().map(like)).chain(all)
    }

    /// How many records there are.
    pub(super) fn len(&self) -> usize {
        self.names.len() + self.globs.len() + usize::from(self.all.is_some())
    }

    /// Whether nothing was ever purged by it.
    pub(super) fn is_empty(&self) -> bool {
        self.floor == 0 && self.len() == 0 && !self.has_retired
    }

    /// Whether there are records of more than URLs, the floor not counted.
    pub(super) fn speaks_of_many(&self) -> bool {
        let of_names = |kind: &Kind| {
            *kind != Kind::Url
                && (self.names.has(*kind, Strength::Hard) || self.names.has(*kind, Strength::Soft))
        };
        Kind::ALL.iter().any(of_names) || !self.globs.is_empty() || self.all.is_some()
    }

    /// How many globs there are.
    pub(super) fn globs(&self) -> usize {
        self.globs.len()
    }

    /// Bytes of memory that it takes.
    pub(super) fn cost(&self) -> u64 {
        let globs = self.globs.iter().map(|like| like.glob.text().len() as u64 + GLOB).sum::<u64>();
        self.names.len() as u64 * RECORD + globs
    }

    /// Bytes of the frames of its records.
    pub(super) fn frames(&self) -> u64 {
        let of_names = self.names.len() as u64 * file::frame_of(Name::LENGTH);
        let of_globs = self.globs.iter().map(|like| file::frame_of(like.glob.text().len())).sum::<u64>();
        of_names + of_globs + u64::from(self.all.is_some()) * file::frame_of(0)
    }
}

#[cfg(test)]
mod tests;
