//! One worker: a thread with a runtime of its own (decision 1), and the sockets that it listens on.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::listener::Handler;
use crate::listener::accept::{self, Spoken};
use crate::listener::wire::Bound;

/// Threads for file I/O that one worker may have.
const BLOCKING_THREADS: usize = 12;

/// A socket to listen on, and what is spoken there, until the sender of that goes.
#[derive(Debug)]
pub(super) struct Fresh {
    pub(super) bound: Bound,
    pub(super) spoken: watch::Receiver<Spoken>,
}

/// Where a worker is given sockets. Cloning shares it.
#[derive(Clone, Debug, Default)]
pub(super) struct Inbox(Arc<(Mutex<Vec<Fresh>>, Notify)>);

impl Inbox {
    /// Has the worker listen there too.
    pub(super) fn give(&self, fresh: Fresh) {
        self.0.0.lock().push(fresh);
        self.0.1.notify_one();
    }

    /// Waits for sockets. Cancel-safe: none was taken.
    async fn some(&self) -> Vec<Fresh> {
        loop {
            let given = std::mem::take(&mut *self.0.0.lock());
            if !given.is_empty() {
                return given;
            }
            self.0.1.notified().await;
        }
    }
}

/// A duration that a reload may change. Cloning shares it.
#[derive(Clone, Debug)]
pub(super) struct Deadline(Arc<AtomicU64>);

impl Deadline {
    pub(super) fn new(limit: Duration) -> Self {
        let deadline = Self(Arc::default());
        deadline.set(limit);
        deadline
    }

    pub(super) fn set(&self, limit: Duration) {
        self.0.store(u64::try_from(limit.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    fn get(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::Relaxed))
    }
}

/// One thread with its runtime.
pub(super) struct Worker<H> {
    pub(super) handler: Arc<H>,
    pub(super) inbox: Inbox,
    pub(super) draining: CancellationToken,
    /// Those of all workers: a connection may read what another worker fetches, so none ends before the last.
    pub(super) connections: TaskTracker,
    /// How long they may take to end once the node drains.
    pub(super) deadline: Deadline,
}

impl<H: Handler> Worker<H> {
    pub(super) fn spawn(self, index: usize) -> io::Result<JoinHandle<()>> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(BLOCKING_THREADS)
            .build()?;
        std::thread::Builder::new().name(format!("worker-{index}")).spawn(move || {
            runtime.block_on(self.serve());
            // File reads of clients that are gone are not waited for.
            runtime.shutdown_background();
        })
    }

    async fn serve(self) {
        let mut accepting = JoinSet::new();
        loop {
            tokio::select! {
                () = self.draining.cancelled() => break,
                given = self.inbox.some() => given.into_iter().for_each(|fresh| self.listen(fresh, &mut accepting)),
                Some(_) = accepting.join_next() => {}
            }
        }
        accepting.join_all().await;
        self.connections.close();
        if tokio::time::timeout(self.deadline.get(), self.connections.wait()).await.is_err() {
            tracing::warn!(
                left = self.connections.len(),
                "the drain deadline passed; ending what still runs"
            );
        }
    }

    fn listen(&self, Fresh { bound, spoken }: Fresh, accepting: &mut JoinSet<()>) {
        match bound.listen() {
            Ok(socket) => {
                let (handler, connections) = (Arc::clone(&self.handler), self.connections.clone());
                accepting.spawn(accept::accept(socket, spoken, handler, connections));
            }
            Err(error) => tracing::error!(%error, "a worker could not use its socket"),
        }
    }
}
