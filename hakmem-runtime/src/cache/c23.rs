//! `c23`: a single list without a count.
//!
//! An allocation pops the head, a free pushes, and neither counts. The freed block's address bounds the list instead: a
//! free of a block at the start of a page takes the cold path, which flushes that block and checks the list's length. A
//! list longer than the limit is flushed whole, and the next miss refills it. Because the block at the start of the
//! page is flushed, it is not handed out next: a program that frees and allocates one block in a loop does not take the
//! cold path each time.
//!
//! A page here is a power of two, chosen so that one block in n starts one, where n is half the list's limit, rounded
//! up to a power of two and at least 2. (4 KiB would do for blocks of 64 bytes, but not of 40: only every 512th of
//! these starts an OS page.)
//!
//! A free that never checks would need only three instructions. But then the list of a thread that only frees would be
//! unbounded, and its blocks would leak when the thread exits: a thread's exit handler is registered on its first cold
//! path.

use super::bounded_list::{flush_list, refill_list};
use super::{Below, Layer, Limit};
use crate::slab::{Batch, FreeBlock, FreeList};
use core::cell::Cell;

/// The state of one class.
///
/// # Invariants
/// `mask + 1` is the page size, a power of two. `mask` is 0 until the first cold path, so that any free takes it.
#[repr(C)]
#[derive(Debug)]
pub struct C23 {
    list: FreeList,
    mask: Cell<u32>,
}

// SAFETY: each push, refill or put of a block adds it to the list once, and it leaves the list once.
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
        batch.fill_from(&self.list);
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
    /// Sets the page size.
    fn set_page(&self, limit: &Limit, below: &impl Below) {
        let grain = 1_u32.unbounded_shl(below.class().size.trailing_zeros());
        let blocks = (limit.0 / 2).max(2).next_power_of_two();
        self.mask.set(grain.saturating_mul(blocks).wrapping_sub(1));
    }

    /// Flushes the whole list if it is longer than `limit`.
    fn flush_if_long(&self, limit: &Limit, below: &mut impl Below) {
        if self.list.len_up_to(limit.0.saturating_add(1)) > limit.0 {
            flush_list(&self.list, below);
        }
    }
}
