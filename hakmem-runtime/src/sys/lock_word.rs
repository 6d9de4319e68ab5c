//! The protocol of a lock, in one word: its holder, or 0 if it is free, and two flags (after Drepper, "Futexes are tricky").

use super::atomic_word::Word;
use core::sync::atomic::Ordering;

const FREE: u64 = 0;
/// A thread may be waiting on the futex.
const CONTENDED: u64 = 1;
/// The holder has the lock for a fork.
const FORKING: u64 = 2;

/// What came of waiting for a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acquired {
    /// The caller has it now.
    Now,
    /// The caller holds it for a fork, and goes on.
    ForFork,
    /// The caller has it already, and would wait for itself.
    Reentered,
}

/// The word of a lock. Threads are numbers whose two lowest bits are 0.
///
/// # Invariants
/// It is `FREE`, or `holder | flags`, where `holder` is the one thread that has the lock.
#[derive(Debug)]
pub struct LockWord<W>(W);

impl<W: Word> LockWord<W> {
    /// The lock of `word`, which is 0.
    pub const fn new(word: W) -> LockWord<W> {
        LockWord(word)
    }

    /// The word, for a wait.
    pub fn word(&self) -> &W {
        &self.0
    }

    /// Takes the lock if it is free.
    #[inline]
    pub fn try_acquire(&self, me: u64) -> bool {
        loop {
            match self.0.compare_exchange_weak(FREE, me, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(FREE) => {}
                Err(_) => return false,
            }
        }
    }

    /// Waits for the lock. After `spins` attempts it calls `sleep` with a value, which may wait while the word holds that
    /// and no longer than until a release that says so.
    pub fn wait(&self, me: u64, mut spins: u32, sleep: impl Fn(u64)) -> Acquired {
        loop {
            let state = self.0.load(Ordering::Relaxed);
            if holder(state) == me {
                return if state & FORKING != 0 { Acquired::ForFork } else { Acquired::Reentered };
            }
            if state == FREE {
                // A thread that may have slept takes the lock as contended, so that its release wakes the next sleeper.
                let mine = if spins > 0 { me } else { me | CONTENDED };
                if self.0.compare_exchange_weak(FREE, mine, Ordering::Acquire, Ordering::Relaxed).is_ok() {
                    return Acquired::Now;
                }
            } else if spins > 0 {
                spins -= 1;
                core::hint::spin_loop();
            } else if state & CONTENDED != 0 || self.exchange(state, state | CONTENDED) {
                sleep(state | CONTENDED);
            }
        }
    }

    fn exchange(&self, old: u64, new: u64) -> bool {
        self.0.compare_exchange_weak(old, new, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// Releases the lock, which the caller has. `true`: the caller must wake a thread that sleeps.
    #[must_use]
    #[inline]
    pub fn release(&self) -> bool {
        self.0.swap(FREE, Ordering::Release) & CONTENDED != 0
    }

    /// Whether `me` has the lock.
    pub fn is_held_by(&self, me: u64) -> bool {
        holder(self.0.load(Ordering::Relaxed)) == me
    }

    /// From now on the caller, who has the lock, holds it for a fork.
    pub fn hold_for_fork(&self) {
        let mut state = self.0.load(Ordering::Relaxed);
        // Others may mark it contended.
        while !self.exchange(state, state | FORKING) {
            state = self.0.load(Ordering::Relaxed);
        }
    }

    /// Whether `me` holds the lock for a fork.
    pub fn is_held_for_fork_by(&self, me: u64) -> bool {
        self.0.load(Ordering::Relaxed) & !CONTENDED == me | FORKING
    }

    /// Frees the lock in a forked child, in which its holder does not exist.
    pub fn forget_holder(&self) {
        self.0.store(FREE, Ordering::Relaxed);
    }
}

/// The thread of a word, 0 for none.
fn holder(state: u64) -> u64 {
    state & !(CONTENDED | FORKING)
}
