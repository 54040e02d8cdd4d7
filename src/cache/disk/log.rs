//! The index on disk: segments that are appended to by the keeper and read by all.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::RwLock;
use tokio::time::Instant;

use super::segment::{self, Found, Frame, HEADER, Kind, Line, Put, Spot};
use super::table::Place;
use super::volume::{How, SegmentFile, Volume};

/// All segments.
#[derive(Debug, Default)]
pub struct Log {
    segments: RwLock<BTreeMap<u32, Arc<Segment>>>,
    /// Bytes of all their files.
    bytes: AtomicU64,
}

/// A record that was read and verified.
#[derive(Debug)]
pub struct Read {
    /// Header and head of its frame, of which the payload is this part.
    bytes: Vec<u8>,
    payload: Range<usize>,
}

impl Read {
    /// The record.
    pub fn payload(&self) -> &[u8] {
        self.bytes.get(self.payload.clone()).unwrap_or_default()
    }
}

/// A segment, and what of it is alive.
#[derive(Debug)]
pub struct Segment {
    number: u32,
    file: Arc<dyn SegmentFile>,
    /// Bytes of the file, and those of them that are frames: the rest is the summary.
    bytes: AtomicU64,
    frames: AtomicU64,
    /// Bytes of records that the table points to.
    alive: AtomicU64,
    /// Bytes of frames that say that a slot is empty: needed while an older segment may have a record of it.
    emptied: AtomicU64,
}

impl Log {
    /// The record at `place`, and its content, as far as `content` is not empty; blocking, if it is read patiently. The error
    /// is `NotFound` if its segment is gone, which may mean that the record has moved, and `InvalidData` if it is not what
    /// was written.
    pub fn read(&self, slot: u64, place: Place, content: &mut [u8], how: How) -> io::Result<Read> {
        let segment = self.segment(place.spot.segment).ok_or(io::ErrorKind::NotFound)?;
        let behind = place.within as usize + segment::guard(place.within as usize).len();
        let mut bytes = vec![0; (place.length as usize).saturating_sub(behind)];
        let offset = u64::from(place.spot.offset);
        let read = if content.is_empty() {
            segment.file.read_at(&mut bytes, offset, how)
        } else {
            segment.file.read_both_at([&mut bytes, &mut *content], offset, how)
        };
        read.map_err(|error| match error.kind() {
            // The file is shorter than it was.
            io::ErrorKind::UnexpectedEof => io::ErrorKind::InvalidData.into(),
            _ => error,
        })?;
        let whole = Frame::verify(&bytes, place.spot).filter(|frame| {
            let is_it = frame.kind == Kind::Put && frame.slot == slot && frame.within == place.within;
            is_it && (content.is_empty() || frame.verify_content(content))
        });
        let length = whole.ok_or(io::ErrorKind::InvalidData)?.payload.len();
        let payload = HEADER as usize..HEADER as usize + length;
        Ok(Read { bytes, payload })
    }

    /// Bytes of all segments.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Bytes of all records that the table points to.
    pub fn alive(&self) -> u64 {
        let segments = self.segments.read();
        segments.values().map(|segment| segment.alive.load(Ordering::Relaxed)).sum()
    }

    /// The file of a segment is so long now, and so much of it is frames.
    fn resize(&self, segment: &Segment, bytes: u64, frames: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.bytes.fetch_sub(segment.bytes.swap(bytes, Ordering::Relaxed), Ordering::Relaxed);
        segment.frames.store(frames, Ordering::Relaxed);
    }

    /// The table points to a record of so many bytes in a segment.
    pub fn revive(&self, place: Place) {
        if let Some(segment) = self.segment(place.spot.segment) {
            segment.alive.fetch_add(u64::from(place.length), Ordering::Relaxed);
        }
    }

    /// The table does not point to a record any more.
    pub fn kill(&self, place: Place) {
        if let Some(segment) = self.segment(place.spot.segment) {
            segment.alive.fetch_sub(u64::from(place.length), Ordering::Relaxed);
        }
    }

    /// A segment says of slots, in so many bytes, that they are empty.
    pub fn note_emptied(&self, segment: u32, bytes: u32) {
        if let Some(segment) = self.segment(segment) {
            segment.emptied.fetch_add(u64::from(bytes), Ordering::Relaxed);
        }
    }

    /// Adds a segment that was found or made.
    /// `bytes` are those of the file, and of its frames.
    pub fn add(&self, number: u32, file: Arc<dyn SegmentFile>, (bytes, frames): (u64, u64)) {
        let (alive, emptied) = (AtomicU64::new(0), AtomicU64::new(0));
        let (own, own_frames) = (AtomicU64::new(0), AtomicU64::new(0));
        let segment = Segment { number, file, bytes: own, frames: own_frames, alive, emptied };
        self.resize(&segment, bytes, frames);
        self.segments.write().insert(number, Arc::new(segment));
    }

    /// Takes a segment out. Who reads it now may go on.
    pub fn remove(&self, number: u32) {
        if let Some(segment) = self.segments.write().remove(&number) {
            self.bytes.fetch_sub(segment.bytes(), Ordering::Relaxed);
        }
    }

    /// The lines of a segment, read from its file.
    pub fn lines(&self, number: u32) -> io::Result<Vec<Line>> {
        let segment = self.segment(number).ok_or(io::ErrorKind::NotFound)?;
        Ok(segment::survey(&*segment.file, number)?.lines)
    }

    /// Bytes of frames that say that a slot is empty.
    pub fn emptied(&self) -> u64 {
        self.segments.read().values().map(|segment| segment.emptied.load(Ordering::Relaxed)).sum()
    }

    /// Bytes of all frames of a segment.
    pub fn frames(&self, number: u32) -> u64 {
        self.segment(number).map_or(0, |segment| segment.frames.load(Ordering::Relaxed))
    }

    /// The oldest segment but `active`.
    pub fn oldest(&self, active: Option<u32>) -> Option<u32> {
        self.segments.read().keys().find(|number| Some(**number) != active).copied()
    }

    /// Whether a segment is the oldest of all.
    pub fn is_oldest(&self, number: u32) -> bool {
        self.segments.read().first_key_value().is_some_and(|(first, _)| *first == number)
    }

    /// The segment with the largest part of garbage, at least a third of it, but `active`.
    pub fn most_wasted(&self, active: Option<u32>) -> Option<u32> {
        let segments = self.segments.read();
        let oldest = segments.first_key_value().map(|(number, _)| *number);
        let thousandths = |segment: &Segment| segment.wasted(oldest) * 1000 / segment.bytes().max(1);
        let candidates = segments.values().filter(|segment| Some(segment.number) != active);
        let most = candidates.max_by_key(|segment| thousandths(segment))?;
        (thousandths(most) >= 333).then_some(most.number)
    }

    fn segment(&self, number: u32) -> Option<Arc<Segment>> {
        self.segments.read().get(&number).cloned()
    }
}

impl Segment {
    fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Bytes that cleaning would give back.
    fn wasted(&self, oldest: Option<u32>) -> u64 {
        let emptied = if oldest == Some(self.number) { 0 } else { self.emptied.load(Ordering::Relaxed) };
        self.frames.load(Ordering::Relaxed).saturating_sub(self.alive.load(Ordering::Relaxed) + emptied)
    }
}

/// Writes to the log. There is one, the keeper's.
#[derive(Debug)]
pub struct Appender {
    volume: Arc<dyn Volume>,
    log: Arc<Log>,
    active: Option<Active>,
    /// The number that the next segment gets.
    next: u32,
    /// Bytes that a segment is to have.
    size: u32,
    /// Segments that were written to since they were last made durable.
    dirty: Vec<Arc<Segment>>,
    /// A sync under way in a thread of its own, and when the last one began.
    syncing: Option<Syncing>,
    synced_at: Instant,
}

/// Segments that are being made durable.
#[derive(Debug)]
struct Syncing {
    thread: JoinHandle<io::Result<()>>,
    segments: Vec<Arc<Segment>>,
}

/// Full segments that may wait to be made durable; with more the keeper waits, because the disk does not keep up.
const MOST_DIRTY: usize = 4;

/// The segment that is written to.
#[derive(Debug)]
struct Active {
    segment: Arc<Segment>,
    end: u32,
    lines: Vec<Line>,
}

impl Appender {
    /// An appender behind all segments of `log`; it goes on with the newest if that is not full, and whole: behind a torn
    /// end, bytes of an earlier life could be taken for frames again.
    pub fn new(
        volume: Arc<dyn Volume>,
        log: Arc<Log>,
        size: u32,
        (next, newest): (u32, Option<(u32, Found)>),
    ) -> io::Result<Self> {
        let mut appender = Self {
            volume,
            log,
            active: None,
            next,
            size,
            dirty: Vec::new(),
            syncing: None,
            synced_at: Instant::now(),
        };
        if let Some((number, found)) = newest.filter(|(_, found)| found.lost == 0 && found.end < size / 4 * 3)
            && let Some(segment) = appender.log.segment(number)
        {
            segment.file.cut(u64::from(found.end))?;
            segment.file.sync()?;
            let end = u64::from(found.end);
            appender.log.resize(&segment, end, end);
            appender.active = Some(Active { segment, end: found.end, lines: found.lines });
        }
        Ok(appender)
    }

    /// The number of the segment that is written to.
    pub fn active(&self) -> Option<u32> {
        self.active.as_ref().map(|active| active.segment.number)
    }

    /// Bytes of memory that it takes: the lines of the segment that has no summary yet.
    pub fn weight(&self) -> u64 {
        self.active.as_ref().map_or(0, |active| active.lines.capacity() as u64 * size_of::<Line>() as u64)
    }

    /// Blocking: appends the record of a slot with the content that lies behind it, visible to readers once the table points
    /// to it.
    pub fn put(&mut self, slot: u64, payload: &[u8], content: &[u8], put: Put) -> io::Result<Place> {
        self.append(Kind::Put, slot, (payload, content), Some(put))
    }

    /// Blocking: says that a slot is empty.
    pub fn gone(&mut self, slot: u64) -> io::Result<()> {
        let place = self.append(Kind::Gone, slot, (&[], &[]), None)?;
        self.log.note_emptied(place.spot.segment, place.length);
        Ok(())
    }

    fn append(
        &mut self,
        kind: Kind,
        slot: u64,
        (payload, content): (&[u8], &[u8]),
        put: Option<Put>,
    ) -> io::Result<Place> {
        let within = u32::try_from(content.len()).ok().filter(|_| content.len() <= segment::MOST_CONTENT);
        let head = u32::try_from(payload.len()).ok();
        let head = head.and_then(|head| head.checked_add(segment::overhead(content.len())));
        let length = within.zip(head).and_then(|(within, head)| head.checked_add(within));
        let (Some(within), Some(length)) = (within, length) else {
            return Err(io::ErrorKind::FileTooLarge.into());
        };
        if self.active.as_ref().is_some_and(|active| active.end.saturating_add(length) > self.size) {
            self.seal()?;
        }
        let active = match &mut self.active {
            Some(active) => active,
            None => self.active.insert(Self::begin(&*self.volume, &self.log, &mut self.next)?),
        };
        let at = Spot { segment: active.segment.number, offset: active.end };
        let frame = segment::frame(kind, slot, payload, content, at);
        let pieces = [&frame, content, segment::guard(content.len())];
        active.segment.file.write_all_at(pieces, u64::from(at.offset))?;
        active.lines.push(Line { slot, offset: at.offset, length, put });
        active.end += length;
        let end = u64::from(active.end);
        self.log.resize(&active.segment, end, end);
        if self.dirty.last().is_none_or(|last| !Arc::ptr_eq(last, &active.segment)) {
            self.dirty.push(Arc::clone(&active.segment));
        }
        Ok(Place { spot: at, length, within })
    }

    fn begin(volume: &dyn Volume, log: &Log, next: &mut u32) -> io::Result<Active> {
        let number = *next;
        let file = volume.create_segment(number)?;
        *next = number.checked_add(1).ok_or_else(|| io::Error::other("no numbers are left for segments"))?;
        log.add(number, file, (0, 0));
        let segment = log.segment(number).ok_or(io::ErrorKind::NotFound)?;
        Ok(Active { segment, end: 0, lines: Vec::new() })
    }

    /// Blocking: ends the active segment with its summary, so that it is quick to load. It is made durable aside, unless too
    /// much waits for that.
    pub fn seal(&mut self) -> io::Result<()> {
        let Some(active) = &self.active else { return Ok(()) };
        let (number, file) = (active.segment.number, &active.segment.file);
        let summary = postcard::to_allocvec(&active.lines).map_err(io::Error::other)?;
        let spot = Spot { segment: number, offset: active.end };
        let mut tail = segment::frame(Kind::Summary, 0, &summary, &[], spot);
        let trailer = u32::try_from(tail.len()).ok().and_then(|length| active.end.checked_add(length));
        if let Some(offset) = trailer {
            let spot = Spot { segment: number, offset };
            tail.extend_from_slice(&segment::frame(Kind::Trailer, u64::from(active.end), &[], &[], spot));
        }
        // One that cannot be ended stays the active one, and is tried again.
        file.write_at(&tail, u64::from(active.end))?;
        let end = u64::from(active.end);
        self.log.resize(&active.segment, end + tail.len() as u64, end);
        self.dirty.retain(|dirty| !Arc::ptr_eq(dirty, &active.segment));
        self.dirty.push(Arc::clone(&active.segment));
        self.active = None;
        if self.dirty.len() > MOST_DIRTY {
            self.end_sync_aside()?;
        }
        self.sync_aside(Duration::ZERO)
    }

    /// Blocking: makes durable what was written.
    pub fn sync(&mut self) -> io::Result<()> {
        self.end_sync_aside()?;
        while let Some(segment) = self.dirty.last() {
            segment.file.sync()?;
            self.dirty.pop();
        }
        Ok(())
    }

    /// Makes durable what was written, in a thread of its own, if the last time is so long ago: a sync may take seconds
    /// on a busy disk. An error is told at the next call.
    pub fn sync_aside(&mut self, every: Duration) -> io::Result<()> {
        if self.syncing.as_ref().is_some_and(|syncing| !syncing.thread.is_finished()) {
            return Ok(());
        }
        self.end_sync_aside()?;
        if !self.dirty.is_empty() && self.synced_at.elapsed() >= every {
            let segments = self.dirty.clone();
            let sync = move || segments.iter().try_for_each(|segment| segment.file.sync());
            let thread = std::thread::Builder::new().name("disk-sync".into()).spawn(sync)?;
            self.syncing = Some(Syncing { thread, segments: std::mem::take(&mut self.dirty) });
            self.synced_at = Instant::now();
        }
        Ok(())
    }

    /// What could not be made durable is to be tried again.
    fn end_sync_aside(&mut self) -> io::Result<()> {
        let Some(Syncing { thread, segments }) = self.syncing.take() else { return Ok(()) };
        let synced =
            thread.join().unwrap_or_else(|_| Err(io::Error::other("the thread that syncs has ended")));
        if synced.is_err() {
            self.dirty.splice(..0, segments);
        }
        synced
    }

    /// Ends the active segment as it is, because it is to be removed.
    pub fn leave(&mut self) {
        self.active = None;
    }

    /// Blocking: removes a segment to which the table points no more.
    pub fn remove(&mut self, number: u32) -> io::Result<()> {
        self.volume.remove_segment(number)?;
        self.dirty.retain(|segment| segment.number != number);
        self.log.remove(number);
        Ok(())
    }
}
