//! What is kept where no thread purges by the clock, as in a process of one thread under C's `malloc`: nobody may come by any
//! more when the memory is old enough. So it goes back at the free, but for [`ALONE`] or as much as is in use; and more is kept
//! if the program takes it again so soon that this costs it time.

use super::segment::UNIT;
use crate::sys::{clock, fork};
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

/// So much may be kept in any case, in units (8 MiB).
const ALONE: usize = (8 << 20) / UNIT;

/// What it costs to give a unit back and to touch it again, in nanoseconds.
const NS_PER_UNIT: usize = 500;

/// More is kept when that costs more than this fraction (3 %) of the time.
const WORTH: usize = 32;

/// It is not decided sooner than after so many milliseconds: the clock may be four wrong, and a burst is no habit.
const WINDOW_MS: u32 = 20;

/// The state of that.
#[derive(Debug)]
pub(super) struct Unattended {
    /// The [`fork::generation`] of the process in which a thread purges by the clock; `ALWAYS`: of each.
    attended: AtomicU32,
    /// How many units may be kept.
    most: AtomicUsize,
    /// How many went back for that reason since `since`, in milliseconds.
    given_back: AtomicUsize,
    since: AtomicU32,
}

/// Not generations.
const NEVER: u32 = 0;
const ALWAYS: u32 = u32::MAX;

impl Unattended {
    pub(super) const fn new(attended: bool) -> Unattended {
        Unattended {
            attended: AtomicU32::new(if attended { ALWAYS } else { NEVER }),
            most: AtomicUsize::new(ALONE),
            given_back: AtomicUsize::new(0),
            since: AtomicU32::new(0),
        }
    }

    /// Whether no thread of this process purges by the clock.
    #[inline]
    pub(super) fn is_now(&self) -> bool {
        let attended = self.attended.load(Ordering::Relaxed);
        attended != ALWAYS && attended != fork::generation()
    }

    /// From now on a thread of this process does. `true`: until now none did.
    pub(super) fn end(&self) -> bool {
        let was = self.is_now();
        if was {
            self.attended.store(fork::generation(), Ordering::Relaxed);
        }
        was
    }

    /// How many units may be kept while so many are in use.
    pub(super) fn limit(&self, used: usize) -> usize {
        if self.is_now() { self.most.load(Ordering::Relaxed).max(used) } else { usize::MAX }
    }

    /// Notes that so many units go back, as more may not be kept.
    pub(super) fn note_given_back(&self, units: usize) {
        if self.is_now() {
            self.given_back.fetch_add(units, Ordering::Relaxed);
        }
    }

    /// Units are taken which may not be resident: keeps more from now on, if too many were given back for the time that has
    /// passed since this was last decided. `limit` is how many may be kept at most. `true`: it was too much.
    #[inline]
    pub(super) fn weigh_if_due(&self, limit: usize) -> bool {
        self.given_back.load(Ordering::Relaxed) > 0 && self.weigh(clock::now_ms(), limit)
    }

    #[cold]
    #[inline(never)]
    fn weigh(&self, now: u32, limit: usize) -> bool {
        let passed = now.wrapping_sub(self.since.load(Ordering::Relaxed));
        if passed < WINDOW_MS {
            return false;
        }
        self.since.store(now, Ordering::Relaxed);
        let (given_back, passed) = (self.given_back.swap(0, Ordering::Relaxed), passed as usize);
        let most = self.most.load(Ordering::Relaxed);
        let too_much = given_back.saturating_mul(NS_PER_UNIT * WORTH) > passed.saturating_mul(1_000_000);
        let more = most.saturating_add(given_back.max(most)).min(limit);
        if too_much && more > most {
            self.most.store(more, Ordering::Relaxed);
        }
        too_much
    }

    /// Notes that so many units were kept for the purge delay and not used.
    pub(super) fn note_aged(&self, units: usize) {
        self.most.store(self.most.load(Ordering::Relaxed).saturating_sub(units).max(ALONE), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: usize = 16 * ALONE;

    #[test]
    fn more_is_kept_only_where_it_is_taken_again_soon() {
        let unattended = Unattended::new(false);
        // 32 MiB each second cost 4 ms.
        for second in 1..10 {
            unattended.note_given_back(4 * ALONE);
            unattended.weigh(second * 1000, LIMIT);
        }
        assert_eq!(unattended.limit(0), ALONE);
        // Each 100 ms they cost 4 %.
        unattended.note_given_back(4 * ALONE);
        unattended.weigh(9100, LIMIT);
        assert_eq!((unattended.limit(0), unattended.limit(6 * ALONE)), (5 * ALONE, 6 * ALONE));
        unattended.note_given_back(20 * ALONE);
        assert!(!unattended.weigh(9101, LIMIT), "too soon to tell");
        assert!(unattended.weigh(9120, LIMIT));
        assert_eq!(unattended.limit(0), LIMIT);
        unattended.note_aged(6 * ALONE);
        assert_eq!(unattended.limit(0), LIMIT - 6 * ALONE);
        unattended.note_aged(LIMIT);
        assert_eq!(unattended.limit(0), ALONE);
    }

    #[test]
    fn a_thread_that_purges_ends_it() {
        let [by_spec, by_thread] = [Unattended::new(true), Unattended::new(false)];
        assert!(!by_spec.is_now() && !by_spec.end());
        assert!(by_thread.is_now() && by_thread.end() && !by_thread.end() && !by_thread.is_now());
        assert_eq!(by_thread.limit(0), usize::MAX);
    }
}
