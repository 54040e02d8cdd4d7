//! Who came by of late: what is asked for once must not turn the memory tier over.
//!
//! Where the disk has far more than memory, most of what is read from it is not asked for again before it would have to
//! go. The policy of the memory tier finds that out in the end, and each time for the price of an entry made, weighed and
//! thrown out. A doorkeeper knows it from one number, before anything is made.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::body::budget::{Budget, Charge};

/// Remembers the last visitor at each of its places. A visitor is forgotten when another one comes to the same place: so
/// it is remembered for about as many visits as there are places, and nothing has to be aged.
#[derive(Debug)]
pub(super) struct Doorkeeper {
    last: Box<[AtomicU32]>,
    _memory: Charge,
}

/// Bytes of the memory tier for each place: about as many visits are remembered as it holds objects of that size.
const BYTES_OF_PLACE: u64 = 8 << 10;

/// The fewest places, and the most (64 MiB of them).
const PLACES: (u64, u64) = (1 << 10, 1 << 24);

impl Doorkeeper {
    /// One before a tier of so many bytes, charged to the budget.
    pub(super) fn of_tier(bytes: u64, budget: &Arc<Budget>) -> Self {
        let (fewest, most) = PLACES;
        let places = (bytes / BYTES_OF_PLACE).clamp(fewest, most).next_power_of_two();
        let last: Box<[AtomicU32]> = (0..places).map(|_| AtomicU32::new(0)).collect();
        let memory = budget.charge(std::mem::size_of_val(&*last) as u64);
        Self { last, _memory: memory }
    }

    /// Whether `visitor`, a hash, came by of late. From now on it has.
    ///
    /// Of two that come to one place at the same time one may be forgotten, which is rare and harmless.
    pub(super) fn knows(&self, visitor: u64) -> bool {
        let place = usize::try_from(visitor % self.last.len() as u64).unwrap_or(0);
        let Some(last) = self.last.get(place) else { return false };
        // A place where nobody was yet must look like no visitor.
        let mark = u32::try_from(visitor >> 32).unwrap_or(0) | 1;
        // Who comes again and again is only read, so that cores do not fight for it.
        last.load(Ordering::Relaxed) == mark || {
            last.store(mark, Ordering::Relaxed);
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers that are as good as hashes.
    fn hash(number: u64) -> u64 {
        number.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29).wrapping_mul(0xbf58_476d_1ce4_e5b9)
    }

    #[test]
    fn one_who_comes_back_soon_is_known_and_after_many_others_is_not() {
        let door = Doorkeeper::of_tier(0, &Budget::new(1 << 20));
        let places = door.last.len() as u64;
        assert!(!door.knows(hash(1)));
        assert!(door.knows(hash(1)));
        let others = |range: std::ops::Range<u64>| range.filter(|other| door.knows(hash(*other))).count();
        assert_eq!(others(10..10 + places / 16), 0, "strangers");
        let soon = others(10..10 + places / 16);
        assert!(soon as u64 > places / 16 * 3 / 4, "{soon} of {} who came back soon", places / 16);
        others(100_000..100_000 + 20 * places);
        let late = others(10..10 + places / 16);
        assert!((late as u64) < places / 64, "{late} of {} who came back late", places / 16);
    }

    #[test]
    fn a_place_where_nobody_was_knows_nobody() {
        let door = Doorkeeper::of_tier(1 << 20, &Budget::new(1 << 20));
        assert!(!door.knows(0) && door.knows(0));
        assert!(!door.knows(1) && !door.knows(1 << 40 | 1));
    }
}
