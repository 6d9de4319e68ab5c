//! `unified`: a bounded intrusive LIFO.
//!
//! A free block's first word links to the block freed before it. An allocation takes the head, a free becomes the head:
//! what was touched last is handed out first, while it is still in the cache.
//!
//! The bound costs an allocation nothing. `room` counts down on frees only: it is the number of pushes after which the
//! list *could* be full. When it runs out, the cold path looks: it walks the list, finds how long it really is, and
//! either finds that allocations made room again, or passes the older half on.
//!
//! A hit: load, test, branch, load, store; a free: load, store, store, decrement, branch.

use super::{Below, Layer};
use crate::block::{Block, Chain};
use core::cell::Cell;
use core::ptr;

/// The state of one class.
///
/// # Invariants
/// ```text
/// length + room ≤ limit
/// ```
/// A push moves one from `room` to the length; a pop only shortens the list. `room < 0` only between a push and the
/// overflow that follows it.
#[repr(C)]
#[derive(Debug)]
pub struct Unified {
    head: Cell<*mut Block>,
    room: Cell<i32>,
}

// SAFETY: a block is linked in once by push, overflow or fill, and unlinked once by pop, demand or drain.
unsafe impl Layer for Unified {
    const EMPTY: Unified = Unified { head: Cell::new(ptr::null_mut()), room: Cell::new(0) };

    #[inline(always)]
    unsafe fn pop(&self) -> *mut Block {
        let block = self.head.get();
        if !block.is_null() {
            // SAFETY: what is on our list is free and ours.
            self.head.set(unsafe { Block::next(block) });
        }
        block
    }

    #[inline(always)]
    unsafe fn push(&self, block: *mut Block) -> bool {
        // Link first, count afterwards: in one stretch of code without a branch in between, the compiler addresses all
        // three words through the thread register.
        // SAFETY: the block is the caller's.
        unsafe { Block::set_next(block, self.head.get()) };
        self.head.set(block);
        let room = self.room.get().wrapping_sub(1);
        self.room.set(room);
        room >= 0
    }

    unsafe fn miss(&self, limit: u32, below: &mut impl Below) -> *mut Block {
        let mut chain = below.demand(below.batch().min(limit), limit);
        let block = chain.pop();
        self.fill(chain, limit);
        block
    }

    unsafe fn overflow(&self, _block: *mut Block, limit: u32, below: &mut impl Below) {
        // The list may hold `limit` blocks and the one just pushed. Keep half at most: a look walks no more blocks than
        // twice the frees since the last one.
        let mut chain = Chain { head: self.head.get(), count: self.length() };
        let older = chain.split_off((limit / 2).max(1));
        self.fill(chain, limit);
        below.absorb(older);
    }

    unsafe fn demand(&self, want: u32, most: u32, limit: u32) -> Chain {
        let mut chain = Chain { head: self.head.get(), count: self.length() };
        let rest = chain.split_off(want.min(most).max(1));
        self.fill(rest, limit);
        chain
    }

    unsafe fn absorb(&self, chain: Chain, limit: u32, below: &mut impl Below) {
        let mut all = Chain { head: self.head.get(), count: self.length() };
        all.prepend(chain);
        let older = all.split_off(limit);
        self.fill(all, limit);
        below.absorb(older);
    }

    unsafe fn drain(&self, _limit: u32) -> Chain {
        let chain = Chain { head: self.head.get(), count: self.length() };
        self.head.set(ptr::null_mut());
        self.room.set(0);
        chain
    }
}

impl Unified {
    /// Makes `chain`, of at most `limit` blocks, the list.
    fn fill(&self, chain: Chain, limit: u32) {
        self.head.set(chain.head);
        self.room.set(limit.saturating_sub(chain.count) as i32);
    }

    /// The length, by walking.
    fn length(&self) -> u32 {
        let mut length = 0_u32;
        let mut block = self.head.get();
        while !block.is_null() {
            length = length.wrapping_add(1);
            // SAFETY: what is on our list is free and ours.
            block = unsafe { Block::next(block) };
        }
        length
    }
}
