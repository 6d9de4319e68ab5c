//! The two lists of a slab under the layer `pages`: in a file of their own, as no other stack has any of this.

use super::bin::Bin;
use super::metadata::Slab;
use crate::block::{Block, Chain};
use core::ptr;

/// More blocks than any slab has.
const LONGEST: u32 = 1 << 16;

impl Bin {
    /// Whether lists are as long as they come.
    pub(crate) fn is_long(&self) -> bool {
        self.chunk.get() == 0
    }

    /// [`Slab::list`] of the current slab. Where memory waits for its purge, lists are short: one block, and from then on
    /// half as many again as the time before. So however slowly the program allocates, after a time `t` it comes to a
    /// slow path again within `t / 2`; and one that allocates quickly is through in a moment.
    pub(crate) fn list(&self, slab: &Slab, want: u32) -> bool {
        self.unlist.set(Some(Slab::unlist));
        let chunk = self.chunk.get();
        if chunk == 0 {
            return slab.list(want);
        }
        self.chunk.set((chunk + chunk / 2 + 1).min(LONGEST));
        slab.unlist();
        slab.list(chunk)
    }
}

/// For the owner.
impl Slab {
    /// Takes the first block of `free`, or null.
    #[inline(always)]
    pub(crate) fn pop_listed(&self) -> *mut Block {
        let block = self.free.get();
        if !block.is_null() {
            // SAFETY: what is on the list is free and the owner's.
            self.free.set(unsafe { Block::next(block) });
            self.used.set(self.used.get().wrapping_add(1));
        }
        block
    }

    /// Puts `block` on `local_free`. `false`: no block is handed out any more.
    ///
    /// # Safety
    /// The block is the caller's, and of this slab.
    #[inline(always)]
    pub(crate) unsafe fn push_listed(&self, block: *mut Block) -> bool {
        // SAFETY: the block is the caller's.
        unsafe { Block::set_next(block, self.local_free.get()) };
        self.local_free.set(block);
        let used = self.used.get().wrapping_sub(1);
        self.used.set(used);
        used != 0
    }

    /// Enters a table, which counts as a use: so a slab that is in use there is never found empty by a free.
    pub(crate) fn bind(&self) {
        self.used.set(self.used.get().wrapping_add(1));
    }

    /// Leaves it.
    pub(crate) fn unbind(&self) {
        self.used.set(self.used.get().wrapping_sub(1));
    }

    /// Where `free` is empty, makes `local_free` the list to allocate from. `false`: that is empty, too.
    #[inline]
    pub(crate) fn collect_local(&self) -> bool {
        if self.free.get().is_null() {
            self.free.set(self.local_free.replace(ptr::null_mut()));
        }
        !self.free.get().is_null()
    }

    /// Sees to it that `free` has a block: what was freed here since, else what other threads freed and what has been at
    /// home, else up to `want` of memory never used. `false`: every block is handed out.
    pub(crate) fn list(&self, want: u32) -> bool {
        if self.collect_local() {
            return true;
        }
        let chain = self.take(want);
        self.used.set(self.used.get().wrapping_sub(chain.count()));
        self.free.set(chain.head());
        !chain.is_empty()
    }

    /// Empties both lists into the bitmap.
    pub(crate) fn unlist(&self) {
        for list in [&self.free, &self.local_free] {
            // SAFETY: the lists are the owner's.
            for block in unsafe { Chain::walk(list.replace(ptr::null_mut())) } {
                self.used.set(self.used.get().wrapping_add(1)); // which `push` takes back
                self.push(block);
            }
        }
    }
}
