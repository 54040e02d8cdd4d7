//! What an error of the codec says of an exchange.

use h2::Reason;

use crate::body::busy::BodyError;
use crate::origin::broken::Broken;

impl From<h2::Error> for Broken {
    /// Of an exchange whose head has not come.
    fn from(error: h2::Error) -> Self {
        let by_endpoint = error.is_remote();
        match error.reason() {
            // RFC 9113 §8.7: what it did not look at may be sent again, whatever it is.
            Some(Reason::REFUSED_STREAM) if by_endpoint && error.is_reset() => Self::Refused,
            // Streams that it still answers do not hear of it.
            Some(_) if by_endpoint && error.is_go_away() => Self::Farewell,
            Some(_) if by_endpoint => Self::Reset,
            // Of the connection, which may have broken for another's answer.
            Some(_) if error.is_go_away() => Self::Upset,
            Some(_) => Self::Malformed("it breaks the rules of HTTP/2"),
            None => Self::Gone,
        }
    }
}

/// The same of content that broke off.
pub(super) fn of_content(error: &h2::Error) -> BodyError {
    if error.is_library() && error.is_reset() { BodyError::Malformed } else { BodyError::Incomplete }
}
