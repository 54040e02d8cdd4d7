//! The ledger's files on a disk: read at the start, written anew, appended to (decision 8). All of it blocks.

use std::io;
use std::sync::Arc;

use super::file::{self, Bad};
use super::index::Index;
use super::record::{Record, Says};
use crate::base::clock::Timestamp;
use crate::base::ids::Sequence;
use crate::cache::disk::volume::{How, SegmentFile, Volume, is_of_file};

/// The longest file that is read: far more than the limit on records allows.
const LONGEST: u64 = 1 << 30;

/// Records that are written at once when a file is begun.
const PIECE: usize = 8 << 10;

/// What the files of a disk say.
#[derive(Debug, Default)]
pub(in crate::cache) struct Replayed {
    pub(super) index: Index,
    /// The latest epoch of any record.
    pub(in crate::cache) epoch: u64,
    /// The processes that began the files.
    pub(super) writers: Vec<u128>,
}

/// Why a disk's ledger cannot be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cache) enum Unreadable {
    /// There is none.
    Missing,
    /// It is not what was written.
    Bad(Bad),
}

impl Unreadable {
    /// What to say of the directory.
    pub(in crate::cache) const fn complaint(self) -> &'static str {
        match self {
            Self::Missing => "has lost its ledger of purges",
            Self::Bad(Bad::Damaged) => "has a ledger of purges that is damaged",
            Self::Bad(Bad::Unknown) => "has a ledger of purges by another version of forebay",
        }
    }
}

/// Reads all files. The outer error is the disk's, and may pass.
pub(in crate::cache) fn replay(volume: &dyn Volume) -> io::Result<Result<Replayed, Unreadable>> {
    let (mut replayed, mut whole) = (Replayed::default(), false);
    let mut numbers = volume.ledgers()?;
    // In the order of their records, so that the oldest can be folded first.
    numbers.sort_unstable();
    for number in numbers {
        let bytes = match volume.open_ledger(number).and_then(|file| read(&*file)) {
            Ok(bytes) => bytes,
            Err(error) if is_of_file(&error) => return Ok(Err(Unreadable::Bad(Bad::Damaged))),
            Err(error) => return Err(error),
        };
        let found = match file::survey(&bytes, number) {
            Ok(found) => found,
            Err(bad) => return Ok(Err(Unreadable::Bad(bad))),
        };
        whole |= found.whole;
        for record in found.floor.into_iter().chain(found.records) {
            replayed.add(&record);
        }
    }
    Ok(if whole { Ok(replayed) } else { Err(Unreadable::Missing) })
}

fn read(file: &dyn SegmentFile) -> io::Result<Vec<u8>> {
    let length = file.len()?;
    if length > LONGEST {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
    file.read_at(&mut bytes, 0, How::Patiently)?;
    Ok(bytes)
}

impl Replayed {
    fn add(&mut self, record: &Record) {
        self.epoch = self.epoch.max(record.sequence.epoch);
        if let Says::Floor { writer, .. } = record.says {
            self.writers.push(writer);
        }
        self.index.add(record);
    }
}

/// All that is alive at one moment: what a new file begins with.
#[derive(Clone, Debug)]
pub(super) struct Snapshot {
    pub(super) floor: Sequence,
    pub(super) records: Vec<Record>,
    /// Bytes of the frames of the records.
    pub(super) frames: u64,
    /// Up to which place the fleet's stream was applied.
    pub(super) stream: u64,
    /// The sequence up to which it goes.
    pub(super) latest: u64,
    /// Who writes it.
    pub(super) writer: u128,
}

/// The file that is appended to.
#[derive(Debug)]
pub(super) struct Journal {
    volume: Arc<dyn Volume>,
    file: Arc<dyn SegmentFile>,
    number: u32,
    /// Its length, all of it durable.
    length: u32,
    /// Whether the files before it are known to be gone for good.
    alone: bool,
}

impl Journal {
    /// Begins a new file with `snapshot` and removes all others once it is durable.
    pub(super) fn begin(volume: &Arc<dyn Volume>, snapshot: &Snapshot) -> io::Result<Self> {
        let earlier = volume.ledgers()?;
        let number = earlier.iter().max().map_or(1, |last| last.saturating_add(1));
        let file = volume.create_ledger(number)?;
        let length = write_snapshot(&*file, snapshot, number)?;
        file.sync()?;
        // One that stays says nothing else; the next to begin a file removes it.
        let alone = remove(&**volume, earlier);
        Ok(Self { volume: Arc::clone(volume), file, number, length, alone })
    }

    /// Writes a group of records and makes it durable. After an error the file is not to be used any more.
    pub(super) fn append(&mut self, group: &[Record]) -> io::Result<()> {
        let mut bytes = Vec::new();
        for record in group {
            file::push(&mut bytes, record, self.number, (self.length, self.length));
        }
        let length = length_of(&bytes)?.checked_add(self.length).ok_or(io::ErrorKind::FileTooLarge)?;
        // Where another disk was mounted over this one, nothing here would ever be found again.
        self.volume.free_space()?;
        self.file.write_at(&bytes, u64::from(self.length))?;
        self.file.sync()?;
        self.length = length;
        Ok(())
    }

    /// Whether the files before it are known to be gone for good.
    pub(super) fn is_alone(&self) -> bool {
        self.alone
    }

    /// The disk that it is on.
    pub(super) fn volume(&self) -> &Arc<dyn Volume> {
        &self.volume
    }

    /// Its length in bytes.
    pub(super) fn length(&self) -> u64 {
        u64::from(self.length)
    }
}

/// Takes the ledger away, so that whoever opens the disk next does not trust it. False if that may not have worked.
pub(super) fn disown(volume: &dyn Volume) -> bool {
    volume.ledgers().is_ok_and(|files| remove(volume, files))
}

/// Removes files, the oldest first and none after one that stays: an older one without a later one would be taken for
/// all that there is.
fn remove(volume: &dyn Volume, mut files: Vec<u32>) -> bool {
    files.sort_unstable();
    files.into_iter().all(|number| match volume.remove_ledger(number) {
        Ok(()) => true,
        Err(error) => {
            tracing::debug!(%error, "a file of the ledger could not be removed");
            false
        }
    })
}

/// Writes in pieces, so that little memory is taken; tells the length.
fn write_snapshot(file: &dyn SegmentFile, snapshot: &Snapshot, number: u32) -> io::Result<u32> {
    let says = Says::Floor { follows: snapshot.frames, writer: snapshot.writer };
    let (sequence, time, stream) = (snapshot.floor, Timestamp::default(), snapshot.stream);
    let floor = Record { sequence, time, id: 0, stream, says };
    let (mut bytes, mut length) = (Vec::new(), 0_u32);
    file::push(&mut bytes, &floor, number, (0, 0));
    for piece in snapshot.records.chunks(PIECE) {
        for record in piece {
            file::push(&mut bytes, record, number, (length, 0));
        }
        file.write_at(&bytes, u64::from(length))?;
        length = length_of(&bytes)?.checked_add(length).ok_or(io::ErrorKind::FileTooLarge)?;
        bytes.clear();
    }
    if !bytes.is_empty() {
        file.write_at(&bytes, u64::from(length))?;
    }
    length_of(&bytes)?.checked_add(length).ok_or(io::ErrorKind::FileTooLarge.into())
}

fn length_of(bytes: &[u8]) -> io::Result<u32> {
    u32::try_from(bytes.len()).map_err(|_| io::ErrorKind::FileTooLarge.into())
}
