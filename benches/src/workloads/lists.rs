//! Blocks of a constant size, freed all together: in one order or another.

use std::cell::Cell;
use std::hint::black_box;

use hakmem_harness::random::Random;

use super::blocks::{Block, Words, free_words, words};
use super::{Outcome, Scale, Workload, pattern, repeat};

/// Blocks alive at a time in the comprehensive group.
const DEPTH: usize = 100;

/// Pairs of an allocation and a free in each.
const PAIRS: u64 = 40_000_000;

macro_rules! comprehensive {
    ($($name:literal $function:ident $words:literal $about:literal,)*) => {
        [$(pattern("comprehensive", $name, $about, $function::<$words>)),*]
    };
}

/// Patterns by sizes.
pub(super) const COMPREHENSIVE: [Workload; 17] = comprehensive! {
    "lifo_16" lifo 2 "100 blocks of 16 B, freed last in first out",
    "lifo_32" lifo 4 "100 blocks of 32 B, freed last in first out",
    "lifo_64" lifo 8 "100 blocks of 64 B, freed last in first out",
    "lifo_128" lifo 16 "100 blocks of 128 B, freed last in first out",
    "fifo_16" fifo 2 "100 blocks of 16 B, freed first in first out",
    "fifo_32" fifo 4 "100 blocks of 32 B, freed first in first out",
    "fifo_64" fifo 8 "100 blocks of 64 B, freed first in first out",
    "fifo_128" fifo 16 "100 blocks of 128 B, freed first in first out",
    "random_16" random_100 2 "100 blocks of 16 B, freed in random order",
    "random_32" random_100 4 "100 blocks of 32 B, freed in random order",
    "random_64" random_100 8 "100 blocks of 64 B, freed in random order",
    "random_128" random_100 16 "100 blocks of 128 B, freed in random order",
    "interleaved_16" interleaved 2 "100 blocks of 16 B alive, one at random freed and replaced",
    "interleaved_32" interleaved 4 "100 blocks of 32 B alive, one at random freed and replaced",
    "interleaved_64" interleaved 8 "100 blocks of 64 B alive, one at random freed and replaced",
    "interleaved_128" interleaved 16 "100 blocks of 128 B alive, one at random freed and replaced",
    "mixed" mixed 0 "100 blocks of 16, 32, 64, 128 B in turn, freed first in first out",
};

macro_rules! live {
    ($($name:literal $count:literal $about:literal,)*) => {
        [$(Workload {
            floor: Some(|scale| floor(scale, $count)),
            ..pattern("live", $name, $about, |scale| live(scale, $count))
        }),*]
    };
}

/// The same work at other numbers of live blocks.
pub(super) const LIVE: [Workload; 5] = live! {
    "live_1e3" 1_000 "1,000 blocks of 32 B, freed last in first out",
    "live_1e4" 10_000 "10,000 blocks of 32 B, freed last in first out",
    "live_1e5" 100_000 "100,000 blocks of 32 B, freed last in first out",
    "live_1e6" 1_000_000 "1,000,000 blocks of 32 B, freed last in first out",
    "live_1e7" 10_000_000 "10,000,000 blocks of 32 B, freed last in first out",
};

fn lifo<const N: usize>(scale: Scale) -> Outcome {
    last_first::<N>(scale, DEPTH, PAIRS / DEPTH as u64)
}

fn live(scale: Scale, count: usize) -> Outcome {
    // Each pass after the warm-up finds the memory as a running program would.
    last_first::<4>(scale, count, PAIRS / count as u64)
}

/// What `live` costs without an allocator: a list of as many blocks is filled, they are written, and read backwards.
fn floor(scale: Scale, count: usize) -> Outcome {
    let memory: Vec<[Cell<u64>; 4]> = (0..count).map(|_| [const { Cell::new(0) }; 4]).collect();
    let mut blocks: Vec<&[Cell<u64>; 4]> = Vec::with_capacity(count);
    repeat(scale, PAIRS / count as u64, count as u64, || {
        blocks.extend(memory.iter().zip(0..).map(|(block, tag)| {
            block.iter().for_each(|word| word.set(tag));
            black_box(block)
        }));
        while let Some(block) = blocks.pop() {
            let tag = blocks.len() as u64;
            assert!(block[0].get() == tag && block[3].get() == tag);
        }
    })
}

#[inline(always)]
fn last_first<const N: usize>(scale: Scale, count: usize, repeats: u64) -> Outcome {
    let mut blocks: Vec<Words<N>> = Vec::with_capacity(count);
    repeat(scale, repeats, count as u64, || {
        blocks.extend((0..count as u64).map(words));
        while let Some(block) = blocks.pop() {
            free_words(block, blocks.len() as u64);
        }
    })
}

fn fifo<const N: usize>(scale: Scale) -> Outcome {
    let mut blocks: Vec<Words<N>> = Vec::with_capacity(DEPTH);
    repeat(scale, PAIRS / DEPTH as u64, DEPTH as u64, || {
        blocks.extend((0..DEPTH as u64).map(words));
        for (tag, block) in blocks.drain(..).enumerate() {
            free_words(block, tag as u64);
        }
    })
}

fn random_100<const N: usize>(scale: Scale) -> Outcome {
    random::<N>(scale, DEPTH, PAIRS / DEPTH as u64)
}

/// Blocks of `8 * N` bytes, freed in random order.
pub(super) fn random<const N: usize>(scale: Scale, count: usize, repeats: u64) -> Outcome {
    shuffled(scale, count, repeats, words::<N>, free_words)
}

/// Blocks allocated, freed in random order, allocated again: lists of free blocks end up shuffled.
#[inline(always)]
pub(super) fn shuffled<T>(
    scale: Scale,
    count: usize,
    repeats: u64,
    allocate: impl Fn(u64) -> T,
    free: impl Fn(T, u64),
) -> Outcome {
    let mut random = Random::new(0);
    // Several, so that no predictor learns them.
    let orders: Vec<Vec<u32>> = (0..8).map(|_| random.order(count)).collect();
    let mut orders = orders.iter().cycle();
    let mut blocks: Vec<Option<T>> = Vec::with_capacity(count);
    repeat(scale, repeats, count as u64, || {
        blocks.extend((0..count as u64).map(|tag| Some(allocate(tag))));
        for &place in orders.next().into_iter().flatten() {
            if let Some(block) = blocks[place as usize].take() {
                free(block, place.into());
            }
        }
        blocks.clear();
    })
}

fn interleaved<const N: usize>(scale: Scale) -> Outcome {
    let mut random = Random::new(0);
    let mut blocks: Vec<Words<N>> = (0..DEPTH as u64).map(words).collect();
    repeat(scale, PAIRS / DEPTH as u64, DEPTH as u64, || {
        for _ in 0..DEPTH {
            let place = random.below(DEPTH);
            // The old block is freed first, as where a program is done with one thing and turns to the next.
            let last = blocks.len() - 1;
            let tag = blocks[place][0];
            free_words(blocks.swap_remove(place), tag);
            blocks.push(words(tag));
            blocks.swap(place, last);
        }
    })
}

/// `N` means nothing; it makes the signature fit the table.
fn mixed<const N: usize>(scale: Scale) -> Outcome {
    let mut blocks: Vec<Block> = Vec::with_capacity(DEPTH);
    repeat(scale, PAIRS / DEPTH as u64, DEPTH as u64, || {
        blocks.extend((0..DEPTH as u64).map(|tag| Block::new(16 << (tag % 4), tag)));
        for (tag, block) in blocks.drain(..).enumerate() {
            block.free(tag as u64);
        }
    })
}

/// Small sizes that the compiler does not know.
pub(super) fn tiny_hot(scale: Scale) -> Outcome {
    let mut random = Random::new(0);
    let mut blocks: Vec<Block> = Vec::with_capacity(DEPTH);
    repeat(scale, PAIRS / DEPTH as u64, DEPTH as u64, || {
        blocks.extend((0..DEPTH as u64).map(|tag| Block::new(random.within(16, 128), tag)));
        while let Some(block) = blocks.pop() {
            block.free(blocks.len() as u64);
        }
    })
}
