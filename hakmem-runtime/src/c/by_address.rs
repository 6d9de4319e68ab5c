//! What C callers need of a generated allocator: they free a block by its address alone.

use crate::class_offset::ClassOffset;
use crate::global_alloc::{self, CompiledSpec};
use crate::group::Pending;
use crate::groups::Groups;
use crate::size_table::NO_OFFSET;
use crate::slab::FreeBlock;
use core::cell::Cell;

/// What the macro generates beside [`CompiledSpec`] under `tls = "initial-exec"`.
///
/// # Safety
/// `C` are the groups that the row of the small table for [`ALIGN`](super::ALIGN) names, which has an entry for every
/// small size if `C_ROW_IS_FULL`; `ByAddress` are those that do not need the class for a free
/// ([`Group::NEEDS_CLASS`](crate::group::Group::NEEDS_CLASS)).
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be exported as C's `malloc`",
    label = "C code cannot find its thread caches",
    note = "write `tls = \"initial-exec\"` at the top of its spec"
)]
pub unsafe trait ByAddress: CompiledSpec {
    /// The groups that serve what C allocates, up to `SMALL_MAX` bytes.
    type C: Groups<Self::Cache>;
    /// The groups whose blocks can be freed by their address alone.
    type ByAddress: Groups<Self::Cache>;

    /// Whether every small size has a class that is aligned to [`ALIGN`](super::ALIGN).
    const C_ROW_IS_FULL: bool;

    /// Whether a slow path may start a background thread, to refill or to purge.
    const STARTS_WORKERS: bool;

    /// Whether some class has the policy `stats = true`.
    const STATS: bool;

    /// Frees a block if its slab is this thread's and of the groups of `ByAddress`. Returns whether a block of the slab
    /// is still in use, or `None` if nothing was freed.
    ///
    /// # Safety
    /// If `block` is a block of this allocator, the caller owns it and gives it up. It may be any pointer.
    unsafe fn push_own(block: *mut u8) -> Option<bool>;

    /// Remembers that the region of `block` is this allocator's, so that later frees in it can be hits.
    fn remember(block: *const u8);
}

/// The row of the small table for C's alignment.
const ROW: usize = super::ALIGN.trailing_zeros() as usize;

/// Whether a small table has a class for every size up to `max` in the row for C's alignment.
pub const fn c_row_is_full(table: &crate::size_table::SmallTable, max: usize) -> bool {
    let mut entry = 0;
    while entry <= max / 8 {
        if table[ROW][entry] == NO_OFFSET {
            return false;
        }
        entry += 1;
    }
    true
}

/// A block for a small size, if the first layer has one.
#[inline(always)]
pub(super) fn alloc_hit<S: ByAddress>(size: usize) -> Option<FreeBlock> {
    if size > S::SMALL_MAX {
        return None;
    }
    let offset = S::small()[ROW][(size + 7) >> 3];
    if !S::C_ROW_IS_FULL && offset == NO_OFFSET {
        return None;
    }
    // SAFETY: an entry of this row that is not `NO_OFFSET` is the offset of a class of `C` (`ByAddress`).
    S::C::pop(unsafe { ClassOffset::new(offset.into()) })
}

/// Frees a block if a layer that finds slabs by address takes it at once. `false`: nothing happened.
///
/// # Safety
/// As [`ByAddress::push_own`].
#[inline(always)]
pub(super) unsafe fn dealloc_hit<S: ByAddress>(block: *mut u8) -> bool {
    if S::ByAddress::IS_EMPTY {
        return false;
    }
    // SAFETY: the caller's contract is that of `push_own`, which has just reported that no block of the slab is in use.
    unsafe {
        let Some(in_use) = S::push_own(block) else { return false };
        if !in_use {
            emptied::<S>(block);
        }
    }
    true
}

/// Tells the layer that no block of the slab of `block` is in use any more.
///
/// # Safety
/// The slab is this thread's, and `block` was just pushed to it.
#[cold]
#[inline(never)]
unsafe extern "C" fn emptied<S: ByAddress>(block: *mut u8) {
    let geometry = S::allocator().backing().pool().geometry();
    // SAFETY: the block is one of this allocator, so in a region of its geometry, and its class is of `ByAddress`, as
    // bit 0 of its slab's owner is clear; and this is right after the push that calls for it.
    unsafe {
        let class_index = geometry.slab_of(block.addr()).class_index();
        if let Some(offset) = global_alloc::offset_of_class::<S>(class_index as usize) {
            S::ByAddress::overflow(Pending::new(block), ClassOffset::new(offset.get()));
        }
    }
}

/// Frees a block of the class at `class_index`.
#[inline]
pub(super) fn dealloc_of_class<S: ByAddress>(block: FreeBlock, class_index: usize) {
    // The index comes from a slab in use: there is such a class.
    if let Some(offset) = global_alloc::offset_of_class::<S>(class_index) {
        S::Groups::dealloc(block, offset);
    }
}

/// The empty thread cache that all threads share until they start, `OFFSET` bytes after the start of a placeholder for
/// the heap, as a thread cache is after its heap ([`Heap::thread_cache_offset`](crate::Heap::thread_cache_offset)).
/// Never written to.
#[repr(C, align(128))]
#[derive(Debug)]
pub struct EmptyThread<T, const OFFSET: usize> {
    heap: [u8; OFFSET],
    cache: T,
}

// SAFETY: it is never written to: a first layer that would write to its empty state is not called before the thread has
// started.
unsafe impl<T, const OFFSET: usize> Sync for EmptyThread<T, OFFSET> {}

impl<T, const OFFSET: usize> EmptyThread<T, OFFSET> {
    /// With an empty cache.
    pub const fn new(cache: T) -> Self {
        EmptyThread { heap: [0; OFFSET], cache }
    }
}

/// Regions, of `2^REGION_SHIFT` bytes, that a thread knows to be this allocator's: the metadata of a slab in one of
/// them can be read, and is never unmapped. A direct-mapped table of `ENTRIES = 2^(32 - REGION_SHIFT)` entries, indexed
/// by the lower half of the address, so that regions within 4 GiB of each other do not collide. `Pages::push_own` reads
/// it.
///
/// # Invariants
/// An entry holds the base of a known region with that index, or 1, which is no region's base.
#[repr(transparent)]
#[derive(Debug)]
pub struct KnownRegions<const REGION_SHIFT: u32, const ENTRIES: usize>([Cell<usize>; ENTRIES]);

impl<const REGION_SHIFT: u32, const ENTRIES: usize> KnownRegions<REGION_SHIFT, ENTRIES> {
    /// No regions. (Not 0: that is the base of the region that null would be in.)
    pub const NONE: Self = {
        assert!(ENTRIES == 1 << (32 - REGION_SHIFT), "an entry for each value of the upper bits of 32");
        KnownRegions([const { Cell::new(1) }; ENTRIES])
    };

    /// Remembers the region of `address`.
    pub fn insert(&self, address: usize) {
        if let Some(entry) = self.0.get((address as u32 >> REGION_SHIFT) as usize) {
            entry.set(address & !((1 << REGION_SHIFT) - 1));
        }
    }
}
