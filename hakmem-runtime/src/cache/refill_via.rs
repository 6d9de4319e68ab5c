//! `refill = "legacy"`: slabs fill `sll`, and the layers above it take from there.
//!
//! The way blocks went in the original before `front-direct`: every block makes one stop more, but a refill may be several
//! batches long without crowding the first layer, and the next misses find the rest in the list.

use crate::cache::{Below, Layer};
use crate::heap::Heap;
use crate::slab::block::Chain;
use crate::slab::class::Class;

/// Batches that one refill takes from the slabs.
const BATCHES: u32 = 4;

/// `layer` over the rest of the stack, as [`Stacked`](crate::cache::Stacked), but refills go through it.
#[derive(Debug)]
pub struct RefillVia<'a, L: Layer, B> {
    layer: &'a L,
    shared: &'a L::Shared,
    rest: B,
}

impl<'a, L: Layer, B: Below> RefillVia<'a, L, B> {
    /// Puts `layer` on top of `rest`.
    ///
    /// # Safety
    /// `layer` is the calling thread's, and it, `shared` and `rest` are of the same class.
    pub unsafe fn new(layer: &'a L, shared: &'a L::Shared, rest: B) -> Self {
        RefillVia { layer, shared, rest }
    }
}

impl<L: Layer, B: Below> Below for RefillVia<'_, L, B> {
    fn class(&self) -> &'static Class {
        self.rest.class()
    }

    fn demand(&mut self, want: u32) -> Chain {
        // SAFETY: `new`'s caller promised the thread and the class.
        unsafe {
            let chain = self.layer.demand(want, self.shared, &mut self.rest);
            if !chain.is_empty() {
                return chain;
            }
            let more = self.rest.demand(want.saturating_mul(BATCHES));
            self.layer.absorb(more, self.shared, &mut self.rest);
            let chain = self.layer.demand(want, self.shared, &mut self.rest);
            // A layer too small for the refill has passed it on.
            if chain.is_empty() { self.rest.demand(want) } else { chain }
        }
    }

    fn absorb(&mut self, chain: Chain) {
        // SAFETY: as above.
        unsafe { self.layer.absorb(chain, self.shared, &mut self.rest) };
    }

    fn home(&self) -> Option<(&Heap, u32)> {
        self.rest.home()
    }

    fn tick(&mut self) {
        self.rest.tick();
    }
}
