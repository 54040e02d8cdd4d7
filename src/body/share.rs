//! The law by which bodies share what there is of memory, and of room in files.

/// What a body may have beside what it leaves free for all others.
///
/// Nobody counts the bodies, and yet each gets as much as any other that grows beside it: the more they are, the less is free,
/// and the largest is the first that may not grow. Something is left for one more, whoever came before it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Share {
    times: u64,
    parts: u64,
}

/// In memory four times as much: what exceeds it can go to a file, or not be stored.
pub(super) const OF_MEMORY: Share = Share { times: 4, parts: 1 };

/// In files half as much: what is there stays until a client has taken it, which may take hours.
pub(super) const OF_FILES: Share = Share { times: 1, parts: 2 };

impl Share {
    /// Whether a body may come to have `own` bytes where `free` are left by then.
    pub(super) fn allows(self, own: u64, free: u64) -> bool {
        self.least_free(own) <= free
    }

    /// What has to be left for a body to come to have `own` bytes.
    pub(super) fn least_free(self, own: u64) -> u64 {
        own.saturating_mul(self.parts).div_ceil(self.times)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_alone_leaves_something() {
        assert!(OF_MEMORY.allows(80, 20) && !OF_MEMORY.allows(81, 20) && !OF_MEMORY.allows(1, 0));
        assert!(OF_FILES.allows(33, 66) && !OF_FILES.allows(34, 66) && !OF_FILES.allows(1, 1));
        assert!(OF_MEMORY.allows(0, 0) && OF_FILES.allows(0, 0));
    }
}
