//! The methods of `GlobalAlloc`, recorded.
//!
//! A block is asked for with room in front for a header; the program gets what is behind it. So a recorded program
//! takes 16 bytes more for each block, and its own layout goes to the recorder.

use super::{event, ticks};
use crate::global_alloc::{self, Front};
use core::ptr;

/// What the recorder must know of a block when it is freed.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(super) struct Header {
    /// When it was allocated.
    pub(super) ticks: u64,
    /// The number of the thread that did.
    pub(super) thread: u64,
}

const HEADER: usize = size_of::<Header>();

/// A generated allocator under the recorder.
///
/// # Safety
/// As [`Front`].
pub unsafe trait Recorded: Front {
    /// The largest request that a class serves.
    const LARGEST: usize;

    /// The bytes of the block that an unrecorded build serves this layout with; 0 for a large one.
    fn block_size(size: usize, align: usize) -> usize;
}

/// Bytes in front of a block: a multiple of its alignment.
fn lead(align: usize) -> usize {
    align.max(HEADER)
}

/// The header of `block`.
fn header(block: *mut u8) -> *mut Header {
    block.wrapping_sub(HEADER).cast()
}

/// Enters a block that begins at `base`, or passes a refusal on.
///
/// # Safety
/// `base` is null, or a new block of `lead(align) + size` bytes.
unsafe fn admit<F: Recorded>(base: *mut u8, size: usize, align: usize) -> *mut u8 {
    if base.is_null() {
        return base;
    }
    let block = base.wrapping_add(lead(align));
    let thread = event::allocated::<F>(size, align);
    // SAFETY: the header is in front of the block, inside what was allocated, at a multiple of 16.
    unsafe { header(block).write(Header { ticks: ticks::now(), thread }) };
    block
}

/// `GlobalAlloc::alloc`.
pub fn allocate<F: Recorded>(size: usize, align: usize) -> *mut u8 {
    let base = F::allocate(size.wrapping_add(lead(align)), lead(align));
    // SAFETY: allocated just now.
    unsafe { admit::<F>(base, size, align) }
}

/// `GlobalAlloc::alloc_zeroed`.
pub fn allocate_zeroed<F: Recorded>(size: usize, align: usize) -> *mut u8 {
    let base = global_alloc::allocate_zeroed::<F>(size.wrapping_add(lead(align)), lead(align));
    // SAFETY: allocated just now.
    unsafe { admit::<F>(base, size, align) }
}

/// `GlobalAlloc::dealloc`.
///
/// # Safety
/// As `GlobalAlloc::dealloc`.
pub unsafe fn release<F: Recorded>(block: *mut u8, size: usize, align: usize) {
    // SAFETY: every block of ours has a header.
    let header = unsafe { header(block).read() };
    event::freed::<F>(size, align, header);
    // SAFETY: `admit` moved the block by as much.
    unsafe { F::release(block.wrapping_sub(lead(align)), size.wrapping_add(lead(align)), lead(align)) };
}

/// `GlobalAlloc::realloc`. The header moves with the contents: a block lives from its allocation to its free.
///
/// # Safety
/// As `GlobalAlloc::realloc`.
pub unsafe fn reallocate<F: Recorded>(block: *mut u8, size: usize, align: usize, new_size: usize) -> *mut u8 {
    let lead = lead(align);
    let (old, new) = (size.wrapping_add(lead), new_size.wrapping_add(lead));
    // SAFETY: `admit` moved the block by as much.
    let base = unsafe { global_alloc::reallocate::<F>(block.wrapping_sub(lead), old, lead, new) };
    if base.is_null() {
        return ptr::null_mut();
    }
    let block = base.wrapping_add(lead);
    // SAFETY: the header moved with the contents.
    let header = unsafe { header(block).read() };
    event::resized::<F>(size, new_size, align, header);
    block
}
