//! `c23`: a single list without a count.
//!
//! An allocation takes the head, a free becomes the head, and nothing is counted on either side. What bounds the list is
//! the freed block's own address: one that lies at the start of a page of its slab goes home by itself, and on the way
//! the list is looked at. If it has grown past the limit it is returned whole, and the next miss fills it from the
//! thread's slab again. As the block at the start goes home, it is not the next one handed out: a program that frees and
//! allocates the same block again and again is not sent into the cold path each time.
//!
//! A page here is a power of two: so many of the largest power of two that divides the size that a block begins one once
//! in about half as many blocks as the list may hold. (Four KiB would do for 64 bytes, but not for 40, of which only
//! every 512th block begins an OS page.) A class whose limit is less than four blocks looks at every other free.
//!
//! A hit: load, test, branch, load, store; a free: load, store, store, test, branch. (Three instructions would do for a
//! free that never looks. But then the list of a thread that only frees would have no bound, and its blocks would be lost
//! when the thread ends, since nothing would ever have armed its end.)

use super::{Below, Layer, Limit};
use crate::slab::block::{Block, Chain};
use core::cell::Cell;
use core::ptr;

/// The state of one class.
///
/// # Invariants
/// `mask + 1` is a page, a power of two; 0 until the first cold path, so that any block calls for it.
#[repr(C)]
#[derive(Debug)]
pub struct C23 {
    head: Cell<*mut Block>,
    mask: Cell<u32>,
}

// SAFETY: a block is linked in once by push, miss or absorb, and unlinked once by pop, demand or with the whole list.
unsafe impl Layer for C23 {
    type Shared = Limit;

    const EMPTY: C23 = C23 { head: Cell::new(ptr::null_mut()), mask: Cell::new(0) };

    #[inline(always)]
    unsafe fn pop(&self) -> *mut Block {
        // SAFETY: what is on our list is free and ours.
        unsafe { Block::pop(&self.head) }
    }

    #[inline(always)]
    unsafe fn push(&self, block: *mut Block) -> bool {
        // SAFETY: the block is the caller's.
        unsafe { Block::push(&self.head, block) };
        block.addr() as u32 & self.mask.get() != 0
    }

    unsafe fn miss(&self, limit: &Limit, below: &mut impl Below) -> *mut Block {
        self.begin(limit, below);
        let mut chain = below.demand(below.class().batch.min(limit.0));
        let block = chain.pop();
        self.head.set(chain.head());
        block
    }

    unsafe fn overflow(&self, block: *mut Block, limit: &Limit, below: &mut impl Below) {
        if self.mask.get() == 0 {
            self.begin(limit, below);
            return; // The block is on the list, the thread has a heap.
        }
        // SAFETY: the block is the head, pushed just now.
        unsafe {
            self.head.set(Block::next(block));
            below.absorb(Chain::one(block));
        }
        self.look(limit.0, below);
    }

    unsafe fn demand(&self, want: u32, _: &Limit, _: &mut impl Below) -> Chain {
        // SAFETY: on the owning thread.
        Chain::gather(want, || unsafe { self.pop() })
    }

    unsafe fn absorb(&self, mut chain: Chain, limit: &Limit, below: &mut impl Below) {
        self.begin(limit, below);
        chain.prepend(self.take_all());
        if chain.count() > limit.0 {
            below.absorb(chain);
        } else {
            self.head.set(chain.head());
        }
    }

    unsafe fn drain(&self, _: &Limit, below: &mut impl Below) {
        self.mask.set(0);
        below.absorb(self.take_all());
    }
}

impl C23 {
    /// Sets the page.
    fn begin(&self, limit: &Limit, below: &impl Below) {
        let grain = 1_u32.unbounded_shl(below.class().size.trailing_zeros());
        let blocks = (limit.0 / 2).max(2).next_power_of_two();
        self.mask.set(grain.saturating_mul(blocks).wrapping_sub(1));
    }

    /// Returns the whole list if it is longer than `limit`.
    fn look(&self, limit: u32, below: &mut impl Below) {
        let mut block = self.head.get();
        for _ in 0..limit {
            if block.is_null() {
                return;
            }
            // SAFETY: what is on our list is free and ours.
            block = unsafe { Block::next(block) };
        }
        if !block.is_null() {
            below.absorb(self.take_all());
        }
    }

    fn take_all(&self) -> Chain {
        // SAFETY: what was on our list is free and ours.
        unsafe { Chain::walk(self.head.replace(ptr::null_mut())) }
    }
}
