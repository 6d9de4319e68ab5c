//! What a front offers for callers in C, who know a block by its address alone; and where such a front stands.

use crate::cache::counted::LayerTable;
use crate::global_alloc::Front;
use core::cell::Cell;

/// What the macro generates beside [`Front`] under `tls = "initial-exec"`.
///
/// # Safety
/// As [`Front`]; blocks are aligned to 16 where nothing else is said.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be exported as C's `malloc`",
    label = "its threads are not to be found from there",
    note = "write `tls = \"initial-exec\"` at the top of its spec"
)]
pub unsafe trait CFront: Front {
    /// Whether a thread of the allocator's own fills or purges in the background.
    const BACKGROUND: bool;

    /// Whether some class has the policy `stats = true`.
    const STATS: bool;

    /// A block for a small size, if the first layer has one; else null.
    fn allocate_hit(size: usize) -> *mut u8;

    /// Frees a block if that is a hit of a layer that finds the block's slab by its address. `false`: nothing happened.
    ///
    /// # Safety
    /// If `block` is a block of this allocator, the caller owns it and gives it up. It may be any pointer.
    unsafe fn release_hit(block: *mut u8) -> bool;

    /// Frees a block of the class in a slot.
    ///
    /// # Safety
    /// The block is allocated, of that class, and the caller's.
    unsafe fn release_of(block: *mut u8, slot: usize);

    /// Remembers that the region of `block` is this allocator's, for hits to come.
    fn remember(block: *const u8);

    /// What the layers did.
    fn layer_stats() -> LayerTable;

    /// Gives back all that is free.
    fn purge();
}

/// The front of threads that have none, where a heap is expected in front of it: empty, and nobody writes to it. `FRONT`
/// is [`Heap::front_offset`](crate::Heap::front_offset).
#[repr(C, align(128))]
#[derive(Debug)]
pub struct EmptyThread<T, const FRONT: usize> {
    heap: [u8; FRONT],
    front: T,
}

// SAFETY: nobody writes to it, as every layer of an empty front is inert or not asked.
unsafe impl<T, const FRONT: usize> Sync for EmptyThread<T, FRONT> {}

impl<T, const FRONT: usize> EmptyThread<T, FRONT> {
    /// With an empty front.
    pub const fn new(front: T) -> Self {
        EmptyThread { heap: [0; FRONT], front }
    }
}

/// The regions of `2^REGION` bytes that a thread has met: that a pointer is in one of them tells that the metadata of its
/// slab can be read. The metadata of a region is never unmapped, so what is remembered stays true. There are `PLACES`,
/// `2^(32 - REGION)`, for regions by the lower half of their addresses: those of 4 GiB side by side. `Pages::push_own` looks
/// here.
///
/// # Invariants
/// A place holds the base of a region that belongs there, or what is the base of none.
#[repr(transparent)]
#[derive(Debug)]
pub struct KnownRegions<const REGION: u32, const PLACES: usize>([Cell<usize>; PLACES]);

impl<const REGION: u32, const PLACES: usize> KnownRegions<REGION, PLACES> {
    /// None. At 0, the base of the null pointer's, is none either.
    pub const fn none() -> Self {
        assert!(PLACES == 1 << (32 - REGION), "a place for each value of the upper bits of 32");
        KnownRegions([const { Cell::new(1) }; PLACES])
    }

    /// Forgets all.
    pub fn clear(&self) {
        for place in &self.0 {
            place.set(1);
        }
    }

    /// Remembers the region of `address`.
    pub fn learn(&self, address: usize) {
        if let Some(place) = self.0.get((address as u32 >> REGION) as usize) {
            place.set(address & !((1 << REGION) - 1));
        }
    }
}
