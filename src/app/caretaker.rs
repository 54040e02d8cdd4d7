//! The thread that looks at the files of certificates now and then.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, SyncSender};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::listener::tls::keeper::Keeper;

/// Looks until it is dropped.
#[derive(Debug)]
pub(super) struct Caretaker {
    /// Nothing is ever sent: its end is the sign to end.
    stop: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Caretaker {
    /// Has `keeper` look `every` so often.
    pub(super) fn start(keeper: &Arc<Keeper>, every: Duration) -> io::Result<Self> {
        let keeper = Arc::clone(keeper);
        let (stop, stopped) = mpsc::sync_channel(0);
        let thread = std::thread::Builder::new().name("certificates".into()).spawn(move || {
            while stopped.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
                keeper.look();
            }
        })?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Caretaker {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
