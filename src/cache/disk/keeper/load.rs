//! Loading the index: from the newest segment to the oldest, so that what is found first is what holds, and may be
//! served while the rest is still read.

use std::cell::Cell;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::time::Instant;

use super::sweep::Sweep;
use super::{Disk, Keeper, room};
use crate::base::ids::Generation;
use crate::cache::disk::contents::on_disk;
use crate::cache::disk::health::Health;
use crate::cache::disk::log::Appender;
use crate::cache::disk::mounted::Mounted;
use crate::cache::disk::segment::{self, Found, Line, Spot};
use crate::cache::disk::table::{Entry, Place};
use crate::cache::disk::volume::is_of_file;

/// What loading has come to know beside the table.
#[derive(Default)]
struct Loading {
    /// Slots that a later frame says are empty.
    emptied: HashSet<u64>,
    /// The number of the next segment.
    next: u32,
    /// The newest segment, to go on with.
    newest: Option<(u32, Found)>,
    /// Something could not be read: contents may lie around that no head names.
    lost: bool,
    /// The share of memory is used up: what is older is left out.
    full: bool,
}

impl Keeper {
    /// Loads the index of a disk that was opened, and serves from then on.
    pub(super) fn load(&mut self, mounted: Arc<Mounted>, (epoch, crashed): (u64, bool)) {
        self.shared.turn(Health::Loading);
        let _ = self.shared.first_epoch.set(epoch);
        let started = Instant::now();
        let loading = match self.load_segments(&mounted) {
            Ok(loading) => loading,
            Err(error) => return self.failed(&error),
        };
        let appender = Appender::new(
            Arc::clone(&mounted.volume),
            Arc::clone(&mounted.log),
            self.shared.settings.segment(),
            (loading.next, loading.newest),
        );
        let appender = match appender {
            Ok(appender) => appender,
            Err(error) => return self.failed(&error),
        };
        mounted.loaded.store(true, Ordering::Release);
        tracing::info!(
            objects = mounted.entries(),
            bytes = mounted.used(),
            took = ?started.elapsed(),
            "disk tier: the index is loaded"
        );
        let free = mounted.volume.free_space().unwrap_or(u64::MAX);
        let ceiling = room::ceiling(&self.shared.settings, mounted.used(), free);
        let sweep = (crashed || loading.lost).then(Sweep::default);
        let partial = loading.full;
        mounted.swept.store(sweep.is_none(), Ordering::Release);
        self.disk = Some(Disk {
            mounted,
            appender,
            sweep,
            ceiling,
            epoch,
            turned_at: None,
            leaked: Cell::new(false),
            partial,
        });
        self.shared.turn(Health::Serving);
        self.attempt(Self::pay_debts);
        self.account();
    }

    fn load_segments(&self, mounted: &Arc<Mounted>) -> std::io::Result<Loading> {
        let mut numbers = mounted.volume.segments()?;
        numbers.sort_unstable_by(|a, b| b.cmp(a));
        let next = numbers.first().map_or(1, |newest| newest.saturating_add(1));
        let mut loading = Loading { next, ..Loading::default() };
        for number in numbers {
            if self.abandoned.load(Ordering::Acquire) {
                break;
            }
            let opened = mounted.volume.open_segment(number);
            let opened = opened.and_then(|file| Ok((segment::survey(&*file, number)?, file.len()?, file)));
            let (found, length, file) = match opened {
                Ok(opened) => opened,
                Err(error) if is_of_file(&error) => {
                    self.shared.means.counters.disk_damaged.inc();
                    loading.lost = true;
                    tracing::warn!(%error, segment = number, "disk tier: a segment of the index is lost");
                    mounted.volume.remove_segment(number)?;
                    continue;
                }
                Err(error) => return Err(error),
            };
            if found.lost > 0 {
                self.shared.means.counters.disk_damaged.inc();
                loading.lost = true;
                tracing::warn!(
                    segment = number,
                    bytes = found.lost,
                    "disk tier: a part of the index is lost"
                );
            }
            let frames = if found.lost > 0 { length } else { u64::from(found.end) };
            mounted.log.add(number, file, (length, frames));
            for line in found.lines.iter().rev() {
                self.load_line(mounted, number, line, &mut loading);
            }
            if loading.newest.is_none() {
                loading.newest = Some((number, found));
            }
        }
        Ok(loading)
    }

    fn load_line(&self, mounted: &Mounted, segment: u32, line: &Line, loading: &mut Loading) {
        let Some(put) = &line.put else {
            loading.emptied.insert(line.slot);
            mounted.log.note_emptied(segment, line.length);
            return;
        };
        if mounted.get(line.slot).is_some() || loading.emptied.contains(&line.slot) {
            return;
        }
        loading.full = loading.full || mounted.memory() >= self.shared.memory();
        if loading.full {
            // Its contents are swept, and it must not come back.
            loading.lost = true;
            return;
        }
        // It was asked for when it was stored, and is worth more than what was asked for once since.
        self.shared.sketch.count(line.slot);
        self.shared.sketch.count(line.slot);
        for (content, length) in &put.contents {
            mounted.contents.name(*content, *length);
        }
        let bytes: u64 = put.contents.iter().map(|(_, length)| on_disk(u64::from(*length))).sum();
        mounted.link(Entry {
            slot: line.slot,
            generation: put.generation.map(Generation),
            place: Place {
                spot: Spot { segment, offset: line.offset },
                length: line.length,
                within: put.within,
            },
            blocks_kib: u32::try_from(bytes >> 10).unwrap_or(u32::MAX),
            site: put.site,
            varies: put.varies,
        });
    }
}
