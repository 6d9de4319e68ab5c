//! Model of the remote-free word: several threads free blocks, the owner takes them and abandons the slab, and a thread
//! that frees reclaims it. The code under test is the allocator's own, on loom's atomics.
//!
//! The broken variants at the end must fail: they show that the model can find a fault.

mod common;
#[path = "common/relaxed.rs"]
mod relaxed;

use common::LoomWord;
use hakmem_runtime::protocol::{Abandon, RemoteFree, RemoteWord};
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicU64, Ordering};
use loom::thread;
use relaxed::Relaxed;

const BLOCKS: usize = 3;
const END: u32 = u32::MAX;

/// Reads a cell that by the protocol is the caller's.
fn get<T: Clone>(cell: &UnsafeCell<T>) -> T {
    // SAFETY: by the protocol nobody else uses the cell now. If the protocol is wrong, loom reports the race and fails
    // the test.
    cell.with(|value| unsafe { (*value).clone() })
}

/// Changes such a cell.
fn change<T>(cell: &UnsafeCell<T>, with: impl FnOnce(&mut T)) {
    // SAFETY: by the protocol nobody else uses the cell now. If the protocol is wrong, loom reports the race and fails
    // the test.
    cell.with_mut(|value| with(unsafe { &mut *value }));
}

/// A slab of a few blocks of 8 bytes. Links and the owner's list of free blocks are plain cells, in which loom sees
/// every data race.
struct Slab {
    remote: RemoteWord<LoomWord>,
    links: [UnsafeCell<u32>; BLOCKS],
    /// The free blocks that the owner has collected. Only an owner changes it.
    collected: UnsafeCell<Vec<u32>>,
}

impl Slab {
    fn new() -> Slab {
        Slab {
            remote: RemoteWord::new(LoomWord(AtomicU64::new(0))),
            links: std::array::from_fn(|_| UnsafeCell::new(END)),
            collected: UnsafeCell::new(Vec::new()),
        }
    }

    /// Frees `block` as a thread that does not own the slab. `true`: it owns the slab now, and has collected the block.
    fn free(&self, block: u32) -> bool {
        let outcome = self.remote.push(block * 8, 1, |next| {
            let next = next.map_or(END, |position| position / 8);
            change(&self.links[block as usize], |link| *link = next);
        });
        if outcome == RemoteFree::Reclaimed {
            change(&self.collected, |free| free.push(block));
        }
        outcome == RemoteFree::Reclaimed
    }

    /// Collects the blocks on the remote list. For the owner.
    fn collect(&self) {
        let Some((position, count)) = self.remote.take() else { return };
        let mut block = position / 8;
        for _ in 0..count {
            assert_ne!(block, END, "the list is shorter than its count");
            change(&self.collected, |free| free.push(block));
            block = get(&self.links[block as usize]);
        }
        assert_eq!(block, END, "the list is longer than its count");
    }

    fn sorted(&self) -> Vec<u32> {
        let mut free = get(&self.collected);
        free.sort_unstable();
        free
    }
}

/// Two threads free into a slab while its owner collects: no block is lost or collected twice, and each link is read as
/// written.
#[test]
fn remote_frees_all_arrive() {
    loom::model(|| {
        let slab = Arc::new(Slab::new());
        slab.remote.own();
        let threads: Vec<_> = [0, 1]
            .map(|block| {
                let slab = Arc::clone(&slab);
                thread::spawn(move || assert!(!slab.free(block), "a slab with an owner was reclaimed"))
            })
            .into_iter()
            .collect();
        slab.collect();
        for thread in threads {
            thread.join().unwrap();
        }
        slab.collect();
        assert_eq!(slab.sorted(), [0, 1]);
    });
}

/// Two threads free into an abandoned slab: exactly one becomes its owner, and sees what the last owner wrote.
#[test]
fn one_thread_reclaims() {
    loom::model(|| {
        let slab = Arc::new(Slab::new());
        let threads: Vec<_> = [0, 1]
            .map(|block| {
                let slab = Arc::clone(&slab);
                thread::spawn(move || {
                    let mine = slab.free(block);
                    if mine {
                        slab.collect();
                    }
                    mine
                })
            })
            .into_iter()
            .collect();
        let owners = threads.into_iter().map(|thread| thread.join().unwrap()).filter(|&mine| mine).count();
        assert_eq!(owners, 1);
        slab.collect();
        assert_eq!(slab.sorted(), [0, 1]);
    });
}

/// An owner abandons the slab while another thread frees: either the owner still owns the slab and finds the block, or
/// the other thread owns the slab.
#[test]
fn abandoning_loses_nothing() {
    loom::model(|| {
        let slab = Arc::new(Slab::new());
        slab.remote.own();
        let other = {
            let slab = Arc::clone(&slab);
            thread::spawn(move || slab.free(2))
        };
        let mine = slab.remote.abandon(false) == Abandon::Refused;
        if mine {
            slab.collect();
        }
        let theirs = other.join().unwrap();
        assert!(mine != theirs, "the slab has {} owners", u8::from(mine) + u8::from(theirs));
        assert_eq!(slab.sorted(), [2]);
    });
}

/// A variant that takes the list with a load and a store instead of an exchange: a block freed in between is lost.
#[test]
#[should_panic = "lost"]
fn a_broken_take_is_caught() {
    loom::model(|| {
        let word = Arc::new(AtomicU64::new(0));
        let other = {
            let word = Arc::clone(&word);
            thread::spawn(move || {
                word.fetch_add(1, Ordering::AcqRel);
            })
        };
        let taken = word.load(Ordering::Acquire);
        word.store(0, Ordering::Release);
        other.join().unwrap();
        assert_eq!(taken + word.load(Ordering::Acquire), 1, "a block was lost");
    });
}

/// The same protocol without its orderings: the owner reads a link that was not published.
#[test]
#[should_panic(expected = "Causality violation: Concurrent read and write accesses")]
fn missing_orderings_are_caught() {
    loom::model(|| {
        let shared = Arc::new((RemoteWord::new(Relaxed(LoomWord(AtomicU64::new(0)))), UnsafeCell::new(0_u32)));
        shared.0.own();
        let other = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                shared.0.push(8, 1, |_| change(&shared.1, |link| *link = END));
            })
        };
        thread::yield_now(); // Otherwise the model never runs the other thread first.
        if shared.0.take().is_some() {
            assert_eq!(get(&shared.1), END);
        }
        other.join().unwrap();
    });
}
