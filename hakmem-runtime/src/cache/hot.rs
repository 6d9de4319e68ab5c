//! `hot`: bump allocation from a run of free blocks, with a list for freed ones.
//!
//! A refill takes a run of adjacent blocks from the thread's slab; an allocation takes the lowest and bumps a pointer.
//! No block is touched to hand it out, and consecutive allocations are adjacent. Freed blocks go to a list, which
//! serves when the run is used up. When both are empty, the next refill brings another run.
//!
//! The list is bounded like that of [`unified`](super::Unified): frees count down, and at zero the length is checked.

use super::bounded_list::{BoundedList, flush_list};
use super::{Below, Layer, Limit};
use crate::slab::{Batch, FreeBlock, FreeList, Slot};
use core::cell::Cell;
use core::ptr;

/// The most blocks that a refill takes.
const MOST: usize = 128;

/// The state of one class.
///
/// # Invariants
/// ```text
/// start ≤ end, and size divides end - start    the rest of the run
/// ```
/// and the invariants of `BoundedList`.
#[repr(C)]
#[derive(Debug)]
pub struct Hot {
    start: Cell<usize>,
    end: Cell<usize>,
    list: FreeList,
    /// Bytes per block.
    size: Cell<u32>,
    room: Cell<i32>,
}

// SAFETY: a block is either in the run or on the list; it leaves the run when `start` moves over it, the list when it
// is popped.
unsafe impl Layer for Hot {
    type Shared = Limit;

    const EMPTY: Hot =
        Hot { start: Cell::new(0), end: Cell::new(0), list: FreeList::EMPTY, size: Cell::new(0), room: Cell::new(0) };

    #[inline(always)]
    fn pop(&self) -> Option<FreeBlock> {
        let start = self.start.get();
        if start < self.end.get() {
            self.start.set(start.wrapping_add(self.size.get() as usize));
            // SAFETY: `start < end`, so this is the run's first block. The run owned it, and gave it up just now.
            return Some(unsafe { FreeBlock::from_raw(ptr::with_exposed_provenance_mut(start)) });
        }
        self.list.pop()
    }

    #[inline(always)]
    fn push(&self, block: FreeBlock, _: usize) -> bool {
        self.bounded().push(block)
    }

    fn refill(&self, &Limit(limit): &Limit, below: &mut impl Below) -> Option<FreeBlock> {
        // As pointers: blocks of the run are not touched.
        let buffer = [const { Slot::EMPTY }; MOST];
        let want = below.class().batch.min(limit) as usize;
        let mut batch = Batch::new(buffer.get(..want).unwrap_or(&buffer));
        below.refill(&mut batch);
        let size = below.class().size;
        let (run, others) = batch.split_run(size as usize);
        self.start.set(run.start);
        self.end.set(run.end);
        self.size.set(size);
        self.bounded().set_count(others.len() as u32, limit);
        self.list.push_batch(others);
        self.pop()
    }

    fn take(&self, batch: &mut Batch<'_>, _: &Limit, _: &mut impl Below) {
        batch.fill(|| self.pop());
    }

    fn put(&self, batch: Batch<'_>, &Limit(limit): &Limit, below: &mut impl Below) {
        self.bounded().put(batch, limit, below);
    }

    fn drain(&self, _: &Limit, below: &mut impl Below) {
        let list = self.list.take_all();
        while let Some(block) = self.pop() {
            list.push(block);
        }
        self.start.set(0);
        self.end.set(0);
        self.room.set(0);
        flush_list(&list, below);
    }

    /// The push kept the block.
    unsafe fn overflow(&self, _: *mut u8, &Limit(limit): &Limit, below: &mut impl Below) {
        self.bounded().overflow(limit, below);
    }
}

impl Hot {
    #[inline(always)]
    fn bounded(&self) -> BoundedList<'_> {
        BoundedList { list: &self.list, room: &self.room }
    }
}
