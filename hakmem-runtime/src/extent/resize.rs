//! Reallocation of large blocks: in place where what follows is free, else by moving pages or by a copy.

use super::block::{Block, block_at, units_for};
use super::extents::{Caller, Extents};
use super::moves::{self, Move};
use super::page_store::{Owned, Taken, Wanted};
use super::segment::{LONGEST, Record, UNIT};
use super::shard::Shard;
use crate::slab::FreeBlock;
use crate::sys::clock;
use crate::sys::mmap::{self, NotTaken, Stamp, TakenPages, Target, round_up};
use core::ops::Range;
use core::ptr;

/// From this length on in units (1 MiB), pages are moved if the target is not resident. Moving is faster from 128 KiB on,
/// but what was moved stays a mapping of its own.
const MOVED: usize = (1 << 20) / UNIT;

/// From this length on in units (32 MiB), pages are moved in any case: much of such a block may never have been touched,
/// and a copy would touch it.
const SPARSE: usize = (32 << 20) / UNIT;

/// Up to so many bytes, a piece of a block that the kernel does not move is copied.
const PIECE: usize = 64 << 10;

/// From this length on in units (1 MiB), what a block gives up when it shrinks goes back at once.
const GIVEN_BACK: usize = (1 << 20) / UNIT;

impl Extents {
    /// Resizes a block, which has this alignment. An error is the block as it was: refused. Aborts if it is not a large block.
    #[cold]
    #[inline(never)]
    pub(crate) fn realloc(
        &self,
        caller: Caller<'_>,
        block: FreeBlock,
        new_size: usize,
        align: usize,
    ) -> Result<*mut u8, FreeBlock> {
        let new = self.resize(caller, block.as_ptr(), new_size, align);
        if new.is_null() { Err(block) } else { Ok(new) }
    }

    /// Null: refused, and the block is as it was. Else it is at the result, and nowhere else.
    fn resize(&self, caller: Caller<'_>, block: *mut u8, new_size: usize, align: usize) -> *mut u8 {
        let address = block.expose_provenance();
        let old = block_at(caller.id, address, "invalid realloc: not a large block");
        let Some(bytes) = old.offset.checked_add(new_size).and_then(|end| round_up(end, mmap::page_size())) else {
            return ptr::null_mut();
        };
        let length = bytes / UNIT;
        let Some(shard) = self.shard_of(old.segment) else { return ptr::null_mut() };
        if length <= old.length {
            self.shrink(shard, old, length);
            return block;
        }
        let moved_length = units_for(bytes, align);
        // What grows once grows again. Room costs address space alone.
        let wanted = |length| Wanted { length, with_growth: (2 * length).min(LONGEST), align, replaced: old.length };
        let mut target = None;
        // A block that is copied soon may as well go where memory is resident, to grow there from now on.
        if let Some(length) = moved_length.filter(|_| old.length < MOVED)
            && !shard
                .with_store(|store| store.is_resident_after(old.segment, old.unit + old.length, length - old.length))
        {
            target = self.shard_for(caller, length).and_then(|(_, shard)| shard.take_resident(wanted(length)));
        }
        if target.is_none() && self.grow(caller, shard, old, length) {
            return block;
        }
        let Some(length) = moved_length else { return ptr::null_mut() };
        let wanted = wanted(length);
        let with_room = || self.take_free(self.shard_for(caller, length)?.1, wanted);
        let Some(target) = target.or_else(with_room).or_else(|| self.take(caller, wanted)) else {
            return ptr::null_mut();
        };
        // A copy leaves the old pages resident. Where more is kept already than may be, they would be purged.
        let moves = || target.dirty < old.length || old.length >= SPARSE || self.excess(old.length, 0) > 0;
        if old.length >= MOVED && moves() {
            return self.move_pages(caller, (shard, old), target, wanted);
        }
        let new = target.hand_out(length, new_size, align);
        copy(address, new.addr(), old.bytes().min(new_size));
        self.free_cold(caller, old);
        new
    }

    /// Moves a block's pages to a target, piece by piece, copies what the kernel does not move, and frees the block. Null:
    /// the target was lost and there is no other, and the block is as it was.
    fn move_pages(&self, caller: Caller<'_>, (shard, old): (&Shard, Block), target: Taken, wanted: Wanted) -> *mut u8 {
        let used = Record::Used { length: wanted.length, offset: old.offset };
        let (from, to) = (old.segment.address(old.unit), target.segment.address(target.unit));
        let (bytes, page) = (old.length * UNIT, mmap::page_size());
        shard.with_store(|_| old.segment.set_dirty(old.unit..old.unit + old.length));
        // The target has the block's contents up to here.
        let mut done = 0;
        let mut piece = bytes;
        while done < bytes {
            piece = piece.min(bytes - done);
            let (source, place) = (from.wrapping_add(done), to.wrapping_add(done));
            let Some(this) = Move::begin() else {
                copy(source, place, bytes - done);
                break;
            };
            match this.take_pages(source, piece) {
                Ok(pages) => match pages.move_to(place, stamp(target, done, piece).as_ref()) {
                    Ok(()) => {
                        target.segment.count_move();
                        let first = old.unit + done / UNIT;
                        shard.with_store(|_| old.segment.set_clean(first..first + piece / UNIT));
                    }
                    Err((pages, Target::Kept)) => {
                        copy(pages.address, place, piece);
                        moves::discard(&pages);
                        moves::give_back(1);
                    }
                    Err((pages, Target::Lost)) => {
                        return self.save(caller, (shard, old), (target, this), (pages, done), wanted);
                    }
                },
                // A block that was moved and has grown is several mappings. Where they meet is found by halves.
                Err(NotTaken::Refused) if piece > PIECE => {
                    piece = (piece / 2).next_multiple_of(page);
                    continue;
                }
                Err(NotTaken::Refused) => copy(source, place, piece),
                Err(NotTaken::Unsupported) => {
                    piece = bytes - done;
                    copy(source, place, piece);
                }
            }
            done += piece;
            piece = bytes;
        }
        self.moved((shard, old), target, used)
    }

    /// What is left to do where a target was lost: up to `done`, the block's pages are in it, then come `pages`, and the
    /// others are still in their place. Another extent is found for all of them; else they go back.
    #[cold]
    fn save(
        &self,
        caller: Caller<'_>,
        (shard, old): (&Shard, Block),
        (lost, this): (Taken, Move),
        (pages, done): (TakenPages, usize),
        wanted: Wanted,
    ) -> *mut u8 {
        let (from, moved_to) = (old.segment.address(old.unit), lost.segment.address(lost.unit));
        // What is mapped there again is a mapping more.
        lost.segment.count_move();
        let another = self.take(caller, wanted);
        let to = another.map_or(from, |another| another.segment.address(another.unit));
        copy(moved_to, to, done);
        copy(pages.address, to.wrapping_add(done), pages.length);
        let rest = done + pages.length;
        moves::discard(&pages);
        let lost_units = lost.unit + done / UNIT..lost.unit + rest / UNIT;
        this.lose(self.free_around(lost, wanted.length, lost_units));
        shard.with_store(|_| old.segment.set_dirty(old.unit..old.unit + old.length));
        let Some(another) = another else { return ptr::null_mut() };
        copy(from.wrapping_add(rest), to.wrapping_add(rest), old.length * UNIT - rest);
        self.moved((shard, old), another, Record::Used { length: wanted.length, offset: old.offset })
    }

    /// Frees what comes before and after some units of an extent, which are lost. Returns the address of the extent that is
    /// left: nobody touches it until all of it is mapped again.
    #[cold]
    fn free_around(&self, Taken { segment, unit, .. }: Taken, length: usize, lost: Range<usize>) -> usize {
        let mut left = unit..unit + length;
        for part in [left.start..lost.start, lost.end..left.end].into_iter().filter(|part| !part.is_empty()) {
            if self.shard_of(segment).is_some_and(Shard::split_used) {
                left = if part.start == left.start { part.end..left.end } else { left.start..part.start };
                let part = Owned { segment, unit: part.start, length: part.len() };
                self.put_back_one(part, clock::now_ms());
            } else {
                // There is no memory for a node. It is mapped again with what is lost.
                mmap::unmap(segment.address(part.start), part.len() * UNIT);
            }
        }
        segment.set_record(left.start, Record::Held { length: left.len() });
        segment.address(left.start)
    }

    /// Frees a block whose contents are elsewhere and whose dirty bits are up to date, and hands the new one out.
    fn moved(&self, (shard, old): (&Shard, Block), target: Taken, used: Record) -> *mut u8 {
        let Block { segment, unit, length, .. } = old;
        shard.with_store(|store| {
            store.put(segment, unit, length, segment.count_dirty(unit..unit + length), clock::now_ms());
        });
        self.purge_to_limit();
        let Taken { segment, unit, .. } = target;
        segment.set_record(unit, used);
        ptr::with_exposed_provenance_mut(segment.address(unit).wrapping_add(old.offset))
    }

    /// Makes a block shorter.
    fn shrink(&self, shard: &Shard, old: Block, length: usize) {
        let Block { segment, unit, .. } = old;
        let (tail, rest) = (unit + length, old.length - length);
        // A third of it may be there because the block was cached and longer than asked, and one page for the blocks' colours.
        let is_slack = rest * UNIT <= mmap::page_size() || rest < GIVEN_BACK && rest * 3 <= old.length;
        if is_slack || !shard.split_used() {
            return;
        }
        segment.set_record(unit, Record::Used { length, offset: old.offset });
        segment.set_record(tail, Record::Held { length: rest });
        let purged = rest >= GIVEN_BACK && mmap::purge(segment.address(tail), rest * UNIT);
        let now = clock::now_ms();
        if !purged {
            self.put_back_one(Owned { segment, unit: tail, length: rest }, now);
            return self.purge_to_limit();
        }
        shard.with_store(|store| {
            segment.set_clean(tail..tail + rest);
            store.put(segment, tail, rest, 0, now);
        });
    }

    /// Makes a block longer in place. `false`: what follows is not free.
    fn grow(&self, caller: Caller<'_>, shard: &Shard, old: Block, length: usize) -> bool {
        let Block { segment, unit, offset, .. } = old;
        let (end, more) = (unit + old.length, length - old.length);
        let grow = || {
            let grown = shard.with_store(|store| store.extend_used(segment, end, more));
            if grown {
                self.purge_units(self.excess(length, 0));
                self.note_touched();
            }
            grown
        };
        if !grow() {
            // What follows may be in the thread's cache.
            if !matches!(segment.record_after(end), Record::Held { .. }) {
                return false;
            }
            self.empty(caller.cache);
            if !grow() {
                return false;
            }
        }
        segment.set_record(unit, Record::Used { length, offset });
        true
    }
}

/// Writes a stamp to a part of a target where memory is resident.
fn stamp(Taken { segment, unit, dirty }: Taken, done: usize, bytes: usize) -> Option<Stamp> {
    let first = unit + done / UNIT;
    let run = if dirty > 0 { segment.dirty_run(first..first + bytes / UNIT) } else { first..first };
    (!run.is_empty()).then(|| Stamp::write(segment.address(run.start)))
}

/// Copies bytes from one extent of this thread's, or pages that it has taken, to another. They do not overlap.
fn copy(from: usize, to: usize, bytes: usize) {
    let (from, to) = (ptr::with_exposed_provenance::<u8>(from), ptr::with_exposed_provenance_mut::<u8>(to));
    // SAFETY: the callers pass mapped ranges of this length that nobody else uses: parts of the block that is resized,
    // which its owner gives up, of what was allocated for it, or of its pages on their way.
    unsafe { ptr::copy_nonoverlapping(from, to, bytes) };
}
