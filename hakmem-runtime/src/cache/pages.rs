//! `pages`: blocks live on lists of their own slab, and a free finds the slab by arithmetic (after mimalloc).
//!
//! The thread's table has a page (here: a slab) for each class; the size finds its entry through the generated table of
//! 129 sizes in steps of 8, which all threads share and which is a constant where the size is. An allocation pops the
//! page's `free`. A free masks the address to the page's entry and compares one word, the owner: ours means that the
//! page is this thread's and needs nothing else: a page adrift and a page of the pool are nobody's.
//! Then the block is pushed on `local_free`. All other frees go through the page's `thread_free`, which is
//! [`RemoteWord`](crate::protocol::RemoteWord), a list and flag bits in one word; not with a compare-and-swap each, as in
//! mimalloc, but gathered in the thread first, so that those of a page share one.
//!
//! A hit: load, load, test, branch, load, store, increment, and the next block prefetched; a free: five instructions to the
//! entry, load, compare, branch, load, store, store, decrement, branch.
//!
//! Lists are collected when `free` is empty and not before: `local_free` becomes `free`; then what other threads freed;
//! then what went home as bits; then memory never used. A page with none of it is full: it leaves the table adrift, and
//! the flag that says so makes the first thread that frees into it its owner.
//!
//! A page without a block in use retires to the heap's warm slabs, from where the next class takes it, and from there to
//! the pool; the one in the table stays, so that a class that comes and goes does not lose its page each time.
//!
//! There is no list per class here that must be long for hits and short for memory: every free block is where it came
//! from, a free of a block of any of the thread's slabs costs the same, and an emptied slab is seen at once.

use super::{Below, Layer, Limit};
use crate::slab::Slab;
use crate::slab::block::{Block, Chain};
use core::cell::Cell;
use core::ptr;
use core::sync::atomic::Ordering;

/// What stands in an empty table: a page without a free block, so that a hit need not ask whether there is one. Entries
/// are distances from it, which makes an empty table all zero.
static NO_PAGE: NoPage = NoPage(Slab::unused());

struct NoPage(Slab);

// SAFETY: nobody writes to it: there is nothing to take, and no block is in it.
unsafe impl Sync for NoPage {}

/// The state of one class, under slabs of `2^SLAB` bytes in regions of `2^REGION`. `PREFETCH`: a hit has the next block fetched,
/// by one instruction more.
///
/// # Invariants
/// `page` is the distance from `NO_PAGE` to the current slab of this class in the heap, bound; 0 where there is none.
/// `owner` is what slabs of this class call the heap, and 0, which no slab has for an owner, before the first cold path. `pending` has
/// `count` blocks, fewer than the limit.
#[repr(C)]
#[derive(Debug)]
pub struct Pages<const SLAB: u32, const REGION: u32, const PREFETCH: bool> {
    page: Cell<usize>,
    owner: Cell<usize>,
    /// Freed blocks of pages that are not this thread's.
    pending: Cell<*mut Block>,
    count: Cell<u32>,
}

// SAFETY: a block is on one list of its slab.
unsafe impl<const SLAB: u32, const REGION: u32, const PREFETCH: bool> Layer for Pages<SLAB, REGION, PREFETCH> {
    type Shared = Limit;

    const EMPTY: Self =
        Pages { page: Cell::new(0), owner: Cell::new(0), pending: Cell::new(ptr::null_mut()), count: Cell::new(0) };

    const INERT: bool = true;

    // The entry of the block's slab has the lists; here is only the owner's name, which is the same for all classes of a group.
    const ANY_CLASS: bool = true;

    #[inline(always)]
    unsafe fn pop(&self) -> *mut Block {
        let page = self.page();
        let block = page.pop_listed();
        if PREFETCH && !block.is_null() {
            page.prefetch_listed();
        }
        block
    }

    #[inline(always)]
    unsafe fn push(&self, block: *mut Block) -> bool {
        // SAFETY: the block is of this class, whose spans are one slab; so this is the entry of its slab. That the owner
        // is this thread cannot change but by this thread.
        unsafe {
            let page = &*Self::page_of(block);
            page.owner.load(Ordering::Relaxed) == self.owner.get() && page.push_listed(block)
        }
    }

    unsafe fn miss(&self, _: &Limit, below: &mut impl Below) -> *mut Block {
        let Some((heap, class)) = below.home() else { return ptr::null_mut() };
        let bin = heap.bin(class);
        // What this thread freed since is the cheapest to have, and what a class in balance always finds. (Not what was freed
        // here of other threads' pages: it would never get home, and each one's allocation and free would come by a cold path.)
        if self.page.get() != 0 && bin.collect_local(self.page(), || heap.tick()) {
            // SAFETY: on the owning thread.
            return unsafe { self.pop() };
        }
        let batch = below.class().batch;
        // Not counted any more: the refill may let go of it.
        self.unbind();
        let page = heap.refill(class, |slab| bin.list(slab, batch).then(|| ptr::from_ref(slab)));
        if let Some(page) = page {
            self.page.set(page.addr().wrapping_sub(ptr::from_ref(&NO_PAGE).addr()));
            self.page().bind();
            below.filled();
        }
        // SAFETY: on the owning thread.
        unsafe { self.pop() }
    }

    unsafe fn overflow(&self, block: *mut Block, &Limit(limit): &Limit, below: &mut impl Below) {
        let page = Self::page_of(block).cast_mut();
        if let Some((heap, class)) = below.home() {
            // The first free of a thread may be of a page that was nobody's at the time.
            self.owner.set(heap.owner_tag(class));
            // SAFETY: metadata is never unmapped. A thread that reads its own name reads the truth, and only the owner
            // calls a page empty: the push took the block, and it was the last one.
            unsafe {
                if (*page).owner.load(Ordering::Relaxed) == heap.owner_tag(class) && (*page).is_empty() {
                    heap.emptied(page);
                    return;
                }
                // A page adrift becomes this thread's, so that its other blocks are hits.
                if heap.claim(page, class, block) {
                    (*page).push_listed(block);
                    heap.file(page);
                    return;
                }
            }
        }
        // SAFETY: the block is the caller's; the push did not take it.
        unsafe { Block::push(&self.pending, block) };
        self.count.set(self.count.get().wrapping_add(1));
        if self.count.get() >= limit {
            below.absorb(self.take_pending());
        }
    }

    unsafe fn demand(&self, want: u32, shared: &Limit, below: &mut impl Below) -> Chain {
        let mut chain = Chain::EMPTY;
        while chain.count() < want {
            // SAFETY: on the owning thread; after a miss only if there is nothing to hand up yet.
            let block = unsafe {
                let block = self.pop();
                if block.is_null() && chain.is_empty() { self.miss(shared, below) } else { block }
            };
            if block.is_null() {
                break;
            }
            chain.append(block);
        }
        chain.close();
        chain
    }

    unsafe fn absorb(&self, chain: Chain, shared: &Limit, below: &mut impl Below) {
        for block in chain {
            // SAFETY: on the owning thread; the chain is ours.
            unsafe {
                if !self.push(block) {
                    self.overflow(block, shared, below);
                }
            }
        }
    }

    unsafe fn drain(&self, _: &Limit, below: &mut impl Below) {
        below.absorb(self.take_pending());
        self.owner.set(0);
        // The other blocks are in their slabs already, on lists that the next owner's layer, which is this one, takes over.
        self.unbind();
    }

    fn learn(&self, other: &Self) {
        self.owner.set(other.owner.get());
    }
}

impl<const SLAB: u32, const REGION: u32, const PREFETCH: bool> Pages<SLAB, REGION, PREFETCH> {
    /// Frees `block`, which may be any pointer, if its page is of the heap at `heap`. `None`: it is not, or in a region that
    /// the thread has not met. Else whether a block of the page is still in use; where none is, [`Layer::overflow`] is to be
    /// told.
    ///
    /// # Safety
    /// At `heap` is the calling thread's heap, or what stands for one, and `REGIONS` bytes behind its start are the
    /// [`KnownRegions`](crate::c::KnownRegions) of this geometry. If the block is of a class whose first layer this is, it is the
    /// caller's.
    #[inline(always)]
    pub unsafe fn push_own<const REGIONS: usize>(block: *mut u8, heap: *const u8) -> Option<bool> {
        let (region, entry) = Self::entry_of(block.cast());
        // Two loads compared where they are. From a relaxed load the compiler makes an instruction of its own, and it keeps
        // what it knows to be equal in the other register.
        // SAFETY: the index is one of `KnownRegions`. A region that is there has an entry for every slab, and the owner stands
        // first in it.
        unsafe {
            core::arch::asm!(
                "cmp qword ptr [{heap} + {index} * 8 + {regions}], {region}",
                "jne {other}",
                "cmp qword ptr [{region} + {entry}], {heap}",
                "jne {other}",
                heap = in(reg) heap,
                index = in(reg) u64::from(block.addr() as u32 >> REGION),
                regions = const REGIONS,
                region = in(reg) region,
                entry = in(reg) entry,
                other = label { return None },
                options(readonly, nostack),
            );
        }
        let page = ptr::with_exposed_provenance::<Slab>(region).wrapping_byte_add(entry);
        // SAFETY: the page is this thread's, as a thread that reads its own name reads the truth; the block is the caller's.
        Some(unsafe { (*page).push_listed(block.cast()) })
    }

    /// The page in the table, or `NO_PAGE`.
    #[inline(always)]
    fn page(&self) -> &Slab {
        let page = ptr::from_ref(&NO_PAGE.0).expose_provenance().wrapping_add(self.page.get());
        // SAFETY: the thread's current slab, whose metadata is never unmapped, or the static.
        unsafe { &*ptr::with_exposed_provenance(page) }
    }

    /// Takes the page out of the table.
    fn unbind(&self) {
        if self.page.get() != 0 {
            self.page().unbind();
            self.page.set(0);
        }
    }

    fn take_pending(&self) -> Chain {
        Chain::new(self.pending.replace(ptr::null_mut()), self.count.replace(0))
    }

    /// The entry of the slab that `block` is in: the region's base, and from there the entry with the slab's number.
    #[inline(always)]
    fn page_of(block: *mut Block) -> *const Slab {
        let (region, entry) = Self::entry_of(block);
        ptr::with_exposed_provenance::<Slab>(region).wrapping_byte_add(entry)
    }

    /// The two in bytes.
    #[inline(always)]
    fn entry_of(block: *mut Block) -> (usize, usize) {
        const ENTRY: u32 = size_of::<Slab>().trailing_zeros();
        let region = block.addr() & !((1 << REGION) - 1);
        let entry = (block.addr() as u32 >> (SLAB - ENTRY)) & (((1 << (REGION - SLAB)) - 1) << ENTRY);
        (region, entry as usize)
    }
}
