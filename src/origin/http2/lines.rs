//! The open connections of HTTP/2 to one endpoint. Another one is opened only when none of them has room, and by one
//! request, while the others that need it wait.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;

use super::connection::{Connection, MOST_STREAMS, Share};
use crate::origin::error::OriginError;

/// How long a connection is kept whose endpoint allows no streams on it: so long no other is opened.
const REST: Duration = Duration::from_secs(1);

/// The connections to one endpoint.
#[derive(Debug)]
pub(in crate::origin) struct Lines {
    inner: Mutex<Inner>,
    /// How long one is kept that has no streams, and how many such there may be: one at least, which may have been opened just
    /// now for those who wait.
    timeout: Duration,
    max_idle: usize,
}

#[derive(Debug)]
struct Inner {
    open: Vec<Connection>,
    /// How many streams the endpoint has allowed when that was last known: a new connection is supposed to have as many.
    allows: usize,
    /// Somebody opens one: what comes of it.
    opening: Option<Outcome>,
    /// The endpoint has chosen HTTP/1 when it was last asked: nobody need wait for a connection to share.
    is_alone: bool,
}

/// What came of an attempt to open a connection: an error; or, once nobody is left who would say so, nothing, and it is to be
/// looked again.
pub(in crate::origin) type Outcome = watch::Receiver<Option<OriginError>>;

/// How a request comes by its stream.
pub(in crate::origin) enum Way {
    /// There is one.
    Share(Share),
    /// A connection is being opened.
    Wait(Outcome),
    /// A connection has to be opened, for all that wait.
    Open(Opening, Outcome),
    /// It has to open a connection, which may be for it alone.
    Alone,
    /// The endpoint allows no streams.
    None,
}

/// The duty to open a connection, and to say what came of it. Dropped, somebody else may try.
pub(in crate::origin) struct Opening {
    tells: watch::Sender<Option<OriginError>>,
}

impl Lines {
    /// None yet; `max_idle` of them, and one at least, are kept for `timeout` without streams.
    pub(in crate::origin) fn new(timeout: Duration, max_idle: usize) -> Self {
        let inner = Inner { open: Vec::new(), allows: MOST_STREAMS as usize, opening: None, is_alone: false };
        Self { inner: Mutex::new(inner), timeout, max_idle: max_idle.max(1) }
    }

    /// A stream on an open connection that `is_good`, if one has room.
    pub(in crate::origin) fn share(&self, is_good: impl Fn(&Connection) -> bool) -> Option<Share> {
        self.inner.lock().share(is_good)
    }

    /// How to come by a stream.
    pub(in crate::origin) fn way(&self, is_good: impl Fn(&Connection) -> bool) -> Way {
        let mut inner = self.inner.lock();
        if let Some(share) = inner.share(is_good) {
            return Way::Share(share);
        }
        if inner.is_alone {
            return Way::Alone;
        }
        if inner.open.iter().any(Connection::allows_none) {
            return Way::None;
        }
        if let Some(outcome) = inner.opening.as_ref().filter(|outcome| outcome.has_changed().is_ok()) {
            return Way::Wait(outcome.clone());
        }
        let (tells, outcome) = watch::channel(None);
        inner.opening = Some(outcome.clone());
        Way::Open(Opening { tells }, outcome)
    }

    /// Keeps a connection that was opened.
    pub(in crate::origin) fn add(&self, connection: Connection) {
        let mut inner = self.inner.lock();
        inner.is_alone = false;
        inner.keep_resting(self.max_idle - 1);
        inner.open.push(connection);
    }

    /// The endpoint has chosen HTTP/1: each request needs a connection of its own.
    pub(in crate::origin) fn is_alone(&self) {
        self.inner.lock().is_alone = true;
    }

    /// How many connections have no streams, after those are let go that nobody will use.
    pub(in crate::origin) fn sweep(&self, is_good: impl Fn(&Connection) -> bool) -> usize {
        let mut inner = self.inner.lock();
        let is_new = |connection: &Connection| {
            let timeout = if connection.allows_none() { REST } else { self.timeout };
            connection.rests_since().is_none_or(|since| since.elapsed() < timeout)
        };
        inner.open.retain(|connection| connection.is_open() && is_good(connection) && is_new(connection));
        inner.keep_resting(self.max_idle);
        inner.open.iter().filter(|connection| connection.rests_since().is_some()).count()
    }

    /// Whether there are none.
    pub(in crate::origin) fn is_empty(&self) -> bool {
        self.inner.lock().open.is_empty()
    }
}

impl Inner {
    /// Lets go of those that have no streams, the oldest first, until there are so many.
    fn keep_resting(&mut self, most: usize) {
        let mut surplus =
            self.open.iter().filter(|open| open.rests_since().is_some()).count().saturating_sub(most);
        self.open.retain(|open| {
            let goes = surplus > 0 && open.rests_since().is_some();
            surplus -= usize::from(goes);
            !goes
        });
    }

    /// Of the asking worker's connections first: there nobody has to be woken across threads.
    fn share(&mut self, is_good: impl Fn(&Connection) -> bool) -> Option<Share> {
        self.open.retain(|connection| connection.is_open() && is_good(connection));
        if let Some(allows) = self.open.iter().rev().find_map(Connection::allows) {
            self.allows = allows;
        }
        let supposed = self.allows.max(1);
        let here = self.open.iter().filter(|connection| connection.is_here());
        let elsewhere = self.open.iter().filter(|connection| !connection.is_here());
        here.chain(elsewhere).find_map(|connection| connection.share(supposed))
    }
}

impl Opening {
    /// There is none, for nobody who waits.
    pub(in crate::origin) fn failed(self, error: OriginError) {
        self.tells.send_replace(Some(error));
    }
}
