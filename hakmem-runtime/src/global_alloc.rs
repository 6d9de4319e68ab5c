//! From a layout to a group, and the methods of `GlobalAlloc`.
//!
//! Generated code implements [`CompiledSpec`] on the user's type: tables, types and the allocator's static. What
//! follows from them for any spec is written once, here, and compiled in the application's crate.

use crate::class_offset::ClassOffset;
use crate::global::Allocator;
use crate::groups::Groups;
use crate::heap::{Heap, KeeperSteps, LayerHooks, Trim};
use crate::size_table::{NO_OFFSET, ROWS, SmallTable};
use crate::slab::FreeBlock;
use crate::slab::class::Class;
use crate::slab::free_list::into_raw;
use crate::sys::clock;
use crate::thread_cache::ThreadCache;
use core::ptr;

/// The smallest request for which `alloc_zeroed` asks the slab for fresh memory. For less, a `memset` is cheaper than
/// the way to the slab.
const ZERO_WORTHWHILE: usize = 2048;

/// What the macro generates.
///
/// # Safety
/// `Groups` are those of `allocator`, whose classes are `CLASSES`; `Cache` is the cache of its threads. `offsets` has
/// the class offset of each class. An entry of a table is `NO_OFFSET`, or the class offset of a class that serves the
/// layouts of that entry, and that is of the groups named at the table. It is never `NO_OFFSET` in the first row of
/// `small` up to `SMALL_MAX`, nor in `medium` from there up to `LARGEST`.
pub unsafe trait CompiledSpec: Sized + 'static {
    /// The thread cache.
    type Cache: ThreadCache;
    /// All groups.
    type Groups: Groups<Self::Cache>;
    /// Those in the first row of `small`, which is for alignments up to `SMALL_ALIGN`.
    type Small: Groups<Self::Cache>;
    /// Those in its other rows.
    type Aligned: Groups<Self::Cache>;
    /// Those in `medium`.
    type Medium: Groups<Self::Cache>;

    /// The classes, by class index: those of a group are adjacent.
    const CLASSES: &'static [Class];
    /// The largest size that `small` serves.
    const SMALL_MAX: usize;
    /// The largest alignment that every class has.
    const SMALL_ALIGN: usize;
    /// The sizes of an entry of `medium`.
    const MEDIUM_GRAIN: usize;
    /// The largest alignment that every class in `medium` has.
    const MEDIUM_ALIGN: usize;
    /// The largest request that a class serves.
    const LARGEST: usize;

    /// The allocator.
    fn allocator() -> &'static Allocator;

    /// The table of small sizes.
    fn small() -> &'static SmallTable;

    /// The table of larger sizes, by the size in units of `MEDIUM_GRAIN` bytes, rounded up: class offsets. Empty where
    /// there are none.
    fn medium() -> &'static [u16];

    /// The class indices, smallest class first.
    fn by_size() -> &'static [u8];

    /// The offset of each class.
    fn offsets() -> &'static [u16];

    /// Memory waits for its purge: wakes the thread that purges, where there is one.
    fn wake_purger() {}
}

/// What the heaps are told of the layers of a spec.
pub const fn layer_hooks<S: CompiledSpec>() -> LayerHooks {
    let trim: Option<Trim> = if S::Groups::TRIMS { Some(S::Groups::trim) } else { None };
    let bytes = if S::Cache::BESIDE_HEAP { size_of::<S::Cache>() } else { 0 };
    LayerHooks::new(trim, S::Groups::LISTS_IN_SLABS, bytes)
}

/// The class offset of a class of any group.
type AnyOffset<S> = ClassOffset<<S as CompiledSpec>::Groups>;

/// The offset of the smallest class that serves a size up to `SMALL_MAX`, of an alignment up to `SMALL_ALIGN`.
#[inline(always)]
fn offset_of_small<S: CompiledSpec>(size: usize) -> ClassOffset<S::Small> {
    let offset = S::small()[0][(size + 7) >> 3];
    // SAFETY: in this row, up to this size, the entries are offsets of classes of `Small` (`CompiledSpec`).
    unsafe { ClassOffset::new(offset.into()) }
}

/// The offset of the smallest class that serves a small size of an alignment that not every class has.
#[inline(always)]
fn offset_of_aligned<S: CompiledSpec>(size: usize, align: usize) -> Option<ClassOffset<S::Aligned>> {
    if size > S::SMALL_MAX || align >= 1 << ROWS {
        return None;
    }
    let offset = S::small()[align.trailing_zeros() as usize & (ROWS - 1)][(size + 7) >> 3];
    // SAFETY: an entry of these rows that is not `NO_OFFSET` is the offset of a class of `Aligned` (`CompiledSpec`): callers
    // ask for alignments above `SMALL_ALIGN`, or for sizes above `SMALL_MAX`, so not in the first row.
    (offset != NO_OFFSET).then(|| unsafe { ClassOffset::new(offset.into()) })
}

/// The offset of the smallest class that serves a size above `SMALL_MAX`, of an alignment up to `MEDIUM_ALIGN`.
#[inline(always)]
fn offset_of_medium<S: CompiledSpec>(size: usize, align: usize) -> Option<ClassOffset<S::Medium>> {
    if S::Medium::IS_EMPTY || size <= S::SMALL_MAX || size > S::LARGEST || align > S::MEDIUM_ALIGN {
        return None;
    }
    let offset = S::medium()[size.div_ceil(S::MEDIUM_GRAIN)];
    // SAFETY: from `SMALL_MAX` up to `LARGEST` the entries are offsets of classes of `Medium` (`CompiledSpec`).
    Some(unsafe { ClassOffset::new(offset.into()) })
}

/// The offset of the class that serves a layout, where a table tells it; else `None`.
#[inline(always)]
pub(crate) fn offset_in_tables<S: CompiledSpec>(size: usize, align: usize) -> Option<AnyOffset<S>> {
    if size <= S::SMALL_MAX && align <= S::SMALL_ALIGN {
        Some(offset_of_small::<S>(size).widen())
    } else if let Some(offset) = offset_of_aligned::<S>(size, align) {
        Some(offset.widen())
    } else {
        offset_of_medium::<S>(size, align).map(ClassOffset::widen)
    }
}

/// The offset of the class at `class_index`, if there is such a class.
pub(crate) fn offset_of_class<S: CompiledSpec>(class_index: usize) -> Option<AnyOffset<S>> {
    // SAFETY: `offsets` has the offset of each class (`CompiledSpec`).
    S::offsets().get(class_index).map(|&offset| unsafe { ClassOffset::new(offset.into()) })
}

/// No class has a greater alignment (`MAX_ALIGN` of hakmem-spec).
const CLASS_ALIGN: usize = 4096;

/// The offset of the smallest class that serves a layout, by a search: for unusual alignments, and for sizes that no
/// class serves.
#[cold]
#[inline(never)]
fn find_class_slow<S: CompiledSpec>(size: usize, align: usize) -> Option<AnyOffset<S>> {
    if size > S::LARGEST || align > CLASS_ALIGN {
        return None;
    }
    let serves = |class: &Class| class.usable as usize >= size && class.align as usize >= align;
    let mut by_size = S::by_size().iter().map(|&class_index| usize::from(class_index));
    offset_of_class::<S>(by_size.find(|&class_index| S::CLASSES.get(class_index).is_some_and(serves))?)
}

/// The offset of the smallest class that serves a layout; `None` for a large block.
#[inline(always)]
pub(crate) fn offset_of<S: CompiledSpec>(size: usize, align: usize) -> Option<AnyOffset<S>> {
    match offset_in_tables::<S>(size, align) {
        None => find_class_slow::<S>(size, align),
        offset => offset,
    }
}

/// `GlobalAlloc::alloc`. A small size of ordinary alignment goes straight to its group, where the offset is a
/// constant if the layout is; an alignment that is not known costs one comparison. Null: no memory.
#[inline(always)]
pub fn alloc<S: CompiledSpec>(size: usize, align: usize) -> *mut u8 {
    if size <= S::SMALL_MAX && align <= S::SMALL_ALIGN {
        into_raw(S::Small::alloc(offset_of_small::<S>(size)))
    } else {
        alloc_uncommon::<S>(size, align)
    }
}

/// `GlobalAlloc::dealloc`. The class comes from the layout.
///
/// # Safety
/// `block` was allocated with a layout of the same class, and is not used any more.
#[inline(always)]
pub unsafe fn dealloc<S: CompiledSpec>(block: *mut u8, size: usize, align: usize) {
    // SAFETY: the caller gives the block up, and the class that it goes to is that of the layout.
    let block = unsafe { FreeBlock::from_raw(block) };
    if size <= S::SMALL_MAX && align <= S::SMALL_ALIGN {
        S::Small::dealloc_lazy(block, move || offset_of_small::<S>(size));
    } else {
        dealloc_uncommon::<S>(block, size, align);
    }
}

/// Allocates what is not small, or has an alignment that not every class has. Cold, so that the two comparisons before
/// it become two branches never taken and not one computed condition.
#[cold]
#[inline(never)]
fn alloc_uncommon<S: CompiledSpec>(size: usize, align: usize) -> *mut u8 {
    if size > S::LARGEST {
        return alloc_large::<S>(size, align);
    }
    if !S::Aligned::IS_EMPTY
        && let Some(offset) = offset_of_aligned::<S>(size, align)
    {
        return into_raw(S::Aligned::alloc(offset));
    }
    if let Some(offset) = offset_of_medium::<S>(size, align) {
        return into_raw(S::Medium::alloc(offset));
    }
    alloc_slow::<S>(size, align)
}

/// Allocates what no table knows: unusual alignments, large blocks.
#[cold]
#[inline(never)]
fn alloc_slow<S: CompiledSpec>(size: usize, align: usize) -> *mut u8 {
    match find_class_slow::<S>(size, align) {
        Some(offset) => into_raw(S::Groups::alloc(offset)),
        None => alloc_large::<S>(size, align),
    }
}

/// Allocates a large block.
fn alloc_large<S: CompiledSpec>(size: usize, align: usize) -> *mut u8 {
    with_heap::<S>(|heap| S::allocator().alloc_large(heap, size, align))
}

/// Calls `work` with the thread's heap. A thread without one gets one, and with it a cache of large blocks; without memory
/// for a heap, it is `None`.
fn with_heap<S: CompiledSpec>(work: impl FnOnce(Option<&Heap>) -> *mut u8) -> *mut u8 {
    // Called once, in one of two places.
    let mut work = Some(work);
    let mut call = |heap: Option<&Heap>| or_null(work.take().map(|work| work(heap)));
    S::Cache::with_started(false, |cache| call(cache.heap().get())).unwrap_or_else(|| call(None))
}

/// Frees what is not small, or has an alignment that not every class has.
#[cold]
#[inline(never)]
fn dealloc_uncommon<S: CompiledSpec>(block: FreeBlock, size: usize, align: usize) {
    if size > S::LARGEST {
        return dealloc_large::<S>(block);
    }
    if !S::Aligned::IS_EMPTY
        && let Some(offset) = offset_of_aligned::<S>(size, align)
    {
        return S::Aligned::dealloc(block, offset);
    }
    if let Some(offset) = offset_of_medium::<S>(size, align) {
        return S::Medium::dealloc(block, offset);
    }
    dealloc_slow::<S>(block, size, align);
}

/// Frees what no table knows. Where no class serves the layout, the block is a large one.
#[cold]
#[inline(never)]
fn dealloc_slow<S: CompiledSpec>(block: FreeBlock, size: usize, align: usize) {
    match find_class_slow::<S>(size, align) {
        Some(offset) => S::Groups::dealloc(block, offset),
        None => dealloc_large::<S>(block),
    }
}

/// Frees a large block. What is none stops the program.
pub(crate) fn dealloc_large<S: CompiledSpec>(block: FreeBlock) {
    S::Cache::with(|cache| S::allocator().dealloc_large(cache.heap().get(), block));
    // A large block that is cached waits for its purge from now on.
    S::wake_purger();
}

/// A request, and the class that serves it.
///
/// # Invariants
/// The blocks of the class at `offset` have at least `size` bytes.
struct Fit<S: CompiledSpec> {
    offset: AnyOffset<S>,
    size: usize,
}

impl<S: CompiledSpec> Fit<S> {
    /// The class that a table has for a layout.
    #[inline(always)]
    fn in_tables(size: usize, align: usize) -> Option<Fit<S>> {
        offset_in_tables::<S>(size, align).map(|offset| Fit { offset, size })
    }

    /// The class that a search finds for a layout.
    fn by_search(size: usize, align: usize) -> Option<Fit<S>> {
        find_class_slow::<S>(size, align).map(|offset| Fit { offset, size })
    }

    /// A block that the first layer has.
    #[inline(always)]
    fn pop(&self) -> Option<OwnedBlock> {
        S::Groups::pop(self.offset).map(|block| self.owned(block))
    }

    /// A block. `None`: no memory.
    #[inline(always)]
    fn alloc(&self) -> Option<OwnedBlock> {
        S::Groups::alloc(self.offset).map(|block| self.owned(block))
    }

    /// With the size: by the invariant, the block of the class has as many bytes.
    #[inline(always)]
    fn owned(&self, block: FreeBlock) -> OwnedBlock {
        OwnedBlock { block, size: self.size }
    }
}

/// A block that the value owns, and so many of its bytes.
///
/// # Invariants
/// The block has at least `size` bytes.
#[must_use = "a block that is dropped is leaked"]
pub(crate) struct OwnedBlock {
    block: FreeBlock,
    size: usize,
}

impl OwnedBlock {
    /// Says how many bytes the block has.
    ///
    /// # Safety
    /// It has at least `size` bytes.
    #[inline(always)]
    pub(crate) unsafe fn new(block: FreeBlock, size: usize) -> OwnedBlock {
        OwnedBlock { block, size }
    }

    /// Its address; the caller owns the block from now on.
    #[inline(always)]
    pub(crate) fn into_raw(self) -> *mut u8 {
        self.block.into_raw()
    }

    /// Clears it.
    #[inline(always)]
    fn cleared(self) -> *mut u8 {
        // SAFETY: this value owns the block, which has `size` bytes.
        unsafe { ptr::write_bytes(self.block.as_ptr(), 0, self.size) };
        self.into_raw()
    }

    /// Copies what both have room for to `target` and frees this block by `free`, which takes blocks of its class. Without
    /// a target nothing happens: null, and the block is the program's as it was before.
    #[inline(always)]
    pub(crate) fn move_to(self, target: Option<OwnedBlock>, free: impl FnOnce(FreeBlock)) -> *mut u8 {
        let Some(target) = target else {
            let _kept = self.into_raw();
            return ptr::null_mut();
        };
        // SAFETY: two blocks, as each value owns one, and each has as many bytes.
        unsafe { ptr::copy_nonoverlapping(self.block.as_ptr(), target.block.as_ptr(), self.size.min(target.size)) };
        free(self.block);
        target.into_raw()
    }
}

/// A large block. `None`: no memory.
fn large_block<S: CompiledSpec>(size: usize, align: usize) -> Option<OwnedBlock> {
    // SAFETY: null, or allocated just now, for `size` bytes.
    unsafe { Some(OwnedBlock::new(FreeBlock::from_nullable(alloc_large::<S>(size, align))?, size)) }
}

/// A block of any size and alignment. `None`: no memory.
pub(crate) fn alloc_owned<S: CompiledSpec>(size: usize, align: usize) -> Option<OwnedBlock> {
    match fit_of::<S>(size, align) {
        Some(fit) => fit.alloc(),
        None => large_block::<S>(size, align),
    }
}

/// What [`offset_of`] finds, with the size.
#[inline(always)]
fn fit_of<S: CompiledSpec>(size: usize, align: usize) -> Option<Fit<S>> {
    offset_of::<S>(size, align).map(|offset| Fit { offset, size })
}

/// The pointer that an allocation returns.
#[inline(always)]
fn or_null(block: Option<*mut u8>) -> *mut u8 {
    block.unwrap_or(ptr::null_mut())
}

/// `GlobalAlloc::alloc_zeroed`. Fresh memory is not cleared.
#[inline]
pub fn alloc_zeroed<S: CompiledSpec>(size: usize, align: usize) -> *mut u8 {
    match Fit::<S>::in_tables(size, align) {
        Some(fit) => zeroed_of_class(fit),
        None => alloc_zeroed_slow::<S>(size, align),
    }
}

/// Of a class. A block that is cached is cleared: taking fresh memory instead would make the program larger, not faster.
#[inline(always)]
fn zeroed_of_class<S: CompiledSpec>(fit: Fit<S>) -> *mut u8 {
    match fit.pop() {
        Some(block) => block.cleared(),
        None => zeroed_miss(fit),
    }
}

#[cold]
#[inline(never)]
fn zeroed_miss<S: CompiledSpec>(fit: Fit<S>) -> *mut u8 {
    if fit.size >= ZERO_WORTHWHILE {
        let zero = carve_zeroed::<S>(fit.offset);
        if zero.is_some() {
            return into_raw(zero);
        }
    }
    or_null(fit.alloc().map(OwnedBlock::cleared))
}

/// A block of the class at `offset` that is zero already, if there is memory.
#[cold]
fn carve_zeroed<S: CompiledSpec>(offset: AnyOffset<S>) -> Option<FreeBlock> {
    let class_index = S::Groups::class_index(offset) as u32;
    let carve = |cache: &S::Cache| {
        let heap = cache.heap().get()?;
        let _inside = heap.enter();
        heap.carve_zeroed(class_index)
    };
    S::Groups::hand_out(S::Cache::with_started(false, carve).flatten(), offset)
}

#[cold]
#[inline(never)]
fn alloc_zeroed_slow<S: CompiledSpec>(size: usize, align: usize) -> *mut u8 {
    match Fit::<S>::by_search(size, align) {
        Some(fit) => zeroed_of_class(fit),
        None => with_heap::<S>(|heap| S::allocator().alloc_zeroed_large(heap, size, align)),
    }
}

/// `GlobalAlloc::realloc`: in place within a class, by the extents between large sizes, else by a copy of what is kept.
///
/// # Safety
/// As `GlobalAlloc::realloc`.
#[inline]
pub unsafe fn realloc<S: CompiledSpec>(block: *mut u8, size: usize, align: usize, new_size: usize) -> *mut u8 {
    let (old, new) = (Fit::<S>::in_tables(size, align), Fit::<S>::in_tables(new_size, align));
    // SAFETY: the caller's block, of `size` bytes, which the caller gives up unless the result is null; the class that it
    // goes to is that of its layout.
    let block = unsafe { OwnedBlock::new(FreeBlock::from_raw(block), size) };
    match (old, new) {
        (Some(old), Some(new)) if old.offset == new.offset => block.into_raw(),
        (Some(old), Some(new)) => move_block::<S>(block, old.offset, new),
        _ => realloc_slow::<S>(block, align, new_size),
    }
}

/// From the class at `old` to another one.
#[inline(never)]
fn move_block<S: CompiledSpec>(block: OwnedBlock, old: AnyOffset<S>, new: Fit<S>) -> *mut u8 {
    block.move_to(new.alloc(), |block| S::Groups::dealloc(block, old))
}

/// Where an alignment is unusual, or a block large.
#[cold]
#[inline(never)]
fn realloc_slow<S: CompiledSpec>(block: OwnedBlock, align: usize, new_size: usize) -> *mut u8 {
    match (offset_of::<S>(block.size, align), fit_of::<S>(new_size, align)) {
        (Some(old), Some(new)) if old == new.offset => block.into_raw(),
        (Some(old), Some(new)) => move_block::<S>(block, old, new),
        // Where no class serves the old layout, the block is a large one.
        (None, None) => realloc_large::<S>(block.block, new_size, align),
        (Some(old), None) => block.move_to(large_block::<S>(new_size, align), |block| S::Groups::dealloc(block, old)),
        (None, Some(new)) => block.move_to(new.alloc(), dealloc_large::<S>),
    }
}

/// Resizes a large block, which has this alignment. Null: no memory, and the block is the program's as it was before. What
/// is no large block stops the program.
pub(crate) fn realloc_large<S: CompiledSpec>(block: FreeBlock, new_size: usize, align: usize) -> *mut u8 {
    let new = with_heap::<S>(|heap| S::allocator().realloc_large(heap, block, new_size, align));
    // What it has freed waits for its purge.
    S::wake_purger();
    new
}

/// Fills the calling thread's cache for a layout, so that even the first request is a hit. `false`: no memory. Does
/// nothing useful for a layout that no class serves.
pub fn prewarm<S: CompiledSpec>(size: usize, align: usize) -> bool {
    // `GlobalAlloc` is never asked for zero bytes, and no class may serve them.
    let size = size.max(1);
    let fit = fit_of::<S>(size, align);
    let block = match &fit {
        Some(fit) => fit.alloc(),
        None => large_block::<S>(size, align),
    };
    let Some(OwnedBlock { block, .. }) = block else { return false };
    match fit {
        Some(fit) => S::Groups::dealloc(block, fit.offset),
        None => dealloc_large::<S>(block),
    }
    true
}

/// Gives all free memory of this thread and of the pool back to the system.
pub fn purge<S: CompiledSpec>() {
    let purge = |cache: &S::Cache| {
        let _inside = cache.heap().get().map(Heap::enter);
        S::Groups::drain(cache);
        S::Groups::flush_queues(cache);
        S::allocator().purge(cache.heap().get());
    };
    if S::Cache::has_started() { S::Cache::with(purge) } else { S::allocator().purge(None) }
}

/// [`purge`], after the heaps of the other threads, and of this one, were taken over. Returns how many were not.
pub fn purge_all<S: CompiledSpec>() -> usize {
    let found = S::allocator().backing().keep_idle_heaps(clock::now_ms(), 0, keeper_steps::<S>());
    purge::<S>();
    found.unreached as usize
}

/// Gives what this thread keeps to the other threads, and to the purger: its layers, slabs and large blocks.
pub fn idle<S: CompiledSpec>() {
    if S::Cache::has_started() {
        S::Cache::with(hand_over::<S>);
        S::wake_purger();
    }
}

/// The heap's part of [`idle`], and of the end of a thread.
fn hand_over<S: CompiledSpec>(cache: &S::Cache) {
    if let Some(heap) = cache.heap().get() {
        let _inside = heap.enter();
        S::Groups::drain(cache);
        heap.rest();
    }
}

/// Flushes what the calling thread's cache holds, so that its next request of any size takes a slow path.
pub fn empty<S: CompiledSpec>(cache: &S::Cache) {
    let _inside = cache.heap().get().map(Heap::enter);
    S::Groups::drain(cache);
}

/// Something that heaps, which do not know the type of their threads' caches, have done with one.
pub trait CacheStep<S: CompiledSpec> {
    /// Does it.
    fn run(cache: &S::Cache);
}

/// Empties the cache at the end of its thread, whose heap is gone then.
#[derive(Debug)]
pub struct AtExit;

impl<S: CompiledSpec> CacheStep<S> for AtExit {
    fn run(cache: &S::Cache) {
        // If that starts the purger's thread, the C library allocates.
        S::wake_purger();
        hand_over::<S>(cache);
        // What this thread had waits from now on.
        S::wake_purger();
        cache.forget_heap();
    }
}

/// [`Groups::shut`].
struct Shut;

impl<S: CompiledSpec> CacheStep<S> for Shut {
    fn run(cache: &S::Cache) {
        S::Groups::shut(cache);
    }
}

/// [`Groups::take_over`].
struct TakeOver;

impl<S: CompiledSpec> CacheStep<S> for TakeOver {
    fn run(cache: &S::Cache) {
        S::Groups::take_over(cache);
    }
}

/// A step with the cache at an address.
///
/// # Safety
/// At `cache` is a thread cache of `S`, which nothing changes meanwhile but its own thread's hits.
pub unsafe fn on_cache<S: CompiledSpec, Step: CacheStep<S>>(cache: *const ()) {
    // SAFETY: the caller's contract. What a hit changes is in cells and atomics.
    Step::run(unsafe { &*cache.cast::<S::Cache>() });
}

/// What a keeper does with the thread caches of a spec.
pub const fn keeper_steps<S: CompiledSpec>() -> KeeperSteps {
    KeeperSteps { shut: on_cache::<S, Shut>, take_over: on_cache::<S, TakeOver> }
}

/// The size of the block that serves a layout; 0 for a large block.
#[cfg(hakmem_record)]
pub(crate) fn block_size<S: CompiledSpec>(size: usize, align: usize) -> usize {
    let class = offset_of::<S>(size, align).and_then(|offset| S::CLASSES.get(S::Groups::class_index(offset)));
    class.map_or(0, |class| class.size as usize)
}
