//! What is to be written to the other side, in order: heads, and pieces of content that are not copied.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::AsyncWrite;

/// Content up to this size is copied behind its head: one buffer is written with less ado than two.
const COPIED: usize = 4 << 10;

/// What a head usually takes.
const USUAL_HEAD: usize = 512;

/// The most pieces that are written at a time.
const SLICES: usize = 32;

/// Bytes on their way out.
#[derive(Debug, Default)]
pub struct Outbox {
    /// Written first.
    head: Vec<u8>,
    written: usize,
    pieces: VecDeque<Bytes>,
    /// Bytes in `pieces`.
    queued: usize,
}

impl Outbox {
    /// Where a head is put together. Nothing may be added to it once a piece was queued and not everything is written.
    pub fn head(&mut self) -> &mut Vec<u8> {
        &mut self.head
    }

    /// Makes room for a head with content of this length, if that is to be copied behind it.
    pub fn make_room(&mut self, length: u64) {
        if let Some(length) = usize::try_from(length).ok().filter(|length| *length <= COPIED) {
            self.head.reserve(USUAL_HEAD + length);
        }
    }

    /// Adds a piece.
    pub fn push(&mut self, piece: Bytes) {
        if self.pieces.is_empty() && piece.len() <= COPIED && self.head.len() <= COPIED {
            self.head.extend_from_slice(&piece);
            return;
        }
        self.queued += piece.len();
        self.pieces.push_back(piece);
    }

    /// Bytes that were not written yet.
    pub fn waiting(&self) -> usize {
        self.head.len() - self.written + self.queued
    }

    /// How many pieces wait.
    pub fn pieces(&self) -> usize {
        self.pieces.len()
    }

    /// Writes once; how much that was. Cancel-safe: what was written is gone from here.
    pub fn poll_write<S: AsyncWrite + Unpin>(
        &mut self,
        io: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let rest = self.head.get(self.written..).unwrap_or_default();
        let written = if self.pieces.is_empty() {
            ready!(Pin::new(io).poll_write(cx, rest))?
        } else {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let waiting = (!rest.is_empty()).then_some(rest).into_iter();
            let mut count = 0;
            for (slice, piece) in
                slices.iter_mut().zip(waiting.chain(self.pieces.iter().map(|piece| &piece[..])))
            {
                *slice = IoSlice::new(piece);
                count += 1;
            }
            ready!(Pin::new(io).poll_write_vectored(cx, slices.get(..count).unwrap_or_default()))?
        };
        if written == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        self.advance(written);
        Poll::Ready(Ok(written))
    }

    fn advance(&mut self, written: usize) {
        let of_head = written.min(self.head.len() - self.written);
        self.written += of_head;
        if self.written == self.head.len() {
            // Given back: an idle connection holds no buffer.
            (self.head, self.written) = (Vec::new(), 0);
        }
        let mut rest = written - of_head;
        self.queued -= rest;
        while let Some(piece) = self.pieces.front_mut().filter(|_| rest > 0) {
            let of_piece = rest.min(piece.len());
            piece.advance(of_piece);
            rest -= of_piece;
            if piece.is_empty() {
                self.pieces.pop_front();
            }
        }
        if self.pieces.is_empty() {
            self.pieces = VecDeque::new();
        }
    }
}
