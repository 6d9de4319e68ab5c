//! Blocks that are freed by another thread than allocated them, and threads that start and end.

use std::hint;
use std::panic;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::thread::{self, ScopedJoinHandle};

use super::lists;
use crate::probe::Probe;
use crate::subject::{Block, Subject, User};

/// Blocks handed over together. One by one, a consumer that is as fast as the producer waits for the very cache line
/// that the other is writing, and nothing but that is measured.
const TOGETHER: usize = 64;

/// One thread allocates, another frees.
#[inline(always)]
pub(super) fn producer_consumer<A: Subject, P: Probe>(user: &mut User<A, P>, repeats: u32) -> u64 {
    let ring: Vec<AtomicPtr<u64>> = (0..1024).map(|_| AtomicPtr::default()).collect();
    let count = ring.len() as u64 * u64::from(repeats);
    user.probe.start();
    thread::scope(|scope| {
        let consumer = user.fork();
        let consumer = scope.spawn(|| consume(consumer, &ring, repeats));
        produce(user, &ring, repeats, &consumer);
        user.probe.join(joined(consumer));
    });
    user.probe.stop();
    count
}

/// Allocates a block for each place of the ring, `repeats` times around.
fn produce<A: Subject, P: Probe>(
    user: &mut User<A, P>,
    ring: &[AtomicPtr<u64>],
    repeats: u32,
    consumer: &ScopedJoinHandle<P>,
) {
    for round in 0..u64::from(repeats) {
        for (number, places) in ring.chunks(TOGETHER).enumerate() {
            let mut waiting = Waiting::default();
            // The consumer empties them in order.
            while places.last().is_some_and(|last| !last.load(Ordering::Acquire).is_null()) {
                if consumer.is_finished() {
                    // It has found a broken block; joining it passes its panic on.
                    return;
                }
                waiting.turn();
            }
            for (place, tag) in places.iter().zip(number * TOGETHER..) {
                place.store(user.take(round << 32 | tag as u64).into_raw(), Ordering::Release);
            }
        }
    }
}

/// Frees what [`produce`] allocates.
fn consume<A: Subject, P: Probe>(mut user: User<A, P>, ring: &[AtomicPtr<u64>], repeats: u32) -> P {
    for round in 0..u64::from(repeats) {
        for (number, places) in ring.chunks(TOGETHER).enumerate() {
            let mut waiting = Waiting::default();
            // The producer fills them in order.
            while places.last().is_some_and(|last| last.load(Ordering::Acquire).is_null()) {
                waiting.turn();
            }
            for (place, tag) in places.iter().zip(number * TOGETHER..) {
                // SAFETY: the producer stores blocks of the same allocator, and each is taken out once: only this
                // thread empties a place.
                if let Some(block) = unsafe { Block::from_raw(place.load(Ordering::Acquire)) } {
                    place.store(std::ptr::null_mut(), Ordering::Release);
                    user.give(block, round << 32 | tag as u64);
                }
            }
        }
    }
    user.probe
}

/// Waits for the other thread: at first by spinning, and then by letting others run, for it may need this processor.
#[derive(Default)]
struct Waiting {
    turns: u32,
}

impl Waiting {
    fn turn(&mut self) {
        self.turns += 1;
        if self.turns < 100 {
            hint::spin_loop();
        } else {
            thread::yield_now();
        }
    }
}

/// Threads that live for a hundred blocks.
#[inline(always)]
pub(super) fn churn<A: Subject, P: Probe>(user: &mut User<A, P>, repeats: u32) -> u64 {
    const COUNT: u64 = 100;
    let mut blocks = lists::table(COUNT);
    user.probe.start();
    for _ in 0..repeats {
        let blocks = &mut blocks;
        let short = user.fork();
        let probe = thread::scope(|scope| joined(scope.spawn(|| live(short, blocks, COUNT))));
        user.probe.join(probe);
    }
    user.probe.stop();
    COUNT * u64::from(repeats)
}

/// All that a short-lived thread does.
fn live<A: Subject, P: Probe>(mut user: User<A, P>, blocks: &mut Vec<Block<A>>, count: u64) -> P {
    lists::allocate(&mut user, blocks, count);
    lists::free_backwards(&mut user, blocks);
    user.probe
}

/// What a thread returned; its panic goes on in this one.
fn joined<T>(thread: ScopedJoinHandle<T>) -> T {
    thread.join().unwrap_or_else(|panic| panic::resume_unwind(panic))
}
