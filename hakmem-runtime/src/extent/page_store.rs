//! The pages of all segments: which are in use, which are free, and which of those are dirty. Under one lock.
//!
//! A free extent is joined with its free neighbours at once, so no two free extents are adjacent.

use super::free_extents::{FreeExtent, FreeExtents};
use super::segment::{Record, Segment, Segments, UNIT};
use crate::sys::mmap::round_up;
use core::ops::Range;

/// What is asked of the store.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    /// In units, as all but `align`.
    pub(super) length: usize,
    /// The length that a block may grow to: there should be as much from the start on.
    pub(super) with_growth: usize,
    /// In bytes.
    pub(super) align: usize,
    /// The length of the extent that this one replaces and that is freed next: it does not count towards the peak.
    pub(super) replaced: usize,
}

impl Wanted {
    /// Exactly this length, for a new block.
    pub(super) fn exactly(length: usize, align: usize) -> Wanted {
        Wanted { length, with_growth: length, align, replaced: 0 }
    }
}

/// Pages taken out of the store.
#[derive(Debug, Clone, Copy)]
pub(super) struct Taken {
    pub(super) segment: Segment,
    pub(super) unit: usize,
    /// How many of the units are dirty.
    pub(super) dirty: usize,
}

/// An extent that the caller owns, in use or held.
#[derive(Debug, Clone, Copy)]
pub(super) struct Owned {
    pub(super) segment: Segment,
    pub(super) unit: usize,
    pub(super) length: usize,
}

/// # Invariants
/// ```text
/// usable units of segments == used + units of free extents
/// a segment's record of a free extent's first and last unit leads to its node, and no other record to a node
/// free.spare ≥ extents in use: to free one never needs memory
/// ```
/// The dirty bits of a free extent say which of its units may not be zero. Those of an extent in use are stale, except
/// directly after `take`, or a cut of a cached extent, when `alloc_zeroed` reads them, and while pages are moved.
#[derive(Debug)]
pub(super) struct PageStore {
    pub(super) free: FreeExtents,
    pub(super) segments: Segments,
    /// Extents in use or held, and their units.
    extents: usize,
    pub(super) used: usize,
    /// The units of those that are being purged.
    pub(super) purging: usize,
    /// The kernel refused to take pages back, which no longer count as dirty; and when it was last asked again.
    pub(super) refused: bool,
    pub(super) retried_at: u32,
}

impl PageStore {
    #[cfg(test)]
    pub(super) const EMPTY: PageStore = PageStore {
        free: FreeExtents::EMPTY,
        segments: Segments::EMPTY,
        extents: 0,
        used: 0,
        purging: 0,
        refused: false,
        retried_at: 0,
    };

    /// Makes sure that there is a node for each extent in use, for one more, and for what a cut leaves. `false`: no
    /// memory.
    pub(super) fn reserve_nodes(&mut self) -> bool {
        while self.free.spare < self.extents + 3 {
            if !self.free.grow() {
                return false;
            }
        }
        true
    }

    /// Adds a new segment, all of it free. There are spare nodes.
    pub(super) fn add(&mut self, segment: Segment, now: u32) {
        self.segments.push(segment);
        let units = segment.usable_units();
        self.free.insert(FreeExtent { segment, unit: units.start, length: units.len(), dirty: 0, since: now });
    }

    /// Takes out `length` units that start at a multiple of `align` bytes, from an extent that has at least `with_growth`
    /// units from there on. `None`: there is none.
    #[inline(never)]
    pub(super) fn take(&mut self, wanted: Wanted) -> Option<Taken> {
        self.take_with(wanted, 0)
    }

    /// [`take`](PageStore::take), if the best extent has at least as many dirty units as are wanted.
    pub(super) fn take_resident(&mut self, wanted: Wanted) -> Option<Taken> {
        self.take_with(wanted, wanted.length)
    }

    /// [`take`](PageStore::take), if the best extent has at least `resident` dirty units.
    #[inline(never)]
    fn take_with(&mut self, Wanted { length, with_growth, align, .. }: Wanted, resident: usize) -> Option<Taken> {
        if !self.reserve_nodes() {
            return None;
        }
        let padding = |extent: &FreeExtent| {
            let address = extent.segment.address(extent.unit);
            round_up(address, align).map_or(usize::MAX, |aligned| (aligned - address) / UNIT)
        };
        let serves = |extent: &FreeExtent| padding(extent).saturating_add(with_growth) <= extent.length;
        let node = self.free.find(with_growth, serves)?;
        let extent = self.free.get(node)?;
        if extent.dirty < resident {
            return None;
        }
        let (mut offset, last_offset) = (padding(&extent), extent.length - length);
        // From the end that has more dirty units. What grows needs room after it.
        if with_growth == length && align <= UNIT && extent.dirty > 0 && last_offset > 0 {
            let count = |from: usize| extent.segment.count_dirty(extent.unit + from..extent.unit + from + length);
            if count(last_offset) > count(0) {
                offset = last_offset;
            }
        }
        self.cut(node, offset, length)
    }

    /// Whether what is free from `end` on has `more` dirty units.
    pub(super) fn is_resident_after(&self, segment: Segment, end: usize, more: usize) -> bool {
        let Record::Free { node } = segment.record_after(end) else { return false };
        self.free.get(node).is_some_and(|extent| extent.dirty >= more)
    }

    /// Adds the `more` units from `end` on to the extent in use that ends there. `false`: they are not free.
    pub(super) fn extend_used(&mut self, segment: Segment, end: usize, more: usize) -> bool {
        let Record::Free { node } = segment.record_after(end) else { return false };
        let serves = self.free.get(node).is_some_and(|extent| extent.unit == end && extent.length >= more);
        if !serves || !self.reserve_nodes() || self.cut(node, 0, more).is_none() {
            return false;
        }
        self.extents -= 1;
        true
    }

    /// Makes two extents of one in use. `false`: there is no memory for another node.
    pub(super) fn split_used(&mut self) -> bool {
        let reserved = self.reserve_nodes();
        self.extents += usize::from(reserved);
        reserved
    }

    /// Takes `length` units out of a free extent, from its unit `offset` on. What is left of it stays.
    #[inline(never)]
    fn cut(&mut self, node: u32, offset: usize, length: usize) -> Option<Taken> {
        let extent = self.free.get(node)?;
        let FreeExtent { segment, since, .. } = extent;
        let unit = extent.unit + offset;
        // By the bits: what the kernel refused to purge does not count in `extent.dirty`.
        let dirty = segment.count_dirty(unit..unit + length);
        extent.erase_records();
        let (first, last) = (extent.unit..unit, unit + length..extent.end());
        let left = extent.dirty.saturating_sub(dirty);
        let dirty_first = if left == 0 || last.is_empty() { left } else { segment.count_dirty(first.clone()) };
        let rest =
            |units: Range<usize>, dirty| FreeExtent { segment, unit: units.start, length: units.len(), dirty, since };
        match (first.is_empty(), last.is_empty()) {
            (true, true) => _ = self.free.remove(node),
            (false, true) => self.free.replace(node, rest(first, left)),
            (true, false) => self.free.replace(node, rest(last, left)),
            (false, false) => {
                self.free.replace(node, rest(first, dirty_first));
                self.free.insert_beside(node, rest(last, left.saturating_sub(dirty_first)));
            }
        }
        self.extents += 1;
        self.used += length;
        Some(Taken { segment, unit, dirty })
    }

    /// Puts back an extent, whose dirty bits are up to date, and joins it with its neighbours. `dirty`: how many of its units
    /// count as dirty.
    #[inline(never)]
    pub(super) fn put(&mut self, segment: Segment, unit: usize, length: usize, dirty: usize, since: u32) {
        self.extents -= 1;
        self.used -= length;
        let mut joined = FreeExtent { segment, unit, length, dirty, since };
        let units = segment.usable_units();
        segment.set_record(unit, Record::Inside);
        // A neighbour that is longer and waits for a purge keeps its node, and so its place in the order of ages.
        let mut kept = None;
        let before = if unit > units.start { segment.record(unit - 1) } else { Record::Inside };
        let after = if joined.end() < units.end { segment.record(joined.end()) } else { Record::Inside };
        for record in [before, after] {
            let Record::Free { node } = record else { continue };
            let Some(neighbour) = self.free.get(node) else { continue };
            neighbour.erase_records();
            let since = if neighbour.dirty > 0 && neighbour.length > joined.length {
                if let Some(kept) = kept.replace(node) {
                    self.free.remove(kept);
                }
                neighbour.since
            } else {
                self.free.remove(node);
                joined.since
            };
            joined = FreeExtent {
                unit: joined.unit.min(neighbour.unit),
                length: joined.length + neighbour.length,
                dirty: joined.dirty + neighbour.dirty,
                since,
                segment,
            };
        }
        match kept {
            Some(node) => self.free.replace(node, joined),
            None => self.free.insert(joined),
        }
    }

    /// [`put`](PageStore::put) of an extent that a block has used: all of it may have been written to.
    pub(super) fn put_dirty(&mut self, Owned { segment, unit, length }: Owned, now: u32) {
        segment.set_dirty(unit..unit + length);
        self.put(segment, unit, length, length, now);
    }

    /// Takes out the extent that has been free for longest, if that is at least `delay` milliseconds.
    pub(super) fn take_oldest(&mut self, now: u32, delay: u32) -> Option<FreeExtent> {
        let (node, oldest) = self.free.oldest()?;
        // Another thread may have freed it since `now` was read.
        if (now.wrapping_sub(oldest.since) as i32) < delay as i32 {
            return None;
        }
        let extent = self.free.remove(node)?;
        extent.erase_records();
        extent.segment.set_record(extent.unit, Record::Held { length: extent.length });
        self.extents += 1;
        self.used += extent.length;
        self.purging += extent.length;
        Some(extent)
    }

    /// Puts an extent back that [`take_oldest`](PageStore::take_oldest) took, of which `dirty` units are still dirty.
    pub(super) fn put_purged(&mut self, &FreeExtent { segment, unit, length, since, .. }: &FreeExtent, dirty: usize) {
        self.purging -= length;
        self.put(segment, unit, length, dirty, since);
    }

    /// Whether it is time to ask the kernel again for what it refused: `delay` milliseconds after the last time. If so, now is
    /// the last time.
    pub(super) fn is_retry_due(&mut self, now: u32, delay: u32) -> bool {
        let due = self.refused && now.wrapping_sub(self.retried_at) >= delay.max(1);
        if due {
            self.retried_at = now;
        }
        due
    }

    /// Queues some extents with refused pages for another purge, as if they had been freed at `since`. `false`: there are
    /// none.
    pub(super) fn retry_refused(&mut self, since: u32) -> bool {
        self.refused = self.free.retry_refused(since);
        self.refused
    }

    /// Forgets a segment, all of which was taken out by [`PageStore::take_oldest`].
    pub(super) fn remove(&mut self, whole: &FreeExtent) {
        self.extents -= 1;
        self.used -= whole.length;
        self.purging -= whole.length;
        self.segments.remove(whole.segment);
    }

    /// Undoes [`remove`](PageStore::remove) of a segment that the kernel did not unmap.
    pub(super) fn restore(&mut self, whole: &FreeExtent) {
        self.extents += 1;
        self.used += whole.length;
        self.purging += whole.length;
        self.segments.push(whole.segment);
    }
}
