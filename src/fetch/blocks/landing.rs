//! One block under way: a busy body that ends in the tiers.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::assembly::Assembly;
use crate::body::budget::Reservation;
use crate::body::busy::{Abandoned, BodyError, Writer};
use crate::body::content::Parts;
use crate::cache::Cache;
use crate::cache::key::Key;
use crate::cache::object::Object;

/// How long a block waits for room on the disk, and holds up those that come behind it.
const DISK_PATIENCE: Duration = Duration::from_secs(5);

/// The right, and the duty, to bring one block. Dropped before its end, it fails those who read along.
#[derive(Debug)]
pub(in crate::fetch) struct Landing {
    assembly: Arc<Assembly>,
    index: u32,
    number: u64,
    writer: Option<Writer>,
    /// It is for those who read along, and for nobody after them.
    passes: bool,
    room: Aside,
}

/// What is set aside for a block.
#[derive(Debug)]
enum Aside {
    NotAsked,
    Room(Reservation),
    /// There was no room, or no more is needed.
    Nothing,
}

impl Landing {
    pub(super) fn new(assembly: Arc<Assembly>, (index, number): (u32, u64), writer: Writer) -> Self {
        Self { assembly, index, number, writer: Some(writer), passes: false, room: Aside::NotAsked }
    }

    /// Has the block go to no tier.
    pub(super) fn pass(&mut self) {
        self.passes = true;
    }

    /// Which block it brings.
    pub(super) fn index(&self) -> u32 {
        self.index
    }

    /// Waits until there is memory for it, without which it may pass unstored: at most once, and not for ever.
    /// Cancel-safe.
    pub(super) async fn make_room(&mut self) {
        if matches!(self.room, Aside::NotAsked) && !self.passes {
            let set_aside = self.assembly.room().for_block().await;
            if let (Some(_), Some(writer)) = (&set_aside, &mut self.writer) {
                writer.memory_is_set_aside();
            }
            self.room = set_aside.map_or(Aside::Nothing, Aside::Room);
        }
    }

    /// Adds bytes to it. Cancelled, the block fails.
    pub(super) async fn append(&mut self, bytes: Bytes) -> Result<(), Abandoned> {
        if let Aside::Room(reservation) = &mut self.room {
            reservation.shrink(bytes.len() as u64);
        }
        match &mut self.writer {
            Some(writer) => writer.append(bytes).await,
            None => Err(Abandoned),
        }
    }

    /// All of it is there: it goes to the tiers, and waits a moment for the disk where that is behind. Cancelled, or where
    /// the disk takes nothing, it may be in memory only.
    pub(super) async fn finish(mut self, cache: &Cache, key: &Key, object: &Object) {
        self.assembly.forget_trouble();
        let Some(content) = self.writer.take().and_then(|writer| writer.finish(None)) else { return };
        self.room = Aside::Nothing;
        let block = match content.parts {
            Parts::Inline(bytes) => bytes,
            Parts::Blocks(blocks) => match &*blocks {
                [block] => block.clone(),
                _ => return,
            },
        };
        let deadline = Instant::now() + DISK_PATIENCE;
        while !self.passes && !cache.store_block(key, object, self.index, &block) {
            if tokio::time::timeout_at(deadline, cache.room_for_block()).await.is_err() {
                return;
            }
        }
    }

    /// The body that was to bring it broke off.
    pub(super) fn break_off(self, error: BodyError) {
        // Known before those who read along look for it.
        self.assembly.note_broken(error);
        self.fail(error);
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
