//! Where content leaves for a client: when it is its turn among the answers of its connection, as far as the window of its
//! stream has room.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::{Reason, SendStream};
use http::HeaderMap;
use tokio::time::{Instant, Sleep, sleep_until};

use super::turns::Place;
use crate::listener::pace::{Late, Pace, Patience};

/// The most that is handed over in one turn: with the head of its frame, just what a record of TLS takes.
const MOST_AT_ONCE: usize = (16 << 10) - 9;

/// One stream's way out.
pub struct Outlet {
    stream: SendStream<Bytes>,
    place: Place,
    /// How long a client may leave the window closed, if not for ever.
    patience: Option<Patience>,
    /// How it opens it.
    pace: Pace,
    /// Bytes that were sent.
    sent: u64,
    /// When it will have left it closed for too long.
    until: Option<Pin<Box<Sleep>>>,
    /// It has.
    late: Option<Late>,
}

/// The client has left, or wants no more.
#[derive(Clone, Copy, Debug)]
pub struct Unwanted;

impl Outlet {
    /// Of a stream whose head was sent.
    pub fn new(stream: SendStream<Bytes>, place: Place, patience: Option<Patience>) -> Self {
        Self { stream, place, patience, pace: Pace::default(), sent: 0, until: None, late: None }
    }

    /// Why the client gets no more, if that is for what it did not take.
    pub fn late(&self) -> Option<Late> {
        self.late.or_else(|| self.place.late())
    }

    /// Ready with how many of `most` bytes may be sent, which then have to be. A client that opens no window for too long has
    /// its stream reset. Cancel-safe.
    pub fn poll_room(&mut self, most: usize, cx: &mut Context<'_>) -> Poll<Result<usize, Unwanted>> {
        loop {
            let Poll::Ready(allowed) = self.place.poll_turn(cx) else {
                // That the connection takes nothing at all is not this stream's fault.
                self.waits_for_others();
                return self.poll_unwanted(cx).map(Err);
            };
            let most = most.min(allowed).min(MOST_AT_ONCE);
            self.stream.reserve_capacity(most);
            let room = self.stream.capacity().min(most);
            if room > 0 {
                self.waits_for_others();
                return Poll::Ready(Ok(room));
            }
            self.place.rest();
            match self.stream.poll_capacity(cx) {
                Poll::Ready(Some(Ok(_))) => {}
                Poll::Ready(_) => return Poll::Ready(Err(Unwanted)),
                Poll::Pending => {
                    let late = ready!(self.poll_too_long(cx));
                    tracing::debug!(why = late.name(), "a client opens its window too slowly");
                    self.late = Some(late);
                    self.reset(Reason::CANCEL);
                    return Poll::Ready(Err(Unwanted));
                }
            }
        }
    }

    /// Sends what there is room for.
    pub fn send(&mut self, bytes: Bytes, is_last: bool) -> Result<(), Unwanted> {
        self.place.took(bytes.len());
        self.sent += bytes.len() as u64;
        self.stream.send_data(bytes, is_last).map_err(|_| Unwanted)
    }

    /// There is nothing to send for now: others may. Ready if the client wants no more. Cancel-safe.
    pub fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<Unwanted> {
        self.place.rest();
        self.waits_for_others();
        self.poll_unwanted(cx)
    }

    /// Nothing more is to come but, perhaps, trailers.
    pub fn end(&mut self, trailers: Option<&HeaderMap>) -> Result<(), Unwanted> {
        let sent = match trailers.filter(|trailers| !trailers.is_empty()) {
            Some(trailers) => self.stream.send_trailers(trailers.clone()),
            None => self.stream.send_data(Bytes::new(), true),
        };
        sent.map_err(|_| Unwanted)
    }

    /// Ends it before its end.
    pub fn reset(&mut self, reason: Reason) {
        self.stream.send_reset(reason);
    }

    fn poll_unwanted(&mut self, cx: &mut Context<'_>) -> Poll<Unwanted> {
        self.stream.poll_reset(cx).map(|_| Unwanted)
    }

    /// It is not the client's window that is waited for.
    fn waits_for_others(&mut self) {
        if let Some(patience) = &self.patience {
            self.pace.rests(self.sent, &patience.least);
            self.until = None;
        }
    }

    fn poll_too_long(&mut self, cx: &mut Context<'_>) -> Poll<Late> {
        let Some(patience) = &self.patience else { return Poll::Pending };
        self.pace.waits(self.sent, &patience.least);
        let Some(end) = self.pace.ends_at(patience) else { return Poll::Pending };
        ready!(self.until.get_or_insert_with(|| Box::pin(sleep_until(end))).as_mut().poll(cx));
        Poll::Ready(self.pace.late(Instant::now(), patience).unwrap_or(Late::Stalled))
    }
}
