//! A SuperSlab: which of its slabs are free, and which of those hold memory that could go back to the system.

use super::region::Region;
use crate::slab::{Geometry, Slab};
use core::cell::Cell;
use core::ptr;

/// A SuperSlab's books, in its region's metadata, under the pool's lock.
///
/// # Invariants
/// `dirty ⊆ free`; bit *i* speaks of slab *i*. `run` is the length of the longest run of ones in `free`, and the bin
/// that the SuperSlab stands on. `dirty ≠ 0 ⇒ aging`, but for slabs that the kernel refused to purge.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct SuperSlab {
    /// Free slabs.
    pub(crate) free: Cell<u64>,
    /// Free slabs whose memory was touched since it was mapped or purged.
    pub(crate) dirty: Cell<u64>,
    pub(crate) run: Cell<u32>,
    /// When the oldest dirty slab became free, in milliseconds.
    pub(crate) since: Cell<u32>,
    /// Whether it is in the queue of those to purge.
    pub(crate) aging: Cell<bool>,
    pub(crate) previous: Cell<*mut SuperSlab>,
    pub(crate) next: Cell<*mut SuperSlab>,
    pub(crate) younger: Cell<*mut SuperSlab>,
}

/// The bits `[first, first + count)`.
fn mask(first: u32, count: u32) -> u64 {
    (u64::MAX >> (64_u32.wrapping_sub(count) & 63)) << (first & 63)
}

/// The first place where `count` ones stand side by side.
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

impl SuperSlab {
    /// Starts with all slabs free but the first `used`.
    pub(crate) fn begin(&self, geometry: Geometry, used: usize) {
        let count = geometry.slabs_per_superslab() as u32;
        self.free.set(mask(0, count) & !(if used == 0 { 0 } else { mask(0, used as u32) }));
        self.dirty.set(0);
        self.run.set(longest_run(self.free.get()));
    }

    /// Takes `units` consecutive slabs: the first one's index, and whether all of them are untouched. Touched memory is
    /// preferred: it needs no page faults.
    pub(crate) fn take(&self, units: u32) -> Option<(u32, bool)> {
        let first = find_run(self.dirty.get(), units).or_else(|| find_run(self.free.get(), units))?;
        let mask = mask(first, units);
        let fresh = self.dirty.get() & mask == 0;
        self.free.set(self.free.get() & !mask);
        self.dirty.set(self.dirty.get() & !mask);
        self.run.set(longest_run(self.free.get()));
        Some((first, fresh))
    }

    /// Puts slabs back.
    pub(crate) fn put(&self, first: u32, units: u32, fresh: bool) {
        let mask = mask(first, units);
        self.free.set(self.free.get() | mask);
        if !fresh {
            self.dirty.set(self.dirty.get() | mask);
        }
        self.run.set(longest_run(self.free.get()));
    }

    /// Takes every dirty slab for purging: as a mask, for [`SuperSlab::put_clean`] to give back.
    pub(crate) fn take_dirty(&self) -> u64 {
        let taken = self.dirty.replace(0);
        self.free.set(self.free.get() & !taken);
        self.run.set(longest_run(self.free.get()));
        taken
    }

    /// Puts purged slabs back; those that the kernel would not take remain dirty.
    pub(crate) fn put_clean(&self, taken: u64, refused: u64) {
        self.free.set(self.free.get() | taken);
        self.dirty.set(self.dirty.get() | refused);
        self.run.set(longest_run(self.free.get()));
    }

    /// Splits `bits` into runs: (first, count) each.
    pub(crate) fn runs(mut bits: u64) -> impl Iterator<Item = (u32, u32)> {
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

    /// This SuperSlab's number in its region, and the region's base.
    fn place(&self, geometry: Geometry) -> (usize, usize) {
        let address = ptr::from_ref(self).addr();
        let base = address & !(geometry.region_size() - 1);
        let array = base.wrapping_add(geometry.head_start());
        const { assert!(core::mem::offset_of!(Region, superslabs) == 0) };
        (address.wrapping_sub(array) / size_of::<SuperSlab>(), base)
    }

    /// The address of slab `index`.
    pub(crate) fn slab_address(&self, index: u32, geometry: Geometry) -> usize {
        let (number, base) = self.place(geometry);
        base.wrapping_add(number << geometry.superslab_shift).wrapping_add((index as usize) << geometry.slab_shift)
    }

    /// The metadata of slab `index`.
    pub(crate) fn slab(&self, index: u32, geometry: Geometry) -> *mut Slab {
        let (number, base) = self.place(geometry);
        let index = number.wrapping_mul(geometry.slabs_per_superslab()).wrapping_add(index as usize);
        ptr::with_exposed_provenance_mut::<Slab>(base).wrapping_add(index)
    }

    /// The SuperSlab that a slab is in, and the slab's index there.
    pub(crate) fn of(slab: *mut Slab, geometry: Geometry) -> (*mut SuperSlab, u32) {
        let base = slab.addr() & !(geometry.region_size() - 1);
        let index = slab.addr().wrapping_sub(base) / size_of::<Slab>();
        let array = base.wrapping_add(geometry.head_start());
        let number = index / geometry.slabs_per_superslab();
        let superslab = ptr::with_exposed_provenance_mut::<SuperSlab>(array).wrapping_add(number);
        (superslab, (index % geometry.slabs_per_superslab()) as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    /// The slow and obvious way.
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
            assert_eq!(SuperSlab::runs(bits).collect::<Vec<_>>(), runs);
            let longest = runs.iter().map(|run| run.1).max().unwrap_or(0);
            assert_eq!(longest_run(bits), longest);
            for count in 1..=64 {
                let first = runs.iter().find(|run| run.1 >= count).map(|run| run.0);
                assert_eq!(find_run(bits, count), first, "{bits:x} {count}");
            }
        }
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
