//! `hot`: a class with memory of its own at hand, carved inline before any list.
//!
//! The thread's slab lends it a run of neighbouring blocks; an allocation takes the lowest and moves a pointer. No block
//! is touched to hand it out, and blocks allocated one after the other lie side by side. What is freed goes to a list,
//! which serves once the run is used up; then the slab lends another.
//!
//! The list is bounded as that of [`unified`](super::Unified) is: a count down on frees, looked at when it is used up.
//!
//! A hit: load, compare, branch, load, add, store; a free: load, store, store, decrement, branch.

use super::{Below, Layer, Limit, Supply};
use crate::block::{Block, Chain, Run};
use core::cell::Cell;
use core::ptr;

/// The state of one class.
///
/// # Invariants
/// ```text
/// start ≤ end, and size divides end - start    what is left of the run
/// length + room ≤ limit                        the list, as in `unified`
/// ```
#[repr(C)]
#[derive(Debug)]
pub struct Hot {
    start: Cell<usize>,
    end: Cell<usize>,
    head: Cell<*mut Block>,
    /// Bytes a block.
    size: Cell<u32>,
    room: Cell<i32>,
}

// SAFETY: a block is either in the run or on the list; it leaves the run by moving `start` over it, the list by being
// unlinked.
unsafe impl Layer for Hot {
    type Shared = Limit;

    const EMPTY: Hot = Hot {
        start: Cell::new(0),
        end: Cell::new(0),
        head: Cell::new(ptr::null_mut()),
        size: Cell::new(0),
        room: Cell::new(0),
    };

    #[inline(always)]
    unsafe fn pop(&self) -> *mut Block {
        let start = self.start.get();
        if start < self.end.get() {
            self.start.set(start.wrapping_add(self.size.get() as usize));
            // SAFETY: a run is not at address 0.
            return unsafe { Block::found(ptr::with_exposed_provenance_mut(start)) };
        }
        let block = self.head.get();
        if !block.is_null() {
            // SAFETY: what is on our list is free and ours.
            self.head.set(unsafe { Block::next(block) });
        }
        block
    }

    #[inline(always)]
    unsafe fn push(&self, block: *mut Block) -> bool {
        // SAFETY: the block is the caller's.
        unsafe { Block::set_next(block, self.head.get()) };
        self.head.set(block);
        let room = self.room.get().wrapping_sub(1);
        self.room.set(room);
        room >= 0
    }

    unsafe fn miss(&self, &Limit(limit): &Limit, below: &mut impl Below) -> *mut Block {
        match below.supply(below.class().batch.min(limit)) {
            Supply::Run(Run { start, count, size }) => {
                self.start.set(start);
                self.end.set(start.wrapping_add(count as usize * size as usize));
                self.size.set(size);
                self.fill(Chain::EMPTY, limit);
            }
            Supply::Chain(chain) => self.fill(chain, limit),
        }
        // SAFETY: on the owning thread.
        unsafe { self.pop() }
    }

    unsafe fn overflow(&self, _block: *mut Block, &Limit(limit): &Limit, below: &mut impl Below) {
        let mut chain = self.take_list();
        // Allocations may have made room since the last look; then there is nothing to pass on.
        if chain.count() <= limit - limit / 4 {
            self.fill(chain, limit);
            below.tick();
            return;
        }
        let older = chain.split_off((limit / 2).max(1));
        self.fill(chain, limit);
        below.absorb(older);
    }

    unsafe fn demand(&self, want: u32, &Limit(limit): &Limit, _: &mut impl Below) -> Chain {
        let mut chain = self.take_list();
        let rest = chain.split_off(want.max(1));
        self.fill(rest, limit);
        chain
    }

    unsafe fn absorb(&self, chain: Chain, &Limit(limit): &Limit, below: &mut impl Below) {
        let mut all = self.take_list();
        all.prepend(chain);
        let older = if all.count() > limit { all.split_off((limit / 2).max(1)) } else { Chain::EMPTY };
        self.fill(all, limit);
        below.absorb(older);
    }

    unsafe fn drain(&self, _: &Limit, below: &mut impl Below) {
        let mut chain = self.take_list();
        while self.start.get() < self.end.get() {
            // SAFETY: on the owning thread; the block is the run's.
            chain.prepend(unsafe { Chain::one(self.pop()) });
        }
        self.start.set(0);
        self.end.set(0);
        self.room.set(0);
        below.absorb(chain);
    }
}

impl Hot {
    /// Makes `chain`, of at most `limit` blocks, the list.
    fn fill(&self, chain: Chain, limit: u32) {
        self.head.set(chain.head());
        self.room.set(limit.saturating_sub(chain.count()) as i32);
    }

    /// The whole list; it is empty then.
    fn take_list(&self) -> Chain {
        // SAFETY: what was on our list is free and ours.
        unsafe { Chain::walk(self.head.replace(ptr::null_mut())) }
    }
}
