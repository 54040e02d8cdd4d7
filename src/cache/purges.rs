//! What the cache makes of the ledger: what may be used, and how purges come in.

use std::time::Duration;

use super::Cache;
use super::disk::DiskTier;
use super::key::Key;
use super::ledger::receipt::Receipt;
use super::ledger::record::Purge;
use super::ledger::{LedgerState, Source, Standing, TooManyGlobs};
use super::object::Object;
use crate::base::clock::Timestamp;
use crate::base::ids::Sequence;
use crate::semantics::tags::Tags;

impl Cache {
    /// Whether no purge has killed an object of `key`. A soft one is noted in it.
    pub fn is_alive(&self, key: &Key, object: &Object) -> bool {
        object.is_alive(key, &self.ledger)
    }

    /// Whether no purge, hard or soft, has come since `born` that matches what was born then under `key` with these tags.
    pub fn is_untouched(&self, key: &Key, born: Sequence, tags: &Tags) -> bool {
        self.ledger.standing(born, key, tags) == Standing::Alive
    }

    /// Records purges: see [`Ledger::purge`](super::ledger::Ledger::purge).
    pub fn purge(&self, purges: Vec<Purge>, now: Timestamp, source: Source) -> Result<Receipt, TooManyGlobs> {
        self.ledger.purge(purges, now, source)
    }

    /// Purges what an answer takes back, and tells what that answer counts as born at: see
    /// [`Ledger::purge_for`](super::ledger::Ledger::purge_for).
    pub fn purge_for(
        &self,
        key: &Key,
        purges: impl IntoIterator<Item = Purge>,
        now: Timestamp,
        born: Sequence,
    ) -> (Receipt, Sequence) {
        self.ledger.purge_for(key, purges, now, born)
    }

    /// How long a purge is waited for to become durable.
    pub fn purge_patience(&self) -> Duration {
        self.disk.as_ref().map_or(Duration::ZERO, DiskTier::patience)
    }

    /// How the ledger is.
    pub fn ledger(&self) -> LedgerState {
        self.ledger.state()
    }

    /// The ledger's sequence now: what a fetch notes as `born` before its request leaves.
    pub fn sequence(&self) -> Sequence {
        self.ledger.now()
    }
}
