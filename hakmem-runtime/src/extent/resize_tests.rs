//! Blocks that cannot grow in place. One test, as all moves of a process are counted together.

use super::{Caller, Extents, moves};
use crate::slab::FreeBlock;
use crate::sys::clock;
use core::slice;

const CALLER: Caller<'_> = Caller { id: 250, cache: None };
const OLD: usize = 4 << 20;
const NEW: usize = 6 << 20;
/// Words in a page.
const PAGE: usize = 4096 / size_of::<usize>();

/// The words of `length` bytes of a block.
fn words(block: *mut u8, length: usize) -> &'static mut [usize] {
    // SAFETY: the block has `length` bytes and is aligned to a page. It is the test's, which has no other reference to
    // it.
    unsafe { slice::from_raw_parts_mut(block.cast(), length / size_of::<usize>()) }
}

/// A block in which each page begins with its index.
fn block(extents: &Extents) -> *mut u8 {
    let block = extents.alloc(CALLER, OLD, 4096);
    assert!(!block.is_null());
    words(block, OLD).iter_mut().enumerate().step_by(PAGE).for_each(|(index, word)| *word = index);
    block
}

/// The block as what the extents take.
fn given_up(block: *mut u8) -> FreeBlock {
    // SAFETY: the block is from the extents that get it, and used afterwards only if they refuse it.
    unsafe { FreeBlock::from_raw(block) }
}

fn resized(extents: &Extents, block: *mut u8, size: usize) -> Option<*mut u8> {
    extents.realloc(CALLER, given_up(block), size, 4096).ok()
}

fn free(extents: &Extents, block: *mut u8) {
    extents.dealloc(CALLER, given_up(block));
}

fn check(block: *mut u8) {
    assert!(words(block, OLD).iter().enumerate().step_by(PAGE).all(|(index, &word)| word == index));
}

#[test]
fn blocks_move_with_their_contents_and_moves_come_back() {
    let before = moves::left();
    let extents = Extents::new(0, false, true);
    for in_pieces in [false, true] {
        let (first, neighbour) = (block(&extents), block(&extents));
        if in_pieces {
            let middle = first.wrapping_add(OLD / 4 + 4096);
            // SAFETY: a part of a block of ours. Because a fork does not copy it, it becomes a mapping of its own.
            assert_eq!(unsafe { libc::madvise(middle.cast(), OLD / 2, libc::MADV_DONTFORK) }, 0);
        }
        // More than the address space has free: the block is as it was.
        assert!(resized(&extents, first, 1 << 46).is_none());
        check(first);
        let left = moves::left();
        let moved = resized(&extents, first, NEW).expect("memory");
        assert!(moved != first);
        check(moved);
        check(neighbour);
        assert!(moves::left() < left, "its pages were moved");
        free(&extents, moved);
        free(&extents, neighbour);
    }
    extents.purge(CALLER.id, clock::now_ms(), 0);
    assert_eq!(moves::left(), before);
}
