//! The content of a response, taken out of its framing.

use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use tokio::io::AsyncRead;

use super::framing::Framing;
use crate::body::busy::BodyError;
use crate::http1::chunked::{Chunked, Decoded};
use crate::http1::input::{HEAD_READ, Input};

/// Content on its way in.
#[derive(Debug)]
pub(in crate::origin) struct Content {
    place: Place,
    /// What was read last came in one large piece: more of the kind is to be expected.
    comes_fast: bool,
    trailers: Option<HeaderMap>,
}

#[derive(Debug)]
enum Place {
    /// So many bytes are to come, more than none.
    Length(u64),
    Chunked(Box<Chunked>),
    UntilClose,
    Whole,
}

impl Content {
    /// Content that is framed like this; its trailers may have `max_trailers` bytes.
    pub(in crate::origin) fn new(framing: Framing, max_trailers: usize) -> Self {
        let place = match framing {
            Framing::Empty => Place::Whole,
            Framing::Length(length) => Place::Length(length),
            Framing::Chunked => Place::Chunked(Box::new(Chunked::lenient(max_trailers))),
            Framing::UntilClose => Place::UntilClose,
        };
        Self { place, comes_fast: false, trailers: None }
    }

    /// Whether all of it was taken.
    pub(in crate::origin) fn is_whole(&self) -> bool {
        matches!(self.place, Place::Whole)
    }

    /// The trailers, once it is whole.
    pub(in crate::origin) fn take_trailers(&mut self) -> Option<HeaderMap> {
        self.trailers.take()
    }

    /// The next bytes, never none of them; `None` when it is whole. Nothing is lost between two calls.
    pub(super) fn poll_next<S: AsyncRead + Unpin>(
        &mut self,
        input: &mut Input,
        io: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Bytes>, BodyError>> {
        loop {
            if let Some(came) = self.decode(input)? {
                return Poll::Ready(Ok(came));
            }
            let read = if self.comes_fast { input.poll_much(io, cx) } else { input.poll_more(io, cx) };
            match read {
                Poll::Ready(Ok(0)) if matches!(self.place, Place::UntilClose) => self.place = Place::Whole,
                Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(Err(BodyError::Incomplete)),
                Poll::Ready(Ok(bytes)) => self.comes_fast = bytes >= HEAD_READ,
                Poll::Pending => {
                    input.compact();
                    return Poll::Pending;
                }
            }
        }
    }

    /// What can be had of `input`: some content, or that this was all; `None` if there has to be more of it.
    #[allow(clippy::option_option, reason = "what the outer one says is documented")]
    fn decode(&mut self, input: &mut Input) -> Result<Option<Option<Bytes>>, BodyError> {
        match &mut self.place {
            Place::Whole => Ok(Some(None)),
            Place::Chunked(chunked) => match chunked.decode(&mut input.0) {
                Ok(Decoded::Data(bytes)) => Ok(Some(Some(bytes))),
                Ok(Decoded::More) => Ok(None),
                Ok(Decoded::End(trailers)) => {
                    (self.place, self.trailers) = (Place::Whole, trailers);
                    Ok(Some(None))
                }
                Err(why) => {
                    tracing::debug!(%why, "a response's content makes no sense");
                    Err(BodyError::Malformed)
                }
            },
            Place::Length(_) | Place::UntilClose if input.is_empty() => Ok(None),
            Place::UntilClose => Ok(Some(Some(input.take()))),
            Place::Length(left) => {
                let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(input.0.len());
                *left -= taken as u64;
                if *left == 0 {
                    self.place = Place::Whole;
                }
                Ok(Some(Some(input.0.split_to(taken))))
            }
        }
    }
}
