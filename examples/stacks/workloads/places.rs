//! Blocks freed in random order. The random numbers are made beforehand, so their time is not measured.

use hakmem_harness::random::Random;

use crate::probe::Probe;
use crate::subject::{Block, SIZES, Subject, User};

/// Many blocks allocated, and freed in random order.
#[inline(always)]
pub(super) fn random_free<A: Subject, P: Probe>(user: &mut User<A, P>, repeats: u32) -> u64 {
    const COUNT: usize = 50_000;
    let order = Random::new(0).order(COUNT);
    let mut blocks: Vec<Option<Block<A>>> = empty(COUNT);
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
    COUNT as u64 * u64::from(repeats)
}

/// Blocks alive at a time in the workloads below.
const PLACES: usize = 256;
/// The steps after which they repeat themselves.
const STEPS: usize = 4096;

/// [`replace`] with blocks of 64 bytes.
#[inline(always)]
pub(super) fn replace_constant<A: Subject, P: Probe>(user: &mut User<A, P>, repeats: u32) -> u64 {
    replace(user, repeats, |_| (), |user, (), tag| user.take(tag), User::give)
}

/// [`replace`] with blocks of random sizes.
#[inline(always)]
pub(super) fn replace_mixed<A: Subject, P: Probe>(user: &mut User<A, P>, repeats: u32) -> u64 {
    let (least, greatest) = SIZES;
    let size = |random: &mut Random| random.within(least.into(), greatest.into()) as u16;
    replace(user, repeats, size, User::take_any, User::give_any)
}

/// Allocations and frees in turn over a small set of blocks: one at random is freed and replaced in each step.
#[inline(always)]
fn replace<A: Subject, P: Probe, B, S: Copy>(
    user: &mut User<A, P>,
    repeats: u32,
    size: impl Fn(&mut Random) -> S,
    take: impl Fn(&mut User<A, P>, S, u64) -> B,
    give: impl Fn(&mut User<A, P>, B, u64),
) -> u64 {
    let mut random = Random::new(0);
    let steps: Vec<(u16, S)> = (0..STEPS).map(|_| (random.below(PLACES) as u16, size(&mut random))).collect();
    let mut blocks: Vec<Option<B>> = empty(PLACES);
    user.probe.start();
    for (tag, (place, &(_, size))) in blocks.iter_mut().zip(&steps).enumerate() {
        *place = Some(take(user, size, tag as u64));
    }
    for _ in 0..repeats {
        for &(step, size) in &steps {
            let place = &mut blocks[usize::from(step)];
            if let Some(block) = place.take() {
                give(user, block, step.into());
            }
            *place = Some(take(user, size, step.into()));
        }
    }
    for (tag, place) in blocks.iter_mut().enumerate() {
        if let Some(block) = place.take() {
            give(user, block, tag as u64);
        }
    }
    user.probe.stop();
    PLACES as u64 + STEPS as u64 * u64::from(repeats)
}

/// A table of `count` empty places.
fn empty<T>(count: usize) -> Vec<Option<T>> {
    (0..count).map(|_| None).collect()
}
