//! Makes coded content out of plain: brotli, zstd and gzip behind one face. Whatever is put in, comes out of memory.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use async_compression::brotli::EncoderParams;
use async_compression::tokio::write::{BrotliEncoder, GzipEncoder, ZstdEncoder};
use async_compression::{Level, zstd::CParameter};
use bytes::Bytes;
use tokio::io::AsyncWrite;

/// A coding with how hard it is to be worked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effort {
    /// Brotli, quality 0 to 11.
    Brotli(u8),
    /// Zstandard, level 1 to 22.
    Zstd(u8),
    /// gzip, level 1 to 9.
    Gzip(u8),
}

/// Windows as powers of two: 1 MiB for brotli and zstd. Larger ones make little of a page smaller, and cost each stream their
/// size on both sides.
const WINDOW: u8 = 20;

impl Effort {
    /// Bytes of memory that an encoder of it takes, rounded up: measured for zstd 3, 9, 15 and 19, brotli 4, 5, 9 and 11, gzip 4
    /// and 9 (decision 24); a level between is taken for the next of these.
    pub const fn memory(self) -> u64 {
        match self {
            Self::Gzip(_) => 512 << 10,
            Self::Zstd(0..=3) => 3 << 20,
            Self::Brotli(5) => 7 << 20,
            Self::Zstd(..=9) => 12 << 20,
            Self::Brotli(..=4) => 14 << 20,
            Self::Brotli(_) => 26 << 20,
            Self::Zstd(_) => 88 << 20,
        }
    }
}

/// What is common to encoders.
type Writer = dyn AsyncWrite + Send + Unpin;

/// A stream in the making.
pub struct Encoder(Kind);

enum Kind {
    Brotli(Box<BrotliEncoder<Vec<u8>>>),
    Zstd(ZstdEncoder<Vec<u8>>),
    Gzip(GzipEncoder<Vec<u8>>),
}

impl Encoder {
    /// Begins one.
    pub fn new(effort: Effort) -> Self {
        let out = Vec::new();
        Self(match effort {
            Effort::Brotli(quality) => {
                let params = EncoderParams::default().quality(Level::Precise(quality.into()));
                Kind::Brotli(Box::new(BrotliEncoder::with_params(out, params.window_size(WINDOW.into()))))
            }
            Effort::Zstd(level) => {
                let window = CParameter::window_log(WINDOW.into());
                let level = Level::Precise(level.into());
                Kind::Zstd(ZstdEncoder::with_quality_and_params(out, level, &[window]))
            }
            Effort::Gzip(level) => Kind::Gzip(GzipEncoder::with_quality(out, Level::Precise(level.into()))),
        })
    }

    /// Takes plain bytes in. Nothing may come out for a while.
    pub fn put(&mut self, mut plain: &[u8]) -> io::Result<()> {
        while !plain.is_empty() {
            let taken = self.drive(|writer, cx| writer.poll_write(cx, plain))?;
            if taken == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            plain = plain.get(taken..).unwrap_or_default();
        }
        Ok(())
    }

    /// Has everything come out that was put in, at the price of some bytes.
    pub fn flush(&mut self) -> io::Result<()> {
        // Named, the method would be of one lifetime.
        #[allow(clippy::redundant_closure_for_method_calls, reason = "it does not compile otherwise")]
        self.drive(|writer, cx| writer.poll_flush(cx))
    }

    /// Ends the stream. Nothing may be put in any more.
    pub fn finish(&mut self) -> io::Result<()> {
        #[allow(clippy::redundant_closure_for_method_calls, reason = "as above")]
        self.drive(|writer, cx| writer.poll_shutdown(cx))
    }

    /// Coded bytes that are there to be taken.
    pub fn ready(&self) -> usize {
        match &self.0 {
            Kind::Brotli(encoder) => encoder.get_ref().len(),
            Kind::Zstd(encoder) => encoder.get_ref().len(),
            Kind::Gzip(encoder) => encoder.get_ref().len(),
        }
    }

    /// Takes them.
    pub fn take(&mut self) -> Bytes {
        let out = match &mut self.0 {
            Kind::Brotli(encoder) => encoder.get_mut(),
            Kind::Zstd(encoder) => encoder.get_mut(),
            Kind::Gzip(encoder) => encoder.get_mut(),
        };
        std::mem::take(out).into()
    }

    /// One call of the encoder. It writes into memory, and so is never left waiting.
    fn drive<T>(
        &mut self,
        call: impl FnOnce(Pin<&mut Writer>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> io::Result<T> {
        let mut cx = Context::from_waker(Waker::noop());
        let writer: &mut Writer = match &mut self.0 {
            Kind::Brotli(encoder) => &mut **encoder,
            Kind::Zstd(encoder) => encoder,
            Kind::Gzip(encoder) => encoder,
        };
        match call(Pin::new(writer), &mut cx) {
            Poll::Ready(done) => done,
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}

impl std::fmt::Debug for Encoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = match &self.0 {
            Kind::Brotli(_) => "brotli",
            Kind::Zstd(_) => "zstd",
            Kind::Gzip(_) => "gzip",
        };
        f.debug_tuple("Encoder").field(&kind).finish()
    }
}

#[cfg(test)]
mod tests {
    use async_compression::tokio::bufread::{BrotliDecoder, GzipDecoder, ZstdDecoder};
    use proptest::prelude::*;
    use tokio::io::AsyncReadExt as _;

    use super::*;

    fn decoded(effort: Effort, coded: &[u8]) -> Vec<u8> {
        let mut plain = Vec::new();
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let read = async {
            match effort {
                Effort::Brotli(_) => BrotliDecoder::new(coded).read_to_end(&mut plain).await,
                Effort::Zstd(_) => ZstdDecoder::new(coded).read_to_end(&mut plain).await,
                Effort::Gzip(_) => GzipDecoder::new(coded).read_to_end(&mut plain).await,
            }
        };
        runtime.block_on(read).expect("coded content");
        plain
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn what_is_coded_is_what_was_put_in(
            pieces in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..3_000), 1..9_usize, any::<bool>()), 0..6),
            effort in prop_oneof![
                (0..=6_u8).prop_map(Effort::Brotli),
                (1..=9_u8).prop_map(Effort::Zstd),
                (1..=9_u8).prop_map(Effort::Gzip)
            ],
        ) {
            let (mut encoder, mut plain, mut coded) = (Encoder::new(effort), Vec::new(), Vec::new());
            for (piece, times, flush) in pieces {
                let piece = piece.repeat(times);
                plain.extend_from_slice(&piece);
                encoder.put(&piece).expect("memory");
                if flush {
                    encoder.flush().expect("memory");
                }
                coded.extend_from_slice(&encoder.take());
            }
            encoder.finish().expect("memory");
            coded.extend_from_slice(&encoder.take());
            prop_assert_eq!(decoded(effort, &coded), plain);
        }
    }
}
