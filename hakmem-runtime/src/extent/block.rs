//! A block in its extent: how many units it needs, where in them it starts, and how it is found again.

use super::segment::{LINE, LONGEST, Record, Segment, UNIT};
use crate::sys::fatal::fatal;
use crate::sys::mmap::{self, round_up};
use core::ops::Range;
use core::ptr;
use core::sync::atomic::AtomicU64;

/// Cache colouring (jemalloc's `cache_oblivious`): from this length on in units (128 KiB), an extent of a multiple of 4
/// units gets one page more, so that extents of one length, which follow each other, start at different sets of a
/// processor's caches. Below [`ADDITIONAL`], no block uses that page.
const COLOURED: usize = 32;

/// From this length on in units (512 KiB), blocks use the additional page, so that they can start anywhere in their first
/// unit: 0.8 % of memory at most.
const ADDITIONAL: usize = 128;

/// Up to this alignment, an extent is a multiple of it: no other is cut from what would be left.
const SHORT: usize = 64 << 10;

/// Blocks of up to so many bytes are cleared by writing, longer ones by giving their pages back. Writing 4 MiB takes 32 µs
/// here, giving them back and touching them again 1,800; but writing makes pages resident that are not any more.
const CLEARED: usize = 32 << 20;

/// A block in use.
#[derive(Debug, Clone, Copy)]
pub(super) struct Block {
    pub(super) segment: Segment,
    pub(super) unit: usize,
    /// The length of its extent in units.
    pub(super) length: usize,
    /// The bytes of the extent before it.
    pub(super) offset: usize,
}

impl Block {
    /// The bytes that the program may use.
    pub(super) fn bytes(&self) -> usize {
        self.length * UNIT - self.offset
    }
}

/// The units of an extent for `size` bytes. `None`: more than can be had.
#[inline]
pub(super) fn units_for(size: usize, align: usize) -> Option<usize> {
    let units = round_up(size.max(1), mmap::page_size())? / UNIT;
    if units > LONGEST {
        return None;
    }
    if align > UNIT {
        // What would be left between two such extents is of no use to others, if it is short.
        return Some(if align <= SHORT { round_up(units, align / UNIT)? } else { units });
    }
    Some(if units >= COLOURED && units.is_multiple_of(4) { units + mmap::page_size() / UNIT } else { units })
}

/// The block at `address`; ends the program with `message` if there is none.
#[inline]
pub(super) fn block_at(id: u8, address: usize, message: &str) -> Block {
    find(id, address).unwrap_or_else(|| fatal(message, address))
}

#[inline]
pub(super) fn find(id: u8, address: usize) -> Option<Block> {
    // SAFETY: `address` is that of a block in use, or the program breaks the contract of `free`; then the segment may be
    // unmapped meanwhile, and the record below is read from nowhere or from somebody else.
    let (_, segment) = unsafe { Segment::at(address) }.filter(|&(of, _)| of == id)?;
    let unit = segment.unit(address);
    match segment.record(unit) {
        Record::Used { length, offset } if segment.address(unit).wrapping_add(offset) == address => {
            Some(Block { segment, unit, length, offset })
        }
        _ => None,
    }
}

/// Turns the extent at `start`, with this record, which the caller owns, into a block of `size` bytes. Within its first unit
/// the block starts somewhere else for each extent, as far as `size` leaves room: so blocks of one size start at different
/// sets of the L1 cache.
#[inline]
pub(super) fn hand_out(start: usize, record: &AtomicU64, length: usize, size: usize, align: usize) -> *mut u8 {
    let used = if length >= ADDITIONAL { length * UNIT } else { size.next_multiple_of(UNIT) };
    let slack = (used - size).min(UNIT - LINE) / LINE;
    let offset = if align <= LINE {
        let random = (start / UNIT).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 58;
        ((random * (slack + 1)) >> 6) * LINE
    } else {
        0
    };
    Record::Used { length, offset }.write_to(record);
    ptr::with_exposed_provenance_mut(start.wrapping_add(offset))
}

/// Clears `size` bytes at `block`, which has the extent of these units, as far as they may not be zero.
pub(super) fn clear(segment: Segment, units: Range<usize>, block: *mut u8, size: usize) {
    if size > CLEARED && mmap::purge(segment.address(units.start), units.len() * UNIT) {
        return;
    }
    let end = block.addr().wrapping_add(size);
    let mut from = units.start;
    loop {
        let run = segment.dirty_run(from..units.end);
        let start = segment.address(run.start).max(block.addr());
        let bytes = segment.address(run.end).min(end).saturating_sub(start);
        if run.is_empty() || bytes == 0 {
            return;
        }
        zero(start, bytes);
        from = run.end;
    }
}

/// Zeroes bytes of a block that was just allocated.
pub(super) fn zero(start: usize, bytes: usize) {
    // SAFETY: the callers pass a range within such a block, which nobody else has yet.
    unsafe { ptr::with_exposed_provenance_mut::<u8>(start).write_bytes(0, bytes) };
}
