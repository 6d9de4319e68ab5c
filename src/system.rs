//! `--cfg hakmem_system`: generated allocators pass every request on to the system's, so that valgrind, AddressSanitizer and
//! heaptrack see the program's blocks. docs/TOOLS.md says which tool needs it.

extern crate std;

use core::alloc::{GlobalAlloc as _, Layout};
use std::alloc::System;

/// The layout that a caller of `GlobalAlloc` has taken apart.
fn layout(size: usize, align: usize) -> Layout {
    // SAFETY: they come from a `Layout`.
    unsafe { Layout::from_size_align_unchecked(size, align) }
}

/// `GlobalAlloc::alloc` of the allocator `S`.
#[inline]
pub fn alloc<S>(size: usize, align: usize) -> *mut u8 {
    // SAFETY: the size is not 0: callers of `GlobalAlloc` promise that.
    unsafe { System.alloc(layout(size, align)) }
}

/// `GlobalAlloc::alloc_zeroed`.
#[inline]
pub fn alloc_zeroed<S>(size: usize, align: usize) -> *mut u8 {
    // SAFETY: the size is not 0: callers of `GlobalAlloc` promise that.
    unsafe { System.alloc_zeroed(layout(size, align)) }
}

/// `GlobalAlloc::dealloc`.
///
/// # Safety
/// As there.
#[inline]
pub unsafe fn dealloc<S>(block: *mut u8, size: usize, align: usize) {
    // SAFETY: the caller's contract; every block of the allocator is the system's.
    unsafe { System.dealloc(block, layout(size, align)) }
}

/// `GlobalAlloc::realloc`.
///
/// # Safety
/// As there.
#[inline]
pub unsafe fn realloc<S>(block: *mut u8, size: usize, align: usize, new_size: usize) -> *mut u8 {
    // SAFETY: the caller's contract; every block of the allocator is the system's.
    unsafe { System.realloc(block, layout(size, align), new_size) }
}

/// Exports the calls that are hakmem's own. `malloc` and its relatives stay the C library's.
#[macro_export]
macro_rules! export_malloc {
    ($allocator:ty) => {
        const _: () = {
            #[unsafe(no_mangle)]
            extern "C" fn hakmem_owns(pointer: *const u8) -> bool {
                <$allocator>::owns(pointer)
            }

            $crate::__export_statistics!($allocator);
        };
    };
}
