//! How many moves of pages there may be, and taking a block's pages for one.

use super::block::Block;
use super::segment::UNIT;
use crate::sys::mmap::{self, NotTaken, TakenPages};
use core::sync::atomic::{AtomicUsize, Ordering};

/// Moves that are left: each may cost two of the process's mappings, of which Linux allows 65,530. Those into a segment
/// come back when it is unmapped. 0 as well where the kernel has no such call.
static MOVES_LEFT: AtomicUsize = AtomicUsize::new(4096);

/// Takes a block's pages away from it. `None`: its mapping is in pieces, or there are moves enough.
pub(super) fn take_pages(block: &Block) -> Option<TakenPages> {
    let spend = |left: usize| left.checked_sub(1);
    MOVES_LEFT.fetch_update(Ordering::Relaxed, Ordering::Relaxed, spend).ok()?;
    match mmap::take_pages(block.segment.address(block.unit), block.length * UNIT) {
        Ok(pages) => Some(pages),
        Err(NotTaken::Refused) => {
            give_back(1);
            None
        }
        Err(NotTaken::Unsupported) => {
            give_up();
            None
        }
    }
}

/// The mappings of so many moves are gone.
pub(super) fn give_back(moves: usize) {
    MOVES_LEFT.fetch_add(moves, Ordering::Relaxed);
}

/// There are no more moves: the kernel has no such call, or a target was lost.
pub(super) fn give_up() {
    MOVES_LEFT.store(0, Ordering::Relaxed);
}
