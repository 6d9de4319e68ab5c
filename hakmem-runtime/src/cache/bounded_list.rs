//! A linked list whose bound costs allocations nothing: `unified`, the freed blocks of `hot`, and the queue of `deferred`.

use super::Below;
use crate::slab::free_list::Walked;
use crate::slab::{Batch, FreeBlock, FreeList};
use core::cell::Cell;

/// Flushes every block of a list.
pub(super) fn flush_list(list: &FreeList, below: &mut impl Below) {
    if !list.is_empty() {
        below.flush(Batch::of_list(list.take_all(), None));
    }
}

/// Refills a list with up to `want` blocks, and returns how many.
pub(super) fn refill_list(list: &FreeList, want: u32, below: &mut impl Below) -> u32 {
    let mut batch = Batch::new_list(want);
    below.refill(&mut batch);
    let count = want.wrapping_sub(batch.room());
    list.push_batch(batch);
    count
}

/// A list, and how many frees it takes until its length is checked. These are two fields of a layer's state, which lays
/// them out for its hit path.
///
/// # Invariants
/// ```text
/// length + room ≤ limit
/// ```
/// A push moves one from `room` to the length; a pop only shortens the list. `room < 0` only between a push and the
/// overflow that follows it.
pub(super) struct BoundedList<'a> {
    pub(super) list: &'a FreeList,
    pub(super) room: &'a Cell<i32>,
}

impl BoundedList<'_> {
    /// Takes in a block. `false`: the room is exceeded.
    #[inline(always)]
    pub(super) fn push(&self, block: FreeBlock) -> bool {
        // Link first, then count: without a branch between them, the compiler addresses all three words through the
        // thread register.
        self.list.push(block);
        let room = self.room.get().wrapping_sub(1);
        self.room.set(room);
        room >= 0
    }

    /// After a push that exceeded the room: measures the list, and flushes the older half if it is nearly full.
    pub(super) fn overflow(&self, limit: u32, below: &mut impl Below) {
        let Some(all) = self.list.walk() else { return };
        // Allocations may have made room since the last check; then there is nothing to flush.
        if all.count <= limit - limit / 4 {
            self.set_count(all.count, limit);
            below.tick();
        } else {
            self.halve(all, limit, below);
        }
    }

    /// Takes in a batch, and flushes the older half if the list is then too long, so that the next frees find room.
    pub(super) fn put(&self, batch: Batch<'_>, limit: u32, below: &mut impl Below) {
        self.list.push_batch(batch);
        let Some(all) = self.list.walk() else { return self.set_count(0, limit) };
        if all.count > limit {
            self.halve(all, limit, below);
        } else {
            self.set_count(all.count, limit);
        }
    }

    /// Flushes all of it and leaves no room.
    pub(super) fn drain(&self, below: &mut impl Below) {
        self.room.set(0);
        flush_list(self.list, below);
    }

    /// Sets the room left by `count` blocks.
    pub(super) fn set_count(&self, count: u32, limit: u32) {
        self.room.set(limit.saturating_sub(count) as i32);
    }

    /// Flushes all but the newest `limit / 2` blocks of the list, which is `all`.
    fn halve(&self, all: Walked, limit: u32, below: &mut impl Below) {
        let keep = (limit / 2).max(1);
        let older = self.list.split_off(keep);
        self.set_count(keep.min(all.count), limit);
        if let Some(walked) = all.after(keep) {
            below.flush(Batch::of_list(older, Some(walked)));
        }
    }
}
