//! What is below a layer, as the layer sees it: the layers that follow, down to the thread's slabs.

use crate::heap::Heap;
use crate::slab::class::Class;
use crate::slab::{Batch, Slab};

/// The rest of a stack.
pub trait Below {
    /// The class whose stack this is.
    fn class(&self) -> &'static Class;

    /// Adds at least one block to `batch`, which has room, and at most as many as fit. It stays empty only if there is
    /// no memory.
    fn refill(&mut self, batch: &mut Batch<'_>);

    /// Takes the blocks of a batch, perhaps none.
    fn flush(&mut self, batch: Batch<'_>);

    /// Lets work happen that depends on time: for a cold path that neither refills nor flushes.
    fn tick(&mut self);

    /// The calling thread's heap, if it has one, and the index of the class: for a layer that works on the slabs
    /// themselves.
    fn heap(&self) -> Option<(&Heap, u32)> {
        None
    }

    /// For `pages`: a slab of the thread's heap, bound, with a list of free blocks. `None`: no memory.
    fn refill_page(&mut self) -> Option<&'static Slab> {
        None
    }

    /// The owner id of the thread's slabs of the class; 0 without a heap.
    fn owner(&self) -> usize {
        self.heap().map_or(0, |(heap, class_index)| heap.owner_id(class_index))
    }
}
