//! Model of a loaded magazine of `heapv2` that is taken over while its thread sleeps, as far as anybody knows (`cache/heapv2.rs`):
//! two blocks in it, room for one, and one that the program has. The owner pops and pushes by hits, which take no lock, and then
//! takes a slow path; a keeper moves the slots to a spare magazine, and after a fence takes the blocks. Each block has one owner at
//! the end.
//!
//! `membarrier`, which has every thread execute a fence, is one in the keeper and one at the beginning of each hit. The twins: no
//! second fence, a keeper that takes the block at the top, one that does not look whether a slot was written to, and an owner that
//! looks for a pushed block where the push has stored it, though the keeper may have moved it.

mod common;
#[path = "common/fences.rs"]
mod fences;

use common::LoomWord;
use fences::Both;
use hakmem_runtime::protocol::{BiasedLock, Fences};
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicU64, Ordering};
use loom::thread;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    /// The blocks are taken right after the slots were moved.
    NoSecondFence,
    /// The block that a pop may be about to return is taken, too.
    TakesTop,
    /// Slots that were written to after they were moved are not noticed.
    OverlooksPushes,
    /// A pushed block that was moved is not looked for in the spare magazine.
    ForgetsMoved,
}

const LIMIT: usize = 3;
const BLOCKS: u64 = 3;

/// What only who has the lock reads and writes.
#[derive(Default)]
struct Books {
    /// The slots of the spare magazine, if the state is shut.
    spare: Option<[u64; LIMIT]>,
    /// The number of blocks when they were taken, if they were.
    taken: Option<usize>,
    flushed: Vec<u64>,
}

struct World {
    lock: BiasedLock<LoomWord>,
    /// Blocks by their number, or 0.
    slots: [AtomicU64; LIMIT],
    /// How many slots there are up to the top.
    top: AtomicU64,
    /// A push needs a top below it.
    last: AtomicU64,
    books: UnsafeCell<Books>,
    fault: Fault,
}

impl World {
    fn new(fault: Fault) -> World {
        World {
            lock: BiasedLock::new(LoomWord(AtomicU64::new(0)), LoomWord(AtomicU64::new(0))),
            slots: [1, 2, 0].map(AtomicU64::new),
            top: AtomicU64::new(2),
            last: AtomicU64::new(LIMIT as u64),
            books: UnsafeCell::new(Books::default()),
            fault,
        }
    }

    fn books<R>(&self, with: impl FnOnce(&mut Books) -> R) -> R {
        // SAFETY: the caller has the lock. If the lock is wrong about that, loom reports the race.
        self.books.with_mut(|books| with(unsafe { &mut *books }))
    }

    /// A hit of the owner.
    fn pop(&self) -> Option<u64> {
        Both::light();
        let top = self.top.load(Ordering::Relaxed);
        let slot = self.slots.get((top as usize).checked_sub(1)?)?;
        let block = slot.load(Ordering::Relaxed);
        (block != 0).then(|| {
            self.top.store(top - 1, Ordering::Release);
            block
        })
    }

    /// A hit of the owner. `false`: the block was not taken.
    fn push(&self, block: u64) -> bool {
        Both::light();
        let top = self.top.load(Ordering::Relaxed);
        if top >= self.last.load(Ordering::Relaxed) {
            return false;
        }
        // An exchange, since loom does not order a store and an exchange that are concurrent.
        self.slots[top as usize].swap(block, Ordering::Release);
        self.top.store(top + 1, Ordering::Release);
        true
    }

    /// What a keeper does.
    fn keep(&self) {
        self.lock.close();
        Both::heavy();
        if self.lock.is_left() {
            self.books(|books| self.shut(books));
            if self.fault != Fault::NoSecondFence {
                Both::heavy();
            }
            self.books(|books| self.take_over(books));
        }
        self.lock.open();
    }

    fn shut(&self, books: &mut Books) {
        self.last.store(0, Ordering::Relaxed);
        books.spare = Some(self.slots.each_ref().map(|slot| slot.swap(0, Ordering::Acquire)));
    }

    fn take_over(&self, books: &mut Books) {
        let count = self.top.load(Ordering::Acquire) as usize;
        let is_pushing = self.slots[..count].iter().any(|slot| slot.load(Ordering::Relaxed) != 0);
        if is_pushing && self.fault != Fault::OverlooksPushes {
            return;
        }
        self.last.store(count.saturating_sub(1) as u64, Ordering::Relaxed);
        books.taken = Some(count);
        let spare = &mut books.spare.as_mut().expect("it was shut")[..count];
        if count > 0 {
            spare.swap(0, count - 1);
        }
        let from = usize::from(self.fault != Fault::TakesTop).min(count);
        books.flushed.extend_from_slice(&spare[from..]);
    }

    /// A slow path of the owner, in which the state is whole again. Returns what is in it, and what was flushed.
    fn enter_and_reopen(&self) -> Vec<u64> {
        while !self.lock.enter::<Both>() {
            self.lock.leave();
            thread::yield_now();
        }
        let all = self.books(|books| {
            let mut all = self.reopen(books);
            all.extend_from_slice(&books.flushed);
            all
        });
        self.lock.leave();
        all
    }

    fn reopen(&self, books: &mut Books) -> Vec<u64> {
        let top = self.top.load(Ordering::Relaxed) as usize;
        let slots = self.slots.each_ref().map(|slot| slot.load(Ordering::Relaxed));
        let Some(spare) = books.spare.take() else { return slots[..top].to_vec() };
        let or_moved = |at: usize| if slots[at] == 0 { spare[at] } else { slots[at] };
        let blocks: Vec<u64> = match books.taken.take() {
            None => (0..top).map(or_moved).collect(),
            Some(left) => {
                let first = (top >= left && left > 0).then_some(spare[0]);
                let find = |at: usize| if self.fault == Fault::ForgetsMoved { slots[at] } else { or_moved(at) };
                first.into_iter().chain((top > left).then(|| find(left))).collect()
            }
        };
        for (slot, &block) in self.slots.iter().zip(&blocks) {
            slot.store(block, Ordering::Relaxed);
        }
        self.top.store(blocks.len() as u64, Ordering::Relaxed);
        self.last.store(LIMIT as u64, Ordering::Relaxed);
        blocks
    }
}

/// The owner works, and takes a slow path, beside a keeper.
fn sleeping(fault: Fault, work: impl Fn(&World, &mut Vec<u64>) + Sync + Send + Copy + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(move || {
        let world = Arc::new(World::new(fault));
        let keeper = {
            let world = Arc::clone(&world);
            thread::spawn(move || world.keep())
        };
        let mut has = vec![3];
        work(&world, &mut has);
        world.enter_and_reopen();
        keeper.join().expect("the keeper ends well");
        // The keeper may have come after that slow path: the next one finds what it left.
        let free = world.enter_and_reopen();
        for block in 1..=BLOCKS {
            let owners = has.iter().chain(&free).filter(|&&other| other == block).count();
            assert_eq!(owners, 1, "block {block} has {owners} owners: {has:?}, {free:?}");
        }
    });
}

fn push_and_pop(world: &World, has: &mut Vec<u64>) {
    if world.push(3) {
        has.clear();
    }
    has.extend(world.pop());
}

fn pop_and_push(world: &World, has: &mut Vec<u64>) {
    has.extend(world.pop());
    if world.push(3) {
        has.retain(|&block| block != 3);
    }
}

fn push(world: &World, has: &mut Vec<u64>) {
    if world.push(3) {
        has.clear();
    }
}

#[test]
fn no_block_is_lost_or_handed_out_twice() {
    sleeping(Fault::None, push);
    println!("push");
    sleeping(Fault::None, push_and_pop);
    println!("push_and_pop");
    sleeping(Fault::None, pop_and_push);
}

#[test]
#[should_panic]
fn a_fence_must_follow_before_the_blocks_are_taken() {
    sleeping(Fault::NoSecondFence, push_and_pop);
    sleeping(Fault::NoSecondFence, pop_and_push);
}

#[test]
#[should_panic]
fn the_block_at_the_top_must_stay() {
    sleeping(Fault::TakesTop, pop_and_push);
}

#[test]
#[should_panic]
fn a_slot_that_was_written_to_must_be_noticed() {
    sleeping(Fault::OverlooksPushes, push);
}

#[test]
#[should_panic]
fn a_pushed_block_may_have_been_moved() {
    sleeping(Fault::ForgetsMoved, push);
}
