//! How a task ends that reads what is stored to one client.

use crate::body::busy::{Abandoned, BodyError, Writer};

/// Why it ends before its end.
pub(super) enum Ended {
    /// The client has left.
    Abandoned,
    /// The body breaks off.
    Failed(BodyError),
}

impl From<Abandoned> for Ended {
    fn from(_: Abandoned) -> Self {
        Self::Abandoned
    }
}

/// Tells the client's body how it ended.
pub(super) fn conclude(writer: Writer, read: &Result<(), Ended>) {
    match read {
        Ok(()) => {
            writer.finish(None);
        }
        Err(Ended::Abandoned) => {}
        Err(Ended::Failed(error)) => writer.fail(*error),
    }
}
