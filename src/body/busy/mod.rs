//! The busy body: where one origin and any number of clients meet.
//!
//! Append-only, one [`Writer`], any number of [`Reader`]s each at its own pace, and a state that only moves
//! forward: streaming, then finished or failed. One mechanism gives streaming a miss while storing it,
//! collapsing (later clients are more readers), spoon-feeding (the writer runs at the origin's speed) and
//! background refresh (a fetch without readers).
//!
//! | retention | kept | over the memory window | joined |
//! |---|---|---|---|
//! | [`Retention::Store`] | everything, sealed into blocks | becomes `Spool` when the budget is used up | at any time |
//! | [`Retention::Spool`] | from the slowest reader on | newest bytes go to a spill file | while no byte is gone |
//! | [`Retention::Window`] | from the slowest reader on | the writer waits, and so it does once the budget is used up and something waits | while no byte is gone |
//!
//! Both budgets are shared fairly: the largest body is the first that may not grow, and a newcomer finds room. Over its
//! share of either, a single reader gets back-pressure; of several, the farthest behind is ended rather than braking the
//! others.

mod reader;
mod spill;
mod state;
mod writer;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use http::HeaderMap;
use parking_lot::Mutex;
use tokio::sync::Notify;

pub use reader::Reader;
pub use spill::SpillArea;
pub use writer::{Abandoned, Writer};

use super::budget::Budget;
use state::State;

/// How much of what was written is kept, from most to least. It only goes down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Retention {
    /// Only what the reader has not taken, in memory, and the writer waits beyond the window.
    Window,
    /// Only what the slowest reader has not taken, spilling beyond the window.
    Spool,
    /// Everything: it will be stored.
    Store,
}

/// How a busy body came to its end.
#[derive(Clone, Debug)]
pub enum End {
    /// Every byte was written; these trailers followed.
    Finished(Option<Arc<HeaderMap>>),
    /// It broke off. What was read so far is a part, never a whole.
    Failed(BodyError),
}

/// Why a body broke off. One error is shared by all readers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum BodyError {
    /// The sender closed before the length or the last chunk it had promised.
    #[error("the body ended before its promised end")]
    Incomplete,
    /// Nothing came for longer than the limit between two bytes.
    #[error("the body stalled for too long")]
    Stalled,
    /// The framing was broken.
    #[error("the body's framing is malformed")]
    Malformed,
    /// The writer was dropped: the node is shutting down or the task was ended.
    #[error("the transfer was ended by this node")]
    Aborted,
    /// This reader fell too far behind while others read on and every budget was used up.
    #[error("this reader fell too far behind")]
    TooSlow,
    /// The spill file could not be read back.
    #[error("the spill file could not be read")]
    Spill,
    /// It is longer than it may be.
    #[error("the content is longer than it may be")]
    TooLarge,
    /// The origin has another version by now, and no more of this one is to be had.
    #[error("the content has changed at the origin")]
    Changed,
    /// What was stored is damaged, and the origin cannot give the rest of the same.
    #[error("the stored content is damaged")]
    Damaged,
    /// It is not in the coding that its fields say, breaks off in it, or becomes more than it may.
    #[error("the content cannot be decoded")]
    Undecodable,
    /// There is no memory to decode it.
    #[error("there is no memory to decode the content")]
    NoMemory,
}

impl BodyError {
    /// The name used in logs and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Incomplete => "incomplete",
            Self::Stalled => "stalled",
            Self::Malformed => "malformed",
            Self::Aborted => "aborted",
            Self::TooSlow => "too-slow",
            Self::Spill => "spill",
            Self::TooLarge => "too-large",
            Self::Changed => "changed",
            Self::Damaged => "damaged",
            Self::Undecodable => "undecodable",
            Self::NoMemory => "no-memory",
        }
    }
}

/// What every busy body of a node shares.
#[derive(Clone, Debug)]
pub struct Means {
    /// Memory.
    pub budget: Arc<Budget>,
    /// Disk for what exceeds the window.
    pub spill: Arc<SpillArea>,
    /// Bytes that one body keeps in memory before it spills or waits.
    pub window: u64,
}

/// A handle to a busy body, from which readers are made. It counts as neither reader nor writer.
#[derive(Clone, Debug)]
pub struct BusyBody(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Wakes the writer: a reader made room, or the last one left.
    room: Notify,
    means: Means,
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.means.budget.body_ends();
    }
}

impl BusyBody {
    /// A new body with nothing in it, and the one writer that it will ever have.
    pub fn new(means: Means, retention: Retention) -> (Self, Writer) {
        means.budget.body_begins();
        let shared =
            Arc::new(Shared { state: Mutex::new(State::new(retention)), room: Notify::new(), means });
        (Self(Arc::clone(&shared)), Writer::new(shared))
    }

    /// A new body with its writer and a first reader.
    pub fn with_reader(means: Means, retention: Retention) -> (Self, Writer, Reader) {
        let (body, writer) = Self::new(means, retention);
        let reader = Reader::first(&body.0);
        (body, writer, reader)
    }

    /// One more reader, from the first byte on; none once bytes are gone, or the body has failed or was given up.
    pub fn reader(&self) -> Option<Reader> {
        Reader::join(&self.0)
    }

    /// Whether [`BusyBody::reader`] would give one.
    pub fn may_be_joined(&self) -> bool {
        let state = self.0.state.lock();
        state.start == 0 && !state.abandoned && !matches!(state.end, Some(End::Failed(_)))
    }

    /// Gives the body up, whoever reads or writes it: readers get an error, the writer is told that nobody wants
    /// it.
    pub fn give_up(&self) {
        let mut state = self.0.state.lock();
        state.abandoned = true;
        let wakers = state.readers.end_all(BodyError::Aborted);
        drop(state);
        self.0.room.notify_one();
        for waker in wakers {
            waker.wake();
        }
    }

    /// Says how long it may become: the one who writes asks [`Writer::may_grow_by`] and fails it where it would
    /// become longer.
    pub fn limit(&self, bytes: u64) {
        self.0.state.lock().limit = bytes;
    }

    /// Says how long it may become while it is spooled: one that becomes longer is a window from then on, whose writer waits
    /// for its reader. With 0 it is one from the beginning. Saying more than was said before changes nothing.
    pub fn spool_up_to(&self, bytes: u64) {
        let mut state = self.0.state.lock();
        state.most_spooled = state.most_spooled.min(bytes);
        if bytes == 0 {
            state.retention = Retention::Window;
        }
    }

    /// How long it may become.
    pub fn most(&self) -> u64 {
        self.0.state.lock().limit
    }

    /// How many readers there are.
    pub fn readers(&self) -> usize {
        self.0.state.lock().readers.count()
    }

    /// How it ended, once it has.
    pub fn end(&self) -> Option<End> {
        self.0.state.lock().end.clone()
    }

    /// The bytes written so far.
    pub fn len(&self) -> u64 {
        self.0.state.lock().len
    }

    /// The bytes written so far, and how many of them the reader farthest ahead has taken.
    pub fn progress(&self) -> (u64, u64) {
        let state = self.0.state.lock();
        (state.len, state.readers.fastest().unwrap_or(state.len))
    }

    /// What it shares with all bodies of its node.
    pub fn means(&self) -> Means {
        self.0.means.clone()
    }

    /// Whether nothing was written so far.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
