//! The functions that allocate and free, as POSIX, C23 and glibc's manual describe them.
//!
//! Where these leave a choice, glibc's is taken: `malloc(0)` returns a block, `realloc(block, 0)` frees, `memalign`
//! rounds an alignment up to a power of two. `errno` is `ENOMEM` after a failure and untouched otherwise.

use super::ALIGN;
use super::by_address::{ByAddress, alloc_hit, dealloc_hit, dealloc_of_class};
use super::lookup::{self, Found};
use crate::global_alloc::{self, OwnedBlock};
use crate::slab::FreeBlock;
use crate::sys::{errno, mmap};
use core::ptr;

/// Sets `errno`, and returns null.
#[cold]
fn refuse(error: i32) -> *mut u8 {
    errno::set(error);
    ptr::null_mut()
}

/// `block`, or null and `ENOMEM`.
#[inline]
fn or_no_memory(block: *mut u8) -> *mut u8 {
    if block.is_null() { refuse(libc::ENOMEM) } else { block }
}

/// The size limit of malloc: `PTRDIFF_MAX`.
const MAX_SIZE: usize = isize::MAX.unsigned_abs();

/// A block of any size and alignment; null without `errno` where there is no memory.
fn alloc<S: ByAddress>(size: usize, align: usize) -> *mut u8 {
    // At least 1 byte: a large block of 0 bytes would have no mapping.
    if size > MAX_SIZE { ptr::null_mut() } else { global_alloc::alloc::<S>(size.max(1), align) }
}

/// `malloc`.
#[inline(always)]
pub fn malloc<S: ByAddress>(size: usize) -> *mut u8 {
    match alloc_hit::<S>(size) {
        Some(block) => block.into_raw(),
        None => malloc_other::<S>(size),
    }
}

#[inline(never)]
extern "C" fn malloc_other<S: ByAddress>(size: usize) -> *mut u8 {
    or_no_memory(alloc::<S>(size, ALIGN))
}

/// `free`, and C23's `free_sized` and `free_aligned_sized`. The class is found by the address: a block that was resized
/// in place may be of another class than its size suggests.
///
/// # Safety
/// As C's. An invalid pointer ends the program where it is detected (docs/HARDENING.md).
#[inline(always)]
pub unsafe fn free<S: ByAddress>(block: *mut u8) {
    // SAFETY: the caller's contract.
    unsafe {
        if !dealloc_hit::<S>(block) {
            free_other::<S>(block);
        }
    }
}

#[inline(never)]
unsafe extern "C" fn free_other<S: ByAddress>(block: *mut u8) {
    if block.is_null() {
        return;
    }
    // SAFETY: the caller gives the block up. It goes to the class that its address leads to.
    dealloc_found::<S>(unsafe { FreeBlock::from_raw(block) });
}

/// Frees a block of any class, or a large one.
fn dealloc_found<S: ByAddress>(block: FreeBlock) {
    let found = lookup::find(S::allocator(), block.addr());
    if let Found::OfClass(_) = found {
        S::remember(block.as_ptr());
    }
    dealloc::<S>(block, found);
}

/// Frees a block that was found.
fn dealloc<S: ByAddress>(block: FreeBlock, found: Found) {
    match found {
        Found::OfClass(class_index) => dealloc_of_class::<S>(block, class_index),
        Found::Large(_) => global_alloc::dealloc_large::<S>(block),
    }
}

/// `calloc`.
#[inline]
pub fn calloc<S: ByAddress>(count: usize, size: usize) -> *mut u8 {
    match count.checked_mul(size) {
        Some(bytes) if bytes <= MAX_SIZE => or_no_memory(global_alloc::alloc_zeroed::<S>(bytes.max(1), ALIGN)),
        _ => refuse(libc::ENOMEM),
    }
}

/// `realloc`; and `reallocarray`, with [`array_size`].
///
/// # Safety
/// As C's.
#[inline]
pub unsafe fn realloc<S: ByAddress>(block: *mut u8, size: usize) -> *mut u8 {
    if block.is_null() {
        return malloc::<S>(size);
    }
    // SAFETY: the caller gives the block up, and gets it back where there is no memory. What it is given to below is what an
    // address leads to.
    let block = unsafe { FreeBlock::from_raw(block) };
    if size > 0 {
        return or_no_memory(resize::<S>(block, size));
    }
    dealloc_found::<S>(block);
    ptr::null_mut()
}

/// The size of an array: where the product overflows, one that [`realloc`] refuses.
#[inline]
pub fn array_size(count: usize, size: usize) -> usize {
    count.saturating_mul(size)
}

/// A block of `size` bytes, not 0, with the contents of `block`; null, and the block is the program's as it was before,
/// where there is no memory.
fn resize<S: ByAddress>(block: FreeBlock, size: usize) -> *mut u8 {
    let found = lookup::find(S::allocator(), block.addr());
    let usable = found.usable(S::allocator());
    if size > MAX_SIZE {
        let _kept = block.into_raw();
        return ptr::null_mut();
    }
    match found {
        Found::Large(_) if global_alloc::offset_of::<S>(size, ALIGN).is_none() => {
            return global_alloc::realloc_large::<S>(block, size, ALIGN);
        }
        // It fits, and moving it to a smaller class would save less than half of it.
        Found::OfClass(_) if size <= usable && size > usable / 2 => return block.into_raw(),
        _ => {}
    }
    let new = global_alloc::alloc_owned::<S>(size, ALIGN);
    if new.is_none() && size <= usable {
        return block.into_raw(); // To shrink needs no memory.
    }
    // SAFETY: a block has as many bytes as can be used.
    let block = unsafe { OwnedBlock::new(block, usable) };
    block.move_to(new, |block| dealloc::<S>(block, found))
}

/// `aligned_alloc`: an alignment that is no power of two is refused, as C17 and glibc since 2.38 do.
pub fn aligned_alloc<S: ByAddress>(align: usize, size: usize) -> *mut u8 {
    if align.is_power_of_two() { or_no_memory(alloc::<S>(size, align.max(ALIGN))) } else { refuse(libc::EINVAL) }
}

/// `memalign`: an alignment that is no power of two is rounded up, as glibc does.
pub fn memalign<S: ByAddress>(align: usize, size: usize) -> *mut u8 {
    match align.checked_next_power_of_two() {
        Some(align) => aligned_alloc::<S>(align, size),
        None => refuse(libc::EINVAL),
    }
}

/// `posix_memalign`: returns the error. `ENOMEM` is also in `errno`, as with glibc.
///
/// # Safety
/// `place` is valid for writes.
pub unsafe fn posix_memalign<S: ByAddress>(place: *mut *mut u8, align: usize, size: usize) -> i32 {
    if !align.is_power_of_two() || !align.is_multiple_of(size_of::<usize>()) {
        return libc::EINVAL;
    }
    let block = or_no_memory(alloc::<S>(size, align.max(ALIGN)));
    if block.is_null() {
        return libc::ENOMEM;
    }
    // SAFETY: the caller's contract.
    unsafe { *place = block };
    0
}

/// `valloc`.
pub fn valloc<S: ByAddress>(size: usize) -> *mut u8 {
    aligned_alloc::<S>(mmap::page_size(), size)
}

/// `pvalloc`: whole pages.
pub fn pvalloc<S: ByAddress>(size: usize) -> *mut u8 {
    match mmap::round_up(size, mmap::page_size()) {
        Some(size) => valloc::<S>(size),
        None => refuse(libc::ENOMEM),
    }
}

/// `malloc_usable_size`.
///
/// # Safety
/// As C's.
pub unsafe fn malloc_usable_size<S: ByAddress>(block: *mut u8) -> usize {
    if block.is_null() { 0 } else { lookup::find(S::allocator(), block.addr()).usable(S::allocator()) }
}
