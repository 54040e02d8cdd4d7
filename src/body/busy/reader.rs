//! One client's view of a busy body.

use std::collections::VecDeque;
use std::fmt;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use tokio_util::task::AbortOnDropHandle;

use super::super::budget::Charge;
use super::spill::SpillFile;
use super::state::{Place, State};
use super::{BodyError, BusyBody, End, Retention, Shared};

/// The most bytes that one read takes from the spill file.
const FILE_READ: u64 = 64 << 10;

/// The end of a reader of the whole.
const WHOLE: u64 = u64::MAX;

/// Reads a busy body from its first byte at its own pace, or parts of it. Dropping it leaves the body to the others.
#[derive(Debug)]
pub struct Reader {
    shared: Arc<Shared>,
    slot: usize,
    position: u64,
    /// The offset behind the part that it reads; of the whole, beyond every end.
    end: u64,
    /// The parts after that one.
    parts: VecDeque<Range<u64>>,
    from_file: Option<FromFile>,
    again: Option<Again>,
}

/// A read of the file under way, or one that waits for its turn, without a thread: in a task of its own, so that nobody holds a
/// turn who is not looked after. Dropped, one under way runs to its end on the blocking pool, and is thrown away.
struct FromFile(AbortOnDropHandle<std::io::Result<Bytes>>);

impl FromFile {
    fn new(file: Arc<SpillFile>, offset: u64, len: usize) -> Self {
        Self(AbortOnDropHandle::new(tokio::spawn(async move {
            let area = file.area().ok_or(std::io::ErrorKind::NotFound)?;
            let turn = Arc::clone(&area.reading).acquire_owned().await;
            // Allocated here, where it is freed: memory that changes threads is slow to come back.
            let buffer = vec![0; len];
            let read = tokio::task::spawn_blocking(move || {
                let _turn = turn;
                file.read(offset, buffer)
            });
            read.await.map_err(std::io::Error::other)?
        })))
    }
}

impl fmt::Debug for FromFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FromFile").finish_non_exhaustive()
    }
}

/// What was put back.
#[derive(Debug)]
struct Again {
    pieces: VecDeque<Bytes>,
    _charge: Charge,
}

/// Where the next bytes of a reader are.
enum Next {
    Bytes(Bytes),
    File(Arc<SpillFile>, u64, usize),
    End(End),
}

impl Reader {
    pub(super) fn join(shared: &Arc<Shared>) -> Option<Self> {
        let mut state = shared.state.lock();
        let gone = state.start > 0 || state.abandoned;
        if gone || matches!(state.end, Some(End::Failed(_))) {
            return None;
        }
        Some(Self::sit(shared, &mut state))
    }

    /// The first reader of a body in which nothing has happened yet.
    pub(super) fn first(shared: &Arc<Shared>) -> Self {
        Self::sit(shared, &mut shared.state.lock())
    }

    fn sit(shared: &Arc<Shared>, state: &mut State) -> Self {
        let slot = state.readers.add();
        Self {
            shared: Arc::clone(shared),
            slot,
            position: 0,
            end: WHOLE,
            parts: VecDeque::new(),
            from_file: None,
            again: None,
        }
    }

    /// Reads these parts only, one after the other and no trailers: for a reader that has not begun. The parts are in
    /// order and none overlaps another, so that what lies before and between them need not be kept for this reader. A
    /// body that ends within a part is incomplete.
    #[must_use]
    pub fn parts(mut self, parts: impl IntoIterator<Item = Range<u64>>) -> Self {
        self.parts = parts.into_iter().collect();
        (self.position, self.end) = (0, 0);
        self.next_part();
        let mut state = self.shared.state.lock();
        state.skipping = true;
        if let Some(slot) = state.readers.get_mut(self.slot) {
            slot.position = self.position;
        }
        state.free_behind_slowest();
        drop(state);
        self.shared.room.notify_one();
        self
    }

    /// Goes on to the next part, if there is one.
    fn next_part(&mut self) {
        if let Some(part) = self.parts.pop_front() {
            (self.position, self.end) = (part.start, part.end);
        }
    }

    /// The first bytes, if they have come and are in memory. Nothing is taken.
    pub fn first_bytes(&self) -> Option<Bytes> {
        let state = self.shared.state.lock();
        match &state.segments.front().filter(|segment| segment.start == 0)?.place {
            Place::Memory(bytes, _) => Some(bytes.clone()),
            Place::File(..) => None,
        }
    }

    /// The next bytes, `None` after the last. Cancel-safe: bytes are taken only when they are returned.
    pub async fn next(&mut self) -> Option<Result<Bytes, BodyError>> {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }

    /// The next bytes, `None` after the last one. After an error the reader stays at it.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        if let Some(again) = &mut self.again {
            match again.pieces.pop_front() {
                Some(bytes) => return Poll::Ready(Some(Ok(bytes))),
                None => self.again = None,
            }
        }
        if self.position >= self.end {
            return Poll::Ready(None);
        }
        if self.from_file.is_none() {
            match ready!(self.look(cx)) {
                Ok(Next::Bytes(bytes)) => return Poll::Ready(Some(Ok(self.take(bytes)))),
                Ok(Next::End(End::Finished(_))) if self.end == WHOLE => return Poll::Ready(None),
                Ok(Next::End(End::Finished(_))) => return Poll::Ready(Some(Err(BodyError::Incomplete))),
                Ok(Next::End(End::Failed(error))) | Err(error) => return Poll::Ready(Some(Err(error))),
                Ok(Next::File(file, offset, len)) => {
                    self.from_file = Some(FromFile::new(file, offset, len));
                }
            }
        }
        let Some(read) = &mut self.from_file else { return Poll::Pending };
        let read =
            ready!(Pin::new(&mut read.0).poll(cx)).map_err(std::io::Error::other).and_then(|read| read);
        self.from_file = None;
        match read {
            // Who was ended meanwhile may have read what was given back by then.
            Ok(_) if self.was_ended() => Poll::Ready(Some(Err(BodyError::TooSlow))),
            Ok(bytes) => Poll::Ready(Some(Ok(self.take(bytes)))),
            Err(error) => {
                tracing::error!(%error, "a spill file could not be read back");
                Poll::Ready(Some(Err(BodyError::Spill)))
            }
        }
    }

    /// How long the body is, once all of it has come, of which nothing is taken meanwhile. `None` as soon as it cannot be kept
    /// until then: it is too long, or without an end, or there is no room for it. For a reader that has not begun, and reads
    /// the whole. Cancel-safe.
    pub fn poll_whole(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<u64>, BodyError>> {
        let mut state = self.shared.state.lock();
        let is_not_kept = state.retention == Retention::Window || state.is_pressed;
        let (end, length) = (state.end.clone(), state.len);
        let Some(slot) = state.readers.get_mut(self.slot) else {
            return Poll::Ready(Err(BodyError::Aborted));
        };
        match (slot.ended, end) {
            (Some(error), _) | (None, Some(End::Failed(error))) => return Poll::Ready(Err(error)),
            (None, Some(End::Finished(_))) => return Poll::Ready(Ok(Some(length))),
            (None, None) if is_not_kept => return Poll::Ready(Ok(None)),
            (None, None) => {}
        }
        (slot.waker, slot.waits_for_end) = (Some(cx.waker().clone()), true);
        if !std::mem::replace(&mut state.demanded, true) {
            drop(state);
            self.shared.room.notify_one();
        }
        Poll::Pending
    }

    /// How long the body is, if all of it has come.
    pub fn whole_length(&self) -> Option<u64> {
        let state = self.shared.state.lock();
        matches!(state.end, Some(End::Finished(_))).then_some(state.len)
    }

    /// Puts back what this reader gave, in that order: it gives it once more before it goes on, and is then where it
    /// was, be that an error. `charge` is what this takes of the budget meanwhile.
    pub fn put_back(&mut self, pieces: Vec<Bytes>, charge: Charge) {
        self.again = Some(Again { pieces: pieces.into(), _charge: charge });
    }

    /// The trailers, once the body has come to its end.
    pub fn trailers(&self) -> Option<Arc<HeaderMap>> {
        if self.end != WHOLE {
            return None;
        }
        match &self.shared.state.lock().end {
            Some(End::Finished(trailers)) => trailers.clone(),
            _ => None,
        }
    }

    /// The body that this reads.
    pub fn body(&self) -> BusyBody {
        BusyBody(Arc::clone(&self.shared))
    }

    /// Whether every byte was taken and none will follow.
    pub fn is_finished(&self) -> bool {
        if self.end != WHOLE {
            return self.position >= self.end;
        }
        let state = self.shared.state.lock();
        let read =
            self.position == state.len && self.again.as_ref().is_none_or(|again| again.pieces.is_empty());
        matches!(state.end, Some(End::Finished(None))) && read
    }

    fn was_ended(&self) -> bool {
        let mut state = self.shared.state.lock();
        state.readers.get_mut(self.slot).is_none_or(|slot| slot.ended.is_some())
    }

    fn look(&self, cx: &mut Context<'_>) -> Poll<Result<Next, BodyError>> {
        let mut state = self.shared.state.lock();
        if let Some(next) = next_for(&state, self.position, self.end) {
            let ended = state.readers.get_mut(self.slot).and_then(|slot| slot.ended);
            return Poll::Ready(ended.map_or(Ok(next), Err));
        }
        match state.readers.get_mut(self.slot) {
            Some(slot) if slot.ended.is_none() => {
                (slot.waker, slot.waits_for_end) = (Some(cx.waker().clone()), false);
                if !std::mem::replace(&mut state.demanded, true) {
                    drop(state);
                    self.shared.room.notify_one();
                }
                Poll::Pending
            }
            Some(slot) => Poll::Ready(Err(slot.ended.unwrap_or(BodyError::TooSlow))),
            None => Poll::Ready(Err(BodyError::Aborted)),
        }
    }

    /// Moves past `bytes`, and frees what nobody wants any more.
    fn take(&mut self, bytes: Bytes) -> Bytes {
        self.position += bytes.len() as u64;
        if self.position >= self.end {
            self.next_part();
        }
        let mut state = self.shared.state.lock();
        let may_free = state.may_be_freed_at(self.position);
        if let Some(slot) = state.readers.get_mut(self.slot) {
            slot.position = self.position;
        }
        let freed = may_free && state.free_behind_slowest();
        drop(state);
        if freed {
            self.shared.room.notify_one();
        }
        bytes
    }
}

fn next_for(state: &State, position: u64, end: u64) -> Option<Next> {
    if let Some(segment) = state.segment_at(position) {
        let skip = position - segment.start;
        return Some(match &segment.place {
            Place::Memory(bytes, _) => {
                let mut rest = bytes.slice(usize::try_from(skip).unwrap_or(bytes.len())..);
                rest.truncate(usize::try_from(end - position).unwrap_or(usize::MAX));
                Next::Bytes(rest)
            }
            Place::File(file, offset) => {
                let len = (segment.len - skip).min(end - position).min(FILE_READ);
                Next::File(Arc::clone(file), offset + skip, usize::try_from(len).unwrap_or(0))
            }
        });
    }
    if position < state.len {
        // What this reader wants was freed: it was ended. Never let a gap look like the end.
        return Some(Next::End(End::Failed(BodyError::TooSlow)));
    }
    state.end.clone().map(Next::End)
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut state = self.shared.state.lock();
        state.readers.remove(self.slot);
        state.free_behind_slowest();
        state.abandon_if_unwanted();
        drop(state);
        self.shared.room.notify_one();
    }
}
