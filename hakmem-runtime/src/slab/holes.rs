//! Holes: pages of a slab in use in which no block is. For the slab's owner.
//!
//! They go back to the system once nothing was freed into the slab, nor allocated from it, for the purge delay. A block that
//! is taken from such a page later has it mapped again.

use super::class::Class;
use super::metadata::Slab;
use crate::sys::mmap::{self, round_up};

/// A flag in `settled`: the holes were purged, and the slab has not changed since.
const PURGED: u32 = 1 << 31;

impl Slab {
    /// Whether it is time to purge the holes, which the caller does then: `used` was the same at all calls in the last `delay`
    /// milliseconds, and the holes were not purged since it changed. For a slab that nobody allocates from meanwhile, so that
    /// each free changes `used`.
    pub(crate) fn has_settled(&self, now: u32, delay: u32) -> bool {
        let used = self.used.get();
        if self.settled.get() & !PURGED != used {
            self.settled.set(used);
            self.settled_at.set(now);
        }
        let due = self.settled.get() & PURGED == 0 && now.wrapping_sub(self.settled_at.get()) >= delay;
        if due {
            self.settled.set(used | PURGED);
        }
        due
    }

    /// Since when the slab has been free, in milliseconds.
    pub(crate) fn free_since(&self) -> u32 {
        self.settled_at.get()
    }

    /// Notes that the slab is free from now on.
    pub(crate) fn set_free_since(&self, now: u32) {
        self.settled_at.set(now);
    }

    /// Whether the holes were purged since the slab changed.
    pub(crate) fn holes_are_purged(&self) -> bool {
        self.settled.get() & PURGED != 0
    }

    /// Notes that the holes of a slab with so many blocks in use go back now.
    pub(super) fn note_purged(&self, in_use: u32) {
        self.settled.set(in_use | PURGED);
    }

    /// Gives pages back in which all blocks are free in the bitmap. Blocks on lists count as in use: see
    /// [`unlist`](Slab::unlist).
    #[cold]
    #[inline(never)]
    pub(crate) fn purge_holes(&self, class: &Class) {
        let (base, size) = (self.base(), class.size as usize);
        // The header of the block after a run is the run's last byte.
        let header = usize::from(class.has_header());
        let page = mmap::page_size();
        self.each_free_run(|first, count| {
            let start = base.wrapping_add(first as usize * size);
            let end = start.wrapping_add(count as usize * size).wrapping_sub(header) & !(page - 1);
            if let Some(start) = round_up(start, page).filter(|&start| start < end) {
                mmap::purge(start, end - start);
            }
        });
        // What was in use under earlier classes, or mapped in advance, and was not carved since.
        let carved = self.carved().wrapping_mul(class.size);
        let most = self.capacity().wrapping_mul(class.size);
        let touched = self.touched.replace(carved).min(most);
        if touched > carved {
            let [start, end] = [carved, touched].map(|bytes| round_up(base.wrapping_add(bytes as usize), page));
            if let (Some(start), Some(end)) = (start, end)
                && start < end
            {
                mmap::purge(start, end - start);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slab_settles_once_until_it_changes() {
        let slab = Slab::unused();
        slab.used.set(3);
        assert!(!slab.has_settled(100, 50) && !slab.has_settled(149, 50));
        assert!(slab.has_settled(150, 50) && !slab.has_settled(1000, 50));
        slab.used.set(2);
        assert!(!slab.has_settled(1001, 50) && !slab.has_settled(1050, 50) && slab.has_settled(1051, 50));
        slab.used.set(1);
        assert!(slab.has_settled(1052, 0) && !slab.has_settled(1052, 0));
    }
}
