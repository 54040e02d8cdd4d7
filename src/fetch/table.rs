//! The table of fetches that others may join: sharded, each shard under a short lock.
//!
//! Under a shard's lock only memory is read, and nothing awaits. A memory hit never takes it.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};

use super::flight::Flight;
use crate::cache::key::KeyHash;
use crate::cache::short_hash::{BuildShortHasher, ShortHash};

const SHARDS: usize = 64;

/// Fetches by the hash of their key.
pub(super) type Shard = HashMap<ShortHash<KeyHash>, Vec<Arc<Flight>>, BuildShortHasher>;

/// Fetches by key. A key has more than one while several variants of it are fetched.
#[derive(Debug)]
pub(super) struct FlightTable {
    shards: Box<[Mutex<Shard>]>,
}

impl FlightTable {
    pub(super) fn new() -> Self {
        Self { shards: (0..SHARDS).map(|_| Mutex::default()).collect() }
    }

    /// The fetches of this key (and of others in its shard), locked.
    pub(super) fn lock(&self, key: KeyHash) -> MutexGuard<'_, Shard> {
        // By bits that a shard's own table neither takes its places from nor its marks. The remainder is below the number of
        // shards, which is not zero.
        #[allow(clippy::indexing_slicing, clippy::cast_possible_truncation)]
        self.shards[(key.short() >> 40) as usize % SHARDS].lock()
    }

    /// How many fetches can be joined.
    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().values().map(Vec::len).sum::<usize>()).sum()
    }
}

/// A flight's place in the table. It leaves when this is dropped, however the fetch ends.
#[derive(Debug)]
pub(super) struct Claim {
    table: Arc<FlightTable>,
    flight: Arc<Flight>,
}

impl Claim {
    /// Puts `flight` into its shard, which the caller has locked.
    pub(super) fn insert(table: &Arc<FlightTable>, shard: &mut Shard, flight: &Arc<Flight>) -> Self {
        shard.entry(ShortHash(flight.ask.key.hash())).or_default().push(Arc::clone(flight));
        Self { table: Arc::clone(table), flight: Arc::clone(flight) }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let hash = self.flight.ask.key.hash();
        let mut shard = self.table.lock(hash);
        if let Some(flights) = shard.get_mut(&ShortHash(hash)) {
            flights.retain(|flight| !Arc::ptr_eq(flight, &self.flight));
            if flights.is_empty() {
                shard.remove(&ShortHash(hash));
            }
        }
    }
}
