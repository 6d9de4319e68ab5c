//! What is below a layer: the next layer and all behind it, down to the thread's slabs.

use super::Layer;
use crate::allocator::Allocator;
use crate::block::Chain;
use crate::thread::{Heap, spill::spill};

/// The rest of a stack, as the layer above sees it.
pub trait Below {
    /// At most `want` blocks, at least one. Empty: no memory.
    fn demand(&mut self, want: u32) -> Chain;

    /// Takes blocks away.
    fn absorb(&mut self, chain: Chain);

    /// Blocks that the spec wants one refill to move.
    fn batch(&self) -> u32;

    /// Lets time-driven work happen: for a layer whose cold path has nothing to demand or to absorb.
    fn tick(&mut self);
}

/// A layer over the rest of the stack.
#[derive(Debug)]
pub struct Over<'a, L, B> {
    layer: &'a L,
    limit: u32,
    rest: B,
}

impl<'a, L: Layer, B: Below> Over<'a, L, B> {
    /// Puts `layer` on top of `rest`.
    ///
    /// # Safety
    /// `layer` is the calling thread's, and of the class that `rest` is for.
    pub unsafe fn new(layer: &'a L, limit: u32, rest: B) -> Self {
        Over { layer, limit, rest }
    }
}

impl<L: Layer, B: Below> Below for Over<'_, L, B> {
    fn demand(&mut self, want: u32) -> Chain {
        // SAFETY: `new`'s caller promised the thread and the class.
        let chain = unsafe { self.layer.demand(want, self.limit) };
        if chain.is_empty() { self.rest.demand(want) } else { chain }
    }

    fn absorb(&mut self, chain: Chain) {
        // SAFETY: as above; a layer above passes blocks of its own class.
        unsafe { self.layer.absorb(chain, self.limit, &mut self.rest) };
    }

    fn batch(&self) -> u32 {
        self.rest.batch()
    }

    fn tick(&mut self) {
        self.rest.tick();
    }
}

/// The bottom of every stack: the thread's slabs.
#[derive(Debug)]
pub struct Slabs<'a> {
    allocator: &'static Allocator,
    heap: Option<&'a Heap>,
    class: u32,
}

impl<'a> Slabs<'a> {
    /// The slabs of `class` of a thread. Without a heap, for which there was no memory, nothing can be demanded, but
    /// blocks still find their way home.
    ///
    /// # Safety
    /// `heap` is the calling thread's, of `allocator`; `class` is one of its classes, and every chain that will be
    /// absorbed is of that class.
    pub unsafe fn new(allocator: &'static Allocator, heap: Option<&'a Heap>, class: usize) -> Self {
        Slabs { allocator, heap, class: class as u32 }
    }
}

impl Below for Slabs<'_> {
    #[inline(never)]
    fn demand(&mut self, want: u32) -> Chain {
        self.heap.map_or(Chain::EMPTY, |heap| heap.refill(self.class, want))
    }

    #[inline(never)]
    fn absorb(&mut self, chain: Chain) {
        if !chain.is_empty() {
            // SAFETY: `new`'s caller promised the class.
            unsafe { spill(self.allocator, self.heap, self.class, chain) };
        }
    }

    fn batch(&self) -> u32 {
        self.allocator.class(self.class).batch
    }

    fn tick(&mut self) {
        if let Some(heap) = self.heap {
            heap.tick();
        }
    }
}
