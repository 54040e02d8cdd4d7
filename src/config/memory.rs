//! How the memory limit of the process is shared out.

use crate::base::units::ByteSize;
use crate::listener::tls::sessions::COST as SESSION;

/// The least that a node can work with.
const LEAST: ByteSize = ByteSize::mib(64);

/// Code, stacks, the runtime and the allocator's own needs.
const FIXED: u64 = ByteSize::mib(24).0;

/// The part of the limit that the allocator may lose to fragmentation.
const FRAGMENTED: u64 = 6;

/// The shares of a memory limit, in bytes.
///
/// A fixed part and a sixth of the limit are left for what is not counted: code, stacks, read buffers, what the
/// allocator keeps. The rest is the budget, of which the memory tier may take three quarters, bodies under way may
/// fill it to seven eighths, and connections always have the last eighth. With a disk tier, an eighth of the budget
/// is for its index, and the memory tier has five eighths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryPlan {
    /// The limit of the process.
    pub limit: u64,
    /// What the budget may count.
    pub budget: u64,
    /// What the memory tier may hold of it.
    pub tier: u64,
    /// What the index of the disk tier may take of it.
    pub disk: u64,
    /// How many markers there may be: at most a hundredth of the budget.
    pub markers: u64,
    /// What the ledger's records may take of it.
    pub ledger: u64,
    /// How many sessions of TLS are remembered in it, where they are and nothing else is said: a 64th of the budget.
    pub sessions: u64,
}

/// Why a limit is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MemoryError {
    /// Too little to work with.
    #[error("{0} of memory is too little: give at least {LEAST}")]
    TooLittle(ByteSize),
}

impl MemoryPlan {
    /// Shares out `limit`.
    pub fn new(limit: ByteSize) -> Result<Self, MemoryError> {
        const MARKER: u64 = 256;
        const SESSIONS: u64 = 64;
        // Enough for tens of thousands of purges where there is least, and for half a million at 1 GiB.
        const LEDGER: u64 = 28;
        const LEAST_LEDGER: u64 = ByteSize::mib(2).0;
        if limit < LEAST {
            return Err(MemoryError::TooLittle(limit));
        }
        let budget = limit.0 - FIXED - limit.0 / FRAGMENTED;
        let (tier, markers) = (budget / 4 * 3, budget / 100 / MARKER);
        let ledger = (budget / LEDGER).max(LEAST_LEDGER);
        let sessions = budget / SESSIONS / SESSION;
        Ok(Self { limit: limit.0, budget, tier, disk: 0, markers, ledger, sessions })
    }

    /// The same limit shared out with a disk tier.
    #[must_use]
    pub fn with_disk(self) -> Self {
        Self { tier: self.budget / 8 * 5, disk: self.budget / 8, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn too_little_is_refused_with_the_least_that_works() {
        let error = MemoryPlan::new(ByteSize::mib(1)).expect_err("too little");
        assert_eq!(error.to_string(), "1MiB of memory is too little: give at least 64MiB");
    }

    #[test]
    fn the_ledger_has_room_for_a_flood_of_purges() {
        let of = |mib| MemoryPlan::new(ByteSize::mib(mib)).expect("enough").ledger;
        assert_eq!(of(64), ByteSize::mib(2).0);
        assert!(of(1024) / 64 > 480_000, "at 64 bytes a record");
    }

    proptest! {
        #[test]
        fn the_shares_never_exceed_the_whole(limit in LEAST.0..=u64::MAX) {
            let plan = MemoryPlan::new(ByteSize(limit)).expect("enough");
            prop_assert!(plan.tier < plan.budget && plan.budget < plan.limit);
            prop_assert!(plan.tier + plan.ledger + plan.markers * 256 < plan.budget / 8 * 7);
            let plan = plan.with_disk();
            prop_assert!(plan.tier + plan.disk + plan.ledger + plan.markers * 256 < plan.budget / 8 * 7);
            prop_assert!(plan.tier + plan.disk <= plan.budget / 4 * 3);
        }
    }
}
