//! The functions that allocate and free, as POSIX, C23 and glibc's manual describe them.
//!
//! Where these leave a choice, glibc's is taken: `malloc(0)` returns a block, `realloc(block, 0)` frees, `memalign` rounds
//! an alignment up to a power of two. `errno` is `ENOMEM` after a failure and untouched otherwise.

use super::ALIGN;
use super::by_address::CFront;
use super::lookup::{self, Found};
use crate::global_alloc;
use crate::sys::mmap;
use core::ptr;

/// The caller asked for what cannot be.
#[cold]
fn refuse(error: i32) -> *mut u8 {
    // SAFETY: errno is this thread's own place.
    unsafe { *libc::__errno_location() = error };
    ptr::null_mut()
}

/// `block`, or null and `ENOMEM`.
#[inline]
fn or_no_memory(block: *mut u8) -> *mut u8 {
    if block.is_null() { refuse(libc::ENOMEM) } else { block }
}

/// No object is larger.
const MOST: usize = isize::MAX.unsigned_abs();

/// A block of any size and alignment; null without `errno` where there is no memory.
fn allocate<F: CFront>(size: usize, align: usize) -> *mut u8 {
    // A large block of no bytes would be no mapping.
    if size > MOST { ptr::null_mut() } else { F::allocate(size.max(1), align) }
}

/// `malloc`.
#[inline(always)]
pub fn malloc<F: CFront>(size: usize) -> *mut u8 {
    let block = F::allocate_hit(size);
    if block.is_null() { malloc_other::<F>(size) } else { block }
}

#[inline(never)]
extern "C" fn malloc_other<F: CFront>(size: usize) -> *mut u8 {
    or_no_memory(allocate::<F>(size, ALIGN))
}

/// `free`, and C23's `free_sized` and `free_aligned_sized`: a block that was resized in place has another size than its class
/// would be found by, so the address decides.
///
/// # Safety
/// As C's. A pointer that is no block ends the program as far as it is noticed.
#[inline(always)]
pub unsafe fn free<F: CFront>(block: *mut u8) {
    // SAFETY: the caller's contract.
    unsafe {
        if !F::release_hit(block) {
            free_other::<F>(block);
        }
    }
}

#[inline(never)]
unsafe extern "C" fn free_other<F: CFront>(block: *mut u8) {
    if block.is_null() {
        return;
    }
    let found = lookup::find(F::runtime(), block.addr());
    if let Found::OfClass(_) = found {
        F::remember(block);
    }
    // SAFETY: the caller gives the block, which is what was found.
    unsafe { release::<F>(block, found) }
}

/// Frees a block that was found.
unsafe fn release<F: CFront>(block: *mut u8, found: Found) {
    // SAFETY: the caller gives the block.
    unsafe {
        match found {
            Found::OfClass(slot) => F::release_of(block, slot),
            Found::Large(_) => F::runtime().large().free(F::runtime(), block),
        }
    }
}

/// `calloc`.
#[inline]
pub fn calloc<F: CFront>(count: usize, size: usize) -> *mut u8 {
    match count.checked_mul(size) {
        Some(bytes) if bytes <= MOST => or_no_memory(global_alloc::allocate_zeroed::<F>(bytes.max(1), ALIGN)),
        _ => refuse(libc::ENOMEM),
    }
}

/// `realloc`.
///
/// # Safety
/// As C's.
#[inline]
pub unsafe fn realloc<F: CFront>(block: *mut u8, size: usize) -> *mut u8 {
    if block.is_null() {
        return malloc::<F>(size);
    }
    if size == 0 {
        // SAFETY: the caller's contract.
        unsafe { free::<F>(block) };
        return ptr::null_mut();
    }
    // SAFETY: as above.
    unsafe { or_no_memory(resize::<F>(block, size)) }
}

/// A block of `size` bytes, not 0, with what was in `block`; null, and `block` as it was, where there is no memory.
unsafe fn resize<F: CFront>(block: *mut u8, size: usize) -> *mut u8 {
    let found = lookup::find(F::runtime(), block.addr());
    let usable = found.usable(F::runtime());
    let of_class = F::class_of(size, ALIGN).is_some();
    match found {
        _ if size > MOST => return ptr::null_mut(),
        // SAFETY: the caller's block, and no class serves the new size either.
        Found::Large(_) if !of_class => unsafe {
            return F::runtime().large().resize(F::runtime(), block, size, ALIGN);
        },
        // It fits, and moving it to a smaller class would save less than half of it.
        Found::OfClass(_) if size <= usable && size > usable / 2 => return block,
        _ => {}
    }
    let new = F::allocate(size, ALIGN);
    if new.is_null() && size <= usable {
        return block; // What shrinks needs no memory.
    }
    if !new.is_null() && new != block {
        // SAFETY: two blocks of at least as many bytes; the caller gives the old one up.
        unsafe {
            ptr::copy_nonoverlapping(block, new, usable.min(size));
            release::<F>(block, found);
        }
    }
    new
}

/// `reallocarray`.
///
/// # Safety
/// As C's.
pub unsafe fn reallocarray<F: CFront>(block: *mut u8, count: usize, size: usize) -> *mut u8 {
    match count.checked_mul(size) {
        // SAFETY: the caller's contract.
        Some(bytes) => unsafe { realloc::<F>(block, bytes) },
        None => refuse(libc::ENOMEM),
    }
}

/// `aligned_alloc`: an alignment that is no power of two is refused, as C17 and glibc since 2.38 do.
pub fn aligned_alloc<F: CFront>(align: usize, size: usize) -> *mut u8 {
    if align.is_power_of_two() { or_no_memory(allocate::<F>(size, align.max(ALIGN))) } else { refuse(libc::EINVAL) }
}

/// `memalign`: an alignment that is no power of two is rounded up, as glibc does.
pub fn memalign<F: CFront>(align: usize, size: usize) -> *mut u8 {
    match align.checked_next_power_of_two() {
        Some(align) => aligned_alloc::<F>(align, size),
        None => refuse(libc::EINVAL),
    }
}

/// `posix_memalign`: the result tells. `errno` is `ENOMEM`, too, if that is the result, as with glibc.
///
/// # Safety
/// `place` can be written.
pub unsafe fn posix_memalign<F: CFront>(place: *mut *mut u8, align: usize, size: usize) -> i32 {
    if !align.is_power_of_two() || !align.is_multiple_of(size_of::<usize>()) {
        return libc::EINVAL;
    }
    let block = or_no_memory(allocate::<F>(size, align.max(ALIGN)));
    if block.is_null() {
        return libc::ENOMEM;
    }
    // SAFETY: the caller's contract.
    unsafe { *place = block };
    0
}

/// `valloc`.
pub fn valloc<F: CFront>(size: usize) -> *mut u8 {
    aligned_alloc::<F>(mmap::page_size(), size)
}

/// `pvalloc`: whole pages.
pub fn pvalloc<F: CFront>(size: usize) -> *mut u8 {
    match mmap::round_up(size, mmap::page_size()) {
        Some(size) => valloc::<F>(size),
        None => refuse(libc::ENOMEM),
    }
}

/// `malloc_usable_size`.
///
/// # Safety
/// As C's.
pub unsafe fn malloc_usable_size<F: CFront>(block: *mut u8) -> usize {
    if block.is_null() { 0 } else { lookup::find(F::runtime(), block.addr()).usable(F::runtime()) }
}
