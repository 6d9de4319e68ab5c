//! From generated hit paths to the methods of `GlobalAlloc`.
//!
//! Generated code implements [`Front`] on the user's type; what follows from it for any spec is written once, here.

use crate::allocator::Allocator;
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

    /// Allocates. Null: no memory.
    fn allocate(size: usize, align: usize) -> *mut u8;

    /// Frees.
    ///
    /// # Safety
    /// `block` was allocated with a layout of the same class and is not used any more.
    unsafe fn release(block: *mut u8, size: usize, align: usize);

    /// A block from the first layer of the class at `place`; null is a miss.
    fn pop(place: usize) -> *mut u8;

    /// A block that is zero already, of a class with room never touched; null where there is none such at hand.
    fn carve_zeroed(place: usize) -> *mut u8;
}

/// `GlobalAlloc::alloc_zeroed`. Fresh memory is not cleared.
#[inline]
pub fn allocate_zeroed<F: Front>(size: usize, align: usize) -> *mut u8 {
    match F::class_of(size, align) {
        None => F::runtime().large().allocate_zeroed(F::runtime(), size, align),
        Some(place) => {
            // A block at hand is cleared: taking fresh memory instead would make the program larger, not faster.
            let mut block = F::pop(place);
            if block.is_null() && size >= ZERO_WORTHWHILE {
                let zero = F::carve_zeroed(place);
                if !zero.is_null() {
                    return zero;
                }
            }
            if block.is_null() {
                block = F::allocate(size, align);
            }
            if !block.is_null() {
                // SAFETY: the block has at least `size` bytes and is ours to write.
                unsafe { ptr::write_bytes(block, 0, size) };
            }
            block
        }
    }
}

/// `GlobalAlloc::realloc`: in place within a class, by `mremap` between large sizes, else by a copy of what is kept.
///
/// # Safety
/// As `GlobalAlloc::realloc`.
#[inline]
pub unsafe fn reallocate<F: Front>(block: *mut u8, size: usize, align: usize, new_size: usize) -> *mut u8 {
    let (old, new) = (F::class_of(size, align), F::class_of(new_size, align));
    if old.is_some() && old == new {
        return block;
    }
    // SAFETY: passed on.
    unsafe { move_block::<F>(block, size, align, new_size, old.is_none() && new.is_none()) }
}

#[cold]
#[inline(never)]
unsafe fn move_block<F: Front>(block: *mut u8, size: usize, align: usize, new_size: usize, large: bool) -> *mut u8 {
    if large {
        // SAFETY: no class serves the layout, so the block is a large one.
        return unsafe { F::runtime().large().resize(F::runtime(), block, new_size, align) };
    }
    let new = F::allocate(new_size, align);
    if !new.is_null() {
        // SAFETY: two different blocks, of at least the smaller size each; the caller gives the old one up.
        unsafe {
            ptr::copy_nonoverlapping(block, new, size.min(new_size));
            F::release(block, size, align);
        }
    }
    new
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
