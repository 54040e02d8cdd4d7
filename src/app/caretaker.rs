//! The thread that looks at the files of certificates now and then. It is left alone when the node ends: a disk that hangs
//! holds up nobody.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, SyncSender};
use std::time::Duration;

use crate::base::clock::Clock;
use crate::listener::tls::Front;

/// Looks until it is dropped.
#[derive(Debug)]
pub(super) struct Caretaker {
    /// Nothing is ever sent: its end is the sign to end.
    _stop: SyncSender<()>,
}

impl Caretaker {
    /// Has `front` look `every` so often.
    pub(super) fn start(front: &Arc<Front>, every: Duration) -> io::Result<Self> {
        let (front, clock) = (Arc::clone(front), Clock::system());
        let (stop, stopped) = mpsc::sync_channel(0);
        std::thread::Builder::new().name("certificates".into()).spawn(move || {
            while stopped.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
                front.look(clock.now());
            }
        })?;
        Ok(Self { _stop: stop })
    }
}
