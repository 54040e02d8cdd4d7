//! Content that is coded as it leaves: the fast way, for answers of which nothing dense is stored.
//!
//! - here: [`Coded`], a body around a body. - [`encoder`]: what codes.

pub mod encoder;

use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;

use super::Body;
use super::budget::{Budget, Charge};
use super::busy::BodyError;
use encoder::{Effort, Encoder};

/// Coded bytes that are sent on without waiting for more.
const ENOUGH: usize = 16 << 10;

/// Plain bytes that are coded at most before others have their turn: what compresses well might go on for long.
const TURN: usize = 256 << 10;

/// A body that is coded as it is read. What has come so far is sent as soon as there is nothing more to be read just now,
/// so that no client waits for what an origin does not send yet.
#[derive(Debug)]
pub struct Coded {
    plain: Body,
    encoder: Encoder,
    /// Something was put in since the last flush.
    holds: bool,
    ended: bool,
    _memory: Charge,
}

impl Coded {
    /// `plain`, coded with this effort; as it is, if there is no memory for the encoder.
    pub fn over(plain: Body, effort: Effort, budget: &Arc<Budget>) -> Result<Self, Body> {
        match budget.try_charge_body(effort.memory()) {
            Some(memory) => {
                Ok(Self { plain, encoder: Encoder::new(effort), holds: false, ended: false, _memory: memory })
            }
            None => Err(plain),
        }
    }

    /// See [`Body::poll_next`]. An encoder never fails; if it did, the body would break off.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        let mut turn = 0;
        while !self.ended && self.encoder.ready() < ENOUGH {
            if turn >= TURN {
                cx.waker().wake_by_ref();
                return self.pause();
            }
            match self.plain.poll_next(cx) {
                Poll::Ready(Some(Ok(bytes))) => {
                    turn += bytes.len();
                    self.holds = true;
                    if self.encoder.put(&bytes).is_err() {
                        return Poll::Ready(Some(Err(BodyError::Aborted)));
                    }
                }
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(error))),
                Poll::Ready(None) => {
                    self.ended = true;
                    if self.encoder.finish().is_err() {
                        return Poll::Ready(Some(Err(BodyError::Aborted)));
                    }
                }
                Poll::Pending => return self.pause(),
            }
        }
        Poll::Ready(self.taken().map(Ok))
    }

    /// What there is, while there is nothing more to be read.
    fn pause(&mut self) -> Poll<Option<Result<Bytes, BodyError>>> {
        if std::mem::take(&mut self.holds) && self.encoder.flush().is_err() {
            return Poll::Ready(Some(Err(BodyError::Aborted)));
        }
        self.taken().map_or(Poll::Pending, |bytes| Poll::Ready(Some(Ok(bytes))))
    }

    fn taken(&mut self) -> Option<Bytes> {
        Some(self.encoder.take()).filter(|bytes| !bytes.is_empty())
    }

    pub(super) fn trailers(&self) -> Option<Arc<HeaderMap>> {
        self.plain.trailers()
    }
}
