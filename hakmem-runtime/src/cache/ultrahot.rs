//! `ultrahot`: two to four blocks in slots of their own, tried before anything else.
//!
//! Each slot is a scalar: no index, no count, no list. The block freed last is in the first slot, and a hit
//! there is a load, a compare, a branch and a store. It has no refill and no spill worth the name, so behind it stands a
//! layer whose own hit is as inline as this one ([`Inline`](super::Inline)); alone in its stack it goes to the slabs.
//!
//! A hit in the first slot: load, store, compare, branch; a free into it: load, compare, branch, store.

use super::{Below, Layer, Limit};
use crate::slab::block::{Block, Chain};
use core::cell::Cell;
use core::ptr;

/// What an open slot holds that has no block. A slot with null is closed: so is every slot of a new thread.
const OPEN: *mut Block = ptr::without_provenance_mut(1);

/// The state of one class.
///
/// # Invariants
/// Each slot holds null, `OPEN` or a block. Before the first cold path none holds a block; after it none is null.
#[repr(transparent)]
#[derive(Debug)]
pub struct UltraHot<const N: usize> {
    slots: [Cell<*mut Block>; N],
}

// SAFETY: a block is stored in one slot and handed out when the slot becomes open.
unsafe impl<const N: usize> Layer for UltraHot<N> {
    type Shared = Limit;

    const EMPTY: Self = UltraHot { slots: [const { Cell::new(ptr::null_mut()) }; N] };

    #[inline(always)]
    unsafe fn pop(&self) -> *mut Block {
        for slot in &self.slots {
            // Stored before it is tested: one stretch of code, addressed through the thread register. That a closed slot
            // is opened by it does no harm, for the miss that follows opens them all.
            let block = slot.replace(OPEN);
            if block.addr() > OPEN.addr() {
                return block;
            }
        }
        ptr::null_mut()
    }

    #[inline(always)]
    unsafe fn push(&self, block: *mut Block) -> bool {
        let Some((first, others)) = self.slots.split_first() else { return false };
        let newest = first.get();
        if newest != OPEN {
            let Some(open) = others.iter().find(|slot| slot.get() == OPEN) else { return false };
            open.set(newest);
        }
        first.set(block);
        true
    }

    unsafe fn miss(&self, _: &Limit, below: &mut impl Below) -> *mut Block {
        let mut blocks = [ptr::null_mut(); N];
        let count = below.fetch(&mut blocks);
        for (position, slot) in self.slots.iter().enumerate() {
            // The first is handed out; what follows finds a slot for each.
            slot.set(if position + 1 < count { blocks.get(position + 1).copied().unwrap_or(OPEN) } else { OPEN });
        }
        blocks.first().copied().unwrap_or_default()
    }

    unsafe fn overflow(&self, block: *mut Block, _: &Limit, below: &mut impl Below) {
        self.give_up(OPEN, below);
        // SAFETY: on the owning thread; every slot is open.
        unsafe { self.push(block) };
    }

    unsafe fn demand(&self, want: u32, _: &Limit, _: &mut impl Below) -> Chain {
        // SAFETY: on the owning thread.
        Chain::gather(want, || unsafe { self.pop() })
    }

    unsafe fn absorb(&self, mut chain: Chain, _: &Limit, below: &mut impl Below) {
        for slot in &self.slots {
            if slot.get().addr() <= OPEN.addr() {
                let block = chain.pop();
                slot.set(if block.is_null() { OPEN } else { block });
            }
        }
        below.absorb(chain);
    }

    unsafe fn drain(&self, _: &Limit, below: &mut impl Below) {
        self.give_up(ptr::null_mut(), below);
    }
}

impl<const N: usize> UltraHot<N> {
    /// Gives every block to `below` and leaves `state` in the slots.
    fn give_up(&self, state: *mut Block, below: &mut impl Below) {
        let mut blocks = [ptr::null_mut(); N];
        let mut count = 0_usize;
        for slot in &self.slots {
            let block = slot.replace(state);
            if block.addr() > OPEN.addr()
                && let Some(place) = blocks.get_mut(count)
            {
                *place = block;
                count += 1;
            }
        }
        below.give(blocks.get(..count).unwrap_or_default());
    }
}
