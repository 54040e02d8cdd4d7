//! Messages as every module above the adapters speaks them.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use http::uri::{PathAndQuery, Scheme};
use http::{HeaderMap, Method, StatusCode, Version, header};
use parking_lot::Mutex;

use super::Body;
use super::certificate::ClientCertificate;
use super::rendered::RenderedFields;
use crate::base::early::Early;
use crate::base::ids::ClientPolicy;
use crate::base::peer::Peer;
use crate::telemetry::record::Record;

/// A request, parsed and taken apart by an adapter. Nothing of its framing is left in it.
#[derive(Debug)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// Of the connection that it came on, not of what the client claims.
    pub scheme: Scheme,
    /// The authority of an absolute-form target, which outranks `Host` (RFC 9112 §3.2.2).
    pub target_authority: Option<String>,
    /// Path and query, byte for byte.
    pub target: PathAndQuery,
    /// The version that the client speaks.
    pub version: Version,
    /// All fields, hop-by-hop ones included.
    pub headers: HeaderMap,
    /// The content.
    pub body: Body,
    /// The connection's other end.
    pub peer: Peer,
    /// What was asked of it in its handshake.
    pub policy: ClientPolicy,
    /// The certificate that it showed there, if an origin is to be told of it.
    pub certificate: Option<Arc<ClientCertificate>>,
    /// That handshake, if it had not ended when the request came, which may be a replay as long as that is so.
    pub early: Option<Early>,
    /// Whether its connection can tell that an answer breaks off, where nothing but its end tells the end of one: by a
    /// reset, as those of the network can.
    pub can_break_off: bool,
}

impl Request {
    /// Whether it may be a replay: it came before the end of its client's handshake, which has not ended since (RFC 8470).
    pub fn is_early(&self) -> bool {
        self.early.as_ref().is_some_and(Early::is_early)
    }
}

/// The head of a response.
#[derive(Clone, Debug)]
pub struct ReplyHead {
    /// The status code.
    pub status: StatusCode,
    /// Fields of what is stored, with what this node says of it, which come before all others; none but in the answers of
    /// a cache. Whoever writes HTTP/1.1 writes them as they are.
    pub stored: Option<RenderedFields>,
    /// The fields, or those beside what is stored; framing fields are the adapters' business.
    pub headers: HeaderMap,
}

impl ReplyHead {
    /// The length of the content that the fields promise, stored ones included; `None` if they say nothing of it, or no
    /// number (RFC 9110 §8.6).
    pub fn content_length(&self) -> Option<u64> {
        let of_stored = || self.stored.as_ref()?.content_length();
        let said = self.headers.get(header::CONTENT_LENGTH);
        said.map_or_else(of_stored, |said| said.to_str().ok()?.parse().ok())
    }

    /// Whether content may follow it, unless it answers a HEAD (RFC 9110 §6.4.1).
    pub fn may_have_content(&self) -> bool {
        let none = [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED];
        !self.status.is_informational() && !none.contains(&self.status)
    }

    /// Whether it may tell a length, also where no content follows (RFC 9110 §8.6).
    pub fn may_tell_length(&self) -> bool {
        !self.status.is_informational() && self.status != StatusCode::NO_CONTENT
    }

    /// A head of fields of which none is rendered.
    pub fn new(status: StatusCode, headers: HeaderMap) -> Self {
        Self { status, stored: None, headers }
    }

    /// All fields in their order, as one map.
    pub fn into_headers(self) -> HeaderMap {
        let Some(stored) = self.stored else { return self.headers };
        let mut all = stored.to_map();
        for (name, value) in &self.headers {
            // An overfull map loses what does not fit.
            let _ = all.try_append(name, value.clone());
        }
        all
    }
}

/// An answer before the answer (RFC 9110 §15.2): 102, 103 and what may be invented yet. Never 100 and 101, which are the
/// adapters' own.
#[derive(Clone, Debug)]
pub struct Interim {
    /// A status code of 1xx.
    pub status: StatusCode,
    /// The fields.
    pub headers: HeaderMap,
}

/// How many interim answers may wait for a client to take them; what comes beyond is not sent.
const MOST_INTERIMS: usize = 8;

/// Where interim answers for one request go. Cheap to clone.
#[derive(Clone, Debug)]
pub struct InterimSender(Arc<Mutex<Said>>);

/// Interim answers for one client, in order.
#[derive(Debug)]
pub struct Interims(Arc<Mutex<Said>>);

/// What was said and not taken yet. It takes next to nothing as long as nothing is said, which is nearly always.
#[derive(Debug, Default)]
struct Said {
    waiting: VecDeque<Interim>,
    waker: Option<Waker>,
}

/// A way for interim answers to one client.
pub fn interims() -> (InterimSender, Interims) {
    let said = Arc::default();
    (InterimSender(Arc::clone(&said)), Interims(said))
}

impl InterimSender {
    /// Hands an interim answer on; it is lost if the client has left, or takes none. No answer depends on one.
    pub fn send(&self, interim: Interim) {
        let mut said = self.0.lock();
        if said.waiting.len() < MOST_INTERIMS {
            said.waiting.push_back(interim);
        }
        let waker = said.waker.take();
        drop(said);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Interims {
    /// The next one; wakes when there is one, and so never if none comes. Cancel-safe: it is taken when returned.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Interim> {
        let mut said = self.0.lock();
        if let Some(interim) = said.waiting.pop_front() {
            return Poll::Ready(interim);
        }
        said.waker = Some(cx.waker().clone());
        Poll::Pending
    }

    /// The next one, if it is there already.
    pub fn take(&mut self) -> Option<Interim> {
        self.0.lock().waiting.pop_front()
    }
}

/// A response.
#[derive(Debug)]
pub struct Reply {
    /// Status and fields.
    pub head: ReplyHead,
    /// The content, which may still be arriving.
    pub body: Body,
    /// What is counted, and written to the access log, when the body has left or broken off.
    pub record: Option<Box<Record>>,
}

impl Reply {
    /// A response that nobody counts (yet).
    pub fn new(status: StatusCode, headers: HeaderMap, body: Body) -> Self {
        Self { head: ReplyHead::new(status, headers), body, record: None }
    }
}
