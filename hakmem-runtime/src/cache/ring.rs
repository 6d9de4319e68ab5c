//! `ring`: a ring of pointers, first in first out.
//!
//! A freed block is handed out again as late as possible: a use after free meets the old contents for longer, and the
//! blocks of a class take turns instead of one being hot. The block itself is not touched.
//!
//! The bound costs an allocation nothing. `end` is where the ring would be full, as of the last cold path; allocations
//! advance `head` and leave `end`. When frees reach it, the cold path computes it anew.

use super::circle::Circle;
use super::{Below, Layer, Limit};
use crate::slab::{Batch, FreeBlock};

/// The state of one class. `N` is a power of two above the limit.
///
/// # Invariants
/// With the mark as `end`:
///
/// ```text
/// length = tail - head ≤ limit ≤ N - 1
/// end - tail ≤ limit - length
/// ```
#[repr(transparent)]
#[derive(Debug)]
pub struct Ring<const N: usize>(Circle<N, false>);

// SAFETY: each push, refill or put of a block stores it once, at the tail, and it is handed out once, at the head.
unsafe impl<const N: usize> Layer for Ring<N> {
    type Shared = Limit;

    const EMPTY: Self = Ring(Circle::EMPTY);

    #[inline(always)]
    fn pop(&self) -> Option<FreeBlock> {
        self.0.pop()
    }

    #[inline(always)]
    fn push(&self, block: FreeBlock, _: usize) -> bool {
        self.store(block).is_none()
    }

    fn refill(&self, &Limit(limit): &Limit, below: &mut impl Below) -> Option<FreeBlock> {
        let want = below.class().batch.min(limit) as usize;
        let mut batch = Batch::new(self.0.slots.get(..want).unwrap_or_default());
        below.refill(&mut batch);
        self.0.head.set(0);
        self.0.tail.set(batch.into_slots());
        self.open(limit);
        self.pop()
    }

    fn take(&self, batch: &mut Batch<'_>, _: &Limit, _: &mut impl Below) {
        batch.fill(|| self.pop());
    }

    fn put(&self, mut batch: Batch<'_>, &Limit(limit): &Limit, below: &mut impl Below) {
        self.open(limit);
        while self.0.tail.get() != self.0.mark.get()
            && let Some(block) = batch.pop()
        {
            // There is room.
            let _none = self.store(block);
        }
        below.flush(batch);
    }

    fn drain(&self, _: &Limit, below: &mut impl Below) {
        self.0.drain(below);
    }

    fn put_one(&self, block: FreeBlock, &Limit(limit): &Limit, below: &mut impl Below) {
        // Allocations may have made room since `end` was set; then there is nothing to flush.
        if self.0.length() > limit - limit.div_ceil(4) {
            self.0.flush_oldest(limit.div_ceil(2).min(self.0.length()), below);
        } else {
            below.tick();
        }
        self.open(limit);
        // There is room now.
        let _none = self.store(block);
    }
}

impl<const N: usize> Ring<N> {
    /// Stores a block at the tail; returns it if there is no room.
    #[inline(always)]
    fn store(&self, block: FreeBlock) -> Option<FreeBlock> {
        if self.0.tail.get() == self.0.mark.get() {
            return Some(block);
        }
        self.0.append(block);
        None
    }

    /// Sets `end` to where the ring is full as of now.
    fn open(&self, limit: u32) {
        self.0.mark.set(Circle::<N, false>::wrap(self.0.head.get().wrapping_add(limit.min(N as u32 - 1))));
    }
}
