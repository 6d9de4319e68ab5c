//! How many moves of pages there may be, and taking pages for one.

use crate::sys::mmap::{self, NotTaken, TakenPages};
use core::sync::atomic::{AtomicUsize, Ordering};

/// Moves that are left: each may cost two of the process's mappings, of which Linux allows 65,530. Those into a segment
/// come back when it is unmapped. 0 as well where the kernel has no such call.
static MOVES_LEFT: AtomicUsize = AtomicUsize::new(4096);

/// Takes a part of a block's pages away from it, if there are moves left.
pub(super) fn take_pages(from: usize, bytes: usize) -> Result<TakenPages, NotTaken> {
    let spend = |left: usize| left.checked_sub(1);
    if MOVES_LEFT.fetch_update(Ordering::Relaxed, Ordering::Relaxed, spend).is_err() {
        return Err(NotTaken::Unsupported);
    }
    let taken = mmap::take_pages(from, bytes);
    match taken {
        Ok(_) => {}
        Err(NotTaken::Refused) => give_back(1),
        Err(NotTaken::Unsupported) => give_up(),
    }
    taken
}

/// The mappings of so many moves are gone.
pub(super) fn give_back(moves: usize) {
    MOVES_LEFT.fetch_add(moves, Ordering::Relaxed);
}

/// Moves that are left, for tests.
#[cfg(test)]
pub(super) fn left() -> usize {
    MOVES_LEFT.load(Ordering::Relaxed)
}

/// There are no more moves: the kernel has no such call, or a target was lost.
pub(super) fn give_up() {
    MOVES_LEFT.store(0, Ordering::Relaxed);
}
