//! Magazines, and the depot in which all threads exchange them, for `heapv2`: two lock-free stacks, of full and of empty ones.

use super::Below;
use crate::meta::arena;
use crate::meta::tagged_stack::{NODE_SHIFT, NodeStack};
use crate::slab::{Batch, Slot};
use core::ptr;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// The most bytes of blocks in a depot's full magazines, for threads that allocate and free in phases. (Allocating,
/// then freeing, 16 MiB in blocks of 4, 32, 256 KiB takes 25, 60, 108 ns per block with a limit of 256 KiB; 11, 12, 27
/// with this one.) At least one magazine is kept. They add nothing to a program's peak: see `heap/trim.rs`.
pub(super) const MAX_FULL_BYTES: u32 = 16 << 20;

/// A magazine's header, in the arena: allocated on demand, recycled, never freed. Its slots follow, but are not part of
/// this type: a shared reference lets its referent change only inside of cells, and this one's referent is the link.
///
/// # Invariants
/// On the depot's full stack it holds `limit` blocks, on its empty stack none. For a thread's two magazines see
/// [`HeapV2`](super::HeapV2).
#[repr(C)]
#[derive(Debug)]
pub(super) struct Magazine {
    pub(super) link: AtomicU64,
    // Followed in memory by `limit` slots.
}

const _: () = assert!(size_of::<Magazine>() == size_of::<AtomicU64>(), "a reference to the header covers no slot");
const _: () = assert!(size_of::<Magazine>() == size_of::<Slot>(), "the header is a word before the first slot");

// SAFETY: its one field is an atomic, for which 0 is a value and which threads may share.
unsafe impl arena::Zeroed for Magazine {}

impl Magazine {
    /// The address of the slot of the block number `count`; 0 is the header, which is the word before the first slot.
    pub(super) fn slot_of(&'static self, count: u32) -> *const Slot {
        // By the address, because the slots are not part of what the reference refers to.
        ptr::with_exposed_provenance(ptr::from_ref(self).addr() + count as usize * size_of::<Slot>())
    }

    /// How many slots there are up to the one at `slot`.
    pub(super) fn count_to(&'static self, slot: *const Slot) -> u32 {
        ((slot.addr() - ptr::from_ref(self).addr()) / size_of::<Slot>()) as u32
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
    pub(super) limit: u32,
    /// The low-water mark of `full` since the last trim of [`Portion::Unused`], roughly.
    pub(super) low_water: AtomicU32,
    /// Its links hold the depth.
    full: NodeStack,
    empty: NodeStack,
}

impl Depot {
    /// An empty depot, for magazines of `limit` blocks.
    pub const fn new(limit: u32) -> Depot {
        Depot { limit, low_water: AtomicU32::new(0), full: NodeStack::empty(), empty: NodeStack::empty() }
    }

    /// The slots of a magazine, which is of this depot.
    pub(super) fn slots(&self, magazine: &'static Magazine) -> &'static [Slot] {
        // SAFETY: magazines come from `take_empty` of the depot of their class, so as many slots follow the header. They are
        // in the arena, whose memory has its provenance exposed, is never unmapped, and was zero at first, which is a valid
        // `Slot`; slots are atomics.
        unsafe { core::slice::from_raw_parts(magazine.slot_of(1), self.limit as usize) }
    }

    /// Puts back an empty magazine.
    pub(super) fn put_empty(&self, magazine: &'static Magazine) {
        self.empty.push(magazine.node(), &magazine.link);
    }

    /// About how many full magazines there are.
    pub(super) fn full_count(&self) -> u32 {
        self.full.depth(Magazine::link_of) as u32
    }

    /// Takes an empty magazine, or allocates one. `None`: no memory.
    pub(super) fn take_empty(&self) -> Option<&'static Magazine> {
        if let Some(node) = self.empty.pop(Magazine::link_of) {
            return Some(Magazine::of_node(node));
        }
        arena::zeroed(self.limit as usize * size_of::<Slot>())
    }

    /// Takes a full magazine.
    pub(super) fn take_full(&self) -> Option<&'static Magazine> {
        let node = self.full.pop(Magazine::link_of)?;
        let left = self.full_count();
        if left < self.low_water.load(Ordering::Relaxed) {
            self.low_water.store(left, Ordering::Relaxed);
        }
        Some(Magazine::of_node(node))
    }

    /// Flushes a full magazine, which the caller owns; it is empty afterwards.
    pub(super) fn flush_full(&self, magazine: &'static Magazine, below: &mut impl Below) {
        // SAFETY: the caller owns the magazine and so its `limit` blocks, and treats it as empty from here on.
        below.flush(unsafe { Batch::full(self.slots(magazine)) });
    }

    /// Puts in a full magazine of blocks of `size` bytes. `false`: there are enough.
    pub(super) fn put_full(&self, magazine: &'static Magazine, size: u32) -> bool {
        let most = (MAX_FULL_BYTES / self.limit.saturating_mul(size).max(1)).max(1);
        let room = self.full_count() < most;
        if room {
            self.full.push_counted(magazine.node(), Magazine::link_of);
        }
        room
    }
}
