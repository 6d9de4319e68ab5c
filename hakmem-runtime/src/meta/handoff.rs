//! A handoff: slots that one thread fills when asked to, and that any thread empties.
//!
//! A thread that finds nothing takes another way, so nobody waits. A request may come while the slots are being filled:
//! then they are filled once more.

use super::word::Word;
use core::sync::atomic::Ordering;

/// `N` slots, each 0 or what the filling thread has stored, which belongs to the thread that replaces it by 0.
#[derive(Debug)]
pub struct Handoff<W, const N: usize> {
    ready: [W; N],
    wanted: W,
}

impl<W: Word, const N: usize> Handoff<W, N> {
    /// Empty slots. The words are 0.
    pub const fn new(ready: [W; N], wanted: W) -> Handoff<W, N> {
        Handoff { ready, wanted }
    }

    /// Takes what is in one of the slots.
    pub fn take(&self) -> Option<u64> {
        // Acquire pairs with the Release in `fill`: what was stored is visible.
        self.ready.iter().find_map(|slot| take(slot, Ordering::Acquire))
    }

    /// Asks the filling thread for more. Then the caller wakes it.
    pub fn want(&self) {
        // SeqCst: in one total order with the state of the thread to wake (see `worker.rs`).
        self.wanted.store(1, Ordering::SeqCst);
    }

    /// Whether somebody has asked for more since the last call.
    pub fn take_wanted(&self) -> bool {
        take(&self.wanted, Ordering::SeqCst).is_some()
    }

    /// Fills the empty slots with what `make` returns; 0: there is nothing. One thread alone calls this.
    pub fn fill(&self, mut make: impl FnMut() -> u64) {
        for slot in &self.ready {
            // What this thread finds empty stays so until it is filled.
            if slot.load(Ordering::Relaxed) == 0 {
                slot.store(make(), Ordering::Release);
            }
        }
    }
}

/// Replaces what is in a word by 0.
fn take(word: &impl Word, order: Ordering) -> Option<u64> {
    let mut found = word.load(Ordering::Relaxed);
    while found != 0 {
        match word.compare_exchange_weak(found, 0, order, Ordering::Relaxed) {
            Ok(_) => return Some(found),
            Err(other) => found = other,
        }
    }
    None
}
