//! Model of a heap that is taken over while its thread sleeps, as far as anybody knows (`slab/parked.rs`): a slab with two
//! blocks on `free`, one on `local_free`, and one that the program has. The owner allocates and frees by hits, which take no
//! lock, and then takes a slow path; a keeper takes the lists over. No block is ever handed out twice, and in the slow path
//! each is where it belongs.
//!
//! The lock is the allocator's own. `membarrier`, which has every thread execute a fence, is one in the keeper and one at
//! the beginning of each hit. The order of the steps is that of `keeper.rs` and `parked.rs`. The twins: no second fence, a
//! keeper that takes the first block of `free`, one that does not look at the head again after it has read a link, and an
//! owner that believes all of a changed `local_free`.

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
    /// The lists are taken right after the slab was shut.
    NoSecondFence,
    /// The block that an allocation may be about to return is taken, too.
    TakesFirst,
    /// The head is not looked at again after the first block's link was read.
    LooksOnce,
    /// The owner follows the links of a changed `local_free`.
    BelievesAll,
}

const OWNER: u64 = 1;
const PARKED: u64 = 3;
/// What the program writes into its blocks.
const DATA: u64 = 99;
const BLOCKS: usize = 4;

/// What only who has the lock reads and writes.
#[derive(Default)]
struct Books {
    /// Whether a block is free in the bitmap.
    free: [bool; BLOCKS + 1],
    is_kept: bool,
    first_free: u64,
    first_freed: u64,
}

struct World {
    lock: BiasedLock<LoomWord>,
    owner: AtomicU64,
    /// Whether the thread cache has the slab.
    current: AtomicU64,
    free: AtomicU64,
    local_free: AtomicU64,
    /// The first word of each block, by its number; there is no block 0.
    words: [AtomicU64; BLOCKS + 1],
    books: UnsafeCell<Books>,
    fault: Fault,
}

impl World {
    fn new(fault: Fault) -> World {
        let words = [0, 2, 0, 0, DATA].map(AtomicU64::new);
        let lock = BiasedLock::new(LoomWord(AtomicU64::new(0)), LoomWord(AtomicU64::new(0)));
        World {
            lock,
            owner: AtomicU64::new(OWNER),
            current: AtomicU64::new(1),
            free: AtomicU64::new(1),
            local_free: AtomicU64::new(3),
            words,
            books: UnsafeCell::new(Books::default()),
            fault,
        }
    }

    fn word(&self, block: u64) -> &AtomicU64 {
        self.words.get(block as usize).expect("a link was read that was none")
    }

    fn books<R>(&self, with: impl FnOnce(&mut Books) -> R) -> R {
        // SAFETY: the caller has the lock. If the lock is wrong about that, loom reports the race.
        self.books.with_mut(|books| with(unsafe { &mut *books }))
    }

    /// A hit of the owner.
    fn pop(&self) -> Option<u64> {
        Both::light();
        if self.current.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let first = self.free.load(Ordering::Relaxed);
        if first == 0 {
            return None;
        }
        let next = self.word(first).load(Ordering::Relaxed);
        self.free.store(next, Ordering::Release);
        // The program's. (Release, as the machine does not exchange stores.)
        self.word(first).store(DATA, Ordering::Release);
        Some(first)
    }

    /// A hit of the owner. `false`: the block was not taken.
    fn push(&self, block: u64) -> bool {
        Both::light();
        if self.owner.load(Ordering::Relaxed) != OWNER {
            return false;
        }
        self.word(block).store(self.local_free.load(Ordering::Relaxed), Ordering::Relaxed);
        self.local_free.store(block, Ordering::Release);
        true
    }

    /// The free blocks that `first` leads to.
    fn take_list(&self, books: &mut Books, first: u64) {
        let mut block = first;
        while block != 0 {
            let free = books.free.get_mut(block as usize).expect("a link was read that was none");
            assert!(!std::mem::replace(free, true), "a block is free twice");
            block = self.word(block).load(Ordering::Relaxed);
        }
    }

    /// What a keeper does.
    fn keep(&self) {
        self.lock.close();
        Both::heavy();
        if self.lock.is_left() {
            self.owner.store(PARKED, Ordering::Relaxed);
            self.current.store(0, Ordering::Relaxed);
            if self.fault != Fault::NoSecondFence {
                Both::heavy();
            }
            self.books(|books| self.take_over(books));
        }
        self.lock.open();
    }

    fn take_over(&self, books: &mut Books) {
        books.is_kept = true;
        books.first_freed = self.local_free.load(Ordering::Acquire);
        self.take_list(books, books.first_freed);
        books.first_free = self.free.load(Ordering::Acquire);
        if books.first_free == 0 {
            return;
        }
        if self.fault == Fault::TakesFirst {
            return self.take_list(books, books.first_free);
        }
        let after = self.word(books.first_free).load(Ordering::Acquire);
        let now = self.free.load(Ordering::Relaxed);
        if now == books.first_free || self.fault == Fault::LooksOnce {
            self.take_list(books, after);
        } else {
            books.first_free = 0;
            self.take_list(books, now);
        }
    }

    /// A slow path of the owner, in which the slab is whole again: no block is on a list. Returns what is free.
    fn enter_and_reopen(&self) -> [bool; BLOCKS + 1] {
        while !self.lock.enter::<Both>() {
            self.lock.leave();
            thread::yield_now();
        }
        let free = self.books(|books| {
            self.reopen(books);
            books.free
        });
        self.lock.leave();
        free
    }

    fn reopen(&self, books: &mut Books) {
        let (free, freed) = (self.free.load(Ordering::Relaxed), self.local_free.load(Ordering::Relaxed));
        self.free.store(0, Ordering::Relaxed);
        self.local_free.store(0, Ordering::Relaxed);
        self.owner.store(OWNER, Ordering::Relaxed);
        if !std::mem::take(&mut books.is_kept) {
            self.take_list(books, free);
            return self.take_list(books, freed);
        }
        let kept = if free == books.first_free { free } else { 0 };
        let pushed = if freed == books.first_freed { 0 } else { freed };
        if self.fault == Fault::BelievesAll {
            self.take_list(books, pushed);
        }
        for block in [kept, if self.fault == Fault::BelievesAll { 0 } else { pushed }] {
            if block != 0 {
                self.word(block).store(0, Ordering::Relaxed);
                self.take_list(books, block);
            }
        }
    }
}

/// The owner pops, pushes, pops, and takes a slow path, beside a keeper.
fn sleeping(fault: Fault) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(move || {
        let world = Arc::new(World::new(fault));
        let keeper = {
            let world = Arc::clone(&world);
            thread::spawn(move || world.keep())
        };
        let mut has = vec![4];
        has.extend(world.pop());
        let block = has.remove(0);
        if !world.push(block) {
            has.push(block);
        }
        has.extend(world.pop());
        let free = world.enter_and_reopen();
        keeper.join().expect("the keeper ends well");
        for block in 1..=BLOCKS as u64 {
            let owners = has.iter().filter(|&&other| other == block).count() + usize::from(free[block as usize]);
            assert_eq!(owners, 1, "block {block} has {owners} owners");
        }
    });
}

#[test]
fn no_block_is_lost_or_handed_out_twice() {
    sleeping(Fault::None);
}

#[test]
#[should_panic]
fn a_fence_must_follow_before_the_lists_are_taken() {
    sleeping(Fault::NoSecondFence);
}

#[test]
#[should_panic]
fn the_first_block_must_stay() {
    sleeping(Fault::TakesFirst);
}

#[test]
#[should_panic]
fn the_head_must_be_looked_at_again() {
    sleeping(Fault::LooksOnce);
}

#[test]
#[should_panic]
fn only_the_first_block_of_a_changed_list_is_the_owners() {
    sleeping(Fault::BelievesAll);
}
