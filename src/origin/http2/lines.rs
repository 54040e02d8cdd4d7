//! The open connections of HTTP/2 to one endpoint. Another one is opened only when none of them has room, and by one
//! request, while the others that need it wait.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;

use super::connection::{Connection, Share};
use crate::origin::error::OriginError;

/// The connections to one endpoint.
#[derive(Debug)]
pub(in crate::origin) struct Lines {
    inner: Mutex<Inner>,
    /// How long one is kept that has no streams.
    timeout: Duration,
}

#[derive(Debug, Default)]
struct Inner {
    open: Vec<Connection>,
    /// Somebody opens one: what comes of it.
    opening: Option<Outcome>,
    /// The endpoint has chosen HTTP/1 when it was last asked: nobody need wait for a connection to share.
    is_alone: bool,
}

/// What came of an attempt to open a connection: an error, or nothing to be said, and it is to be looked again.
pub(in crate::origin) type Outcome = watch::Receiver<Option<OriginError>>;

/// How a request comes by its stream.
pub(in crate::origin) enum Way<'a> {
    /// There is one.
    Share(Share),
    /// A connection is being opened.
    Wait(Outcome),
    /// It has to open a connection, for all that wait.
    Open(Opening<'a>),
    /// It has to open a connection, which may be for it alone.
    Alone,
}

/// The duty to open a connection, and to say what came of it. Dropped, somebody else may try.
pub(in crate::origin) struct Opening<'a> {
    lines: &'a Lines,
    tells: watch::Sender<Option<OriginError>>,
}

impl Lines {
    /// None yet; they are kept for `timeout` without streams.
    pub(in crate::origin) fn new(timeout: Duration) -> Self {
        Self { inner: Mutex::default(), timeout }
    }

    /// A stream on an open connection that `is_good`, if one has room.
    pub(in crate::origin) fn share(&self, is_good: impl Fn(&Connection) -> bool) -> Option<Share> {
        self.inner.lock().share(is_good)
    }

    /// How to come by a stream.
    pub(in crate::origin) fn way(&self, is_good: impl Fn(&Connection) -> bool) -> Way<'_> {
        let mut inner = self.inner.lock();
        if let Some(share) = inner.share(is_good) {
            return Way::Share(share);
        }
        if inner.is_alone {
            return Way::Alone;
        }
        if let Some(outcome) = &inner.opening {
            return Way::Wait(outcome.clone());
        }
        let (tells, outcome) = watch::channel(None);
        inner.opening = Some(outcome);
        Way::Open(Opening { lines: self, tells })
    }

    /// Keeps a connection that was opened for one request alone, and its endpoint has chosen HTTP/2.
    pub(in crate::origin) fn add(&self, connection: Connection) -> Option<Share> {
        let share = connection.share();
        let mut inner = self.inner.lock();
        inner.is_alone = false;
        inner.open.push(connection);
        share
    }

    /// How many connections have no streams, after those are let go that nobody will use.
    pub(in crate::origin) fn sweep(&self, is_good: impl Fn(&Connection) -> bool) -> usize {
        let mut inner = self.inner.lock();
        let is_new = |connection: &Connection| {
            connection.rests_since().is_none_or(|since| since.elapsed() < self.timeout)
        };
        inner.open.retain(|connection| connection.is_open() && is_good(connection) && is_new(connection));
        inner.open.iter().filter(|connection| connection.rests_since().is_some()).count()
    }

    /// Whether there are none.
    pub(in crate::origin) fn is_empty(&self) -> bool {
        self.inner.lock().open.is_empty()
    }
}

impl Inner {
    /// Of the asking worker's connections first: there nobody has to be woken across threads.
    fn share(&mut self, is_good: impl Fn(&Connection) -> bool) -> Option<Share> {
        self.open.retain(|connection| connection.is_open() && is_good(connection));
        let here = self.open.iter().filter(|connection| connection.is_here());
        let elsewhere = self.open.iter().filter(|connection| !connection.is_here());
        here.chain(elsewhere).find_map(Connection::share)
    }
}

impl Opening<'_> {
    /// It is open, for all who wait.
    pub(in crate::origin) fn opened(self, connection: Connection) -> Option<Share> {
        self.lines.add(connection)
    }

    /// The endpoint has chosen HTTP/1: each needs a connection of its own.
    pub(in crate::origin) fn is_alone(self) {
        self.lines.inner.lock().is_alone = true;
    }

    /// There is none, for nobody who waits.
    pub(in crate::origin) fn failed(self, error: OriginError) {
        self.tells.send_replace(Some(error));
    }
}

impl Drop for Opening<'_> {
    fn drop(&mut self) {
        self.lines.inner.lock().opening = None;
    }
}
