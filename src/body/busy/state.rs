//! What a busy body holds at one moment: segments in order, readers, and perhaps its end.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Waker;

use bytes::Bytes;

use super::spill::{GIVEN_BACK, SpillFile};
use super::{BodyError, End, Retention};
use crate::body::budget::Charge;

/// What one segment costs beside its bytes, so that a drip of tiny chunks is accounted for.
pub(super) const SEGMENT_OVERHEAD: u64 = 96;

/// A run of bytes that lie together.
#[derive(Debug)]
pub(super) struct Segment {
    /// Offset of its first byte in the body.
    pub(super) start: u64,
    pub(super) len: u64,
    pub(super) place: Place,
}

impl Segment {
    pub(super) fn end(&self) -> u64 {
        self.start + self.len
    }
}

#[derive(Debug)]
pub(super) enum Place {
    /// In memory. The charge is here, or (sealed blocks) inside the bytes.
    Memory(Bytes, #[allow(dead_code, reason = "held for its drop")] Option<Charge>),
    /// In the spill file, at this offset of the file.
    File(Arc<SpillFile>, u64),
}

#[allow(clippy::struct_excessive_bools, reason = "each is one thing that has happened, on its own")]
#[derive(Debug)]
pub(super) struct State {
    pub(super) retention: Retention,
    pub(super) segments: VecDeque<Segment>,
    /// Offset of the first byte that is still kept.
    pub(super) start: u64,
    /// Bytes written so far.
    pub(super) len: u64,
    /// Bytes of segments in memory.
    pub(super) memory: u64,
    /// How long it may become.
    pub(super) limit: u64,
    /// How long it may become while it is spooled.
    pub(super) most_spooled: u64,
    pub(super) end: Option<End>,
    /// Nobody wanted it any more at some moment: it will not be finished, so nobody may join.
    pub(super) abandoned: bool,
    /// Some reader has asked for bytes that were not there.
    pub(super) demanded: bool,
    /// There was no room for what followed, in memory or in a file, until its only reader took something.
    pub(super) is_pressed: bool,
    /// Some reader reads parts only, and may wait far ahead of what is there.
    pub(super) skipping: bool,
    pub(super) readers: Readers,
}

impl State {
    pub(super) fn new(retention: Retention) -> Self {
        Self {
            retention,
            segments: VecDeque::new(),
            start: 0,
            len: 0,
            memory: 0,
            limit: u64::MAX,
            most_spooled: u64::MAX,
            end: None,
            abandoned: false,
            demanded: false,
            is_pressed: false,
            skipping: false,
            readers: Readers::default(),
        }
    }

    /// Adds bytes at the end, in memory.
    pub(super) fn push(&mut self, bytes: Bytes, charge: Charge) {
        let len = bytes.len() as u64;
        let start = self.len;
        self.segments.push_back(Segment { start, len, place: Place::Memory(bytes, Some(charge)) });
        self.len += len;
        self.memory += len;
    }

    /// The segment that holds the byte at `position`.
    pub(super) fn segment_at(&self, position: u64) -> Option<&Segment> {
        let after = self.segments.partition_point(|segment| segment.end() <= position);
        self.segments.get(after).filter(|segment| segment.start <= position)
    }

    /// Puts `place` in the place of the segments that cover exactly `start..end`, unless they were freed.
    pub(super) fn replace(&mut self, start: u64, end: u64, place: Place) {
        let first = self.segments.partition_point(|segment| segment.end() <= start);
        let last = self.segments.partition_point(|segment| segment.end() <= end);
        let covered: Vec<Segment> = self.segments.drain(first..last).collect();
        let Some(begin) = covered.first().map(|segment| segment.start) else { return };
        self.memory -= memory_of(&covered);
        // A reader may have freed the front of the range meanwhile: keep only what is still there.
        let skipped = begin - start;
        let place = match place {
            Place::Memory(bytes, charge) => {
                let kept = bytes.slice(usize::try_from(skipped).unwrap_or(bytes.len())..);
                self.memory += kept.len() as u64;
                Place::Memory(kept, charge)
            }
            Place::File(file, offset) => Place::File(file, offset + skipped),
        };
        self.segments.insert(first, Segment { start: begin, len: end - begin, place });
        self.merge_file_with_previous(first);
    }

    /// Runs that lie together in the file become one segment, so that a long spill stays a short queue.
    fn merge_file_with_previous(&mut self, index: usize) {
        let Some(previous) = index.checked_sub(1) else { return };
        let (Some(left), Some(right)) = (self.segments.get(previous), self.segments.get(index)) else {
            return;
        };
        let (Place::File(_, left_at), Place::File(_, right_at)) = (&left.place, &right.place) else { return };
        if left_at + left.len != *right_at {
            return;
        }
        let grown = right.len;
        self.segments.remove(index);
        if let Some(left) = self.segments.get_mut(previous) {
            left.len += grown;
        }
    }

    /// Frees what no reader will want again; true if that made room.
    pub(super) fn free_behind_slowest(&mut self) -> bool {
        if self.retention == Retention::Store {
            return false;
        }
        let keep_from = self.readers.slowest().unwrap_or(self.len);
        let mut freed = false;
        while let Some(front) = self.segments.front() {
            if front.end() > keep_from {
                break;
            }
            match &front.place {
                Place::Memory(..) => self.memory -= front.len,
                Place::File(file, offset) => file.is_dead_to(offset + front.len),
            }
            self.start = front.end();
            self.segments.pop_front();
            freed = true;
        }
        self.cut_front(keep_from) || freed
    }

    /// Frees the beginning of what is in the file, which may be all of a long body: true if it was enough to be given back.
    fn cut_front(&mut self, keep_from: u64) -> bool {
        let Some(front) = self.segments.front_mut() else { return false };
        let taken = keep_from.saturating_sub(front.start);
        let Place::File(file, offset) = &mut front.place else { return false };
        if taken < GIVEN_BACK {
            return false;
        }
        *offset += taken;
        file.is_dead_to(*offset);
        front.start += taken;
        front.len -= taken;
        self.start = front.start;
        true
    }

    /// Whether a reader that has come to `position` may have left something to be freed.
    pub(super) fn may_be_freed_at(&self, position: u64) -> bool {
        let is_enough = |front: &Segment| match front.place {
            Place::Memory(..) => front.end() <= position,
            Place::File(..) => front.end() <= position || front.start + GIVEN_BACK <= position,
        };
        self.retention != Retention::Store && self.segments.front().is_some_and(is_enough)
    }

    /// Whether the last bytes that were written are in memory, so that there is something to spill.
    pub(super) fn newest_is_in_memory(&self) -> bool {
        self.segments.back().is_some_and(|segment| matches!(segment.place, Place::Memory(..)))
    }

    /// Gives the body up if nobody reads it and it will not be stored. Decided here, under the lock under which
    /// readers join, so that none joins a body that its writer gives up.
    pub(super) fn abandon_if_unwanted(&mut self) {
        if self.retention != Retention::Store && self.readers.count() == 0 {
            self.abandoned = true;
        }
    }
}

fn memory_of(segments: &[Segment]) -> u64 {
    segments
        .iter()
        .filter(|segment| matches!(segment.place, Place::Memory(..)))
        .map(|segment| segment.len)
        .sum()
}

/// The readers, each in a slot of its own.
#[derive(Debug, Default)]
pub(super) struct Readers {
    slots: Vec<Option<Slot>>,
    vacant: Vec<usize>,
}

#[derive(Debug, Default)]
pub(super) struct Slot {
    /// Offset of the next byte that this reader wants.
    pub(super) position: u64,
    pub(super) waker: Option<Waker>,
    /// It waits for the end, and need not hear of more.
    pub(super) waits_for_end: bool,
    /// Set when this reader alone is ended.
    pub(super) ended: Option<BodyError>,
}

impl Readers {
    pub(super) fn add(&mut self) -> usize {
        let index = self.vacant.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() - 1
        });
        if let Some(slot) = self.slots.get_mut(index) {
            *slot = Some(Slot::default());
        }
        index
    }

    pub(super) fn remove(&mut self, index: usize) {
        if self.slots.get_mut(index).and_then(Option::take).is_some() {
            self.vacant.push(index);
        }
    }

    pub(super) fn get_mut(&mut self, index: usize) -> Option<&mut Slot> {
        self.slots.get_mut(index)?.as_mut()
    }

    /// How many readers there are that were not ended.
    pub(super) fn count(&self) -> usize {
        self.active().count()
    }

    /// The position of the reader farthest behind.
    pub(super) fn slowest(&self) -> Option<u64> {
        self.active().map(|slot| slot.position).min()
    }

    /// The position of the reader farthest ahead.
    pub(super) fn fastest(&self) -> Option<u64> {
        self.active().map(|slot| slot.position).max()
    }

    /// Ends the reader farthest behind, so that the others need not wait for it.
    pub(super) fn end_slowest(&mut self, error: BodyError) -> Option<Waker> {
        let slowest = self
            .slots
            .iter_mut()
            .flatten()
            .filter(|slot| slot.ended.is_none())
            .min_by_key(|slot| slot.position)?;
        slowest.ended = Some(error);
        slowest.waker.take()
    }

    /// Ends every reader; those who wait are to be woken after the lock is released.
    pub(super) fn end_all(&mut self, error: BodyError) -> Vec<Waker> {
        for slot in self.slots.iter_mut().flatten() {
            slot.ended.get_or_insert(error);
        }
        self.take_wakers()
    }

    /// Everyone who waits, to be woken after the lock is released.
    pub(super) fn take_wakers(&mut self) -> Vec<Waker> {
        self.slots.iter_mut().flatten().filter_map(|slot| slot.waker.take()).collect()
    }

    /// Everyone who waits for more, to be woken after the lock is released.
    pub(super) fn take_wakers_for_more(&mut self) -> Vec<Waker> {
        let waiting = self.slots.iter_mut().flatten().filter(|slot| !slot.waits_for_end);
        waiting.filter_map(|slot| slot.waker.take()).collect()
    }

    fn active(&self) -> impl Iterator<Item = &Slot> {
        self.slots.iter().flatten().filter(|slot| slot.ended.is_none())
    }
}
