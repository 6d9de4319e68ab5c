//! From generated hit paths to the methods of `GlobalAlloc`.
//!
//! Generated code implements [`Front`] on the user's type; what follows from it for any spec is written once, here.

use crate::global::Allocator;
use core::ptr;

/// Blocks at least this large are worth a look for memory that is zero already when a zeroed one is asked for; below, a
/// `memset` of the block is cheaper than the way to the slab.
const ZERO_WORTHWHILE: usize = 2048;

/// What the macro generates.
///
/// # Safety
/// `class_of` is what `allocate` and `release` go by: a block allocated for one layout can be released with any layout
/// of the same class.
pub unsafe trait Front {
    /// The runtime's part of this allocator.
    fn runtime() -> &'static Allocator;

    /// The place (see the generated code) of the class that serves this layout; `None` where none does, and the block is
    /// a large one.
    fn class_of(size: usize, align: usize) -> Option<usize>;

    /// The same where a table tells it, which is for ordinary alignments; else `None`.
    fn class_at_hand(size: usize, align: usize) -> Option<usize>;

    /// Allocates. Null: no memory.
    fn allocate(size: usize, align: usize) -> *mut u8;

    /// Frees.
    ///
    /// # Safety
    /// `block` was allocated with a layout of the same class and is not used any more.
    unsafe fn release(block: *mut u8, size: usize, align: usize);

    /// Allocates from the class at `place`. Null: no memory.
    fn allocate_at(place: usize) -> *mut u8;

    /// Frees into the class at `place`.
    ///
    /// # Safety
    /// `block` was allocated from the class at `place` and is not used any more.
    unsafe fn release_at(block: *mut u8, place: usize);

    /// A block from the first layer of the class at `place`; null is a miss.
    fn pop(place: usize) -> *mut u8;

    /// A block that is zero already, of a class with room never touched; null where there is none such at hand.
    fn carve_zeroed(place: usize) -> *mut u8;
}

/// `GlobalAlloc::alloc_zeroed`. Fresh memory is not cleared.
#[inline]
pub fn allocate_zeroed<F: Front>(size: usize, align: usize) -> *mut u8 {
    match F::class_at_hand(size, align) {
        Some(place) => zeroed_at::<F>(place, size),
        None => zeroed_rare::<F>(size, align),
    }
}

/// Of the class at `place`. A block at hand is cleared: taking fresh memory instead would make the program larger, not faster.
#[inline(always)]
fn zeroed_at<F: Front>(place: usize, size: usize) -> *mut u8 {
    let block = F::pop(place);
    if block.is_null() {
        return zeroed_miss::<F>(place, size);
    }
    // SAFETY: the block has at least `size` bytes and is ours to write.
    unsafe { ptr::write_bytes(block, 0, size) };
    block
}

#[cold]
#[inline(never)]
fn zeroed_miss<F: Front>(place: usize, size: usize) -> *mut u8 {
    if size >= ZERO_WORTHWHILE {
        let zero = F::carve_zeroed(place);
        if !zero.is_null() {
            return zero;
        }
    }
    let block = F::allocate_at(place);
    if !block.is_null() {
        // SAFETY: as above.
        unsafe { ptr::write_bytes(block, 0, size) };
    }
    block
}

#[cold]
#[inline(never)]
fn zeroed_rare<F: Front>(size: usize, align: usize) -> *mut u8 {
    match F::class_of(size, align) {
        Some(place) => zeroed_at::<F>(place, size),
        None => F::runtime().large().allocate_zeroed(F::runtime(), size, align),
    }
}

/// `GlobalAlloc::realloc`: in place within a class, by `mremap` between large sizes, else by a copy of what is kept.
///
/// # Safety
/// As `GlobalAlloc::realloc`.
#[inline]
pub unsafe fn reallocate<F: Front>(block: *mut u8, size: usize, align: usize, new_size: usize) -> *mut u8 {
    match (F::class_at_hand(size, align), F::class_at_hand(new_size, align)) {
        (Some(old), Some(new)) if old == new => block,
        // SAFETY: the caller's contract; the old place is that of the block's class.
        (Some(old), Some(new)) => unsafe { move_block::<F>(block, old, new, size.min(new_size)) },
        // SAFETY: passed on.
        _ => unsafe { reallocate_rare::<F>(block, size, align, new_size) },
    }
}

/// From the class at one place to that at another, with `kept` bytes.
#[inline(never)]
unsafe fn move_block<F: Front>(block: *mut u8, old: usize, new: usize, kept: usize) -> *mut u8 {
    // SAFETY: both places' classes have at least so many bytes; the caller gives the block up.
    unsafe { carry(block, F::allocate_at(new), kept, || F::release_at(block, old)) }
}

/// Where an alignment is unusual, or a block large.
#[cold]
#[inline(never)]
unsafe fn reallocate_rare<F: Front>(block: *mut u8, size: usize, align: usize, new_size: usize) -> *mut u8 {
    let kept = size.min(new_size);
    match (F::class_of(size, align), F::class_of(new_size, align)) {
        (Some(old), Some(new)) if old == new => block,
        // SAFETY: the caller's contract; the old place is that of the block's class.
        (Some(old), Some(new)) => unsafe { move_block::<F>(block, old, new, kept) },
        // SAFETY: no class serves the layout, so the block is a large one.
        (None, None) => unsafe { F::runtime().large().resize(F::runtime(), block, new_size, align) },
        // SAFETY: both blocks have at least so many bytes; the caller gives the old one up.
        _ => unsafe { carry(block, F::allocate(new_size, align), kept, || F::release(block, size, align)) },
    }
}

/// Copies so many bytes to `target` and gives the old block up. Null, and nothing happens, where that is.
///
/// # Safety
/// `target` is null or a block of the caller's; it and `block` have as many bytes.
#[inline(always)]
unsafe fn carry(block: *mut u8, target: *mut u8, bytes: usize, give_up: impl FnOnce()) -> *mut u8 {
    if !target.is_null() {
        // SAFETY: two different blocks, by the caller's contract long enough.
        unsafe { ptr::copy_nonoverlapping(block, target, bytes) };
        give_up();
    }
    target
}

/// Fills the calling thread's front for a layout, so that the first request is a hit. `false`: no memory.
pub fn prewarm<F: Front>(size: usize, align: usize) -> bool {
    let block = F::allocate(size, align);
    if block.is_null() {
        return false;
    }
    // SAFETY: allocated just now with this layout.
    unsafe { F::release(block, size, align) };
    true
}
