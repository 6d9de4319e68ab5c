//! Single operations, each timed by itself. An allocation is done when the block is written to; a free begins with a
//! block that is in the cache.

use std::hint::black_box;
use std::time::Instant;

use hakmem_harness::clock::Clock;
use hakmem_harness::histogram::Histogram;
use hakmem_harness::random::Random;

use super::blocks::{Block, free_words, words};
use super::places::Places;
use super::{Outcome, Scale, Workload, outcome, pattern};
use crate::Latency;

/// Workloads that time single operations.
pub(super) const LATENCY: [Workload; 2] = [
    pattern("latency", "latency_64", "1,000 blocks of 64 B, one at random replaced, each operation timed", constant),
    pattern("latency", "latency_mixed", "10,000 blocks of 16–1,024 B, one at random replaced, each timed", mixed),
];

const STEPS: u64 = 1_000_000;

fn constant(scale: Scale) -> Outcome {
    const COUNT: usize = 1000;
    let mut random = Random::new(0);
    let mut blocks: Vec<_> = (0..COUNT as u64).map(|tag| Some(words::<8>(tag))).collect();
    measured(scale, |allocation, free| {
        let place = random.below(COUNT);
        if let Some(block) = blocks[place].take() {
            // Not the time that it takes to fetch the block into the cache.
            black_box(block[0]);
            free.measure(|| free_words(block, place as u64));
        }
        blocks[place] = Some(allocation.measure(|| words::<8>(place as u64)));
    })
}

fn mixed(scale: Scale) -> Outcome {
    let mut places = Places::<10_000, 16, 1024>::new(0);
    let outcome = measured(scale, |allocation, free| {
        places.step_with(
            |block, tag| {
                // Not the time that it takes to fetch the block into the cache.
                block.check(tag);
                free.measure(|| block.free(tag));
            },
            |size, tag| allocation.measure(|| Block::new(size, tag)),
        );
    });
    places.free();
    outcome
}

/// Percentiles of `durations`, less the clock's own time.
fn latency(durations: &Histogram) -> Latency {
    let clock = Clock::get();
    let at = |share| clock.nanoseconds(durations.percentile(share));
    Latency { p50: at(0.5), p99: at(0.99), p99_9: at(0.999), max: at(1.0), step: clock.step() }
}

/// `step` does an allocation and a free and times each.
#[inline(always)]
fn measured(scale: Scale, mut step: impl FnMut(&mut Histogram, &mut Histogram)) -> Outcome {
    let steps = scale.of(STEPS);
    let (mut allocation, mut free) = (Histogram::default(), Histogram::default());
    (0..steps / 16).for_each(|_| step(&mut allocation, &mut free));
    allocation.clear();
    free.clear();
    let started = Instant::now();
    (0..steps).for_each(|_| step(&mut allocation, &mut free));
    let outcome = outcome(steps, started.elapsed());
    Outcome { allocation: Some(latency(&allocation)), free: Some(latency(&free)), ..outcome }
}
