//! Limits and rules of the disk tier.

use std::path::PathBuf;
use std::time::Duration;

use crate::base::units::ByteSize;
use crate::body::content::INLINE_MAX;

/// Limits and rules of the disk tier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The directory; it is made if it is not there.
    pub directory: PathBuf,
    /// Bytes of disk for contents, index and directories together: a hard ceiling.
    pub limit: u64,
    /// Bytes of memory that the index may take; what waits to be written may take half as many.
    pub memory: u64,
    /// What is let in when something else would have to go.
    pub admission: Admission,
    /// How long a request for a key that is not known yet waits for the index to be loaded.
    pub load_patience: Duration,
    /// How long a request waits for a read of the disk before it goes to the origin. Once one has waited so long, none
    /// waits until the next attempt to use the disk.
    pub read_patience: Duration,
    /// Reads that may be under way at a time, so that a disk that hangs does not take all threads for file I/O.
    pub reads: usize,
    /// Time between two attempts to use a disk that has failed.
    pub retry: Duration,
    /// How long the keeper waits for more when it has written all that waited, before it has to be woken again.
    pub linger: Duration,
    /// Pause between two steps of a sweep: nobody waits for it, and readers want the disk.
    pub sweep_pause: Duration,
    /// Time between two looks at the disk: whether it is still there and has room.
    pub check: Duration,
    /// Time after which what was written is made durable. A process that is killed loses nothing without that, a machine
    /// that loses power does; what is missing or torn then is found out and is a miss.
    pub sync: Duration,
}

/// What is let in when something else would have to go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Admission {
    /// Everything.
    Always,
    /// What is asked for at least as often as what would have to go.
    #[default]
    Frequency,
    /// As [`Admission::Frequency`]; and nothing at all at its first request, full or not.
    SecondRequest,
}

impl Admission {
    /// The name in options and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Always => "always",
            Self::Frequency => "frequency",
            Self::SecondRequest => "second-request",
        }
    }

    /// All of them.
    pub const ALL: [Self; 3] = [Self::Always, Self::Frequency, Self::SecondRequest];
}

impl std::str::FromStr for Admission {
    type Err = UnknownAdmission;

    fn from_str(text: &str) -> Result<Self, UnknownAdmission> {
        Self::ALL.into_iter().find(|admission| admission.name() == text).ok_or(UnknownAdmission)
    }
}

/// A text that names no rule of admission.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("use always, frequency or second-request")]
pub struct UnknownAdmission;

impl Settings {
    /// The defaults for a directory under a limit.
    pub fn new(directory: PathBuf, limit: u64, memory: u64) -> Self {
        Self {
            directory,
            limit,
            memory,
            admission: Admission::default(),
            load_patience: Duration::from_millis(200),
            read_patience: Duration::from_secs(2),
            reads: 8,
            retry: Duration::from_secs(5),
            linger: Duration::from_millis(2),
            sweep_pause: Duration::from_millis(20),
            check: Duration::from_secs(1),
            sync: Duration::from_secs(5),
        }
    }

    /// Bytes of one segment of the index: small beside the limit, because one or two are kept free to clean others, and
    /// not large beside the memory, in which the summary of one is made.
    pub fn segment(&self) -> u32 {
        const LEAST: u64 = ByteSize::kib(256).0;
        const MOST: u64 = ByteSize::mib(256).0;
        u32::try_from((self.limit / 256).min(self.memory * 4).clamp(LEAST, MOST)).unwrap_or(u32::MAX)
    }

    /// Contents up to so many bytes lie behind their records, and have no files: some of them fit into a segment.
    pub fn most_within(&self) -> usize {
        (self.segment() as usize / 8).min(INLINE_MAX)
    }

    /// Most segments there can be: each takes a file descriptor.
    pub fn most_segments(&self) -> u64 {
        2 * self.limit / u64::from(self.segment())
    }

    /// Bytes that wait to be written at most, where the index may take so many bytes of memory.
    pub fn queue(memory: u64) -> u64 {
        (memory / 2).min(ByteSize::mib(64).0)
    }
}
