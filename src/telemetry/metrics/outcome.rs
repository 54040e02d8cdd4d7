//! What became of a request, in the words of `Cache-Status`.

use crate::semantics::cache_status::Forward;

/// `hit`, or why the request went forward (RFC 9211 §2.1, §2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Answered from what is stored, without going forward.
    Hit,
    /// Asked of the origin, for this reason.
    Forwarded(Forward),
    /// The request wanted nothing but what is stored, and nothing is (`only-if-cached`).
    NotStored,
}

impl Outcome {
    /// How many there are.
    pub const COUNT: usize = 2 + Forward::ALL.len();

    /// All of them, in the order of [`Outcome::index`].
    pub fn all() -> impl Iterator<Item = Self> {
        [Self::Hit].into_iter().chain(Forward::ALL.map(Self::Forwarded)).chain([Self::NotStored])
    }

    /// Its place among all.
    pub const fn index(self) -> usize {
        match self {
            Self::Hit => 0,
            Self::Forwarded(forward) => 1 + forward as usize,
            Self::NotStored => Self::COUNT - 1,
        }
    }

    /// The word in `Cache-Status`, log and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Forwarded(forward) => forward.name(),
            Self::NotStored => "not-stored",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_a_place_and_a_word_of_its_own() {
        assert!(Outcome::all().map(Outcome::index).eq(0..Outcome::COUNT));
        let words: std::collections::BTreeSet<_> = Outcome::all().map(Outcome::name).collect();
        assert_eq!(words.len(), Outcome::COUNT);
    }
}
