//! A heap's slabs of one class.

use super::throttle::ListLimit;
use crate::slab::{Slab, SlabList};
use core::cell::Cell;

/// The slab that refills take blocks from, and other slabs with free blocks. All zero is an empty bin.
///
/// # Invariants
/// The heap owns every slab in the bin, and all of them have the bin's class. `current` is not in `partial`. Each slab
/// in `partial` has a block in use, and a free block unless it came by [`Bin::enqueue_full`].
#[repr(C)]
#[derive(Debug)]
pub(super) struct Bin {
    pub(super) current: Cell<Option<&'static Slab>>,
    pub(super) partial: SlabList,
    /// The number of slabs that the heap gave this class, less those of the class that it retired.
    pub(super) net_inits: Cell<u32>,
    pub(super) list_limit: ListLimit,
}

impl Bin {
    /// Puts a full slab before the partial ones, if there are any. Refills take the last one, so by the time it is
    /// this slab's turn, blocks will have been freed into it; had it been abandoned, the first of these frees would
    /// have to reclaim it. `false`: there are none.
    pub(super) fn enqueue_full(&self, slab: &'static Slab) -> bool {
        let others = self.partial.count() > 0;
        if others {
            self.partial.push(slab);
        }
        others
    }

    /// All slabs.
    pub(super) fn slabs(&self) -> impl Iterator<Item = &'static Slab> {
        self.current.get().into_iter().chain(self.partial.iter())
    }

    /// Removes the partial slab that was added first, because it has had the most time for frees. (Taking the fullest
    /// slab instead found one free block for a thousand allocations: docs/decisions.)
    pub(super) fn pop_oldest(&self) -> Option<&'static Slab> {
        self.partial.pop_last()
    }
}
