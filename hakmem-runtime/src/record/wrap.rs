//! The methods of `GlobalAlloc`, recorded.
//!
//! Each block is allocated with a prefix, the end of which is its `BlockHeader`; the program gets the address after
//! it. So a recorded program needs 16 bytes more for each block. The recorder counts the layout that the program asked
//! for.

use super::block_header::BlockHeader;
use super::event;
use crate::global_alloc::{self, CompiledSpec};
use core::ptr;

const HEADER: usize = size_of::<BlockHeader>();
const _: () = assert!(HEADER.is_power_of_two() && HEADER.is_multiple_of(align_of::<BlockHeader>()));

/// A layout of the program with its prefix: what the generated allocator is asked for.
#[derive(Debug, Clone, Copy)]
struct Prefixed {
    /// The bytes before the block. A multiple of the block's alignment and of `HEADER`.
    prefix: usize,
    size: usize,
    align: usize,
}

impl Prefixed {
    fn new(size: usize, align: usize) -> Prefixed {
        // The sum does not overflow: a `Layout`'s size and alignment together are at most `isize::MAX`.
        let prefix = align.max(HEADER);
        Prefixed { prefix, size: size.wrapping_add(prefix), align: prefix }
    }

    /// The program's block in the allocation at `base`.
    fn block(self, base: *mut u8) -> *mut u8 {
        base.wrapping_add(self.prefix)
    }

    /// The allocation that the program's block is in.
    fn base(self, block: *mut u8) -> *mut u8 {
        block.wrapping_sub(self.prefix)
    }
}

/// Where the header of `block` is.
fn header_of(block: *mut u8) -> *mut BlockHeader {
    block.wrapping_sub(HEADER).cast()
}

/// Allocates with a prefix, records the allocation and writes the header. Null: no memory.
fn allocate<S: CompiledSpec>(size: usize, align: usize, zeroed: bool) -> *mut u8 {
    let layout = Prefixed::new(size, align);
    let base = if zeroed {
        global_alloc::alloc_zeroed::<S>(layout.size, layout.align)
    } else {
        global_alloc::alloc::<S>(layout.size, layout.align)
    };
    if base.is_null() {
        return base;
    }
    let block = layout.block(base);
    let header = event::allocated::<S>(size, align);
    // SAFETY: the allocation is new, and starts with a prefix that is at least as long as a header; the header is the
    // end of that prefix. The block is at a multiple of `HEADER`, and so is its header, which is enough for its
    // alignment.
    unsafe { header_of(block).write(header) };
    block
}

/// `GlobalAlloc::alloc`.
pub fn alloc<S: CompiledSpec>(size: usize, align: usize) -> *mut u8 {
    allocate::<S>(size, align, false)
}

/// `GlobalAlloc::alloc_zeroed`.
pub fn alloc_zeroed<S: CompiledSpec>(size: usize, align: usize) -> *mut u8 {
    allocate::<S>(size, align, true)
}

/// `GlobalAlloc::dealloc`.
///
/// # Safety
/// As for `GlobalAlloc::dealloc`; the block is from a function of this module.
pub unsafe fn dealloc<S: CompiledSpec>(block: *mut u8, size: usize, align: usize) {
    // SAFETY: the block is live and from `allocate`, which wrote a header before it, or from `realloc`, which
    // moved it.
    let header = unsafe { header_of(block).read() };
    event::freed::<S>(size, align, header);
    let layout = Prefixed::new(size, align);
    // SAFETY: the caller gives up the block. `size` and `align` are those of its allocation, so `base` was allocated
    // with the same prefixed layout.
    unsafe { global_alloc::dealloc::<S>(layout.base(block), layout.size, layout.align) };
}

/// `GlobalAlloc::realloc`. The header moves with the contents, so a block's lifetime is from its allocation to its
/// free.
///
/// # Safety
/// As for `GlobalAlloc::realloc`; the block is from a function of this module.
pub unsafe fn realloc<S: CompiledSpec>(block: *mut u8, size: usize, align: usize, new_size: usize) -> *mut u8 {
    let (old, new) = (Prefixed::new(size, align), Prefixed::new(new_size, align));
    // SAFETY: `size` and `align` are those of the block's allocation, so `base` was allocated with the prefixed layout.
    // The caller gives up the block unless null is returned.
    let base = unsafe { global_alloc::realloc::<S>(old.base(block), old.size, old.align, new.size) };
    if base.is_null() {
        return ptr::null_mut();
    }
    let block = new.block(base);
    // SAFETY: the prefix depends on the alignment alone, so the header was moved to where the new block's is; it is
    // within the bytes that both sizes have.
    let header = unsafe { header_of(block).read() };
    event::resized::<S>(size, new_size, align, header);
    block
}
