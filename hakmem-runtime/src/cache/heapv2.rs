//! `heapv2`: two magazines of pointers per thread, exchanged whole with a depot that all threads share.
//!
//! Allocations pop from the loaded magazine, frees push onto it. When it is empty (or full), it is swapped with the
//! previous one, which is always either full or empty. If both are empty (or full), one is exchanged with the depot for
//! a full (or empty) one, in constant time, however many blocks it holds. So blocks move from a thread that frees to
//! one that allocates by the magazine, without reaching their slabs. (Bonwick and Adams, "Magazines and Vmem", 2001.)
//!
//! The depot's two stacks are lock-free. It keeps full magazines of up to 16 MiB of blocks; the rest is flushed.

use super::{Below, Layer};
use crate::heap::Portion;
use crate::meta::arena;
use crate::meta::tagged_stack::{NODE_SHIFT, NodeStack};
use crate::slab::{Batch, FreeBlock, Slot};
use core::cell::Cell;
use core::ptr;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// The most bytes of blocks in a depot's full magazines, for threads that allocate and free in phases. (Allocating,
/// then freeing, 16 MiB in blocks of 4, 32, 256 KiB takes 25, 60, 108 ns per block with a limit of 256 KiB; 11, 12, 27
/// with this one.) At least one magazine is kept. They add nothing to a program's peak: see `heap/trim.rs`.
const MAX_FULL_BYTES: u32 = 16 << 20;

/// How many blocks of a loaded magazine are flushed at a time when a thread ends.
const DRAIN_BATCH: usize = 64;

/// A magazine's header, in the arena: allocated on demand, recycled, never freed. Its slots follow, but are not part of
/// this type: a shared reference lets its referent change only inside of cells, and this one's referent is the link.
///
/// # Invariants
/// On the depot's full stack it holds `limit` blocks, on its empty stack none. For a thread's two magazines see
/// [`HeapV2`].
#[repr(C)]
#[derive(Debug)]
struct Magazine {
    link: AtomicU64,
    // Followed in memory by `limit` slots.
}

const _: () = assert!(size_of::<Magazine>() == size_of::<AtomicU64>(), "a reference to the header covers no slot");
const _: () = assert!(size_of::<Magazine>().is_multiple_of(align_of::<Slot>()), "slots begin right after the header");

// SAFETY: its one field is an atomic, for which 0 is a value and which threads may share.
unsafe impl arena::Zeroed for Magazine {}

impl Magazine {
    /// The address of its first slot.
    fn first_slot(&'static self) -> *const Slot {
        // By the address, because the slots are not part of what the reference refers to.
        ptr::with_exposed_provenance(ptr::from_ref(self).addr() + size_of::<Magazine>())
    }

    /// Its first `count` slots.
    ///
    /// # Safety
    /// The magazine was allocated with at least `count` slots, and the caller owns it.
    unsafe fn slots(&'static self, count: u32) -> &'static [Slot] {
        // SAFETY: the caller promises that as many slots follow the header. They are in the arena, whose memory has its
        // provenance exposed, is never unmapped, and was zero at first, which is a valid `Slot`; slots are cells, and
        // the caller owns them.
        unsafe { core::slice::from_raw_parts(self.first_slot(), count as usize) }
    }

    /// The magazine as a node of a stack: its address without the low bits, which are 0, as those of everything in the
    /// arena.
    fn node(&'static self) -> u64 {
        (ptr::from_ref(self).expose_provenance() >> NODE_SHIFT) as u64
    }

    /// The magazine at a node of a depot's stack.
    fn of_node(node: u64) -> &'static Magazine {
        let magazine = ptr::with_exposed_provenance::<Magazine>((node as usize) << NODE_SHIFT);
        // SAFETY: nodes on these stacks come from `node`, that is from a `&'static Magazine` whose provenance was
        // exposed there; the bits shifted out are 0.
        unsafe { &*magazine }
    }

    /// The link of a node.
    fn link_of(node: u64) -> &'static AtomicU64 {
        &Self::of_node(node).link
    }
}

/// What all threads share of a class: the magazines' capacity, and the depot.
#[derive(Debug)]
pub struct Depot {
    limit: u32,
    /// The low-water mark of `full` since the last trim of [`Portion::Unused`], roughly.
    low_water: AtomicU32,
    /// Its links hold the depth.
    full: NodeStack,
    empty: NodeStack,
}

impl Depot {
    /// An empty depot, for magazines of `limit` blocks.
    pub const fn new(limit: u32) -> Depot {
        Depot { limit, low_water: AtomicU32::new(0), full: NodeStack::empty(), empty: NodeStack::empty() }
    }

    /// Puts back an empty magazine.
    fn put_empty(&self, magazine: &'static Magazine) {
        self.empty.push(magazine.node(), &magazine.link);
    }

    /// About how many full magazines there are.
    fn full_count(&self) -> u32 {
        self.full.depth(Magazine::link_of) as u32
    }

    /// Takes an empty magazine, or allocates one. `None`: no memory.
    fn take_empty(&self) -> Option<&'static Magazine> {
        if let Some(node) = self.empty.pop(Magazine::link_of) {
            return Some(Magazine::of_node(node));
        }
        arena::zeroed(self.limit as usize * size_of::<Slot>())
    }

    /// Takes a full magazine.
    fn take_full(&self) -> Option<&'static Magazine> {
        let node = self.full.pop(Magazine::link_of)?;
        let left = self.full_count();
        if left < self.low_water.load(Ordering::Relaxed) {
            self.low_water.store(left, Ordering::Relaxed);
        }
        Some(Magazine::of_node(node))
    }

    /// Flushes a full magazine, which the caller owns; it is empty afterwards.
    fn flush_full(&self, magazine: &'static Magazine, below: &mut impl Below) {
        // SAFETY: the caller owns the magazine and so its `limit` blocks, and treats it as empty from here on.
        below.flush(unsafe { Batch::full(magazine.slots(self.limit)) });
    }

    /// Puts in a full magazine of blocks of `size` bytes. `false`: there are enough.
    fn put_full(&self, magazine: &'static Magazine, size: u32) -> bool {
        let most = (MAX_FULL_BYTES / self.limit.saturating_mul(size).max(1)).max(1);
        let room = self.full_count() < most;
        if room {
            self.full.push_counted(magazine.node(), Magazine::link_of);
        }
        room
    }
}

/// The state of one class.
///
/// # Invariants
/// `loaded` holds `count ≤ limit` blocks; `previous` holds `limit` if `previous_full`, else none. Before the first cold
/// path `limit` is 0 and there are no magazines.
#[repr(C)]
#[derive(Debug)]
pub struct HeapV2 {
    count: Cell<u32>,
    limit: Cell<u32>,
    /// The loaded magazine's first slot.
    slots: Cell<*const Slot>,
    loaded: Cell<Option<&'static Magazine>>,
    previous: Cell<Option<&'static Magazine>>,
    previous_full: Cell<bool>,
}

// SAFETY: a block is in one slot of one magazine, and a magazine belongs to one thread or to the depot.
unsafe impl Layer for HeapV2 {
    type Shared = Depot;

    const EMPTY: HeapV2 = HeapV2 {
        count: Cell::new(0),
        limit: Cell::new(0),
        slots: Cell::new(ptr::null()),
        loaded: Cell::new(None),
        previous: Cell::new(None),
        previous_full: Cell::new(false),
    };

    const INERT: bool = true;

    const TRIMS: bool = true;

    #[inline(always)]
    fn pop(&self) -> Option<FreeBlock> {
        let count = self.count.get();
        if count == 0 {
            return None;
        }
        self.count.set(count.wrapping_sub(1));
        // SAFETY: `0 < count ≤ limit`, and the first `count` slots of the loaded magazine hold blocks. The last of them
        // is no longer counted, so it is handed out once.
        Some(unsafe { (*self.slots.get().wrapping_add(count.wrapping_sub(1) as usize)).read() })
    }

    #[inline(always)]
    fn push(&self, block: FreeBlock, _: usize) -> bool {
        self.store(block).is_none()
    }

    fn refill(&self, depot: &Depot, below: &mut impl Below) -> Option<FreeBlock> {
        let Some((loaded, previous)) = self.magazines(depot) else {
            // No memory for magazines: one block at a time.
            let slot = [Slot::EMPTY];
            let mut batch = Batch::new(&slot);
            below.refill(&mut batch);
            return batch.pop();
        };
        let full = if self.previous_full.replace(false) { Some(previous) } else { depot.take_full() };
        if let Some(full) = full {
            if !ptr::eq(full, previous) {
                depot.put_empty(previous);
            }
            self.previous.set(Some(loaded));
            self.load(full, depot.limit);
            // A thread served by other threads' frees reaches no slab, where the clock is checked.
            below.tick();
        } else {
            let want = below.class().batch.min(depot.limit);
            // SAFETY: the loaded magazine is this thread's and has `limit ≥ want` slots. It is empty, so no block is
            // overwritten.
            let mut batch = Batch::new(unsafe { loaded.slots(want) });
            below.refill(&mut batch);
            // The first block, which has the lowest address, is to be the first out.
            self.count.set(batch.into_slots_reversed());
        }
        self.pop()
    }

    fn take(&self, batch: &mut Batch<'_>, _: &Depot, _: &mut impl Below) {
        batch.fill(|| self.pop());
    }

    fn put(&self, mut batch: Batch<'_>, depot: &Depot, below: &mut impl Below) {
        while let Some(block) = batch.pop() {
            self.store_or_exchange(block, depot, below);
        }
    }

    fn drain(&self, depot: &Depot, below: &mut impl Below) {
        loop {
            let buffer = [const { Slot::EMPTY }; DRAIN_BATCH];
            let mut batch = Batch::new(&buffer);
            batch.fill(|| self.pop());
            if batch.is_empty() {
                break;
            }
            below.flush(batch);
        }
        self.limit.set(0);
        if let Some(loaded) = self.loaded.take() {
            depot.put_empty(loaded);
        }
        if let Some(previous) = self.previous.take() {
            if self.previous_full.replace(false) {
                depot.flush_full(previous, below);
            }
            depot.put_empty(previous);
        }
    }

    fn put_one(&self, block: FreeBlock, depot: &Depot, below: &mut impl Below) {
        self.store_or_exchange(block, depot, below);
    }

    /// [`Portion::Unused`] is as many magazines as were never taken since the last such trim: those outside the working
    /// set, in the words of Bonwick and Adams.
    fn trim(depot: &Depot, portion: Portion, below: &mut impl Below) -> bool {
        let before = depot.full_count();
        if before == 0 {
            return false;
        }
        let most = if portion == Portion::All { u32::MAX } else { depot.low_water.load(Ordering::Relaxed) };
        for magazine in (0..most).map_while(|_| depot.take_full()) {
            depot.flush_full(magazine, below);
            depot.put_empty(magazine);
        }
        depot.low_water.store(depot.full_count(), Ordering::Relaxed);
        true
    }
}

impl HeapV2 {
    /// The loaded and the previous magazine, allocated on the thread's first cold path. `None`: no memory.
    fn magazines(&self, depot: &Depot) -> Option<(&'static Magazine, &'static Magazine)> {
        if self.limit.get() == 0 {
            let loaded = depot.take_empty()?;
            let Some(previous) = depot.take_empty() else {
                depot.put_empty(loaded);
                return None;
            };
            self.previous.set(Some(previous));
            self.limit.set(depot.limit);
            self.load(loaded, 0);
        }
        Some((self.loaded.get()?, self.previous.get()?))
    }

    fn load(&self, magazine: &'static Magazine, count: u32) {
        self.loaded.set(Some(magazine));
        self.slots.set(magazine.first_slot());
        self.count.set(count);
    }

    /// Stores a block in the loaded magazine; returns it if there is no room.
    #[inline(always)]
    fn store(&self, block: FreeBlock) -> Option<FreeBlock> {
        let count = self.count.get();
        if count >= self.limit.get() {
            return Some(block);
        }
        // SAFETY: `count < limit`, and the loaded magazine has `limit` slots.
        unsafe { &*self.slots.get().wrapping_add(count as usize) }.set(block);
        self.count.set(count.wrapping_add(1));
        None
    }

    /// Stores a block, after replacing the loaded magazine if it is full.
    fn store_or_exchange(&self, block: FreeBlock, depot: &Depot, below: &mut impl Below) {
        let Some((loaded, previous)) = self.magazines(depot) else {
            Batch::with_one(block, |batch| below.flush(batch));
            return;
        };
        if self.count.get() == depot.limit {
            let was_full = self.previous_full.replace(true);
            let empty = if was_full { Self::exchange(previous, depot, below) } else { previous };
            self.previous.set(Some(loaded));
            self.load(empty, 0);
        }
        // The loaded magazine has room.
        let _none = self.store(block);
    }

    /// Exchanges a full magazine for an empty one.
    fn exchange(full: &'static Magazine, depot: &Depot, below: &mut impl Below) -> &'static Magazine {
        if let Some(empty) = depot.take_empty() {
            if depot.put_full(full, below.class().size) {
                if let Some((heap, _)) = below.heap() {
                    // The depot waits for a trim as free slabs do for a purge: this thread has to look at the clock.
                    heap.note_purge_pending();
                }
                return empty;
            }
            depot.put_empty(empty);
        }
        depot.flush_full(full, below);
        full
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slab::class::Class;

    /// Counts the flushed blocks.
    struct Flushed(usize);

    impl Below for Flushed {
        fn class(&self) -> &'static Class {
            unreachable!("nobody asks")
        }
        fn refill(&mut self, _: &mut Batch<'_>) {}
        fn flush(&mut self, batch: Batch<'_>) {
            self.0 += batch.into_slots() as usize;
        }
        fn tick(&mut self) {}
    }

    /// What a trim of `portion` flushes.
    fn trimmed(depot: &Depot, portion: Portion) -> (bool, usize) {
        let mut flushed = Flushed(0);
        (HeapV2::trim(depot, portion, &mut flushed), flushed.0)
    }

    #[test]
    fn a_depot_limits_its_bytes_and_flushes_unused_magazines() {
        const SIZE: u32 = 1 << 20;
        let depot = Depot::new(4);
        let empty = || depot.take_empty().expect("memory");
        let full = || depot.take_full().expect("one that is full");
        assert_eq!(trimmed(&depot, Portion::All), (false, 0));
        let most = (0..).take_while(|_| depot.put_full(empty(), SIZE)).count();
        assert_eq!(most, (MAX_FULL_BYTES / SIZE / 4) as usize);
        // The low-water mark is still 0.
        assert_eq!(trimmed(&depot, Portion::Unused), (true, 0));
        // At most one is taken at a time, then two.
        for _ in 0..3 {
            assert!(depot.put_full(full(), SIZE));
        }
        let both = [full(), full()];
        assert!(both.into_iter().all(|magazine| depot.put_full(magazine, SIZE)));
        assert_eq!(trimmed(&depot, Portion::Unused), (true, (most - 2) * 4));
        assert_eq!(trimmed(&depot, Portion::Unused), (true, 2 * 4));
        assert_eq!(trimmed(&depot, Portion::Unused), (false, 0));
        // One magazine is kept even if it exceeds the limit.
        assert!(depot.put_full(empty(), MAX_FULL_BYTES));
        assert!(!depot.put_full(empty(), MAX_FULL_BYTES));
        assert_eq!(trimmed(&depot, Portion::All), (true, 4));
        assert!(depot.take_full().is_none());
    }
}
