//! Files below a directory, reached through no link, and read without waiting where that is wanted.

use std::fs::{self, File};
use std::io::{self, IoSliceMut};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::fs::{AtFlags, Mode, OFlags, ResolveFlags};

use super::How;

/// Opens what lies below `root`, through no link.
pub(super) fn open_below(root: &OwnedFd, path: &str, flags: OFlags) -> io::Result<File> {
    let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let mode = if flags.contains(OFlags::CREATE) { Mode::RUSR | Mode::WUSR } else { Mode::empty() };
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    match rustix::fs::openat2(root, path, flags, mode, resolve) {
        // Kernels before 5.6, and sandboxes that do not know it: at least the last name is no link.
        Err(rustix::io::Errno::NOSYS | rustix::io::Errno::PERM) => {
            Ok(rustix::fs::openat(root, path, flags, mode)?.into())
        }
        Err(rustix::io::Errno::LOOP) => {
            Err(io::Error::new(io::ErrorKind::InvalidData, "a link in the cache directory"))
        }
        opened => Ok(opened?.into()),
    }
}

/// Opens what lies below `root` if no part of its path has to be read from the disk.
pub(super) fn open_cached(root: &OwnedFd, path: &str) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::CACHED;
    // Whatever is in the way, a patient read finds out.
    let opened = rustix::fs::openat2(root, path, flags, Mode::empty(), resolve);
    opened.map(File::from).map_err(|_| io::ErrorKind::WouldBlock.into())
}

/// As many bytes at `offset` as there are; zero at the end.
pub(super) fn read_some(file: &File, buffer: &mut [u8], offset: u64, how: How) -> io::Result<usize> {
    match how {
        How::Patiently => file.read_at(buffer, offset),
        How::AtOnce => {
            let flags = rustix::io::ReadWriteFlags::NOWAIT;
            let read = rustix::io::preadv2(file, &mut [IoSliceMut::new(buffer)], offset, flags);
            read.map_err(|_| io::ErrorKind::WouldBlock.into())
        }
    }
}

/// Removes whatever has a name that is ours: a file or a link, or a directory that somebody has put there.
pub(super) fn remove_any(root: &OwnedFd, base: &Path, path: &str) -> io::Result<()> {
    match rustix::fs::unlinkat(root, path, AtFlags::empty()) {
        Ok(()) | Err(rustix::io::Errno::NOENT) => Ok(()),
        Err(rustix::io::Errno::ISDIR | rustix::io::Errno::PERM) => fs::remove_dir_all(base.join(path)),
        Err(error) => Err(error.into()),
    }
}
