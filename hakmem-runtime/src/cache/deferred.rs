//! `free = "deferred"`: freed blocks wait in a queue and reach the first layer 256 at a time.
//!
//! A free links the block into the queue and counts; the layer sees it later, when the queue is full or an allocation
//! finds the layer empty. The bet is that a batch is cheaper than its parts. The original lost it (one instruction more
//! and no effect); the documentation has what was measured here.

use crate::cache::{Below, Layer};
use crate::heap::Portion;
use crate::slab::block::{Block, Chain};
use core::cell::Cell;
use core::ptr;

/// Blocks a batch, as in the original.
const BATCH: i32 = 256;

/// `L` behind a queue of frees.
///
/// # Invariants
/// `length + room == BATCH - 1`, or the thread has not started (`room == 0`, nothing queued).
#[repr(C)]
#[derive(Debug)]
pub struct Deferred<L> {
    layer: L,
    queue: Cell<*mut Block>,
    room: Cell<i32>,
}

// SAFETY: a block is in the queue or in the layer, which keeps the contract.
unsafe impl<L: Layer> Layer for Deferred<L> {
    type Shared = L::Shared;

    const EMPTY: Self = Deferred { layer: L::EMPTY, queue: Cell::new(ptr::null_mut()), room: Cell::new(0) };

    #[inline(always)]
    unsafe fn pop(&self) -> *mut Block {
        // SAFETY: the caller's contract, as everywhere below.
        unsafe { self.layer.pop() }
    }

    #[inline(always)]
    unsafe fn push(&self, block: *mut Block) -> bool {
        // SAFETY: the block is the caller's.
        unsafe { Block::push(&self.queue, block) };
        let room = self.room.get().wrapping_sub(1);
        self.room.set(room);
        room >= 0
    }

    unsafe fn miss(&self, shared: &L::Shared, below: &mut impl Below) -> *mut Block {
        let queued = self.take_queue();
        // SAFETY: as above.
        unsafe {
            if !queued.is_empty() {
                self.work_off(queued, shared, below);
                let block = self.layer.pop();
                if !block.is_null() {
                    return block;
                }
            }
            self.layer.miss(shared, below)
        }
    }

    unsafe fn overflow(&self, _block: *mut Block, shared: &L::Shared, below: &mut impl Below) {
        // SAFETY: as above.
        unsafe { self.work_off(self.take_queue(), shared, below) };
    }

    unsafe fn demand(&self, want: u32, shared: &L::Shared, below: &mut impl Below) -> Chain {
        // SAFETY: as above.
        unsafe { self.layer.demand(want, shared, below) }
    }

    unsafe fn absorb(&self, chain: Chain, shared: &L::Shared, below: &mut impl Below) {
        // SAFETY: as above.
        unsafe { self.layer.absorb(chain, shared, below) };
    }

    unsafe fn drain(&self, shared: &L::Shared, below: &mut impl Below) {
        below.absorb(self.take_queue());
        self.room.set(0);
        // SAFETY: as above.
        unsafe { self.layer.drain(shared, below) };
    }

    fn release(shared: &L::Shared, portion: Portion, below: &mut impl Below) -> bool {
        L::release(shared, portion, below)
    }

    fn publish(&self, shared: &L::Shared) {
        self.layer.publish(shared);
    }
}

impl<L: Layer> Deferred<L> {
    fn take_queue(&self) -> Chain {
        self.room.set(BATCH - 1);
        // SAFETY: what was in our queue is free and ours.
        unsafe { Chain::walk(self.queue.replace(ptr::null_mut())) }
    }

    /// Passes what was queued to the layer.
    ///
    /// # Safety
    /// On the owning thread.
    unsafe fn work_off(&self, queued: Chain, shared: &L::Shared, below: &mut impl Below) {
        for block in queued {
            // SAFETY: on the owning thread; the blocks were the queue's.
            unsafe {
                if !self.layer.push(block) {
                    self.layer.overflow(block, shared, below);
                }
            }
        }
    }
}
