//! The content of an answer on its way to the codec.

use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use h2::{Reason, SendStream};
use tokio::time::{Instant, Sleep, sleep_until};

use super::fields::Content;
use super::turns::Place;
use crate::body::Body;
use crate::body::busy::BodyError;
use crate::telemetry::record::Record;

/// The most that is handed over in one turn: with the head of its frame, just what a record of TLS takes.
const MOST_AT_ONCE: usize = (16 << 10) - 9;

/// The content of an answer.
pub struct Sending {
    stream: SendStream<Bytes>,
    body: Body,
    content: Content,
    place: Place,
    /// What was taken of the body and not handed over yet.
    piece: Bytes,
    /// Bytes that were handed over.
    handed: u64,
    record: Option<Box<Record>>,
    /// When the client has let it wait for too long.
    patience: Patience,
    is_whole: bool,
}

/// The client has left, or wants no more, or there is no more to be had.
#[derive(Debug)]
pub struct Broken;

impl Sending {
    /// Of an answer whose head was sent. `record` is finished when this ends, or is dropped. A client that lets it wait for
    /// `limit` wants no more.
    pub fn new(
        stream: SendStream<Bytes>,
        body: Body,
        content: Content,
        place: Place,
        record: Option<Box<Record>>,
        limit: Duration,
    ) -> Self {
        let patience = Patience { limit, until: None };
        let piece = Bytes::new();
        Self { stream, body, content, place, piece, handed: 0, record, patience, is_whole: false }
    }

    /// Hands over what there is, whenever it is its turn. Ready at the end. Cancel-safe.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        loop {
            if self.piece.is_empty() {
                match self.body.poll_next(cx) {
                    Poll::Ready(Some(Ok(bytes))) => self.piece = self.announced(bytes),
                    Poll::Ready(None) => return Poll::Ready(self.end()),
                    Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(self.broke_off(error))),
                    Poll::Pending => {
                        self.place.rest();
                        self.patience.until = None;
                        let _ = ready!(self.stream.poll_reset(cx));
                        return Poll::Ready(Err(Broken));
                    }
                }
                continue;
            }
            let Poll::Ready(allowed) = self.place.poll_turn(cx) else {
                // That the connection takes nothing at all is not this one's fault.
                self.patience.until = None;
                let _ = ready!(self.stream.poll_reset(cx));
                return Poll::Ready(Err(Broken));
            };
            let most = self.piece.len().min(allowed).min(MOST_AT_ONCE);
            self.stream.reserve_capacity(most);
            let room = match self.stream.capacity() {
                0 => {
                    self.place.rest();
                    match self.stream.poll_capacity(cx) {
                        Poll::Ready(Some(Ok(_))) => continue,
                        Poll::Ready(_) => return Poll::Ready(Err(Broken)),
                        Poll::Pending => {
                            ready!(self.patience.poll(cx));
                            tracing::debug!("a client opens no window for too long");
                            self.stream.send_reset(Reason::CANCEL);
                            return Poll::Ready(Err(Broken));
                        }
                    }
                }
                room => room.min(most),
            };
            self.patience.until = None;
            let bytes = self.piece.split_to(room);
            self.place.took(room);
            self.handed += room as u64;
            let is_last = self.content == Content::Length(self.handed);
            if self.stream.send_data(bytes, is_last).is_err() {
                return Poll::Ready(Err(Broken));
            }
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

    fn end(&mut self) -> Result<(), Broken> {
        if matches!(self.content, Content::Length(length) if self.handed < length) {
            return Err(self.broke_off(BodyError::Incomplete));
        }
        let sent = match self.body.trailers() {
            Some(trailers) if !trailers.is_empty() => self.stream.send_trailers((*trailers).clone()),
            _ => self.stream.send_data(Bytes::new(), true),
        };
        self.is_whole = sent.is_ok();
        sent.map_err(|_| Broken)
    }

    /// So that nobody takes what came for all of it.
    fn broke_off(&mut self, error: BodyError) -> Broken {
        self.stream.send_reset(Reason::INTERNAL_ERROR);
        if let Some(record) = &mut self.record {
            record.broke_off(error.name());
        }
        Broken
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
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

struct Patience {
    limit: Duration,
    until: Option<std::pin::Pin<Box<Sleep>>>,
}

impl Patience {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let limit = self.limit;
        self.until.get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + limit))).as_mut().poll(cx)
    }
}
