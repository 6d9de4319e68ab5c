//! A layer that is tried inline, ahead of the one that does the work.
//!
//! Most layers are whole in themselves: the next one is reached through a cold path, a batch at a time. One that holds
//! only two blocks would be in its cold path all the time. In front of another it is therefore a mere look: what it does
//! not have, the layer behind it serves at once, inline; and it takes no part in refills and flushes.

use super::counted::Counts;
use super::stacked::SharedPair;
use super::{Below, Layer};
use crate::heap::Portion;
use crate::slab::{Batch, FreeBlock};

/// `A`, then `B`, as one layer.
#[repr(C)]
#[derive(Debug)]
pub struct Inline<A, B> {
    ahead: A,
    behind: B,
}

/// A batch of nothing, which makes a layer ready.
fn nothing() -> Batch<'static> {
    Batch::new(&[])
}

// SAFETY: each block is in one of the two, which keep the contract.
unsafe impl<A: Layer, B: Layer> Layer for Inline<A, B> {
    type Shared = SharedPair<A::Shared, B::Shared>;

    const EMPTY: Self = Inline { ahead: A::EMPTY, behind: B::EMPTY };

    const TRIMS: bool = A::TRIMS || B::TRIMS;

    const LISTS_IN_SLABS: bool = A::LISTS_IN_SLABS || B::LISTS_IN_SLABS;

    #[inline(always)]
    fn pop(&self) -> Option<FreeBlock> {
        match self.ahead.pop() {
            None => self.behind.pop(),
            block => block,
        }
    }

    #[inline(always)]
    fn push(&self, block: FreeBlock, owner: usize) -> bool {
        let address = block.into_raw();
        // SAFETY: where the layer ahead refuses the block, it has not kept it.
        let again = || unsafe { FreeBlock::from_raw(address) };
        self.ahead.push(again(), owner) || self.behind.push(again(), owner)
    }

    fn refill(&self, shared: &Self::Shared, below: &mut impl Below) -> Option<FreeBlock> {
        self.ahead.put(nothing(), &shared.first, below);
        self.behind.refill(&shared.second, below)
    }

    fn take(&self, batch: &mut Batch<'_>, shared: &Self::Shared, below: &mut impl Below) {
        self.behind.take(batch, &shared.second, below);
        if batch.is_empty() {
            self.ahead.take(batch, &shared.first, below);
        }
    }

    fn put(&self, batch: Batch<'_>, shared: &Self::Shared, below: &mut impl Below) {
        self.ahead.put(nothing(), &shared.first, below);
        self.behind.put(batch, &shared.second, below);
    }

    fn drain(&self, shared: &Self::Shared, below: &mut impl Below) {
        self.ahead.drain(&shared.first, below);
        self.behind.drain(&shared.second, below);
    }

    unsafe fn overflow(&self, block: *mut u8, shared: &Self::Shared, below: &mut impl Below) {
        self.ahead.put(nothing(), &shared.first, below);
        // SAFETY: the push that failed last was that of the layer behind.
        unsafe { self.behind.overflow(block, &shared.second, below) };
    }

    fn trim(shared: &Self::Shared, portion: Portion, below: &mut impl Below) -> bool {
        A::trim(&shared.first, portion, below) | B::trim(&shared.second, portion, below)
    }

    fn publish(&self, shared: &Self::Shared) {
        self.ahead.publish(&shared.first);
        self.behind.publish(&shared.second);
    }

    fn counts(shared: &'static Self::Shared, position: usize) -> Option<&'static Counts> {
        A::counts(&shared.first, position)
            .or_else(|| position.checked_sub(1).and_then(|position| B::counts(&shared.second, position)))
    }
}
