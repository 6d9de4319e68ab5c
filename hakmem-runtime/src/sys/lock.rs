//! A lock of one word: free, or the thread that holds it, and whether others wait (after Drepper, "Futexes are tricky").
//!
//! std's locks may allocate or panic; this one parks on a futex and does neither. It knows its holder for two cases that
//! only a waiter meets, who has time. A thread that holds the lock for a fork passes: other handlers of `fork`, which run
//! between ours, may allocate. And a thread that holds it otherwise ends the program, where it would wait for itself: the
//! handler of a signal called the allocator while it was at work.

use super::fatal::fatal;
use super::futex;
use core::cell::UnsafeCell;
use core::ops::{Deref, DerefMut};
use core::ptr;
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

const FREE: usize = 0;
/// A thread may be parked.
const CONTENDED: usize = 1;
/// The holder holds it for a fork.
const FORKING: usize = 2;

/// Tries before a waiter parks. A critical section of the pool is a few hundred nanoseconds, so a short spin on the
/// other core usually sees it end.
const SPINS: u32 = 100;

/// A value behind a futex lock.
#[derive(Debug)]
pub(crate) struct Lock<T> {
    /// `FREE`, or the holder as `this_thread` has it, and flags.
    state: AtomicUsize,
    value: UnsafeCell<T>,
}

// SAFETY: the lock hands out the value to one thread at a time.
unsafe impl<T: Send> Sync for Lock<T> {}

/// The calling thread, in a forked child as in its parent. The C library keeps more than a word there, so the flags' bits
/// are 0.
fn this_thread() -> usize {
    // SAFETY: the function has no preconditions.
    unsafe { libc::pthread_self() as usize }
}

fn is_held_by(state: usize, thread: usize) -> bool {
    state & !(CONTENDED | FORKING) == thread
}

impl<T> Lock<T> {
    pub(crate) const fn new(value: T) -> Lock<T> {
        Lock { state: AtomicUsize::new(FREE), value: UnsafeCell::new(value) }
    }

    /// Waits for the lock.
    pub(crate) fn lock(&self) -> Guard<'_, T> {
        let taken = self.acquire();
        Guard { lock: self, taken }
    }

    /// Takes the lock if it is free. Those who write down what the allocators do would rather leave something out than wait.
    #[cfg(any(test, feature = "record"))]
    pub(crate) fn try_lock(&self) -> Option<Guard<'_, T>> {
        self.state.compare_exchange(FREE, this_thread(), Ordering::Acquire, Ordering::Relaxed).ok()?;
        Some(Guard { lock: self, taken: true })
    }

    /// Waits for the lock, and holds it while this thread forks. Meanwhile the thread may `lock` it. If the handler of a signal
    /// forks, this thread may have it already: then it stays with the code that was interrupted and goes on, on both sides.
    pub(crate) fn hold_for_fork(&self) {
        if !is_held_by(self.state.load(Ordering::Relaxed), this_thread()) {
            self.acquire();
            self.state.fetch_or(FORKING, Ordering::Relaxed);
        }
    }

    /// Gives it back after the fork, on either side; nothing if this thread does not hold it for one.
    pub(crate) fn release_after_fork(&self) {
        let state = self.state.load(Ordering::Relaxed);
        if state & !CONTENDED == this_thread() | FORKING {
            self.release();
        }
    }

    /// Frees the lock in a forked child in which the holder does not exist.
    pub(crate) fn forget_holder(&self) {
        self.state.store(FREE, Ordering::Relaxed);
    }

    /// Waits for the lock. `false`: this thread holds it for a fork.
    fn acquire(&self) -> bool {
        let me = this_thread();
        self.state.compare_exchange(FREE, me, Ordering::Acquire, Ordering::Relaxed).is_ok() || self.wait(me)
    }

    #[cold]
    fn wait(&self, me: usize) -> bool {
        let mut spins = SPINS;
        loop {
            let state = self.state.load(Ordering::Relaxed);
            if is_held_by(state, me) {
                if state & FORKING != 0 {
                    return false;
                }
                fatal(
                    "the allocator was called from within itself, by the handler of a signal",
                    ptr::from_ref(self).addr(),
                );
            }
            if state == FREE {
                // Who may have parked holds it as contended, so that its release wakes whoever parked beside it.
                let mine = if spins > 0 { me } else { me | CONTENDED };
                if self.state.compare_exchange_weak(FREE, mine, Ordering::Acquire, Ordering::Relaxed).is_ok() {
                    return true;
                }
            } else if spins > 0 {
                spins -= 1;
                core::hint::spin_loop();
            } else if state & CONTENDED != 0 || self.mark_contended(state) {
                futex::wait(self.lower_half(), (state | CONTENDED) as u32);
            }
        }
    }

    fn mark_contended(&self, state: usize) -> bool {
        self.state.compare_exchange_weak(state, state | CONTENDED, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// The half of the word that the kernel compares. It has the flags; another holder whose half is the same is contended,
    /// too.
    fn lower_half(&self) -> &AtomicU32 {
        let halves = ptr::from_ref(&self.state).cast::<[AtomicU32; 2]>();
        // SAFETY: two halves make up the word, of which only the kernel reads one.
        unsafe { &(*halves)[usize::from(cfg!(target_endian = "big"))] }
    }

    /// Gives the lock back, which the caller holds.
    fn release(&self) {
        if self.state.swap(FREE, Ordering::Release) & CONTENDED != 0 {
            futex::wake(self.lower_half(), 1);
        }
    }
}

/// The value, while the lock is held.
#[derive(Debug)]
pub(crate) struct Guard<'a, T> {
    lock: &'a Lock<T>,
    /// Whether the lock is given back with the guard; else its holder forks, and holds it on.
    taken: bool,
}

impl<T> Deref for Guard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: we hold the lock.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T> DerefMut for Guard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: we hold the lock.
        unsafe { &mut *self.lock.value.get() }
    }
}

impl<T> Drop for Guard<'_, T> {
    fn drop(&mut self) {
        if self.taken {
            self.lock.release();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;
    use std::sync::atomic::AtomicBool;
    use std::thread;

    #[test]
    fn one_thread_at_a_time() {
        static LOCK: Lock<[u32; 2]> = Lock::new([0; 2]);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for round in 0..20_000 {
                        let mut both = LOCK.lock();
                        both[0] += 1;
                        if round % 1000 == 0 {
                            thread::yield_now(); // Long enough for others to park.
                        }
                        both[1] += 1;
                        assert_eq!(both[0], both[1]);
                    }
                });
            }
        });
        assert_eq!((*LOCK.lock(), LOCK.state.load(Ordering::Relaxed) & CONTENDED), ([80_000; 2], 0));
    }

    #[test]
    fn who_forks_passes_and_others_wait() {
        static LOCK: Lock<u32> = Lock::new(0);
        static RELEASED: AtomicBool = AtomicBool::new(false);
        let held = Barrier::new(2);
        thread::scope(|scope| {
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
                thread::yield_now();
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
