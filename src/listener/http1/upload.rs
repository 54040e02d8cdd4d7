//! The content of a request on its way from the connection into its busy body.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use tokio::io::AsyncRead;
use tokio::time::Instant;

use super::framing::Framing;
use crate::body::busy::{Abandoned, BodyError, BusyBody, Means, Reader, Retention, Writer};
use crate::http1::chunked::{Chunked, Decoded, Malformed};
use crate::http1::input::Input;
use crate::listener::pace::{MinRate, Pace, Patience};

/// The most bytes of content that are read when nobody wants them any more, only to find the next request behind them.
const MAX_UNWANTED: u64 = 64 << 10;

/// Content that a client sends.
pub(super) struct Upload {
    decoder: Decoder,
    stage: Stage,
    /// Somebody has asked for it.
    is_wanted: bool,
    /// How the client sends what is waited for.
    pace: Pace,
    least: MinRate,
    /// Bytes that came.
    came: u64,
    /// Bytes that were read although nobody wanted them.
    unwanted: u64,
}

/// Takes content out of its framing.
enum Decoder {
    Length(u64),
    Chunked(Chunked),
}

/// A writer on its way through one call of its own.
type Going<T> = Pin<Box<dyn Future<Output = T> + Send>>;

enum Stage {
    /// Nobody has asked for it. The client is not told to go on, and what it sends all the same is left in the system.
    NotWanted(Going<Writer>),
    Reading(Writer),
    Appending(Going<(Writer, Result<(), Abandoned>)>),
    /// Nobody wants the rest.
    Discarding,
    Ended(End),
}

/// How content ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// All of it was read: the next request follows.
    Whole,
    /// Where it ends cannot be told any more, or it is too far off.
    Lost,
    /// The client has left.
    Gone,
}

impl Upload {
    /// Content framed like this, and who reads it. Trailers may have `max_trailers` bytes, and a client that is waited for has
    /// to send at `least` so much.
    pub(super) fn new(
        framing: Framing,
        means: &Means,
        max_trailers: usize,
        least: MinRate,
    ) -> Option<(Self, Reader)> {
        let decoder = match framing {
            Framing::Empty => return None,
            Framing::Length(length) => Decoder::Length(length),
            Framing::Chunked => Decoder::Chunked(Chunked::new(max_trailers)),
        };
        let (_, writer, reader) = BusyBody::with_reader(means.clone(), Retention::Spool);
        let wanted = async {
            writer.demanded().await;
            writer
        };
        Some((
            Self {
                decoder,
                stage: Stage::NotWanted(Box::pin(wanted)),
                is_wanted: false,
                pace: Pace::default(),
                least,
                came: 0,
                unwanted: 0,
            },
            reader,
        ))
    }

    /// Whether somebody has asked for it.
    pub(super) fn is_wanted(&self) -> bool {
        self.is_wanted
    }

    /// How it ended, if it has.
    pub(super) fn ended(&self) -> Option<End> {
        if let Stage::Ended(end) = self.stage { Some(end) } else { None }
    }

    /// Whether nobody wants it any more.
    pub(super) fn is_unwanted(&self) -> bool {
        match &self.stage {
            Stage::Reading(writer) => writer.is_abandoned(),
            Stage::Discarding => true,
            Stage::NotWanted(_) | Stage::Appending(_) | Stage::Ended(_) => false,
        }
    }

    /// When the client will have let it wait for too long, if it does.
    pub(super) fn ends_at(&self, patience: &Patience) -> Option<Instant> {
        self.pace.ends_at(&Patience { least: self.least, ..*patience })
    }

    /// The answer leaves from now on: the rest may come as slowly as it likes, for it may be a conversation.
    pub(super) fn is_answered(&mut self) {
        self.least.bytes = 0;
    }

    /// The client let it wait for too long.
    pub(super) fn stalled(&mut self) {
        if let Stage::Reading(writer) = std::mem::replace(&mut self.stage, Stage::Ended(End::Lost)) {
            writer.fail(BodyError::Stalled);
        }
    }

    /// Reads on until there is nothing to read, nobody to take it, or the end, which is told. Ready at once after the end.
    /// Cancel-safe: nothing is lost between two calls.
    pub(super) fn poll<S: AsyncRead + Unpin>(
        &mut self,
        io: &mut S,
        input: &mut Input,
        cx: &mut Context<'_>,
    ) -> Poll<End> {
        loop {
            let (stage, waits) = match std::mem::replace(&mut self.stage, Stage::Ended(End::Lost)) {
                Stage::NotWanted(mut wanted) => match wanted.as_mut().poll(cx) {
                    Poll::Ready(writer) if writer.is_abandoned() => (Stage::Discarding, false),
                    Poll::Ready(writer) => {
                        self.is_wanted = true;
                        (Stage::Reading(writer), false)
                    }
                    Poll::Pending => (Stage::NotWanted(wanted), true),
                },
                Stage::Appending(mut appending) => match appending.as_mut().poll(cx) {
                    Poll::Ready((writer, Ok(()))) => (Stage::Reading(writer), false),
                    Poll::Ready((_, Err(Abandoned))) => (Stage::Discarding, false),
                    Poll::Pending => (Stage::Appending(appending), true),
                },
                Stage::Reading(writer) => match self.decode(io, input, cx) {
                    Poll::Ready(came) => (taken(writer, came), false),
                    Poll::Pending => (Stage::Reading(writer), true),
                },
                Stage::Discarding => match self.decode(io, input, cx) {
                    Poll::Ready(came) => (self.thrown_away(came), false),
                    Poll::Pending => (Stage::Discarding, true),
                },
                Stage::Ended(end) => {
                    self.stage = Stage::Ended(end);
                    return Poll::Ready(end);
                }
            };
            self.stage = stage;
            if waits {
                return Poll::Pending;
            }
        }
    }

    /// What nobody wants is read only so far.
    fn thrown_away(&mut self, came: Result<Came, Broken>) -> Stage {
        match came {
            Ok(Came::Data(bytes)) => {
                self.unwanted += bytes.len() as u64;
                if self.unwanted > MAX_UNWANTED { Stage::Ended(End::Lost) } else { Stage::Discarding }
            }
            Ok(Came::End(_)) => Stage::Ended(End::Whole),
            Err(broken) => Stage::Ended(broken.end()),
        }
    }

    fn decode<S: AsyncRead + Unpin>(
        &mut self,
        io: &mut S,
        input: &mut Input,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Came, Broken>> {
        loop {
            let decoded = match &mut self.decoder {
                Decoder::Length(0) => Decoded::End(None),
                Decoder::Length(_) if input.is_empty() => Decoded::More,
                Decoder::Length(left) => {
                    let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(input.0.len());
                    *left -= taken as u64;
                    Decoded::Data(input.0.split_to(taken))
                }
                Decoder::Chunked(chunked) => chunked.decode(&mut input.0).map_err(Broken::Malformed)?,
            };
            match decoded {
                Decoded::Data(bytes) => return Poll::Ready(Ok(Came::Data(bytes))),
                Decoded::End(trailers) => return Poll::Ready(Ok(Came::End(trailers))),
                Decoded::More => match input.poll_much(io, cx) {
                    Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(Err(Broken::Gone)),
                    Poll::Ready(Ok(came)) => {
                        self.came += came as u64;
                        self.pace.rests(self.came, &self.least);
                    }
                    Poll::Pending => {
                        input.compact();
                        self.pace.waits(self.came, &self.least);
                        return Poll::Pending;
                    }
                },
            }
        }
    }
}

/// What becomes of content that came while somebody reads it.
fn taken(writer: Writer, came: Result<Came, Broken>) -> Stage {
    match came {
        Ok(Came::Data(bytes)) => append(writer, bytes),
        Ok(Came::End(trailers)) => {
            writer.finish(trailers);
            Stage::Ended(End::Whole)
        }
        Err(broken) => {
            writer.fail(broken.error());
            Stage::Ended(broken.end())
        }
    }
}

fn append(mut writer: Writer, bytes: Bytes) -> Stage {
    if !writer.may_grow_by(bytes.len() as u64) {
        writer.fail(BodyError::TooLarge);
        return Stage::Discarding;
    }
    Stage::Appending(Box::pin(async {
        let appended = writer.append(bytes).await;
        (writer, appended)
    }))
}

enum Came {
    Data(Bytes),
    End(Option<HeaderMap>),
}

enum Broken {
    Gone,
    Malformed(Malformed),
}

impl Broken {
    fn error(&self) -> BodyError {
        match self {
            Self::Gone => BodyError::Incomplete,
            Self::Malformed(why) => {
                tracing::debug!(%why, "a request's content broke off");
                BodyError::Malformed
            }
        }
    }

    fn end(&self) -> End {
        match self {
            Self::Gone => End::Gone,
            Self::Malformed(_) => End::Lost,
        }
    }
}
