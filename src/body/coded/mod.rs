//! Content that is coded as it leaves, the fast way, where nothing dense is stored, or decoded.
//!
//! - here: [`Coded`], a body around a body.
//! - [`encoder`]: what codes.
//! - [`decoded`]: the way back, for clients that do not take what an origin has coded.
//! - [`decoder`]: what decodes.

pub mod decoded;
pub mod decoder;
pub mod encoder;

use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::sync::OwnedSemaphorePermit;

use super::Body;
use super::budget::{Budget, PartCharge};
use super::busy::BodyError;
use encoder::{Effort, Encoder};

/// Coded bytes that are sent on without waiting for more.
const ENOUGH: usize = 16 << 10;

/// Plain bytes that are coded in one go, however many come at a time.
const STEP: usize = 16 << 10;

/// Plain bytes that are coded at most before others have their turn: with brotli, some three milliseconds.
const TURN: usize = 32 << 10;

/// A body that is coded as it is read. What has come so far is sent as soon as there is nothing more to be read just now,
/// so that no client waits for what an origin does not send yet.
#[derive(Debug)]
pub struct Coded {
    plain: Body,
    /// What was read and has yet to be coded.
    rest: Bytes,
    /// Until the last byte has gone in: who is slow to take what came out holds no encoder.
    coder: Option<Coder>,
    /// Something was put in since the last flush.
    holds: bool,
    /// What came out at the end.
    last: Option<Bytes>,
}

#[derive(Debug)]
struct Coder {
    encoder: Encoder,
    _memory: PartCharge,
    /// Held for its drop.
    place: Option<OwnedSemaphorePermit>,
}

impl Coded {
    /// `plain`, coded with this effort; as it is, if there is no memory for the encoder, of which all together take no more
    /// than their share.
    pub fn over(plain: Body, effort: Effort, budget: &Arc<Budget>) -> Result<Self, Box<Body>> {
        let Some(memory) = budget.try_charge_coder(effort.memory()) else { return Err(Box::new(plain)) };
        let coder = Coder { encoder: Encoder::new(effort), _memory: memory, place: None };
        Ok(Self { plain, rest: Bytes::new(), coder: Some(coder), holds: false, last: None })
    }

    /// The same, in the place of one of those that may be coded at a time, which it keeps until its end.
    #[must_use]
    pub fn at(mut self, place: OwnedSemaphorePermit) -> Self {
        if let Some(coder) = &mut self.coder {
            coder.place = Some(place);
        }
        self
    }

    /// See [`Body::poll_next`]. An encoder never fails; if it did, the body would break off.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        let mut turn = 0;
        loop {
            let Some(coder) = &mut self.coder else { return Poll::Ready(self.last.take().map(Ok)) };
            let encoder = &mut coder.encoder;
            if encoder.ready() >= ENOUGH {
                return Poll::Ready(Some(Ok(encoder.take())));
            }
            if turn >= TURN {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            if self.rest.is_empty() {
                match self.plain.poll_next(cx) {
                    Poll::Ready(Some(Ok(bytes))) => self.rest = bytes,
                    Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(error))),
                    Poll::Ready(None) => {
                        if encoder.finish().is_err() {
                            return Poll::Ready(Some(Err(BodyError::Aborted)));
                        }
                        self.last = Some(encoder.take()).filter(|bytes| !bytes.is_empty());
                        self.coder = None;
                        continue;
                    }
                    Poll::Pending => {
                        if std::mem::take(&mut self.holds) && encoder.flush().is_err() {
                            return Poll::Ready(Some(Err(BodyError::Aborted)));
                        }
                        let there = Some(encoder.take()).filter(|bytes| !bytes.is_empty());
                        return there.map_or(Poll::Pending, |bytes| Poll::Ready(Some(Ok(bytes))));
                    }
                }
            }
            let step = self.rest.split_to(self.rest.len().min(STEP));
            turn += step.len();
            self.holds = true;
            if encoder.put(&step).is_err() {
                return Poll::Ready(Some(Err(BodyError::Aborted)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;
    use crate::body::content::Blocks;

    #[test]
    fn a_long_block_is_coded_in_turns_and_the_encoder_goes_with_the_last() {
        let budget = Budget::new(64 << 20);
        let mut random = fastrand::Rng::with_seed(3);
        let block: Bytes = (0..1_usize << 20).map(|_| random.u8(b'a'..b'q')).collect::<Vec<_>>().into();
        let plain = Body::Blocks(Blocks::new([block]));
        let mut coded = Coded::over(plain, Effort::Zstd(3), &budget).expect("memory");
        let (mut polls, mut cx) = (0, Context::from_waker(Waker::noop()));
        while coded.coder.is_some() {
            assert!(budget.used() > 0);
            let _ = coded.poll_next(&mut cx);
            polls += 1;
        }
        assert!(polls >= (1 << 20) / TURN, "{polls}");
        assert_eq!(budget.used(), 0, "whoever is slow to take the rest holds no encoder");
    }
}
