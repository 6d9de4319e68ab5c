//! `heapv2`: two magazines of pointers a thread, exchanged whole with a depot that all threads share.
//!
//! Allocations take from the loaded magazine, frees put into it. When it is empty or full, the previous one, which is
//! always full or always empty, takes its place; when that is no help either, it is exchanged with the depot: a full one
//! for an empty one or the other way round, in constant time, however many blocks it holds. Between a thread that
//! allocates and one that frees, blocks travel by the magazine and never see their slabs. (Bonwick and Adams, "Magazines
//! and Vmem", 2001.)
//!
//! The depot's two stacks are lock-free, and full magazines in it are few: what does not fit is spilled.
//!
//! A hit: load, subtract, branch, load, store, load; a free: load, compare, branch, load, store, increment, store.

use super::{Below, Layer};
use crate::block::{Block, Chain};
use crate::os::arena;
use crate::pool::stack::SlabStack;
use core::cell::Cell;
use core::ptr;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Bytes of blocks in a depot's full magazines, which no slab sees: what carries a producer and a consumer over each
/// other's pauses. At least one magazine is kept and at most sixteen.
const FULL: u32 = 256 << 10;

/// A magazine, in the page arena: made when first needed, used again for ever. Followed by its pointers.
///
/// # Invariants
/// Of the depot's full stack: `limit` blocks. Of its empty stack, or `previous` of a thread without `previous_full`: none.
#[repr(C, align(128))]
#[derive(Debug)]
struct Magazine {
    below: AtomicU64,
    // Followed by `limit` pointers, beginning right here.
}

impl Magazine {
    /// The address of its first pointer.
    fn slots(magazine: *mut Magazine) -> *mut *mut Block {
        magazine.wrapping_byte_add(size_of::<AtomicU64>()).cast()
    }

    /// Its first `count` pointers.
    ///
    /// # Safety
    /// The caller owns the magazine, which has room for as many.
    unsafe fn view<'a>(magazine: *mut Magazine, count: u32) -> &'a mut [*mut Block] {
        // SAFETY: the caller's contract; the arena's memory is zero, and null is a pointer.
        unsafe { core::slice::from_raw_parts_mut(Self::slots(magazine), count as usize) }
    }
}

/// What all threads share of a class: the blocks a magazine holds, and the depot.
#[derive(Debug)]
pub struct Depot {
    limit: u32,
    /// About how many magazines are on `full`.
    fulls: AtomicU32,
    full: SlabStack,
    empty: SlabStack,
}

impl Depot {
    /// A depot of magazines of `limit` blocks; there are none yet.
    pub const fn new(limit: u32) -> Depot {
        Depot { limit, fulls: AtomicU32::new(0), full: SlabStack::empty(), empty: SlabStack::empty() }
    }

    fn push(stack: &SlabStack, magazine: *mut Magazine) {
        if !magazine.is_null() {
            // SAFETY: magazines are never freed; the caller hands this one over.
            stack.push((magazine.expose_provenance() >> 7) as u64, unsafe { &(*magazine).below });
        }
    }

    fn pop(stack: &SlabStack) -> *mut Magazine {
        let magazine = |node: u64| ptr::with_exposed_provenance_mut::<Magazine>((node as usize) << 7);
        // SAFETY: whatever was on the stack is a magazine, and those are never freed.
        stack.pop(|node| unsafe { &(*magazine(node)).below }).map_or(ptr::null_mut(), magazine)
    }

    /// A magazine without blocks; null where there is no memory for one.
    fn empty(&self) -> *mut Magazine {
        let magazine = Self::pop(&self.empty);
        if !magazine.is_null() {
            return magazine;
        }
        let bytes = size_of::<AtomicU64>() + self.limit as usize * size_of::<*mut Block>();
        ptr::with_exposed_provenance_mut(arena::allocate(bytes.max(size_of::<Magazine>())))
    }

    /// A magazine with `limit` blocks; null where there is none.
    fn full(&self) -> *mut Magazine {
        let magazine = Self::pop(&self.full);
        if !magazine.is_null() {
            self.fulls.fetch_sub(1, Ordering::Relaxed);
        }
        magazine
    }

    /// Takes a full magazine of blocks of `size`; `false`: there are enough.
    fn keep(&self, magazine: *mut Magazine, size: u32) -> bool {
        let most = (FULL / self.limit.saturating_mul(size).max(1)).clamp(1, 16);
        if self.fulls.load(Ordering::Relaxed) >= most {
            return false;
        }
        self.fulls.fetch_add(1, Ordering::Relaxed);
        Self::push(&self.full, magazine);
        true
    }
}

/// The state of one class.
///
/// # Invariants
/// `loaded` holds `count ≤ limit` blocks; `previous` holds `limit` where `previous_full`, else none. Before the first
/// cold path `limit` is 0 and there are no magazines.
#[repr(C)]
#[derive(Debug)]
pub struct HeapV2 {
    count: Cell<u32>,
    limit: Cell<u32>,
    /// The loaded magazine's pointers.
    slots: Cell<*mut *mut Block>,
    loaded: Cell<*mut Magazine>,
    previous: Cell<*mut Magazine>,
    previous_full: Cell<bool>,
}

// SAFETY: a block is in one magazine, at one place, and a magazine in one hand.
unsafe impl Layer for HeapV2 {
    type Shared = Depot;

    const EMPTY: HeapV2 = HeapV2 {
        count: Cell::new(0),
        limit: Cell::new(0),
        slots: Cell::new(ptr::null_mut()),
        loaded: Cell::new(ptr::null_mut()),
        previous: Cell::new(ptr::null_mut()),
        previous_full: Cell::new(false),
    };

    const INERT: bool = true;

    #[inline(always)]
    unsafe fn pop(&self) -> *mut Block {
        let count = self.count.get();
        if count == 0 {
            return ptr::null_mut();
        }
        self.count.set(count.wrapping_sub(1));
        // SAFETY: `0 < count ≤ limit`, and the loaded magazine has as many blocks.
        unsafe { Block::found(*self.slots.get().wrapping_add(count.wrapping_sub(1) as usize)) }
    }

    #[inline(always)]
    unsafe fn push(&self, block: *mut Block) -> bool {
        let count = self.count.get();
        if count >= self.limit.get() {
            return false;
        }
        // SAFETY: `count < limit`.
        unsafe { *self.slots.get().wrapping_add(count as usize) = block };
        self.count.set(count.wrapping_add(1));
        true
    }

    unsafe fn miss(&self, depot: &Depot, below: &mut impl Below) -> *mut Block {
        if !self.begin(depot) {
            return below.demand(1).pop(); // No memory for magazines.
        }
        let full = if self.previous_full.replace(false) { self.previous.get() } else { depot.full() };
        if full.is_null() {
            let want = below.class().batch.min(depot.limit);
            // SAFETY: the loaded magazine is ours, empty, and has room for `limit`.
            let slots = unsafe { Magazine::view(self.loaded.get(), want) };
            let count = below.fetch(slots);
            // The first block, which has the lowest address, is to be the first out.
            slots.get_mut(..count).unwrap_or_default().reverse();
            self.count.set(count as u32);
        } else {
            if full != self.previous.get() {
                Depot::push(&depot.empty, self.previous.get());
            }
            self.previous.set(self.loaded.get());
            self.load(full, depot.limit);
            // Whoever lives on what other threads free comes by no slab, where time is looked at.
            below.tick();
        }
        // SAFETY: on the owning thread.
        unsafe { self.pop() }
    }

    unsafe fn overflow(&self, block: *mut Block, depot: &Depot, below: &mut impl Below) {
        if !self.begin(depot) {
            // SAFETY: the block is the caller's.
            below.absorb(unsafe { Chain::one(block) });
            return;
        }
        if self.count.get() == depot.limit {
            let mut empty = self.previous.get();
            if self.previous_full.replace(true) {
                empty = self.make_room(depot, below);
            }
            self.previous.set(self.loaded.get());
            self.load(empty, 0);
        }
        // SAFETY: on the owning thread; the loaded magazine has room.
        unsafe { self.push(block) };
    }

    unsafe fn demand(&self, want: u32, _: &Depot, _: &mut impl Below) -> Chain {
        // SAFETY: on the owning thread.
        Chain::gather(want, || unsafe { self.pop() })
    }

    unsafe fn absorb(&self, chain: Chain, depot: &Depot, below: &mut impl Below) {
        self.begin(depot);
        for block in chain {
            // SAFETY: on the owning thread; the chain is ours.
            unsafe {
                if !self.push(block) {
                    self.overflow(block, depot, below);
                }
            }
        }
    }

    unsafe fn drain(&self, depot: &Depot, below: &mut impl Below) {
        let (loaded, previous) = (self.loaded.replace(ptr::null_mut()), self.previous.replace(ptr::null_mut()));
        self.limit.set(0);
        if !loaded.is_null() {
            // SAFETY: both magazines are ours.
            unsafe {
                below.give(Magazine::view(loaded, self.count.replace(0)));
                below.give(Magazine::view(previous, if self.previous_full.replace(false) { depot.limit } else { 0 }));
            }
            Depot::push(&depot.empty, loaded);
            Depot::push(&depot.empty, previous);
        }
    }

    fn release(depot: &Depot, below: &mut impl Below) {
        loop {
            let magazine = depot.full();
            if magazine.is_null() {
                return;
            }
            // SAFETY: ours since it left the depot.
            below.give(unsafe { Magazine::view(magazine, depot.limit) });
            Depot::push(&depot.empty, magazine);
        }
    }
}

impl HeapV2 {
    /// Gets the two magazines if there are none yet. `false`: no memory.
    fn begin(&self, depot: &Depot) -> bool {
        if self.limit.get() == 0 {
            let (loaded, previous) = (depot.empty(), depot.empty());
            if loaded.is_null() || previous.is_null() {
                Depot::push(&depot.empty, loaded);
                Depot::push(&depot.empty, previous);
                return false;
            }
            self.previous.set(previous);
            self.limit.set(depot.limit);
            self.load(loaded, 0);
        }
        true
    }

    fn load(&self, magazine: *mut Magazine, count: u32) {
        self.loaded.set(magazine);
        self.slots.set(Magazine::slots(magazine));
        self.count.set(count);
    }

    /// Parts with the previous magazine, which is full, for an empty one.
    fn make_room(&self, depot: &Depot, below: &mut impl Below) -> *mut Magazine {
        let previous = self.previous.get();
        let empty = depot.empty();
        if !empty.is_null() && depot.keep(previous, below.class().size) {
            return empty;
        }
        Depot::push(&depot.empty, empty);
        // SAFETY: the magazine is ours, and full.
        below.give(unsafe { Magazine::view(previous, depot.limit) });
        previous
    }
}
