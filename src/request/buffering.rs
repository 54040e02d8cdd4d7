//! Content of requests, which is taken in before an origin is asked for anything.
//!
//! A client may take minutes to send what an origin takes in milliseconds. So it is kept where it arrives, in its busy body: in
//! memory up to the window, then in a spill file, until it is whole. Only then the request takes a place among the fetches and
//! a connection ([decision 25](../../docs/decisions/0025-request-buffering.md)).

use std::future::poll_fn;

use http::{HeaderValue, Version, header};

use super::turn::Turn;
use super::{ClientMachine, Step};
use crate::body::Body;
use crate::body::busy::BodyError;
use crate::fetch::ask::Ask;
use crate::fetch::flight::{Failure, Trouble};
use crate::origin::OriginError;
use crate::route::Site;
use crate::semantics::fields::announced_length;

/// How a request goes on once its content is there.
#[derive(Clone, Copy, Debug)]
pub(super) enum Onward {
    /// See [`Step::Pass`].
    Pass,
    /// See [`Step::Through`].
    Through,
}

impl Onward {
    fn step(self, body: Body) -> Step {
        match self {
            Self::Pass => Step::Pass(body),
            Self::Through => Step::Through(body),
        }
    }
}

/// The first step of a request with this content, which waits for the end of it, unless it is here already, or is to be passed
/// on as it comes.
pub(super) fn first_step(body: Body, onward: Onward, ask: &Ask, site: &Site) -> Step {
    let Body::Busy(reader) = &body else { return onward.step(body) };
    let most = most_buffered(ask, site);
    reader.body().spool_up_to(most);
    if most == 0 { onward.step(body) } else { Step::Buffer(body, onward) }
}

/// How much of its content is taken in at most; 0 if none is.
fn most_buffered(ask: &Ask, site: &Site) -> u64 {
    let announced = announced_length(&ask.headers);
    if announced.is_none() && ask.needs_length() {
        return site.max_body;
    }
    let is_too_long = announced.is_some_and(|length| length > site.max_buffered_body);
    if is_too_long || flows(ask) || site.streamed_paths.has(ask.target.path()) {
        0
    } else {
        site.max_buffered_body
    }
}

/// Whether both sides may speak at the same time: in calls of gRPC, where those can go. What offers to leave HTTP has to have sent
/// its content before it does (RFC 9110 §7.8), and an offer costs a client nothing.
fn flows(ask: &Ask) -> bool {
    let is_grpc = || {
        let said = ask.headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
        said.and_then(|said| said.get(..GRPC.len())).is_some_and(|said| said.eq_ignore_ascii_case(GRPC))
    };
    ask.version == Version::HTTP_2 && ask.may_go_by_http2() && is_grpc()
}

/// How the types of gRPC begin.
const GRPC: &[u8] = b"application/grpc";

impl ClientMachine {
    /// Waits until the client's content is whole, or as much of it as can be kept is there. Of content that breaks off the origin
    /// hears nothing. Cancel-safe: dropped while it waits, the client has left, and nobody was asked for anything.
    pub(super) async fn buffer(&self, turn: &mut Turn, mut body: Body, onward: Onward) -> Step {
        if let Body::Busy(content) = &body {
            turn.content = Some(content.body());
        }
        let waiting = self.counters.buffering.enter();
        let came = poll_fn(|cx| body.poll_whole(cx)).await;
        drop(waiting);
        match came {
            Ok(Some(_)) => self.counters.buffered.inc(),
            Ok(None) => self.counters.buffered_in_part.inc(),
            Err(error) => return self.broken_off(turn, error),
        }
        onward.step(body)
    }

    /// Content that will not come to its end.
    fn broken_off(&self, turn: &mut Turn, error: BodyError) -> Step {
        let error = match error {
            BodyError::Incomplete | BodyError::Malformed | BodyError::TooLarge | BodyError::Stalled => {
                OriginError::client_broke_off()
            }
            _ => OriginError::internal(),
        };
        self.fail(turn, Failure { trouble: Trouble::NoHead(error), stale: None })
    }
}
