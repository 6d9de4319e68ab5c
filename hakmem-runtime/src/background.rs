//! `refill = "background"`: a worker keeps batches of blocks ready for the classes that miss.
//!
//! The worker has a heap, from which it fills a queue for each class (`cache/queue.rs`). A miss takes a batch from its
//! class's queue, asks for more and wakes the worker, which sleeps while no queue is wanted.

use crate::cache::Queue;
use crate::global::Allocator;
use crate::global_alloc::CompiledSpec;
use crate::groups::Groups;
use crate::heap::Heap;
use crate::worker::Task;
use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};

/// The worker's task: fills the queues that misses asked for.
#[derive(Debug)]
pub struct Filler {
    allocator: &'static Allocator,
    /// The queue of a class, if it has one.
    queue: fn(usize) -> Option<&'static Queue>,
    /// The worker's heap, or null. Only the worker's thread uses it, so all accesses are relaxed; in a forked child,
    /// which has no such thread, `reset_after_fork` does.
    heap: AtomicPtr<Heap>,
}

/// The task for the queues of a spec. It has no heap yet.
pub const fn filler<S: CompiledSpec>(allocator: &'static Allocator) -> Filler {
    Filler { allocator, queue: S::Groups::queue, heap: AtomicPtr::new(ptr::null_mut()) }
}

impl Filler {
    /// The worker's heap, which the first call creates. `None`: no memory.
    fn heap(&self) -> Option<&'static Heap> {
        // SAFETY: null, or made from a `&'static Heap` below. Only the worker's thread calls this, so that the heap has
        // one thread.
        if let Some(heap) = unsafe { self.heap.load(Ordering::Relaxed).as_ref() } {
            return Some(heap);
        }
        self.allocator.initialise();
        let heap = Heap::for_worker(self.allocator.backing())?;
        self.heap.store(ptr::from_ref(heap).cast_mut(), Ordering::Relaxed);
        Some(heap)
    }
}

impl Task for Filler {
    fn debounce_ms(&self) -> u32 {
        0
    }

    fn round(&self) -> Option<u32> {
        let heap = self.heap()?;
        for (class_index, class) in self.allocator.classes().iter().enumerate() {
            if let Some(queue) = (self.queue)(class_index)
                && queue.take_wanted()
            {
                queue.fill(heap, class_index as u32, class.batch);
            }
        }
        None
    }

    // The parent's worker may have been in the middle of a change to the heap. The child's takes a new one, and this
    // one's memory is lost.
    fn reset_after_fork(&self) {
        self.heap.store(ptr::null_mut(), Ordering::Relaxed);
    }
}
