//! `sll`: an intrusive list with a high-water mark, behind any bounded layer.
//!
//! It takes what the layer above cannot hold, link by link, and gives it back when that layer runs empty; a burst of
//! frees followed by a burst of allocations never meets a slab. Above the mark (bytes in the spec, blocks here) it sends
//! everything that it had home to the slabs in one batch, and keeps what has just come: no walk to find a place to cut.

use super::{Below, Layer, Limit};
use crate::slab::block::{Block, Chain};
use core::cell::Cell;
use core::ptr;

/// The state of one class.
///
/// # Invariants
/// ```text
/// head.is_null() or room + length == limit, 0 ≤ room
/// ```
/// Counting what is left instead of what is there lets a push test the sign; a thread's first push finds no room and
/// refuses the block.
#[repr(C)]
#[derive(Debug)]
pub struct Sll {
    head: Cell<*mut Block>,
    room: Cell<i32>,
}

// SAFETY: a block is linked in once by push, overflow, absorb or keep, and unlinked once by pop, demand or drain.
unsafe impl Layer for Sll {
    type Shared = Limit;

    const EMPTY: Sll = Sll { head: Cell::new(ptr::null_mut()), room: Cell::new(0) };

    #[inline(always)]
    unsafe fn pop(&self) -> *mut Block {
        // SAFETY: what is on our list is free and ours.
        let block = unsafe { Block::pop(&self.head) };
        if !block.is_null() {
            self.room.set(self.room.get().wrapping_add(1));
        }
        block
    }

    #[inline(always)]
    unsafe fn push(&self, block: *mut Block) -> bool {
        let room = self.room.get().wrapping_sub(1);
        if room < 0 {
            return false;
        }
        self.room.set(room);
        // SAFETY: the block is the caller's.
        unsafe { Block::push(&self.head, block) };
        true
    }

    unsafe fn miss(&self, &Limit(limit): &Limit, below: &mut impl Below) -> *mut Block {
        let mut chain = below.demand(below.class().batch.min(limit));
        let block = chain.pop();
        self.keep(chain, limit);
        block
    }

    unsafe fn overflow(&self, block: *mut Block, &Limit(limit): &Limit, below: &mut impl Below) {
        let all = self.take_all(limit);
        // SAFETY: the block is the caller's, who hands it over.
        self.keep(unsafe { Chain::one(block) }, limit);
        below.absorb(all);
    }

    unsafe fn demand(&self, want: u32, &Limit(limit): &Limit, _: &mut impl Below) -> Chain {
        let mut chain = self.take_all(limit);
        let rest = chain.split_off(want.max(1));
        self.keep(rest, limit);
        chain
    }

    unsafe fn absorb(&self, chain: Chain, &Limit(limit): &Limit, below: &mut impl Below) {
        let mut mine = self.take_all(limit);
        if mine.count.saturating_add(chain.count) <= limit {
            mine.prepend(chain);
            self.keep(mine, limit);
        } else if chain.count <= limit {
            self.keep(chain, limit);
            below.absorb(mine);
        } else {
            self.keep(mine, limit);
            below.absorb(chain);
        }
    }

    unsafe fn drain(&self, &Limit(limit): &Limit, below: &mut impl Below) {
        below.absorb(self.take_all(limit));
        self.room.set(0);
    }
}

impl Sll {
    /// Everything; the list is empty then, with all its room.
    fn take_all(&self, limit: u32) -> Chain {
        let head = self.head.replace(ptr::null_mut());
        let count = if head.is_null() { 0 } else { limit.wrapping_sub(self.room.get() as u32) };
        self.room.set(limit as i32);
        Chain { head, last: ptr::null_mut(), count }
    }

    /// Makes `chain`, of at most `limit` blocks, the list.
    fn keep(&self, chain: Chain, limit: u32) {
        self.head.set(chain.head);
        self.room.set(limit.wrapping_sub(chain.count) as i32);
    }
}
