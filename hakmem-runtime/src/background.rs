//! `refill = "background"`: a thread of the allocator's own keeps a queue of batches ready for each class that misses.
//!
//! The miss path takes a batch from the class's queue with one exchange, or goes to its own slabs if there is none: it
//! waits for nobody. The worker has a heap like any thread. It sleeps while no queue is wanted, and a miss that took from
//! one wakes it.

use crate::cache::Below;
use crate::global::Allocator;
use crate::heap::Heap;
use crate::slab::block::{Block, Chain};
use crate::slab::class::Class;
use crate::worker::Task;
use core::ptr;
use core::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

/// Batches ready in each queue.
const BATCHES: usize = 4;

/// The batches that wait for one class.
///
/// # Invariants
/// Each place holds null or the first block of a list that belongs to whoever exchanges it for null.
#[derive(Debug)]
pub struct Queue {
    class: u32,
    ready: [AtomicPtr<Block>; BATCHES],
    wanted: AtomicBool,
}

impl Queue {
    /// The queue of the class at `slot`; nothing is ready.
    pub const fn new(slot: usize) -> Queue {
        Queue {
            class: slot as u32,
            ready: [const { AtomicPtr::new(ptr::null_mut()) }; BATCHES],
            wanted: AtomicBool::new(false),
        }
    }

    fn take(&self) -> Chain {
        for place in &self.ready {
            if !place.load(Ordering::Relaxed).is_null() {
                // Acquire pairs with the Release of `fill`: the links are visible.
                let head = place.swap(ptr::null_mut(), Ordering::Acquire);
                if !head.is_null() {
                    // SAFETY: the list is ours since the exchange.
                    return unsafe { Chain::walk(head) };
                }
            }
        }
        Chain::EMPTY
    }

    /// Fills the empty places, as far as there is memory.
    fn fill(&self, heap: &Heap, batch: u32) {
        for place in &self.ready {
            if place.load(Ordering::Relaxed).is_null() {
                let chain = heap.refill(self.class, |slab| Some(slab.take(batch)).filter(|chain| !chain.is_empty()));
                let Some(chain) = chain else { return };
                // Only the worker puts anything there, so the place is still empty.
                place.store(chain.head(), Ordering::Release);
            }
        }
    }

    /// Gives back what is ready.
    pub fn release(&self, below: &mut impl Below) {
        loop {
            let chain = self.take();
            if chain.is_empty() {
                return;
            }
            below.absorb(chain);
        }
    }
}

/// The slabs with a queue in front.
#[derive(Debug)]
pub struct Queued<B> {
    queue: &'static Queue,
    slabs: B,
}

impl<B: Below> Queued<B> {
    /// `slabs`, behind the queue of their class.
    pub fn new(queue: &'static Queue, slabs: B) -> Self {
        Queued { queue, slabs }
    }
}

impl<B: Below> Below for Queued<B> {
    fn class(&self) -> &'static Class {
        self.slabs.class()
    }

    fn demand(&mut self, want: u32) -> Chain {
        let mut chain = self.queue.take();
        // The miss wakes the worker when it is over. In one total order with the worker's state; see there.
        self.queue.wanted.store(true, Ordering::SeqCst);
        if chain.is_empty() {
            return self.slabs.demand(want);
        }
        let rest = chain.split_off(want.max(1));
        self.slabs.absorb(rest);
        chain
    }

    fn absorb(&mut self, chain: Chain) {
        self.slabs.absorb(chain);
    }

    fn give(&mut self, blocks: &[*mut Block]) {
        self.slabs.give(blocks);
    }

    fn home(&self) -> Option<(&Heap, u32)> {
        self.slabs.home()
    }

    fn tick(&mut self) {
        self.slabs.tick();
    }
}

/// The task behind the queues of an allocator.
#[derive(Debug)]
pub struct Filler {
    allocator: &'static Allocator,
    queues: &'static [&'static [Queue]],
    heap: AtomicPtr<Heap>,
}

impl Filler {
    /// A filler for `queues`, without a heap yet.
    pub const fn new(allocator: &'static Allocator, queues: &'static [&'static [Queue]]) -> Filler {
        Filler { allocator, queues, heap: AtomicPtr::new(ptr::null_mut()) }
    }
}

impl Task for Filler {
    fn debounce_ms(&self) -> u32 {
        0
    }

    fn round(&self) -> Option<u32> {
        let mut heap = self.heap.load(Ordering::Relaxed);
        if heap.is_null() {
            heap = Heap::for_worker(self.allocator);
            self.heap.store(heap, Ordering::Relaxed);
        }
        // SAFETY: the worker's own heap; heaps are never freed.
        if let Some(heap) = unsafe { heap.as_ref() } {
            for queue in self.queues.iter().copied().flatten() {
                if queue.wanted.swap(false, Ordering::SeqCst) {
                    queue.fill(heap, self.allocator.class(queue.class).batch);
                }
            }
        }
        None
    }

    // The heap may be in the middle of a change: it is given up.
    fn reset_after_fork(&self) {
        self.heap.store(ptr::null_mut(), Ordering::Relaxed);
    }
}
