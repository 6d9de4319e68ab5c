//! What is known about one slab (or one span of consecutive slabs; then the first slab's entry speaks for all).

use super::geometry::Geometry;
use super::remote::RemoteWord;
use crate::slab::block::{Block, Chain, Run};
use crate::slab::class::Class;
use crate::sys::fatal::fatal;
use crate::sys::mmap;
use core::cell::Cell;
use core::ptr;
use core::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};

/// The class of a slab that has none.
pub(crate) const NO_CLASS: u32 = u32::MAX;

/// The owner of a slab that nobody owns. Not 0: that is what a thread without a heap calls itself.
pub(crate) const NOBODY: usize = 1;

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
/// Free blocks are bits, not a list: a free touches no memory of the block, a refill hands out ascending addresses
/// without loading from one block where the next one is, and a second free of the same block is seen.
///
/// # Invariants
/// For a slab with an owner, seen by that owner:
///
/// ```text
/// carved ≤ capacity
/// free_count == number of ones in the bitmap, all of them below `carved` and none in a word before `lowest`
/// free_count + |free| + |local_free| + used == carved
/// used == allocated + remote.count + (1 while a `pages` layer has it in its table)
/// ```
///
/// where `allocated` includes the blocks that front layers keep elsewhere. The two lists are for the layer `pages` and
/// empty under any other. `owner == NOBODY` while the slab is adrift (then `remote.count == 0` and `used > 0`) or free. A slab
/// without a class has empty lists and an empty bitmap.
///
/// The first cache line is what other threads read and write, the second is the owner's alone: a thread that frees what
/// another allocates reads `owner` each time, and must not wait for the other's `used`. The two lines behind are empty: processors
/// fetch a line's neighbours too, and the next entry's slab may be another thread's. (Two threads that replace blocks of their own:
/// 4.15 ns with entries of 128 bytes, 3.76 with these, as if each were a process.)
#[repr(C, align(256))]
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
    /// Whether memory that is not carved yet is still zero: nobody wrote to it since it was mapped or purged.
    pub(crate) fresh: Cell<bool>,
    /// The address of the first block.
    base: Cell<usize>,
    /// Free blocks, a bit each.
    bitmap: Cell<*mut u64>,
    /// The heap that last allocated from it: whoever claims for that heap keeps the slab.
    pub(crate) home: AtomicUsize,

    /// Blocks to allocate next, for `pages`.
    pub(crate) free: Cell<*mut Block>,
    /// Blocks that their owner freed since, for `pages`.
    pub(crate) local_free: Cell<*mut Block>,
    /// Blocks handed out, by the owner's books.
    pub(crate) used: Cell<u32>,
    free_count: Count,
    carved: Count,
    capacity: Cell<u32>,
    block_size: Cell<u32>,
    /// ⌈2³² / block_size⌉: `offset × reciprocal >> 32` is the index of the block at `offset`.
    reciprocal: Cell<u32>,
    /// The first word of the bitmap that may have ones.
    lowest: Cell<u32>,
    /// About how many bytes from the base on were in use since the memory was mapped or purged.
    pub(crate) touched: Cell<u32>,
    pub(crate) previous: Cell<*mut Slab>,
    pub(crate) next: Cell<*mut Slab>,
}

const _: () = assert!(size_of::<Slab>() == 256, "an address leads to its metadata by a shift");
const _: () = assert!(core::mem::offset_of!(Slab, owner) == 0, "a free by address compares the first word");

/// Bits in a word of the bitmap.
const WORD: u32 = u64::BITS;

impl Slab {
    /// A slab never used.
    pub(crate) const fn unused() -> Slab {
        // SAFETY: all zero is that state; every field is an integer, a pointer or a bool.
        unsafe { core::mem::zeroed() }
    }

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

    /// Blocks that there may be.
    pub(crate) fn capacity(&self) -> u32 {
        self.capacity.get()
    }

    /// Where the first block is.
    pub(crate) fn base(&self) -> usize {
        self.base.get()
    }

    /// Blocks handed out, for statistics.
    pub(crate) fn handed_out(&self) -> u32 {
        self.carved().wrapping_sub(self.free_count()).wrapping_sub(self.remote.count())
    }

    /// Makes a free span into a slab of `class`, owned by `owner`.
    pub(crate) fn begin(&self, class: u32, shape: &Class, owner: usize, geometry: Geometry) {
        self.class_plus_one.set(class.wrapping_add(1));
        self.base.set(geometry.base(self).wrapping_add(shape.first_block_offset as usize));
        self.bitmap.set(geometry.bitmap(self));
        self.block_size.set(shape.size);
        self.reciprocal.set((1_u64 << 32).div_ceil(u64::from(shape.size.max(1))) as u32);
        self.capacity.set(shape.blocks);
        self.free_count.set(0);
        self.carved.set(0);
        self.used.set(0);
        self.lowest.set(0);
        self.home.store(owner, Ordering::Relaxed);
        self.remote.own();
        self.owner.store(owner, Ordering::Relaxed);
    }

    /// Ends its life as a slab of a class. No block of it is allocated.
    pub(crate) fn end(&self) {
        self.owner.store(NOBODY, Ordering::Relaxed);
        self.free.set(ptr::null_mut());
        self.local_free.set(ptr::null_mut());
        for word in 0..self.carved().div_ceil(WORD) {
            self.set_word(word, 0);
        }
        self.fresh.set(self.fresh.get() && self.carved() == 0);
        self.touched.set(self.touched.get().max(self.carved().wrapping_mul(self.block_size.get())));
        self.class_plus_one.set(0);
        self.carved.set(0);
        self.free_count.set(0);
    }

    /// Whether no block is handed out, by the owner's books alone.
    pub(crate) fn is_empty(&self) -> bool {
        self.used.get() == 0
    }

    /// Blocks handed out, by the owner's books alone.
    pub(crate) fn used(&self) -> u32 {
        self.used.get()
    }

    /// Whether anything can be allocated from it without asking other threads. Not for one in the table of `pages`, which
    /// counts as a use.
    pub(crate) fn has_blocks(&self) -> bool {
        self.used() < self.capacity()
    }

    fn word(&self, word: u32) -> u64 {
        // SAFETY: the bitmap has a bit for each block of the slab, and only its owner is here.
        unsafe { *self.bitmap.get().wrapping_add(word as usize) }
    }

    fn set_word(&self, word: u32, bits: u64) {
        // SAFETY: as in `word`.
        unsafe { *self.bitmap.get().wrapping_add(word as usize) = bits }
    }

    /// Puts one block back. For the owner. A pointer that is not at a block's start, or a block that is free already,
    /// ends the program.
    pub(crate) fn push(&self, block: *mut Block) {
        let offset = block.addr().wrapping_sub(self.base.get()) as u32;
        let index = (u64::from(offset).wrapping_mul(u64::from(self.reciprocal.get())) >> 32) as u32;
        let (word, bit) = (index / WORD, 1_u64 << (index % WORD));
        let old = self.word(word);
        if index.wrapping_mul(self.block_size.get()) != offset || old & bit != 0 {
            fatal("a block was freed twice, or a pointer was freed that is not at the start of a block", block.addr());
        }
        self.set_word(word, old | bit);
        self.free_count.set(self.free_count().wrapping_add(1));
        self.used.set(self.used.get().wrapping_sub(1));
        self.lowest.set(self.lowest.get().min(word));
    }

    /// Puts the blocks of a list back, as [`Slab::push`] does.
    ///
    /// # Safety
    /// The caller owns the slab and the list, which ends with null.
    pub(crate) unsafe fn push_list(&self, mut block: *mut Block) {
        while !block.is_null() {
            // SAFETY: the list is the caller's.
            let next = unsafe { Block::next(block) };
            self.push(block);
            block = next;
        }
    }

    /// Puts back what other threads freed. For the owner. `true` if there was anything.
    pub(crate) fn collect(&self) -> bool {
        let Some((position, _)) = self.remote.take() else { return false };
        // SAFETY: the list is ours since `take`.
        unsafe { self.push_list(ptr::with_exposed_provenance_mut(self.base.get().wrapping_add(position as usize))) };
        true
    }

    /// Takes at most `want` blocks and passes each to `each`: the free ones first, lowest address first; then memory never
    /// used. Returns how many; 0 when every block is handed out. For the owner.
    #[inline]
    pub(crate) fn take_each(&self, want: u32, mut each: impl FnMut(*mut Block)) -> u32 {
        if self.free_count() == 0 && !self.collect() {
            let run = self.carve(want);
            run.for_each(each);
            return run.count;
        }
        let count = want.min(self.free_count());
        let size = self.block_size.get() as usize;
        let mut left = count;
        let mut word = self.lowest.get();
        while left > 0 {
            let mut bits = self.word(word);
            let of_word = self.base.get().wrapping_add(word as usize * WORD as usize * size);
            while bits != 0 && left > 0 {
                let address = of_word.wrapping_add(bits.trailing_zeros() as usize * size);
                bits &= bits.wrapping_sub(1);
                left = left.wrapping_sub(1);
                each(ptr::with_exposed_provenance_mut(address));
            }
            self.set_word(word, bits);
            if bits == 0 {
                word = word.wrapping_add(1);
            }
        }
        self.took(count, word);
        count
    }

    /// The same as a chain.
    pub(crate) fn take(&self, want: u32) -> Chain {
        let mut chain = Chain::EMPTY;
        self.take_each(want, |block| chain.append(block));
        chain.close();
        chain
    }

    /// Takes at most `want` blocks that lie side by side: free ones, or memory never used. Empty when every block is
    /// handed out. For the owner.
    pub(crate) fn take_run(&self, want: u32) -> Run {
        if self.free_count() == 0 && !self.collect() {
            return self.carve(want);
        }
        let mut word = self.lowest.get();
        while self.word(word) == 0 {
            word = word.wrapping_add(1);
        }
        let bits = self.word(word);
        let first = bits.trailing_zeros();
        let count = (bits >> first).trailing_ones().min(want);
        let taken = u64::MAX.checked_shr(WORD.wrapping_sub(count)).unwrap_or(0) << first;
        self.set_word(word, bits & !taken);
        self.took(count, word);
        let index = word.wrapping_mul(WORD).wrapping_add(first) as usize;
        let size = self.block_size.get();
        Run { start: self.base.get().wrapping_add(index * size as usize), count, size }
    }

    /// Books `count` blocks out whose bits were cleared, none of them before `word`.
    fn took(&self, count: u32, word: u32) {
        self.lowest.set(word);
        self.free_count.set(self.free_count().wrapping_sub(count));
        self.used.set(self.used.get().wrapping_add(count));
    }

    /// Makes the next blocks of memory never used by this class, no further than the current page's end or the end of what is
    /// there anyway: memory that is not carved is not touched.
    pub(crate) fn carve(&self, want: u32) -> Run {
        let size = self.block_size.get();
        let offset = self.carved().wrapping_mul(size);
        let start = self.base.get().wrapping_add(offset as usize);
        let page = mmap::page_size();
        let in_page = page.wrapping_sub(start & page.wrapping_sub(1)) as u32;
        let room = in_page.max(self.touched.get().saturating_sub(offset)) / size.max(1);
        let count = want.min(room.max(1)).min(self.capacity.get().wrapping_sub(self.carved()));
        self.carved.set(self.carved().wrapping_add(count));
        self.used.set(self.used.get().wrapping_add(count));
        Run { start, count, size }
    }

    /// One block that is known to be zero but for nothing at all, not even a link; null where the slab cannot tell.
    pub(crate) fn carve_zeroed(&self) -> *mut u8 {
        if !self.fresh.get() || self.carved() == self.capacity.get() {
            return ptr::null_mut();
        }
        let start = self.base.get().wrapping_add(self.carved() as usize * self.block_size.get() as usize);
        self.carved.set(self.carved().wrapping_add(1));
        self.used.set(self.used.get().wrapping_add(1));
        ptr::with_exposed_provenance_mut(start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::alloc::{Layout, alloc_zeroed, dealloc};

    #[test]
    fn memory_in_use_before_is_carved_beyond_its_page() {
        const SLAB: u32 = 64 << 10;
        const BLOCK: u32 = 256;
        let geometry = Geometry::new(4 * SLAB, SLAB);
        let region = Layout::from_size_align(geometry.region_size(), geometry.region_size()).expect("a power of two");
        // SAFETY: the size is not 0.
        let base = unsafe { alloc_zeroed(region) };
        // SAFETY: the region is all zero, which is a slab never used; this entry is behind those of the metadata's own slabs.
        let slab = unsafe { &*base.cast::<Slab>().add(geometry.slabs_per_region() / 2) };
        let class = Class::new((BLOCK, BLOCK, 16), (1, 0, SLAB / BLOCK, 0), 4, &[]);
        let begin = || slab.begin(0, &class, 2, geometry);
        let page = mmap::page_size() as u32 / BLOCK;
        begin();
        // Two pages of it, each for itself.
        assert_eq!([page * 2, page * 2].map(|want| slab.carve(want).count), [page; 2]);
        slab.end();
        begin();
        assert_eq!([page * 3, page * 3].map(|want| slab.carve(want).count), [page * 2, page]);
        slab.end();
        // Purged.
        slab.touched.set(0);
        begin();
        assert_eq!(slab.carve(page * 3).count, page);
        // SAFETY: allocated above with this layout.
        unsafe { dealloc(base, region) };
    }
}
