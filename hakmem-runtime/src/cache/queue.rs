//! `refill = "background"`: a queue of batches above the slabs, filled by a background thread (`background.rs`).
//!
//! A miss takes a batch from the class's queue with one atomic exchange. If there is none it goes to its own slabs: it
//! never waits.

use super::bounded_list::flush_list;
use super::counted::Counts;
use super::{Below, Rest};
use crate::heap::{Heap, Portion};
use crate::meta::handoff::Handoff;
use crate::slab::{Batch, FreeList};
use core::ptr;
use core::sync::atomic::AtomicU64;

/// Batches that a queue holds at most.
const BATCHES: usize = 4;

/// The batches ready for one class.
///
/// # Invariants
/// What it hands on is the address of the head of a list.
#[derive(Debug)]
pub struct Queue(Handoff<AtomicU64, BATCHES>);

impl Queue {
    /// An empty queue. The number, a parameter of every layer's shared part, is not used.
    pub const fn new(_: u32) -> Queue {
        Queue(Handoff::new([const { AtomicU64::new(0) }; BATCHES], AtomicU64::new(0)))
    }

    /// Whether a miss has asked for batches since the last call.
    pub(crate) fn take_wanted(&self) -> bool {
        self.0.take_wanted()
    }

    /// Takes a batch; an empty list if none is ready.
    fn take(&self) -> FreeList {
        let Some(head) = self.0.take() else { return FreeList::EMPTY };
        // SAFETY: the address of the head of a list, which `fill` has exposed and handed on to one thread, this one.
        unsafe { FreeList::from_head(ptr::with_exposed_provenance_mut(head as usize)) }
    }

    /// Fills the empty slots with batches of up to `blocks` from the worker's heap, as far as there is memory.
    pub(crate) fn fill(&self, heap: &Heap, class_index: u32, blocks: u32) {
        self.0.fill(|| {
            let mut batch = Batch::new_list(blocks);
            heap.refill_batch(class_index, &mut batch);
            let list = FreeList::EMPTY;
            list.push_batch(batch);
            list.into_head().expose_provenance() as u64
        });
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
        // The miss wakes the worker at its end.
        queue.0.want();
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
