//! Blocks larger than any class: their growth moves pages instead of copying, fresh ones are zero without being touched,
//! and freed ones go back. Each test looks at the resident memory of a process of its own.

use crate::blocks::{KIB, MIB, Piece, is_all, layout, subjects};
use crate::rerun::isolated;
use crate::resident::resident;
use std::alloc::{GlobalAlloc, Layout};
use std::time::{Duration, Instant};

hakmem::allocator! {
    pub(crate) struct Heap;
}

subjects!(Heap);

/// What the resident memory was at most, in bytes; so is what came and went.
fn peak() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("proc is mounted");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a process has a peak");
    line.trim().trim_end_matches(" kB").parse::<usize>().expect("a number") * KIB
}

#[test]
fn growth_keeps_contents() {
    let mut piece = Piece::<Heap>::new(layout(16), 1, false);
    while piece.size() < 64 * MIB {
        piece.resize(piece.size() * 2);
    }
    while piece.size() > 16 {
        piece.resize(piece.size() / 3 + 1);
        if piece.size() < 20 {
            break;
        }
    }
}

#[test]
fn growth_in_odd_steps_keeps_contents() {
    for align in [8, 4 * KIB, 64 * KIB, 4 * MIB] {
        let start = Layout::from_size_align(300 * KIB, align).expect("a power of two");
        let mut pieces: Vec<Piece<Heap>> = (0..3).map(|number| Piece::new(start, number + 1, true)).collect();
        for _ in 0..8 {
            for piece in &mut pieces {
                piece.resize(piece.size() + piece.size() / 2 + 1);
            }
        }
    }
}

#[test]
fn growth_of_a_large_block_copies_nothing() {
    isolated("growth_of_a_large_block_copies_nothing", || {
        let start = 64 * MIB;
        let first = layout(start);
        // SAFETY: the size is not 0.
        let mut block = unsafe { Heap.alloc(first) };
        assert!(!block.is_null());
        // SAFETY: the block is ours and this long.
        unsafe { block.write_bytes(0xA5, start) };
        let before = peak();
        let mut best = Duration::MAX;
        let mut size = start;
        for _ in 0..8 {
            let begin = Instant::now();
            // SAFETY: the block is ours, of this size.
            block = unsafe { Heap.realloc(block, layout(size), size + start) };
            best = best.min(begin.elapsed());
            assert!(!block.is_null());
            size += start;
        }
        let growth = peak().saturating_sub(before);
        // The thread that purges may have begun: its thread-local memory counts, too.
        assert!(growth < 8 * MIB, "{growth} bytes more were resident in between");
        // The best of eight, because the machine may be busy, beside the best of as many copies of 64 MiB to fresh pages: those
        // take 20 ms where this was written, a step far less than one.
        // SAFETY: the block is ours and this long.
        let contents = unsafe { std::slice::from_raw_parts(block, start) };
        let copy = (0..8).map(|_| {
            let begin = Instant::now();
            drop(std::hint::black_box(contents.to_vec()));
            begin.elapsed()
        });
        let copy = copy.min().expect("there are eight");
        assert!(best < copy / 4, "{best:?} a step, {copy:?} a copy");
        // SAFETY: the block is ours and this long.
        assert!(is_all(unsafe { std::slice::from_raw_parts(block, start) }, 0xA5));
        // SAFETY: as above; what was added is zero, as a mapping is.
        assert_eq!(unsafe { block.add(size - 1).read() }, 0);
        // SAFETY: the block is ours, of this size.
        unsafe { Heap.dealloc(block, layout(size)) };
    });
}

#[test]
fn growth_of_a_sparse_block_touches_nothing() {
    isolated("growth_of_a_sparse_block_touches_nothing", || {
        let (step, most) = (64 * MIB, 640 * MIB);
        for with_neighbours in [false, true] {
            let mut neighbours = Vec::new();
            // SAFETY: the block is ours, of the size that it was given last; the bytes are within it.
            unsafe {
                let (mut block, before) = (Heap.alloc(layout(step)), peak());
                block.add(step / 2).write(7);
                for size in (step..most).step_by(step) {
                    if with_neighbours {
                        // So that it has to move.
                        neighbours.push(Piece::<Heap>::new(layout(MIB), 1, false));
                    }
                    block = Heap.realloc(block, layout(size), size + step);
                    assert!(!block.is_null());
                }
                assert_eq!(block.add(step / 2).read(), 7);
                let growth = peak().saturating_sub(before).saturating_sub(neighbours.len() * MIB);
                // The thread that purges may have begun: its thread-local memory counts, too.
                assert!(growth < 8 * MIB, "{growth} bytes of an untouched block are resident");
                Heap.dealloc(block, layout(most));
            }
            drop(neighbours);
            Heap::purge();
        }
    });
}

#[test]
fn shrinking_gives_memory_back() {
    isolated("shrinking_gives_memory_back", || {
        let before = resident();
        let mut piece = Piece::<Heap>::new(layout(64 * MIB), 2, false);
        assert!(resident() >= before + 63 * MIB);
        let address = piece.address();
        piece.resize(MIB);
        assert_eq!(piece.address(), address, "a shorter block need not move");
        let kept = resident().saturating_sub(before);
        assert!(kept < 3 * MIB, "{kept} bytes still resident");
        assert!(Heap::owns(piece.pointer().wrapping_add(MIB - 1)));
        piece.resize(1000);
    });
}

#[test]
fn zeroed_memory_is_not_touched() {
    isolated("zeroed_memory_is_not_touched", || {
        let size = 256 * MIB;
        let before = resident();
        // SAFETY: the size is not 0.
        let block = unsafe { Heap.alloc_zeroed(layout(size)) };
        assert!(!block.is_null());
        let untouched = resident().saturating_sub(before);
        assert!(untouched < MIB, "{untouched} bytes resident in a block that nobody touched");
        // SAFETY: the block is ours and this long.
        unsafe { block.write_bytes(1, 10 * MIB) };
        assert!(resident() >= before + 9 * MIB);
        // SAFETY: the block is ours, of this size.
        unsafe { Heap.dealloc(block, layout(size)) };
    });
}

#[test]
fn a_kept_block_is_zeroed_when_asked() {
    for size in [300 * KIB, MIB, 5 * MIB] {
        for _ in 0..5 {
            // Its drop leaves a block full of ones in the cache; the next one is looked at.
            drop(Piece::<Heap>::new(layout(size), 1, true));
        }
    }
}

mod limited {
    hakmem::allocator! {
        pub(super) struct Heap {
            [large]
            cache = "128 MiB"

            [[class]]
            size = 64
        }
    }
}

subjects!(limited::Heap);

#[test]
fn freed_memory_goes_back() {
    isolated("freed_memory_goes_back", || {
        let before = resident();
        // Some that are too long for the cache without a lock, and some that are not.
        for (count, size) in [(20, 7 * MIB), (100, 3 * MIB / 2)] {
            let pieces: Vec<Piece<limited::Heap>> = (0..count).map(|_| Piece::new(layout(size), 3, false)).collect();
            assert!(resident() >= before + 130 * MIB);
            drop(pieces);
            let kept = resident().saturating_sub(before);
            assert!(kept < 130 * MIB, "{kept} bytes kept, more than the spec allows");
            limited::Heap::purge();
            let kept = resident().saturating_sub(before);
            assert!(kept < 2 * MIB, "{kept} bytes kept after a purge");
        }
    });
}

#[test]
fn a_freed_block_is_used_again() {
    isolated("a_freed_block_is_used_again", || {
        let piece = Piece::<Heap>::new(layout(4 * MIB), 4, false);
        let address = piece.address();
        drop(piece);
        assert_eq!(Piece::<Heap>::new(layout(4 * MIB), 5, false).address(), address);
    });
}
