//! A fetch under way, and who moves it along.
//!
//! While the client that began it waits for its head, that client's own task does: most answers have come whole by then,
//! and no other task has had to be made, scheduled and woken for them. As soon as that client looks away, because it has
//! its head or has left, a task of its own takes over. So nobody else who waits for the fetch depends on that client.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

type Fetch = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A fetch that has yet to be moved along. Dropped, it goes on in a task of its own; without a runtime, which ends all
/// tasks as well, it ends.
pub(super) struct Running {
    fetch: Option<(Fetch, TaskTrackerToken)>,
    tasks: TaskTracker,
}

impl Running {
    /// `fetch`, which counts among `tasks` until it ends.
    pub(super) fn new(fetch: impl Future<Output = ()> + Send + 'static, tasks: &TaskTracker) -> Self {
        Self { fetch: Some((Box::pin(fetch), tasks.token())), tasks: tasks.clone() }
    }

    /// Moves it along. Ready when it is over.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // Taken out meanwhile: one that panics is not to be moved along once more.
        let Some((mut fetch, token)) = self.fetch.take() else { return Poll::Ready(()) };
        let polled = fetch.as_mut().poll(cx);
        if polled.is_pending() {
            self.fetch = Some((fetch, token));
        }
        polled
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let Some((fetch, token)) = self.fetch.take() else { return };
        if let Ok(runtime) = Handle::try_current() {
            self.tasks.spawn_on(fetch, &runtime);
        }
        // Only now, so that there is no moment at which it does not count.
        drop(token);
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running").field("is_over", &self.fetch.is_none()).finish_non_exhaustive()
    }
}
