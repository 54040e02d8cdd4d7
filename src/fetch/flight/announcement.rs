//! What is told of a fetch, and what follows of it for one who waits.

use std::sync::Arc;

use http::{HeaderName, HeaderValue, StatusCode};
use parking_lot::Mutex;

use super::super::ask::Ask;
use super::super::coded::CodedStreams;
use crate::base::blame::Blame;
use crate::body::message::ReplyHead;
use crate::body::tunnel::Tunnel;
use crate::cache::lookup::Hit;
use crate::origin::OriginError;
use crate::semantics::coding::{self, Coding};
use crate::semantics::decoding;
use crate::semantics::reuse::Terms;
use crate::semantics::tags::Tags;
use crate::semantics::vary::VarySet;

/// What the fetch machine tells all who wait, once. Cheap to clone.
#[derive(Clone, Debug)]
pub enum Announcement {
    /// The head of a response; its body is arriving.
    Head(Arc<Announced>),
    /// The origin confirmed what was stored.
    Refreshed(Arc<Refreshed>),
    /// The disk had it: the origin was not asked.
    Stored(Hit),
    /// The head is stored, and blocks follow.
    Divided(Arc<Divided>),
    /// What came is of no use for anybody: all ask for themselves.
    Unshared,
    /// The origin does not answer what may be a replay, as the request was that was sent (RFC 8470 §5.2).
    TooEarly,
    /// No head came.
    Failed(Failure),
}

/// Why no head came that could be used, and what is stored instead.
#[derive(Clone, Debug)]
pub struct Failure {
    /// What went wrong.
    pub trouble: Trouble,
    /// What was to be confirmed, for those whose request selects it.
    pub stale: Option<Hit>,
}

/// What went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// No head came.
    NoHead(OriginError),
    /// The origin answered with this server error, which what is stored may bridge (RFC 5861 §4).
    Answered(StatusCode),
}

impl Trouble {
    /// Whether another leader may fare better at once.
    pub(in crate::fetch) fn may_pass(self) -> bool {
        matches!(self, Self::NoHead(error) if error.next_leader_may_succeed())
    }

    /// Whether the origin is to blame.
    pub(in crate::fetch) fn is_of_origin(self) -> bool {
        match self {
            Self::NoHead(error) => error.blame == Blame::Origin,
            Self::Answered(_) => true,
        }
    }
}

impl From<OriginError> for Failure {
    fn from(error: OriginError) -> Self {
        Self { trouble: Trouble::NoHead(error), stale: None }
    }
}

/// A response's head with the verdict on it.
#[derive(Debug)]
pub struct Announced {
    /// Status and end-to-end fields.
    pub head: ReplyHead,
    /// Who may read it.
    pub others: Others,
    /// Whether it is on its way into the cache.
    pub storing: bool,
    /// Why it is not.
    pub refusal: Option<&'static str>,
    /// It came in the place of something stale that was stored.
    pub replaces_stale: bool,
    /// What is stored in the place of a server error, for those of the waiters who take it (RFC 5861 §4).
    pub bridge: Option<Hit>,
    /// How it may be used, if others may have it at all.
    pub terms: Option<Terms>,
    /// Fields that are for the client whose request was sent, and no other.
    pub unshared: Vec<HeaderName>,
    /// By what it is purged together with others.
    pub tags: Tags,
    /// The origin's announcement of trailers.
    pub trailer: Option<HeaderValue>,
    /// It as it is coded for those who take that.
    pub coded: CodedStreams,
    /// After a 101: the connection, for the one client that asked.
    pub tunnel: Mutex<Option<Tunnel>>,
}

impl Announced {
    /// Whether it is for a client that sent this request: in codings that it takes, or in one that is taken off.
    pub(super) fn is_accepted_by(&self, ask: &Ask) -> bool {
        coding::accepts_coding(&ask.headers, &self.head.headers)
            || self.decodable().is_some() && decoding::takes_plain(&ask.headers)
    }

    /// The coding that has to be taken off for a client that sent this request.
    pub fn to_decode_for(&self, ask: &Ask) -> Option<Coding> {
        let coding = self.decodable()?;
        let is_to_be =
            !coding::accepts_coding(&ask.headers, &self.head.headers) && decoding::takes_plain(&ask.headers);
        is_to_be.then_some(coding)
    }

    fn decodable(&self) -> Option<Coding> {
        decoding::decodable(self.head.status, &self.head.headers)
    }
}

/// A stored response that the origin has just confirmed.
#[derive(Debug)]
pub struct Refreshed {
    /// The response under its new head.
    pub hit: Hit,
    /// Who may use it.
    pub others: Others,
    /// Whether it went back into the cache.
    pub stored: bool,
}

/// A response that is stored block by block.
#[derive(Debug)]
pub struct Divided {
    /// Its head is stored; its blocks are gathered.
    pub hit: Hit,
    /// Who may use it.
    pub others: Others,
    /// It came in the place of something stale that was stored.
    pub replaces_stale: bool,
}

/// What clients other than the one that the request was made for may do with a response.
#[derive(Clone, Debug)]
pub enum Others {
    /// Use it, if their requests select the same variant.
    Share(VarySet),
    /// Ask for themselves, in parallel, without waiting for each other.
    Alone,
}

/// What a client that waited should do now.
#[derive(Debug)]
pub enum Advice {
    /// Take this head and read the body.
    Read(Arc<Announced>),
    /// Answer with what was confirmed.
    Use(Arc<Refreshed>),
    /// Answer with what the disk had.
    Hit(Hit),
    /// Gather what is stored of it, and what follows.
    Gather(Arc<Divided>),
    /// Look again: this was another variant.
    Again,
    /// Look again: this was purged before the client came.
    Purged,
    /// Look again: the leader failed, and one of the waiters takes its place; with the error, for one who has
    /// waited for enough of them.
    TakeOver(Failure),
    /// Fetch alone: this answer is not for sharing.
    Alone,
    /// Look again once the own handshake has ended: the request that went to the origin may be a replay, and was refused.
    TooEarly,
    /// Give up together.
    Fail(Failure),
}
