//! Makes plain content out of coded: what comes out at a time is bounded, however much a few bytes would become.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use async_compression::tokio::bufread::{BrotliDecoder, GzipDecoder, ZstdDecoder};
use async_compression::zstd::DParameter;
use bytes::Bytes;
use tokio::io::{AsyncBufRead, AsyncRead, ReadBuf};

/// Plain bytes that come out at most at a time.
const PIECE: usize = 32 << 10;

/// The largest window of zstd as a power of two: what RFC 9659 §3 lets a sender use.
const ZSTD_WINDOW: u32 = 23;

/// What is taken off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Brotli (RFC 7932).
    Brotli,
    /// Zstandard (RFC 8878).
    Zstd,
    /// gzip (RFC 1952).
    Gzip,
}

/// Bytes that a decoder takes beside its window.
const TABLES: u64 = 256 << 10;

impl Scheme {
    /// Bytes of memory that a decoder of content takes at most that begins so: the window that it says, tables, and what comes
    /// out.
    pub fn memory(self, first: &[u8]) -> u64 {
        let window = match self {
            Self::Gzip => 32 << 10,
            Self::Zstd => zstd_window(first),
            Self::Brotli => brotli_window(first),
        };
        TABLES + window
    }
}

/// RFC 7932 §9.1.
fn brotli_window(first: &[u8]) -> u64 {
    let bits = first.first().map_or(24, |byte| match (byte & 1, byte >> 1 & 7, byte >> 4 & 7) {
        (0, ..) => 16,
        (_, 0, 0) => 17,
        (_, 0, more) => 8 + more,
        (_, more, _) => 17 + more,
    });
    1 << bits
}

/// RFC 8878 §3.1.1.1. Of a content that is all one segment its length is the window; what cannot be told is taken for the largest.
fn zstd_window(first: &[u8]) -> u64 {
    const LARGEST: u64 = 1 << ZSTD_WINDOW;
    let (Some(descriptor), Some(rest)) = (first.get(4), first.get(5..)) else { return LARGEST };
    if descriptor & 0x20 == 0 {
        let Some(window) = rest.first() else { return LARGEST };
        let base = 1_u64 << (10 + u64::from(window >> 3)).min(ZSTD_WINDOW.into());
        return (base + base / 8 * u64::from(window & 7)).min(LARGEST);
    }
    let skipped = [0, 1, 2, 4].get(usize::from(descriptor & 3)).copied().unwrap_or(0);
    let length = [1, 2, 4, 8].get(usize::from(descriptor >> 6)).copied().unwrap_or(8);
    let Some(said) = rest.get(skipped..skipped + length) else { return LARGEST };
    let said = said.iter().rev().fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
    // Two bytes count from 256.
    (said + if length == 2 { 256 } else { 0 }).min(LARGEST)
}

/// A stream that is taken apart.
pub(super) struct Decoder {
    kind: Kind,
    out: Box<[u8]>,
}

enum Kind {
    Brotli(Box<BrotliDecoder<Feed>>),
    Zstd(Box<ZstdDecoder<Feed>>),
    Gzip(Box<GzipDecoder<Feed>>),
}

/// Coded bytes on their way into a decoder.
#[derive(Default)]
struct Feed {
    bytes: Bytes,
    ended: bool,
}

impl Decoder {
    /// Begins one.
    pub(super) fn new(scheme: Scheme) -> Self {
        let feed = Feed::default();
        let kind = match scheme {
            Scheme::Brotli => Kind::Brotli(Box::new(BrotliDecoder::new(feed))),
            Scheme::Zstd => {
                let window = DParameter::window_log_max(ZSTD_WINDOW);
                let mut decoder = ZstdDecoder::with_params(feed, &[window]);
                // A content may be several frames (RFC 8878 §3.1), or members (RFC 1952 §2.2).
                decoder.multiple_members(true);
                Kind::Zstd(Box::new(decoder))
            }
            Scheme::Gzip => {
                let mut decoder = GzipDecoder::new(feed);
                decoder.multiple_members(true);
                Kind::Gzip(Box::new(decoder))
            }
        };
        Self { kind, out: vec![0; PIECE].into() }
    }

    /// Takes the next coded bytes in. Those before have to be used up: [`Self::next`] was pending.
    pub(super) fn put(&mut self, coded: Bytes) {
        self.feed().bytes = coded;
    }

    /// No more coded bytes will follow.
    pub(super) fn end(&mut self) {
        self.feed().ended = true;
    }

    /// The next plain bytes; none at the end of the stream; pending if more has to be put in first. It fails if this is not
    /// what the coding makes, or breaks off.
    pub(super) fn next(&mut self) -> Poll<io::Result<Bytes>> {
        let mut cx = Context::from_waker(Waker::noop());
        let mut out = ReadBuf::new(&mut self.out);
        let reader: &mut (dyn AsyncRead + Send + Unpin) = match &mut self.kind {
            Kind::Brotli(decoder) => &mut **decoder,
            Kind::Zstd(decoder) => &mut **decoder,
            Kind::Gzip(decoder) => &mut **decoder,
        };
        match Pin::new(reader).poll_read(&mut cx, &mut out) {
            Poll::Ready(Ok(())) => Poll::Ready(Ok(Bytes::copy_from_slice(out.filled()))),
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => Poll::Pending,
        }
    }

    fn feed(&mut self) -> &mut Feed {
        match &mut self.kind {
            Kind::Brotli(decoder) => decoder.get_mut(),
            Kind::Zstd(decoder) => decoder.get_mut(),
            Kind::Gzip(decoder) => decoder.get_mut(),
        }
    }
}

impl AsyncBufRead for Feed {
    fn poll_fill_buf(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let feed = self.get_mut();
        if feed.bytes.is_empty() && !feed.ended {
            return Poll::Pending;
        }
        Poll::Ready(Ok(&feed.bytes))
    }

    fn consume(mut self: Pin<&mut Self>, amount: usize) {
        let taken = amount.min(self.bytes.len());
        drop(self.bytes.split_to(taken));
    }
}

impl AsyncRead for Feed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.bytes.is_empty() && !self.ended {
            return Poll::Pending;
        }
        let fits = self.bytes.len().min(out.remaining());
        out.put_slice(&self.bytes.split_to(fits));
        Poll::Ready(Ok(()))
    }
}

impl std::fmt::Debug for Decoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = match &self.kind {
            Kind::Brotli(_) => "brotli",
            Kind::Zstd(_) => "zstd",
            Kind::Gzip(_) => "gzip",
        };
        f.debug_tuple("Decoder").field(&kind).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::coded::encoder::{Effort, Encoder};

    #[test]
    fn memory_is_that_of_the_window_that_the_content_says() {
        let of = |scheme: Scheme, first: &[u8]| scheme.memory(first) - TABLES;
        assert_eq!(of(Scheme::Brotli, &[]), 1 << 24);
        // WBITS as RFC 7932 §9.1 lists them.
        for (first, bits) in
            [(0, 16), (0b0001, 17), (0b0011, 18), (0b1111, 24), (0b0010_0001, 10), (0b0111_0001, 15)]
        {
            assert_eq!(of(Scheme::Brotli, &[first]), 1 << bits, "{first:#b}");
        }
        for (effort, scheme) in [(Effort::Brotli(5), Scheme::Brotli), (Effort::Zstd(3), Scheme::Zstd)] {
            let mut encoder = Encoder::new(effort);
            encoder.put(&vec![7; 3 << 20]).expect("memory");
            encoder.finish().expect("memory");
            assert_eq!(of(scheme, &encoder.take()), 1 << 20, "{effort:?}");
        }
        // One segment of 300 and of 5 bytes; a window of 8 MiB, and more than that.
        let magic = [0x28, 0xb5, 0x2f, 0xfd];
        let zstd = |rest: &[u8]| of(Scheme::Zstd, &[&magic, rest].concat());
        assert_eq!((zstd(&[0x60, 44, 0]), zstd(&[0x20, 5])), (300, 5));
        assert_eq!((zstd(&[0, 13 << 3]), zstd(&[0, 0xff]), zstd(&[0])), (8 << 20, 8 << 20, 8 << 20));
    }
}
