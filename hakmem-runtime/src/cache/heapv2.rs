//! `heapv2`: two magazines of pointers per thread, exchanged whole with a depot that all threads share.
//!
//! Allocations pop from the loaded magazine, frees push onto it. When it is empty (or full), it is swapped with the
//! previous one, which is always either full or empty. If both are empty (or full), one is exchanged with the depot for
//! a full (or empty) one, in constant time, however many blocks it holds. So blocks move from a thread that frees to
//! one that allocates by the magazine, without reaching their slabs. (Bonwick and Adams, "Magazines and Vmem", 2001.)
//!
//! The depot's two stacks are lock-free. It keeps full magazines of up to 16 MiB of blocks; the rest is flushed.

use super::depot::{Depot, Magazine};
use super::{Below, Layer};
use crate::heap::Portion;
use crate::slab::{Batch, FreeBlock, Slot};
use core::cell::Cell;
use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};

/// How many blocks of a loaded magazine are flushed at a time when a thread ends.
const DRAIN_BATCH: usize = 64;

/// The slot of a state without magazines, so that a hit need not test whether there are any: it has no block, and nothing is
/// written to it.
static NO_SLOT: Slot = Slot::EMPTY;

/// The state of one class.
///
/// # Invariants
/// `top` is a slot of `loaded`, or the word before the first one, which is null. The slots up to `top` hold blocks. A push
/// stores after `top`, unless that is `last`. `previous` holds `limit` blocks if `previous_full`, else none. Before the first
/// cold path there are no magazines, `top` is `NO_SLOT` and `last` is null.
///
/// While `spare` is `Some`, another thread has [shut](Layer::shut) the state: `last` is null, and a slot up to `top` that is
/// null stands for that of `spare`. Once it is taken over, `last` is the slot before the one that was at the top: only the block
/// of that one is left, in the first slot of `spare`, as a pop may have been about to return it. A push that was under way then
/// has its block in the next slot, of `loaded` or of `spare` (`tests/loom_magazine.rs`).
#[repr(C)]
#[derive(Debug)]
pub struct HeapV2 {
    top: AtomicPtr<Slot>,
    last: AtomicPtr<Slot>,
    loaded: Cell<Option<&'static Magazine>>,
    previous: Cell<Option<&'static Magazine>>,
    previous_full: Cell<bool>,
    spare: Cell<Option<&'static Magazine>>,
}

// SAFETY: a block is in one slot of one magazine, and a magazine belongs to one thread or to the depot.
unsafe impl Layer for HeapV2 {
    type Shared = Depot;

    const EMPTY: HeapV2 = HeapV2 {
        top: AtomicPtr::new((&raw const NO_SLOT).cast_mut()),
        last: AtomicPtr::new(ptr::null_mut()),
        loaded: Cell::new(None),
        previous: Cell::new(None),
        previous_full: Cell::new(false),
        spare: Cell::new(None),
    };

    const INERT: bool = true;

    const TRIMS: bool = true;

    #[inline(always)]
    fn pop(&self) -> Option<FreeBlock> {
        let top = self.top();
        // SAFETY: null, or a block that the magazine holds. Its slot is above `top` from now on, so it is handed out once.
        let block = unsafe { FreeBlock::from_nullable(top.get())? };
        self.set_top(ptr::from_ref(top).wrapping_sub(1));
        Some(block)
    }

    #[inline(always)]
    fn push(&self, block: FreeBlock, _: usize) -> bool {
        self.store(block).is_none()
    }

    fn refill(&self, depot: &Depot, below: &mut impl Below) -> Option<FreeBlock> {
        let Some((loaded, previous)) = self.magazines(depot) else {
            // No memory for magazines: one block at a time.
            let slot = [Slot::EMPTY];
            let mut batch = Batch::new(&slot);
            below.refill(&mut batch);
            return batch.pop();
        };
        if let Some(block) = self.pop() {
            return Some(block); // Another thread had shut the state.
        }
        let full = if self.previous_full.replace(false) { Some(previous) } else { depot.take_full() };
        if let Some(full) = full {
            if !ptr::eq(full, previous) {
                depot.put_empty(previous);
            }
            self.previous.set(Some(loaded));
            self.load(full, depot.limit, depot);
            // A thread served by other threads' frees reaches no slab, where the clock is checked.
            below.tick();
        } else {
            let want = below.class().batch.min(depot.limit);
            // The loaded magazine is empty: no block is overwritten.
            let mut batch = Batch::new(depot.slots(loaded).get(..want as usize).unwrap_or_default());
            below.refill(&mut batch);
            // The first block, which has the lowest address, is to be the first out.
            self.load(loaded, batch.into_slots_reversed(), depot);
        }
        self.pop()
    }

    fn take(&self, batch: &mut Batch<'_>, _: &Depot, _: &mut impl Below) {
        batch.fill(|| self.pop());
    }

    fn put(&self, mut batch: Batch<'_>, depot: &Depot, below: &mut impl Below) {
        while let Some(block) = batch.pop() {
            self.store_or_exchange(block, depot, below);
        }
    }

    fn drain(&self, depot: &Depot, below: &mut impl Below) {
        self.reopen(depot);
        loop {
            let buffer = [const { Slot::EMPTY }; DRAIN_BATCH];
            let mut batch = Batch::new(&buffer);
            batch.fill(|| self.pop());
            if batch.is_empty() {
                break;
            }
            below.flush(batch);
        }
        self.set_top(&raw const NO_SLOT);
        self.set_last(ptr::null());
        if let Some(loaded) = self.loaded.take() {
            depot.put_empty(loaded);
        }
        if let Some(previous) = self.previous.take() {
            if self.previous_full.replace(false) {
                depot.flush_full(previous, below);
            }
            depot.put_empty(previous);
        }
    }

    fn put_one(&self, block: FreeBlock, depot: &Depot, below: &mut impl Below) {
        self.store_or_exchange(block, depot, below);
    }

    fn shut(&self, depot: &Depot) {
        let (None, Some(loaded), Some(spare)) = (self.spare.get(), self.loaded.get(), depot.take_empty()) else {
            return;
        };
        self.spare.set(Some(spare));
        self.set_last(ptr::null());
        for (from, to) in depot.slots(loaded).iter().zip(depot.slots(spare)) {
            to.move_from(from);
        }
    }

    fn take_over(&self, depot: &Depot, below: &mut impl Below) {
        let (Some(loaded), Some(spare)) = (self.loaded.get(), self.spare.get()) else { return };
        if self.last.load(Ordering::Relaxed).is_null() {
            let top = self.top.load(Ordering::Acquire);
            let count = loaded.count_to(top) as usize;
            let [slots, spare] = [loaded, spare].map(|magazine| depot.slots(magazine).get(..count).unwrap_or_default());
            if slots.iter().any(|slot| !slot.get().is_null()) {
                return; // The owner was pushing meanwhile: it does not sleep.
            }
            self.set_last(top.wrapping_sub(1));
            // What was at the top stays, in the first slot.
            if let [first, .., last] = spare {
                first.swap(last);
            }
            // SAFETY: the caller's now: the owner is shut out, but for one hit, which may pop what was at the top.
            below.flush(unsafe { Batch::full(spare.get(1..).unwrap_or_default()) });
        }
        if self.previous_full.replace(false)
            && let Some(previous) = self.previous.get()
        {
            depot.flush_full(previous, below);
        }
    }

    /// [`Portion::Unused`] is as many magazines as were never taken since the last such trim: those outside the working
    /// set, in the words of Bonwick and Adams.
    fn trim(depot: &Depot, portion: Portion, below: &mut impl Below) -> bool {
        let before = depot.full_count();
        if before == 0 {
            return false;
        }
        let most = if portion == Portion::All { u32::MAX } else { depot.low_water.load(Ordering::Relaxed) };
        for magazine in (0..most).map_while(|_| depot.take_full()) {
            depot.flush_full(magazine, below);
            depot.put_empty(magazine);
        }
        depot.low_water.store(depot.full_count(), Ordering::Relaxed);
        true
    }
}

impl HeapV2 {
    /// The slot at the top.
    #[inline(always)]
    fn top(&self) -> &'static Slot {
        // SAFETY: `NO_SLOT`, or a word of a magazine, whose memory is never unmapped.
        unsafe { &*self.top.load(Ordering::Relaxed) }
    }

    #[inline(always)]
    fn set_top(&self, top: *const Slot) {
        // Release pairs with the Acquire fence of a thread that takes the blocks over.
        self.top.store(top.cast_mut(), Ordering::Release);
    }

    fn set_last(&self, last: *const Slot) {
        self.last.store(last.cast_mut(), Ordering::Relaxed);
    }

    /// The loaded and the previous magazine, allocated on the thread's first cold path. `None`: no memory.
    fn magazines(&self, depot: &Depot) -> Option<(&'static Magazine, &'static Magazine)> {
        self.reopen(depot);
        if self.loaded.get().is_none() {
            let loaded = depot.take_empty()?;
            let Some(previous) = depot.take_empty() else {
                depot.put_empty(loaded);
                return None;
            };
            self.previous.set(Some(previous));
            self.load(loaded, 0, depot);
        }
        Some((self.loaded.get()?, self.previous.get()?))
    }

    /// Loads a magazine with `count` blocks.
    fn load(&self, magazine: &'static Magazine, count: u32, depot: &Depot) {
        self.loaded.set(Some(magazine));
        // The word before the first slot.
        magazine.link.store(0, Ordering::Relaxed);
        self.set_top(magazine.slot_of(count));
        self.set_last(magazine.slot_of(depot.limit));
    }

    /// Stores a block in the loaded magazine; returns it if there is no room.
    #[inline(always)]
    fn store(&self, block: FreeBlock) -> Option<FreeBlock> {
        let top = self.top.load(Ordering::Relaxed);
        if top >= self.last.load(Ordering::Relaxed) {
            return Some(block);
        }
        let next = top.wrapping_add(1);
        // SAFETY: up to `last` the loaded magazine has slots.
        unsafe { &*next }.set(block);
        self.set_top(next);
        None
    }

    /// Puts the blocks that `shut` moved to the spare magazine back where they were, but for those that were handed out since.
    fn restore(&self, loaded: &'static Magazine, spare: &'static Magazine, depot: &Depot) {
        let count = loaded.count_to(self.top()) as usize;
        for (slot, moved) in
            depot.slots(loaded).iter().zip(depot.slots(spare)).take(count).filter(|(slot, _)| slot.get().is_null())
        {
            slot.copy(moved);
        }
    }

    /// For the owner: makes the state whole again if another thread shut it.
    #[inline]
    fn reopen(&self, depot: &Depot) {
        if let Some(spare) = self.spare.take() {
            self.reopen_with(spare, depot);
        }
    }

    #[cold]
    #[inline(never)]
    fn reopen_with(&self, spare: &'static Magazine, depot: &Depot) {
        let Some(loaded) = self.loaded.get() else { return };
        let before_taken = self.last.load(Ordering::Relaxed);
        if before_taken.is_null() {
            self.restore(loaded, spare, depot);
        } else {
            let (left, now) = (loaded.count_to(before_taken.wrapping_add(1)), loaded.count_to(self.top()));
            let slots = depot.slots(loaded);
            let mut count = 0;
            let mut keep = |from: Option<&Slot>| {
                if let (Some(from), Some(to)) = (from, slots.get(count)) {
                    to.copy(from);
                    count += 1;
                }
            };
            // Nothing was popped.
            if now >= left && left > 0 {
                keep(depot.slots(spare).first());
            }
            // One was pushed. If the push had stored it before the slots were moved, and its top only now, it was moved, too.
            if now > left {
                let pushed = left as usize;
                keep(slots.get(pushed).filter(|slot| !slot.get().is_null()).or_else(|| depot.slots(spare).get(pushed)));
            }
            self.set_top(loaded.slot_of(count as u32));
        }
        self.set_last(loaded.slot_of(depot.limit));
        depot.put_empty(spare);
    }

    /// Stores a block, after replacing the loaded magazine if it is full.
    fn store_or_exchange(&self, block: FreeBlock, depot: &Depot, below: &mut impl Below) {
        let Some((loaded, previous)) = self.magazines(depot) else {
            Batch::with_one(block, |batch| below.flush(batch));
            return;
        };
        if ptr::eq(self.top(), loaded.slot_of(depot.limit)) {
            let was_full = self.previous_full.replace(true);
            let empty = if was_full { Self::exchange(previous, depot, below) } else { previous };
            self.previous.set(Some(loaded));
            self.load(empty, 0, depot);
        }
        // The loaded magazine has room.
        let _none = self.store(block);
    }

    /// Exchanges a full magazine for an empty one.
    fn exchange(full: &'static Magazine, depot: &Depot, below: &mut impl Below) -> &'static Magazine {
        if let Some(empty) = depot.take_empty() {
            if depot.put_full(full, below.class().size) {
                if let Some((heap, _)) = below.heap() {
                    // The depot waits for a trim as free slabs do for a purge: this thread has to look at the clock.
                    heap.note_purge_pending();
                }
                return empty;
            }
            depot.put_empty(empty);
        }
        depot.flush_full(full, below);
        full
    }
}

#[cfg(test)]
mod tests {
    use super::super::depot::MAX_FULL_BYTES;
    use super::*;
    use crate::slab::class::Class;

    /// Counts the flushed blocks.
    struct Flushed(usize);

    impl Below for Flushed {
        fn class(&self) -> &'static Class {
            unreachable!("nobody asks")
        }
        fn refill(&mut self, _: &mut Batch<'_>) {}
        fn flush(&mut self, batch: Batch<'_>) {
            self.0 += batch.into_slots() as usize;
        }
        fn tick(&mut self) {}
    }

    /// What a trim of `portion` flushes.
    fn trimmed(depot: &Depot, portion: Portion) -> (bool, usize) {
        let mut flushed = Flushed(0);
        (HeapV2::trim(depot, portion, &mut flushed), flushed.0)
    }

    #[test]
    fn a_depot_limits_its_bytes_and_flushes_unused_magazines() {
        const SIZE: u32 = 1 << 20;
        let depot = Depot::new(4);
        let empty = || depot.take_empty().expect("memory");
        let full = || depot.take_full().expect("one that is full");
        assert_eq!(trimmed(&depot, Portion::All), (false, 0));
        let most = (0..).take_while(|_| depot.put_full(empty(), SIZE)).count();
        assert_eq!(most, (MAX_FULL_BYTES / SIZE / 4) as usize);
        // The low-water mark is still 0.
        assert_eq!(trimmed(&depot, Portion::Unused), (true, 0));
        // At most one is taken at a time, then two.
        for _ in 0..3 {
            assert!(depot.put_full(full(), SIZE));
        }
        let both = [full(), full()];
        assert!(both.into_iter().all(|magazine| depot.put_full(magazine, SIZE)));
        assert_eq!(trimmed(&depot, Portion::Unused), (true, (most - 2) * 4));
        assert_eq!(trimmed(&depot, Portion::Unused), (true, 2 * 4));
        assert_eq!(trimmed(&depot, Portion::Unused), (false, 0));
        // One magazine is kept even if it exceeds the limit.
        assert!(depot.put_full(empty(), MAX_FULL_BYTES));
        assert!(!depot.put_full(empty(), MAX_FULL_BYTES));
        assert_eq!(trimmed(&depot, Portion::All), (true, 4));
        assert!(depot.take_full().is_none());
    }
}
