//! What the other side sent and nobody has taken yet.

use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::{io, mem};

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, ReadBuf};

/// The most bytes that are read at a time while a head is expected. They come onto the stack, so that a connection that
/// waits has no buffer.
pub const HEAD_READ: usize = 8 << 10;

/// The most bytes that are read at a time while content is expected.
const CONTENT_READ: usize = 64 << 10;

/// Less than this is copied out of the buffer that it was read into.
const LITTLE: usize = 16 << 10;

/// Bytes in the order in which they came.
#[derive(Debug, Default)]
pub struct Input(pub Bytes);

impl Input {
    /// Reads more, which may be part of a head; how many bytes that were, none at the end. Cancel-safe.
    pub fn poll_more<S: AsyncRead + Unpin>(
        &mut self,
        io: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let mut stack = [const { MaybeUninit::uninit() }; HEAD_READ];
        let mut buffer = ReadBuf::uninit(&mut stack);
        ready!(Pin::new(io).poll_read(cx, &mut buffer))?;
        let new = buffer.filled();
        self.0 = match mem::take(&mut self.0) {
            none if none.is_empty() => Bytes::copy_from_slice(new),
            some => match some.try_into_mut() {
                Ok(mut own) => {
                    own.extend_from_slice(new);
                    own.freeze()
                }
                Err(shared) => [&shared, new].concat().into(),
            },
        };
        Poll::Ready(Ok(new.len()))
    }

    /// The same, where much is to come. Cancel-safe.
    pub fn poll_much<S: AsyncRead + Unpin>(
        &mut self,
        io: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let mut buffer = BytesMut::with_capacity(self.0.len() + CONTENT_READ);
        buffer.extend_from_slice(&self.0);
        let read = ready!(tokio_util::io::poll_read_buf(Pin::new(io), cx, &mut buffer))?;
        self.0 = buffer.freeze();
        self.compact();
        Poll::Ready(Ok(read))
    }

    /// Whether a head may be whole, or too long, now that so many bytes have come that were not there before. As long as
    /// not, it need not be read again from its beginning.
    pub fn may_end_head(&self, new: usize, max_head: usize) -> bool {
        let last = self.0.get(self.0.len().saturating_sub(new)..).unwrap_or_default();
        self.0.len() >= max_head || last.contains(&b'\n')
    }

    /// Lets go of a large buffer of which little is left: what it holds is in nobody's account.
    pub fn compact(&mut self) {
        if self.0.len() < LITTLE {
            self.0 = Bytes::copy_from_slice(&self.0);
        }
    }

    /// Has all of it.
    pub fn take(&mut self) -> Bytes {
        mem::take(&mut self.0)
    }

    /// Whether there is nothing. If so, no memory is held either.
    pub fn is_empty(&mut self) -> bool {
        if self.0.is_empty() {
            self.0 = Bytes::new();
        }
        self.0.is_empty()
    }
}
