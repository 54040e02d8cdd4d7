//! A directory of a real file system.
//!
//! ```text
//! DIR/lock  format  epoch     the lock of the process, and the notes
//! DIR/index/0000002a          segments of the index
//! DIR/ledger/0000002a         files of the ledger
//! DIR/content/                contents: content-v2/sha256/aa/bb/…, tmp/
//! DIR/spill/                  bodies on their way, unlinked from birth (see `body::busy`)
//! DIR/aside-N/                what was set aside and waits to be removed
//! ```
//!
//! All of it has mode 0700 and is opened below the directory without following links.

use std::fs::{self, DirBuilder, File};
use std::io::{self, IoSlice, Read, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::below::{Root, is_misplaced, read_some};
use super::{Address, How, Note, OpenError, Opener, SegmentFile, Shelf, Volume, shelves};

const LOCK: &str = "lock";
const INDEX: &str = "index";
const LEDGER: &str = "ledger";
const CONTENT: &str = "content";
const SPILL: &str = "spill";
const ASIDE: &str = "aside-";

/// Opens the directory at a path, which is made if it is not there.
#[derive(Debug)]
pub struct DirectoryOpener {
    path: PathBuf,
    /// The lock of the last opening, which its readers may still hold.
    last: Mutex<Weak<File>>,
}

impl DirectoryOpener {
    /// An opener of this directory.
    pub fn new(path: PathBuf) -> Self {
        Self { path, last: Mutex::default() }
    }
}

impl Opener for DirectoryOpener {
    fn open(&self) -> Result<Arc<dyn Volume>, OpenError> {
        let mut last = self.last.lock();
        let directory = Directory::open(&self.path, last.upgrade())?;
        *last = Arc::downgrade(&directory.lock);
        Ok(Arc::new(directory))
    }
}

/// An open cache directory, locked until this is dropped.
#[derive(Debug)]
pub struct Directory {
    root: Root,
    lock: Arc<File>,
}

impl Directory {
    /// Opens `path` and takes its lock, or goes on with `held` if this process has it already; makes the directory if it
    /// is not there. One with anything else in it is refused.
    pub fn open(path: &Path, held: Option<Arc<File>>) -> Result<Self, OpenError> {
        let name = || path.display().to_string();
        let failed = |error: io::Error| OpenError::Io { path: name(), error };
        match fs::metadata(path) {
            Ok(found) if !found.is_dir() => return Err(OpenError::NotADirectory(name())),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                DirBuilder::new().mode(0o700).recursive(true).create(path).map_err(failed)?;
            }
            Err(error) => return Err(failed(error)),
        }
        if !is_ours(path).map_err(failed)? {
            return Err(OpenError::Foreign(name()));
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::open(path, flags, Mode::empty()).map_err(|errno| failed(errno.into()))?;
        let root = Root { fd, path: path.to_owned() };
        let lock = root.open(LOCK, OFlags::RDWR | OFlags::CREATE).map_err(failed)?;
        let lock = match lock.try_lock() {
            Ok(()) => Arc::new(lock),
            Err(fs::TryLockError::WouldBlock) => {
                held.filter(|held| is_same_file(held, &lock)).ok_or_else(|| OpenError::InUse(name()))?
            }
            Err(fs::TryLockError::Error(error)) => return Err(failed(error)),
        };
        fs::set_permissions(path, fs::Permissions::from_mode(0o700)).map_err(failed)?;
        let directory = Self { root, lock };
        for inner in [INDEX, LEDGER, SPILL].into_iter().chain(shelves::DIRECTORIES) {
            directory.make(inner)?;
        }
        Ok(directory)
    }

    /// Makes an inner directory; one that is a link is refused.
    fn make(&self, inner: &str) -> Result<(), OpenError> {
        let name = || self.root.path.join(inner).display().to_string();
        let made = self.root.make_directory(inner).and_then(|()| self.root.directory(inner));
        match made {
            Ok(_) => Ok(()),
            Err(_) if self.root.is_link(inner) => Err(OpenError::Link(name())),
            Err(error) if is_misplaced(&error) => Err(OpenError::NotADirectory(name())),
            Err(error) => Err(OpenError::Io { path: name(), error }),
        }
    }

    fn numbers(&self, directory: &str) -> io::Result<Vec<u32>> {
        let names = self.root.list(directory)?;
        let number = |name: &String| (name.len() == 8).then(|| u32::from_str_radix(name, 16).ok()).flatten();
        Ok(names.iter().filter_map(number).collect())
    }

    fn create(&self, directory: &str, number: u32) -> io::Result<Arc<dyn SegmentFile>> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL;
        let file = self.root.open(&numbered(directory, number), flags)?;
        self.root.directory(directory)?.sync_all()?;
        Ok(Arc::new(Segment(file)))
    }

    fn open_numbered(&self, directory: &str, number: u32) -> io::Result<Arc<dyn SegmentFile>> {
        Ok(Arc::new(Segment(self.root.open(&numbered(directory, number), OFlags::RDWR)?)))
    }

    fn sync_root(&self) -> io::Result<()> {
        Ok(rustix::fs::fsync(&self.root.fd)?)
    }
}

fn is_same_file(one: &File, other: &File) -> bool {
    let id = |file: &File| file.metadata().map(|found| (found.dev(), found.ino())).ok();
    id(one).is_some() && id(one) == id(other)
}

/// An empty directory, or one that an earlier run has made: with a lock or a version's note, and nothing in it that has
/// not a name of ours. Others keep a `lock` of their own.
fn is_ours(path: &Path) -> io::Result<bool> {
    let (mut marked, mut empty, mut strange) = (false, true, false);
    for entry in fs::read_dir(path)? {
        let name = entry?.file_name();
        marked |= name == LOCK || name == Note::Format.name();
        // The root of a file system has this from its making.
        empty &= name == "lost+found";
        strange |= !name.to_str().is_some_and(is_name_of_ours);
    }
    Ok(empty || (marked && !strange))
}

fn is_name_of_ours(name: &str) -> bool {
    let note = name.strip_suffix(".new").unwrap_or(name);
    let notes = [Note::Format, Note::Epoch, Note::Ended, Note::Probe].map(Note::name);
    [LOCK, INDEX, LEDGER, CONTENT, SPILL, "lost+found"].contains(&name)
        || notes.contains(&note)
        || name.starts_with(ASIDE)
}

impl Volume for Directory {
    fn read_note(&self, note: Note) -> io::Result<Option<Vec<u8>>> {
        /// Notes are a line; more than this is none of ours.
        const MOST: u64 = 4096;
        let read = self.root.open(note.name(), OFlags::RDONLY).and_then(|file| {
            let mut text = Vec::new();
            file.take(MOST).read_to_end(&mut text)?;
            Ok(text)
        });
        match read {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            // As good as one that is damaged.
            Err(error) if is_misplaced(&error) => Ok(Some(Vec::new())),
            Err(error) => Err(error),
        }
    }

    fn write_note(&self, note: Note, text: &[u8]) -> io::Result<()> {
        self.root.still_there()?;
        let fresh = format!("{}.new", note.name());
        self.root.remove(&fresh)?;
        let mut file = self.root.open(&fresh, OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL)?;
        file.write_all(text)?;
        file.sync_all()?;
        let directory = self.root.directory(".")?;
        match self.root.rename_into(&fresh, &directory, note.name()) {
            Err(error) if is_misplaced(&error) => {
                self.root.remove(note.name())?;
                self.root.rename_into(&fresh, &directory, note.name())?;
            }
            renamed => renamed?,
        }
        self.sync_root()
    }

    fn segments(&self) -> io::Result<Vec<u32>> {
        self.numbers(INDEX)
    }

    fn create_segment(&self, number: u32) -> io::Result<Arc<dyn SegmentFile>> {
        self.create(INDEX, number)
    }

    fn open_segment(&self, number: u32) -> io::Result<Arc<dyn SegmentFile>> {
        self.open_numbered(INDEX, number)
    }

    fn remove_segment(&self, number: u32) -> io::Result<()> {
        self.root.remove(&numbered(INDEX, number))
    }

    fn ledgers(&self) -> io::Result<Vec<u32>> {
        self.numbers(LEDGER)
    }

    fn create_ledger(&self, number: u32) -> io::Result<Arc<dyn SegmentFile>> {
        self.create(LEDGER, number)
    }

    fn open_ledger(&self, number: u32) -> io::Result<Arc<dyn SegmentFile>> {
        self.open_numbered(LEDGER, number)
    }

    /// Durable once this returns, unlike the removal of a segment.
    fn remove_ledger(&self, number: u32) -> io::Result<()> {
        self.root.remove(&numbered(LEDGER, number))?;
        self.root.directory(LEDGER)?.sync_all()
    }

    fn write_content(&self, bytes: &[u8]) -> io::Result<Address> {
        shelves::write(&self.root, bytes)
    }

    fn read_content(&self, address: &Address, buffer: &mut [u8], how: How) -> io::Result<()> {
        shelves::read(&self.root, address, buffer, how)
    }

    fn remove_content(&self, address: &Address) -> io::Result<()> {
        shelves::remove(&self.root, address)
    }

    fn shelves(&self) -> io::Result<Vec<Shelf>> {
        shelves::all(&self.root)
    }

    fn shelf(&self, number: Shelf) -> io::Result<Vec<(Address, u64)>> {
        shelves::list(&self.root, number)
    }

    fn clear_unfinished(&self) -> io::Result<()> {
        shelves::clear_unfinished(&self.root)
    }

    fn set_aside(&self) -> io::Result<()> {
        self.root.still_there()?;
        let taken = self.root.list(".")?;
        let free = (0..u32::MAX).map(|number| format!("{ASIDE}{number}")).find(|name| !taken.contains(name));
        let aside = free.ok_or_else(|| io::Error::other("no name is free to set the old cache aside"))?;
        self.root.make_directory(&aside)?;
        let directory = self.root.directory(&aside)?;
        let notes = [Note::Epoch, Note::Ended, Note::Format].map(Note::name);
        for name in [INDEX, LEDGER, CONTENT].into_iter().chain(notes) {
            match rustix::fs::renameat(&self.root.fd, name, &directory, name) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(error) => return Err(error.into()),
            }
        }
        for inner in [INDEX, LEDGER].into_iter().chain(shelves::DIRECTORIES) {
            self.root.make_directory(inner)?;
        }
        self.sync_root()
    }

    fn clear_aside(&self) -> io::Result<()> {
        for name in self.root.list(".")? {
            if name.starts_with(ASIDE) {
                self.root.remove(&name)?;
            }
        }
        Ok(())
    }

    fn free_space(&self) -> io::Result<u64> {
        self.root.still_there()?;
        let stat = rustix::fs::fstatvfs(&self.root.fd)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }
}

fn numbered(directory: &str, number: u32) -> String {
    format!("{directory}/{number:08x}")
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
            How::AtOnce if read_some(&self.0, [&mut *buffer], offset, how)? == buffer.len() => Ok(()),
            How::AtOnce => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    fn read_both_at(&self, [first, second]: [&mut [u8]; 2], offset: u64, how: How) -> io::Result<()> {
        let read = read_some(&self.0, [&mut *first, &mut *second], offset, how)?;
        match how {
            _ if read == first.len() + second.len() => Ok(()),
            How::AtOnce => Err(io::ErrorKind::WouldBlock.into()),
            // It is cut, or was read in part only.
            How::Patiently => {
                self.0.read_exact_at(first, offset)?;
                self.0.read_exact_at(second, offset + first.len() as u64)
            }
        }
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn write_all_at(&self, pieces: [&[u8]; 3], offset: u64) -> io::Result<()> {
        let [first, rest @ ..] = pieces;
        if rest.iter().all(|piece| piece.is_empty()) {
            return self.write_at(first, offset);
        }
        let buffers = pieces.map(IoSlice::new);
        let mut written = rustix::io::retry_on_intr(|| rustix::io::pwritev(&self.0, &buffers, offset))?;
        // What is left of them, if not all was taken.
        let mut at = offset;
        for piece in pieces {
            let done = written.min(piece.len());
            written -= done;
            self.0.write_all_at(piece.get(done..).unwrap_or_default(), at + done as u64)?;
            at += piece.len() as u64;
        }
        Ok(())
    }

    fn cut(&self, length: u64) -> io::Result<()> {
        self.0.set_len(length)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}
