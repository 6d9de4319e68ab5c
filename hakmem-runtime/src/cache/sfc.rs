//! `sfc`: a large stack of pointers whose capacity follows the class's own traffic.
//!
//! A hit is that of [`fast`](super::Fast). The capacity changes in the cold paths only, by what was spilled between two
//! misses:
//!
//! ```text
//! on a miss      something, at most the spec's capacity: it is wanted back now, so there was too little room for it.
//!                The capacity grows by as much
//! on a miss      nothing: allocations only. The refill is half the capacity instead of a batch
//! on an overflow more than the spec's capacity: no array could have kept it. Half the capacity, down to a batch
//! ```
//!
//! So a class that swings comes to be served from its array alone, and one that only frees (a consumer), or swings wider
//! than any array, keeps little.

use super::array::Array;
use super::{Below, Layer, Limit};
use crate::slab::block::{Block, Chain};
use core::cell::Cell;

/// A class begins with one part in this many of its capacity.
const FIRST_PART: u32 = 8;

/// The state of one class. See `Array` for what holds; its limit is the capacity of the moment.
#[repr(C)]
#[derive(Debug)]
pub struct Sfc<const N: usize> {
    array: Array<N>,
    /// Blocks spilled since the last miss.
    spilled: Cell<u32>,
}

// SAFETY: `Array` stores a block once for each push or keep and hands it out once.
unsafe impl<const N: usize> Layer for Sfc<N> {
    type Shared = Limit;

    const EMPTY: Self = Sfc { array: Array::empty(), spilled: Cell::new(0) };

    #[inline(always)]
    unsafe fn pop(&self) -> *mut Block {
        self.array.pop()
    }

    #[inline(always)]
    unsafe fn push(&self, block: *mut Block) -> bool {
        self.array.push(block)
    }

    unsafe fn miss(&self, &Limit(most): &Limit, below: &mut impl Below) -> *mut Block {
        let batch = below.class().batch.min(most);
        let capacity = self.begin(most, batch);
        let spilled = self.spilled.replace(0);
        if (1..=most).contains(&spilled) {
            self.array.set_limit(capacity.saturating_add(spilled).min(most));
        }
        let want = if spilled == 0 { batch.max(capacity / 2) } else { batch };
        self.array.refill(want, below)
    }

    unsafe fn overflow(&self, block: *mut Block, &Limit(most): &Limit, below: &mut impl Below) {
        let batch = below.class().batch.min(most);
        let capacity = self.begin(most, batch);
        if self.array.push(block) {
            return; // The first operation of the thread.
        }
        self.spilled.set(self.spilled.get().saturating_add(self.array.spill(below)));
        if self.spilled.get() > most {
            self.array.set_limit((capacity / 2).max(batch));
        }
        if !self.array.push(block) {
            self.array.spill(below);
            self.array.push(block);
        }
    }

    unsafe fn demand(&self, want: u32, _: &Limit, _: &mut impl Below) -> Chain {
        Chain::link(self.array.take(want as usize))
    }

    unsafe fn absorb(&self, chain: Chain, &Limit(most): &Limit, below: &mut impl Below) {
        self.begin(most, below.class().batch.min(most));
        self.array.keep_chain(chain, below);
    }

    unsafe fn drain(&self, _: &Limit, below: &mut impl Below) {
        self.array.drain(below);
        self.spilled.set(0);
    }

    unsafe fn fetch(&self, slots: &mut [*mut Block], _: &Limit, _: &mut impl Below) -> usize {
        self.array.fetch(slots)
    }

    unsafe fn give(&self, blocks: &[*mut Block], &Limit(most): &Limit, below: &mut impl Below) {
        self.begin(most, below.class().batch.min(most));
        self.array.keep(blocks, below);
    }
}

impl<const N: usize> Sfc<N> {
    /// The capacity, set for the first time if need be.
    fn begin(&self, most: u32, batch: u32) -> u32 {
        if self.array.limit() == 0 {
            self.array.set_limit((most / FIRST_PART).max(batch));
        }
        self.array.limit()
    }
}
