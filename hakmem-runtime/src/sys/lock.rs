//! A value behind a lock of one word (`lock_word.rs`).
//!
//! Unlike std's locks, which may allocate or panic, it only waits on a futex. It records its holder for two cases,
//! checked only before a wait. A thread that holds the lock for a fork may lock it again, because the program's fork
//! handlers, which run in between, may allocate. And a thread that would wait for itself aborts with a message: a
//! signal handler has called the allocator while it held the lock.

use super::fatal::fatal;
use super::lock_word::{Acquired, LockWord};
use super::{futex, thread};
use core::cell::UnsafeCell;
use core::ops::{Deref, DerefMut};
use core::ptr;
use core::sync::atomic::{AtomicU32, AtomicU64};

/// Attempts before a waiter sleeps. A critical section of the pool takes a few hundred nanoseconds, so a short spin
/// usually outlasts it.
const SPINS: u32 = 100;

/// The only code that is called under a lock and not ours: a signal handler's, or that of a function of the C library
/// that the program has replaced (`clock_gettime`; system calls are made directly).
const REENTERED: &str = "allocator reentered by a signal handler, or by a replaced function of the C library";

/// A value protected by a futex lock.
///
/// # Invariants
/// The thread that has `state`, by [`thread::current`], and no other accesses `value`.
#[derive(Debug)]
pub(crate) struct Lock<T> {
    state: LockWord<AtomicU64>,
    value: UnsafeCell<T>,
}

// SAFETY: `&Lock<T>` gives access to the value through a `Guard` only, and guards exist on one thread at a time. So the
// value is sent between threads (`T: Send`), never shared.
unsafe impl<T: Send> Sync for Lock<T> {}

/// The calling thread, as a lock knows it.
fn me() -> u64 {
    thread::current() as u64
}

impl<T> Lock<T> {
    pub(crate) const fn new(value: T) -> Lock<T> {
        Lock { state: LockWord::new(AtomicU64::new(0)), value: UnsafeCell::new(value) }
    }

    /// Waits for the lock.
    pub(crate) fn lock(&self) -> Guard<'_, T> {
        let owned = self.acquire();
        Guard { lock: self, owned }
    }

    /// Takes the lock if it is free.
    pub(crate) fn try_lock(&self) -> Option<Guard<'_, T>> {
        self.state.try_acquire(me()).then(|| Guard { lock: self, owned: true })
    }

    /// Waits for the lock, and holds it while this thread forks. Until [`Lock::release_after_fork`], `lock` returns at
    /// once on this thread. If a signal handler forks, this thread may have the lock already: then the interrupted code
    /// keeps it, and continues in the parent and in the child.
    pub(crate) fn hold_for_fork(&self) {
        if !self.state.is_held_by(me()) {
            self.acquire();
            self.state.hold_for_fork();
        }
    }

    /// Releases the lock after the fork, in the parent and in the child. Does nothing if this thread does not hold it
    /// for a fork.
    pub(crate) fn release_after_fork(&self) {
        if self.is_held_for_fork() {
            self.release();
        }
    }

    /// Whether this thread holds the lock for a fork.
    pub(crate) fn is_held_for_fork(&self) -> bool {
        self.state.is_held_for_fork_by(me())
    }

    /// Frees the lock in a forked child, in which its holder does not exist.
    pub(crate) fn forget_holder(&self) {
        self.state.forget_holder();
    }

    /// Waits for the lock. `false`: this thread holds it for a fork.
    fn acquire(&self) -> bool {
        let me = me();
        self.state.try_acquire(me) || self.wait(me)
    }

    #[cold]
    fn wait(&self, me: u64) -> bool {
        match self.state.wait(me, SPINS, |state| futex::wait(self.lower_half(), state as u32)) {
            Acquired::Now => true,
            Acquired::ForFork => false,
            Acquired::Reentered => fatal(REENTERED, ptr::from_ref(self).addr()),
        }
    }

    /// The half of the word that the kernel compares. It contains the flags. If another holder's lower half is the
    /// same, its lock is contended too, so its release wakes the waiter.
    fn lower_half(&self) -> &AtomicU32 {
        let halves = ptr::from_ref(self.state.word()).cast::<[AtomicU32; 2]>();
        // SAFETY: the word is 8 aligned bytes, the size of two halves, and is borrowed as long as the
        // result. The half is passed to the kernel only, so no access in this program mixes the two sizes.
        unsafe { &(*halves)[usize::from(cfg!(target_endian = "big"))] }
    }

    /// Releases the lock, which the calling thread holds.
    fn release(&self) {
        if self.state.release() {
            futex::wake(self.lower_half(), 1);
        }
    }
}

/// Access to the value while the lock is held.
#[derive(Debug)]
pub(crate) struct Guard<'a, T> {
    lock: &'a Lock<T>,
    /// Whether dropping the guard releases the lock. Not during a fork, which holds it until the end.
    owned: bool,
}

impl<T> Deref for Guard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: this thread holds the lock as long as the guard exists, so no other thread has a reference to the
        // value; and on this thread a second guard exists only in a fork handler, which runs while no reference is in
        // use.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T> DerefMut for Guard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: for the reason given in `deref` there is no other reference from another guard; `&mut self` excludes
        // one from this guard.
        unsafe { &mut *self.lock.value.get() }
    }
}

impl<T> Drop for Guard<'_, T> {
    fn drop(&mut self) {
        if self.owned {
            self.lock.release();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicBool, Ordering};

    #[test]
    fn one_thread_at_a_time() {
        static LOCK: Lock<[u32; 2]> = Lock::new([0; 2]);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for round in 0..20_000 {
                        let mut both = LOCK.lock();
                        both[0] += 1;
                        if round % 1000 == 0 {
                            std::thread::yield_now(); // Long enough for others to sleep.
                        }
                        both[1] += 1;
                        assert_eq!(both[0], both[1]);
                    }
                });
            }
        });
        assert_eq!(*LOCK.lock(), [80_000; 2]);
        assert_eq!(LOCK.state.word().load(Ordering::Relaxed), 0, "nobody waits");
    }

    #[test]
    fn a_forking_thread_passes_and_others_wait() {
        static LOCK: Lock<u32> = Lock::new(0);
        static RELEASED: AtomicBool = AtomicBool::new(false);
        let held = Barrier::new(2);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                held.wait();
                assert!(LOCK.try_lock().is_none());
                LOCK.release_after_fork(); // It is not this thread's.
                *LOCK.lock() += 1;
                assert!(RELEASED.load(Ordering::Relaxed));
            });
            LOCK.hold_for_fork();
            *LOCK.lock() += 1;
            held.wait();
            for _ in 0..100 {
                *LOCK.lock() += 1;
                std::thread::yield_now();
            }
            RELEASED.store(true, Ordering::Relaxed);
            LOCK.release_after_fork();
        });
        assert_eq!(*LOCK.lock(), 102);
    }

    #[test]
    fn a_fork_leaves_a_lock_to_the_code_that_it_interrupts() {
        let lock = Lock::new(0);
        let guard = lock.lock();
        lock.hold_for_fork();
        lock.release_after_fork();
        assert!(lock.try_lock().is_none());
        drop(guard);
        assert!(lock.try_lock().is_some());
    }
}
