//! Model of the remote-free word: blocks freed by several threads, an owner that takes them and lets go of the slab, a
//! freeing thread that claims it. The protocol under test is the product's own code, on loom's atomics.
//!
//! The broken variants at the end must fail: they show that the model can see a fault.

mod common;

use common::LoomWord;
use hakmem_runtime::protocol::{Abandon, RemoteFree, RemoteWord, Word};
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicU64, Ordering};
use loom::thread;

const BLOCKS: usize = 3;
const END: u32 = u32::MAX;

/// Reads a cell that the protocol says is the caller's.
fn get<T: Clone>(cell: &UnsafeCell<T>) -> T {
    // SAFETY: if the protocol is wrong, loom reports the race.
    cell.with(|value| unsafe { (*value).clone() })
}

/// Changes such a cell.
fn change<T>(cell: &UnsafeCell<T>, with: impl FnOnce(&mut T)) {
    // SAFETY: as in `get`.
    cell.with_mut(|value| with(unsafe { &mut *value }));
}

/// A slab of a few blocks of 8 bytes. Links and the owner's books are plain cells, in which loom sees every data race.
struct Slab {
    remote: RemoteWord<LoomWord>,
    links: [UnsafeCell<u32>; BLOCKS],
    /// What the owner has free: changed by owners alone.
    books: UnsafeCell<Vec<u32>>,
}

impl Slab {
    fn new() -> Slab {
        Slab {
            remote: RemoteWord::new(LoomWord(AtomicU64::new(0))),
            links: std::array::from_fn(|_| UnsafeCell::new(END)),
            books: UnsafeCell::new(Vec::new()),
        }
    }

    /// Frees `block` as a thread that does not own the slab. `true`: it does now, and the block is in its books.
    fn free(&self, block: u32) -> bool {
        let outcome = self.remote.push(block * 8, 1, |next| {
            let next = next.map_or(END, |position| position / 8);
            change(&self.links[block as usize], |link| *link = next);
        });
        if outcome == RemoteFree::Reclaimed {
            change(&self.books, |books| books.push(block));
        }
        outcome == RemoteFree::Reclaimed
    }

    /// Moves what is listed into the books. For the owner.
    fn collect(&self) {
        let Some((position, count)) = self.remote.take() else { return };
        let mut block = position / 8;
        for _ in 0..count {
            assert_ne!(block, END, "the list is shorter than its count");
            change(&self.books, |books| books.push(block));
            block = get(&self.links[block as usize]);
        }
        assert_eq!(block, END, "the list is longer than its count");
    }

    fn sorted_books(&self) -> Vec<u32> {
        let mut books = get(&self.books);
        books.sort_unstable();
        books
    }
}

/// Two threads free into a slab whose owner collects: nothing is lost, nothing comes twice, no link is read torn.
#[test]
fn remote_frees_all_arrive() {
    loom::model(|| {
        let slab = Arc::new(Slab::new());
        slab.remote.own();
        let threads: Vec<_> = [0, 1]
            .map(|block| {
                let slab = Arc::clone(&slab);
                thread::spawn(move || assert!(!slab.free(block), "an owned slab was claimed"))
            })
            .into_iter()
            .collect();
        slab.collect();
        for thread in threads {
            thread.join().unwrap();
        }
        slab.collect();
        assert_eq!(slab.sorted_books(), [0, 1]);
    });
}

/// Two threads free into a slab adrift: exactly one becomes its owner and sees the books of the last one.
#[test]
fn one_thread_claims() {
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
        assert_eq!(slab.sorted_books(), [0, 1]);
    });
}

/// An owner lets go while another thread frees: either the owner still has the slab and finds the block, or the other
/// thread owns it.
#[test]
fn letting_go_loses_nothing() {
    loom::model(|| {
        let slab = Arc::new(Slab::new());
        slab.remote.own();
        let other = {
            let slab = Arc::clone(&slab);
            thread::spawn(move || slab.free(2))
        };
        let mine = slab.remote.release(false) == Abandon::Refused;
        if mine {
            slab.collect();
        }
        let theirs = other.join().unwrap();
        assert!(mine != theirs, "the slab has {} owners", u8::from(mine) + u8::from(theirs));
        assert_eq!(slab.sorted_books(), [2]);
    });
}

/// A variant that takes with a load and a store instead of a swap: a block freed in between is lost. The model sees it.
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

/// A word whose exchanges order nothing.
#[derive(Debug)]
struct RelaxedWord(AtomicU64);

impl Word for RelaxedWord {
    fn load(&self, _: Ordering) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
    fn store(&self, value: u64, _: Ordering) {
        self.0.store(value, Ordering::Relaxed);
    }
    fn compare_exchange_weak(&self, old: u64, new: u64, _: Ordering, _: Ordering) -> Result<u64, u64> {
        self.0.compare_exchange_weak(old, new, Ordering::Relaxed, Ordering::Relaxed)
    }
}

/// The same protocol without its orderings: the owner reads a link that was not published. The model sees the race.
#[test]
#[should_panic]
fn missing_orderings_are_caught() {
    loom::model(|| {
        let shared = Arc::new((RemoteWord::new(RelaxedWord(AtomicU64::new(0))), UnsafeCell::new(0_u32)));
        shared.0.own();
        let other = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                shared.0.push(8, 1, |_| change(&shared.1, |link| *link = END));
            })
        };
        thread::yield_now(); // Else the model never runs the other thread first.
        if shared.0.take().is_some() {
            assert_eq!(get(&shared.1), END);
        }
        other.join().unwrap();
    });
}
