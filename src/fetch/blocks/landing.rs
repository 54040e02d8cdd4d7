//! One block under way: a busy body that ends in the tiers.

use std::sync::Arc;

use bytes::Bytes;

use super::assembly::Assembly;
use crate::body::busy::{Abandoned, BodyError, Writer};
use crate::body::content::Parts;
use crate::cache::Cache;
use crate::cache::key::Key;
use crate::cache::object::Object;

/// The right, and the duty, to bring one block. Dropped before its end, it fails those who read along.
#[derive(Debug)]
pub(in crate::fetch) struct Landing {
    assembly: Arc<Assembly>,
    index: u32,
    number: u64,
    writer: Option<Writer>,
    /// It is for those who read along, and for nobody after them.
    passes: bool,
}

impl Landing {
    pub(super) fn new(assembly: Arc<Assembly>, (index, number): (u32, u64), writer: Writer) -> Self {
        Self { assembly, index, number, writer: Some(writer), passes: false }
    }

    /// Has the block go to no tier.
    pub(super) fn pass(&mut self) {
        self.passes = true;
    }

    /// Which block it brings.
    pub(super) fn index(&self) -> u32 {
        self.index
    }

    /// Adds bytes to it. Cancelled, the block fails.
    pub(super) async fn append(&mut self, bytes: Bytes) -> Result<(), Abandoned> {
        match &mut self.writer {
            Some(writer) => writer.append(bytes).await,
            None => Err(Abandoned),
        }
    }

    /// All of it is there: it goes to the tiers, and waits for the disk where that is behind. Cancelled, it may be in
    /// memory only.
    pub(super) async fn finish(mut self, cache: &Cache, key: &Key, object: &Object) {
        let Some(content) = self.writer.take().and_then(|writer| writer.finish(None)) else { return };
        let block = match content.parts {
            Parts::Inline(bytes) => bytes,
            Parts::Blocks(blocks) => match &*blocks {
                [block] => block.clone(),
                _ => return,
            },
        };
        while !self.passes && !cache.store_block(key, object, self.index, &block) {
            cache.room_for_block().await;
        }
    }

    /// It will not come, or not as what it was to be.
    pub(super) fn fail(mut self, error: BodyError) {
        if let Some(writer) = self.writer.take() {
            writer.fail(error);
        }
    }
}

impl Drop for Landing {
    fn drop(&mut self) {
        // Those who read along are told before others may try again.
        drop(self.writer.take());
        self.assembly.landed((self.index, self.number));
    }
}
