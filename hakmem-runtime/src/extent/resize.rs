//! Reallocation of large blocks: in place where what follows is free, else by moving pages or by a copy.

use super::block::{Block, block_at, hand_out, units_for};
use super::extents::Extents;
use super::moves;
use super::page_store::{Taken, Wanted};
use super::segment::{Record, UNIT};
use crate::sys::clock;
use crate::sys::mmap::{self, TakenPages, Target, round_up};
use core::ptr;

/// From this length on in units (1 MiB), pages are moved if the target is not resident. Moving is faster from 128 KiB on,
/// but what was moved stays a mapping of its own.
const MOVED: usize = (1 << 20) / UNIT;

/// From this length on in units (32 MiB), pages are moved in any case: much of such a block may never have been touched,
/// and a copy would touch it.
const SPARSE: usize = (32 << 20) / UNIT;

/// From this length on in units (1 MiB), what a block gives up when it shrinks goes back at once.
const GIVEN_BACK: usize = (1 << 20) / UNIT;

impl Extents {
    /// Resizes a block. Null: refused, and the block is as it was.
    ///
    /// # Safety
    /// `block` came from these functions with this alignment. It is not used any more unless the result is null or the
    /// same address.
    #[cold]
    #[inline(never)]
    pub(crate) unsafe fn realloc(&self, id: u8, block: *mut u8, new_size: usize, align: usize) -> *mut u8 {
        let address = block.expose_provenance();
        let old = block_at(id, address, "invalid realloc: not a large block");
        let Some(bytes) = old.offset.checked_add(new_size).and_then(|end| round_up(end, mmap::page_size())) else {
            return ptr::null_mut();
        };
        let length = bytes / UNIT;
        if length <= old.length {
            self.shrink(old, length);
            return block;
        }
        if self.grow(old, length) {
            return block;
        }
        let Some(length) = units_for(bytes, align) else { return ptr::null_mut() };
        // What grows once grows again. Room costs address space alone.
        let wanted = Wanted { length, with_growth: length + length / 2, align, replaced: old.length };
        let Some(target) = self.take_free(wanted).or_else(|| self.take(id, wanted)) else { return ptr::null_mut() };
        if old.length >= MOVED
            && (target.dirty < old.length || old.length >= SPARSE)
            && let Some(pages) = moves::take_pages(&old)
        {
            return self.move_pages(id, old, pages, target, wanted);
        }
        let copy = hand_out(target.segment, target.unit, length, new_size, align);
        // SAFETY: `block` is a block of ours of `old.bytes()` bytes, and the caller gives it up. `copy` is a block that
        // was just allocated, of at least `new_size` bytes: nobody else uses it, and the two do not overlap.
        unsafe { ptr::copy_nonoverlapping(block, copy, old.bytes().min(new_size)) };
        self.free_cold(old);
        copy
    }

    /// Puts the pages that were taken from a block into a target, and frees the block. Null: the kernel refuses, and the
    /// block is as it was.
    fn move_pages(&self, id: u8, old: Block, pages: TakenPages, target: Taken, wanted: Wanted) -> *mut u8 {
        let used = Record::Used { length: wanted.length, offset: old.offset };
        let mut target = target;
        let (pages, lost) = match pages.move_to(target.segment.address(target.unit)) {
            Ok(()) => {
                target.segment.count_move();
                return self.moved(old, target, used);
            }
            Err((pages, lost)) => (pages, lost),
        };
        let mut copy_to = Some(target);
        if let Target::Lost = lost {
            // Nobody will touch it again.
            target.segment.set_record(target.unit, Record::Held { length: wanted.length });
            moves::give_up();
            copy_to = self.take(id, wanted);
        }
        let from = ptr::with_exposed_provenance::<u8>(pages.address);
        let to = match copy_to {
            Some(another) => {
                target = another;
                target.segment.address(target.unit)
            }
            None => old.segment.address(old.unit),
        };
        // SAFETY: the pages are `old.length` units that only this function knows. The copy goes to an extent that is at
        // least as long and this thread's: the new one, or the block's own, whose pages are zero now.
        unsafe { ptr::copy_nonoverlapping(from, ptr::with_exposed_provenance_mut(to), old.length * UNIT) };
        pages.unmap();
        if copy_to.is_none() { ptr::null_mut() } else { self.moved(old, target, used) }
    }

    /// Frees a block whose contents are elsewhere and whose own pages are zero, and hands the new one out.
    fn moved(&self, old: Block, target: Taken, used: Record) -> *mut u8 {
        self.with_store(|store| {
            old.segment.set_clean(old.unit..old.unit + old.length);
            store.put(old.segment, old.unit, old.length, 0, clock::now_ms());
        });
        let Taken { segment, unit, .. } = target;
        segment.set_record(unit, used);
        ptr::with_exposed_provenance_mut(segment.address(unit).wrapping_add(old.offset))
    }

    /// Makes a block shorter.
    fn shrink(&self, old: Block, length: usize) {
        let Block { segment, unit, .. } = old;
        let (tail, rest) = (unit + length, old.length - length);
        // One additional page may be there for the blocks' colours.
        if rest * UNIT <= mmap::page_size() || !self.with_store(|store| store.split_used()) {
            return;
        }
        segment.set_record(unit, Record::Used { length, offset: old.offset });
        segment.set_record(tail, Record::Held { length: rest });
        let purged = rest >= GIVEN_BACK && mmap::purge(segment.address(tail), rest * UNIT);
        let now = clock::now_ms();
        if !purged {
            return self.put_and_trim(segment, tail, rest, now);
        }
        self.with_store(|store| {
            segment.set_clean(tail..tail + rest);
            store.put(segment, tail, rest, 0, now);
        });
    }

    /// Makes a block longer in place. `false`: what follows is not free.
    fn grow(&self, old: Block, length: usize) -> bool {
        let Block { segment, unit, offset, .. } = old;
        let (end, more) = (unit + old.length, length - old.length);
        let grow = || {
            let (grown, excess) = self.with_store(|store| (store.extend_used(segment, end, more), store.excess(0)));
            self.purge_units(excess);
            grown
        };
        if !grow() {
            // What follows may be in the exact cache.
            if !matches!(segment.record(end), Record::Held { .. }) {
                return false;
            }
            self.gather(clock::now_ms());
            if !grow() {
                return false;
            }
        }
        segment.set_record(unit, Record::Used { length, offset });
        true
    }
}
