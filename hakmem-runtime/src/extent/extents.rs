//! Large blocks: extents of pages, with a cache of the ones freed last in front.
//!
//! Functions here return null if the kernel refuses; then nothing has changed. The caller may free other cached memory
//! and try again.

use super::block::{Block, block_at, clear, find, hand_out, units_for, zero};
use super::exact_cache::{self, ExactCache};
use super::free_extents::FreeExtent;
use super::moves;
use super::page_store::{PageStore, Taken, Wanted};
use super::segment::{LONGEST, Record, Segment, UNIT};
use crate::slab::FreeBlock;
use crate::sys::clock;
use crate::sys::lock::Lock;
use crate::sys::mmap;
use core::ptr;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};

/// The exact cache has at most this fraction (1/4) of the limit, and extents of at most this length in bytes.
const EXACT_SHARE: usize = 4;
const EXACT_LONGEST: usize = 4 << 20;

/// Frees between two checks of the clock, which cost a call and a division.
const FREES: u32 = 16;

/// A new segment is this fraction (1/4) of what there is, within these bounds in units (4 MiB and 256 MiB). It costs
/// address space alone.
const SEGMENT_SHARE: usize = 4;
const SEGMENT: (usize, usize) = ((4 << 20) / UNIT, (256 << 20) / UNIT);

/// The large blocks of one allocator.
///
/// # Invariants
/// An extent is in use (its record has the block), free (its record has a node of the store), or held: by the exact
/// cache, or by a function of this module.
///
/// ```text
/// bytes in exact ≤ limit / EXACT_SHARE
/// dirty free bytes ≤ limit, except while threads free or shrink at the same moment
/// ```
#[derive(Debug)]
pub(crate) struct Extents {
    exact: ExactCache,
    pub(super) store: Lock<PageStore>,
    /// The dirty bytes in `store`, as of its last change.
    dirty: AtomicUsize,
    /// Roughly how many blocks were freed.
    frees: AtomicU32,
    /// How many bytes may be cached.
    limit: usize,
    /// The longest extent in bytes that goes to the exact cache. 0 while enough is cached, or after a refusal.
    exact_longest: AtomicUsize,
    /// The kernel has refused memory since the last segment was mapped: each free gives all free memory back.
    refused: AtomicBool,
}

/// The longest extent in the exact cache, if so many bytes may be kept in all.
const fn exact_longest(limit: usize) -> usize {
    let longest = limit / EXACT_SHARE / exact_cache::RANGES;
    if longest < EXACT_LONGEST { longest } else { EXACT_LONGEST }
}

/// The interface.
impl Extents {
    pub(crate) const fn new(limit: usize) -> Extents {
        Extents {
            exact: ExactCache::empty(),
            store: Lock::new(PageStore::EMPTY),
            dirty: AtomicUsize::new(0),
            frees: AtomicU32::new(0),
            limit,
            exact_longest: AtomicUsize::new(exact_longest(limit)),
            refused: AtomicBool::new(false),
        }
    }

    /// Allocates `size` bytes at a multiple of `align` for the allocator with this id. Null: refused.
    #[inline]
    pub(crate) fn alloc(&self, id: u8, size: usize, align: usize) -> *mut u8 {
        let Some((taken, length, _)) = self.obtain(id, size, align) else { return ptr::null_mut() };
        hand_out(taken.segment, taken.unit, length, size, align)
    }

    /// [`Extents::alloc`] of zeroed memory. Writes only where it is not zero yet.
    #[cold]
    #[inline(never)]
    pub(crate) fn alloc_zeroed(&self, id: u8, size: usize, align: usize) -> *mut u8 {
        let Some((taken, length, exact)) = self.obtain(id, size, align) else { return ptr::null_mut() };
        let block = hand_out(taken.segment, taken.unit, length, size, align);
        if exact {
            // A block had this extent, and its dirty bits were not written since: any of it may be dirty.
            zero(block.addr(), size);
        } else if taken.dirty > 0 {
            clear(taken.segment, taken.unit..taken.unit + length, block, size);
        }
        block
    }

    /// Frees a block. `true`: it is time to check the clock, and to purge if due: a program that uses only large blocks
    /// has no other slow path. Aborts if `block` is not a large block.
    #[inline]
    pub(crate) fn dealloc(&self, id: u8, block: FreeBlock) -> bool {
        self.free(block_at(id, block.into_raw().expose_provenance(), "invalid free: not a large block"))
    }

    /// The bytes that the program may use of the block at `address`; `None` if no block starts there.
    pub(crate) fn usable(id: u8, address: usize) -> Option<usize> {
        Some(find(id, address)?.bytes())
    }

    /// Whether there is no point in asking for so many bytes at such a multiple.
    pub(crate) fn is_hopeless(size: usize, align: usize) -> bool {
        size > LONGEST * UNIT || align > LONGEST * UNIT
    }

    /// Calls `each` with the bytes of each block.
    pub(crate) fn each_block(&self, mut each: impl FnMut(usize)) {
        let store = self.store.lock();
        for segment in store.segments.iter() {
            let mut unit = segment.usable_units().start;
            while unit < segment.usable_units().end {
                unit += match segment.record(unit) {
                    Record::Used { length, .. } => {
                        each(length * UNIT);
                        length
                    }
                    Record::Held { length } => length,
                    Record::Free { node } => store.free.get(node).map_or(1, |extent| extent.length),
                    Record::Inside => 1,
                }
                .max(1);
            }
        }
    }

    /// Gives back what has been free for at least `delay` milliseconds.
    pub(crate) fn purge(&self, now: u32, delay: u32) {
        self.gather(now);
        while self.purge_oldest(now, delay, usize::MAX) > 0 {}
    }

    /// How long ago the oldest memory that waits for a purge was freed.
    pub(crate) fn oldest(&self, now: u32) -> Option<u32> {
        self.store.lock().free.oldest().map(|(_, extent)| now.wrapping_sub(extent.since))
    }

    /// Gives back as many dirty bytes as are about to be touched elsewhere, so that what is kept does not add to a
    /// program's peak.
    #[inline]
    pub(crate) fn make_room(&self, bytes: usize) {
        if self.dirty.load(Ordering::Relaxed) > 0 {
            self.purge_units(bytes / UNIT);
        }
    }

    /// Notes that the kernel has no more memory. Until a segment can be mapped again, each free gives all free memory
    /// back, and the exact cache takes nothing.
    ///
    /// Not if it was asked for more than is mapped: such a request says nothing of others.
    pub(crate) fn note_refusal(&self, size: usize) {
        if size / UNIT <= self.store.lock().segments.units {
            self.refused.store(true, Ordering::Relaxed);
        }
    }

    /// Locks for a fork.
    pub(crate) fn hold_for_fork(&self) {
        self.store.hold_for_fork();
    }

    /// Unlocks after a fork, in the parent and in the child.
    pub(crate) fn release_after_fork(&self) {
        self.store.release_after_fork();
    }
}

/// Extents.
impl Extents {
    /// Runs `work` under the lock.
    pub(super) fn with_store<R>(&self, work: impl FnOnce(&mut PageStore) -> R) -> R {
        let mut store = self.store.lock();
        let result = work(&mut store);
        self.note_dirty(store.free.dirty * UNIT);
        result
    }

    /// Remembers how much free memory is dirty, for those who do not take the lock.
    #[inline(never)]
    fn note_dirty(&self, dirty: usize) {
        let share = self.limit / EXACT_SHARE;
        let enough = dirty > self.limit - share || self.refused.load(Ordering::Relaxed);
        self.exact_longest.store(if enough { 0 } else { exact_longest(self.limit) }, Ordering::Relaxed);
        self.dirty.store(dirty, Ordering::Relaxed);
    }

    /// An extent for `size` bytes, its length, and whether it comes from the exact cache.
    #[inline]
    fn obtain(&self, id: u8, size: usize, align: usize) -> Option<(Taken, usize, bool)> {
        let length = units_for(size, align)?;
        let address = self.exact.take(length * UNIT, align);
        if address == 0 {
            return Some((self.take(id, Wanted::exactly(length, align))?, length, false));
        }
        let segment = segment_of_cached(address)?;
        Some((Taken { segment, unit: segment.unit(address), dirty: length }, length, true))
    }

    /// An extent from the store, or from a new segment, in which there is room to grow if that can be had.
    #[cold]
    #[inline(never)]
    pub(super) fn take(&self, id: u8, wanted: Wanted) -> Option<Taken> {
        self.gather(clock::now_ms());
        let exactly = Wanted { with_growth: wanted.length, ..wanted };
        self.take_free(exactly).or_else(|| self.take_from_new_segment(id, wanted))
    }

    /// An extent from the store.
    pub(super) fn take_free(&self, wanted: Wanted) -> Option<Taken> {
        let (taken, excess) = self.with_store(|store| (store.take(wanted), store.excess(wanted.replaced)));
        self.purge_units(excess);
        taken
    }

    /// Maps a segment with room for what is wanted, with its growth if that can be had, and takes it from there.
    fn take_from_new_segment(&self, id: u8, wanted: Wanted) -> Option<Taken> {
        let Wanted { length, with_growth, align, .. } = wanted;
        let units = self.store.lock().segments.units;
        let more = (units / SEGMENT_SHARE).clamp(SEGMENT.0, SEGMENT.1).max(with_growth).saturating_sub(length);
        let segment = Segment::map(id, length, align, more)?;
        self.refused.store(false, Ordering::Relaxed);
        // At once: another thread could take it, or give all of the segment back, before this one comes again.
        let taken = self.with_store(|store| {
            if !store.reserve_nodes() {
                return None;
            }
            store.add(segment, clock::now_ms());
            store.take(Wanted { with_growth: length, ..wanted })
        });
        if taken.is_none() && !self.store.lock().segments.iter().any(|listed| listed == segment) {
            segment.unmap();
        }
        taken
    }

    /// Frees a block, which is no longer in use. `true`: it is time to check the clock.
    #[inline(always)]
    pub(super) fn free(&self, block: Block) -> bool {
        let Block { segment, unit, length, .. } = block;
        let frees = self.frees.load(Ordering::Relaxed);
        self.frees.store(frees.wrapping_add(1), Ordering::Relaxed);
        let bytes = length * UNIT;
        if bytes <= self.exact_longest.load(Ordering::Relaxed)
            && let Some((record, held)) = segment.record_to_hold(unit, length)
            && self.exact.put_block(record, held, segment.address(unit), bytes)
        {
            return frees.is_multiple_of(FREES);
        }
        self.free_cold(block);
        true
    }

    #[cold]
    #[inline(never)]
    pub(super) fn free_cold(&self, block: Block) {
        // A second free must not find a block there.
        block.segment.set_record(block.unit, Record::Held { length: block.length });
        let now = clock::now_ms();
        self.gather(now);
        self.put_and_trim(block.segment, block.unit, block.length, now);
        if self.refused.load(Ordering::Relaxed) {
            self.purge(now, 0);
        }
    }

    /// Puts back an extent that a block has used, and gives back what exceeds the limit.
    #[inline(never)]
    pub(super) fn put_and_trim(&self, segment: Segment, unit: usize, length: usize, now: u32) {
        let dirty = self.with_store(|store| {
            put_dirty(store, segment, unit, length, now);
            store.free.dirty
        });
        self.purge_excess(dirty);
    }

    /// Gives back what of so many dirty units exceeds the limit.
    pub(super) fn purge_excess(&self, dirty: usize) {
        self.purge_units(dirty.saturating_sub(self.limit / UNIT));
    }

    /// Moves the exact cache's extents to the store, where they are joined. They count as freed `now`.
    #[inline(never)]
    pub(super) fn gather(&self, now: u32) {
        while let Some((address, bytes)) = self.exact.take_any() {
            self.with_store(|store| {
                if let Some(segment) = segment_of_cached(address) {
                    put_dirty(store, segment, segment.unit(address), bytes / UNIT, now);
                }
            });
        }
    }

    /// Gives back at least `units` dirty units, the oldest first.
    #[inline(never)]
    pub(super) fn purge_units(&self, mut units: usize) {
        if units == 0 {
            return;
        }
        let now = clock::now_ms();
        while units > 0 {
            let purged = self.purge_oldest(now, 0, units);
            if purged == 0 {
                return;
            }
            units = units.saturating_sub(purged);
        }
    }

    /// Gives back the extent that has been free for longest, if that is at least `delay` milliseconds: up to `most` of
    /// its dirty units, or all of its segment if that is free. Returns how many units, or 1 for a
    /// segment without any; 0: none is old enough.
    fn purge_oldest(&self, now: u32, delay: u32, most: usize) -> usize {
        // It is held now: the lock is free while the kernel works.
        let Some(extent) = self.with_store(|store| store.take_oldest(now, delay)) else { return 0 };
        if !extent.is_whole_segment() || extent.dirty > most {
            return self.purge_extent(&extent, most);
        }
        self.with_store(|store| store.remove(&extent));
        let moved = extent.segment.moves();
        if extent.segment.unmap() {
            moves::give_back(moved);
            return extent.dirty.max(1);
        }
        self.with_store(|store| store.restore(&extent));
        // As if it had been freed after now: this purge does not come to it again.
        self.purge_extent(&FreeExtent { since: now.wrapping_add(1), ..extent }, most)
    }

    /// Gives back up to `most` dirty units of an extent that the caller holds, and puts it back. Returns how many, or 1 if the
    /// kernel refuses.
    fn purge_extent(&self, extent: &FreeExtent, most: usize) -> usize {
        let &FreeExtent { segment, unit, length, since, .. } = extent;
        let end = unit + length;
        let (mut purged, mut from) = (0, unit);
        while purged < most {
            let run = segment.dirty_run(from..end);
            if run.is_empty() {
                from = end;
                break;
            }
            let whole_pages = (most - purged).checked_next_multiple_of(mmap::page_size() / UNIT).unwrap_or(most);
            from = run.end.min(run.start.saturating_add(whole_pages));
            let run = run.start..from;
            // Locked memory stays dirty.
            if mmap::purge(segment.address(run.start), run.len() * UNIT) {
                self.with_store(|_| segment.set_clean(run.clone()));
                purged += run.len();
            }
        }
        // What was refused does not count as dirty any more, so that nobody tries again for its sake.
        self.with_store(|store| store.put(segment, unit, length, segment.count_dirty(from..end), since));
        purged.max(1)
    }
}

/// The segment of an extent that the exact cache gave out.
fn segment_of_cached(address: usize) -> Option<Segment> {
    // SAFETY: the extent is this thread's.
    unsafe { Segment::at(address) }.map(|(_, segment)| segment)
}

/// Puts back an extent that a block has used: all of it may have been written to.
pub(super) fn put_dirty(store: &mut PageStore, segment: Segment, unit: usize, length: usize, now: u32) {
    segment.set_dirty(unit..unit + length);
    store.put(segment, unit, length, length, now);
}
