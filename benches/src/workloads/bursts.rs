//! How much memory is kept when most of it is free, or all.

use std::alloc::{self, Layout, handle_alloc_error};
use std::ptr;
use std::thread;
use std::time::{Duration, Instant};

use hakmem_harness::process;
use hakmem_harness::random::Random;

use super::blocks::Block;
use super::{Outcome, Scale, outcome};
use crate::Sample;

/// What a program does after its burst.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum After {
    /// A few small blocks every ten milliseconds.
    Trickle,
    /// It sleeps.
    Nothing,
}

/// The head of each block of a burst. They are a list, so that nothing but they takes memory.
struct Link {
    next: *mut Link,
    size: usize,
}

impl Link {
    fn layout(size: usize) -> Layout {
        // SAFETY: sizes are small.
        unsafe { Layout::from_size_align_unchecked(size, align_of::<Link>()) }
    }
}

/// Resident bytes of this process that no file backs.
fn resident() -> u64 {
    process::anonymous().unwrap_or(0)
}

/// 400 MiB of small blocks, freed; then two seconds of watching. What is timed is the burst.
pub(super) fn burst(scale: Scale, after: After) -> Outcome {
    let total = scale.of(400 << 20);
    let before = resident();
    let mut timeline = Vec::with_capacity(128);
    let mut random = Random::new(0);
    let started = Instant::now();

    let (mut head, mut live, mut count) = (ptr::null_mut::<Link>(), 0_u64, 0);
    while live < total {
        let size = random.within(size_of::<Link>(), 256);
        // SAFETY: the size is that of a link or more; the link is written at once.
        unsafe {
            let link = alloc::alloc(Link::layout(size)).cast::<Link>();
            if link.is_null() {
                handle_alloc_error(Link::layout(size));
            }
            link.write(Link { next: head, size });
            head = link;
        }
        live += size as u64;
        count += 1;
    }
    let allocated = started.elapsed();
    let full = Sample { seconds: 0.0, resident: resident(), live };
    let freeing = Instant::now();
    let mut checked = 0;
    while !head.is_null() {
        // SAFETY: the list holds blocks that were allocated with the size that they tell; each is freed once.
        unsafe {
            let Link { next, size } = head.read();
            alloc::dealloc(head.cast(), Link::layout(size));
            head = next;
            checked += size as u64;
        }
    }
    let freed = freeing.elapsed();
    assert_eq!(checked, live, "the list was changed while it was in use");

    timeline.push(Sample { seconds: -freed.as_secs_f64(), ..full });
    let quiet = Instant::now();
    let mut trickle: [Option<Block>; 64] = [const { None }; 64];
    let mut kept = None;
    for turn in 0.. {
        let seconds = quiet.elapsed().as_secs_f64();
        if turn % 5 == 0 {
            timeline.push(Sample { seconds, resident: resident(), live: 0 });
        }
        if kept.is_none() && seconds >= 1.0 {
            kept = Some(resident().saturating_sub(before));
        }
        if seconds >= 2.0 {
            break;
        }
        if after == After::Trickle {
            for _ in 0..8 {
                let place = random.below(trickle.len());
                if let Some(block) = trickle[place].take() {
                    block.free(place as u64);
                }
                trickle[place] = Some(Block::new(random.within(16, 256), place as u64));
            }
        }
        thread::sleep(Duration::from_millis(10));
    }
    for (tag, block) in trickle.into_iter().enumerate() {
        if let Some(block) = block {
            block.free(tag as u64);
        }
    }
    Outcome { timeline, kept, ..outcome(count, allocated + freed) }
}

/// Blocks of one size range after the other, of which every other one stays: what is freed is too small for what
/// follows. In the end everything goes.
pub(super) fn gaps(scale: Scale) -> Outcome {
    const ROUNDS: usize = 8;
    const BYTES: u64 = 32 << 20;
    let bytes = scale.of(BYTES);
    let mut timeline = Vec::with_capacity(2 * ROUNDS + 2);
    let mut random = Random::new(0);
    let mut blocks: Vec<Block> = Vec::with_capacity(2 << 20);
    let (mut elapsed, mut count, mut live) = (Duration::ZERO, 0, 0_u64);
    let mut sample = |elapsed: Duration, live| {
        timeline.push(Sample { seconds: elapsed.as_secs_f64(), resident: resident(), live });
    };
    sample(elapsed, live);
    for round in 0..ROUNDS {
        let started = Instant::now();
        // 16–32 B, 24–48 B, 36–72 B, … to 273–546 B.
        let from = (16.0 * 1.5_f64.powi(round as i32)) as usize;
        let mut added = 0;
        while added < bytes {
            let size = random.within(from, 2 * from);
            blocks.push(Block::new(size, size as u64));
            added += size as u64;
            count += 1;
        }
        live += added;
        elapsed += started.elapsed();
        sample(elapsed, live);
        let started = Instant::now();
        let mut other = false;
        for block in blocks.extract_if(.., |_| {
            other = !other;
            other
        }) {
            let size = block.size() as u64;
            live -= size;
            block.free(size);
        }
        elapsed += started.elapsed();
        sample(elapsed, live);
    }
    let started = Instant::now();
    for block in blocks.drain(..) {
        let size = block.size() as u64;
        block.free(size);
    }
    elapsed += started.elapsed();
    sample(elapsed, 0);
    Outcome { timeline, ..outcome(count, elapsed) }
}
