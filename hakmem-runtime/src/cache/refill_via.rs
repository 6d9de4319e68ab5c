//! `refill = "legacy"`: slabs refill `sll`, and the layers above it refill from there.
//!
//! Every block makes one more stop. But a refill may be several batches without crowding the first layer, and the next
//! misses find the rest in the list.

use super::counted::Counts;
use super::{Below, Layer, Rest};
use crate::heap::Portion;
use crate::slab::Batch;

/// Batches that one refill takes from the slabs.
const BATCHES: u32 = 4;

/// And the most blocks that these have.
const MOST: u32 = 128;

/// Like [`Then<L, ()>`](super::Then), with `L` directly above the slabs, but refills go through `L`.
#[repr(transparent)]
#[derive(Debug)]
pub struct RefillVia<L>(L);

// SAFETY: the layer has every block between two calls, and keeps the contract.
unsafe impl<L: Layer> Rest for RefillVia<L> {
    type Shared = L::Shared;
    const EMPTY: Self = RefillVia(L::EMPTY);
    const TRIMS: bool = L::TRIMS;
    const LISTS_IN_SLABS: bool = L::LISTS_IN_SLABS;

    fn refill(&self, batch: &mut Batch<'_>, shared: &L::Shared, bottom: &mut impl Below) {
        self.0.take(batch, shared, bottom);
        if !batch.is_empty() {
            return;
        }
        // A list, as the layer links its blocks.
        let mut more = Batch::new_list(batch.room().saturating_mul(BATCHES).min(MOST));
        bottom.refill(&mut more);
        self.0.put(more, shared, bottom);
        self.0.take(batch, shared, bottom);
        if batch.is_empty() {
            // The layer was too small for the refill and flushed it.
            bottom.refill(batch);
        }
    }

    fn flush(&self, batch: Batch<'_>, shared: &L::Shared, bottom: &mut impl Below) {
        self.0.put(batch, shared, bottom);
    }

    fn drain(&self, shared: &L::Shared, bottom: &mut impl Below) {
        self.0.drain(shared, bottom);
    }

    fn trim(shared: &L::Shared, portion: Portion, bottom: &mut impl Below) -> bool {
        L::trim(shared, portion, bottom)
    }

    fn publish(&self, shared: &L::Shared) {
        self.0.publish(shared);
    }

    fn counts(shared: &'static L::Shared, position: usize) -> Option<&'static Counts> {
        L::counts(shared, position)
    }
}
