//! A region: the address space that SuperSlabs are cut from, with the metadata of all their slabs.

use super::superslab::SuperSlab;
use crate::meta::page_map::{self, GRANULE, Occupant};
use crate::slab::geometry::SUPERSLABS;
use crate::slab::{Geometry, Slab};
use crate::sys::mmap::{self, Access};
use core::cell::Cell;
use core::ptr;

/// A region's head: its own metadata, after the entries and bitmaps of its slabs. All zero in a new region.
///
/// # Invariants
/// `1 ≤ committed ≤ reserved ≤ 32`. The first `committed` SuperSlabs are readable and writable, except those on the
/// list of unmapped ones; `[base, base + reserved · superslab_size)` without the unmapped ones is this region's address
/// space. The first SuperSlab holds the metadata: the slabs that this occupies are never free, so it is never unmapped.
///
/// `next` is written before the region is published. The other cells are accessed under the pool's lock.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct Region {
    superslabs: [SuperSlab; SUPERSLABS],
    /// The region reserved before this one.
    next: Cell<Option<&'static Region>>,
    /// SuperSlabs in the reservation: 32, or fewer where the address space is limited.
    reserved: Cell<usize>,
    /// SuperSlabs committed so far.
    committed: Cell<usize>,
}

const _: () = assert!(core::mem::offset_of!(Region, superslabs) == 0, "`SuperSlab` finds itself by its region's head");
const _: () = assert!(align_of::<Region>() <= 128, "the head follows the bitmaps, of 128 bytes or more each");

impl Region {
    /// Bytes of metadata, before the first usable slab.
    const fn metadata(geometry: Geometry) -> usize {
        geometry.head_start() + size_of::<Region>()
    }

    /// The region's first address.
    fn base(&self, geometry: Geometry) -> usize {
        ptr::from_ref(self).addr() & !(geometry.region_size() - 1)
    }

    /// Reserves a region of the allocator with this id, linked to `next`, and commits its first SuperSlab, or all
    /// of them. `None`: no memory or address space.
    pub(super) fn reserve(
        geometry: Geometry,
        id: u8,
        huge_pages: bool,
        next: Option<&'static Region>,
    ) -> Option<&'static Region> {
        let (base, count, committed) = map_superslabs(geometry)?;
        let length = count << geometry.superslab_shift;
        if !page_map::enter_or_unmap(base, length, Occupant::Region(id)) {
            return None;
        }
        if huge_pages {
            mmap::prefer_huge_pages(base, committed << geometry.superslab_shift);
        }
        let head = ptr::with_exposed_provenance::<Region>(base.wrapping_add(geometry.head_start()));
        // SAFETY: the head is in the first SuperSlab, which was mapped and committed above and is never unmapped. It is
        // aligned (asserted above) and zero, which is a valid `Region`: integers, bools, and options of references.
        let region = unsafe { &*head };
        region.next.set(next);
        region.reserved.set(count);
        region.committed.set(committed);
        for (index, superslab) in region.committed().enumerate() {
            let metadata = if index == 0 { Region::metadata(geometry) } else { 0 };
            superslab.init(geometry, metadata.div_ceil(geometry.slab_size()));
        }
        Some(region)
    }

    /// The SuperSlabs that are committed. The first one holds the region's metadata.
    pub(super) fn committed(&'static self) -> impl Iterator<Item = &'static SuperSlab> {
        self.superslabs.iter().take(self.committed.get())
    }

    /// Commits the next SuperSlab. `None`: all are committed, or the kernel refuses.
    pub(super) fn commit_next(&'static self, geometry: Geometry, huge_pages: bool) -> Option<&'static SuperSlab> {
        let index = self.committed.get();
        if index >= self.reserved.get() {
            return None;
        }
        let address = self.base(geometry).wrapping_add(index << geometry.superslab_shift);
        if !mmap::commit(address, geometry.superslab_size()) {
            return None;
        }
        if huge_pages {
            mmap::prefer_huge_pages(address, geometry.superslab_size());
        }
        let superslab = self.superslabs.get(index)?;
        superslab.init(geometry, 0);
        self.committed.set(index.wrapping_add(1));
        Some(superslab)
    }

    /// Unmaps the reserved address space after the last committed SuperSlab, but for what shares an entry of the page map
    /// with that.
    pub(super) fn unmap_reserve(&self, geometry: Geometry) {
        let shift = geometry.superslab_shift;
        let committed = (self.committed.get() << shift).next_multiple_of(GRANULE);
        let length = (self.reserved.get() << shift).saturating_sub(committed);
        if length > 0 && page_map::unmap(self.base(geometry).wrapping_add(committed), length) {
            self.reserved.set(committed >> shift);
        }
    }

    /// The entry of every slab of the region, for statistics. Entries of slabs never used are all zero.
    pub(crate) fn slabs(&'static self, geometry: Geometry) -> impl Iterator<Item = &'static Slab> {
        let superslabs = self.superslabs.iter();
        superslabs.flat_map(move |superslab| {
            (0..geometry.slabs_per_superslab() as u32).map(move |index| superslab.slab(index, geometry))
        })
    }

    /// The region reserved before this one.
    pub(super) fn next(&self) -> Option<&'static Region> {
        self.next.get()
    }
}

/// Maps a region. Returns its address, how many SuperSlabs it has, and how many of them are committed.
fn map_superslabs(geometry: Geometry) -> Option<(usize, usize, usize)> {
    // Where address space is limited a shorter reservation may still fit, at the same alignment.
    let mut count = SUPERSLABS;
    while count > 0 {
        let length = count << geometry.superslab_shift;
        let base = mmap::map(length, geometry.region_size(), Access::Reserved);
        if base != 0 {
            if mmap::commit(base, geometry.superslab_size()) {
                return Some((base, count, 1));
            }
            mmap::unmap(base, length);
            // A filter of system calls may forbid to change what a mapping allows.
            let base = mmap::map(length, geometry.region_size(), Access::ReadWrite);
            if base != 0 {
                return Some((base, count, count));
            }
        }
        count /= 2;
    }
    None
}
