//! A client's place at a fetch.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::super::ask::Ask;
use super::super::heard;
use super::super::running::Running;
use super::{Advice, Flight};
use crate::base::ids::Sequence;
use crate::body::busy::Reader;
use crate::body::message::Interim;

/// One client's place at a fetch. It counts as interest in the body from the first moment on; dropping it is
/// how a client leaves.
#[derive(Debug)]
pub struct Seat {
    pub(super) flight: Arc<Flight>,
    /// The fetch itself, as long as the client that began it waits for its head.
    pub(super) running: Option<Running>,
    pub(super) reader: Reader,
    pub(super) leads: bool,
    /// How much it has been told of what the origin said before the head.
    pub(super) told: usize,
    /// The ledger's sequence when the client came: what was purged before is not for it.
    pub(super) arrived: Sequence,
}

impl Seat {
    /// As [`Seat::advice_told`], for a client that is told nothing before its answer.
    pub async fn advice(&mut self, ask: &Ask) -> Advice {
        self.advice_told(ask, |_| {}).await
    }

    /// Waits for the announcement. `tell` gets what the origin says before it (RFC 9110 §15.2), in order, each once, and
    /// from the beginning also if this client came later; a waiter only if the origin could have said it to its own request.
    ///
    /// Cancel-safe: dropped here, the client has left; a fetch that it moved along goes on in a task of its own. What was said
    /// is told before the next await.
    pub async fn advice_told(&mut self, ask: &Ask, mut tell: impl FnMut(&Arc<Interim>)) -> Advice {
        while self.running.is_some() {
            let has_news = poll_fn(|cx| self.poll_fetch(cx)).await;
            self.tell(ask, &mut tell);
            if !has_news {
                self.hand_over();
            }
        }
        let flight = Arc::clone(&self.flight);
        let announcement = loop {
            // Before the look at what there is, so that nothing slips in between.
            let news = flight.news.notified();
            self.tell(ask, &mut tell);
            if let Some(announcement) = flight.board.told_or_over() {
                break announcement;
            }
            news.await;
        };
        if !self.leads && flight.is_too_old(&announcement, ask, self.arrived) {
            return Advice::Purged;
        }
        let advice = flight.advise(announcement, self.leads, ask);
        if matches!(advice, Advice::Read(_) | Advice::Use(_) | Advice::Gather(_)) {
            // What came along with the head was said before it.
            self.tell(ask, &mut tell);
        }
        advice
    }

    /// Moves the fetch along until it is over or has something to say: true for something before its announcement.
    fn poll_fetch(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        let over = self.running.as_mut().is_none_or(|running| running.poll(cx).is_ready());
        if over || self.flight.board.told().is_some() {
            return Poll::Ready(false);
        }
        if self.flight.heard.count() > self.told { Poll::Ready(true) } else { Poll::Pending }
    }

    /// Tells what was said since it was last told.
    fn tell(&mut self, ask: &Ask, tell: &mut impl FnMut(&Arc<Interim>)) {
        let new = self.flight.heard.since(self.told);
        if new.is_empty() {
            return;
        }
        self.told += new.len();
        if self.leads || heard::are_alike(&self.flight.ask, ask) {
            new.iter().for_each(tell);
        }
    }

    /// Has the fetch go on in a task of its own from here on, as it does when its client has the head or leaves.
    pub fn hand_over(&mut self) {
        self.running = None;
    }

    /// Whether this client's request is the one that went to the origin.
    pub fn leads(&self) -> bool {
        self.leads
    }

    /// How many leaders had failed before this one.
    pub fn attempt(&self) -> u8 {
        self.flight.attempt
    }

    /// Whether the origin saw this client's own request, conditions and all.
    pub fn passes(&self) -> bool {
        self.flight.passes
    }

    /// The body from its first byte on.
    pub fn into_reader(self) -> Reader {
        self.reader
    }
}
