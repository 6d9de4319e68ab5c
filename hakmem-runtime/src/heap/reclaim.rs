//! Abandoned slabs that a heap reclaims by freeing into them, and slabs that it abandons or retires.

use super::Heap;
use super::acquire::MAX_CACHED;
use super::remote_batch::misuse;
use crate::slab::Slab;
use core::sync::atomic::Ordering;

/// A heap with so many partial slabs of a class keeps no more that it reclaims, except those that it allocated from
/// last (`last_owner`). (With 16 or 32 for classes that it allocates from, `cache` takes 0.89 or 0.85 of the
/// instructions and no less time, and `messages` 22 or 28 MiB instead of 18: docs/decisions.)
const MAX_ADOPTED: u32 = 4;

impl Heap {
    /// Reclaims an abandoned slab if the heap would keep it. `true`: the heap owns the slab, which is in no bin. The
    /// caller is about to free `block`, which is in the slab, as a block of the class; another class ends the program.
    pub(crate) fn reclaim(&self, slab: &'static Slab, class_index: u32, block: usize) -> bool {
        if !self.should_adopt(slab, class_index) || !slab.remote.reclaim() {
            return false;
        }
        if slab.class_index() != class_index {
            misuse(slab, block);
        }
        slab.set_owner(self.owner_id(class_index));
        true
    }

    /// Keeps, abandons or retires a slab that the heap has just reclaimed: it is in no bin, and has a free block.
    pub(crate) fn keep_or_abandon(&self, slab: &'static Slab) {
        let class_index = slab.class_index();
        if slab.is_empty() {
            self.retire(slab);
        } else if self.should_adopt(slab, class_index) {
            self.bin(class_index).partial.push(slab);
        } else {
            self.abandon_or_retire(slab);
        }
    }

    /// Whether to keep a slab that this heap reclaims by a free. As long as the heap does not own it, `last_owner` may
    /// change; then the answer is less good, but not wrong.
    #[inline]
    fn should_adopt(&self, slab: &Slab, class_index: u32) -> bool {
        slab.last_owner.load(Ordering::Relaxed) == self.owner_id(class_index)
            || self.bin(class_index).partial.count() < MAX_ADOPTED
    }

    /// Gives up a slab of this heap that is in no bin: retires it if it is empty, else abandons it.
    #[inline(never)] // Called from many places.
    pub(super) fn abandon_or_retire(&self, slab: &'static Slab) {
        if !self.backing.pool().abandon_unless_empty(slab) {
            self.retire(slab);
        }
    }

    /// Makes a slab of this heap a free one, which the heap caches or gives to the pool. It is in no bin, and no block
    /// of it is in use.
    #[inline(never)] // Called from many places.
    pub(super) fn retire(&self, slab: &'static Slab) {
        let net_inits = &self.bin(slab.class_index()).net_inits;
        net_inits.set(net_inits.get().saturating_sub(1));
        let slabs = self.backing.class(slab.class_index()).slabs;
        slab.reset();
        if slabs == 1 && self.cached.count() < MAX_CACHED {
            self.cached.push(slab);
        } else {
            self.backing.pool().put_free(slab, slabs);
            self.note_purge_pending();
        }
    }

    /// Retires a slab in a bin of this heap, which has no block in use any more, unless it is the bin's current one,
    /// from which the next refill takes blocks.
    #[cold]
    pub(crate) fn retire_if_not_current(&self, slab: &'static Slab) {
        let bin = self.bin(slab.class_index());
        if !bin.current.get().is_some_and(|current| core::ptr::eq(current, slab)) {
            bin.partial.remove(slab);
            self.retire(slab);
        }
    }

    /// Gives the cached slabs to the pool.
    pub(super) fn release_cached(&self) {
        while let Some(slab) = self.cached.pop() {
            self.backing.pool().put_free(slab, 1);
        }
    }
}
