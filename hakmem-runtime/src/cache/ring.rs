//! `ring`: a ring of pointers, first in first out.
//!
//! A freed block is handed out again as late as possible: a use after free meets the old contents for longer, and the
//! blocks of a class take turns instead of one being hot. The block itself is not touched.
//!
//! The bound costs an allocation nothing. `end` is where the ring would be full, as of the last cold path; allocations
//! advance `head` and leave `end`. When frees reach it, the cold path computes it anew.
//!
//! A hit: load, compare, branch, load, increment, and, store; a free: load, compare, branch, store, increment, and,
//! store.

use super::{Below, Layer, Limit};
use crate::slab::{Batch, FreeBlock, Slot};
use core::cell::Cell;

/// The state of one class. `N` is a power of two above the limit.
///
/// # Invariants
/// All positions are below `N`, and differences are modulo `N`:
///
/// ```text
/// length = tail - head ≤ limit ≤ N - 1
/// end - tail ≤ limit - length
/// ```
///
/// `slots[head .. tail]` are the blocks, oldest first.
#[repr(C)]
#[derive(Debug)]
pub struct Ring<const N: usize> {
    head: Cell<u32>,
    tail: Cell<u32>,
    end: Cell<u32>,
    slots: [Slot; N],
}

// SAFETY: each push, refill or put of a block stores it once, at the tail, and it is handed out once, at the head.
unsafe impl<const N: usize> Layer for Ring<N> {
    type Shared = Limit;

    const EMPTY: Self =
        Ring { head: Cell::new(0), tail: Cell::new(0), end: Cell::new(0), slots: [const { Slot::EMPTY }; N] };

    #[inline(always)]
    fn pop(&self) -> Option<FreeBlock> {
        let head = self.head.get();
        if head == self.tail.get() {
            return None;
        }
        // SAFETY: `head` is below `N`. It is not `tail`, so its slot holds a block, which leaves the ring now.
        let block = unsafe { self.slots.get_unchecked(head as usize).take() };
        self.head.set(Self::wrap(head.wrapping_add(1)));
        Some(block)
    }

    #[inline(always)]
    fn push(&self, block: FreeBlock, _: usize) -> bool {
        self.store(block).is_none()
    }

    fn refill(&self, &Limit(limit): &Limit, below: &mut impl Below) -> Option<FreeBlock> {
        let want = below.class().batch.min(limit) as usize;
        let mut batch = Batch::new(self.slots.get(..want).unwrap_or_default());
        below.refill(&mut batch);
        self.head.set(0);
        self.tail.set(batch.into_slots());
        self.open(limit);
        self.pop()
    }

    fn take(&self, batch: &mut Batch<'_>, _: &Limit, _: &mut impl Below) {
        batch.fill(|| self.pop());
    }

    fn put(&self, mut batch: Batch<'_>, &Limit(limit): &Limit, below: &mut impl Below) {
        self.open(limit);
        while self.tail.get() != self.end.get()
            && let Some(block) = batch.pop()
        {
            // There is room.
            let _none = self.store(block);
        }
        below.flush(batch);
    }

    fn drain(&self, _: &Limit, below: &mut impl Below) {
        self.flush_oldest(self.length(), below);
        self.head.set(0);
        self.tail.set(0);
        self.end.set(0);
    }

    fn put_one(&self, block: FreeBlock, &Limit(limit): &Limit, below: &mut impl Below) {
        // Allocations may have made room since `end` was set; then there is nothing to flush.
        if self.length() > limit - limit.div_ceil(4) {
            self.flush_oldest(limit.div_ceil(2).min(self.length()), below);
        } else {
            below.tick();
        }
        self.open(limit);
        // There is room now.
        let _none = self.store(block);
    }
}

impl<const N: usize> Ring<N> {
    const POWER: () = assert!(N.is_power_of_two());

    #[inline(always)]
    fn wrap(position: u32) -> u32 {
        let () = Self::POWER;
        position & (N as u32).wrapping_sub(1)
    }

    fn length(&self) -> u32 {
        Self::wrap(self.tail.get().wrapping_sub(self.head.get()))
    }

    /// Stores a block at the tail; returns it if there is no room.
    #[inline(always)]
    fn store(&self, block: FreeBlock) -> Option<FreeBlock> {
        let tail = self.tail.get();
        if tail == self.end.get() {
            return Some(block);
        }
        // SAFETY: `tail` is a position, so it is below `N`.
        unsafe { self.slots.get_unchecked(tail as usize) }.set(block);
        self.tail.set(Self::wrap(tail.wrapping_add(1)));
        None
    }

    /// Sets `end` to where the ring is full as of now.
    fn open(&self, limit: u32) {
        self.end.set(Self::wrap(self.head.get().wrapping_add(limit.min(N as u32 - 1))));
    }

    /// Flushes the `count ≤ length` oldest blocks, in two pieces if they wrap around the array's end.
    fn flush_oldest(&self, count: u32, below: &mut impl Below) {
        let (head, count) = (self.head.get() as usize, count as usize);
        let first = count.min(N - head);
        for piece in [head..head + first, 0..count - first] {
            // SAFETY: the `count` slots from the head on hold blocks (`count ≤ length`). The head moves past them
            // below, before this state is used again.
            below.flush(unsafe { Batch::full(self.slots.get(piece).unwrap_or_default()) });
        }
        self.head.set(Self::wrap((head + count) as u32));
    }
}
