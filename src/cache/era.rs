//! Which fetches are under way that began before some moment: what they bring may be as old, and waits for nobody.

use std::sync::{Arc, Weak};

use parking_lot::RwLock;

/// Held by whatever may store or hand out something born before now, as long as it may.
#[derive(Clone, Debug)]
pub struct Era {
    shared: Arc<u64>,
}

/// All eras, of which the last goes on.
#[derive(Debug, Default)]
pub(super) struct Eras {
    current: RwLock<Arc<u64>>,
}

/// Eras that are over, once nobody of them is left.
#[derive(Debug)]
pub(super) struct Past(Vec<Weak<u64>>);

impl Era {
    /// Which one it is: each has a number of its own.
    pub fn number(&self) -> u64 {
        *self.shared
    }
}

impl Eras {
    /// To be taken before the ledger's sequence is read that one is born at.
    pub(super) fn current(&self) -> Era {
        Era { shared: Arc::clone(&self.current.read()) }
    }

    /// Begins another one. Whoever takes that reads a sequence of the ledger that is no earlier than one that was read before
    /// this call.
    pub(super) fn turn(&self) -> Past {
        let mut current = self.current.write();
        let next = Arc::new(**current + 1);
        let before = std::mem::replace(&mut *current, next);
        Past(vec![Arc::downgrade(&before)])
    }
}

impl Past {
    /// Whether nobody of them is left.
    pub(super) fn is_over(&mut self) -> bool {
        self.0.retain(|era| era.strong_count() > 0);
        self.0.is_empty()
    }

    /// The eras of both. What is over of them is not kept.
    pub(super) fn join(&mut self, other: Self) {
        self.0.extend(other.0);
        self.is_over();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_era_is_over_when_the_last_of_it_has_gone() {
        let eras = Eras::default();
        let (first, second) = (eras.current(), eras.current());
        let mut past = eras.turn();
        let of_the_next = eras.current();
        assert_eq!((first.number(), of_the_next.number()), (0, 1));
        drop(first);
        assert!(!past.is_over());
        let mut both = eras.turn();
        drop(second);
        assert!(past.is_over() && !both.is_over());
        both.join(past);
        drop(of_the_next);
        assert!(both.is_over());
        assert!(eras.turn().is_over(), "nobody was of it");
    }
}
