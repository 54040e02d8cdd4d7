//! Bodies whose every byte follows from a seed and its position.
//!
//! A body that was cut, shifted, repeated, or mixed with another's is caught at the first wrong byte, without
//! keeping a copy to compare with.

use ::bytes::Bytes;

/// The eight bytes at positions `8 * index ..`: a `splitmix64` step over seed and index.
fn word(seed: u64, index: u64) -> [u8; 8] {
    let mut z = seed
        .wrapping_mul(0xD6E8_FEB8_6659_FD93)
        .wrapping_add(index.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    (z ^ (z >> 31)).to_le_bytes()
}

/// The first `len` bytes of the body of `seed`.
pub fn pattern(seed: u64, len: usize) -> Bytes {
    pattern_at(seed, 0, len)
}

/// `len` bytes of the body of `seed` from `offset` on: what a range request should give.
pub fn pattern_at(seed: u64, offset: u64, len: usize) -> Bytes {
    let mut out = Vec::with_capacity(len + 16);
    let skip = usize::try_from(offset % 8).unwrap();
    let mut index = offset / 8;
    while out.len() < len + skip {
        out.extend_from_slice(&word(seed, index));
        index += 1;
    }
    out.truncate(len + skip);
    Bytes::from(out).slice(skip..)
}

/// Checks the bytes of one body as they arrive, in pieces of any size.
#[derive(Debug, Clone)]
pub struct Verify {
    seed: u64,
    position: u64,
}

impl Verify {
    /// Expects the body of `seed` from its first byte.
    pub fn new(seed: u64) -> Self {
        Self::at(seed, 0)
    }

    /// Expects the body of `seed` from `offset` on.
    pub fn at(seed: u64, offset: u64) -> Self {
        Self { seed, position: offset }
    }

    /// Takes the next bytes. Fails the test at the first wrong one.
    #[track_caller]
    pub fn feed(&mut self, piece: &[u8]) {
        if let Err(wrong) = self.check(piece) {
            panic!("{wrong}");
        }
    }

    /// Takes the next bytes, or says where the first wrong one is.
    pub fn check(&mut self, piece: &[u8]) -> Result<(), String> {
        let mut rest = piece;
        while !rest.is_empty() {
            let within = usize::try_from(self.position % 8).unwrap();
            let expected = word(self.seed, self.position / 8);
            let take = rest.len().min(8 - within);
            if rest[..take] != expected[within..within + take] {
                let bad = rest.iter().zip(&expected[within..]).take_while(|(a, b)| a == b).count();
                let at = self.position + bad as u64;
                return Err(format!("body of seed {}: the byte at {at} is wrong", self.seed));
            }
            self.position += take as u64;
            rest = &rest[take..];
        }
        Ok(())
    }

    /// The position that is expected next: bytes verified so far, if the check began at 0.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Fails the test unless exactly `len` bytes have been verified (for a check that began at 0).
    #[track_caller]
    pub fn finish(self, len: u64) {
        assert_eq!(self.position, len, "body of seed {}: wrong length", self.seed);
    }
}
