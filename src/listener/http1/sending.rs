//! The content of an answer on its way into the outbox, framed.

use std::task::{Context, Poll};

use bytes::Bytes;

use crate::body::Body;
use crate::body::busy::BodyError;
use crate::http1::framed::{Delimiting, Framed, TooShort};
use crate::http1::outbox::Outbox;
use crate::telemetry::record::Record;

/// Content is taken from its source until so many bytes wait to be written, or so many pieces. What was taken from a body
/// that is arriving is in nobody's account any more; what is stored is.
const MOST_BYTES: usize = 256 << 10;
const MOST_ARRIVING: usize = 64 << 10;
const MOST_PIECES: usize = 30;

/// The content of an answer.
pub(super) struct Sending {
    body: Body,
    framed: Framed,
    with_trailers: bool,
    stage: Stage,
    record: Option<Box<Record>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Going,
    Whole,
    Broken,
}

/// Why no more content is put into the outbox for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Filled {
    /// There is enough in it.
    Enough,
    /// There is nothing more yet.
    Waits,
    /// That was all.
    Whole,
    /// The source broke off.
    Broken,
}

impl Sending {
    /// `record` is finished when this ends, or is dropped.
    pub(super) fn new(
        body: Body,
        delimiting: Delimiting,
        with_trailers: bool,
        record: Option<Box<Record>>,
    ) -> Self {
        let body = if delimiting == Delimiting::None { Body::Empty } else { body };
        let framed = Framed::new(delimiting);
        let stage = if framed.is_full() { Stage::Whole } else { Stage::Going };
        Self { body, framed, with_trailers, stage, record }
    }

    /// Puts what there is into `outbox`, as far as there is room.
    pub(super) fn poll_fill(&mut self, outbox: &mut Outbox, cx: &mut Context<'_>) -> Filled {
        while self.stage == Stage::Going {
            if outbox.waiting() >= self.most_bytes() || outbox.pieces() >= MOST_PIECES {
                return Filled::Enough;
            }
            match self.body.poll_next(cx) {
                Poll::Pending => return Filled::Waits,
                Poll::Ready(Some(Ok(bytes))) => self.put(bytes, outbox),
                Poll::Ready(Some(Err(error))) => self.broke_off(error),
                Poll::Ready(None) => self.end(outbox),
            }
        }
        if self.stage == Stage::Broken { Filled::Broken } else { Filled::Whole }
    }

    fn most_bytes(&self) -> usize {
        if matches!(self.body, Body::Busy(_)) { MOST_ARRIVING } else { MOST_BYTES }
    }

    fn put(&mut self, bytes: Bytes, outbox: &mut Outbox) {
        if self.framed.put(bytes, outbox).is_err() {
            tracing::error!("an answer has more content than its head says: the rest is cut off");
        }
        // Its source need not be asked whether that was all, and what it holds is let go.
        if self.framed.is_full() {
            self.whole();
        }
    }

    fn end(&mut self, outbox: &mut Outbox) {
        let trailers = self.body.trailers().filter(|_| self.with_trailers);
        match self.framed.end(trailers.as_deref(), outbox) {
            Ok(()) => self.whole(),
            Err(TooShort) => self.broke_off(BodyError::Incomplete),
        }
    }

    fn whole(&mut self) {
        (self.stage, self.body) = (Stage::Whole, Body::Empty);
    }

    fn broke_off(&mut self, error: BodyError) {
        (self.stage, self.body) = (Stage::Broken, Body::Empty);
        self.ended_for(error.name());
    }

    /// It is not sent to its end, for this reason.
    pub(super) fn ended_for(&mut self, why: &'static str) {
        if let Some(record) = &mut self.record {
            record.broke_off(why);
        }
    }

    /// Whether all content was put into the outbox.
    pub(super) fn is_whole(&self) -> bool {
        self.stage == Stage::Whole
    }

    /// All that could be sent was: `unsent` bytes are left in the outbox. Counts the request, and writes its line.
    pub(super) fn finish(&mut self, unsent: usize) {
        if let Some(mut record) = self.record.take() {
            let sent = self.framed.handed().saturating_sub(unsent as u64);
            record.sent(usize::try_from(sent).unwrap_or(usize::MAX));
            record.finish(self.stage == Stage::Whole && unsent == 0);
        }
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        // Dropped on its way: what was handed over may have left or not.
        if self.record.is_some() {
            if self.stage == Stage::Whole {
                self.stage = Stage::Going;
            }
            self.finish(0);
        }
    }
}
