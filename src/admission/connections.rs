//! A limit on connections.

use crate::base::limit::{Limit, Place};

/// Counts connections against a limit.
#[derive(Clone, Debug)]
pub struct Connections(Limit);

/// A connection's place; dropping it frees it.
#[derive(Debug)]
pub struct Guest {
    _place: Place,
}

impl Connections {
    /// At most `limit` connections at a time.
    pub fn new(limit: usize) -> Self {
        Self(Limit::new(limit))
    }

    /// From now on at most `limit`. Those that are there stay.
    pub fn set_limit(&self, limit: usize) {
        self.0.set(limit);
    }

    /// How many there are now.
    pub fn now(&self) -> usize {
        self.0.now()
    }

    /// How many there may be.
    pub fn limit(&self) -> usize {
        self.0.most()
    }

    /// A place for one more, if there is one.
    pub fn admit(&self) -> Option<Guest> {
        self.0.take().map(|place| Guest { _place: place })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_free_again_once_its_guest_has_left() {
        let connections = Connections::new(1);
        let guest = connections.admit().expect("a place");
        assert!(connections.admit().is_none());
        assert_eq!((connections.now(), connections.limit()), (1, 1));
        drop(guest);
        assert_eq!(connections.now(), 0);
        assert!(connections.admit().is_some());
    }
}
