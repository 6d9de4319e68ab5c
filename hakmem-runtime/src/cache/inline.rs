//! A layer that is tried inline, ahead of the one that does the work.
//!
//! Most layers are whole in themselves: the next one is reached through a cold path, a batch at a time. One that holds
//! only two blocks would be in its cold path all the time. In front of another it is therefore a mere look: what it does
//! not have, the layer behind it serves at once, inline; and it takes no part in refills and spills.

use super::{Below, Layer};
use crate::heap::Portion;
use crate::slab::block::{Block, Chain};

/// `A`, then `B`, as one layer.
#[repr(C)]
#[derive(Debug)]
pub struct Inline<A, B> {
    ahead: A,
    behind: B,
}

/// What all threads share of both.
#[derive(Debug)]
pub struct SharedPair<A, B> {
    ahead: A,
    behind: B,
}

impl<A, B> SharedPair<A, B> {
    /// Of the two layers.
    pub const fn new(ahead: A, behind: B) -> Self {
        SharedPair { ahead, behind }
    }

    /// What the layer ahead shares.
    pub const fn ahead(&self) -> &A {
        &self.ahead
    }

    /// What the layer behind shares.
    pub const fn behind(&self) -> &B {
        &self.behind
    }
}

// SAFETY: each block is in one of the two, which keep the contract.
unsafe impl<A: Layer, B: Layer> Layer for Inline<A, B> {
    type Shared = SharedPair<A::Shared, B::Shared>;

    const EMPTY: Self = Inline { ahead: A::EMPTY, behind: B::EMPTY };

    #[inline(always)]
    unsafe fn pop(&self) -> *mut Block {
        // SAFETY: the caller's contract.
        unsafe {
            let block = self.ahead.pop();
            if block.is_null() { self.behind.pop() } else { block }
        }
    }

    #[inline(always)]
    unsafe fn push(&self, block: *mut Block) -> bool {
        // SAFETY: the caller's contract.
        unsafe { self.ahead.push(block) || self.behind.push(block) }
    }

    unsafe fn miss(&self, shared: &Self::Shared, below: &mut impl Below) -> *mut Block {
        // SAFETY: the caller's contract. Nothing absorbed is how a layer is made ready.
        unsafe {
            self.ahead.absorb(Chain::EMPTY, &shared.ahead, below);
            self.behind.miss(&shared.behind, below)
        }
    }

    unsafe fn overflow(&self, block: *mut Block, shared: &Self::Shared, below: &mut impl Below) {
        // SAFETY: as above; the push that failed last was that of the layer behind.
        unsafe {
            self.ahead.absorb(Chain::EMPTY, &shared.ahead, below);
            self.behind.overflow(block, &shared.behind, below);
        }
    }

    unsafe fn demand(&self, want: u32, shared: &Self::Shared, below: &mut impl Below) -> Chain {
        // SAFETY: the caller's contract.
        let chain = unsafe { self.behind.demand(want, &shared.behind, below) };
        // SAFETY: as above.
        if chain.is_empty() { unsafe { self.ahead.demand(want, &shared.ahead, below) } } else { chain }
    }

    unsafe fn absorb(&self, chain: Chain, shared: &Self::Shared, below: &mut impl Below) {
        // SAFETY: the caller's contract.
        unsafe {
            self.ahead.absorb(Chain::EMPTY, &shared.ahead, below);
            self.behind.absorb(chain, &shared.behind, below);
        }
    }

    unsafe fn drain(&self, shared: &Self::Shared, below: &mut impl Below) {
        // SAFETY: the caller's contract.
        unsafe {
            self.ahead.drain(&shared.ahead, below);
            self.behind.drain(&shared.behind, below);
        }
    }

    fn release(shared: &Self::Shared, portion: Portion, below: &mut impl Below) -> bool {
        A::release(&shared.ahead, portion, below) | B::release(&shared.behind, portion, below)
    }

    fn publish(&self, shared: &Self::Shared) {
        self.ahead.publish(&shared.ahead);
        self.behind.publish(&shared.behind);
    }
}
