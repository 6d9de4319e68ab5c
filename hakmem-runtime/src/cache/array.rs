//! An array of pointers, last in first out: the storage of `fast` and `sfc`, which differ in who sets its limit.

use super::Below;
use crate::slab::block::{Block, Chain};
use core::cell::Cell;
use core::ptr;

/// Up to `N` blocks, whose memory is never touched.
///
/// # Invariants
/// `count ≤ limit ≤ N`; `slots[..count]` are the blocks, oldest first. `limit == 0` until the first cold path.
#[repr(C)]
#[derive(Debug)]
pub(super) struct Array<const N: usize> {
    count: Cell<u32>,
    limit: Cell<u32>,
    slots: [Cell<*mut Block>; N],
}

impl<const N: usize> Array<N> {
    /// No blocks, and no room for any.
    pub(super) const fn empty() -> Self {
        Array { count: Cell::new(0), limit: Cell::new(0), slots: [const { Cell::new(ptr::null_mut()) }; N] }
    }

    #[inline(always)]
    pub(super) fn pop(&self) -> *mut Block {
        let count = self.count.get();
        if count == 0 {
            return ptr::null_mut();
        }
        self.count.set(count.wrapping_sub(1));
        // SAFETY: `0 < count ≤ N`, and below `count` there are blocks.
        unsafe { Block::found(self.slots.get_unchecked(count.wrapping_sub(1) as usize).get()) }
    }

    #[inline(always)]
    pub(super) fn push(&self, block: *mut Block) -> bool {
        let count = self.count.get();
        if count >= self.limit.get() {
            return false;
        }
        // SAFETY: `count < limit ≤ N`.
        unsafe { self.slots.get_unchecked(count as usize) }.set(block);
        self.count.set(count.wrapping_add(1));
        true
    }

    pub(super) fn limit(&self) -> u32 {
        self.limit.get()
    }

    /// Sets how many it may hold; what is there already stays.
    pub(super) fn set_limit(&self, limit: u32) {
        self.limit.set(limit.min(N as u32).max(self.count.get()));
    }

    /// The places, as memory to read and write. Nobody has another view while one is in use.
    fn view(&self) -> *mut [*mut Block] {
        ptr::slice_from_raw_parts_mut(self.slots.as_ptr().cast::<*mut Block>().cast_mut(), N)
    }

    /// Into an empty array: fetches up to `want` blocks and returns the first of them. Null: no memory.
    pub(super) fn refill(&self, want: u32, below: &mut impl Below) -> *mut Block {
        // SAFETY: the only view; nothing below comes back to this state.
        let slots = unsafe { &mut *self.view() }.get_mut(..want.clamp(1, N as u32) as usize).unwrap_or_default();
        let count = below.fetch(slots);
        // The first block, which has the lowest address, is to be the first out.
        slots.get_mut(..count).unwrap_or_default().reverse();
        self.count.set(count as u32);
        self.pop()
    }

    /// Gives the older half to `below`, at least one, and says how many.
    pub(super) fn spill(&self, below: &mut impl Below) -> u32 {
        let count = self.count.get() as usize;
        let older = count.div_ceil(2);
        // SAFETY: the only view; nothing below comes back to this state.
        let slots = unsafe { &mut *self.view() };
        below.give(slots.get(..older).unwrap_or_default());
        slots.copy_within(older..count, 0);
        self.count.set((count - older) as u32);
        older as u32
    }

    /// Takes up to `want` of the newest blocks out.
    pub(super) fn take(&self, want: usize) -> &[*mut Block] {
        let count = self.count.get() as usize;
        let rest = count.saturating_sub(want);
        self.count.set(rest as u32);
        // SAFETY: the only view; callers are done with it before the next hit.
        unsafe { &mut *self.view() }.get(rest..count).unwrap_or_default()
    }

    /// Moves the newest blocks to `slots` and says how many.
    pub(super) fn fetch(&self, slots: &mut [*mut Block]) -> usize {
        let blocks = self.take(slots.len());
        for (slot, &block) in slots.iter_mut().zip(blocks) {
            *slot = block;
        }
        blocks.len()
    }

    /// Keeps what finds room of `blocks` and gives the others to `below`.
    pub(super) fn keep(&self, blocks: &[*mut Block], below: &mut impl Below) {
        let room = self.limit.get().saturating_sub(self.count.get()) as usize;
        let (kept, rest) = blocks.split_at(room.min(blocks.len()));
        for &block in kept {
            self.push(block);
        }
        below.give(rest);
    }

    /// The same of a chain.
    pub(super) fn keep_chain(&self, mut chain: Chain, below: &mut impl Below) {
        while self.count.get() < self.limit.get() && !chain.is_empty() {
            self.push(chain.pop());
        }
        below.absorb(chain);
    }

    /// Gives everything to `below` and is as at first.
    pub(super) fn drain(&self, below: &mut impl Below) {
        self.limit.set(0);
        below.give(self.take(N));
    }
}
