//! Identities that several modules share and none owns.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

/// A configured site. Never reused for another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SiteId(pub u32);

/// The generation of a site's key rules: changed rules take a new number, so that keys made by the old
/// rules can never be taken for keys made by the new ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyRules(pub u32);

/// The ledger's order of purges: the epoch first, then the number within it.
///
/// A fetch notes the sequence at which it was born; a purge with a later one kills what it matches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Sequence {
    /// Raised at each start, so that a number lost in a crash is never issued again.
    pub epoch: u64,
    /// Counts records within the epoch.
    pub number: u64,
}

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.epoch, self.number)
    }
}

/// One store of one object: each gets its own, so blocks of two stores can never be mixed.
///
/// Taken when the head comes: of two stores, the one with the later head has the later generation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Generation(pub u64);

impl Generation {
    /// The epoch in which it was handed out.
    pub const fn epoch(self) -> u64 {
        self.0 / PER_EPOCH
    }
}

/// Hands out generations, each once, and never zero.
#[derive(Debug)]
pub struct Generations(AtomicU64);

impl Default for Generations {
    fn default() -> Self {
        Self(AtomicU64::new(1))
    }
}

/// Generations of one epoch: more than any process lives to hand out.
const PER_EPOCH: u64 = 1 << 40;

impl Generations {
    /// A generation that was never handed out before by this source.
    pub fn next(&self) -> Generation {
        Generation(self.0.fetch_add(1, Ordering::Relaxed))
    }

    /// From now on only generations of this epoch: later than all that were handed out in earlier ones, by
    /// processes that are gone.
    pub fn raise_to_epoch(&self, epoch: u64) {
        self.0.fetch_max(epoch.saturating_mul(PER_EPOCH), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_epoch_outranks_the_number() {
        let before_crash = Sequence { epoch: 1, number: 900 };
        let after_restart = Sequence { epoch: 2, number: 0 };
        assert!(after_restart > before_crash);
    }

    #[test]
    fn generations_differ() {
        let source = Generations::default();
        assert_ne!(source.next(), source.next());
    }

    #[test]
    fn a_later_epoch_has_later_generations() {
        let (before, after) = (Generations::default(), Generations::default());
        before.raise_to_epoch(3);
        after.raise_to_epoch(4);
        let of_three = before.next();
        assert!(after.next() > of_three);
        after.raise_to_epoch(3);
        assert!(after.next() > of_three, "raising never goes back");
    }
}
