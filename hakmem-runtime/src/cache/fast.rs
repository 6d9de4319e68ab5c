//! `fast`: a small stack of pointers.
//!
//! A free stores the pointer in the array, an allocation takes the last one stored. The block itself is neither read nor
//! written until the program does: a free of a block that has long left the cache stays cheap, and so does its way home,
//! since slabs keep bits. The price is eight bytes of thread-local memory a block, and a hit that loads the count before
//! it can load the pointer.
//!
//! A hit: load, subtract, branch, store, load; a free: load, compare, branch, store, increment, store.

use super::array::Array;
use super::{Below, Layer, Limit};
use crate::slab::block::{Block, Chain};

/// The state of one class. See `Array` for what holds.
#[repr(transparent)]
#[derive(Debug)]
pub struct Fast<const N: usize>(Array<N>);

// SAFETY: `Array` stores a block once for each push or keep and hands it out once.
unsafe impl<const N: usize> Layer for Fast<N> {
    type Shared = Limit;

    const EMPTY: Self = Fast(Array::empty());

    const INERT: bool = true;

    #[inline(always)]
    unsafe fn pop(&self) -> *mut Block {
        self.0.pop()
    }

    #[inline(always)]
    unsafe fn push(&self, block: *mut Block) -> bool {
        self.0.push(block)
    }

    unsafe fn miss(&self, &Limit(limit): &Limit, below: &mut impl Below) -> *mut Block {
        self.0.set_limit(limit);
        self.0.refill(below.class().batch.min(limit), below)
    }

    unsafe fn overflow(&self, block: *mut Block, &Limit(limit): &Limit, below: &mut impl Below) {
        self.0.set_limit(limit);
        if !self.0.push(block) {
            self.0.spill(below);
            self.0.push(block);
        }
    }

    unsafe fn demand(&self, want: u32, _: &Limit, _: &mut impl Below) -> Chain {
        Chain::link(self.0.take(want as usize))
    }

    unsafe fn absorb(&self, chain: Chain, &Limit(limit): &Limit, below: &mut impl Below) {
        self.0.set_limit(limit);
        self.0.keep_chain(chain, below);
    }

    unsafe fn drain(&self, _: &Limit, below: &mut impl Below) {
        self.0.drain(below);
    }

    unsafe fn fetch(&self, slots: &mut [*mut Block], _: &Limit, _: &mut impl Below) -> usize {
        self.0.fetch(slots)
    }

    unsafe fn give(&self, blocks: &[*mut Block], &Limit(limit): &Limit, below: &mut impl Below) {
        self.0.set_limit(limit);
        self.0.keep(blocks, below);
    }
}
