//! `pages`: blocks live on lists of their own slab, and a free finds the slab by arithmetic (after mimalloc).
//!
//! `page`, in names, is a slab, as in mimalloc. The thread cache has a current slab for each class, from whose list
//! `free` an allocation pops. A free masks the address to find the slab's entry in the region's metadata and compares
//! one word there, the owner. If that is this thread's owner id, the block is pushed on the slab's `local_free`;
//! abandoned slabs, and those that are free after use, have the owner `NOBODY`, so nothing else needs a test. Blocks of
//! other threads' slabs are gathered in the thread (`pending`); those of one slab then share one compare-and-swap on
//! its [`RemoteWord`](crate::protocol::RemoteWord), which corresponds to mimalloc's `thread_free`.
//!
//! When `free` is empty, it is refilled: from `local_free`; then from what other threads freed; then from blocks that
//! are free in the bitmap; then from memory never used. A slab with nothing of this is full. It waits after the heap's
//! partial slabs, or is abandoned; then the first thread that frees a block of it reclaims it.
//!
//! A slab without a block in use goes to the heap's cached slabs, which any class can use, and from there to the pool.
//! The current slab is kept, so that a class with one block at a time does not lose its slab with each free.
//!
//! There is no list per class whose length trades hits against memory: a free block is in its slab, a free of a block
//! of any of the thread's slabs costs the same, and an empty slab is seen at once.

use super::{Below, Layer, Limit};
use crate::slab::{Batch, FreeBlock, FreeList, Slab};
use core::cell::Cell;
use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};

/// The slab of a state that has none: without a free block, so that a hit need not test whether there is a slab. A pop
/// of its empty list writes nothing.
static NO_PAGE: Slab = Slab::unused();

/// The state of one class, with slabs of `2^SLAB_SHIFT` bytes in regions of `2^REGION_SHIFT`. `PREFETCH`: a hit
/// prefetches the next block, which is one instruction more.
///
/// # Invariants
/// `page` is the current slab of this class in the heap, which is bound; `NO_PAGE` where there is none. `pending` has `count` blocks, fewer than the limit.
#[repr(C)]
#[derive(Debug)]
pub struct Pages<const SLAB_SHIFT: u32, const REGION_SHIFT: u32, const PREFETCH: bool> {
    /// Another thread takes it away while this one sleeps, hence an atomic.
    page: AtomicPtr<Slab>,
    /// Freed blocks of slabs that are not this thread's.
    pending: FreeList,
    count: Cell<u32>,
}

// SAFETY: a free block is on one list of its slab, in its bitmap, or in `pending`, and each move removes it from where
// it was.
unsafe impl<const SLAB_SHIFT: u32, const REGION_SHIFT: u32, const PREFETCH: bool> Layer
    for Pages<SLAB_SHIFT, REGION_SHIFT, PREFETCH>
{
    type Shared = Limit;

    const EMPTY: Self =
        Pages { page: AtomicPtr::new((&raw const NO_PAGE).cast_mut()), pending: FreeList::EMPTY, count: Cell::new(0) };

    const INERT: bool = true;

    const LISTS_IN_SLABS: bool = true;

    // The entry of the block's slab has the lists; nothing of this state is looked at.
    const PUSHES_ANY_CLASS: bool = true;

    #[inline(always)]
    fn pop(&self) -> Option<FreeBlock> {
        self.page().pop_listed::<PREFETCH>()
    }

    #[inline(always)]
    fn push(&self, block: FreeBlock, owner: usize) -> bool {
        // SAFETY: the block is of a class whose first layer is of this type (`PUSHES_ANY_CLASS`).
        let page = unsafe { Self::page_of(block.addr()) };
        // Only this thread changes an owner to its own id, or from it.
        page.is_owned_by(owner) && page.push_listed(block)
    }

    fn refill(&self, _: &Limit, below: &mut impl Below) -> Option<FreeBlock> {
        let (heap, class_index) = below.heap()?;
        if self.has_page() {
            // What this thread freed since is the cheapest, and always enough if allocations and frees balance. (Blocks
            // in `pending` are not used: they would never return to their slabs, and each of their frees would be
            // cold.)
            if heap.relist(class_index, self.page()) {
                return self.pop();
            }
            // `refill_page` may abandon the slab.
            self.unbind();
        }
        let page = below.refill_page()?;
        self.set_page(page);
        self.pop()
    }

    fn take(&self, batch: &mut Batch<'_>, shared: &Limit, below: &mut impl Below) {
        batch.fill(|| self.pop());
        if batch.is_empty() {
            let mut first = self.refill(shared, below);
            batch.fill(|| first.take().or_else(|| self.pop()));
        }
    }

    fn put(&self, mut batch: Batch<'_>, shared: &Limit, below: &mut impl Below) {
        let owner = below.owner();
        while let Some(block) = batch.pop() {
            self.push_or_overflow(block, owner, shared, below);
        }
    }

    fn drain(&self, _: &Limit, below: &mut impl Below) {
        self.flush_pending(below);
        // The other blocks are in their slabs already.
        if self.has_page() {
            self.unbind();
        }
    }

    /// The slab itself is shut by its heap, which also takes over what is on its lists.
    fn shut(&self, _: &Limit) {
        self.set_page(&NO_PAGE);
    }

    fn take_over(&self, _: &Limit, below: &mut impl Below) {
        self.flush_pending(below);
    }

    /// If the slab is this thread's, the push kept the block, and returned `false` as no block of the slab is in use any
    /// more; or it found the slab shut, which is open again.
    unsafe fn overflow(&self, block: *mut u8, &Limit(limit): &Limit, below: &mut impl Below) {
        // SAFETY: the block is of this class, whose spans are one slab each.
        let page = unsafe { Self::page_of(block.addr()) };
        let own = below.heap().filter(|(heap, class_index)| page.is_owned_by(heap.owner_id(*class_index)));
        if let Some((heap, _)) = own
            && page.is_empty()
        {
            heap.retire_if_not_current(page);
            return;
        }
        // SAFETY: the push did not keep the block, as its slab was not this thread's, or shut: a push to a slab of its own
        // returns `false` only if the slab is empty then. (Without a heap no slab is this thread's: no slab with a block in
        // use has the owner id of such a thread.)
        let freed = unsafe { FreeBlock::from_raw(block) };
        if let Some((heap, _)) = own {
            if !page.push_listed(freed) {
                heap.retire_if_not_current(page);
            }
            return;
        }
        match below.heap() {
            Some((heap, class_index)) if heap.reclaim(page, class_index, block.addr()) => {
                // It was abandoned, and is this thread's now, so that its other blocks are hits.
                page.push_listed(freed);
                heap.keep_or_abandon(page);
            }
            _ => self.add_pending(freed, limit, below),
        }
    }
}

impl<const SLAB_SHIFT: u32, const REGION_SHIFT: u32, const PREFETCH: bool> Pages<SLAB_SHIFT, REGION_SHIFT, PREFETCH> {
    /// Frees `block`, which may be any pointer, if its slab is of the heap at `heap`. `None`: it is not, or is in a
    /// region that is not among the thread's known ones. Else whether a block of the slab is still in use; if not,
    /// [`Layer::overflow`] must be called.
    ///
    /// # Safety
    /// At `heap` is the calling thread's heap, or an [`EmptyThread`](crate::c::EmptyThread), and `KNOWN_REGIONS_OFFSET`
    /// bytes after its start are the [`KnownRegions`](crate::c::KnownRegions) of this geometry. If the block is of a
    /// class whose first layer this is, it is the caller's.
    #[inline(always)]
    pub unsafe fn push_own<const KNOWN_REGIONS_OFFSET: usize>(block: *mut u8, heap: *const u8) -> Option<bool> {
        let (region, entry) = Self::entry_of(block.addr());
        // In assembly, so that both loads are memory operands of the comparisons: rustc makes a relaxed load an
        // instruction of its own.
        // SAFETY: the index is below the number of entries of `KnownRegions`, as it has 32 - REGION_SHIFT bits. A
        // region that is there has mapped metadata with an entry for each slab, whose first word is the owner.
        unsafe {
            core::arch::asm!(
                "cmp qword ptr [{heap} + {index} * 8 + {regions}], {region}",
                "jne {other}",
                "cmp qword ptr [{region} + {entry}], {heap}",
                "jne {other}",
                heap = in(reg) heap,
                index = in(reg) u64::from(block.addr() as u32 >> REGION_SHIFT),
                regions = const KNOWN_REGIONS_OFFSET,
                region = in(reg) region,
                entry = in(reg) entry,
                other = label { return None },
                options(readonly, nostack),
            );
        }
        let page = ptr::with_exposed_provenance::<Slab>(region).wrapping_byte_add(entry);
        // SAFETY: the owner is this thread's heap, which only this thread changes (`Slab::owner`), so the slab is this
        // thread's; and as bit 0 of it is clear, the slab is of a class of this layer, and the block is the caller's.
        Some(unsafe { (*page).push_listed(FreeBlock::from_raw(block)) })
    }

    /// The slab that is bound, or `NO_PAGE`.
    #[inline(always)]
    fn page(&self) -> &'static Slab {
        // SAFETY: `NO_PAGE`, or a slab's metadata, which is never unmapped: `set_page` stores nothing else.
        unsafe { &*self.page.load(Ordering::Relaxed) }
    }

    fn set_page(&self, page: &'static Slab) {
        self.page.store(ptr::from_ref(page).cast_mut(), Ordering::Relaxed);
    }

    fn has_page(&self) -> bool {
        !ptr::eq(self.page(), &raw const NO_PAGE)
    }

    fn unbind(&self) {
        self.page().unbind();
        self.set_page(&NO_PAGE);
    }

    fn add_pending(&self, block: FreeBlock, limit: u32, below: &mut impl Below) {
        self.pending.push(block);
        self.count.set(self.count.get().wrapping_add(1));
        if self.count.get() >= limit {
            self.flush_pending(below);
        }
    }

    fn flush_pending(&self, below: &mut impl Below) {
        self.count.set(0);
        super::bounded_list::flush_list(&self.pending.take_all(), below);
    }

    /// The entry of the slab that a block is in.
    ///
    /// # Safety
    /// At `block` is a block of a class that has this layer: its spans are one slab each, in regions of this geometry.
    #[inline(always)]
    unsafe fn page_of(block: usize) -> &'static Slab {
        let (region, entry) = Self::entry_of(block);
        // SAFETY: the region's metadata, which is never unmapped, has an entry for each of its slabs.
        unsafe { &*ptr::with_exposed_provenance::<Slab>(region).wrapping_byte_add(entry) }
    }

    /// The base of the block's region, and the byte offset from it of the block's slab entry.
    #[inline(always)]
    fn entry_of(block: usize) -> (usize, usize) {
        const ENTRY_SHIFT: u32 = size_of::<Slab>().trailing_zeros();
        const { assert!(REGION_SHIFT <= 32, "the lower half of an address has the slab's number in the region") };
        let region = block & !((1 << REGION_SHIFT) - 1);
        let slabs = (1 << (REGION_SHIFT - SLAB_SHIFT)) - 1;
        let entry = (block as u32 >> (SLAB_SHIFT - ENTRY_SHIFT)) & (slabs << ENTRY_SHIFT);
        (region, entry as usize)
    }
}
