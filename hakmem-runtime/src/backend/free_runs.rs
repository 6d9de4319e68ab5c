//! A pool's SuperSlabs: in bins by their longest run of free slabs, for requests, and in a queue by age, for purges.
//!
//! Bin *r* holds the SuperSlabs whose longest run of free slabs is *r*: bin 0 the full ones, the highest bin in use the
//! empty ones. A request for *n* slabs is served from the lowest bin ≥ *n* that is not empty, so fuller SuperSlabs fill
//! up and empty ones stay empty.

use super::region::Region;
use super::superslab::SuperSlab;
use crate::meta::page_map::{self, GRANULE, Occupant};
use crate::slab::{Geometry, Slab};
use crate::sys::mmap::{self, Access};
use core::sync::atomic::Ordering;

/// How many SuperSlabs of a bin are compared to find the fullest.
const CANDIDATES: u32 = 4;

/// How many unmapped SuperSlabs to try to map again before a new region is mapped instead.
const REMAP_TRIES: u32 = 8;

/// Bins for runs of 0 to 64 slabs.
const BINS: usize = 65;

/// All SuperSlabs of a pool, under its lock.
///
/// # Invariants
/// ```text
/// superslab.run == r  ⇔  it is in bins[r], or in unmapped
/// nonempty has bit r   ⇔  bins[r] is not empty          (r ≥ 1)
/// oldest → younger → … → youngest: those with `aging`, in the order in which they were queued
/// ```
/// SuperSlabs in `unmapped` have all slabs free and none dirty. Their address space is not ours. The last one is
/// `unmapped_last`.
#[derive(Debug)]
pub(crate) struct FreeRunBins {
    bins: [Option<&'static SuperSlab>; BINS],
    nonempty: u128,
    oldest: Option<&'static SuperSlab>,
    youngest: Option<&'static SuperSlab>,
    unmapped: Option<&'static SuperSlab>,
    unmapped_last: Option<&'static SuperSlab>,
    pub(super) newest_region: Option<&'static Region>,
}

// SAFETY: the fields that are not `Send` are references to SuperSlabs and regions, whose cells two threads must not
// access at the same time. Those cells are accessed in methods of this value only, or by `Pool::grow` through a `&mut`
// of it: a reference to a SuperSlab leaves it only in an `Aged`, which reads no cell. It is never copied, so one thread
// at a time has access. (The pool also publishes regions; there only `next` is read, which is not written after that.)
unsafe impl Send for FreeRunBins {}

/// The dirty slabs of a SuperSlab, taken out to be purged.
#[derive(Debug)]
#[cfg_attr(hakmem_sim, derive(Clone))]
#[must_use = "the slabs are lost unless they are put back"]
pub(super) struct Aged {
    superslab: &'static SuperSlab,
    /// A bit for each slab.
    pub(super) slabs: u64,
}

impl Aged {
    /// The address of slab `index` of the SuperSlab.
    pub(super) fn address(&self, index: u32, geometry: Geometry) -> usize {
        self.superslab.slab_address(index, geometry)
    }
}

impl FreeRunBins {
    pub(crate) const EMPTY: FreeRunBins = FreeRunBins {
        bins: [None; BINS],
        nonempty: 0,
        oldest: None,
        youngest: None,
        unmapped: None,
        unmapped_last: None,
        newest_region: None,
    };

    /// Takes `slabs` consecutive slabs. `None`: no SuperSlab has such a run.
    pub(super) fn take(&mut self, slabs: u32, geometry: Geometry) -> Option<&'static Slab> {
        let serve = self.nonempty >> slabs << slabs;
        if serve == 0 {
            return None;
        }
        let superslab = fullest(*self.bins.get(serve.trailing_zeros() as usize)?)?;
        let (first, fresh) = self.update(superslab, |superslab| superslab.take(slabs))?;
        for offset in 0..slabs {
            superslab.slab(first.wrapping_add(offset), geometry).span_offset.store(offset as u16, Ordering::Relaxed);
        }
        let slab = superslab.slab(first, geometry);
        slab.fresh.set(fresh);
        if fresh {
            slab.touched.set(0);
        }
        Some(slab)
    }

    /// Puts back a free span of `slabs` slabs, which the caller owns.
    pub(super) fn put(&mut self, slab: &'static Slab, slabs: u32, now: u32, geometry: Geometry) {
        let (superslab, first) = SuperSlab::of(slab, geometry);
        self.update(superslab, |superslab| superslab.put(first, slabs, slab.fresh.get()));
        self.queue(superslab, now);
    }

    /// Queues a SuperSlab for purging if it has dirty slabs and is not queued.
    fn queue(&mut self, superslab: &'static SuperSlab, now: u32) {
        if !superslab.has_dirty() || superslab.aging.replace(true) {
            return;
        }
        superslab.since.set(now);
        superslab.younger.set(None);
        match self.youngest {
            Some(youngest) => youngest.younger.set(Some(superslab)),
            None => self.oldest = Some(superslab),
        }
        self.youngest = Some(superslab);
    }

    /// When the oldest SuperSlab in the queue was queued.
    pub(super) fn oldest_since(&self) -> Option<u32> {
        self.oldest.map(|superslab| superslab.since.get())
    }

    /// Takes the dirty slabs of the next SuperSlab queued at least `delay` milliseconds ago, to be purged and returned
    /// with [`FreeRunBins::put_purged`].
    pub(super) fn take_aged(&mut self, now: u32, delay: u32) -> Option<Aged> {
        loop {
            let superslab = self.oldest?;
            if now.wrapping_sub(superslab.since.get()) < delay {
                return None;
            }
            self.oldest = superslab.younger.get();
            if self.oldest.is_none() {
                self.youngest = None;
            }
            superslab.aging.set(false);
            if superslab.has_dirty() {
                let slabs = self.update(superslab, SuperSlab::take_dirty);
                return Some(Aged { superslab, slabs });
            }
        }
    }

    /// Puts purged slabs back; those in `refused` are still dirty, and are purged when their SuperSlab is next queued.
    pub(super) fn put_purged(&mut self, aged: Aged, refused: u64) {
        self.update(aged.superslab, |superslab| superslab.put_purged(aged.slabs, refused));
    }

    /// Unmaps every SuperSlab whose slabs are all free, and the uncommitted rest of the newest region.
    pub(super) fn unmap_empty(&mut self, geometry: Geometry) {
        if let Some(region) = self.newest_region {
            region.unmap_reserve(geometry);
        }
        if geometry.superslab_size() < GRANULE {
            return; // It shares a page-map entry with its neighbours.
        }
        while let Some(&Some(superslab)) = self.bins.get(geometry.slabs_per_superslab()) {
            self.remove(superslab);
            let address = superslab.slab_address(0, geometry);
            if !page_map::unmap(address, geometry.superslab_size()) {
                return self.insert(superslab);
            }
            superslab.forget_dirty();
            self.put_unmapped(superslab);
        }
    }

    /// Adds a SuperSlab, which is in no bin, to the unmapped ones, as the last.
    fn put_unmapped(&mut self, superslab: &'static SuperSlab) {
        superslab.next.set(None);
        match self.unmapped_last {
            Some(last) => last.next.set(Some(superslab)),
            None => self.unmapped = Some(superslab),
        }
        self.unmapped_last = Some(superslab);
    }

    fn take_unmapped(&mut self) -> Option<&'static SuperSlab> {
        let superslab = self.unmapped?;
        self.unmapped = superslab.next.get();
        if self.unmapped.is_none() {
            self.unmapped_last = None;
        }
        Some(superslab)
    }

    /// Maps an unmapped SuperSlab again, for the allocator with this id. `false`: there is none, or something else is mapped
    /// now where the first few were, which the next call tries last.
    pub(super) fn remap(&mut self, geometry: Geometry, id: u8) -> bool {
        for _ in 0..REMAP_TRIES {
            let Some(superslab) = self.take_unmapped() else { break };
            let (address, size) = (superslab.slab_address(0, geometry), geometry.superslab_size());
            let mapped = mmap::map_at(address, size, Access::ReadWrite)
                && page_map::enter_or_unmap(address, size, Occupant::Region(id));
            if mapped {
                superslab.init(geometry, 0);
                self.insert(superslab);
                return true;
            }
            self.put_unmapped(superslab);
        }
        false
    }

    /// Changes a SuperSlab and moves it to the bin for its new longest run.
    fn update<R>(&mut self, superslab: &'static SuperSlab, change: impl FnOnce(&SuperSlab) -> R) -> R {
        self.remove(superslab);
        let result = change(superslab);
        self.insert(superslab);
        result
    }

    /// Puts a SuperSlab, which is in no bin, into its bin.
    pub(super) fn insert(&mut self, superslab: &'static SuperSlab) {
        let run = superslab.longest_free_run();
        let Some(bin) = self.bins.get_mut(run as usize) else { return };
        superslab.previous.set(None);
        superslab.next.set(*bin);
        if let Some(second) = *bin {
            second.previous.set(Some(superslab));
        }
        *bin = Some(superslab);
        if run > 0 {
            self.nonempty |= 1 << run;
        }
    }

    /// Takes a SuperSlab out of its bin.
    fn remove(&mut self, superslab: &'static SuperSlab) {
        let run = superslab.longest_free_run();
        let (previous, next) = (superslab.previous.get(), superslab.next.get());
        if let Some(next) = next {
            next.previous.set(previous);
        }
        if let Some(previous) = previous {
            previous.next.set(next);
            return;
        }
        let Some(bin) = self.bins.get_mut(run as usize) else { return };
        *bin = next;
        if next.is_none() {
            self.nonempty &= !(1 << run);
        }
    }
}

/// The fullest of the first few SuperSlabs of a bin.
fn fullest(first: Option<&'static SuperSlab>) -> Option<&'static SuperSlab> {
    let bin = core::iter::successors(first, |superslab| superslab.next.get());
    bin.take(CANDIDATES as usize).min_by_key(|superslab| superslab.free_slabs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::superslab::mask;
    use std::boxed::Box;

    #[test]
    fn superslabs_are_purged_in_the_order_in_which_they_were_queued_each_once() {
        let mut bins = FreeRunBins::EMPTY;
        let [first, second] = [(); 2].map(|()| {
            let superslab: &'static SuperSlab = Box::leak(Box::new(SuperSlab::blank()));
            superslab.init(Geometry::new(16 << 16, 1 << 16), 1);
            bins.insert(superslab);
            bins.update(superslab, |superslab| superslab.take(6));
            superslab
        });
        // Nothing is dirty yet.
        bins.queue(first, 1);
        assert_eq!(bins.oldest_since(), None);
        for (superslab, now, at) in [(first, 5, 1), (second, 7, 1), (first, 9, 3)] {
            bins.update(superslab, |superslab| superslab.put(at, 2, false));
            bins.queue(superslab, now);
            assert_eq!(bins.oldest_since(), Some(5));
        }
        assert!(bins.take_aged(14, 10).is_none());
        for (now, slabs, next) in [(15, mask(1, 4), Some(7)), (17, mask(1, 2), None)] {
            let aged = bins.take_aged(now, 10).expect("it is old enough");
            assert_eq!((aged.slabs, bins.oldest_since()), (slabs, next));
            assert!(bins.take_aged(now, 10).is_none());
            bins.put_purged(aged, 0);
        }
    }
}
