//! What became of a request, in the words of `Cache-Status`.

/// `hit`, or why the request went forward (RFC 9211 §2.1, §2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Answered from what is stored, without going forward.
    Hit,
    /// Nothing was stored for the URL.
    UriMiss,
    /// Something was stored for the URL, but for other values of the fields that `Vary` names.
    VaryMiss,
    /// Nothing usable was stored, for either reason.
    Miss,
    /// What was stored is stale.
    Stale,
    /// The cache was told not to handle it.
    Bypass,
    /// Its method is not answered from a cache.
    Method,
    /// What is stored is fresh, but the request does not allow its use.
    Request,
    /// What is stored does not hold all that was asked for.
    Partial,
}

impl Outcome {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Hit,
        Self::UriMiss,
        Self::VaryMiss,
        Self::Miss,
        Self::Stale,
        Self::Bypass,
        Self::Method,
        Self::Request,
        Self::Partial,
    ];

    /// The word in `Cache-Status`, log and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::UriMiss => "uri-miss",
            Self::VaryMiss => "vary-miss",
            Self::Miss => "miss",
            Self::Stale => "stale",
            Self::Bypass => "bypass",
            Self::Method => "method",
            Self::Request => "request",
            Self::Partial => "partial",
        }
    }
}
