//! How fast the background goes: while others want the cores it pauses.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tokio::time::Instant;

/// Steps that took no longer than this much beyond their own work say nothing of others.
const NOTHING: Duration = Duration::from_millis(1);

/// The longest pause.
const LONGEST: Duration = Duration::from_millis(200);

/// A pause is so many times as long as the step that was held up.
const TIMES: u32 = 4;

/// Measures the steps of one thread.
#[derive(Debug)]
pub(super) struct Pace {
    began: Instant,
    worked: Duration,
}

impl Pace {
    /// Begins with the first step.
    pub(super) fn begin() -> Self {
        Self { began: Instant::now(), worked: worked() }
    }

    /// A step was done: how long to pause before the next, which begins now.
    pub(super) fn step(&mut self) -> Duration {
        let now = Self::begin();
        let pause = pause(now.began - self.began, now.worked.saturating_sub(self.worked));
        *self = now;
        pause
    }
}

/// How long to pause after a step that took `wall` and of that worked for `worked`: where it waited for a core for longer than
/// it had one, others want it.
fn pause(wall: Duration, worked: Duration) -> Duration {
    let waited = wall.saturating_sub(worked);
    if waited <= worked + NOTHING { Duration::ZERO } else { (wall * TIMES).min(LONGEST) }
}

/// For how long the calling thread has had a core.
fn worked() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let (seconds, nanos) = (u64::try_from(time.tv_sec), u32::try_from(time.tv_nsec));
    Duration::new(seconds.unwrap_or(0), nanos.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_that_was_held_up_is_followed_by_a_pause() {
        let ms = Duration::from_millis;
        assert_eq!(pause(ms(5), ms(5)), ms(0));
        assert_eq!(pause(ms(11), ms(5)), ms(0));
        assert_eq!(pause(ms(12), ms(5)), ms(48));
        assert_eq!(pause(ms(900), ms(5)), LONGEST);
        assert_eq!(pause(ms(1), ms(0)), ms(0));
    }

    #[test]
    fn work_is_told_from_waiting() {
        let mut pace = Pace::begin();
        let before = worked();
        while worked() == before {
            std::hint::spin_loop();
        }
        pace.step();
        assert!(pace.worked > before);
    }
}
