//! `purge.background = true`: a background thread returns free memory to the system.
//!
//! Without it slow paths do this, so an idle program returns nothing. With it a slow path only wakes the worker. The
//! worker waits for the purge delay, purges the memory that has been free for that long, waits for memory freed later,
//! and sleeps when none is left.
//!
//! It purges what threads share, the pool and the large blocks, and takes those back that threads have cached. Threads'
//! other caches are not touched.

use crate::global::Allocator;
use crate::heap::Heap;
use crate::sys::clock;
use crate::worker::{Task, Worker};

/// The task: the allocator whose memory is purged, and the delay.
#[derive(Debug)]
pub struct Purger {
    allocator: &'static Allocator,
    delay_ms: u32,
}

impl Purger {
    /// A purger for `allocator`, with its purge delay.
    pub const fn new(allocator: &'static Allocator, delay_ms: u32) -> Purger {
        Purger { allocator, delay_ms }
    }

    /// Wakes the worker, at the end of a slow path of the thread with `heap`. The worker is started only if memory
    /// waits for a purge: a program that frees nothing needs no thread.
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

    // Nothing to reset. Slabs that an interrupted round had taken out leak in the child, like other threads' caches.
    fn reset_after_fork(&self) {}
}
