//! What is below a layer, as the layer sees it: the next one and all behind it, down to the thread's slabs.

use crate::heap::Heap;
use crate::slab::class::Class;
use crate::slab::{Batch, Slab};

/// The rest of a stack.
pub trait Below {
    /// The class that all of this is about.
    fn class(&self) -> &'static Class;

    /// Fills `batch`, which has room, with at least one block and at most as many as there is room for. It stays empty only where
    /// there is no memory.
    fn refill(&mut self, batch: &mut Batch<'_>);

    /// Takes the blocks of a batch, perhaps none.
    fn flush(&mut self, batch: Batch<'_>);

    /// Lets time-driven work happen: for a layer whose cold path has nothing to refill or to flush.
    fn tick(&mut self);

    /// The calling thread's heap, if it has one, and the index of the class: for a layer that works on the slabs themselves.
    fn heap(&self) -> Option<(&Heap, u32)> {
        None
    }

    /// For `pages`: a slab of the thread's heap, bound, with a list of free blocks. `None`: no memory.
    fn refill_page(&mut self) -> Option<&'static Slab> {
        None
    }

    /// The owner tag of the thread's slabs of the class; 0 where there is no heap.
    fn owner(&self) -> usize {
        self.heap().map_or(0, |(heap, class_index)| heap.owner_tag(class_index))
    }
}
