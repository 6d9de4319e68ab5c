//! `unified`: a bounded intrusive LIFO.
//!
//! A free block's first word links to the block freed before it. An allocation pops the head, a free pushes: the block
//! touched last is handed out first, while it is still in the CPU's cache.
//!
//! The bound costs an allocation nothing. `room` counts down on frees only: it is the number of pushes after which the
//! list *could* be full. When it runs out, the cold path walks the list to measure it. Either allocations have made
//! room again, or the older half is flushed.

use super::bounded_list::{BoundedList, refill_list};
use super::{Below, Layer, Limit};
use crate::slab::{Batch, FreeBlock, FreeList};
use core::cell::Cell;

/// The state of one class. See `BoundedList` for the invariants.
#[repr(C)]
#[derive(Debug)]
pub struct Unified {
    list: FreeList,
    room: Cell<i32>,
}

// SAFETY: each push, refill or put of a block adds it to the list once, and it leaves the list once.
unsafe impl Layer for Unified {
    type Shared = Limit;

    const EMPTY: Unified = Unified { list: FreeList::EMPTY, room: Cell::new(0) };

    #[inline(always)]
    fn pop(&self) -> Option<FreeBlock> {
        self.list.pop()
    }

    #[inline(always)]
    fn push(&self, block: FreeBlock, _: usize) -> bool {
        self.bounded().push(block)
    }

    fn refill(&self, &Limit(limit): &Limit, below: &mut impl Below) -> Option<FreeBlock> {
        let count = refill_list(&self.list, below.class().batch.min(limit), below);
        self.bounded().set_count(count, limit);
        self.list.pop()
    }

    fn take(&self, batch: &mut Batch<'_>, _: &Limit, _: &mut impl Below) {
        batch.fill_from(&self.list);
    }

    fn put(&self, batch: Batch<'_>, &Limit(limit): &Limit, below: &mut impl Below) {
        self.bounded().put(batch, limit, below);
    }

    fn drain(&self, _: &Limit, below: &mut impl Below) {
        self.bounded().drain(below);
    }

    /// The push kept the block.
    unsafe fn overflow(&self, _: *mut u8, &Limit(limit): &Limit, below: &mut impl Below) {
        self.bounded().overflow(limit, below);
    }
}

impl Unified {
    #[inline(always)]
    fn bounded(&self) -> BoundedList<'_> {
        BoundedList { list: &self.list, room: &self.room }
    }
}
