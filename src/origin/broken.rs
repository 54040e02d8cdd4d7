//! What can go wrong on a connection to an endpoint, in whichever version of HTTP.

use crate::body::busy::BodyError;

/// Why there is no response, or no more of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// The endpoint closed the connection, or it broke.
    Gone,
    /// The endpoint says that it has not looked at the request (RFC 9113 §8.7).
    Refused,
    /// The same, and the connection takes no further requests.
    Farewell,
    /// The endpoint gave up this one request (RFC 9113 §5.4.2).
    Reset,
    /// A connection that had served others ended for what its endpoint said on it, perhaps to somebody else.
    Upset,
    /// What came is no response.
    Malformed(&'static str),
    /// The head is longer than it may be, or has too many fields.
    LargeHead,
    /// The content of the request broke off, or is not as long as was said.
    Request,
    /// This node has lost the content of the request.
    Lost,
}

impl Broken {
    /// What it comes to that the content of a request cannot be read.
    pub(super) fn of_content(error: BodyError) -> Self {
        match error {
            BodyError::Spill | BodyError::Aborted | BodyError::TooSlow | BodyError::NoMemory => Self::Lost,
            _ => Self::Request,
        }
    }
}
