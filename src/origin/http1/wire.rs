//! A connection to an endpoint, and the exchange on it.

use std::fmt;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::StatusCode;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::unconstrained;

use super::content::Content;
use super::head::{self, Head};
use super::sending::Sending;
use crate::body::busy::BodyError;
use crate::body::tunnel::Io;
use crate::http1::input::Input;
use crate::http1::outbox::Outbox;
use crate::origin::broken::Broken;
use crate::origin::outgoing::Outgoing;

/// An open connection.
pub(in crate::origin) struct Wire {
    io: Box<dyn Io>,
    input: Input,
    outbox: Outbox,
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wire").finish_non_exhaustive()
    }
}

impl Wire {
    /// A connection on which nothing was said yet.
    pub(in crate::origin) fn new(io: Box<dyn Io>) -> Self {
        Self { io, input: Input::default(), outbox: Outbox::default() }
    }

    /// Whether the endpoint has neither closed it nor said anything that nobody asked for, as far as is known by now. Of
    /// what is lent to nobody: who waits for it is not woken any more.
    pub(in crate::origin) fn is_quiet(&mut self) -> bool {
        let mut byte = [0];
        let read = poll_fn(|cx| Pin::new(&mut self.io).poll_read(cx, &mut ReadBuf::new(&mut byte)));
        look(read).is_pending() && self.is_settled()
    }

    /// Lets go of it in good order, as far as that can be done at once: by TLS there is something left to say (RFC 8446
    /// §6.1).
    pub(in crate::origin) fn close(mut self) {
        let _ = look(poll_fn(|cx| Pin::new(&mut self.io).poll_shutdown(cx)));
    }

    /// Whether everything that was said on it belongs to exchanges that are over.
    pub(in crate::origin) fn is_settled(&mut self) -> bool {
        self.input.is_empty() && self.outbox.waiting() == 0
    }

    /// Begins to send a request.
    pub(in crate::origin) fn begin(&mut self, request: Box<Outgoing>) -> Sending {
        Sending::begin(request, &mut self.outbox)
    }

    /// Sends on, and waits for the head of the response, which may have `max_head` bytes. What is said before it is heard.
    ///
    /// An endpoint that takes no more may have answered all the same: that is waited for.
    ///
    /// Cancelled, what was sent and what came stays where it is, and nobody can tell any more what it belongs to: the
    /// connection is of no use.
    pub(in crate::origin) async fn head(
        &mut self,
        sending: &mut Sending,
        max_head: usize,
    ) -> Result<Head, Broken> {
        let mut takes_more = true;
        // Whether what came last may be the end of a head.
        let mut may_end = true;
        poll_fn(|cx| {
            if takes_more {
                takes_more = self.poll_send(sending, cx)?;
            }
            loop {
                if !sending.has_begun() {
                    // Whatever comes now is no answer to it.
                    return if self.has_come(cx) { Poll::Ready(Err(Broken::Gone)) } else { Poll::Pending };
                }
                if may_end && !self.input.is_empty() {
                    match head::take(&mut self.input.0, max_head)? {
                        Some(head) if is_interim(head.status) => {
                            sending.hear(&head);
                            if takes_more {
                                takes_more = self.poll_send(sending, cx)?;
                            }
                            continue;
                        }
                        Some(head) => return Poll::Ready(Ok(head)),
                        None => {}
                    }
                }
                match self.input.poll_more(&mut self.io, cx) {
                    Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(Err(Broken::Gone)),
                    Poll::Ready(Ok(new)) => may_end = self.input.may_end_head(new, max_head),
                    Poll::Pending => return Poll::Pending,
                }
            }
        })
        .await
    }

    /// Whether the endpoint says something, or has closed the connection.
    fn has_come(&mut self, cx: &mut Context<'_>) -> bool {
        self.input.poll_more(&mut self.io, cx).is_ready()
    }

    /// Sends on. False if the endpoint takes no more.
    fn poll_send(&mut self, sending: &mut Sending, cx: &mut Context<'_>) -> Result<bool, Broken> {
        match sending.poll(&mut self.outbox, &mut self.io, cx) {
            Poll::Ready(Err(Broken::Gone)) if sending.has_begun() => Ok(false),
            Poll::Ready(Err(broken)) => Err(broken),
            Poll::Ready(Ok(())) | Poll::Pending => Ok(true),
        }
    }

    /// Sends on what is left of a request whose response has begun. Ready when all has left, or no more can.
    pub(in crate::origin) fn poll_sending(
        &mut self,
        sending: &mut Sending,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Broken>> {
        sending.poll(&mut self.outbox, &mut self.io, cx)
    }

    /// The next of the content; `None` when it is whole. Nothing is lost between two calls.
    pub(in crate::origin) fn poll_content(
        &mut self,
        content: &mut Content,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Bytes>, BodyError>> {
        content.poll_next(&mut self.input, &mut self.io, cx)
    }

    /// The connection itself, with what has come on it already, once it has left HTTP.
    pub(in crate::origin) fn leave_http(mut self) -> (Bytes, Box<dyn Io>) {
        (self.input.take(), self.io)
    }
}

/// How something stands now. Not by the task's share of work: when that is used up, a closed connection looks like an open
/// one.
fn look<T>(future: impl Future<Output = T>) -> Poll<T> {
    pin!(unconstrained(future)).poll(&mut Context::from_waker(Waker::noop()))
}

/// Whether another head follows (RFC 9110 §15.2). With 101 another protocol does.
fn is_interim(status: StatusCode) -> bool {
    status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS
}
