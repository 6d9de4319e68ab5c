//! A SuperSlab: which of its slabs are free, and which of those are dirty, with memory that can return to the system.

use crate::slab::{Geometry, Slab};
use core::cell::Cell;
use core::ptr;

/// A SuperSlab's entry in its region's metadata, which is never unmapped. All zero: not committed yet, no slab free.
///
/// Its cells are accessed under the pool's lock only: a pool's SuperSlabs are reached through the `FreeRunBins` in that
/// lock (`free_runs.rs`).
///
/// # Invariants
/// Bit *i* of a mask stands for slab *i*.
///
/// ```text
/// dirty ⊆ free
/// run == length of the longest run of ones in free == the bin that the SuperSlab is in
/// dirty ≠ 0 ⇒ aging, except for slabs that the kernel refused to purge
/// ```
#[repr(C)]
#[derive(Debug)]
pub(crate) struct SuperSlab {
    /// Free slabs.
    free: Cell<u64>,
    /// Free slabs whose memory was touched since it was mapped or purged.
    dirty: Cell<u64>,
    run: Cell<u32>,
    /// While it is in the purge queue: since when slabs may have been dirty and free, but for those that the kernel refused, in
    /// milliseconds.
    pub(super) since: Cell<u32>,
    /// Whether it is in the purge queue.
    pub(super) aging: Cell<bool>,
    /// Its neighbours in its bin; `next` also links unmapped SuperSlabs.
    pub(super) previous: Cell<Option<&'static SuperSlab>>,
    pub(super) next: Cell<Option<&'static SuperSlab>>,
    /// The SuperSlab queued for purging after this one.
    pub(super) younger: Cell<Option<&'static SuperSlab>>,
}

/// The bits `[first, first + count)`, for a count of 1 to 64.
pub(super) fn mask(first: u32, count: u32) -> u64 {
    (u64::MAX >> (64_u32.wrapping_sub(count) & 63)) << (first & 63)
}

/// The position of the first run of `count` ones.
fn find_run(bits: u64, count: u32) -> Option<u32> {
    let mut starts = bits;
    for offset in 1..count {
        starts &= bits >> (offset & 63);
    }
    (starts != 0).then(|| starts.trailing_zeros())
}

/// The length of the longest run of ones.
fn longest_run(mut bits: u64) -> u32 {
    let mut length = 0_u32;
    while bits != 0 {
        bits &= bits << 1;
        length = length.wrapping_add(1);
    }
    length
}

/// The positions of the ones.
fn bits(mut bits: u64) -> impl Iterator<Item = u32> {
    core::iter::from_fn(move || {
        let first = (bits != 0).then(|| bits.trailing_zeros());
        bits &= bits.wrapping_sub(1);
        first
    })
}

/// Splits `bits` into its runs of ones: (first, count) each.
pub(super) fn runs(mut bits: u64) -> impl Iterator<Item = (u32, u32)> {
    core::iter::from_fn(move || {
        if bits == 0 {
            return None;
        }
        let first = bits.trailing_zeros();
        let count = (bits >> first).trailing_ones();
        bits &= !mask(first, count);
        Some((first, count))
    })
}

/// Which slabs are free. `free` changes only while the SuperSlab is in no bin, because `run` names its bin.
impl SuperSlab {
    /// Makes all slabs free except the first `used`, and none dirty.
    pub(super) fn init(&self, geometry: Geometry, used: usize) {
        let count = geometry.slabs_per_superslab() as u32;
        let used = if used == 0 { 0 } else { mask(0, used as u32) };
        self.dirty.set(0);
        self.set_free(mask(0, count) & !used);
    }

    fn set_free(&self, free: u64) {
        self.free.set(free);
        self.run.set(longest_run(free));
    }

    /// The length of the longest run of free slabs.
    pub(super) fn longest_free_run(&self) -> u32 {
        self.run.get()
    }

    pub(super) fn free_slabs(&self) -> u32 {
        self.free.get().count_ones()
    }

    pub(super) fn has_dirty(&self) -> bool {
        self.dirty.get() != 0
    }

    /// Takes `slabs` consecutive slabs. Returns the first one's index, and whether all of them are untouched. Touched
    /// memory is preferred, because it needs no page faults.
    pub(super) fn take(&self, slabs: u32) -> Option<(u32, bool)> {
        let first = find_run(self.dirty.get(), slabs).or_else(|| find_run(self.free.get(), slabs))?;
        let mask = mask(first, slabs);
        let fresh = self.dirty.get() & mask == 0;
        self.dirty.set(self.dirty.get() & !mask);
        self.set_free(self.free.get() & !mask);
        Some((first, fresh))
    }

    /// Puts slabs back.
    pub(super) fn put(&self, first: u32, slabs: u32, fresh: bool) {
        let mask = mask(first, slabs);
        if !fresh {
            self.dirty.set(self.dirty.get() | mask);
        }
        self.set_free(self.free.get() | mask);
    }

    /// The dirty slabs that have been free for `delay` milliseconds; and since when the others have, if there are any.
    pub(super) fn aged(&'static self, now: u32, delay: u32, geometry: Geometry) -> (u64, Option<u32>) {
        let age = |index| now.wrapping_sub(self.slab(index, geometry).free_since()) as i32;
        let (mut aged, mut others) = (0, None);
        for (index, age) in bits(self.dirty.get()).map(|index| (index, age(index))) {
            // Negative if another thread has freed it since `now` was read.
            if age >= delay as i32 {
                aged |= mask(index, 1);
            } else {
                others = others.max(Some(age));
            }
        }
        (aged, others.map(|age| now.wrapping_sub(age as u32)))
    }

    /// Takes dirty slabs, to be purged and returned with [`SuperSlab::put_purged`].
    pub(super) fn take_dirty(&self, taken: u64) {
        self.dirty.set(self.dirty.get() & !taken);
        self.set_free(self.free.get() & !taken);
    }

    /// Puts purged slabs back. Those that the kernel refused to purge (`refused ⊆ taken`) are still dirty.
    pub(super) fn put_purged(&self, taken: u64, refused: u64) {
        debug_assert_eq!(refused & !taken, 0);
        self.dirty.set(self.dirty.get() | refused);
        self.set_free(self.free.get() | taken);
    }

    /// Marks all slabs, which are free, as not dirty: their memory was unmapped.
    pub(super) fn forget_dirty(&self) {
        self.dirty.set(0);
    }
}

/// Addresses. A region's metadata begins with an entry for each of its slabs, and its head with one for each SuperSlab
/// (see `geometry.rs`, and the assertion in `region.rs`), so all are found by arithmetic.
impl SuperSlab {
    /// The base of the region, and this SuperSlab's index in it.
    fn position(&self, geometry: Geometry) -> (usize, usize) {
        let address = ptr::from_ref(self).addr();
        let base = address & !(geometry.region_size() - 1);
        let array = base.wrapping_add(geometry.head_start());
        (base, address.wrapping_sub(array) / size_of::<SuperSlab>())
    }

    /// The address of slab `index`.
    pub(super) fn slab_address(&self, index: u32, geometry: Geometry) -> usize {
        let (base, position) = self.position(geometry);
        base.wrapping_add(position << geometry.superslab_shift).wrapping_add((index as usize) << geometry.slab_shift)
    }

    /// The entry of slab `index`.
    pub(super) fn slab(&'static self, index: u32, geometry: Geometry) -> &'static Slab {
        debug_assert!((index as usize) < geometry.slabs_per_superslab());
        let (base, position) = self.position(geometry);
        let index = position.wrapping_mul(geometry.slabs_per_superslab()).wrapping_add(index as usize);
        // SAFETY: a `&'static SuperSlab` is part of a region, whose metadata is never unmapped and begins, at the
        // region's base, with an entry for each slab of each SuperSlab; `index` is below their number. All zero, and
        // whatever was stored in it since, is a valid `Slab`. Everything in an entry is an atomic or a cell.
        unsafe { &*ptr::with_exposed_provenance::<Slab>(base).wrapping_add(index) }
    }

    /// The SuperSlab that a slab is in, and the slab's index there.
    pub(super) fn of(slab: &'static Slab, geometry: Geometry) -> (&'static SuperSlab, u32) {
        let address = ptr::from_ref(slab).addr();
        let base = address & !(geometry.region_size() - 1);
        let index = address.wrapping_sub(base) / size_of::<Slab>();
        let array = ptr::with_exposed_provenance::<SuperSlab>(base.wrapping_add(geometry.head_start()));
        // SAFETY: every slab of a pool came from `SuperSlab::slab`, so its entry is one of the `slabs_per_region` at
        // the base of a region of this geometry. So the quotient is below the number of SuperSlabs, and their array is
        // at `head_start` (asserted in `region.rs`), in metadata that is never unmapped. All zero is a valid
        // `SuperSlab`.
        let superslab = unsafe { &*array.wrapping_add(index / geometry.slabs_per_superslab()) };
        (superslab, (index % geometry.slabs_per_superslab()) as u32)
    }
}

#[cfg(test)]
impl SuperSlab {
    /// As it is in memory that nobody has written to.
    pub(super) fn blank() -> SuperSlab {
        SuperSlab {
            free: Cell::new(0),
            dirty: Cell::new(0),
            run: Cell::new(0),
            since: Cell::new(0),
            aging: Cell::new(false),
            previous: Cell::new(None),
            next: Cell::new(None),
            younger: Cell::new(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    /// `runs`, bit by bit.
    fn runs_one_by_one(bits: u64) -> Vec<(u32, u32)> {
        let mut runs: Vec<(u32, u32)> = Vec::new();
        for index in (0..64).filter(|index| bits >> index & 1 == 1) {
            match runs.last_mut() {
                Some((first, count)) if *first + *count == index => *count += 1,
                _ => runs.push((index, 1)),
            }
        }
        runs
    }

    #[test]
    fn runs_of_bits_are_found() {
        let mut random = 0x0123_4567_89AB_CDEF_u64;
        for _ in 0..2000 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let bits = match random % 5 {
                0 => 0,
                1 => u64::MAX,
                2 => random & random.rotate_left(17),
                3 => random | random.rotate_left(29),
                _ => random,
            };
            let runs = runs_one_by_one(bits);
            assert_eq!(super::runs(bits).collect::<Vec<_>>(), runs);
            let longest = runs.iter().map(|run| run.1).max().unwrap_or(0);
            assert_eq!(longest_run(bits), longest);
            for count in 1..=64 {
                let first = runs.iter().find(|run| run.1 >= count).map(|run| run.0);
                assert_eq!(find_run(bits, count), first, "{bits:x} {count}");
            }
        }
    }

    #[test]
    fn what_the_kernel_refused_to_purge_remains_dirty() {
        let superslab = SuperSlab::blank();
        superslab.init(Geometry::new(16 << 16, 1 << 16), 1);
        assert_eq!((superslab.free.get(), superslab.dirty.get(), superslab.run.get()), (0xFFFE, 0, 15));
        assert_eq!(superslab.take(15), Some((1, true)));
        superslab.put(2, 3, false);
        superslab.put(8, 2, false);
        superslab.put(12, 1, true);
        let taken = superslab.dirty.get();
        superslab.take_dirty(taken);
        assert_eq!((taken, superslab.free.get(), superslab.dirty.get()), (mask(2, 3) | mask(8, 2), mask(12, 1), 0));
        superslab.put_purged(taken, mask(8, 2));
        assert_eq!((superslab.free.get(), superslab.dirty.get()), (taken | mask(12, 1), mask(8, 2)));
        // Dirty slabs are taken first, though a longer run is free.
        assert_eq!(superslab.take(2), Some((8, false)));
        assert_eq!(superslab.take(2), Some((2, true)));
    }

    #[test]
    fn masks_cover_what_they_say() {
        for first in 0..64 {
            for count in 1..=64 - first {
                let bits = mask(first, count);
                assert_eq!((bits.trailing_zeros(), bits.count_ones()), (first, count));
            }
        }
    }
}
