//! Blocks that are freed by another thread than allocated them, and threads that start and end.

use std::array;
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::Instant;

use hakmem_harness::random::Random;

use super::blocks::{Block, Words, free_words, words};
use super::places::{self, Places};
use super::{Outcome, Scale, Workload, outcome, pattern};

/// The same work in other numbers of threads.
pub(super) const SCALING: [Workload; 5] = [
    pattern("threads", "threads_1", "random_mixed_256 in 1 thread", |scale| scaling(scale, 1)),
    pattern("threads", "threads_2", "random_mixed_256, shared among 2 threads", |scale| scaling(scale, 2)),
    pattern("threads", "threads_4", "random_mixed_256, shared among 4 threads", |scale| scaling(scale, 4)),
    pattern("threads", "threads_8", "random_mixed_256, shared among 8 threads", |scale| scaling(scale, 8)),
    pattern("threads", "threads_16", "random_mixed_256, shared among 16 threads", |scale| scaling(scale, 16)),
];

fn scaling(scale: Scale, threads: u64) -> Outcome {
    places::replace_in_threads::<256, 16, 1024>(scale, threads, 48_000_000)
}

/// A thread's blocks and all it needs to replace them.
type Larson = Places<1000, 8, 1000>;

/// `lanes` threads replace blocks; each hands its blocks to a successor that it starts, and ends.
pub(super) fn larson(scale: Scale, lanes: u64) -> Outcome {
    const GENERATIONS: u64 = 120;
    const STEPS: u64 = 24_000_000;
    let steps = (scale.of(STEPS) / (lanes * GENERATIONS)).max(1);
    let (sender, receiver) = mpsc::channel();
    let started = Instant::now();
    for lane in 0..lanes {
        let sender = sender.clone();
        thread::spawn(move || generation(Larson::new(lane), GENERATIONS, steps, sender));
    }
    drop(sender);
    let ended: Vec<Larson> = receiver.into_iter().collect();
    let elapsed = started.elapsed();
    assert_eq!(ended.len() as u64, lanes, "a thread has found a broken block");
    ended.into_iter().for_each(Places::free);
    outcome(lanes * GENERATIONS * steps, elapsed)
}

fn generation(mut blocks: Larson, generations: u64, steps: u64, sender: Sender<Larson>) {
    (0..steps).for_each(|_| blocks.step());
    if generations > 1 {
        thread::spawn(move || generation(blocks, generations - 1, steps, sender));
    } else {
        // The receiver waits until all senders are gone.
        let _ = sender.send(blocks);
    }
}

/// Blocks that are handed over at once. One at a time, what is measured would be how two processors pass a cache line
/// back and forth, and that depends on which of them happens to be ahead.
const BATCH: usize = 64;

/// Batches on their way between a producer and its consumer.
const ON_THE_WAY: usize = 16;

/// `pairs` threads allocate, as many others free.
pub(super) fn producer_consumer(scale: Scale, pairs: u64) -> Outcome {
    let batches = (scale.of(24_000_000) / (pairs * BATCH as u64)).max(1);
    let started = Instant::now();
    thread::scope(|scope| {
        for _ in 0..pairs {
            // The channel's places are made once. Who waits for the other end spins at first, and then sleeps.
            let (sender, receiver) = mpsc::sync_channel::<[Words<8>; BATCH]>(ON_THE_WAY);
            scope.spawn(move || {
                for tag in 0..batches {
                    // If not, the consumer has found a broken block; the scope passes its panic on.
                    if sender.send(array::from_fn(|_| words(tag))).is_err() {
                        break;
                    }
                }
            });
            scope.spawn(move || {
                for (tag, batch) in receiver.into_iter().enumerate() {
                    batch.into_iter().for_each(|block| free_words(block, tag as u64));
                }
            });
        }
    });
    outcome(batches * pairs * BATCH as u64, started.elapsed())
}

/// Threads that live for a hundred blocks, two at a time.
pub(super) fn churn(scale: Scale) -> Outcome {
    const BLOCKS: u64 = 100;
    let pairs = scale.of(4_000);
    let live = |seed| {
        let mut random = Random::new(seed);
        let blocks: Vec<Block> = (0..BLOCKS).map(|tag| Block::new(random.within(16, 512), tag)).collect();
        for (tag, block) in blocks.into_iter().enumerate() {
            block.free(tag as u64);
        }
    };
    let started = Instant::now();
    for pair in 0..pairs {
        thread::scope(|scope| {
            scope.spawn(|| live(pair));
            scope.spawn(|| live(pair + 1));
        });
    }
    outcome(2 * pairs * BLOCKS, started.elapsed())
}
