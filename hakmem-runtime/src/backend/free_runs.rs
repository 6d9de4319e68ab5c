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
        for offset in 0..slabs {
            superslab.slab(first.wrapping_add(offset), geometry).set_free_since(now);
        }
        if superslab.has_dirty() {
            self.queue(superslab, now);
        }
    }

    /// Queues a SuperSlab for purging if it is not queued. Its dirty slabs have been free since `since` or later.
    fn queue(&mut self, superslab: &'static SuperSlab, since: u32) {
        if superslab.aging.replace(true) {
            return;
        }
        superslab.since.set(since);
        superslab.younger.set(None);
        match self.youngest {
            Some(youngest) => youngest.younger.set(Some(superslab)),
            None => self.oldest = Some(superslab),
        }
        self.youngest = Some(superslab);
    }

    /// Since when the first SuperSlab in the queue may have dirty slabs.
    pub(super) fn oldest_since(&self) -> Option<u32> {
        self.oldest.map(|superslab| superslab.since.get())
    }

    /// Takes the dirty slabs of the next SuperSlab that have been free for `delay` milliseconds, to be purged and returned with
    /// [`FreeRunBins::put_purged`]. A SuperSlab with others is queued again, as the last: while a program goes on, these may
    /// wait for twice the delay.
    pub(super) fn take_aged(&mut self, now: u32, delay: u32, geometry: Geometry) -> Option<Aged> {
        loop {
            let superslab = self.oldest?;
            // Another thread may have freed slabs since `now` was read.
            if (now.wrapping_sub(superslab.since.get()) as i32) < delay as i32 {
                return None;
            }
            self.oldest = superslab.younger.get();
            if self.oldest.is_none() {
                self.youngest = None;
            }
            superslab.aging.set(false);
            let (slabs, others_since) = superslab.aged(now, delay, geometry);
            if let Some(since) = others_since {
                self.queue(superslab, since);
            }
            if slabs != 0 {
                self.update(superslab, |superslab| superslab.take_dirty(slabs));
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
    use crate::backend::pool::{Pool, PoolConfig};
    use crate::backend::superslab::runs;
    use std::vec::Vec;

    const SLAB: u32 = 64 << 10;
    const ID: u8 = 252;
    const DELAY: u32 = 10;

    fn pool() -> Pool {
        let geometry = Geometry::new(16 * SLAB, SLAB);
        Pool::new(PoolConfig { geometry, huge_pages: false, purge_delay: Some(1000) }, &[])
    }

    fn take(pool: &Pool, slabs: u32) -> &'static Slab {
        pool.take_free(slabs, 0, ID, |_| {}).expect("memory")
    }

    /// Frees a span that was written to.
    fn put(pool: &Pool, slab: &'static Slab, slabs: u32, now: u32) {
        slab.fresh.set(false);
        pool.free_runs.lock().put(slab, slabs, now, pool.geometry());
    }

    /// The addresses of the next slabs to be purged, which are put back as purged.
    fn purged(pool: &Pool, now: u32) -> Vec<usize> {
        let geometry = pool.geometry();
        let Some(aged) = pool.free_runs.lock().take_aged(now, DELAY, geometry) else { return Vec::new() };
        let slabs = runs(aged.slabs).flat_map(|(first, count)| first..first + count);
        let addresses = slabs.map(|index| aged.address(index, geometry)).collect();
        pool.free_runs.lock().put_purged(aged, 0);
        addresses
    }

    fn since(pool: &Pool) -> Option<u32> {
        pool.free_runs.lock().oldest_since()
    }

    #[test]
    fn superslabs_are_purged_in_the_order_in_which_they_were_queued_each_once() {
        let pool = pool();
        let address = |slab| pool.geometry().base(slab);
        // The second SuperSlab, and the third.
        let [first, second] = [(); 2].map(|()| take(&pool, 16));
        assert_eq!(since(&pool), None, "nothing is dirty yet");
        put(&pool, first, 16, 5);
        put(&pool, second, 16, 7);
        assert_eq!((since(&pool), purged(&pool, 14)), (Some(5), Vec::new()));
        for (slab, now) in [(first, 15), (second, 17)] {
            let all: Vec<usize> = (0..16).map(|index| address(slab) + index * SLAB as usize).collect();
            assert_eq!((purged(&pool, now), purged(&pool, now)), (all, Vec::new()));
        }
        assert_eq!(since(&pool), None);
    }

    #[test]
    fn only_what_has_been_free_for_the_delay_is_purged() {
        let pool = pool();
        let address = |slab| pool.geometry().base(slab);
        let [first, second] = [(); 2].map(|()| take(&pool, 1));
        put(&pool, first, 1, 5);
        put(&pool, second, 1, 9);
        assert_eq!((purged(&pool, 15), since(&pool)), (Vec::from([address(first)]), Some(9)));
        assert_eq!((purged(&pool, 18), purged(&pool, 19)), (Vec::new(), Vec::from([address(second)])));
        // In use meanwhile.
        let again = take(&pool, 1);
        put(&pool, again, 1, 25);
        assert_eq!(address(take(&pool, 1)), address(again));
        put(&pool, again, 1, 32);
        assert_eq!((since(&pool), purged(&pool, 35)), (Some(25), Vec::new()));
        assert_eq!((since(&pool), purged(&pool, 42)), (Some(32), Vec::from([address(again)])));
    }
}
