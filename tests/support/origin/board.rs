//! The origin's record: what it saw, what it wrote and when, and who left.

use crate::support::wire::{Fields, RawHead, find, find_all};
use bytes::Bytes;
use tokio::sync::watch;
use tokio::time::Instant;

/// A request as it arrived.
#[derive(Debug, Clone)]
pub struct SeenRequest {
    /// Which request it is at this origin, from 0.
    pub nth: usize,
    /// Which connection it came on, from 0.
    pub connection: usize,
    /// The method, as sent.
    pub method: String,
    /// The request target, as sent.
    pub target: String,
    /// `HTTP/1.1` or `HTTP/1.0`.
    pub version: String,
    /// The header lines in order, as sent, without CRLF.
    pub lines: Vec<String>,
    /// The header fields in order, values trimmed.
    pub headers: Fields,
    /// Every byte of the head.
    pub raw: Bytes,
}

impl SeenRequest {
    /// Reads a request line, or says what is wrong with it.
    pub(super) fn new(head: RawHead, connection: usize) -> Result<Self, String> {
        let [method, target, version] = head.first.split(' ').collect::<Vec<_>>()[..] else {
            return Err(format!("not a request line: {:?}", head.first));
        };
        if method.is_empty() || target.is_empty() || !matches!(version, "HTTP/1.1" | "HTTP/1.0") {
            return Err(format!("not a request line: {:?}", head.first));
        }
        Ok(Self {
            nth: 0,
            connection,
            method: method.to_owned(),
            target: target.to_owned(),
            version: version.to_owned(),
            lines: head.lines,
            headers: head.fields,
            raw: head.raw,
        })
    }

    /// The target without its query.
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// The first value of a header, without regard to case.
    pub fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }

    /// All values of a header, in order.
    pub fn header_all(&self, name: &str) -> Vec<&str> {
        find_all(&self.headers, name)
    }
}

/// One request and what became of it.
#[derive(Debug, Clone)]
pub struct Exchange {
    /// The request.
    pub request: SeenRequest,
    /// As much of its body as has been read.
    pub body: Vec<u8>,
    /// Whether its body has been read in full.
    pub body_whole: bool,
    /// When its head had arrived.
    pub arrived: Instant,
    /// Bytes written in answer.
    pub written: u64,
    /// When the last act had been written in full. A [`Close`](super::Act::Close) or
    /// [`Reset`](super::Act::Reset) counts when it is reached.
    pub finished: Option<Instant>,
}

/// All that an origin records.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// Every exchange, in the order in which the heads arrived.
    pub exchanges: Vec<Exchange>,
    /// Connections opened.
    pub opened: usize,
    /// Connections ended, by whoever.
    pub ended: usize,
    /// Connections that the peer ended.
    pub closed_by_peer: usize,
    /// Bytes written, over all connections.
    pub written: u64,
    /// What was sent that is not HTTP/1.1, and scripts that could not be followed.
    pub faults: Vec<String>,
}

/// The tally behind a watch channel, so that tests wait for events and never poll.
#[derive(Debug, Default)]
pub(super) struct Board(watch::Sender<Tally>);

impl Board {
    pub(super) fn now(&self) -> Tally {
        self.0.borrow().clone()
    }

    pub(super) fn look<T>(&self, read: impl FnOnce(&Tally) -> T) -> T {
        read(&self.0.borrow())
    }

    pub(super) async fn wait(&self, done: impl FnMut(&Tally) -> bool) {
        // The sender lives in `self`, so this cannot fail.
        let _ = self.0.subscribe().wait_for(done).await;
    }

    /// Changes the tally and wakes whoever waits for it.
    pub(super) fn note<T>(&self, change: impl FnOnce(&mut Tally) -> T) -> T {
        let mut out = None;
        self.0.send_modify(|tally| out = Some(change(tally)));
        out.unwrap()
    }

    /// Records a request and gives it its number.
    pub(super) fn arrived(&self, request: &mut SeenRequest) {
        self.note(|tally| {
            request.nth = tally.exchanges.len();
            tally.exchanges.push(Exchange {
                request: request.clone(),
                body: Vec::new(),
                body_whole: false,
                arrived: Instant::now(),
                written: 0,
                finished: None,
            });
        });
    }

    /// Changes the record of one exchange.
    pub(super) fn exchange(&self, nth: usize, change: impl FnOnce(&mut Exchange)) {
        self.note(|tally| change(&mut tally.exchanges[nth]));
    }
}
