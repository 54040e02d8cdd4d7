//! Memory for blocks.
//!
//! A large block has pages of its own. They go back to the system the moment its last reader lets go of it, whichever
//! thread that is. Blocks that come from the allocator and go at random leave holes between those that stay, and what
//! one thread allocates and another frees is slow to come back: that was up to a third of the memory limit.

use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use memmap2::{MmapMut, MmapOptions};

/// Blocks from this size on have pages of their own.
const OWN_PAGES: usize = 128 << 10;

/// So many blocks at most, because the system bounds the mappings of a process (`vm.max_map_count`, 65,530), and the
/// allocator needs some too.
const MOST_MAPPED: usize = 16_384;

static MAPPED: AtomicUsize = AtomicUsize::new(0);

/// The memory of one block, which is of this length from the beginning.
#[derive(Debug)]
pub struct BlockMemory(Memory);

#[derive(Debug)]
enum Memory {
    Allocated(Vec<u8>),
    Mapped(OwnPages),
}

impl BlockMemory {
    /// Zeros, of this length.
    pub fn zeroed(length: usize) -> Self {
        Self(OwnPages::of(length).map_or_else(|| Memory::Allocated(vec![0; length]), Memory::Mapped))
    }

    /// A copy of `pieces`, which should be this long together; it is as long as they are.
    pub fn joined(pieces: &[Bytes], length: usize) -> Self {
        let so_long = pieces.iter().map(Bytes::len).sum::<usize>() == length;
        let Some(mut own) = OwnPages::of(length).filter(|_| so_long) else {
            let mut joined = Vec::with_capacity(length);
            for piece in pieces {
                joined.extend_from_slice(piece);
            }
            return Self(Memory::Allocated(joined));
        };
        let mut rest = &mut own.0[..];
        for piece in pieces {
            let Some((here, behind)) = rest.split_at_mut_checked(piece.len()) else { break };
            here.copy_from_slice(piece);
            rest = behind;
        }
        Self(Memory::Mapped(own))
    }
}

/// Pages that are given back when this is dropped.
#[derive(Debug)]
struct OwnPages(MmapMut);

impl OwnPages {
    /// For a block of this length, if it is worth it and there are not too many already.
    fn of(length: usize) -> Option<Self> {
        if length < OWN_PAGES {
            return None;
        }
        if MAPPED.fetch_add(1, Ordering::Relaxed) < MOST_MAPPED {
            // All at once: a fault for each page costs more than the copy.
            if let Ok(map) = MmapOptions::new().len(length).populate().map_anon() {
                return Some(Self(map));
            }
        }
        MAPPED.fetch_sub(1, Ordering::Relaxed);
        None
    }
}

impl Drop for OwnPages {
    fn drop(&mut self) {
        MAPPED.fetch_sub(1, Ordering::Relaxed);
    }
}

impl AsRef<[u8]> for BlockMemory {
    fn as_ref(&self) -> &[u8] {
        match &self.0 {
            Memory::Allocated(bytes) => bytes,
            Memory::Mapped(own) => &own.0,
        }
    }
}

impl AsMut<[u8]> for BlockMemory {
    fn as_mut(&mut self) -> &mut [u8] {
        match &mut self.0 {
            Memory::Allocated(bytes) => bytes,
            Memory::Mapped(own) => &mut own.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_joined_in_order_whatever_the_size() {
        for length in [0, 1, OWN_PAGES - 1, OWN_PAGES, OWN_PAGES + 4097] {
            let whole: Vec<u8> = (0..=250).cycle().take(length).collect();
            let pieces: Vec<Bytes> = whole.chunks(10_007).map(Bytes::copy_from_slice).collect();
            let joined = BlockMemory::joined(&pieces, length);
            assert!(joined.as_ref() == whole, "{length}");
            assert!(matches!(joined.0, Memory::Mapped(_)) == (length >= OWN_PAGES));
        }
    }

    #[test]
    fn what_is_shorter_than_it_was_to_be_is_not_filled_up() {
        let piece = Bytes::from(vec![1; OWN_PAGES]);
        for length in [OWN_PAGES - 1, OWN_PAGES + 1] {
            let joined = BlockMemory::joined(std::slice::from_ref(&piece), length);
            assert!(joined.as_ref() == piece, "{length}");
        }
    }

    #[test]
    fn zeroed_memory_is_of_its_length_and_can_be_filled() {
        for length in [0, 10, OWN_PAGES + 1] {
            let mut block = BlockMemory::zeroed(length);
            assert!(block.as_ref() == vec![0; length]);
            block.as_mut().fill(7);
            assert!(block.as_ref() == vec![7; length]);
        }
    }
}
