//! What may wake a connection beside its client: the time, and the drain.
//!
//! A request in memory is answered in a few microseconds, of which setting a timer would take a good part. So the one timer
//! of a connection is set anew only when it is too late, or has run off; and it is not looked at while a wait goes as it
//! should.

use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::task::unconstrained;
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// The alarm of a connection.
pub(super) struct Alarm {
    timer: Pin<Box<Sleep>>,
    /// When what is waited for has failed.
    deadline: Option<Instant>,
    draining: CancellationToken,
    drain: Pin<Box<WaitForCancellationFutureOwned>>,
    /// Who is woken by timer and drain.
    waker: Option<Waker>,
}

impl Alarm {
    /// An alarm that goes off after `limit`.
    pub(super) fn new(limit: Duration, draining: &CancellationToken) -> Self {
        let deadline = Instant::now() + limit;
        Self {
            timer: Box::pin(sleep_until(deadline)),
            deadline: Some(deadline),
            draining: draining.clone(),
            drain: Box::pin(draining.clone().cancelled_owned()),
            waker: None,
        }
    }

    /// Goes off `limit` after `now`.
    pub(super) fn set(&mut self, now: Instant, limit: Duration) {
        if self.timer.deadline() <= now {
            // It may have run off while nobody looked.
            self.arm(now + limit);
        }
        self.set_deadline(now + limit);
    }

    /// Goes off at `deadline`, if it is looked at from now on: see [`Alarm::poll`].
    pub(super) fn set_deadline(&mut self, deadline: Instant) {
        self.deadline = Some(deadline);
        // One that has run off while nobody looked wakes nobody any more.
        if self.timer.is_elapsed() || self.timer.deadline() > deadline {
            self.arm(deadline);
        }
    }

    fn arm(&mut self, deadline: Instant) {
        self.timer.as_mut().reset(deadline);
        self.waker = None;
    }

    /// Does not go off any more.
    pub(super) fn clear(&mut self) {
        self.deadline = None;
    }

    /// Whether the listener drains.
    pub(super) fn is_draining(&self) -> bool {
        self.draining.is_cancelled()
    }

    /// Whether this task is woken by timer and drain already.
    pub(super) fn is_set_for(&self, cx: &Context<'_>) -> bool {
        self.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker()))
    }

    /// Ready once it is too late. Until then this task is woken by the time and by the drain.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.is_set_for(cx) {
            self.waker = Some(cx.waker().clone());
            let _ = pin!(unconstrained(self.drain.as_mut())).poll(cx);
        }
        loop {
            // Not by the task's share of work: when that is used up, a timer that never began would not begin now.
            if pin!(unconstrained(self.timer.as_mut())).poll(cx).is_pending() {
                return Poll::Pending;
            }
            match self.deadline {
                Some(deadline) if deadline > Instant::now() => self.timer.as_mut().reset(deadline),
                Some(_) => return Poll::Ready(()),
                None => return Poll::Pending,
            }
        }
    }
}
