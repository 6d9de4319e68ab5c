//! `free = "deferred"`: freed blocks wait in a queue and reach the first layer 256 at a time.
//!
//! A free links the block into the queue and counts. The queue is passed to the layer when it is full or an allocation
//! finds the layer empty. The idea is that one batch is cheaper than 256 frees; docs/LAYERS.md has the measurements.

use super::bounded_list::{BoundedList, flush_list};
use super::counted::Counts;
use super::{Below, Layer};
use crate::heap::Portion;
use crate::slab::{Batch, FreeBlock, FreeList};
use core::cell::Cell;

/// Blocks per batch.
const BATCH: i32 = 256;

/// A queue of frees before `L`.
///
/// # Invariants
/// `length + room == BATCH - 1`, or the thread has not started (`room == 0`, nothing queued).
#[repr(C)]
#[derive(Debug)]
pub struct Deferred<L> {
    layer: L,
    queue: FreeList,
    room: Cell<i32>,
}

// SAFETY: a block is either in the queue, which it leaves once, or in the layer, which keeps the contract.
unsafe impl<L: Layer> Layer for Deferred<L> {
    type Shared = L::Shared;

    const EMPTY: Self = Deferred { layer: L::EMPTY, queue: FreeList::EMPTY, room: Cell::new(0) };

    const TRIMS: bool = L::TRIMS;

    const LISTS_IN_SLABS: bool = L::LISTS_IN_SLABS;

    #[inline(always)]
    fn pop(&self) -> Option<FreeBlock> {
        self.layer.pop()
    }

    #[inline(always)]
    fn push(&self, block: FreeBlock, _: usize) -> bool {
        BoundedList { list: &self.queue, room: &self.room }.push(block)
    }

    fn refill(&self, shared: &L::Shared, below: &mut impl Below) -> Option<FreeBlock> {
        if !self.queue.is_empty() {
            self.free_queued(shared, below);
            if let Some(block) = self.layer.pop() {
                return Some(block);
            }
        }
        self.room.set(BATCH - 1);
        self.layer.refill(shared, below)
    }

    fn take(&self, batch: &mut Batch<'_>, shared: &L::Shared, below: &mut impl Below) {
        self.layer.take(batch, shared, below);
    }

    fn put(&self, batch: Batch<'_>, shared: &L::Shared, below: &mut impl Below) {
        self.layer.put(batch, shared, below);
    }

    fn drain(&self, shared: &L::Shared, below: &mut impl Below) {
        flush_list(&self.queue.take_all(), below);
        self.room.set(0);
        self.layer.drain(shared, below);
    }

    /// The push kept the block.
    unsafe fn overflow(&self, _: *mut u8, shared: &L::Shared, below: &mut impl Below) {
        self.free_queued(shared, below);
    }

    fn trim(shared: &L::Shared, portion: Portion, below: &mut impl Below) -> bool {
        L::trim(shared, portion, below)
    }

    fn publish(&self, shared: &L::Shared) {
        self.layer.publish(shared);
    }

    fn counts(shared: &'static L::Shared, position: usize) -> Option<&'static Counts> {
        L::counts(shared, position)
    }
}

impl<L: Layer> Deferred<L> {
    /// Frees the queued blocks into the layer.
    fn free_queued(&self, shared: &L::Shared, below: &mut impl Below) {
        self.room.set(BATCH - 1);
        let owner = below.owner();
        for block in self.queue.take_all().into_blocks() {
            self.layer.push_or_overflow(block, owner, shared, below);
        }
    }
}
