//! Waiting for a purge to become durable.

use std::time::Duration;

use tokio::sync::watch;

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

/// Of a purge that has been recorded.
#[derive(Debug)]
pub struct Receipt(pub(super) State);

#[derive(Debug)]
pub(super) enum State {
    Known(Kept),
    Waiting { until: u64, progress: watch::Receiver<Progress> },
}

impl Receipt {
    /// Waits until the purge is durable, or it is known that it cannot become so now, at most for `patience`.
    /// Cancel-safe: dropped here, it is written all the same.
    pub async fn kept(self, patience: Duration) -> Kept {
        let (until, mut progress) = match self.0 {
            State::Known(kept) => return kept,
            State::Waiting { until, progress } => (until, progress),
        };
        let settled = progress.wait_for(|progress| progress.settled >= until);
        match tokio::time::timeout(patience, settled).await {
            Ok(Ok(progress)) if progress.durable >= until => Kept::Disk,
            _ => Kept::NotDurable,
        }
    }
}
