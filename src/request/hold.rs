//! Answers that are held until they are whole.
//!
//! To a client of HTTP/1.0 the end of the connection is the end of an answer whose length nobody knows. A connection of the
//! network is reset where something is missing. A Unix socket cannot be, and what the origin broke off would be taken for all
//! of it, and be stored by a cache that asks. So such an answer waits until it is whole, in the memory and the file that its
//! body has anyway; then its length is known. One that breaks off is an error like any other, for nothing of it has left.

use std::future::poll_fn;

use http::{HeaderValue, Version, header};

use super::turn::Turn;
use super::{ClientMachine, Step};
use crate::body::busy::BodyError;
use crate::body::message::{Reply, Request};
use crate::origin::OriginError;

/// Whether an answer of unknown length to this request could not be told from a part of it.
pub(super) fn needs_whole(request: &Request) -> bool {
    request.version < Version::HTTP_11 && !request.can_break_off
}

impl Turn {
    /// The step to this answer, by way of its end if that has to be waited for.
    pub(super) fn answered(&self, reply: Reply) -> Step {
        let knows_length = || reply.body.known_length().or_else(|| reply.head.content_length()).is_some();
        if self.needs_whole && reply.head.may_have_content() && !knows_length() {
            Step::Hold(reply)
        } else {
            Step::Done(reply)
        }
    }
}

impl ClientMachine {
    /// Waits until an answer is whole. One that is too long to be kept, or has no end, is sent as it comes. Cancel-safe:
    /// dropped while it waits, the client has left.
    pub(super) async fn hold(&self, turn: &mut Turn, mut reply: Reply) -> Step {
        match poll_fn(|cx| reply.body.poll_whole(cx)).await {
            Ok(length) => {
                if let Some(length) = length {
                    reply.head.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
                }
                Step::Done(reply)
            }
            // Others read faster, and there was no room for what this one left: it asks for itself, and reads as it comes.
            Err(BodyError::TooSlow) if turn.ask.method.is_safe() => Step::Alone(None),
            Err(error) => {
                let error = OriginError::of_body(error).unwrap_or_else(OriginError::internal);
                self.failed(turn, error, self.clock.now())
            }
        }
    }
}
