//! What a line of the access log can tell.

use std::fmt;
use std::str::FromStr;

/// One thing that a line can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Field {
    /// When the request was complete, in UTC.
    Time,
    /// The address of the connection's other end; `unix:` of one that came by a Unix socket.
    Client,
    /// The site, by its name in the configuration.
    Site,
    /// The request's method.
    Method,
    /// `http` or `https`, of the client's connection.
    Scheme,
    /// The host asked for.
    Host,
    /// Path and query.
    Target,
    /// The client's version of HTTP.
    Version,
    /// The status that was sent.
    Status,
    /// How the cache answered, in the words of `Cache-Status`.
    Cache,
    /// More about that.
    Detail,
    /// Bytes of the body that were handed to the connection.
    Bytes,
    /// Whether the whole body was.
    Complete,
    /// Why the body broke off.
    Broken,
    /// Milliseconds from the request to the head of the answer.
    HeadMs,
    /// Milliseconds from the request to the end of the answer.
    TotalMs,
    /// `User-Agent`.
    UserAgent,
    /// `Referer`.
    Referer,
}

impl Field {
    /// All of them.
    pub const ALL: [Self; 18] = [
        Self::Time,
        Self::Client,
        Self::Site,
        Self::Method,
        Self::Scheme,
        Self::Host,
        Self::Target,
        Self::Version,
        Self::Status,
        Self::Cache,
        Self::Detail,
        Self::Bytes,
        Self::Complete,
        Self::Broken,
        Self::HeadMs,
        Self::TotalMs,
        Self::UserAgent,
        Self::Referer,
    ];

    /// The name in the configuration and in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Time => "time",
            Self::Client => "client",
            Self::Site => "site",
            Self::Method => "method",
            Self::Scheme => "scheme",
            Self::Host => "host",
            Self::Target => "target",
            Self::Version => "version",
            Self::Status => "status",
            Self::Cache => "cache",
            Self::Detail => "detail",
            Self::Bytes => "bytes",
            Self::Complete => "complete",
            Self::Broken => "broken",
            Self::HeadMs => "head_ms",
            Self::TotalMs => "total_ms",
            Self::UserAgent => "user_agent",
            Self::Referer => "referer",
        }
    }

    /// What it tells, for people.
    pub const fn help(self) -> &'static str {
        match self {
            Self::Time => "when the request was complete, in UTC, to the millisecond",
            Self::Client => {
                "address of the connection's other end; `unix:` of one that came by a Unix socket"
            }
            Self::Site => "the site, by its name in the configuration",
            Self::Method => "the request's method",
            Self::Scheme => "`http` or `https`, of the client's connection",
            Self::Host => {
                "the host asked for, in its canonical form; of a request that is refused, as it came"
            }
            Self::Target => "path and query as they came",
            Self::Version => "the client's version of HTTP",
            Self::Status => "the status that was sent",
            Self::Cache => {
                "`hit`, or why the request went forward, in the words of `Cache-Status`; or `rejected`"
            }
            Self::Detail => {
                "more about that: why nothing was stored, `disk` for a hit on disk, the origin's error"
            }
            Self::Bytes => "bytes of the body that were handed to the connection",
            Self::Complete => "whether the whole body was: `true` or `false`",
            Self::Broken => "why the body broke off on our side",
            Self::HeadMs => "milliseconds from the request to the head of the answer",
            Self::TotalMs => "milliseconds from the request to the end of the answer",
            Self::UserAgent => "the field `User-Agent`",
            Self::Referer => "the field `Referer`",
        }
    }

    /// Whether it is a number or a truth: what JSON writes without quotes.
    pub(super) const fn is_bare(self) -> bool {
        matches!(self, Self::Status | Self::Bytes | Self::Complete | Self::HeadMs | Self::TotalMs)
    }

    /// Whether it is known only when the answer has left.
    pub(super) const fn is_late(self) -> bool {
        matches!(self, Self::Bytes | Self::Complete | Self::Broken | Self::TotalMs)
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that no field has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the access log has no field {name:?}; {}", hint(.nearest.as_ref()))]
pub struct UnknownField {
    /// What was written.
    pub name: String,
    /// What was most likely meant, if anything is near.
    pub nearest: Option<Field>,
}

fn hint(nearest: Option<&Field>) -> String {
    if let Some(field) = nearest {
        return format!("did you mean {:?}?", field.name());
    }
    let names: Vec<_> = Field::ALL.iter().map(|field| field.name()).collect();
    format!("there are {}", names.join(", "))
}

impl FromStr for Field {
    type Err = UnknownField;

    fn from_str(name: &str) -> Result<Self, UnknownField> {
        let found = Self::ALL.into_iter().find(|field| field.name() == name);
        found.ok_or_else(|| UnknownField { name: name.chars().take(40).collect(), nearest: nearest(name) })
    }
}

/// The field whose name takes the fewest changes, if that is less than half of it.
fn nearest(name: &str) -> Option<Field> {
    let written: String =
        name.chars().take(40).map(|c| if c == '-' { '_' } else { c.to_ascii_lowercase() }).collect();
    let distances = Field::ALL.into_iter().map(|field| (distance(&written, field.name()), field));
    let near = distances.filter(|(changes, field)| changes * 2 < field.name().len());
    near.min_by_key(|(changes, _)| *changes).map(|(_, field)| field)
}

/// Letters to put in, take out or change to get from one word to the other.
fn distance(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.chars().count()).collect();
    for (i, a) in from.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        let mut next = vec![left];
        for (b, above) in to.chars().zip(row.iter().skip(1)) {
            left = (diagonal + usize::from(a != b)).min(above + 1).min(left + 1);
            diagonal = *above;
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_read_back() {
        for field in Field::ALL {
            assert_eq!(field.name().parse(), Ok(field));
        }
    }

    #[test]
    fn a_wrong_name_is_told_the_nearest_right_one() {
        let near = |name: &str| name.parse::<Field>().expect_err("no field").nearest;
        assert_eq!(near("user-agent"), Some(Field::UserAgent));
        assert_eq!(near("Referrer"), Some(Field::Referer));
        assert_eq!(near("total"), Some(Field::TotalMs));
        assert_eq!(near("stats"), Some(Field::Status));
        assert_eq!(near("quux"), None);
        let error = "metod".parse::<Field>().expect_err("no field");
        assert_eq!(error.to_string(), "the access log has no field \"metod\"; did you mean \"method\"?");
    }
}
