//! `hot`: a class with memory of its own at hand, carved inline before any list.
//!
//! The thread's slab lends it a run of neighbouring blocks; an allocation takes the lowest and moves a pointer. No block
//! is touched to hand it out, and blocks allocated one after the other lie side by side. What is freed goes to a list,
//! which serves once the run is used up; then the slab lends another.
//!
//! The list is bounded as that of [`unified`](super::Unified) is: a count down on frees, looked at when it is used up.
//!
//! A hit: load, compare, branch, load, add, store; a free: load, store, store, decrement, branch.

use super::bounded_list::List;
use super::{Below, Layer, Limit, Supply};
use crate::slab::block::{Block, Chain, Run};
use core::cell::Cell;
use core::ptr;

/// The state of one class.
///
/// # Invariants
/// ```text
/// start ≤ end, and size divides end - start    what is left of the run
/// ```
/// and what holds of a `List`.
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
        // SAFETY: what is on our list is free and ours.
        unsafe { Block::pop(&self.head) }
    }

    #[inline(always)]
    unsafe fn push(&self, block: *mut Block) -> bool {
        // SAFETY: the block is the caller's.
        unsafe { Block::push(&self.head, block) };
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
                self.list().fill(Chain::EMPTY, limit);
            }
            Supply::Chain(chain) => self.list().fill(chain, limit),
        }
        // SAFETY: on the owning thread.
        unsafe { self.pop() }
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
        let mut chain = self.list().drain();
        while self.start.get() < self.end.get() {
            // SAFETY: on the owning thread; the block is the run's.
            chain.prepend(unsafe { Chain::one(self.pop()) });
        }
        self.start.set(0);
        self.end.set(0);
        below.absorb(chain);
    }
}

impl Hot {
    fn list(&self) -> List<'_> {
        List { head: &self.head, room: &self.room }
    }
}
