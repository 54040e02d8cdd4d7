//! Early data: what a client sends along with its first message, before its handshake has ended (RFC 8446 §2.3). Until
//! then it may be a replay, and nobody can tell.
//!
//! What counts is the moment in which a request is acted on, not the one in which its bytes came: once a handshake has
//! ended, all that came on its connection is known to be of the client that ended it, and of no replay (RFC 8470 §3).

use tokio::sync::watch;

/// How far a handshake has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    UnderWay,
    Ended,
}

/// A handshake during which requests come already. Dropped before [`Handshake::ended`], it came to nothing.
#[derive(Debug)]
pub struct Handshake(watch::Sender<Stage>);

/// What is known of the handshake of a connection on which requests came before its end. Cloning shares it.
#[derive(Clone, Debug)]
pub struct Early(watch::Receiver<Stage>);

/// A handshake came to nothing: what came on its connection may have been a replay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the handshake came to nothing")]
pub struct NeverEnded;

impl Handshake {
    /// One that is under way, and who looks at it.
    pub fn begun() -> (Self, Early) {
        let (sender, receiver) = watch::channel(Stage::UnderWay);
        (Self(sender), Early(receiver))
    }

    /// It has ended well: from here on nothing on its connection is early.
    pub fn ended(self) {
        self.0.send_replace(Stage::Ended);
    }
}

impl Early {
    /// Whether the handshake has not ended yet, or never will.
    pub fn is_early(&self) -> bool {
        *self.0.borrow() == Stage::UnderWay
    }

    /// Waits for the end of the handshake, for as long as its connection gives it. Cancel-safe.
    pub async fn end(&self) -> Result<(), NeverEnded> {
        let ended = |stage: &Stage| *stage == Stage::Ended;
        self.0.clone().wait_for(ended).await.map(drop).map_err(|_| NeverEnded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_is_early_until_the_handshake_has_ended() {
        let (handshake, early) = Handshake::begun();
        let waits = tokio::spawn({
            let early = early.clone();
            async move { early.end().await }
        });
        assert!(early.is_early());
        handshake.ended();
        assert!(!early.is_early());
        assert_eq!((waits.await.expect("no panic"), early.end().await), (Ok(()), Ok(())));
    }

    #[tokio::test]
    async fn what_came_on_a_handshake_that_never_ended_stays_early() {
        let (handshake, early) = Handshake::begun();
        drop(handshake);
        assert!(early.is_early());
        assert_eq!(early.end().await, Err(NeverEnded));
    }
}
