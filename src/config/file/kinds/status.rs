//! Values by status code.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::super::reader::{Reader, Said};
use super::super::table::{Kind, Shown};
use super::measure::time_or_none;
use crate::semantics::policy::StatusRange;

/// A status code, or all of a class: `404`, `5xx`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StatusPattern {
    /// One status code.
    Code(u16),
    /// All that begin with this digit.
    Class(u16),
}

impl StatusPattern {
    /// Reads one; `None` if it is none that an answer can have.
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(class) = text.strip_suffix("xx") {
            return class.parse().ok().filter(|class| (2..=5).contains(class)).map(Self::Class);
        }
        text.parse().ok().filter(|code| (200..600).contains(code)).map(Self::Code)
    }

    /// The codes that it stands for.
    pub const fn range(self) -> StatusRange {
        match self {
            Self::Code(code) => StatusRange { first: code, last: code },
            Self::Class(class) => StatusRange { first: class * 100, last: class * 100 + 99 },
        }
    }
}

impl fmt::Display for StatusPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "{code}"),
            Self::Class(class) => write!(f, "{class}xx"),
        }
    }
}

/// A time for each of some statuses. Codes come before classes.
pub struct ByStatus;

/// A time for each of some statuses.
pub fn times_by_status() -> ByStatus {
    ByStatus
}

impl Kind for ByStatus {
    type Value = BTreeMap<StatusPattern, Duration>;

    fn name(&self) -> String {
        format!("statuses, each a {}", time_or_none().name())
    }

    fn read(&self, said: &Said<'_>, reader: &mut Reader) -> Option<Self::Value> {
        let Some(table) = said.get_ref().as_table() else {
            reader.wrong_kind(said, "a table of statuses", "{ 404 = \"1m\", 5xx = \"1s\" }");
            return None;
        };
        let mut all = BTreeMap::new();
        let mut sound = true;
        for (key, said) in table {
            let name = key.get_ref().as_ref();
            let read = reader.below(name, |reader| {
                reader.note(key.span(), said.span());
                let Some(pattern) = StatusPattern::parse(name) else {
                    let hint = "write a code from 200 to 599, or a class such as 5xx";
                    reader.complain(&key.span(), format!("{name:?} is no status"), Some(hint.into()));
                    return None;
                };
                Some((pattern, time_or_none().read(said, reader)?))
            });
            sound &= read.is_some();
            all.extend(read);
        }
        sound.then_some(all)
    }

    fn show(&self, value: &Self::Value) -> Shown {
        let one = |(status, time): (&StatusPattern, &Duration)| match time_or_none().show(time) {
            Shown::Value(time) => format!("{status} = {time}"),
            Shown::Table(_) | Shown::Tables(_) => String::new(),
        };
        let all: Vec<String> = value.iter().map(one).collect();
        Shown::Value(if all.is_empty() { "{}".into() } else { format!("{{ {} }}", all.join(", ")) })
    }
}
