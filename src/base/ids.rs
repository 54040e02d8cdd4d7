//! Identities that several modules share and none owns.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

/// A configured site. It follows from the site's name, so that the same site finds again what it stored before a
/// restart, whatever sites came or went meanwhile (decision 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SiteId(pub u32);

impl SiteId {
    /// The identity of the site of this name. Two names may share one, as rarely as hashes of 32 bits do: the
    /// configuration refuses such a pair.
    pub fn of(name: &str) -> Self {
        Self(hash_32("forebay site", name.as_bytes()))
    }
}

/// The generation of a site's key rules: it follows from the rules themselves, so that keys made by other rules are
/// never taken for keys made by these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyRules(pub u32);

impl KeyRules {
    /// The generation of rules that are told apart by this text.
    pub fn of(rules: &[u8]) -> Self {
        Self(hash_32("forebay key rules", rules))
    }
}

/// A pool of origins: its place in the node's list of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PoolId(pub usize);

/// What is asked of clients when they connect by TLS: its place in the node's list of such policies, the first of which
/// asks for nothing. A request is answered on a connection of its own site's policy alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientPolicy(pub u32);

impl ClientPolicy {
    /// Nothing is asked: of whoever comes in the clear, and of whoever comes by TLS to a site that wants nothing else.
    pub const NONE: Self = Self(0);
}

fn hash_32(context: &str, text: &[u8]) -> u32 {
    let hash = blake3::derive_key(context, text);
    hash.first_chunk().map_or(0, |four| u32::from_le_bytes(*four))
}

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

/// Bits of the number in an ordinal.
const NUMBER_BITS: u32 = 40;

impl Sequence {
    /// The same order in one number, to be read at once: 24 bits of the epoch and 40 of the number, more than any node
    /// lives to use.
    pub const fn ordinal(self) -> u64 {
        let (most_epochs, most_numbers) = ((1 << (u64::BITS - NUMBER_BITS)) - 1, (1 << NUMBER_BITS) - 1);
        let epoch = if self.epoch > most_epochs { most_epochs } else { self.epoch };
        let number = if self.number > most_numbers { most_numbers } else { self.number };
        (epoch << NUMBER_BITS) | number
    }

    /// The sequence of an [`ordinal`](Self::ordinal).
    pub const fn of_ordinal(ordinal: u64) -> Self {
        Self { epoch: ordinal >> NUMBER_BITS, number: ordinal & ((1 << NUMBER_BITS) - 1) }
    }
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
        assert!(after_restart.ordinal() > before_crash.ordinal());
        assert_eq!(Sequence::of_ordinal(before_crash.ordinal()), before_crash);
    }

    #[test]
    fn a_site_is_known_by_its_name_whatever_stands_beside_it() {
        // Written down: another value would lose what is stored on disks.
        assert_eq!(SiteId::of("default"), SiteId::of("default"));
        assert_ne!(SiteId::of("shop"), SiteId::of("blog"));
        assert_ne!(KeyRules::of(b"shop").0, SiteId::of("shop").0);
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
