//! Tests of blocks that cannot grow in place.

use super::Extents;
use crate::meta::page_map::{self, GRANULE, Owner};
use crate::slab::FreeBlock;
use crate::sys::mmap::{self, Access, Resize};
use core::slice;

const ID: u8 = 250;
const OLD: usize = 2 * GRANULE;
const NEW: usize = 3 * GRANULE;
/// Words in a page.
const PAGE: usize = 4096 / size_of::<usize>();

/// The words of `length` bytes of a block.
fn words(block: *mut u8, length: usize) -> &'static mut [usize] {
    // SAFETY: the block has `length` bytes and is aligned to a page. It is the test's, which has no other reference to
    // it.
    unsafe { slice::from_raw_parts_mut(block.cast(), length / size_of::<usize>()) }
}

/// Resizes a block of these extents, which is used afterwards only if the result is null.
fn realloc(extents: &Extents, block: *mut u8, size: usize) -> *mut u8 {
    // SAFETY: the tests' blocks are from these extents, with this alignment, and are used afterwards only after a null.
    unsafe { extents.realloc(ID, block, size, GRANULE) }
}

/// A block of `OLD` bytes, directly followed by another mapping. Each page begins with its index.
fn block(extents: &Extents) -> *mut u8 {
    let block = extents.alloc(ID, OLD, GRANULE);
    assert!(!block.is_null());
    words(block, OLD).iter_mut().enumerate().step_by(PAGE).for_each(|(index, word)| *word = index);
    // If this fails, another mapping is there already.
    mmap::map_at(block.addr() + OLD, mmap::page_size(), Access::Reserved);
    block
}

/// Resizes it, and checks that it has moved with its contents, also in the page map.
fn resize(extents: &Extents, block: *mut u8) {
    let moved = realloc(extents, block, NEW);
    assert!(!moved.is_null() && moved != block);
    let words = words(moved, NEW);
    assert!(words.iter().take(OLD / size_of::<usize>()).enumerate().step_by(PAGE).all(|(index, &word)| word == index));
    if let Some(last) = words.last_mut() {
        *last = 1;
    }
    assert_eq!(page_map::owner(block.addr()), Owner::Nobody);
    assert_eq!(page_map::owner(moved.addr()), Owner::Large(ID, NEW));
    assert_eq!(page_map::owner(moved.addr() + NEW - 1), Owner::LargeRest(ID));
    // SAFETY: the block is from these extents and is not used afterwards.
    let freed = unsafe { FreeBlock::from_raw(moved) };
    assert!(extents.dealloc(ID, freed), "nothing is cached, so it is time to look at the clock");
    assert_eq!(page_map::owner(moved.addr()), Owner::Nobody);
}

#[test]
fn a_block_without_room_behind_it_moves() {
    let extents = Extents::new(0);
    let block = block(&extents);
    resize(&extents, block);
}

#[test]
fn a_block_of_several_mappings_is_copied() {
    let extents = Extents::new(0);
    let block = block(&extents);
    let (half, length) = (block.wrapping_add(OLD / 2), OLD / 2);
    // SAFETY: the second half of a block of ours. Because a fork does not copy it, it becomes a mapping of its own.
    assert_eq!(unsafe { libc::madvise(half.cast(), length, libc::MADV_DONTFORK) }, 0);
    assert_eq!(mmap::resize_in_place(block.addr(), OLD, NEW), Resize::Split);
    resize(&extents, block);
}

#[test]
fn a_refused_move_leaves_the_block() {
    let extents = Extents::new(0);
    let block = block(&extents);
    // More than the address space has free.
    assert!(realloc(&extents, block, 1 << 46).is_null());
    assert_eq!(page_map::owner(block.addr()), Owner::Large(ID, OLD));
    resize(&extents, block);
}
