//! Wall time, from one place.
//!
//! Freshness, `Age` and `Date` read the time here and nowhere else, so that a test can move it.
//! (Timers are another matter: those are tokio's, which tests pause.)

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A moment of wall time, in milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The moment `millis` milliseconds after the Unix epoch.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// The moment `secs` seconds after the Unix epoch.
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1000))
    }

    /// Milliseconds since the Unix epoch.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// Whole seconds since the Unix epoch, the resolution of HTTP dates.
    pub const fn as_secs(self) -> u64 {
        self.0 / 1000
    }

    /// How long after `earlier` this is; zero if it is not after it (clocks step back).
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// This moment moved forward by `by`, saturating.
    #[must_use]
    pub fn plus(self, by: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(by.as_millis()).unwrap_or(u64::MAX)))
    }

    /// As the standard library's type, for formatting.
    pub fn to_system_time(self) -> SystemTime {
        // The largest u64 of milliseconds is far inside SystemTime's range on Unix.
        UNIX_EPOCH.checked_add(Duration::from_millis(self.0)).unwrap_or(UNIX_EPOCH)
    }

    /// From the standard library's type; moments before 1970 become the epoch.
    pub fn from_system_time(time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }
}

/// Where wall time comes from: the system, or a test's hand. Cloning shares the source.
#[derive(Clone, Debug, Default)]
pub struct Clock(Option<Arc<AtomicU64>>);

impl Clock {
    /// The system's wall clock.
    pub const fn system() -> Self {
        Self(None)
    }

    /// A clock that stands at `start` until it is moved with [`Clock::advance`].
    pub fn manual(start: Timestamp) -> Self {
        Self(Some(Arc::new(AtomicU64::new(start.0))))
    }

    /// The time now.
    #[allow(clippy::disallowed_methods, reason = "this is the one place that may ask the system")]
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            None => Timestamp::from_system_time(SystemTime::now()),
            Some(hand) => Timestamp(hand.load(Ordering::Acquire)),
        }
    }

    /// Moves a manual clock forward; the system's clock is left alone.
    pub fn advance(&self, by: Duration) {
        if let Some(hand) = &self.0 {
            hand.fetch_add(u64::try_from(by.as_millis()).unwrap_or(0), Ordering::AcqRel);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_moves_only_by_hand_and_for_all_its_clones() {
        let clock = Clock::manual(Timestamp::from_secs(100));
        let other = clock.clone();
        assert_eq!(clock.now(), other.now());
        other.advance(Duration::from_secs(5));
        assert_eq!(clock.now().as_secs(), 105);
    }

    #[test]
    fn since_never_goes_below_zero() {
        assert_eq!(Timestamp::from_secs(1).since(Timestamp::from_secs(2)), Duration::ZERO);
    }
}
