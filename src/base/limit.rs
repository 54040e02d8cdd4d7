//! How many of something there may be at a time: a number that can be changed while some are there.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A limit. Cloning shares it.
#[derive(Clone, Debug)]
pub struct Limit(Arc<Counted>);

#[derive(Debug)]
struct Counted {
    most: AtomicUsize,
    now: AtomicUsize,
}

/// One of them; dropping it makes room for another.
#[derive(Debug)]
pub struct Place(Arc<Counted>);

impl Limit {
    /// At most `most` at a time.
    pub fn new(most: usize) -> Self {
        Self(Arc::new(Counted { most: AtomicUsize::new(most), now: AtomicUsize::new(0) }))
    }

    /// From now on at most `most`. Those that are there stay, also if they are more.
    pub fn set(&self, most: usize) {
        self.0.most.store(most, Ordering::Relaxed);
    }

    /// How many there may be.
    pub fn most(&self) -> usize {
        self.0.most.load(Ordering::Relaxed)
    }

    /// How many there are.
    pub fn now(&self) -> usize {
        self.0.now.load(Ordering::Relaxed)
    }

    /// Whether there is no room for another.
    pub fn is_full(&self) -> bool {
        self.now() >= self.most()
    }

    /// A place for one more, if there is room.
    pub fn take(&self) -> Option<Place> {
        let most = self.most();
        let one_more = |now: usize| (now < most).then_some(now + 1);
        let taken = self.0.now.fetch_update(Ordering::AcqRel, Ordering::Relaxed, one_more);
        taken.ok().map(|_| Place(Arc::clone(&self.0)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_free_again_once_it_is_dropped() {
        let limit = Limit::new(1);
        let place = limit.take().expect("room");
        assert!(limit.take().is_none() && limit.is_full());
        drop(place);
        assert_eq!(limit.now(), 0);
        assert!(limit.take().is_some());
    }

    #[test]
    fn a_lower_limit_ends_nobody_and_a_higher_one_lets_more_in() {
        let limit = Limit::new(2);
        let (one, _two) = (limit.take(), limit.take());
        limit.set(1);
        assert_eq!((limit.now(), limit.most()), (2, 1));
        drop(one);
        assert!(limit.take().is_none(), "one is there still");
        limit.set(3);
        assert!(limit.take().is_some());
    }
}
