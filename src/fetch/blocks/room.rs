//! Memory for blocks that are to come.
//!
//! A block that finds no memory passes unstored, and whoever wants it next has it sent again. So it is waited for: what
//! is on its way to the disk frees some all the time. Readers that have stopped free none: after a wait in vain nobody
//! waits for long for a while.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::body::budget::{Budget, Reservation};
use crate::body::content::BLOCK;

/// What is set aside for a block: its pieces, with what each takes beside its bytes. The copy of all of them in one is
/// made at once, by a worker at a time, and may go over the budget. More would have few blocks come at a time from origins
/// that are slow.
const TAKEN_BY_BLOCK: u64 = BLOCK as u64 + (BLOCK as u64 / 16);

/// How long one waits for memory, and how often one looks.
const PATIENCE: Duration = Duration::from_secs(3);
const LOOKS: Duration = Duration::from_millis(5);

/// How long after a wait in vain the others wait so little.
const SCARCE: Duration = Duration::from_secs(10);
const LITTLE_PATIENCE: Duration = Duration::from_millis(50);

/// Where blocks wait for memory.
#[derive(Debug)]
pub(super) struct Room {
    budget: Arc<Budget>,
    had: Mutex<Had>,
}

/// What came of waiting.
#[derive(Debug, Default)]
struct Had {
    /// When somebody got memory last.
    last: Option<Instant>,
    /// Somebody has waited in vain: there is none to be had before then.
    scarce_until: Option<Instant>,
}

impl Room {
    pub(super) fn new(budget: &Arc<Budget>) -> Self {
        Self { budget: Arc::clone(budget), had: Mutex::default() }
    }

    /// Sets memory aside for one block, and waits a while where there is none. Cancel-safe.
    pub(super) async fn for_block(&self) -> Option<Reservation> {
        let begun = Instant::now();
        loop {
            if let Some(reservation) = self.budget.try_reserve(TAKEN_BY_BLOCK) {
                self.had.lock().last = Some(Instant::now());
                return Some(reservation);
            }
            if begun.elapsed() >= self.patience() {
                self.note_scarce();
                return None;
            }
            tokio::time::sleep(LOOKS).await;
        }
    }

    /// How many blocks there is memory for.
    pub(super) fn blocks(&self) -> u64 {
        self.budget.free_for_bodies() / BLOCK as u64
    }

    fn patience(&self) -> Duration {
        let scarce = self.had.lock().scarce_until.is_some_and(|until| Instant::now() < until);
        if scarce { LITTLE_PATIENCE } else { PATIENCE }
    }

    /// Somebody has waited in vain. If others had some meanwhile, that was bad luck, and there is some to be had.
    fn note_scarce(&self) {
        let mut had = self.had.lock();
        let now = Instant::now();
        let flows = had.last.is_some_and(|last| now.duration_since(last) < PATIENCE);
        if !flows && had.scarce_until.is_none_or(|until| now >= until) {
            had.scarce_until = Some(now + SCARCE);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_block_waits_until_another_gives_its_memory_back() {
        let budget = Budget::new(6 << 20);
        let room = Arc::new(Room::new(&budget));
        let first = room.for_block().await.expect("memory");
        let second = tokio::spawn({
            let room = Arc::clone(&room);
            async move { room.for_block().await.is_some() }
        });
        tokio::time::sleep(PATIENCE / 2).await;
        assert!(!second.is_finished());
        drop(first);
        assert!(second.await.expect("no panic"));
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_wait_in_vain_nobody_waits_long_for_a_while() {
        let budget = Budget::new(6 << 20);
        let room = Room::new(&budget);
        let full = budget.charge(5 << 20);
        let waited = async || {
            let begun = Instant::now();
            assert!(room.for_block().await.is_none());
            begun.elapsed()
        };
        assert!(waited().await >= PATIENCE);
        assert!(waited().await < 2 * LITTLE_PATIENCE);
        tokio::time::sleep(SCARCE).await;
        assert!(waited().await >= PATIENCE);
        drop(full);
        assert!(room.for_block().await.is_some());
    }
}
