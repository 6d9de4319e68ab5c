//! What a program that does nothing keeps: threads that have worked and wait, holes between blocks, what another thread has
//! freed. What is timed is the work; what counts is what is resident a second after it, beyond the blocks in use.

use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use hakmem_harness::process;
use hakmem_harness::random::Random;

use super::blocks::Block;
use super::{Outcome, Scale, Workload, outcome, pattern};

const MIB: u64 = 1 << 20;

/// Patterns that are in no mean but that of their group.
pub(super) const IDLE: [Workload; 5] = [
    pattern("idle", "idle_threads_1k", "400 threads that used 200 blocks of up to 1 KiB, and wait", |scale| {
        threads(scale, 1 << 10)
    }),
    pattern("idle", "idle_threads_32k", "400 threads that used 200 blocks of up to 32 KiB, and wait", |scale| {
        threads(scale, 32 << 10)
    }),
    pattern("idle", "idle_threads_200k", "400 threads that used 200 blocks of up to 200 kB, and wait", |scale| {
        threads(scale, 200_000)
    }),
    pattern("idle", "idle_holes", "blocks of 512 B to 2 KiB, one in twenty kept, at random", holes),
    pattern("idle", "idle_elsewhere", "120 MiB freed by a thread that waits, then a trickle in another", elsewhere),
];

/// How long a program waits before it is looked at.
const WAIT: Duration = Duration::from_secs(1);

/// Resident bytes of this process that no file backs.
fn resident() -> u64 {
    process::anonymous().unwrap_or(0)
}

/// Threads that replace blocks of up to `most` bytes, as many of each doubling, free them, and wait.
fn threads(scale: Scale, most: usize) -> Outcome {
    const PLACES: usize = 200;
    const TURNS: u64 = 3000;
    let count = scale.of(400);
    let barrier = Barrier::new(count as usize + 1);
    let work = |seed| {
        barrier.wait();
        let mut random = Random::new(seed);
        let mut blocks = [const { None::<Block> }; PLACES];
        for _ in 0..TURNS {
            let place = random.below(PLACES);
            if let Some(block) = blocks[place].take() {
                block.free(place as u64);
            }
            let longest = (most >> random.below(most.ilog2() as usize - 3)).max(16);
            blocks[place] = Some(Block::new(random.within(longest / 2, longest), place as u64));
        }
        for (tag, block) in blocks.into_iter().enumerate() {
            if let Some(block) = block {
                block.free(tag as u64);
            }
        }
        barrier.wait();
        barrier.wait();
    };
    let (mut kept, mut elapsed) = (0, Duration::ZERO);
    thread::scope(|scope| {
        (0..count).for_each(|seed| drop(scope.spawn(move || work(seed))));
        // The threads have their stacks, and have not allocated.
        thread::sleep(WAIT / 10);
        let before = resident();
        let started = Instant::now();
        barrier.wait();
        barrier.wait();
        elapsed = started.elapsed();
        thread::sleep(WAIT);
        kept = resident().saturating_sub(before);
        barrier.wait();
    });
    Outcome { kept: Some(kept), ..outcome(count * TURNS, elapsed) }
}

/// Blocks of three sizes, of which few are kept.
fn holes(scale: Scale) -> Outcome {
    let before = resident();
    let started = Instant::now();
    let mut random = Random::new(0);
    let (mut operations, mut live, mut left) = (0, 0, Vec::new());
    for (size, count) in [(512, 150_000), (1 << 10, 100_000), (2 << 10, 50_000)] {
        let blocks: Vec<_> = (0..scale.of(count)).map(|tag| (Block::new(size, tag), tag)).collect();
        operations += blocks.len() as u64;
        left.push(blocks);
    }
    let mut kept = Vec::new();
    for (block, tag) in left.into_iter().flatten() {
        if random.below(20) == 0 {
            live += block.size() as u64;
            kept.push((block, tag));
        } else {
            block.free(tag);
        }
    }
    let elapsed = started.elapsed();
    thread::sleep(WAIT);
    let resident = resident().saturating_sub(before + live);
    kept.into_iter().for_each(|(block, tag)| block.free(tag));
    Outcome { kept: Some(resident), ..outcome(operations, elapsed) }
}

/// What one thread allocates another frees; then the first allocates a little now and then.
fn elsewhere(scale: Scale) -> Outcome {
    let before = resident();
    let started = Instant::now();
    let (mut random, mut blocks, mut bytes) = (Random::new(0), Vec::new(), 0);
    while bytes < scale.of(120 * MIB) {
        let size = random.within(16, 4096);
        blocks.push(Block::new(size, size as u64));
        bytes += size as u64;
    }
    let (operations, freed) = (blocks.len() as u64, Barrier::new(2));
    let (mut kept, mut elapsed) = (0, Duration::ZERO);
    thread::scope(|scope| {
        scope.spawn(|| {
            blocks.into_iter().for_each(|block| {
                let tag = block.size() as u64;
                block.free(tag);
            });
            freed.wait();
            freed.wait();
        });
        freed.wait();
        elapsed = started.elapsed();
        for _ in 0..50 {
            (16..64).for_each(|size| Block::new(size, 1).free(1));
            thread::sleep(WAIT / 50);
        }
        kept = resident().saturating_sub(before);
        freed.wait();
    });
    Outcome { kept: Some(kept), ..outcome(operations, elapsed) }
}
