//! `sll`: an intrusive list with a high-water mark, below any bounded layer.
//!
//! It takes in what overflows the layer above and returns it when that layer runs empty: a burst of frees followed by a
//! burst of allocations reaches no slab. Above the mark (bytes in the spec, blocks here) it flushes all that it had and
//! keeps the batch that just came, so it need not walk the list to split it.

use super::bounded_list::{flush_list, refill_list};
use super::{Below, Layer, Limit};
use crate::slab::{Batch, FreeBlock, FreeList};
use core::cell::Cell;

/// The state of one class.
///
/// # Invariants
/// ```text
/// the list is empty, or room + length == limit and 0 ≤ room
/// ```
/// Counting the room instead of the blocks lets a push test the sign. A thread's first push finds no room and refuses
/// the block.
#[repr(C)]
#[derive(Debug)]
pub struct Sll {
    list: FreeList,
    room: Cell<i32>,
}

// SAFETY: each push, refill or put of a block adds it to the list once, and it leaves the list once.
unsafe impl Layer for Sll {
    type Shared = Limit;

    const EMPTY: Sll = Sll { list: FreeList::EMPTY, room: Cell::new(0) };

    #[inline(always)]
    fn pop(&self) -> Option<FreeBlock> {
        let block = self.list.pop();
        if block.is_some() {
            self.room.set(self.room.get().wrapping_add(1));
        }
        block
    }

    #[inline(always)]
    fn push(&self, block: FreeBlock, _: usize) -> bool {
        let room = self.room.get().wrapping_sub(1);
        if room < 0 {
            return false;
        }
        self.room.set(room);
        self.list.push(block);
        true
    }

    fn refill(&self, &Limit(limit): &Limit, below: &mut impl Below) -> Option<FreeBlock> {
        let count = refill_list(&self.list, below.class().batch.min(limit), below);
        self.set_count(count, limit);
        self.pop()
    }

    fn take(&self, batch: &mut Batch<'_>, _: &Limit, _: &mut impl Below) {
        let taken = batch.fill_from(&self.list);
        self.room.set(self.room.get().wrapping_add(taken as i32));
    }

    fn put(&self, batch: Batch<'_>, &Limit(limit): &Limit, below: &mut impl Below) {
        let (count, more) = (self.count(limit), batch.len() as u32);
        if more > limit {
            below.flush(batch);
            self.set_count(count, limit);
            return;
        }
        let mut kept = count.saturating_add(more);
        if kept > limit {
            flush_list(&self.list, below);
            kept = more;
        }
        self.list.push_batch(batch);
        self.set_count(kept, limit);
    }

    fn drain(&self, _: &Limit, below: &mut impl Below) {
        flush_list(&self.list, below);
        self.room.set(0);
    }
}

impl Sll {
    fn count(&self, limit: u32) -> u32 {
        if self.list.is_empty() { 0 } else { limit.wrapping_sub(self.room.get() as u32) }
    }

    fn set_count(&self, count: u32, limit: u32) {
        self.room.set(limit.wrapping_sub(count) as i32);
    }
}
