//! A circular array of pointers, first in first out: the storage of `ring` and `quarantine`, which differ in what they
//! mark in it.

use super::Below;
use crate::slab::{Batch, FreeBlock, Slot};
use core::cell::Cell;

/// Up to `N - 1` blocks, which are not touched. `N` is a power of two. `WAIT`: blocks from the mark on wait, and cannot be
/// taken.
///
/// # Invariants
/// All positions are below `N`, and differences are modulo `N`. `slots[head .. tail]` are the blocks, oldest first. Under
/// `WAIT` the mark is one of the positions from the head to the tail.
#[repr(C)]
#[derive(Debug)]
pub(super) struct Circle<const N: usize, const WAIT: bool> {
    pub(super) head: Cell<u32>,
    pub(super) tail: Cell<u32>,
    /// A position that is the layer's own.
    pub(super) mark: Cell<u32>,
    pub(super) slots: [Slot; N],
}

impl<const N: usize, const WAIT: bool> Circle<N, WAIT> {
    const POWER: () = assert!(N.is_power_of_two());

    /// No blocks, and the mark at 0.
    pub(super) const EMPTY: Self =
        Circle { head: Cell::new(0), tail: Cell::new(0), mark: Cell::new(0), slots: [const { Slot::EMPTY }; N] };

    #[inline(always)]
    pub(super) fn wrap(position: u32) -> u32 {
        let () = Self::POWER;
        position & (N as u32).wrapping_sub(1)
    }

    pub(super) fn length(&self) -> u32 {
        Self::wrap(self.tail.get().wrapping_sub(self.head.get()))
    }

    /// Takes the block at the head, unless there is none or it waits.
    #[inline(always)]
    pub(super) fn pop(&self) -> Option<FreeBlock> {
        let head = self.head.get();
        let end = if WAIT { self.mark.get() } else { self.tail.get() };
        if head == end {
            return None;
        }
        // SAFETY: `head` is below `N`. It is before `end`, so its slot holds a block, which leaves the circle now.
        let block = unsafe { self.slots.get_unchecked(head as usize).read() };
        self.head.set(Self::wrap(head.wrapping_add(1)));
        Some(block)
    }

    /// Appends a block. There must be room.
    #[inline(always)]
    pub(super) fn append(&self, block: FreeBlock) {
        let tail = self.tail.get();
        // SAFETY: `tail` is a position, so it is below `N`.
        unsafe { self.slots.get_unchecked(tail as usize) }.set(block);
        self.tail.set(Self::wrap(tail.wrapping_add(1)));
    }

    /// Flushes the `count ≤ length` oldest blocks, in two pieces if they wrap around the array's end.
    pub(super) fn flush_oldest(&self, count: u32, below: &mut impl Below) {
        debug_assert!(count <= self.length());
        let (head, count) = (self.head.get() as usize, count as usize);
        let first = count.min(N - head);
        for piece in [head..head + first, 0..count - first] {
            // SAFETY: the `count` slots from the head on hold blocks (`count ≤ length`). The head moves past them
            // below, before this state is used again.
            below.flush(unsafe { Batch::full(self.slots.get(piece).unwrap_or_default()) });
        }
        self.head.set(Self::wrap((head + count) as u32));
    }

    /// Flushes everything, and is as at first.
    pub(super) fn drain(&self, below: &mut impl Below) {
        self.flush_oldest(self.length(), below);
        self.head.set(0);
        self.tail.set(0);
        self.mark.set(0);
    }
}
