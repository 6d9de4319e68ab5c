//! A thread's slabs of one class.

use crate::slab::{Slab, SlabList};
use core::cell::Cell;
use core::ptr;

/// A bin: the slab that refills come from, and the others that have free blocks.
///
/// # Invariants
/// Every slab in a bin is owned by its heap and of its class. `current` is not in `partial`. Each slab in `partial` has
/// an allocated block, and a free one unless it was full when it came and had others before it; other full slabs are adrift, empty
/// ones go back to the pool.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct Bin {
    current: Cell<*mut Slab>,
    pub(crate) partial: SlabList,
    /// Slabs of this class that the heap has begun, less those that it has ended.
    pub(crate) begun: Cell<u32>,
    /// How many blocks a slab's list gets at most; 0 for as many as there are.
    pub(super) chunk: Cell<u32>,
    /// Blocks that may be allocated before the next look at the time.
    pub(super) debounce_ms: Cell<i32>,
    /// What empties the lists of a slab, where a layer keeps any.
    pub(super) unlist: Cell<Option<fn(&Slab)>>,
}

impl Bin {
    pub(crate) fn current(&self) -> *mut Slab {
        self.current.get()
    }

    pub(crate) fn set_current(&self, slab: *mut Slab) {
        self.current.set(slab);
    }

    /// Lets the next allocations come to a slow path, where time is looked at: first every one, then ever fewer. See
    /// `listed.rs`; of layers that keep no lists in slabs nothing is asked.
    pub(crate) fn shorten(&self) {
        self.chunk.set(1);
        // SAFETY: null, or the owner's.
        if let (Some(slab), Some(unlist)) = (unsafe { self.current.get().as_ref() }, self.unlist.get()) {
            unlist(slab);
        }
    }

    /// Ends that.
    pub(crate) fn lengthen(&self) {
        self.chunk.set(0);
    }

    /// Takes the current slab out; null if there is none.
    pub(crate) fn take_current(&self) -> *mut Slab {
        self.current.replace(ptr::null_mut())
    }

    /// Puts a full slab behind the partial ones, if there are any: when it is their turn, blocks will have been freed into
    /// it, each as a hit, where the first free into a slab adrift would have to claim it. `false`: there are none.
    ///
    /// # Safety
    /// The caller owns the bin, and the slab, which is in no bin.
    pub(crate) unsafe fn wait(&self, slab: *mut Slab) -> bool {
        let others = self.partial.count() > 0;
        if others {
            // SAFETY: passed on.
            unsafe { self.partial.push(slab) };
        }
        others
    }

    /// Takes the partial slab out that has been there longest; null if there is none. Most has been freed into it since
    /// it was full. (The fullest had one free block for a thousand allocations: docs/LEDGER.md.)
    ///
    /// # Safety
    /// The caller owns the bin.
    pub(crate) unsafe fn pop_oldest(&self) -> *mut Slab {
        let oldest = self.partial.last();
        if !oldest.is_null() {
            // SAFETY: every slab on the list is ours.
            unsafe { self.partial.remove(oldest) };
        }
        oldest
    }
}
