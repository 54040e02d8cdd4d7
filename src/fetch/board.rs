//! Where a fetch tells all who wait for it, once, what came of it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use super::flight::{Announcement, Flight};
use crate::origin::OriginError;

/// What a flight has announced.
#[derive(Debug, Default)]
pub(super) struct Board {
    told: OnceLock<Announcement>,
    /// Nothing more will be told.
    is_over: AtomicBool,
}

impl Board {
    /// What was told so far.
    pub(super) fn told(&self) -> Option<&Announcement> {
        self.told.get()
    }

    /// The same; that the fetch has failed, if it has ended without a word.
    pub(super) fn told_or_over(&self) -> Option<Announcement> {
        // Looked at first: what was told before the end is not to be missed.
        let is_over = self.is_over.load(Ordering::Acquire);
        let without_a_word = || is_over.then(|| Announcement::Failed(OriginError::internal().into()));
        self.told.get().cloned().or_else(without_a_word)
    }
}

/// The one who tells. Dropped before that, the fetch has failed.
#[derive(Debug)]
pub(super) struct Announcer(Arc<Flight>);

impl Announcer {
    pub(super) fn of(flight: &Arc<Flight>) -> Self {
        Self(Arc::clone(flight))
    }

    /// Tells all who wait, and who will come. Only the first word counts.
    pub(super) fn tell(&self, announcement: Announcement) {
        // Who waits may have been answered by a first word, and must not hear another.
        let _ = self.0.board.told.set(announcement);
        self.0.news.notify_waiters();
    }
}

impl Drop for Announcer {
    fn drop(&mut self) {
        self.0.board.is_over.store(true, Ordering::Release);
        self.0.news.notify_waiters();
    }
}
