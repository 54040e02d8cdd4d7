//! Hashing of names that are as good as random already, so that hashing them again would be waste.

use std::hash::{BuildHasher, Hash, Hasher};

use super::key::KeyHash;

/// A name that has its hash in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShortHash<T>(pub T);

impl Hash for ShortHash<KeyHash> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0.short());
    }
}

/// Spreads counted numbers over 64 bits (the finaliser of `SplitMix64`).
pub(super) fn scatter(number: u64) -> u64 {
    let mixed = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Passes a short hash through.
#[derive(Clone, Copy, Debug, Default)]
pub struct BuildShortHasher;

impl BuildHasher for BuildShortHasher {
    type Hasher = PassThrough;

    fn build_hasher(&self) -> PassThrough {
        PassThrough(0)
    }
}

/// Takes the one number that a [`ShortHash`] writes.
#[derive(Clone, Copy, Debug)]
pub struct PassThrough(u64);

impl Hasher for PassThrough {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = scatter(self.0 ^ u64::from(*byte));
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
