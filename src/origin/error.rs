//! Why an exchange with an origin failed before its head was there.

use std::io;

use rustix::io::Errno;

use crate::base::blame::{Blame, Retry};
use crate::body::busy::BodyError;
use crate::semantics::proxy_status::ProxyError;

use super::broken::Broken;
use super::resolve::Unresolved;
use super::tls::TlsFailure;

/// A failed exchange: no head came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .error.token())]
pub struct OriginError {
    /// What happened, in the words of RFC 9209.
    pub error: ProxyError,
    /// Whose fault it is.
    pub blame: Blame,
    /// Whether the request may be sent again.
    pub retry: Retry,
    /// On how many endpoints it was tried; 0 if it came to none.
    pub attempts: u32,
}

impl OriginError {
    const fn new(error: ProxyError, blame: Blame, retry: Retry) -> Self {
        Self { error, blame, retry, attempts: 0 }
    }

    /// An error of the connection attempt: nothing was sent.
    pub(super) fn connecting(error: &io::Error) -> Self {
        if is_ours(error) {
            return Self::too_many();
        }
        let inner = error.get_ref();
        let unresolved = inner.and_then(|inner| inner.downcast_ref::<Unresolved>()).is_some();
        let tls = inner.and_then(|inner| inner.downcast_ref::<TlsFailure>());
        let error = match (tls, error.kind()) {
            (Some(tls), _) => tls.error(),
            (None, io::ErrorKind::TimedOut) if unresolved => ProxyError::DnsTimeout,
            (None, _) if unresolved => ProxyError::DnsError,
            (None, io::ErrorKind::ConnectionRefused) => ProxyError::ConnectionRefused,
            (None, io::ErrorKind::TimedOut) => ProxyError::ConnectionTimeout,
            (None, _) => ProxyError::DestinationUnavailable,
        };
        Self::new(error, Blame::Origin, Retry::Always)
    }

    /// An error after the request was handed to a connection.
    pub(super) fn exchanging(broken: Broken) -> Self {
        let (error, blame, retry) = match broken {
            Broken::Gone => (ProxyError::ConnectionTerminated, Blame::Origin, Retry::Idempotent),
            Broken::Refused | Broken::Farewell => {
                (ProxyError::ConnectionTerminated, Blame::Origin, Retry::Always)
            }
            Broken::Upset => (ProxyError::HttpProtocolError, Blame::Origin, Retry::Idempotent),
            Broken::Reset => (ProxyError::HttpResponseIncomplete, Blame::Origin, Retry::Idempotent),
            Broken::LargeHead => (ProxyError::HttpResponseHeaderSectionSize, Blame::Origin, Retry::Never),
            Broken::Malformed(why) => {
                tracing::debug!(%why, "what an origin sent is no response");
                (ProxyError::HttpProtocolError, Blame::Origin, Retry::Never)
            }
            Broken::Lost => (ProxyError::ProxyInternalError, Blame::Node, Retry::Never),
            // The client broke off its request.
            Broken::Request => (ProxyError::HttpRequestError, Blame::Client, Retry::Never),
        };
        Self::new(error, blame, retry)
    }

    /// The same error, of a request that was tried on so many endpoints.
    pub(super) fn after(self, attempts: usize) -> Self {
        Self { attempts: u32::try_from(attempts).unwrap_or(u32::MAX), ..self }
    }

    /// Whether it speaks of the endpoint's health: it could not be reached, was silent, or broke off. An answer
    /// that makes no sense, or one request that was given up, may be the fault of one resource; what a client did is none
    /// of its faults.
    pub(super) fn speaks_of_endpoint(self) -> bool {
        let answered = matches!(
            self.error,
            ProxyError::HttpProtocolError
                | ProxyError::HttpResponseIncomplete
                | ProxyError::HttpResponseHeaderSectionSize
        );
        self.blame == Blame::Origin && !answered
    }

    /// The request is one that cannot be put into the words of the version that the pool speaks.
    pub(super) fn unfit() -> Self {
        Self::new(ProxyError::HttpRequestError, Blame::Client, Retry::Never)
    }

    /// The client broke off its content.
    pub fn client_broke_off() -> Self {
        Self::new(ProxyError::HttpRequestError, Blame::Client, Retry::Never)
    }

    /// The origin took too long.
    pub(super) fn timed_out(error: ProxyError, retry: Retry) -> Self {
        Self::new(error, Blame::Origin, retry)
    }

    /// Whether another request for the same thing may fare better at once. One that ran into the time limit
    /// would only make everybody wait as long again, and one that the pool has tried on several endpoints would
    /// only multiply the attempts.
    pub fn next_leader_may_succeed(&self) -> bool {
        let timed_out = matches!(
            self.error,
            ProxyError::HttpResponseTimeout | ProxyError::ConnectionTimeout | ProxyError::DnsTimeout
        );
        self.retry != Retry::Never && self.attempts <= 1 && !timed_out
    }

    /// The origin answered something that cannot be understood, or that was not asked for.
    pub fn malformed() -> Self {
        Self::new(ProxyError::HttpProtocolError, Blame::Origin, Retry::Never)
    }

    /// The answer's content is not in the coding that its fields say.
    pub fn undecodable() -> Self {
        Self::new(ProxyError::HttpResponseContentCoding, Blame::Origin, Retry::Never)
    }

    /// The answer's body broke off; `None` if that was not the origin's doing.
    pub fn of_body(error: BodyError) -> Option<Self> {
        match error {
            BodyError::Incomplete => {
                Some(Self::new(ProxyError::HttpResponseIncomplete, Blame::Origin, Retry::Idempotent))
            }
            BodyError::Stalled => Some(Self::timed_out(ProxyError::ConnectionReadTimeout, Retry::Never)),
            BodyError::Malformed => Some(Self::malformed()),
            BodyError::Aborted
            | BodyError::TooSlow
            | BodyError::Spill
            | BodyError::TooLarge
            | BodyError::Changed
            | BodyError::Damaged
            | BodyError::Undecodable
            | BodyError::NoMemory => None,
        }
    }

    /// The node runs as many fetches as it may, or the pool has as many connections as it may.
    pub fn too_many() -> Self {
        Self::new(ProxyError::ConnectionLimitReached, Blame::Node, Retry::Never)
    }

    /// The operator has drained all endpoints that there are.
    pub(super) fn drained() -> Self {
        Self::new(ProxyError::DestinationUnavailable, Blame::Origin, Retry::Never)
    }

    /// The node itself ended the exchange.
    pub fn internal() -> Self {
        Self::new(ProxyError::ProxyInternalError, Blame::Node, Retry::Never)
    }
}

/// Whether this machine is out of descriptors or memory: no endpoint's fault, and no better at another. (Out of ports
/// is something else: they are counted for each endpoint, and the error is also that of a machine without IPv6.)
fn is_ours(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_this_machine_is_out_of_is_no_endpoint_s_fault() {
        for errno in [Errno::MFILE, Errno::NOMEM] {
            let error = OriginError::connecting(&errno.into());
            assert_eq!((error.blame, error.retry), (Blame::Node, Retry::Never));
            assert!(!error.speaks_of_endpoint());
        }
        for errno in [Errno::CONNREFUSED, Errno::HOSTUNREACH, Errno::TIMEDOUT, Errno::ADDRNOTAVAIL] {
            let error = OriginError::connecting(&errno.into());
            assert_eq!((error.blame, error.retry), (Blame::Origin, Retry::Always));
            assert!(error.speaks_of_endpoint());
        }
    }

    #[test]
    fn content_that_this_node_has_lost_is_no_client_s_fault() {
        let blame = |error| OriginError::exchanging(Broken::of_content(error)).blame;
        assert_eq!((blame(BodyError::Spill), blame(BodyError::Incomplete)), (Blame::Node, Blame::Client));
    }

    #[test]
    fn a_next_leader_is_sent_only_where_the_pool_has_not_tried_others() {
        let reset = OriginError::new(ProxyError::ConnectionTerminated, Blame::Origin, Retry::Idempotent);
        assert!(reset.after(1).next_leader_may_succeed());
        assert!(!reset.after(2).next_leader_may_succeed());
        assert!(!OriginError::timed_out(ProxyError::DnsTimeout, Retry::Always).next_leader_may_succeed());
    }
}
