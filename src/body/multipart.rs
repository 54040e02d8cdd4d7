//! Several parts of a representation as one content (RFC 9110 §14.6).

use std::collections::VecDeque;
use std::task::{Context, Poll, ready};

use bytes::Bytes;

use super::Body;
use super::busy::{BodyError, Reader};
use super::content::Blocks;

/// Framing and parts in turn. The parts come from one source, which gives their bytes one after the other, so that
/// nothing is collected and one source is read at a time.
#[derive(Debug)]
pub struct Multipart {
    /// What is still to be framed: the bytes before a part, and its length.
    framing: VecDeque<(Bytes, u64)>,
    source: Source,
    /// What is left of the part that is being sent.
    part: u64,
    /// What the source gave beyond that.
    beyond: Bytes,
    remaining: u64,
}

/// Where the bytes of parts come from.
#[derive(Debug)]
pub enum Source {
    /// Memory.
    Blocks(Blocks),
    /// A body that may still be arriving.
    Busy(Reader),
}

impl From<Source> for Body {
    fn from(source: Source) -> Self {
        match source {
            Source::Blocks(blocks) => Self::Blocks(blocks),
            Source::Busy(reader) => Self::Busy(reader),
        }
    }
}

impl Multipart {
    /// For each part the bytes before it and its length, then `end`. `source` gives all parts in that order.
    pub fn new(parts: impl IntoIterator<Item = (Bytes, u64)>, end: Bytes, source: Source) -> Self {
        let framing: VecDeque<_> = parts.into_iter().chain([(end, 0)]).collect();
        let remaining = framing.iter().map(|(before, part)| before.len() as u64 + part).sum();
        Self { framing, source, part: 0, beyond: Bytes::new(), remaining }
    }

    /// The bytes not taken yet, framing and parts.
    pub fn remaining(&self) -> u64 {
        self.remaining
    }

    /// The next bytes, `None` after the last. A source that ends too early is an error.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        let bytes = if self.part == 0 {
            let Some((before, part)) = self.framing.pop_front() else { return Poll::Ready(None) };
            self.part = part;
            before
        } else {
            let mut bytes = match ready!(self.poll_source(cx)) {
                Some(Ok(bytes)) => bytes,
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(Some(Err(BodyError::Incomplete))),
            };
            let within = usize::try_from(self.part).unwrap_or(usize::MAX).min(bytes.len());
            self.beyond = bytes.split_off(within);
            self.part -= within as u64;
            bytes
        };
        self.remaining -= bytes.len() as u64;
        Poll::Ready(Some(Ok(bytes)))
    }

    fn poll_source(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        if !self.beyond.is_empty() {
            return Poll::Ready(Some(Ok(std::mem::take(&mut self.beyond))));
        }
        match &mut self.source {
            Source::Blocks(blocks) => Poll::Ready(blocks.next().map(Ok)),
            Source::Busy(reader) => reader.poll_next(cx),
        }
    }
}
