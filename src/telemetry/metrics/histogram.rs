//! Durations, counted by how long they are.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds of the buckets in microseconds: from what a hit in memory takes to what a client waits for.
pub const BOUNDS: [u64; 19] = [
    50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    2_500_000, 5_000_000, 10_000_000, 30_000_000, 60_000_000,
];

/// Counts of durations. Recording takes two additions.
#[derive(Debug, Default)]
pub(super) struct Histogram {
    /// The last is for those beyond every bound.
    buckets: [AtomicU64; BOUNDS.len() + 1],
    nanos: AtomicU64,
}

/// What histograms hold at one moment, taken together.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Distribution {
    /// How many are in each bucket, and beyond the last bound.
    pub buckets: [u64; BOUNDS.len() + 1],
    /// All of them together, in nanoseconds.
    pub nanos: u64,
}

impl Histogram {
    pub(super) fn record(&self, took: Duration) {
        // In parts, because dividing 128 bits takes longer than all the rest.
        let (whole, part) = (took.as_secs(), took.subsec_nanos());
        let micros = whole.saturating_mul(1_000_000).saturating_add(part.div_ceil(1000).into());
        let bucket = BOUNDS.partition_point(|bound| *bound < micros);
        if let Some(count) = self.buckets.get(bucket) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.nanos
            .fetch_add(whole.saturating_mul(1_000_000_000).saturating_add(part.into()), Ordering::Relaxed);
    }

    pub(super) fn add_to(&self, sum: &mut Distribution) {
        for (count, own) in sum.buckets.iter_mut().zip(&self.buckets) {
            *count = count.saturating_add(own.load(Ordering::Relaxed));
        }
        sum.nanos = sum.nanos.saturating_add(self.nanos.load(Ordering::Relaxed));
    }
}

impl Distribution {
    /// How many there are.
    pub fn count(&self) -> u64 {
        self.buckets.iter().fold(0, |sum, count| sum.saturating_add(*count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_belongs_to_its_bucket() {
        let histogram = Histogram::default();
        for nanos in [0, 50_000, 50_001, 100_000, 61_000_000_000] {
            histogram.record(Duration::from_nanos(nanos));
        }
        let mut sum = Distribution::default();
        histogram.add_to(&mut sum);
        assert_eq!((sum.buckets[0], sum.buckets[1], sum.buckets[BOUNDS.len()]), (2, 2, 1));
        assert_eq!((sum.count(), sum.nanos), (5, 61_000_200_001));
    }
}
