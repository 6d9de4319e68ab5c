//! A fixed number of blocks of random sizes, of which one at random is freed and replaced in each step.

use std::thread;
use std::time::Instant;

use hakmem_harness::random::Random;

use super::blocks::Block;
use super::{Outcome, Scale, outcome};

/// A working set of `COUNT` blocks of `FROM` to `TO` bytes.
#[derive(Debug)]
pub(super) struct Places<const COUNT: usize, const FROM: usize, const TO: usize> {
    random: Random,
    blocks: Vec<Option<Block>>,
}

impl<const COUNT: usize, const FROM: usize, const TO: usize> Places<COUNT, FROM, TO> {
    /// Filled.
    pub(super) fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let blocks = (0..COUNT).map(|tag| Some(Block::new(random.within(FROM, TO), tag as u64))).collect();
        Places { random, blocks }
    }

    /// Frees a block and allocates another.
    #[inline(always)]
    pub(super) fn step(&mut self) {
        self.step_with(Block::free, Block::new);
    }

    /// The same, `free` and `allocate` being done in a way of the caller's.
    #[inline(always)]
    pub(super) fn step_with(&mut self, free: impl FnOnce(Block, u64), allocate: impl FnOnce(usize, u64) -> Block) {
        let place = self.random.below(COUNT);
        let size = self.random.within(FROM, TO);
        if let Some(block) = self.blocks[place].take() {
            free(block, place as u64);
        }
        self.blocks[place] = Some(allocate(size, place as u64));
    }

    /// Frees all.
    pub(super) fn free(self) {
        for (tag, block) in self.blocks.into_iter().enumerate() {
            if let Some(block) = block {
                block.free(tag as u64);
            }
        }
    }
}

/// One thread, `steps` replacements.
pub(super) fn replace<const COUNT: usize, const FROM: usize, const TO: usize>(scale: Scale, steps: u64) -> Outcome {
    let steps = scale.of(steps);
    let mut places = Places::<COUNT, FROM, TO>::new(0);
    (0..steps / 16).for_each(|_| places.step());
    let started = Instant::now();
    (0..steps).for_each(|_| places.step());
    let elapsed = started.elapsed();
    places.free();
    outcome(steps, elapsed)
}

/// `steps` replacements shared among `threads` threads, each with a working set of its own. Their start and end are
/// part of it.
pub(super) fn replace_in_threads<const COUNT: usize, const FROM: usize, const TO: usize>(
    scale: Scale,
    threads: u64,
    steps: u64,
) -> Outcome {
    let each = scale.of(steps) / threads;
    let run = |seed, steps| {
        let mut places = Places::<COUNT, FROM, TO>::new(seed);
        (0..steps).for_each(|_| places.step());
        places.free();
    };
    run(0, each / 16);
    let started = Instant::now();
    thread::scope(|scope| {
        for seed in 0..threads {
            scope.spawn(move || run(seed, each));
        }
    });
    outcome(each * threads, started.elapsed())
}
