//! Cleaning the log: what is alive in a segment is moved to its end, and the segment removed.
//!
//! Contents lie in the log (decision 17), so that moving costs what storing does. As long as what is alive leaves room, some
//! segment has much garbage, and all else of it is moved. Where it does not, at most half of a segment is: what is left when
//! a third of it was garbage already are its most valuable objects. So about one byte at most is written beside each that is
//! stored at the limit. What is worth no more than what would have to go next is not moved either then: mostly that is all
//! that was asked for but once, and next to nothing is moved.

use std::collections::HashSet;
use std::io;

use super::room::{value, victim};
use super::{Disk, Keeper};
use crate::cache::disk::Shared;
use crate::cache::disk::segment::{Line, Put, Spot};
use crate::cache::disk::table::Entry;
use crate::cache::disk::volume::How;

/// The part of the log that words of empty slots may take before the oldest segment is turned over.
const EMPTIED_SHARE: u64 = 16;

/// What part of the ceiling may be alive without anything being thrown out for the sake of garbage.
const ROOMY: (u64, u64) = (5, 8);

/// What part of a segment is moved at most, where more is alive than that.
const MOVED_SHARE: u64 = 2;

impl Keeper {
    /// Cleans the segment with the most garbage; false if none has enough, or nothing came of it.
    pub(super) fn clean_most_wasted(
        shared: &Shared,
        disk: &mut Disk,
        random: &mut fastrand::Rng,
    ) -> io::Result<bool> {
        let active = disk.appender.active();
        let before = disk.mounted.log.bytes();
        if let Some(number) = disk.mounted.log.most_wasted(active) {
            Self::clean(shared, disk, random, number)?;
        } else if disk.turned_at != active
            && disk.mounted.log.emptied() > before / EMPTIED_SHARE
            && let Some(oldest) = disk.mounted.log.oldest(active)
        {
            // Words that slots are empty can only be dropped from the oldest segment: it gives way to the next, once for
            // each segment that is begun.
            Self::clean(shared, disk, random, oldest)?;
            disk.turned_at = disk.appender.active();
        }
        Ok(disk.mounted.log.bytes() < before)
    }

    /// Moves what is worth it of a segment to the end of the log, and removes the segment.
    fn clean(shared: &Shared, disk: &mut Disk, random: &mut fastrand::Rng, number: u32) -> io::Result<()> {
        let lines = disk.mounted.log.lines(number)?;
        let dropped = if is_roomy(disk) {
            HashSet::new()
        } else {
            let next_to_go =
                victim(shared, disk, random).map(|entry| value(shared, entry.slot, entry.bytes()));
            not_worth_moving(shared, disk, number, &lines, next_to_go.unwrap_or(f32::MIN))
        };
        let is_oldest = disk.mounted.log.is_oldest(number);
        for Line { slot, offset, put, .. } in lines {
            let entry = disk.mounted.get(slot);
            let Some(put) = put else {
                // Needed as long as an older segment may have a record of the slot.
                if !is_oldest && entry.is_none() {
                    disk.appender.gone(slot)?;
                }
                continue;
            };
            let spot = Spot { segment: number, offset };
            match entry.filter(|entry| entry.place.spot == spot) {
                Some(entry) if dropped.contains(&slot) => Self::evict(disk, slot, &entry)?,
                Some(entry) => Self::move_on(disk, entry, put)?,
                None => {}
            }
        }
        if !is_oldest {
            // What was moved must not be lost with what it was moved from: older records would come back.
            disk.appender.sync()?;
        }
        disk.appender.remove(number)
    }

    /// Writes a record to the end of the log, with the content that lies behind it.
    fn move_on(disk: &mut Disk, entry: Entry, put: Put) -> io::Result<()> {
        let mut content = vec![0; entry.place.within as usize];
        match disk.mounted.log.read(entry.slot, entry.place, &mut content, How::Patiently) {
            Ok(read) => {
                let place = disk.appender.put(entry.slot, read.payload(), &content, put)?;
                disk.mounted.link(Entry { place, ..entry });
                Ok(())
            }
            // Damaged: it ends here.
            Err(_) => Self::evict(disk, entry.slot, &entry),
        }
    }
}

/// Whether what is alive leaves so much room that garbage alone need go.
fn is_roomy(disk: &Disk) -> bool {
    let alive = disk.mounted.log.alive() + disk.mounted.contents.bytes();
    alive.saturating_mul(ROOMY.1) <= disk.ceiling.saturating_mul(ROOMY.0)
}

/// The slots of a segment that go with it: those with contents in it that are worth no more than `least`, and then the
/// least valuable, the first written first, until no more is left than may be moved.
fn not_worth_moving(shared: &Shared, disk: &Disk, number: u32, lines: &[Line], least: f32) -> HashSet<u64> {
    let alive = lines.iter().filter(|line| line.put.as_ref().is_some_and(|put| put.within > 0));
    let mut alive: Vec<(f32, u32, u64)> = alive
        .filter_map(|line| {
            let spot = Spot { segment: number, offset: line.offset };
            let entry = disk.mounted.get(line.slot).filter(|entry| entry.place.spot == spot)?;
            Some((value(shared, line.slot, entry.bytes()), line.length, line.slot))
        })
        .collect();
    alive.sort_by(|(one, ..), (other, ..)| one.total_cmp(other));
    let most = disk.mounted.log.frames(number) / MOVED_SHARE;
    let mut left: u64 = alive.iter().map(|(_, length, _)| u64::from(*length)).sum();
    let goes = |(value, length, _): &(f32, u32, u64)| {
        let goes = *value <= least || left > most;
        left -= if goes { u64::from(*length) } else { 0 };
        goes
    };
    alive.into_iter().take_while(goes).map(|(_, _, slot)| slot).collect()
}
