//! How often slots are asked for, roughly and of late: a count-min sketch of four-bit counters that are halved
//! from time to time (`TinyLFU`).
//!
//! Counting is a few relaxed atomic loads, and stores only while the counters still rise: what is asked for all the
//! time is only read, so that cores do not fight for it.

use std::sync::atomic::{AtomicU64, Ordering};

/// The most that is counted.
pub const MOST: u8 = 15;

/// Each word holds sixteen counters, of which a slot uses one in each quarter.
const ROWS: u32 = 4;

/// Frequencies of slots.
#[derive(Debug)]
pub struct Sketch {
    words: Box<[AtomicU64]>,
    mask: u64,
    counted: AtomicU64,
    /// After so many counts all counters are halved.
    period: u64,
}

impl Sketch {
    /// A sketch that tells about so many slots apart: a word of eight bytes for each four of them.
    pub fn new(slots: u64) -> Self {
        let words = (slots / 4).clamp(1024, 1 << 26).next_power_of_two();
        let period = words.saturating_mul(4).saturating_mul(10);
        let words: Box<[AtomicU64]> = (0..words).map(|_| AtomicU64::new(0)).collect();
        Self { mask: words.len() as u64 - 1, words, counted: AtomicU64::new(0), period }
    }

    /// Bytes of memory that it takes.
    pub fn weight(&self) -> u64 {
        self.words.len() as u64 * 8
    }

    /// Counts one request for `slot`.
    pub fn count(&self, slot: u64) {
        let mut rose = false;
        for row in 0..ROWS {
            let (word, shift) = self.counter(slot, row);
            let Some(word) = word else { return };
            let held = word.load(Ordering::Relaxed);
            if (held >> shift) & u64::from(MOST) < u64::from(MOST) {
                // A count that another thread overwrites is lost, which is rare and harmless.
                word.store(held + (1 << shift), Ordering::Relaxed);
                rose = true;
            }
        }
        if rose {
            self.counted.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Halves all counters if it is time. Takes a millisecond or two, so the keeper does it.
    pub fn age(&self) {
        if self.counted.load(Ordering::Relaxed) >= self.period {
            self.halve();
        }
    }

    /// How often `slot` was asked for: never less than it was, but for the halving.
    pub fn estimate(&self, slot: u64) -> u8 {
        let counters = (0..ROWS).map(|row| {
            let (word, shift) = self.counter(slot, row);
            word.map_or(0, |word| (word.load(Ordering::Relaxed) >> shift) & u64::from(MOST))
        });
        counters.min().and_then(|least| u8::try_from(least).ok()).unwrap_or(0)
    }

    fn halve(&self) {
        self.counted.store(self.period / 2, Ordering::Relaxed);
        for word in &self.words {
            let held = word.load(Ordering::Relaxed);
            word.store((held >> 1) & 0x7777_7777_7777_7777, Ordering::Relaxed);
        }
    }

    /// The counter of `slot` in a row, and its place in the word.
    fn counter(&self, slot: u64, row: u32) -> (Option<&AtomicU64>, u32) {
        const SEEDS: [u64; 4] =
            [0xc3a5_c85c_97cb_3127, 0xb492_b66f_be98_f273, 0x9ae1_6a3b_2f90_404f, 0xcbf2_9ce4_8422_2325];
        let seed = SEEDS.get(row as usize).copied().unwrap_or(1);
        let mixed = slot.wrapping_mul(seed);
        let mixed = mixed ^ (mixed >> 32);
        let word = usize::try_from(mixed & self.mask).ok().and_then(|index| self.words.get(index));
        // Two bits choose one of the four counters of the row's quarter.
        let within = u32::try_from((mixed >> 58) & 3).unwrap_or(0);
        (word, (row * 4 + within) * 4)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(number: u64) -> u64 {
        number.wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    #[test]
    fn what_is_asked_for_often_stands_out() {
        let sketch = Sketch::new(10_000);
        for number in 0..10_000 {
            sketch.count(slot(number));
        }
        for _ in 0..9 {
            sketch.count(slot(5));
        }
        assert!(sketch.estimate(slot(5)) >= 10);
        let overrated = (100..10_000).filter(|number| sketch.estimate(slot(*number)) > 3).count();
        assert!(overrated < 100, "{overrated} of 10,000");
        let unknown = (20_000..30_000).filter(|number| sketch.estimate(slot(*number)) > 1).count();
        assert!(unknown < 1_000, "{unknown} of 10,000");
    }

    #[test]
    fn what_was_asked_for_long_ago_fades() {
        let sketch = Sketch::new(4096);
        for _ in 0..20 {
            sketch.count(slot(1));
        }
        assert_eq!(sketch.estimate(slot(1)), MOST);
        for number in 2..200_000 {
            sketch.count(slot(number));
            sketch.age();
        }
        assert!(sketch.estimate(slot(1)) < MOST);
    }
}
