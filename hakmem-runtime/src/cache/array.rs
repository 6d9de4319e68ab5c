//! An array of pointers, last in first out: the storage of `fast` and `sfc`, which differ in who sets its limit.

use super::Below;
use crate::slab::{Batch, FreeBlock, Slot};
use core::cell::Cell;

/// Up to `N` blocks, whose memory is never touched.
///
/// # Invariants
/// `count ≤ limit ≤ N`; `slots[..count]` are the blocks, oldest first. `limit == 0` until the first cold path.
#[repr(C)]
#[derive(Debug)]
pub(super) struct Array<const N: usize> {
    count: Cell<u32>,
    limit: Cell<u32>,
    slots: [Slot; N],
}

impl<const N: usize> Array<N> {
    /// No blocks, and no room for any.
    pub(super) const EMPTY: Self =
        Array { count: Cell::new(0), limit: Cell::new(0), slots: [const { Slot::EMPTY }; N] };

    #[inline(always)]
    pub(super) fn pop(&self) -> Option<FreeBlock> {
        let count = self.count.get();
        if count == 0 {
            return None;
        }
        self.count.set(count.wrapping_sub(1));
        // SAFETY: `0 < count ≤ N`, and below `count` there are blocks, of which this one is handed out now.
        Some(unsafe { self.slots.get_unchecked(count.wrapping_sub(1) as usize).read() })
    }

    /// Without room the block comes back.
    #[inline(always)]
    pub(super) fn push(&self, block: FreeBlock) -> Option<FreeBlock> {
        let count = self.count.get();
        if count >= self.limit.get() {
            return Some(block);
        }
        // SAFETY: `count < limit ≤ N`.
        unsafe { self.slots.get_unchecked(count as usize) }.set(block);
        self.count.set(count.wrapping_add(1));
        None
    }

    pub(super) fn limit(&self) -> u32 {
        self.limit.get()
    }

    /// Sets how many it may hold; what is there already stays.
    pub(super) fn set_limit(&self, limit: u32) {
        self.limit.set(limit.min(N as u32).max(self.count.get()));
    }

    /// Into an empty array: refills it with up to `want` blocks and returns the first of them. `None`: no memory.
    pub(super) fn refill(&self, want: u32, below: &mut impl Below) -> Option<FreeBlock> {
        let mut batch = Batch::new(self.slots.get(..want.clamp(1, N as u32) as usize).unwrap_or_default());
        below.refill(&mut batch);
        // The first block, which has the lowest address, is to be the first out.
        self.count.set(batch.into_slots_reversed());
        self.pop()
    }

    /// Takes a block in where there was no room for it: flushes the older half, at least one block, and says how many.
    pub(super) fn push_full(&self, block: FreeBlock, below: &mut impl Below) -> u32 {
        let flushed = self.flush_older(self.count.get().div_ceil(2), below);
        if let Some(block) = self.push(block) {
            Batch::with_one(block, |batch| below.flush(batch));
        }
        flushed
    }

    /// Flushes the `older` oldest blocks.
    fn flush_older(&self, older: u32, below: &mut impl Below) -> u32 {
        let count = self.count.get() as usize;
        let (older, newer) = self.slots.get(..count).unwrap_or_default().split_at(older as usize);
        // SAFETY: below `count` there are blocks; these are not counted any more before anybody looks.
        below.flush(unsafe { Batch::full(older) });
        for (place, slot) in self.slots.iter().zip(newer) {
            place.copy(slot);
        }
        self.count.set(newer.len() as u32);
        older.len() as u32
    }

    /// Fills `batch` with the newest blocks.
    pub(super) fn take(&self, batch: &mut Batch<'_>) {
        batch.fill(|| self.pop());
    }

    /// Keeps what finds room of `batch` and flushes the others.
    pub(super) fn put(&self, mut batch: Batch<'_>, below: &mut impl Below) {
        while self.count.get() < self.limit.get()
            && let Some(block) = batch.pop()
        {
            // There is room.
            let _none = self.push(block);
        }
        below.flush(batch);
    }

    /// Flushes everything and is as at first.
    pub(super) fn drain(&self, below: &mut impl Below) {
        self.flush_older(self.count.get(), below);
        self.limit.set(0);
    }
}
