//! What is known of the codings of an object: whether it is coded at all, which codings are stored, wanted, or not worth it.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::semantics::coding::Coding;

/// The state of an object's codings. They are representations of their own: each is found in a slot beside the object's, as
/// long as it is of the same generation and of the same head.
#[derive(Debug, Default)]
pub struct Codings {
    /// The coding that the object itself is, if it is one that was made here.
    pub made: Option<Made>,
    state: AtomicU32,
}

/// What a coding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Made {
    /// In which way it is coded.
    pub coding: Coding,
    /// Tells its bytes from those of other makings.
    pub digest: u32,
}

/// It was looked at whether the object is one that is coded, by the rules of which the upper half is a print.
const LOOKED: u32 = 1 << 15;

/// It is.
const COVERED: u32 = 1 << 14;

/// Where the print of the rules begins.
const PRINT: u32 = 16;

/// The place of a coding in each of the three sets.
const fn bit(coding: Coding, set: u32) -> u32 {
    1 << (coding as u32 + 3 * set)
}

const READY: u32 = 0;
const WANTED: u32 = 1;
const USELESS: u32 = 2;

impl Codings {
    /// The codings of an object that is one itself.
    pub fn made(made: Made) -> Self {
        Self { made: Some(made), state: AtomicU32::new(0) }
    }

    /// Whether it is known that by the rules of this print nothing of it is coded.
    pub fn is_plain(&self, rules: u16) -> bool {
        self.load() & (u32::MAX << PRINT | LOOKED | COVERED) == u32::from(rules) << PRINT | LOOKED
    }

    /// Whether it is one that is coded by the rules of this print, which `look` tells once.
    pub fn is_covered(&self, rules: u16, look: impl FnOnce() -> bool) -> bool {
        let state = self.load();
        if state & LOOKED != 0 && state >> PRINT == u32::from(rules) {
            return state & COVERED != 0;
        }
        let covered = look();
        let looked = u32::from(rules) << PRINT | LOOKED | if covered { COVERED } else { 0 };
        let put = |state| Some(state & (COVERED - 1) | looked);
        // It never fails: there is always something to put.
        let _ = self.state.fetch_update(Ordering::Relaxed, Ordering::Relaxed, put);
        covered
    }

    /// Whether this coding is stored.
    pub fn is_ready(&self, coding: Coding) -> bool {
        self.load() & bit(coding, READY) != 0
    }

    /// Whether this coding is hardly shorter than what it is made of.
    pub fn is_useless(&self, coding: Coding) -> bool {
        self.load() & bit(coding, USELESS) != 0
    }

    /// Notes that this coding is wanted; false if that was known.
    pub fn want(&self, coding: Coding) -> bool {
        self.state.fetch_or(bit(coding, WANTED), Ordering::Relaxed) & bit(coding, WANTED) == 0
    }

    /// Notes that a coding is stored.
    pub fn made_ready(&self, coding: Coding) {
        self.state.fetch_or(bit(coding, READY), Ordering::Relaxed);
        self.state.fetch_and(!bit(coding, WANTED), Ordering::Relaxed);
    }

    /// Notes that a coding is not worth it.
    pub fn found_useless(&self, coding: Coding) {
        self.state.fetch_or(bit(coding, USELESS), Ordering::Relaxed);
    }

    /// Notes that a coding is not there, and may be wanted again.
    pub fn lost(&self, coding: Coding) {
        self.state.fetch_and(!(bit(coding, READY) | bit(coding, WANTED)), Ordering::Relaxed);
    }

    fn load(&self) -> u32 {
        self.state.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_coding_goes_its_way_by_itself() {
        let codings = Codings::default();
        assert!(!codings.is_plain(7) && codings.is_covered(7, || true) && codings.is_covered(7, || false));
        for coding in Coding::ALL {
            assert!(codings.want(coding) && !codings.want(coding) && !codings.is_ready(coding));
        }
        codings.made_ready(Coding::Zstd);
        codings.found_useless(Coding::Gzip);
        let ready = Coding::ALL.map(|coding| codings.is_ready(coding));
        let useless = Coding::ALL.map(|coding| codings.is_useless(coding));
        assert_eq!((ready, useless), ([false, true, false], [false, false, true]));
        codings.lost(Coding::Zstd);
        assert!(!codings.is_ready(Coding::Zstd) && codings.want(Coding::Zstd));
        assert!(!codings.is_plain(7) && codings.is_useless(Coding::Gzip));
    }

    #[test]
    fn what_is_not_coded_is_known_after_one_look() {
        let codings = Codings::default();
        assert!(!codings.is_covered(7, || false) && codings.is_plain(7) && !codings.is_covered(7, || true));
    }

    #[test]
    fn by_other_rules_it_is_looked_at_again_and_what_is_stored_stays_known() {
        let codings = Codings::default();
        assert!(codings.is_covered(7, || true));
        codings.made_ready(Coding::Zstd);
        assert!(!codings.is_plain(8) && !codings.is_covered(8, || false) && codings.is_plain(8));
        assert!(
            !codings.is_plain(7) && codings.is_covered(u16::MAX, || true) && codings.is_ready(Coding::Zstd)
        );
    }
}
