//! KnownRegions: the address space that SuperSlabs are cut from, with the metadata of all their slabs.

use super::superslab::SuperSlab;
use crate::meta::page_map::{self, Owner};
use crate::slab::geometry::SUPERSLABS;
use crate::slab::{Geometry, Slab};
use crate::sys::mmap::{self, Access};
use core::cell::Cell;
use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};

/// The head of a region's metadata, behind the entries and the bitmaps of its slabs. All zero when fresh.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct Region {
    pub(crate) superslabs: [SuperSlab; SUPERSLABS],
    /// The region reserved before this one.
    pub(crate) next: AtomicPtr<Region>,
    /// SuperSlabs in the reservation: 32, fewer where the address space is limited.
    reserved: Cell<usize>,
    /// Of these, how many are committed. Under the pool's lock.
    committed: Cell<usize>,
}

impl Region {
    /// Bytes of metadata before the first usable slab.
    const fn metadata(geometry: Geometry) -> usize {
        geometry.head_start() + size_of::<Region>()
    }

    /// Where the region at `base` keeps its head.
    fn at(base: usize, geometry: Geometry) -> *mut Region {
        ptr::with_exposed_provenance_mut(base.wrapping_add(geometry.head_start()))
    }

    /// The region's first address.
    pub(crate) fn base(&self, geometry: Geometry) -> usize {
        ptr::from_ref(self).addr() & !(geometry.region_size() - 1)
    }

    /// Reserves a region and commits its first SuperSlab. Null where there is no memory or address space.
    pub(crate) fn reserve(geometry: Geometry, allocator: u8, huge_pages: bool) -> *mut Region {
        // Under a limit on address space a shorter reservation may still fit; the alignment is what matters.
        let mut count = SUPERSLABS;
        let base = loop {
            let base = mmap::map(count << geometry.superslab_shift, geometry.region_size(), Access::Reserved);
            if base != 0 {
                break base;
            }
            count /= 2;
            if count == 0 {
                return ptr::null_mut();
            }
        };
        let length = count << geometry.superslab_shift;
        let owner = Owner::Region(allocator);
        if !mmap::commit(base, geometry.superslab_size()) || !page_map::enter(base, length, owner, owner) {
            mmap::unmap(base, length);
            return ptr::null_mut();
        }
        if huge_pages {
            mmap::prefer_huge_pages(base, geometry.superslab_size());
        }
        let region = Region::at(base, geometry);
        // SAFETY: the first SuperSlab is committed and holds the metadata; nobody else knows of it yet.
        unsafe {
            (*region).reserved.set(count);
            (*region).committed.set(1);
            let used = Region::metadata(geometry).div_ceil(geometry.slab_size());
            (*region).superslabs[0].begin(geometry, used);
        }
        region
    }

    /// Commits the next SuperSlab; null if all are, or the kernel refuses.
    ///
    /// # Safety
    /// The caller holds the pool's lock.
    pub(crate) unsafe fn commit_next(&self, geometry: Geometry, huge_pages: bool) -> *mut SuperSlab {
        let index = self.committed.get();
        if index >= self.reserved.get() {
            return ptr::null_mut();
        }
        let address = self.base(geometry).wrapping_add(index << geometry.superslab_shift);
        if !mmap::commit(address, geometry.superslab_size()) {
            return ptr::null_mut();
        }
        if huge_pages {
            mmap::prefer_huge_pages(address, geometry.superslab_size());
        }
        let Some(superslab) = self.superslabs.get(index) else { return ptr::null_mut() };
        superslab.begin(geometry, 0);
        self.committed.set(index.wrapping_add(1));
        ptr::from_ref(superslab).cast_mut()
    }

    /// Gives back the reserve behind the last committed SuperSlab.
    ///
    /// # Safety
    /// The caller holds the pool's lock.
    pub(crate) unsafe fn release_reserve(&self, geometry: Geometry) {
        let (committed, reserved) = (self.committed.get(), self.reserved.get());
        let address = self.base(geometry).wrapping_add(committed << geometry.superslab_shift);
        let length = reserved.wrapping_sub(committed) << geometry.superslab_shift;
        if length > 0 {
            page_map::remove(address, length);
            mmap::unmap(address, length);
            self.reserved.set(committed);
        }
    }

    /// The metadata of every slab of the region, for statistics. Entries never used are all zero.
    pub(crate) fn slabs(&self, geometry: Geometry) -> impl Iterator<Item = &'static Slab> {
        let first = ptr::with_exposed_provenance::<Slab>(self.base(geometry));
        // SAFETY: a region's metadata is never unmapped and is valid from all zero on.
        (0..geometry.slabs_per_region()).map(move |index| unsafe { &*first.wrapping_add(index) })
    }

    /// The region reserved before this one.
    pub(crate) fn next(&self) -> *mut Region {
        self.next.load(Ordering::Acquire)
    }
}
