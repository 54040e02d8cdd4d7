//! Sweeping: contents that no head names, left by a crash or by a damaged index, are removed, shelf by shelf.

use std::io;
use std::sync::atomic::Ordering;

use super::Keeper;
use crate::cache::disk::volume::Shelf;

/// Shelves that are looked at in one go.
const AT_ONCE: u32 = 256;

/// How far a sweep has come.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sweep {
    /// What was set aside is gone.
    aside_cleared: bool,
    next: u32,
    removed: u64,
}

impl Keeper {
    /// Sweeps the next shelves, if a sweep is under way.
    pub(super) fn sweep_on(&mut self) -> io::Result<()> {
        let Some(disk) = &mut self.disk else { return Ok(()) };
        let Some(mut sweep) = disk.sweep else { return Ok(()) };
        if !sweep.aside_cleared {
            disk.mounted.volume.clear_aside()?;
            sweep.aside_cleared = true;
        }
        let end = sweep.next + AT_ONCE;
        while sweep.next < end {
            let Ok(next) = Shelf::try_from(sweep.next) else { break };
            for (address, _) in disk.mounted.volume.shelf(next)? {
                if !disk.mounted.contents.knows(&address) {
                    disk.mounted.volume.remove_content(&address)?;
                    sweep.removed += 1;
                }
            }
            sweep.next += 1;
        }
        if sweep.next <= u32::from(Shelf::MAX) {
            disk.sweep = Some(sweep);
            return Ok(());
        }
        disk.sweep = None;
        disk.mounted.swept.store(true, Ordering::Release);
        if sweep.removed > 0 {
            tracing::info!(contents = sweep.removed, "disk tier: leftovers were swept");
        }
        Ok(())
    }

    /// Removes contents that nobody names or reads any more.
    pub(super) fn remove_released(&mut self) -> io::Result<()> {
        let Some(disk) = &self.disk else { return Ok(()) };
        while let Some(address) = disk.mounted.contents.take_released() {
            disk.mounted.volume.remove_content(&address)?;
        }
        Ok(())
    }
}
