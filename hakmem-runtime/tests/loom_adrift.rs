//! Model of slabs adrift with free blocks: on a stack, from where threads that allocate pop them, and claimed where they
//! are by threads that free. The protocol under test is the product's own code, on loom's atomics; the variant that
//! forgets which slabs are on the stack must fail.

mod common;

use common::LoomWord;
use hakmem_runtime::protocol::{Abandon, RemoteWord, TaggedStack, Word};
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicU64, Ordering};
use loom::thread;

const NODE: u64 = 1;

/// One slab and the stack of its class. `touched` is written by whoever owns the slab: loom sees two owners as a race.
struct Pool<W> {
    stack: TaggedStack<W>,
    link: W,
    remote: RemoteWord<W>,
    touched: UnsafeCell<u32>,
}

impl<W: Word> Pool<W> {
    /// With the slab in the caller's hands.
    fn new(word: fn() -> W) -> Pool<W> {
        let pool = Pool {
            stack: TaggedStack::new(word()),
            link: word(),
            remote: RemoteWord::new(word()),
            touched: UnsafeCell::new(0),
        };
        pool.remote.own();
        pool
    }

    /// Works on the slab as its owner does.
    fn touch(&self) {
        // SAFETY: the owner is alone with it; where that is not so, loom says so.
        self.touched.with_mut(|times| unsafe { *times += 1 });
    }

    /// Sets the slab adrift, which has free blocks.
    fn leave(&self) {
        self.touch();
        match self.remote.release(true) {
            Abandon::Refused => panic!("nobody lists blocks here"),
            Abandon::Done => {}
            Abandon::NeedsStack => self.stack.push(NODE, &self.link),
        }
    }

    /// As a thread that frees a block of it. `true`: the slab is the caller's.
    fn claim(&self) -> bool {
        let mine = self.remote.claim();
        if mine {
            self.touch();
        }
        mine
    }

    /// As a thread that allocates. `true`: the slab is the caller's.
    fn take(&self) -> bool {
        while self.stack.pop(|_| &self.link).is_some() {
            if self.remote.leave_stack() {
                self.touch();
                return true;
            }
        }
        false
    }
}

/// A thread leaves the slab, another claims it and leaves it again, a third one takes it. In the end it is where it can
/// be found, once.
fn wander<W: Word + 'static>(word: fn() -> W) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(move || {
        let pool = Arc::new(Pool::new(word));
        let freeing = {
            let pool = Arc::clone(&pool);
            thread::spawn(move || {
                if pool.claim() {
                    pool.leave();
                }
            })
        };
        let allocating = {
            let pool = Arc::clone(&pool);
            thread::spawn(move || {
                let mine = pool.take();
                if mine {
                    pool.leave();
                }
            })
        };
        pool.leave();
        freeing.join().unwrap();
        allocating.join().unwrap();
        assert!(pool.take(), "the slab is lost");
        assert!(!pool.take(), "the slab was on the stack twice");
    });
}

#[test]
fn a_slab_that_wanders_is_found() {
    wander(|| LoomWord(AtomicU64::new(0)));
}

/// A word that forgets bit 62, that a slab is on the stack already.
#[derive(Debug)]
struct Forgetful(AtomicU64);

const ALL_BUT_STACKED: u64 = !(1 << 62);

impl Word for Forgetful {
    fn load(&self, order: Ordering) -> u64 {
        self.0.load(order)
    }
    fn store(&self, value: u64, order: Ordering) {
        self.0.store(value & ALL_BUT_STACKED, order);
    }
    fn compare_exchange_weak(&self, old: u64, new: u64, success: Ordering, failure: Ordering) -> Result<u64, u64> {
        self.0.compare_exchange_weak(old, new & ALL_BUT_STACKED, success, failure)
    }
}

#[test]
#[should_panic]
fn a_slab_stacked_twice_is_caught() {
    wander(|| Forgetful(AtomicU64::new(0)));
}
