//! Which contents are on disk, who names them, and how many bytes they take.
//!
//! A content may serve several objects, because it is named by its hash. It stays while a head names it or a reader
//! pins it; then its address goes to the keeper, which removes the file.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use super::record::BlockRef;
use super::volume::{Address, Shelf, ShortAddress};

/// What a file system rounds files up to, and what a directory takes.
const DISK_BLOCK: u64 = 4096;

/// Bytes of memory for each content, with what the table keeps free to grow.
pub const CONTENT_COST: u64 = 72;

/// Disk that a file of so many bytes takes.
pub fn on_disk(length: u64) -> u64 {
    length.div_ceil(DISK_BLOCK) * DISK_BLOCK
}

/// All contents on disk.
#[derive(Debug, Default)]
pub struct Contents {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    held: HashMap<ShortAddress, Held>,
    /// Contents on each shelf: a shelf with any takes a block of the disk.
    shelves: HashMap<Shelf, u32>,
    bytes: u64,
    /// Bytes of contents that no head names, and that will go with their last reader.
    condemned: u64,
    /// Contents that nobody names or pins any more, to be removed.
    released: Vec<Address>,
}

#[derive(Debug)]
struct Held {
    /// Heads that name it.
    heads: u32,
    /// Readers that pin it.
    pins: u32,
    length: u32,
}

impl Contents {
    /// Bytes of disk that contents and their directories take.
    pub fn bytes(&self) -> u64 {
        let state = self.state.lock();
        state.bytes + state.shelves.len() as u64 * DISK_BLOCK
    }

    /// Gives memory back that was for more contents than there are.
    pub fn shrink(&self) {
        let mut state = self.state.lock();
        let most = state.held.len() + state.held.len() / 8;
        state.held.shrink_to(most);
    }

    /// Bytes that will be free once their readers are done.
    pub fn condemned(&self) -> u64 {
        self.state.lock().condemned
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.state.lock().held.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// One more head names this content, which is on disk.
    pub fn name(&self, content: ShortAddress, length: u32) {
        let mut state = self.state.lock();
        let State { held, shelves, bytes, condemned, .. } = &mut *state;
        let entry = held.entry(content).or_insert_with(|| {
            *shelves.entry(shelf_of(content)).or_default() += 1;
            *bytes += on_disk(u64::from(length));
            *condemned += on_disk(u64::from(length));
            Held { heads: 0, pins: 0, length }
        });
        if entry.heads == 0 {
            *condemned -= on_disk(u64::from(entry.length));
        }
        entry.heads = entry.heads.saturating_add(1);
    }

    /// A head that named these is gone.
    pub fn release(&self, blocks: &[BlockRef]) {
        let mut state = self.state.lock();
        for block in blocks {
            state.let_go(&block.address, |held| {
                held.heads = held.heads.saturating_sub(1);
                held.heads == 0
            });
        }
    }

    /// Keeps these contents on disk until the pin is dropped; none if one of them is not there any more.
    pub fn pin(self: &Arc<Self>, blocks: &Arc<[BlockRef]>) -> Option<Pin> {
        let mut state = self.state.lock();
        let there =
            |block: &BlockRef| state.held.get(&block.address.short()).is_some_and(|held| held.heads > 0);
        if !blocks.iter().all(there) {
            return None;
        }
        for block in blocks.iter() {
            if let Some(held) = state.held.get_mut(&block.address.short()) {
                held.pins = held.pins.saturating_add(1);
            }
        }
        drop(state);
        Some(Pin { contents: Arc::clone(self), blocks: Arc::clone(blocks) })
    }

    /// Whether nothing waits to be removed, nor will once its readers are done.
    pub fn is_clear(&self) -> bool {
        let state = self.state.lock();
        state.released.is_empty() && state.condemned == 0
    }

    /// Whether a content is known.
    pub fn knows(&self, address: &Address) -> bool {
        self.state.lock().held.contains_key(&address.short())
    }

    /// Takes a released content out, if nobody has come to use it again meanwhile: its file may be removed now. The
    /// keeper asks, which alone adds contents.
    pub fn take_released(&self) -> Option<Address> {
        let mut state = self.state.lock();
        while let Some(address) = state.released.pop() {
            if state.held.get(&address.short()).is_some_and(|held| held.heads + held.pins == 0) {
                state.forget(&address);
                return Some(address);
            }
        }
        None
    }
}

impl State {
    /// One use less, by `change`, which tells whether the last head has gone by it.
    fn let_go(&mut self, address: &Address, change: impl FnOnce(&mut Held) -> bool) {
        let Some(held) = self.held.get_mut(&address.short()) else { return };
        if change(held) {
            self.condemned += on_disk(u64::from(held.length));
        }
        if held.heads + held.pins == 0 {
            self.released.push(*address);
        }
    }

    fn forget(&mut self, address: &Address) {
        let Some(held) = self.held.remove(&address.short()) else { return };
        self.bytes -= on_disk(u64::from(held.length));
        self.condemned -= on_disk(u64::from(held.length));
        let under = shelf_of(address.short());
        if let Some(count) = self.shelves.get_mut(&under) {
            *count -= 1;
            if *count == 0 {
                self.shelves.remove(&under);
            }
        }
    }
}

fn shelf_of(content: ShortAddress) -> Shelf {
    let [first, second, ..] = content.to_be_bytes();
    Shelf::from_be_bytes([first, second])
}

/// Contents that stay on disk until this is dropped.
#[derive(Debug)]
pub struct Pin {
    contents: Arc<Contents>,
    blocks: Arc<[BlockRef]>,
}

impl Drop for Pin {
    fn drop(&mut self) {
        let mut state = self.contents.state.lock();
        for block in self.blocks.iter() {
            state.let_go(&block.address, |held| {
                held.pins = held.pins.saturating_sub(1);
                false
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(first: u8, length: u32) -> BlockRef {
        BlockRef { address: Address([first; 32]), check: 0, length }
    }

    #[test]
    fn a_content_stays_while_a_head_names_it_or_a_reader_pins_it() {
        let contents = Arc::new(Contents::default());
        let blocks: Arc<[BlockRef]> = [block(1, 5000)].into();
        let (short, length) = block(1, 5000).counted();
        contents.name(short, length);
        contents.name(short, length);
        assert_eq!(contents.bytes(), 8192 + 4096, "two blocks, and one for the directory");
        let pin = contents.pin(&blocks).expect("it is there");
        contents.release(&blocks);
        contents.release(&blocks);
        assert_eq!(contents.take_released(), None, "it is pinned");
        assert_eq!(contents.condemned(), 8192);
        drop(pin);
        assert_eq!(contents.take_released(), Some(Address([1; 32])));
        assert_eq!((contents.bytes(), contents.len(), contents.condemned()), (0, 0, 0));
        assert!(contents.pin(&blocks).is_none());
    }

    #[test]
    fn what_is_named_again_in_time_is_not_removed() {
        let contents = Arc::new(Contents::default());
        let one = block(1, 10);
        contents.name(one.address.short(), 10);
        contents.release(&[one]);
        contents.name(one.address.short(), 10);
        assert_eq!(contents.take_released(), None);
        assert!(contents.knows(&one.address));
    }
}
