//! Making room: what goes, and what is let in for it.
//!
//! A victim is the least valuable of a few entries chosen at random. Value is how often it was asked for of late,
//! lightly weighed against size: a thousand small objects are worth more than one large one that is asked for as
//! often, but a film is not thrown out for an icon. Between equals the one that was written first goes.

use std::io;

use super::sweep::sweep_to_the_end;
use super::{Disk, Keeper};
use crate::cache::disk::Shared;
use crate::cache::disk::segment::Spot;
use crate::cache::disk::settings::{Admission, Settings};
use crate::cache::disk::table::{Entry, Place};

/// Entries among which a victim is chosen.
const CHOICE: usize = 16;

/// What is evicted in one go where the index is too large.
const AT_ONCE: usize = 512;

/// Segments that are kept free: one to write to, one to clean into, and what is not counted exactly.
const SPARE_SEGMENTS: u64 = 3;

/// Left free for others when the file system is nearly full.
const LEFT_FREE: u64 = 4 << 20;

/// Bytes that may be taken when so many are, and so many are free.
pub(super) fn ceiling(settings: &Settings, used: u64, free: u64) -> u64 {
    let there = used.saturating_add(free).saturating_sub(LEFT_FREE);
    settings.limit.min(there).saturating_sub(SPARE_SEGMENTS * u64::from(settings.segment()))
}

/// What wants to be let in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Newcomer {
    /// Its slot.
    pub(super) slot: u64,
    /// Bytes of disk that it takes.
    pub(super) bytes: u64,
    /// Those of them that are contents.
    pub(super) contents: u64,
    /// Bytes of memory that the index takes for it.
    pub(super) memory: u64,
}

impl Keeper {
    /// Makes room for a newcomer; false if what would have to go is worth more.
    pub(super) fn make_room(&mut self, newcomer: &Newcomer) -> io::Result<bool> {
        let shared = &self.shared;
        let Some(disk) = &mut self.disk else { return Ok(false) };
        // An index that is too large has become so because its memory was lowered, and is being made to fit.
        if newcomer.bytes > disk.ceiling / 4 || disk.mounted.memory() > shared.memory() {
            return Ok(false);
        }
        if newcomer.contents > 0 {
            sweep_to_the_end(disk)?;
        }
        loop {
            let fits = disk.mounted.used() + newcomer.bytes <= disk.ceiling;
            let bearable = disk.mounted.memory() + newcomer.memory <= shared.memory();
            if fits && bearable {
                return Ok(true);
            }
            if !fits && Self::clean_most_wasted(shared, disk, &mut self.random)? {
                continue;
            }
            let once_read = disk.mounted.used().saturating_sub(disk.mounted.contents.condemned());
            if bearable && once_read + newcomer.bytes <= disk.ceiling {
                // Readers keep what was evicted: to evict more would help nobody.
                return Ok(false);
            }
            let Some(victim) = victim(shared, disk, &mut self.random) else {
                return match disk.mounted.log.oldest(disk.appender.active()) {
                    // Nothing is alive any more, and yet the log takes room.
                    Some(number) if !fits => {
                        Self::drop_segment(disk, number)?;
                        continue;
                    }
                    _ => Ok(false),
                };
            };
            if shared.settings.admission != Admission::Always
                && value(shared, newcomer.slot, newcomer.bytes) < value(shared, victim.slot, victim.bytes())
            {
                return Ok(false);
            }
            Self::evict(disk, victim.slot, &victim)?;
            Self::remove_files(disk)?;
        }
    }

    /// Evicts until the ceiling holds, which may have come down because the file system fills.
    pub(super) fn make_room_for_others(&mut self) -> io::Result<()> {
        let shared = &self.shared;
        let Some(disk) = &mut self.disk else { return Ok(()) };
        // What only readers keep goes with them: to evict more would help nobody.
        while disk.mounted.used().saturating_sub(disk.mounted.contents.condemned()) > disk.ceiling {
            if Self::clean_most_wasted(shared, disk, &mut self.random)? {
                continue;
            }
            match victim(shared, disk, &mut self.random) {
                Some(victim) => Self::evict(disk, victim.slot, &victim)?,
                None => return Ok(()),
            }
            Self::remove_files(disk)?;
        }
        Ok(())
    }

    /// Whether the index takes more memory than it may by now.
    pub(super) fn index_is_too_large(&self) -> bool {
        self.disk.as_ref().is_some_and(|disk| disk.mounted.memory() > self.shared.memory())
    }

    /// Evicts some of what there is while the index takes more memory than it may, which has become less. In steps, between
    /// which other work is done.
    pub(super) fn fit_index(&mut self) -> io::Result<()> {
        if !self.index_is_too_large() {
            return Ok(());
        }
        for _ in 0..AT_ONCE {
            let Some(disk) = &mut self.disk else { return Ok(()) };
            let Some(victim) = victim(&self.shared, disk, &mut self.random) else { break };
            Self::evict(disk, victim.slot, &victim)?;
            Self::remove_files(disk)?;
            if !self.index_is_too_large() {
                self.disk.iter().for_each(|disk| disk.mounted.shrink());
                break;
            }
        }
        self.account();
        Ok(())
    }

    /// Cleans before room is needed, while there is nothing else to do.
    pub(super) fn clean_ahead(&mut self) -> io::Result<()> {
        let shared = &self.shared;
        let Some(disk) = &mut self.disk else { return Ok(()) };
        if disk.mounted.used() > disk.ceiling / 16 * 15 {
            Self::clean_most_wasted(shared, disk, &mut self.random)?;
        }
        Ok(())
    }

    /// The file system is full: gives up a part of what there is without writing anything.
    pub(super) fn give_up_some(&mut self) {
        let Some(disk) = &mut self.disk else { return };
        let target = disk.mounted.used() / 16 * 15;
        while disk.mounted.used() > target {
            let older = disk.mounted.log.oldest(disk.appender.active());
            let Some(number) = older.or_else(|| disk.mounted.log.oldest(None)) else { return };
            if Self::drop_segment(disk, number).is_err() {
                return;
            }
        }
    }

    /// Takes an entry out and says so in the log.
    pub(super) fn evict(disk: &mut Disk, slot: u64, entry: &Entry) -> io::Result<()> {
        disk.appender.gone(slot)?;
        Self::let_go(disk, slot, entry);
        Ok(())
    }

    /// Takes an entry out, and releases its contents.
    pub(super) fn let_go(disk: &Disk, slot: u64, entry: &Entry) {
        let blocks = if entry.blocks_kib == 0 { Some(Vec::new()) } else { Self::blocks_of(disk, slot) };
        disk.mounted.unlink(slot);
        match blocks {
            Some(blocks) => disk.mounted.contents.release(&blocks),
            // They stay counted until the next start, which has to sweep.
            None => disk.leaked.set(true),
        }
    }

    /// Removes the files of contents that nobody names or reads any more.
    pub(super) fn remove_files(disk: &Disk) -> io::Result<()> {
        while let Some(address) = disk.mounted.contents.take_released() {
            disk.mounted.volume.remove_content(&address)?;
        }
        Ok(())
    }

    /// Removes a segment with all that is alive in it, writing nothing.
    pub(super) fn drop_segment(disk: &mut Disk, number: u32) -> io::Result<()> {
        for line in disk.mounted.log.lines(number).unwrap_or_default() {
            let spot = Spot { segment: number, offset: line.offset };
            if let Some(entry) = disk.mounted.get(line.slot).filter(|entry| entry.place.spot == spot) {
                Self::let_go(disk, line.slot, &entry);
            }
        }
        if disk.appender.active() == Some(number) {
            disk.appender.leave();
        }
        disk.appender.remove(number)?;
        Self::remove_files(disk)
    }
}

/// The least valuable of a few entries; none if there are none.
pub(super) fn victim(shared: &Shared, disk: &Disk, random: &mut fastrand::Rng) -> Option<Entry> {
    // Some shards may be empty: so many tries find one if there is any to speak of.
    let tries = (0..CHOICE * 64).filter_map(|_| disk.mounted.random(random)).take(CHOICE);
    let age = |place: Place| (place.spot.segment, place.spot.offset);
    tries
        .map(|entry| (value(shared, entry.slot, entry.bytes()), entry))
        .min_by(|(a, first), (b, second)| a.total_cmp(b).then(age(first.place).cmp(&age(second.place))))
        .map(|(_, entry)| entry)
}

/// What an entry of so many bytes is worth.
pub(super) fn value(shared: &Shared, slot: u64, bytes: u64) -> f32 {
    let frequency = f32::from(shared.sketch.estimate(slot));
    #[allow(clippy::cast_precision_loss, reason = "a weight")]
    let pages = (bytes >> 12) as f32;
    frequency / (1.0 + 0.25 * (1.0 + pages).log2())
}
