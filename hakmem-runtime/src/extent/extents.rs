//! Large blocks: extents of pages, in several shards, with a cache for each thread in front.
//!
//! Functions here return null if the kernel refuses; then no block has changed. The caller may free other memory that is
//! kept and try again.

use super::block::{Block, block_at, clear, find, hand_out, units_for, zero};
use super::local_cache::{Cached, LocalCache};
use super::page_store::{Owned, Taken, Wanted};
use super::segment::{LONGEST, Record, Segment, UNIT};
use super::shard::Shard;
use super::unattended::Unattended;
use crate::meta::arena;
use crate::slab::FreeBlock;
use crate::sys::atomic_ref::AtomicRef;
use crate::sys::clock;
use crate::sys::lock::Lock;
use crate::sys::mmap;
use core::iter;
use core::ptr;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};

/// The most shards. More than so many threads share them.
const SHARDS: usize = 16;

/// The threads' caches have at most this fraction (1/4) of the limit, if they are all full.
const CACHED_SHARE: usize = 4;

/// Frees between two checks of the clock, which cost a call and a division.
const FREES_PER_CHECK: u32 = 16;

/// From this length on in units (256 KiB), all threads share the first shard. To wait for its lock takes less time than to
/// touch pages that other threads have free.
pub(super) const SHARED: usize = (256 << 10) / UNIT;

/// From this length on in units (2 MiB), what is cached is joined before anything is taken.
const JOINED: usize = (2 << 20) / UNIT;

/// A new segment is this fraction (1/4) of what the shard has, within these bounds in units (4 MiB and 256 MiB). It costs
/// address space alone.
const SEGMENT_SHARE: usize = 4;
const SEGMENT: (usize, usize) = ((4 << 20) / UNIT, (256 << 20) / UNIT);

/// On whose behalf something is done.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Caller<'a> {
    /// The allocator's id.
    pub(crate) id: u8,
    /// The thread's cache; `None` if it has no heap.
    pub(crate) cache: Option<&'a LocalCache>,
}

/// The large blocks of one allocator.
///
/// # Invariants
/// ```text
/// dirty free bytes ≤ limit, except while threads free or shrink at the same moment
/// ```
#[derive(Debug)]
pub(crate) struct Extents {
    /// Made as they are needed, under `creation`, in order.
    shards: [AtomicRef<Shard>; SHARDS],
    creation: Lock<()>,
    /// The caches of all threads, past and present, newest first, and their number.
    pub(super) caches: AtomicRef<LocalCache>,
    count: AtomicUsize,
    /// How many units a cache may have.
    most_cached: AtomicUsize,
    /// When idle threads were last looked for, in milliseconds.
    pub(super) idle_checked: AtomicU32,
    /// Held by the one thread that empties other threads' caches.
    pub(super) emptying: Lock<()>,
    /// The threads' caches take nothing, since enough free memory is kept, or the system has none.
    pub(super) caches_closed: AtomicBool,
    /// The most units that were in use when the caches did not serve a request.
    pub(super) peak: AtomicUsize,
    /// How many dirty units may be free, if somebody purges by the clock.
    pub(super) limit: usize,
    /// How many if nobody does.
    pub(super) unattended: Unattended,
    /// Whether segments ask for transparent huge pages.
    huge_pages: bool,
    /// When the kernel had no memory, in milliseconds: from then on each free gives all free memory back, until a segment is
    /// mapped or the purge delay has passed. 0: it has.
    pub(super) oom_since: AtomicU32,
}

/// For the rest of the runtime.
impl Extents {
    /// `limit` in bytes. `attended`: whether a thread purges by the clock, or nobody shall.
    pub(crate) const fn new(limit: usize, huge_pages: bool, attended: bool) -> Extents {
        Extents {
            shards: [const { AtomicRef::none() }; SHARDS],
            creation: Lock::new(()),
            caches: AtomicRef::none(),
            count: AtomicUsize::new(0),
            most_cached: AtomicUsize::new(limit / UNIT / CACHED_SHARE),
            idle_checked: AtomicU32::new(0),
            emptying: Lock::new(()),
            caches_closed: AtomicBool::new(false),
            peak: AtomicUsize::new(0),
            limit: limit / UNIT,
            unattended: Unattended::new(attended),
            huge_pages,
            oom_since: AtomicU32::new(0),
        }
    }

    /// Allocates `size` bytes at a multiple of `align`. Null: refused.
    #[inline(always)]
    pub(crate) fn alloc(&self, caller: Caller<'_>, size: usize, align: usize) -> *mut u8 {
        let Some(length) = units_for(size, align) else { return ptr::null_mut() };
        if let Some(cache) = caller.cache
            && let Some(Cached { address, length, record }) = cache.take(length, align)
        {
            return hand_out(address, record, length, size, align);
        }
        self.alloc_uncached(caller, (length, size, align))
    }

    #[cold]
    #[inline(never)]
    fn alloc_uncached(&self, caller: Caller<'_>, (length, size, align): (usize, usize, usize)) -> *mut u8 {
        match self.take(caller, Wanted::exactly(length, align)) {
            Some(taken) => taken.hand_out(length, size, align),
            None => ptr::null_mut(),
        }
    }

    /// [`Extents::alloc`] of zeroed memory. Writes only where it is not zero yet.
    #[cold]
    #[inline(never)]
    pub(crate) fn alloc_zeroed(&self, caller: Caller<'_>, size: usize, align: usize) -> *mut u8 {
        let Some(length) = units_for(size, align) else { return ptr::null_mut() };
        if let Some(Cached { address, length, record }) = caller.cache.and_then(|cache| cache.take(length, align)) {
            // A block had this extent, and its dirty bits were not written since: any of it may be dirty.
            let block = hand_out(address, record, length, size, align);
            zero(block.addr(), size);
            return block;
        }
        let Some(taken) = self.take(caller, Wanted::exactly(length, align)) else { return ptr::null_mut() };
        let block = taken.hand_out(length, size, align);
        if taken.dirty > 0 {
            clear(taken.segment, taken.unit..taken.unit + length, block, size);
        }
        block
    }

    /// Frees a block. `true`: it is time to check the clock, and to purge if due: a program that uses only large blocks
    /// has no other slow path. Aborts if `block` is not a large block.
    #[inline(always)]
    pub(crate) fn dealloc(&self, caller: Caller<'_>, block: FreeBlock) -> bool {
        let block = block_at(caller.id, block.into_raw().expose_provenance(), "invalid free: not a large block");
        if let Some(cache) = caller.cache {
            let frees = cache.count_free();
            if cache.put(&block, self.most_cached()) {
                return frees.is_multiple_of(FREES_PER_CHECK);
            }
        }
        self.free_cold(caller, block);
        true
    }

    /// The bytes that the program may use of the block at `address`; `None` if no block starts there.
    pub(crate) fn usable(id: u8, address: usize) -> Option<usize> {
        Some(find(id, address)?.bytes())
    }

    /// Whether no extent can have this size or alignment.
    pub(crate) fn is_hopeless(size: usize, align: usize) -> bool {
        size > LONGEST * UNIT || align > LONGEST * UNIT
    }

    /// Calls `each` with the bytes of each block.
    pub(crate) fn each_block(&self, mut each: impl FnMut(usize)) {
        self.shards().for_each(|shard| shard.each_block(&mut each));
    }

    /// Adds the cache of a new thread.
    pub(crate) fn register(&self, cache: &'static LocalCache) {
        let number = self.count.fetch_add(1, Ordering::SeqCst);
        cache.number.store(number, Ordering::Relaxed);
        self.share_caches();
        self.caches.push(cache, |next| cache.next.set(next));
    }

    /// Notes that the kernel has refused `size` bytes. Until a segment can be mapped again, each free gives all free memory
    /// back, and the caches take nothing. But a request for more than is mapped in all says nothing about others.
    pub(crate) fn note_refusal(&self, size: usize) {
        let mapped: usize = self.shards().map(|shard| shard.with_store(|store| store.segments.units)).sum();
        if size / UNIT <= mapped {
            self.set_oom(clock::now_ms() | 1);
        }
    }

    /// Locks for a fork. No other thread makes a shard meanwhile.
    pub(crate) fn hold_for_fork(&self) {
        self.emptying.hold_for_fork();
        self.creation.hold_for_fork();
        self.shards().for_each(Shard::hold_for_fork);
    }

    /// Unlocks after a fork, in the parent and in the child.
    pub(crate) fn release_after_fork(&self) {
        self.shards().for_each(Shard::release_after_fork);
        self.creation.release_after_fork();
        self.emptying.release_after_fork();
        // The child may have no thread that purges.
        self.share_caches();
    }
}

/// Shards.
impl Extents {
    /// All that exist.
    pub(super) fn shards(&self) -> impl Iterator<Item = &'static Shard> {
        // As a list: the compiler would write a loop over the array sixteen times.
        iter::successors(self.existing(0), |shard| shard.next.get())
    }

    #[inline]
    fn existing(&self, number: usize) -> Option<&'static Shard> {
        self.shards.get(number % SHARDS)?.get()
    }

    /// The shard for a thread's extents of a length, and its number.
    #[inline]
    pub(super) fn shard_for(&self, caller: Caller<'_>, length: usize) -> Option<(usize, &'static Shard)> {
        let cache = caller.cache.filter(|_| length < SHARED);
        self.shard(cache.map_or(0, |cache| cache.number.load(Ordering::Relaxed)))
    }

    /// The shard with a number, which is made now if it does not exist, and those before it; without memory for it, one of
    /// these. `None`: there is no memory for any.
    #[inline]
    fn shard(&self, number: usize) -> Option<(usize, &'static Shard)> {
        match self.existing(number) {
            Some(shard) => Some((number % SHARDS, shard)),
            None => self.make_shards(number % SHARDS),
        }
    }

    #[cold]
    #[inline(never)]
    fn make_shards(&self, number: usize) -> Option<(usize, &'static Shard)> {
        let creation = self.creation.lock();
        let mut last: Option<(usize, &Shard)> = None;
        let next = |last: Option<(usize, &Shard)>| last.map_or(0, |(last, _)| last + 1);
        while next(last) <= number
            && let Some(place) = self.shards.get(next(last))
            && let Some(shard) = place.get().or_else(|| arena::zeroed::<Shard>(0))
        {
            place.set(Some(shard));
            if let Some((_, before)) = last {
                before.next.set(Some(shard));
            }
            last = Some((next(last), shard));
        }
        drop(creation);
        last
    }

    /// The shard that a segment belongs to.
    #[inline]
    pub(super) fn shard_of(&self, segment: Segment) -> Option<&'static Shard> {
        self.existing(segment.shard())
    }

    /// How many units a thread's cache may have now.
    #[inline]
    fn most_cached(&self) -> usize {
        if self.caches_closed.load(Ordering::Relaxed) { 0 } else { self.most_cached.load(Ordering::Relaxed) }
    }

    /// Notes that a thread of this process purges by the clock.
    pub(crate) fn attend(&self) {
        if self.unattended.end() {
            self.share_caches();
        }
    }

    /// Notes that units are taken which may not be resident.
    #[inline]
    pub(super) fn note_touched(&self) {
        if self.unattended.weigh_if_due(self.limit) {
            self.share_caches();
        }
    }

    /// Divides between the threads what they may cache.
    #[cold]
    pub(super) fn share_caches(&self) {
        let share = || {
            let most = (self.limit / CACHED_SHARE).min(self.unattended.limit(0));
            most.checked_div(self.count.load(Ordering::SeqCst)).unwrap_or(most)
        };
        // Until no other thread has changed what it depends on meanwhile.
        let mut now = share();
        loop {
            self.most_cached.store(now, Ordering::SeqCst);
            match share() {
                again if again == now => return,
                again => now = again,
            }
        }
    }

    pub(super) fn is_oom(&self) -> bool {
        self.oom_since.load(Ordering::Relaxed) != 0
    }

    pub(super) fn set_oom(&self, at: u32) {
        self.oom_since.store(at, Ordering::Relaxed);
        self.caches_closed.store(at != 0, Ordering::Relaxed);
    }
}

/// Extents.
impl Extents {
    /// An extent from the store of a shard, or from a new segment, in which there is room to grow if that can be had.
    #[cold]
    #[inline(never)]
    pub(super) fn take(&self, caller: Caller<'_>, wanted: Wanted) -> Option<Taken> {
        let (number, shard) = self.shard_for(caller, wanted.length)?;
        let exactly = Wanted { with_growth: wanted.length, ..wanted };
        // While there is resident memory, what is cached stays there; but for a long extent, all that is free had better be
        // joined.
        if wanted.length >= JOINED {
            self.empty(caller.cache);
        }
        if let Some(taken) = shard.take_resident(exactly) {
            self.note_peak(wanted.replaced);
            return Some(taken);
        }
        if let Some(cache) = caller.cache
            && wanted.align <= UNIT
            && let Some(taken) = self.cut_cached(cache, wanted.length)
        {
            return Some(taken);
        }
        // Pages may be touched that were not before.
        if self.has_room(wanted.length)
            && let Some(taken) = self.take_free(shard, exactly)
        {
            return Some(taken);
        }
        self.empty(caller.cache);
        if wanted.length >= SHARED && self.cached() >= wanted.length {
            // Others' caches, too: that takes less time than to touch so many pages.
            self.empty_caches(clock::now_ms(), true);
            self.purge_to_limit();
        }
        self.take_free(shard, exactly).or_else(|| self.take_from_new_segment((caller.id, number), shard, wanted))
    }

    /// Cuts `length` units from a longer extent in the thread's cache. What is left goes back there.
    #[inline(never)]
    fn cut_cached(&self, cache: &LocalCache, length: usize) -> Option<Taken> {
        let longer = cache.take_longer(length)?;
        let segment = longer.segment()?;
        let (shard, unit) = (self.shard_of(segment)?, segment.unit(longer.address));
        let split = shard.with_store(|store| {
            segment.set_dirty(unit..unit + length);
            store.split_used()
        });
        if !split {
            self.put_back_one(Owned { segment, unit, length: longer.length }, clock::now_ms());
            return None;
        }
        let rest = Block { segment, unit: unit + length, length: longer.length - length, offset: 0 };
        if !cache.put(&rest, self.most_cached()) {
            segment.set_record(rest.unit, Record::Held { length: rest.length });
            let rest = Owned { segment, unit: rest.unit, length: rest.length };
            self.put_back_one(rest, clock::now_ms());
        }
        Some(Taken { segment, unit, dirty: length })
    }

    /// An extent from the store.
    pub(super) fn take_free(&self, shard: &Shard, wanted: Wanted) -> Option<Taken> {
        let taken = shard.take(wanted)?;
        let excess = self.excess(wanted.length, wanted.replaced);
        if taken.dirty < wanted.length {
            self.purge_units(excess);
            self.note_touched();
        }
        Some(taken)
    }

    /// Maps a segment with room for what is wanted, with its growth if that can be had, and takes it from there.
    fn take_from_new_segment(&self, number: (u8, usize), shard: &Shard, wanted: Wanted) -> Option<Taken> {
        let Wanted { length, with_growth, align, .. } = wanted;
        let units = shard.with_store(|store| store.segments.units);
        let more = (units / SEGMENT_SHARE).clamp(SEGMENT.0, SEGMENT.1).max(with_growth).saturating_sub(length);
        let segment = Segment::map(number, length, align, more)?;
        if self.huge_pages {
            mmap::prefer_huge_pages(segment.address(0), segment.units() * UNIT);
        }
        if self.is_oom() {
            self.set_oom(0);
        }
        // At once: another thread could take it, or give all of the segment back, before this one comes again.
        let (taken, listed) = shard.with_store(|store| {
            if !store.reserve_nodes() {
                return (None, false);
            }
            store.add(segment, clock::now_ms());
            (store.take(Wanted { with_growth: length, ..wanted }), true)
        });
        if !listed {
            segment.unmap();
        }
        self.purge_units(self.excess(wanted.length, wanted.replaced));
        self.note_touched();
        taken
    }

    /// Frees a block, which is no longer in use, without the cache.
    #[cold]
    #[inline(never)]
    pub(super) fn free_cold(&self, Caller { id, cache }: Caller<'_>, block: Block) {
        // A second free must not find a block there.
        block.segment.set_record(block.unit, Record::Held { length: block.length });
        let now = clock::now_ms();
        let Block { segment, unit, length, .. } = block;
        let mut block = Some(Owned { segment, unit, length });
        self.put_back(&mut || block.take().or_else(|| cache?.take_any()), now);
        self.purge_to_limit();
        if self.is_oom() {
            self.purge(id, now, 0);
        }
    }

    /// Moves what is in the calling thread's cache to the shards, where it is joined. It counts as freed now.
    #[cold]
    #[inline(never)]
    pub(crate) fn empty(&self, cache: Option<&LocalCache>) {
        let Some(cache) = cache.filter(|cache| cache.units() > 0) else { return };
        self.put_back(&mut || cache.take_any(), clock::now_ms());
        self.purge_to_limit();
    }

    /// Puts the extents that `next` returns, which blocks have used, back into their shards.
    #[inline(never)]
    pub(super) fn put_back(&self, next: &mut dyn FnMut() -> Option<Owned>, now: u32) {
        let mut extent = next();
        while let Some(owned) = extent {
            extent = match self.shard_of(owned.segment) {
                Some(shard) => shard.put_dirty(owned, next, now),
                None => next(),
            };
        }
    }

    /// [`Extents::put_back`] of one.
    pub(super) fn put_back_one(&self, extent: Owned, now: u32) {
        let mut extent = Some(extent);
        self.put_back(&mut || extent.take(), now);
    }
}

impl Taken {
    /// Turns the extent, which is the caller's, into a block of `size` bytes.
    pub(super) fn hand_out(&self, length: usize, size: usize, align: usize) -> *mut u8 {
        let start = self.segment.address(self.unit);
        hand_out(start, self.segment.record_at(start), length, size, align)
    }
}
