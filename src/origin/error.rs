//! Why an exchange with an origin failed before its head was there.

use std::io;

use crate::base::blame::{Blame, Retry};
use crate::semantics::proxy_status::ProxyError;

use super::connect::Unresolved;

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
}

impl OriginError {
    /// An error of the connection attempt: nothing was sent.
    pub(super) fn connecting(error: &io::Error) -> Self {
        let unresolved = error.get_ref().is_some_and(
            <dyn std::error::Error + std::marker::Send + std::marker::Sync + 'static>::is::<Unresolved>,
        );
        let error = match error.kind() {
            _ if unresolved => ProxyError::DnsError,
            io::ErrorKind::ConnectionRefused => ProxyError::ConnectionRefused,
            io::ErrorKind::TimedOut => ProxyError::ConnectionTimeout,
            _ => ProxyError::DestinationUnavailable,
        };
        Self { error, blame: Blame::Origin, retry: Retry::Always }
    }

    /// An error after the request was handed to a connection.
    pub(super) fn exchanging(error: &hyper::Error) -> Self {
        let (error, blame) = if error.is_parse_too_large() {
            (ProxyError::HttpResponseHeaderSectionSize, Blame::Origin)
        } else if error.is_parse() {
            (ProxyError::HttpProtocolError, Blame::Origin)
        } else if error.is_user() {
            // Our own body failed: the client broke off its request.
            (ProxyError::HttpRequestError, Blame::Client)
        } else {
            (ProxyError::ConnectionTerminated, Blame::Origin)
        };
        let retry = if error == ProxyError::ConnectionTerminated { Retry::Idempotent } else { Retry::Never };
        Self { error, blame, retry }
    }

    /// The origin took too long.
    pub(super) fn timed_out(error: ProxyError, retry: Retry) -> Self {
        Self { error, blame: Blame::Origin, retry }
    }

    /// Whether another request for the same thing may fare better at once. One that ran into the time limit
    /// would only make everybody wait as long again.
    pub fn next_leader_may_succeed(&self) -> bool {
        self.retry != Retry::Never
            && !matches!(self.error, ProxyError::HttpResponseTimeout | ProxyError::ConnectionTimeout)
    }

    /// The origin answered something that cannot be understood, or that was not asked for.
    pub fn malformed() -> Self {
        Self { error: ProxyError::HttpProtocolError, blame: Blame::Origin, retry: Retry::Never }
    }

    /// The node runs as many fetches as it may.
    pub fn too_many() -> Self {
        Self { error: ProxyError::ConnectionLimitReached, blame: Blame::Node, retry: Retry::Never }
    }

    /// The node itself ended the exchange.
    pub fn internal() -> Self {
        Self { error: ProxyError::ProxyInternalError, blame: Blame::Node, retry: Retry::Never }
    }
}
