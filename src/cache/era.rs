//! Which fetches are under way that began before some moment: what they bring may be as old, and waits for nobody.

use std::sync::{Arc, Weak};

use parking_lot::RwLock;

/// Held by whatever may store or hand out something born before now, as long as it may.
#[derive(Clone, Debug)]
pub struct Era(#[allow(dead_code, reason = "held to be counted")] Arc<()>);

/// All eras, of which the last goes on.
#[derive(Debug, Default)]
pub(super) struct Eras {
    current: RwLock<Arc<()>>,
}

/// An era that is over, once nobody of it is left.
#[derive(Debug)]
pub(super) struct Past(Weak<()>);

impl Eras {
    /// To be taken before the ledger's sequence is read that one is born at.
    pub(super) fn current(&self) -> Era {
        Era(Arc::clone(&self.current.read()))
    }

    /// Begins another one. Whoever takes that reads a sequence of the ledger that is no earlier than one that was read before
    /// this call.
    pub(super) fn turn(&self) -> Past {
        let before = std::mem::take(&mut *self.current.write());
        Past(Arc::downgrade(&before))
    }
}

impl Past {
    /// Whether nobody of it, or of one before it that was asked about, is left.
    pub(super) fn is_over(&self) -> bool {
        self.0.strong_count() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_era_is_over_when_the_last_of_it_has_gone() {
        let eras = Eras::default();
        let (first, second) = (eras.current(), eras.current());
        let past = eras.turn();
        let of_the_next = eras.current();
        drop(first);
        assert!(!past.is_over());
        drop(second);
        assert!(past.is_over());
        drop(of_the_next);
        assert!(eras.turn().is_over(), "nobody was of it");
    }
}
