//! Waiting for a purge to become durable.

use std::time::Duration;

use tokio::sync::watch;

use crate::base::ids::Sequence;

/// How far the scribe has come, in ordinals.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Progress {
    /// All up to here is durable.
    pub(super) durable: u64,
    /// All up to here is durable, or could not be made so.
    pub(super) settled: u64,
}

/// How well a purge is kept. It holds in memory in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// There is no disk tier: it is as durable as all that it speaks of.
    Memory,
    /// It is durable.
    Disk,
    /// The disk is in trouble: it is written as soon as that is over.
    NotDurable,
}

/// Of purges that have been recorded.
#[derive(Debug)]
pub struct Receipt {
    sequence: Sequence,
    state: State,
}

#[derive(Debug)]
pub(super) enum State {
    Known(Kept),
    Waiting { progress: watch::Receiver<Progress> },
}

impl Receipt {
    pub(super) const fn new(sequence: Sequence, state: State) -> Self {
        Self { sequence, state }
    }

    /// The sequence of the last of them.
    pub const fn sequence(&self) -> Sequence {
        self.sequence
    }

    /// Waits until they are durable, or it is known that they cannot become so now, at most for `patience`.
    /// Cancel-safe: dropped here, they are written all the same.
    pub async fn kept(self, patience: Duration) -> Kept {
        let mut progress = match self.state {
            State::Known(kept) => return kept,
            State::Waiting { progress } => progress,
        };
        let until = self.sequence.ordinal();
        let settled = progress.wait_for(|progress| progress.settled >= until);
        match tokio::time::timeout(patience, settled).await {
            Ok(Ok(progress)) if progress.durable >= until => Kept::Disk,
            _ => Kept::NotDurable,
        }
    }
}
