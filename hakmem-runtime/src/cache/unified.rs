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

use super::bounded_list::List;
use super::{Below, Layer, Limit};
use crate::slab::block::{Block, Chain};
use core::cell::Cell;
use core::ptr;

/// The state of one class. See `List` for what holds.
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
        // SAFETY: what is on our list is free and ours.
        unsafe { Block::pop(&self.head) }
    }

    #[inline(always)]
    unsafe fn push(&self, block: *mut Block) -> bool {
        // Link first, count afterwards: in one stretch of code without a branch in between, the compiler addresses all
        // three words through the thread register.
        // SAFETY: the block is the caller's.
        unsafe { Block::push(&self.head, block) };
        let room = self.room.get().wrapping_sub(1);
        self.room.set(room);
        room >= 0
    }

    unsafe fn miss(&self, &Limit(limit): &Limit, below: &mut impl Below) -> *mut Block {
        let mut chain = below.demand(below.class().batch.min(limit));
        let block = chain.pop();
        self.list().fill(chain, limit);
        block
    }

    unsafe fn overflow(&self, _block: *mut Block, &Limit(limit): &Limit, below: &mut impl Below) {
        self.list().overflow(limit, below);
    }

    unsafe fn demand(&self, want: u32, &Limit(limit): &Limit, _: &mut impl Below) -> Chain {
        self.list().demand(want, limit)
    }

    unsafe fn absorb(&self, chain: Chain, &Limit(limit): &Limit, below: &mut impl Below) {
        self.list().absorb(chain, limit, below);
    }

    unsafe fn drain(&self, _: &Limit, below: &mut impl Below) {
        below.absorb(self.list().drain());
    }
}

impl Unified {
    fn list(&self) -> List<'_> {
        List { head: &self.head, room: &self.room }
    }
}
