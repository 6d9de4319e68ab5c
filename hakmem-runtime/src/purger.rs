//! `purge.background = true`: a thread of the allocator's own returns free memory to the system.
//!
//! Without it slow paths do this, so a program that does nothing returns nothing. With it a slow path only wakes the
//! worker. That waits for the delay, purges what has been free for so long, waits for what has not, and sleeps when
//! there is nothing left to wait for.
//!
//! It works on what threads share: the pool and the large blocks. What a thread has cached for itself stays there.

use crate::global::Allocator;
use crate::heap::Heap;
use crate::sys::clock;
use crate::worker::{Task, Worker};

/// The task: whose memory is returned, and how long it has been free by then.
#[derive(Debug)]
pub struct Purger {
    allocator: &'static Allocator,
    delay_ms: u32,
}

impl Purger {
    /// A purger for `allocator`, whose delay is `delay_ms`.
    pub const fn new(allocator: &'static Allocator, delay_ms: u32) -> Purger {
        Purger { allocator, delay_ms }
    }

    /// Wakes the worker if it sleeps, at the end of a slow path of the thread with `heap`. The worker is started only
    /// when memory waits for a purge: a program that frees nothing needs no thread.
    #[inline]
    pub fn attend(worker: &'static Worker, heap: Option<&Heap>) {
        if !worker.is_absent() || heap.is_some_and(Heap::is_purge_pending) {
            worker.wake();
        }
    }
}

impl Task for Purger {
    fn debounce_ms(&self) -> u32 {
        self.delay_ms
    }

    fn round(&self) -> Option<u32> {
        self.allocator.backing().purge_aged(clock::now_ms(), self.delay_ms)
    }

    // Nothing to reset. Slabs that a round had taken out to purge them are lost to the child, like other threads'
    // caches.
    fn reset_after_fork(&self) {}
}
