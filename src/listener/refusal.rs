//! Why a connection's next bytes are no request that could be answered.

use http::StatusCode;

/// What is wrong with a request's head, or with the framing of its content. The connection ends with it, because nobody
/// can tell where the next request would begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Not the syntax of RFC 9112, read strictly; what exactly.
    #[error("the request cannot be understood: {0}")]
    Malformed(&'static str),
    /// Neither HTTP/1.1 nor HTTP/1.0 (RFC 9110 §15.6.6).
    #[error("the request is in a version of HTTP that is not spoken here")]
    Version,
    /// A transfer coding other than `chunked` (RFC 9112 §6.1).
    #[error("the request's content is in a transfer coding that is not understood here")]
    UnknownCoding,
    /// A request to leave HTTP for a protocol that is not known here (RFC 8441 §5).
    #[error("the request asks for a protocol that is not spoken here")]
    UnknownProtocol,
    /// The request line alone is longer than a head may be (RFC 9110 §15.5.15).
    #[error("the request's target is too long")]
    LongTarget,
    /// More bytes of fields than a head may have (RFC 6585 §5).
    #[error("the request's fields are too large")]
    LargeFields,
    /// More fields than a head may have (RFC 6585 §5).
    #[error("the request has too many fields")]
    ManyFields,
    /// The head did not come to its end in time (RFC 9110 §15.5.9).
    #[error("the request did not come in time")]
    Late,
}

impl Refusal {
    /// The name used in logs and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed",
            Self::Version => "version",
            Self::UnknownCoding => "unknown-coding",
            Self::UnknownProtocol => "unknown-protocol",
            Self::LongTarget => "long-target",
            Self::LargeFields => "large-fields",
            Self::ManyFields => "many-fields",
            Self::Late => "late",
        }
    }

    /// The status that tells the client.
    pub const fn status(self) -> StatusCode {
        match self {
            Self::Malformed(_) => StatusCode::BAD_REQUEST,
            Self::Version => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            Self::UnknownCoding | Self::UnknownProtocol => StatusCode::NOT_IMPLEMENTED,
            Self::LongTarget => StatusCode::URI_TOO_LONG,
            Self::LargeFields | Self::ManyFields => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::Late => StatusCode::REQUEST_TIMEOUT,
        }
    }
}
