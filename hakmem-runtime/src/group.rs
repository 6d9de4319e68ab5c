//! The hit and miss paths of a group: the classes with the same layers and policies. [`Inlining`] says how hits are
//! compiled; misses and overflows are calls.
//!
//! Generated code says what a group is made of ([`Group`]); the code here is generic, and compiled in the application's
//! crate for each group. A hit addresses the state of a class's first layer by its **class offset**, the distance from
//! the start of the thread cache, which the size table yields ready to use (`ClassOffset`). Only cold code turns an
//! offset back into the class's index.

use crate::cache::{Layer, Rest, SharedPair, Slabs, Under};
use crate::class_offset::ClassOffset;
use crate::header;
use crate::heap::Heap;
use crate::slab::FreeBlock;
use crate::thread_cache::{States, ThreadCache};
use core::ptr;

/// What all threads share of one class of a group.
pub type Shared<G> = SharedPair<<<G as Group>::First as Layer>::Shared, <<G as Group>::Rest as Rest>::Shared>;

/// How a group's hits are compiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inlining {
    /// `#[inline(always)]`.
    Always,
    /// `#[inline]`: the callers are out of line already.
    Hint,
    /// `#[inline(never)]`: one copy.
    Never,
}

/// What a group is made of.
///
/// # Safety
/// `CLASSES` is not 0. `Cache` has a `[First; CLASSES]` at `FIRST_OFFSET` and a `[Rest; CLASSES]` at `REST_OFFSET`;
/// `shared` has as many elements. They belong to the allocator's classes `FIRST_CLASS .. FIRST_CLASS + CLASSES`. Each of
/// these has a header exactly if `HEADER`, and needs its class for a free exactly if `NEEDS_CLASS`.
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
    /// Whether blocks cannot be freed by their address alone: bit 0 of the slabs' owner (`Heap::owner_id`).
    const NEEDS_CLASS: bool = false;

    /// What all threads share of each class.
    fn shared() -> &'static [Shared<Self>];
}

/// The states of a group's first layer of a thread that has not allocated yet.
pub const fn empty_first<G: Group, const N: usize>() -> [G::First; N] {
    [const { G::First::EMPTY }; N]
}

/// The states of the layers below the first, of a thread that has not allocated yet.
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

/// The class offset of a class of the group `G`.
pub(crate) type OffsetIn<G> = ClassOffset<(G,)>;

/// The index in the group of the class at `offset`.
fn index_in_group<G: Group>(offset: OffsetIn<G>) -> usize {
    (offset.get() * G::Cache::UNIT - G::FIRST_OFFSET) / stride::<G>()
}

/// The index of the class at `offset`.
pub(crate) fn class_index<G: Group>(offset: OffsetIn<G>) -> usize {
    G::FIRST_CLASS + index_in_group::<G>(offset)
}

/// The owner id of this thread's slabs of the group.
#[inline(always)]
fn owner_id<G: Group>(cache: &G::Cache) -> usize {
    cache.owner() | G::NEEDS_CLASS as usize
}

/// Whether a hit would write to the empty cache that unstarted threads share.
#[inline(always)]
fn would_write_empty_cache<G: Group>() -> bool {
    G::Cache::BESIDE_HEAP && !G::First::INERT && !G::Cache::has_started()
}

/// The state of the first layer of the class at `offset`.
#[inline(always)]
pub(crate) fn first<G: Group>(cache: &G::Cache, offset: OffsetIn<G>) -> &G::First {
    debug_assert!(index_in_group::<G>(offset) < G::CLASSES);
    // SAFETY: at the offset of a class of the group, the cache has such a state (`Group`).
    unsafe { &*ptr::from_ref(cache).byte_add(offset.get() * G::Cache::UNIT).cast() }
}

/// The states of the layers below the first, of the class at `offset`.
pub(crate) fn rest<G: Group>(cache: &G::Cache, offset: OffsetIn<G>) -> &G::Rest {
    let index = index_in_group::<G>(offset);
    debug_assert!(index < G::CLASSES);
    // SAFETY: at `REST_OFFSET` the cache has an array of such states, one for each class of the group (`Group`).
    unsafe { &*ptr::from_ref(cache).byte_add(G::REST_OFFSET).cast::<G::Rest>().add(index) }
}

/// The calling thread's slabs of the class at `offset`, to put below the layers of that class. Without a cache: those of
/// a thread without a heap.
pub(crate) fn slabs<G: Group>(cache: Option<&G::Cache>, offset: OffsetIn<G>) -> Slabs<'_> {
    slabs_of::<G>(cache.and_then(|cache| cache.heap().get()), offset)
}

/// [`slabs`], of a heap.
pub(crate) fn slabs_of<G: Group>(heap: Option<&Heap>, offset: OffsetIn<G>) -> Slabs<'_> {
    // SAFETY: a `Heap` is not `Sync`, so only its own thread has a reference to it; a thread's cache has the heap of its
    // allocator (`ThreadCache`), and the heaps of an allocator trim its own groups. The class is one of the allocator's
    // (`Group`).
    unsafe { Slabs::new(G::Cache::backing(), heap, class_index::<G>(offset)) }
}

/// Takes a block from the first layer; `None` is a miss.
#[inline(always)]
pub(crate) fn pop<G: Group>(offset: OffsetIn<G>) -> Option<FreeBlock> {
    if would_write_empty_cache::<G>() {
        return None;
    }
    hand_out::<G>(G::Cache::with(|cache| first::<G>(cache, offset).pop()), offset)
}

/// What an allocation does with a block before it returns it: writes its header, if it has one.
#[inline(always)]
pub(crate) fn hand_out<G: Group>(block: Option<FreeBlock>, offset: OffsetIn<G>) -> Option<FreeBlock> {
    if G::HEADER
        && let Some(block) = &block
    {
        // SAFETY: the block was taken just now, and is of the class at this offset, which has headers.
        unsafe { header::mark(block, class_index::<G>(offset)) };
    }
    block
}

/// Allocates: a hit, or the way down the stack.
#[inline(always)]
pub(crate) fn alloc<G: Group>(offset: OffsetIn<G>) -> Option<FreeBlock> {
    match G::INLINING {
        Inlining::Always => alloc_inline::<G>(offset),
        Inlining::Hint => alloc_hint::<G>(offset),
        Inlining::Never => alloc_call::<G>(offset),
    }
}

#[inline(always)]
fn alloc_inline<G: Group>(offset: OffsetIn<G>) -> Option<FreeBlock> {
    match pop::<G>(offset) {
        None => refill::<G>(offset),
        block => block,
    }
}

#[inline]
fn alloc_hint<G: Group>(offset: OffsetIn<G>) -> Option<FreeBlock> {
    alloc_inline::<G>(offset)
}

#[inline(never)]
fn alloc_call<G: Group>(offset: OffsetIn<G>) -> Option<FreeBlock> {
    alloc_inline::<G>(offset)
}

/// Allocates when the first layer is empty: fills it from below.
#[cold]
#[inline(never)]
fn refill<G: Group>(offset: OffsetIn<G>) -> Option<FreeBlock> {
    let block = G::Cache::with_started(false, |cache| {
        let shared = G::shared().get(index_in_group::<G>(offset))?;
        let mut slabs = slabs::<G>(Some(cache), offset);
        let mut below = Under::new(rest::<G>(cache, offset), &shared.second, &mut slabs);
        let inside = cache.heap().get().map(Heap::enter);
        let block = first::<G>(cache, offset).refill(&shared.first, &mut below);
        drop(inside);
        if G::Rest::QUEUED {
            cache.wake_filler();
        }
        cache.after_slow_path();
        block
    });
    hand_out::<G>(block.flatten(), offset)
}

/// Frees a block of the class at `offset`: a hit, or the way down the stack.
#[inline(always)]
pub(crate) fn dealloc<G: Group>(block: FreeBlock, offset: OffsetIn<G>) {
    match G::INLINING {
        Inlining::Always => dealloc_inline::<G>(block, offset),
        Inlining::Hint => dealloc_hint::<G>(block, offset),
        Inlining::Never => dealloc_call::<G>(block, offset),
    }
}

#[inline(always)]
fn dealloc_inline<G: Group>(block: FreeBlock, offset: OffsetIn<G>) {
    if G::HEADER {
        header::check(G::Cache::backing(), &block, class_index::<G>(offset));
    }
    if let Err(pending) = push::<G>(block, offset) {
        overflow::<G>(pending, offset);
    }
}

#[inline]
fn dealloc_hint<G: Group>(block: FreeBlock, offset: OffsetIn<G>) {
    dealloc_inline::<G>(block, offset);
}

#[inline(never)]
fn dealloc_call<G: Group>(block: FreeBlock, offset: OffsetIn<G>) {
    dealloc_inline::<G>(block, offset);
}

/// A block that was pushed just now, and for which [`Layer::overflow`] has to be called, which knows whether the layer kept
/// it.
///
/// # Invariants
/// The first layer of a group has just returned `false` for it, or was not called as it would have written to the empty
/// cache.
#[must_use = "a block that is dropped is leaked"]
#[repr(transparent)]
#[derive(Debug)]
pub struct Pending(*mut u8);

impl Pending {
    /// Says that a block is pending.
    ///
    /// # Safety
    /// A push of it to the first layer of a group of this allocator has just returned `false`, and nothing was done with it
    /// since.
    #[inline(always)]
    pub(crate) unsafe fn new(block: *mut u8) -> Pending {
        Pending(block)
    }
}

/// Gives a block to the first layer. [`Pending`]: [`overflow`] must be called.
#[inline(always)]
pub(crate) fn push<G: Group>(block: FreeBlock, offset: OffsetIn<G>) -> Result<(), Pending> {
    let pending = Pending(block.as_ptr());
    let pushed = !would_write_empty_cache::<G>()
        && G::Cache::with(|cache| first::<G>(cache, offset).push(block, owner_id::<G>(cache)));
    if pushed { Ok(()) } else { Err(pending) }
}

/// Frees when the first layer had no room: makes some, by flushing blocks to those below. `offset` is that of the block's
/// class: the state that the push was to, unless the layer pushes blocks of any class ([`Layer::PUSHES_ANY_CLASS`]).
#[cold]
#[inline(never)]
pub(crate) fn overflow<G: Group>(Pending(block): Pending, offset: OffsetIn<G>) {
    let had_started = G::Cache::has_started();
    let done = G::Cache::with_started(true, |cache| {
        let Some(shared) = G::shared().get(index_in_group::<G>(offset)) else { return };
        let state = first::<G>(cache, offset);
        let mut slabs = slabs::<G>(Some(cache), offset);
        let mut below = Under::new(rest::<G>(cache, offset), &shared.second, &mut slabs);
        let inside = cache.heap().get().map(Heap::enter);
        // SAFETY: if the thread had not started, nothing was written: its cache is beside the heap, so the push
        // returned before it reached the layer, or the layer is inert. It is done here. Either way, a push of the block
        // has just returned `false`: see `Pending`.
        unsafe {
            if had_started || !state.push(FreeBlock::from_raw(block), owner_id::<G>(cache)) {
                state.overflow(block, &shared.first, &mut below);
            }
        }
        drop(inside);
        cache.after_slow_path();
    });
    if done.is_none() {
        // SAFETY: there was no cache to push to, so no layer has the block.
        slabs::<G>(None, offset).flush_one(unsafe { FreeBlock::from_raw(block) });
    }
}
