//! The word through which threads free into slabs that are not theirs, and by which an ownerless slab is claimed.
//!
//! One 64-bit atomic holds the head of the list of remotely freed blocks, their count, and whether anybody is
//! responsible for the slab. Hence the three things that need to agree always do:
//!
//! ```text
//!            push(chain): list += chain              release: only if the list is empty
//!         ┌───────────────┐                        ┌──────────────────────────────────▶ ADRIFT
//!         └────────── OWNED (list of 0 … blocks) ──┘                                      │
//!                     ▲         take: list := empty                                       │
//!                     └───────────────────────────────────────────────────────────────────┘
//!                                 push(chain) on a slab adrift: the freeing thread owns it now
//! ```
//!
//! A slab is adrift exactly while all its blocks are allocated: there is nothing in it to look after. The first block
//! freed comes from a thread that has the slab in its hands anyway, so the same compare-and-swap that would have
//! listed the block makes that thread the owner. Threads that die leave nothing to find: their full slabs are adrift
//! already, their partial ones go to the pool (which counts as an owner).
//!
//! Sources of the idea: mimalloc v3 claims an abandoned page with the CAS that frees into it; snmalloc sends remote
//! frees in batches. Here one CAS frees a whole batch *and* claims.

use crate::os::word::Word;
use core::sync::atomic::{AtomicU64, Ordering};

/// Bits 0–31: the first listed block's distance from the slab's base in units of 8 bytes, plus one; 0 for none.
/// Bits 32–55: how many are listed. Bit 63: somebody is responsible.
const OWNED: u64 = 1 << 63;
const COUNT_SHIFT: u32 = 32;
const POSITION: u64 = 0xFFFF_FFFF;
const COUNT: u64 = 0xFF_FFFF;

/// What became of a pushed chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pushed {
    /// It is on the list; the owner will find it.
    Listed,
    /// The slab was adrift: it is the caller's now, and so is the chain, which was not listed.
    Claimed,
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

    /// Makes the slab somebody's, with nothing listed. Only for one that no other thread can know of: fresh from the
    /// pool, with no block allocated.
    pub fn own(&self) {
        self.0.store(OWNED, Ordering::Relaxed);
    }

    /// Frees a chain of `count` blocks into a slab that is not the caller's. `position` is the first block's distance
    /// from the base in bytes. `link` is called, perhaps several times, to make the chain's last block lead to the
    /// position it is given (in bytes; `None` is the end).
    pub fn push(&self, position: u32, count: u32, mut link: impl FnMut(Option<u32>)) -> Pushed {
        let mut old = self.0.load(Ordering::Relaxed);
        loop {
            let (new, outcome) = if old & OWNED == 0 {
                (OWNED, Pushed::Claimed)
            } else {
                link(decode(old));
                let total = (old >> COUNT_SHIFT & COUNT).wrapping_add(u64::from(count));
                (OWNED | total << COUNT_SHIFT | encode(position), Pushed::Listed)
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
        if self.count() == 0 {
            return None;
        }
        // Acquire pairs with the Release of every `push` on the list: the links are visible.
        let old = self.0.swap(OWNED, Ordering::Acquire);
        decode(old).map(|position| (position, (old >> COUNT_SHIFT & COUNT) as u32))
    }

    /// Lets go of a slab in which no block is free. `false`: some were freed meanwhile, and the caller still owns it.
    pub fn release(&self) -> bool {
        loop {
            // Release hands the owner's metadata to whoever claims.
            match self.0.compare_exchange_weak(OWNED, 0, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(OWNED) => {} // Spurious.
                Err(_) => return false,
            }
        }
    }
}

fn encode(position: u32) -> u64 {
    u64::from(position >> 3).wrapping_add(1)
}

fn decode(word: u64) -> Option<u32> {
    let place = (word & POSITION) as u32;
    if place == 0 { None } else { Some(place.wrapping_sub(1) << 3) }
}
