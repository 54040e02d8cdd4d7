//! How much of an answer's content an endpoint may send before it is taken.

use std::fmt;
use std::sync::Arc;

use crate::body::budget::{Budget, Charge};

/// What any stream has, as RFC 9113 §6.9.2 begins with: about what is read of a connection of HTTP/1 at a time, and as that in
/// nobody's account.
const LEAST: u32 = 64 << 10;

/// What a stream has at most: 5 MB/s at 50 ms of distance.
const MOST: u32 = 256 << 10;

/// The part of the budget that the windows of one endpoint may take.
const SHARE: u64 = 8;

/// The window of each stream to one endpoint.
#[derive(Clone)]
pub(in crate::origin) struct Window {
    bytes: u32,
    budget: Arc<Budget>,
}

impl fmt::Debug for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Window").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

impl Window {
    /// As large as so many requests at a time can have without more than an eighth of `budget` in them.
    pub(in crate::origin) fn new(budget: &Arc<Budget>, requests: usize) -> Self {
        let each = budget.limit() / SHARE / (requests as u64).max(1);
        let bytes = u32::try_from(each).unwrap_or(MOST).clamp(LEAST, MOST);
        Self { bytes, budget: Arc::clone(budget) }
    }

    /// Bytes of each stream.
    pub(super) fn bytes(&self) -> u32 {
        self.bytes
    }

    /// Charges what a stream may hold beyond the least. That it is charged over the limit, if need be, is bounded by what the
    /// window was made of.
    pub(super) fn charge(&self) -> Charge {
        self.budget.charge(u64::from(self.bytes - LEAST))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_as_large_as_memory_allows() {
        let bytes = |mib: u64, requests| Window::new(&Budget::new(mib << 20), requests).bytes();
        assert_eq!(bytes(829, 256), MOST);
        assert_eq!(bytes(256, 256), 128 << 10);
        assert_eq!(bytes(40, 256), LEAST);
        assert_eq!(bytes(40, 1), MOST);
        assert_eq!(bytes(0, 0), LEAST);
    }

    #[test]
    fn what_is_beyond_the_least_is_charged() {
        let budget = Budget::new(256 << 20);
        let charge = Window::new(&budget, 256).charge();
        assert_eq!(budget.used(), 64 << 10);
        drop(charge);
        assert_eq!(budget.used(), 0);
    }
}
