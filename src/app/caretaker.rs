//! A thread that does something now and then, and when it is asked to. It is left alone when the node ends: a disk that hangs
//! holds up nobody.

use std::io;
use std::sync::mpsc::{self, RecvTimeoutError, SyncSender};
use std::time::Duration;

/// For a thread that has nothing to do but what it is asked for: so often it looks all the same.
pub(super) const SELDOM: Duration = Duration::from_hours(1);

/// Does its work until it is dropped.
#[derive(Debug)]
pub(super) struct Caretaker(SyncSender<()>);

impl Caretaker {
    /// Has a thread of this name do its `work` after a time, and so on after the time that `work` says. Where it says none, the
    /// thread ends.
    pub(super) fn start(
        name: &str,
        first: Duration,
        mut work: impl FnMut() -> Option<Duration> + Send + 'static,
    ) -> io::Result<Self> {
        let (ask, asked) = mpsc::sync_channel(1);
        std::thread::Builder::new().name(name.into()).spawn(move || {
            let mut wait = first;
            while asked.recv_timeout(wait) != Err(RecvTimeoutError::Disconnected) {
                let Some(next) = work() else { return };
                wait = next;
            }
        })?;
        Ok(Self(ask))
    }

    /// Has the work done now, or once more right after it is done.
    pub(super) fn wake(&self) {
        // Where one waits already, that will do.
        let _ = self.0.try_send(());
    }
}
