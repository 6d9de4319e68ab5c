//! Blocks of one size, many allocated and then all freed.

use std::mem::MaybeUninit;

use crate::probe::Probe;
use crate::subject::{Block, Subject, User};

/// `COUNT` blocks, freed in the opposite order.
#[inline(always)]
pub(super) fn last_first<const COUNT: u64, A: Subject, P: Probe>(user: &mut User<A, P>, repeats: u32) -> u64 {
    repeat(user, COUNT, repeats, free_backwards)
}

/// `COUNT` blocks, freed in the order in which they were allocated.
#[inline(always)]
pub(super) fn first_first<const COUNT: u64, A: Subject, P: Probe>(user: &mut User<A, P>, repeats: u32) -> u64 {
    repeat(user, COUNT, repeats, |user, blocks| {
        for (tag, block) in blocks.drain(..).enumerate() {
            user.give(block, tag as u64);
        }
    })
}

#[inline(always)]
fn repeat<A: Subject, P: Probe>(
    user: &mut User<A, P>,
    count: u64,
    repeats: u32,
    free: impl Fn(&mut User<A, P>, &mut Vec<Block<A>>),
) -> u64 {
    let mut blocks = table(count);
    user.probe.start();
    for _ in 0..repeats {
        allocate(user, &mut blocks, count);
        free(user, &mut blocks);
    }
    user.probe.stop();
    count * u64::from(repeats)
}

/// An empty table for `count` blocks. Its memory is touched now, so that it is not counted as the workload's.
pub(super) fn table<A: Subject>(count: u64) -> Vec<Block<A>> {
    let mut table = Vec::with_capacity(count as usize);
    table.spare_capacity_mut().fill_with(MaybeUninit::zeroed);
    table
}

/// Fills `blocks`, which has room for them; the tags are their indexes.
#[inline(always)]
pub(super) fn allocate<A: Subject, P: Probe>(user: &mut User<A, P>, blocks: &mut Vec<Block<A>>, count: u64) {
    blocks.extend((0..count as usize).map(|tag| user.take(tag as u64)));
}

/// Frees what [`allocate`] has allocated, the last first.
#[inline(always)]
pub(super) fn free_backwards<A: Subject, P: Probe>(user: &mut User<A, P>, blocks: &mut Vec<Block<A>>) {
    while let Some(block) = blocks.pop() {
        user.give(block, blocks.len() as u64);
    }
}
