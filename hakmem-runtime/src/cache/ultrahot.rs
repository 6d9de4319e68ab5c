//! `ultrahot`: two to four slots of one block each, tried before anything else.
//!
//! There is no index, no count and no list. The block freed last is in the first slot. Refills and flushes of so few
//! blocks would be frequent, so the next layer's hit path is inlined after this one's ([`Inline`](super::Inline)). If
//! there is no other layer, the slabs come next.

use super::{Below, Layer, Limit};
use crate::slab::{Batch, FreeBlock, Slot};
use core::cell::Cell;
use core::ptr;

/// In a slot that is open for a block. A slot with null is closed, as are all slots of a new thread.
const OPEN: *mut u8 = ptr::without_provenance_mut(1);

/// The state of one class.
///
/// # Invariants
/// Each slot holds null, `OPEN` or a block. Before the first cold path none holds a block; after it none is null.
#[repr(transparent)]
#[derive(Debug)]
pub struct UltraHot<const N: usize> {
    slots: [Cell<*mut u8>; N],
}

/// Takes the slot's block, if it has one, and leaves `state` there.
#[inline(always)]
fn take(slot: &Cell<*mut u8>, state: *mut u8) -> Option<FreeBlock> {
    let held = slot.replace(state);
    // SAFETY: a slot holds null, `OPEN` or a block. The address is above `OPEN`, so it was a block, which the slot gave
    // up just now.
    (held.addr() > OPEN.addr()).then(|| unsafe { FreeBlock::from_raw(held) })
}

// SAFETY: a block is stored in one slot, and leaves it once, when the slot gets another value.
unsafe impl<const N: usize> Layer for UltraHot<N> {
    type Shared = Limit;

    const EMPTY: Self = UltraHot { slots: [const { Cell::new(ptr::null_mut()) }; N] };

    #[inline(always)]
    fn pop(&self) -> Option<FreeBlock> {
        for slot in &self.slots {
            // Stored before it is tested: without a branch between, both accesses go through the thread register.
            // Opening a closed slot does no harm, as the miss that follows opens them all.
            if let Some(block) = take(slot, OPEN) {
                return Some(block);
            }
        }
        None
    }

    #[inline(always)]
    fn push(&self, block: FreeBlock, _: usize) -> bool {
        let Some((first, others)) = self.slots.split_first() else { return false };
        let newest = first.get();
        if newest != OPEN {
            let Some(open) = others.iter().find(|slot| slot.get() == OPEN) else { return false };
            open.set(newest);
        }
        first.set(block.into_raw());
        true
    }

    fn refill(&self, _: &Limit, below: &mut impl Below) -> Option<FreeBlock> {
        let buffer = [const { Slot::EMPTY }; N];
        let mut batch = Batch::new(&buffer);
        below.refill(&mut batch);
        // The first is handed out; there is a slot for each of the others.
        for (position, slot) in self.slots.iter().enumerate().rev() {
            let block = if position + 1 < batch.len() { batch.pop() } else { None };
            slot.set(block.map_or(OPEN, FreeBlock::into_raw));
        }
        batch.pop()
    }

    fn take(&self, batch: &mut Batch<'_>, _: &Limit, _: &mut impl Below) {
        batch.fill(|| self.pop());
    }

    fn put(&self, mut batch: Batch<'_>, _: &Limit, below: &mut impl Below) {
        for slot in self.slots.iter().filter(|slot| slot.get().addr() <= OPEN.addr()) {
            slot.set(batch.pop().map_or(OPEN, FreeBlock::into_raw));
        }
        below.flush(batch);
    }

    fn drain(&self, _: &Limit, below: &mut impl Below) {
        self.flush(ptr::null_mut(), below);
    }

    fn put_one(&self, block: FreeBlock, _: &Limit, below: &mut impl Below) {
        self.flush(OPEN, below);
        // Every slot is open.
        if let Some(first) = self.slots.first() {
            first.set(block.into_raw());
        }
    }
}

impl<const N: usize> UltraHot<N> {
    /// Flushes every block and leaves `state` in the slots.
    fn flush(&self, state: *mut u8, below: &mut impl Below) {
        let buffer = [const { Slot::EMPTY }; N];
        let mut batch = Batch::new(&buffer);
        for slot in &self.slots {
            if let Some(block) = take(slot, state) {
                // The buffer has room for each slot's block.
                let _none = batch.push(block);
            }
        }
        below.flush(batch);
    }
}
