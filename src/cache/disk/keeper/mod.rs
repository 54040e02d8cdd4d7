//! The one thread that changes the disk.
//!
//! It opens and loads, writes what the intake holds, makes room, cleans the log, sweeps leftovers, and when the disk
//! fails waits until it is well. Because it alone writes, what it does needs no locks against itself. Hits never
//! wait for it.

mod clean;
mod load;
mod open;
mod room;
mod sweep;
mod trouble;
mod write;

use std::cell::Cell;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use tokio::time::Instant;

use super::Shared;
use super::health::Health;
use super::intake::{Intake, Work};
use super::log::Appender;
use super::mounted::Mounted;
use super::volume::OpenError;
use crate::body::budget::Charge;
use sweep::Sweep;
use trouble::Debts;

pub(super) use open::{Opened, open};

/// The keeper's thread.
#[derive(Debug)]
pub(super) struct Thread {
    ended: Receiver<()>,
    abandoned: Arc<std::sync::atomic::AtomicBool>,
}

impl Thread {
    /// Waits for its end, at most so long. The intake is closed by then.
    pub(super) fn join(self, patience: Duration) {
        if self.ended.recv_timeout(patience).is_err() {
            tracing::warn!("disk tier: what waits to be written was given up");
        }
    }

    /// Ends it where it is, as a crash would, and waits for that.
    pub(super) fn abandon(self, intake: &Intake) {
        self.abandoned.store(true, std::sync::atomic::Ordering::Release);
        intake.close();
        let _ = self.ended.recv_timeout(Duration::from_secs(5));
    }
}

/// What the thread owns.
pub(super) struct Keeper {
    shared: Arc<Shared>,
    /// The open disk, unless it is out of use.
    disk: Option<Disk>,
    debts: Debts,
    random: fastrand::Rng,
    /// The memory of the index.
    charge: Charge,
    /// When a failed disk is tried again.
    retry_at: Option<Instant>,
    retry_after: Duration,
    looked_at: Instant,
    abandoned: Arc<std::sync::atomic::AtomicBool>,
}

/// An open disk, as its one writer has it.
struct Disk {
    mounted: Arc<Mounted>,
    appender: Appender,
    sweep: Option<Sweep>,
    /// Bytes that may be taken, less than the limit if the file system has no room for it.
    ceiling: u64,
    /// The ledger's epoch in which it was opened.
    epoch: u64,
    /// The active segment when the oldest was last turned over.
    turned_at: Option<u32>,
    /// Contents are named by heads that cannot be read any more.
    leaked: Cell<bool>,
    /// The index did not fit into its share of memory: slots that are not in the table may be on disk.
    partial: bool,
}

impl Keeper {
    /// Starts the thread with a disk that was opened, or the reason why it was not.
    pub(super) fn start(shared: Arc<Shared>, opened: Result<Opened, OpenError>) -> Result<Thread, OpenError> {
        let (end, ended) = sync_channel(1);
        let abandoned = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let charge = shared.means.budget.charge(shared.sketch.weight());
        // A charge and a place in the state at once: requests that come now wait for the index.
        let mounted = opened
            .as_ref()
            .ok()
            .map(|opened| Arc::new(Mounted::new(Arc::clone(&opened.volume), shared.means.ledger.on_disk())));
        shared.mounted.write().clone_from(&mounted);
        let mut keeper = Self {
            retry_after: shared.settings.retry,
            shared,
            disk: None,
            debts: Debts::default(),
            random: fastrand::Rng::new(),
            charge,
            retry_at: None,
            looked_at: Instant::now(),
            abandoned: Arc::clone(&abandoned),
        };
        let directory = keeper.shared.settings.directory.display().to_string();
        let spawned = std::thread::Builder::new().name("disk".into()).spawn(move || {
            match (mounted, opened) {
                (Some(mounted), Ok(opened)) => keeper.load(mounted, (opened.epoch, opened.crashed)),
                (_, Err(error)) => keeper.not_opened(&error),
                (None, Ok(_)) => {}
            }
            keeper.run();
            drop(keeper);
            let _ = end.send(());
        });
        spawned.map(|_| Thread { ended, abandoned }).map_err(|error| OpenError::Io { path: directory, error })
    }

    fn run(&mut self) {
        loop {
            let work = self.shared.intake.next(self.patience());
            if self.abandoned.load(std::sync::atomic::Ordering::Acquire) {
                return;
            }
            match work {
                Work::Intent(slot, ticket, intent) => {
                    if let Err(error) = self.carry_out(slot, &intent) {
                        self.owe(slot);
                        self.failed(&error);
                    }
                    self.shared.intake.done(slot, ticket);
                }
                Work::Nothing => self.idle(),
                Work::Closed => return self.end(),
            }
            self.look_around();
        }
    }

    /// How long nothing may happen until the keeper looks around.
    fn patience(&self) -> Duration {
        match &self.disk {
            Some(Disk { sweep: Some(_), .. }) => self.shared.settings.sweep_pause,
            _ if self.index_is_too_large() => self.shared.settings.sweep_pause,
            _ => self.shared.settings.check.min(self.shared.settings.retry),
        }
    }

    /// Nothing waits: time for what can be put off.
    fn idle(&mut self) {
        self.attempt(Self::clean_ahead);
    }

    /// What is due from time to time, whatever else there is to do.
    fn look_around(&mut self) {
        self.shared.sketch.age();
        if self.serving() && self.shared.has_failed_to_read() {
            self.failed(&io::Error::other("one read after the other fails"));
        }
        self.attempt(Self::remove_released);
        self.attempt(Self::sync_if_asked);
        // Also while there is no end of work.
        self.attempt(Self::sweep_on);
        self.attempt(Self::fit_index);
        if self.looked_at.elapsed() >= self.shared.settings.check {
            self.looked_at = Instant::now();
            self.attempt(Self::check);
            self.account();
        }
        if self.retry_at.is_some_and(|at| Instant::now() >= at) {
            self.retry();
        }
    }

    /// Does something with a disk that serves; a failure is dealt with.
    fn attempt(&mut self, what: impl FnOnce(&mut Self) -> io::Result<()>) {
        if self.serving()
            && let Err(error) = what(self)
        {
            self.failed(&error);
        }
    }

    fn serving(&self) -> bool {
        self.disk.is_some() && *self.shared.health.borrow() == Health::Serving
    }

    /// Whether the disk is still where it was and has room, and what was written is durable.
    fn check(&mut self) -> io::Result<()> {
        let Some(disk) = &mut self.disk else { return Ok(()) };
        let free = disk.mounted.volume.free_space()?;
        if let Some(active) = disk.appender.active() {
            disk.mounted.volume.open_segment(active)?;
        }
        disk.ceiling = room::ceiling(&self.shared.settings, disk.mounted.used(), free);
        disk.appender.sync_aside(self.shared.settings.sync)?;
        self.make_room_for_others()
    }

    /// Makes durable what was written, if somebody waits for that.
    fn sync_if_asked(&mut self) -> io::Result<()> {
        if let (Some(ticket), Some(disk)) = (self.shared.intake.due_sync(), &mut self.disk) {
            disk.appender.sync()?;
            self.shared.intake.note_synced(ticket);
        }
        Ok(())
    }

    /// Charges what the index takes by now.
    fn account(&mut self) {
        let index = self.disk.as_ref().map_or(0, |disk| disk.mounted.memory() + disk.appender.weight());
        self.charge.set(self.shared.sketch.weight() + index);
    }

    /// The end in good order.
    fn end(&mut self) {
        self.attempt(|keeper| {
            let Some(disk) = &mut keeper.disk else { return Ok(()) };
            disk.appender.seal()?;
            disk.appender.sync()?;
            if disk.sweep.is_some() || disk.leaked.get() || !disk.mounted.contents.is_clear() {
                // Something may still lie around: the next start has to look.
                return Ok(());
            }
            open::note_end(&*disk.mounted.volume, disk.epoch)
        });
        let mounted = self.shared.mounted.write().take();
        drop(mounted);
        self.disk = None;
    }
}
