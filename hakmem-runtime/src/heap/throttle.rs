//! The throttle: short lists, so that threads take a slow path while memory waits for a purge.
//!
//! Memory that was free for the purge delay is returned to the system on slow paths, which alone read the clock. Under
//! the layer `pages` a thread whose frees feed its allocations never gets past `Heap::relist`, which makes what was
//! freed into the slab its next list, and reads the clock only while the bin is throttled. So after the heap has given a slab to the pool,
//! or the thread has freed a large block, its lists are short: the first has one block, and each is about half as long
//! again as the one before, up to a whole slab. At a steady rate, however slow, the next slow path comes after about
//! half the time that has passed, after the first few lists; and a program that allocates quickly soon has whole lists
//! again. Layers that keep no lists in slabs refill often enough, and have no throttle.

use core::cell::Cell;

/// While memory waits for a purge, the clock is read once per this many blocks. Reading it costs as much as ten
/// allocations.
const BLOCKS_PER_TICK: i32 = 256;

/// When a heap was maintained, and since when its bins are throttled.
#[derive(Debug)]
pub(super) struct Throttle {
    /// The time of the last tick, in milliseconds.
    ticked: Cell<u32>,
    /// Whether the throttle was started since the last tick.
    started: Cell<bool>,
    /// The first tick after the throttle was started, or the last before it if there was none yet; `None` if the bins are
    /// not throttled.
    since: Cell<Option<u32>>,
}

impl Throttle {
    pub(super) const fn new() -> Throttle {
        Throttle { ticked: Cell::new(0), started: Cell::new(false), since: Cell::new(None) }
    }

    /// Notes that memory waits for a purge. `true`: the bins must be throttled, which was not done since the last tick.
    #[inline]
    pub(super) fn start(&self) -> bool {
        let new = !self.started.replace(true);
        if new {
            self.since.set(Some(self.ticked.get()));
        }
        new
    }

    /// Whether memory that went to the pool may still wait there for a purge.
    pub(super) fn is_purge_pending(&self) -> bool {
        self.since.get().is_some()
    }

    /// Whether more than `interval` milliseconds have passed since the last tick. If so, `now` is the new last tick.
    pub(super) fn tick(&self, now: u32, interval: u32) -> bool {
        let due = now.wrapping_sub(self.ticked.get()) > interval;
        if due {
            self.ticked.set(now);
            // When it was started is not known. The tick before may have been long ago.
            if self.started.replace(false) {
                self.since.set(Some(now));
            }
        }
        due
    }

    /// Ends the throttle once it has lasted longer than `duration`. `true`: it ended, and the bins must be unthrottled.
    pub(super) fn end(&self, now: u32, duration: u32) -> bool {
        let over = self.since.get().is_some_and(|since| now.wrapping_sub(since) > duration);
        if over {
            self.since.set(None);
        }
        over
    }
}

/// How long the lists of one bin may be.
#[derive(Debug)]
pub(super) struct ListLimit {
    /// The most blocks that the next list gets; 0 if the bin is not throttled.
    limit: Cell<u32>,
    /// How many blocks may be allocated before the clock is read.
    countdown: Cell<i32>,
}

impl ListLimit {
    /// The next list has one block.
    pub(super) fn throttle(&self) {
        self.limit.set(1);
    }

    /// Lists have any length.
    pub(super) fn unthrottle(&self) {
        self.limit.set(0);
    }

    /// The limit for the next list of a slab of `capacity` blocks; the one after that is about half as long again.
    /// `None`: no limit.
    pub(super) fn next(&self, capacity: u32) -> Option<u32> {
        let limit = self.current(capacity)?;
        self.limit.set(limit + limit / 2 + 1);
        Some(limit)
    }

    /// The limit for the next list of a slab of `capacity` blocks, which stays the same.
    pub(super) fn current(&self, capacity: u32) -> Option<u32> {
        let limit = self.limit.get();
        (limit > 0 && limit < capacity).then_some(limit)
    }

    /// Counts `blocks` that can be allocated without a slow path. `true`: the caller must read the clock.
    pub(super) fn count_down(&self, blocks: u32) -> bool {
        if self.limit.get() == 0 {
            return false;
        }
        let left = self.countdown.get().wrapping_sub_unsigned(blocks);
        self.countdown.set(if left < 0 { BLOCKS_PER_TICK } else { left });
        left < 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn the_throttle_lasts_from_the_first_tick_on() {
        let throttle = Throttle::new();
        assert!(throttle.tick(10, 5) && !throttle.end(10, 100));
        assert!(throttle.start() && !throttle.start());
        assert!(throttle.tick(10_000, 5) && !throttle.end(10_000, 100), "it has just begun");
        assert!(throttle.tick(10_100, 5) && !throttle.end(10_100, 100) && throttle.is_purge_pending());
        assert!(throttle.tick(10_106, 5) && throttle.end(10_106, 100) && !throttle.is_purge_pending());
        assert!(throttle.tick(10_112, 5) && !throttle.end(10_112, 100));
    }

    #[test]
    fn lists_grow_by_about_a_half_up_to_a_whole_slab() {
        const CAPACITY: u32 = 100;
        let list_limit = ListLimit { limit: Cell::new(0), countdown: Cell::new(0) };
        assert_eq!(list_limit.next(CAPACITY), None, "not throttled");
        list_limit.throttle();
        let lists: Vec<u32> = core::iter::from_fn(|| list_limit.next(CAPACITY)).collect();
        assert_eq!(lists, [1, 2, 4, 7, 11, 17, 26, 40, 61, 92]);
        // The next list, compared with all before it: what passes until the next slow path, of what has passed.
        let mut before = 0;
        let parts: Vec<u32> = lists
            .iter()
            .map(|list| {
                let part = (100 * list).checked_div(before).unwrap_or(0);
                before += list;
                part
            })
            .collect();
        assert_eq!(parts, [0, 200, 133, 100, 78, 68, 61, 58, 56, 54], "percent");
        list_limit.unthrottle();
        assert_eq!(list_limit.next(CAPACITY), None);
    }
}
