//! Whole content, as the tiers keep it: small bodies inline, larger ones as aligned blocks.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

/// Blocks are aligned to this many bytes; the last one of a representation may be shorter.
pub const BLOCK: usize = 1 << 20;

/// Bodies up to this many bytes sit inline with their head.
pub const INLINE_MAX: usize = 16 << 10;

/// The BLAKE3 digest of a whole body.
pub type Digest = [u8; 32];

/// A whole body that was received to its end.
#[derive(Clone, Debug)]
pub struct Content {
    /// Where the bytes are.
    pub parts: Parts,
    /// Length in bytes.
    pub length: u64,
    /// BLAKE3 of all bytes in order.
    pub digest: Digest,
}

/// The bytes of a whole body.
#[derive(Clone, Debug)]
pub enum Parts {
    /// At most [`INLINE_MAX`] bytes.
    Inline(Bytes),
    /// Blocks of [`BLOCK`] bytes, the last one short.
    Blocks(Arc<[Bytes]>),
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
