//! How the memory limit of the process is shared out.

use crate::base::units::ByteSize;

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
        const LEDGER: u64 = 64;
        if limit < LEAST {
            return Err(MemoryError::TooLittle(limit));
        }
        let budget = limit.0 - FIXED - limit.0 / FRAGMENTED;
        let (tier, markers) = (budget / 4 * 3, budget / 100 / MARKER);
        Ok(Self { limit: limit.0, budget, tier, disk: 0, markers, ledger: budget / LEDGER })
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

    proptest! {
        #[test]
        fn the_shares_never_exceed_the_whole(limit in LEAST.0..=u64::MAX) {
            let plan = MemoryPlan::new(ByteSize(limit)).expect("enough");
            prop_assert!(plan.tier < plan.budget && plan.budget < plan.limit);
            let plan = plan.with_disk();
            prop_assert!(plan.tier + plan.disk <= plan.budget / 4 * 3);
        }
    }
}
