//! What many threads change all the time, in one part for each of a few of them, so that they do not take each
//! other's cache lines away.

use std::sync::atomic::{AtomicUsize, Ordering};

/// The most parts there are: beyond, threads share them, which costs time and nothing else.
const MOST: usize = 16;

static THREADS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static THREAD: usize = THREADS.fetch_add(1, Ordering::Relaxed);
}

/// One `T` for each of a few threads.
#[derive(Debug)]
pub(super) struct Sharded<T> {
    shards: Box<[Apart<T>]>,
}

/// Two cache lines of its own: processors fetch them in pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Apart<T>(T);

impl<T: Default> Sharded<T> {
    /// Parts for `threads` threads; at least one, at most sixteen.
    pub(super) fn new(threads: usize) -> Self {
        let count = threads.clamp(1, MOST).next_power_of_two();
        Self { shards: (0..count).map(|_| Apart::default()).collect() }
    }
}

impl<T> Sharded<T> {
    /// The part of this thread.
    pub(super) fn local(&self) -> &T {
        // The remainder is below the number of parts, which is not zero.
        #[allow(clippy::indexing_slicing)]
        &self.shards[THREAD.with(|thread| *thread) % self.shards.len()].0
    }

    /// All parts.
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.shards.iter().map(|shard| &shard.0)
    }

    /// The sum of a number in each.
    pub(super) fn sum(&self, number: impl Fn(&T) -> u64) -> u64 {
        self.iter().map(number).fold(0, u64::saturating_add)
    }
}
