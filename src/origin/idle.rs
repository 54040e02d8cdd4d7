//! Idle connections, newest first, those of the asking thread before others.

use std::thread::ThreadId;
use std::time::Duration;

use hyper::client::conn::http1::SendRequest;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::body::wire::WireBody;

/// The sending half of a connection.
pub(super) type Sender = SendRequest<WireBody>;

/// A bounded stack of connections that wait for their next request.
#[derive(Debug)]
pub(super) struct IdleConnections {
    stack: Mutex<Vec<Idle>>,
    max: usize,
    timeout: Duration,
}

#[derive(Debug)]
struct Idle {
    sender: Sender,
    since: Instant,
    /// The worker whose runtime drives the connection: using it there needs no wake-up across threads.
    thread: ThreadId,
}

impl IdleConnections {
    pub(super) fn new(max: usize, timeout: Duration) -> Self {
        Self { stack: Mutex::new(Vec::new()), max, timeout }
    }

    /// A live connection, if one is idle, and the thread that drives it.
    pub(super) fn take(&self) -> Option<(Sender, ThreadId)> {
        let here = std::thread::current().id();
        let mut stack = self.stack.lock();
        stack.retain(|idle| !idle.sender.is_closed() && idle.since.elapsed() < self.timeout);
        let own = stack.iter().rposition(|idle| idle.thread == here);
        let index = own.or(stack.len().checked_sub(1))?;
        let idle = stack.remove(index);
        Some((idle.sender, idle.thread))
    }

    /// Keeps `sender` for the next request; over the limit it is closed.
    pub(super) fn put(&self, sender: Sender, driven_by: ThreadId) {
        let mut stack = self.stack.lock();
        if stack.len() < self.max {
            stack.push(Idle { sender, since: Instant::now(), thread: driven_by });
        }
    }
}
