//! Memory on its way back to the system.

use super::TICKS;
use super::superslab::SuperSlab;
use super::{Pool, pop, push, slab_at};
use crate::os::memory;
use crate::slab::Slab;
use core::sync::atomic::Ordering;

impl Pool {
    /// Purges if it is time; cheap when it is not. `units_of` tells how many slabs a span of a class has.
    pub(crate) fn purge_if_due(&self, now: u32, units_of: impl Fn(u32) -> u32) {
        let Some(delay) = self.config.purge_delay else { return };
        let due = self.purge_due.load(Ordering::Relaxed);
        // `due` lies at most a quarter of a delay and one ahead of the moment it was set in. Anything else is past, also after
        // the clock has wrapped.
        if due.wrapping_sub(now).wrapping_sub(1) <= delay / TICKS {
            return;
        }
        // Whoever moves the time does the work, the others go on.
        let next = now.wrapping_add(delay / TICKS).wrapping_add(1);
        if self.purge_due.compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            self.gather(now, units_of);
            self.purge(now, delay);
        }
    }

    /// Moves to the shelves what could be purged from there: slabs in the lock-free lists, and published partial slabs
    /// that other threads have emptied.
    pub(crate) fn gather(&self, now: u32, units_of: impl Fn(u32) -> u32) {
        let geometry = self.config.geometry;
        loop {
            let slab = pop(&self.free);
            if slab.is_null() {
                break;
            }
            self.listed.fetch_sub(1, Ordering::Relaxed);
            // SAFETY: we popped it, so it is ours; we hold the lock.
            unsafe { self.shelves.lock().put(slab, 1, now, geometry) };
        }
        for (class, stack) in self.partial.iter().enumerate() {
            let mut next = stack.take_all().map_or(core::ptr::null_mut(), slab_at);
            while !next.is_null() {
                let slab: *mut Slab = next;
                // SAFETY: the whole chain is ours since `take_all`, metadata is never unmapped.
                unsafe {
                    let below = (*slab).below.load(Ordering::Relaxed);
                    next = if below == 0 { core::ptr::null_mut() } else { slab_at(below) };
                    (*slab).collect();
                    if (*slab).is_empty() {
                        (*slab).end();
                        self.shelves.lock().put(slab, units_of(class as u32), now, geometry);
                    } else {
                        push(stack, slab);
                    }
                }
            }
        }
    }

    /// Gives back the address space of SuperSlabs without a slab in use, and what regions reserve beyond their
    /// SuperSlabs, when the system has none left for a large block.
    pub(crate) fn release_address_space(&self) {
        // SAFETY: we hold the lock.
        unsafe { self.shelves.lock().release_address_space(self.config.geometry) };
    }

    /// Gives back the memory of all slabs free for `delay` milliseconds, a SuperSlab's worth a time. The kernel works
    /// while the lock is free: the slabs are taken out before and put back after.
    pub(crate) fn purge(&self, now: u32, delay: u32) {
        let geometry = self.config.geometry;
        let page = memory::page_size();
        if geometry.slab_size() < page {
            return; // A page could hold a neighbour's blocks.
        }
        loop {
            // SAFETY: we hold the lock, and give the slabs back below.
            let Some((superslab, taken)) = (unsafe { self.shelves.lock().take_aged(now, delay) }) else { return };
            let mut refused = 0;
            for (first, count) in SuperSlab::runs(taken) {
                // SAFETY: metadata is never unmapped.
                let address = unsafe { (*superslab).slab_address(first, geometry) };
                if !memory::purge(address, (count as usize) << geometry.slab_shift) {
                    refused |= taken;
                }
            }
            // SAFETY: they are the ones we took; we hold the lock.
            unsafe { self.shelves.lock().put_purged(superslab, taken, refused) };
        }
    }
}
