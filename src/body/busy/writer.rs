//! The one writer of a busy body.

use std::sync::Arc;
use std::task::Waker;

use bytes::Bytes;
use http::HeaderMap;

use super::spill::{RoomFor, SpillFile};
use super::state::{Place, SEGMENT_OVERHEAD, State};
use super::{BodyError, End, Retention, Shared};
use crate::body::block::BlockMemory;
use crate::body::content::{BLOCK, Content, INLINE_MAX, Parts};

/// Bytes beyond the memory window are written to the spill file in batches of at least this size, and at most that.
const SPILL_BATCH: u64 = 64 << 10;
const MOST_AT_ONCE: u64 = 1 << 20;

/// Nobody reads the body any more and it will not be stored: the transfer should end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("nobody wants this body any more")]
pub struct Abandoned;

/// Appends to a busy body. Dropping it before [`Writer::finish`] fails the body: an unfinished writer never
/// passes for a whole body.
#[derive(Debug)]
pub struct Writer {
    shared: Arc<Shared>,
    /// Memory for all of it was set aside.
    set_aside: bool,
    /// Everything before this offset is sealed into blocks.
    sealed: u64,
    blocks: Vec<Bytes>,
    spill: Option<Arc<SpillFile>>,
    /// The spill directory failed: this body waits for its readers instead.
    spill_failed: bool,
    /// For so many bytes there was no room in files just now: it waits for that as well as for its readers.
    lacks_room_for: Option<u64>,
    ended: bool,
}

/// Chunks below this size are copied. A chunk is a slice of the buffer that it was read into; kept as it is, a
/// drip of small ones would keep many times its bytes alive.
const COPIED: usize = 4 << 10;

/// What an attempt to add bytes came to.
enum Outcome {
    Added(Retention),
    /// The newest bytes are over what may stay in memory: spill all beyond so many bytes, then try again.
    SpillFirst(u64),
    /// Wait until a reader makes room.
    NoRoom,
    Again,
    Abandoned,
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            set_aside: false,
            sealed: 0,
            blocks: Vec::new(),
            spill: None,
            spill_failed: false,
            lacks_room_for: None,
            ended: false,
        }
    }

    /// Memory for all of it was set aside ([`crate::body::budget::Reservation`]): it is kept for storing whatever else
    /// is charged.
    pub fn memory_is_set_aside(&mut self) {
        self.set_aside = true;
    }

    /// What is kept of the bytes now. It may have gone down because a budget was used up.
    pub fn retention(&self) -> Retention {
        self.shared.state.lock().retention
    }

    /// Keeps less from now on; asking for more than is kept now changes nothing.
    pub fn lower_retention(&mut self, retention: Retention) {
        let mut state = self.shared.state.lock();
        if retention < state.retention {
            state.retention = retention;
            state.free_behind_slowest();
            state.abandon_if_unwanted();
            // Who waits for the whole need not.
            wake(state);
            self.blocks = Vec::new();
        }
    }

    /// Gives the body up, even if it was to be stored, unless somebody reads it. True if it was given up.
    pub fn abandon_unread(&mut self) -> bool {
        let mut state = self.shared.state.lock();
        if state.readers.count() == 0 {
            state.retention = state.retention.min(Retention::Spool);
            state.abandon_if_unwanted();
        }
        state.abandoned
    }

    /// Whether so many more bytes keep the body within its limit ([`super::BusyBody::limit`]).
    pub fn may_grow_by(&self, more: u64) -> bool {
        let state = self.shared.state.lock();
        state.len.saturating_add(more) <= state.limit
    }

    /// Adds `chunk` and wakes the readers; waits while there is no room for it.
    ///
    /// Dropped while it waits for room or spills, the chunk was not added, or (while storing) only its part up to
    /// the next block. The writer is good for nothing then but to be dropped, which fails the body: so no reader
    /// sees a byte twice or misses one.
    pub async fn append(&mut self, chunk: Bytes) -> Result<(), Abandoned> {
        let mut rest = if chunk.len() < COPIED { Bytes::copy_from_slice(&chunk) } else { chunk };
        while !rest.is_empty() {
            let part = rest.split_to(self.until_block_end(rest.len()));
            self.append_part(part).await?;
        }
        Ok(())
    }

    /// How many of `wanted` bytes fit before the next block begins.
    fn until_block_end(&self, wanted: usize) -> usize {
        let state = self.shared.state.lock();
        if state.retention != Retention::Store {
            return wanted;
        }
        let filled = usize::try_from(state.len - self.sealed).unwrap_or(BLOCK);
        wanted.min(BLOCK.saturating_sub(filled).max(1))
    }

    async fn append_part(&mut self, part: Bytes) -> Result<(), Abandoned> {
        loop {
            // Armed before looking, so that room made in between is not missed.
            let shared = Arc::clone(&self.shared);
            let room = shared.room.notified();
            match self.try_append(&part) {
                Outcome::Added(retention) => {
                    // Whether there is room is asked anew when more is needed.
                    self.lacks_room_for = None;
                    if retention == Retention::Store {
                        self.seal_full_block();
                    }
                    return Ok(());
                }
                Outcome::SpillFirst(keep) => self.spill_out(keep).await,
                Outcome::NoRoom => {
                    let in_files = self.room_in_files();
                    tokio::select! {
                        () = room => {}
                        () = in_files => {}
                    }
                    self.lacks_room_for = None;
                }
                Outcome::Again => self.lacks_room_for = None,
                Outcome::Abandoned => return Err(Abandoned),
            }
        }
    }

    fn try_append(&mut self, part: &Bytes) -> Outcome {
        let shared = Arc::clone(&self.shared);
        let cost = part.len() as u64 + SEGMENT_OVERHEAD;
        let mut state = shared.state.lock();
        if state.abandoned {
            return Outcome::Abandoned;
        }
        if state.skipping {
            // Who waits for what is still to come takes nothing of this, and would free nothing.
            state.free_behind_slowest();
        }
        if state.retention == Retention::Spool && state.len + part.len() as u64 > state.most_spooled {
            state.retention = Retention::Window;
            // Who waits for the whole need not.
            wake(state);
            return Outcome::Again;
        }
        let fits = state.memory + part.len() as u64 <= shared.means.window;
        match state.retention {
            Retention::Store => {
                let budget = &shared.means.budget;
                let charge = if self.set_aside {
                    Some(budget.charge(cost))
                } else {
                    budget.try_charge_share(state.memory, cost)
                };
                let Some(charge) = charge else {
                    tracing::debug!("the budget is used up: a body will not be stored");
                    state.retention = Retention::Spool;
                    state.free_behind_slowest();
                    state.abandon_if_unwanted();
                    self.blocks = Vec::new();
                    return Outcome::Again;
                };
                state.push(part.clone(), charge);
                wake_for_more(state);
                Outcome::Added(Retention::Store)
            }
            Retention::Window => {
                // An empty body always takes one chunk: a budget that is used up slows transfers, it never stops
                // them. Whoever writes bounds the chunks.
                let charge = match state.memory {
                    0 => Some(shared.means.budget.charge(cost)),
                    _ if fits => shared.means.budget.try_charge_share(state.memory, cost),
                    _ => None,
                };
                let Some(charge) = charge else { return Outcome::NoRoom };
                state.push(part.clone(), charge);
                wake_for_more(state);
                Outcome::Added(Retention::Window)
            }
            Retention::Spool if self.may_spill() && state.memory >= shared.means.window + SPILL_BATCH => {
                Outcome::SpillFirst(shared.means.window)
            }
            Retention::Spool => {
                let may_spill = self.may_spill();
                let charge = match shared.means.budget.try_charge_share(state.memory, cost) {
                    Some(charge) if fits || may_spill => charge,
                    // Its share is used up: nothing more of this body stays in memory but the next chunk.
                    _ if state.memory == 0 => shared.means.budget.charge(cost),
                    _ if may_spill && !state.newest_is_in_memory() => shared.means.budget.charge(cost),
                    _ if may_spill => return Outcome::SpillFirst(0),
                    _ => return Self::over_every_budget(state),
                };
                state.push(part.clone(), charge);
                wake_for_more(state);
                Outcome::Added(Retention::Spool)
            }
        }
    }

    fn may_spill(&self) -> bool {
        !self.spill_failed && self.lacks_room_for.is_none()
    }

    /// Waits until there is room in files again, for ever if that is not what is lacking.
    fn room_in_files(&self) -> impl Future<Output = ()> + Send + use<> {
        let area = &self.shared.means.spill;
        let lacking = self.lacks_room_for.filter(|_| area.limit() > 0);
        let own = self.spill.as_ref().map(|file| file.held());
        let room = lacking.map(|bytes| RoomFor::new(area, own, bytes));
        async {
            match room {
                Some(room) => room.await,
                None => std::future::pending().await,
            }
        }
    }

    /// One reader gets back-pressure, and is told that it has to take what there is, if it waits for the end; of several,
    /// the farthest behind is ended.
    fn over_every_budget(mut state: parking_lot::MutexGuard<'_, State>) -> Outcome {
        if state.readers.count() <= 1 {
            if !std::mem::replace(&mut state.is_pressed, true) {
                wake(state);
            }
            return Outcome::NoRoom;
        }
        let ended = state.readers.end_slowest(BodyError::TooSlow);
        state.free_behind_slowest();
        drop(state);
        if let Some(waker) = ended {
            waker.wake();
        }
        Outcome::Again
    }

    /// Makes one block of the pieces written since the last one, once they are enough.
    fn seal_full_block(&mut self) {
        let len = self.shared.state.lock().len;
        if len - self.sealed >= BLOCK as u64 {
            self.seal_to(len);
        }
    }

    /// Copies `sealed..end` into one allocation that readers and tiers share, and returns the pieces' memory.
    /// The copy is made outside the lock: only this writer adds, and nothing is freed while storing.
    fn seal_to(&mut self, end: u64) {
        let pieces: Vec<Bytes> = {
            let state = self.shared.state.lock();
            let first = state.segments.partition_point(|segment| segment.end() <= self.sealed);
            state
                .segments
                .iter()
                .skip(first)
                .filter_map(|segment| match &segment.place {
                    Place::Memory(bytes, _) => Some(bytes.clone()),
                    Place::File(..) => None,
                })
                .collect()
        };
        let len = usize::try_from(end - self.sealed).unwrap_or(0);
        debug_assert_eq!(
            pieces.iter().map(Bytes::len).sum::<usize>(),
            len,
            "a stored body is in memory without gaps"
        );
        let whole = BlockMemory::joined(&pieces, len);
        let block = self.shared.means.budget.charge(len as u64).attach(whole);
        self.blocks.push(block.clone());
        self.shared.state.lock().replace(self.sealed, end, Place::Memory(block, None));
        self.sealed = end;
    }

    /// Moves the newest bytes beyond `keep` to the spill file, or so many of them as are written at once. Where there is no room
    /// for them, or a failure, they stay in memory, which is noted.
    async fn spill_out(&mut self, keep: u64) {
        let (start, end, pieces) = self.beyond(keep);
        let area = Arc::clone(&self.shared.means.spill);
        let existing = self.spill.clone();
        let own = existing.as_ref().map_or(0, |file| file.held());
        let place = if existing.is_none() { area.place_for_file() } else { None };
        let has_file = existing.is_some() || place.is_some();
        let room = if has_file { area.try_take(own, end - start) } else { None };
        let Some(room) = room else {
            self.lacks_room_for = Some(end - start);
            return;
        };
        // Never closed. Whoever waits here has no thread.
        let turn = Arc::clone(&area.turns).acquire_owned().await;
        let written = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            let file = match (existing, place) {
                (Some(file), _) => file,
                (None, Some(place)) => Arc::new(SpillFile::create(&area, place)?),
                (None, None) => return Err(std::io::ErrorKind::Other.into()),
            };
            let offset = file.append(&pieces, room)?;
            Ok::<_, std::io::Error>((file, offset))
        })
        .await;
        match written {
            Ok(Ok((file, offset))) => {
                self.spill = Some(Arc::clone(&file));
                self.shared.state.lock().replace(start, end, Place::File(file, offset));
            }
            Ok(Err(error)) => {
                tracing::warn!(%error, "spilling failed: a body now waits for its slowest reader");
                self.spill_failed = true;
            }
            Err(_) => self.spill_failed = true,
        }
    }

    /// Of the newest segments beyond `keep` bytes, all in memory and none spilled before, the first ones: what lies in the file
    /// is in order.
    fn beyond(&self, keep: u64) -> (u64, u64, Vec<Bytes>) {
        let state = self.shared.state.lock();
        let mut over = state.memory.saturating_sub(keep);
        let newest = state.segments.iter().rev().take_while(|segment| {
            let goes = over > 0 && matches!(segment.place, Place::Memory(..));
            over = over.saturating_sub(segment.len);
            goes
        });
        let first = state.segments.len() - newest.count();
        let (mut pieces, mut start, mut end) = (Vec::new(), state.len, state.len);
        for segment in state.segments.iter().skip(first) {
            let Place::Memory(bytes, _) = &segment.place else { break };
            if pieces.is_empty() {
                start = segment.start;
            } else if segment.end() - start > MOST_AT_ONCE {
                break;
            }
            end = segment.end();
            pieces.push(bytes.clone());
        }
        (start, end, pieces)
    }

    /// Resolves when nobody reads the body and it will not be stored. Cancel-safe.
    pub async fn abandoned(&self) {
        loop {
            let left = self.shared.room.notified();
            if self.shared.state.lock().abandoned {
                return;
            }
            left.await;
        }
    }

    /// Resolves when nobody reads the body, though it may be kept all the same. Cancel-safe.
    pub async fn unread(&self) {
        loop {
            let left = self.shared.room.notified();
            {
                let state = self.shared.state.lock();
                if state.abandoned || state.readers.count() == 0 {
                    return;
                }
            }
            left.await;
        }
    }

    /// Whether nobody wants the body any more.
    pub fn is_abandoned(&self) -> bool {
        self.shared.state.lock().abandoned
    }

    /// Resolves when nothing that was written waits in memory for a reader; an error if nobody wants it. Cancel-safe.
    pub async fn drained(&self) -> Result<(), Abandoned> {
        loop {
            let taken = self.shared.room.notified();
            {
                let state = self.shared.state.lock();
                if state.abandoned {
                    return Err(Abandoned);
                }
                if state.memory == 0 {
                    return Ok(());
                }
            }
            taken.await;
        }
    }

    /// Resolves when a reader first asks for bytes, or nobody wants any. Cancel-safe.
    pub async fn demanded(&self) {
        loop {
            let asked = self.shared.room.notified();
            {
                let state = self.shared.state.lock();
                if state.demanded || state.abandoned {
                    return;
                }
            }
            asked.await;
        }
    }

    /// Ends the body as whole. Returns its content if all of it was kept for storing.
    pub fn finish(mut self, trailers: Option<HeaderMap>) -> Option<Content> {
        let content = self.content();
        self.end(End::Finished(trailers.map(Arc::new)));
        content
    }

    /// Ends the body as broken off.
    pub fn fail(mut self, error: BodyError) {
        self.end(End::Failed(error));
    }

    fn content(&mut self) -> Option<Content> {
        let (retention, length) = {
            let state = self.shared.state.lock();
            (state.retention, state.len)
        };
        if retention != Retention::Store {
            return None;
        }
        if self.sealed < length {
            self.seal_to(length);
        }
        let blocks = std::mem::take(&mut self.blocks);
        let parts = match blocks.as_slice() {
            [] => Parts::Inline(Bytes::new()),
            [only] if only.len() <= INLINE_MAX => Parts::Inline(only.clone()),
            _ => Parts::Blocks(blocks.into()),
        };
        Some(Content { parts, length })
    }

    fn end(&mut self, end: End) {
        self.ended = true;
        let mut state = self.shared.state.lock();
        if state.end.is_none() {
            state.end = Some(end);
        }
        wake(state);
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if !self.ended {
            self.end(End::Failed(BodyError::Aborted));
        }
    }
}

/// Wakes every waiting reader, after the lock is released.
fn wake(mut state: parking_lot::MutexGuard<'_, State>) {
    let wakers = state.readers.take_wakers();
    drop(state);
    wakers.into_iter().for_each(Waker::wake);
}

/// The same, but for those who wait for the end: there is more now.
fn wake_for_more(mut state: parking_lot::MutexGuard<'_, State>) {
    let wakers = state.readers.take_wakers_for_more();
    drop(state);
    wakers.into_iter().for_each(Waker::wake);
}
