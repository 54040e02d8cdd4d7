//! Content that is on disk, block by block into a busy body, at the pace of its one reader.
//!
//! A block is verified before its first byte leaves. If one is bad although the head has left, the rest comes from the
//! origin: all of it is fetched again, and what was sent already is skipped, if it is the same under the same strong
//! validator. Without one the body breaks off.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;

use super::Fetcher;
use super::ask::Ask;
use super::flight::{Advice, Seat};
use super::{Joined, Shared};
use crate::body::busy::{Abandoned, BodyError, BusyBody, Means, Reader, Retention, Writer};
use crate::body::content::{Blocks, Parts};
use crate::cache::disk::find::{NoBlock, Pinned};
use crate::cache::lookup::{Held, Hit};
use crate::cache::object::{Object, Place};
use crate::semantics::etag::ETag;

/// How long a reader waits for memory before it is tried again.
const MEMORY_PAUSE: Duration = Duration::from_millis(20);

/// How often a replay is sent on to another fetch for its rest.
const MOST_TURNS: u8 = 3;

impl Fetcher {
    /// Reads a content that is on disk to one client. The task ends when the client leaves.
    pub fn replay(&self, ask: &Arc<Ask>, hit: &Hit, pinned: &Pinned) -> Reader {
        // One block waits for the reader while the next is read: the pieces of a block are not counted twice.
        let means = Means { window: 0, ..self.shared.means.clone() };
        let (_, writer, reader) = BusyBody::with_reader(means, Retention::Window);
        let replay = Replay {
            fetcher: self.clone(),
            ask: Arc::clone(ask),
            object: Arc::clone(&hit.object),
            pinned: pinned.clone(),
            writer,
            sent: 0,
        };
        self.shared.tasks.spawn(replay.run());
        reader
    }
}

/// One replay and how far it has come.
struct Replay {
    fetcher: Fetcher,
    ask: Arc<Ask>,
    object: Arc<Object>,
    pinned: Pinned,
    writer: Writer,
    sent: u64,
}

/// Why a replay ends before its end.
enum Ended {
    /// The reader has left.
    Abandoned,
    /// The body breaks off.
    Failed(BodyError),
}

impl From<Abandoned> for Ended {
    fn from(_: Abandoned) -> Self {
        Self::Abandoned
    }
}

impl Replay {
    /// Dropped at any await, the body breaks off, which the writer says by being dropped.
    async fn run(mut self) {
        match self.carry().await {
            Ok(()) => {
                self.writer.finish(None);
            }
            Err(Ended::Abandoned) => {}
            Err(Ended::Failed(error)) => self.writer.fail(error),
        }
    }

    fn shared(&self) -> &Shared {
        &self.fetcher.shared
    }

    async fn carry(&mut self) -> Result<(), Ended> {
        let Place::Blocks(blocks) = self.object.representation.place else { return Ok(()) };
        for index in 0..blocks {
            match self.block(index).await {
                Ok(block) => self.send(block).await?,
                Err(why) => {
                    if why == NoBlock::Damaged {
                        self.shared().cache.report_damage(&self.ask.key, &self.object, &self.pinned);
                    }
                    return self.rest_from_origin().await;
                }
            }
        }
        Ok(())
    }

    /// A block from either tier; waits while there is no memory for it.
    async fn block(&self, index: u32) -> Result<Bytes, NoBlock> {
        loop {
            let block = self.shared().cache.block(&self.ask.key, &self.object, &self.pinned, index);
            match block.await {
                Err(NoBlock::NoMemory) => tokio::time::sleep(MEMORY_PAUSE).await,
                decided => return decided,
            }
        }
    }

    /// Never more than was promised.
    async fn send(&mut self, bytes: Bytes) -> Result<(), Ended> {
        self.sent += bytes.len() as u64;
        if self.sent > self.object.representation.length {
            return Err(Ended::Failed(BodyError::Damaged));
        }
        Ok(self.writer.append(bytes).await?)
    }

    /// Whether a head names the very bytes that are being sent (RFC 9110 §8.8.1).
    fn is_same(&self, headers: &HeaderMap) -> bool {
        let sending = ETag::of(&self.object.head.headers);
        sending.zip(ETag::of(headers)).is_some_and(|(sending, other)| sending.matches_strongly(other))
    }

    /// Fetches the whole again and sends what was not sent yet.
    async fn rest_from_origin(&mut self) -> Result<(), Ended> {
        let failed = || Ended::Failed(BodyError::Damaged);
        // Nothing is the same as what has no strong validator.
        if !self.is_same(&self.object.head.headers) {
            return Err(failed());
        }
        for attempt in 0..MOST_TURNS {
            let now = self.shared().clock.now();
            let mut seat = match self.fetcher.join(&self.ask, attempt, now) {
                Joined::Hit(hit) => return self.rest_of(&hit).await,
                Joined::Seat(seat, ..) => seat,
                Joined::Marked(..) => self.fetcher.alone(&self.ask, None),
            };
            match seat.advice(&self.ask).await {
                Advice::Read(announced) => {
                    let same = announced.head.status == self.object.head.status
                        && self.is_same(&announced.head.headers);
                    return if same { self.rest_of_fetch(seat).await } else { Err(failed()) };
                }
                Advice::Use(refreshed) => return self.rest_of(&refreshed.hit.clone()).await,
                Advice::Hit(hit) => return self.rest_of(&hit).await,
                Advice::Again | Advice::TakeOver(_) => {}
                Advice::Alone | Advice::Fail(_) => return Err(failed()),
            }
        }
        Err(failed())
    }

    /// The rest of a body that is arriving.
    async fn rest_of_fetch(&mut self, seat: Seat) -> Result<(), Ended> {
        let (mut reader, mut skip) = (seat.into_reader(), self.sent);
        while let Some(bytes) = reader.next().await {
            let bytes = bytes.map_err(Ended::Failed)?;
            self.send_beyond(&mut skip, bytes).await?;
        }
        self.whole()
    }

    /// The rest of what somebody else has stored in the meantime, if all of it is in memory.
    async fn rest_of(&mut self, hit: &Hit) -> Result<(), Ended> {
        let same = self.is_same(&hit.object.head.headers);
        let blocks = match &hit.content {
            Held::Memory(Parts::Blocks(blocks)) if same => Blocks::new(blocks.iter().cloned()),
            Held::Memory(Parts::Inline(bytes)) if same => Blocks::new([bytes.clone()]),
            _ => return Err(Ended::Failed(BodyError::Damaged)),
        };
        let mut skip = self.sent;
        for block in blocks {
            self.send_beyond(&mut skip, block).await?;
        }
        self.whole()
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
        if self.sent == self.object.representation.length {
            Ok(())
        } else {
            Err(Ended::Failed(BodyError::Damaged))
        }
    }
}
