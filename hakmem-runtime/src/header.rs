//! `header = "region-id"`: a byte in front of each block names its class and whether it is allocated.
//!
//! The byte is the last one of the block before; a class with headers serves requests one byte shorter than its blocks,
//! and its first block begins behind the start of its slab by the largest power of two that divides the size. So every block stays where it would be without
//! headers, at a multiple of its class's alignment: what Rust is promised for a layout holds.
//!
//! ```text
//! allocated   0xA0 | class & 15          freed   the same, every bit flipped: 0x50 | !class & 15
//! ```
//!
//! A free compares the byte with what the layout's class says, and flips it. A wrong layout, a second free and a pointer
//! from elsewhere end the program with one line; two classes that are a multiple of 16 apart have the same byte, and are
//! told apart by the slab at the exact. A pointer at the start of a page might have nothing readable in front of it: it
//! may be a large block, or a page of a region that is not in use. So the page map and the slab are asked first whether
//! the byte is one of this class's.

use crate::global::Allocator;
use crate::slab::NO_CLASS;
use crate::sys::fatal::Message;

/// A pointer at a multiple of this may have nothing mapped in front of it.
const PAGE: usize = 4096;

/// The byte of an allocated block of the class at `slot`.
#[inline(always)]
pub const fn byte(slot: usize) -> u8 {
    0xA0 | slot as u8 & 0xF
}

/// Marks `block` as allocated; null stays null.
///
/// # Safety
/// `block` is null or a block, just allocated, of the class at `slot`, which has headers.
#[inline(always)]
pub unsafe fn mark(block: *mut u8, slot: usize) -> *mut u8 {
    if !block.is_null() {
        // SAFETY: the byte in front of a block of such a class is its header.
        unsafe { *block.wrapping_sub(1) = byte(slot) };
    }
    block
}

/// Checks that `block` is allocated, and of the class at `slot`, and marks it as freed. Does not return otherwise.
///
/// # Safety
/// If `block` is a block of `allocator` at all, the caller owns it.
#[inline(always)]
pub unsafe fn check(allocator: &'static Allocator, block: *mut u8, slot: usize) {
    if block.addr() & (PAGE - 1) == 0 {
        look(allocator, block, slot);
    }
    let header = block.wrapping_sub(1);
    // SAFETY: on the same page as the block, or in a slab of ours that has a class.
    unsafe {
        if *header != byte(slot) {
            misuse(allocator, block, slot)
        }
        *header = !byte(slot);
    }
}

/// Whether what is in front of a block at the start of a page is of the block's class. The header of every block is, as
/// the first one of a span begins behind some bytes of it.
#[cold]
#[inline(never)]
fn look(allocator: &'static Allocator, block: *mut u8, slot: usize) {
    if allocator.class_at(block.addr().wrapping_sub(1)) != Some(slot as u32) {
        misuse(allocator, block, slot)
    }
}

/// Whether the byte in front of `block` can be read, if `block` itself can.
fn has_header(allocator: &'static Allocator, block: *mut u8) -> bool {
    block.addr() & (PAGE - 1) != 0
        || allocator.class_at(block.addr().wrapping_sub(1)).is_some_and(|class| class != NO_CLASS)
}

/// Ends the program with the line that says why.
#[cold]
#[inline(never)]
fn misuse(allocator: &'static Allocator, block: *mut u8, slot: usize) -> ! {
    let size = |class: usize| allocator.classes().get(class).map_or(0, |class| class.size as usize);
    let mut line = Message::new();
    let Some(found) = allocator.class_at(block.addr()) else {
        line.text(if allocator.owns(block.addr()) {
            "a large block was freed with another size or alignment than it was allocated with"
        } else {
            "a pointer was freed that is not a block of this allocator"
        });
        line.pointer(block.addr());
        line.text(", expected class ").number(size(slot)).text(", found none)").fatal()
    };
    // SAFETY: the pointer is in a region of ours, and the byte in front can be read.
    let header = has_header(allocator, block).then(|| unsafe { *block.wrapping_sub(1) });
    let of_class = found != NO_CLASS && found as usize == slot;
    line.text(match header {
        _ if header == Some(!byte(slot)) && of_class => "a block was freed twice",
        _ if found == NO_CLASS => "a block was freed whose slab is free: a second free, or a pointer from elsewhere",
        _ if !of_class => "a block was freed with another size or alignment than it was allocated with",
        _ => "a block was freed that has no header: not the start of a block, or written to in front",
    });
    line.pointer(block.addr()).text(", expected class ").number(size(slot));
    if found == NO_CLASS {
        line.text(", found none");
    } else {
        line.text(", found class ").number(size(found as usize));
    }
    if let Some(header) = header {
        line.text(", byte ").hexadecimal(header.into(), 2);
    }
    line.text(")").fatal()
}
