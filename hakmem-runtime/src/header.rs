//! `header = "region-id"`: a byte before each block names its class and whether it is allocated.
//!
//! The byte is the last one of the block before. So a class with headers serves requests that are at least one byte
//! shorter than its blocks, and the first block of a span has some bytes before it: the largest power of two that
//! divides the block size, at most a page. Every block is as aligned as it would be without headers.
//!
//! ```text
//! allocated   0xA0 | class & 15
//! freed       the same with every bit flipped: 0x50 | !class & 15
//! ```
//!
//! A free compares the byte with the one that the layout's class has, and flips it. A wrong layout, a double free and a
//! pointer from elsewhere end the program with a message. Two classes whose indices differ by a multiple of 16 have the
//! same byte, and before a pointer from elsewhere it may stand by chance. This check does not tell them apart; the slab
//! and the page map do, if the block is flushed (`heap/remote_batch.rs`). Here the page map would more than double the
//! instructions of a free: 32 instead of 13.
//!
//! The page before a pointer at the start of a page may not be readable: the pointer may be a large block, or come
//! right after unmapped memory of a region. So for such a pointer the page map and the slab must say first that the
//! byte before it is in a slab of the layout's class.

use crate::heap::Backing;
use crate::slab::class::header_byte as byte;
use crate::slab::{FreeBlock, NO_CLASS};
use crate::sys::fatal::Message;
use core::ptr;

/// The smallest page. Before an address that is a multiple of it nothing may be mapped.
const PAGE: usize = 4096;

/// Marks `block` as allocated.
///
/// # Safety
/// It is of the class at `class_index`, which has headers.
#[inline(always)]
pub(crate) unsafe fn mark(block: &FreeBlock, class_index: usize) {
    // SAFETY: before a block of a class with headers is a byte that belongs to it: it is at the end of the block before,
    // which serves no request of its full size, or before the first block of the span.
    unsafe { *block.as_ptr().wrapping_sub(1) = byte(class_index) };
}

/// Checks that `block` is an allocated block of the class at `class_index`, and marks it as freed. Ends the program if
/// it is not. The pointer may be wrong: it may be a block of another class, a freed block, or no block of this
/// allocator.
#[inline(always)]
pub(crate) fn check(backing: &Backing, block: &FreeBlock, class_index: usize) {
    if block.addr() & (PAGE - 1) == 0 {
        check_page_before(backing, block.addr(), class_index);
    }
    // SAFETY: the byte before it is on the same page as the block, or `check_page_before` found it in a slab in use: it
    // can be read. It is written only if it is the header of an allocated block, which the caller owns and frees.
    unsafe {
        let header = block.as_ptr().wrapping_sub(1);
        if *header != byte(class_index) {
            misuse(backing, block.addr(), class_index)
        }
        *header = !byte(class_index);
    }
}

/// For a block at the start of a page: ends the program unless the byte before it is in a slab of the class at
/// `class_index`. For every block of a class with headers it is, because a span's first block does not begin at the
/// start of the span.
#[cold]
#[inline(never)]
fn check_page_before(backing: &Backing, block: usize, class_index: usize) {
    if backing.class_at(block.wrapping_sub(1)) != Some(class_index as u32) {
        misuse(backing, block, class_index)
    }
}

/// Whether the byte before `block` can be read. `block` can.
fn has_header(backing: &Backing, block: usize) -> bool {
    block & (PAGE - 1) != 0 || backing.class_at(block.wrapping_sub(1)).is_some_and(|class| class != NO_CLASS)
}

/// Ends the program with a message that says what is wrong with the block.
#[cold]
#[inline(never)]
fn misuse(backing: &Backing, block: usize, class_index: usize) -> ! {
    let size = |class: usize| backing.classes().get(class).map_or(0, |class| class.size as usize);
    let mut line = Message::new();
    let Some(found) = backing.class_at(block) else {
        line.text(if backing.owns(block) {
            "sized deallocation mismatch: a large block"
        } else {
            "invalid free: not a block of this allocator"
        });
        line.pointer(block);
        line.text(", expected class ").number(size(class_index)).text(", found none)").fatal()
    };
    // SAFETY: the pointer is in a region of this allocator, and `has_header` says that the byte before it can be read.
    let header =
        has_header(backing, block).then(|| unsafe { *ptr::with_exposed_provenance::<u8>(block.wrapping_sub(1)) });
    let of_class = found != NO_CLASS && found as usize == class_index;
    line.text(match header {
        _ if header == Some(!byte(class_index)) && of_class => "double free",
        _ if found == NO_CLASS => "invalid free: already freed, or never allocated",
        _ if !of_class => "sized deallocation mismatch",
        _ => "invalid free: corrupted or missing header",
    });
    line.pointer(block).text(", expected class ").number(size(class_index));
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
