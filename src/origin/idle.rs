//! Idle connections, newest first, those of the asking worker before others.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::http1::Wire;

/// Stacks of idle connections. With more workers than this, some share a stack.
const STACKS: usize = 16;

/// The number of the worker (of any thread) that asks.
pub(super) fn here() -> usize {
    static THREADS: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static NUMBER: usize = THREADS.fetch_add(1, Ordering::Relaxed);
    }
    NUMBER.with(|number| *number)
}

/// An open connection on which nothing is under way.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) wire: Box<Wire>,
    /// Where it leads; not known of a pipe.
    pub(super) address: Option<SocketAddr>,
    /// The worker whose runtime watches its socket: using it there needs no wake-up across threads.
    worker: usize,
}

impl Connection {
    /// One that was opened on this thread.
    pub(super) fn opened_here(wire: Box<Wire>, address: Option<SocketAddr>) -> Self {
        Self { wire, address, worker: here() }
    }
}

/// A bounded number of connections that wait for their next request: a stack for each worker, so that workers do
/// not meet at one lock, and so that nobody takes another's connection while there is one of its own.
#[derive(Debug)]
pub(super) struct IdleConnections {
    stacks: [Mutex<VecDeque<Idle>>; STACKS],
    count: AtomicUsize,
    max: usize,
    timeout: Duration,
}

#[derive(Debug)]
struct Idle {
    connection: Connection,
    since: Instant,
}

impl IdleConnections {
    pub(super) fn new(max: usize, timeout: Duration) -> Self {
        let stacks = std::array::from_fn(|_| Mutex::default());
        Self { stacks, count: AtomicUsize::new(0), max, timeout }
    }

    /// A live connection, if one is idle.
    pub(super) fn take(&self) -> Option<Connection> {
        if self.count.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let (before, from) = self.stacks.split_at(here() % STACKS);
        from.iter().chain(before).find_map(|stack| self.pop(stack))
    }

    /// The newest that is alive; newer ones that are not are closed.
    fn pop(&self, stack: &Mutex<VecDeque<Idle>>) -> Option<Connection> {
        loop {
            let mut idle = stack.lock().pop_back()?;
            self.count.fetch_sub(1, Ordering::Relaxed);
            if self.is_good(&mut idle) {
                return Some(idle.connection);
            }
        }
    }

    /// Keeps a connection for the next request; over the limit it is closed. Nobody hears of it when the endpoint closes it:
    /// that is seen when it is taken, or swept away.
    pub(super) fn put(&self, connection: Connection) {
        let Some(stack) = self.stacks.get(connection.worker % STACKS) else { return };
        let mut stack = stack.lock();
        // The oldest lie below: so each put clears away what a busy stack never comes down to.
        while stack.pop_front_if(|oldest| !self.is_good(oldest)).is_some() {
            self.count.fetch_sub(1, Ordering::Relaxed);
        }
        if self.count.fetch_add(1, Ordering::SeqCst) < self.max {
            stack.push_back(Idle { connection, since: Instant::now() });
        } else {
            self.count.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.count.load(Ordering::SeqCst) == 0
    }

    /// Closes them all.
    pub(super) fn clear(&self) {
        for stack in &self.stacks {
            let closed = std::mem::take(&mut *stack.lock());
            self.count.fetch_sub(closed.len(), Ordering::Relaxed);
        }
    }

    /// How many there are, after those are closed that nobody will use.
    pub(super) fn sweep(&self) -> usize {
        for stack in &self.stacks {
            let mut stack = stack.lock();
            let before = stack.len();
            stack.retain_mut(|idle| self.is_good(idle));
            self.count.fetch_sub(before - stack.len(), Ordering::Relaxed);
        }
        self.count.load(Ordering::Relaxed)
    }

    fn is_good(&self, idle: &mut Idle) -> bool {
        idle.since.elapsed() < self.timeout && idle.connection.wire.is_quiet()
    }
}
