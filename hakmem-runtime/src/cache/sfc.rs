//! `sfc`: a large stack of pointers whose capacity adapts to the class's traffic.
//!
//! A hit is that of [`fast`](super::Fast). The capacity changes in the cold paths only, by the number of blocks flushed
//! since the last miss:
//!
//! ```text
//! miss,     1 to the spec's capacity      these blocks are wanted back: grow by as many
//! miss,     0                             only allocations: refill half the capacity instead of a batch
//! overflow, more than the spec's capacity no array could have kept them: halve, down to a batch
//! ```
//!
//! So a class whose use rises and falls is soon served from its array alone. One that only frees (a consumer), or whose
//! use varies by more than the spec's capacity, keeps little.

use super::array::Array;
use super::{Below, Layer, Limit};
use crate::slab::{Batch, FreeBlock};
use core::cell::Cell;

/// A class starts with this fraction (1/8) of the spec's capacity.
const INITIAL_FRACTION: u32 = 8;

/// The state of one class. See `Array` for the invariants; its limit is the current capacity.
#[repr(C)]
#[derive(Debug)]
pub struct Sfc<const N: usize> {
    array: Array<N>,
    /// Blocks flushed since the last miss.
    flushed: Cell<u32>,
}

// SAFETY: `Array` stores a block once for each push or put and hands it out once.
unsafe impl<const N: usize> Layer for Sfc<N> {
    type Shared = Limit;

    const EMPTY: Self = Sfc { array: Array::EMPTY, flushed: Cell::new(0) };

    #[inline(always)]
    fn pop(&self) -> Option<FreeBlock> {
        self.array.pop()
    }

    #[inline(always)]
    fn push(&self, block: FreeBlock, _: usize) -> bool {
        self.array.push(block).is_none()
    }

    fn refill(&self, &Limit(max): &Limit, below: &mut impl Below) -> Option<FreeBlock> {
        let batch = below.class().batch.min(max);
        let capacity = self.capacity(max, batch);
        let flushed = self.flushed.replace(0);
        if (1..=max).contains(&flushed) {
            self.array.set_limit(capacity.saturating_add(flushed).min(max));
        }
        let want = if flushed == 0 { batch.max(capacity / 2) } else { batch };
        self.array.refill(want, below)
    }

    fn take(&self, batch: &mut Batch<'_>, _: &Limit, _: &mut impl Below) {
        self.array.take(batch);
    }

    fn put(&self, batch: Batch<'_>, &Limit(max): &Limit, below: &mut impl Below) {
        self.capacity(max, below.class().batch.min(max));
        self.array.put(batch, below);
    }

    fn drain(&self, _: &Limit, below: &mut impl Below) {
        self.array.drain(below);
        self.flushed.set(0);
    }

    fn put_one(&self, block: FreeBlock, &Limit(max): &Limit, below: &mut impl Below) {
        let batch = below.class().batch.min(max);
        let capacity = self.capacity(max, batch);
        let Some(block) = self.array.push(block) else {
            return; // The first operation of the thread.
        };
        let flushed = self.flushed.get().saturating_add(self.array.push_full(block, below));
        self.flushed.set(flushed);
        if flushed > max {
            self.array.set_limit((capacity / 2).max(batch));
        }
    }
}

impl<const N: usize> Sfc<N> {
    /// The capacity, initialised if this is the thread's first operation.
    fn capacity(&self, max: u32, batch: u32) -> u32 {
        if self.array.limit() == 0 {
            self.array.set_limit((max / INITIAL_FRACTION).max(batch));
        }
        self.array.limit()
    }
}
