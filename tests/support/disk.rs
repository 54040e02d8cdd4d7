//! A disk in memory that fails, tears and forgets, to be put in the place of a real one.
//!
//! It has what a program sees, and beside it what would be there after a power cut: writes that were not synced, and
//! files that came or went since the last sync, are remembered one by one ([`image`] makes the image of them). Every
//! operation is counted, may fail, and may be the one at which the power is cut.
//!
//! Forebay's own traits are spoken here, which nothing else in this folder does: that is what a double is for.

mod image;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use forebay::cache::disk::volume::{Address, How, Note, OpenError, Opener, SegmentFile, Shelf, Volume};
use parking_lot::Mutex;

/// How a disk is ill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Illness {
    /// Most operations fail.
    Errors,
    /// What takes room fails.
    Full,
    /// What changes anything fails.
    ReadOnly,
}

/// How a disk is made.
#[derive(Clone, Copy, Debug)]
pub struct Make {
    /// Bytes of it.
    pub capacity: u64,
    /// Files come and go in order, and with what is synced later, as journals do it. Otherwise each by itself.
    pub ordered: bool,
    /// Everything is in the system's memory, and can be read at once.
    pub cached: bool,
}

/// A disk, and whether what is on it can be read at once, which is known without it. Clones are the same one.
#[derive(Clone, Debug)]
pub struct Disk(Arc<Mutex<State>>, bool);

#[derive(Clone, Debug)]
struct State {
    random: fastrand::Rng,
    make: Make,
    /// How often the process has it open that has it open.
    locked: usize,
    /// Which process that is, and how many there were.
    holder: u64,
    processes: u64,
    /// The power was cut, or the process was killed: nothing works any more.
    off: bool,
    /// Changes until that happens.
    off_in: Option<u64>,
    illness: Option<Illness>,
    /// One operation of so many fails.
    error_in: Option<u32>,
    /// Reads until one fails.
    bad_read_in: Option<u64>,
    /// Reads of segments wait.
    index_held: bool,
    operations: u64,
    failures: u64,
    peak: u64,
    /// Bytes that were written to segments.
    written: u64,
    notes: BTreeMap<&'static str, Vec<u8>>,
    files: Vec<File>,
    /// The segments that can be seen, as indices into `files`.
    segments: BTreeMap<u32, usize>,
    /// Those that would be there after a power cut, but for `moves`.
    durable: BTreeMap<u32, usize>,
    moves: Vec<Move>,
    contents: BTreeMap<[u8; 32], Bytes>,
    /// Contents that were removed, and may be back after a power cut.
    removed: Vec<([u8; 32], Bytes)>,
    /// Bytes that were set aside.
    aside: u64,
}

/// A segment's bytes.
#[derive(Clone, Debug, Default)]
struct File {
    now: Vec<u8>,
    durable: Vec<u8>,
    /// What has happened to it since it was synced.
    pending: Vec<Change>,
}

#[derive(Clone, Debug)]
enum Change {
    Write(usize, Vec<u8>),
    Cut(usize),
}

/// A segment came or went.
#[derive(Clone, Copy, Debug)]
enum Move {
    Came(u32, usize),
    Went(u32),
}

/// What an operation does, as far as that decides whether it can fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Does {
    Look,
    List,
    Read,
    Grow,
    Shrink,
    Sync,
}

impl Does {
    fn changes(self) -> bool {
        matches!(self, Self::Grow | Self::Shrink | Self::Sync)
    }
}

/// How an operation fails: how much of it happens all the same is random.
struct Failure(io::Error);

impl Disk {
    /// An empty disk.
    pub fn new(seed: u64, make: Make) -> Self {
        Self(
            Arc::new(Mutex::new(State {
                random: fastrand::Rng::with_seed(seed),
                make,
                locked: 0,
                holder: 0,
                processes: 0,
                off: false,
                off_in: None,
                illness: None,
                error_in: None,
                bad_read_in: None,
                index_held: false,
                operations: 0,
                failures: 0,
                peak: 0,
                written: 0,
                notes: BTreeMap::new(),
                files: Vec::new(),
                segments: BTreeMap::new(),
                durable: BTreeMap::new(),
                moves: Vec::new(),
                contents: BTreeMap::new(),
                removed: Vec::new(),
                aside: 0,
            })),
            make.cached,
        )
    }

    /// From now on it is ill, or well.
    pub fn ail(&self, illness: Option<Illness>) {
        self.0.lock().illness = illness;
    }

    /// From now on one operation of so many fails; none, if it is `None`.
    pub fn err(&self, one_in: Option<u32>) {
        self.0.lock().error_in = one_in;
    }

    /// The read that comes after so many others fails, and no other.
    pub fn err_at_read(&self, reads: u64) {
        self.0.lock().bad_read_in = Some(reads);
    }

    /// From now on it has room for so many bytes more.
    pub fn leave_room(&self, bytes: u64) {
        let mut state = self.0.lock();
        state.make.capacity = state.bytes() + bytes;
    }

    /// Every operation waits until this is dropped.
    pub fn freeze(&self) -> impl Drop + '_ {
        self.0.lock()
    }

    /// From now on reads of the index wait, or do so no more.
    pub fn hold_index(&self, held: bool) {
        self.0.lock().index_held = held;
    }

    /// It goes off in the middle of the change that comes after so many others.
    pub fn go_off_in(&self, changes: u64) {
        self.0.lock().off_in = Some(changes);
    }

    /// Whether it has gone off.
    pub fn is_off(&self) -> bool {
        self.0.lock().off
    }

    /// Whether a process has it open.
    pub fn is_open(&self) -> bool {
        self.0.lock().locked > 0
    }

    /// Whether a power cut would lose nothing of the segments.
    pub fn is_durable(&self) -> bool {
        let state = self.0.lock();
        state.moves.is_empty() && state.segments.values().all(|file| state.files[*file].pending.is_empty())
    }

    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.0.lock().bytes()
    }

    /// The most bytes of all files that there ever were.
    pub fn peak(&self) -> u64 {
        self.0.lock().peak
    }

    /// Bytes that were ever written to segments.
    pub fn written(&self) -> u64 {
        self.0.lock().written
    }

    /// Operations so far, and how many of them have failed.
    pub fn counts(&self) -> (u64, u64) {
        let state = self.0.lock();
        (state.operations, state.failures)
    }

    /// Numbers and bytes of the segments that can be seen.
    pub fn segment_bytes(&self) -> Vec<(u32, Vec<u8>)> {
        let state = self.0.lock();
        let segments = state.segments.range(..LEDGER);
        segments.map(|(number, file)| (*number, state.files[*file].now.clone())).collect()
    }

    /// Numbers of the ledger's files, as [`Disk::alter`] takes them.
    pub fn ledger_files(&self) -> Vec<u32> {
        self.0.lock().segments.range(LEDGER..).map(|(number, _)| *number).collect()
    }

    /// Changes the bytes of a segment, as if the medium had decayed.
    pub fn alter(&self, number: u32, change: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.0.lock();
        let file = state.segments[&number];
        change(&mut state.files[file].now);
        let file = &mut state.files[file];
        file.durable.clone_from(&file.now);
    }

    /// Changes a note; to nothing, if it is `None`.
    pub fn alter_note(&self, note: Note, text: Option<&[u8]>) {
        let mut state = self.0.lock();
        match text {
            Some(text) => state.notes.insert(note.name(), text.to_vec()),
            None => state.notes.remove(note.name()),
        };
    }
}

impl State {
    fn bytes(&self) -> u64 {
        let segments: u64 = self.segments.values().map(|file| self.files[*file].now.len() as u64).sum();
        let contents: u64 = self.contents.values().map(|bytes| rounded(bytes.len())).sum();
        segments + contents + self.aside
    }

    fn changed(&mut self) {
        self.peak = self.peak.max(self.bytes());
    }

    /// Begins to read. What cannot be read at once, for whatever reason, is left to a patient read, as by a directory.
    fn begin_read(&mut self, how: How) -> io::Result<()> {
        if how == How::AtOnce && self.index_held {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.begin(Does::Read).map_err(|Failure(error)| match how {
            How::Patiently => error,
            How::AtOnce => io::ErrorKind::WouldBlock.into(),
        })
    }

    /// Whether an operation may go on.
    fn begin(&mut self, does: Does) -> Result<(), Failure> {
        if self.off {
            return Err(Failure(io::Error::from_raw_os_error(EIO)));
        }
        self.operations += 1;
        if does.changes()
            && let Some(left) = &mut self.off_in
        {
            if *left == 0 {
                self.off = true;
                return Err(Failure(io::Error::from_raw_os_error(EIO)));
            }
            *left -= 1;
        }
        if does == Does::Read
            && let Some(left) = self.bad_read_in
        {
            self.bad_read_in = left.checked_sub(1);
            if left == 0 {
                return Err(Failure(io::Error::from_raw_os_error(EIO)));
            }
        }
        let error = self.illness.and_then(|illness| match illness {
            Illness::Errors => (self.random.u8(..4) > 0).then_some(EIO),
            Illness::Full => (does == Does::Grow).then_some(ENOSPC),
            Illness::ReadOnly => matches!(does, Does::Grow | Does::Shrink).then_some(EROFS),
        });
        // A sweep lists all shelves: with errors as often there, none would come to its end.
        let one_in = self.error_in.map(|one_in| if does == Does::List { 1 << 18 } else { one_in });
        let error = error.or_else(|| {
            let struck = one_in.is_some_and(|one_in| self.random.u32(..one_in) == 0);
            struck.then(|| if does == Does::Grow && self.random.bool() { ENOSPC } else { EIO })
        });
        match error {
            Some(error) => {
                self.failures += 1;
                Err(Failure(io::Error::from_raw_os_error(error)))
            }
            None => Ok(()),
        }
    }

    /// How much of so many bytes is written by a write that fails.
    fn torn(&mut self, length: usize) -> usize {
        match self.random.u8(..4) {
            0 | 1 => 0,
            2 => self.random.usize(..=length),
            _ => length,
        }
    }

    fn has_room(&self, more: u64) -> io::Result<()> {
        if self.bytes() + more > self.make.capacity {
            return Err(io::Error::from_raw_os_error(ENOSPC));
        }
        Ok(())
    }

    fn apply(&mut self, file: usize, change: Change) {
        let file = &mut self.files[file];
        change.apply(&mut file.now);
        file.pending.push(change);
        self.changed();
    }

    /// What came and went before is durable with what is synced now.
    fn commit(&mut self) {
        for step in std::mem::take(&mut self.moves) {
            step.apply(&mut self.durable);
        }
    }

    /// What came and went in the ledger's directory is durable, as files: not what is in them.
    fn sync_ledger(&mut self) {
        let of_ledger = |step: &Move| match step {
            Move::Came(number, _) | Move::Went(number) => *number >= LEDGER,
        };
        for step in self.moves.extract_if(.., |step| of_ledger(step)) {
            step.apply(&mut self.durable);
        }
    }

    fn create(&mut self, number: u32) -> usize {
        self.files.push(File::default());
        let file = self.files.len() - 1;
        self.segments.insert(number, file);
        self.moves.push(Move::Came(number, file));
        file
    }
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Write(at, written) => {
                let end = at + written.len();
                if bytes.len() < end {
                    bytes.resize(end, 0);
                }
                bytes[*at..end].copy_from_slice(written);
            }
            Self::Cut(length) => bytes.resize(*length, 0),
        }
    }
}

impl Move {
    fn apply(self, segments: &mut BTreeMap<u32, usize>) {
        match self {
            Self::Came(number, file) => segments.insert(number, file),
            Self::Went(number) => segments.remove(&number),
        };
    }
}

/// Files of the ledger are segments whose numbers begin here.
const LEDGER: u32 = 1 << 31;

const EIO: i32 = 5;
const ENOSPC: i32 = 28;
const EROFS: i32 = 30;

/// What a file of so many bytes takes.
fn rounded(length: usize) -> u64 {
    (length as u64).div_ceil(4096) * 4096
}

/// A process that may open the disk, and open it again after it failed although a reader holds the earlier opening.
#[derive(Debug)]
pub struct Process {
    disk: Disk,
    id: u64,
}

impl Disk {
    /// A disk that is frozen keeps nobody waiting who reads at once.
    fn reads(&self, how: How) -> io::Result<()> {
        let would_block = how == How::AtOnce && !self.1;
        if would_block { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
    }

    /// Another process.
    pub fn process(&self) -> Arc<Process> {
        let mut state = self.0.lock();
        state.processes += 1;
        Arc::new(Process { disk: self.clone(), id: state.processes })
    }
}

impl Opener for Process {
    fn open(&self) -> Result<Arc<dyn Volume>, OpenError> {
        let mut state = self.disk.0.lock();
        if state.locked > 0 && state.holder != self.id {
            return Err(OpenError::InUse("the double".into()));
        }
        let failed = |Failure(error)| OpenError::Io { path: "the double".into(), error };
        state.begin(Does::Look).map_err(failed)?;
        state.locked += 1;
        state.holder = self.id;
        Ok(Arc::new(Opened(self.disk.clone())))
    }
}

/// The disk as the process has it that opened it.
#[derive(Debug)]
struct Opened(Disk);

impl Drop for Opened {
    fn drop(&mut self) {
        let mut state = self.0.0.lock();
        state.locked = state.locked.saturating_sub(1);
    }
}

impl Volume for Opened {
    fn read_note(&self, note: Note) -> io::Result<Option<Vec<u8>>> {
        let mut state = self.0.0.lock();
        state.begin(Does::Read).map_err(|Failure(error)| error)?;
        Ok(state.notes.get(note.name()).cloned())
    }

    fn write_note(&self, note: Note, text: &[u8]) -> io::Result<()> {
        let mut state = self.0.0.lock();
        if let Err(Failure(error)) = state.begin(Does::Grow) {
            // The old one or the new one.
            if state.random.u8(..4) == 0 {
                state.notes.insert(note.name(), text.to_vec());
            }
            return Err(error);
        }
        state.has_room(text.len() as u64)?;
        state.notes.insert(note.name(), text.to_vec());
        if state.make.ordered {
            state.commit();
        }
        Ok(())
    }

    fn segments(&self) -> io::Result<Vec<u32>> {
        let mut state = self.0.0.lock();
        state.begin(Does::Look).map_err(|Failure(error)| error)?;
        let mut numbers: Vec<u32> = state.segments.range(..LEDGER).map(|(number, _)| *number).collect();
        state.random.shuffle(&mut numbers);
        Ok(numbers)
    }

    fn ledgers(&self) -> io::Result<Vec<u32>> {
        let mut state = self.0.0.lock();
        state.begin(Does::Look).map_err(|Failure(error)| error)?;
        let mut numbers: Vec<u32> =
            state.segments.range(LEDGER..).map(|(number, _)| *number - LEDGER).collect();
        state.random.shuffle(&mut numbers);
        Ok(numbers)
    }

    fn create_ledger(&self, number: u32) -> io::Result<Arc<dyn SegmentFile>> {
        let created = self.create_segment(number + LEDGER)?;
        self.0.0.lock().sync_ledger();
        Ok(created)
    }

    fn open_ledger(&self, number: u32) -> io::Result<Arc<dyn SegmentFile>> {
        self.open_segment(number + LEDGER)
    }

    fn remove_ledger(&self, number: u32) -> io::Result<()> {
        self.remove_segment(number + LEDGER)?;
        self.0.0.lock().sync_ledger();
        Ok(())
    }

    fn create_segment(&self, number: u32) -> io::Result<Arc<dyn SegmentFile>> {
        let mut state = self.0.0.lock();
        if state.segments.contains_key(&number) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        if let Err(Failure(error)) = state.begin(Does::Grow) {
            if state.random.u8(..4) == 0 {
                state.create(number);
            }
            return Err(error);
        }
        let file = state.create(number);
        Ok(Arc::new(Segment { disk: self.0.clone(), file }))
    }

    fn open_segment(&self, number: u32) -> io::Result<Arc<dyn SegmentFile>> {
        let mut state = self.0.0.lock();
        state.begin(Does::Look).map_err(|Failure(error)| error)?;
        let file = *state.segments.get(&number).ok_or(io::ErrorKind::NotFound)?;
        Ok(Arc::new(Segment { disk: self.0.clone(), file }))
    }

    fn remove_segment(&self, number: u32) -> io::Result<()> {
        let mut state = self.0.0.lock();
        if !state.segments.contains_key(&number) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let failed = state.begin(Does::Shrink);
        if failed.is_ok() || state.random.u8(..4) == 0 {
            state.segments.remove(&number);
            state.moves.push(Move::Went(number));
        }
        failed.map_err(|Failure(error)| error)
    }

    fn write_content(&self, bytes: &[u8]) -> io::Result<Address> {
        let address = *blake3::hash(bytes).as_bytes();
        let mut state = self.0.0.lock();
        let failed = state.begin(Does::Grow);
        if failed.is_ok() {
            let known = state.contents.contains_key(&address);
            state.has_room(if known { 0 } else { rounded(bytes.len()) })?;
        }
        if failed.is_ok() || state.random.u8(..8) == 0 {
            state.contents.insert(address, Bytes::copy_from_slice(bytes));
            state.changed();
        }
        failed.map_err(|Failure(error)| error).map(|()| Address(address))
    }

    fn read_content(&self, address: &Address, buffer: &mut [u8], how: How) -> io::Result<()> {
        self.0.reads(how)?;
        let mut state = self.0.0.lock();
        state.begin_read(how)?;
        let missing = if how == How::AtOnce { io::ErrorKind::WouldBlock } else { io::ErrorKind::NotFound };
        let bytes = state.contents.get(&address.0).ok_or(missing)?;
        if bytes.len() != buffer.len() {
            return Err(io::ErrorKind::InvalidData.into());
        }
        buffer.copy_from_slice(bytes);
        Ok(())
    }

    fn remove_content(&self, address: &Address) -> io::Result<()> {
        let mut state = self.0.0.lock();
        let failed = state.begin(Does::Shrink);
        if failed.is_ok() || state.random.u8(..4) == 0 {
            let bytes = state.contents.remove(&address.0);
            state.removed.extend(bytes.map(|bytes| (address.0, bytes)));
        }
        failed.map_err(|Failure(error)| error)
    }

    fn shelves(&self) -> io::Result<Vec<Shelf>> {
        let mut state = self.0.0.lock();
        state.begin(Does::List).map_err(|Failure(error)| error)?;
        let mut found: Vec<Shelf> = state.contents.keys().map(|address| Address(*address).shelf()).collect();
        found.dedup();
        Ok(found)
    }

    fn shelf(&self, number: Shelf) -> io::Result<Vec<(Address, u64)>> {
        let mut state = self.0.0.lock();
        state.begin(Does::List).map_err(|Failure(error)| error)?;
        let (mut first, mut last) = ([0; 32], [0xff; 32]);
        first[..2].copy_from_slice(&number.to_be_bytes());
        last[..2].copy_from_slice(&number.to_be_bytes());
        let found = state.contents.range(first..=last);
        Ok(found.map(|(address, bytes)| (Address(*address), bytes.len() as u64)).collect())
    }

    fn clear_unfinished(&self) -> io::Result<()> {
        self.0.0.lock().begin(Does::Shrink).map_err(|Failure(error)| error)
    }

    fn set_aside(&self) -> io::Result<()> {
        let mut state = self.0.0.lock();
        state.begin(Does::Grow).map_err(|Failure(error)| error)?;
        state.aside = state.bytes();
        state.segments.clear();
        state.durable.clear();
        state.moves.clear();
        state.contents.clear();
        state.removed.clear();
        state.notes.retain(|name, _| *name == Note::Probe.name());
        Ok(())
    }

    fn clear_aside(&self) -> io::Result<()> {
        let mut state = self.0.0.lock();
        state.begin(Does::Shrink).map_err(|Failure(error)| error)?;
        state.aside = 0;
        Ok(())
    }

    fn free_space(&self) -> io::Result<u64> {
        let mut state = self.0.0.lock();
        state.begin(Does::Look).map_err(|Failure(error)| error)?;
        Ok(state.make.capacity.saturating_sub(state.bytes()))
    }
}

/// A segment, open.
#[derive(Debug)]
struct Segment {
    disk: Disk,
    file: usize,
}

impl SegmentFile for Segment {
    fn len(&self) -> io::Result<u64> {
        let mut state = self.disk.0.lock();
        state.begin(Does::Look).map_err(|Failure(error)| error)?;
        Ok(state.files[self.file].now.len() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64, how: How) -> io::Result<()> {
        self.disk.reads(how)?;
        let mut state = self.disk.0.lock();
        while how == How::Patiently
            && state.index_held
            && state.segments.range(..LEDGER).any(|(_, file)| *file == self.file)
        {
            parking_lot::MutexGuard::unlocked(&mut state, std::thread::yield_now);
        }
        state.begin_read(how)?;
        let at = usize::try_from(offset).unwrap();
        let found = state.files[self.file].now.get(at..at + buffer.len());
        buffer.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut state = self.disk.0.lock();
        let at = usize::try_from(offset).unwrap();
        if let Err(Failure(error)) = state.begin(Does::Grow) {
            let some = state.torn(bytes.len());
            if some > 0 {
                state.apply(self.file, Change::Write(at, bytes[..some].to_vec()));
            }
            return Err(error);
        }
        let more = (at + bytes.len()).saturating_sub(state.files[self.file].now.len());
        state.has_room(more as u64)?;
        state.written += bytes.len() as u64;
        state.apply(self.file, Change::Write(at, bytes.to_vec()));
        Ok(())
    }

    fn cut(&self, length: u64) -> io::Result<()> {
        let mut state = self.disk.0.lock();
        state.begin(Does::Shrink).map_err(|Failure(error)| error)?;
        state.apply(self.file, Change::Cut(usize::try_from(length).unwrap()));
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.disk.0.lock();
        state.begin(Does::Sync).map_err(|Failure(error)| error)?;
        let file = &mut state.files[self.file];
        if !file.pending.is_empty() {
            file.pending.clear();
            file.durable.clone_from(&file.now);
        }
        if state.make.ordered {
            state.commit();
        } else if let Some(at) =
            state.moves.iter().position(|step| matches!(step, Move::Came(_, file) if *file == self.file))
        {
            let step = state.moves.remove(at);
            step.apply(&mut state.durable);
        }
        Ok(())
    }
}
