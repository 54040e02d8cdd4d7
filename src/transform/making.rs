//! Coded content as it comes out of an encoder, which is put into blocks.

use std::sync::Arc;

use bytes::Bytes;

use crate::body::block::BlockMemory;
use crate::body::budget::Budget;
use crate::body::content::{BLOCK, Content, INLINE_MAX, Parts};

/// A content in the making. Whoever makes it has charged what it may become: blocks are charged as they are closed, also over the
/// limit, and taken off that.
pub(super) struct Making<'a> {
    budget: &'a Arc<Budget>,
    /// What waits for its block to be full, and its bytes.
    pieces: Vec<Bytes>,
    waiting: usize,
    blocks: Vec<Bytes>,
    /// Bytes so far.
    pub(super) length: u64,
}

impl<'a> Making<'a> {
    pub(super) fn new(budget: &'a Arc<Budget>) -> Self {
        Self { budget, pieces: Vec::new(), waiting: 0, blocks: Vec::new(), length: 0 }
    }

    /// Bytes of it that are charged.
    pub(super) fn charged(&self) -> u64 {
        self.length - self.waiting as u64
    }

    pub(super) fn take(&mut self, mut bytes: Bytes) {
        self.length += bytes.len() as u64;
        while !bytes.is_empty() {
            let fits = bytes.split_to(bytes.len().min(BLOCK - self.waiting));
            self.waiting += fits.len();
            self.pieces.push(fits);
            if self.waiting == BLOCK {
                self.close_block();
            }
        }
    }

    fn close_block(&mut self) {
        let charge = self.budget.charge(self.waiting as u64);
        let block = BlockMemory::joined(&self.pieces, self.waiting);
        self.pieces.clear();
        self.waiting = 0;
        self.blocks.push(charge.attach(block));
    }

    pub(super) fn end(mut self) -> Content {
        if self.waiting > 0 {
            self.close_block();
        }
        let is_short = self.length <= INLINE_MAX as u64;
        let parts = match self.blocks.pop() {
            Some(only) if is_short => Parts::Inline(only),
            last => Parts::Blocks(self.blocks.into_iter().chain(last).collect()),
        };
        Content { parts, length: self.length }
    }
}
