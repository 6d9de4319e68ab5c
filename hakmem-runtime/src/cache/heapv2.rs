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
use crate::heap::Portion;
use crate::meta::arena;
use crate::meta::tagged_stack::SlabStack;
use crate::slab::block::{Block, Chain};
use core::cell::Cell;
use core::ptr;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Bytes of blocks in a depot's full magazines: what a thread allocates and frees in phases. (16 MiB in blocks of 4, 32 and
/// 256 KiB: 25, 60 and 108 ns a pair with 256 KiB here, 11, 12 and 27 with this.) At least one magazine is kept. It adds
/// nothing to a program's peak: see `thread/reclaim.rs`.
const FULL: u32 = 16 << 20;

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
    /// About the least that there were since [`Portion::Unused`] was released last.
    least: AtomicU32,
    /// Counted.
    full: SlabStack,
    empty: SlabStack,
}

impl Depot {
    /// A depot of magazines of `limit` blocks; there are none yet.
    pub const fn new(limit: u32) -> Depot {
        Depot { limit, least: AtomicU32::new(0), full: SlabStack::empty(), empty: SlabStack::empty() }
    }

    /// A magazine as a node of a stack: its address without the seven zero bits.
    fn node(magazine: *mut Magazine) -> u64 {
        (magazine.expose_provenance() >> 7) as u64
    }

    fn magazine(node: u64) -> *mut Magazine {
        ptr::with_exposed_provenance_mut((node as usize) << 7)
    }

    /// The link of a node that is a magazine.
    fn link<'a>(node: u64) -> &'a AtomicU64 {
        // SAFETY: magazines are never freed, and nothing else is made a node of here.
        unsafe { &(*Self::magazine(node)).below }
    }

    fn pop(stack: &SlabStack) -> *mut Magazine {
        stack.pop(Self::link).map_or(ptr::null_mut(), Self::magazine)
    }

    /// Takes a magazine without blocks, or null.
    fn keep_empty(&self, magazine: *mut Magazine) {
        if !magazine.is_null() {
            let node = Self::node(magazine);
            self.empty.push(node, Self::link(node));
        }
    }

    /// About how many full magazines there are.
    fn fulls(&self) -> u32 {
        self.full.depth(Self::link) as u32
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
            let left = self.fulls();
            if left < self.least.load(Ordering::Relaxed) {
                self.least.store(left, Ordering::Relaxed);
            }
        }
        magazine
    }

    /// Takes a full magazine of blocks of `size`; `false`: there are enough.
    fn keep(&self, magazine: *mut Magazine, size: u32) -> bool {
        let most = (FULL / self.limit.saturating_mul(size).max(1)).max(1);
        let room = self.fulls() < most;
        if room {
            self.full.push_counted(Self::node(magazine), Self::link);
        }
        room
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
                depot.keep_empty(self.previous.get());
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
                empty = self.trim_all(depot, below);
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
            depot.keep_empty(loaded);
            depot.keep_empty(previous);
        }
    }

    /// Unused are as many as were never taken since this was last asked for: not in the working set, as Bonwick and Adams
    /// call it.
    fn release(depot: &Depot, portion: Portion, below: &mut impl Below) -> bool {
        let before = depot.fulls();
        if before == 0 {
            return false;
        }
        let mut left = if portion == Portion::All { u32::MAX } else { depot.least.load(Ordering::Relaxed) };
        while left > 0 {
            left = left.wrapping_sub(1);
            let magazine = depot.full();
            if magazine.is_null() {
                break;
            }
            // SAFETY: ours since it left the depot.
            below.give(unsafe { Magazine::view(magazine, depot.limit) });
            depot.keep_empty(magazine);
        }
        depot.least.store(depot.fulls(), Ordering::Relaxed);
        true
    }
}

impl HeapV2 {
    /// Gets the two magazines if there are none yet. `false`: no memory.
    fn begin(&self, depot: &Depot) -> bool {
        if self.limit.get() == 0 {
            let (loaded, previous) = (depot.empty(), depot.empty());
            if loaded.is_null() || previous.is_null() {
                depot.keep_empty(loaded);
                depot.keep_empty(previous);
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
    fn trim_all(&self, depot: &Depot, below: &mut impl Below) -> *mut Magazine {
        let previous = self.previous.get();
        let empty = depot.empty();
        if !empty.is_null() && depot.keep(previous, below.class().size) {
            if let Some((heap, _)) = below.home() {
                heap.watch(); // It goes home after a while, if somebody looks at the time.
            }
            return empty;
        }
        depot.keep_empty(empty);
        // SAFETY: the magazine is ours, and full.
        below.give(unsafe { Magazine::view(previous, depot.limit) });
        previous
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slab::class::Class;

    /// Counts what comes home.
    struct Home(usize);

    impl Below for Home {
        fn class(&self) -> &'static Class {
            unreachable!("nobody asks")
        }
        fn demand(&mut self, _: u32) -> Chain {
            Chain::EMPTY
        }
        fn absorb(&mut self, chain: Chain) {
            self.0 += chain.count() as usize;
        }
        fn give(&mut self, blocks: &[*mut Block]) {
            self.0 += blocks.len();
        }
        fn tick(&mut self) {}
    }

    /// What a release of `portion` sends home.
    fn released(depot: &Depot, portion: Portion) -> (bool, usize) {
        let mut home = Home(0);
        (HeapV2::release(depot, portion, &mut home), home.0)
    }

    #[test]
    fn a_depot_keeps_so_many_bytes_and_gives_up_what_nobody_needs() {
        const SIZE: u32 = 1 << 20;
        let depot = Depot::new(4);
        assert_eq!(released(&depot, Portion::All), (false, 0));
        let most = (0..).take_while(|_| depot.keep(depot.empty(), SIZE)).count();
        assert_eq!(most, (FULL / SIZE / 4) as usize);
        // There were none at all when it was asked last.
        assert_eq!(released(&depot, Portion::Unused), (true, 0));
        // One at a time is in use, then two.
        for _ in 0..3 {
            assert!(depot.keep(depot.full(), SIZE));
        }
        let both = [depot.full(), depot.full()];
        assert!(both.into_iter().all(|magazine| depot.keep(magazine, SIZE)));
        assert_eq!(released(&depot, Portion::Unused), (true, (most - 2) * 4));
        assert_eq!(released(&depot, Portion::Unused), (true, 2 * 4));
        assert_eq!(released(&depot, Portion::Unused), (false, 0));
        // Larger than all that it may keep: one all the same.
        assert!(depot.keep(depot.empty(), FULL));
        assert!(!depot.keep(depot.empty(), FULL));
        assert_eq!(released(&depot, Portion::All), (true, 4));
        assert!(depot.full().is_null());
    }
}
