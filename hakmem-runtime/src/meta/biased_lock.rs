//! A lock for something that one thread uses all the time and others hardly ever: its owner takes it without an atomic
//! instruction, which would wait for all of the owner's earlier writes.
//!
//! The owner notes that it is inside, and then looks whether the lock is closed; another thread closes it, and then looks
//! whether the owner is inside. Each must do so in this order. A fence would see to that on both sides; instead, the kernel
//! has every processor that runs the program execute one (`membarrier`), whenever another thread closes locks. Nobody waits:
//! who finds the other one there goes without.

use crate::meta::word::Word;
use crate::sys::membarrier;
use core::sync::atomic::{AtomicU64, Ordering};

/// The two fences of the protocol.
pub trait Fences {
    /// The owner's: orders its write before its read, if there is a heavy one at that time.
    fn light();
    /// The others': orders the writes before it with their reads after it, and does so for all owners. `false`: there is no
    /// such fence.
    fn heavy() -> bool;
}

/// The kernel's fences.
#[derive(Debug)]
pub(crate) struct Kernel;

impl Fences for Kernel {
    #[inline(always)]
    fn light() {
        membarrier::here();
    }

    fn heavy() -> bool {
        membarrier::everywhere()
    }
}

/// # Invariants
/// If `inside` is 1 and `closed` was 0 when the owner looked, nobody else has access. If `closed` is 1 and `inside` was 0
/// after the heavy fence, the owner has none.
#[derive(Debug)]
pub struct BiasedLock<W = AtomicU64> {
    inside: W,
    closed: W,
}

impl<W: Word> BiasedLock<W> {
    /// Wraps words that hold 0.
    pub const fn new(inside: W, closed: W) -> BiasedLock<W> {
        BiasedLock { inside, closed }
    }

    /// Takes the lock for its owner, who has not got it yet. `false`: it is closed. [`BiasedLock::leave`] must follow in any
    /// case. (A guard, or a closure that is called with the lock, would not be compiled into its caller.)
    #[inline(always)]
    pub fn enter<F: Fences>(&self) -> bool {
        self.inside.store(1, Ordering::Relaxed);
        F::light();
        // Acquire pairs with the Release in `open`: what another thread did while it was closed is seen.
        self.closed.load(Ordering::Acquire) == 0
    }

    /// Gives it up.
    #[inline(always)]
    pub fn leave(&self) {
        // Release pairs with the Acquire in `is_left`.
        self.inside.store(0, Ordering::Release);
    }

    /// Closes the lock. A heavy fence must follow, and then [`BiasedLock::is_left`] be asked. One thread at a time.
    pub fn close(&self) {
        self.closed.store(1, Ordering::Relaxed);
    }

    /// Whether it is closed, for those who close it.
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed) != 0
    }

    /// Whether the owner is outside, after a heavy fence. It stays there until the lock is opened.
    pub fn is_left(&self) -> bool {
        self.inside.load(Ordering::Acquire) == 0
    }

    /// The word that is 1 while the lock is closed, for those who wait.
    pub fn closed_word(&self) -> &W {
        &self.closed
    }

    /// Opens the lock again.
    pub fn open(&self) {
        self.closed.store(0, Ordering::Release);
    }
}
