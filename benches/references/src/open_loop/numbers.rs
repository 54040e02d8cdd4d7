//! Which objects are asked for.

use std::str::FromStr;

/// Where the number in a path comes from.
#[derive(Debug, Clone, PartialEq)]
pub enum Numbers {
    /// One after the other, from here.
    From(u64),
    /// Any below this, all equally often.
    Random(u64),
}

impl Numbers {
    /// The number of the request that is sent as the `index`th.
    pub fn at(&self, index: u64) -> u64 {
        match self {
            Self::From(first) => first + index,
            Self::Random(below) => mix(index) % below,
        }
    }
}

/// Scatters an index (the finaliser of splitmix64), so that a run asks for the same objects as any other run.
fn mix(index: u64) -> u64 {
    let mut z = index.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl FromStr for Numbers {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (kind, number) = text.split_once(':').ok_or(())?;
        let number = number.parse().map_err(|_| ())?;
        match kind {
            "from" => Ok(Self::From(number)),
            "random" if number > 0 => Ok(Self::Random(number)),
            _ => Err(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_count_up_or_scatter_below_their_limit() {
        let up: Numbers = "from:7".parse().unwrap();
        assert_eq!([up.at(0), up.at(2)], [7, 9]);
        let any: Numbers = "random:10".parse().unwrap();
        let seen: std::collections::HashSet<u64> = (0..200).map(|i| any.at(i)).collect();
        assert_eq!(seen, (0..10).collect());
    }
}
