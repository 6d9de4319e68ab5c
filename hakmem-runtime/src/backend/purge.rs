//! Memory on its way back to the system.

use super::TICKS;
use super::pool::{Pool, pop};
use super::superslab::SuperSlab;
use crate::sys::mmap;
use core::sync::atomic::Ordering;

impl Pool {
    /// Whether it is time to look for memory to purge, after a `delay`; cheap when it is not. Whoever is told so sees to it.
    pub(crate) fn is_due(&self, now: u32, delay: u32) -> bool {
        let due = self.purge_due.load(Ordering::Relaxed);
        // `due` lies at most a quarter of a delay and one ahead of the moment it was set in. Anything else is past, also after
        // the clock has wrapped.
        if due.wrapping_sub(now).wrapping_sub(1) <= delay / TICKS {
            return false;
        }
        // Whoever moves the time does the work, the others go on.
        let next = now.wrapping_add(delay / TICKS).wrapping_add(1);
        self.purge_due.compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// Moves the slabs of the lock-free list to the free_runs, from where they can be purged. A slab adrift is never empty:
    /// whoever freed its last block has claimed it by that.
    pub(crate) fn gather(&self, now: u32) {
        let geometry = self.config.geometry;
        loop {
            let slab = pop(&self.free);
            if slab.is_null() {
                break;
            }
            self.listed.fetch_sub(1, Ordering::Relaxed);
            // SAFETY: we popped it, so it is ours; we hold the lock.
            unsafe { self.free_runs.lock().put(slab, 1, now, geometry) };
        }
    }

    /// Gives back the address space of SuperSlabs without a slab in use, and what regions reserve beyond their
    /// SuperSlabs, when the system has none left for a large block.
    pub(crate) fn release_address_space(&self) {
        // SAFETY: we hold the lock.
        unsafe { self.free_runs.lock().release_address_space(self.config.geometry) };
    }

    /// Gives back the memory of all slabs free for `delay` milliseconds, a SuperSlab's worth a time. The kernel works
    /// while the lock is free: the slabs are taken out before and put back after.
    pub(crate) fn purge(&self, now: u32, delay: u32) {
        if !self.can_purge() {
            return;
        }
        let geometry = self.config.geometry;
        loop {
            // SAFETY: we hold the lock, and give the slabs back below.
            let Some((superslab, taken)) = (unsafe { self.free_runs.lock().take_aged(now, delay) }) else { return };
            let mut refused = 0;
            for (first, count) in SuperSlab::runs(taken) {
                // SAFETY: metadata is never unmapped.
                let address = unsafe { (*superslab).slab_address(first, geometry) };
                if !mmap::purge(address, (count as usize) << geometry.slab_shift) {
                    refused |= taken;
                }
            }
            // SAFETY: they are the ones we took; we hold the lock.
            unsafe { self.free_runs.lock().put_purged(superslab, taken, refused) };
        }
    }

    /// For how long the memory that has waited longest for its purge has waited by `now`.
    pub(crate) fn oldest(&self, now: u32) -> Option<u32> {
        let since = if self.can_purge() { self.free_runs.lock().oldest_since() } else { None };
        since.map(|since| now.wrapping_sub(since))
    }

    /// Whether a slab is whole pages. A part of a page could hold a neighbour's blocks.
    fn can_purge(&self) -> bool {
        self.config.geometry.slab_size() >= mmap::page_size()
    }
}
