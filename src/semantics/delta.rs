//! Spans of time as HTTP writes them.

use std::time::Duration;

/// `delta-seconds` (RFC 9111 §1.2.2): a whole number of seconds, at most 2³¹.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Delta(u32);

impl Delta {
    /// No time at all.
    pub const ZERO: Self = Self(0);

    /// What larger numbers are read as: about 68 years.
    pub const MAX: Self = Self(1 << 31);

    /// Reads digits and nothing else; `None` for a sign, a fraction, a unit, spaces or no digits.
    /// Numbers beyond [`Delta::MAX`], of any length, are read as it.
    pub fn parse(text: &[u8]) -> Option<Self> {
        if text.is_empty() {
            return None;
        }
        text.iter().try_fold(Self::ZERO, |Self(sum), digit| {
            let digit = digit.is_ascii_digit().then(|| u32::from(digit - b'0'))?;
            Some(Self(sum.saturating_mul(10).saturating_add(digit)).min(Self::MAX))
        })
    }

    /// As the standard library's type.
    pub const fn as_duration(self) -> Duration {
        Duration::from_secs(self.0 as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_digits_are_a_delta() {
        assert_eq!(Delta::parse(b"0060").map(Delta::as_duration), Some(Duration::from_mins(1)));
        for wrong in ["", "-1", "+60", "6 0", "60s", "60.0", "0x1f", "\"60\"", "６０"] {
            assert_eq!(Delta::parse(wrong.as_bytes()), None, "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn a_number_is_itself_up_to_the_cap(n: u128) {
            let capped = u64::try_from(n).unwrap_or(u64::MAX).min(1 << 31);
            let parsed = Delta::parse(n.to_string().as_bytes()).map(Delta::as_duration);
            prop_assert_eq!(parsed, Some(Duration::from_secs(capped)));
        }
    }
}
