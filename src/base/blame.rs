//! Errors carry who is to blame and whether trying again can help.

/// Whose fault a failure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Blame {
    /// The client asked for something wrong, or went away.
    Client,
    /// The origin refused, broke off or talked nonsense.
    Origin,
    /// This node is at fault, or over one of its limits.
    Node,
}

impl Blame {
    /// The name used in logs and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Origin => "origin",
            Self::Node => "node",
        }
    }
}

/// Whether the same request may be tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Retry {
    /// Nothing reached the origin: any request may be sent again.
    Always,
    /// Something may have reached the origin: only idempotent requests may be sent again.
    Idempotent,
    /// Trying again cannot help.
    Never,
}
