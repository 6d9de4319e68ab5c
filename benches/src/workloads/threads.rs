//! Blocks that wander between threads, and threads that come and go.

use std::hint;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::Instant;

use super::blocks::{Block, Words, free_words, words};
use super::places::{self, Places};
use super::{Outcome, Random, Scale, Workload, outcome, pattern};

/// The same work in other numbers of threads.
pub(super) const SCALING: [Workload; 5] = [
    pattern("threads", "threads_1", "random_mixed_256 in 1 thread", |scale| scaling(scale, 1)),
    pattern("threads", "threads_2", "random_mixed_256, shared among 2 threads", |scale| scaling(scale, 2)),
    pattern("threads", "threads_4", "random_mixed_256, shared among 4 threads", |scale| scaling(scale, 4)),
    pattern("threads", "threads_8", "random_mixed_256, shared among 8 threads", |scale| scaling(scale, 8)),
    pattern("threads", "threads_16", "random_mixed_256, shared among 16 threads", |scale| scaling(scale, 16)),
];

fn scaling(scale: Scale, threads: u64) -> Outcome {
    places::replace_in_threads::<256, 16, 1024>(scale, threads, 16_000_000)
}

/// A thread's blocks and all it needs to replace them.
type Larson = Places<1000, 8, 1000>;

/// `lanes` threads replace blocks; each hands its blocks to a successor that it starts, and ends.
pub(super) fn larson(scale: Scale, lanes: u64) -> Outcome {
    const GENERATIONS: u64 = 40;
    const STEPS: u64 = 8_000_000;
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

/// Places between a producer and its consumer.
const RING: usize = 1024;

/// `pairs` threads allocate, as many others free.
pub(super) fn producer_consumer(scale: Scale, pairs: u64) -> Outcome {
    let rounds = (scale.of(8_000_000) / (pairs * RING as u64)).max(1);
    let rings: Vec<Vec<AtomicPtr<[u64; 8]>>> =
        (0..pairs).map(|_| (0..RING).map(|_| AtomicPtr::default()).collect()).collect();
    let started = Instant::now();
    thread::scope(|scope| {
        for ring in &rings {
            scope.spawn(|| produce(ring, rounds));
            scope.spawn(|| consume(ring, rounds));
        }
    });
    outcome(rounds * pairs * RING as u64, started.elapsed())
}

fn produce(ring: &[AtomicPtr<[u64; 8]>], rounds: u64) {
    for round in 0..rounds {
        for place in ring {
            let block: Words<8> = words(round);
            let mut waiting = Waiting::default();
            while !place.load(Ordering::Acquire).is_null() {
                waiting.turn();
            }
            place.store(Box::into_raw(block), Ordering::Release);
        }
    }
}

fn consume(ring: &[AtomicPtr<[u64; 8]>], rounds: u64) {
    for round in 0..rounds {
        for place in ring {
            let mut waiting = Waiting::default();
            let block = loop {
                let block = place.load(Ordering::Acquire);
                if !block.is_null() {
                    break block;
                }
                waiting.turn();
            };
            place.store(ptr::null_mut(), Ordering::Release);
            // SAFETY: the producer has stored what `into_raw` gave, and each place is emptied by this thread alone.
            free_words(unsafe { Box::from_raw(block) }, round);
        }
    }
}

/// Waits for the other thread: at first by spinning, and then by letting others run, for it may need this processor.
#[derive(Default)]
struct Waiting(u32);

impl Waiting {
    fn turn(&mut self) {
        self.0 += 1;
        if self.0 < 100 {
            hint::spin_loop();
        } else if self.0 < 100_000_000 {
            thread::yield_now();
        } else {
            // Half a minute: the other thread has found a broken block and is gone.
            panic!("the other end of the ring does not move");
        }
    }
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
