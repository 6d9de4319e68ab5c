//! Blocks freed in random order. The random numbers are made beforehand, so their time is not measured.

use super::{Random, Workload};
use crate::probe::Probe;
use crate::subject::{AnyBlock, Block, Heap, SIZES, User};

/// Many blocks allocated, freed in random order, allocated again: lists of free blocks end up shuffled.
pub(crate) struct RandomFree;

impl Workload for RandomFree {
    const NAME: &'static str = "random-free";
    const ABOUT: &'static str = "50,000 blocks of 64 B, freed in random order and allocated again";
    const REPEATS: u32 = 10;

    #[inline(never)]
    fn run<A: Heap, P: Probe>(user: &mut User<A, P>, repeats: u32) -> u64 {
        const COUNT: u32 = 50_000;
        let order = Random::new().order(COUNT);
        let mut blocks: Vec<Option<Block<A>>> = empty(COUNT as usize);
        user.probe.start();
        for _ in 0..repeats {
            for (tag, place) in blocks.iter_mut().enumerate() {
                *place = Some(user.take(tag as u64));
            }
            for &place in &order {
                if let Some(block) = blocks[place as usize].take() {
                    user.give(block, place.into());
                }
            }
        }
        user.probe.stop();
        u64::from(COUNT) * u64::from(repeats)
    }
}

/// Blocks alive at a time in the workloads below, and the steps after which they repeat themselves.
const PLACES: u16 = 256;
const STEPS: u16 = 4096;

/// Allocations and frees in turn, over a small set of live blocks.
pub(crate) struct Interleaved;

impl Workload for Interleaved {
    const NAME: &'static str = "interleaved";
    const ABOUT: &'static str = "256 blocks of 64 B alive, one at random freed and replaced in each step";
    const REPEATS: u32 = 250;

    #[inline(never)]
    fn run<A: Heap, P: Probe>(user: &mut User<A, P>, repeats: u32) -> u64 {
        let mut random = Random::new();
        let steps: Vec<u16> = (0..STEPS).map(|_| random.within(0, PLACES - 1)).collect();
        let mut blocks: Vec<Option<Block<A>>> = empty(PLACES.into());
        user.probe.start();
        for (tag, place) in blocks.iter_mut().enumerate() {
            *place = Some(user.take(tag as u64));
        }
        for _ in 0..repeats {
            for &step in &steps {
                let place = &mut blocks[usize::from(step)];
                if let Some(block) = place.take() {
                    user.give(block, step.into());
                }
                *place = Some(user.take(step.into()));
            }
        }
        for (tag, place) in blocks.iter_mut().enumerate() {
            if let Some(block) = place.take() {
                user.give(block, tag as u64);
            }
        }
        user.probe.stop();
        u64::from(PLACES) + u64::from(STEPS) * u64::from(repeats)
    }
}

/// As [`Interleaved`], with sizes that the compiler does not know.
pub(crate) struct RandomMixed;

impl Workload for RandomMixed {
    const NAME: &'static str = "random-mixed";
    const ABOUT: &'static str = "256 blocks of 16 to 1,024 B alive, one at random freed and replaced in each step";
    const REPEATS: u32 = 150;

    #[inline(never)]
    fn run<A: Heap, P: Probe>(user: &mut User<A, P>, repeats: u32) -> u64 {
        let mut random = Random::new();
        let (least, greatest) = SIZES;
        let steps: Vec<(u16, u16)> =
            (0..STEPS).map(|_| (random.within(0, PLACES - 1), random.within(least, greatest))).collect();
        let mut blocks: Vec<Option<AnyBlock<A>>> = empty(PLACES.into());
        user.probe.start();
        for (tag, (place, &(_, size))) in blocks.iter_mut().zip(&steps).enumerate() {
            *place = Some(user.take_any(size, tag as u64));
        }
        for _ in 0..repeats {
            for &(step, size) in &steps {
                let place = &mut blocks[usize::from(step)];
                if let Some(block) = place.take() {
                    user.give_any(block, step.into());
                }
                *place = Some(user.take_any(size, step.into()));
            }
        }
        for (tag, place) in blocks.iter_mut().enumerate() {
            if let Some(block) = place.take() {
                user.give_any(block, tag as u64);
            }
        }
        user.probe.stop();
        u64::from(PLACES) + u64::from(STEPS) * u64::from(repeats)
    }
}

/// A table of `count` empty places.
fn empty<T>(count: usize) -> Vec<Option<T>> {
    (0..count).map(|_| None).collect()
}
