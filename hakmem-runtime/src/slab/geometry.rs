//! The geometry of regions: from an address to the metadata of its slab, and back, by arithmetic alone.
//!
//! A **region** is 32 SuperSlabs side by side, aligned to its own size (64 MiB with the default geometry). Its first
//! slabs hold the metadata of all its slabs, one entry each; all other slabs hold nothing but blocks:
//!
//! ```text
//! region, aligned to its size
//! ├ SuperSlab 0 ──────────────────────────────────────┬ SuperSlab 1 ───────────────┬ … ┬ SuperSlab 31 ┐
//! │ Slab[0 … n) · bitmaps[0 … n) · head │ slabs ────── │ slab slab slab … slab slab │   │              │
//! ```
//!
//! The metadata of a region is never unmapped. So a `&'static Slab` is always valid to read, even if the slab was freed
//! since.

use super::metadata::Slab;
use core::ptr;
use core::sync::atomic::Ordering;

/// SuperSlabs in a region.
pub(crate) const SUPERSLABS: usize = 32;

/// The logarithm of the size of a region, for SuperSlabs of `superslab` bytes.
#[doc(hidden)]
pub const fn region_shift(superslab: u32) -> u32 {
    superslab.trailing_zeros() + SUPERSLABS.trailing_zeros()
}

/// The sizes of slabs and SuperSlabs that the spec chose: powers of two, kept as shifts.
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

    /// Bytes of bitmap per slab: a bit for each 16 bytes. So a slab has at most that many blocks, even if they have 8
    /// bytes.
    const fn bitmap_size(self) -> usize {
        self.slab_size() / 16 / 8
    }

    /// The distance from the region's base to the bitmaps, which follow the entries of the slabs.
    const fn bitmaps_start(self) -> usize {
        self.slabs_per_region() * size_of::<Slab>()
    }

    /// The distance from the region's base to its head, which follows the bitmaps.
    pub(crate) const fn head_start(self) -> usize {
        self.bitmaps_start() + self.slabs_per_region() * self.bitmap_size()
    }

    /// The bitmap of a slab. A span's bitmap continues through the bitmaps of its other slabs.
    fn bitmap(self, slab: *const Slab) -> *mut u64 {
        let region = slab.addr() & !(self.region_size() - 1);
        let index = (slab.addr() & (self.region_size() - 1)) / size_of::<Slab>();
        ptr::with_exposed_provenance_mut(region.wrapping_add(self.bitmaps_start() + index * self.bitmap_size()))
    }

    /// Whether the block of this index is free in its slab's bitmap, for a thread that need not own the slab: it may be
    /// wrong by now.
    pub(crate) fn is_free(self, slab: &'static Slab, block: u32) -> bool {
        let words = self.bitmap(slab).wrapping_add((block / u64::BITS) as usize);
        // SAFETY: a slab has a bit for each 16 bytes, so for each of its blocks, in the region's metadata, which is never
        // unmapped. The owner may be writing the word.
        let word = unsafe { words.read_volatile() };
        word >> (block % u64::BITS) & 1 != 0
    }

    /// The metadata of the slab or span that has the address `block`; if that is in none, some slab's.
    ///
    /// # Safety
    /// `block` is in a region of this geometry.
    #[inline]
    pub(crate) unsafe fn slab_of(self, block: usize) -> &'static Slab {
        let region = block & !(self.region_size() - 1);
        let index = (block & (self.region_size() - 1)) >> self.slab_shift;
        let entry = ptr::with_exposed_provenance::<Slab>(region).wrapping_add(index);
        // SAFETY: the region's metadata is never unmapped and has an entry for each slab. `span_offset` leads from the
        // entry of any slab of a span to that of its first slab. Of a slab that is in no span it may be out of date,
        // but it never exceeds the number of entries before this one, so it leads to one in the same region.
        unsafe { &*entry.wrapping_sub(usize::from((*entry).span_offset.load(Ordering::Relaxed))) }
    }

    /// The addresses of a slab and of its bitmap.
    pub(crate) fn memory_of(self, slab: *const Slab) -> (usize, *mut u64) {
        (self.base(slab), self.bitmap(slab))
    }

    /// The address of the slab with the entry `slab`.
    pub(crate) fn base(self, slab: *const Slab) -> usize {
        let address = slab.addr();
        let region = address & !(self.region_size() - 1);
        let index = (address & (self.region_size() - 1)) / size_of::<Slab>();
        region.wrapping_add(index << self.slab_shift)
    }
}
