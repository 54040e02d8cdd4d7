//! A request on its way out: its head, and its content as far as it has come and is wanted.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::StatusCode;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Sleep, sleep};

use super::head::Head;
use crate::body::Body;
use crate::http1::framed::Framed;
use crate::http1::outbox::Outbox;
use crate::origin::broken::Broken;
use crate::origin::outgoing::Outgoing;

/// Content is taken from its source until so many bytes wait to be written, or so many pieces: it is in nobody's account
/// any more.
const MOST_BYTES: usize = 64 << 10;
const MOST_PIECES: usize = 30;

/// A request that is being sent.
#[derive(Debug)]
pub(in crate::origin) struct Sending {
    request: Box<Outgoing>,
    framed: Framed,
    stage: Stage,
    /// Some of it has left.
    is_begun: bool,
    /// What was written may wait below.
    may_wait_below: bool,
}

#[derive(Debug)]
enum Stage {
    /// The head is in the outbox, content may follow it.
    Begins,
    /// The content waits to be called for, no longer than this.
    Held(Pin<Box<Sleep>>),
    Going,
    /// All of it is in the outbox.
    Handed,
    Left,
    /// The content broke off.
    Broken,
}

impl Sending {
    /// Puts the head into the empty `outbox`, and short content with it, which is then one write.
    pub(super) fn begin(request: Box<Outgoing>, outbox: &mut Outbox) -> Self {
        let mut framed = Framed::new(request.delimiting);
        outbox.push(request.written());
        let mut stage = Stage::Begins;
        if let (Body::Bytes(bytes), None) = (&request.body, request.waits_for_100) {
            // As long as its head says: that was made from it.
            let _ = framed.put(bytes.clone(), outbox);
        }
        if framed.is_full() {
            stage = Stage::Handed;
        }
        Self { request, framed, stage, is_begun: false, may_wait_below: true }
    }

    /// Whether the response is to a HEAD.
    pub(in crate::origin) fn is_head(&self) -> bool {
        self.request.is_head
    }

    /// Whether all of it has left.
    pub(in crate::origin) fn is_over(&self) -> bool {
        matches!(self.stage, Stage::Left)
    }

    /// Whether some of it has left.
    pub(super) fn has_begun(&self) -> bool {
        self.is_begun
    }

    /// Whether its content has not been called for.
    pub(in crate::origin) fn is_held(&self) -> bool {
        self.request.waits_for_100.is_some() && matches!(self.stage, Stage::Begins | Stage::Held(_))
    }

    /// The request, if nothing of it has left.
    pub(in crate::origin) fn unsent(self) -> Option<Box<Outgoing>> {
        (!self.is_begun).then_some(self.request)
    }

    /// An interim response came: the content is called for, or whoever hears is told.
    pub(super) fn hear(&mut self, head: &Head) {
        match head.status {
            StatusCode::CONTINUE => self.go_ahead(),
            status => self.request.hears.iter().for_each(|hears| hears.hear(status, &head.headers)),
        }
    }

    fn go_ahead(&mut self) {
        self.request.waits_for_100 = None;
        if matches!(self.stage, Stage::Held(_)) {
            self.stage = Stage::Going;
        }
    }

    /// Sends on until all has left, or nothing more can: `io` takes no more, or the content has not come, or is not called
    /// for. Nothing is lost between two calls.
    pub(super) fn poll<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        outbox: &mut Outbox,
        io: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Broken>> {
        loop {
            if self.is_begun
                && let Err(broken) = self.fill(outbox, cx)
            {
                self.stage = Stage::Broken;
                return Poll::Ready(Err(broken));
            }
            if outbox.waiting() > 0 {
                if ready!(outbox.poll_write(io, cx)).is_err() {
                    return Poll::Ready(Err(Broken::Gone));
                }
                (self.is_begun, self.may_wait_below) = (true, true);
                continue;
            }
            if self.may_wait_below {
                if ready!(Pin::new(&mut *io).poll_flush(cx)).is_err() {
                    return Poll::Ready(Err(Broken::Gone));
                }
                self.may_wait_below = false;
            }
            if !matches!(self.stage, Stage::Handed | Stage::Left) {
                return Poll::Pending;
            }
            self.stage = Stage::Left;
            return Poll::Ready(Ok(()));
        }
    }

    /// Puts content into `outbox`, as far as there is some and there is room.
    fn fill(&mut self, outbox: &mut Outbox, cx: &mut Context<'_>) -> Result<(), Broken> {
        if matches!(self.stage, Stage::Begins) {
            self.stage = match self.request.waits_for_100 {
                Some(limit) => Stage::Held(Box::pin(sleep(limit))),
                None => Stage::Going,
            };
        }
        if let Stage::Held(limit) = &mut self.stage {
            if limit.as_mut().poll(cx).is_pending() {
                return Ok(());
            }
            self.stage = Stage::Going;
        }
        if matches!(self.stage, Stage::Broken) {
            return Err(Broken::Request);
        }
        while matches!(self.stage, Stage::Going)
            && outbox.waiting() < MOST_BYTES
            && outbox.pieces() < MOST_PIECES
        {
            match self.request.body.poll_next(cx) {
                Poll::Pending => return Ok(()),
                Poll::Ready(Some(Ok(bytes))) => {
                    self.framed.put(bytes, outbox).map_err(|_| Broken::Request)?;
                }
                Poll::Ready(Some(Err(error))) => return Err(Broken::of_content(error)),
                Poll::Ready(None) => {
                    let trailers = self.request.trailers();
                    self.framed.end(trailers.as_ref(), outbox).map_err(|_| Broken::Request)?;
                    (self.stage, self.request.body) = (Stage::Handed, Body::Empty);
                }
            }
        }
        Ok(())
    }
}
