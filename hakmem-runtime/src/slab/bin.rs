//! A thread's slabs of one class.

use super::list::SlabList;
use super::metadata::Slab;
use core::cell::Cell;
use core::ptr;

/// How many partial slabs are looked at for the fullest (mimalloc bounds its search at four, too).
const CANDIDATES: u32 = 4;

/// A bin: the slab that refills come from, and the others that have free blocks.
///
/// # Invariants
/// Every slab in a bin is owned by its heap and of its class. `current` is not in `partial`. Each slab in `partial` has
/// a free block and an allocated one; full slabs are adrift, empty ones go back to the pool.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct Bin {
    current: Cell<*mut Slab>,
    pub(crate) partial: SlabList,
    /// How many blocks a slab's list gets at most; 0 for as many as there are.
    pub(super) chunk: Cell<u32>,
    /// Blocks that may be allocated before the next look at the time.
    pub(super) patience: Cell<i32>,
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

    /// Takes the fullest of the first few partial slabs out; null if there is none. Filling the fullest lets the others
    /// empty.
    ///
    /// # Safety
    /// The caller owns the bin.
    pub(crate) unsafe fn pop_fullest(&self) -> *mut Slab {
        let mut best = self.partial.first();
        if best.is_null() {
            return best;
        }
        // SAFETY: every slab on the list is ours, and metadata is never unmapped.
        unsafe {
            let mut candidate = (*best).next.get();
            for _ in 1..CANDIDATES {
                if candidate.is_null() {
                    break;
                }
                if (*candidate).used() > (*best).used() {
                    best = candidate;
                }
                candidate = (*candidate).next.get();
            }
            self.partial.remove(best);
        }
        best
    }

    /// Shows every slab to `look`.
    ///
    /// # Safety
    /// The caller owns the bin, and `look` leaves it as it is.
    pub(crate) unsafe fn each(&self, look: impl Fn(&Slab)) {
        // SAFETY: every slab of the bin is ours, and metadata is never unmapped.
        unsafe {
            if let Some(current) = self.current().as_ref() {
                look(current);
            }
            let mut partial = self.partial.first();
            while let Some(slab) = partial.as_ref() {
                look(slab);
                partial = slab.next.get();
            }
        }
    }
}
