//! Several groups as one type, which finds the group of a class offset or does something with each group in turn.

use crate::cache::{Counts, Layer, Queue, Rest};
use crate::group::{self, Group, Inlining, Shared, stride};
use crate::heap::{Heap, Portion};
use crate::slab::FreeBlock;
use crate::thread_cache::ThreadCache;
use core::ptr;

/// Some of the groups of an allocator, as a binary tree of tuples: `(G,)` is a leaf, and `(L, R)` has the groups of
/// `L`, then those of `R`. A class offset below `L::END` belongs to a group of `L`.
///
/// # Safety
/// All groups are of `Cache` and of one allocator, and their states are in the cache in this order.
pub unsafe trait Groups<Cache: ThreadCache>: 'static {
    /// Whether [`Layer::TRIMS`] holds for a layer of any.
    const TRIMS: bool;
    /// Whether [`Layer::LISTS_IN_SLABS`] holds for a layer of any.
    const LISTS_IN_SLABS: bool;
    /// Whether there are none.
    const IS_EMPTY: bool = false;
    /// The class offset at which they end.
    const END: usize;

    /// A hit of the class at `offset`, or null.
    ///
    /// # Safety
    /// `offset` is that of a class of these groups.
    unsafe fn pop(offset: usize) -> *mut u8;

    /// Allocates from the class at `offset`. Null: no memory.
    ///
    /// # Safety
    /// `offset` is that of a class of these groups.
    unsafe fn alloc(offset: usize) -> *mut u8;

    /// Frees a block of the class at `offset`.
    ///
    /// # Safety
    /// `offset` is that of a class of these groups.
    unsafe fn dealloc(block: FreeBlock, offset: usize);

    /// Frees a block whose class offset `offset` returns. Only an overflow calls it if the first layer pushes blocks of
    /// any class ([`Layer::PUSHES_ANY_CLASS`]).
    ///
    /// # Safety
    /// `offset` returns that of a class of these groups.
    #[inline(always)]
    unsafe fn dealloc_lazy(block: FreeBlock, offset: impl Fn() -> usize) {
        // SAFETY: the caller's contract.
        unsafe { Self::dealloc(block, offset()) };
    }

    /// What follows a push that returned `false`.
    ///
    /// # Safety
    /// The push was of `block`, of the class at `offset`, which is one of these groups', right before.
    unsafe fn overflow(block: *mut u8, offset: usize);

    /// The pointer that an allocation of the class at `offset` returns for a block.
    fn hand_out(block: Option<FreeBlock>, offset: usize) -> *mut u8;

    /// The index of the class at `offset`.
    fn class_index(offset: usize) -> usize;

    /// Empties every layer into the slabs of the thread's heap.
    fn drain(cache: &Cache);

    /// Flushes a portion of the blocks that layers share between threads to the slabs. `true`: there were any. `heap`
    /// is the calling thread's.
    fn trim(heap: Option<&Heap>, portion: Portion) -> bool;

    /// Adds what the thread counted to what all threads did.
    fn publish(cache: &Cache);

    /// What the layer at `position` of the stack of a class did.
    fn counts(class_index: usize, position: usize) -> Option<&'static Counts>;

    /// The queue of a class.
    fn queue(class_index: usize) -> Option<&'static Queue>;
}

/// The states of a group's classes, first layer and below, with what all threads share of each, and the class's index
/// in the group.
fn states<G: Group>(cache: &G::Cache) -> impl Iterator<Item = (usize, &G::First, &G::Rest, &'static Shared<G>)> {
    G::shared().iter().enumerate().map(|(index, shared)| {
        let offset = (G::FIRST_OFFSET + index * stride::<G>()) / G::Cache::UNIT;
        // SAFETY: `shared` has an element for each class (`Group`), so the class at `index` is one of the group.
        let (first, rest) = unsafe { (group::first::<G>(cache, offset), group::rest::<G>(cache, index)) };
        (index, first, rest, shared)
    })
}

/// What all threads share of a class, if it is of this group.
fn shared_of<G: Group>(class_index: usize) -> Option<&'static Shared<G>> {
    G::shared().get(class_index.checked_sub(G::FIRST_CLASS)?)
}

/// Frees a block of any class whose first layer is `G::First`.
///
/// # Safety
/// `offset` returns that of a class of `G`.
#[inline(always)]
unsafe fn dealloc_any<G: Group>(block: FreeBlock, offset: impl Fn() -> usize) {
    debug_assert!(G::First::PUSHES_ANY_CLASS);
    let address = block.into_raw();
    // SAFETY: the block is the caller's, and the state of the group's first class, of which there is one, takes blocks
    // of any class. The overflow, of the state of the block's class, directly follows the push that returned `false`.
    unsafe {
        if !group::push::<G>(FreeBlock::from_raw(address), G::FIRST_OFFSET / G::Cache::UNIT) {
            overflow_any::<G>(address, offset);
        }
    }
}

/// Frees a block that was not pushed.
///
/// # Safety
/// A push of the block has just returned `false`, and `offset` returns its class offset.
#[cold]
#[inline(never)]
unsafe fn overflow_any<G: Group>(block: *mut u8, offset: impl Fn() -> usize) {
    // SAFETY: the caller's contract.
    unsafe { group::overflow::<G>(block, offset()) }
}

// SAFETY: there is no group, so nothing must hold. Callers test `IS_EMPTY`, and no class offset leads here.
unsafe impl<Cache: ThreadCache> Groups<Cache> for () {
    const TRIMS: bool = false;
    const LISTS_IN_SLABS: bool = false;
    const IS_EMPTY: bool = true;
    const END: usize = 0;

    unsafe fn pop(_: usize) -> *mut u8 {
        ptr::null_mut()
    }

    unsafe fn alloc(_: usize) -> *mut u8 {
        ptr::null_mut()
    }

    unsafe fn dealloc(_: FreeBlock, _: usize) {}

    unsafe fn overflow(_: *mut u8, _: usize) {}

    fn hand_out(_: Option<FreeBlock>, _: usize) -> *mut u8 {
        ptr::null_mut()
    }

    fn class_index(_: usize) -> usize {
        0
    }

    fn drain(_: &Cache) {}

    fn trim(_: Option<&Heap>, _: Portion) -> bool {
        false
    }

    fn publish(_: &Cache) {}

    fn counts(_: usize, _: usize) -> Option<&'static Counts> {
        None
    }

    fn queue(_: usize) -> Option<&'static Queue> {
        None
    }
}

// SAFETY: of one group, its own contract says what this one asks.
unsafe impl<G: Group> Groups<G::Cache> for (G,) {
    const TRIMS: bool = G::First::TRIMS || G::Rest::TRIMS;
    const LISTS_IN_SLABS: bool = G::First::LISTS_IN_SLABS || G::Rest::LISTS_IN_SLABS;
    const END: usize = (G::FIRST_OFFSET + G::CLASSES * stride::<G>()) / G::Cache::UNIT;

    #[inline(always)]
    unsafe fn pop(offset: usize) -> *mut u8 {
        // SAFETY: the caller's contract.
        unsafe { group::pop::<G>(offset) }
    }

    #[inline(always)]
    unsafe fn alloc(offset: usize) -> *mut u8 {
        // SAFETY: the caller's contract.
        unsafe { group::alloc::<G>(offset) }
    }

    #[inline(always)]
    unsafe fn dealloc(block: FreeBlock, offset: usize) {
        // SAFETY: the caller's contract.
        unsafe { group::dealloc::<G>(block, offset) };
    }

    #[inline(always)]
    unsafe fn dealloc_lazy(block: FreeBlock, offset: impl Fn() -> usize) {
        // SAFETY: the caller's contract.
        unsafe {
            if G::First::PUSHES_ANY_CLASS && !G::HEADER && G::INLINING == Inlining::Always {
                dealloc_any::<G>(block, offset);
            } else {
                group::dealloc::<G>(block, offset());
            }
        }
    }

    unsafe fn overflow(block: *mut u8, offset: usize) {
        // SAFETY: the caller's contract.
        unsafe { group::overflow::<G>(block, offset) }
    }

    fn hand_out(block: Option<FreeBlock>, offset: usize) -> *mut u8 {
        group::hand_out::<G>(block, offset)
    }

    fn class_index(offset: usize) -> usize {
        group::class_index::<G>(offset)
    }

    fn drain(cache: &G::Cache) {
        for (index, first, rest, shared) in states::<G>(cache) {
            // SAFETY: the heap in a thread's cache is the thread's; `states` yields the indices of the group's classes.
            let mut slabs = unsafe { group::slabs::<G>(cache.heap().get(), index) };
            first.drain(&shared.first, &mut slabs);
            rest.drain(&shared.second, &mut slabs);
        }
    }

    fn trim(heap: Option<&Heap>, portion: Portion) -> bool {
        let mut any = false;
        if Self::TRIMS {
            for (index, shared) in G::shared().iter().enumerate() {
                // SAFETY: a reference to a `Heap`, which is not `Sync`, is in the hands of the heap's thread, and the
                // heaps of an allocator call this for its own groups. `shared` has an element for each class (`Group`).
                let mut slabs = unsafe { group::slabs::<G>(heap, index) };
                any |= G::First::trim(&shared.first, portion, &mut slabs);
                any |= G::Rest::trim(&shared.second, portion, &mut slabs);
            }
        }
        any
    }

    fn publish(cache: &G::Cache) {
        for (_, first, rest, shared) in states::<G>(cache) {
            first.publish(&shared.first);
            rest.publish(&shared.second);
        }
    }

    fn counts(class_index: usize, position: usize) -> Option<&'static Counts> {
        let shared = shared_of::<G>(class_index)?;
        let of_first = |position: usize| G::First::counts(&shared.first, position);
        // How many layers of the spec the first one is: more than one if it is `Inline`. Either all layers of a class
        // count, or none.
        let layers = || (0..).take_while(|&position| of_first(position).is_some()).count();
        of_first(position).or_else(|| G::Rest::counts(&shared.second, position.checked_sub(layers())?))
    }

    fn queue(class_index: usize) -> Option<&'static Queue> {
        G::Rest::queue(&shared_of::<G>(class_index)?.second)
    }
}

// SAFETY: the groups on the left come before those on the right.
unsafe impl<C: ThreadCache, L: Groups<C>, R: Groups<C>> Groups<C> for (L, R) {
    const TRIMS: bool = L::TRIMS || R::TRIMS;
    const LISTS_IN_SLABS: bool = L::LISTS_IN_SLABS || R::LISTS_IN_SLABS;
    const END: usize = R::END;

    // In all of these, a class offset below `L::END` is of a group of `L`, and another one of `R`: the states are in
    // the cache in the order of the groups.

    #[inline(always)]
    unsafe fn pop(offset: usize) -> *mut u8 {
        // SAFETY: the caller's contract, and the order.
        unsafe { if offset < L::END { L::pop(offset) } else { R::pop(offset) } }
    }

    #[inline(always)]
    unsafe fn alloc(offset: usize) -> *mut u8 {
        // SAFETY: the caller's contract, and the order.
        unsafe { if offset < L::END { L::alloc(offset) } else { R::alloc(offset) } }
    }

    #[inline(always)]
    unsafe fn dealloc(block: FreeBlock, offset: usize) {
        // SAFETY: the caller's contract, and the order.
        unsafe { if offset < L::END { L::dealloc(block, offset) } else { R::dealloc(block, offset) } }
    }

    unsafe fn overflow(block: *mut u8, offset: usize) {
        // SAFETY: the caller's contract, and the order.
        unsafe { if offset < L::END { L::overflow(block, offset) } else { R::overflow(block, offset) } }
    }

    fn hand_out(block: Option<FreeBlock>, offset: usize) -> *mut u8 {
        if offset < L::END { L::hand_out(block, offset) } else { R::hand_out(block, offset) }
    }

    fn class_index(offset: usize) -> usize {
        if offset < L::END { L::class_index(offset) } else { R::class_index(offset) }
    }

    fn drain(cache: &C) {
        L::drain(cache);
        R::drain(cache);
    }

    fn trim(heap: Option<&Heap>, portion: Portion) -> bool {
        L::trim(heap, portion) | R::trim(heap, portion)
    }

    fn publish(cache: &C) {
        L::publish(cache);
        R::publish(cache);
    }

    fn counts(class_index: usize, position: usize) -> Option<&'static Counts> {
        L::counts(class_index, position).or_else(|| R::counts(class_index, position))
    }

    fn queue(class_index: usize) -> Option<&'static Queue> {
        L::queue(class_index).or_else(|| R::queue(class_index))
    }
}
