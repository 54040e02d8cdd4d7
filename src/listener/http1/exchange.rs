//! One request and its answer on a connection: content comes in while the answer is waited for and while it leaves.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::{Method, StatusCode, Version, header};
use tokio::time::Instant;

use super::connection::{After, Connection, How};
use super::framing::Framing;
use super::head::Head;
use super::render::{self, Asked, Fate};
use super::sending::{Filled, Sending};
use super::upload::{End, Upload};
use crate::body::Body;
use crate::body::message::{Interim, Reply, Request};
use crate::http1::framed::Delimiting;
use crate::listener::Later;
use crate::listener::pace::Late;
use crate::listener::stream::Stream;
use crate::listener::whole::whole;

/// What is read ahead of later requests while one is answered; more is left in the system until then.
const READ_AHEAD: usize = 16 << 10;

/// What may wait to be written before the answer. Interim answers beyond that are left out.
const MOST_BEFORE: usize = 16 << 10;

/// How long content that nobody wants any more is read on, for the sake of the next request behind it.
const UNWANTED: Duration = Duration::from_secs(2);

/// What belongs to one request.
#[allow(
    clippy::struct_excessive_bools,
    reason = "each is what the head says or what becomes of it, on its own"
)]
pub(super) struct Exchange {
    asked: Asked,
    /// The client may be sending more: it has not said that it would close.
    may_send: bool,
    /// The connection may go on afterwards.
    persists: bool,
    /// The client waits to be told to send its content.
    waits_for_100: bool,
    /// The client offers to leave HTTP.
    may_switch: bool,
    upload: Option<Box<Upload>>,
}

/// The client has left, or its connection is broken.
struct Gone;

impl Exchange {
    /// What is answered although it was no request.
    pub(super) fn of_none() -> Self {
        let asked = Asked { version: Version::HTTP_11, is_head: false };
        Self { asked, may_send: true, persists: false, waits_for_100: false, may_switch: false, upload: None }
    }

    /// Content that is still to come, unless nobody can tell where it ends.
    fn coming(&mut self) -> Option<&mut Upload> {
        self.upload.as_deref_mut().filter(|upload| upload.ended().is_none())
    }

    /// Whether it is time to say that the content is wanted. True once.
    fn is_to_be_told_100(&mut self) -> bool {
        let wanted = self.upload.as_ref().is_some_and(|upload| upload.is_wanted());
        wanted && std::mem::take(&mut self.waits_for_100)
    }

    /// Whether all content has come that was sent, so that the next request follows.
    fn is_read(&self) -> bool {
        self.upload.as_ref().is_none_or(|upload| upload.ended() == Some(End::Whole))
    }
}

impl<S: Stream> Connection<'_, S> {
    /// The request of a head, and what is needed to answer it here.
    pub(super) fn open(&mut self, head: Head) -> (Request, Exchange) {
        let Head { method, version, target, headers, framing, persists, waits_for_100, offers_upgrade } =
            head;
        let (upload, body) = self.content(framing);
        let exchange = Exchange {
            asked: Asked::new(version, &method),
            may_send: persists,
            // What follows a CONNECT that is refused may be meant for somebody else.
            persists: persists && method != Method::CONNECT,
            waits_for_100: waits_for_100 && upload.is_some(),
            may_switch: offers_upgrade,
            upload,
        };
        let request = Request {
            method,
            scheme: self.link.scheme(),
            target_authority: target.authority,
            target: target.path,
            version,
            headers,
            body,
            peer: self.link.peer,
            policy: self.link.policy,
            certificate: self.link.certificate.clone(),
            early: self.link.early(),
            can_break_off: self.io.can_break_off(),
        };
        (request, exchange)
    }

    /// The content of a request: what came whole along with its head needs nobody who brings it.
    fn content(&mut self, framing: Framing) -> (Option<Box<Upload>>, Body) {
        if let Framing::Length(length) = framing
            && let Some(length) = usize::try_from(length).ok().filter(|length| *length <= self.input.0.len())
            && let Some(charge) = self.serving.uploads.budget.try_charge_body(length as u64)
        {
            return (None, whole(self.input.0.split_to(length), charge));
        }
        let limits = &self.limits;
        match Upload::new(framing, &self.serving.uploads, limits.max_head, limits.min_rate) {
            None => (None, Body::Empty),
            Some((upload, reader)) => (Some(Box::new(upload)), Body::Busy(reader)),
        }
    }

    /// Waits for the answer, and reads content meanwhile; what is said before the answer is sent. `None` if the client has
    /// left. Dropped while it waits, the request is given up, and with it the connection.
    pub(super) async fn wait(&mut self, mut later: Later<'_>, exchange: &mut Exchange) -> Option<Reply> {
        poll_fn(|cx| {
            if self.poll_content(exchange, cx).is_err() {
                return Poll::Ready(None);
            }
            if exchange.is_to_be_told_100() {
                self.outbox.head().extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
            }
            let reply = later.reply.as_mut().poll(cx);
            while let Poll::Ready(interim) = later.interim.poll_next(cx) {
                self.say_before(&interim, exchange);
            }
            if let Poll::Ready(reply) = reply {
                return Poll::Ready(Some(reply));
            }
            let flushed = self.poll_flush(cx);
            if matches!(flushed, Poll::Ready(Err(Gone))) || self.poll_times(exchange, cx).is_err() {
                return Poll::Ready(None);
            }
            Poll::Pending
        })
        .await
    }

    /// Interim answers are for those who know them (RFC 9110 §15.2).
    fn say_before(&mut self, interim: &Interim, exchange: &Exchange) {
        if exchange.asked.version == Version::HTTP_11 && self.outbox.waiting() < MOST_BEFORE {
            render::interim(self.outbox.head(), interim);
        }
    }

    /// Sends the answer, and reads what is still to come of the content. Dropped while it sends, the connection is of no
    /// use any more.
    pub(super) async fn send(&mut self, reply: Reply, mut exchange: Exchange) -> After {
        let Reply { mut head, mut body, record } = reply;
        if let Some(upload) = &mut exchange.upload {
            upload.is_answered();
        }
        let mut tunnel = None;
        if let Body::Tunnel(opened) = body {
            body = Body::Empty;
            // To a client that never offered to leave HTTP a 101 would lie, and one that still sends content has not left
            // it (RFC 9110 §7.8).
            if exchange.may_switch && exchange.is_read() {
                tunnel = Some(opened);
            } else {
                (head.status, exchange.persists) = (StatusCode::BAD_GATEWAY, false);
            }
        }
        let connection = match &tunnel {
            Some(_) => Fate::Switches,
            None if self.may_persist(&exchange) => Fate::Persists,
            None => Fate::Closes,
        };
        let length = body.known_length();
        self.outbox.make_room(length.unwrap_or(0));
        let (delimiting, connection) =
            render::head(self.outbox.head(), &head, length, exchange.asked, connection);
        self.told_by_close = delimiting == Delimiting::UntilClose;
        // What is not announced is not sent: such a client never said that it takes trailers.
        let with_trailers = head.headers.contains_key(header::TRAILER);
        let mut sending = Sending::new(body, delimiting, with_trailers, record);
        let sent = poll_fn(|cx| self.poll_send(&mut sending, &mut exchange, cx)).await;
        // What was taken and waits below, nobody counts: but if that could not leave, something is missing.
        let is_below = sent.is_err() && sending.is_whole();
        if let Some(late) = self.late {
            sending.ended_for(late.name());
        }
        sending.finish(self.outbox.waiting().max(usize::from(is_below)));
        if sent.is_err() {
            return After::Gone;
        }
        self.told_by_close = false;
        if let Some(tunnel) = tunnel {
            return After::Switch(tunnel);
        }
        if exchange.upload.is_some() && !exchange.waits_for_100 {
            self.read_rest(&mut exchange).await;
        }
        self.alarm.set(Instant::now(), self.limits.idle_timeout);
        match connection {
            Fate::Persists if exchange.is_read() => After::Next,
            _ if !exchange.may_send && exchange.is_read() && self.input.is_empty() => {
                After::Close(How::AtOnce)
            }
            _ => After::Close(How::Lingering),
        }
    }

    /// Whether the connection may go on after the answer that is about to be sent.
    fn may_persist(&self, exchange: &Exchange) -> bool {
        let lost = exchange.upload.as_ref().is_some_and(|upload| upload.ended() == Some(End::Lost));
        // What came early is of the protocol that was offered, not of this one.
        let speaks_otherwise = exchange.may_switch && !self.input.0.is_empty();
        exchange.persists
            && !exchange.waits_for_100
            && !lost
            && !speaks_otherwise
            && !self.alarm.is_draining()
    }

    fn poll_send(
        &mut self,
        sending: &mut Sending,
        exchange: &mut Exchange,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Gone>> {
        if exchange.coming().is_some() {
            self.poll_content(exchange, cx)?;
        }
        loop {
            let filled = sending.poll_fill(&mut self.outbox, cx);
            match self.poll_flush(cx) {
                Poll::Ready(Err(Gone)) => return Poll::Ready(Err(Gone)),
                Poll::Pending => break,
                Poll::Ready(Ok(())) => match filled {
                    Filled::Enough => {}
                    Filled::Whole => return Poll::Ready(Ok(())),
                    Filled::Broken => return Poll::Ready(Err(Gone)),
                    Filled::Waits => {
                        self.poll_ahead(exchange, cx)?;
                        break;
                    }
                },
            }
        }
        self.poll_times(exchange, cx)?;
        Poll::Pending
    }

    /// Reads content, or ahead, or finds out that the client has left.
    fn poll_content(&mut self, exchange: &mut Exchange, cx: &mut Context<'_>) -> Result<(), Gone> {
        if let Some(upload) = exchange.coming()
            && upload.poll(&mut self.io, &mut self.input, cx) == Poll::Ready(End::Gone)
        {
            return Err(Gone);
        }
        self.poll_ahead(exchange, cx)
    }

    fn poll_ahead(&mut self, exchange: &mut Exchange, cx: &mut Context<'_>) -> Result<(), Gone> {
        if exchange.coming().is_some() {
            return Ok(());
        }
        while self.input.0.len() < READ_AHEAD {
            match self.input.poll_more(&mut self.io, cx) {
                Poll::Ready(Ok(0) | Err(_)) => return Err(Gone),
                Poll::Ready(Ok(_)) => {}
                Poll::Pending => break,
            }
        }
        Ok(())
    }

    /// Ready when nothing waits to be written any more.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Gone>> {
        while self.outbox.waiting() > 0 {
            match self.outbox.poll_write(&mut self.io, cx) {
                Poll::Ready(Ok(written)) => self.written += written as u64,
                Poll::Ready(Err(error)) => {
                    tracing::debug!(peer = %self.link.peer, %error, "an answer could not be written");
                    return Poll::Ready(Err(Gone));
                }
                Poll::Pending => {
                    self.waits_for_room();
                    return Poll::Pending;
                }
            }
        }
        let flushed = Pin::new(&mut self.io).poll_flush(cx).map_err(|_| Gone);
        if flushed.is_pending() {
            // What was taken waits below.
            self.waits_for_room();
        } else if let Some(pace) = &mut self.pace {
            let left = self.io.left_below().unwrap_or(self.written);
            pace.rests(left, &self.limits.min_rate);
        }
        flushed
    }

    fn waits_for_room(&mut self) {
        let left = self.left();
        self.pace.get_or_insert_default().waits(left, &self.limits.min_rate);
    }

    /// Bytes that have left for the client.
    fn left(&self) -> u64 {
        self.io.left_below().unwrap_or(self.written)
    }

    /// Looks whether the client takes too little of what waits for it.
    fn takes_too_little(&mut self) -> Option<Late> {
        let (left, io) = (self.left(), &self.io);
        let pace = self.pace.as_mut()?;
        pace.look(&self.limits.for_taking(), || Some(left.saturating_sub(io.unacknowledged()?)))
    }

    /// Looks whether the client lets us wait for too long: for room to write, or for its content.
    fn poll_times(&mut self, exchange: &mut Exchange, cx: &mut Context<'_>) -> Result<(), Gone> {
        loop {
            let upload = exchange.coming();
            let written = self.pace.as_ref().and_then(|pace| pace.look_at(&self.limits.for_taking()));
            let read = upload.as_ref().and_then(|upload| upload.ends_at(&self.limits.for_sending()));
            let Some(first) = written.into_iter().chain(read).min() else {
                self.alarm.clear();
                return Ok(());
            };
            self.alarm.set_deadline(first);
            if self.alarm.poll(cx).is_pending() {
                return Ok(());
            }
            if written != Some(first) {
                if let Some(upload) = upload {
                    upload.stalled();
                }
                // It is told so by whoever wanted the content.
                cx.waker().wake_by_ref();
                return Ok(());
            }
            self.late = self.takes_too_little();
            if let Some(late) = self.late {
                tracing::debug!(peer = %self.link.peer, why = late.name(), "a client takes too little of its answer");
                return Err(Gone);
            }
        }
    }

    /// Reads content that was on its way when the answer had left already: as long as somebody wants it, and else as far as
    /// it is worth while for the sake of the next request.
    async fn read_rest(&mut self, exchange: &mut Exchange) {
        let patience = self.limits.for_sending();
        let mut unwanted = None;
        poll_fn(|cx| {
            loop {
                let Some(upload) = exchange.coming() else { return Poll::Ready(()) };
                if upload.poll(&mut self.io, &mut self.input, cx).is_ready() {
                    return Poll::Ready(());
                }
                let now = Instant::now();
                let end = if upload.is_unwanted() {
                    *unwanted.get_or_insert(now) + UNWANTED
                } else {
                    upload.ends_at(&patience).unwrap_or(now + patience.limit)
                };
                if end <= now {
                    upload.stalled();
                    return Poll::Ready(());
                }
                // Nobody tells when the last reader has left: so this looks again.
                self.alarm.set_deadline(end.min(now + UNWANTED));
                ready!(self.alarm.poll(cx));
            }
        })
        .await;
    }
}
