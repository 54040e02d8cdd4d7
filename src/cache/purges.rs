//! What the cache makes of the ledger: what may be used, and how purges come in.

use std::time::Duration;

use http::uri::PathAndQuery;

use super::Cache;
use super::disk::DiskTier;
use super::era::Era;
use super::key::Key;
use super::ledger::receipt::{Kept, Receipt};
use super::ledger::record::{Purge, Strength};
use super::ledger::{LedgerState, Source, Standing, TooManyGlobs};
use super::object::Object;
use super::wish::{Fulfilled, Unfulfilled, Wish};
use crate::base::clock::Timestamp;
use crate::base::ids::Sequence;
use crate::semantics::tags::Tags;

/// Records that may be on their way to the disk for those who wait for it: half of what the scribe's desk takes.
pub(super) const MOST_AT_ONCE: u32 = 32 << 10;

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
        // Beside a disk nothing goes after a soft purge, neither objects nor records.
        let is_for_sweep =
            |purge: &Purge| !purge.is_of_url() && (purge.strength == Strength::Hard || self.disk.is_none());
        let is_due = purges.iter().any(is_for_sweep);
        let receipt = self.ledger.purge(purges, now, source)?;
        if is_due || self.ledger.is_half_full(self.disk.is_none()) {
            self.sweeper.ask();
        }
        Ok(receipt)
    }

    /// What a fetch holds as long as it may store something, taken before it is [born](Self::sequence).
    pub fn era(&self) -> Era {
        self.eras.current()
    }

    /// Blocking: goes through everything now, gives back the space of what was purged, and lets go of the records that nothing
    /// is left for. It happens by itself, in the background.
    pub fn sweep(&self) {
        self.sweeper.sweep();
    }

    /// Whether no other era has begun since this one: what nobody holds it for may still be handed out.
    pub fn is_current(&self, era: u64) -> bool {
        self.eras.current().number() == era
    }

    /// How often everything was gone through to give back the space of what was purged.
    pub fn sweeps(&self) -> u64 {
        self.sweeper.made()
    }

    /// Does what is wished for: purges are recorded, hold from then on, and are durable where what is stored is. `normal` as
    /// [`Wish::read`] has it. Many at once wait for each other, so that the ledger's scribe can follow.
    ///
    /// Cancel-safe: dropped before anything was recorded, nothing holds; after it, everything does, and is written.
    pub async fn fulfil(
        &self,
        wish: &Wish,
        normal: impl Fn(&str, PathAndQuery) -> PathAndQuery,
        now: Timestamp,
        source: Source,
    ) -> Result<Fulfilled, Unfulfilled> {
        let purges = wish.read(normal)?;
        let records = purges.len();
        let weight = u32::try_from(records).unwrap_or(u32::MAX).min(MOST_AT_ONCE);
        // It is never closed.
        let _place = self.purging.acquire_many(weight).await;
        let receipt = self.purge(purges, now, source)?;
        let sequence = receipt.sequence();
        let kept = receipt.kept(self.purge_patience()).await;
        let fulfilled = Fulfilled { id: source.id, sequence, records, durable: kept != Kept::NotDurable };
        if fulfilled.durable { Ok(fulfilled) } else { Err(Unfulfilled::NotDurable(fulfilled)) }
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
        let recorded = self.ledger.purge_for(key, purges, now, born);
        if self.ledger.is_half_full(self.disk.is_none()) {
            self.sweeper.ask();
        }
        recorded
    }

    /// How long a purge is waited for to become durable.
    pub fn purge_patience(&self) -> Duration {
        self.disk().map_or(Duration::ZERO, DiskTier::patience)
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
