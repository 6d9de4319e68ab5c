//! SuperSlabs in order: by the longest run of free slabs for whoever looks for room, by age for whoever purges.
//!
//! A bin number is a tier that acquisition reads without touching a SuperSlab: 0 is full, low ones are hot (nearly
//! full), high ones draining, and the last is empty. Room is taken from the lowest bin that has it, so that the
//! fullest fill up and the emptiest drain.

use super::region::Region;
use super::superslab::SuperSlab;
use crate::meta::page_map::{self, GRANULE, Owner};
use crate::slab::{Geometry, Slab};
use crate::sys::mmap::{self, Access};
use core::ptr;

/// How many SuperSlabs of a bin are looked at for the fullest.
const CANDIDATES: u32 = 4;

/// The free_runs, under the pool's lock.
///
/// # Invariants
/// A SuperSlab with `run = r` is on bin `r`; bit `r` of `stocked` is set ⇔ bin `r` has any (r ≥ 1).
#[derive(Debug)]
pub(crate) struct FreeRunBins {
    free_runs: [*mut SuperSlab; 65],
    stocked: u128,
    oldest: *mut SuperSlab,
    youngest: *mut SuperSlab,
    /// SuperSlabs whose address space was given back; they stand on no bin.
    gone: *mut SuperSlab,
    pub(crate) newest_region: *mut Region,
}

// SAFETY: the pointers are to metadata that is never unmapped and that only the lock's holder touches.
unsafe impl Send for FreeRunBins {}

impl FreeRunBins {
    pub(crate) const EMPTY: FreeRunBins = FreeRunBins {
        free_runs: [ptr::null_mut(); 65],
        stocked: 0,
        oldest: ptr::null_mut(),
        youngest: ptr::null_mut(),
        gone: ptr::null_mut(),
        newest_region: ptr::null_mut(),
    };

    /// Takes `units` consecutive slabs from a SuperSlab in use; null if none has the room.
    ///
    /// # Safety
    /// The free_runs hold SuperSlabs of this geometry.
    pub(crate) unsafe fn take(&mut self, units: u32, geometry: Geometry) -> *mut Slab {
        let enough = self.stocked >> units << units;
        if enough == 0 {
            return ptr::null_mut();
        }
        let Some(&first) = self.free_runs.get(enough.trailing_zeros() as usize) else { return ptr::null_mut() };
        // SAFETY: what stands on a bin is live metadata under our lock.
        unsafe {
            let mut best = first;
            let mut candidate = (*first).next.get();
            for _ in 1..CANDIDATES {
                if candidate.is_null() {
                    break;
                }
                if (*candidate).free.get().count_ones() < (*best).free.get().count_ones() {
                    best = candidate;
                }
                candidate = (*candidate).next.get();
            }
            self.remove(best);
            let taken = (*best).take(units);
            self.place(best);
            let Some((index, fresh)) = taken else { return ptr::null_mut() };
            let slab = (*best).slab(index, geometry);
            for later in 0..units {
                (*slab.wrapping_add(later as usize)).back.set(later as u16);
            }
            (*slab).fresh.set(fresh);
            if fresh {
                (*slab).touched.set(0);
            }
            slab
        }
    }

    /// Puts a free span back.
    ///
    /// # Safety
    /// Nobody has the span any more.
    pub(crate) unsafe fn put(&mut self, slab: *mut Slab, units: u32, now: u32, geometry: Geometry) {
        let (superslab, index) = SuperSlab::of(slab, geometry);
        // SAFETY: the slab is in a SuperSlab of ours.
        unsafe {
            self.remove(superslab);
            (*superslab).put(index, units, (*slab).fresh.get());
            self.place(superslab);
            self.age(superslab, now);
        }
    }

    /// Queues a SuperSlab for purging if it has dirty slabs and is not queued.
    ///
    /// # Safety
    /// `superslab` is ours.
    pub(crate) unsafe fn age(&mut self, superslab: *mut SuperSlab, now: u32) {
        // SAFETY: live metadata under our lock.
        unsafe {
            if (*superslab).dirty.get() == 0 || (*superslab).aging.replace(true) {
                return;
            }
            (*superslab).since.set(now);
            (*superslab).younger.set(ptr::null_mut());
            if self.youngest.is_null() {
                self.oldest = superslab;
            } else {
                (*self.youngest).younger.set(superslab);
            }
        }
        self.youngest = superslab;
    }

    /// When the SuperSlab that is first in the queue entered it.
    pub(crate) fn oldest_since(&self) -> Option<u32> {
        // SAFETY: null, or live metadata under our lock.
        unsafe { self.oldest.as_ref() }.map(|superslab| superslab.since.get())
    }

    /// The next SuperSlab with slabs dirty for `delay` milliseconds, and these slabs, taken out for purging.
    ///
    /// # Safety
    /// The caller gives them back with [`FreeRunBins::put_purged`].
    pub(crate) unsafe fn take_aged(&mut self, now: u32, delay: u32) -> Option<(*mut SuperSlab, u64)> {
        loop {
            let superslab = self.oldest;
            if superslab.is_null() {
                return None;
            }
            // SAFETY: live metadata under our lock.
            unsafe {
                if now.wrapping_sub((*superslab).since.get()) < delay {
                    return None;
                }
                self.oldest = (*superslab).younger.get();
                if self.oldest.is_null() {
                    self.youngest = ptr::null_mut();
                }
                (*superslab).aging.set(false);
                if (*superslab).dirty.get() != 0 {
                    self.remove(superslab);
                    let taken = (*superslab).take_dirty();
                    self.place(superslab);
                    return Some((superslab, taken));
                }
            }
        }
    }

    /// Gives purged slabs back.
    ///
    /// # Safety
    /// They came from [`FreeRunBins::take_aged`].
    pub(crate) unsafe fn put_purged(&mut self, superslab: *mut SuperSlab, taken: u64, refused: u64) {
        // SAFETY: live metadata under our lock.
        unsafe {
            self.remove(superslab);
            (*superslab).put_clean(taken, refused);
            self.place(superslab);
        }
    }

    /// Gives back the address space of every SuperSlab that is free as a whole, and of the newest region's reserve.
    ///
    /// # Safety
    /// The free_runs hold SuperSlabs of this geometry.
    pub(crate) unsafe fn release_address_space(&mut self, geometry: Geometry) {
        if geometry.superslab_size() < GRANULE {
            return; // the page map could not tell it from its neighbours.
        }
        // SAFETY: live metadata under our lock; nobody has a block in a SuperSlab that is free.
        unsafe {
            if let Some(region) = self.newest_region.as_ref() {
                region.release_reserve(geometry);
            }
            let empty = geometry.slabs_per_superslab();
            while let Some(&superslab) = self.free_runs.get(empty)
                && !superslab.is_null()
            {
                self.remove(superslab);
                let address = (*superslab).slab_address(0, geometry);
                page_map::remove(address, geometry.superslab_size());
                mmap::unmap(address, geometry.superslab_size());
                (*superslab).dirty.set(0);
                (*superslab).next.set(self.gone);
                self.gone = superslab;
            }
        }
    }

    /// Maps a SuperSlab again whose address space was given back, if it is still to be had.
    ///
    /// # Safety
    /// As [`FreeRunBins::release_address_space`].
    pub(crate) unsafe fn remap(&mut self, geometry: Geometry, allocator: u8) -> bool {
        // SAFETY: live metadata under our lock.
        unsafe {
            let superslab = self.gone;
            if superslab.is_null() {
                return false;
            }
            let (address, size) = ((*superslab).slab_address(0, geometry), geometry.superslab_size());
            if !mmap::map_at(address, size, Access::ReadWrite) {
                return false;
            }
            let owner = Owner::Region(allocator);
            if !page_map::enter(address, size, owner, owner) {
                mmap::unmap(address, size);
                return false;
            }
            self.gone = (*superslab).next.get();
            (*superslab).begin(geometry, 0);
            self.place(superslab);
        }
        true
    }

    /// Puts a SuperSlab on the bin that its books name.
    ///
    /// # Safety
    /// It is on no bin.
    pub(crate) unsafe fn place(&mut self, superslab: *mut SuperSlab) {
        // SAFETY: live metadata under our lock.
        unsafe {
            let run = (*superslab).run.get();
            let Some(bin) = self.free_runs.get_mut(run as usize) else { return };
            (*superslab).previous.set(ptr::null_mut());
            (*superslab).next.set(*bin);
            if !bin.is_null() {
                (**bin).previous.set(superslab);
            }
            *bin = superslab;
            if run > 0 {
                self.stocked |= 1 << run;
            }
        }
    }

    /// Takes a SuperSlab off its bin, before its books change.
    unsafe fn remove(&mut self, superslab: *mut SuperSlab) {
        // SAFETY: live metadata under our lock; the SuperSlab is on the bin that its books name.
        unsafe {
            let run = (*superslab).run.get();
            let (previous, next) = ((*superslab).previous.get(), (*superslab).next.get());
            if !next.is_null() {
                (*next).previous.set(previous);
            }
            if previous.is_null() {
                let Some(bin) = self.free_runs.get_mut(run as usize) else { return };
                *bin = next;
                if next.is_null() {
                    self.stocked &= !(1 << run);
                }
            } else {
                (*previous).next.set(next);
            }
        }
    }
}
