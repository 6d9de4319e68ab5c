//! `quarantine`: freed blocks are filled with a pattern, wait, and are checked before they are used again.
//!
//! A free fills the block with [`PATTERN`] and appends it to a ring of pointers. Once the spec's number of blocks wait,
//! each free also checks the one that has waited longest and releases it for reuse. If its pattern was changed, the
//! program wrote to it after freeing it, and is aborted. A read of a waiting block yields the pattern: no valid
//! pointer, and no valid UTF-8.
//!
//! Released blocks stay in the ring, before those that wait, until an allocation takes them: that is the hit. A free is
//! never inlined, as it writes the whole block.

use super::circle::Circle;
use super::{Below, Layer, Limit};
use crate::slab::{Batch, FreeBlock};
use crate::sys::fatal::fatal;
use core::ptr;
use core::slice;

/// Each byte of a waiting block. A word of it is no canonical address; the byte never occurs in UTF-8.
const PATTERN: u8 = 0xF5;

/// A word of the pattern.
pub(crate) const WORD: usize = usize::from_ne_bytes([PATTERN; size_of::<usize>()]);

/// The state of one class. `N` is a power of two, a quarter above the limit or more.
///
/// # Invariants
/// With the mark as `wait`:
///
/// ```text
/// tail - head ≤ N - 1
/// tail - wait ≤ limit
/// ```
///
/// The blocks from `wait` on are waiting: each is full of the pattern, or was written to after it was freed.
#[repr(transparent)]
#[derive(Debug)]
pub struct Quarantine<const N: usize>(Circle<N, true>);

// SAFETY: a free or a refill of a block stores it once, and it is handed out once, from the head, when it no longer
// waits.
unsafe impl<const N: usize> Layer for Quarantine<N> {
    type Shared = Limit;

    const EMPTY: Self = Quarantine(Circle::EMPTY);

    const INERT: bool = true;

    #[inline(always)]
    fn pop(&self) -> Option<FreeBlock> {
        self.0.pop()
    }

    #[inline(always)]
    fn push(&self, _: FreeBlock, _: usize) -> bool {
        false
    }

    fn refill(&self, _: &Limit, below: &mut impl Below) -> Option<FreeBlock> {
        let head = self.0.head.get() as usize;
        // The free slots just before the head, up to the start of the array.
        let end = if head == 0 { N } else { head };
        let room = (N - 1 - self.0.length() as usize).min(end);
        let start = end - room.min(below.class().batch as usize);
        let mut batch = Batch::new(self.0.slots.get(start..end).unwrap_or_default());
        if batch.room() > 0 {
            below.refill(&mut batch);
        }
        let count = batch.into_slots_at_end();
        if count > 0 {
            self.0.head.set(end as u32 - count);
        } else if self.waiting() > 0 {
            // Out of memory: reuse a waiting block early.
            self.release_oldest(below);
        }
        self.pop()
    }

    fn take(&self, batch: &mut Batch<'_>, _: &Limit, _: &mut impl Below) {
        batch.fill(|| self.pop());
    }

    fn put(&self, mut batch: Batch<'_>, &Limit(limit): &Limit, below: &mut impl Below) {
        while let Some(block) = batch.pop() {
            self.enter(block, limit, below);
        }
    }

    fn drain(&self, _: &Limit, below: &mut impl Below) {
        while self.waiting() > 0 {
            self.release_oldest(below);
        }
        self.0.drain(below);
    }

    fn put_one(&self, block: FreeBlock, &Limit(limit): &Limit, below: &mut impl Below) {
        self.enter(block, limit, below);
        if self.0.tail.get() == 0 {
            below.tick(); // Once per trip around the ring.
        }
    }
}

impl<const N: usize> Quarantine<N> {
    fn waiting(&self) -> u32 {
        Circle::<N, true>::wrap(self.0.tail.get().wrapping_sub(self.0.mark.get()))
    }

    /// Takes in a freed block, and releases the one that has waited longest if enough wait.
    fn enter(&self, mut block: FreeBlock, limit: u32, below: &mut impl Below) {
        let address = block.as_ptr();
        let words = words(&mut block, below);
        // A block that begins with the pattern is probably in the ring already.
        if words.first() == Some(&WORD) && self.holds(address) {
            fatal("double free", address.addr());
        }
        words.fill(WORD);
        if self.waiting() >= limit {
            self.release_oldest(below);
        }
        if self.0.length() == N as u32 - 1 {
            // Fewer than `limit < N` wait, so some of the blocks do not.
            self.0.flush_oldest(self.0.length().wrapping_sub(self.waiting()).div_ceil(2), below);
        }
        self.0.append(block);
    }

    /// Checks the block that has waited longest, of which there is one, and releases it for reuse.
    fn release_oldest(&self, below: &impl Below) {
        let wait = self.0.mark.get();
        if let Some(slot) = self.0.slots.get(wait as usize) {
            // SAFETY: `wait` is not `tail`, so the slot holds a block that the ring owns. The slot keeps the pointer;
            // this value is used for the check alone.
            let mut block = unsafe { slot.read() };
            let words = words(&mut block, below);
            if words.iter().fold(0, |touched, word| touched | (word ^ WORD)) != 0 {
                let address = words.iter().find(|&&word| word != WORD).map_or(0, |word| ptr::from_ref(word).addr());
                fatal("write after free", address);
            }
        }
        self.0.mark.set(Circle::<N, true>::wrap(wait.wrapping_add(1)));
    }

    /// Whether a block is in the ring.
    fn holds(&self, block: *mut u8) -> bool {
        let mut positions =
            (0..self.0.length()).map(|offset| Circle::<N, true>::wrap(self.0.head.get().wrapping_add(offset)));
        positions.any(|position| self.0.slots.get(position as usize).is_some_and(|slot| slot.holds(block)))
    }
}

/// The words of a block that the program may use when it is allocated: without the next block's header.
fn words<'a>(block: &'a mut FreeBlock, below: &impl Below) -> &'a mut [usize] {
    let words = below.class().usable as usize / size_of::<usize>();
    // SAFETY: a `FreeBlock` owns its memory and is borrowed mutably, so nothing else uses the bytes. It is of the class
    // of `below` (`Layer`), whose blocks have at least `usable` bytes and are aligned to a word.
    unsafe { slice::from_raw_parts_mut(block.as_ptr().cast(), words) }
}
