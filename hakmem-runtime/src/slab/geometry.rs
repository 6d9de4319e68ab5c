//! From an address to its slab's metadata, and back, by arithmetic alone.
//!
//! A **region** is 32 SuperSlabs side by side at a multiple of its own size (64 MiB for the default geometry). Its first
//! slabs hold the metadata of all its slabs, one entry each, so that the SuperSlabs themselves hold nothing but blocks:
//!
//! ```text
//! region, aligned to its size
//! ├ SuperSlab 0 ──────────────────────────────────────┬ SuperSlab 1 ───────────────┬ … ┬ SuperSlab 31 ┐
//! │ Slab[0 … n) · bitmaps[0 … n) · head │ slabs ────── │ slab slab slab … slab slab │   │              │
//! ```
//!
//! Region metadata is never unmapped: a stale pointer to a `Slab` reads a stale slab, never a fault.

use super::metadata::Slab;
use core::ptr;

/// SuperSlabs a region.
pub(crate) const SUPERSLABS: usize = 32;

/// The logarithm of a region's bytes, for SuperSlabs of `superslab` bytes.
#[doc(hidden)]
pub const fn region_shift(superslab: u32) -> u32 {
    superslab.trailing_zeros() + SUPERSLABS.trailing_zeros()
}

/// The sizes that the spec chose. All are powers of two, kept as shifts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Geometry {
    pub(crate) slab_shift: u32,
    pub(crate) superslab_shift: u32,
}

impl Geometry {
    pub(crate) const fn new(superslab: u32, slab: u32) -> Geometry {
        assert!(superslab.is_power_of_two() && slab.is_power_of_two(), "geometry must be powers of two");
        assert!(slab >= 16 << 10 && superslab / slab >= 4 && superslab / slab <= 64, "geometry out of range");
        Geometry { slab_shift: slab.trailing_zeros(), superslab_shift: superslab.trailing_zeros() }
    }

    pub(crate) const fn slab_size(self) -> usize {
        1 << self.slab_shift
    }

    pub(crate) const fn superslab_size(self) -> usize {
        1 << self.superslab_shift
    }

    pub(crate) const fn region_size(self) -> usize {
        SUPERSLABS << self.superslab_shift
    }

    pub(crate) const fn slabs_per_superslab(self) -> usize {
        1 << (self.superslab_shift - self.slab_shift)
    }

    pub(crate) const fn slabs_per_region(self) -> usize {
        SUPERSLABS * self.slabs_per_superslab()
    }

    /// Bytes of bitmap a slab: a bit for each 16 bytes. Of blocks of 8 bytes a slab holds as many as it has bits.
    const fn bitmap_size(self) -> usize {
        self.slab_size() / 16 / 8
    }

    /// Where the bitmaps start, from the region's base: behind the slabs' entries.
    const fn bitmaps_start(self) -> usize {
        self.slabs_per_region() * size_of::<Slab>()
    }

    /// Where the region's head is, from its base: behind the bitmaps.
    pub(crate) const fn head_start(self) -> usize {
        self.bitmaps_start() + self.slabs_per_region() * self.bitmap_size()
    }

    /// The bitmap of a slab. That of a span goes on through those of its later slabs.
    pub(crate) fn bitmap(self, slab: *const Slab) -> *mut u64 {
        let region = slab.addr() & !(self.region_size() - 1);
        let index = (slab.addr() & (self.region_size() - 1)) / size_of::<Slab>();
        ptr::with_exposed_provenance_mut(region.wrapping_add(self.bitmaps_start() + index * self.bitmap_size()))
    }

    /// The metadata of the slab, or of the span of slabs, that holds `block`.
    ///
    /// # Safety
    /// `block` is in a region of this geometry and in a slab that is in use.
    #[inline]
    pub(crate) unsafe fn slab_of(self, block: usize) -> *mut Slab {
        let region = block & !(self.region_size() - 1);
        let index = (block & (self.region_size() - 1)) >> self.slab_shift;
        let slab = ptr::with_exposed_provenance_mut::<Slab>(region).wrapping_add(index);
        // SAFETY: the region's metadata has an entry for each of its slabs. Later slabs of a span lead to its first.
        slab.wrapping_sub(usize::from(unsafe { (*slab).back.get() }))
    }

    /// The address of the first block of `slab`.
    pub(crate) fn base(self, slab: *const Slab) -> usize {
        let address = slab.addr();
        let region = address & !(self.region_size() - 1);
        let index = (address & (self.region_size() - 1)) / size_of::<Slab>();
        region.wrapping_add(index << self.slab_shift)
    }
}
