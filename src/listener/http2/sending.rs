//! The content of an answer on its way to the codec.

use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::Reason;

use super::fields::Content;
use super::outlet::{Outlet, Unwanted};
use crate::body::Body;
use crate::body::busy::BodyError;
use crate::telemetry::record::Record;

/// The content of an answer.
pub struct Sending {
    outlet: Outlet,
    body: Body,
    content: Content,
    /// What was taken of the body and not handed over yet.
    piece: Bytes,
    /// Bytes that were handed over.
    handed: u64,
    record: Option<Box<Record>>,
    is_whole: bool,
}

/// How an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It has left whole.
    Whole,
    /// It has not.
    Broken,
}

impl<T, E> From<Result<T, E>> for Ending {
    fn from(sent: Result<T, E>) -> Self {
        if sent.is_ok() { Self::Whole } else { Self::Broken }
    }
}

impl Sending {
    /// Of an answer whose head was sent. `record` is finished when this ends, or is dropped.
    pub fn new(outlet: Outlet, body: Body, content: Content, record: Option<Box<Record>>) -> Self {
        Self { outlet, body, content, piece: Bytes::new(), handed: 0, record, is_whole: false }
    }

    /// Hands over what there is, whenever it may. Ready at the end. Cancel-safe.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Ending> {
        let ending = self.poll_all(cx).map(Ending::from);
        if ending == Poll::Ready(Ending::Broken) {
            self.note_late();
        }
        ending
    }

    fn poll_all(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Unwanted>> {
        loop {
            if self.piece.is_empty() {
                match self.body.poll_next(cx) {
                    Poll::Ready(Some(Ok(bytes))) => self.piece = self.announced(bytes),
                    Poll::Ready(None) => return Poll::Ready(self.end()),
                    Poll::Ready(Some(Err(error))) => return Poll::Ready(self.broke_off(error)),
                    Poll::Pending => return self.outlet.poll_rest(cx).map(Err),
                }
                continue;
            }
            let room = ready!(self.outlet.poll_room(self.piece.len(), cx))?;
            self.handed += room as u64;
            let is_last = self.content == Content::Length(self.handed);
            self.outlet.send(self.piece.split_to(room), is_last)?;
            if is_last {
                self.is_whole = true;
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// No more than the head says.
    fn announced(&self, mut bytes: Bytes) -> Bytes {
        if let Content::Length(length) = self.content {
            let left = usize::try_from(length - self.handed).unwrap_or(usize::MAX);
            if bytes.len() > left {
                tracing::error!("an answer has more content than its head says: the rest is cut off");
                bytes.truncate(left);
            }
        }
        bytes
    }

    fn end(&mut self) -> Result<(), Unwanted> {
        if matches!(self.content, Content::Length(length) if self.handed < length) {
            return self.broke_off(BodyError::Incomplete);
        }
        self.outlet.end(self.body.trailers().as_deref())?;
        self.is_whole = true;
        Ok(())
    }

    /// So that nobody takes what came for all of it.
    fn broke_off(&mut self, error: BodyError) -> Result<(), Unwanted> {
        self.outlet.reset(Reason::INTERNAL_ERROR);
        if let Some(record) = &mut self.record {
            record.broke_off(error.name());
        }
        Err(Unwanted)
    }
}

impl Sending {
    /// Has the log say that the client was too slow, where that is why it gets no more.
    fn note_late(&mut self) {
        if let (Some(record), Some(late)) = (&mut self.record, self.outlet.late()) {
            record.broke_off(late.name());
        }
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        if !self.is_whole {
            // The whole connection may have ended for it.
            self.note_late();
        }
        finish(self.record.take(), self.handed, self.is_whole);
    }
}

/// Counts a request, and writes its line: so many bytes were handed over, which was all or not.
pub fn finish(record: Option<Box<Record>>, handed: u64, is_whole: bool) {
    if let Some(mut record) = record {
        record.sent(usize::try_from(handed).unwrap_or(usize::MAX));
        record.finish(is_whole);
    }
}
