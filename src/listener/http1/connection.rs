//! A connection between its requests: waiting for a head, refusing, closing, leaving HTTP.

use std::future::poll_fn;
use std::mem;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::time::{Instant, timeout};

use super::exchange::Exchange;
use super::head::{self, Head};
use crate::body::message::Reply;
use crate::body::tunnel::Tunnel;
use crate::http1::input::Input;
use crate::http1::outbox::Outbox;
use crate::listener::alarm::Alarm;
use crate::listener::link::Link;
use crate::listener::pace::{Late, Pace};
use crate::listener::refusal::Refusal;
use crate::listener::stream::Stream;
use crate::listener::{Limits, Serving};

/// How long a client may be silent, and how long it may send in all, while it has yet to notice that its connection is
/// closed: closing over unread bytes would reset it, and might lose the answer (RFC 9112 §9.6).
const SILENCE: Duration = Duration::from_secs(2);
const LINGER: Duration = Duration::from_secs(10);

/// Bytes that are read at a time for nothing.
const THROWN_AWAY: usize = 16 << 10;

/// A client's connection.
pub(super) struct Connection<'a, S: Stream> {
    pub(super) io: S,
    pub(super) link: Link,
    pub(super) serving: &'a Serving,
    /// As they were when the present request began.
    pub(super) limits: Limits,
    pub(super) input: Input,
    pub(super) outbox: Outbox,
    pub(super) alarm: Alarm,
    /// How the client takes what waits for it, once it had to be waited for: a connection that waits is small.
    pub(super) pace: Option<Box<Pace>>,
    /// Bytes that the stream took.
    pub(super) written: u64,
    /// It ends because the client takes too little.
    pub(super) late: Option<Late>,
    /// Only the end of the connection will tell that the content on its way is whole.
    pub(super) told_by_close: bool,
}

/// What becomes of a connection after an answer.
pub(super) enum After {
    /// The next request.
    Next,
    /// It ends.
    Close(How),
    /// It leaves HTTP.
    Switch(Tunnel),
    /// It is broken, or the client has left.
    Gone,
}

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    /// Everything was read.
    AtOnce,
    /// The client may be sending still.
    Lingering,
}

impl<'a, S: Stream> Connection<'a, S> {
    /// A new connection, whose first head is due.
    pub(super) fn new(io: S, link: Link, serving: &'a Serving) -> Self {
        let limits = serving.settings.latest();
        let alarm = Alarm::new(limits.header_timeout, &serving.draining);
        let (input, outbox) = (Input::default(), Outbox::default());
        let (pace, written, late, told_by_close) = (None, 0, None, false);
        Self { io, link, serving, limits, input, outbox, alarm, pace, written, late, told_by_close }
    }

    /// Waits for the next request. `None` if there is none: the client has closed, or said nothing for too long, or the
    /// listener drains. Cancel-safe.
    pub(super) async fn next_head(&mut self) -> Option<Result<Head, Refusal>> {
        let (mut began, mut woken) = (false, false);
        // Whether what came last may be the end of a head.
        let mut may_end = true;
        poll_fn(|cx| {
            loop {
                if !self.input.is_empty() && may_end {
                    if !began {
                        self.limits.renew();
                    }
                    match head::take(&mut self.input.0, &self.limits) {
                        Ok(None) => {}
                        Ok(Some(head)) => return Poll::Ready(Some(Ok(head))),
                        Err(refusal) => return Poll::Ready(Some(Err(refusal))),
                    }
                    if !mem::replace(&mut began, true) {
                        self.alarm.set(Instant::now(), self.limits.header_timeout);
                    }
                }
                match self.input.poll_more(&mut self.io, cx) {
                    Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(None),
                    Poll::Ready(Ok(new)) => {
                        may_end = !began || self.input.may_end_head(new, self.limits.max_head);
                    }
                    // As long as all goes well, the timer is set and need not be looked at.
                    Poll::Pending => {
                        let first = !mem::replace(&mut woken, true);
                        if first && self.alarm.is_set_for(cx) && !self.alarm.is_draining() {
                            return Poll::Pending;
                        }
                        return self.poll_idle(cx);
                    }
                }
            }
        })
        .await
    }

    fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Head, Refusal>>> {
        let late = self.alarm.poll(cx).is_ready();
        if self.input.is_empty() {
            if late || self.alarm.is_draining() { Poll::Ready(None) } else { Poll::Pending }
        } else if late {
            tracing::debug!(peer = %self.link.peer, "a request's head did not come in time");
            Poll::Ready(Some(Err(Refusal::Late)))
        } else {
            Poll::Pending
        }
    }

    /// Says why there is no request, and no next one either. Dropped, the connection is of no use any more.
    pub(super) async fn refuse(&mut self, reply: Reply) -> After {
        self.send(reply, Exchange::of_none()).await
    }

    /// Closes. One that may be sending still is given a moment to read what it was told.
    pub(super) async fn close(&mut self, how: How) {
        self.input.take();
        // By TLS there is something left to say, for which there may be no room.
        let closed = timeout(self.limits.write_timeout, self.io.shutdown()).await;
        // The end of a handshake that goes on is still to come.
        let lingers = how == How::Lingering || self.link.early().is_some();
        if matches!(closed, Ok(Ok(()))) && lingers {
            let _ = timeout(LINGER, self.read_until_silence()).await;
        }
    }

    async fn read_until_silence(&mut self) {
        let mut nowhere = BytesMut::with_capacity(THROWN_AWAY);
        while let Ok(Ok(1..)) = timeout(SILENCE, self.io.read_buf(&mut nowhere)).await {
            nowhere.clear();
        }
    }

    /// Joins the two sides of a connection that has left HTTP. Ends when both directions have closed or one has failed.
    pub(super) async fn join(&mut self, tunnel: Tunnel) {
        let Ok(mut origin) = tunnel.open().await else {
            return tracing::debug!("a tunnel did not open on the side of the origin");
        };
        let early = self.input.take();
        let joined = async {
            origin.write_all(&early).await?;
            copy_bidirectional(&mut self.io, &mut origin).await
        };
        if let Err(error) = joined.await {
            tracing::debug!(%error, "a tunnel broke");
        }
    }
}

impl<S: Stream> Drop for Connection<'_, S> {
    fn drop(&mut self) {
        if self.told_by_close {
            self.io.break_off();
        }
    }
}
