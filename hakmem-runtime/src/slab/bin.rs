//! A thread's slabs of one class.

use super::list::SlabList;
use super::metadata::Slab;
use core::cell::Cell;
use core::ptr;

/// How many partial slabs are looked at for the fullest (mimalloc bounds its search at four, too).
const CANDIDATES: u32 = 4;

/// More blocks than any slab has.
const LONGEST: u32 = 1 << 16;

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
    /// How many blocks a list of `pages` gets at most; 0 for as many as there are. See [`Bin::shorten`].
    chunk: Cell<u32>,
}

impl Bin {
    pub(crate) fn current(&self) -> *mut Slab {
        self.current.get()
    }

    pub(crate) fn set_current(&self, slab: *mut Slab) {
        self.current.set(slab);
    }

    /// Lets the next allocations by way of `pages` come to a slow path, where time is looked at: first every one, then ever
    /// fewer, as each list is half as long again as the one before. However slowly the program allocates, after a time
    /// `t` the next slow path is no further off than `t / 2`; and a program that allocates quickly is through in a moment.
    pub(crate) fn shorten(&self) {
        self.chunk.set(1);
        // SAFETY: null, or the owner's.
        if let Some(slab) = unsafe { self.current.get().as_ref() } {
            slab.unlist();
        }
    }

    /// Ends that.
    pub(crate) fn lengthen(&self) {
        self.chunk.set(0);
    }

    /// Whether lists are as long as they come.
    pub(crate) fn is_long(&self) -> bool {
        self.chunk.get() == 0
    }

    /// [`Slab::list`], as long as it may be. `slab` is the current one.
    pub(crate) fn list(&self, slab: &Slab, want: u32) -> bool {
        let chunk = self.chunk.get();
        if chunk == 0 {
            return slab.list(want);
        }
        self.chunk.set((chunk + chunk / 2 + 1).min(LONGEST));
        slab.unlist();
        slab.list(chunk)
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
