//! Model of abandoned slabs with free blocks. They are on a stack, from which threads that allocate pop them, and
//! threads that free reclaim them where they are. The code under test is the allocator's own, on loom's atomics; the
//! variant that forgets which slabs are on the stack must fail.

mod common;

use common::LoomWord;
use hakmem_runtime::protocol::{Abandon, RemoteWord, TaggedStack, Word};
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicU64, Ordering};
use loom::thread;

const NODE: u64 = 1;

/// One slab and the stack of its class. The slab's owner writes to `touched`, so loom reports two owners as a data
/// race.
struct Pool<W> {
    stack: TaggedStack<W>,
    link: W,
    remote: RemoteWord<W>,
    touched: UnsafeCell<u32>,
}

impl<W: Word> Pool<W> {
    /// The caller owns the slab.
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

    /// Uses the slab as its owner does.
    fn touch(&self) {
        // SAFETY: the caller believes that it owns the slab, so that nobody else is here. If the protocol is wrong
        // about that, loom reports the race and fails the test.
        self.touched.with_mut(|times| unsafe { *times += 1 });
    }

    /// Abandons the slab, which has free blocks.
    fn abandon(&self) {
        self.touch();
        match self.remote.abandon(true) {
            Abandon::Refused => panic!("nobody frees blocks here"),
            Abandon::Done => {}
            Abandon::NeedsStack => self.stack.push(NODE, &self.link),
        }
    }

    /// Reclaims the slab, as a thread does that frees a block of it. `true`: the slab is the caller's.
    fn reclaim(&self) -> bool {
        let mine = self.remote.reclaim();
        if mine {
            self.touch();
        }
        mine
    }

    /// Takes the slab from the stack, as a thread does that allocates. `true`: the slab is the caller's.
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

/// One thread abandons the slab, another reclaims and abandons it, a third one takes and abandons it. In the end it is
/// on the stack exactly once.
fn change_owners<W: Word + 'static>(word: fn() -> W) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(move || {
        let pool = Arc::new(Pool::new(word));
        let freeing = {
            let pool = Arc::clone(&pool);
            thread::spawn(move || {
                if pool.reclaim() {
                    pool.abandon();
                }
            })
        };
        let allocating = {
            let pool = Arc::clone(&pool);
            thread::spawn(move || {
                let mine = pool.take();
                if mine {
                    pool.abandon();
                }
            })
        };
        pool.abandon();
        freeing.join().unwrap();
        allocating.join().unwrap();
        assert!(pool.take(), "the slab is lost");
        assert!(!pool.take(), "the slab was on the stack twice");
    });
}

#[test]
fn an_abandoned_slab_is_found() {
    change_owners(|| LoomWord(AtomicU64::new(0)));
}

/// A word that forgets bit 62, which says that the slab is on the stack already.
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

// What is on the stack twice leads to itself, so that `take` comes to no end.
#[test]
#[should_panic(expected = "Model exceeded maximum number of branches")]
fn a_slab_stacked_twice_is_caught() {
    change_owners(|| Forgetful(AtomicU64::new(0)));
}
