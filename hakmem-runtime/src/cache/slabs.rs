//! The bottom of every stack: the thread's slabs.

use super::Below;
use crate::heap::{Backing, Heap, flush, flush_one};
use crate::slab::class::Class;
use crate::slab::{Batch, FreeBlock, Slab};

/// A thread's slabs of one class.
#[derive(Debug)]
pub struct Slabs<'a> {
    backing: &'static Backing,
    heap: Option<&'a Heap>,
    class_index: u32,
}

impl<'a> Slabs<'a> {
    /// The slabs of the class at `class_index`. `None`: there was no memory for a heap; then nothing can be refilled,
    /// but blocks are still flushed.
    ///
    /// # Safety
    /// `heap` is the calling thread's, of the allocator of `backing`. The class is one of that allocator's, and so are
    /// the states and shared parts of the layers above these slabs.
    pub unsafe fn new(backing: &'static Backing, heap: Option<&'a Heap>, class_index: usize) -> Self {
        Slabs { backing, heap, class_index: class_index as u32 }
    }

    /// Flushes one block of the class.
    pub(crate) fn flush_one(&self, block: FreeBlock) {
        flush_one(self.backing, self.heap, self.class_index, block);
    }
}

impl Below for Slabs<'_> {
    fn class(&self) -> &'static Class {
        self.backing.class(self.class_index)
    }

    #[inline(never)]
    fn refill(&mut self, batch: &mut Batch<'_>) {
        if let Some(heap) = self.heap {
            heap.refill_batch(self.class_index, batch);
        }
    }

    #[inline(never)]
    fn flush(&mut self, batch: Batch<'_>) {
        if !batch.is_empty() {
            flush(self.backing, self.heap, self.class_index, batch);
        }
    }

    fn tick(&mut self) {
        if let Some(heap) = self.heap {
            heap.tick();
        }
    }

    fn heap(&self) -> Option<(&Heap, u32)> {
        self.heap.map(|heap| (heap, self.class_index))
    }

    fn refill_page(&mut self) -> Option<&'static Slab> {
        self.heap?.refill_page(self.class_index, self.class().batch)
    }
}
