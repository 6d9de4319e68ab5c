//! `refill = "background"`: a queue of batches above the slabs, filled by a background thread (`background.rs`).
//!
//! A miss takes a batch from the class's queue with one atomic exchange. If there is none it goes to its own slabs: it
//! never waits.

use super::bounded_list::flush_list;
use super::counted::Counts;
use super::{Below, Rest};
use crate::heap::{Heap, Portion};
use crate::slab::{Batch, FreeList};
use core::ptr;
use core::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

/// Batches that a queue holds at most.
const BATCHES: usize = 4;

/// The batches ready for one class.
///
/// # Invariants
/// A word of `ready` is null or the head of a list, which belongs to the thread that replaces it by null.
#[derive(Debug)]
pub struct Queue {
    ready: [AtomicPtr<u8>; BATCHES],
    wanted: AtomicBool,
}

impl Queue {
    /// An empty queue. The number, a parameter of every layer's shared part, is not used.
    pub const fn new(_: u32) -> Queue {
        Queue { ready: [const { AtomicPtr::new(ptr::null_mut()) }; BATCHES], wanted: AtomicBool::new(false) }
    }

    /// Whether a miss has asked for batches since the last call.
    pub(crate) fn take_wanted(&self) -> bool {
        self.wanted.swap(false, Ordering::SeqCst)
    }

    /// Takes a batch; an empty list if none is ready.
    fn take(&self) -> FreeList {
        for slot in &self.ready {
            if !slot.load(Ordering::Relaxed).is_null() {
                // Acquire pairs with the Release in `fill`: the links are visible.
                let head = slot.swap(ptr::null_mut(), Ordering::Acquire);
                // SAFETY: null, or the head of a list that `fill` published. The exchange removed it, so no other
                // thread takes it.
                let list = unsafe { FreeList::from_head(head) };
                if !list.is_empty() {
                    return list;
                }
            }
        }
        FreeList::EMPTY
    }

    /// Fills the empty slots with batches of up to `blocks` from the worker's heap, as far as there is memory.
    pub(crate) fn fill(&self, heap: &Heap, class_index: u32, blocks: u32) {
        for slot in &self.ready {
            if slot.load(Ordering::Relaxed).is_null() {
                let mut batch = Batch::new_list(blocks);
                heap.refill_batch(class_index, &mut batch);
                let list = FreeList::EMPTY;
                list.push_batch(batch);
                // Only the worker stores lists here, so the slot is still empty.
                slot.store(list.into_head(), Ordering::Release);
            }
        }
    }

    /// Flushes every batch.
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

/// The end of a stack whose slabs are below a queue.
#[derive(Debug)]
pub struct Queued;

// SAFETY: a list belongs to the queue until one thread takes it, which hands out or flushes each block once.
unsafe impl Rest for Queued {
    type Shared = Queue;
    const EMPTY: Queued = Queued;
    const TRIMS: bool = false;
    const LISTS_IN_SLABS: bool = false;
    const QUEUED: bool = true;

    fn refill(&self, batch: &mut Batch<'_>, queue: &Queue, bottom: &mut impl Below) {
        let list = queue.take();
        // The miss wakes the worker at its end. SeqCst: in one total order with the worker's state (see `worker.rs`).
        queue.wanted.store(true, Ordering::SeqCst);
        batch.fill_from(&list);
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
