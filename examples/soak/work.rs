//! What each thread does: blocks of all sizes and lifetimes, passed on to other threads, and forks.

use crate::block::{self, Block};
use crate::random::Random;
use crate::specs::Subject;
use crate::threads;
use std::alloc::Layout;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Blocks that a thread holds at most, and about how many bytes.
const HELD: usize = 4000;
const BYTES: usize = 24 << 20;

/// Places for blocks that threads leave for each other, each for a single block or for a batch; and the bytes of each.
const PLACES: usize = 64;
const PASSED: usize = 2 << 20;

/// The most blocks of a burst.
const BURST: usize = 400;

/// After so many seconds a child hangs, however busy the machine is.
const CHILD: u32 = 300;

/// What all threads did.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) operations: AtomicU64,
    pub(crate) nulls: AtomicU64,
    pub(crate) forks: AtomicU64,
}

/// What threads share.
pub(crate) struct Shared<A: Subject> {
    pub(crate) stop: AtomicBool,
    pub(crate) counts: Counts,
    places: [Mutex<Vec<Block<A>>>; PLACES],
    /// One fork at a time: each copies the tables of all pages.
    forking: AtomicBool,
}

impl<A: Subject> Shared<A> {
    pub(crate) fn new() -> Shared<A> {
        Shared {
            stop: AtomicBool::new(false),
            counts: Counts::default(),
            places: [const { Mutex::new(Vec::new()) }; PLACES],
            forking: AtomicBool::new(false),
        }
    }

    /// Leaves blocks at a place, and takes those that were there.
    fn exchange(&self, place: usize, blocks: Vec<Block<A>>) -> Vec<Block<A>> {
        let mut place = self.places[place].lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut place, blocks)
    }

    /// Frees what is left.
    pub(crate) fn clear(&self) {
        for place in 0..PLACES {
            drop(self.exchange(place, Vec::new()));
        }
    }
}

/// A thread's blocks.
struct Worker<'a, A: Subject> {
    shared: &'a Shared<A>,
    random: Random,
    held: Vec<Block<A>>,
    bytes: usize,
}

/// The life of a thread. It ends after a time, or at the stop; what it holds it frees, or leaves to others.
pub(crate) fn work<A: Subject>(shared: &Shared<A>, seed: u64) {
    let mut random = Random::new(seed.wrapping_add(1));
    let life = Duration::from_millis(10 << random.below(9));
    let start = Instant::now();
    let mut worker = Worker { shared, random, held: Vec::with_capacity(HELD + BURST), bytes: 0 };
    while start.elapsed() < life && !shared.stop.load(Ordering::Relaxed) {
        for _ in 0..200 {
            worker.operation();
        }
    }
    if worker.random.below(2) == 0 {
        worker.leave();
    }
}

impl<A: Subject> Worker<'_, A> {
    fn operation(&mut self) {
        let operations = match self.random.below(64) {
            0..28 => self.allocate(),
            28..52 => self.free(),
            52..60 => self.resize(),
            60..62 => self.pass_one(),
            62 => self.burst(),
            _ => self.seldom(),
        };
        self.shared.counts.operations.fetch_add(operations, Ordering::Relaxed);
    }

    fn allocate(&mut self) -> u64 {
        if self.bytes > BYTES || self.held.len() >= HELD {
            return self.free_many();
        }
        let layout = block::layout(&mut self.random);
        match self.new_block(layout) {
            Some(block) => self.keep(block),
            // Makes room as a program would.
            None => return 1 + self.free(),
        }
        1
    }

    fn new_block(&mut self, layout: Layout) -> Option<Block<A>> {
        let block = Block::new(layout, &mut self.random);
        self.shared.counts.nulls.fetch_add(u64::from(block.is_none()), Ordering::Relaxed);
        block
    }

    fn keep(&mut self, block: Block<A>) {
        self.bytes += block.size();
        self.held.push(block);
    }

    fn take(&mut self) -> Option<Block<A>> {
        if self.held.is_empty() {
            return None;
        }
        // Half of the time a young one: most blocks live for a short time.
        let count = self.held.len();
        let recent = if self.random.below(2) == 0 { count.min(16) } else { count };
        let block = self.held.swap_remove(count - 1 - self.random.below(recent));
        self.bytes -= block.size();
        Some(block)
    }

    fn free(&mut self) -> u64 {
        u64::from(self.take().is_some())
    }

    /// Frees about half, in the order of age or against it.
    fn free_many(&mut self) -> u64 {
        let count = self.held.len() / 2;
        if self.random.below(2) == 0 {
            drop(self.held.drain(..count));
        } else {
            (0..count).for_each(|_| drop(self.held.pop()));
        }
        self.bytes = self.held.iter().map(Block::size).sum();
        count as u64
    }

    fn resize(&mut self) -> u64 {
        let Some(mut block) = self.take() else { return 0 };
        let size = match self.random.below(4) {
            0 => block.size() * 2,
            1 => block.size() / 2 + 1,
            2 => block.size() + 1 + self.random.below(100),
            _ => block::layout(&mut self.random).size(),
        };
        if size < BYTES && !block.resize(size) {
            self.shared.counts.nulls.fetch_add(1, Ordering::Relaxed);
        }
        self.keep(block);
        1
    }

    fn pass_one(&mut self) -> u64 {
        let block = if self.random.below(4) > 0 { self.take() } else { None };
        self.pass(block.into_iter().filter(|block| block.size() < PASSED).collect())
    }

    /// Leaves blocks for another thread; keeps or frees what others left.
    fn pass(&mut self, blocks: Vec<Block<A>>) -> u64 {
        let count = blocks.len();
        let place = self.random.below(PLACES);
        let others = self.shared.exchange(place, blocks);
        let operations = count + others.len();
        if self.random.below(2) == 0 && self.held.len() + others.len() < HELD {
            others.into_iter().for_each(|block| self.keep(block));
        }
        operations as u64
    }

    /// Many blocks of one size, which all end up in one place.
    fn burst(&mut self) -> u64 {
        let mut layout = block::layout(&mut self.random);
        if layout.size() > 4000 {
            layout = Layout::new::<[u64; 4]>();
        }
        let count = 1 + self.random.below(BURST);
        let mut blocks = Vec::with_capacity(count);
        blocks.extend((0..count).map_while(|_| self.new_block(layout)));
        let got = blocks.len() as u64;
        got + match self.random.below(4) {
            0 => self.pass(blocks),
            1 => {
                blocks.into_iter().rev().for_each(drop);
                got
            }
            2 => {
                while !blocks.is_empty() {
                    drop(blocks.swap_remove(self.random.below(blocks.len())));
                }
                got
            }
            _ => got,
        }
    }

    fn seldom(&mut self) -> u64 {
        match self.random.below(2000) {
            0..20 => self.free_many(),
            20..24 => {
                A::purge();
                1
            }
            24 => self.fork(),
            _ => self.free(),
        }
    }

    /// Leaves small blocks to others, as a thread does that ends.
    fn leave(&mut self) {
        let small = self.held.extract_if(.., |block| block.size() < 20_000).take(BURST);
        let blocks: Vec<Block<A>> = small.collect();
        self.bytes -= blocks.iter().map(Block::size).sum::<usize>();
        self.pass(blocks);
    }

    /// A child has all blocks as they were, works on, and ends well.
    fn fork(&mut self) -> u64 {
        if self.shared.forking.swap(true, Ordering::Relaxed) {
            return 0;
        }
        // SAFETY: the child uses the allocators, this program's and the C library's, which are made for that, and ends
        // below.
        match unsafe { libc::fork() } {
            0 => {
                let outcome = catch_unwind(AssertUnwindSafe(|| self.child()));
                // SAFETY: no preconditions.
                unsafe { libc::_exit(i32::from(outcome.is_err())) }
            }
            // The system has no more processes.
            -1 => {}
            process => {
                let mut status = 0;
                // SAFETY: `status` is a place for the result.
                let ended = unsafe { libc::waitpid(process, &raw mut status, 0) };
                assert_eq!((ended, status), (process, 0), "a child ended with status {status:#x}");
                self.shared.counts.forks.fetch_add(1, Ordering::Relaxed);
            }
        }
        self.shared.forking.store(false, Ordering::Relaxed);
        1
    }

    /// The child's main function.
    fn child(&mut self) {
        // SAFETY: no preconditions.
        unsafe { libc::alarm(CHILD) };
        self.held.iter().for_each(Block::check);
        self.child_work();
        let blocks = std::mem::take(&mut self.held);
        self.bytes = 0;
        // A thread in the child, if there is one to be had, frees the parent's blocks.
        let body = move || drop(blocks);
        if let Some(thread) = threads::spawn(body) {
            thread.join();
        }
        A::purge();
        self.child_work();
    }

    /// What needs no other thread of this process, which may have been in the middle of an exchange.
    fn child_work(&mut self) {
        for _ in 0..3000 {
            match self.random.below(16) {
                0..7 => self.allocate(),
                7 => self.resize(),
                _ => self.free(),
            };
        }
    }
}
