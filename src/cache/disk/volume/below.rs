//! A directory, and what lies below it: reached by its descriptor and through no link, so that nothing is read or written
//! elsewhere, whatever stands in the way.

use std::fs::{self, File};
use std::io::{self, IoSliceMut};
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::How;

/// An open directory. Paths are relative to it.
#[derive(Debug)]
pub(super) struct Root {
    pub(super) fd: OwnedFd,
    /// By which it was opened.
    pub(super) path: PathBuf,
}

impl Root {
    /// Opens a file or a directory; files are made with mode 0600.
    pub(super) fn open(&self, inner: &str, flags: OFlags) -> io::Result<File> {
        let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let mode = if flags.contains(OFlags::CREATE) { Mode::RUSR | Mode::WUSR } else { Mode::empty() };
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        match rustix::fs::openat2(&self.fd, inner, flags, mode, resolve) {
            // Kernels before 5.6, and sandboxes that do not know it: at least the last name is no link.
            Err(Errno::NOSYS | Errno::PERM) => {
                Ok(rustix::fs::openat(&self.fd, inner, flags, mode).map_err(plain)?.into())
            }
            opened => Ok(opened.map_err(plain)?.into()),
        }
    }

    /// Opens a directory.
    pub(super) fn directory(&self, inner: &str) -> io::Result<File> {
        self.open(inner, OFlags::RDONLY | OFlags::DIRECTORY)
    }

    /// Opens a file if no part of its path has to be read from the disk.
    pub(super) fn open_cached(&self, inner: &str) -> io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::CACHED;
        // Whatever is in the way, a patient read finds out.
        let opened = rustix::fs::openat2(&self.fd, inner, flags, Mode::empty(), resolve);
        opened.map(File::from).map_err(|_| io::ErrorKind::WouldBlock.into())
    }

    /// The names in a directory.
    pub(super) fn list(&self, inner: &str) -> io::Result<Vec<String>> {
        let directory = self.directory(inner)?;
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(&directory)? {
            match entry?.file_name().to_str() {
                Ok("." | "..") | Err(_) => {}
                Ok(name) => names.push(name.to_owned()),
            }
        }
        Ok(names)
    }

    /// Makes a directory of ours alone; no error if there is one.
    pub(super) fn make_directory(&self, inner: &str) -> io::Result<()> {
        match rustix::fs::mkdirat(&self.fd, inner, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether there is something, and it is no directory.
    pub(super) fn is_misplaced(&self, inner: &str) -> bool {
        let found = rustix::fs::statat(&self.fd, inner, AtFlags::SYMLINK_NOFOLLOW);
        found.is_ok_and(|found| !FileType::from_raw_mode(found.st_mode).is_dir())
    }

    /// Whether there is a link.
    pub(super) fn is_link(&self, inner: &str) -> bool {
        let found = rustix::fs::statat(&self.fd, inner, AtFlags::SYMLINK_NOFOLLOW);
        found.is_ok_and(|found| FileType::from_raw_mode(found.st_mode).is_symlink())
    }

    /// Removes a file, or whatever stands in its place. No error if there is nothing.
    pub(super) fn remove(&self, inner: &str) -> io::Result<()> {
        let (parent, name) = inner.rsplit_once('/').unwrap_or((".", inner));
        let parent = match self.directory(parent) {
            Ok(parent) => parent,
            Err(error) if error.kind() == io::ErrorKind::NotFound || is_misplaced(&error) => return Ok(()),
            Err(error) => return Err(error),
        };
        match rustix::fs::unlinkat(&parent, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(Errno::ISDIR | Errno::PERM) => fs::remove_dir_all(self.path.join(inner)),
            Err(error) => Err(error.into()),
        }
    }

    /// Moves what is at `from` to `name` in an open directory, in place of what is there.
    pub(super) fn rename_into(&self, from: &str, directory: &File, name: &str) -> io::Result<()> {
        rustix::fs::renameat(&self.fd, from, directory, name).map_err(plain)
    }

    /// Whether its path still leads to it; it may have been moved, or something mounted over it.
    pub(super) fn still_there(&self) -> io::Result<()> {
        let ours = rustix::fs::fstat(&self.fd)?;
        let there = rustix::fs::stat(&self.path)?;
        if (ours.st_dev, ours.st_ino) == (there.st_dev, there.st_ino) {
            return Ok(());
        }
        Err(io::Error::new(io::ErrorKind::NotFound, "the cache directory was replaced"))
    }
}

/// A link is neither a file nor a directory of ours.
fn plain(error: Errno) -> io::Error {
    match error {
        Errno::LOOP => io::Error::new(io::ErrorKind::InvalidData, "a link in the cache directory"),
        other => other.into(),
    }
}

/// Whether an error says that something else stands where a file or a directory of ours should.
pub(super) fn is_misplaced(error: &io::Error) -> bool {
    use io::ErrorKind::{DirectoryNotEmpty, InvalidData, IsADirectory, NotADirectory};
    matches!(error.kind(), DirectoryNotEmpty | InvalidData | IsADirectory | NotADirectory)
}

/// As many bytes at `offset` as there are, into one buffer after the other; zero at the end.
pub(super) fn read_some<const N: usize>(
    file: &File,
    buffers: [&mut [u8]; N],
    offset: u64,
    how: How,
) -> io::Result<usize> {
    let mut buffers = buffers.map(IoSliceMut::new);
    match how {
        How::Patiently => Ok(rustix::io::retry_on_intr(|| rustix::io::preadv(file, &mut buffers, offset))?),
        How::AtOnce => {
            let flags = rustix::io::ReadWriteFlags::NOWAIT;
            let read = rustix::io::preadv2(file, &mut buffers, offset, flags);
            read.map_err(|_| io::ErrorKind::WouldBlock.into())
        }
    }
}
