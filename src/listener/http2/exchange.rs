//! One request and its answer on a stream of its own: content comes in while the answer is waited for and while it leaves.

use std::future::poll_fn;
use std::task::{Context, Poll};

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{RecvStream, SendStream};
use http::{HeaderMap, StatusCode};

use super::fields::{self, Content};
use super::outlet::Outlet;
use super::priority::Priority;
use super::sending::{Ending, Sending, finish};
use super::tunnel;
use super::turns::Turns;
use super::upload::Upload;
use crate::body::Body;
use crate::body::budget::PartCharge;
use crate::body::message::{Reply, ReplyHead};
use crate::body::tunnel::Tunnel;
use crate::listener::Later;
use crate::listener::pace::Patience;

/// What belongs to one request.
pub struct Exchange {
    /// Where the answer goes.
    pub respond: SendResponse<Bytes>,
    /// It asked for the head alone.
    pub is_head: bool,
    /// The client waits to be told to send its content.
    pub waits_for_100: bool,
    /// Content that is coming.
    pub upload: Option<Upload>,
    /// What comes of a client that wants to leave HTTP.
    pub from_tunnel: Option<RecvStream>,
    /// For what of that may wait in the codec.
    pub window: Option<PartCharge>,
    /// How urgent the client said the answer is.
    priority: Priority,
    turns: Turns,
}

/// How far an answer has come once its head was sent.
pub enum Begun {
    /// Its content is to follow.
    Content(Box<Sending>),
    /// The stream has left HTTP.
    Tunnel(Box<(Outlet, Tunnel)>),
    /// To its end.
    Ended(Ending),
}

impl Exchange {
    /// A request without content, so far.
    pub fn new(respond: SendResponse<Bytes>, is_head: bool, priority: Priority, turns: Turns) -> Self {
        Self {
            respond,
            is_head,
            waits_for_100: false,
            upload: None,
            from_tunnel: None,
            window: None,
            priority,
            turns,
        }
    }

    /// Sends the head of an answer. A client that opens its window too slowly for `patience` wants no more of it.
    pub fn begin(&mut self, reply: Reply, patience: Patience) -> Begun {
        let Reply { mut head, mut body, mut record } = reply;
        if let Some(upload) = &self.upload {
            upload.is_answered();
        }
        let may_switch = self.from_tunnel.is_some();
        match body {
            Body::Tunnel(tunnel) if may_switch => {
                let sent = self.respond.send_response(fields::tunnelled(head), false);
                finish(record, 0, sent.is_ok());
                return match sent {
                    Ok(stream) => Begun::Tunnel(Box::new((self.outlet(stream, None), tunnel))),
                    Err(_) => Begun::Ended(Ending::Broken),
                };
            }
            // To a client that never offered to leave HTTP a tunnel would lie; to one that did, any other success would say
            // that there is one (RFC 8441 §5).
            other if may_switch && head.status.is_success() || matches!(other, Body::Tunnel(_)) => {
                head = ReplyHead::new(StatusCode::BAD_GATEWAY, HeaderMap::new());
                body = Body::Empty;
                if let Some(record) = &mut record {
                    record.status = head.status;
                }
            }
            other => body = other,
        }
        let (response, content) = fields::response(head, body.known_length(), self.is_head);
        let ends = matches!(content, Content::None | Content::Length(0));
        match self.respond.send_response(response, ends) {
            Ok(stream) if !ends => {
                let outlet = self.outlet(stream, Some(patience));
                Begun::Content(Box::new(Sending::new(outlet, body, content, record)))
            }
            sent => {
                finish(record, 0, sent.is_ok());
                Begun::Ended(sent.into())
            }
        }
    }

    fn outlet(&self, stream: SendStream<Bytes>, patience: Option<Patience>) -> Outlet {
        let place = self.turns.place(stream.stream_id().as_u32(), self.priority);
        Outlet::new(stream, place, patience)
    }

    /// Waits for the answer, and sends it. Dropped, the request is given up, and its stream reset.
    pub async fn answer(mut self, later: Later<'_>, patience: Patience) -> Ending {
        match self.wait(later).await {
            Some(reply) => {
                let begun = self.begin(reply, patience);
                self.go_on(begun).await
            }
            None => Ending::Broken,
        }
    }

    /// Sends what is left of an answer, and takes what is still to come of the request, as long as somebody wants it.
    pub async fn go_on(mut self, begun: Begun) -> Ending {
        let ending = match begun {
            Begun::Content(mut sending) => poll_fn(|cx| self.poll_send(&mut sending, cx)).await,
            Begun::Tunnel(tunnel) => {
                let (to_client, tunnel) = *tunnel;
                if let Some(client) = self.from_tunnel.take() {
                    tunnel::join(client, to_client, tunnel).await;
                }
                Ending::Whole
            }
            Begun::Ended(ending) => ending,
        };
        if let Some(upload) = &mut self.upload
            && ending == Ending::Whole
            && !self.waits_for_100
        {
            poll_fn(|cx| upload.poll(cx)).await;
        }
        ending
    }

    /// `None` if the client wants no answer any more.
    async fn wait(&mut self, mut later: Later<'_>) -> Option<Reply> {
        poll_fn(|cx| {
            if self.respond.poll_reset(cx).is_ready() {
                return Poll::Ready(None);
            }
            self.poll_upload(cx);
            let reply = later.reply.as_mut().poll(cx);
            while let Poll::Ready(interim) = later.interim.poll_next(cx) {
                // The answer itself will find out that the stream has ended.
                let _ = self.respond.send_informational(fields::interim(interim));
            }
            reply.map(Some)
        })
        .await
    }

    fn poll_send(&mut self, sending: &mut Sending, cx: &mut Context<'_>) -> Poll<Ending> {
        self.poll_upload(cx);
        sending.poll(cx)
    }

    fn poll_upload(&mut self, cx: &mut Context<'_>) {
        let Some(upload) = &mut self.upload else { return };
        let _ = upload.poll(cx);
        if upload.is_wanted() && std::mem::take(&mut self.waits_for_100) {
            let _ = self.respond.send_informational(fields::go_on());
        }
    }
}
