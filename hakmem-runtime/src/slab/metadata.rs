//! The metadata of one slab, which is kept in the region's metadata, apart from the blocks.
//!
//! A class of large blocks uses a span of several consecutive slabs. Then the entry of the first slab describes the
//! whole span.

use super::class::Class;
use super::free_list::FreeList;
use super::remote::RemoteWord;
use core::cell::Cell;
use core::fmt;
use core::mem::offset_of;
use core::ptr;
use core::sync::atomic::{AtomicU16, AtomicU32, AtomicU64, AtomicUsize, Ordering};

/// The class index of a slab that has no class.
pub(crate) const NO_CLASS: u32 = u32::MAX;

/// The owner of a slab that is abandoned, or free after use. No thread has this owner id: those are 0 (no heap, `tls =
/// "native"`), or the address of a heap or of an `EmptyThread`, with bit 0 set only beside such an address.
pub(crate) const NOBODY: usize = 1;

/// The owner of a slab whose heap's thread sleeps. Nor has any thread this owner id.
pub(crate) const PARKED: usize = 3;

/// A number that only the slab's owner writes and that other threads may read, for statistics and for checks. Relaxed
/// loads and stores, which are plain ones on every machine.
#[derive(Debug)]
pub(crate) struct Count(AtomicU32);

impl Count {
    const ZERO: Count = Count(AtomicU32::new(0));

    pub(crate) fn get(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
    pub(crate) fn set(&self, value: u32) {
        self.0.store(value, Ordering::Relaxed);
    }
}

/// A link to a slab, or to none: all zero.
#[repr(transparent)]
pub(super) struct SlabLink(Cell<Option<&'static Slab>>);

impl SlabLink {
    pub(super) const NONE: SlabLink = SlabLink(Cell::new(None));

    pub(super) fn get(&self) -> Option<&'static Slab> {
        self.0.get()
    }

    pub(super) fn set(&self, slab: Option<&'static Slab>) {
        self.0.set(slab);
    }
}

/// The slab's address: its own links may lead back here.
impl fmt::Debug for SlabLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().map(ptr::from_ref).fmt(f)
    }
}

/// What a keeper saw first on the lists (`parked.rs`).
#[derive(Debug)]
pub(super) struct Parked {
    /// The first block of `free`, which stays there; null if there was none.
    pub(super) free: Cell<*mut u8>,
    /// The first block of `local_free`, all of which was taken.
    pub(super) local_free: Cell<*mut u8>,
    /// Whether the lists were taken: not if the kernel refused the fence.
    pub(super) taken: Cell<bool>,
}

impl Parked {
    const NOT: Parked =
        Parked { free: Cell::new(ptr::null_mut()), local_free: Cell::new(ptr::null_mut()), taken: Cell::new(false) };
}

/// A slab's metadata. All zero is a slab that was never used.
///
/// A set bit marks a free block, so a free touches no memory of the block, a refill hands out ascending addresses
/// without following links from block to block, and a second free of the same block is noticed. Under the
/// layer `pages` blocks can also be on the slab's two lists (`page_list.rs`): hits pop from `free` and push to
/// `local_free`. Under any other layer both lists are empty.
///
/// # Invariants
/// The slab is *bound* while a thread cache pops from its `free` list. For a slab with a class, as its owner sees it:
///
/// ```text
/// carved ≤ capacity
/// free_count == number of ones in the bitmap, all of them below `carved` and none in a word before `lowest`
/// used == carved - free_count - |local_free| + 1            while it is bound
/// used == carved - free_count - |local_free|                else; then `free` is empty
/// used == allocated + remote.count (+ |free| + 1 while it is bound)
/// ```
///
/// where `allocated` includes the blocks that layers keep elsewhere. All of `free` is counted as used when the slab is
/// bound, so a hit that pops a block counts nothing. The 1 keeps the slab from being seen as empty while it is bound.
///
/// `owner` is `NOBODY` while the slab is abandoned, or free after use, and `PARKED` while another thread looks after it
/// (`parked.rs`); 0 if it was never used. An abandoned slab has
/// `remote.count == 0` and `used > 0`. A slab without a class has empty lists and an empty bitmap.
///
/// # Layout
/// Other threads write to the first cache line and only read from the second, which has the fields that its owner
/// writes on every hit: a thread that frees blocks of another thread reads `owner` each time, and must not wait for the
/// other's list heads. The two cache lines after these are empty, because processors prefetch neighbouring lines, and
/// the next entry's slab may belong to another thread. (Two threads that replace blocks of their own: 4.15 ns with
/// entries of 128 bytes, 3.76 with 256, which is what two processes take.)
#[repr(C, align(256))]
#[derive(Debug)]
pub struct Slab {
    /// The owner id of the heap that owns the slab. A heap's id is written and replaced by that heap's thread only. So
    /// a thread that reads its own id owns the slab, and one that reads another value does not, although that value may
    /// be out of date.
    pub(crate) owner: AtomicUsize,
    /// Blocks freed by other threads, and whether the slab is abandoned.
    pub(crate) remote: RemoteWord,
    /// The next slab on a [`NodeStack`](crate::NodeStack).
    pub(crate) stack_link: AtomicU64,
    /// The class index plus one; 0 for a slab without a class.
    class_index_plus_one: Count,
    /// The distance from the span's first entry to this one, in entries. Written when the span is cut, while nobody
    /// uses its slabs. A check of a pointer that is no block may read it at any time, and gets some value that it had.
    pub(crate) span_offset: AtomicU16,
    /// Whether the memory that is not carved yet is zero: nothing was written to it since it was mapped or purged.
    pub(crate) fresh: Cell<bool>,
    /// The address of the first block. A check of a pointer that is no block may read it at any time, as `span_offset`.
    base: AtomicUsize,
    /// One bit for each block, set if it is free.
    pub(super) bitmap: Cell<*mut u64>,
    /// The owner id of the heap that last acquired the slab to allocate from it. If this heap reclaims the slab by a
    /// free, it keeps it (`Heap::should_adopt`).
    pub(crate) last_owner: AtomicUsize,
    pub(super) block_size: Cell<u32>,
    /// ⌈2³² / block_size⌉: `offset × reciprocal >> 32` is the index of the block at `offset`.
    pub(super) reciprocal: Cell<u32>,

    /// For `pages`: the blocks to allocate next.
    pub(super) free: FreeList,
    /// For `pages`: the blocks that the owner freed since `free` was filled.
    pub(super) local_free: FreeList,
    /// Blocks in use as the owner counts them; see the invariants.
    pub(super) used: Cell<u32>,
    /// Free blocks in the bitmap.
    pub(super) free_count: Count,
    /// Blocks cut from the span so far, from the base on; after them is memory never used under this class.
    pub(super) carved: Count,
    /// Blocks that the span has room for.
    pub(super) capacity: Cell<u32>,
    /// The index of the first word of the bitmap that may have ones.
    pub(super) lowest: Cell<u32>,
    /// About how many bytes from the base on were used under earlier classes, since the memory was mapped or purged.
    pub(crate) touched: Cell<u32>,
    /// `used` when the owner last looked whether the slab changes, and when it was found changed, in milliseconds. Of a slab
    /// that is free: since when.
    pub(super) settled: Cell<u32>,
    pub(super) settled_at: Cell<u32>,
    /// The neighbours on a `SlabList`.
    pub(super) previous: SlabLink,
    pub(super) next: SlabLink,

    /// While the slab is parked.
    pub(super) parked: Parked,
}

const _: () = assert!(size_of::<Slab>() == 256, "an address leads to its metadata by a shift");
const _: () = assert!(offset_of!(Slab, owner) == 0, "a free by address compares the first word");
const _: () = assert!(offset_of!(Slab, free) == 64, "the fields that hits write begin the second cache line");
const _: () = assert!(offset_of!(Slab, next) < 128, "and end within it");

// SAFETY:
// - The atomics may be shared. A thread that frees a block into a slab of another heap needs the values of
//   `span_offset` and `base` that were written before the block was handed out for the first time; they stay as they
//   are while a block of the slab is allocated, and the program orders the allocation of a block before its free. For a
//   pointer that is no block, whatever value they had will do.
// - Only the owner reads and writes the cells. A slab changes owners through `remote`, a `NodeStack` or the pool's
//   lock, each of which orders the accesses of one owner before those of the next.
unsafe impl Sync for Slab {}

impl Slab {
    /// A slab never used.
    pub(crate) const fn unused() -> Slab {
        Slab {
            owner: AtomicUsize::new(0),
            remote: RemoteWord::UNUSED,
            stack_link: AtomicU64::new(0),
            class_index_plus_one: Count::ZERO,
            span_offset: AtomicU16::new(0),
            fresh: Cell::new(false),
            base: AtomicUsize::new(0),
            bitmap: Cell::new(ptr::null_mut()),
            last_owner: AtomicUsize::new(0),
            block_size: Cell::new(0),
            reciprocal: Cell::new(0),
            free: FreeList::EMPTY,
            local_free: FreeList::EMPTY,
            used: Cell::new(0),
            free_count: Count::ZERO,
            carved: Count::ZERO,
            capacity: Cell::new(0),
            lowest: Cell::new(0),
            touched: Cell::new(0),
            settled: Cell::new(0),
            settled_at: Cell::new(0),
            previous: SlabLink::NONE,
            next: SlabLink::NONE,
            parked: Parked::NOT,
        }
    }

    /// The class index, or [`NO_CLASS`].
    pub(crate) fn class_index(&self) -> u32 {
        self.class_index_plus_one.get().wrapping_sub(1)
    }

    /// Whether the heap with this owner id owns the slab.
    #[inline(always)]
    pub(crate) fn is_owned_by(&self, owner: usize) -> bool {
        self.owner.load(Ordering::Relaxed) == owner
    }

    pub(crate) fn free_count(&self) -> u32 {
        self.free_count.get()
    }

    pub(crate) fn carved(&self) -> u32 {
        self.carved.get()
    }

    /// How many blocks the span has room for.
    pub(crate) fn capacity(&self) -> u32 {
        self.capacity.get()
    }

    /// The address of the first block.
    pub(crate) fn base(&self) -> usize {
        self.base.load(Ordering::Relaxed)
    }

    /// Blocks handed out to layers and programs, for statistics: carved, not free in the bitmap, and not freed by other
    /// threads.
    pub(crate) fn handed_out(&self) -> u32 {
        self.carved().wrapping_sub(self.free_count()).wrapping_sub(self.remote.count())
    }

    /// Gives a free span the class at `class_index` and the owner id `owner`. The caller has the span to itself. It
    /// starts at `start`, and its bitmap is at `bitmap`.
    pub(crate) fn init(&self, class_index: u32, class: &Class, owner: usize, (start, bitmap): (usize, *mut u64)) {
        self.class_index_plus_one.set(class_index.wrapping_add(1));
        self.base.store(start.wrapping_add(class.first_block_offset as usize), Ordering::Relaxed);
        self.bitmap.set(bitmap);
        self.block_size.set(class.size);
        self.reciprocal.set((1_u64 << 32).div_ceil(u64::from(class.size.max(1))) as u32);
        self.capacity.set(class.blocks);
        self.free_count.set(0);
        self.carved.set(0);
        self.used.set(0);
        self.lowest.set(0);
        self.last_owner.store(owner, Ordering::Relaxed);
        self.remote.own();
        self.owner.store(owner, Ordering::Relaxed);
    }

    /// Makes the slab a free one, without a class. For the owner, when no block is allocated.
    pub(crate) fn reset(&self) {
        self.owner.store(NOBODY, Ordering::Relaxed);
        let _blocks = (self.free.take_all(), self.local_free.take_all());
        self.clear_bitmap();
        self.fresh.set(self.fresh.get() && self.carved() == 0);
        self.touched.set(self.touched.get().max(self.carved().wrapping_mul(self.block_size.get())));
        self.class_index_plus_one.set(0);
        self.carved.set(0);
        self.free_count.set(0);
    }

    /// Sets the owner id of a slab that the calling thread has just reclaimed.
    pub(crate) fn set_owner(&self, owner: usize) {
        self.owner.store(owner, Ordering::Relaxed);
    }

    /// Whether `used` is 0; remote frees not yet collected count as in use.
    pub(crate) fn is_empty(&self) -> bool {
        self.used.get() == 0
    }

    /// Whether there are free blocks; remote frees not yet collected count as in use. Not for a bound slab.
    pub(crate) fn has_free_blocks(&self) -> bool {
        self.used.get() < self.capacity.get()
    }

    pub(super) fn add_used(&self, count: u32) {
        self.used.set(self.used.get().wrapping_add(count));
    }

    pub(super) fn sub_used(&self, count: u32) {
        self.used.set(self.used.get().wrapping_sub(count));
    }
}
