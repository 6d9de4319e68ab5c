//! The two lists of a slab under the layer `pages`: in a file of their own, as no other stack has any of this.

use super::bin::Bin;
use crate::slab::Slab;
use crate::slab::block::{Block, Chain};
use core::ptr;

/// Blocks allocated between two looks at the time, while memory waits for its purge.
const LOOK: i32 = 256;

/// Free blocks that a list should have while memory is left to be carved. A class with few free blocks turns its list over
/// every few allocations, each time with a branch mispredicted: of random sizes over 256 blocks, 4.9 % of the allocations
/// missed without this, 3.5 % with it (docs/LEDGER.md).
const ENOUGH: u32 = 12;

impl Bin {
    /// Makes `local_free` of the current slab its list to allocate from. `false`: it is empty, or lists are to be short.
    /// `look` is called now and then while memory waits for its purge.
    pub(crate) fn collect_local(&self, slab: &Slab, look: impl FnOnce()) -> bool {
        let chunk = self.chunk.get();
        if chunk < slab.capacity() && chunk > 0 || !slab.collect_local() {
            return false;
        }
        if slab.carved().wrapping_sub(slab.used()) < ENOUGH && slab.carved() < slab.capacity() {
            slab.stock();
        }
        if chunk > 0 {
            // The list is no longer than this. A look costs as much as ten allocations.
            self.debounce_ms.set(self.debounce_ms.get().wrapping_sub_unsigned(slab.carved().wrapping_sub(slab.used())));
            if self.debounce_ms.get() < 0 {
                self.debounce_ms.set(LOOK);
                look();
                // Which may have shortened all lists, this one to nothing.
                return !slab.free.get().is_null();
            }
        }
        true
    }

    /// [`Slab::list`] of the current slab. Where memory waits for its purge, lists are short: one block, and from then on
    /// half as many again as the time before, up to a whole slab. So however slowly the program allocates, after a time
    /// `t` it comes to a slow path again within `t / 2`; and one that allocates quickly is through in a moment.
    pub(crate) fn list(&self, slab: &Slab, want: u32) -> bool {
        self.unlist.set(Some(Slab::unlist));
        let chunk = self.chunk.get();
        if chunk == 0 || chunk >= slab.capacity() {
            return slab.list(want.max(ENOUGH));
        }
        self.chunk.set(chunk + chunk / 2 + 1);
        if slab.free_count() == 0 {
            slab.unlist();
        }
        slab.list_from_bits(chunk.min(want))
    }
}

/// For the owner.
impl Slab {
    /// Adds memory never used to `local_free`, which is empty: it is in use after what is on `free`, and what is freed from
    /// now on comes before it.
    #[cold]
    #[inline(never)]
    fn stock(&self) {
        let run = self.carve(ENOUGH);
        self.used.set(self.used.get().wrapping_sub(run.count));
        let mut chain = Chain::EMPTY;
        run.for_each(|block| chain.append(block));
        chain.close();
        self.local_free.set(chain.head());
    }

    /// Takes the first block of `free`, or null.
    #[inline(always)]
    pub(crate) fn pop_listed(&self) -> *mut Block {
        // SAFETY: what is on the list is free and the owner's.
        let block = unsafe { Block::pop(&self.free) };
        if !block.is_null() {
            self.used.set(self.used.get().wrapping_add(1));
        }
        block
    }

    /// Has the first block of `free` fetched, which may have been freed long ago: the next allocation is not to wait for it.
    /// (Random sizes, each operation timed: the median 30 → 10 ns, p99 200 → 130, p99.9 441 → 321; five programs 0.93 to 1.00 of
    /// the time; docs/LEDGER.md.)
    #[inline(always)]
    pub(crate) fn prefetch_listed(&self) {
        Block::prefetch(self.free.get());
    }

    /// Puts `block` on `local_free`. `false`: no block is handed out any more.
    ///
    /// # Safety
    /// The block is the caller's, and of this slab.
    #[inline(always)]
    pub(crate) unsafe fn push_listed(&self, block: *mut Block) -> bool {
        // SAFETY: the block is the caller's.
        unsafe { Block::push(&self.local_free, block) };
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
    fn collect_local(&self) -> bool {
        if self.free.get().is_null() {
            self.free.set(self.local_free.replace(ptr::null_mut()));
        }
        !self.free.get().is_null()
    }

    /// Sees to it that `free` has a block: what was freed here since, else what other threads freed and what has been at
    /// home, else up to `want` of memory never used. `false`: every block is handed out.
    fn list(&self, want: u32) -> bool {
        self.collect_local() || self.collect_remote() || self.has_blocks() && self.list_from_bits(want)
    }

    /// Makes what other threads freed the list to allocate from. `false`: there is nothing.
    fn collect_remote(&self) -> bool {
        let Some((position, count)) = self.remote.take() else { return false };
        self.used.set(self.used.get().wrapping_sub(count));
        self.free.set(ptr::with_exposed_provenance_mut(self.base().wrapping_add(position as usize)));
        true
    }

    /// The same without what was freed here since.
    fn list_from_bits(&self, want: u32) -> bool {
        if !self.free.get().is_null() {
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
