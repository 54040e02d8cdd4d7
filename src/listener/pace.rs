//! Whether a client keeps up: what it takes or sends, beside the time for which it alone is waited for.
//!
//! ```text
//!             ┌─ it is waited for ─┐      ┌─ it is waited for ──────────▶ too late
//!  patience ──┘       falls        └──────┘ rises with what it moves       at nothing left
//! ```
//!
//! A client has patience for a window of time. While it is waited for, that is used up; what it moves gives back as much time
//! as it would have needed at the least rate, up to the whole window. So a burst counts for the whole of it, a pause of less than
//! a window is never held against anybody, and time in which an origin or this node is waited for does not count at all. A
//! client that is never waited for costs a look at two fields.

use std::time::Duration;

use tokio::time::Instant;

/// The least that a client has to move while it is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MinRate {
    /// Bytes a second; none at all if zero.
    pub bytes: u64,
    /// How long it may stay below that.
    pub window: Duration,
}

impl Default for MinRate {
    fn default() -> Self {
        Self { bytes: 240, window: Duration::from_mins(1) }
    }
}

impl MinRate {
    /// The time in which so many bytes have to be moved.
    fn time_for(&self, bytes: u64) -> Duration {
        Duration::from_nanos(bytes.saturating_mul(1_000_000_000) / self.bytes.max(1))
    }
}

/// What a client is given to keep up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Patience {
    /// For any progress at all.
    pub(super) limit: Duration,
    /// On the whole.
    pub(super) least: MinRate,
}

/// How a client did not keep up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Late {
    /// It moved nothing for too long.
    Stalled,
    /// It moved too little.
    Slow,
}

impl Late {
    /// The word for it in log and metrics, where it takes too little of an answer.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Stalled => "write-timeout",
            Self::Slow => "min-rate",
        }
    }
}

/// How one client keeps up, on its way in or out.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// Since when it is waited for, and has moved nothing.
    since: Option<Instant>,
    /// Of the window, what is used up.
    spent: Duration,
    /// What it had moved by then, in all.
    moved: u64,
    /// What was seen below since then.
    seen: Seen,
}

/// What the system has told of bytes that it holds for the client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Seen {
    #[default]
    Nothing,
    /// So many had arrived, if it can tell.
    Arrived(Option<u64>),
}

/// The part of the time that there is after which the system is asked how far the client has come: to be compared with later.
const FIRST_LOOK: u32 = 4;

/// No later than after so long: what arrives before the first look is not seen.
const FIRST_LOOK_BY: Duration = Duration::from_secs(1);

impl Pace {
    /// The client is waited for from now on, or still, and has moved so many bytes in all.
    pub(super) fn waits(&mut self, moved: u64, least: &MinRate) {
        if self.since.is_none() || moved != self.moved {
            let now = Instant::now();
            self.settle(moved, now, least);
            self.since = Some(now);
        }
    }

    /// It is not waited for.
    pub(super) fn rests(&mut self, moved: u64, least: &MinRate) {
        if self.since.is_some() || !self.spent.is_zero() {
            self.settle(moved, Instant::now(), least);
        }
    }

    fn settle(&mut self, moved: u64, now: Instant, least: &MinRate) {
        self.wait_until(now, moved.saturating_sub(self.moved), least);
        (self.moved, self.seen) = (moved, Seen::Nothing);
    }

    /// A wait ends, in which so many bytes were moved.
    fn wait_until(&mut self, now: Instant, bytes: u64, least: &MinRate) {
        let waited = self.since.take().map_or(Duration::ZERO, |since| now - since);
        self.spent = (self.spent + waited).min(least.window).saturating_sub(least.time_for(bytes));
    }

    /// When it will have been waited for in vain for too long.
    pub(super) fn ends_at(&self, patience: &Patience) -> Option<Instant> {
        self.since.map(|since| since + self.left(patience))
    }

    fn left(&self, patience: &Patience) -> Duration {
        let least = &patience.least;
        let left = if least.bytes == 0 { Duration::MAX } else { least.window.saturating_sub(self.spent) };
        left.min(patience.limit)
    }

    /// When to look next, where the system may tell how far the client has come ([`Pace::look`]).
    pub(super) fn look_at(&self, patience: &Patience) -> Option<Instant> {
        let left = self.left(patience);
        let first = if self.seen == Seen::Nothing { (left / FIRST_LOOK).min(FIRST_LOOK_BY) } else { left };
        self.since.map(|since| since + first)
    }

    /// Looks how far the client has come: `arrived` asks the system how many bytes have, in all. What it has moved so counts as
    /// what is moved here. Whether it is too late.
    pub(super) fn look(
        &mut self,
        patience: &Patience,
        arrived: impl FnOnce() -> Option<u64>,
    ) -> Option<Late> {
        let now = Instant::now();
        if self.look_at(patience)? > now {
            return None;
        }
        let arrived = arrived();
        if let (Seen::Arrived(Some(before)), Some(arrived)) = (self.seen, arrived)
            && arrived > before
        {
            self.wait_until(now, arrived - before, &patience.least);
            self.since = Some(now);
        }
        self.seen = Seen::Arrived(arrived);
        self.late(now, patience)
    }

    /// Whether it is too late.
    pub(super) fn late(&self, now: Instant, patience: &Patience) -> Option<Late> {
        let since = self.since.filter(|since| *since + self.left(patience) <= now)?;
        Some(if since + patience.limit <= now { Late::Stalled } else { Late::Slow })
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const PATIENCE: Patience = Patience {
        limit: Duration::from_mins(1),
        least: MinRate { bytes: 100, window: Duration::from_secs(30) },
    };

    fn late(pace: &Pace) -> Option<Late> {
        pace.late(Instant::now(), &PATIENCE)
    }

    async fn pass(seconds: u64) {
        advance(Duration::from_secs(seconds)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn who_trickles_is_late_and_who_keeps_the_rate_is_not() {
        let (mut slow, mut enough) = (Pace::default(), Pace::default());
        let mut ended = None;
        for nth in 0..100_u64 {
            slow.waits(nth * 90, &PATIENCE.least);
            enough.waits(nth * 100, &PATIENCE.least);
            pass(1).await;
            assert_eq!(late(&enough), None);
            ended = ended.or(late(&slow).map(|late| (nth, late)));
        }
        // A tenth of each second is missing; the window holds 30 of them.
        assert_eq!(ended, None);
        for nth in 100..400_u64 {
            slow.waits(nth * 90, &PATIENCE.least);
            enough.waits(nth * 100, &PATIENCE.least);
            pass(1).await;
            assert_eq!(late(&enough), None);
            ended = ended.or(late(&slow).map(|late| (nth, late)));
        }
        assert!(
            ended.is_some_and(|(nth, late)| (285..300).contains(&nth) && late == Late::Slow),
            "{ended:?}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_counts_for_a_window_and_no_longer() {
        let mut pace = Pace::default();
        pace.waits(0, &PATIENCE.least);
        pass(29).await;
        assert_eq!(late(&pace), None);
        pace.waits(1_000_000, &PATIENCE.least);
        pass(29).await;
        assert_eq!(late(&pace), None);
        pass(1).await;
        assert_eq!(late(&pace), Some(Late::Slow));
    }

    #[tokio::test(start_paused = true)]
    async fn only_time_in_which_it_is_waited_for_counts() {
        let mut pace = Pace::default();
        for nth in 0..10 {
            pace.waits(nth, &PATIENCE.least);
            pass(2).await;
            pace.rests(nth + 1, &PATIENCE.least);
            assert_eq!(late(&pace), None);
            pass(3600).await;
        }
        pace.waits(10, &PATIENCE.least);
        assert_eq!(pace.ends_at(&PATIENCE), Some(Instant::now() + Duration::from_millis(10_100)));
    }

    #[tokio::test(start_paused = true)]
    async fn what_moves_without_a_wait_gives_time_back() {
        let mut pace = Pace::default();
        pace.waits(0, &PATIENCE.least);
        pass(29).await;
        pace.rests(0, &PATIENCE.least);
        pace.rests(2_000, &PATIENCE.least);
        pace.waits(2_000, &PATIENCE.least);
        pass(20).await;
        assert_eq!(late(&pace), None);
        pass(1).await;
        assert_eq!(late(&pace), Some(Late::Slow));
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_rate_only_progress_counts() {
        let none = Patience { least: MinRate { bytes: 0, ..PATIENCE.least }, ..PATIENCE };
        let mut pace = Pace::default();
        for nth in 0..100 {
            pace.waits(nth, &none.least);
            pass(59).await;
            assert_eq!(pace.late(Instant::now(), &none), None);
        }
        pass(1).await;
        assert_eq!(pace.late(Instant::now(), &none), Some(Late::Stalled));
    }

    #[tokio::test(start_paused = true)]
    async fn what_arrives_below_counts_although_nothing_moves_here() {
        let (mut pace, mut arrived) = (Pace::default(), 5_000);
        pace.waits(100_000, &PATIENCE.least);
        for _ in 0..20 {
            let look = pace.look_at(&PATIENCE).expect("it waits") - Instant::now();
            advance(look).await;
            assert_eq!(pace.look(&PATIENCE, || Some(arrived)), None);
            arrived += 3_000;
        }
        // Nothing more arrives.
        arrived -= 3_000;
        let begun = Instant::now();
        let ended = loop {
            let look = pace.look_at(&PATIENCE).expect("it waits") - Instant::now();
            advance(look).await;
            if let Some(late) = pace.look(&PATIENCE, || Some(arrived)) {
                break late;
            }
        };
        assert_eq!((ended, begun.elapsed().as_secs()), (Late::Slow, 30));
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_counts_that_comes_soon_after_the_wait_began() {
        let mut pace = Pace::default();
        pace.waits(100_000, &PATIENCE.least);
        let mut arrived = 0;
        for second in 1..=30 {
            pass(1).await;
            if second == 5 {
                arrived = 100_000;
            }
            assert_eq!(pace.look(&PATIENCE, || Some(arrived)), None, "{second}");
        }
        pass(30).await;
        assert_eq!(pace.look(&PATIENCE, || Some(arrived)), Some(Late::Slow), "it is over by then");
    }

    #[tokio::test(start_paused = true)]
    async fn a_system_that_cannot_tell_is_asked_twice_and_no_more() {
        let (mut pace, mut looks) = (Pace::default(), 0);
        pace.waits(0, &PATIENCE.least);
        let begun = Instant::now();
        loop {
            let look = pace.look_at(&PATIENCE).expect("it waits") - Instant::now();
            advance(look).await;
            looks += 1;
            if pace.look(&PATIENCE, || None).is_some() {
                break;
            }
        }
        assert_eq!((looks, begun.elapsed().as_secs()), (2, 30));
    }
}
