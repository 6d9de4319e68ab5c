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
use crate::slab::block::{Block, Chain};
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
    slots: [Cell<*mut Block>; N],
}

// SAFETY: a block is stored once when it is freed or fetched, and handed out once, from the head, when it does not wait.
unsafe impl<const N: usize> Layer for Quarantine<N> {
    type Shared = Limit;

    const EMPTY: Self = Quarantine {
        head: Cell::new(0),
        wait: Cell::new(0),
        tail: Cell::new(0),
        slots: [const { Cell::new(ptr::null_mut()) }; N],
    };

    const INERT: bool = true;

    #[inline(always)]
    unsafe fn pop(&self) -> *mut Block {
        let head = self.head.get();
        if head == self.wait.get() {
            return ptr::null_mut();
        }
        // SAFETY: positions are below `N`, and between head and tail there are blocks.
        let block = unsafe { Block::found(self.slots.get_unchecked(head as usize).get()) };
        self.head.set(Self::wrap(head.wrapping_add(1)));
        block
    }

    #[inline(always)]
    unsafe fn push(&self, _: *mut Block) -> bool {
        false
    }

    unsafe fn miss(&self, _: &Limit, below: &mut impl Below) -> *mut Block {
        let head = self.head.get() as usize;
        // The places in front of the head that lie side by side.
        let end = if head == 0 { N } else { head };
        let room = (N - 1 - self.length() as usize).min(end);
        let start = end - room.min(below.class().batch as usize);
        // SAFETY: the only view; nothing below comes back to this state.
        let slots = unsafe { &mut *self.view() }.get_mut(start..end).unwrap_or_default();
        let count = below.fetch(slots);
        slots.rotate_right(slots.len() - count);
        if count > 0 {
            self.head.set((end - count) as u32);
        } else if self.waiting() > 0 {
            // There is no memory but this.
            self.let_go(below);
        }
        // SAFETY: on the owning thread.
        unsafe { self.pop() }
    }

    unsafe fn overflow(&self, block: *mut Block, &Limit(limit): &Limit, below: &mut impl Below) {
        self.enter(block, limit, below);
        if self.tail.get() == 0 {
            below.tick(); // Once in a round.
        }
    }

    unsafe fn demand(&self, want: u32, _: &Limit, _: &mut impl Below) -> Chain {
        // SAFETY: on the owning thread.
        Chain::gather(want, || unsafe { self.pop() })
    }

    unsafe fn absorb(&self, chain: Chain, &Limit(limit): &Limit, below: &mut impl Below) {
        for block in chain {
            self.enter(block, limit, below);
        }
    }

    unsafe fn drain(&self, _: &Limit, below: &mut impl Below) {
        while self.waiting() > 0 {
            self.let_go(below);
        }
        self.give_up(self.length(), below);
        self.head.set(0);
        self.wait.set(0);
        self.tail.set(0);
    }

    unsafe fn fetch(&self, slots: &mut [*mut Block], _: &Limit, _: &mut impl Below) -> usize {
        let count = slots.len().min(self.length().wrapping_sub(self.waiting()) as usize);
        for slot in slots.iter_mut().take(count) {
            // SAFETY: on the owning thread.
            *slot = unsafe { self.pop() };
        }
        count
    }

    unsafe fn give(&self, blocks: &[*mut Block], &Limit(limit): &Limit, below: &mut impl Below) {
        for &block in blocks {
            self.enter(block, limit, below);
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

    /// The places, as memory to read and write. Nobody has another view while one is in use.
    fn view(&self) -> *mut [*mut Block] {
        ptr::slice_from_raw_parts_mut(self.slots.as_ptr().cast::<*mut Block>().cast_mut(), N)
    }

    /// Takes in a block that was freed. For it, the one that has waited longest may go.
    fn enter(&self, block: *mut Block, limit: u32, below: &mut impl Below) {
        let words = words(block, below);
        // A block that is full of the pattern is likely to be here.
        if words.first() == Some(&WORD) && self.holds(block) {
            fatal("a block was freed twice", block.addr());
        }
        words.fill(WORD);
        if self.waiting() >= limit {
            self.let_go(below);
        }
        if self.length() == N as u32 - 1 {
            // The limit leaves room for more than those that wait.
            self.give_up(self.length().wrapping_sub(self.waiting()).div_ceil(2), below);
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
            let words = words(slot.get(), below);
            if words.iter().fold(0, |touched, word| touched | (word ^ WORD)) != 0 {
                let place = words.iter().find(|&&word| word != WORD).map_or(0, |word| ptr::from_ref(word).addr());
                fatal("a block was written to after it was freed", place);
            }
        }
        self.wait.set(Self::wrap(wait.wrapping_add(1)));
    }

    /// Whether a block is in the ring.
    fn holds(&self, block: *mut Block) -> bool {
        let mut places = (0..self.length()).map(|place| Self::wrap(self.head.get().wrapping_add(place)));
        places.any(|place| self.slots.get(place as usize).is_some_and(|slot| slot.get() == block))
    }

    /// Gives the first `count` blocks, none of which waits, to `below`: in two pieces where they lie across the array's end.
    fn give_up(&self, count: u32, below: &mut impl Below) {
        let (head, count) = (self.head.get() as usize, count as usize);
        let first = count.min(N - head);
        // SAFETY: the only view; nothing below comes back to this state.
        let slots = unsafe { &mut *self.view() };
        below.give(slots.get(head..head + first).unwrap_or_default());
        below.give(slots.get(..count - first).unwrap_or_default());
        self.head.set(Self::wrap((head + count) as u32));
    }
}

/// What of a free block is the program's when it is allocated; a header in front of the next block is not.
fn words<'a>(block: *mut Block, below: &impl Below) -> &'a mut [usize] {
    let words = below.class().usable as usize / size_of::<usize>();
    // SAFETY: a free block of the class, of which the ring or the caller is the owner; aligned to 8. Callers are done with
    // the view before they ask for another.
    unsafe { slice::from_raw_parts_mut(block.cast(), words) }
}
