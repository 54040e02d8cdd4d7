//! Answers that are held until they are whole.
//!
//! To a client of HTTP/1.0 the end of the connection is the end of an answer whose length nobody knows. A connection of the
//! network is reset where something is missing, and one by TLS ends without a word; a Unix socket can do neither, and what
//! the origin broke off would be taken for all of it, and be stored by a cache that asks. So such an answer waits until it is
//! whole, in the memory and the file that its body has anyway. Then its length is known.

use std::future::poll_fn;
use std::task::Poll;

use http::Version;

use super::connection::Connection;
use super::exchange::{Exchange, Gone};
use super::render::Asked;
use crate::body::Body;
use crate::body::busy::BodyError;
use crate::body::message::ReplyHead;
use crate::listener::stream::Stream;

/// Why an answer is not sent.
pub(super) enum Unsent {
    /// Its client has left.
    Gone,
    /// It broke off.
    Broken(BodyError),
}

impl From<Gone> for Unsent {
    fn from(_: Gone) -> Self {
        Self::Gone
    }
}

impl<S: Stream> Connection<'_, S> {
    /// The length of an answer. Where its end could not be told from its breaking off, it is waited for; one that is too long
    /// for that, or never ends, has none, and is sent as it comes.
    ///
    /// Dropped while it waits, the answer is given up, and with it the connection.
    pub(super) async fn length_of(
        &mut self,
        head: &ReplyHead,
        body: &mut Body,
        exchange: &mut Exchange,
    ) -> Result<Option<u64>, Unsent> {
        let known = body.known_length().or_else(|| head.content_length());
        if known.is_some() || self.io.can_break_off() || !ends_with_connection(exchange.asked, head) {
            return Ok(body.known_length());
        }
        poll_fn(|cx| {
            self.poll_content(exchange, cx)?;
            if let Poll::Ready(whole) = body.poll_whole(cx) {
                return Poll::Ready(whole.map_err(Unsent::Broken));
            }
            self.poll_times(exchange, cx)?;
            Poll::Pending
        })
        .await
    }
}

/// Whether nothing but the end of the connection can end an answer whose length is unknown.
fn ends_with_connection(asked: Asked, head: &ReplyHead) -> bool {
    asked.version != Version::HTTP_11 && !asked.is_head && head.may_have_content()
}
