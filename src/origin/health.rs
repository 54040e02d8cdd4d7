//! Whether an endpoint is used: passive, by what requests have met there.
//!
//! After some failures in a row an endpoint is down and is left alone for a pause. After it, one request may try it
//! while the others go elsewhere: if that fails too, the next pause is twice as long; an answer brings it back at once.

use std::time::Duration;

use tokio::time::Instant;

/// When an endpoint is skipped, and for how long.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    pub(super) down_after: u32,
    pub(super) backoff: Duration,
    pub(super) max_backoff: Duration,
    /// How long the one request that tries an endpoint keeps the others away from it.
    pub(super) trial: Duration,
}

/// The health of one endpoint.
#[derive(Debug, Default)]
pub(super) struct Health {
    /// Failures since the last answer.
    failures: u32,
    /// Grows with each pause, so that a request that began before one says nothing about it.
    pauses: u64,
    down: Option<Down>,
}

#[derive(Debug)]
struct Down {
    /// The end of the pause, or of the time that the one request has which is trying it.
    until: Instant,
    pause: Duration,
}

/// What an endpoint is good for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// Requests.
    Up,
    /// One request, to find out.
    Trial,
    /// Nothing before this moment, unless the one request that tries it ends earlier.
    Rest(Instant),
}

/// A request's tie to the health that it began under.
#[derive(Clone, Copy, Debug)]
pub(super) struct Begun {
    pauses: u64,
    trial: bool,
}

impl Health {
    pub(super) fn is_up(&self) -> bool {
        self.down.is_none()
    }

    /// `now` is asked only if it matters.
    pub(super) fn state(&self, now: impl FnOnce() -> Instant) -> Use {
        match &self.down {
            None => Use::Up,
            Some(down) if now() < down.until => Use::Rest(down.until),
            Some(_) => Use::Trial,
        }
    }

    /// A request goes to this endpoint now.
    ///
    /// Who tries it may take longer than an endpoint may be silent, with an upload that goes on and on: it does not
    /// keep the others away for all that time.
    pub(super) fn begin(&mut self, trial: bool, rules: &Rules) -> Begun {
        if let Some(down) = self.down.as_mut().filter(|_| trial) {
            down.until = Instant::now() + rules.trial;
        }
        Begun { pauses: self.pauses, trial }
    }

    /// A head came. True if that brought it back.
    pub(super) fn answered(&mut self) -> bool {
        self.failures = 0;
        self.down.take().is_some()
    }

    /// A request failed before its head. The pause, if this began one or made it longer.
    pub(super) fn failed(&mut self, begun: Begun, now: Instant, rules: &Rules) -> Option<Duration> {
        if begun.pauses != self.pauses {
            // Many may be under way when an endpoint stops: they all tell of the same failure.
            return None;
        }
        self.failures = self.failures.saturating_add(1);
        let (pause, is_news) = match &self.down {
            Some(down) if begun.trial => (down.pause.saturating_mul(2), true),
            // Asked in its pause, because all are down: the same pause anew, so that the next one asks another.
            Some(down) => (down.pause, false),
            None if self.failures >= rules.down_after => (rules.backoff, true),
            None => return None,
        };
        let pause = pause.min(rules.max_backoff);
        self.pauses += 1;
        self.down = Some(Down { until: now + shortened(pause), pause });
        is_news.then_some(pause)
    }

    /// A request ended and said nothing about the endpoint: the next one may try it.
    pub(super) fn left(&mut self, begun: Begun) {
        if let Some(down) = self.down.as_mut().filter(|_| begun.trial && begun.pauses == self.pauses) {
            down.until = Instant::now();
        }
    }
}

/// By up to a fifth, so that endpoints (and nodes) that failed together are not tried together.
fn shortened(pause: Duration) -> Duration {
    pause.mul_f64(1.0 - 0.2 * fastrand::f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const RULES: Rules = Rules {
        down_after: 1,
        backoff: SECOND,
        max_backoff: Duration::from_secs(4),
        trial: Duration::from_mins(1),
    };

    fn state(health: &Health) -> Use {
        health.state(Instant::now)
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_double_up_to_the_longest_and_an_answer_ends_them() {
        let mut health = Health::default();
        let mut begun = health.begin(false, &RULES);
        for pause in [1, 2, 4, 4] {
            assert_eq!(health.failed(begun, Instant::now(), &RULES), Some(SECOND * pause));
            assert!(matches!(state(&health), Use::Rest(_)));
            tokio::time::advance(SECOND * pause * 79 / 100).await;
            assert!(matches!(state(&health), Use::Rest(_)), "shortened by a fifth at most");
            tokio::time::advance(SECOND * pause * 21 / 100).await;
            assert_eq!(state(&health), Use::Trial);
            begun = health.begin(true, &RULES);
            assert!(matches!(state(&health), Use::Rest(_)), "one request tries it");
        }
        assert!(health.answered());
        assert_eq!(state(&health), Use::Up);
        let begun = health.begin(false, &RULES);
        assert_eq!(health.failed(begun, Instant::now(), &RULES), Some(SECOND), "pauses begin anew");
    }

    #[tokio::test(start_paused = true)]
    async fn requests_that_were_under_way_tell_of_one_failure() {
        let mut health = Health::default();
        let crowd: Vec<_> = (0..100).map(|_| health.begin(false, &RULES)).collect();
        let pauses = crowd.into_iter().filter_map(|begun| health.failed(begun, Instant::now(), &RULES));
        assert_eq!(pauses.collect::<Vec<_>>(), [SECOND]);
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_is_asked_in_its_pause_rests_anew_but_no_longer() {
        let mut health = Health::default();
        let begun = health.begin(false, &RULES);
        health.failed(begun, Instant::now(), &RULES);
        for _ in 0..5 {
            tokio::time::advance(SECOND / 2).await;
            let begun = health.begin(false, &RULES);
            assert_eq!(health.failed(begun, Instant::now(), &RULES), None);
            assert!(matches!(state(&health), Use::Rest(until) if until > Instant::now() + SECOND / 2));
        }
        tokio::time::advance(SECOND).await;
        assert_eq!(state(&health), Use::Trial);
    }

    #[tokio::test(start_paused = true)]
    async fn only_failures_in_a_row_count() {
        let mut health = Health::default();
        let rules = Rules { down_after: 3, ..RULES };
        for outcome in ["failed", "failed", "answered", "failed", "failed"] {
            let begun = health.begin(false, &RULES);
            if outcome == "answered" {
                assert!(!health.answered());
            } else {
                assert_eq!(health.failed(begun, Instant::now(), &rules), None);
            }
        }
        let begun = health.begin(false, &RULES);
        assert!(health.failed(begun, Instant::now(), &rules).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_trial_that_ends_without_a_word_leaves_the_next_one_free() {
        let mut health = Health::default();
        let first = health.begin(false, &RULES);
        health.failed(first, Instant::now(), &RULES);
        tokio::time::advance(SECOND).await;
        let trial = health.begin(true, &RULES);
        health.left(first);
        assert!(matches!(state(&health), Use::Rest(_)), "another request's end is not the trial's");
        health.left(trial);
        assert_eq!(state(&health), Use::Trial);
    }

    #[tokio::test(start_paused = true)]
    async fn a_trial_that_goes_on_and_on_leaves_others_to_try_as_well() {
        let mut health = Health::default();
        let first = health.begin(false, &RULES);
        health.failed(first, Instant::now(), &RULES);
        tokio::time::advance(SECOND).await;
        let trial = health.begin(true, &RULES);
        tokio::time::advance(SECOND * 59).await;
        assert!(matches!(state(&health), Use::Rest(_)));
        tokio::time::advance(SECOND).await;
        assert_eq!(state(&health), Use::Trial);
        let second = health.begin(true, &RULES);
        assert!(matches!(state(&health), Use::Rest(_)), "one more, not all");
        assert_eq!(health.failed(second, Instant::now(), &RULES), Some(SECOND * 2));
        assert_eq!(health.failed(trial, Instant::now(), &RULES), None);
    }
}
