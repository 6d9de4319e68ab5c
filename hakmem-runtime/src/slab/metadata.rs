//! What is known about one slab (or one span of consecutive slabs; then the first slab's entry speaks for all).

use super::geometry::Geometry;
use super::remote::RemoteWord;
use crate::block::{Block, Chain};
use crate::os::memory;
use core::cell::Cell;
use core::ptr;
use core::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};

/// The class of a slab that has none.
pub(crate) const NO_CLASS: u32 = u32::MAX;

/// A number with one writer at a time, read by anybody for statistics: plain loads and stores on every machine.
#[derive(Debug)]
pub(crate) struct Count(AtomicU32);

impl Count {
    pub(crate) fn get(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
    pub(crate) fn set(&self, value: u32) {
        self.0.store(value, Ordering::Relaxed);
    }
}

/// A slab's metadata. All zero is the state of a slab never used.
///
/// # Invariants
/// For a slab with an owner, seen by that owner:
///
/// ```text
/// carved ≤ capacity
/// free_count  == length of the list at `free`
/// free_count + remote.count + allocated == carved
/// ```
///
/// where `allocated` includes the blocks that front layers keep. `owner == 0` while the slab is adrift (then
/// `free_count + remote.count == 0` and `carved == capacity`), in the pool or free.
///
/// The first cache line is what other threads read and write, the second is the owner's alone.
#[repr(C, align(128))]
#[derive(Debug)]
pub(crate) struct Slab {
    /// The address of the owning heap. Only the owner writes its own address and takes it away, so a thread that reads
    /// its own reads the truth.
    pub(crate) owner: AtomicUsize,
    /// Remote frees, and whether the slab is adrift.
    pub(crate) remote: RemoteWord,
    /// The slab below on a [`SlabStack`](crate::SlabStack).
    pub(crate) below: AtomicU64,
    class_plus_one: Count,
    /// How many entries before this one the span's first slab is; written while the span is made, under no race.
    pub(crate) back: Cell<u16>,

    free: Cell<*mut Block>,
    free_count: Count,
    carved: Count,
    capacity: Cell<u32>,
    block_size: Cell<u32>,
    /// The heap that last allocated from it: whoever claims for that heap keeps the slab.
    pub(crate) home: Cell<usize>,
    pub(crate) previous: Cell<*mut Slab>,
    pub(crate) next: Cell<*mut Slab>,
    /// Whether memory that is not carved yet is still zero: nobody wrote to it since it was mapped or purged.
    pub(crate) fresh: Cell<bool>,
}

const _: () = assert!(size_of::<Slab>() == 128, "an address leads to its metadata by a shift");

impl Slab {
    /// The class, or [`NO_CLASS`].
    pub(crate) fn class(&self) -> u32 {
        self.class_plus_one.get().wrapping_sub(1)
    }

    pub(crate) fn free_count(&self) -> u32 {
        self.free_count.get()
    }

    pub(crate) fn carved(&self) -> u32 {
        self.carved.get()
    }

    pub(crate) fn block_size(&self) -> u32 {
        self.block_size.get()
    }

    /// Blocks handed out, for the choice of the fullest.
    pub(crate) fn handed_out(&self) -> u32 {
        self.carved().wrapping_sub(self.free_count()).wrapping_sub(self.remote.count())
    }

    /// Makes a free span into a slab of `class`, owned by `owner`.
    pub(crate) fn begin(&self, class: u32, block_size: u32, capacity: u32, owner: usize) {
        self.class_plus_one.set(class.wrapping_add(1));
        self.block_size.set(block_size);
        self.capacity.set(capacity);
        self.free.set(ptr::null_mut());
        self.free_count.set(0);
        self.carved.set(0);
        self.home.set(owner);
        self.remote.own();
        self.owner.store(owner, Ordering::Relaxed);
    }

    /// Ends its life as a slab of a class. No block of it is allocated.
    pub(crate) fn end(&self) {
        self.owner.store(0, Ordering::Relaxed);
        self.fresh.set(self.fresh.get() && self.carved() == 0);
        self.class_plus_one.set(0);
        self.carved.set(0);
        self.free_count.set(0);
    }

    /// Whether no block is handed out, by the owner's books alone.
    pub(crate) fn is_empty(&self) -> bool {
        self.free_count() == self.carved()
    }

    /// Whether anything can be allocated from it without asking other threads.
    pub(crate) fn has_blocks(&self) -> bool {
        self.free_count() > 0 || self.carved() < self.capacity.get()
    }

    /// Puts one block back. For the owner.
    ///
    /// # Safety
    /// The caller owns the slab, and `block`, which is one of its blocks.
    pub(crate) unsafe fn push(&self, block: *mut Block) {
        // SAFETY: the block is the caller's.
        unsafe { Block::set_next(block, self.free.get()) };
        self.free.set(block);
        self.free_count.set(self.free_count().wrapping_add(1));
    }

    /// Puts a chain back. For the owner.
    pub(crate) fn push_chain(&self, chain: Chain) {
        let mut all = Chain { head: self.free.get(), count: self.free_count() };
        all.prepend(chain);
        self.free.set(all.head);
        self.free_count.set(all.count);
    }

    /// Moves what other threads freed to the free list. For the owner. `true` if there was anything.
    pub(crate) fn collect(&self, geometry: Geometry) -> bool {
        let Some((position, count)) = self.remote.take() else { return false };
        let head = ptr::with_exposed_provenance_mut(geometry.base(self).wrapping_add(position as usize));
        self.push_chain(Chain { head, count });
        true
    }

    /// Takes blocks: `want` of them, or the whole free list where it has at most `most`, which needs no walk. Empty when
    /// every block is handed out. For the owner.
    pub(crate) fn take(&self, want: u32, most: u32, geometry: Geometry) -> Chain {
        if self.free_count() == 0 && !self.collect(geometry) {
            return self.carve(want, geometry);
        }
        let mut chain = Chain { head: self.free.get(), count: self.free_count() };
        let rest = if chain.count <= most { Chain::EMPTY } else { chain.split_off(want) };
        self.free.set(rest.head);
        self.free_count.set(rest.count);
        chain
    }

    /// Makes the next blocks of memory never used, in ascending order, no further than the current page's end: memory
    /// that is not carved is not touched.
    fn carve(&self, want: u32, geometry: Geometry) -> Chain {
        let size = self.block_size.get();
        let start = geometry.base(self).wrapping_add(self.carved() as usize * size as usize);
        let page = memory::page_size();
        let in_page = page.wrapping_sub(start & page.wrapping_sub(1)) as u32 / size.max(1);
        let count = want.min(in_page.max(1)).min(self.capacity.get().wrapping_sub(self.carved()));
        if count == 0 {
            return Chain::EMPTY;
        }
        self.carved.set(self.carved().wrapping_add(count));
        let head = ptr::with_exposed_provenance_mut::<Block>(start);
        let mut block = head;
        for _ in 1..count {
            let next = block.wrapping_byte_add(size as usize);
            // SAFETY: `count` blocks from `start` on are inside the slab and nobody has them yet.
            unsafe { Block::set_next(block, next) };
            block = next;
        }
        // SAFETY: as above; this is the last of them.
        unsafe { Block::set_next(block, ptr::null_mut()) };
        Chain { head, count }
    }

    /// One block that is known to be zero but for nothing at all, not even a link; null where the slab cannot tell.
    pub(crate) fn carve_zeroed(&self, geometry: Geometry) -> *mut u8 {
        if !self.fresh.get() || self.carved() == self.capacity.get() {
            return ptr::null_mut();
        }
        let start = geometry.base(self).wrapping_add(self.carved() as usize * self.block_size.get() as usize);
        self.carved.set(self.carved().wrapping_add(1));
        ptr::with_exposed_provenance_mut(start)
    }
}
