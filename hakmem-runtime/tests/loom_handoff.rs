//! Model of a background queue: misses take batches and ask for more, a worker fills the slots and sleeps. Each batch has one
//! owner, who sees what the worker wrote; and when all is quiet no request is left, and no slot that a miss has emptied. The
//! slots and the worker's sleep are the allocator's own, on loom's atomics; the broken variants must fail.

mod common;
#[path = "common/relaxed.rs"]
mod relaxed;

use common::LoomWord;
use hakmem_runtime::protocol::{Handoff, Word, fall_asleep, wake};
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicU64, Ordering, fence};
use loom::thread;
use relaxed::Relaxed;

const AWAKE: u64 = 1;

/// A word whose `SeqCst` accesses are between two fences: loom treats them as weaker ones, but knows fences.
#[derive(Debug)]
struct Fenced<W>(W);

fn fenced<T>(order: Ordering, access: impl FnOnce() -> T) -> T {
    if order != Ordering::SeqCst {
        return access();
    }
    fence(Ordering::SeqCst);
    let result = access();
    fence(Ordering::SeqCst);
    result
}

impl<W: Word> Word for Fenced<W> {
    fn load(&self, order: Ordering) -> u64 {
        fenced(order, || self.0.load(order))
    }
    fn store(&self, value: u64, order: Ordering) {
        fenced(order, || self.0.store(value, order));
    }
    fn compare_exchange_weak(&self, old: u64, new: u64, success: Ordering, failure: Ordering) -> Result<u64, u64> {
        fenced(success, || self.0.compare_exchange_weak(old, new, success, failure))
    }
}

/// A broken twin: what reads and writes is not one operation.
#[derive(Debug)]
struct Torn<W>(W);

impl<W: Word> Word for Torn<W> {
    fn load(&self, order: Ordering) -> u64 {
        self.0.load(order)
    }
    fn store(&self, value: u64, order: Ordering) {
        self.0.store(value, order);
    }
    fn compare_exchange_weak(&self, old: u64, new: u64, _: Ordering, _: Ordering) -> Result<u64, u64> {
        let found = self.0.load(Ordering::Acquire);
        if found != old {
            return Err(found);
        }
        self.0.store(new, Ordering::Release);
        Ok(old)
    }
}

/// What is done wrong.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    /// A miss wakes the worker and then asks.
    WakesFirst,
    /// The worker does not look once more when it falls asleep.
    SleepsAtOnce,
}

const BATCHES: usize = 6;

/// A queue, and its batches, numbered from 1. The owner of a batch writes to it.
struct World<W> {
    queue: Handoff<W, 1>,
    state: Fenced<LoomWord>,
    batches: [UnsafeCell<u32>; BATCHES + 1],
    fault: Fault,
}

impl<W: Word> World<W> {
    fn touch(&self, batch: u64) {
        // SAFETY: the caller believes that it owns the batch. If the protocol is wrong about that, loom reports the race and
        // fails the test.
        self.batches[batch as usize].with_mut(|times| unsafe { *times += 1 });
    }

    fn miss(&self) -> Option<u64> {
        let batch = self.queue.take();
        if let Some(batch) = batch {
            self.touch(batch);
        }
        if self.fault == Fault::WakesFirst {
            wake(&self.state);
            self.queue.want();
        } else {
            self.queue.want();
            wake(&self.state);
        }
        batch
    }

    fn fill(&self, made: &mut u64) {
        self.queue.fill(|| {
            *made += 1;
            self.touch(*made);
            *made
        });
    }

    /// The worker's, as in `background.rs`.
    fn round(&self, made: &mut u64) {
        if self.queue.take_wanted() {
            self.fill(made);
        }
    }
}

/// Two threads miss while the worker works, and falls asleep.
fn misses<W: Word + 'static>(word: fn() -> W, fault: Fault) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(2);
    model.check(move || {
        let world = Arc::new(World {
            queue: Handoff::new([word()], word()),
            state: Fenced(LoomWord(AtomicU64::new(AWAKE))),
            batches: [(); BATCHES + 1].map(|()| UnsafeCell::new(0)),
            fault,
        });
        let mut made = 0;
        world.fill(&mut made);
        let missing = [(); 2].map(|()| {
            let world = Arc::clone(&world);
            thread::spawn(move || world.miss())
        });
        world.round(&mut made);
        let look = || {
            if fault != Fault::SleepsAtOnce {
                world.round(&mut made);
            }
            false
        };
        let asleep = fall_asleep(&world.state, look);
        let taken = missing.map(|thread| thread.join().unwrap());
        // Nobody misses any more. A worker that was woken, or that is awake, looks.
        if !asleep || world.state.load(Ordering::SeqCst) == AWAKE {
            world.round(&mut made);
        }
        assert!(!world.queue.take_wanted(), "asleep despite a request");
        let left = world.queue.take();
        let mut all: Vec<u64> = taken.into_iter().chain([left]).flatten().collect();
        all.sort_unstable();
        assert!(all.windows(2).all(|two| two[0] != two[1]), "a batch has two owners");
        assert!(left.is_some(), "a slot stays empty");
        assert_eq!(all.len() as u64, made, "a batch is lost");
        all.iter().for_each(|batch| world.touch(*batch));
    });
}

fn ordered() -> Fenced<LoomWord> {
    Fenced(LoomWord(AtomicU64::new(0)))
}

#[test]
fn batches_have_one_owner_and_requests_are_served() {
    misses(ordered, Fault::None);
}

#[test]
#[should_panic(expected = "Causality violation: Concurrent write accesses")]
fn batches_that_are_handed_on_without_order_are_caught() {
    misses(|| Fenced(Relaxed(LoomWord(AtomicU64::new(0)))), Fault::None);
}

#[test]
#[should_panic(expected = "Causality violation: Concurrent write accesses")]
fn taking_in_two_steps_is_caught() {
    misses(|| Torn(ordered()), Fault::None);
}

#[test]
#[should_panic(expected = "asleep despite a request")]
fn waking_before_asking_is_caught() {
    misses(ordered, Fault::WakesFirst);
}

#[test]
#[should_panic(expected = "asleep despite a request")]
fn sleeping_at_once_is_caught() {
    misses(ordered, Fault::SleepsAtOnce);
}
