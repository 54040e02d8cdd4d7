//! How a file looks from outside: whether there is something else in it can be told without reading it.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// What tells a file from the one that was there before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Print {
    device: u64,
    inode: u64,
    length: u64,
    written: (i64, i64),
    /// Also of a file that was replaced with the old one's time and length, and of new permissions.
    changed: (i64, i64),
}

impl Print {
    /// That of the file to which a path leads, over links; none, if it leads to none. Blocking.
    pub fn of(path: &Path) -> Option<Self> {
        fs::metadata(path).ok().map(|found| Self::from(&found))
    }

    /// Those of several. Blocking.
    pub fn all<P: AsRef<Path>>(paths: &[P]) -> Vec<Option<Self>> {
        paths.iter().map(|path| Self::of(path.as_ref())).collect()
    }
}

impl From<&Metadata> for Print {
    fn from(found: &Metadata) -> Self {
        Self {
            device: found.dev(),
            inode: found.ino(),
            length: found.len(),
            written: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        }
    }
}
