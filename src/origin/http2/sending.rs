//! The content of a request on its way out, as far as it has come and is wanted.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::{Reason, SendStream};
use http::{Response, StatusCode};
use tokio::time::{Sleep, sleep};

use crate::body::Body;
use crate::http1::framed::Delimiting;
use crate::origin::broken::Broken;
use crate::origin::outgoing::Outgoing;

/// The most that is handed to the codec at a time.
const MOST_AT_ONCE: usize = 16 << 10;

/// A request whose head was sent.
pub(super) struct Sending {
    request: Box<Outgoing>,
    stream: SendStream<Bytes>,
    stage: Stage,
    /// What was taken of the content and not handed over yet.
    piece: Bytes,
    /// How much is still to come, if that was said.
    left: Option<u64>,
    /// Some of the content was taken from where it comes from.
    is_begun: bool,
}

enum Stage {
    /// The content waits to be called for, no longer than this.
    Held(Pin<Box<Sleep>>),
    Going,
    /// All of it was handed over.
    Over,
    /// The content broke off.
    Broken(Broken),
}

impl std::fmt::Debug for Sending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sending").field("left", &self.left).finish_non_exhaustive()
    }
}

impl Sending {
    /// Behind a head that was sent on `stream`.
    pub(super) fn new(request: Box<Outgoing>, stream: SendStream<Bytes>) -> Self {
        let (stage, left) = match (request.delimiting, request.waits_for_100) {
            (Delimiting::None, _) => (Stage::Over, None),
            (delimiting, limit) => {
                let stage = limit.map_or(Stage::Going, |limit| Stage::Held(Box::pin(sleep(limit))));
                (stage, if let Delimiting::Length(length) = delimiting { Some(length) } else { None })
            }
        };
        Self { request, stream, stage, piece: Bytes::new(), left, is_begun: false }
    }

    /// Whether the response is to a HEAD.
    pub(super) fn is_head(&self) -> bool {
        self.request.is_head
    }

    /// Whether all of it was handed over.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.stage, Stage::Over)
    }

    /// Whether its content has not been called for.
    pub(super) fn is_held(&self) -> bool {
        matches!(self.stage, Stage::Held(_))
    }

    /// The request, if none of its content was taken.
    pub(super) fn untouched(self) -> Option<Box<Outgoing>> {
        (!self.is_begun).then_some(self.request)
    }

    /// An interim response came: the content is called for, or whoever hears is told.
    pub(super) fn hear(&mut self, interim: &Response<()>) {
        match interim.status() {
            StatusCode::CONTINUE if self.is_held() => self.stage = Stage::Going,
            StatusCode::CONTINUE => {}
            status => self.request.hears.iter().for_each(|hears| hears.hear(status, interim.headers())),
        }
    }

    fn break_off(&mut self, why: Broken) {
        self.stream.send_reset(Reason::CANCEL);
        self.stage = Stage::Broken(why);
    }

    /// Hands on what there is, as far as the endpoint opens its window. Ready when all was handed over, or no more can be.
    /// Nothing is lost between two calls.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        if let Stage::Held(limit) = &mut self.stage {
            ready!(limit.as_mut().poll(cx));
            self.stage = Stage::Going;
        }
        loop {
            match self.stage {
                Stage::Over => return Poll::Ready(Ok(())),
                Stage::Broken(why) => return Poll::Ready(Err(why)),
                Stage::Going | Stage::Held(_) => {}
            }
            if !self.piece.is_empty() {
                ready!(self.poll_piece(cx))?;
                continue;
            }
            match ready!(self.request.body.poll_next(cx)) {
                Some(Ok(bytes)) if self.left.is_none_or(|left| bytes.len() as u64 <= left) => {
                    (self.piece, self.is_begun) = (bytes, true);
                }
                None if self.left.is_none_or(|left| left == 0) => self.end()?,
                Some(Err(error)) => self.break_off(Broken::of_content(error)),
                // More or less than was said.
                Some(Ok(_)) | None => self.break_off(Broken::Request),
            }
        }
    }

    /// Hands over what the window has room for.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        let most = self.piece.len().min(MOST_AT_ONCE);
        self.stream.reserve_capacity(most);
        let room = self.stream.capacity().min(most);
        if room == 0 {
            return match ready!(self.stream.poll_capacity(cx)) {
                Some(Ok(_)) => Poll::Ready(Ok(())),
                Some(Err(_)) | None => Poll::Ready(Err(Broken::Gone)),
            };
        }
        let piece = self.piece.split_to(room);
        self.left = self.left.map(|left| left.saturating_sub(room as u64));
        let is_last = self.left == Some(0);
        self.stream.send_data(piece, is_last).map_err(|_| Broken::Gone)?;
        if is_last {
            self.is_sent();
        }
        Poll::Ready(Ok(()))
    }

    /// The end of content of which nobody knew how long it is, with the trailers that came behind it.
    fn end(&mut self) -> Result<(), Broken> {
        let ended = match self.request.trailers().filter(|trailers| !trailers.is_empty()) {
            Some(trailers) => self.stream.send_trailers(trailers),
            None => self.stream.send_data(Bytes::new(), true),
        };
        ended.map_err(|_| Broken::Gone)?;
        self.is_sent();
        Ok(())
    }

    fn is_sent(&mut self) {
        (self.stage, self.request.body) = (Stage::Over, Body::Empty);
    }
}
