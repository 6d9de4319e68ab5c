//! Acquires a slab to allocate from, at the first of these stages that has one, cheapest first:
//!
//! 1. the heap's partial slabs of the class, oldest first;
//! 2. an abandoned slab of the class with free blocks, from the pool: one compare-and-swap;
//! 3. a free slab that the heap has cached;
//! 4. a free slab of the pool's lock-free list: one compare-and-swap;
//! 5. under the pool's lock, free slabs of a SuperSlab in use, the fullest first; used memory before fresh, and up to
//!    [`MAX_CACHED`] more of it are taken along;
//! 6. the newest region's next SuperSlab, or one that was unmapped, mapped again;
//! 7. a new region.
//!
//! Before a slab of fresh memory is used, the blocks that layers share between threads go to their slabs. If there were
//! any, the search begins again. If the system has no memory, all that is free is purged, and stages 4 to 7 are tried
//! again.

use super::{Heap, Portion};
use crate::slab::Slab;
use crate::sys::mmap;
use core::sync::atomic::Ordering;

/// The most free slabs that a heap caches. When it locks the pool for used memory it takes this many extra, so it locks
/// it for every third slab; fresh slabs it takes one at a time.
pub(super) const MAX_CACHED: u32 = 2;

/// A heap with more slabs of a class than this expects to fill each new one soon, and has the kernel map all of its
/// pages at once: 1.65 µs per page instead of 2.4, and a burst of 400 MiB in 0.85 of the time (docs/decisions). At most
/// an eighth of the class's memory is resident without use because of this.
const POPULATE_ABOVE: u32 = 8;

/// How many partial slabs an acquire examines. It abandons those that are full.
const MAX_EXAMINED: u32 = 8;

impl Heap {
    /// Acquires a slab of a class to allocate from. It is in no bin. `None`: no memory.
    pub(super) fn acquire(&self, class_index: u32) -> Option<&'static Slab> {
        if let Some(slab) = self.acquire_used(class_index) {
            return Some(slab);
        }
        let (pool, slabs) = (self.backing.pool(), self.backing.class(class_index).slabs);
        let take = || pool.take_free(slabs, MAX_CACHED, self.backing.id(), |more| self.cached.push(more));
        let mut slab = take();
        if slab.is_none_or(|slab| slab.fresh.get()) && self.backing.trim(Some(self), Portion::All) {
            // The pool had no memory that was used before, but the layers shared some blocks, which are in their slabs
            // now: try those first.
            if let Some(untouched) = slab {
                pool.put_aside(untouched, slabs);
            }
            if let Some(slab) = self.acquire_used(class_index) {
                return Some(slab);
            }
            slab = take();
        }
        if slab.is_none() {
            // Return all memory that is free to the system, which may then have some for a new slab.
            self.backing.purge(None);
            slab = take();
        }
        slab.inspect(|slab| {
            if slab.fresh.get() {
                // Large blocks that are only kept must not add to the program's peak.
                self.backing.extents().make_room(&self.extents, (slabs as usize) << pool.geometry().slab_shift);
            }
            self.init_slab(slab, class_index);
        })
    }

    /// Stages 1 to 3.
    fn acquire_used(&self, class_index: u32) -> Option<&'static Slab> {
        let pool = self.backing.pool();
        for own in (0..MAX_EXAMINED).map_while(|_| self.bin(class_index).pop_oldest()) {
            if own.has_free_blocks() || !pool.abandon(own) {
                return Some(own);
            }
        }
        while let Some(abandoned) = pool.take_partial(class_index) {
            // Since it was pushed on the class's stack, another thread may have filled it or given it another class.
            if abandoned.class_index() == class_index && abandoned.has_free_blocks() {
                abandoned.last_owner.store(self.owner_id(class_index), Ordering::Relaxed);
                abandoned.set_owner(self.owner_id(class_index));
                return Some(abandoned);
            }
            self.abandon_or_retire(abandoned);
        }
        if self.backing.class(class_index).slabs > 1 {
            return None;
        }
        self.cached.pop().inspect(|slab| self.init_slab(slab, class_index))
    }

    /// Gives a free span, which the heap has to itself, a class.
    fn init_slab(&self, slab: &'static Slab, class_index: u32) {
        let (geometry, class) = (self.backing.pool().geometry(), self.backing.class(class_index));
        slab.init(class_index, class, self.owner_id(class_index), geometry.memory_of(slab));
        let net_inits = &self.bin(class_index).net_inits;
        net_inits.set(net_inits.get().wrapping_add(1));
        if net_inits.get() > POPULATE_ABOVE && class.slabs == 1 && slab.fresh.get() {
            mmap::populate(geometry.base(slab), geometry.slab_size());
            slab.touched.set(geometry.slab_size() as u32);
        }
    }
}
