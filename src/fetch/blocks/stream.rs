//! A whole answer, of which the blocks are kept as they pass.
//!
//! It goes on as long as somebody wants what comes soon, or something that can come in no other way; it waits for slow
//! readers, and ends when nobody reads any more, or where it meets what others have brought by parts. What was brought by
//! then is stored.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::AHEAD;
use super::answer::{Answer, answer, malformed};
use super::assembly::Assembly;
use super::carry::{bring, length_of, next_piece};
use super::landing::Landing;
use crate::body::busy::BodyError;
use crate::cache::object::{Object, Place};
use crate::fetch::ask::Ask;
use crate::fetch::flight::Trouble;
use crate::fetch::{Shared, outgoing};
use crate::origin::IncomingBody;

/// How long a whole answer waits for somebody who wants it, before it is ended.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long it waits for slow readers while the origin could be asked again for parts.
const HELD: Duration = Duration::from_secs(10);

/// The same where the origin can not: all that was sent so far would be sent again.
const HELD_WHOLE: Duration = Duration::from_mins(5);

/// So few blocks are brought to the end although nobody reads.
const WORTH_ENDING: u32 = 16;

/// A whole answer under way.
pub(in crate::fetch) struct Stream {
    shared: Arc<Shared>,
    ask: Arc<Ask>,
    object: Arc<Object>,
    assembly: Arc<Assembly>,
    number: u64,
    next: u32,
    count: u32,
    /// The next blocks: those that nobody else brings.
    landings: VecDeque<Option<Landing>>,
}

impl Stream {
    /// Makes known that the whole is coming; none if another one is under way. From now on readers wait for it.
    pub(in crate::fetch) fn begin(
        shared: &Arc<Shared>,
        ask: &Arc<Ask>,
        object: &Arc<Object>,
        assembly: &Arc<Assembly>,
    ) -> Option<Self> {
        let number = assembly.begin_stream()?;
        Some(Self::begun(shared, ask, object, assembly, number))
    }

    /// The one that was begun under this number.
    pub(super) fn begun(
        shared: &Arc<Shared>,
        ask: &Arc<Ask>,
        object: &Arc<Object>,
        assembly: &Arc<Assembly>,
        number: u64,
    ) -> Self {
        let count = match object.representation.place {
            Place::Blocks { count, divided: true } => count,
            Place::Inline(_) | Place::Blocks { .. } => 0,
        };
        let mut stream = Self {
            shared: Arc::clone(shared),
            ask: Arc::clone(ask),
            object: Arc::clone(object),
            assembly: Arc::clone(assembly),
            number,
            next: 0,
            count,
            landings: VecDeque::new(),
        };
        stream.claim();
        stream
    }

    /// Asks the origin for the whole, and carries it over if it is still the same. Cancelled, as [`Stream::carry`].
    pub(super) async fn run(self) {
        let request = outgoing::normalised(&self.ask, None, &self.ask.setup.us);
        match self.shared.exchange(&self.ask, request).await {
            Ok(exchange) => match answer(&exchange, None, &self.object) {
                Answer::Whole => self.carry(exchange.body).await,
                Answer::Changed => self.changed(),
                Answer::Part => self.end(malformed()),
                Answer::Nothing(trouble) => self.end(trouble),
            },
            Err(error) => self.end(Trouble::NoHead(error)),
        }
    }

    fn changed(mut self) {
        super::run::note_changed(&self.shared, &self.ask, &self.object);
        self.fail(BodyError::Changed);
    }

    fn end(mut self, trouble: Trouble) {
        self.assembly.note_trouble(trouble);
        self.fail(BodyError::Incomplete);
    }

    fn fail(&mut self, error: BodyError) {
        self.landings.drain(..).flatten().for_each(|landing| landing.fail(error));
    }

    /// Claims the next blocks, so that readers find them under way: up to one that somebody else has brought or brings,
    /// unless it can come in no other way again.
    fn claim(&mut self) {
        while self.landings.len() < AHEAD as usize {
            let index = self.next + u32::try_from(self.landings.len()).unwrap_or(AHEAD);
            if index >= self.count {
                return;
            }
            let needed = self.assembly.is_whole_only();
            if !needed && self.shared.cache.has_block(&self.ask.key, &self.object, index) {
                return;
            }
            let landing = self.assembly.claim_one(index);
            if landing.is_none() && !needed {
                return;
            }
            self.landings.push_back(landing);
        }
    }

    /// Carries the answer over, as far as it is wanted. Cancelled, the blocks that are not whole fail.
    pub(in crate::fetch) async fn carry(mut self, mut body: IncomingBody) {
        let mut rest = Bytes::new();
        while self.next < self.count {
            // What comes next is had from elsewhere: whoever wants more asks for parts.
            if self.landings.is_empty() || !self.is_wanted().await {
                return;
            }
            let length = length_of(&self.object.representation, self.next);
            let brought = if let Some(mut landing) = self.landings.pop_front().flatten() {
                landing.make_room().await;
                bring(landing, length, &mut rest, &mut body).await.map(Some)
            } else {
                let skipped = skip(length, &mut rest, &mut body).await;
                skipped.inspect_err(|error| self.assembly.note_broken(*error)).map(|()| None)
            };
            match brought {
                Ok(Some(landing)) => landing.finish(&self.shared.cache, &self.ask.key, &self.object).await,
                Ok(None) => {}
                Err(error) => {
                    self.shared.counters.broken_bodies.inc();
                    return self.fail(error);
                }
            }
            self.next += 1;
            self.claim();
            self.assembly.streams_to(self.number, Some(self.next));
        }
        if rest.is_empty() && matches!(body.next().await, Ok(None)) {
            body.release();
        }
    }

    /// Waits until the next block is wanted; false if it will not be. Cancel-safe: it only looks.
    async fn is_wanted(&self) -> bool {
        let few_left = self.count - self.next <= WORTH_ENDING;
        let patience = match (self.assembly.is_read(), self.assembly.is_whole_only()) {
            (false, _) => PATIENCE,
            (true, false) => HELD,
            (true, true) => HELD_WHOLE,
        };
        let deadline = Instant::now() + patience;
        loop {
            let moved = self.assembly.moved();
            if self.assembly.wants(self.next) || (few_left && !self.assembly.is_read()) {
                return true;
            }
            if tokio::time::timeout_at(deadline, moved).await.is_err() {
                return false;
            }
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.landings.clear();
        self.assembly.streams_to(self.number, None);
    }
}

/// Passes over a block that somebody else brings, or that is there. Dropped, the rest of the answer is of no use.
async fn skip(length: usize, rest: &mut Bytes, body: &mut IncomingBody) -> Result<(), BodyError> {
    let mut missing = length;
    while missing > 0 {
        missing -= next_piece(missing, rest, body).await?.len();
    }
    Ok(())
}
