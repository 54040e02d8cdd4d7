//! What there may be only so much of at a time. Who comes beside that waits for a moment, and is then told to come again.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::problem::{Kind, Problem};

/// For so long one waits for the turn.
const WAIT: Duration = Duration::from_secs(2);

/// Whose turn it is.
#[derive(Debug)]
pub(super) struct Turns {
    /// Reads the files of the configuration.
    files: Arc<Semaphore>,
    /// Sends a long list of what is to be purged: such a content, and what is made of it, take memory that is not charged.
    long: Arc<Semaphore>,
}

impl Default for Turns {
    fn default() -> Self {
        Self { files: Arc::new(Semaphore::new(1)), long: Arc::new(Semaphore::new(2)) }
    }
}

impl Turns {
    /// One reads files. Cancel-safe.
    pub(super) async fn files(&self) -> Result<OwnedSemaphorePermit, Problem> {
        turn(&self.files, "the files of the configuration are being read already; come again").await
    }

    /// Two send long contents. Cancel-safe.
    pub(super) async fn long(&self) -> Result<OwnedSemaphorePermit, Problem> {
        turn(&self.long, "two long purges are under way already; come again").await
    }
}

async fn turn(of: &Arc<Semaphore>, why: &str) -> Result<OwnedSemaphorePermit, Problem> {
    let turn = tokio::time::timeout(WAIT, Arc::clone(of).acquire_owned()).await;
    turn.ok().and_then(Result::ok).ok_or_else(|| Problem::new(Kind::Busy, why))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_reads_files_and_two_send_long_lists() {
        let turns = Turns::default();
        let one = turns.files().await.expect("a turn");
        assert_eq!(turns.files().await.expect_err("it is taken").kind(), Kind::Busy);
        let (_first, _second) = (turns.long().await.expect("a turn"), turns.long().await.expect("a turn"));
        assert_eq!(turns.long().await.expect_err("both are taken").kind(), Kind::Busy);
        drop(one);
        assert!(turns.files().await.is_ok());
    }
}
