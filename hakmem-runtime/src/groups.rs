//! Several groups as one type, which finds the group of a class offset or does something with each group in turn.

use crate::cache::{Counts, Layer, Queue, Rest};
use crate::class_offset::{ClassOffset, ClassSet, Offsets};
use crate::group::{self, Group, Inlining, OffsetIn, Pending, Shared, stride};
use crate::heap::{Heap, Portion};
use crate::size_table::{MAX_CLASSES, NO_OFFSET};
use crate::slab::FreeBlock;
use crate::thread_cache::ThreadCache;

/// Some of the groups of an allocator, as a binary tree of tuples: `(G,)` is a leaf, and `(L, R)` has the groups of
/// `L`, then those of `R`. A class offset below `L::END` belongs to a group of `L`.
///
/// # Safety
/// All groups are of `Cache` and of one allocator, and their states are in the cache in this order.
pub unsafe trait Groups<Cache: ThreadCache>: ClassSet + Sized {
    /// Whether [`Layer::TRIMS`] holds for a layer of any.
    const TRIMS: bool;
    /// Whether [`Layer::LISTS_IN_SLABS`] holds for a layer of any.
    const LISTS_IN_SLABS: bool;
    /// Whether there are none.
    const IS_EMPTY: bool = false;

    /// A hit of the class at `offset`, or `None`.
    fn pop(offset: ClassOffset<Self>) -> Option<FreeBlock>;

    /// Allocates from the class at `offset`. `None`: no memory.
    fn alloc(offset: ClassOffset<Self>) -> Option<FreeBlock>;

    /// Frees a block of the class at `offset`.
    fn dealloc(block: FreeBlock, offset: ClassOffset<Self>);

    /// Frees a block whose class offset `offset` returns. Only an overflow calls it if the first layer pushes blocks of
    /// any class ([`Layer::PUSHES_ANY_CLASS`]).
    #[inline(always)]
    fn dealloc_lazy(block: FreeBlock, offset: impl Fn() -> ClassOffset<Self>) {
        Self::dealloc(block, offset());
    }

    /// Frees a block of the class at `offset` for which the first layer had no room.
    fn overflow(block: Pending, offset: ClassOffset<Self>);

    /// What an allocation of the class at `offset` does with a block before it returns it.
    fn hand_out(block: Option<FreeBlock>, offset: ClassOffset<Self>) -> Option<FreeBlock>;

    /// The index of the class at `offset`.
    fn class_index(offset: ClassOffset<Self>) -> usize;

    /// Empties every layer into the slabs of the thread's heap.
    fn drain(cache: &Cache);

    /// [`Layer::shut`] of the first layer of every class.
    fn shut(cache: &Cache);

    /// [`Layer::take_over`] of the first layer of every class; what is below it, which hits do not touch, is drained.
    fn take_over(cache: &Cache);

    /// Flushes the queues that the background thread fills.
    fn flush_queues(cache: &Cache);

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

/// The offset of the class at an index in the group; of the last one, if there are not as many.
#[inline(always)]
fn offset_of<G: Group>(index: usize) -> OffsetIn<G> {
    let offset = (G::FIRST_OFFSET + index.min(G::CLASSES - 1) * stride::<G>()) / G::Cache::UNIT;
    // SAFETY: a group has a class, and the states of its `CLASSES` classes are one after the other (`Group`).
    unsafe { ClassOffset::new(offset) }
}

/// For each class of a group: its offset, and what all threads share of it.
fn classes<G: Group>() -> impl Iterator<Item = (OffsetIn<G>, &'static Shared<G>)> {
    G::shared().iter().enumerate().map(|(index, shared)| (offset_of::<G>(index), shared))
}

/// What all threads share of a class, if it is of this group.
fn shared_of<G: Group>(class_index: usize) -> Option<&'static Shared<G>> {
    G::shared().get(class_index.checked_sub(G::FIRST_CLASS)?)
}

/// Frees a block of any class whose first layer is `G::First`.
#[inline(always)]
fn dealloc_any<G: Group>(block: FreeBlock, offset: impl Fn() -> OffsetIn<G>) {
    debug_assert!(G::First::PUSHES_ANY_CLASS);
    if let Err(pending) = group::push::<G>(block, offset_of::<G>(0)) {
        overflow_any::<G>(pending, offset);
    }
}

/// Frees a block whose class offset `offset` returns and for which the first layer had no room.
#[cold]
#[inline(never)]
fn overflow_any<G: Group>(block: Pending, offset: impl Fn() -> OffsetIn<G>) {
    group::overflow::<G>(block, offset());
}

// SAFETY: there is no group, so nothing must hold. Callers test `IS_EMPTY`, and no class offset leads here.
unsafe impl<Cache: ThreadCache> Groups<Cache> for () {
    const TRIMS: bool = false;
    const LISTS_IN_SLABS: bool = false;
    const IS_EMPTY: bool = true;

    fn pop(_: ClassOffset<()>) -> Option<FreeBlock> {
        None
    }

    fn alloc(_: ClassOffset<()>) -> Option<FreeBlock> {
        None
    }

    fn dealloc(_: FreeBlock, _: ClassOffset<()>) {}

    fn overflow(_: Pending, _: ClassOffset<()>) {}

    fn hand_out(_: Option<FreeBlock>, _: ClassOffset<()>) -> Option<FreeBlock> {
        None
    }

    fn class_index(_: ClassOffset<()>) -> usize {
        0
    }

    fn drain(_: &Cache) {}

    fn shut(_: &Cache) {}

    fn take_over(_: &Cache) {}

    fn flush_queues(_: &Cache) {}

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

impl<G: Group> ClassSet for (G,) {
    const END: usize = (G::FIRST_OFFSET + G::CLASSES * stride::<G>()) / G::Cache::UNIT;
    const OFFSETS: Offsets = {
        let mut offsets = [NO_OFFSET; MAX_CLASSES];
        let mut index = 0;
        while index < G::CLASSES {
            let bytes = G::FIRST_OFFSET + index * stride::<G>();
            assert!(bytes.is_multiple_of(G::Cache::UNIT), "a class offset is a number of units");
            offsets[G::FIRST_CLASS + index] = (bytes / G::Cache::UNIT) as u16;
            index += 1;
        }
        offsets
    };
}

// SAFETY: of one group, its own contract says what this one asks.
unsafe impl<G: Group> Groups<G::Cache> for (G,) {
    const TRIMS: bool = G::First::TRIMS || G::Rest::TRIMS;
    const LISTS_IN_SLABS: bool = G::First::LISTS_IN_SLABS || G::Rest::LISTS_IN_SLABS;
    #[inline(always)]
    fn pop(offset: OffsetIn<G>) -> Option<FreeBlock> {
        group::pop::<G>(offset)
    }

    #[inline(always)]
    fn alloc(offset: OffsetIn<G>) -> Option<FreeBlock> {
        group::alloc::<G>(offset)
    }

    #[inline(always)]
    fn dealloc(block: FreeBlock, offset: OffsetIn<G>) {
        group::dealloc::<G>(block, offset);
    }

    #[inline(always)]
    fn dealloc_lazy(block: FreeBlock, offset: impl Fn() -> OffsetIn<G>) {
        if G::First::PUSHES_ANY_CLASS && !G::HEADER && G::INLINING == Inlining::Always {
            dealloc_any::<G>(block, offset);
        } else {
            group::dealloc::<G>(block, offset());
        }
    }

    fn overflow(block: Pending, offset: OffsetIn<G>) {
        group::overflow::<G>(block, offset);
    }

    fn hand_out(block: Option<FreeBlock>, offset: OffsetIn<G>) -> Option<FreeBlock> {
        group::hand_out::<G>(block, offset)
    }

    fn class_index(offset: OffsetIn<G>) -> usize {
        group::class_index::<G>(offset)
    }

    fn drain(cache: &G::Cache) {
        for (offset, shared) in classes::<G>() {
            let mut slabs = group::slabs::<G>(Some(cache), offset);
            group::first::<G>(cache, offset).drain(&shared.first, &mut slabs);
            group::rest::<G>(cache, offset).drain(&shared.second, &mut slabs);
        }
    }

    fn shut(cache: &G::Cache) {
        for (offset, shared) in classes::<G>() {
            group::first::<G>(cache, offset).shut(&shared.first);
        }
    }

    fn take_over(cache: &G::Cache) {
        for (offset, shared) in classes::<G>() {
            // Those of a thread without a heap: the caller is not the heap's thread.
            let mut slabs = group::slabs::<G>(None, offset);
            group::first::<G>(cache, offset).take_over(&shared.first, &mut slabs);
            group::rest::<G>(cache, offset).drain(&shared.second, &mut slabs);
        }
    }

    fn flush_queues(cache: &G::Cache) {
        if G::Rest::QUEUED {
            for (offset, shared) in classes::<G>() {
                if let Some(queue) = G::Rest::queue(&shared.second) {
                    queue.flush(&mut group::slabs::<G>(Some(cache), offset));
                }
            }
        }
    }

    fn trim(heap: Option<&Heap>, portion: Portion) -> bool {
        let mut any = false;
        if Self::TRIMS {
            for (offset, shared) in classes::<G>() {
                let mut slabs = group::slabs_of::<G>(heap, offset);
                any |= G::First::trim(&shared.first, portion, &mut slabs);
                any |= G::Rest::trim(&shared.second, portion, &mut slabs);
            }
        }
        any
    }

    fn publish(cache: &G::Cache) {
        for (offset, shared) in classes::<G>() {
            group::first::<G>(cache, offset).publish(&shared.first);
            group::rest::<G>(cache, offset).publish(&shared.second);
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
    #[inline(always)]
    fn pop(offset: ClassOffset<(L, R)>) -> Option<FreeBlock> {
        match offset.half() {
            Ok(left) => L::pop(left),
            Err(right) => R::pop(right),
        }
    }

    #[inline(always)]
    fn alloc(offset: ClassOffset<(L, R)>) -> Option<FreeBlock> {
        match offset.half() {
            Ok(left) => L::alloc(left),
            Err(right) => R::alloc(right),
        }
    }

    #[inline(always)]
    fn dealloc(block: FreeBlock, offset: ClassOffset<(L, R)>) {
        match offset.half() {
            Ok(left) => L::dealloc(block, left),
            Err(right) => R::dealloc(block, right),
        }
    }

    fn overflow(block: Pending, offset: ClassOffset<(L, R)>) {
        match offset.half() {
            Ok(left) => L::overflow(block, left),
            Err(right) => R::overflow(block, right),
        }
    }

    fn hand_out(block: Option<FreeBlock>, offset: ClassOffset<(L, R)>) -> Option<FreeBlock> {
        match offset.half() {
            Ok(left) => L::hand_out(block, left),
            Err(right) => R::hand_out(block, right),
        }
    }

    fn class_index(offset: ClassOffset<(L, R)>) -> usize {
        match offset.half() {
            Ok(left) => L::class_index(left),
            Err(right) => R::class_index(right),
        }
    }

    fn drain(cache: &C) {
        L::drain(cache);
        R::drain(cache);
    }

    fn shut(cache: &C) {
        L::shut(cache);
        R::shut(cache);
    }

    fn take_over(cache: &C) {
        L::take_over(cache);
        R::take_over(cache);
    }

    fn flush_queues(cache: &C) {
        L::flush_queues(cache);
        R::flush_queues(cache);
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
