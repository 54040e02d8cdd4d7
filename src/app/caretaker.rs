//! A thread that does something now and then, and when it is asked to. It is left alone when the node ends: a disk that hangs
//! holds up nobody.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{self, RecvTimeoutError, SyncSender};
use std::time::Duration;

/// For a thread that has nothing to do but what it is asked for: so often it looks all the same.
pub(super) const SELDOM: Duration = Duration::from_hours(1);

/// How long it rests after a panic, at least.
const AFTER_PANIC: Duration = Duration::from_secs(1);

/// Does its work until it is dropped.
#[derive(Debug)]
pub(super) struct Caretaker(SyncSender<()>);

impl Caretaker {
    /// Has a thread of this name do its `work` after a time, and so on after the time that `work` says. Where it says none, the
    /// thread ends. A panic in it is told, and does not end it.
    pub(super) fn start(
        name: &str,
        first: Duration,
        mut work: impl FnMut() -> Option<Duration> + Send + 'static,
    ) -> io::Result<Self> {
        let (ask, asked) = mpsc::sync_channel(1);
        std::thread::Builder::new().name(name.into()).spawn(move || {
            let mut wait = first;
            while asked.recv_timeout(wait) != Err(RecvTimeoutError::Disconnected) {
                // What it works on is behind locks that a panic opens, and is looked at anew each time.
                match catch_unwind(AssertUnwindSafe(&mut work)) {
                    Ok(Some(next)) => wait = next,
                    Ok(None) => return,
                    Err(_) => {
                        let name = std::thread::current().name().map(str::to_owned);
                        tracing::error!(name, "what looks after this has failed, and will try again");
                        wait = first.max(AFTER_PANIC);
                    }
                }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_does_not_end_it() {
        let (tell, told) = mpsc::sync_channel(2);
        let mut nth = 0;
        let caretaker = Caretaker::start("of the test", SELDOM, move || {
            nth += 1;
            let _ = tell.send(nth);
            assert!(nth > 1, "the first time fails");
            Some(SELDOM)
        });
        let caretaker = caretaker.expect("a thread");
        for expected in 1..=2 {
            caretaker.wake();
            assert_eq!(told.recv_timeout(Duration::from_secs(20)), Ok(expected));
        }
    }
}
