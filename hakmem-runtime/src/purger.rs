//! `purge.background = true`: a thread of the allocator's own gives free memory back to the system.
//!
//! Else this happens on slow paths, and a program that does nothing meets none. Here a slow path only wakes the worker,
//! which waits for the delay, gives back what has been free for so long, waits for what has not, and sleeps when there is
//! nothing left to wait for.
//!
//! It works on what threads share: the pool and the large blocks. What a thread keeps for itself stays there.

use crate::global::Allocator;
use crate::heap::Heap;
use crate::sys::clock;
use crate::worker::{Task, Worker};

/// Whose memory it gives back, and how long that has been free then.
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

    /// At the end of a slow path of the thread with `heap`: wakes the worker if it sleeps. It is started only when memory
    /// waits, so that a program that keeps what it has needs no thread.
    #[inline]
    pub fn attend(worker: &'static Worker, heap: Option<&Heap>) {
        if !worker.is_absent() || heap.is_some_and(Heap::gave_back) {
            worker.wake();
        }
    }
}

impl Task for Purger {
    fn debounce_ms(&self) -> u32 {
        self.delay_ms
    }

    fn round(&self) -> Option<u32> {
        self.allocator.purge_aged(clock::now_ms(), self.delay_ms)
    }

    // A fork leaves out what was on its way to the system at that moment, as it does what other threads kept.
    fn reset_after_fork(&self) {}
}
