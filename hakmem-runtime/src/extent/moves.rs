//! Taking pages away from a block, to move them; how many moves there may be; and what becomes of targets that moves have
//! lost.

use super::segment::Segment;
use crate::sys::clock;
use crate::sys::leftover;
use crate::sys::mmap::{self, Access, NotTaken, TakenPages};
use core::hint;
use core::mem;
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

/// Moves that are left: each may cost two of the process's mappings, of which Linux allows 65,530. Those into a segment
/// come back when it is unmapped. 0 as well where the kernel has no such call.
static MOVES_LEFT: AtomicUsize = AtomicUsize::new(4096);

/// After a target was lost, no pages are moved for so many milliseconds: what the kernel refuses once it may refuse again.
const PAUSE_MS: u32 = 500;

/// When a target was lost, in milliseconds; 0: none was, or the pause is over.
static LOST_AT: AtomicU32 = AtomicU32::new(0);

/// The moves that may be in progress or have lost their target.
const PLACES: usize = 64;

/// For each of them [`NO_MOVE`], [`IN_PROGRESS`] (in a forked child, other threads' for ever), or the address of the extent that
/// was lost.
static MOVES: [AtomicUsize; PLACES] = [const { AtomicUsize::new(NO_MOVE) }; PLACES];
const NO_MOVE: usize = 0;
const IN_PROGRESS: usize = 1;

/// The words, as a slice whose length the compiler does not see: it would write each loop over them out 64 times.
fn all() -> &'static [AtomicUsize] {
    hint::black_box(MOVES.as_slice())
}

/// A move in progress, which will find room for the address of its target if that is lost.
///
/// # Invariants
/// The word is [`IN_PROGRESS`], and nobody else changes it.
#[derive(Debug)]
pub(super) struct Move(&'static AtomicUsize);

impl Move {
    /// `None`: there are too many, or none is tried now.
    #[inline(never)]
    pub(super) fn begin() -> Option<Move> {
        let lost = LOST_AT.load(Ordering::Relaxed);
        if lost != 0 {
            if clock::now_ms().wrapping_sub(lost) < PAUSE_MS {
                return None;
            }
            LOST_AT.store(0, Ordering::Relaxed);
        }
        all().iter().find_map(|word| Move::change(word, NO_MOVE))
    }

    fn change(word: &'static AtomicUsize, from: usize) -> Option<Move> {
        word.compare_exchange(from, IN_PROGRESS, Ordering::Acquire, Ordering::Relaxed).ok()?;
        Some(Move(word))
    }

    /// Takes a part of a block's pages away from it, if there are moves left.
    pub(super) fn take_pages(&self, from: usize, bytes: usize) -> Result<TakenPages, NotTaken> {
        let spend = |left: usize| left.checked_sub(1);
        if MOVES_LEFT.fetch_update(Ordering::Relaxed, Ordering::Relaxed, spend).is_err() {
            return Err(NotTaken::Unsupported);
        }
        let taken = mmap::take_pages(from, bytes);
        match taken {
            Ok(_) => {}
            Err(NotTaken::Refused) => give_back(1),
            Err(NotTaken::Unsupported) => MOVES_LEFT.store(0, Ordering::Relaxed),
        }
        taken
    }

    /// Notes that the extent at `address`, which is held, may be somebody else's.
    pub(super) fn lose(self, address: usize) {
        LOST_AT.store(clock::now_ms() | 1, Ordering::Relaxed);
        self.lose_again(address);
    }

    fn lose_again(self, address: usize) {
        self.0.store(address, Ordering::Release);
        mem::forget(self);
    }
}

impl Drop for Move {
    fn drop(&mut self) {
        self.0.store(NO_MOVE, Ordering::Release);
    }
}

/// Gives taken pages back to the system.
pub(super) fn discard(pages: &TakenPages) {
    leftover::discard(pages.address, pages.length);
}

/// Whether there are extents that moves have lost, or pages that the kernel did not unmap.
pub(super) fn is_any_left() -> bool {
    leftover::is_any() || all().iter().any(|word| word.load(Ordering::Relaxed) > IN_PROGRESS)
}

/// Maps those of the allocator with this id again of the extents that were lost, where nothing is mapped now, and calls
/// `found` with each: it is the caller's, and zero. `length_of` tells how many bytes one has. Unmaps what is left of the
/// pages of moves.
#[inline(never)]
pub(super) fn regain(id: u8, length_of: impl Fn(Segment, usize) -> usize, mut found: impl FnMut(Segment, usize)) {
    leftover::retry();
    for word in all() {
        let address = word.load(Ordering::Relaxed);
        if address <= IN_PROGRESS {
            continue;
        }
        let Some(regained) = Move::change(word, address) else { continue };
        // SAFETY: the extent is held, so its segment stays mapped but for the extent itself.
        match unsafe { Segment::at(address) } {
            Some((of, segment))
                if of == id && mmap::map_at(address, length_of(segment, address), Access::ReadWrite) =>
            {
                found(segment, address);
            }
            _ => regained.lose_again(address),
        }
    }
}

/// The mappings of so many moves are gone.
pub(super) fn give_back(moves: usize) {
    MOVES_LEFT.fetch_add(moves, Ordering::Relaxed);
}

/// Moves that are left, for tests.
#[cfg(test)]
pub(super) fn left() -> usize {
    MOVES_LEFT.load(Ordering::Relaxed)
}
