//! What becomes of a request for which no head came that could be used.

use super::steps::{MAX_SENT_BACK, goes_alone};
use super::turn::Turn;
use super::{ClientMachine, Step};
use crate::admission::Rejection;
use crate::base::clock::Timestamp;
use crate::body::Body;
use crate::cache::lookup::Hit;
use crate::deliver;
use crate::fetch::flight::{Failure, Seat, Trouble};
use crate::origin::OriginError;
use crate::semantics::cache_status::CacheStatus;

/// The detail of a stale answer because the origin failed.
const STALE_ON_ERROR: &str = "stale-on-error";

impl ClientMachine {
    /// The origin wants to be asked by nobody who may be a replay: asks it again once the client's handshake has ended, which it
    /// has where it never was early. Cancel-safe: dropped while waiting, the client has left.
    pub(super) async fn asked_too_early(&self, turn: &mut Turn, seat: Seat) -> Step {
        let (leads, passes) = (seat.leads(), seat.passes());
        drop(seat);
        // It may take as long as the client likes, and what was purged meanwhile must not come up again.
        turn.stale = None;
        if turn.ask.end_of_handshake().await.is_err() {
            return self.never_ended(turn);
        }
        self.counters.too_early.inc();
        match (leads, passes) {
            (false, _) => {
                turn.joins_surely = true;
                Step::Join
            }
            // What came before the end of a handshake has no content, or it would have waited for that.
            (true, true) => Step::Pass(Body::Empty),
            (true, false) if goes_alone(&turn.ask, turn.stale.as_ref()) => Step::Alone(turn.stale.clone()),
            (true, false) => Step::Join,
        }
    }

    /// The handshake came to nothing, and with it the connection: hardly anybody will hear this.
    pub(super) fn never_ended(&self, turn: &mut Turn) -> Step {
        let (refusal, now) = (Rejection::TooEarly, self.clock.now());
        self.counters.forwarded.inc();
        turn.detail = Some(refusal.name());
        Step::Done(deliver::rejected(&refusal, &self.settings.node, &turn.ask.method, now))
    }

    /// No head came that could be used: what is stored, if it may bridge that, or the error (RFC 9111 §4.2.4).
    pub(super) fn fail(&self, turn: &mut Turn, failure: Failure) -> Step {
        let (trouble, now) = (failure.trouble, self.clock.now());
        if let Some(refusal) = turn.content_refused() {
            self.counters.forwarded.inc();
            turn.detail = Some(refusal.name());
            return Step::Done(deliver::rejected(&refusal, &self.settings.node, &turn.ask.method, now));
        }
        if failure.stale.is_some() {
            turn.note_stored();
        }
        let may_be_used = |hit: &Hit| {
            let lives = self.cache.is_alive(&turn.ask.key, &hit.object);
            lives && turn.ask.may_use_on_error(&hit.object.terms(), now)
        };
        if let Some(stale) = turn.stale.clone().or(failure.stale).filter(may_be_used) {
            self.counters.forwarded.inc();
            turn.detail = Some(STALE_ON_ERROR);
            let forward_status = match trouble {
                Trouble::Answered(status) => Some(status),
                Trouble::NoHead(_) => None,
            };
            let cache = CacheStatus {
                forward_status,
                ttl: Some(stale.object.terms().freshness.left(now)),
                ..turn.forwarded()
            };
            return self.stored(turn, &stale, cache, now);
        }
        let error = match trouble {
            Trouble::NoHead(error) => error,
            // What bridges it for others may not be used here: this client asks again, and gets the error itself, which
            // then does not take the place of what bridges it.
            Trouble::Answered(_) => return Step::Alone(turn.stale.clone()),
        };
        self.counters.forwarded.inc();
        self.failed(turn, error, now)
    }

    /// Answered by the error itself.
    pub(super) fn failed(&self, turn: &mut Turn, error: OriginError, now: Timestamp) -> Step {
        self.counters.origin_errors.inc();
        turn.detail = Some(error.error.token());
        let cache = CacheStatus { detail: None, ..turn.forwarded() };
        Step::Done(deliver::failed(error, &turn.answer(&self.settings.node, cache), now))
    }
}

/// An error that the origin answered to a run has the client ask for itself, as long as it may be sent back; after that
/// it counts as an answer that is of no use.
pub(super) fn bounded(turn: &mut Turn, trouble: Trouble) -> Trouble {
    if !matches!(trouble, Trouble::Answered(_)) {
        return trouble;
    }
    turn.sent_back += 1;
    if turn.sent_back < MAX_SENT_BACK { trouble } else { Trouble::NoHead(OriginError::malformed()) }
}
