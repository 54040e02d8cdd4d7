//! The disk as the tier sees it: contents by hash, segments of the index, and a few notes.
//!
//! [`Directory`] is the real one. Tests put a double in its place that fails, tears and forgets. Everything here
//! blocks, and nothing here is named by what a client sent.

mod below;
mod directory;
mod shelves;

use std::fmt;
use std::io;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use directory::{Directory, DirectoryOpener};

/// The name of a content: the SHA-256 of its bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Address(pub [u8; 32]);

/// The first half of an [`Address`], by which contents are counted: collisions take 2⁶⁴ tries to make, and cost
/// a miss.
pub type ShortAddress = u128;

/// Contents whose addresses begin with the same two bytes lie on one shelf (a directory).
pub type Shelf = u16;

impl Address {
    /// Its first half.
    pub fn short(&self) -> ShortAddress {
        let (half, _) = self.0.split_first_chunk().unwrap_or((&[0; 16], &[]));
        u128::from_be_bytes(*half)
    }

    /// The shelf on which the content lies.
    pub fn shelf(&self) -> Shelf {
        let [first, second, ..] = self.0;
        Shelf::from_be_bytes([first, second])
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}…", self.short() >> 64)
    }
}

/// A short text that is replaced as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Note {
    /// Which version of records the directory holds.
    Format,
    /// The ledger's epoch.
    Epoch,
    /// The epoch whose process has ended in good order: nothing can lie around then.
    Ended,
    /// Written to see whether writing works.
    Probe,
}

impl Note {
    /// The name of its file.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Format => "format",
            Self::Epoch => "epoch",
            Self::Ended => "ended",
            Self::Probe => "probe",
        }
    }
}

/// How a read is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// Only if the bytes are in memory already, so that no thread waits for the disk; else the error is `WouldBlock`. A
    /// disk that cannot tell always says that.
    AtOnce,
    /// However long it takes.
    Patiently,
}

/// A disk that was opened, for one process alone.
///
/// An error of one operation says nothing of the others; what was written but not synced may be gone, or there in
/// part, after a power cut.
pub trait Volume: fmt::Debug + Send + Sync + 'static {
    /// The whole of a note; `None` if there is none.
    fn read_note(&self, note: Note) -> io::Result<Option<Vec<u8>>>;

    /// Replaces a note: whole or not at all, and durable once this returns.
    fn write_note(&self, note: Note, text: &[u8]) -> io::Result<()>;

    /// The numbers of all segments, in any order.
    fn segments(&self) -> io::Result<Vec<u32>>;

    /// An empty segment, durable as such; an error if there is one of this number.
    fn create_segment(&self, number: u32) -> io::Result<Arc<dyn SegmentFile>>;

    /// A segment that is there.
    fn open_segment(&self, number: u32) -> io::Result<Arc<dyn SegmentFile>>;

    /// Removes a segment; who has it open may go on reading.
    fn remove_segment(&self, number: u32) -> io::Result<()>;

    /// The numbers of all files of the ledger, in any order.
    fn ledgers(&self) -> io::Result<Vec<u32>>;

    /// An empty file for the ledger, durable as such, with all that was removed before; an error if there is one of this
    /// number.
    fn create_ledger(&self, number: u32) -> io::Result<Arc<dyn SegmentFile>>;

    /// A file of the ledger that is there.
    fn open_ledger(&self, number: u32) -> io::Result<Arc<dyn SegmentFile>>;

    /// Removes a file of the ledger, durably; what was removed before is durable then too.
    fn remove_ledger(&self, number: u32) -> io::Result<()>;

    /// Keeps `bytes`, visible only as a whole, and gives their address.
    fn write_content(&self, bytes: &[u8]) -> io::Result<Address>;

    /// Fills `buffer` with the content of this address, which must be of its length. Not verified.
    fn read_content(&self, address: &Address, buffer: &mut [u8], how: How) -> io::Result<()>;

    /// Removes a content; no error if there is none.
    fn remove_content(&self, address: &Address) -> io::Result<()>;

    /// The shelves that there are, in any order.
    fn shelves(&self) -> io::Result<Vec<Shelf>>;

    /// Addresses and lengths of the contents on a shelf.
    fn shelf(&self, shelf: Shelf) -> io::Result<Vec<(Address, u64)>>;

    /// Removes what unfinished writes have left, and what could lead writes elsewhere. Nothing may be writing.
    fn clear_unfinished(&self) -> io::Result<()>;

    /// Moves all segments, contents, notes and the ledger out of the way, to be removed by [`Volume::clear_aside`].
    fn set_aside(&self) -> io::Result<()>;

    /// Removes what was set aside. May take long.
    fn clear_aside(&self) -> io::Result<()>;

    /// Bytes that can still be written, as far as is known; an error if the disk is not where it was.
    fn free_space(&self) -> io::Result<u64>;
}

/// A file of the index or the ledger: appended to by one thread, read by all.
pub trait SegmentFile: fmt::Debug + Send + Sync + 'static {
    /// Its length in bytes.
    fn len(&self) -> io::Result<u64>;

    /// Whether it has none.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Fills `buffer` with the bytes at `offset`, or fails.
    fn read_at(&self, buffer: &mut [u8], offset: u64, how: How) -> io::Result<()>;

    /// Fills two buffers with what stands at `offset`, one behind the other, or fails.
    fn read_both_at(&self, [first, second]: [&mut [u8]; 2], offset: u64, how: How) -> io::Result<()> {
        self.read_at(first, offset, how)?;
        self.read_at(second, offset + first.len() as u64, how)
    }

    /// Writes all of `bytes` at `offset`.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Writes all pieces at `offset`, one behind the other.
    fn write_all_at(&self, pieces: [&[u8]; 3], offset: u64) -> io::Result<()> {
        self.write_at(&pieces.concat(), offset)
    }

    /// Cuts it to `length` bytes.
    fn cut(&self, length: u64) -> io::Result<()>;

    /// Makes what was written durable.
    fn sync(&self) -> io::Result<()>;
}

/// Whether an error is of one file alone: it is not there, cut, or no file at all. Others are the device's.
pub fn is_of_file(error: &io::Error) -> bool {
    use io::ErrorKind::{
        InvalidData, IsADirectory, NotADirectory, NotFound, PermissionDenied, UnexpectedEof,
    };
    matches!(
        error.kind(),
        InvalidData | IsADirectory | NotADirectory | NotFound | PermissionDenied | UnexpectedEof
    )
}

/// Opens a disk, again and again if it fails.
pub trait Opener: fmt::Debug + Send + Sync + 'static {
    /// Opens it for this process alone.
    fn open(&self) -> Result<Arc<dyn Volume>, OpenError>;
}

/// Why a disk cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error("{0} is in use by another forebay: give each its own directory")]
    InUse(String),
    /// It holds other things, among which a cache would be lost, or they in it.
    #[error("{0} is not empty and was not made by forebay: give an empty or a new directory")]
    Foreign(String),
    /// A link leads out of it, where others could change what it means.
    #[error("{0} is a link: inside a cache directory no links are followed")]
    Link(String),
    /// Something that is no directory stands in its place, or in the place of one in it.
    #[error("{0} is not a directory")]
    NotADirectory(String),
    /// The system refuses.
    #[error("{path}: {error}")]
    Io {
        /// What was opened.
        path: String,
        /// What the system said.
        error: io::Error,
    },
}

impl OpenError {
    /// Whether it may pass by itself: trouble of the disk, not of what the operator said.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::InUse(_) | Self::Foreign(_) | Self::NotADirectory(_) | Self::Link(_) => false,
            Self::Io { error, .. } => error.kind() != io::ErrorKind::PermissionDenied,
        }
    }
}
