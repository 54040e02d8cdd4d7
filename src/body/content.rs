//! Whole content, as the tiers keep it: small bodies inline, larger ones as aligned blocks.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

/// Blocks are aligned to this many bytes; the last one of a representation may be shorter.
pub const BLOCK: usize = 1 << 20;

/// Bodies up to this many bytes sit inline with their head.
pub const INLINE_MAX: usize = 64 << 10;

/// A whole body that was received to its end.
#[derive(Clone, Debug)]
pub struct Content {
    /// Where the bytes are.
    pub parts: Parts,
    /// Length in bytes.
    pub length: u64,
}

/// The bytes of a whole body.
#[derive(Clone, Debug)]
pub enum Parts {
    /// At most [`INLINE_MAX`] bytes.
    Inline(Bytes),
    /// Blocks of [`BLOCK`] bytes, the last one short.
    Blocks(Arc<[Bytes]>),
}

impl Parts {
    /// The bytes of these ranges, one after the other: slices of the blocks that they touch, and no copy. What lies
    /// beyond the end is left out.
    pub fn slices(&self, ranges: impl IntoIterator<Item = Range<u64>>) -> Blocks {
        let mut slices = Vec::new();
        for range in ranges {
            match self {
                Self::Inline(bytes) => slices.push(slice(bytes, 0, &range)),
                Self::Blocks(blocks) => {
                    let first = usize::try_from(range.start / BLOCK as u64).unwrap_or(usize::MAX);
                    let starts = (range.start - range.start % BLOCK as u64..range.end).step_by(BLOCK);
                    let touched = blocks.iter().skip(first).zip(starts);
                    slices.extend(touched.map(|(block, start)| slice(block, start, &range)));
                }
            }
        }
        Blocks::new(slices)
    }
}

/// What of `range` lies in `bytes`, whose first byte is at `start`.
fn slice(bytes: &Bytes, start: u64, range: &Range<u64>) -> Bytes {
    let within = |at: u64| usize::try_from(at.saturating_sub(start)).unwrap_or(usize::MAX).min(bytes.len());
    bytes.slice(within(range.start)..within(range.end).max(within(range.start)))
}

/// The blocks of a body on their way to one client. They stay in memory until they are sent, whatever the
/// tiers do meanwhile.
#[derive(Debug)]
pub struct Blocks {
    rest: VecDeque<Bytes>,
    remaining: u64,
}

impl Blocks {
    /// Sends `blocks` in order.
    pub fn new(blocks: impl IntoIterator<Item = Bytes>) -> Self {
        let rest: VecDeque<Bytes> = blocks.into_iter().filter(|block| !block.is_empty()).collect();
        let remaining = rest.iter().map(|block| block.len() as u64).sum();
        Self { rest, remaining }
    }

    /// The bytes not taken yet.
    pub fn remaining(&self) -> u64 {
        self.remaining
    }
}

impl Iterator for Blocks {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        let block = self.rest.pop_front()?;
        self.remaining -= block.len() as u64;
        Some(block)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn slices_are_the_bytes_of_their_ranges(
            length in prop_oneof![0..100_usize, 0..2 * BLOCK + 5],
            ranges in prop::collection::vec((0..2 * BLOCK as u64 + 9, 0..BLOCK as u64 + 9), 0..4),
        ) {
            let whole: Vec<u8> = (0..=250_u8).cycle().take(length).collect();
            let ranges: Vec<_> = ranges.into_iter().map(|(start, length)| start..start + length).collect();
            let cut = |at: u64| usize::try_from(at).unwrap().min(length);
            let expected: Vec<u8> =
                ranges.iter().flat_map(|range| whole[cut(range.start)..cut(range.end)].to_vec()).collect();
            let blocks: Vec<Bytes> = whole.chunks(BLOCK).map(Bytes::copy_from_slice).collect();
            for parts in [Parts::Inline(whole.clone().into()), Parts::Blocks(blocks.into())] {
                let slices = parts.slices(ranges.iter().cloned());
                prop_assert_eq!(slices.remaining(), expected.len() as u64);
                prop_assert!(slices.flatten().eq(expected.iter().copied()));
            }
        }
    }
}
