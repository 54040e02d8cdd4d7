//! How the disk limit is shared out.

use std::path::PathBuf;

use super::compile::LARGEST;
use super::{Settings, Spill};
use crate::base::units::ByteSize;
use crate::cache::{Admission, DiskSettings};

/// The least disk that is worth the trouble.
pub(super) const LEAST: ByteSize = ByteSize::mib(64);

/// Of the threads for file I/O that a worker may have.
const READS_PER_WORKER: usize = 8;

/// The part of the limit that bodies on their way may take at most.
const SPILL_SHARE: u64 = 4;

/// What the operator says of the disk tier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disk {
    /// The cache directory.
    pub directory: PathBuf,
    /// Bytes of disk for the cache, its index and spilled bodies together.
    pub limit: ByteSize,
    /// What is let in when something else would have to go.
    pub admission: Admission,
}

/// Why a disk limit is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DiskError {
    /// Too little to work with.
    #[error("{0} of disk is too little: give at least {LEAST}")]
    TooLittle(ByteSize),
}

impl Settings {
    /// Gives the node a disk tier; how many may read it at a time follows from the workers, which are set before. Spilled bodies count in its limit, with a quarter of it at most; they go to the cache
    /// directory unless `spill_directory` says otherwise.
    pub fn use_disk(&mut self, disk: Disk, spill_directory: Option<PathBuf>) -> Result<(), DiskError> {
        if disk.limit < LEAST {
            return Err(DiskError::TooLittle(disk.limit));
        }
        let spill = self.spill.limit.min(disk.limit.0 / SPILL_SHARE);
        let directory = spill_directory.unwrap_or_else(|| disk.directory.join("spill"));
        self.spill = Spill { directory, limit: spill };
        self.memory = self.memory.with_disk();
        self.cache.memory = self.memory.tier;
        self.fetch.max_object = self.memory.tier / LARGEST;
        let mut settings = DiskSettings::new(disk.directory, disk.limit.0 - spill, self.memory.disk);
        settings.admission = disk.admission;
        settings.reads = self.workers * READS_PER_WORKER;
        self.cache.disk = Some(settings);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Configuration;

    fn settings() -> Settings {
        Settings::compile(&Configuration::default()).expect("settings")
    }

    fn disk(limit: ByteSize) -> Disk {
        Disk { directory: "/cache".into(), limit, admission: Admission::default() }
    }

    #[test]
    fn cache_and_spill_share_the_limit() {
        let mut node = settings();
        node.use_disk(disk(ByteSize::gib(10)), None).expect("enough");
        assert_eq!((node.spill.limit, node.spill.directory.to_str()), (10 << 28, Some("/cache/spill")));
        let cache = node.cache.disk.expect("a disk tier");
        assert_eq!(cache.limit + node.spill.limit, 10 << 30);
        assert!(node.cache.memory + cache.memory <= node.memory.budget / 4 * 3);
    }

    #[test]
    fn too_little_is_refused_with_the_least_that_works() {
        let error = settings().use_disk(disk(ByteSize::mib(1)), None).expect_err("too little");
        assert_eq!(error.to_string(), "1MiB of disk is too little: give at least 64MiB");
    }
}
