//! The two lists of a slab under the layer `pages`: hits pop from `free` and push to `local_free`. Only for the slab's
//! owner.
//!
//! No other layer uses them, so they have a file of their own.
//!
//! A slab is *bound* while a thread cache pops from its `free` list. Then all of `free` is counted as used, so that a
//! hit need not count, and so is one block more, so that no free sees the slab as empty. While a slab is not bound its
//! `free` is empty.

use super::free_list::{FreeBlock, ListBuilder};
use super::metadata::Slab;

/// The length below which a list is filled up, as long as the slab has memory to carve. A class with few free blocks
/// would use its list up every few allocations, and each time mispredict a branch: of random sizes over 256 blocks, 4.9
/// % of the allocations missed without this, 3.5 % with it (docs/decisions).
pub(crate) const MIN_LIST: u32 = 12;

impl Slab {
    /// Pops the first block of `free`. `PREFETCH`: fetches the next one, which may have been freed long ago, and for which the
    /// next allocation should not wait. (Random sizes, each operation timed: the median 30 → 10 ns, p99 200 → 130, p99.9
    /// 441 → 321; five programs 0.93 to 1.00 of the time; docs/decisions.)
    #[inline(always)]
    pub(crate) fn pop_listed<const PREFETCH: bool>(&self) -> Option<FreeBlock> {
        if PREFETCH { self.free.pop_and_prefetch() } else { self.free.pop() }
    }

    /// Pushes `block`, which is of this slab, to `local_free`. `false`: it was the last block in use.
    #[inline(always)]
    pub(crate) fn push_listed(&self, block: FreeBlock) -> bool {
        self.local_free.push(block);
        let used = self.used.get().wrapping_sub(1);
        self.used.set(used);
        used != 0
    }

    /// Whether `free` is empty.
    pub(crate) fn free_is_empty(&self) -> bool {
        self.free.is_empty()
    }

    /// Binds the slab, whose `free` has `count` blocks: from now on a thread cache pops from it.
    pub(crate) fn bind(&self, count: u32) {
        self.add_used(count.wrapping_add(1));
    }

    /// Unbinds the slab. The blocks on `free` go back to the bitmap.
    pub(crate) fn unbind(&self) {
        self.free.take_all().into_blocks().for_each(|block| self.free(block));
        self.sub_used(1);
    }

    /// For a bound slab: if `free` is empty, `local_free` becomes `free`; if that is short, some memory never used
    /// becomes the new `local_free`. Returns the length of `free`; 0 if nothing was done.
    #[inline]
    pub(crate) fn collect_local(&self) -> u32 {
        if !self.free.is_empty() || self.local_free.is_empty() {
            return 0;
        }
        self.free.set(self.local_free.take_all());
        // Of the carved blocks, those without a bit are now allocated, freed by other threads, or on `free`: all count
        // as used, and one more as the slab is bound. Before, those on `local_free` did not.
        let in_use = self.carved().wrapping_sub(self.free_count()).wrapping_add(1);
        let count = in_use.wrapping_sub(self.used.get());
        self.used.set(in_use);
        if count.wrapping_add(self.free_count()) <= MIN_LIST && self.carved() < self.capacity() {
            self.carve_to_local();
        }
        count
    }

    /// Puts some memory never used on `local_free`, which is empty. It comes to use after what is on `free` and after
    /// the blocks that are freed from now on.
    #[cold]
    #[inline(never)]
    fn carve_to_local(&self) {
        let run = self.carve(MIN_LIST);
        self.sub_used(run.count);
        if let Some((blocks, _)) = run.into_list() {
            self.local_free.set(blocks);
        }
    }

    /// Fills `free` of a slab that is not bound: with `local_free`, else with what other threads freed, else with up to
    /// `want` free blocks of the bitmap, else with up to `want` of memory never used. Returns its length; 0 if every
    /// block is handed out.
    pub(crate) fn fill_free(&self, want: u32) -> u32 {
        if !self.local_free.is_empty() {
            self.free.set(self.local_free.take_all());
            // What is carved, and is neither free in the bitmap nor in use.
            return self.carved().wrapping_sub(self.free_count()).wrapping_sub(self.used.get());
        }
        if let Some((blocks, count)) = self.take_remote() {
            self.sub_used(count);
            self.free.set(blocks);
            return count;
        }
        if self.has_free_blocks() { self.fill_free_from_bitmap(want) } else { 0 }
    }

    /// Fills `free` of a slab that is not bound with up to `want` blocks of the bitmap, or of memory never used if the
    /// bitmap is empty.
    pub(crate) fn fill_free_from_bitmap(&self, want: u32) -> u32 {
        let mut list = ListBuilder::new();
        let count = self.take(want, |run| run.for_each(|block| list.push(block)));
        self.sub_used(count);
        self.free.set(list.finish());
        count
    }

    /// Moves the blocks of both lists to the bitmap. The slab may be bound or not.
    pub(crate) fn unlist(&self) {
        self.free.take_all().into_blocks().for_each(|block| self.free(block));
        self.local_free.take_all().into_blocks().for_each(|block| self.mark_free(block)); // Those are not counted as used.
    }
}
