//! A slab's bitmap of free blocks, and its memory that is not carved into blocks yet. For the slab's owner.

use super::free_list::{FreeBlock, FreeList, ListBuilder, Walked};
use super::metadata::Slab;
use crate::sys::fatal::fatal;
use crate::sys::mmap;
use core::cell::Cell;
use core::ptr;

/// Bits in a word of the bitmap.
const WORD: u32 = u64::BITS;

/// Adjacent blocks that a slab hands out. Nothing is written to them.
#[derive(Debug)]
#[must_use = "the blocks of a run that is dropped are leaked"]
pub(crate) struct Run {
    next: usize,
    size: usize,
    pub(crate) count: u32,
}

impl Run {
    /// The blocks as a list, in ascending order, and what a walk along it would find; `None` if there are none.
    #[inline]
    pub(super) fn into_list(self) -> Option<(FreeList, Walked)> {
        let count = self.count;
        let mut list = ListBuilder::new();
        self.for_each(|block| list.push(block));
        list.finish_walked(count)
    }
}

/// In ascending order.
impl Iterator for Run {
    type Item = FreeBlock;

    #[inline]
    fn next(&mut self) -> Option<FreeBlock> {
        self.count = self.count.checked_sub(1)?;
        let address = self.next;
        self.next = address.wrapping_add(self.size);
        // SAFETY: the slab made the run of blocks that it hands out, and each is yielded once.
        Some(unsafe { FreeBlock::from_raw(ptr::with_exposed_provenance_mut(address)) })
    }
}

impl Slab {
    /// One word of the bitmap.
    fn word(&self, word: u32) -> &Cell<u64> {
        // SAFETY: `init` set the bitmap, which has a bit for each block and lies in the region's metadata; only the
        // owner reads and writes it.
        unsafe { &*self.bitmap.get().cast::<Cell<u64>>().wrapping_add(word as usize) }
    }

    pub(super) fn clear_bitmap(&self) {
        for word in 0..self.carved().div_ceil(WORD) {
            self.word(word).set(0);
        }
    }

    /// Frees one block. A pointer that is not at a block's start, or a block that is free already, stops the program.
    pub(crate) fn free(&self, block: FreeBlock) {
        self.mark_free(block);
        self.sub_used(1);
    }

    /// [`free`](Slab::free), for a block that is not counted as used.
    pub(super) fn mark_free(&self, block: FreeBlock) {
        let offset = block.addr().wrapping_sub(self.base()) as u32;
        let index = (u64::from(offset).wrapping_mul(u64::from(self.reciprocal.get())) >> 32) as u32;
        let (number, bit) = (index / WORD, 1_u64 << (index % WORD));
        let word = self.word(number);
        let old = word.get();
        if index.wrapping_mul(self.block_size.get()) != offset {
            fatal("invalid free: not the start of a block", block.addr());
        }
        if old & bit != 0 {
            fatal("double free", block.addr());
        }
        word.set(old | bit);
        self.free_count.set(self.free_count().wrapping_add(1));
        self.lowest.set(self.lowest.get().min(number));
    }

    /// Moves what other threads freed to the bitmap. `true` if there was anything.
    #[inline(never)] // Called from many places, and mostly without a remote free to collect.
    pub(crate) fn collect_remote(&self) -> bool {
        let Some((blocks, _)) = self.take_remote() else { return false };
        blocks.into_blocks().for_each(|block| self.free(block));
        true
    }

    /// The list of what other threads freed, and its length.
    pub(super) fn take_remote(&self) -> Option<(FreeList, u32)> {
        let (position, count) = self.remote.take()?;
        let head = ptr::with_exposed_provenance_mut(self.base().wrapping_add(position as usize));
        // SAFETY: the position is that of a list's head, which `take` has made the owner's.
        Some((unsafe { FreeList::from_head(head) }, count))
    }

    /// Calls `each` with the first index and the length of each run of blocks that are free in the bitmap.
    pub(super) fn each_free_run(&self, mut each: impl FnMut(u32, u32)) {
        let carved = self.carved();
        let is_free = |index: u32| self.word(index / WORD).get() >> (index % WORD) & 1 != 0;
        let mut index = self.lowest.get().wrapping_mul(WORD);
        while index < carved {
            // A word at a time where nothing is free.
            let left = self.word(index / WORD).get() >> (index % WORD);
            if left == 0 {
                index = (index / WORD).wrapping_add(1).wrapping_mul(WORD);
                continue;
            }
            let first = index.wrapping_add(left.trailing_zeros());
            index = first;
            while index < carved && is_free(index) {
                index = index.wrapping_add(1);
            }
            each(first, index.wrapping_sub(first));
        }
    }

    /// Takes at most `want` blocks and passes them to `each`, in ascending order: the free ones, or memory never used
    /// if none is free. Returns how many; 0 when every block is handed out.
    #[inline]
    pub(crate) fn take(&self, want: u32, mut each: impl FnMut(Run)) -> u32 {
        if self.free_count() == 0 && !self.collect_remote() {
            let run = self.carve(want);
            let count = run.count;
            each(run);
            return count;
        }
        let count = want.min(self.free_count());
        let size = self.block_size.get() as usize;
        let mut left = count;
        let mut word = self.lowest.get();
        while left > 0 {
            let mut bits = self.word(word).get();
            let word_base = self.base().wrapping_add(word as usize * WORD as usize * size);
            while bits != 0 && left > 0 {
                let first = bits.trailing_zeros();
                let count = (bits >> first).trailing_ones().min(left);
                // The blocks' bits say that they are free, and are cleared: they are handed out once.
                bits &= !((u64::MAX >> (WORD - count)) << first);
                left = left.wrapping_sub(count);
                each(Run { next: word_base.wrapping_add(first as usize * size), size, count });
            }
            self.word(word).set(bits);
            if bits == 0 {
                word = word.wrapping_add(1);
            }
        }
        self.lowest.set(word);
        self.free_count.set(self.free_count().wrapping_sub(count));
        self.add_used(count);
        count
    }

    /// Carves up to `want` blocks, but beyond the first of them not past the end of the current page or of what was
    /// touched before, so that no page is touched without need.
    pub(super) fn carve(&self, want: u32) -> Run {
        let size = self.block_size.get();
        let offset = self.carved().wrapping_mul(size);
        let start = self.base().wrapping_add(offset as usize);
        let page = mmap::page_size();
        let in_page = page.wrapping_sub(start & page.wrapping_sub(1)) as u32;
        let room = in_page.max(self.touched.get().saturating_sub(offset)) / size.max(1);
        let count = want.min(room.max(1)).min(self.capacity().wrapping_sub(self.carved()));
        self.carve_blocks(count)
    }

    /// Makes the next `count` blocks, of which there are as many.
    fn carve_blocks(&self, count: u32) -> Run {
        let size = self.block_size.get() as usize;
        let next = self.base().wrapping_add(self.carved() as usize * size);
        self.carved.set(self.carved().wrapping_add(count));
        self.add_used(count);
        Run { next, size, count }
    }

    /// One block that is known to be zero throughout; `None` where the slab cannot tell.
    pub(crate) fn carve_zeroed(&self) -> Option<FreeBlock> {
        if !self.fresh.get() || self.carved() == self.capacity() {
            return None;
        }
        self.carve_blocks(1).next()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slab::Geometry;
    use crate::slab::class::Class;
    use crate::sys::mmap::Access;

    #[test]
    fn memory_in_use_before_is_carved_beyond_its_page() {
        const SLAB: u32 = 64 << 10;
        const BLOCK: u32 = 256;
        let geometry = Geometry::new(4 * SLAB, SLAB);
        let region = mmap::map(geometry.region_size(), geometry.region_size(), Access::ReadWrite);
        let slabs = ptr::with_exposed_provenance::<Slab>(region);
        // SAFETY: the region stays, and is all zero, which is a slab never used; this entry is after those of the
        // metadata's own.
        let slab = unsafe { &*slabs.add(geometry.slabs_per_region() / 2) };
        let class = Class::new((BLOCK, BLOCK, 16), (1, 0, SLAB / BLOCK, 0), 4, &[]);
        let init = || slab.init(0, &class, 2, geometry.memory_of(slab));
        let page = mmap::page_size() as u32 / BLOCK;
        init();
        // Two pages of it, each for itself.
        assert_eq!([page * 2, page * 2].map(|want| slab.carve(want).count), [page; 2]);
        slab.reset();
        init();
        assert_eq!([page * 3, page * 3].map(|want| slab.carve(want).count), [page * 2, page]);
        slab.reset();
        // Purged.
        slab.touched.set(0);
        init();
        assert_eq!(slab.carve(page * 3).count, page);
    }
}
