//! How long responses last, by what they say, by what the operator says, and by a guess.

use std::time::Duration;

use http::StatusCode;

/// How long responses last, beyond what they say themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lifetimes {
    /// Of every response of a usual status, whatever it states: **against the RFC**, by which the origin decides.
    pub forced: Option<Duration>,
    /// Of responses that state none, by their status.
    pub by_status: Vec<(StatusRange, Duration)>,
    /// Of a response that states none and may be given one (RFC 9111 §4.2.2).
    pub default: Option<Duration>,
    /// The guess at how long a response lasts that states nothing but when it was last modified.
    pub heuristic: Heuristic,
    /// Raises what responses state: **against the RFC**, by which the origin decides.
    pub min: Option<Duration>,
    /// Lowers what responses state, which a cache is free to do.
    pub max: Option<Duration>,
}

/// Heuristic freshness (RFC 9111 §4.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heuristic {
    /// So many percent of the time since the response was last modified; 0 is off.
    pub percent: u8,
    /// The most that comes of it.
    pub max: Duration,
}

impl Default for Heuristic {
    fn default() -> Self {
        Self { percent: 10, max: Duration::from_hours(24) }
    }
}

impl Heuristic {
    fn of(self, unchanged_for: Duration) -> Option<Duration> {
        let guess = unchanged_for.saturating_mul(u32::from(self.percent)) / 100;
        Some(guess.min(self.max)).filter(|guess| !guess.is_zero())
    }
}

/// Status codes from one to another, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StatusRange {
    /// The first one.
    pub first: u16,
    /// The last one.
    pub last: u16,
}

impl StatusRange {
    /// Whether a status is among them.
    pub fn contains(self, status: StatusCode) -> bool {
        (self.first..=self.last).contains(&status.as_u16())
    }
}

/// Where a lifetime comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Basis {
    /// The response states it (RFC 9111 §4.2.1).
    Stated,
    /// The operator's for all responses, against the RFC.
    Forced,
    /// The operator's for this status.
    ByStatus,
    /// The operator's for responses that state none.
    Default,
    /// Guessed from `Last-Modified` (RFC 9111 §4.2.2).
    Heuristic,
    /// It has none: it may be used only after validation.
    None,
}

impl Lifetimes {
    /// The lifetime of a response that states `stated`, or that states none and had been unchanged for so long; and
    /// where it comes from. `None` if it has none.
    pub fn of(
        &self,
        status: StatusCode,
        stated: Option<Duration>,
        unchanged_for: Option<Duration>,
        public: bool,
    ) -> Option<(Duration, Basis)> {
        if let Some(forced) = self.forced.filter(|_| is_usual(status)) {
            return Some((forced, Basis::Forced));
        }
        if let Some(stated) = stated {
            return Some((self.capped(stated.max(self.min.unwrap_or_default())), Basis::Stated));
        }
        let by_status = self.by_status.iter().find(|(range, _)| range.contains(status));
        let by_status = by_status.map(|(_, lifetime)| (*lifetime, Basis::ByStatus));
        let default = || {
            let may = is_usual(status) || (public && !status.is_client_error());
            self.default.filter(|_| may).map(|lifetime| (lifetime, Basis::Default))
        };
        let heuristic = || {
            let unchanged_for = unchanged_for.filter(|_| public || is_heuristically_cacheable(status))?;
            Some((self.heuristic.of(unchanged_for)?, Basis::Heuristic))
        };
        let (lifetime, basis) = by_status.or_else(default).or_else(heuristic)?;
        Some((self.capped(lifetime), basis))
    }

    fn capped(&self, lifetime: Duration) -> Duration {
        lifetime.min(self.max.unwrap_or(Duration::MAX))
    }
}

/// Whether a cache may guess a lifetime for this status (RFC 9110 §15.1).
fn is_heuristically_cacheable(status: StatusCode) -> bool {
    matches!(status.as_u16(), 200 | 203 | 204 | 206 | 300 | 301 | 308 | 404 | 405 | 410 | 414 | 501)
}

/// Whether an operator who gives all responses a lifetime means this status too: of errors only those are taken that
/// speak of the resource and not of one client's request.
fn is_usual(status: StatusCode) -> bool {
    matches!(status.as_u16(), 200 | 203 | 204 | 300 | 301 | 308 | 404 | 410)
}
