//! Who waits for room in files: the smallest first, and each tells the next.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;

use super::SpillArea;
use crate::body::share::OF_FILES;

/// By what has to be free for one of them, and by when it came.
type Turn = (u64, u64);

/// Those who wait.
#[derive(Debug, Default)]
pub(super) struct Queue(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    waiting: BTreeMap<Turn, Waiting>,
    came: u64,
}

#[derive(Debug)]
struct Waiting {
    waker: Waker,
    needs_file: bool,
}

impl Queue {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.0.lock().waiting.len()
    }

    /// Takes out and wakes who needs the least, if so much is free, and a file if there has to be one. Looked at under the lock
    /// under which they begin to wait, so that none misses what was given back just before.
    pub(super) fn wake_first(&self, free: impl FnOnce() -> (u64, bool)) {
        let mut state = self.0.lock();
        let (room, has_file) = free();
        let mut fitting = state.waiting.iter().take_while(|(turn, _)| turn.0 <= room);
        let first = fitting.find(|(_, waiting)| has_file || !waiting.needs_file).map(|(turn, _)| *turn);
        let Some(first) = first.and_then(|turn| state.waiting.remove(&turn)) else { return };
        drop(state);
        first.waker.wake();
    }
}

/// Waits until there is room for more bytes of a body. That there was does not say that nobody else takes it.
#[derive(Debug)]
pub(in super::super) struct RoomFor {
    area: Arc<SpillArea>,
    own: u64,
    bytes: u64,
    needs_file: bool,
    /// Where it waits, or waited until it was woken.
    turn: Option<Turn>,
}

impl RoomFor {
    /// For `bytes` more of a body that has `own` in its file, if it has one.
    pub(in super::super) fn new(area: &Arc<SpillArea>, own: Option<u64>, bytes: u64) -> Self {
        let (area, needs_file) = (Arc::clone(area), own.is_none());
        Self { area, own: own.unwrap_or(0), bytes, needs_file, turn: None }
    }

    /// What has to be free before it is taken.
    fn needs(&self) -> u64 {
        self.bytes.saturating_add(OF_FILES.least_free(self.own.saturating_add(self.bytes)))
    }
}

impl Future for RoomFor {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let (area, needs, needs_file) = (Arc::clone(&self.area), self.needs(), self.needs_file);
        let mut state = area.queue.0.lock();
        if needs <= area.free() && !(needs_file && area.files.is_full()) {
            return Poll::Ready(());
        }
        // Woken in vain, it hands on: another may need less, or no file.
        let was_woken = self.turn.is_some_and(|turn| !state.waiting.contains_key(&turn));
        let turn = *self.turn.get_or_insert_with(|| {
            state.came += 1;
            (needs, state.came)
        });
        state.waiting.insert(turn, Waiting { waker: cx.waker().clone(), needs_file });
        drop(state);
        if was_woken {
            area.wake_first();
        }
        Poll::Pending
    }
}

impl Drop for RoomFor {
    /// Whoever was woken wakes the next one, whether it takes what there is or has gone.
    fn drop(&mut self) {
        let Some(turn) = self.turn else { return };
        if self.area.queue.0.lock().waiting.remove(&turn).is_none() {
            self.area.wake_first();
        }
    }
}
