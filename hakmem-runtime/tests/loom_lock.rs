//! Model of the lock, and of what a fork does with two of them that nest. One thread at a time has a lock, whoever sleeps is
//! woken, and the child finds both locks free and what they guard whole. The lock's word is the allocator's own, on loom's
//! atomics; the futex is a condition variable, and the child continues with a copy of what was in memory at the fork. The
//! broken variants must fail.

mod common;

use common::LoomWord;
use hakmem_runtime::protocol::{Acquired, LockWord, Word};
use loom::cell::UnsafeCell;
use loom::sync::atomic::{AtomicU64, Ordering};
use loom::sync::{Condvar, Mutex};
use loom::thread;
// loom's threads take turns on one of the system's, and its `Arc` may not be dropped after a deadlock.
use std::rc::Rc;

/// What is done wrong.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    /// A release wakes nobody.
    WakesNobody,
    /// The fork takes the outer lock alone.
    HoldsOne,
    /// The fork takes the inner lock first.
    HoldsInnerFirst,
    /// The child releases the outer lock alone.
    ChildReleasesOne,
}

/// A broken twin: a thread that has slept takes the lock as if nobody else slept.
#[derive(Debug)]
struct Forgetful(LoomWord);

impl Word for Forgetful {
    fn load(&self, order: Ordering) -> u64 {
        self.0.load(order)
    }
    fn store(&self, value: u64, order: Ordering) {
        self.0.store(value, order);
    }
    fn compare_exchange_weak(&self, old: u64, new: u64, success: Ordering, failure: Ordering) -> Result<u64, u64> {
        let new = if old == 0 { new & !1 } else { new };
        self.0.compare_exchange_weak(old, new, success, failure)
    }
}

/// A lock and two halves of what it guards, which are equal but while somebody has it.
struct Lock<W> {
    word: LockWord<W>,
    /// Those who wait for the word to change. The mutex is the kernel's.
    kernel: Mutex<()>,
    sleepers: Condvar,
    halves: [AtomicU64; 2],
    touched: UnsafeCell<u32>,
    fault: Fault,
    /// Whether there is another thread that could wake a waiter.
    is_child: bool,
}

impl<W: Word> Lock<W> {
    fn new(word: W, halves: [u64; 2], fault: Fault, is_child: bool) -> Lock<W> {
        Lock {
            word: LockWord::new(word),
            kernel: Mutex::new(()),
            sleepers: Condvar::new(),
            halves: halves.map(AtomicU64::new),
            touched: UnsafeCell::new(0),
            fault,
            is_child,
        }
    }

    fn acquire(&self, me: u64) -> Acquired {
        if self.word.try_acquire(me) {
            return Acquired::Now;
        }
        self.word.wait(me, 0, |value| {
            assert!(!self.is_child, "the child waits for a thread that it does not have");
            let kernel = self.kernel.lock().unwrap();
            if self.word.word().load(Ordering::SeqCst) == value {
                drop(self.sleepers.wait(kernel).unwrap());
            }
        })
    }

    fn release(&self) {
        if self.word.release() && self.fault != Fault::WakesNobody {
            let _kernel = self.kernel.lock().unwrap();
            self.sleepers.notify_one();
        }
    }

    /// Changes what is guarded, and does something else in the middle of the change.
    fn change(&self, me: u64, inside: impl FnOnce()) {
        let acquired = self.acquire(me);
        assert_ne!(acquired, Acquired::Reentered);
        // SAFETY: the caller has the lock. If the protocol is wrong about that, loom reports the race and fails the test.
        self.touched.with_mut(|times| unsafe { *times += 1 });
        self.add(0);
        inside();
        self.add(1);
        assert_eq!(
            self.halves[0].load(Ordering::Relaxed),
            self.halves[1].load(Ordering::Relaxed),
            "a change is not whole"
        );
        if acquired == Acquired::Now {
            self.release();
        }
    }

    fn add(&self, half: usize) {
        let half = &self.halves[half];
        half.store(half.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }

    fn hold_for_fork(&self, me: u64) {
        assert_eq!(self.acquire(me), Acquired::Now);
        self.word.hold_for_fork();
    }

    fn release_after_fork(&self, me: u64) {
        if self.word.is_held_for_fork_by(me) {
            self.release();
        }
    }
}

impl Lock<LoomWord> {
    /// What a child has of it.
    fn copy(&self) -> Lock<LoomWord> {
        let word = self.word.word().load(Ordering::Relaxed);
        let halves = [0, 1].map(|half| self.halves[half].load(Ordering::Relaxed));
        Lock::new(LoomWord(AtomicU64::new(word)), halves, self.fault, true)
    }
}

/// The numbers of three threads.
const THREADS: [u64; 3] = [4, 8, 12];

fn word() -> LoomWord {
    LoomWord(AtomicU64::new(0))
}

/// Three threads want one lock.
fn contend<W: Word + 'static>(word: fn() -> W, fault: Fault) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(2);
    model.check(move || {
        let lock = Rc::new(Lock::new(word(), [0; 2], fault, false));
        let others = [THREADS[1], THREADS[2]].map(|me| {
            let lock = Rc::clone(&lock);
            thread::spawn(move || lock.change(me, || ()))
        });
        lock.change(THREADS[0], || ());
        others.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(lock.halves[0].load(Ordering::Relaxed), 3);
        assert_eq!(lock.word.word().load(Ordering::Relaxed), 0, "nobody has it, and nobody waits");
    });
}

#[test]
fn one_at_a_time_and_nobody_sleeps_for_good() {
    contend(word, Fault::None);
}

#[test]
#[should_panic(expected = "deadlock")]
fn a_release_that_wakes_nobody_is_caught() {
    contend(word, Fault::WakesNobody);
}

#[test]
#[should_panic(expected = "deadlock")]
fn a_sleeper_that_forgets_the_others_is_caught() {
    contend(|| Forgetful(word()), Fault::None);
}

/// A thread forks while another is in both locks, one in the other. In between, a handler of the forking thread takes the
/// outer lock.
fn fork(fault: Fault) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(move || {
        let [me, other, _] = THREADS;
        let [outer, inner] = [(); 2].map(|()| Rc::new(Lock::new(word(), [0; 2], fault, false)));
        let working = {
            let (outer, inner) = (Rc::clone(&outer), Rc::clone(&inner));
            thread::spawn(move || {
                outer.change(other, || inner.change(other, || ()));
                inner.change(other, || ());
            })
        };
        // Before the fork, in the order of nesting.
        match fault {
            Fault::HoldsOne => outer.hold_for_fork(me),
            Fault::HoldsInnerFirst => [&inner, &outer].into_iter().for_each(|lock| lock.hold_for_fork(me)),
            _ => [&outer, &inner].into_iter().for_each(|lock| lock.hold_for_fork(me)),
        }
        outer.change(me, || ());
        let child = [outer.copy(), inner.copy()];
        // The parent goes on.
        [&inner, &outer].into_iter().for_each(|lock| lock.release_after_fork(me));
        outer.change(me, || ());
        // And so does the child.
        if fault != Fault::ChildReleasesOne {
            child[1].release_after_fork(me);
        }
        child[0].release_after_fork(me);
        // By another thread of the child's.
        working.join().unwrap();
        child[0].change(THREADS[2], || child[1].change(THREADS[2], || ()));
        assert_eq!([&outer, &inner].map(|lock| lock.halves[0].load(Ordering::Relaxed)), [3, 2]);
    });
}

#[test]
fn a_child_finds_its_locks_free() {
    fork(Fault::None);
}

#[test]
#[should_panic(expected = "a change is not whole")]
fn a_fork_that_leaves_out_a_lock_is_caught() {
    fork(Fault::HoldsOne);
}

#[test]
#[should_panic(expected = "deadlock")]
fn a_fork_that_takes_locks_against_their_order_is_caught() {
    fork(Fault::HoldsInnerFirst);
}

#[test]
#[should_panic(expected = "the child waits for a thread that it does not have")]
fn a_child_that_releases_too_little_is_caught() {
    fork(Fault::ChildReleasesOne);
}
