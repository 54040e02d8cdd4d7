//! A request as it comes from the codec, on its way to its answer or to a stream of its own.

use std::task::{Context, Poll};

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use http::{HeaderMap, HeaderName, Method, Version, header};
use tokio::time::Instant;

use super::connection::Connection;
use super::exchange::{Begun, Exchange};
use super::fields::{self, Head, Limits, Unfit};
use super::priority::Priority;
use super::sending;
use super::upload::{self, Awaited, Upload};
use crate::body::Body;
use crate::body::message::{Reply, Request};
use crate::listener::refusal::Refusal;
use crate::listener::stream::Stream;
use crate::listener::whole::whole;
use crate::listener::{Answer, Handler};

const PRIORITY: HeaderName = HeaderName::from_static("priority");

/// Whether content comes when there is something to say, however seldom that is: calls of gRPC.
fn is_conversation(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).map_or(&b""[..], |kind| kind.as_bytes());
    kind.starts_with(b"application/grpc")
}

impl<S: Stream, H: Handler> Connection<'_, S, H> {
    /// Answers a request, as far as that goes at once.
    pub(super) fn receive(
        &mut self,
        request: http::Request<RecvStream>,
        mut respond: SendResponse<Bytes>,
        cx: &mut Context<'_>,
    ) {
        if self.leave_by.is_some_and(|by| by <= Instant::now()) {
            // It was told to go long ago.
            return respond.send_reset(Reason::REFUSED_STREAM);
        }
        let (parts, content) = request.into_parts();
        let said = parts.headers.get(PRIORITY);
        let priority = said.map_or(Priority::UNSAID, |said| Priority::of(said.as_bytes()));
        let is_head = parts.method == Method::HEAD;
        let mut exchange = Exchange::new(respond, is_head, priority, self.turns.clone());
        self.limits.renew();
        let limits = Limits { bytes: self.limits.max_head, fields: self.limits.max_fields };
        match fields::head(parts, limits) {
            Ok(head) => self.answer(exchange, head, content, cx),
            Err(Unfit::Malformed(why)) => {
                // Said to the log alone.
                let said = self.handler.refuse(&Refusal::Malformed(why), &self.link);
                sending::finish(said.record, 0, true);
                exchange.respond.send_reset(Reason::PROTOCOL_ERROR);
            }
            Err(Unfit::Refused(refusal)) => {
                let reply = self.handler.refuse(&refusal, &self.link);
                self.carry_on(exchange, reply, cx);
            }
        }
    }

    fn answer(&mut self, mut exchange: Exchange, head: Head, mut content: RecvStream, cx: &mut Context<'_>) {
        let Head { method, authority, target, headers, wants_tunnel, waits_for_100 } = head;
        let uploads = &self.serving.uploads;
        let mut body = Body::Empty;
        if wants_tunnel {
            let Some(window) = upload::charge_window(uploads) else { return self.has_no_memory(exchange) };
            (exchange.from_tunnel, exchange.window) = (Some(content), Some(window));
        } else {
            match Awaited::of(&mut content, &method, &headers, cx) {
                Awaited::Nothing => {}
                Awaited::Whole(bytes) => {
                    let Some(charge) = uploads.budget.try_charge_body(bytes.len() as u64) else {
                        return self.has_no_memory(exchange);
                    };
                    body = whole(bytes, charge);
                }
                Awaited::Something(first) => {
                    let mut patience = self.limits.for_sending();
                    if is_conversation(&headers) {
                        patience.least.bytes = 0;
                    }
                    let Some((upload, reader)) = Upload::new(content, first, uploads, patience) else {
                        return self.has_no_memory(exchange);
                    };
                    (exchange.upload, exchange.waits_for_100) = (Some(upload), waits_for_100);
                    body = Body::Busy(reader);
                }
            }
        }
        let request = Request {
            method,
            scheme: self.link.scheme(),
            target_authority: authority,
            target,
            version: Version::HTTP_2,
            headers,
            body,
            peer: self.link.peer,
            policy: self.link.policy,
            certificate: self.link.certificate.clone(),
            early: self.link.early(),
            // Each answer has an end of its own.
            can_break_off: true,
        };
        let (handler, patience) = (self.handler, self.limits.for_taking());
        match handler.handle(request) {
            Answer::Now(reply) => self.carry_on(exchange, reply, cx),
            Answer::Later(later) => {
                self.streams.push(Box::pin(exchange.answer(later, patience)));
            }
        }
    }

    /// For what a client may send there has to be room. It may ask again.
    fn has_no_memory(&self, mut exchange: Exchange) {
        tracing::debug!(peer = %self.link.peer, "there is no memory for a request's content");
        exchange.respond.send_reset(Reason::REFUSED_STREAM);
    }

    /// An answer that is at hand needs no task of its own, unless its client makes it wait.
    fn carry_on(&mut self, mut exchange: Exchange, reply: Reply, cx: &mut Context<'_>) {
        let mut begun = exchange.begin(reply, self.limits.for_taking());
        if let Begun::Content(sending) = &mut begun
            && let Poll::Ready(ending) = sending.poll(cx)
        {
            begun = Begun::Ended(ending);
        }
        match begun {
            Begun::Ended(ending) if exchange.upload.is_none() => self.ended(ending),
            begun => self.streams.push(Box::pin(exchange.go_on(begun))),
        }
    }
}
