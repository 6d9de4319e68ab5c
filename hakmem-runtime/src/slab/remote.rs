//! The word through which threads free into slabs that are not theirs, and by which an ownerless slab is claimed.
//!
//! One 64-bit atomic holds the head of the list of remotely freed blocks, their count, whether anybody is responsible
//! for the slab, and whether it is on a stack of the pool. Hence the things that need to agree always do:
//!
//! ```text
//!            push(chain): list += chain           release: only if the list is empty
//!         ┌───────────────┐                     ┌───────────────────────────────────────▶ ADRIFT
//!         └────────── OWNED (list of 0 … blocks) ┘                                            │
//!                     ▲         take: list := empty                                          │
//!                     └──────────────────────────────────────────────────────────────────────┘
//!                       push(chain) or claim by a thread that frees; leave_stack by one that allocates
//! ```
//!
//! A slab adrift is nobody's, and nothing is listed in it. The first block freed comes from a thread that has the slab in
//! its hands anyway, so one compare-and-swap makes that thread the owner. A slab adrift that is full needs nothing else:
//! there is nothing in it to look after. One that has free blocks is also on the stack of its class in the pool, where
//! threads that allocate look for it. Threads that die leave nothing else to find.
//!
//! A stack gives up its top and nothing in the middle. So a slab that is claimed by a free stays on the stack all the
//! same, and `STACKED` says so: its link is not to be used for another stack until it was popped; the thread that pops it
//! finds an owner, and goes on to the next. If the slab goes adrift before that, it is where it should be already.
//!
//! Sources of the idea: mimalloc v3 claims an abandoned page with the CAS that frees into it; snmalloc sends remote
//! frees in batches. Here one CAS frees a whole batch *and* claims.

use crate::meta::word::Word;
use core::sync::atomic::{AtomicU64, Ordering};

/// Bits 0–31: the first listed block's distance from the slab's base in units of 8 bytes, plus one; 0 for none.
/// Bits 32–55: how many are listed. Bit 62: it is on a stack. Bit 63: somebody is responsible.
const OWNED: u64 = 1 << 63;
const STACKED: u64 = 1 << 62;
const COUNT_SHIFT: u32 = 32;
const POSITION: u64 = 0xFFFF_FFFF;
const COUNT: u64 = 0xFF_FFFF;

/// What became of a slab that was to go adrift.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Abandon {
    /// Blocks were freed into it meanwhile: it still is the caller's.
    Refused,
    /// It is adrift, and where it should be.
    Done,
    /// It is adrift, and the caller is to push it on the stack of its class.
    NeedsStack,
}

/// What became of a pushed chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RemoteFree {
    /// It is on the list; the owner will find it.
    Queued,
    /// The slab was adrift: it is the caller's now, and so is the chain, which was not listed.
    Reclaimed,
}

/// The word.
///
/// # Invariants
/// `OWNED = 0 ⇒ the list is empty`; `count == length of the list`.
#[derive(Debug, Default)]
pub struct RemoteWord<W = AtomicU64>(W);

impl<W: Word> RemoteWord<W> {
    /// Wraps a word that holds 0.
    pub fn new(word: W) -> RemoteWord<W> {
        RemoteWord(word)
    }

    /// Makes a slab never used before somebody's. One that was used is somebody's while it is free.
    pub fn own(&self) {
        if self.0.load(Ordering::Relaxed) == 0 {
            self.0.store(OWNED, Ordering::Relaxed);
        }
    }

    /// Makes a slab adrift the caller's. `false`: it is not adrift.
    pub fn claim(&self) -> bool {
        let mut old = self.0.load(Ordering::Relaxed);
        while old & OWNED == 0 {
            // Acquire: all that the last owner wrote before it let go (pairs with `release`).
            match self.0.compare_exchange_weak(old, old | OWNED, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(found) => old = found,
            }
        }
        false
    }

    /// For the thread that popped the slab from a stack: it is on none any more. `true`: it was adrift, and is the
    /// caller's now.
    pub fn leave_stack(&self) -> bool {
        let mut old = self.0.load(Ordering::Relaxed);
        loop {
            // Acquire as in `claim`. Release: the link is free for use; pairs with that of `is_stacked`.
            match self.0.compare_exchange_weak(old, (old | OWNED) & !STACKED, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return old & OWNED == 0,
                Err(found) => old = found,
            }
        }
    }

    /// Whether the slab is on a stack, or will be in a moment.
    pub fn is_stacked(&self) -> bool {
        self.0.load(Ordering::Acquire) & STACKED != 0
    }

    /// Frees a chain of `count` blocks into a slab that is not the caller's. `position` is the first block's distance
    /// from the base in bytes. `link` is called, perhaps several times, to make the chain's last block lead to the
    /// position it is given (in bytes; `None` is the end).
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
            // Release publishes the links to `take`; Acquire on a claim sees all that the last owner wrote before it
            // let go (pairs with `release`).
            match self.0.compare_exchange_weak(old, new, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return outcome,
                Err(found) => old = found,
            }
        }
    }

    /// How many blocks are listed. A glance: more may follow at any time, but none leave unless the owner takes them.
    pub fn count(&self) -> u32 {
        (self.0.load(Ordering::Relaxed) >> COUNT_SHIFT & COUNT) as u32
    }

    /// Takes the whole list: the first block's distance from the base in bytes and the count. Only for the owner.
    pub fn take(&self) -> Option<(u32, u32)> {
        let mut old = self.0.load(Ordering::Relaxed);
        while old & POSITION != 0 {
            // Acquire pairs with the Release of every `push` on the list: the links are visible.
            match self.0.compare_exchange_weak(old, old & (OWNED | STACKED), Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => return decode(old).map(|position| (position, (old >> COUNT_SHIFT & COUNT) as u32)),
                Err(found) => old = found,
            }
        }
        None
    }

    /// Sets the slab adrift, to be found on a stack if `stacked`. Only for its owner.
    pub fn release(&self, stacked: bool) -> Abandon {
        let mut old = self.0.load(Ordering::Relaxed);
        while old & POSITION == 0 {
            let new = if stacked { STACKED } else { old & STACKED };
            // Release hands the owner's metadata to whoever claims.
            match self.0.compare_exchange_weak(old, new, Ordering::Release, Ordering::Relaxed) {
                Ok(_) if new == old & STACKED => return Abandon::Done,
                Ok(_) => return Abandon::NeedsStack,
                Err(found) => old = found,
            }
        }
        Abandon::Refused
    }
}

fn encode(position: u32) -> u64 {
    u64::from(position >> 3).wrapping_add(1)
}

fn decode(word: u64) -> Option<u32> {
    let place = (word & POSITION) as u32;
    if place == 0 { None } else { Some(place.wrapping_sub(1) << 3) }
}
