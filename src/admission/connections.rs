//! A limit on connections.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Counts connections against a limit.
#[derive(Clone, Debug)]
pub struct Connections {
    places: Arc<Semaphore>,
    limit: usize,
}

/// A connection's place; dropping it frees it.
#[derive(Debug)]
pub struct Guest {
    _place: OwnedSemaphorePermit,
}

impl Connections {
    /// At most `limit` connections at a time.
    pub fn new(limit: usize) -> Self {
        let limit = limit.min(Semaphore::MAX_PERMITS);
        Self { places: Arc::new(Semaphore::new(limit)), limit }
    }

    /// How many there are now.
    pub fn now(&self) -> usize {
        self.limit.saturating_sub(self.places.available_permits())
    }

    /// How many there may be.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// A place for one more, if there is one.
    pub fn admit(&self) -> Option<Guest> {
        Arc::clone(&self.places).try_acquire_owned().ok().map(|place| Guest { _place: place })
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
