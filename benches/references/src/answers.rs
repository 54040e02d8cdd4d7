//! Answers whose size is told by the path: `/1024/anything` is 1,024 bytes.

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

const PIECE: usize = 256 * 1024;

static FILLING: [u8; PIECE] = filling();

const fn filling() -> [u8; PIECE] {
    let mut out = [0; PIECE];
    let mut at = 0;
    while at < PIECE {
        out[at] = b'a' + (at % 23) as u8;
        at += 1;
    }
    out
}

/// The size that a path asks for: its first part that is a number.
pub fn size_in(path: &str) -> Option<u64> {
    path.split('/').find_map(|part| part.parse().ok())
}

/// The first bytes of the filling, at most 256 KiB.
pub fn start_of_filling(size: usize) -> &'static [u8] {
    FILLING.get(..size).unwrap_or(&FILLING)
}

/// A body of a known length that copies nothing: its own first bytes, if any, and then the filling.
pub struct Body<F: FnMut() + Unpin> {
    first: Bytes,
    left: u64,
    ended: F,
}

impl<F: FnMut() + Unpin> Body<F> {
    /// A body of `size` bytes that begins with `first`; `ended` is called when its last byte was taken.
    pub fn new(size: u64, first: Bytes, ended: F) -> Self {
        let first = first.slice(..first.len().min(usize::try_from(size).unwrap_or(usize::MAX)));
        Self { first, left: size, ended }
    }
}

impl<F: FnMut() + Unpin> http_body::Body for Body<F> {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let piece = if self.first.is_empty() {
            Bytes::from_static(start_of_filling(usize::try_from(self.left).unwrap_or(usize::MAX)))
        } else {
            std::mem::take(&mut self.first)
        };
        self.left -= piece.len() as u64;
        if self.left == 0 {
            (self.ended)();
        }
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
