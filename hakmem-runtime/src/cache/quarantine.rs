//! `quarantine`: freed blocks wait, filled with a pattern, and are looked at before they are used again.
//!
//! A free fills the block with [`PATTERN`] and puts it last in a ring of pointers; the ring keeps the spec's number of
//! blocks waiting, and lets the one that has waited longest go for each that comes. One whose pattern was touched ends
//! the program: somebody wrote to it after it was freed. Who reads a freed block reads the pattern, which no pointer and
//! no text in UTF-8 contains.
//!
//! Blocks that may go stay in the ring, in front of those that wait, until an allocation takes them: that is the hit. A
//! free has none. It writes the whole block, which is no work for inlined code.
//!
//! A hit: load, compare, branch, load, increment, and, store.

use super::{Below, Layer, Limit};
use crate::slab::{Batch, FreeBlock, Slot};
use crate::sys::fatal::fatal;
use core::cell::Cell;
use core::ptr;
use core::slice;

/// What is in each byte of a block that waits. Eight of them are no address of this processor, as the upper bits differ.
const PATTERN: u8 = 0xF5;

/// The same, a word.
const WORD: usize = usize::from_ne_bytes([PATTERN; size_of::<usize>()]);

/// The state of one class. `N` is a power of two, a quarter above the limit or more.
///
/// # Invariants
/// All positions are below `N`, and what follows is meant modulo `N`:
///
/// ```text
/// tail - head ≤ N - 1
/// tail - wait ≤ limit
/// ```
///
/// `slots[head .. tail]` are the blocks, the one that was freed first in front. Those from `wait` on wait: each is full of
/// the pattern, or was written to after it was freed.
#[repr(C)]
#[derive(Debug)]
pub struct Quarantine<const N: usize> {
    head: Cell<u32>,
    wait: Cell<u32>,
    tail: Cell<u32>,
    slots: [Slot; N],
}

// SAFETY: a block is stored once when it is freed or refilled, and handed out once, from the head, when it does not wait.
unsafe impl<const N: usize> Layer for Quarantine<N> {
    type Shared = Limit;

    const EMPTY: Self =
        Quarantine { head: Cell::new(0), wait: Cell::new(0), tail: Cell::new(0), slots: [const { Slot::EMPTY }; N] };

    const INERT: bool = true;

    #[inline(always)]
    fn pop(&self) -> Option<FreeBlock> {
        let head = self.head.get();
        if head == self.wait.get() {
            return None;
        }
        // SAFETY: positions are below `N`, and between head and tail there are blocks, of which this one is handed out now.
        let block = unsafe { self.slots.get_unchecked(head as usize).take() };
        self.head.set(Self::wrap(head.wrapping_add(1)));
        Some(block)
    }

    #[inline(always)]
    fn push(&self, _: FreeBlock, _: usize) -> bool {
        false
    }

    fn refill(&self, _: &Limit, below: &mut impl Below) -> Option<FreeBlock> {
        let head = self.head.get() as usize;
        // The places in front of the head that lie side by side.
        let end = if head == 0 { N } else { head };
        let room = (N - 1 - self.length() as usize).min(end);
        let start = end - room.min(below.class().batch as usize);
        let mut batch = Batch::new(self.slots.get(start..end).unwrap_or_default());
        if batch.room() > 0 {
            below.refill(&mut batch);
        }
        let count = batch.into_slots_at_end();
        if count > 0 {
            self.head.set(end as u32 - count);
        } else if self.waiting() > 0 {
            // There is no memory but this.
            self.let_go(below);
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
            self.let_go(below);
        }
        self.flush_oldest(self.length(), below);
        self.head.set(0);
        self.wait.set(0);
        self.tail.set(0);
    }

    fn put_one(&self, block: FreeBlock, &Limit(limit): &Limit, below: &mut impl Below) {
        self.enter(block, limit, below);
        if self.tail.get() == 0 {
            below.tick(); // Once in a round.
        }
    }
}

impl<const N: usize> Quarantine<N> {
    const POWER: () = assert!(N.is_power_of_two());

    #[inline(always)]
    fn wrap(position: u32) -> u32 {
        let () = Self::POWER;
        position & (N as u32).wrapping_sub(1)
    }

    fn length(&self) -> u32 {
        Self::wrap(self.tail.get().wrapping_sub(self.head.get()))
    }

    fn waiting(&self) -> u32 {
        Self::wrap(self.tail.get().wrapping_sub(self.wait.get()))
    }

    /// Takes in a block that was freed. For it, the one that has waited longest may go.
    fn enter(&self, mut block: FreeBlock, limit: u32, below: &mut impl Below) {
        let address = block.as_ptr();
        let words = words(&mut block, below);
        // A block that is full of the pattern is likely to be here.
        if words.first() == Some(&WORD) && self.holds(address) {
            fatal("double free", address.addr());
        }
        words.fill(WORD);
        if self.waiting() >= limit {
            self.let_go(below);
        }
        if self.length() == N as u32 - 1 {
            // The limit leaves room for more than those that wait.
            self.flush_oldest(self.length().wrapping_sub(self.waiting()).div_ceil(2), below);
        }
        let tail = self.tail.get();
        if let Some(slot) = self.slots.get(tail as usize) {
            slot.set(block);
        }
        self.tail.set(Self::wrap(tail.wrapping_add(1)));
    }

    /// Looks whether the block that has waited longest was left alone. It waits no longer. There has to be one.
    fn let_go(&self, below: &impl Below) {
        let wait = self.wait.get();
        if let Some(slot) = self.slots.get(wait as usize) {
            // SAFETY: between `wait` and `tail` there are blocks of ours. This one stays, and is only looked at here.
            let mut block = unsafe { slot.take() };
            let words = words(&mut block, below);
            if words.iter().fold(0, |touched, word| touched | (word ^ WORD)) != 0 {
                let place = words.iter().find(|&&word| word != WORD).map_or(0, |word| ptr::from_ref(word).addr());
                fatal("write after free", place);
            }
        }
        self.wait.set(Self::wrap(wait.wrapping_add(1)));
    }

    /// Whether a block is in the ring.
    fn holds(&self, block: *mut u8) -> bool {
        let mut places = (0..self.length()).map(|place| Self::wrap(self.head.get().wrapping_add(place)));
        places.any(|place| self.slots.get(place as usize).is_some_and(|slot| slot.holds(block)))
    }

    /// Flushes the first `count` blocks, none of which waits: in two pieces where they lie across the array's end.
    fn flush_oldest(&self, count: u32, below: &mut impl Below) {
        let (head, count) = (self.head.get() as usize, count as usize);
        let first = count.min(N - head);
        for piece in [head..head + first, 0..count - first] {
            // SAFETY: from the head on there are `count` blocks, which are not counted any more before anybody looks.
            below.flush(unsafe { Batch::full(self.slots.get(piece).unwrap_or_default()) });
        }
        self.head.set(Self::wrap((head + count) as u32));
    }
}

/// What of a free block is the program's when it is allocated; a header in front of the next block is not.
fn words<'a>(block: &'a mut FreeBlock, below: &impl Below) -> &'a mut [usize] {
    let words = below.class().usable as usize / size_of::<usize>();
    // SAFETY: the block is nobody else's (`FreeBlock`), and of the class of what is below (`Layer`), whose blocks have `usable` bytes
    // and are aligned to a word.
    unsafe { slice::from_raw_parts_mut(block.as_ptr().cast(), words) }
}
