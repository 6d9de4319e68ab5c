//! A segment: address space that extents are cut from, with a record for each of its pages.
//!
//! ```text
//! base         a multiple of GRANULE: the page map leads from every granule to here
//! Header
//! records      one word a unit: what starts or ends there
//! dirty bits   one bit a unit: whether it may hold anything but zeroes, if it is free
//! first        the first unit that extents are cut from
//! base + units · UNIT
//! ```
//!
//! A segment consists of whole granules, so no granule is shared with foreign memory. It is mapped as one, whatever
//! extents are cut from it; only pages that were moved into it stay a mapping of their own. Its records are in its own
//! first pages. Only those at the ends of extents are ever touched.

use super::lists::{LISTED, UNIT_SHIFT, length_in};
use crate::meta::page_map::{self, GRANULE, Occupant};
use crate::sys::mmap::{self, Access, round_up};
use core::mem::offset_of;
use core::ops::Range;
use core::ptr;
use core::slice;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// What a record describes. A page is a multiple of it.
pub(super) const UNIT: usize = 1 << UNIT_SHIFT;

/// The longest block, in units: 8 TiB. A free extent's length fits in 32 bits, and no sum here overflows.
pub(super) const LONGEST: usize = 1 << 31;

/// Bits in a word of dirty bits.
const WORD: usize = u64::BITS as usize;

/// Blocks start at a multiple of this in their first unit.
pub(super) const LINE: usize = 64;

/// What starts or ends at a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Record {
    /// Nothing: the unit is within an extent, or the last one of an extent in use.
    Inside,
    /// A block's extent: its length in units, and how many bytes after the extent's start the block starts.
    Used { length: usize, offset: usize },
    /// An extent that is no block and not free: in a cache, or on its way between two places.
    Held { length: usize },
    /// The first or last unit of a free extent: the link of its node in [`FreeExtents`](super::free_extents::FreeExtents).
    Free { node: u32 },
}

// A word: bits 0–1 the kind, bits 2–7 the offset in lines, bits 8–63 the length or the node. Of an extent in a list,
// `lists` writes it.
impl Record {
    fn encode(self) -> u64 {
        match self {
            Record::Inside => 0,
            Record::Used { length, offset } => 1 | ((offset / LINE) as u64) << 2 | (length as u64) << 8,
            Record::Held { length } => 2 | (length as u64) << 8,
            Record::Free { node } => 3 | u64::from(node) << 8,
        }
    }

    /// Writes it to the word of a unit.
    #[inline]
    pub(super) fn write_to(self, word: &AtomicU64) {
        word.store(self.encode(), Ordering::Relaxed);
    }

    fn decode(word: u64) -> Record {
        let value = word >> 8;
        match word & 3 {
            _ if word & 7 == LISTED => Record::Held { length: length_in(word) },
            0 => Record::Inside,
            1 => Record::Used { length: value as usize, offset: (word as usize >> 2 & 63) * LINE },
            2 => Record::Held { length: value as usize },
            _ => Record::Free { node: value as u32 },
        }
    }
}

/// The first bytes of a segment. All but the links and the number of moves are written once, before the page map leads here.
#[repr(C)]
#[derive(Debug)]
struct Header {
    units: AtomicUsize,
    first: AtomicUsize,
    /// The number of the shard that it belongs to.
    shard: AtomicUsize,
    /// How often pages were moved into it.
    moves: AtomicUsize,
    /// Neighbours in the list of its shard's segments, by base; 0: none. Under the shard's lock.
    previous: AtomicUsize,
    next: AtomicUsize,
}

const _: () = assert!(size_of::<Header>().is_multiple_of(size_of::<u64>()) && offset_of!(Header, units) == 0);

/// A mapped segment, by its base.
///
/// # Invariants
/// The segment is mapped as long as the value is used: part of it is in use or held, or its shard's lock is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Segment {
    base: usize,
}

/// How many units a segment's header takes, if it has `units`.
const fn header_units(units: usize) -> usize {
    let bytes = size_of::<Header>() + units * size_of::<u64>() + units.div_ceil(WORD) * size_of::<u64>();
    bytes.div_ceil(UNIT)
}

impl Segment {
    /// Maps a segment, for the allocator with this id and its shard of this number, with room for `length` units at a
    /// multiple of `align` bytes, and `more` units if there is that much. `None`: the kernel refuses.
    pub(super) fn map((id, shard): (u8, usize), length: usize, align: usize, more: usize) -> Option<Segment> {
        if length > LONGEST || align > 1 << 46 {
            return None;
        }
        let preferred =
            if more > 0 && align <= GRANULE { Segment::map_exactly((id, shard), length + more, align) } else { None };
        preferred.or_else(|| Segment::map_exactly((id, shard), length, align))
    }

    fn map_exactly((id, shard): (u8, usize), length: usize, align: usize) -> Option<Segment> {
        // The header has records for itself (less than a 256th of the length), for what aligns the first extent, and for
        // what fills the last granule (a granule each).
        let header = header_units(length + length / 256 + 4 * GRANULE / UNIT);
        let header = round_up(header * UNIT, align.clamp(mmap::page_size(), GRANULE))?;
        let bytes = round_up(header.checked_add(length * UNIT)?, GRANULE)?;
        // Up to a granule's alignment, the header is followed by what is aligned. Above it, the header has the granules
        // before an aligned address.
        let before = round_up(header, GRANULE)?;
        let (base, bytes, first) = if align <= GRANULE {
            (mmap::map(bytes, GRANULE, Access::ReadWrite), bytes, header)
        } else {
            let bytes = before.checked_add(round_up(length * UNIT, GRANULE)?)?;
            (mmap::map_trimmed(before, bytes, align, Access::ReadWrite), bytes, before)
        };
        if base == 0 {
            return None;
        }
        debug_assert!(header_units(bytes / UNIT) * UNIT <= first);
        let segment = Segment { base };
        let new = segment.header();
        new.units.store(bytes / UNIT, Ordering::Relaxed);
        new.first.store(first / UNIT, Ordering::Relaxed);
        new.shard.store(shard, Ordering::Relaxed);
        page_map::enter_or_unmap(base, bytes, Occupant::Segment(id, base)).then_some(segment)
    }

    /// Unmaps the segment, in which nothing is in use and which is in no list. `false`: the kernel refused, and it is as
    /// it was.
    pub(super) fn unmap(self) -> bool {
        page_map::unmap(self.base, self.units() * UNIT)
    }

    /// The segment in which `address` lies, and its allocator's id.
    ///
    /// # Safety
    /// Nothing unmaps the segment while the result is used: the caller has an extent in it, or its shard's lock.
    #[inline]
    pub(super) unsafe fn at(address: usize) -> Option<(u8, Segment)> {
        match page_map::occupant_of(address) {
            Occupant::Segment(id, base) => Some((id, Segment { base })),
            _ => None,
        }
    }

    #[inline]
    fn header(&self) -> &Header {
        // SAFETY: the segment is mapped (see the type), aligned to a granule, and starts with its header: atomics, for
        // which any value is valid.
        unsafe { &*ptr::with_exposed_provenance::<Header>(self.base) }
    }

    fn dirty_bits<'a>(self) -> &'a [AtomicU64] {
        let before = size_of::<Header>() + self.units() * size_of::<u64>();
        let start = ptr::with_exposed_provenance::<AtomicU64>(self.base.wrapping_add(before));
        // SAFETY: after the header, `map_exactly` left room for a record for each unit and then for their bits, before the
        // first unit (asserted there). The segment is mapped (see the type). The words are aligned (asserted above), and
        // atomics.
        unsafe { slice::from_raw_parts(start, self.units().div_ceil(WORD)) }
    }

    /// How many units it has, with those of the header.
    #[inline]
    pub(super) fn units(&self) -> usize {
        self.header().units.load(Ordering::Relaxed)
    }

    /// The units that extents are cut from.
    pub(super) fn usable_units(&self) -> Range<usize> {
        self.header().first.load(Ordering::Relaxed)..self.units()
    }

    /// The number of the shard that it belongs to.
    #[inline]
    pub(super) fn shard(&self) -> usize {
        self.header().shard.load(Ordering::Relaxed)
    }

    /// Notes that pages were moved into the segment, which may have become a mapping of their own.
    pub(super) fn count_move(&self) {
        self.header().moves.fetch_add(1, Ordering::Relaxed);
    }

    /// How often that was.
    pub(super) fn moves(&self) -> usize {
        self.header().moves.load(Ordering::Relaxed)
    }

    #[inline]
    pub(super) fn address(&self, unit: usize) -> usize {
        self.base.wrapping_add(unit << UNIT_SHIFT)
    }

    /// The unit in which `address` lies, which is in the segment.
    #[inline]
    pub(super) fn unit(&self, address: usize) -> usize {
        address.wrapping_sub(self.base) >> UNIT_SHIFT
    }

    #[inline]
    pub(super) fn record(&self, unit: usize) -> Record {
        Record::decode(self.record_at(self.address(unit)).load(Ordering::Relaxed))
    }

    /// The record of the unit at `end`, where an extent ends; of nothing, if the segment ends there, too.
    pub(super) fn record_after(&self, end: usize) -> Record {
        if end < self.units() { self.record(end) } else { Record::Inside }
    }

    /// The word of the record of the unit at `address`, which is in the segment; it may be used as long as the segment.
    #[inline]
    pub(super) fn record_at<'a>(self, address: usize) -> &'a AtomicU64 {
        let word = self.base.wrapping_add(size_of::<Header>()).wrapping_add(self.unit(address) * size_of::<u64>());
        // SAFETY: there is a record for each unit of the segment, from right after the header on (`map_exactly`), aligned and
        // mapped as the segment is, and an atomic. The header is not read: it would be one more cache line for each block.
        unsafe { &*ptr::with_exposed_provenance(word) }
    }

    /// Changes the record of a unit. The caller owns the extent there.
    #[inline]
    pub(super) fn set_record(&self, unit: usize, record: Record) {
        record.write_to(self.record_at(self.address(unit)));
    }

    /// Calls `each` with the dirty bits of `units`: the mask of those in a word, and the word.
    fn each_word(&self, units: Range<usize>, mut each: impl FnMut(u64, &AtomicU64)) {
        let words = self.dirty_bits();
        let mut unit = units.start;
        while unit < units.end {
            let (index, from) = (unit / WORD, unit % WORD);
            let count = (WORD - from).min(units.end - unit);
            let mask = (u64::MAX >> (WORD - count)) << from;
            if let Some(word) = words.get(index) {
                each(mask, word);
            }
            unit += count;
        }
    }

    /// How many of `units` are dirty. These bits are written under the lock only, as a word is shared with
    /// neighbouring extents. The owner of an extent may read its own without it.
    #[inline(never)]
    pub(super) fn count_dirty(&self, units: Range<usize>) -> usize {
        let mut count = 0;
        self.each_word(units, |mask, word| count += (word.load(Ordering::Relaxed) & mask).count_ones() as usize);
        count
    }

    #[inline(never)]
    pub(super) fn set_dirty(&self, units: Range<usize>) {
        self.each_word(units, |mask, word| word.store(word.load(Ordering::Relaxed) | mask, Ordering::Relaxed));
    }

    #[inline(never)]
    pub(super) fn set_clean(&self, units: Range<usize>) {
        self.each_word(units, |mask, word| word.store(word.load(Ordering::Relaxed) & !mask, Ordering::Relaxed));
    }

    /// The first run of dirty units in `units`. Empty: there are none.
    #[inline(never)]
    pub(super) fn dirty_run(&self, units: Range<usize>) -> Range<usize> {
        let words = self.dirty_bits();
        let word = |unit: usize| words.get(unit / WORD).map_or(0, |word| word.load(Ordering::Relaxed)) >> (unit % WORD);
        let mut start = units.start;
        while start < units.end {
            match word(start) {
                0 => start = start / WORD * WORD + WORD,
                bits if bits & 1 == 0 => start += bits.trailing_zeros() as usize,
                _ => break,
            }
        }
        let mut end = start;
        while end < units.end {
            let ones = word(end).trailing_ones() as usize;
            end += ones;
            if ones == 0 || !end.is_multiple_of(WORD) {
                break;
            }
        }
        start.min(units.end)..end.min(units.end)
    }
}

/// The list of a shard's segments. Under its lock.
#[derive(Debug)]
pub(super) struct Segments {
    newest: usize,
    /// Units of all of them.
    pub(super) units: usize,
}

impl Segments {
    #[cfg(test)]
    pub(super) const EMPTY: Segments = Segments { newest: 0, units: 0 };

    pub(super) fn push(&mut self, segment: Segment) {
        let header = segment.header();
        header.previous.store(0, Ordering::Relaxed);
        header.next.store(self.newest, Ordering::Relaxed);
        if let Some(second) = Segments::at(self.newest) {
            second.header().previous.store(segment.base, Ordering::Relaxed);
        }
        self.newest = segment.base;
        self.units += segment.units();
    }

    pub(super) fn remove(&mut self, segment: Segment) {
        let header = segment.header();
        let (previous, next) = (header.previous.load(Ordering::Relaxed), header.next.load(Ordering::Relaxed));
        match Segments::at(previous) {
            Some(previous) => previous.header().next.store(next, Ordering::Relaxed),
            None => self.newest = next,
        }
        if let Some(next) = Segments::at(next) {
            next.header().previous.store(previous, Ordering::Relaxed);
        }
        self.units -= segment.units();
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Segment> {
        core::iter::successors(Segments::at(self.newest), |segment| {
            Segments::at(segment.header().next.load(Ordering::Relaxed))
        })
    }

    /// The segment at a base from the list, which is mapped while the lock is held.
    fn at(base: usize) -> Option<Segment> {
        (base != 0).then_some(Segment { base })
    }
}
