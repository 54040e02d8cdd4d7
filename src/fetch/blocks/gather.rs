//! One client's reading of a divided object: block after block, from memory, disk, a block under way, or a run that it
//! starts.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use super::assembly::{Assembly, Course};
use super::give::NoStart;
use super::landing::Landing;
use super::run::Run;
use super::stream::Stream;
use super::{AHEAD, NEXT};
use crate::body::busy::{BodyError, BusyBody, Means, Reader, Retention, Writer};
use crate::cache::object::{Object, Representation};
use crate::fetch::Shared;
use crate::fetch::ask::Ask;
use crate::fetch::flight::Trouble;
use crate::fetch::reading::{Ended, conclude};
use crate::origin::OriginError;

/// How often a block is asked for in vain until the body breaks off.
const MOST_ATTEMPTS: u8 = 3;

/// How often the whole is asked for at most for one client, of an origin that does no ranges: one that is so slow that what
/// it has not read yet is gone each time would have it sent again for every few blocks.
const MOST_STREAMS: u8 = 3;

/// A reader brings so many blocks ahead of time as are this part of the memory that is free.
const OF_ROOM: u64 = 8;

/// Bytes that wait for the client.
const WINDOW: u64 = 256 << 10;

/// Bytes of a block that are given at a time.
const PIECE: usize = 64 << 10;

/// What of a block is among `bytes`; `None` if the block is not as long as it should be.
pub(super) fn slice_of(
    representation: &Representation,
    index: u32,
    block: &Bytes,
    bytes: &Range<u64>,
) -> Option<Bytes> {
    let of_block = representation.bytes_of(index);
    let start = usize::try_from(bytes.start.max(of_block.start) - of_block.start).ok()?;
    let end = usize::try_from(bytes.end.min(of_block.end) - of_block.start).ok()?;
    let whole = block.len() as u64 == of_block.end - of_block.start && start <= end;
    whole.then(|| block.slice(start..end))
}

/// A block that is at hand, or under way.
#[derive(Debug)]
enum Found {
    Block(Bytes),
    UnderWay(Reader),
}

/// One reading and how far it has come.
pub(super) struct Gather {
    shared: Arc<Shared>,
    ask: Arc<Ask>,
    object: Arc<Object>,
    assembly: Arc<Assembly>,
    /// Its number among the readers of the assembly.
    number: u64,
    /// What is still to be given of the present part.
    bytes: Range<u64>,
    /// The parts after that one.
    parts: VecDeque<Range<u64>>,
    /// Blocks that were given to their end.
    given: u32,
    /// Blocks that come ahead of time. They are read from here: the tiers may not keep them.
    ahead: VecDeque<(u32, Reader)>,
    /// The first block, found while the client waited for the head.
    first: Option<Found>,
    /// How often the present block was asked for in vain.
    attempts: u8,
    /// How often the whole was asked for because of it.
    streams: u8,
}

impl Gather {
    pub(super) fn new(
        shared: &Arc<Shared>,
        ask: &Arc<Ask>,
        object: &Arc<Object>,
        mut parts: VecDeque<Range<u64>>,
    ) -> Self {
        let bytes = parts.pop_front().unwrap_or_default();
        let assembly = shared.assemblies.of(&ask.key, object);
        let blocks = Representation::blocks_of(&bytes);
        let number = assembly.enter(blocks);
        Self {
            shared: Arc::clone(shared),
            ask: Arc::clone(ask),
            object: Arc::clone(object),
            assembly,
            number,
            bytes,
            parts,
            given: 0,
            ahead: VecDeque::new(),
            first: None,
            attempts: 0,
            streams: 0,
        }
    }

    /// Waits until the first block has begun to come. Dropped, the client has left: what was asked for comes all the same.
    pub(super) async fn begin(&mut self) -> Result<(), NoStart> {
        while !self.bytes.is_empty() {
            match self.begun().await {
                Ok(source) => {
                    self.first = Some(source);
                    break;
                }
                Err(BodyError::Changed) => return Err(NoStart::Changed),
                Err(_) => self.try_again()?,
            }
        }
        Ok(())
    }

    /// The present block, once the first bytes of it are there. Dropped, only a place at it is given back.
    async fn begun(&mut self) -> Result<Found, BodyError> {
        let mut source = self.source(self.index()).await?;
        if let Found::UnderWay(reader) = &mut source {
            let bytes = reader.next().await.ok_or(BodyError::Incomplete)??;
            let charge = self.shared.means.budget.charge(bytes.len() as u64);
            reader.put_back(vec![bytes], charge);
        }
        Ok(source)
    }

    fn try_again(&mut self) -> Result<(), NoStart> {
        self.attempts += 1;
        let trouble = self.assembly.trouble();
        let hopeless = trouble.is_some_and(|trouble| !trouble.may_pass());
        if hopeless || self.attempts >= MOST_ATTEMPTS {
            let unknown = || Trouble::NoHead(OriginError::internal());
            return Err(NoStart::Failed(trouble.unwrap_or_else(unknown)));
        }
        Ok(())
    }

    /// The block that it is at.
    fn index(&self) -> u32 {
        Representation::blocks_of(&self.bytes).start
    }

    /// Goes on in a task of its own, which ends when the client leaves.
    pub(super) fn start(self) -> Reader {
        let means = Means { window: WINDOW, ..self.shared.means.clone() };
        let (_, writer, reader) = BusyBody::with_reader(means, Retention::Window);
        let tasks = self.shared.tasks.clone();
        tasks.spawn(self.run(writer));
        reader
    }

    /// Dropped at any await, the body breaks off, which the writer says by being dropped.
    async fn run(mut self, mut writer: Writer) {
        let read = self.carry(&mut writer).await;
        conclude(writer, &read);
    }

    /// Gives all parts. Dropped, as [`Gather::run`].
    async fn carry(&mut self, writer: &mut Writer) -> Result<(), Ended> {
        loop {
            self.carry_part(writer).await?;
            let Some(next) = self.parts.pop_front() else { return Ok(()) };
            (self.bytes, self.given) = (next, 0);
        }
    }

    /// Gives the present part. Dropped, as [`Gather::run`]; when *abandoned* wins, what was asked for comes all the same.
    async fn carry_part(&mut self, writer: &mut Writer) -> Result<(), Ended> {
        while !self.bytes.is_empty() {
            let index = self.index();
            self.assembly.moves(self.number, Representation::blocks_of(&self.bytes));
            let source = if let Some(first) = self.first.take() {
                Ok(first)
            } else {
                tokio::select! {
                    source = self.source(index) => source,
                    () = writer.abandoned() => return Err(Ended::Abandoned),
                }
            };
            self.ask_ahead(index);
            let given = match source {
                Ok(source) => self.give(index, source, writer).await,
                Err(error) => Err(Ended::Failed(error)),
            };
            match given {
                Ok(()) => {
                    self.given = self.given.saturating_add(1);
                    self.attempts = 0;
                }
                Err(Ended::Failed(error)) if error != BodyError::Changed => {
                    self.attempts += 1;
                    if self.attempts >= MOST_ATTEMPTS {
                        return Err(Ended::Failed(error));
                    }
                }
                Err(ended) => return Err(ended),
            }
        }
        Ok(())
    }

    /// Gives what is wanted of a block. What was given before an error is not given again. Dropped, as
    /// [`Gather::run`].
    async fn give(&mut self, index: u32, source: Found, writer: &mut Writer) -> Result<(), Ended> {
        let representation = &self.object.representation;
        let end = representation.bytes_of(index).end.min(self.bytes.end);
        let mut reader = match source {
            Found::UnderWay(reader) => reader,
            Found::Block(block) => {
                let slice = slice_of(representation, index, &block, &self.bytes);
                let slice = slice.ok_or(Ended::Failed(BodyError::Damaged))?;
                return self.give_pieces(slice, writer).await;
            }
        };
        let mut at = representation.bytes_of(index).start;
        while self.bytes.start < end {
            let piece = tokio::select! {
                piece = reader.next() => piece,
                () = writer.abandoned() => return Err(Ended::Abandoned),
            };
            let piece = piece.ok_or(Ended::Failed(BodyError::Incomplete))?.map_err(Ended::Failed)?;
            let behind = at + piece.len() as u64;
            let offset = |position: u64| {
                usize::try_from(position.saturating_sub(at)).unwrap_or(usize::MAX).min(piece.len())
            };
            let wanted = piece.slice(offset(self.bytes.start)..offset(end).max(offset(self.bytes.start)));
            at = behind;
            self.give_pieces(wanted, writer).await?;
        }
        Ok(())
    }

    /// Gives bytes that are there, a piece at a time: what a client does not take is not charged to it at once.
    async fn give_pieces(&mut self, mut bytes: Bytes, writer: &mut Writer) -> Result<(), Ended> {
        while !bytes.is_empty() {
            let piece = bytes.split_to(bytes.len().min(PIECE));
            let length = piece.len() as u64;
            writer.append(piece).await?;
            self.bytes.start += length;
        }
        Ok(())
    }

    /// Block `index`, from where it can be had soonest. Cancel-safe: what was asked for comes all the same.
    async fn source(&mut self, index: u32) -> Result<Found, BodyError> {
        let mut in_vain = false;
        loop {
            self.ahead.retain(|(ahead, _)| *ahead >= index);
            if self.ahead.front().is_some_and(|(ahead, _)| *ahead == index)
                && let Some((_, reader)) = self.ahead.pop_front()
                && self.attempts == 0
            {
                return Ok(Found::UnderWay(reader));
            }
            let (cache, key) = (&self.shared.cache, &self.ask.key);
            if let Some(block) = cache.divided_block(key, &self.object, index).await {
                return Ok(Found::Block(block));
            }
            let (moved, failures) = (self.assembly.moved(), self.assembly.failures());
            // What is said to be there and cannot be read is fetched.
            let lost = in_vain;
            let present = |other| {
                self.has_ahead(other)
                    || !(lost && other == index) && cache.has_block(key, &self.object, other)
            };
            match self.assembly.course(index, self.soon(index), present) {
                Course::Read(reader) => return Ok(Found::UnderWay(reader)),
                Course::Wait => {
                    moved.await;
                    // Who waited with the one who asked in vain has asked in vain: else all would do so in turn.
                    if self.assembly.failures() != failures {
                        return Err(BodyError::Incomplete);
                    }
                }
                Course::Again => in_vain = true,
                Course::Run(landings, reader) => {
                    self.bring(landings);
                    if let Some(reader) = reader {
                        return Ok(Found::UnderWay(reader));
                    }
                }
                Course::Stream(number) => {
                    let (shared, ask, object) = (&self.shared, &self.ask, &self.object);
                    let stream = Stream::begun(shared, ask, object, &self.assembly, number);
                    self.streams += 1;
                    if self.streams > MOST_STREAMS {
                        return Err(BodyError::TooSlow);
                    }
                    self.shared.tasks.spawn(Box::pin(stream.run()));
                }
            }
        }
    }

    /// Whether it holds a block that came ahead of time, be it in a tier or not.
    fn has_ahead(&self, index: u32) -> bool {
        self.ahead.iter().any(|(ahead, _)| *ahead == index)
    }

    /// The blocks that are wanted soon, from `index` on.
    fn soon(&self, index: u32) -> Range<u32> {
        let ahead = if self.given >= 2 { AHEAD } else { NEXT };
        // What is brought ahead of time waits in memory, and is not stored where that is used up.
        let room = self.assembly.room().blocks() / OF_ROOM;
        let ahead = ahead.min(u32::try_from(room).unwrap_or(AHEAD));
        index..Representation::blocks_of(&self.bytes).end.min(index.saturating_add(1 + ahead))
    }

    /// Has the next blocks brought before they are needed: some at a time, once few are left.
    fn ask_ahead(&mut self, index: u32) {
        let soon = self.soon(index);
        let (cache, key) = (&self.shared.cache, &self.ask.key);
        let present = |other| self.has_ahead(other) || cache.has_block(key, &self.object, other);
        let landings = self.assembly.claim_ahead(index + 1..soon.end, present);
        if !landings.is_empty() {
            self.bring(landings);
        }
        let known = self.ahead.back().map_or(index, |(last, _)| *last);
        for next in known.saturating_add(1)..soon.end {
            match self.assembly.join(next) {
                Some(reader) => self.ahead.push_back((next, reader)),
                None => break,
            }
        }
    }

    /// Starts a run for these blocks.
    fn bring(&self, landings: Vec<Landing>) {
        let run = Run {
            shared: Arc::clone(&self.shared),
            ask: Arc::clone(&self.ask),
            object: Arc::clone(&self.object),
            assembly: Arc::clone(&self.assembly),
            landings,
        };
        self.shared.tasks.spawn(Box::pin(run.run()));
    }
}

impl Drop for Gather {
    fn drop(&mut self) {
        self.assembly.leave(self.number);
    }
}
