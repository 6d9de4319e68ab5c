//! `refill = "background"`: a queue of batches in front of the slabs, which a thread of the allocator's own fills
//! (`background.rs`).
//!
//! The miss path takes a batch from the class's queue with one exchange, or goes to its own slabs if there is none: it
//! never waits.

use super::bounded_list::flush_list;
use super::counted::Counts;
use super::{Below, Rest};
use crate::heap::{Heap, Portion};
use crate::slab::{Batch, BatchBuffer, FreeList};
use core::ptr;
use core::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

/// Batches ready in each queue.
const BATCHES: usize = 4;

/// The batches that wait for one class.
///
/// # Invariants
/// Each place holds null or the head of a list that belongs to whoever exchanges it for null.
#[derive(Debug)]
pub struct Queue {
    ready: [AtomicPtr<u8>; BATCHES],
    wanted: AtomicBool,
}

impl Queue {
    /// Nothing is ready. The number is what every layer's shared part is made from, and means nothing here.
    pub const fn new(_: u32) -> Queue {
        Queue { ready: [const { AtomicPtr::new(ptr::null_mut()) }; BATCHES], wanted: AtomicBool::new(false) }
    }

    /// Whether a miss has asked for batches since this was called last.
    pub(crate) fn take_wanted(&self) -> bool {
        self.wanted.swap(false, Ordering::SeqCst)
    }

    /// A batch that is ready; an empty list where none is.
    fn take(&self) -> FreeList {
        for place in &self.ready {
            if !place.load(Ordering::Relaxed).is_null() {
                // Acquire pairs with the Release of `fill`: the links are visible.
                let head = place.swap(ptr::null_mut(), Ordering::Acquire);
                // SAFETY: null, or the head of a list that is ours since the exchange.
                let list = unsafe { FreeList::from_head(head) };
                if !list.is_empty() {
                    return list;
                }
            }
        }
        FreeList::EMPTY
    }

    /// Fills the empty places with batches of up to `blocks` from the worker's heap, as far as there is memory.
    pub(crate) fn fill(&self, heap: &Heap, class_index: u32, blocks: u32) {
        for place in &self.ready {
            if place.load(Ordering::Relaxed).is_null() {
                let buffer = BatchBuffer::new();
                let mut batch = buffer.batch(blocks);
                heap.refill_batch(class_index, &mut batch);
                let list = FreeList::EMPTY;
                list.push_batch(batch);
                // Only the worker puts anything there, so the place is still empty.
                place.store(list.into_head(), Ordering::Release);
            }
        }
    }

    /// Flushes what is ready.
    pub(crate) fn flush(&self, below: &mut impl Below) {
        loop {
            let list = self.take();
            if list.is_empty() {
                return;
            }
            flush_list(&list, below);
        }
    }
}

/// The end of a stack whose slabs are behind a queue.
#[derive(Debug)]
pub struct Queued;

// SAFETY: a batch belongs to the queue or to whoever took it out.
unsafe impl Rest for Queued {
    type Shared = Queue;
    const EMPTY: Queued = Queued;
    const TRIMS: bool = false;
    const LISTS_IN_SLABS: bool = false;
    const QUEUED: bool = true;

    fn refill(&self, batch: &mut Batch<'_>, queue: &Queue, bottom: &mut impl Below) {
        let list = queue.take();
        // The miss wakes the worker when it is over. In one total order with the worker's state; see `worker.rs`.
        queue.wanted.store(true, Ordering::SeqCst);
        batch.fill(|| list.pop());
        flush_list(&list, bottom);
        if batch.is_empty() {
            bottom.refill(batch);
        }
    }

    fn flush(&self, batch: Batch<'_>, _: &Queue, bottom: &mut impl Below) {
        bottom.flush(batch);
    }

    fn drain(&self, _: &Queue, _: &mut impl Below) {}

    fn trim(_: &Queue, _: Portion, _: &mut impl Below) -> bool {
        false
    }

    fn publish(&self, _: &Queue) {}

    fn counts(_: &'static Queue, _: usize) -> Option<&'static Counts> {
        None
    }

    fn queue(queue: &'static Queue) -> Option<&'static Queue> {
        Some(queue)
    }
}
