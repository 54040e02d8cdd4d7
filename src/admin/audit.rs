//! What operators change leaves a line each, whatever came of it.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

/// Who asks, by what was shown.
#[derive(Clone, Debug)]
pub(super) enum Who {
    /// Nobody asked for proof: somebody on this machine.
    Loopback(SocketAddr),
    /// By the token.
    Token(SocketAddr),
    /// By a certificate of this subject.
    Certificate(SocketAddr, Arc<str>),
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Loopback(from) => write!(f, "{from}"),
            Self::Token(from) => write!(f, "token from {from}"),
            Self::Certificate(from, subject) => write!(f, "certificate {subject:?} from {from}"),
        }
    }
}

/// Writes down that `who` wanted `what` of `on`, and what came of it. The target is `audit`, which is told at any level of
/// the log. What a client sent in `on` is written with escapes, so that it cannot end the line.
pub(super) fn note(who: &Who, what: &'static str, on: &str, outcome: &str) {
    tracing::info!(target: "audit", who = %who, what, on = ?on, outcome, "changed by an operator");
}
