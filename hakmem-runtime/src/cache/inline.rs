//! Two layers whose hit paths are both inlined, one after the other.
//!
//! Most layers reach the next one through a cold path, a batch at a time. One that holds only two blocks would take its
//! cold path all the time. So it is only tried first: what it cannot serve, the second layer serves inline. It takes no
//! part in refills and flushes.

use super::counted::Counts;
use super::stacked::SharedPair;
use super::{Below, Layer};
use crate::heap::Portion;
use crate::slab::{Batch, FreeBlock};

/// `A`, then `B`, as one layer.
#[repr(C)]
#[derive(Debug)]
pub struct Inline<A, B> {
    first: A,
    second: B,
}

/// An empty batch. Putting it into a layer opens the layer for pushes.
fn empty_batch() -> Batch<'static> {
    Batch::new(&[])
}

// SAFETY: each block is in one of the two layers, which keep the contract.
unsafe impl<A: Layer, B: Layer> Layer for Inline<A, B> {
    type Shared = SharedPair<A::Shared, B::Shared>;

    const EMPTY: Self = Inline { first: A::EMPTY, second: B::EMPTY };

    const TRIMS: bool = A::TRIMS || B::TRIMS;

    const LISTS_IN_SLABS: bool = A::LISTS_IN_SLABS || B::LISTS_IN_SLABS;

    #[inline(always)]
    fn pop(&self) -> Option<FreeBlock> {
        match self.first.pop() {
            None => self.second.pop(),
            block => block,
        }
    }

    #[inline(always)]
    fn push(&self, block: FreeBlock, owner: usize) -> bool {
        let address = block.into_raw();
        // SAFETY: the first call passes the block to the first layer. The second call happens only if that layer
        // returned `false`, and then it has not kept the block: the catalogue lets only `ultrahot` come first.
        let again = || unsafe { FreeBlock::from_raw(address) };
        self.first.push(again(), owner) || self.second.push(again(), owner)
    }

    fn refill(&self, shared: &Self::Shared, below: &mut impl Below) -> Option<FreeBlock> {
        self.first.put(empty_batch(), &shared.first, below);
        self.second.refill(&shared.second, below)
    }

    fn take(&self, batch: &mut Batch<'_>, shared: &Self::Shared, below: &mut impl Below) {
        self.second.take(batch, &shared.second, below);
        if batch.is_empty() {
            self.first.take(batch, &shared.first, below);
        }
    }

    fn put(&self, batch: Batch<'_>, shared: &Self::Shared, below: &mut impl Below) {
        self.first.put(empty_batch(), &shared.first, below);
        self.second.put(batch, &shared.second, below);
    }

    fn drain(&self, shared: &Self::Shared, below: &mut impl Below) {
        self.first.drain(&shared.first, below);
        self.second.drain(&shared.second, below);
    }

    unsafe fn overflow(&self, block: *mut u8, shared: &Self::Shared, below: &mut impl Below) {
        self.first.put(empty_batch(), &shared.first, below);
        // SAFETY: the caller's push returned `false`, so the second layer's push of this block did too, and came last.
        unsafe { self.second.overflow(block, &shared.second, below) };
    }

    fn trim(shared: &Self::Shared, portion: Portion, below: &mut impl Below) -> bool {
        A::trim(&shared.first, portion, below) | B::trim(&shared.second, portion, below)
    }

    fn publish(&self, shared: &Self::Shared) {
        self.first.publish(&shared.first);
        self.second.publish(&shared.second);
    }

    fn counts(shared: &'static Self::Shared, position: usize) -> Option<&'static Counts> {
        A::counts(&shared.first, position)
            .or_else(|| position.checked_sub(1).and_then(|position| B::counts(&shared.second, position)))
    }
}
