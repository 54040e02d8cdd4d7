//! What purges would match, counted without purging: as far as can be seen in a moment.

use std::time::Duration;

use tokio::time::Instant;

use super::Cache;
use super::ledger::record::Purge;
use super::ledger::{Checked, Matcher, TooManyGlobs};

/// Objects that are looked at in each tier, at most.
const MOST: u64 = 200_000;

/// Time for each tier.
const TIME: Duration = Duration::from_millis(500);

/// How much purges would match.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Of objects in memory, beside those that are on disk too.
    pub memory: Count,
    /// Of objects on disk.
    pub disk: Count,
}

/// Some of the objects of a tier.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Those that match, of those that were looked at, and are not dead already.
    pub matched: u64,
    /// How many were looked at.
    pub seen: u64,
    /// Whether there are more that were not looked at.
    pub is_cut: bool,
}

impl Cache {
    /// Blocking, for a second at most, one after the other: counts what these purges would match. Nothing is changed.
    pub fn tally(&self, purges: Vec<Purge>) -> Result<Tally, TooManyGlobs> {
        let matcher = Matcher::of(purges)?;
        // They read what the disk has, as requests do.
        let _only_one = self.tallying.lock();
        let mut memory = Counting::begin();
        let is_seen = self.memory.each(|key, object| {
            // Codings go with what they were made of.
            object.codings.made.is_some()
                || memory.note(self.is_alive(key, object) && matcher.matches(key, &object.tags))
        });
        // One that is built anew just now has more than was seen.
        memory.count.is_cut |= !is_seen;
        let mut disk = Counting::begin();
        let is_whole = self.disk().is_none_or(|tier| {
            tier.each_record(|_, found| {
                let lives = self.ledger.lets_live(found.born, &Checked::default(), &found.key, &found.tags);
                disk.note(lives && matcher.matches(&found.key, &found.tags))
            })
        });
        let (memory, mut disk) = (memory.count, disk.count);
        // One that is loading, or in trouble, has more than can be seen.
        disk.is_cut |= !is_whole;
        Ok(Tally { memory, disk })
    }
}

struct Counting {
    count: Count,
    begun: Instant,
}

impl Counting {
    fn begin() -> Self {
        Self { count: Count::default(), begun: Instant::now() }
    }

    /// Counts one; false if it was the last.
    fn note(&mut self, matched: bool) -> bool {
        self.count.seen += 1;
        self.count.matched += u64::from(matched);
        self.count.is_cut = self.count.seen >= MOST || self.begun.elapsed() > TIME;
        !self.count.is_cut
    }
}
