//! `purge.background = true`: a background thread returns free memory to the system.
//!
//! Without it slow paths do this, so an idle program returns nothing. With it a slow path only wakes the worker. The
//! worker waits for the purge delay, purges the memory that has been free for that long, waits for memory freed later,
//! and sleeps when none is left.
//!
//! It purges what threads share, the pool and the large blocks, and takes back what threads keep for themselves and have not
//! used for a while (`heap/keeper.rs`).

use crate::global::Allocator;
use crate::heap::{Heap, KeeperSteps};
use crate::sys::clock;
use crate::worker::{Task, Worker};

/// The task: the allocator whose memory is purged, and the delay.
#[derive(Debug)]
pub struct Purger {
    allocator: &'static Allocator,
    delay_ms: u32,
    steps: KeeperSteps,
}

impl Purger {
    /// A purger for `allocator`, with its purge delay and what it does with threads' caches.
    pub const fn new(allocator: &'static Allocator, delay_ms: u32, steps: KeeperSteps) -> Purger {
        Purger { allocator, delay_ms, steps }
    }

    /// Wakes the worker, at the end of a slow path of the thread with `heap`. The worker is started only if memory
    /// waits for a purge: a program that frees nothing needs no thread.
    #[inline]
    pub fn wake_if_pending(worker: &'static Worker, heap: Option<&Heap>) {
        if !worker.can_start() || heap.is_some_and(Heap::is_purge_pending) {
            worker.wake();
        }
    }
}

impl Task for Purger {
    fn debounce_ms(&self) -> u32 {
        self.delay_ms
    }

    fn round(&self) -> Option<u32> {
        let (now, backing) = (clock::now_ms(), self.allocator.backing());
        // A thread is found idle at the second look.
        let idle_ms = self.delay_ms / 2;
        backing.extents().attend();
        let found = backing.keep_idle_heaps(now, idle_ms, self.steps);
        let more = (found.busy > 0 || found.kept > 0).then_some(idle_ms.max(1));
        backing.purge_aged(now, self.delay_ms).into_iter().chain(more).min()
    }

    // Nothing to reset. Slabs that an interrupted round had taken out leak in the child, like other threads' caches.
    fn reset_after_fork(&self) {}
}
