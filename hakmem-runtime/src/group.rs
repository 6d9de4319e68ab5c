//! The paths of a group: of classes with the same stack of layers. Hits are inlined into the application; misses and
//! overflows are calls.
//!
//! Generated code says what a group is made of ([`Group`]); the code here is generic, and compiled in the application's
//! crate for each group. A hit addresses the state of a class's first layer by its **class offset**, the distance from
//! the start of the thread cache, which the size table yields ready to use. Only cold code turns an offset back into
//! the class's index.

use crate::cache::{Layer, Rest, SharedPair, Slabs, Under};
use crate::header;
use crate::heap::Heap;
use crate::slab::FreeBlock;
use crate::slab::free_list::into_raw;
use crate::thread_cache::{States, ThreadCache};
use core::ptr;

/// What all threads share of one class of a group.
pub type Shared<G> = SharedPair<<<G as Group>::First as Layer>::Shared, <<G as Group>::Rest as Rest>::Shared>;

/// How a group's hits are compiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inlining {
    /// `#[inline(always)]`.
    Always,
    /// `#[inline]`: for functions that are not inlined themselves.
    Hint,
    /// `#[inline(never)]`: one copy.
    Never,
}

/// What a group is made of.
///
/// # Safety
/// `Cache` has a `[First; CLASSES]` at `FIRST_OFFSET` and a `[Rest; CLASSES]` at `REST_OFFSET`; `shared` has as many
/// elements. They belong to the allocator's classes from `FIRST_CLASS` on, all of which have a header if `HEADER` and a
/// tagged owner if `TAGGED`.
pub unsafe trait Group: Sized + 'static {
    /// The thread cache.
    type Cache: ThreadCache;
    /// The first layer's state.
    type First: Layer;
    /// The states of the layers below.
    type Rest: Rest;

    /// The index of the first class.
    const FIRST_CLASS: usize;
    /// How many classes there are.
    const CLASSES: usize;
    /// Where the states of the first layer start in the thread cache, in bytes. (A class offset is in units of
    /// [`ThreadCache::UNIT`].)
    const FIRST_OFFSET: usize;
    /// Where the states of the layers below start, in bytes.
    const REST_OFFSET: usize;
    /// How hits are compiled.
    const INLINING: Inlining;
    /// Whether blocks have a header.
    const HEADER: bool = false;
    /// Whether slabs have a tagged owner (`Heap::owner_tag`).
    const TAGGED: bool = false;

    /// What all threads share of each class.
    fn shared() -> &'static [Shared<Self>];
}

/// The states of a group's first layer of a thread that has not allocated yet.
pub const fn empty_first<G: Group, const N: usize>() -> [G::First; N] {
    [const { G::First::EMPTY }; N]
}

/// The states of the layers below it.
pub const fn empty_rest<G: Group, const N: usize>() -> [G::Rest; N] {
    [const { G::Rest::EMPTY }; N]
}

/// Bytes from one class's state to the next.
pub(crate) const fn stride<G: Group>() -> usize {
    size_of::<G::First>()
}

/// Where the states of a group's first layer are.
pub const fn states_of<G: Group>() -> States {
    (G::FIRST_OFFSET, stride::<G>(), G::CLASSES)
}

/// The index in the group of the class at `offset`.
fn index_in_group<G: Group>(offset: usize) -> usize {
    (offset * G::Cache::UNIT - G::FIRST_OFFSET) / stride::<G>()
}

/// The index of the class at `offset`.
pub(crate) fn class_index<G: Group>(offset: usize) -> usize {
    G::FIRST_CLASS + index_in_group::<G>(offset)
}

/// The owner tag of this thread's slabs of the group.
#[inline(always)]
fn owner_tag<G: Group>(cache: &G::Cache) -> usize {
    cache.owner() | G::TAGGED as usize
}

/// Whether the thread has not started, where that matters: where all such threads share an empty cache, and the first
/// layer would write to it.
#[inline(always)]
fn is_unstarted<G: Group>() -> bool {
    G::Cache::BESIDE_HEAP && !G::First::INERT && !G::Cache::has_started()
}

/// The state of the first layer of the class at `offset`.
#[inline(always)]
pub(crate) fn first<G: Group>(cache: &G::Cache, offset: usize) -> &G::First {
    debug_assert!(index_in_group::<G>(offset) < G::CLASSES);
    // SAFETY: the tables have no offset but those of the groups that are named beside them (`CompiledSpec`), and which
    // of these an offset belongs to, `Groups` tells. At such an offset there is such a state (`Group`), part of the
    // cache.
    unsafe { &*ptr::from_ref(cache).byte_add(offset * G::Cache::UNIT).cast() }
}

/// The states of the layers below it.
pub(crate) fn rest<G: Group>(cache: &G::Cache, index: usize) -> &G::Rest {
    debug_assert!(index < G::CLASSES);
    // SAFETY: `REST_OFFSET` is where an array of them starts (`Group`), of which this is one.
    unsafe { &*ptr::from_ref(cache).byte_add(G::REST_OFFSET).cast::<G::Rest>().add(index) }
}

/// Takes a block from the first layer; null is a miss.
#[inline(always)]
pub(crate) fn pop<G: Group>(offset: usize) -> *mut u8 {
    if is_unstarted::<G>() {
        return ptr::null_mut();
    }
    let block = G::Cache::with(|cache| first::<G>(cache, offset).pop());
    hand_out::<G>(block, offset)
}

/// The pointer that an allocation returns: null where there is no block. Writes the block's header, if it has one.
#[inline(always)]
pub(crate) fn hand_out<G: Group>(block: Option<FreeBlock>, offset: usize) -> *mut u8 {
    let block = into_raw(block);
    if !G::HEADER {
        return block;
    }
    // SAFETY: the block was handed out just now, and is of the class at this offset, which has headers.
    unsafe { header::mark(block, class_index::<G>(offset)) }
}

/// Allocates: a hit, or the way down the stack.
#[inline(always)]
pub(crate) fn alloc<G: Group>(offset: usize) -> *mut u8 {
    match G::INLINING {
        Inlining::Always => alloc_inline::<G>(offset),
        Inlining::Hint => alloc_hint::<G>(offset),
        Inlining::Never => alloc_call::<G>(offset),
    }
}

#[inline(always)]
fn alloc_inline<G: Group>(offset: usize) -> *mut u8 {
    let block = pop::<G>(offset);
    if block.is_null() { refill::<G>(offset) } else { block }
}

#[inline]
fn alloc_hint<G: Group>(offset: usize) -> *mut u8 {
    alloc_inline::<G>(offset)
}

#[inline(never)]
fn alloc_call<G: Group>(offset: usize) -> *mut u8 {
    alloc_inline::<G>(offset)
}

/// The calling thread's slabs of the class at `index` in the group.
pub(crate) fn slabs<G: Group>(heap: Option<&Heap>, index: usize) -> Slabs<'_> {
    // SAFETY: the heap is the calling thread's (`ThreadCache::heap`), or there is none. The slabs are put below layers
    // of this class alone.
    unsafe { Slabs::new(G::Cache::backing(), heap, G::FIRST_CLASS + index) }
}

/// Allocates when the first layer is empty: fills it from below.
#[cold]
#[inline(never)]
fn refill<G: Group>(offset: usize) -> *mut u8 {
    let index = index_in_group::<G>(offset);
    let block = G::Cache::with_started(false, |cache| {
        let shared = G::shared().get(index)?;
        let mut slabs = slabs::<G>(cache.heap().get(), index);
        let mut below = Under::new(rest::<G>(cache, index), &shared.second, &mut slabs);
        let block = first::<G>(cache, offset).refill(&shared.first, &mut below);
        if G::Rest::QUEUED {
            cache.wake_filler();
        }
        cache.after_slow_path();
        block
    });
    hand_out::<G>(block.flatten(), offset)
}

/// Frees: a hit, or the way down the stack. The block is of the class at `offset`.
#[inline(always)]
pub(crate) fn dealloc<G: Group>(block: FreeBlock, offset: usize) {
    match G::INLINING {
        Inlining::Always => dealloc_inline::<G>(block, offset),
        Inlining::Hint => dealloc_hint::<G>(block, offset),
        Inlining::Never => dealloc_call::<G>(block, offset),
    }
}

#[inline(always)]
fn dealloc_inline<G: Group>(block: FreeBlock, offset: usize) {
    if G::HEADER {
        header::check(G::Cache::backing(), &block, class_index::<G>(offset));
    }
    let address = block.into_raw();
    // SAFETY: the block is the caller's, and an overflow follows the push that calls for it.
    unsafe {
        if !push::<G>(FreeBlock::from_raw(address), offset) {
            overflow::<G>(address, offset);
        }
    }
}

#[inline]
fn dealloc_hint<G: Group>(block: FreeBlock, offset: usize) {
    dealloc_inline::<G>(block, offset);
}

#[inline(never)]
fn dealloc_call<G: Group>(block: FreeBlock, offset: usize) {
    dealloc_inline::<G>(block, offset);
}

/// Gives a block to the first layer. `false`: [`overflow`] must be called, which knows whether the layer kept the
/// block.
#[inline(always)]
pub(crate) fn push<G: Group>(block: FreeBlock, offset: usize) -> bool {
    if is_unstarted::<G>() {
        return false;
    }
    G::Cache::with(|cache| first::<G>(cache, offset).push(block, owner_tag::<G>(cache)))
}

/// Frees when the first layer had no room: makes some, by flushing blocks to those below.
///
/// # Safety
/// This follows the push of `block` that failed.
#[cold]
#[inline(never)]
pub(crate) unsafe fn overflow<G: Group>(block: *mut u8, offset: usize) {
    let index = index_in_group::<G>(offset);
    let had_started = G::Cache::has_started();
    let done = G::Cache::with_started(true, |cache| {
        let Some(shared) = G::shared().get(index) else { return };
        let state = first::<G>(cache, offset);
        // SAFETY: if the thread had not started, the failed push did nothing, and is done here. Either way, a push of
        // the block to this state has just returned `false`.
        unsafe {
            if had_started || !state.push(FreeBlock::from_raw(block), owner_tag::<G>(cache)) {
                let mut slabs = slabs::<G>(cache.heap().get(), index);
                let mut below = Under::new(rest::<G>(cache, index), &shared.second, &mut slabs);
                state.overflow(block, &shared.first, &mut below);
            }
        }
        cache.after_slow_path();
    });
    if done.is_none() {
        // SAFETY: there was no cache to push to, so no layer has the block.
        slabs::<G>(None, index).flush_one(unsafe { FreeBlock::from_raw(block) });
    }
}
