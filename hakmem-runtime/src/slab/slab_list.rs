//! A list of slabs of one owner, linked through their metadata.

use super::metadata::Slab;
use core::cell::Cell;
use core::ptr;

/// A doubly linked list.
///
/// # Invariants
/// `first.previous == null`, `last.next == null`, and `a.next == b ⇔ b.previous == a`. A slab is on one list at most.
#[derive(Debug)]
pub(crate) struct SlabList {
    first: Cell<*mut Slab>,
    last: Cell<*mut Slab>,
    count: Cell<u32>,
}

impl SlabList {
    pub(crate) fn first(&self) -> *mut Slab {
        self.first.get()
    }

    pub(crate) fn last(&self) -> *mut Slab {
        self.last.get()
    }

    pub(crate) fn count(&self) -> u32 {
        self.count.get()
    }

    /// Puts `slab` first.
    ///
    /// # Safety
    /// The caller owns the list and the slab, which is on no list.
    pub(crate) unsafe fn push(&self, slab: *mut Slab) {
        let second = self.first.get();
        // SAFETY: metadata is never unmapped, and the caller owns both slabs' links.
        unsafe {
            (*slab).previous.set(ptr::null_mut());
            (*slab).next.set(second);
            if second.is_null() {
                self.last.set(slab);
            } else {
                (*second).previous.set(slab);
            }
        }
        self.first.set(slab);
        self.count.set(self.count.get().wrapping_add(1));
    }

    /// Takes `slab` out.
    ///
    /// # Safety
    /// The caller owns the list, and `slab` is on it.
    pub(crate) unsafe fn remove(&self, slab: *mut Slab) {
        // SAFETY: metadata is never unmapped; all three slabs are on the caller's list.
        unsafe {
            let (previous, next) = ((*slab).previous.get(), (*slab).next.get());
            if previous.is_null() {
                self.first.set(next);
            } else {
                (*previous).next.set(next);
            }
            if next.is_null() {
                self.last.set(previous);
            } else {
                (*next).previous.set(previous);
            }
        }
        self.count.set(self.count.get().wrapping_sub(1));
    }

    /// Takes the first slab out, or returns null.
    ///
    /// # Safety
    /// The caller owns the list.
    pub(crate) unsafe fn pop(&self) -> *mut Slab {
        let slab = self.first.get();
        if !slab.is_null() {
            // SAFETY: the first slab is on the list.
            unsafe { self.remove(slab) };
        }
        slab
    }
}
