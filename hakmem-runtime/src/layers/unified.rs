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

use super::{Below, Layer, Limit};
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
    type Shared = Limit;

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

    unsafe fn miss(&self, &Limit(limit): &Limit, below: &mut impl Below) -> *mut Block {
        let mut chain = below.demand(below.class().batch.min(limit));
        let block = chain.pop();
        self.fill(chain, limit);
        block
    }

    unsafe fn overflow(&self, _block: *mut Block, &Limit(limit): &Limit, below: &mut impl Below) {
        let mut chain = self.take_all();
        // Allocations may have made room since the last look; then there is nothing to pass on.
        if chain.count <= limit - limit / 4 {
            self.fill(chain, limit);
            below.tick();
            return;
        }
        let older = chain.split_off((limit / 2).max(1));
        self.fill(chain, limit);
        below.absorb(older);
    }

    unsafe fn demand(&self, want: u32, &Limit(limit): &Limit, _: &mut impl Below) -> Chain {
        let mut chain = self.take_all();
        let rest = chain.split_off(want.max(1));
        self.fill(rest, limit);
        chain
    }

    unsafe fn absorb(&self, chain: Chain, &Limit(limit): &Limit, below: &mut impl Below) {
        let mut all = self.take_all();
        all.prepend(chain);
        // Half of it when it is full, so that the next blocks find room.
        let older = if all.count > limit { all.split_off((limit / 2).max(1)) } else { Chain::EMPTY };
        self.fill(all, limit);
        below.absorb(older);
    }

    unsafe fn drain(&self, _: &Limit, below: &mut impl Below) {
        below.absorb(self.take_all());
        self.room.set(0);
    }
}

impl Unified {
    /// Makes `chain`, of at most `limit` blocks, the list.
    fn fill(&self, chain: Chain, limit: u32) {
        self.head.set(chain.head);
        self.room.set(limit.saturating_sub(chain.count) as i32);
    }

    /// The whole list, its length and its last block found by walking. The list is empty then.
    fn take_all(&self) -> Chain {
        // SAFETY: what was on our list is free and ours.
        unsafe { Chain::walk(self.head.replace(ptr::null_mut())) }
    }
}
