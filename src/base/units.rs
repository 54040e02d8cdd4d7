//! Sizes as people write them.

use std::fmt;
use std::str::FromStr;

/// A number of bytes, written as `64KiB`, `512M`, `2 GB` or a plain number of bytes.
///
/// `K`, `M`, `G`, `T` and `KiB`… count in 1024s, `KB`, `MB`, `GB`, `TB` in 1000s.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(pub u64);

impl ByteSize {
    /// `n` times 1024 bytes.
    pub const fn kib(n: u64) -> Self {
        Self(n.saturating_mul(1 << 10))
    }

    /// `n` times 1024² bytes.
    pub const fn mib(n: u64) -> Self {
        Self(n.saturating_mul(1 << 20))
    }

    /// `n` times 1024³ bytes.
    pub const fn gib(n: u64) -> Self {
        Self(n.saturating_mul(1 << 30))
    }
}

/// Why a text is not a size.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SizeError {
    /// There is no number at the start.
    #[error("a size starts with a number, such as 512MiB")]
    NoNumber,
    /// The unit is not one of ours.
    #[error("unknown unit {0:?}: use B, K, KB, KiB, M, MB, MiB, G, GB, GiB, T, TB or TiB")]
    Unit(String),
    /// More bytes than 64 bits can count.
    #[error("this size is too large")]
    TooLarge,
}

impl FromStr for ByteSize {
    type Err = SizeError;

    fn from_str(text: &str) -> Result<Self, SizeError> {
        let text = text.trim();
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        if number.is_empty() {
            return Err(SizeError::NoNumber);
        }
        let number: u64 = number.parse().map_err(|_| SizeError::TooLarge)?;
        let factor: u64 = match unit.trim().to_ascii_lowercase().as_str() {
            "" | "b" => 1,
            "k" | "kib" => 1 << 10,
            "m" | "mib" => 1 << 20,
            "g" | "gib" => 1 << 30,
            "t" | "tib" => 1 << 40,
            "kb" => 1_000,
            "mb" => 1_000_000,
            "gb" => 1_000_000_000,
            "tb" => 1_000_000_000_000,
            _ => return Err(SizeError::Unit(unit.trim().to_owned())),
        };
        number.checked_mul(factor).map(Self).ok_or(SizeError::TooLarge)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(1_u64 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
        for (size, name) in units {
            if self.0 >= size && self.0.is_multiple_of(size) {
                return write!(f, "{}{name}", self.0 / size);
            }
        }
        write!(f, "{}B", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn units_read_as_people_mean_them() {
        assert_eq!("64KiB".parse(), Ok(ByteSize(65_536)));
        assert_eq!("2 GB".parse(), Ok(ByteSize(2_000_000_000)));
        assert_eq!("1m".parse(), Ok(ByteSize::mib(1)));
        assert_eq!("17".parse(), Ok(ByteSize(17)));
    }

    #[test]
    fn what_is_no_size_says_why() {
        assert_eq!("".parse::<ByteSize>(), Err(SizeError::NoNumber));
        assert_eq!("-1".parse::<ByteSize>(), Err(SizeError::NoNumber));
        assert_eq!("5 parsecs".parse::<ByteSize>(), Err(SizeError::Unit("parsecs".into())));
        assert_eq!("99999999999T".parse::<ByteSize>(), Err(SizeError::TooLarge));
    }

    proptest! {
        #[test]
        fn what_is_printed_reads_back(bytes: u64) {
            prop_assert_eq!(ByteSize(bytes).to_string().parse(), Ok(ByteSize(bytes)));
        }

        #[test]
        fn no_text_panics(text: String) {
            let _ = text.parse::<ByteSize>();
        }
    }
}
