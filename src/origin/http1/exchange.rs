//! One request and its response on one connection.

use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use super::content::Content;
use super::framing::Framing;
use super::head::Head;
use super::sending::Sending;
use crate::body::busy::BodyError;
use crate::body::message::ReplyHead;
use crate::body::tunnel::{Io, Tunnel};
use crate::origin::broken::Broken;
use crate::origin::endpoint::Endpoint;
use crate::origin::exchange::{Answered, Failure, Patience};
use crate::origin::held::Held;
use crate::origin::idle::Connection;
use crate::origin::incoming;
use crate::origin::outgoing::Outgoing;
use crate::origin::places::Place;

/// A head that makes sense, what it came on, and what is still to be sent of the request.
pub(in crate::origin) struct Came {
    head: Head,
    framing: Framing,
    sending: Sending,
    connection: Connection,
}

impl Came {
    /// Sends a request, and waits for the head of the response. Cancelled, the connection is closed.
    pub(in crate::origin) async fn for_request(
        mut connection: Connection,
        request: Box<Outgoing>,
        max_head: usize,
        patience: Patience<'_>,
    ) -> Result<Self, Failure> {
        let mut sending = connection.wire.begin(request);
        let came = {
            let head = std::pin::pin!(connection.wire.head(&mut sending, max_head));
            patience.for_head(head).await?
        };
        match came {
            Ok(head) => match framing_of(&head, &sending) {
                Ok(framing) => Ok(Self { head, framing, sending, connection }),
                Err(broken) => Err(broken.into()),
            },
            Err(broken) => Err(Failure::of(broken, sending.unsent())),
        }
    }

    /// What a head and the connection that it came on are to whoever asked.
    pub(in crate::origin) fn answered(self, home: &Arc<Endpoint>, place: Place) -> Answered {
        let Self { head: Head { status, headers, claims }, framing, sending, connection } = self;
        // Content that was not called for is not sent behind an answer, and then nobody can tell what would follow it.
        let is_held = sending.is_held();
        let (mut lease, mut tunnel) = (None, None);
        if status == StatusCode::SWITCHING_PROTOCOLS {
            let (begin, io) = connection.wire.leave_http();
            let io: Box<dyn Io> = Box::new(Held::new(begin, io, place));
            tunnel = Some(Tunnel::new(async { Ok(io) }));
        } else {
            let persists = claims.persists() && home.keeps_alive() && !is_held;
            lease = Some(Lease { connection, home: Arc::clone(home), place, persists });
        }
        let coming = Coming {
            content: Content::new(framing, home.settings.max_head),
            lease,
            sending: (!sending.is_over() && !is_held).then(|| Box::new(sending)),
        };
        Answered {
            head: ReplyHead::new(status, headers),
            coming: incoming::Coming::Http1(coming),
            tunnel,
            ends_by_close: framing == Framing::UntilClose,
            unknown_coding: claims.has_unknown_coding(),
        }
    }
}

/// Where the content ends. Another protocol cannot begin while the request is still being sent (RFC 9110 §7.8).
fn framing_of(head: &Head, sending: &Sending) -> Result<Framing, Broken> {
    if head.status == StatusCode::SWITCHING_PROTOCOLS && !sending.is_over() {
        return Err(Broken::Malformed("it switches protocols amid a request"));
    }
    head.claims.framing(head.status, sending.is_head())
}

/// What is still to come of a response, and to be sent of its request.
#[derive(Debug)]
pub(in crate::origin) struct Coming {
    content: Content,
    /// None of what is no HTTP any more.
    lease: Option<Lease>,
    sending: Option<Box<Sending>>,
}

/// The connection under an exchange, and where it goes afterwards.
#[derive(Debug)]
struct Lease {
    connection: Connection,
    home: Arc<Endpoint>,
    /// Given back last, so that the next who gets it finds the connection idle.
    place: Place,
    /// The endpoint would go on with it, and so would we.
    persists: bool,
}

impl Coming {
    /// The next of the content, while what is left of the request is sent. Nothing is lost between two calls.
    pub(in crate::origin) fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Bytes>, BodyError>> {
        let sent = self.poll_sending(cx);
        let Some(lease) = &mut self.lease else { return Poll::Ready(Ok(None)) };
        match (lease.connection.wire.poll_content(&mut self.content, cx), sent) {
            // What the endpoint waits for will not come. What it has said already counts all the same.
            (Poll::Pending, Err(error)) => Poll::Ready(Err(error)),
            (came, _) => came,
        }
    }

    /// Sends what is left of the request, as far as that can be done now. What went wrong stays so.
    pub(in crate::origin) fn poll_sending(&mut self, cx: &mut Context<'_>) -> Result<(), BodyError> {
        let (Some(sending), Some(lease)) = (&mut self.sending, &mut self.lease) else { return Ok(()) };
        match lease.connection.wire.poll_sending(sending, cx) {
            Poll::Pending => Ok(()),
            Poll::Ready(Ok(())) => {
                self.sending = None;
                Ok(())
            }
            // Who takes no more may still answer.
            Poll::Ready(Err(Broken::Gone)) => {
                (self.sending, lease.persists) = (None, false);
                Ok(())
            }
            Poll::Ready(Err(_)) => {
                lease.persists = false;
                Err(BodyError::Incomplete)
            }
        }
    }

    /// The trailers, once the content is whole.
    pub(in crate::origin) fn take_trailers(&mut self) -> Option<HeaderMap> {
        self.content.take_trailers()
    }

    /// Gives the connection back for the next request, if the whole body was read and nothing more came. Otherwise it is
    /// closed.
    pub(in crate::origin) fn release(self) {
        let Self { content, lease, sending } = self;
        let Some(Lease { mut connection, home, place, persists }) = lease else { return };
        let is_settled = content.is_whole() && sending.is_none() && connection.wire.is_settled();
        if persists && is_settled {
            home.keep(connection);
        } else if is_settled {
            connection.wire.close();
        }
        drop(place);
    }
}
