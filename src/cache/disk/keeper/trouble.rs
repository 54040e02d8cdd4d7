//! When the disk fails: what is still possible goes on, and all of it once the disk is well.
//!
//! | the disk | reads | writes | until |
//! |---|---|---|---|
//! | is full, read-only | go on | none | a probe can be written |
//! | vanished, reports errors | none | none | it can be opened and loaded anew |
//!
//! A slot whose change could not be written is a **debt**: what the disk has of it is out of date, is not served, and
//! is taken out as soon as the disk takes writes again. Debts are in memory: a process that ends before leaves to the next
//! what the disk has, as after a power cut.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;

use super::{Keeper, Mounted};
use crate::cache::disk::health::{Health, Trouble};
use crate::cache::disk::volume::{Note, OpenError};

/// Debts that are remembered one by one; with more, all that is on disk counts as out of date.
const MOST_DEBTS: usize = 1 << 20;

/// Attempts on a disk that stays in trouble come at most so far apart.
const LONGEST_RETRY: Duration = Duration::from_mins(1);

/// A probe is large enough to need room.
const PROBE: usize = 64 << 10;

/// Slots that are out of date on disk.
#[derive(Debug, Default)]
pub(super) struct Debts {
    slots: HashSet<u64>,
    too_many: bool,
}

impl Debts {
    fn add(&mut self, slot: u64) {
        if self.slots.len() < MOST_DEBTS {
            self.slots.insert(slot);
        } else {
            self.too_many = true;
        }
    }
}

impl Keeper {
    /// The change of a slot could not be written.
    pub(super) fn owe(&mut self, slot: u64) {
        self.debts.add(slot);
        if let Some(disk) = &self.disk
            && let Some(entry) = disk.mounted.get(slot)
        {
            Self::let_go(disk, slot, &entry);
        }
    }

    /// Something could not be written, or read where the keeper reads.
    pub(super) fn failed(&mut self, error: &io::Error) {
        let trouble = Trouble::of(error);
        tracing::debug!(%error, "disk tier: an operation failed");
        self.shared.means.counters.disk_write_errors.inc();
        if trouble.leaves_readable() && self.disk.is_some() {
            self.shared.turn(Health::ReadOnly(trouble));
            if trouble == Trouble::Full {
                self.give_up_some();
            }
        } else {
            self.offline(trouble);
        }
        self.retry_later();
    }

    /// The disk could not even be opened.
    pub(super) fn not_opened(&mut self, error: &OpenError) {
        tracing::warn!(%error, "disk tier: cannot be opened");
        let trouble = match error {
            OpenError::Io { error, .. } => Trouble::of(error),
            _ => Trouble::Failing,
        };
        self.offline(trouble);
        self.retry_later();
    }

    fn offline(&mut self, trouble: Trouble) {
        self.disk = None;
        let mounted = self.shared.mounted.write().take();
        if let Some(mounted) = mounted {
            mounted.die();
        }
        self.shared.turn(Health::Offline(trouble));
    }

    fn retry_later(&mut self) {
        self.retry_at = Some(Instant::now() + self.retry_after);
        self.retry_after = (self.retry_after * 2).min(LONGEST_RETRY.max(self.shared.settings.retry));
    }

    /// Looks whether a disk in trouble is well again.
    pub(super) fn retry(&mut self) {
        self.retry_at = None;
        match self.disk.as_ref().map(|disk| Arc::clone(&disk.mounted.volume)) {
            Some(volume) => match volume.write_note(Note::Probe, &vec![b'.'; PROBE]) {
                Ok(()) => {
                    self.shared.turn(Health::Serving);
                    self.attempt(Self::check);
                    self.attempt(Self::pay_debts);
                    if let Some(disk) = &mut self.disk {
                        disk.sweep = Some(super::Sweep::default());
                        disk.mounted.swept.store(false, Ordering::Release);
                    }
                }
                Err(error) => self.failed(&error),
            },
            None => match super::open(&self.shared.means) {
                Ok(opened) => {
                    let mounted = Arc::new(Mounted::new(
                        Arc::clone(&opened.volume),
                        self.shared.means.ledger.on_disk(),
                    ));
                    // What it was doing when it failed may lie around.
                    self.load(mounted, (opened.epoch, true));
                }
                Err(error) => self.not_opened(&error),
            },
        }
        if self.serving() {
            self.retry_after = self.shared.settings.retry;
            // One that was opened anew is shown only now, when the debts are known to be out of it.
            *self.shared.mounted.write() = self.disk.as_ref().map(|disk| Arc::clone(&disk.mounted));
        }
    }

    /// Takes out what is out of date.
    pub(super) fn pay_debts(&mut self) -> io::Result<()> {
        let Some(disk) = &mut self.disk else { return Ok(()) };
        if self.debts.too_many {
            tracing::warn!("disk tier: too much has changed while it was out of use; it begins anew");
            while let Some(number) = disk.mounted.log.oldest(None) {
                Self::drop_segment(disk, number)?;
            }
            self.debts = Debts::default();
        }
        while let Some(slot) = self.debts.slots.iter().next().copied() {
            disk.appender.gone(slot)?;
            if let Some(entry) = disk.mounted.get(slot) {
                Self::let_go(disk, slot, &entry);
            }
            self.debts.slots.remove(&slot);
        }
        Ok(())
    }
}
