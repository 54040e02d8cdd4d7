//! A directory of a real file system.
//!
//! ```text
//! DIR/lock  format  epoch     the lock of the process, and the notes
//! DIR/index/0000002a          segments of the index
//! DIR/content/                cacache: content-v2/sha256/aa/bb/…, tmp/
//! DIR/spill/                  bodies on their way, unlinked from birth (see `body::busy`)
//! DIR/aside-N/                what was set aside and waits to be removed
//! ```
//!
//! All of it has mode 0700 and is opened below the directory without following links.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cacache::{Algorithm, Integrity};
use rustix::fs::{AtFlags, Mode, OFlags};

use super::below::{open_below, open_cached, read_some, remove_any};
use super::{Address, How, Note, OpenError, Opener, SegmentFile, Shelf, Volume};

const LOCK: &str = "lock";
const INDEX: &str = "index";
const CONTENT: &str = "content";
const SPILL: &str = "spill";
const ASIDE: &str = "aside-";

/// Where cacache keeps the contents of our algorithm, below [`CONTENT`].
const SHELVES: &str = "content/content-v2/sha256";

/// Opens the directory at a path, which is made if it is not there.
#[derive(Clone, Debug)]
pub struct DirectoryOpener {
    /// The directory.
    pub path: PathBuf,
}

impl Opener for DirectoryOpener {
    fn open(&self) -> Result<Arc<dyn Volume>, OpenError> {
        Ok(Arc::new(Directory::open(&self.path)?))
    }
}

/// An open cache directory, locked until this is dropped.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    root: OwnedFd,
    _lock: File,
}

impl Directory {
    /// Opens `path` and takes its lock; makes it if it is not there. A directory with anything else in it is
    /// refused.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let name = || path.display().to_string();
        let failed = |error: io::Error| OpenError::Io { path: name(), error };
        match fs::metadata(path) {
            Ok(found) if !found.is_dir() => return Err(OpenError::NotADirectory(name())),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                private().recursive(true).create(path).map_err(failed)?;
            }
            Err(error) => return Err(failed(error)),
        }
        if !is_ours(path).map_err(failed)? {
            return Err(OpenError::Foreign(name()));
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(path, flags, Mode::empty()).map_err(|errno| failed(errno.into()))?;
        let lock = open_below(&root, LOCK, OFlags::RDWR | OFlags::CREATE).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => return Err(OpenError::InUse(name())),
            Err(fs::TryLockError::Error(error)) => return Err(failed(error)),
        }
        fs::set_permissions(path, fs::Permissions::from_mode(0o700)).map_err(failed)?;
        let directory = Self { path: path.to_owned(), root, _lock: lock };
        for inner in [INDEX, CONTENT, SPILL] {
            directory.make(inner)?;
        }
        for inner in ["content/tmp", "content/content-v2", SHELVES] {
            directory.make(inner)?;
        }
        Ok(directory)
    }

    /// Makes an inner directory; one that is a link is refused.
    fn make(&self, inner: &str) -> Result<(), OpenError> {
        let path = self.path.join(inner);
        let failed = |error: io::Error| OpenError::Io { path: path.display().to_string(), error };
        match fs::symlink_metadata(&path) {
            Ok(found) if found.file_type().is_symlink() => Err(OpenError::Link(path.display().to_string())),
            Ok(found) if !found.is_dir() => Err(OpenError::NotADirectory(path.display().to_string())),
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => private().create(&path).map_err(failed),
            Err(error) => Err(failed(error)),
        }
    }

    /// The directory may have been moved or replaced: what is written by path must go where reads look.
    fn still_there(&self) -> io::Result<()> {
        let ours = rustix::fs::fstat(&self.root)?;
        let there = rustix::fs::stat(&self.path)?;
        if (ours.st_dev, ours.st_ino) == (there.st_dev, there.st_ino) {
            return Ok(());
        }
        Err(io::Error::new(io::ErrorKind::NotFound, "the cache directory was replaced"))
    }

    fn sync_root(&self) -> io::Result<()> {
        Ok(rustix::fs::fsync(&self.root)?)
    }

    fn list(&self, inner: &str) -> io::Result<Vec<String>> {
        let directory = open_below(&self.root, inner, OFlags::RDONLY | OFlags::DIRECTORY)?;
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(&directory)? {
            match entry?.file_name().to_str() {
                Ok("." | "..") | Err(_) => {}
                Ok(name) => names.push(name.to_owned()),
            }
        }
        Ok(names)
    }
}

fn private() -> DirBuilder {
    let mut builder = DirBuilder::new();
    builder.mode(0o700);
    builder
}

/// An empty directory, or one that an earlier run has made.
fn is_ours(path: &Path) -> io::Result<bool> {
    let mut empty = true;
    for entry in fs::read_dir(path)? {
        let name = entry?.file_name();
        if name == LOCK || name == Note::Format.name() {
            return Ok(true);
        }
        // The root of a file system has this from its making.
        empty &= name == "lost+found";
    }
    Ok(empty)
}

impl Volume for Directory {
    fn read_note(&self, note: Note) -> io::Result<Option<Vec<u8>>> {
        /// Notes are a line; more than this is none of ours.
        const MOST: u64 = 4096;
        match open_below(&self.root, note.name(), OFlags::RDONLY) {
            Ok(file) => {
                let mut text = Vec::new();
                file.take(MOST).read_to_end(&mut text)?;
                Ok(Some(text))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn write_note(&self, note: Note, text: &[u8]) -> io::Result<()> {
        self.still_there()?;
        let fresh = format!("{}.new", note.name());
        let mut file = open_below(&self.root, &fresh, OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC)?;
        file.write_all(text)?;
        file.sync_all()?;
        rustix::fs::renameat(&self.root, fresh.as_str(), &self.root, note.name())?;
        self.sync_root()
    }

    fn segments(&self) -> io::Result<Vec<u32>> {
        let names = self.list(INDEX)?;
        let number = |name: &String| (name.len() == 8).then(|| u32::from_str_radix(name, 16).ok()).flatten();
        Ok(names.iter().filter_map(number).collect())
    }

    fn create_segment(&self, number: u32) -> io::Result<Arc<dyn SegmentFile>> {
        self.still_there()?;
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL;
        let file = open_below(&self.root, &segment_path(number), flags)?;
        open_below(&self.root, INDEX, OFlags::RDONLY | OFlags::DIRECTORY)?.sync_all()?;
        Ok(Arc::new(Segment(file)))
    }

    fn open_segment(&self, number: u32) -> io::Result<Arc<dyn SegmentFile>> {
        Ok(Arc::new(Segment(open_below(&self.root, &segment_path(number), OFlags::RDWR)?)))
    }

    fn remove_segment(&self, number: u32) -> io::Result<()> {
        remove_any(&self.root, &self.path, &segment_path(number))
    }

    fn write_content(&self, bytes: &[u8]) -> io::Result<Address> {
        self.still_there()?;
        let root = self.path.join(CONTENT);
        let written = cacache::write_hash_sync_with_algo(Algorithm::Sha256, root, bytes).map_err(plain)?;
        address_of(&written)
    }

    fn read_content(&self, address: &Address, length: usize, how: How) -> io::Result<Vec<u8>> {
        let path = content_path(address);
        let file = match how {
            How::AtOnce => open_cached(&self.root, &path)?,
            How::Patiently => open_below(&self.root, &path, OFlags::RDONLY)?,
        };
        // One byte more, to see a file that has grown.
        let mut buffer = vec![0; length + 1];
        let mut filled = 0;
        while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match read_some(&file, rest, filled as u64, how)? {
                0 => break,
                more => filled += more,
            }
        }
        if filled != length {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the content has not its length"));
        }
        buffer.truncate(length);
        Ok(buffer)
    }

    fn remove_content(&self, address: &Address) -> io::Result<()> {
        remove_any(&self.root, &self.path, &content_path(address))?;
        // An empty shelf takes a block of the disk. One that is not empty stays.
        let _ = rustix::fs::unlinkat(&self.root, shelf_path(address.shelf()), AtFlags::REMOVEDIR);
        Ok(())
    }

    fn shelf(&self, number: Shelf) -> io::Result<Vec<(Address, u64)>> {
        let path = shelf_path(number);
        let names = match self.list(&path) {
            Ok(names) => names,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            // No directory at all, or a link to one.
            Err(error)
                if matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::NotADirectory) =>
            {
                remove_any(&self.root, &self.path, &path)?;
                return Ok(Vec::new());
            }
            Err(error) => return Err(error),
        };
        let mut found = Vec::new();
        for name in names {
            let file = format!("{path}/{name}");
            let length = rustix::fs::statat(&self.root, file.as_str(), AtFlags::SYMLINK_NOFOLLOW);
            let address = Integrity::from_hex(format!("{number:04x}{name}"), Algorithm::Sha256);
            match (address.ok().and_then(|address| address_of(&address).ok()), length) {
                (Some(address), Ok(stat)) => found.push((address, u64::try_from(stat.st_size).unwrap_or(0))),
                // Not by any name of ours.
                (None, Ok(_)) => remove_any(&self.root, &self.path, &file)?,
                (_, Err(error)) => return Err(error.into()),
            }
        }
        Ok(found)
    }

    fn clear_unfinished(&self) -> io::Result<()> {
        for name in self.list("content/tmp")? {
            remove_any(&self.root, &self.path, &format!("content/tmp/{name}"))?;
        }
        // cacache writes by path: there must be no link on the way.
        for name in self.list(SHELVES)? {
            let path = format!("{SHELVES}/{name}");
            let stat = rustix::fs::statat(&self.root, path.as_str(), AtFlags::SYMLINK_NOFOLLOW)?;
            if !rustix::fs::FileType::from_raw_mode(stat.st_mode).is_dir() {
                remove_any(&self.root, &self.path, &path)?;
            }
        }
        Ok(())
    }

    fn set_aside(&self) -> io::Result<()> {
        self.still_there()?;
        let free = (0..u32::MAX).map(|n| format!("{ASIDE}{n}")).find(|name| !self.path.join(name).exists());
        let aside = free.ok_or_else(|| io::Error::other("no name is free to set the old cache aside"))?;
        private().create(self.path.join(&aside))?;
        for name in [INDEX, CONTENT, Note::Epoch.name(), Note::Format.name()] {
            match rustix::fs::renameat(&self.root, name, &self.root, format!("{aside}/{name}")) {
                Ok(()) | Err(rustix::io::Errno::NOENT) => {}
                Err(error) => return Err(error.into()),
            }
        }
        for inner in [INDEX, CONTENT, "content/tmp", "content/content-v2", SHELVES] {
            private().create(self.path.join(inner))?;
        }
        self.sync_root()
    }

    fn clear_aside(&self) -> io::Result<()> {
        for name in self.list(".")? {
            if name.starts_with(ASIDE) {
                fs::remove_dir_all(self.path.join(name))?;
            }
        }
        Ok(())
    }

    fn free_space(&self) -> io::Result<u64> {
        let stat = rustix::fs::fstatvfs(&self.root)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }
}

fn segment_path(number: u32) -> String {
    format!("{INDEX}/{number:08x}")
}

fn shelf_path(shelf: Shelf) -> String {
    let [first, second] = shelf.to_be_bytes();
    format!("{SHELVES}/{first:02x}/{second:02x}")
}

fn content_path(address: &Address) -> String {
    use std::fmt::Write as _;
    let mut path = shelf_path(address.shelf());
    path.push('/');
    for byte in address.0.iter().skip(2) {
        let _ = write!(path, "{byte:02x}");
    }
    path
}

fn address_of(integrity: &Integrity) -> io::Result<Address> {
    let not_ours = || io::Error::new(io::ErrorKind::InvalidData, "not a SHA-256 address");
    let (algorithm, hex) = integrity.to_hex();
    if algorithm != Algorithm::Sha256 || hex.len() != 64 {
        return Err(not_ours());
    }
    let mut address = [0; 32];
    for (byte, digits) in address.iter_mut().zip(hex.as_bytes().chunks(2)) {
        let digits = std::str::from_utf8(digits).map_err(|_| not_ours())?;
        *byte = u8::from_str_radix(digits, 16).map_err(|_| not_ours())?;
    }
    Ok(Address(address))
}

/// What the system said, out of what cacache says.
fn plain(error: cacache::Error) -> io::Error {
    match error {
        cacache::Error::IoError(error, _) => error,
        other => io::Error::other(other),
    }
}

/// A segment's file.
#[derive(Debug)]
struct Segment(File);

impl SegmentFile for Segment {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64, how: How) -> io::Result<()> {
        match how {
            How::Patiently => self.0.read_exact_at(buffer, offset),
            // Where the bytes end too early, or are only in part in memory, is for a patient read to find out.
            How::AtOnce if read_some(&self.0, buffer, offset, how)? == buffer.len() => Ok(()),
            How::AtOnce => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn cut(&self, length: u64) -> io::Result<()> {
        self.0.set_len(length)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}
