//! `ring`: a ring of pointers, first in first out.
//!
//! A freed block is handed out again as late as possible: a use after free meets the old contents for longer, and the
//! blocks of a class take turns instead of one being hot. The block itself is neither read nor written.
//!
//! The bound costs an allocation nothing. `end` is where the ring *was* full when the cold path last looked; allocations
//! move `head` on and leave `end` where it is. When frees arrive there, the cold path looks again.
//!
//! A hit: load, compare, branch, load, increment, and, store; a free: load, compare, branch, store, increment, and, store.

use super::{Below, Layer, Limit};
use crate::slab::block::{Block, Chain};
use core::cell::Cell;
use core::ptr;

/// The state of one class. `N` is a power of two above the limit.
///
/// # Invariants
/// All positions are below `N`, and what follows is meant modulo `N`:
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
    slots: [Cell<*mut Block>; N],
}

// SAFETY: a block is stored once by push or miss, at the tail, and handed out once, at the head.
unsafe impl<const N: usize> Layer for Ring<N> {
    type Shared = Limit;

    const EMPTY: Self = Ring {
        head: Cell::new(0),
        tail: Cell::new(0),
        end: Cell::new(0),
        slots: [const { Cell::new(ptr::null_mut()) }; N],
    };

    #[inline(always)]
    unsafe fn pop(&self) -> *mut Block {
        let head = self.head.get();
        if head == self.tail.get() {
            return ptr::null_mut();
        }
        // SAFETY: positions are below `N`, and between head and tail there are blocks.
        let block = unsafe { Block::found(self.slots.get_unchecked(head as usize).get()) };
        self.head.set(Self::wrap(head.wrapping_add(1)));
        block
    }

    #[inline(always)]
    unsafe fn push(&self, block: *mut Block) -> bool {
        let tail = self.tail.get();
        if tail == self.end.get() {
            return false;
        }
        // SAFETY: as above.
        unsafe { self.slots.get_unchecked(tail as usize) }.set(block);
        self.tail.set(Self::wrap(tail.wrapping_add(1)));
        true
    }

    unsafe fn miss(&self, &Limit(limit): &Limit, below: &mut impl Below) -> *mut Block {
        // SAFETY: the only view; nothing below comes back to this state.
        let slots = unsafe { &mut *self.view() }.get_mut(..below.class().batch.min(limit) as usize).unwrap_or_default();
        let count = below.fetch(slots);
        self.head.set(0);
        self.tail.set(count as u32);
        self.look(limit);
        // SAFETY: on the owning thread.
        unsafe { self.pop() }
    }

    unsafe fn overflow(&self, block: *mut Block, &Limit(limit): &Limit, below: &mut impl Below) {
        // Allocations may have made room since the last look; then there is nothing to pass on.
        if self.length() > limit - limit.div_ceil(4) {
            self.spill(limit.div_ceil(2), below);
        } else {
            below.tick();
        }
        self.look(limit);
        // SAFETY: on the owning thread; there is room now.
        unsafe { self.push(block) };
    }

    unsafe fn demand(&self, want: u32, _: &Limit, _: &mut impl Below) -> Chain {
        // SAFETY: on the owning thread.
        Chain::gather(want, || unsafe { self.pop() })
    }

    unsafe fn absorb(&self, mut chain: Chain, &Limit(limit): &Limit, below: &mut impl Below) {
        self.look(limit);
        while self.tail.get() != self.end.get() && !chain.is_empty() {
            // SAFETY: on the owning thread.
            unsafe { self.push(chain.pop()) };
        }
        below.absorb(chain);
    }

    unsafe fn drain(&self, _: &Limit, below: &mut impl Below) {
        self.spill(N as u32, below);
        self.head.set(0);
        self.tail.set(0);
        self.end.set(0);
    }

    unsafe fn fetch(&self, slots: &mut [*mut Block], _: &Limit, _: &mut impl Below) -> usize {
        let count = slots.len().min(self.length() as usize);
        for slot in slots.iter_mut().take(count) {
            // SAFETY: on the owning thread.
            *slot = unsafe { self.pop() };
        }
        count
    }

    unsafe fn give(&self, blocks: &[*mut Block], &Limit(limit): &Limit, below: &mut impl Below) {
        self.look(limit);
        // SAFETY: on the owning thread.
        let kept = blocks.iter().take_while(|&&block| unsafe { self.push(block) }).count();
        below.give(blocks.get(kept..).unwrap_or_default());
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

    /// Puts `end` where the ring is full now.
    fn look(&self, limit: u32) {
        self.end.set(Self::wrap(self.head.get().wrapping_add(limit.min(N as u32 - 1))));
    }

    /// The places, as memory to read and write. Nobody has another view while one is in use.
    fn view(&self) -> *mut [*mut Block] {
        ptr::slice_from_raw_parts_mut(self.slots.as_ptr().cast::<*mut Block>().cast_mut(), N)
    }

    /// Gives the `count` oldest blocks to `below`, or all there are: in two pieces where they lie across the array's end.
    fn spill(&self, count: u32, below: &mut impl Below) {
        let count = count.min(self.length()) as usize;
        let head = self.head.get() as usize;
        let first = count.min(N - head);
        // SAFETY: the only view; nothing below comes back to this state.
        let slots = unsafe { &mut *self.view() };
        below.give(slots.get(head..head + first).unwrap_or_default());
        below.give(slots.get(..count - first).unwrap_or_default());
        self.head.set(Self::wrap((head + count) as u32));
    }
}
