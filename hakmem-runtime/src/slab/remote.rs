//! The word through which threads free blocks into slabs of other heaps, and reclaim abandoned slabs.
//!
//! One 64-bit atomic holds the head of the list of remotely freed blocks, the length of that list, whether the slab has
//! an owner, and whether it is on one of the pool's stacks. These always agree, because every change is one
//! compare-and-swap (but for the first: `own`):
//!
//! ```text
//!   push: list += chain
//!   take: list := empty
//!         ┌───┐
//!         │   ▼         abandon, only while the list is empty
//!        OWNED ──────────────────────────────────────────────────────▶ ABANDONED
//!          ▲                                                               │
//!          └───────────────────────────────────────────────────────────────┘
//!            push or reclaim, by a thread that frees; leave_stack, by one that allocates
//! ```
//!
//! `OWNED` includes free slabs, which belong to a heap's cache or to the pool.
//!
//! An abandoned slab has no owner and an empty list. The thread that frees the first block into it becomes its owner
//! with the same compare-and-swap. An abandoned slab that is full need not be found: only a free can make it useful
//! again. An abandoned slab with free blocks is also on its class's stack in the pool, where threads that allocate find
//! it.
//!
//! A stack can only be popped, so a slab that is reclaimed by a free stays on its stack. `STACKED` records this: the
//! slab's link must not be used for another stack until the slab was popped. A thread that pops a slab with an owner
//! drops it and pops the next. If the owner abandons the slab before that, it need not be pushed again.
//!
//! mimalloc v3 reclaims an abandoned page with the compare-and-swap that frees into it, and snmalloc sends remote frees
//! in batches. Here one compare-and-swap does both.

use crate::meta::word::Word;
#[cfg(hakmem_sim)]
use crate::simulated::{Step, leaves_out};
use core::sync::atomic::{AtomicU64, Ordering};

/// Bit 63: the slab has an owner.
const OWNED: u64 = 1 << 63;
/// Bit 62: it is on a stack, or about to be pushed on one.
const STACKED: u64 = 1 << 62;
/// Bits 32–55: the length of the list.
const COUNT: u64 = 0xFF_FFFF;
const COUNT_SHIFT: u32 = 32;
/// Bits 0–31: the first block's distance from the slab's base in units of 8 bytes, plus one; 0 if the list is empty.
const POSITION: u64 = 0xFFFF_FFFF;

/// What [`RemoteWord::abandon`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Abandon {
    /// Nothing: other threads have freed blocks into the slab, and the caller still owns it.
    Refused,
    /// The slab is abandoned, and the caller has nothing left to do: it is on a stack already, or need not be.
    Done,
    /// The slab is abandoned, and the caller must push it on the stack of its class.
    NeedsStack,
}

/// What [`RemoteWord::push`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RemoteFree {
    /// The chain is on the list, from which the owner will take it.
    Queued,
    /// The slab was abandoned, and the caller owns it now. It still owns the chain, too, which is not on the list.
    Reclaimed,
}

/// The word.
///
/// # Invariants
/// `OWNED = 0 ⇒ the list is empty`; `count == length of the list`. 0 is the word of a slab that was never used.
#[derive(Debug, Default)]
pub struct RemoteWord<W = AtomicU64>(W);

impl RemoteWord {
    /// The word of a slab that was never used.
    pub(super) const UNUSED: RemoteWord = RemoteWord(AtomicU64::new(0));
}

impl<W: Word> RemoteWord<W> {
    /// Wraps a word that holds 0.
    pub fn new(word: W) -> RemoteWord<W> {
        RemoteWord(word)
    }

    /// Gives a slab that was never used an owner. A free slab that was used has kept its `OWNED` bit. For the thread
    /// that has the slab to itself. The store is relaxed: other threads reach the word through a block that is
    /// allocated later, and the program orders that.
    pub fn own(&self) {
        if self.0.load(Ordering::Relaxed) == 0 {
            self.0.store(OWNED, Ordering::Relaxed);
        }
    }

    /// Makes the caller the owner of an abandoned slab. `false`: the slab is not abandoned.
    pub fn reclaim(&self) -> bool {
        let mut old = self.0.load(Ordering::Relaxed);
        while old & OWNED == 0 {
            // Acquire pairs with the Release in `abandon`: the caller sees what the last owner wrote to the slab.
            match self.0.compare_exchange_weak(old, old | OWNED, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(found) => old = found,
            }
        }
        false
    }

    /// For the thread that popped the slab from a stack: notes that it is on none. `true`: the slab was abandoned, and
    /// the caller owns it now. `false`: it has another owner.
    pub fn leave_stack(&self) -> bool {
        let mut old = self.0.load(Ordering::Relaxed);
        loop {
            // Acquire pairs with the Release in `abandon`, as the caller may be the new owner. Release pairs with the
            // Acquire in `is_stacked`: the pop has read the slab's link before the owner uses it again.
            match self.0.compare_exchange_weak(old, (old | OWNED) & !STACKED, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return old & OWNED == 0,
                Err(found) => old = found,
            }
        }
    }

    /// Whether the slab is on a stack, or about to be pushed on one.
    pub fn is_stacked(&self) -> bool {
        #[cfg(hakmem_sim)]
        if leaves_out(Step::Stacked) {
            return false;
        }
        // Acquire pairs with the Release in `leave_stack`.
        self.0.load(Ordering::Acquire) & STACKED != 0
    }

    /// Frees a chain of `count` blocks into a slab that the caller does not own. `position` is the distance of its
    /// first block from the slab's base, in bytes. Each call of `link` makes the chain's last block lead to the block
    /// at the position that it is given, or end the list for `None`; it is called once per attempt.
    pub fn push(&self, position: u32, count: u32, mut link: impl FnMut(Option<u32>)) -> RemoteFree {
        let mut old = self.0.load(Ordering::Relaxed);
        loop {
            let (new, outcome) = if old & OWNED == 0 {
                (OWNED | old, RemoteFree::Reclaimed)
            } else {
                link(decode(old));
                let total = (old >> COUNT_SHIFT & COUNT).wrapping_add(u64::from(count));
                (old & (OWNED | STACKED) | total << COUNT_SHIFT | encode(position), RemoteFree::Queued)
            };
            // Release pairs with the Acquire in `take`: the owner sees the chain's links. Acquire pairs with the
            // Release in `abandon`: a thread that reclaims the slab sees what the last owner wrote to it.
            match self.0.compare_exchange_weak(old, new, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return outcome,
                Err(found) => old = found,
            }
        }
    }

    /// The length of the list. Other threads may add to it at any time; only the owner takes from it.
    pub fn count(&self) -> u32 {
        (self.0.load(Ordering::Relaxed) >> COUNT_SHIFT & COUNT) as u32
    }

    /// Takes the whole list: its first block's distance from the base in bytes, and its length. Only for the owner.
    pub fn take(&self) -> Option<(u32, u32)> {
        let mut old = self.0.load(Ordering::Relaxed);
        while old & POSITION != 0 {
            // Acquire pairs with the Release in each `push` to the list: their links are visible. (Every change since
            // is an exchange of this word, so a later push does not hide an earlier one.)
            match self.0.compare_exchange_weak(old, old & (OWNED | STACKED), Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => return decode(old).map(|position| (position, (old >> COUNT_SHIFT & COUNT) as u32)),
                Err(found) => old = found,
            }
        }
        None
    }

    /// Abandons the slab, unless blocks are on the list. `stacked` says that it should be on a stack. Only for its
    /// owner.
    pub fn abandon(&self, stacked: bool) -> Abandon {
        let mut old = self.0.load(Ordering::Relaxed);
        #[cfg(hakmem_sim)]
        if leaves_out(Step::RemoteList) {
            self.0.store(if stacked { STACKED } else { 0 }, Ordering::Relaxed);
            return if stacked && old & STACKED == 0 { Abandon::NeedsStack } else { Abandon::Done };
        }
        while old & POSITION == 0 {
            let new = if stacked { STACKED } else { old & STACKED };
            // Release pairs with the Acquire in `push`, `reclaim` and `leave_stack`: the next owner sees the slab as it
            // is now.
            match self.0.compare_exchange_weak(old, new, Ordering::Release, Ordering::Relaxed) {
                Ok(_) if new == old & STACKED => return Abandon::Done,
                Ok(_) => return Abandon::NeedsStack,
                Err(found) => old = found,
            }
        }
        Abandon::Refused
    }
}

/// The bits for a list whose first block is `position` bytes from the base.
fn encode(position: u32) -> u64 {
    u64::from(position >> 3).wrapping_add(1)
}

/// The position of the first block in `word`'s list, in bytes.
fn decode(word: u64) -> Option<u32> {
    let position = (word & POSITION) as u32;
    if position == 0 { None } else { Some(position.wrapping_sub(1) << 3) }
}
