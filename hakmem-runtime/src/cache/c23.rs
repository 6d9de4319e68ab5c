//! `c23`: a single list without a count.
//!
//! An allocation takes the head, a free becomes the head, and nothing is counted on either side. What bounds the list is
//! the freed block's own address: one that lies at the start of a page of its slab goes home by itself, and on the way
//! the list is looked at. If it has grown past the limit it is returned whole, and the next miss fills it from the
//! thread's slab again. As the block at the start goes home, it is not the next one handed out: a program that frees and
//! allocates the same block again and again is not sent into the cold path each time.
//!
//! A page here is a power of two: so many of the largest power of two that divides the size that a block begins one once
//! in about half as many blocks as the list may hold. (Four KiB would do for 64 bytes, but not for 40, of which only
//! every 512th block begins an OS page.) A class whose limit is less than four blocks looks at every other free.
//!
//! A hit: load, test, branch, load, store; a free: load, store, store, test, branch. (Three instructions would do for a
//! free that never looks. But then the list of a thread that only frees would have no bound, and its blocks would be lost
//! when the thread ends, since nothing would ever have armed its end.)

use super::bounded_list::{flush_list, refill_list};
use super::{Below, Layer, Limit};
use crate::slab::{Batch, FreeBlock, FreeList};
use core::cell::Cell;

/// The state of one class.
///
/// # Invariants
/// `mask + 1` is a page, a power of two; 0 until the first cold path, so that any block calls for it.
#[repr(C)]
#[derive(Debug)]
pub struct C23 {
    list: FreeList,
    mask: Cell<u32>,
}

// SAFETY: a block is put on the list once by push, refill or put, and comes off it once.
unsafe impl Layer for C23 {
    type Shared = Limit;

    const EMPTY: C23 = C23 { list: FreeList::EMPTY, mask: Cell::new(0) };

    #[inline(always)]
    fn pop(&self) -> Option<FreeBlock> {
        self.list.pop()
    }

    #[inline(always)]
    fn push(&self, block: FreeBlock, _: usize) -> bool {
        let address = block.addr() as u32;
        self.list.push(block);
        address & self.mask.get() != 0
    }

    fn refill(&self, limit: &Limit, below: &mut impl Below) -> Option<FreeBlock> {
        self.set_page(limit, below);
        refill_list(&self.list, below.class().batch.min(limit.0), below);
        self.list.pop()
    }

    fn take(&self, batch: &mut Batch<'_>, _: &Limit, _: &mut impl Below) {
        batch.fill(|| self.list.pop());
    }

    fn put(&self, batch: Batch<'_>, limit: &Limit, below: &mut impl Below) {
        self.set_page(limit, below);
        self.list.push_batch(batch);
        self.flush_if_long(limit, below);
    }

    fn drain(&self, _: &Limit, below: &mut impl Below) {
        self.mask.set(0);
        flush_list(&self.list, below);
    }

    /// The push kept the block, which is the first on the list.
    unsafe fn overflow(&self, _: *mut u8, limit: &Limit, below: &mut impl Below) {
        if self.mask.get() == 0 {
            self.set_page(limit, below); // The thread's first operation.
            return;
        }
        if let Some(block) = self.list.pop() {
            Batch::with_one(block, |batch| below.flush(batch));
        }
        self.flush_if_long(limit, below);
    }
}

impl C23 {
    /// Sets the page.
    fn set_page(&self, limit: &Limit, below: &impl Below) {
        let grain = 1_u32.unbounded_shl(below.class().size.trailing_zeros());
        let blocks = (limit.0 / 2).max(2).next_power_of_two();
        self.mask.set(grain.saturating_mul(blocks).wrapping_sub(1));
    }

    /// Flushes the whole list if it is longer than `limit`.
    fn flush_if_long(&self, limit: &Limit, below: &mut impl Below) {
        if self.list.count_to(limit.0.saturating_add(1)) > limit.0 {
            flush_list(&self.list, below);
        }
    }
}
