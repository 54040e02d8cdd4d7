//! Content that was coded by the origin and is decoded as it leaves, for a client that does not take its coding.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;

use super::decoder::{Decoder, Scheme};
use crate::body::Body;
use crate::body::budget::{Budget, Charge};
use crate::body::busy::BodyError;

/// How much coded content may become. Whoever sends some bytes that become very many means no good.
#[derive(Clone, Copy, Debug)]
pub struct Caps {
    /// Most bytes of plain content.
    pub size: u64,
    /// Most bytes of plain content for each coded one, beyond the first MiB.
    pub ratio: u64,
}

/// Plain bytes that are not held against the ratio: what is short may repeat itself as often as it likes.
const UNCOUNTED: u64 = 1 << 20;

impl Caps {
    /// Whether so many coded bytes may have become so many plain ones.
    fn allow(self, coded: u64, plain: u64) -> bool {
        plain <= self.size && plain.saturating_sub(UNCOUNTED) <= coded.saturating_mul(self.ratio)
    }
}

/// What is done about content that turns out not to be in its coding.
pub type WhenWrong = Box<dyn FnOnce() + Send + Sync>;

/// A body that is decoded as it is read.
pub struct Decoded {
    coded: Body,
    scheme: Scheme,
    /// From the first bytes on, which say how much memory it takes.
    decoder: Option<(Decoder, Charge)>,
    budget: Arc<Budget>,
    caps: Caps,
    /// Coded bytes that were put in, and plain ones that came out.
    counts: (u64, u64),
    /// What came out before anybody read it.
    first: Option<Bytes>,
    ended: Option<Result<(), BodyError>>,
    when_wrong: Option<WhenWrong>,
}

/// Why a content is not decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotDecoded {
    /// There is no memory for the decoder.
    NoMemory,
    /// It is not in its coding, breaks off, or becomes more than it may.
    Wrong,
}

impl Decoded {
    /// `coded`, decoded within these caps. What is there of it is looked at: a content that is wrong from its beginning, or
    /// is all there and becomes nothing, is told before any of it leaves; of one that turns out wrong later the body breaks off.
    /// Either way `when_wrong` is called.
    pub fn over(
        coded: Body,
        scheme: Scheme,
        caps: Caps,
        budget: &Arc<Budget>,
        when_wrong: Option<WhenWrong>,
    ) -> Result<Self, NotDecoded> {
        let mut decoded = Self {
            coded,
            scheme,
            decoder: None,
            budget: Arc::clone(budget),
            caps,
            counts: (0, 0),
            first: None,
            ended: None,
            when_wrong,
        };
        // Only what is there: of what is still to come the reader is told later.
        let is_here = !matches!(decoded.coded, Body::Busy(_));
        if is_here {
            match decoded.poll_next(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(Some(Ok(first))) => decoded.first = Some(first),
                Poll::Ready(Some(Err(BodyError::Undecodable))) => return Err(NotDecoded::Wrong),
                Poll::Ready(Some(Err(BodyError::NoMemory))) => return Err(NotDecoded::NoMemory),
                Poll::Ready(Some(Err(_)) | None) | Poll::Pending => {}
            }
        }
        Ok(decoded)
    }

    /// See [`Body::poll_next`].
    pub(in crate::body) fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, BodyError>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(first)));
        }
        loop {
            match self.ended {
                Some(Ok(())) => return Poll::Ready(None),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => {}
            }
            let next = match &mut self.decoder {
                Some((decoder, _)) => decoder.next(),
                None => Poll::Pending,
            };
            match next {
                Poll::Ready(Ok(plain)) if plain.is_empty() => self.ended = Some(Ok(())),
                Poll::Ready(Ok(plain)) => {
                    self.counts.1 += plain.len() as u64;
                    if self.caps.allow(self.counts.0, self.counts.1) {
                        return Poll::Ready(Some(Ok(plain)));
                    }
                    self.is_wrong();
                }
                Poll::Ready(Err(_)) => self.is_wrong(),
                Poll::Pending => match self.coded.poll_next(cx) {
                    Poll::Ready(Some(Ok(coded))) => {
                        self.counts.0 += coded.len() as u64;
                        match self.decoder_of(&coded) {
                            Some(decoder) => decoder.put(coded),
                            None => self.ended = Some(Err(BodyError::NoMemory)),
                        }
                    }
                    Poll::Ready(Some(Err(error))) => self.ended = Some(Err(error)),
                    Poll::Ready(None) => match &mut self.decoder {
                        Some((decoder, _)) => decoder.end(),
                        // Nothing at all is no content in any coding, but what many send for none.
                        None => self.ended = Some(Ok(())),
                    },
                    Poll::Pending => return Poll::Pending,
                },
            }
        }
    }

    /// The decoder, which is begun by the first bytes; none without memory for it.
    fn decoder_of(&mut self, first: &[u8]) -> Option<&mut Decoder> {
        if self.decoder.is_none() {
            let memory = self.budget.try_charge_body(self.scheme.memory(first))?;
            self.decoder = Some((Decoder::new(self.scheme), memory));
        }
        self.decoder.as_mut().map(|(decoder, _)| decoder)
    }

    fn is_wrong(&mut self) {
        self.ended = Some(Err(BodyError::Undecodable));
        if let Some(when_wrong) = self.when_wrong.take() {
            when_wrong();
        }
    }
}

impl fmt::Debug for Decoded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoded")
            .field("coded", &self.coded)
            .field("decoder", &self.decoder)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::body::busy::{BusyBody, Means, Retention, SpillArea};
    use crate::body::coded::encoder::{Effort, Encoder};

    const ALL: [Scheme; 3] = [Scheme::Brotli, Scheme::Zstd, Scheme::Gzip];
    const LIMITLESS: Caps = Caps { size: u64::MAX, ratio: u64::MAX };

    fn coded(scheme: Scheme, plain: &[u8]) -> Vec<u8> {
        let mut encoder = Encoder::new(match scheme {
            Scheme::Brotli => Effort::Brotli(5),
            Scheme::Zstd => Effort::Zstd(3),
            Scheme::Gzip => Effort::Gzip(4),
        });
        encoder.put(plain).expect("memory");
        encoder.finish().expect("memory");
        encoder.take().to_vec()
    }

    /// What comes out of a body that gets its bytes in these pieces, and how often it was found wrong.
    fn read(scheme: Scheme, pieces: &[&[u8]], caps: Caps) -> (Vec<u8>, Option<BodyError>, bool) {
        let budget = Budget::new(64 << 20);
        let spill = SpillArea::new("/nowhere".into(), 0);
        let means = Means { budget: Arc::clone(&budget), spill, window: 1 << 20 };
        let (_, mut writer, reader) = BusyBody::with_reader(means, Retention::Spool);
        let told = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let tells = Arc::clone(&told);
        let when_wrong: WhenWrong = Box::new(move || tells.store(true, std::sync::atomic::Ordering::Relaxed));
        let mut decoded =
            Decoded::over(Body::Busy(reader), scheme, caps, &budget, Some(when_wrong)).expect("memory");
        let mut cx = Context::from_waker(Waker::noop());
        let (mut plain, mut error) = (Vec::new(), None);
        let mut drain = |plain: &mut Vec<u8>| loop {
            match decoded.poll_next(&mut cx) {
                Poll::Ready(Some(Ok(bytes))) => plain.extend_from_slice(&bytes),
                Poll::Ready(Some(Err(error))) => return Some(error),
                Poll::Ready(None) | Poll::Pending => return None,
            }
        };
        for piece in pieces {
            let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
            runtime.block_on(writer.append(Bytes::copy_from_slice(piece))).expect("room");
            error = error.or(drain(&mut plain));
        }
        writer.finish(None);
        error = error.or(drain(&mut plain));
        (plain, error, told.load(std::sync::atomic::Ordering::Relaxed))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn what_was_coded_comes_out_however_it_comes_in(
            piece in prop::collection::vec(any::<u8>(), 0..3_000),
            times in 1..40_usize,
            cut in 1..900_usize,
            scheme in prop::sample::select(ALL.to_vec()),
        ) {
            let plain = piece.repeat(times);
            let coded = coded(scheme, &plain);
            let pieces: Vec<&[u8]> = coded.chunks(cut).collect();
            prop_assert_eq!(read(scheme, &pieces, LIMITLESS), (plain, None, false));
        }

        #[test]
        fn what_breaks_off_is_never_taken_for_whole(
            piece in prop::collection::vec(any::<u8>(), 1..3_000),
            kept in 0.0..1.0_f64,
            scheme in prop::sample::select(ALL.to_vec()),
        ) {
            let coded = coded(scheme, &piece.repeat(9));
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
            let cut = &coded[..((coded.len() as f64 * kept) as usize).min(coded.len() - 1)];
            let (_, error, told) = read(scheme, &[cut], LIMITLESS);
            prop_assert_eq!((error, told), (Some(BodyError::Undecodable), true));
        }
    }

    #[test]
    fn what_becomes_more_than_it_may_breaks_off_soon_after() {
        for scheme in ALL {
            let bomb = coded(scheme, &vec![0; 64 << 20]);
            let size = Caps { size: 1 << 20, ratio: u64::MAX };
            let (plain, error, told) = read(scheme, &[&bomb], size);
            assert!(plain.len() <= 1 << 20, "{scheme:?}: {}", plain.len());
            assert_eq!((error, told), (Some(BodyError::Undecodable), true), "{scheme:?}");
            let ratio = Caps { size: u64::MAX, ratio: 100 };
            let (plain, error, _) = read(scheme, &[&bomb], ratio);
            assert!(plain.len() < 32 << 20, "{scheme:?}: {}", plain.len());
            assert_eq!(error, Some(BodyError::Undecodable), "{scheme:?}");
        }
    }

    #[test]
    fn short_content_may_repeat_itself_and_long_content_may_not() {
        let caps = Caps { size: 100 << 20, ratio: 10 };
        assert!(caps.allow(1, 1 << 20) && caps.allow(1 << 20, 10 << 20));
        assert!(!caps.allow(1, (1 << 20) + 11) && !caps.allow(90 << 20, (100 << 20) + 1));
    }

    #[test]
    fn what_is_in_no_coding_is_told_at_once() {
        let budget = Budget::new(64 << 20);
        for scheme in ALL {
            let lie = Body::Bytes(Bytes::from_static(b"<!doctype html> which is no coding of anything"));
            let decoded = Decoded::over(lie, scheme, LIMITLESS, &budget, None);
            assert_eq!(decoded.err(), Some(NotDecoded::Wrong), "{scheme:?}");
        }
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn several_members_are_one_content() {
        for scheme in [Scheme::Gzip, Scheme::Zstd] {
            let twice = [coded(scheme, b"one, "), coded(scheme, b"two")].concat();
            assert_eq!(read(scheme, &[&twice], LIMITLESS), (b"one, two".to_vec(), None, false));
        }
    }

    #[test]
    fn without_memory_nothing_is_begun() {
        let budget = Budget::new(64 << 10);
        let content = Body::Bytes(coded(Scheme::Gzip, b"x").into());
        let decoded = Decoded::over(content, Scheme::Gzip, LIMITLESS, &budget, None);
        assert_eq!(decoded.err(), Some(NotDecoded::NoMemory));
    }
}
