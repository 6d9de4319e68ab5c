//! What is below a layer: the next layer and all behind it, down to the thread's slabs.

use super::Layer;
use crate::global::Allocator;
use crate::heap::Heap;
use crate::heap::remote_batch::{spill, spill_one};
use crate::slab::block::{Block, Chain, Run};
use crate::slab::class::Class;

/// The rest of a stack, as the layer above sees it.
///
/// Blocks go up and down in three forms, so that no layer must change what it keeps for another's sake: as a [`Chain`]
/// linked through the blocks themselves; as pointers in an array, by which no block is touched; and as a `Run` of
/// neighbours. A layer asks for the form that it keeps.
pub trait Below {
    /// The class that all of this is about.
    fn class(&self) -> &'static Class;

    /// At most `want` blocks, at least one. Empty: no memory.
    fn demand(&mut self, want: u32) -> Chain;

    /// The same, as pointers: fills `slots` from the start and says how many.
    fn fetch(&mut self, slots: &mut [*mut Block]) -> usize {
        self.demand(slots.len() as u32).unlink(slots)
    }

    /// The same, as neighbours, if they come from a slab.
    fn supply(&mut self, want: u32) -> Supply {
        Supply::Chain(self.demand(want))
    }

    /// Takes blocks away.
    fn absorb(&mut self, chain: Chain);

    /// The same, of pointers.
    fn give(&mut self, blocks: &[*mut Block]) {
        self.absorb(Chain::link(blocks));
    }

    /// The calling thread's heap and the number of the class in it, for a layer that works on the slabs themselves.
    fn home(&self) -> Option<(&Heap, u32)> {
        None
    }

    /// Hears that such a layer got blocks from a slab.
    fn filled(&mut self) {}

    /// Lets time-driven work happen: for a layer whose cold path has nothing to demand or to absorb.
    fn tick(&mut self);
}

/// Blocks in one of two forms.
#[derive(Debug)]
pub enum Supply {
    /// Linked ones, from some layer. Empty: no memory.
    Chain(Chain),
    /// Neighbours, from a slab.
    Run(Run),
}

/// A layer over the rest of the stack.
#[derive(Debug)]
pub struct Stacked<'a, L: Layer, B> {
    layer: &'a L,
    shared: &'a L::Shared,
    rest: B,
}

impl<'a, L: Layer, B: Below> Stacked<'a, L, B> {
    /// Puts `layer` on top of `rest`.
    ///
    /// # Safety
    /// `layer` is the calling thread's, and it, `shared` and `rest` are of the same class.
    pub unsafe fn new(layer: &'a L, shared: &'a L::Shared, rest: B) -> Self {
        Stacked { layer, shared, rest }
    }
}

impl<L: Layer, B: Below> Below for Stacked<'_, L, B> {
    fn class(&self) -> &'static Class {
        self.rest.class()
    }

    fn demand(&mut self, want: u32) -> Chain {
        // SAFETY: `new`'s caller promised the thread and the class.
        let chain = unsafe { self.layer.demand(want, self.shared, &mut self.rest) };
        if chain.is_empty() { self.rest.demand(want) } else { chain }
    }

    fn fetch(&mut self, slots: &mut [*mut Block]) -> usize {
        // SAFETY: as above.
        let count = unsafe { self.layer.fetch(slots, self.shared, &mut self.rest) };
        if count == 0 { self.rest.fetch(slots) } else { count }
    }

    fn supply(&mut self, want: u32) -> Supply {
        // SAFETY: as above.
        let chain = unsafe { self.layer.demand(want, self.shared, &mut self.rest) };
        if chain.is_empty() { self.rest.supply(want) } else { Supply::Chain(chain) }
    }

    fn absorb(&mut self, chain: Chain) {
        // SAFETY: as above; a layer above passes blocks of its own class.
        unsafe { self.layer.absorb(chain, self.shared, &mut self.rest) };
    }

    fn give(&mut self, blocks: &[*mut Block]) {
        // SAFETY: as above.
        unsafe { self.layer.give(blocks, self.shared, &mut self.rest) };
    }

    fn home(&self) -> Option<(&Heap, u32)> {
        self.rest.home()
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
    /// `heap` is the calling thread's, of `allocator`; `class` is one of its classes, and all blocks that will be
    /// absorbed are of that class.
    pub unsafe fn new(allocator: &'static Allocator, heap: Option<&'a Heap>, class: usize) -> Self {
        Slabs { allocator, heap, class: class as u32 }
    }
}

impl Slabs<'_> {
    /// Frees a block of the class in a slot for a thread that has no heap.
    ///
    /// # Safety
    /// The block is the caller's, and of that class of `allocator`.
    pub unsafe fn release(allocator: &'static Allocator, block: *mut u8, slot: usize) {
        // SAFETY: the caller's contract.
        unsafe { spill_one(allocator, None, slot as u32, block.cast()) }
    }
}

impl Below for Slabs<'_> {
    fn class(&self) -> &'static Class {
        self.allocator.class(self.class)
    }

    #[inline(never)]
    fn demand(&mut self, want: u32) -> Chain {
        let Some(heap) = self.heap else { return Chain::EMPTY };
        let take = |slab: &crate::slab::Slab| Some(slab.take(want)).filter(|chain| !chain.is_empty());
        heap.refill(self.class, take).unwrap_or(Chain::EMPTY)
    }

    #[inline(never)]
    fn fetch(&mut self, slots: &mut [*mut Block]) -> usize {
        let Some(heap) = self.heap else { return 0 };
        let count = heap.refill(self.class, |slab| {
            let mut free = slots.iter_mut();
            let count = slab.take_each(free.len() as u32, |block| {
                if let Some(slot) = free.next() {
                    *slot = block;
                }
            });
            (count > 0).then_some(count)
        });
        count.unwrap_or(0) as usize
    }

    #[inline(never)]
    fn supply(&mut self, want: u32) -> Supply {
        let Some(heap) = self.heap else { return Supply::Chain(Chain::EMPTY) };
        let run = heap.refill(self.class, |slab| Some(slab.take_run(want)).filter(|run| run.count > 0));
        run.map_or(Supply::Chain(Chain::EMPTY), Supply::Run)
    }

    #[inline(never)]
    fn absorb(&mut self, chain: Chain) {
        // SAFETY: `new`'s caller promised the class.
        unsafe {
            match chain.count() {
                0 => {}
                1 => spill_one(self.allocator, self.heap, self.class, chain.head()),
                _ => spill(self.allocator, self.heap, self.class, chain.into_iter()),
            }
        }
    }

    #[inline(never)]
    fn give(&mut self, blocks: &[*mut Block]) {
        if !blocks.is_empty() {
            // SAFETY: as above.
            unsafe { spill(self.allocator, self.heap, self.class, blocks.iter().copied()) };
        }
    }

    fn home(&self) -> Option<(&Heap, u32)> {
        self.heap.map(|heap| (heap, self.class))
    }

    fn tick(&mut self) {
        if let Some(heap) = self.heap {
            heap.tick();
        }
    }
}
