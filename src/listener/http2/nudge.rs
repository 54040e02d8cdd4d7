//! Who wakes the codec. Most of what it is woken by happens in the turn of the connection's own task, which then looks again
//! instead of being scheduled once more.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Wake, Waker};

use futures_util::task::AtomicWaker;

/// Remembers whether the codec was woken.
#[derive(Debug, Default)]
pub struct Nudge {
    woken: AtomicBool,
    /// The task is at it, and will look.
    looking: AtomicBool,
    task: AtomicWaker,
}

impl Nudge {
    /// The task begins its turn.
    pub fn begin(&self, cx: &Context<'_>) {
        self.task.register(cx.waker());
        self.looking.store(true, Ordering::SeqCst);
    }

    /// Whether the codec was woken since the last look.
    pub fn take(&self) -> bool {
        self.woken.swap(false, Ordering::SeqCst)
    }

    /// Whether the turn may end: from here on the task is woken. Otherwise the codec was woken just now.
    pub fn may_end(&self) -> bool {
        self.looking.store(false, Ordering::SeqCst);
        let may_end = !self.woken.load(Ordering::SeqCst);
        if !may_end {
            self.looking.store(true, Ordering::SeqCst);
        }
        may_end
    }

    /// What the codec is polled with.
    pub fn waker(self: &Arc<Self>) -> Waker {
        Waker::from(Arc::clone(self))
    }
}

impl Wake for Nudge {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.woken.store(true, Ordering::SeqCst);
        if !self.looking.load(Ordering::SeqCst) {
            self.task.wake();
        }
    }
}
