//! Content that is on disk, block by block into a busy body, at the pace of its one reader.
//!
//! A block is verified before its first byte leaves. If one is bad although the head has left, the rest comes from the
//! origin: all of it is fetched again, and what was sent already is skipped, if it is the same under the same strong
//! validator. Without one the body breaks off.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use tokio::time::Instant;

use super::Fetcher;
use super::ask::Ask;
use super::flight::{Advice, Seat};
use super::reading::{Ended, conclude};
use super::{Joined, Shared};
use crate::body::busy::{BodyError, BusyBody, Means, Reader, Retention, Writer};
use crate::body::content::{BLOCK, Blocks, Parts};
use crate::cache::disk::find::{NoBlock, Pinned};
use crate::cache::lookup::{Held, Hit};
use crate::cache::object::Object;
use crate::semantics::etag::ETag;

/// Between two attempts to have a block for which there is no memory, or which the disk does not give in time.
const PAUSE: Duration = Duration::from_millis(20);

/// How long a block may take altogether.
const LONGEST: Duration = Duration::from_secs(30);

/// How often a replay is sent on to another source for its rest.
const MOST_TURNS: u8 = 3;

impl Fetcher {
    /// Reads the content of a hit that is on disk to one client: the whole, or these parts of it one after the other, for
    /// which only the blocks that they touch are read. The task ends when the client leaves.
    pub fn replay(&self, ask: &Arc<Ask>, hit: &Hit, parts: Option<VecDeque<Range<u64>>>) -> Reader {
        // One block waits for the reader while the next is read: the pieces of a block are not counted twice.
        let means = Means { window: 0, ..self.shared.means.clone() };
        let (_, writer, reader) = BusyBody::with_reader(means, Retention::Window);
        if let Held::Disk(pinned, first) = &hit.content {
            let (object, pinned) = (Arc::clone(&hit.object), pinned.clone());
            let (fetcher, ask, ready) = (self.clone(), Arc::clone(ask), Some((0, first.clone())));
            let parts = parts.unwrap_or_else(|| std::iter::once(0..object.representation.length).collect());
            let replay =
                Replay { fetcher, ask, object, pinned, ready, writer, parts, sent: 0, until: 0, turns: 0 };
            self.shared.tasks.spawn(replay.run());
        }
        reader
    }
}

/// One replay and how far it has come.
struct Replay {
    fetcher: Fetcher,
    ask: Arc<Ask>,
    object: Arc<Object>,
    pinned: Pinned,
    /// A block that is here already, the first at the beginning, until another is asked for: nothing is held that may not
    /// be needed again.
    ready: Option<(u32, Bytes)>,
    writer: Writer,
    /// What follows after what is being sent.
    parts: VecDeque<Range<u64>>,
    /// The offset of the next byte to be sent.
    sent: u64,
    /// Where what is being sent ends.
    until: u64,
    /// How often it was sent on.
    turns: u8,
}

impl Replay {
    /// Dropped at any await, the body breaks off, which the writer says by being dropped.
    async fn run(mut self) {
        let read = self.carry().await;
        conclude(self.writer, &read);
    }

    fn shared(&self) -> &Shared {
        &self.fetcher.shared
    }

    async fn carry(&mut self) -> Result<(), Ended> {
        while let Some(part) = self.parts.pop_front() {
            (self.sent, self.until) = (part.start, part.end);
            self.part().await?;
        }
        Ok(())
    }

    /// Block after block, from the disk as long as it gives them.
    async fn part(&mut self) -> Result<(), Ended> {
        while self.sent < self.until {
            let index = block_at(self.sent);
            let why = match self.block(index).await? {
                Ok(block) => {
                    if self.parts.front().is_some_and(|next| block_at(next.start) == index) {
                        self.ready = Some((index, block.clone()));
                    }
                    let within = usize::try_from(self.sent % BLOCK as u64).unwrap_or(0).min(block.len());
                    self.send(block.slice(within..)).await?;
                    continue;
                }
                Err(why) => why,
            };
            if why == NoBlock::Damaged {
                self.shared().cache.report_damage(&self.ask.key, &self.object, &self.pinned);
            }
            self.turns += 1;
            if self.turns > MOST_TURNS || self.rest_from_elsewhere(self.turns).await? {
                return self.whole();
            }
        }
        self.whole()
    }

    /// A block from either tier. While there is no memory for it, or the disk is busy, it waits and holds nothing: what
    /// was read before has to be taken first. The outer error: the reader has left.
    async fn block(&mut self, index: u32) -> Result<Result<Bytes, NoBlock>, Ended> {
        if let Some((_, block)) = self.ready.take().filter(|(ready, _)| *ready == index) {
            return Ok(Ok(block));
        }
        let deadline = Instant::now() + LONGEST;
        loop {
            let block = self.shared().cache.block(&self.ask.key, &self.object, &self.pinned, index);
            match block.await {
                Err(NoBlock::NoMemory | NoBlock::Slow) if Instant::now() < deadline => {
                    self.writer.drained().await?;
                    tokio::select! {
                        () = tokio::time::sleep(PAUSE) => {}
                        () = self.writer.abandoned() => return Err(Ended::Abandoned),
                    }
                }
                decided => return Ok(decided),
            }
        }
    }

    /// Never more than was promised: what is longer than the whole is not the same, and behind a part there is more.
    async fn send(&mut self, mut bytes: Bytes) -> Result<(), Ended> {
        let room = usize::try_from(self.until - self.sent).unwrap_or(usize::MAX);
        if bytes.len() > room && !self.ends_early() {
            return Err(Ended::Failed(BodyError::Damaged));
        }
        bytes.truncate(room);
        self.sent += bytes.len() as u64;
        Ok(self.writer.append(bytes).await?)
    }

    /// Whether what is being sent ends before the representation does.
    fn ends_early(&self) -> bool {
        self.until < self.object.representation.length
    }

    /// Whether a part is sent, and what follows it is not wanted.
    fn has_enough(&self) -> bool {
        self.ends_early() && self.sent >= self.until
    }

    /// Whether a head names the very bytes that are being sent (RFC 9110 §8.8.1).
    fn is_same(&self, headers: &HeaderMap) -> bool {
        ETag::is_shared_by(&self.object.head.headers(), headers)
    }

    /// Has the whole fetched again and sends what was not sent yet; false if it is on disk once more, to be gone on with.
    async fn rest_from_elsewhere(&mut self, attempt: u8) -> Result<bool, Ended> {
        let failed = || Ended::Failed(BodyError::Damaged);
        // Nothing is the same as what has no strong validator, and a POST is not repeated for its answer's sake.
        if !self.is_same(&self.object.head.headers()) || self.ask.method == http::Method::POST {
            return Err(failed());
        }
        let mut seat = match self.join(attempt) {
            Ok(seat) => seat,
            Err(hit) => return self.rest_of(&hit).await,
        };
        match seat.advice(&self.ask).await {
            Advice::Read(announced) => {
                let same =
                    announced.head.status == self.object.head.status && self.is_same(&announced.head.headers);
                if !same {
                    return Err(failed());
                }
                self.rest_of_fetch(seat).await.map(|()| true)
            }
            Advice::Use(refreshed) => self.rest_of(&refreshed.hit).await,
            Advice::Hit(hit) => self.rest_of(&hit).await,
            Advice::Again | Advice::Purged | Advice::TakeOver(_) => Ok(false),
            Advice::TooEarly => self.ask.end_of_handshake().await.map(|()| false).map_err(|_| failed()),
            Advice::Gather(_) | Advice::Alone | Advice::Fail(_) => Err(failed()),
        }
    }

    /// A place at a fetch, shared if the request may share one, or what was stored meanwhile.
    fn join(&self, attempt: u8) -> Result<Seat, Hit> {
        if self.ask.goes_alone() {
            return Ok(self.fetcher.alone(&self.ask, None));
        }
        match self.fetcher.join(&self.ask, attempt, false, self.shared().clock.now()) {
            Joined::Hit(hit, _) => Err(hit),
            Joined::Seat(seat, ..) => Ok(seat),
            Joined::Marked(..) => Ok(self.fetcher.alone(&self.ask, None)),
        }
    }

    /// The rest of a body that is arriving.
    async fn rest_of_fetch(&mut self, seat: Seat) -> Result<(), Ended> {
        let (mut reader, mut skip) = (seat.into_reader(), self.sent);
        while let Some(bytes) = reader.next().await {
            let bytes = bytes.map_err(Ended::Failed)?;
            self.send_beyond(&mut skip, bytes).await?;
            if self.has_enough() {
                break;
            }
        }
        Ok(())
    }

    /// The rest of what somebody else has stored in the meantime; false if that is on disk.
    async fn rest_of(&mut self, hit: &Hit) -> Result<bool, Ended> {
        if !self.is_same(&hit.object.head.headers()) {
            return Err(Ended::Failed(BodyError::Damaged));
        }
        let blocks = match &hit.content {
            Held::Memory(Parts::Blocks(blocks)) => Blocks::new(blocks.iter().cloned()),
            Held::Memory(Parts::Inline(bytes)) => Blocks::new([bytes.clone()]),
            Held::Disk(pinned, _)
                if hit.object.representation.length == self.object.representation.length =>
            {
                (self.object, self.pinned) = (Arc::clone(&hit.object), pinned.clone());
                return Ok(false);
            }
            Held::Disk(..) | Held::Divided => return Err(Ended::Failed(BodyError::Damaged)),
        };
        let mut skip = self.sent;
        for block in blocks {
            self.send_beyond(&mut skip, block).await?;
            if self.has_enough() {
                break;
            }
        }
        Ok(true)
    }

    /// Sends what of `bytes` lies beyond the next `skip` bytes.
    async fn send_beyond(&mut self, skip: &mut u64, mut bytes: Bytes) -> Result<(), Ended> {
        let known = usize::try_from(*skip).unwrap_or(usize::MAX).min(bytes.len());
        *skip -= known as u64;
        let rest = bytes.split_off(known);
        if rest.is_empty() { Ok(()) } else { self.send(rest).await }
    }

    /// Never a part as a whole.
    fn whole(&self) -> Result<(), Ended> {
        if self.sent == self.until { Ok(()) } else { Err(Ended::Failed(BodyError::Damaged)) }
    }
}

/// The block in which a byte lies.
fn block_at(offset: u64) -> u32 {
    u32::try_from(offset / BLOCK as u64).unwrap_or(u32::MAX)
}
