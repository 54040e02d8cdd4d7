//! Sizes and durations, in the units of people.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::super::reader::{Reader, Said};
use super::super::table::{Kind, Shown};
use super::shown;
use crate::base::units::ByteSize;
use toml::de::DeValue;

/// The longest time that a timer is set to, so that no sum of times overflows.
const LONGEST: Duration = Duration::from_hours(24 * 365 * 100);

/// A size within a range.
pub struct Size(RangeInclusive<ByteSize>);

/// A size within a range.
pub fn size(range: impl std::ops::RangeBounds<ByteSize>) -> Size {
    use std::ops::Bound::{Excluded, Included, Unbounded};
    let least = match range.start_bound() {
        Included(least) | Excluded(least) => *least,
        Unbounded => ByteSize(0),
    };
    let most = match range.end_bound() {
        Included(most) | Excluded(most) => *most,
        Unbounded => ByteSize(u64::MAX),
    };
    Size(least..=most)
}

impl Size {
    fn limits(&self) -> Option<String> {
        match (self.0.start().0 > 0, self.0.end().0 < u64::MAX) {
            (true, true) => Some(format!("from {} to {}", self.0.start(), self.0.end())),
            (true, false) => Some(format!("at least {}", self.0.start())),
            (false, true) => Some(format!("at most {}", self.0.end())),
            (false, false) => None,
        }
    }
}

impl Kind for Size {
    type Value = ByteSize;

    fn name(&self) -> String {
        self.limits().map_or_else(|| "size".to_owned(), |limits| format!("size, {limits}"))
    }

    fn read(&self, said: &Said<'_>, reader: &mut Reader) -> Option<ByteSize> {
        let size = if let DeValue::Integer(number) = said.get_ref() {
            // A plain number counts bytes, with quotes or without.
            u64::from_str_radix(number.as_str(), number.radix()).ok().map(ByteSize)
        } else {
            Some(size_of_text(said, reader)?)
        };
        let size = size.filter(|size| self.0.contains(size));
        if size.is_none() {
            let key = reader.key();
            let limits = self.limits().unwrap_or_else(|| "no negative number".into());
            reader.complain(&said.span(), format!("{key} is {limits}{}", reader.or()), None);
        }
        size
    }

    fn show(&self, value: &ByteSize) -> Shown {
        shown(value)
    }
}

fn size_of_text(said: &Said<'_>, reader: &mut Reader) -> Option<ByteSize> {
    let text = reader.text(said, "a size", "\"512MiB\"")?;
    let reason = match text.parse::<ByteSize>() {
        Ok(size) => return Some(size),
        Err(_) if text.contains(['.', ',']) => "it has no fractions: use a smaller unit".to_owned(),
        Err(error) => error.to_string(),
    };
    let (key, or) = (reader.key(), reader.or());
    reader.complain(&said.span(), format!("{key} is a size{or}, not {text:?}: {reason}"), None);
    None
}

/// A duration.
pub struct Time {
    may_be_none: bool,
}

/// A duration of more than nothing.
pub fn time() -> Time {
    Time { may_be_none: false }
}

/// A duration, or `"0s"`.
pub fn time_or_none() -> Time {
    Time { may_be_none: true }
}

impl Kind for Time {
    type Value = Duration;

    fn name(&self) -> String {
        if self.may_be_none { "duration".into() } else { "duration above 0".into() }
    }

    fn read(&self, said: &Said<'_>, reader: &mut Reader) -> Option<Duration> {
        if let DeValue::Integer(number) = said.get_ref() {
            let (key, or) = (reader.key(), reader.or());
            let message = format!("{key} is a duration{or}, and a duration has a unit");
            reader.complain(&said.span(), message, Some(format!("such as \"{}s\"", number.as_str())));
            return None;
        }
        let text = reader.text(said, "a duration", "\"30s\"")?;
        let reason = match humantime::parse_duration(text.trim()) {
            Ok(Duration::ZERO) if !self.may_be_none => "it must be more than 0".to_owned(),
            Ok(duration) if duration > LONGEST => "it is longer than 100 years".to_owned(),
            Ok(duration) => return Some(duration),
            Err(error) => why_no_duration(&error).to_owned(),
        };
        let (key, or) = (reader.key(), reader.or());
        let message = format!("{key} is a duration{or}, not {text:?}: {reason}");
        reader.complain(
            &said.span(),
            message,
            Some("such as \"500ms\", \"30s\", \"5m\" or \"1h 30m\"".into()),
        );
        None
    }

    fn show(&self, value: &Duration) -> Shown {
        shown(&humantime::format_duration(*value))
    }
}

fn why_no_duration(error: &humantime::DurationError) -> &'static str {
    use humantime::DurationError as E;
    match error {
        E::InvalidCharacter(_) => "it has a character that belongs in no duration",
        E::NumberExpected(_) => "a number belongs before the unit",
        E::UnknownUnit { unit, .. } if unit.is_empty() => "the unit is missing",
        E::UnknownUnit { .. } => "the unit is unknown (ms, s, m, h, days, weeks)",
        E::NumberOverflow => "it is longer than 100 years",
        E::Empty => "it is empty",
    }
}
