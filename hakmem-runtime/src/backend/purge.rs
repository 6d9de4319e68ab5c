//! How the pool's memory returns to the system.

use super::pool::{Pool, TICKS};
use super::superslab::{mask, runs};
#[cfg(hakmem_sim)]
use crate::simulated::{Step, leaves_out};
use crate::sys::mmap;
use core::sync::atomic::Ordering;

impl Pool {
    /// Claims the next purge if one is due, where memory is kept for `delay` milliseconds. One thread gets `true`, and
    /// does it. Cheap if none is due.
    pub(crate) fn claim_purge(&self, now: u32, delay: u32) -> bool {
        let due = self.purge_due.load(Ordering::Relaxed);
        // `due` was set to at most a quarter of the delay, plus one, in the future. A larger distance means that it has
        // passed, even if the clock has wrapped since.
        if due.wrapping_sub(now).wrapping_sub(1) <= delay / TICKS {
            return false;
        }
        // The thread that sets the next time does the work.
        let next = now.wrapping_add(delay / TICKS).wrapping_add(1);
        self.purge_due.compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// Moves the slabs on the lock-free list into the bins, where they can be purged.
    pub(crate) fn gather(&self, now: u32) {
        while let Some(slab) = self.take_listed() {
            self.free_runs.lock().put(slab, 1, now, self.config.geometry);
        }
    }

    /// Unmaps SuperSlabs without a slab in use, and the newest region's uncommitted rest: for when the system has no
    /// address space left for a large block.
    pub(crate) fn unmap_empty(&self) {
        self.free_runs.lock().unmap_empty(self.config.geometry);
    }

    /// Purges all slabs that have been free for `delay` milliseconds, one SuperSlab at a time. They are taken out
    /// first, so that the lock is not held while the kernel works.
    pub(crate) fn purge(&self, now: u32, delay: u32) {
        if !self.can_purge() {
            return;
        }
        let geometry = self.config.geometry;
        loop {
            let Some(aged) = self.free_runs.lock().take_aged(now, delay, geometry) else { return };
            #[cfg(hakmem_sim)]
            if leaves_out(Step::TakeAged) {
                self.free_runs.lock().put_purged(aged.clone(), 0);
            }
            let mut refused = 0;
            for (first, count) in runs(aged.slabs) {
                if !mmap::purge(aged.address(first, geometry), (count as usize) << geometry.slab_shift) {
                    refused |= mask(first, count);
                }
            }
            self.free_runs.lock().put_purged(aged, refused);
        }
    }

    /// For how long the first SuperSlab in the queue may have had dirty slabs.
    pub(crate) fn oldest(&self, now: u32) -> Option<u32> {
        let since = if self.can_purge() { self.free_runs.lock().oldest_since() } else { None };
        since.map(|since| now.wrapping_sub(since))
    }

    /// Whether a slab consists of whole pages. If not, a neighbour's blocks may be in its pages.
    fn can_purge(&self) -> bool {
        self.config.geometry.slab_size() >= mmap::page_size()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::pool::PoolConfig;
    use crate::slab::{Geometry, Slab};
    use std::vec::Vec;

    const SLAB: u32 = 64 << 10;
    const ID: u8 = 251;

    #[test]
    fn only_what_the_kernel_refuses_to_purge_stays_dirty() {
        let geometry = Geometry::new(16 * SLAB, SLAB);
        let pool = Pool::new(PoolConfig { geometry, huge_pages: false, purge_delay: Some(1000) }, &[]);
        // Five pairs of slabs. The first, third and fifth will be three runs of free slabs; the third is locked in
        // memory.
        let spans: Vec<_> = (0..5).map(|_| pool.take_free(2, 0, ID, |_| {}).expect("memory")).collect();
        let address = |slab: &Slab| geometry.base(slab);
        let locked = core::ptr::with_exposed_provenance(address(spans[2]));
        // SAFETY: the slabs are ours, of this length.
        assert_eq!(unsafe { libc::mlock(locked, 2 * SLAB as usize) }, 0, "a limit on locked memory below 128 KiB?");
        for &slab in spans.iter().step_by(2) {
            slab.fresh.set(false);
            pool.put_free(slab, 2);
        }
        pool.purge(crate::sys::clock::now_ms(), 0);
        // Dirty slabs are taken first, and are not fresh.
        let again: Vec<_> = (0..3).map(|_| pool.take_free(2, 0, ID, |_| {}).expect("memory")).collect();
        let fresh: Vec<_> = again.iter().map(|slab| slab.fresh.get()).collect();
        assert_eq!((address(again[0]), fresh), (address(spans[2]), std::vec![false, true, true]));
    }

    #[test]
    fn an_unmapped_superslab_whose_addresses_are_taken_does_not_hide_others() {
        let geometry = Geometry::new(2 << 20, SLAB);
        let pool = Pool::new(PoolConfig { geometry, huge_pages: false, purge_delay: Some(1000) }, &[]);
        let slabs = geometry.slabs_per_superslab() as u32;
        let take = || pool.take_free(slabs, 0, ID, |_| {}).expect("memory");
        let all = [take(), take(), take()];
        let addresses = all.map(|slab| geometry.base(slab));
        let mut taken = Vec::from(all);
        for free in addresses {
            taken.drain(..).for_each(|slab| pool.put_free(slab, slabs));
            pool.unmap_empty();
            let others: Vec<usize> = addresses.into_iter().filter(|&other| other != free).collect();
            for &other in &others {
                assert!(mmap::map_at(other, mmap::page_size(), mmap::Access::Reserved), "it was unmapped");
            }
            taken.push(take());
            assert_eq!((geometry.base(taken[0]), pool.regions().count()), (free, 1));
            for &other in &others {
                assert!(mmap::unmap(other, mmap::page_size()));
            }
        }
    }
}
