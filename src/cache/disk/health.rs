//! How the disk tier is, in words that log, metrics and health reports share.

use std::fmt;
use std::io;

/// How the disk tier is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// The index is being loaded: what was found so far is served.
    Loading,
    /// It stores and serves.
    Serving,
    /// It serves what it has and stores nothing.
    ReadOnly(Trouble),
    /// It does neither: the node has its memory tier only.
    Offline(Trouble),
}

impl Health {
    /// The names of all.
    pub const NAMES: [&'static str; 4] = ["loading", "serving", "read-only", "offline"];

    /// The name in logs and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Loading => "loading",
            Self::Serving => "serving",
            Self::ReadOnly(_) => "read-only",
            Self::Offline(_) => "offline",
        }
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Loading | Self::Serving => f.write_str(self.name()),
            Self::ReadOnly(trouble) | Self::Offline(trouble) => {
                write!(f, "{}: {}", self.name(), trouble.name())
            }
        }
    }
}

/// What is wrong with a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The file system is full, or the quota of its user is.
    Full,
    /// It was mounted, or mounted anew, read-only.
    ReadOnly,
    /// The directory is gone.
    Vanished,
    /// The device reports errors, or something else does not work.
    Failing,
}

impl Trouble {
    /// The name in logs and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Full => "disk-full",
            Self::ReadOnly => "disk-read-only",
            Self::Vanished => "disk-vanished",
            Self::Failing => "disk-failing",
        }
    }

    /// What an error of a write says of the disk.
    pub fn of(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full,
            io::ErrorKind::ReadOnlyFilesystem => Self::ReadOnly,
            io::ErrorKind::NotFound | io::ErrorKind::StaleNetworkFileHandle => Self::Vanished,
            _ => Self::Failing,
        }
    }

    /// Whether what is on the disk can still be read.
    pub const fn leaves_readable(self) -> bool {
        matches!(self, Self::Full | Self::ReadOnly)
    }
}
