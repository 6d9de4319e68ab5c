//! Refill: blocks from slabs to the layers.

use super::Heap;
use crate::slab::page_list::MIN_LIST;
use crate::slab::{Batch, FreeBlock, Slab};

impl Heap {
    /// Calls `take` with the bin's current slab, then with newly acquired ones, until it returns something. `None`: no
    /// memory.
    #[inline]
    fn refill<T>(&self, class_index: u32, mut take: impl FnMut(&'static Slab) -> Option<T>) -> Option<T> {
        self.tick();
        let bin = self.bin(class_index);
        let mut was_current = true;
        loop {
            if let Some(slab) = bin.current.get() {
                if let Some(taken) = take(slab) {
                    return Some(taken);
                }
                // Full: abandon it, unless there are partial slabs, after which it waits for frees.
                bin.current.set(None);
                if !(was_current && bin.enqueue_full(slab) || self.backing.pool().abandon(slab)) {
                    // Other threads have freed blocks into it since.
                    bin.current.set(Some(slab));
                    continue;
                }
            }
            was_current = false;
            bin.current.set(Some(self.acquire(class_index)?));
        }
    }

    /// Puts at least one block of a class into `batch`, which has room, and as many as one slab has. It stays empty
    /// only if there is no memory.
    pub(crate) fn refill_batch(&self, class_index: u32, batch: &mut Batch<'_>) {
        self.refill(class_index, |slab| {
            let count = slab.take(batch.room(), |run| batch.push_run(run));
            (count > 0).then_some(())
        });
    }

    /// For `pages`: binds a slab of a class whose `free` list has up to `want` blocks, or all that were freed into it.
    /// `None`: no memory.
    pub(crate) fn refill_page(&self, class_index: u32, want: u32) -> Option<&'static Slab> {
        let limit = &self.bin(class_index).list_limit;
        self.refill(class_index, |slab| {
            let count = match limit.next(slab.capacity()) {
                None => slab.fill_free(want.max(MIN_LIST)),
                Some(limit) => {
                    if slab.free_count() == 0 {
                        slab.unlist();
                    }
                    slab.fill_free_from_bitmap(limit.min(want))
                }
            };
            (count > 0).then(|| {
                slab.bind(count);
                slab
            })
        })
    }

    /// For `pages`: makes the blocks that were freed into a bound slab its `free` list. `false`: there are none, or the
    /// bin is throttled.
    pub(crate) fn relist(&self, class_index: u32, slab: &Slab) -> bool {
        let limit = &self.bin(class_index).list_limit;
        if limit.current(slab.capacity()).is_some() {
            return false;
        }
        let count = slab.collect_local();
        if limit.count_down(count) {
            self.tick();
            // The tick may have started the throttle, which empties all lists.
            return !slab.free_is_empty();
        }
        count > 0
    }

    /// A block of a class that is known to be zero, if the current slab has memory that was never touched, and nothing
    /// else to offer.
    pub(crate) fn carve_zeroed(&self, class_index: u32) -> Option<FreeBlock> {
        let bin = self.bin(class_index);
        let slab = match bin.current.get() {
            Some(slab) => slab,
            None => {
                let slab = self.acquire(class_index)?;
                bin.current.set(Some(slab));
                slab
            }
        };
        // Blocks that were used before come first: saving a memset is not worth more memory.
        if slab.free_count() > 0 || slab.remote.count() > 0 { None } else { slab.carve_zeroed() }
    }
}
