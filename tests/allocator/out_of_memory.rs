//! No memory is a null pointer, never an abort; what was there before stays good; and when memory is freed, it can be
//! allocated again, in other sizes too. Each test limits the address space of a process of its own.

use crate::address_space::limit_address_space;
use crate::blocks::{KIB, MIB, Piece, layout, subjects};
use crate::rerun::isolated;
use std::alloc::{GlobalAlloc, Layout};
use std::ptr;

// Not the global allocator: the harness goes on with the system's.
hakmem::allocator! {
    pub(crate) struct Heap;
}

subjects!(Heap);

/// Blocks of one layout, linked through their first words, because there is no memory for a list of them.
struct Hoard {
    first: *mut *mut u8,
    count: usize,
    layout: Layout,
}

impl Hoard {
    /// Allocates until there is nothing left.
    fn gather(size: usize) -> Hoard {
        let layout = layout(size);
        let mut hoard = Hoard { first: ptr::null_mut(), count: 0, layout };
        loop {
            // SAFETY: the size is not 0.
            let block = unsafe { Heap.alloc(layout) }.cast::<*mut u8>();
            if block.is_null() {
                return hoard;
            }
            // SAFETY: the block is ours, of 8 bytes at least, and aligned to 8.
            unsafe { block.write(hoard.first.cast()) };
            hoard.first = block;
            hoard.count += 1;
        }
    }

    fn bytes(&self) -> usize {
        self.count * self.layout.size()
    }
}

impl Drop for Hoard {
    fn drop(&mut self) {
        while !self.first.is_null() {
            let block = self.first;
            // SAFETY: `gather` wrote the link.
            self.first = unsafe { block.read() }.cast();
            // SAFETY: the block is ours, of this layout.
            unsafe { Heap.dealloc(block.cast(), self.layout) };
        }
    }
}

const SMALL: usize = 64;
const MIDDLE: usize = 8 * KIB;
const LARGE: usize = MIB;

/// Takes all memory in blocks of one size, frees it, and takes it in blocks of another.
fn one_then_the_other(size: usize, other: usize) {
    limit_address_space(200 * MIB);
    for _ in 0..2 {
        let first = Hoard::gather(size).bytes();
        let second = Hoard::gather(other).bytes();
        // The address space of slabs, in regions of 64 MiB, does not divide the limit.
        assert!(first >= 100 * MIB, "{first} bytes in blocks of {size}");
        assert!(second >= 100 * MIB, "{second} bytes in blocks of {other} after {first} in blocks of {size}");
    }
}

#[test]
fn small_then_middle() {
    isolated("small_then_middle", || one_then_the_other(SMALL, MIDDLE));
}

#[test]
fn middle_then_small() {
    isolated("middle_then_small", || one_then_the_other(MIDDLE, SMALL));
}

#[test]
fn large_then_small() {
    isolated("large_then_small", || one_then_the_other(LARGE, SMALL));
}

#[test]
fn middle_then_large() {
    isolated("middle_then_large", || one_then_the_other(MIDDLE, LARGE));
}

#[test]
fn kept_large_blocks_make_room_for_small_ones() {
    isolated("kept_large_blocks_make_room_for_small_ones", || {
        limit_address_space(40 * MIB);
        // All of them are kept, which is 28 of the 40 MiB.
        drop([7 * MIB; 4].map(|size| Piece::<Heap>::new(layout(size), 1, false)));
        let small = Hoard::gather(SMALL).bytes();
        assert!(small >= 16 * MIB, "{small} bytes in small blocks");
    });
}

#[test]
fn all_sizes_are_refused_and_come_back() {
    isolated("all_sizes_are_refused_and_come_back", || {
        limit_address_space(200 * MIB);
        for _ in 0..3 {
            // Each takes what the one before was too large for.
            let hoards = [100 * MIB, LARGE, 200 * KIB, MIDDLE, 1000, SMALL, 8].map(Hoard::gather);
            assert!(hoards.iter().map(Hoard::bytes).sum::<usize>() >= 100 * MIB);
            for size in [8, SMALL, 1000, MIDDLE, 200 * KIB, LARGE] {
                // SAFETY: the size is not 0.
                assert!(unsafe { Heap.alloc(layout(size)) }.is_null(), "{size}");
                // SAFETY: as above.
                assert!(unsafe { Heap.alloc_zeroed(layout(size)) }.is_null(), "{size}");
            }
        }
    });
}

#[test]
fn a_refused_realloc_leaves_the_block() {
    isolated("a_refused_realloc_leaves_the_block", || {
        limit_address_space(200 * MIB);
        // The way from the first size to the second: by mremap, from class to class, into and out of the classes.
        let ways = [(32 * MIB, 64 * MIB), (SMALL, 1000), (MIDDLE, 100 * KIB), (MIDDLE, LARGE), (LARGE, 32 * MIB)];
        let pieces = ways.map(|(from, _)| Piece::<Heap>::new(layout(from), 8, false));
        let hoards = [LARGE, 100 * KIB, 1000].map(Hoard::gather);
        for ((from, to), piece) in ways.into_iter().zip(&pieces) {
            // SAFETY: the block has this layout; it is refused, so it stays the piece's.
            let moved = unsafe { Heap.realloc(piece.pointer(), layout(from), to) };
            assert!(moved.is_null(), "{from} to {to}");
        }
        drop(hoards);
        // The pieces' drop looks at their contents. Before, each is moved after all.
        for ((_, to), mut piece) in ways.into_iter().zip(pieces) {
            piece.resize(to.min(2 * MIB));
        }
    });
}

#[test]
fn a_little_is_enough_for_a_little() {
    isolated("a_little_is_enough_for_a_little", || {
        limit_address_space(16 * MIB);
        let pieces: Vec<Piece<Heap>> = (1..100).map(|size| Piece::new(layout(size * 10), 5, true)).collect();
        drop(Piece::<Heap>::new(layout(MIB), 6, true));
        drop(pieces);
        assert!(Hoard::gather(SMALL).bytes() >= MIB);
    });
}

#[test]
fn absurd_sizes_are_refused() {
    let most = isize::MAX as usize;
    let mut piece = Piece::<Heap>::new(layout(100), 7, false);
    let large = Piece::<Heap>::new(layout(MIB), 7, false);
    for size in [most, most - 1, most - 4095, most - 4096, most / 2, 1 << 47, (1 << 47) - 4096] {
        let absurd = Layout::from_size_align(size, 1).expect("no more than isize::MAX");
        // SAFETY: the size is not 0.
        assert!(unsafe { Heap.alloc(absurd) }.is_null(), "{size:#x}");
        // SAFETY: as above.
        assert!(unsafe { Heap.alloc_zeroed(absurd) }.is_null(), "{size:#x}");
        // SAFETY: the block is the piece's, and stays it.
        assert!(unsafe { Heap.realloc(piece.pointer(), layout(100), size & !7) }.is_null(), "{size:#x}");
        // SAFETY: as above.
        assert!(unsafe { Heap.realloc(large.pointer(), layout(MIB), size & !7) }.is_null(), "{size:#x}");
    }
    piece.resize(200);
}

#[test]
fn absurd_alignments_are_met_or_refused() {
    for log in 13..63 {
        for size in [1, 100, 5000, MIB] {
            let Ok(layout) = Layout::from_size_align(size, 1 << log) else { continue };
            // SAFETY: the size is not 0.
            let block = unsafe { Heap.alloc_zeroed(layout) };
            if block.is_null() {
                // What is aligned to more may need a mapping that much larger, for which a machine may be too small.
                assert!(log > 30, "{layout:?}");
                continue;
            }
            assert_eq!(block.addr() & (layout.align() - 1), 0, "{layout:?}");
            // SAFETY: the block is of this size; its first and last bytes are ours to write, and then to free.
            unsafe {
                block.write(1);
                block.add(size - 1).write(1);
                Heap.dealloc(block, layout);
            }
        }
    }
}
