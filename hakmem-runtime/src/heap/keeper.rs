//! The keeper: who takes from the heaps of threads that sleep what these do not need, so that other threads can use it, or the
//! system. It is the purger's thread, or one that purges everything. `slab/parked.rs` says how, without an instruction on the
//! sleeping threads' hits.

use super::presence::{KEPT, Presence, SHUT};
use super::{Backing, Heap, OnCache};
use crate::meta::biased_lock::{Fences, Kernel};
use crate::slab::parked::Kept;
use core::sync::atomic::Ordering;

/// How many heaps are closed at a time. A thread that wakes up waits for the keeper no longer than it has to do with these.
const BATCH: usize = 8;

/// What a keeper does with a thread cache, whose thread is shut out of its slow paths.
///
/// # Invariants
/// Both functions take the thread caches of the allocator whose heaps the keeper looks at.
#[derive(Debug, Clone, Copy)]
pub struct KeeperSteps {
    /// Makes hits miss.
    pub(crate) shut: OnCache,
    /// After a fence: flushes what the layers keep.
    pub(crate) take_over: OnCache,
}

/// What a keeper found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HeapsFound {
    /// Heaps of threads that took a slow path lately.
    pub(crate) busy: u32,
    /// Of the others: heaps of threads in a slow path; all where the kernel has no fence.
    pub(crate) unreached: u32,
    /// Heaps that were taken over now.
    pub(crate) kept: u32,
}

impl Backing {
    /// Takes over the heaps of threads that have taken no slow path for `idle_ms`, and looks at those again that were taken
    /// over before.
    pub(crate) fn keep_idle_heaps(&self, now: u32, idle_ms: u32, steps: KeeperSteps) -> HeapsFound {
        let _one_at_a_time = self.keeper.lock();
        let mut busy = 0;
        let mut idle = self.presences.iter().filter(|presence| presence.has_thread()).filter(|presence| {
            let idle = presence.idle_ms(now) >= idle_ms;
            busy += u32::from(!idle);
            idle
        });
        let (mut unreached, mut kept) = (0, 0);
        loop {
            let batch: [Option<&Presence>; BATCH] = core::array::from_fn(|_| idle.next());
            if batch.iter().all(Option::is_none) {
                break;
            }
            let closed = || batch.iter().copied().flatten().filter(|presence| presence.is_closed());
            batch.iter().flatten().for_each(|presence| presence.close());
            let fenced = Kernel::heavy();
            let mut any = false;
            for presence in closed() {
                match presence.heap_if_left().filter(|_| fenced && presence.has_thread()) {
                    Some(heap) => any |= heap.shut(steps.shut),
                    None => {
                        unreached += 1;
                        presence.open();
                    }
                }
            }
            let fenced = !any || Kernel::heavy();
            for presence in closed() {
                if fenced && let Some(heap) = presence.heap_if_left() {
                    kept += u32::from(heap.take_over(steps.take_over));
                }
                presence.open();
            }
        }
        HeapsFound { busy, unreached, kept }
    }
}

/// The keeper's part: the heap is closed, and its thread has left.
impl Heap {
    /// Makes the thread's hits miss, unless that was done before. `true`: a fence must follow.
    fn shut(&self, shut: OnCache) -> bool {
        if self.presence.state.load(Ordering::Relaxed) == KEPT {
            return false;
        }
        self.presence.state.store(SHUT, Ordering::Relaxed);
        for bin in self.bins() {
            bin.slabs().for_each(|slab| slab.shut());
        }
        self.on_cache(shut);
        true
    }

    /// After the fence. `true`: for the first time.
    fn take_over(&self, take_over: OnCache) -> bool {
        let first = self.presence.state.swap(KEPT, Ordering::Relaxed) == SHUT;
        if first {
            self.on_cache(take_over);
            self.release_cached();
        }
        for (bin, class) in self.bins().iter().zip(self.backing.classes()) {
            for slab in bin.partial.iter() {
                if slab.take_over(class, false) == Kept::Emptied {
                    bin.partial.remove(slab);
                    bin.net_inits.set(bin.net_inits.get().saturating_sub(1));
                    self.backing.put_free(slab);
                }
            }
            if let Some(current) = bin.current.get() {
                let _in_use = current.take_over(class, true);
            }
        }
        first
    }
}
