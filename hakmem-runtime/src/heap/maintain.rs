//! Periodic work, which threads do on slow paths: a heap looks through its slabs, and the pool purges.

use super::Heap;
use crate::backend::TICKS;
use crate::slab::Slab;
use crate::sys::clock;

/// Holes go back in slabs that have not changed for so many milliseconds, if the purge delay is shorter.
const SETTLE_MS: u32 = 100;

/// The most slabs whose holes go back in one slow path: about a millisecond.
const MOST_SETTLED: u32 = 128;

/// Which holes [`Heap::maintain`] purges.
#[derive(Debug, Clone, Copy)]
pub(super) enum Holes {
    /// Those of partial slabs that have not changed for so many milliseconds.
    Settled { now: u32, delay: u32 },
    /// Those of current slabs, too. The layers were drained: no thread cache pops from one.
    All,
}

impl Holes {
    /// Whether those of a partial slab are purged now.
    fn are_due_in(self, slab: &Slab) -> bool {
        match self {
            Holes::Settled { now, delay } => slab.has_settled(now, delay),
            Holes::All => true,
        }
    }
}

impl Heap {
    /// Reads the clock. [`TICKS`] times in a purge delay it maintains the heap, purges what is due, and ends the
    /// throttle if it is time. Nothing without a purge delay.
    #[inline]
    pub(crate) fn tick(&self) {
        let Some(delay) = self.backing.pool().purge_delay() else { return };
        let now = clock::now_ms();
        if self.throttle.tick(now, delay / TICKS) {
            if self.throttle.end(now, delay.saturating_mul(2)) {
                self.bins().iter().for_each(|bin| bin.list_limit.unthrottle());
            }
            self.maintain(Holes::Settled { now, delay: delay.max(SETTLE_MS) });
            self.backing.purge_if_due(Some(self), now);
        }
    }

    /// Notes that memory waits for a purge, or in a depot for a trim: throttles the bins, and empties the lists of the
    /// current slabs, so that the next allocation of each class takes a slow path, and the thread's purger knows of it.
    #[inline]
    pub(crate) fn note_purge_pending(&self) {
        if self.throttle.start() && self.backing.pool().purge_delay().is_some() {
            self.throttle_bins();
        }
    }

    /// [`note_purge_pending`](Heap::note_purge_pending), outside of a slow path.
    #[inline]
    pub(crate) fn note_large_freed(&self) {
        if self.throttle.start() && self.backing.pool().purge_delay().is_some() {
            let _inside = self.enter();
            self.throttle_bins();
        }
    }

    #[cold]
    #[inline(never)]
    fn throttle_bins(&self) {
        for bin in self.bins() {
            bin.list_limit.throttle();
            if let (Some(slab), Some(unlist)) = (bin.current.get(), self.backing.unlist()) {
                unlist(slab);
            }
        }
    }

    /// Whether memory that the heap has given up may still wait for a purge.
    pub(crate) fn is_purge_pending(&self) -> bool {
        self.throttle.is_purge_pending()
    }

    /// Collects the remote frees of this heap's slabs. Retires slabs that are empty, and abandons partial ones that are
    /// full. Purges holes.
    #[cold]
    pub(super) fn maintain(&self, holes: Holes) {
        let mut most = if matches!(holes, Holes::All) { u32::MAX } else { MOST_SETTLED };
        for (bin, class) in self.bins().iter().zip(self.backing.classes()) {
            for slab in bin.partial.iter() {
                slab.collect_remote();
                // Nothing was freed into a slab that is still full: no reason to go on looking at it.
                if slab.is_empty() || !slab.has_free_blocks() {
                    bin.partial.remove(slab);
                    self.abandon_or_retire(slab);
                } else if most > 0 && holes.are_due_in(slab) {
                    most -= 1;
                    self.backing.purge_holes(slab, class);
                }
            }
            if let Some(current) = bin.current.get() {
                current.collect_remote();
                if current.is_empty() {
                    bin.current.set(None);
                    self.retire(current);
                } else if matches!(holes, Holes::All) {
                    self.backing.purge_holes(current, class);
                }
            }
        }
    }

    /// For a thread that is about to wait, whose layers were drained: gives up all slabs and what is cached, so that other
    /// threads can use it and the purger gives it back. The thread's next allocations take slow paths.
    pub(crate) fn rest(&self) {
        self.abandon_all();
        self.backing.empty_cache_of(Some(self));
    }

    /// Abandons or retires every slab. The layers were drained before.
    fn abandon_all(&self) {
        for bin in self.bins() {
            while let Some(slab) = bin.current.take().or_else(|| bin.partial.pop()) {
                self.abandon_or_retire(slab);
            }
        }
        self.release_cached();
    }
}
