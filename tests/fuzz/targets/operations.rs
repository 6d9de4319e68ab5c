//! A sequence of operations on generated allocators, with a model of every block: none overlap, contents are kept, zeroed
//! memory is zero, blocks of another thread are freed, and in the end nothing is left.

#![no_main]

#[path = "../../common/blocks.rs"]
mod blocks;

use blocks::{KIB, Piece, Subject, blocks_live, on_a_thread, slabs, subjects};
use libfuzzer_sys::fuzz_target;
use std::alloc::Layout;
use std::collections::BTreeMap;

mod default {
    hakmem::allocator! {
        pub(super) struct Heap;
    }
}

/// Small limits, so that few operations reach every path.
mod corners {
    hakmem::allocator! {
        pub(super) struct Heap {
            [superslab]
            size = "256 KiB"
            slab = "16 KiB"

            [purge]
            delay_ms = 0

            [large]
            cache = "1 MiB"

            [[class]]
            sizes = [8, 24, 72, 136]
            layers = ["unified", "sll"]
            unified = { capacity = 2 }
            sll = { high_water = 256 }
            batch = 2

            [[class]]
            sizes = [256, 512]
            layers = ["ring"]
            header = "region-id"

            [[class]]
            sizes = [768, 1024]
            layers = ["heapv2"]
            heapv2 = { capacity = 2 }

            [[class]]
            sizes = [1152, 4096, "16 KiB"]
            layers = ["quarantine", "sll"]
        }
    }
}

mod pages {
    hakmem::allocator! {
        pub(super) struct Heap {
            tls = "initial-exec"

            [superslab]
            size = "256 KiB"
            slab = "16 KiB"

            [[class]]
            sizes = [16, 48, 128, 1024]
            layers = ["pages"]

            [[class]]
            sizes = [2048, 8192]
            layers = ["sll"]
        }
    }
}

subjects!(default::Heap, corners::Heap, pages::Heap);

fuzz_target!(|program: &[u8]| {
    match program.split_first() {
        Some((0..=84, steps)) => run::<default::Heap>(steps),
        Some((85..=169, steps)) => run::<corners::Heap>(steps),
        Some((170.., steps)) => run::<pages::Heap>(steps),
        None => {}
    }
});

/// A size from two bytes: most are small, some are those of large blocks.
fn size(low: u8, high: u8) -> usize {
    let value = usize::from(u16::from_le_bytes([low, high]));
    match high >> 5 {
        0..=4 => value % KIB + 1,
        5..=6 => value % (32 * KIB) + 1,
        _ => value % 512 * KIB + usize::from(low) + 1,
    }
}

/// Steps of four bytes: what, which, and a size.
fn run<A: Subject>(steps: &[u8]) {
    let mut pieces: Vec<Piece<A>> = Vec::new();
    // Where blocks begin, and where they end.
    let mut taken: BTreeMap<usize, usize> = BTreeMap::new();
    let enter = |taken: &mut BTreeMap<usize, usize>, piece: &Piece<A>| {
        let (start, end) = (piece.address(), piece.address() + piece.size());
        let before = taken.range(..end).next_back();
        assert!(before.is_none_or(|(_, &other)| other <= start), "{start:#x}..{end:#x} overlaps another block");
        taken.insert(start, end);
    };
    for (number, step) in steps.chunks_exact(4).take(2000).enumerate() {
        let &[what, which, low, high] = step else { unreachable!("chunks of four") };
        let index = usize::from(which) % pieces.len().max(1);
        match what % 16 {
            0..=6 => {
                let align = if which < 192 { 8 } else { 1 << (which % 14) };
                let layout = Layout::from_size_align(size(low, high), align).expect("a power of two");
                let piece = Piece::new(layout, (number % 255) as u8 + 1, what & 16 != 0);
                enter(&mut taken, &piece);
                pieces.push(piece);
            }
            7..=8 if !pieces.is_empty() => {
                let piece = &mut pieces[index];
                taken.remove(&piece.address());
                piece.resize(size(low, high));
                enter(&mut taken, piece);
            }
            9..=13 if !pieces.is_empty() => {
                let piece = pieces.swap_remove(index);
                taken.remove(&piece.address());
                drop(piece);
            }
            14 if !pieces.is_empty() => {
                // Another thread frees some, and allocates some that it leaves behind.
                let gone = pieces.split_off(index);
                gone.iter().for_each(|piece| assert!(taken.remove(&piece.address()).is_some()));
                let layout = Layout::from_size_align(size(low, high), 8).expect("a power of two");
                let left: Vec<Piece<A>> = on_a_thread(move || {
                    drop(gone);
                    (0..which % 8).map(|seed| Piece::new(layout, seed + 1, false)).collect()
                });
                for piece in left {
                    enter(&mut taken, &piece);
                    pieces.push(piece);
                }
            }
            15 if which == 0 => A::purge(),
            _ => {}
        }
    }
    drop(pieces);
    A::purge();
    assert_eq!((blocks_live::<A>(), slabs::<A>()), (0, 0), "left behind:\n{}", A::stats());
}
