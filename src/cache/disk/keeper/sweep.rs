//! Sweeping: contents that no head names, left by a crash or by a damaged index, are removed, shelf by shelf.
//!
//! Until it is known what lies around, the limit would not hold: a content that wants to be stored has the sweep brought
//! to its end first. Otherwise it takes its time.

use std::io;
use std::sync::atomic::Ordering;

use super::{Disk, Keeper};
use crate::cache::disk::volume::Shelf;

/// Shelves that are looked at in one go.
const AT_ONCE: usize = 256;

/// How far a sweep has come.
#[derive(Debug, Default)]
pub(super) struct Sweep {
    /// Shelves that are still to be looked at, once they were listed.
    left: Option<Vec<Shelf>>,
    removed: u64,
}

impl Keeper {
    /// Sweeps the next shelves, if a sweep is under way.
    pub(super) fn sweep_on(&mut self) -> io::Result<()> {
        self.disk.as_mut().map_or(Ok(()), sweep_on)
    }

    /// Removes contents that nobody names or reads any more.
    pub(super) fn remove_released(&mut self) -> io::Result<()> {
        self.disk.as_ref().map_or(Ok(()), Self::remove_files)
    }
}

/// Sweeps all that is left to sweep.
pub(super) fn sweep_to_the_end(disk: &mut Disk) -> io::Result<()> {
    while disk.sweep.is_some() {
        sweep_on(disk)?;
    }
    Ok(())
}

fn sweep_on(disk: &mut Disk) -> io::Result<()> {
    let (Some(sweep), volume) = (&mut disk.sweep, &disk.mounted.volume) else { return Ok(()) };
    let left = if let Some(left) = &mut sweep.left {
        left
    } else {
        volume.clear_aside()?;
        sweep.left.insert(volume.shelves()?)
    };
    for _ in 0..AT_ONCE {
        let Some(shelf) = left.last().copied() else { break };
        for (address, _) in volume.shelf(shelf)? {
            if !disk.mounted.contents.knows(&address) {
                volume.remove_content(&address)?;
                sweep.removed += 1;
            }
        }
        left.pop();
    }
    if left.is_empty() {
        if sweep.removed > 0 {
            tracing::info!(contents = sweep.removed, "disk tier: leftovers were swept");
        }
        disk.sweep = None;
        disk.mounted.swept.store(true, Ordering::Release);
    }
    Ok(())
}
