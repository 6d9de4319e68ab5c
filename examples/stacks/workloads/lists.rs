//! Blocks of one size, many allocated and then all freed.

use std::mem::MaybeUninit;

use super::Workload;
use crate::probe::Probe;
use crate::subject::{Block, Heap, User};

/// Freed in the opposite order, few at a time: what a front layer is made for.
pub(crate) struct Lifo;

impl Workload for Lifo {
    const NAME: &'static str = "lifo";
    const ABOUT: &'static str = "100 blocks of 64 B, freed last in first out";
    const REPEATS: u32 = 20_000;

    #[inline(never)]
    fn run<A: Heap, P: Probe>(user: &mut User<A, P>, repeats: u32) -> u64 {
        last_first(user, 100, repeats)
    }
}

/// Freed in the order in which they were allocated.
pub(crate) struct Fifo;

impl Workload for Fifo {
    const NAME: &'static str = "fifo";
    const ABOUT: &'static str = "100 blocks of 64 B, freed first in first out";
    const REPEATS: u32 = 20_000;

    #[inline(never)]
    fn run<A: Heap, P: Probe>(user: &mut User<A, P>, repeats: u32) -> u64 {
        first_first(user, 100, repeats)
    }
}

/// More blocks than any front layer holds, so that they travel to the slabs and back.
pub(crate) struct Depth;

impl Workload for Depth {
    const NAME: &'static str = "depth";
    const ABOUT: &'static str = "10,000 blocks of 64 B, freed last in first out";
    const REPEATS: u32 = 100;

    #[inline(never)]
    fn run<A: Heap, P: Probe>(user: &mut User<A, P>, repeats: u32) -> u64 {
        last_first(user, 10_000, repeats)
    }
}

/// So many that slabs become empty again and again.
pub(crate) struct Burst;

impl Workload for Burst {
    const NAME: &'static str = "burst";
    const ABOUT: &'static str = "bursts of 50,000 blocks of 64 B, freed first in first out";
    const REPEATS: u32 = 20;

    #[inline(never)]
    fn run<A: Heap, P: Probe>(user: &mut User<A, P>, repeats: u32) -> u64 {
        first_first(user, 50_000, repeats)
    }
}

#[inline(always)]
fn last_first<A: Heap, P: Probe>(user: &mut User<A, P>, count: u64, repeats: u32) -> u64 {
    let mut blocks = table(count);
    user.probe.start();
    for _ in 0..repeats {
        allocate(user, &mut blocks, count);
        while let Some(block) = blocks.pop() {
            user.give(block, blocks.len() as u64);
        }
    }
    user.probe.stop();
    count * u64::from(repeats)
}

#[inline(always)]
fn first_first<A: Heap, P: Probe>(user: &mut User<A, P>, count: u64, repeats: u32) -> u64 {
    let mut blocks = table(count);
    user.probe.start();
    for _ in 0..repeats {
        allocate(user, &mut blocks, count);
        for (tag, block) in blocks.drain(..).enumerate() {
            user.give(block, tag as u64);
        }
    }
    user.probe.stop();
    count * u64::from(repeats)
}

/// Fills `blocks`, which has room for them; the tags are their places.
#[inline(always)]
pub(super) fn allocate<A: Heap, P: Probe>(user: &mut User<A, P>, blocks: &mut Vec<Block<A>>, count: u64) {
    blocks.extend((0..count as usize).map(|tag| user.take(tag as u64)));
}

/// An empty table for `count` blocks. Its memory is touched now, so that it is not counted as the workload's.
pub(super) fn table<A: Heap>(count: u64) -> Vec<Block<A>> {
    let mut table = Vec::with_capacity(count as usize);
    table.spare_capacity_mut().fill_with(MaybeUninit::zeroed);
    table
}
