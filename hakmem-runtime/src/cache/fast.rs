//! `fast`: a small stack of pointers.
//!
//! A free stores the pointer in an array, an allocation takes the last one stored. The block itself is not touched: a
//! free of a block that has left the CPU's cache stays cheap, and so does its flush, since slabs record free blocks in
//! bitmaps. The price is eight bytes of thread-local memory per block, and a hit that loads the count before it can
//! load the pointer.

use super::array::Array;
use super::{Below, Layer, Limit};
use crate::slab::{Batch, FreeBlock};

/// The state of one class. See `Array` for the invariants.
#[repr(transparent)]
#[derive(Debug)]
pub struct Fast<const N: usize>(Array<N>);

// SAFETY: `Array` stores a block once for each push or put and hands it out once.
unsafe impl<const N: usize> Layer for Fast<N> {
    type Shared = Limit;

    const EMPTY: Self = Fast(Array::EMPTY);

    const INERT: bool = true;

    #[inline(always)]
    fn pop(&self) -> Option<FreeBlock> {
        self.0.pop()
    }

    #[inline(always)]
    fn push(&self, block: FreeBlock, _: usize) -> bool {
        self.0.push(block).is_none()
    }

    fn refill(&self, &Limit(limit): &Limit, below: &mut impl Below) -> Option<FreeBlock> {
        self.0.set_limit(limit);
        self.0.refill(below.class().batch.min(limit), below)
    }

    fn take(&self, batch: &mut Batch<'_>, _: &Limit, _: &mut impl Below) {
        self.0.take(batch);
    }

    fn put(&self, batch: Batch<'_>, &Limit(limit): &Limit, below: &mut impl Below) {
        self.0.set_limit(limit);
        self.0.put(batch, below);
    }

    fn drain(&self, _: &Limit, below: &mut impl Below) {
        self.0.drain(below);
    }

    fn put_one(&self, block: FreeBlock, &Limit(limit): &Limit, below: &mut impl Below) {
        self.0.set_limit(limit);
        if let Some(block) = self.0.push(block) {
            self.0.push_full(block, below);
        }
    }
}
